//! The `kiln.toml` in the root of a context.
//!
//! ```toml
//! [context]
//! case-insensitive = true      # no two names may differ by case alone, on whatever host
//!
//! [context.modes]              # the last pattern that matches decides; .dockerignore's patterns
//! "**" = "0644"                # files
//! "**/" = "0755"               # folders: a '/' at the end
//! "bin/*" = "0755"
//! ```

use kiln_context::{CaseRule, Modes};

use crate::document::{self, Entry, Table};
use crate::error::{ConfigError, Problem};

/// What a project says of its context.
#[derive(Debug, Clone, Default)]
pub struct Project {
    /// Modes of files, whatever the host's file system says.
    pub modes: Modes,
    /// Whether names may differ by case alone.
    pub case: CaseRule,
}

impl Project {
    /// Reads the bytes of a project's `kiln.toml`.
    ///
    /// # Errors
    /// At the first thing that has no meaning there.
    pub fn parse(bytes: &[u8]) -> Result<Project, ConfigError> {
        document::read(bytes, |root| {
            let mut project = Project::default();
            for entry in root.entries() {
                match entry.key {
                    "context" => project.context(&entry.table()?)?,
                    "vm" => return Err(entry.wrong_key(Problem::NotForProjects { key: "vm" })),
                    _ => return Err(entry.unknown(&["context"])),
                }
            }
            Ok(project)
        })
    }

    fn context(&mut self, table: &Table<'_, '_>) -> Result<(), ConfigError> {
        for entry in table.entries() {
            match entry.key {
                "case-insensitive" => {
                    if entry.boolean()? {
                        self.case = CaseRule::Insensitive;
                    }
                }
                "modes" => {
                    for rule in entry.table()?.entries() {
                        self.mode(&rule)?;
                    }
                }
                _ => return Err(entry.unknown(&["case-insensitive", "modes"])),
            }
        }
        Ok(())
    }

    fn mode(&mut self, rule: &Entry<'_, '_>) -> Result<(), ConfigError> {
        let text = rule.text()?;
        let digits = (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok().filter(|_| digits);
        let mode = mode.ok_or_else(|| {
            rule.wrong_value(Problem::Mode {
                text: text.to_owned(),
            })
        })?;
        self.modes.add(rule.key.as_bytes(), mode).map_err(|source| {
            rule.wrong_key(Problem::ModeRule {
                pattern: rule.key.to_owned(),
                source,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> (String, String, Option<String>) {
        let error = Project::parse(text.as_bytes()).expect_err(text);
        let place = text[error.span.clone()].to_owned();
        (place, error.to_string(), error.problem.hint())
    }

    #[test]
    fn settings_are_read() {
        let text = "\u{feff}[context]\r\ncase-insensitive = true\r\n[context.modes]\r\n\"*.sh\" = \"0755\"\r\n";
        let project = Project::parse(text.as_bytes()).expect("valid");
        assert_eq!(project.case, CaseRule::Insensitive);
        assert!(!project.modes.is_empty());
        let empty = Project::parse(b"# nothing\n").expect("valid");
        assert_eq!(
            (empty.case, empty.modes.is_empty()),
            (CaseRule::OfFolder, true)
        );
    }

    #[test]
    fn what_has_no_meaning_is_shown_in_its_place() {
        for (text, place, message) in [
            ("[contxt]\n", "contxt", "`contxt` is not known"),
            (
                "[context]\nmode = 1\n",
                "mode",
                "`context.mode` is not known",
            ),
            (
                "[vm]\ncpus = 2\n",
                "vm",
                "`vm` is not for a project to decide",
            ),
            (
                "[context.modes]\n\"a\" = 755\n",
                "755",
                "`context.modes.a` has to be text in quotes",
            ),
            (
                "[context.modes]\n\"a\" = \"u+x\"\n",
                "\"u+x\"",
                "`u+x` is not an octal mode",
            ),
            (
                "[context.modes]\n\"a\" = \"0999\"\n",
                "\"0999\"",
                "`0999` is not an octal mode",
            ),
            (
                "[context.modes]\n\"a[\" = \"0644\"\n",
                "\"a[\"",
                "cannot use the pattern `a[`",
            ),
            (
                "[context.modes]\n\"a\" = \"17777\"\n",
                "\"a\"",
                "cannot use the pattern `a`",
            ),
            ("context = 1\n", "1", "`context` has to be a table"),
            (
                "[context]\ncase-insensitive = \"yes\"\n",
                "\"yes\"",
                "`context.case-insensitive` has to be true or false",
            ),
        ] {
            let (at, said, _) = wrong(text);
            assert_eq!((at.as_str(), said.as_str()), (place, message), "{text}");
        }
        assert_eq!(wrong("x = 1\n").2.as_deref(), Some("known here: context"));
    }

    #[test]
    fn the_first_mistake_of_the_text_is_the_one_that_is_told() {
        assert_eq!(wrong("[zzz]\n[aaa]\n").0, "zzz");
    }

    #[test]
    fn what_is_no_toml_is_refused_with_its_place() {
        let (at, ..) = wrong("[context\n");
        assert!(at.len() <= 2, "{at:?}");
        let error = Project::parse(b"\xef\xbb\xbfa = \xff").expect_err("no text");
        assert_eq!((error.span, error.problem), (7..8, Problem::NotText));
        let error = Project::parse(&vec![b' '; crate::MAX_BYTES + 1]).expect_err("too large");
        assert_eq!(error.problem, Problem::TooLarge);
        let deep = format!("a = {}", "[".repeat(100_000));
        assert!(Project::parse(deep.as_bytes()).is_err());
    }
}
