//! The values of `kiln build`'s flags, parsed. Nothing here reads files.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use kiln_engine::{ExtraHost, NamedContext};
use kiln_oci::{ImageName, Platform};

use crate::env::{self, Environment};
use crate::failure::Failure;

/// The argument that sets the newest time of the image; the environment has one of the same name.
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// `--tag`.
pub fn tag(text: &str) -> Result<ImageName, Failure> {
    let name = ImageName::parse(text).map_err(|error| {
        Failure::usage(format!("`{text}` cannot be an image's name")).because(&error)
    })?;
    if name.digest.is_some() {
        return Err(Failure::usage(format!(
            "`{text}` cannot be an image's name: a digest is not chosen, it results"
        )));
    }
    Ok(name.with_default_tag())
}

/// `--build-arg`; one without a value that the environment does not have either is not given.
pub fn build_args(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut arguments = BTreeMap::new();
    for text in texts {
        match text.split_once('=') {
            Some(("", _)) => {
                return Err(Failure::usage(format!("--build-arg `{text}` has no name")));
            }
            Some((name, value)) => {
                arguments.insert(name.to_owned(), value.to_owned());
            }
            None if text.is_empty() => return Err(Failure::usage("--build-arg has no name")),
            None => {
                if let Some(value) = env::named(text) {
                    let value = value.into_string().map_err(|_| {
                        Failure::usage(format!(
                            "--build-arg {text}: the variable's value is not UTF-8"
                        ))
                    })?;
                    arguments.insert(text.clone(), value);
                }
            }
        }
    }
    Ok(arguments)
}

/// `--label`.
pub fn labels(texts: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let pairs = texts
        .iter()
        .map(|text| match text.split_once('=').unwrap_or((text, "")) {
            ("", _) => Err(Failure::usage(format!("--label `{text}` has no name"))),
            (name, value) => Ok((name.to_owned(), value.to_owned())),
        });
    pairs.collect()
}

/// `--platform`.
pub fn platform(text: &str) -> Result<Platform, Failure> {
    if text.contains(',') {
        return Err(
            Failure::usage("images for several platforms are not supported yet")
                .hint("build one after the other, each with its own --platform and --tag"),
        );
    }
    let platform: Platform = text
        .parse()
        .map_err(|error| Failure::usage(format!("`{text}` is not a platform")).because(&error))?;
    if platform.os != "linux" {
        return Err(Failure::usage(format!(
            "`{text}` cannot be built: only Linux images can"
        )));
    }
    Ok(platform)
}

/// `--build-context`.
pub fn named_contexts(
    texts: &[String],
    current_dir: &Path,
) -> Result<BTreeMap<String, NamedContext>, Failure> {
    texts
        .iter()
        .map(|text| named_context(text, current_dir))
        .collect()
}

fn named_context(text: &str, current_dir: &Path) -> Result<(String, NamedContext), Failure> {
    let Some((name, value)) = text
        .split_once('=')
        .filter(|(name, value)| !name.is_empty() && !value.is_empty())
    else {
        return Err(Failure::usage(format!(
            "--build-context `{text}` is not NAME=FOLDER"
        )));
    };
    // One letter is a drive of Windows, however its path is written.
    let scheme = value.split_once("://").filter(|(kind, _)| kind.len() > 1);
    let context = match scheme {
        Some(("docker-image", image)) => NamedContext::Image(image.to_owned()),
        Some((kind, _)) => {
            return Err(Failure::usage(format!(
                "--build-context `{text}`: {kind}:// is not supported yet"
            ))
            .hint("use a folder or docker-image://NAME"));
        }
        None if value.starts_with("git@") || value.starts_with("target:") => {
            return Err(Failure::usage(format!(
                "--build-context `{text}`: only folders and images are supported yet"
            )));
        }
        None => {
            let folder = current_dir.join(value);
            if !folder.is_dir() {
                return Err(Failure::build(format!(
                    "--build-context {name}: `{value}` is not a folder"
                )));
            }
            NamedContext::Folder(folder)
        }
    };
    Ok((name.to_owned(), context))
}

/// `--add-host`: `HOST:IP` or `HOST=IP`.
pub fn extra_host(text: &str) -> Result<ExtraHost, Failure> {
    let wrong = || Failure::usage(format!("--add-host `{text}` is not HOST:IP"));
    let (name, address) = text
        .split_once('=')
        .or_else(|| text.split_once(':'))
        .ok_or_else(wrong)?;
    if address == "host-gateway" {
        return Err(Failure::usage(
            "--add-host HOST:host-gateway is not supported: the VM cannot reach this machine",
        ));
    }
    let bare = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(address);
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(fits) || bare.parse::<IpAddr>().is_err() {
        return Err(wrong());
    }
    Ok(ExtraHost {
        name: name.to_owned(),
        address: bare.to_owned(),
    })
}

