//! Finding QEMU and asking for its version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::machine::Machine;

/// What to do when a machine's program is not there.
pub(super) fn install_hint(machine: &Machine) -> String {
    let how = if cfg!(windows) {
        ": winget install SoftwareFreedomConservancy.QEMU".to_owned()
    } else if cfg!(target_os = "macos") {
        ": brew install qemu".to_owned()
    } else {
        format!(" ({})", machine.packages)
    };
    format!("install QEMU 7.2 or later{how}")
}

/// Oldest version whose microvm machine and vhost-user devices are known to work.
const OLDEST: (u32, u32) = (7, 2);

/// Places outside of the search path where distributions and installers put it.
const MORE_DIRS: &[&str] = if cfg!(windows) {
    &[r"C:\Program Files\qemu", r"C:\msys64\ucrt64\bin"]
} else {
    &[
        "/usr/bin",
        "/usr/local/bin",
        "/usr/libexec",
        "/opt/homebrew/bin",
    ]
};

/// The program `name`, from `dirs`, or else from where systems have it.
pub(super) fn find(name: &str, dirs: &[PathBuf]) -> Option<PathBuf> {
    let more = MORE_DIRS.iter().map(PathBuf::from);
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    dirs.iter()
        .cloned()
        .chain(more)
        .map(|dir| dir.join(&file))
        .find(|path| path.is_file())
}

/// What QEMU is denied where it can deny itself things: a guest that breaks out of it finds no way to
/// start programs or to gain rights.
pub(super) const SANDBOX: &str =
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// Whether this build of QEMU has the sandbox.
pub(super) fn has_sandbox(program: &Path) -> bool {
    Command::new(program)
        .args(["-sandbox", SANDBOX, "-version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// First line of `--version`, if the program runs and is not too old.
pub(super) fn version(program: &Path) -> Result<String, String> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{} does not run: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next().unwrap_or_default().trim();
    match parse_version(line) {
        Some(version) if version >= OLDEST => Ok(line.to_owned()),
        Some(_) => Err(format!("{line} is too old")),
        None => Err(format!("{} does not tell its version", program.display())),
    }
}

fn parse_version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.split("version ").nth(1)?.split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        let line = "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)";
        assert_eq!(parse_version(line), Some((7, 2)));
        assert_eq!(parse_version("QEMU emulator version 10.0.2"), Some((10, 0)));
        assert_eq!(parse_version("something else"), None);
    }
}
