//! The environment: the only file that reads it. What each variable means is in [`VARIABLES`], from which the
//! help and the manual page are made.
//!
//! Values are read once, at the start; the rest of the program gets them as fields.

use std::ffi::OsString;
use std::path::PathBuf;

use kiln_engine::http::{HttpSettings, ProxyUrl};

/// A variable and what it does.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does, in one line.
    pub meaning: &'static str,
}

/// Every variable that Kiln itself looks at. `--build-arg NAME` and `--secret env=NAME` name others.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "KILN_DATA_DIR",
        meaning: "Folder of images, layers and the build cache",
    },
    Variable {
        name: "KILN_CONFIG",
        meaning: "File with your settings, in place of kiln.toml in the folder of configuration",
    },
    Variable {
        name: "KILN_VM_IMAGE",
        meaning: "Folder of the VM's kernel, initramfs and disk template, or of one such folder for each architecture",
    },
    Variable {
        name: "KILN_VMM",
        meaning: "Back-end that runs the VM, as --vmm",
    },
    Variable {
        name: "KILN_PROGRESS",
        meaning: "How to show progress, as --progress",
    },
    Variable {
        name: "SOURCE_DATE_EPOCH",
        meaning: "Newest time, in seconds since 1970, that an image may hold",
    },
    Variable {
        name: "HTTPS_PROXY",
        meaning: "Proxy for https:// URLs; ALL_PROXY if not set; without any, the system's own setting",
    },
    Variable {
        name: "HTTP_PROXY",
        meaning: "Proxy for http:// URLs; ALL_PROXY if not set",
    },
    Variable {
        name: "ALL_PROXY",
        meaning: "Proxy for all URLs",
    },
    Variable {
        name: "NO_PROXY",
        meaning: "Hosts that are asked directly, commas between them",
    },
    Variable {
        name: "SSL_CERT_FILE",
        meaning: "Certificates to trust, in place of the system's",
    },
    Variable {
        name: "NO_COLOR",
        meaning: "If not empty: no colours",
    },
    Variable {
        name: "TERM",
        meaning: "If `dumb`: no colours, plain progress",
    },
    Variable {
        name: "PATH",
        meaning: "Where the programs of VM back-ends are looked for",
    },
    Variable {
        name: "HOME",
        meaning: "Below it is the data folder, by the system's convention",
    },
    Variable {
        name: "XDG_DATA_HOME",
        meaning: "Where the data folder is if KILN_DATA_DIR is not set (Linux)",
    },
    Variable {
        name: "XDG_CONFIG_HOME",
        meaning: "Where kiln/kiln.toml is looked for, else in ~/.config (Linux, macOS)",
    },
    Variable {
        name: "APPDATA",
        meaning: "Where kiln\\kiln.toml is looked for (Windows)",
    },
    Variable {
        name: "LOCALAPPDATA",
        meaning: "Where the data folder is if KILN_DATA_DIR is not set (Windows)",
    },
];

/// What the environment says.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `KILN_DATA_DIR`, else the system's place for data; `None` when there is no home either.
    pub data_dir: Option<PathBuf>,
    /// The user's `kiln.toml`, which need not be there; `None` when there is no home.
    pub config_file: Option<PathBuf>,
    /// `KILN_CONFIG` named that file, so that it has to be there.
    pub config_named: bool,
    /// `KILN_VM_IMAGE`.
    pub vm_image: Option<PathBuf>,
    /// `KILN_VMM`.
    pub vmm: Option<String>,
    /// `KILN_PROGRESS`.
    pub progress: Option<String>,
    /// `SOURCE_DATE_EPOCH`, as it was written.
    pub source_date_epoch: Option<String>,
    /// Proxies and certificates.
    pub http: HttpSettings,
    /// `NO_COLOR` or a terminal that cannot do colours.
    pub no_color: bool,
    /// `TERM=dumb`: the cursor cannot be moved.
    pub dumb_terminal: bool,
    /// The folders of `PATH` with a full path: what lies in the current folder is not run.
    pub program_dirs: Vec<PathBuf>,
    /// The running program.
    pub current_exe: Option<PathBuf>,
    /// The working directory.
    pub current_dir: PathBuf,
}

impl Environment {
    /// Reads the process's environment.
    #[must_use]
    pub fn read() -> Self {
        let text = |name: &str| set(name).map(|value| value.to_string_lossy().into_owned());
        let dumb_terminal = text("TERM").is_some_and(|term| term == "dumb");
        Self {
            data_dir: set("KILN_DATA_DIR")
                .map(PathBuf::from)
                .or_else(|| kiln_platform::data_dir("kiln", &|name: &str| set(name))),
            config_file: set("KILN_CONFIG").map(PathBuf::from).or_else(|| {
                kiln_platform::config_dir("kiln", &|name: &str| set(name))
                    .map(|dir| dir.join(kiln_config::FILE_NAME))
            }),
            config_named: set("KILN_CONFIG").is_some(),
            vm_image: set("KILN_VM_IMAGE").map(PathBuf::from),
            vmm: text("KILN_VMM"),
            progress: text("KILN_PROGRESS"),
            source_date_epoch: text("SOURCE_DATE_EPOCH"),
            http: http_settings(&|name: &str| set(name)),
            no_color: set("NO_COLOR").is_some() || dumb_terminal,
            dumb_terminal,
            program_dirs: set("PATH").map_or_else(Vec::new, |path| {
                std::env::split_paths(&path)
                    .filter(|dir| dir.is_absolute())
                    .collect()
            }),
            current_exe: std::env::current_exe().ok(),
            current_dir: std::env::current_dir().unwrap_or_default(),
        }
    }
}

/// Proxies and certificates. Names of proxies are taken in lower case too, which wins, as it does for curl.
fn http_settings(variable: &dyn Fn(&str) -> Option<OsString>) -> HttpSettings {
    let either = |name: &str| {
        variable(&name.to_ascii_lowercase())
            .or_else(|| variable(name))
            .map(|value| value.to_string_lossy().into_owned())
    };
    let proxy = |name: &str| either(name).or_else(|| either("ALL_PROXY")).map(ProxyUrl);
    HttpSettings {
        https_proxy: proxy("HTTPS_PROXY"),
        http_proxy: proxy("HTTP_PROXY"),
        no_proxy: either("NO_PROXY"),
        roots: variable("SSL_CERT_FILE").map(PathBuf::from),
    }
}

/// A variable's value; one that is empty counts as not set.
fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A variable that the user named on the command line. Unlike Kiln's own, it may be empty.
#[must_use]
pub fn named(name: &str) -> Option<OsString> {
    if name.is_empty() || name.contains(['=', '\0']) {
        None
    } else {
        std::env::var_os(name)
    }
}

/// The words of the command line.
#[must_use]
pub fn arguments() -> Vec<OsString> {
    std::env::args_os().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_come_from_either_case() {
        let settings = http_settings(&|name: &str| match name {
            "https_proxy" => Some("http://low".into()),
            "HTTPS_PROXY" => Some("http://up".into()),
            "ALL_PROXY" => Some("http://all".into()),
            _ => None,
        });
        let url = |url: &str| Some(ProxyUrl(url.to_owned()));
        assert_eq!(settings.https_proxy, url("http://low"));
        assert_eq!(settings.http_proxy, url("http://all"));
        assert_eq!(settings.no_proxy, None);
    }
}
