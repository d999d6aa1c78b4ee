//! Runs `kiln.exe` under wine, beside the `kiln` of this host.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::environment::Finished;

/// Variables that wine itself needs.
const WINE_VARIABLES: &[&str] = &[
    "HOME",
    "LC_ALL",
    "PATH",
    "WINEPREFIX",
    "WINEDEBUG",
    "WINEDLLOVERRIDES",
];

/// One test's world on Windows: a store of its own, on drive Z:, which is this host's root.
pub struct WindowsEnvironment {
    dir: TempDir,
    wine: OsString,
    exe: PathBuf,
}

impl WindowsEnvironment {
    /// A new world; none, with the reason told, where `cargo xtask test --only wine` did not prepare it.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    #[must_use]
    #[expect(clippy::print_stdout, reason = "a skipped test says why")]
    pub fn new() -> Option<Self> {
        let variables = (std::env::var_os("KILN_WINE"), std::env::var_os("KILN_EXE"));
        let (Some(wine), Some(exe)) = variables else {
            println!("skipped: `cargo xtask test --only wine` builds kiln.exe and sets wine up");
            return None;
        };
        Some(Self {
            dir: TempDir::with_prefix("kiln windows-").expect("temporary folder"),
            wine,
            exe: exe.into(),
        })
    }

    /// A folder for the test's own files.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file below [`Self::dir`], with the folders it needs.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.dir().join(name);
        std::fs::create_dir_all(path.parent().expect("a name below the folder")).expect("folder");
        std::fs::write(path, content).expect("file");
    }

    /// `kiln.exe` with these arguments, ready to start in [`Self::dir`].
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.wine);
        command
            .arg(&self.exe)
            .args(args)
            .current_dir(self.dir())
            .env_clear()
            .env("KILN_DATA_DIR", windows_path(&self.dir().join("data")))
            .stdin(Stdio::null());
        for name in WINE_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
    }

    /// Runs `kiln.exe` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn kiln(&self, args: &[&str]) -> Finished {
        self.command(args).output().expect("wine starts").into()
    }

    /// Starts `kiln.exe` with its output in pipes.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("wine starts")
    }
}

/// A path of this host as Windows programs see it.
///
/// # Panics
/// When it is not absolute UTF-8.
#[must_use]
pub fn windows_path(path: &Path) -> String {
    let path = path.to_str().expect("path is UTF-8");
    assert!(path.starts_with('/'), "{path}");
    format!("Z:{}", path.replace('/', "\\"))
}
