//! Paths that the system has resolved, in the form in which people write them.
//!
//! Windows gives resolved paths in its verbatim form (`\\?\C:\dir`), in which `..` and `/` are names like others, so that nothing can
//! be joined to them. What the forms mean is decided by a function from text to text, tested on every system.

use std::io;
use std::path::{Path, PathBuf};

/// The path with its links followed, in a form that other paths can be joined to.
///
/// # Errors
/// When there is no such path.
pub fn resolve(path: &Path) -> io::Result<PathBuf> {
    let resolved = path.canonicalize()?;
    let plain = resolved.to_str().and_then(without_verbatim);
    Ok(plain.map(PathBuf::from).unwrap_or(resolved))
}

/// A verbatim path of Windows as one that is not; none if it is not verbatim or can be written in no other way.
fn without_verbatim(path: &str) -> Option<String> {
    /// Longest path that every program takes without the verbatim form.
    const MAX_PLAIN: usize = 248;
    let rest = path.strip_prefix(r"\\?\")?;
    let plain = match rest.strip_prefix(r"UNC\") {
        Some(share) => format!(r"\\{share}"),
        None => {
            let drive = rest.as_bytes();
            let is_drive = drive.len() >= 3
                && drive[0].is_ascii_alphabetic()
                && drive[1] == b':'
                && drive[2] == b'\\';
            is_drive.then(|| rest.to_owned())?
        }
    };
    // Names that mean something else without the prefix.
    let odd = |name: &str| name.ends_with(['.', ' ']) || name.contains('/') || is_device(name);
    let usable = plain.len() <= MAX_PLAIN && !plain.split('\\').any(odd);
    usable.then_some(plain)
}

/// Whether Windows takes a name for a device, whatever its ending.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_ascii_uppercase();
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || (stem.len() == 4
            && (stem.starts_with("COM") || stem.starts_with("LPT"))
            && stem.ends_with(|last: char| last.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbatim_paths_are_written_as_people_do() {
        for (path, plain) in [
            (r"\\?\C:\Program Files\kiln", Some(r"C:\Program Files\kiln")),
            (r"\\?\UNC\server\share\dir", Some(r"\\server\share\dir")),
            (r"\\?\C:\", Some(r"C:\")),
            (r"C:\dir", None),
            (r"\\server\share", None),
            (r"\\?\Volume{1234}\dir", None),
            (r"\\?\C:\dir\odd. ", None),
            (r"\\?\C:\aux.txt", None),
            (r"\\?\C:\com1", None),
            (r"\\?\C:\a/b", None),
            ("/usr/bin", None),
        ] {
            assert_eq!(without_verbatim(path).as_deref(), plain, "{path}");
        }
        let long = format!(r"\\?\C:\{}", "d".repeat(300));
        assert_eq!(without_verbatim(&long), None);
    }

    #[test]
    fn what_is_resolved_can_be_joined_to() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bin")).unwrap();
        let bin = resolve(&dir.path().join("bin/.")).unwrap();
        assert!(bin.join("../bin").is_dir());
        assert!(resolve(&dir.path().join("none")).is_err());
    }
}
