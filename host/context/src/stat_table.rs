//! The file format of the digests' memory.
//!
//! ```text
//! "KILNSTA1" | count u32 | bits u32 | (2^bits + 1) × first record u32 | count × record of 96 bytes
//! record: device, inode, size, mtime s, ctime s (u64 each) | mtime ns, ctime ns, day, 0 (u32 each)
//!         | sha256 (32 bytes) | check u64          little endian, sorted by hash(device, inode)
//! ```
//!
//! Every record carries its own check, so that a torn or zeroed file is only forgotten digests.

use std::fs;
use std::path::Path;

use crate::digest::FileDigest;
use crate::metadata::{Identity, Time};

const MAGIC: &[u8; 8] = b"KILNSTA1";
const HEADER: usize = 16;
const RECORD: usize = 96;
/// Most records kept: some ten contexts of 50,000 files, 40 MB, read in 10 ms.
pub(crate) const MAX_RECORDS: usize = 400_000;
/// Most buckets, as a power of two: four records each when the file is full.
const MAX_BITS: u32 = 17;

/// One digest and the file that it is of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub identity: Identity,
    pub day: u32,
    pub digest: FileDigest,
}

/// The bytes of a file that was checked as far as needed.
#[derive(Debug, Default)]
pub(crate) struct Table {
    bytes: Vec<u8>,
    pub count: usize,
    bits: u32,
}

/// Spreads inode numbers, which come in runs, over all buckets.
fn hash(device: u64, inode: u64) -> u64 {
    let mixed = (inode ^ device.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
}

fn check(words: &[u8]) -> u64 {
    words
        .chunks_exact(8)
        .fold(0x6b69_6c6e_7374_6174, |sum: u64, chunk| {
            (sum ^ word(chunk, 0))
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(29)
        })
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn half(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

impl Record {
    pub fn keyed(self) -> ((u64, u64), Record) {
        ((self.identity.device, self.identity.inode), self)
    }

    fn encode(&self) -> [u8; RECORD] {
        let Identity {
            device,
            inode,
            size,
            mtime,
            ctime,
        } = self.identity;
        let mut bytes = [0; RECORD];
        let words = [
            device,
            inode,
            size,
            mtime.seconds as u64,
            ctime.seconds as u64,
        ];
        for (slot, value) in bytes.chunks_exact_mut(8).zip(words) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        for (slot, value) in
            bytes[40..52]
                .chunks_exact_mut(4)
                .zip([mtime.nanos, ctime.nanos, self.day])
        {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        bytes[56..88].copy_from_slice(&self.digest);
        let sum = check(&bytes[..88]);
        bytes[88..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Record> {
        if check(&bytes[..88]) != word(bytes, 88) {
            return None;
        }
        let identity = Identity {
            device: word(bytes, 0),
            inode: word(bytes, 8),
            size: word(bytes, 16),
            mtime: Time {
                seconds: word(bytes, 24) as i64,
                nanos: half(bytes, 40),
            },
            ctime: Time {
                seconds: word(bytes, 32) as i64,
                nanos: half(bytes, 44),
            },
        };
        Some(Record {
            identity,
            day: half(bytes, 48),
            digest: bytes[56..88].try_into().expect("32 bytes"),
        })
    }
}

impl Table {
    pub fn read(path: &Path) -> Table {
        fs::read(path)
            .ok()
            .and_then(Table::parse)
            .unwrap_or_default()
    }

    fn parse(bytes: Vec<u8>) -> Option<Table> {
        if bytes.len() < HEADER || &bytes[..8] != MAGIC {
            return None;
        }
        let (count, bits) = (half(&bytes, 8) as usize, half(&bytes, 12));
        if count > MAX_RECORDS || bits > MAX_BITS {
            return None;
        }
        let len = HEADER + 4 * ((1 << bits) + 1) + RECORD * count;
        (bytes.len() == len).then_some(Table { bytes, count, bits })
    }

    fn record(&self, index: usize) -> Option<Record> {
        let start = HEADER + 4 * ((1 << self.bits) + 1) + RECORD * index;
        Record::decode(&self.bytes[start..start + RECORD])
    }

    pub fn records(&self) -> impl Iterator<Item = (usize, Record)> + '_ {
        (0..self.count).filter_map(|index| Some((index, self.record(index)?)))
    }

    pub fn find(&self, device: u64, inode: u64) -> Option<(usize, Record)> {
        if self.count == 0 {
            return None;
        }
        let bucket = bucket(hash(device, inode), self.bits);
        let first =
            |bucket: usize| (half(&self.bytes, HEADER + 4 * bucket) as usize).min(self.count);
        (first(bucket)..first(bucket + 1)).find_map(|index| {
            let record = self.record(index)?;
            (record.identity.device == device && record.identity.inode == inode)
                .then_some((index, record))
        })
    }
}

fn bucket(hash: u64, bits: u32) -> usize {
    if bits == 0 {
        0
    } else {
        (hash >> (64 - bits)) as usize
    }
}

/// The bytes of a whole file.
pub(crate) fn encode(mut records: Vec<Record>) -> Vec<u8> {
    let key = |record: &Record| {
        (
            hash(record.identity.device, record.identity.inode),
            record.identity.inode,
        )
    };
    records.sort_unstable_by_key(key);
    let bits = (records.len() / 4)
        .checked_ilog2()
        .unwrap_or(0)
        .min(MAX_BITS);
    let mut bytes = Vec::with_capacity(HEADER + 4 * ((1 << bits) + 1) + RECORD * records.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(records.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&bits.to_le_bytes());
    let mut at = 0;
    for number in 0..=1_usize << bits {
        at += records[at..]
            .iter()
            .take_while(|record| bucket(key(record).0, bits) < number)
            .count();
        bytes.extend_from_slice(&(at as u32).to_le_bytes());
    }
    records
        .iter()
        .for_each(|record| bytes.extend_from_slice(&record.encode()));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(inode: u64) -> Identity {
        let time = Time {
            seconds: 1_000_000,
            nanos: 5,
        };
        Identity {
            device: 7,
            inode,
            size: inode * 3,
            mtime: time,
            ctime: time,
        }
    }

    #[test]
    fn damage_forgets_and_never_lies() {
        let records: Vec<Record> = (0..200)
            .map(|n| Record {
                identity: identity(n),
                day: 9,
                digest: [n as u8; 32],
            })
            .collect();
        let bytes = encode(records);
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x55;
            let Some(table) = Table::parse(broken) else {
                continue;
            };
            for n in 0..200 {
                let found = table
                    .find(7, n)
                    .filter(|(_, record)| record.identity == identity(n));
                assert!(
                    found.is_none_or(|(_, record)| record.digest == [n as u8; 32]),
                    "byte {at}"
                );
            }
        }
        assert!(Table::parse(bytes[..bytes.len() - 1].to_vec()).is_none());
        assert!(Table::parse(vec![0; 4096]).is_none());
    }
}
