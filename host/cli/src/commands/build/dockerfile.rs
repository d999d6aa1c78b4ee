//! Finds and reads the Dockerfile, and checks the context's place.
//!
//! PATH   | `-f`  | Dockerfile            | context
//! -------|-------|-----------------------|--------
//! folder |       | folder/Dockerfile     | folder
//! folder | FILE  | FILE                  | folder
//! folder | `-`   | standard input        | folder
//! `-`    |       | standard input        | none

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use kiln_engine::DockerfileSource;

use crate::failure::Failure;

/// The name of a Dockerfile that nobody named.
const DEFAULT_NAME: &str = "Dockerfile";

/// Bytes of a Dockerfile that are read: one more than the parser takes, so that it is the one to refuse.
const MAX_DOCKERFILE: u64 = 8 * (1 << 20) + 1;

/// What a build starts from.
#[derive(Debug)]
pub struct Input {
    /// The context folder.
    pub context: Option<PathBuf>,
    /// The Dockerfile.
    pub dockerfile: DockerfileSource,
}

/// Reads the Dockerfile for `PATH` and `-f`.
pub fn read(context: &Path, file: Option<&Path>, current_dir: &Path) -> Result<Input, Failure> {
    let stdin = Path::new("-");
    if context == stdin {
        if file.is_some() {
            return Err(Failure::usage(
                "a context cannot be read from standard input yet, so -f has nothing to name",
            )
            .hint("give the context's folder: kiln build -f FILE FOLDER"));
        }
        return Ok(Input {
            context: None,
            dockerfile: from_stdin()?,
        });
    }
    refuse_remote(context)?;
    let folder = current_dir.join(context);
    check_folder(&folder, context)?;
    let dockerfile = match file {
        Some(file) if file == stdin => from_stdin()?,
        Some(file) => {
            refuse_remote(file)?;
            from_file(file, &current_dir.join(file))
                .map_err(|error| no_file(file, &folder, &error))?
        }
        None => from_context(context, &folder)?,
    };
    Ok(Input {
        context: Some(folder),
        dockerfile,
    })
}

fn refuse_remote(path: &Path) -> Result<(), Failure> {
    const REMOTE: &[&str] = &[
        "http://",
        "https://",
        "git://",
        "git@",
        "ssh://",
        "oci-layout://",
        "docker-image://",
    ];
    let text = path.to_string_lossy();
    if REMOTE.iter().any(|prefix| text.starts_with(prefix)) {
        return Err(Failure::usage(format!(
            "`{text}` is not on this machine: remote contexts are not supported yet"
        ))
        .hint("fetch it first, and give the folder"));
    }
    Ok(())
}

fn check_folder(folder: &Path, shown: &Path) -> Result<(), Failure> {
    match std::fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(
            Failure::build(format!("the context `{}` is not a folder", shown.display()))
                .hint("to name the Dockerfile use -f FILE"),
        ),
        Err(error) => Err(Failure::build(format!(
            "the context `{}` cannot be used",
            shown.display()
        ))
        .because(&error)),
    }
}

fn from_context(context: &Path, folder: &Path) -> Result<DockerfileSource, Failure> {
    // Docker takes the lower-case name too.
    for name in [DEFAULT_NAME, "dockerfile"] {
        let shown = if context == Path::new(".") {
            PathBuf::from(name)
        } else {
            context.join(name)
        };
        match from_file(&shown, &folder.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(&shown, &error)),
            Ok(source) => return Ok(source),
        }
    }
    let failure = Failure::build(format!(
        "there is no {DEFAULT_NAME} in `{}`",
        context.display()
    ));
    Err(match folder.join("Containerfile").is_file() {
        true => failure.hint(format!(
            "use -f {}",
            context.join("Containerfile").display()
        )),
        false => failure.hint("name it with -f FILE"),
    })
}

