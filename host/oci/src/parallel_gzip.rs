//! gzip on all cores, with the same bytes whatever their number.
//!
//! ```text
//! input ─► blocks of fixed length ─► one raw deflate stream each, sync-flushed to a byte boundary
//!       ─► header | block | block | … | empty final block | crc32 | length
//! ```
//!
//! Invariant: the output depends on the input and the level only. It is one ordinary gzip member.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flate2::{Compress, Compression, Crc, FlushCompress};

/// Bytes per block: long enough that starting without a dictionary costs below one percent.
const BLOCK_LEN: usize = 512 * 1024;
/// Fixed header: deflate, no name, no time, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// A final deflate block that holds nothing.
const EMPTY_FINAL_BLOCK: [u8; 2] = [3, 0];
/// The level of the gzip tool and of Docker.
const LEVEL: u32 = 6;

/// Compresses what is written to it.
pub struct ParallelGzip<W: Write> {
    out: W,
    block: Vec<u8>,
    jobs: Option<SyncSender<Job>>,
    /// Results to come, in order.
    pending: VecDeque<Receiver<Block>>,
    workers: Vec<JoinHandle<()>>,
    crc: Crc,
}

struct Job {
    bytes: Vec<u8>,
    done: SyncSender<Block>,
}

struct Block {
    compressed: Vec<u8>,
    crc: Crc,
}

impl<W: Write> ParallelGzip<W> {
    /// Starts a stream.
    pub fn new(out: W) -> io::Result<ParallelGzip<W>> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        ParallelGzip::with_workers(out, cores)
    }

    fn with_workers(mut out: W, count: usize) -> io::Result<ParallelGzip<W>> {
        out.write_all(&HEADER)?;
        let (jobs, incoming) = sync_channel::<Job>(count);
        let incoming = Arc::new(Mutex::new(incoming));
        let spawn = |_| {
            let incoming = Arc::clone(&incoming);
            std::thread::Builder::new()
                .name("gzip".to_owned())
                .spawn(move || work(&incoming))
        };
        let workers = (0..count).map(spawn).collect::<io::Result<Vec<_>>>()?;
        let pending = VecDeque::new();
        Ok(ParallelGzip {
            out,
            block: Vec::new(),
            jobs: Some(jobs),
            pending,
            workers,
            crc: Crc::new(),
        })
    }

    fn send_block(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.block);
        let (done, result) = sync_channel(1);
        let sent = self
            .jobs
            .as_ref()
            .is_some_and(|jobs| jobs.send(Job { bytes, done }).is_ok());
        if !sent {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.pending.push_back(result);
        // Bounds memory: two blocks per worker are enough to keep all of them busy.
        while self.pending.len() > 2 * self.workers.len() {
            self.write_next()?;
        }
        Ok(())
    }

    fn write_next(&mut self) -> io::Result<()> {
        if let Some(result) = self.pending.pop_front() {
            let block = result
                .recv()
                .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            self.crc.combine(&block.crc);
            self.out.write_all(&block.compressed)?;
        }
        Ok(())
    }

    /// Ends the stream and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        if !self.block.is_empty() {
            self.send_block()?;
        }
        while !self.pending.is_empty() {
            self.write_next()?;
        }
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A worker that panicked has failed its block above.
            let _ = worker.join();
        }
        self.out.write_all(&EMPTY_FINAL_BLOCK)?;
        self.out.write_all(&self.crc.sum().to_le_bytes())?;
        self.out.write_all(&self.crc.amount().to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for ParallelGzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let step = bytes.len().min(BLOCK_LEN - self.block.len());
        self.block.extend_from_slice(&bytes[..step]);
        if self.block.len() == BLOCK_LEN {
            self.send_block()?;
        }
        Ok(step)
    }

    /// Does nothing: cutting a block short would make the output depend on when it was called.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn work(incoming: &Mutex<Receiver<Job>>) {
    let mut compressor = Compress::new(Compression::new(LEVEL), false);
    loop {
        let job = incoming
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = job else { return };
        let Some(block) = compress(&mut compressor, &job.bytes) else {
            return;
        };
        // The writer may have failed and gone.
        let _ = job.done.send(block);
    }
}

fn compress(compressor: &mut Compress, bytes: &[u8]) -> Option<Block> {
    compressor.reset();
    let mut crc = Crc::new();
    crc.update(bytes);
    let mut compressed = Vec::with_capacity(bytes.len() / 2 + 1024);
    loop {
        let consumed = compressor.total_in() as usize;
        let room = compressed.capacity() - compressed.len();
        compressor
            .compress_vec(&bytes[consumed..], &mut compressed, FlushCompress::Sync)
            .ok()?;
        // A flush is complete when it leaves room in the output.
        let used_up = compressor.total_in() as usize == bytes.len();
        if used_up && compressed.len() < compressed.capacity() {
            return Some(Block { compressed, crc });
        }
        compressed.reserve(room.max(64 * 1024));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn compress_with(workers: usize, bytes: &[u8]) -> Vec<u8> {
        let mut gzip = ParallelGzip::with_workers(Vec::new(), workers).unwrap();
        // Odd pieces: block borders must not depend on them.
        for piece in bytes.chunks(100_003 * workers) {
            gzip.write_all(piece).unwrap();
            gzip.flush().unwrap();
        }
        gzip.finish().unwrap()
    }

    #[test]
    fn output_does_not_depend_on_the_number_of_workers_and_round_trips() {
        let mut state = 1u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(3 * BLOCK_LEN)
        .collect();
        let text = b"the same line again and again\n".repeat(60_000);
        for input in [&b""[..], b"x", &noise, &text, &text[..BLOCK_LEN]] {
            let one = compress_with(1, input);
            assert!(one == compress_with(3, input), "{} bytes", input.len());
            let mut out = Vec::new();
            // One member: the plain decoder must reach the end of the input.
            flate2::read::GzDecoder::new(&one[..])
                .read_to_end(&mut out)
                .unwrap();
            assert!(out == input, "{} bytes", input.len());
        }
    }
}
