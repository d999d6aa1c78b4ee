//! Single packages of Debian, fetched with apt under a configuration of its own: the system's sources, lists and
//! packages stay as they are. What is fetched is what Debian signed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;
use crate::process::run;

/// Where Debian is when the host's own mirror cannot be told.
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// What apt checks signatures with.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// One suite of Debian, for one architecture.
pub struct Archive<'a> {
    /// Its name, such as `bookworm`.
    pub suite: &'a str,
    /// Debian's name of the architecture; `None` for that of the host.
    pub architecture: Option<&'a str>,
    /// Where apt keeps its lists and puts packages.
    pub folder: &'a Path,
}

impl Archive<'_> {
    /// Downloads packages into the folder. `package` may end in `=VERSION`.
    pub fn download(&self, packages: &[&str]) -> Result<(), Error> {
        let lists = self.folder.join("lists/partial");
        std::fs::create_dir_all(&lists).map_err(Error::file("create", &lists))?;
        let sources = self.folder.join("sources.list");
        let line = format!(
            "deb [signed-by={KEYRING}] {} {} main\n",
            mirror(),
            self.suite
        );
        std::fs::write(&sources, line).map_err(Error::file("write", &sources))?;
        run("apt-get update", self.apt(&sources).args(["update", "-qq"]))?;
        let what = format!("fetching {}", packages.join(", "));
        run(
            &what,
            self.apt(&sources).args(["download", "-qq"]).args(packages),
        )
    }

    fn apt(&self, sources: &Path) -> Command {
        let mut command = Command::new("apt-get");
        command.current_dir(self.folder);
        let mut options = vec![
            format!("Dir::Etc::SourceList={}", sources.display()),
            "Dir::Etc::SourceParts=-".to_owned(),
            format!("Dir::State::Lists={}", self.folder.join("lists").display()),
            format!("Dir::Cache={}", self.folder.display()),
            "APT::Sandbox::User=".to_owned(),
        ];
        if let Some(architecture) = self.architecture {
            options.push(format!("APT::Architecture={architecture}"));
            options.push(format!("APT::Architectures={architecture}"));
        }
        for option in options {
            command.arg("-o").arg(option);
        }
        command
    }
}

/// The packages that lie in a folder.
pub fn packages_in(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut packages = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::file("list", folder))? {
        let path = entry.map_err(Error::file("list", folder))?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            packages.push(path);
        }
    }
    Ok(packages)
}

/// The mirror that the host itself uses.
fn mirror() -> String {
    let files = [
        "/etc/apt/sources.list",
        "/etc/apt/sources.list.d/debian.sources",
    ];
    files
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .find_map(|text| mirror_in(&text))
        .unwrap_or_else(|| DEFAULT_MIRROR.to_owned())
}

/// The first address of a Debian archive in a list of sources, in either of its two forms.
fn mirror_in(text: &str) -> Option<String> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"))
        .flat_map(str::split_whitespace)
        .map(|word| word.trim_end_matches('/'))
        .find(|word| word.starts_with("http") && word.ends_with("/debian"))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirror_is_read_from_both_forms_of_sources() {
        let old = "# x\ndeb [arch=amd64] http://mirror.example/debian/ bookworm main\n";
        assert_eq!(
            mirror_in(old).as_deref(),
            Some("http://mirror.example/debian")
        );
        let new = "Types: deb\nURIs: https://deb.debian.org/debian\nSuites: trixie\n";
        assert_eq!(
            mirror_in(new).as_deref(),
            Some("https://deb.debian.org/debian")
        );
        assert_eq!(mirror_in("deb http://x/debian-security bookworm\n"), None);
    }
}