fn from_file(shown: &Path, path: &Path) -> io::Result<DockerfileSource> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(MAX_DOCKERFILE)
        .read_to_end(&mut bytes)?;
    Ok(DockerfileSource {
        name: shown.to_string_lossy().into_owned(),
        bytes,
        path: Some(path.to_owned()),
    })
}

fn no_file(shown: &Path, folder: &Path, error: &io::Error) -> Failure {
    let failure = unreadable(shown, error);
    match error.kind() == io::ErrorKind::NotFound && folder.join(shown).is_file() {
        true => failure.hint(format!(
            "-f counts from the working directory: use {}",
            folder.join(shown).display()
        )),
        false => failure,
    }
}

fn unreadable(shown: &Path, error: &io::Error) -> Failure {
    Failure::build(format!(
        "the Dockerfile `{}` cannot be read",
        shown.display()
    ))
    .because(error)
}

fn from_stdin() -> Result<DockerfileSource, Failure> {
    let mut bytes = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_DOCKERFILE)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::build("standard input cannot be read").because(&error))?;
    if is_archive(&bytes) {
        return Err(Failure::usage(
            "standard input is an archive: a context cannot be read from there yet",
        )
        .hint("unpack it, and give the folder"));
    }
    Ok(DockerfileSource {
        name: "stdin".to_owned(),
        bytes,
        path: None,
    })
}

/// Whether this is what docker would take for a context: a tar, plain or compressed.
fn is_archive(bytes: &[u8]) -> bool {
    const MAGIC: &[&[u8]] = &[b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"];
    MAGIC.iter().any(|magic| bytes.starts_with(magic)) || bytes.get(257..262) == Some(b"ustar")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("temporary folder")
    }

    #[test]
    fn the_dockerfile_of_the_context_is_found() {
        let dir = folder();
        std::fs::create_dir(dir.path().join("ctx")).expect("folder");
        std::fs::write(dir.path().join("ctx/dockerfile"), "FROM lower").expect("file");
        let input = read(Path::new("ctx"), None, dir.path()).expect("found");
        assert_eq!(input.dockerfile.bytes, b"FROM lower");
        std::fs::write(dir.path().join("ctx/Dockerfile"), "FROM upper").expect("file");
        let input = read(Path::new("ctx"), None, dir.path()).expect("found");
        assert_eq!(input.dockerfile.bytes, b"FROM upper");
        assert_eq!(
            input.dockerfile.name,
            Path::new("ctx").join("Dockerfile").to_string_lossy()
        );
        assert_eq!(input.context, Some(dir.path().join("ctx")));
    }

    #[test]
    fn a_named_dockerfile_counts_from_the_working_directory() {
        let dir = folder();
        std::fs::create_dir(dir.path().join("ctx")).expect("folder");
        std::fs::write(dir.path().join("ctx/other"), "FROM x").expect("file");
        assert!(read(Path::new("ctx"), Some(Path::new("other")), dir.path()).is_err());
        let input =
            read(Path::new("ctx"), Some(Path::new("ctx/other")), dir.path()).expect("found");
        assert_eq!(input.dockerfile.path, Some(dir.path().join("ctx/other")));
    }

    #[test]
    fn what_is_no_folder_is_refused() {
        let dir = folder();
        std::fs::write(dir.path().join("file"), "").expect("file");
        for context in [
            "file",
            "missing",
            "https://example.com/x.git",
            "git@example.com:x",
            ".",
        ] {
            assert!(
                read(Path::new(context), None, dir.path()).is_err(),
                "{context}"
            );
        }
        assert!(read(Path::new("-"), Some(Path::new("x")), dir.path()).is_err());
    }

    #[test]
    fn archives_are_told_from_dockerfiles() {
        assert!(is_archive(b"\x1f\x8b\x08"));
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        assert!(is_archive(&tar));
        assert!(!is_archive(b"FROM scratch\n"));
        assert!(!is_archive(b""));
    }
}
