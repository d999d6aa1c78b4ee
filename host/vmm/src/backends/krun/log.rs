//! What libkrun reports about itself, kept in a file that a guest cannot make long.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use ::log::{LevelFilter, Log, Metadata, Record};

/// Length at which nothing more is kept. A guest can cause reports at will; the first ones tell the most.
const MAX_LEN: usize = 64 << 10;

static REPORTS: OnceLock<Reports> = OnceLock::new();

struct Reports(Mutex<(File, usize)>);

/// Keeps warnings and errors in the file `path` from now on. Without the file, there are none.
pub(super) fn keep(path: &Path) {
    let Ok(file) = File::create(path) else { return };
    let reports = REPORTS.get_or_init(|| Reports(Mutex::new((file, 0))));
    if ::log::set_logger(reports).is_ok() {
        ::log::set_max_level(LevelFilter::Warn);
    }
}

impl Log for Reports {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= LevelFilter::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.append(&format!("{}: {}\n", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

impl Reports {
    fn append(&self, line: &str) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, len) = &mut *reports;
        *len = len.saturating_add(line.len());
        if *len <= MAX_LEN {
            // A log that cannot be written must not stop its writer.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_end_at_their_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let reports = Reports(Mutex::new((file.reopen().unwrap(), 0)));
        let line = "x".repeat(1000);
        for _ in 0..100 {
            reports.append(&line);
        }
        let len = file.path().metadata().unwrap().len() as usize;
        assert!((MAX_LEN - line.len()..=MAX_LEN).contains(&len), "{len}");
    }
}