/// The newest time that the image may hold: the build argument if it is given, else the environment.
pub fn source_date_epoch(
    build_args: &BTreeMap<String, String>,
    environment: &Environment,
) -> Result<Option<i64>, Failure> {
    let text = build_args
        .get(SOURCE_DATE_EPOCH)
        .or(environment.source_date_epoch.as_ref());
    match text.map(String::as_str) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            Failure::usage(format!(
                "{SOURCE_DATE_EPOCH} is `{text}`, not a number of seconds"
            ))
            .hint("try SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)")
        }),
    }
}

/// The newest time that the environment asks for.
pub fn source_date_epoch_of_environment(environment: &Environment) -> Result<Option<i64>, Failure> {
    source_date_epoch(&BTreeMap::new(), environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_get_a_default() {
        assert_eq!(
            tag("app").map(|name| name.to_string()).ok().as_deref(),
            Some("docker.io/library/app:latest")
        );
        for text in [
            "",
            "App",
            "a b",
            &format!("app@sha256:{}", "0".repeat(64)),
            &"0".repeat(64),
        ] {
            assert!(tag(text).is_err(), "{text}");
        }
    }

    #[test]
    fn build_args_without_a_value_come_from_the_environment() {
        let texts = [
            "A=1".to_owned(),
            "B=x=y".to_owned(),
            "KILN_TEST_NOT_SET".to_owned(),
            "PATH".to_owned(),
        ];
        let arguments = build_args(&texts).expect("parse");
        assert_eq!(arguments.get("A").map(String::as_str), Some("1"));
        assert_eq!(arguments.get("B").map(String::as_str), Some("x=y"));
        assert!(!arguments.contains_key("KILN_TEST_NOT_SET"));
        assert!(arguments.contains_key("PATH"));
        assert!(build_args(&["=1".to_owned()]).is_err());
        assert!(build_args(&[String::new()]).is_err());
    }

    #[test]
    fn labels_may_be_empty_but_not_nameless() {
        let parsed = labels(&["a=b=c".to_owned(), "flag".to_owned()]).expect("parse");
        assert_eq!(
            parsed.into_iter().collect::<Vec<_>>(),
            [("a".into(), "b=c".into()), ("flag".into(), "".into())]
        );
        assert!(labels(&["=x".to_owned()]).is_err());
    }

    #[test]
    fn hosts_have_addresses() {
        for (text, name, address) in [
            ("db:10.0.0.1", "db", "10.0.0.1"),
            ("db=10.0.0.1", "db", "10.0.0.1"),
            ("db:::1", "db", "::1"),
            ("db=[2001:db8::1]", "db", "2001:db8::1"),
        ] {
            let host = ExtraHost {
                name: name.to_owned(),
                address: address.to_owned(),
            };
            assert_eq!(extra_host(text).ok(), Some(host), "{text}");
        }
        for text in [
            "db",
            "db:nowhere",
            ":1.2.3.4",
            "a b:1.2.3.4",
            "db:host-gateway",
            "db\n:1.2.3.4",
        ] {
            assert!(extra_host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn platforms_are_single_and_linux() {
        assert_eq!(
            platform("linux/arm64")
                .map(|platform| platform.architecture)
                .ok()
                .as_deref(),
            Some("arm64")
        );
        for text in ["linux/amd64,linux/arm64", "windows/amd64", "", "linux/"] {
            assert!(platform(text).is_err(), "{text}");
        }
    }

    #[test]
    fn named_contexts_are_folders_or_images() {
        let here = std::env::temp_dir();
        assert!(
            matches!(named_context("a=.", &here), Ok((name, NamedContext::Folder(_))) if name == "a")
        );
        let image = named_context("a=docker-image://alpine:3", &here);
        assert!(matches!(image, Ok((_, NamedContext::Image(image))) if image == "alpine:3"));
        for text in [
            "a",
            "=.",
            "a=",
            "a=https://x",
            "a=oci-layout://x",
            "a=/nowhere/at/all",
            "a=target:b",
        ] {
            assert!(named_context(text, &here).is_err(), "{text}");
        }
    }

    #[test]
    fn the_build_argument_wins_over_the_environment() {
        let environment = Environment {
            source_date_epoch: Some("5".to_owned()),
            ..Environment::default()
        };
        let argument = |value: &str| {
            [(SOURCE_DATE_EPOCH.to_owned(), value.to_owned())]
                .into_iter()
                .collect()
        };
        assert_eq!(
            source_date_epoch(&BTreeMap::new(), &environment).ok(),
            Some(Some(5))
        );
        assert_eq!(
            source_date_epoch(&argument("7"), &environment).ok(),
            Some(Some(7))
        );
        assert_eq!(
            source_date_epoch(&argument(""), &environment).ok(),
            Some(None)
        );
        assert!(source_date_epoch(&argument("soon"), &environment).is_err());
    }
}
