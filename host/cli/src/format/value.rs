//! The data that `--format` and `inspect` show: like JSON, with two differences that Go templates can see. A
//! record has a fixed set of fields in docker's order, and what is absent still has a type.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::ser::{Serialize, SerializeMap, Serializer};

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON `null`; the text is what a template prints for it (`[]`, `map[]`, `<nil>`).
    Absent(&'static str),
    /// As [`Value::Absent`], and as a record's field left out of JSON altogether.
    Omitted(&'static str),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// Names that the user chose to values: asking for one that is not there is no error.
    Map(BTreeMap<String, Value>),
    /// Fixed fields: asking for another is an error.
    Record(Vec<(&'static str, Value)>),
}

impl Value {
    /// The list of these texts.
    pub fn texts<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> Self {
        Self::List(
            items
                .into_iter()
                .map(|item| Self::from(item.as_ref()))
                .collect(),
        )
    }

    /// Whether an `if` takes it for true.
    #[must_use]
    pub fn is_true(&self) -> bool {
        match self {
            Self::Absent(_) | Self::Omitted(_) => false,
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0,
            Self::Text(value) => !value.is_empty(),
            Self::List(value) => !value.is_empty(),
            Self::Map(value) => !value.is_empty(),
            Self::Record(_) => true,
        }
    }

    /// Compact JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text keys only")
    }

    /// JSON indented by four spaces, as `docker inspect` prints it.
    #[must_use]
    pub fn to_pretty_json(&self) -> String {
        let mut out = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, formatter);
        self.serialize(&mut serializer).expect("text keys only");
        String::from_utf8(out).expect("JSON is UTF-8")
    }

    /// What a template prints, in Go's notation: `[a b]`, `map[k:v]`.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Absent(text) | Self::Omitted(text) => (*text).to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(value) => value.clone(),
            Self::List(items) => format!("[{}]", joined(items.iter().map(Self::to_text))),
            Self::Map(map) => format!(
                "map[{}]",
                joined(map.iter().map(|(k, v)| format!("{k}:{}", v.to_text())))
            ),
            Self::Record(fields) => {
                format!("{{{}}}", joined(fields.iter().map(|(_, v)| v.to_text())))
            }
        }
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    for (index, part) in parts.enumerate() {
        let gap = if index == 0 { "" } else { " " };
        let _ = write!(out, "{gap}{part}");
    }
    out
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Absent(_) | Self::Omitted(_) => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => serializer.serialize_i64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::List(items) => items.serialize(serializer),
            Self::Map(map) => map.serialize(serializer),
            Self::Record(fields) => {
                let mut map = serializer.serialize_map(None)?;
                for (name, value) in fields
                    .iter()
                    .filter(|(_, value)| !matches!(value, Self::Omitted(_)))
                {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_order_in_json() {
        let value = Value::Record(vec![
            ("Zeta", Value::from(1i64)),
            ("Alpha", Value::Absent("[]")),
            ("Beta", Value::Omitted("-")),
            ("Env", Value::texts(["a=b", "c"])),
        ]);
        assert_eq!(
            value.to_json(),
            r#"{"Zeta":1,"Alpha":null,"Env":["a=b","c"]}"#
        );
        assert_eq!(value.to_text(), "{1 [] - [a=b c]}");
        assert!(value.to_pretty_json().starts_with("{\n    \"Zeta\": 1,\n"));
    }
}
