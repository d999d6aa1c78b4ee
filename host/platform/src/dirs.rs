//! Where programs keep their files, by each system's convention.
//!
//! The environment is looked up through a closure, so that only the caller decides who reads it.
//! That is why this is not a library's work: `directories` reads the environment itself, which only the command line may,
//! and tests could not have homes of their own. Nothing is created here. Relative paths in the environment are ignored, as the XDG rules demand.
//!
//! Kind    | Linux and others                  | macOS                           | Windows
//! --------|-----------------------------------|---------------------------------|---------------------
//! data    | $XDG_DATA_HOME, ~/.local/share    | ~/Library/Application Support   | %LOCALAPPDATA%
//! config  | $XDG_CONFIG_HOME, ~/.config       | ~/.config                       | %APPDATA%
//! cache   | $XDG_CACHE_HOME, ~/.cache         | ~/Library/Caches                | %LOCALAPPDATA%
//! runtime | $XDG_RUNTIME_DIR                  | $TMPDIR                         | %TEMP%

use std::ffi::OsString;
use std::path::PathBuf;

/// Looks up one environment variable.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Folder for data that must last, or none if the environment names no home.
pub fn data_dir(application: &str, environment: Environment<'_>) -> Option<PathBuf> {
    let base = if cfg!(windows) {
        absolute("LOCALAPPDATA", environment)
    } else if cfg!(target_os = "macos") {
        below_home("Library/Application Support", environment)
    } else {
        absolute("XDG_DATA_HOME", environment).or_else(|| below_home(".local/share", environment))
    };
    Some(base?.join(application))
}

/// Folder for configuration.
pub fn config_dir(application: &str, environment: Environment<'_>) -> Option<PathBuf> {
    let base = if cfg!(windows) {
        absolute("APPDATA", environment)
    } else {
        absolute("XDG_CONFIG_HOME", environment).or_else(|| below_home(".config", environment))
    };
    Some(base?.join(application))
}

/// Folder for what can be made again.
pub fn cache_dir(application: &str, environment: Environment<'_>) -> Option<PathBuf> {
    let base = if cfg!(windows) {
        absolute("LOCALAPPDATA", environment)
    } else if cfg!(target_os = "macos") {
        below_home("Library/Caches", environment)
    } else {
        absolute("XDG_CACHE_HOME", environment).or_else(|| below_home(".cache", environment))
    };
    Some(base?.join(application))
}

/// Folder for sockets and the like, private to the user and short enough for a socket's path;
/// none where the session has no such folder.
pub fn runtime_dir(application: &str, environment: Environment<'_>) -> Option<PathBuf> {
    let base = if cfg!(windows) {
        absolute("TEMP", environment)
    } else if cfg!(target_os = "macos") {
        absolute("TMPDIR", environment)
    } else {
        absolute("XDG_RUNTIME_DIR", environment)
    };
    Some(base?.join(application))
}

/// The user's home folder.
pub fn home_dir(environment: Environment<'_>) -> Option<PathBuf> {
    absolute(
        if cfg!(windows) { "USERPROFILE" } else { "HOME" },
        environment,
    )
}

fn below_home(path: &str, environment: Environment<'_>) -> Option<PathBuf> {
    Some(home_dir(environment)?.join(path))
}

fn absolute(variable: &str, environment: Environment<'_>) -> Option<PathBuf> {
    environment(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::path::Path;

    fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| {
            pairs
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        }
    }

    #[test]
    fn xdg_variables_win_over_home_unless_relative() {
        let home = environment(&[("HOME", "/h")]);
        assert_eq!(
            data_dir("kiln", &home).as_deref(),
            Some(Path::new("/h/.local/share/kiln"))
        );
        assert_eq!(
            config_dir("kiln", &home).as_deref(),
            Some(Path::new("/h/.config/kiln"))
        );
        assert_eq!(
            cache_dir("kiln", &home).as_deref(),
            Some(Path::new("/h/.cache/kiln"))
        );
        assert_eq!(runtime_dir("kiln", &home), None);
        let xdg = environment(&[
            ("HOME", "/h"),
            ("XDG_DATA_HOME", "/d"),
            ("XDG_CONFIG_HOME", "rel"),
        ]);
        assert_eq!(
            data_dir("kiln", &xdg).as_deref(),
            Some(Path::new("/d/kiln"))
        );
        assert_eq!(
            config_dir("kiln", &xdg).as_deref(),
            Some(Path::new("/h/.config/kiln"))
        );
        assert_eq!(data_dir("kiln", &environment(&[])), None);
    }
}
