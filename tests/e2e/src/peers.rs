//! The other tools that Kiln's images are checked with.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bases::run;

/// Unpacks an OCI archive with umoci and returns the folder of its root file system.
#[must_use]
pub fn umoci_tree(archive: &Path, work: &Path) -> PathBuf {
    let layout = work.join("layout");
    run(Command::new("skopeo")
        .args(["--insecure-policy", "copy", "-q"])
        .arg(format!("oci-archive:{}", archive.display()))
        .arg(format!("oci:{}:image", layout.display())));
    let bundle = work.join("bundle");
    run(Command::new("umoci")
        .args(["unpack", "--image"])
        .arg(format!("{}:image", layout.display()))
        .arg(&bundle));
    bundle.join("rootfs")
}

/// `buildah` with its storage below `work`.
fn buildah(work: &Path) -> Command {
    let mut command = Command::new("buildah");
    command
        .arg("--root")
        .arg(work.join("storage"))
        .arg("--runroot")
        .arg(work.join("run"))
        .args(["--storage-driver", "overlay"]);
    command
}

/// Builds `context` with buildah, the rootfs tar `base` being there under the name `base_name`, and returns how
/// it ended: its output as the error.
///
/// # Errors
/// What buildah printed, when the build failed.
pub fn buildah_build(
    context: &Path,
    base: (&str, &Path),
    tag: &str,
    work: &Path,
) -> Result<(), String> {
    let (base_name, rootfs) = base;
    let container = run(buildah(work).args(["from", "scratch"]));
    let container = container.trim();
    run(buildah(work).args(["add", container]).arg(rootfs).arg("/"));
    run(buildah(work).args([
        "config",
        "--env",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        container,
    ]));
    run(buildah(work).args(["commit", "--rm", container, base_name]));
    let output = buildah(work)
        .args([
            "bud",
            "--isolation",
            "chroot",
            "--layers=false",
            "--pull-never",
            "-t",
            tag,
        ])
        .arg(context)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The root file system of an image that buildah built, unpacked by umoci as well.
#[must_use]
pub fn buildah_tree(tag: &str, work: &Path) -> PathBuf {
    let archive = work.join("image.tar");
    run(buildah(work)
        .args(["push", "-q", tag])
        .arg(format!("oci-archive:{}", archive.display())));
    umoci_tree(&archive, work)
}
