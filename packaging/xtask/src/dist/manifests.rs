//! What package managers are told: a Homebrew formula, a Scoop manifest and winget's three files, with the digests of the
//! archives that were made.

use std::path::Path;

use serde_json::json;

use crate::cross::System;
use crate::dist::{Artifact, HOMEPAGE, SUMMARY, VERSION, name_of};
use crate::error::Error;

/// Writes those for which every archive is there.
pub fn write(folder: &Path, archives: &[Artifact]) -> Result<(), Error> {
    let mut files = Vec::new();
    if let Some(formula) = formula(archives) {
        files.push(("homebrew/kiln.rb", formula));
    }
    let windows = archives
        .iter()
        .find(|archive| archive.target.system == System::Windows);
    if let Some(zip) = windows {
        files.push(("scoop/kiln.json", scoop(zip)));
        files.extend(winget(zip));
    }
    for (name, text) in files {
        let path = folder.join(name);
        let parent = path.parent().expect("each name has a folder");
        std::fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
        std::fs::write(&path, text).map_err(Error::file("write", &path))?;
    }
    Ok(())
}

fn url(archive: &Artifact) -> String {
    let name = name_of(&archive.path);
    format!("{HOMEPAGE}/releases/download/v{VERSION}/{name}")
}

/// None unless there is an archive for each system and processor that Homebrew runs on.
fn formula(archives: &[Artifact]) -> Option<String> {
    let part = |system, arch| {
        let archive = archives
            .iter()
            .find(|archive| archive.target.system == system && archive.target.arch == arch)?;
        let on = if arch == "aarch64" { "arm" } else { "intel" };
        Some(format!(
            "    on_{on} do\n      url \"{}\"\n      sha256 \"{}\"\n    end\n",
            url(archive),
            archive.sha256
        ))
    };
    let both = |system| Some(part(system, "aarch64")? + &part(system, "x86_64")?);
    let (macos, linux) = (both(System::MacOs)?, both(System::Linux)?);
    Some(format!(
        "class Kiln < Formula\n  desc \"{}\"\n  homepage \"{HOMEPAGE}\"\n  version \"{VERSION}\"\n  \
         license all_of: [\"Apache-2.0\", \"GPL-2.0-only\"]\n\n  on_macos do\n{macos}  end\n\n  on_linux do\n{linux}  \
         end\n\n  depends_on \"qemu\" => :recommended\n\n  def install\n    bin.install \"bin/kiln\"\n    \
         share.install Dir[\"share/*\"]\n  end\n\n  test do\n    assert_match version.to_s, shell_output(\"#{{bin}}/kiln \
         version\")\n    (testpath/\"Dockerfile\").write \"FROM scratch\\nLABEL a=b\\n\"\n    system bin/\"kiln\", \
         \"build\", \"-q\", testpath\n  end\nend\n",
        SUMMARY.replace("Builds", "Build")
    ))
}

/// The folder inside of the zip.
fn inner(zip: &Artifact) -> String {
    name_of(&zip.path).trim_end_matches(".zip").to_owned()
}

fn scoop(zip: &Artifact) -> String {
    let manifest = json!({
        "version": VERSION,
        "description": SUMMARY,
        "homepage": HOMEPAGE,
        "license": "Apache-2.0,GPL-2.0-only",
        "architecture": {
            "64bit": { "url": url(zip), "hash": zip.sha256, "extract_dir": inner(zip) },
        },
        "bin": "kiln.exe",
        "suggest": { "QEMU": "qemu" },
    });
    format!("{manifest:#}\n")
}

fn winget(zip: &Artifact) -> [(&'static str, String); 3] {
    let head = format!("PackageIdentifier: Kiln.Kiln\nPackageVersion: {VERSION}\n");
    let foot = |kind: &str| format!("ManifestType: {kind}\nManifestVersion: 1.6.0\n");
    let version = format!("{head}DefaultLocale: en-US\n{}", foot("version"));
    let locale = format!(
        "{head}PackageLocale: en-US\nPublisher: The Kiln authors\nPackageName: Kiln\nLicense: Apache-2.0\n\
         ShortDescription: {SUMMARY}\nPackageUrl: {HOMEPAGE}\n{}",
        foot("defaultLocale")
    );
    let installer = format!(
        "{head}InstallerType: zip\nNestedInstallerType: portable\nNestedInstallerFiles:\n- RelativeFilePath: \
         {}\\kiln.exe\n  PortableCommandAlias: kiln\nInstallers:\n- Architecture: x64\n  InstallerUrl: {}\n  \
         InstallerSha256: {}\n{}",
        inner(zip),
        url(zip),
        zip.sha256.to_uppercase(),
        foot("installer")
    );
    [
        ("winget/Kiln.Kiln.yaml", version),
        ("winget/Kiln.Kiln.locale.en-US.yaml", locale),
        ("winget/Kiln.Kiln.installer.yaml", installer),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cross::target::RELEASED;

    fn archives() -> Vec<Artifact> {
        let archive = |(number, target): (usize, &crate::cross::Target)| Artifact {
            target: *target,
            path: format!("/x/kiln-{VERSION}-{}.end", target.triple).into(),
            sha256: number.to_string().repeat(64),
        };
        RELEASED.iter().enumerate().map(archive).collect()
    }

    #[test]
    fn formula_names_each_archive_with_its_digest_under_its_system() {
        let text = formula(&archives()).unwrap();
        for (number, target) in RELEASED.iter().enumerate() {
            let digest = number.to_string().repeat(64);
            let there = text.find(&format!("{}.end", target.triple));
            assert_eq!(there.is_some(), text.contains(&digest), "{}", target.triple);
            assert_eq!(there.is_none(), target.system == System::Windows);
        }
        let position = |word: &str| text.find(word).unwrap();
        assert!(position("x86_64-apple") < position("on_linux"));
        assert!(position("on_linux") < position("unknown-linux"));
        assert!(
            formula(&archives()[1..]).is_none(),
            "one archive is missing"
        );
    }

    #[test]
    fn windows_manifests_point_into_the_zip() {
        let zip = Artifact {
            path: "/x/kiln-1-windows.zip".into(),
            ..archives().swap_remove(2)
        };
        let scoop: serde_json::Value = serde_json::from_str(&scoop(&zip)).unwrap();
        let archive = &scoop["architecture"]["64bit"];
        assert_eq!(archive["extract_dir"], "kiln-1-windows");
        assert_eq!(archive["hash"], "2".repeat(64));
        let [_, _, (_, installer)] = winget(&zip);
        assert!(installer.contains("RelativeFilePath: kiln-1-windows\\kiln.exe\n"));
    }
}
