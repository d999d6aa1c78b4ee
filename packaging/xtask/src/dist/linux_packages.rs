//! deb and rpm, made by Debian's own tools of the folder that the archive is made of.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cross::Target;
use crate::dist::archive::files_below;
use crate::dist::{FILE_TIME, HOMEPAGE, SUMMARY, VERSION};
use crate::error::Error;
use crate::process::{note, run, run_logged};
use crate::setup;

/// Where the contact of packages is.
const MAINTAINER: &str = "The Kiln authors <packages@kiln.invalid>";

/// Makes both; only the deb where rpmbuild cannot be had, with a line that says so.
pub fn pack(target: &Target, staged: &Path, out: &Path) -> Result<Vec<PathBuf>, Error> {
    let root = out.join("package-root");
    let usr = root.join("usr");
    std::fs::create_dir_all(&usr).map_err(Error::file("create", &usr))?;
    for part in ["bin", "share"] {
        let mut copy = Command::new("cp");
        run("cp", copy.arg("-a").arg(staged.join(part)).arg(&usr))?;
    }
    run(
        "chmod",
        Command::new("chmod").args(["-R", "u+rw,go=rX"]).arg(&root),
    )?;
    let mut packages = vec![deb(target, &root, out)?];
    if setup::try_packages(&["rpm"])? {
        packages.push(rpm(target, &root, out)?);
    } else {
        note("skipped: the rpm, since rpmbuild cannot be installed here");
    }
    std::fs::remove_dir_all(&root).map_err(Error::file("remove", &root))?;
    Ok(packages)
}

fn deb(target: &Target, root: &Path, out: &Path) -> Result<PathBuf, Error> {
    let arch = if target.arch == "aarch64" {
        "arm64"
    } else {
        "amd64"
    };
    let qemu = if target.arch == "aarch64" {
        "arm"
    } else {
        "x86"
    };
    let control = root.join("DEBIAN");
    std::fs::create_dir_all(&control).map_err(Error::file("create", &control))?;
    let size = installed_kib(root)?;
    let text = format!(
        "Package: kiln\nVersion: {VERSION}\nArchitecture: {arch}\nMaintainer: {MAINTAINER}\nInstalled-Size: {size}\n\
         Section: devel\nPriority: optional\nRecommends: qemu-system-{qemu}\nHomepage: {HOMEPAGE}\n\
         Description: {SUMMARY}\n No Docker, no daemon: one program that boots a small virtual machine\n \
         for the RUN steps of a build and throws it away afterwards.\n"
    );
    let path = control.join("control");
    std::fs::write(&path, text).map_err(Error::file("write", &path))?;
    let package = out.join(format!("kiln_{VERSION}_{arch}.deb"));
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--build", "--root-owner-group", "-Zxz"])
        .arg(root)
        .arg(&package)
        .env("SOURCE_DATE_EPOCH", FILE_TIME.to_string());
    // It clamps times and does not set them.
    date_all(root)?;
    run_logged("dpkg-deb", &mut build, &out.join("deb.log"))?;
    remove(&out.join("deb.log"))?;
    std::fs::remove_dir_all(&control).map_err(Error::file("remove", &control))?;
    Ok(package)
}

fn rpm(target: &Target, root: &Path, out: &Path) -> Result<PathBuf, Error> {
    let top = out.join("rpmbuild");
    std::fs::create_dir_all(&top).map_err(Error::file("create", &top))?;
    let mut files = String::new();
    for file in files_below(root).map_err(Error::file("list", root))? {
        let name = file.strip_prefix(root).expect("it is below the root");
        files += &format!("\"/{}\"\n", name.display());
    }
    let spec = format!(
        "Name: kiln\nVersion: {VERSION}\nRelease: 1\nSummary: {SUMMARY}\nLicense: Apache-2.0 AND GPL-2.0-only\n\
         URL: {HOMEPAGE}\nRecommends: qemu-kvm\nAutoReqProv: no\n\n\
         %description\nNo Docker, no daemon: one program that boots a small virtual machine for the\nRUN steps of a \
         build and throws it away afterwards.\n\n\
         %install\nmkdir -p %{{buildroot}}\ncp -a \"{}\"/usr %{{buildroot}}/\n\n%files\n{files}",
        root.display()
    );
    let path = top.join("kiln.spec");
    std::fs::write(&path, spec).map_err(Error::file("write", &path))?;
    let mut build = Command::new("rpmbuild");
    build.args(["-bb", "--target", target.arch]).arg("--define");
    build.arg(format!("_topdir {}", top.display()));
    for define in [
        "_build_id_links none",
        "_buildhost localhost",
        "__os_install_post %{nil}",
        "debug_package %{nil}",
        "use_source_date_epoch_as_buildtime 1",
        "clamp_mtime_to_source_date_epoch 1",
        "_binary_payload w9.zstdio",
        "_source_filedigest_algorithm 8",
        "_binary_filedigest_algorithm 8",
    ] {
        build.args(["--define", define]);
    }
    build
        .arg(&path)
        .env("SOURCE_DATE_EPOCH", FILE_TIME.to_string());
    run_logged("rpmbuild", &mut build, &out.join("rpm.log"))?;
    let name = format!("kiln-{VERSION}-1.{}.rpm", target.arch);
    let package = out.join(&name);
    let built = top.join("RPMS").join(target.arch).join(&name);
    std::fs::rename(&built, &package).map_err(Error::file("move", &built))?;
    remove(&out.join("rpm.log"))?;
    std::fs::remove_dir_all(&top).map_err(Error::file("remove", &top))?;
    Ok(package)
}

/// What the files take when installed, in KiB.
fn installed_kib(root: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    for file in files_below(root).map_err(Error::file("list", root))? {
        bytes += file.metadata().map_err(Error::file("read", &file))?.len();
    }
    Ok(bytes.div_ceil(1024))
}

/// Gives every file and folder the one time of the release.
fn date_all(root: &Path) -> Result<(), Error> {
    let mut touch = Command::new("find");
    touch
        .arg(root)
        .args(["-exec", "touch", "--no-dereference", "--date"])
        .arg(format!("@{FILE_TIME}"))
        .args(["{}", "+"]);
    run("touch", &mut touch)
}

fn remove(path: &Path) -> Result<(), Error> {
    std::fs::remove_file(path).map_err(Error::file("remove", path))
}
