//! Installs what building and testing need, with apt, and says what it installs.
//!
//! A second run finds everything there and does nothing: what is installed is asked of dpkg in one call.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::process::{self, installed, note, output, step, succeeds};
use crate::project::Project;

/// How much to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What building the VM image and running a build need.
    Build,
    /// That, and what the tests compare with.
    Everything,
    /// That, and tools that take minutes to compile.
    EverythingAndTools,
}

/// The package of the guest's kernel source. Debian 12 and 13 have it, Ubuntu does not.
const KERNEL_SOURCE: &str = "linux-source-6.12";

/// Environment variable that names a kernel source instead: a tarball or a Debian package.
pub const KERNEL_SOURCE_VARIABLE: &str = "KILN_LINUX_SOURCE";

/// For compiling the kernel, making the scratch disk, running the VM, and the base of the example.
const BUILD_PACKAGES: &[&str] = &[
    "bc",
    "bison",
    "build-essential",
    "busybox-static",
    "cpio",
    "e2fsprogs",
    "flex",
    "libelf-dev",
    "libssl-dev",
    "lz4",
    "patch",
    "qemu-system-x86",
    "xz-utils",
    "zstd",
];

/// Other builders and image tools, which the tests hold Kiln's results against.
const TEST_PACKAGES: &[&str] = &[
    "attr",
    "buildah",
    "ca-certificates",
    "curl",
    "debootstrap",
    "docker-registry",
    "jq",
    "podman",
    "python3",
    "skopeo",
    "umoci",
];

/// For building the VM image of another architecture, and for emulating it.
const CROSS_PACKAGES: &[(&str, &[&str])] = &[(
    "aarch64",
    &[
        "gcc-aarch64-linux-gnu",
        "libc6-dev-arm64-cross",
        "qemu-system-arm",
    ],
)];

/// Installs what is missing for building and running guests of an architecture; nothing for that of this host.
pub fn cross(arch: &str) -> Result<(), Error> {
    if arch == std::env::consts::ARCH {
        return Ok(());
    }
    step(&format!("set-up for {arch}"));
    let packages = CROSS_PACKAGES.iter().find(|(name, _)| *name == arch);
    let Some((_, packages)) = packages else {
        return Err(Error::Missing {
            what: format!("guests of {arch} cannot be cross-built here"),
            hint: "build their VM image on a machine of that architecture".to_owned(),
        });
    };
    require_apt(packages)?;
    let missing = missing_packages(packages)?;
    if missing.is_empty() {
        note("every package is there");
        return Ok(());
    }
    install(&missing)
}

/// Installs what is missing.
pub fn run(project: &Project, scope: Scope) -> Result<(), Error> {
    step("set-up");
    require_apt(BUILD_PACKAGES)?;
    let mut wanted: Vec<&str> = BUILD_PACKAGES.to_vec();
    if scope != Scope::Build {
        wanted.extend(TEST_PACKAGES);
    }
    let mut missing = missing_packages(&wanted)?;
    let wants_kernel_source = kernel_source_override().is_none();
    if wants_kernel_source && !missing_packages(&[KERNEL_SOURCE])?.is_empty() {
        missing.push(KERNEL_SOURCE);
    }
    if missing.is_empty() {
        note("every package is there");
    } else {
        install(&missing)?;
    }
    if scope == Scope::EverythingAndTools {
        install_cargo_deny(project)?;
    }
    Ok(())
}

/// Installs packages that a task can do without; whether they are there now.
pub fn try_packages(packages: &[&str]) -> Result<bool, Error> {
    if !installed("apt-get") || !installed("dpkg-query") {
        return Ok(false);
    }
    let missing = missing_packages(packages)?;
    Ok(missing.is_empty() || install(&missing).is_ok())
}

/// The kernel source that the user names.
pub fn kernel_source_override() -> Option<PathBuf> {
    std::env::var_os(KERNEL_SOURCE_VARIABLE).map(PathBuf::from)
}

