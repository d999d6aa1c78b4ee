//! What `cargo xtask dist` was asked for.

use crate::cross::{Target, target::RELEASED};
use crate::error::Error;

/// The flags.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// Targets, in the order of a release.
    pub targets: Vec<Target>,
    /// Make archives that have no VM image.
    pub without_vm_image: bool,
    /// Compile quickly and not for speed: to try the task itself.
    pub quick: bool,
}

impl Options {
    /// Reads the flags; without a target it is all of them.
    pub fn parse(words: &[&str]) -> Result<Self, Error> {
        let mut options = Self {
            targets: Vec::new(),
            without_vm_image: false,
            quick: false,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--without-vm-image" => options.without_vm_image = true,
                "--quick" => options.quick = true,
                "--target" => {
                    let name = words.next().ok_or(Error::Usage)?;
                    options.targets.push(named(name)?);
                }
                _ => return Err(Error::Usage),
            }
        }
        if options.targets.is_empty() {
            options.targets = RELEASED.to_vec();
        }
        Ok(options)
    }

    /// cargo's profile.
    pub fn profile(&self) -> &'static str {
        if self.quick { "cross" } else { "release" }
    }

    /// Where it all goes, below `target`: a trial never overwrites a release.
    pub fn folder(&self) -> &'static str {
        if self.quick { "dist-quick" } else { "dist" }
    }
}

fn named(name: &str) -> Result<Target, Error> {
    Target::named(name).ok_or_else(|| Error::UnknownPart {
        part: name.to_owned(),
        known: "aarch64-apple-darwin, x86_64-apple-darwin, x86_64-pc-windows-gnu, \
                x86_64-unknown-linux-musl, aarch64-unknown-linux-musl",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_released_target_is_built_unless_some_are_named() {
        assert_eq!(Options::parse(&[]).unwrap().targets, RELEASED);
        let words = ["--target", "x86_64-pc-windows-gnu", "--quick"];
        let options = Options::parse(&words).unwrap();
        assert_eq!(options.targets, [crate::cross::target::WINDOWS]);
        assert_eq!(
            (options.profile(), options.folder()),
            ("cross", "dist-quick")
        );
    }

    #[test]
    fn unknown_flags_and_targets_are_refused_and_the_message_names_every_target() {
        assert!(matches!(Options::parse(&["--fast"]), Err(Error::Usage)));
        assert!(matches!(Options::parse(&["--target"]), Err(Error::Usage)));
        let Err(Error::UnknownPart { known, .. }) = Options::parse(&["--target", "vax"]) else {
            panic!("accepted");
        };
        for target in RELEASED {
            assert!(known.contains(target.triple), "{}", target.triple);
        }
    }
}
