//! buildah, with a storage of its own.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Storage drivers that are measured, with the name in the table.
pub const STORAGE_DRIVERS: &[(&str, &str)] =
    &[("overlay", "buildah (overlay)"), ("vfs", "buildah (vfs)")];

/// A storage, empty at first and gone when dropped.
pub struct Buildah {
    driver: &'static str,
    folder: TempDir,
}

impl Buildah {
    /// Makes a storage.
    pub fn new(driver: &'static str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        Ok(Self { driver, folder })
    }

    /// Builds and says how long it took.
    pub fn build(&self, context: &Path) -> Result<Duration, String> {
        let mut command = self.command();
        command
            .args([
                "bud",
                "--isolation",
                "chroot",
                "--layers",
                "-q",
                "-t",
                "bench",
            ])
            .arg(context);
        let started = Instant::now();
        let output = command
            .output()
            .map_err(|error| format!("buildah does not start: {error}"))?;
        if output.status.success() {
            return Ok(started.elapsed());
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    fn command(&self) -> Command {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", self.driver]);
        command
            .arg("--root")
            .arg(self.folder.path().join("storage"));
        command.arg("--runroot").arg(self.folder.path().join("run"));
        command.stdin(Stdio::null());
        command
    }
}

impl Drop for Buildah {
    /// Overlay mounts keep the folder from being removed.
    fn drop(&mut self) {
        let _ = self.command().args(["rmi", "--all", "--force"]).output();
        let _ = Command::new("umount")
            .arg(self.folder.path().join("storage/overlay"))
            .output();
    }
}
