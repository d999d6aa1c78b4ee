//! Compressed streams: told apart by their first bytes and decompressed while they are read.
//!
//! Memory is bounded here, length is not: a few bytes can stand for terabytes, so the caller bounds what it
//! reads. Streams made of several members, as parallel compressors write them, read as one.

use std::io::{self, BufRead, BufReader, Read};

/// Room a decompressor may ask for. `xz -9` needs 65 MiB.
const MAX_DECODER_MEMORY: u64 = 256 << 20;
/// Largest zstd window, 128 MiB, as the zstd tool permits by default.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;
/// Longest magic number looked for.
const MAGIC_LEN: usize = 6;
const BUFFER_LEN: usize = 128 * 1024;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all, or not in a way known here.
    None,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// zstd.
    Zstd,
}

impl Compression {
    /// Tells by the first bytes of a stream.
    pub fn detect(start: &[u8]) -> Compression {
        match start {
            [0x1f, 0x8b, 0x08, ..] => Compression::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Compression::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
            // A frame to be skipped; zstd streams may begin with one.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// A short name, used as a key.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Gzip => "gzip",
            Compression::Bzip2 => "bzip2",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
        }
    }
}

/// Gives the decompressed form of `reader`, and how it was compressed.
pub fn decompress<'a>(
    reader: impl Read + Send + 'a,
) -> io::Result<(Compression, Box<dyn Read + Send + 'a>)> {
    let mut reader = BufReader::with_capacity(BUFFER_LEN, reader);
    let mut start = Vec::with_capacity(MAGIC_LEN);
    reader
        .by_ref()
        .take(MAGIC_LEN as u64)
        .read_to_end(&mut start)?;
    let compression = Compression::detect(&start);
    let whole = io::Cursor::new(start).chain(reader);
    Ok((compression, decoder(compression, whole)?))
}

fn decoder<'a>(
    compression: Compression,
    input: impl BufRead + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    Ok(match compression {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        Compression::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(
                MAX_DECODER_MEMORY,
                liblzma::stream::CONCATENATED,
            )?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 1).unwrap()
    }

    fn read(bytes: &[u8]) -> io::Result<(Compression, Vec<u8>)> {
        let (compression, mut reader) = decompress(bytes)?;
        let mut out = Vec::new();
        reader.read_to_end(&mut out)?;
        Ok((compression, out))
    }

    #[test]
    fn every_format_is_detected_and_members_read_as_one() {
        type Encode = fn(&[u8]) -> Vec<u8>;
        let formats: [(Compression, Encode); 5] = [
            (Compression::None, <[u8]>::to_vec),
            (Compression::Gzip, gzip),
            (Compression::Bzip2, bzip2),
            (Compression::Xz, xz),
            (Compression::Zstd, zstd),
        ];
        for (compression, encode) in formats {
            let two_members = [encode(b"hello "), encode(b"world")].concat();
            assert_eq!(
                read(&two_members).unwrap(),
                (compression, b"hello world".to_vec()),
                "{compression:?}"
            );
        }
    }

    #[test]
    fn short_and_empty_streams_are_not_compressed() {
        for bytes in [&b""[..], b"B", b"BZ", &[0x1f, 0x8b]] {
            assert_eq!(read(bytes).unwrap(), (Compression::None, bytes.to_vec()));
        }
    }

    #[test]
    fn truncated_streams_are_an_error() {
        for encode in [gzip, bzip2, xz, zstd] {
            let whole = encode(&[b'x'; 10_000]);
            assert!(read(&whole[..whole.len() - 3]).is_err());
        }
    }
}
