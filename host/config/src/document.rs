//! A TOML document as tables whose keys come in the order of the text, each with its place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::MAX_BYTES;
use crate::error::{ConfigError, Problem};

type Key<'i> = Spanned<DeString<'i>>;
type Value<'i> = Spanned<DeValue<'i>>;

/// Text of a file, without a byte order mark, and where in the file it starts.
pub(crate) fn text(bytes: &[u8]) -> Result<(&str, usize), ConfigError> {
    let whole = |problem| ConfigError {
        span: 0..0,
        problem,
    };
    if bytes.len() > MAX_BYTES {
        return Err(whole(Problem::TooLarge));
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let start = bytes.len() - text.len();
    match std::str::from_utf8(text) {
        Ok(text) => Ok((text, start)),
        Err(error) => {
            let at = start + error.valid_up_to();
            Err(ConfigError {
                span: at..at + 1,
                problem: Problem::NotText,
            })
        }
    }
}

/// Parses the text and hands the root table to `read`. Spans of errors count from the start of `bytes`.
pub(crate) fn read<T>(
    bytes: &[u8],
    read: impl FnOnce(&Table<'_, '_>) -> Result<T, ConfigError>,
) -> Result<T, ConfigError> {
    let (text, start) = text(bytes)?;
    let parsed = DeTable::parse(text).map_err(|error| ConfigError {
        span: error.span().unwrap_or(0..0),
        problem: Problem::Syntax {
            message: error.message().to_owned(),
        },
    });
    let result = parsed.and_then(|root| {
        read(&Table {
            name: String::new(),
            entries: root.get_ref(),
        })
    });
    result.map_err(|error| ConfigError {
        span: error.span.start + start..error.span.end + start,
        ..error
    })
}

/// One table.
pub(crate) struct Table<'a, 'i> {
    name: String,
    entries: &'a DeTable<'i>,
}

/// A key with its value.
pub(crate) struct Entry<'a, 'i> {
    /// The key, with the tables that hold it.
    pub path: String,
    /// The key alone.
    pub key: &'a str,
    key_span: Range<usize>,
    value: &'a Value<'i>,
}

impl<'a, 'i> Table<'a, 'i> {
    /// All entries in the order of the text.
    pub fn entries(&self) -> Vec<Entry<'a, 'i>> {
        let mut entries: Vec<(&Key<'i>, &Value<'i>)> = self.entries.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry = |(key, value): (&'a Key<'i>, &'a Value<'i>)| Entry {
            path: match self.name.as_str() {
                "" => key.get_ref().clone().into_owned(),
                name => format!("{name}.{}", key.get_ref()),
            },
            key: key.get_ref(),
            key_span: key.span(),
            value,
        };
        entries.into_iter().map(entry).collect()
    }
}

impl<'a, 'i> Entry<'a, 'i> {
    /// An error about the key.
    pub fn wrong_key(&self, problem: Problem) -> ConfigError {
        ConfigError {
            span: self.key_span.clone(),
            problem,
        }
    }

    /// An error about the value.
    pub fn wrong_value(&self, problem: Problem) -> ConfigError {
        ConfigError {
            span: self.value.span(),
            problem,
        }
    }

    /// The error for a key that nobody knows.
    pub fn unknown(&self, known: &'static [&'static str]) -> ConfigError {
        self.wrong_key(Problem::Unknown {
            key: self.path.clone(),
            known,
        })
    }

    fn wrong_type(&self, wanted: &'static str) -> ConfigError {
        self.wrong_value(Problem::Type {
            key: self.path.clone(),
            wanted,
        })
    }

    /// The value as a table.
    pub fn table(&self) -> Result<Table<'a, 'i>, ConfigError> {
        match self.value.get_ref() {
            DeValue::Table(entries) => Ok(Table {
                name: self.path.clone(),
                entries,
            }),
            _ => Err(self.wrong_type("a table")),
        }
    }

    /// The value as text.
    pub fn text(&self) -> Result<&'a str, ConfigError> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_type("text in quotes")),
        }
    }

    /// The value as `true` or `false`.
    pub fn boolean(&self) -> Result<bool, ConfigError> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// The value as a number within bounds; `wanted` says them.
    pub fn number(
        &self,
        bounds: std::ops::RangeInclusive<u32>,
        wanted: &'static str,
    ) -> Result<u32, ConfigError> {
        let DeValue::Integer(number) = self.value.get_ref() else {
            return Err(self.wrong_type(wanted));
        };
        u32::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| self.wrong_type(wanted))
    }
}
