//! The user's own `kiln.toml`: defaults of flags that concern this machine.
//!
//! ```toml
//! [vm]
//! memory = "4g"       # as --memory
//! cpus = 4            # as --cpus
//! backend = "qemu"    # as --vmm
//! ```
//!
//! Flags and variables of the environment win. Nothing here may change what a build makes.

use crate::document::{self, Table};
use crate::error::{ConfigError, Problem};

/// What a user says of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Memory of a VM, in the words of `--memory`.
    pub memory: Option<String>,
    /// CPUs of a VM.
    pub cpus: Option<u32>,
    /// Name of the back-end.
    pub backend: Option<String>,
}

impl User {
    /// Reads the bytes of a user's `kiln.toml`.
    ///
    /// # Errors
    /// At the first thing that has no meaning there.
    pub fn parse(bytes: &[u8]) -> Result<User, ConfigError> {
        document::read(bytes, |root| {
            let mut user = User::default();
            for entry in root.entries() {
                match entry.key {
                    "vm" => user.vm(&entry.table()?)?,
                    "context" => {
                        return Err(entry.wrong_key(Problem::NotForUsers { key: "context" }));
                    }
                    _ => return Err(entry.unknown(&["vm"])),
                }
            }
            Ok(user)
        })
    }

    fn vm(&mut self, table: &Table<'_, '_>) -> Result<(), ConfigError> {
        for entry in table.entries() {
            match entry.key {
                "memory" => self.memory = Some(entry.text()?.to_owned()),
                "cpus" => self.cpus = Some(entry.number(1..=64, "a number from 1 to 64")?),
                "backend" => self.backend = Some(entry.text()?.to_owned()),
                _ => return Err(entry.unknown(&["backend", "cpus", "memory"])),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_the_vm_are_read() {
        let user = User::parse(b"[vm]\nmemory = \"4g\"\ncpus = 0x4\nbackend = \"qemu\"\n");
        let wanted = User {
            memory: Some("4g".to_owned()),
            cpus: Some(4),
            backend: Some("qemu".to_owned()),
        };
        assert_eq!(user, Ok(wanted));
        assert_eq!(User::parse(b""), Ok(User::default()));
    }

    #[test]
    fn what_belongs_to_a_project_or_to_nobody_is_refused() {
        for (text, message) in [
            (
                "[context]\n",
                "`context` belongs to a project, not to a user",
            ),
            ("[vm]\ncpu = 1\n", "`vm.cpu` is not known"),
            (
                "[vm]\ncpus = 65\n",
                "`vm.cpus` has to be a number from 1 to 64",
            ),
            (
                "[vm]\ncpus = -1\n",
                "`vm.cpus` has to be a number from 1 to 64",
            ),
            ("[vm]\nmemory = 4\n", "`vm.memory` has to be text in quotes"),
        ] {
            let error = User::parse(text.as_bytes()).expect_err(text);
            assert_eq!(error.to_string(), message);
        }
    }
}
