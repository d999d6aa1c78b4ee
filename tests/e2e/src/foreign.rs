//! Base images for emulated guests. `cargo xtask test --only aarch64` fetches their programs and builds the VM image.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bases::{self, run};
use crate::{TestEnvironment, project_dir};

/// Whether an ARM guest and its programs are there; says what is not, as the reason of a skip.
#[must_use]
#[expect(clippy::print_stdout, reason = "a skipped test says why")]
pub fn skip_without_arm_guest(env: &TestEnvironment) -> bool {
    let image = env.vm_images().join("aarch64/manifest.json");
    for path in [image, program("arm64"), program("armhf")] {
        if !path.is_file() {
            println!(
                "skipped: {} is missing (`cargo xtask test --only aarch64` makes it)",
                path.display()
            );
            return true;
        }
    }
    false
}

/// The busybox of one of Debian's architectures.
fn program(debian_architecture: &str) -> PathBuf {
    let folder = project_dir().join("target/foreign");
    folder.join(debian_architecture).join("busybox")
}

/// The small base with another architecture's busybox in place of this one's; both have the same commands.
///
/// # Panics
/// When the program was not fetched, or is of another version than the one that is installed.
#[must_use]
pub fn foreign_busybox_rootfs(debian_architecture: &str) -> PathBuf {
    let own = bases::busybox_rootfs();
    bases::base(
        &format!("busybox-{debian_architecture}.tar"),
        |work, tar| {
            let root = work.join("root");
            std::fs::create_dir_all(&root).expect("folder");
            run(Command::new("tar")
                .args(["-xpf"])
                .arg(&own)
                .arg("-C")
                .arg(&root));
            let busybox = root.join("bin/busybox");
            std::fs::copy(program(debian_architecture), &busybox).expect("busybox");
            let mode = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&busybox, mode).expect("mode");
            bases::pack(&root, tar);
        },
    )
}

impl TestEnvironment {
    /// Imports the base of one of Debian's architectures as an image of a platform.
    ///
    /// # Panics
    /// When it cannot be made or imported.
    pub fn import_foreign_busybox(&self, debian_architecture: &str, platform: &str, name: &str) {
        let rootfs = foreign_busybox_rootfs(debian_architecture);
        self.import_rootfs(&rootfs, &["--platform", platform], name);
    }

    /// The folder with the VM images.
    #[must_use]
    pub fn vm_images(&self) -> &Path {
        &self.vm_image
    }
}
