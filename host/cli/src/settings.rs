//! The user's own `kiln.toml`: found, read, and its mistakes shown with their line.
//!
//! What a project's `kiln.toml` says is the engine's matter; what the keys mean is `kiln-config`'s.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use kiln_config::User;

use crate::env::Environment;
use crate::failure::Failure;

/// The user's file of settings as an absolute path, whether it is there or not.
pub fn path(environment: &Environment) -> Option<PathBuf> {
    let file = environment.config_file.as_ref()?;
    Some(environment.current_dir.join(file))
}

/// What the user's file says; the defaults if there is none.
pub fn read(environment: &Environment) -> Result<User, Failure> {
    let Some(path) = path(environment) else {
        return Ok(User::default());
    };
    match bytes(&path) {
        Ok(bytes) => {
            User::parse(&bytes).map_err(|error| Failure::of_settings(&path, &bytes, &error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !environment.config_named => {
            Ok(User::default())
        }
        Err(error) => Err(Failure::usage(format!(
            "the settings in {} cannot be read",
            path.display()
        ))
        .because(&error)),
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // One more than the parser takes, so that it is the one to refuse.
    let limit = kiln_config::MAX_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::Terminal;

    fn environment(dir: &Path, named: bool) -> Environment {
        Environment {
            config_file: Some(PathBuf::from("kiln.toml")),
            config_named: named,
            current_dir: dir.to_owned(),
            ..Environment::default()
        }
    }

    #[test]
    fn a_file_that_nobody_named_may_be_missing() {
        let dir = tempfile::tempdir().expect("temporary folder");
        assert_eq!(
            read(&environment(dir.path(), false)).ok(),
            Some(User::default())
        );
        assert!(read(&environment(dir.path(), true)).is_err());
        assert_eq!(read(&Environment::default()).ok(), Some(User::default()));
    }

    #[test]
    fn mistakes_are_shown_with_their_line() {
        let dir = tempfile::tempdir().expect("temporary folder");
        std::fs::write(dir.path().join("kiln.toml"), "[vm]\nmemroy = \"2g\"\n").expect("file");
        let failure = read(&environment(dir.path(), false)).expect_err("unknown key");
        let told = failure.render(&Terminal::PLAIN);
        let told = told.replace(&dir.path().display().to_string(), "DIR");
        let told = told.replace('\\', "/");
        insta::assert_snapshot!(told, @r#"
        error: your settings cannot be used
          cause: `vm.memroy` is not known
         --> DIR/kiln.toml:2:1
          |
        2 | memroy = "2g"
          | ^^^^^^
          |
        hint: known here: backend, cpus, memory
        "#);
    }
}