/// The error for a host that has no kernel source.
pub fn no_kernel_source(looked_at: &Path) -> Error {
    Error::Missing {
        what: format!("the kernel source {} is missing", looked_at.display()),
        hint: format!(
            "on Debian 12 or 13 run `cargo xtask setup`; elsewhere get a Linux 6.12 source (\
             https://cdn.kernel.org/pub/linux/kernel/v6.x/ has linux-6.12.y.tar.xz, Debian's package pool has \
             {KERNEL_SOURCE}_*_all.deb) and set {KERNEL_SOURCE_VARIABLE} to its path"
        ),
    }
}

fn require_apt(packages: &[&str]) -> Result<(), Error> {
    if installed("apt-get") && installed("dpkg-query") {
        return Ok(());
    }
    Err(Error::Missing {
        what: "this host has no apt, so packages cannot be installed for you".to_owned(),
        hint: format!(
            "install what these Debian packages hold: {}",
            packages.join(" ")
        ),
    })
}

/// Those of `wanted` that are not installed.
fn missing_packages<'a>(wanted: &[&'a str]) -> Result<Vec<&'a str>, Error> {
    // dpkg-query fails when it does not know one of them, and still lists the others.
    let listed = Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status} ${Package}\n"])
        .args(wanted)
        .output()
        .map_err(|source| Error::Start {
            program: "dpkg-query".to_owned(),
            source,
        })?;
    Ok(not_installed(
        wanted,
        &String::from_utf8_lossy(&listed.stdout),
    ))
}

fn not_installed<'a>(wanted: &[&'a str], listed: &str) -> Vec<&'a str> {
    let there: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .collect();
    wanted
        .iter()
        .copied()
        .filter(|package| !there.contains(package))
        .collect()
}

fn install(missing: &[&str]) -> Result<(), Error> {
    note(&format!("installing with apt: {}", missing.join(" ")));
    process::run(
        "apt-get update",
        as_root(&["apt-get", "update", "-qq"])?.env("DEBIAN_FRONTEND", "noninteractive"),
    )?;
    if missing.contains(&KERNEL_SOURCE) && !apt_knows(KERNEL_SOURCE) {
        return Err(no_kernel_source(Path::new(KERNEL_SOURCE)));
    }
    let mut words = vec![
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "install",
    ];
    words.extend(["-y", "-qq", "--no-install-recommends"]);
    words.extend(missing);
    process::run("apt-get install", &mut as_root(&words)?)
}

fn apt_knows(package: &str) -> bool {
    succeeds(Command::new("apt-cache").args(["show", package]))
}

/// The command, through sudo where needed.
fn as_root(words: &[&str]) -> Result<Command, Error> {
    let root = output(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = if root {
        Command::new(words[0])
    } else if installed("sudo") {
        let mut command = Command::new("sudo");
        command.arg(words[0]);
        command
    } else {
        return Err(Error::Missing {
            what: "installing packages needs root, and there is no sudo".to_owned(),
            hint: format!("as root, run: {}", words.join(" ")),
        });
    };
    command.args(&words[1..]);
    Ok(command)
}

/// `cargo-deny` takes minutes to compile, so only those who ask for it wait for it.
fn install_cargo_deny(project: &Project) -> Result<(), Error> {
    if installed("cargo-deny") {
        note("cargo-deny is there");
        return Ok(());
    }
    note("compiling cargo-deny (minutes)");
    let mut cargo = process::cargo();
    cargo
        .args(["install", "cargo-deny", "--locked", "--quiet"])
        .current_dir(&project.root);
    process::run("cargo install cargo-deny", &mut cargo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_and_unknown_packages_count_as_missing() {
        let listed = "installed flex\nconfig-files bison\n";
        assert_eq!(
            not_installed(&["flex", "bison", "bc"], listed),
            ["bison", "bc"]
        );
    }
}
