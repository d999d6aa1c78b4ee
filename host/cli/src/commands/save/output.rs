//! Where an archive goes: standard output, or a file that appears under its name only when it is whole.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The open output.
pub enum Output {
    /// Standard output.
    Stdout(io::Stdout),
    /// A file beside the one to be.
    File {
        /// What is written to; removed on drop.
        staged: NamedTempFile,
        /// The name to be.
        path: PathBuf,
    },
    /// Something that is there and no plain file (`/dev/null`, a named pipe): written in place.
    Special(std::fs::File),
}

impl Output {
    /// Opens it.
    pub fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout(io::stdout()));
        };
        if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Self::Special(
                std::fs::File::options().write(true).open(path)?,
            ));
        }
        // A link keeps pointing to the file that is replaced.
        let path = path.canonicalize().unwrap_or(path);
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let staged = tempfile::Builder::new()
            .prefix(".kiln-save-")
            .tempfile_in(folder)?;
        Ok(Self::File { staged, path })
    }

    /// Gives the file its name.
    pub fn commit(self) -> io::Result<()> {
        match self {
            Self::Stdout(mut stdout) => stdout.flush(),
            Self::Special(mut file) => file.flush(),
            Self::File { staged, path } => {
                staged.persist(path).map(drop).map_err(|error| error.error)
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File { staged, .. } => staged.write(bytes),
            Self::Special(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File { staged, .. } => staged.flush(),
            Self::Special(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_only_when_it_is_whole() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let path = dir.path().join("image.tar");
        std::fs::write(&path, "old").expect("file");
        let mut output = Output::open(Some(path.clone())).expect("opens");
        output.write_all(b"new").expect("writes");
        assert_eq!(std::fs::read(&path).expect("file"), b"old");
        drop(output);
        assert_eq!(std::fs::read_dir(dir.path()).expect("folder").count(), 1);
        let mut output = Output::open(Some(path.clone())).expect("opens");
        output.write_all(b"new").expect("writes");
        output.commit().expect("commits");
        assert_eq!(std::fs::read(&path).expect("file"), b"new");
    }
}
