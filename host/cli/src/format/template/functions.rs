//! The functions that templates may call.

use super::Error;
use crate::format::Value;

/// A function by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// `json VALUE`.
    Json,
    /// `join LIST SEPARATOR`.
    Join,
    /// `split TEXT SEPARATOR`.
    Split,
    /// `lower TEXT`.
    Lower,
    /// `upper TEXT`.
    Upper,
    /// `len VALUE`.
    Len,
    /// `index VALUE KEY...`.
    Index,
    /// `slice TEXT-OR-LIST FROM TO`.
    Slice,
    /// `truncate TEXT LENGTH`.
    Truncate,
    /// `print VALUE...`.
    Print,
    /// `println VALUE...`.
    Println,
    /// `printf FORMAT VALUE...`.
    Printf,
    /// `eq A B...`: A equals one of them.
    Eq,
    /// `ne A B`.
    Ne,
    /// `not A`.
    Not,
    /// `and A B...`.
    And,
    /// `or A B...`.
    Or,
}

impl Function {
    /// Finds a function.
    pub fn named(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "json" => Self::Json,
            "join" => Self::Join,
            "split" => Self::Split,
            "lower" => Self::Lower,
            "upper" => Self::Upper,
            "len" => Self::Len,
            "index" => Self::Index,
            "slice" => Self::Slice,
            "truncate" => Self::Truncate,
            "print" => Self::Print,
            "println" => Self::Println,
            "printf" => Self::Printf,
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "not" => Self::Not,
            "and" => Self::And,
            "or" => Self::Or,
            _ => {
                return Err(Error::UnknownFunction {
                    name: name.to_owned(),
                });
            }
        })
    }

    /// Calls it.
    pub fn call(self, arguments: &[Value]) -> Result<Value, Error> {
        use Value::{List, Number, Text};
        match (self, arguments) {
            (Self::Json, [value]) => Ok(Text(value.to_json())),
            (Self::Join, [List(items), Text(separator)]) => Ok(Text(
                items
                    .iter()
                    .map(Value::to_text)
                    .collect::<Vec<_>>()
                    .join(separator),
            )),
            (Self::Join, [Value::Absent(_) | Value::Omitted(_), Text(_)]) => {
                Ok(Text(String::new()))
            }
            (Self::Split, [Text(text), Text(separator)]) => {
                Ok(Value::texts(text.split(separator.as_str())))
            }
            (Self::Lower, [Text(text)]) => Ok(Text(text.to_lowercase())),
            (Self::Upper, [Text(text)]) => Ok(Text(text.to_uppercase())),
            (Self::Len, [value]) => length(value),
            (Self::Index, [value, keys @ ..]) => keys
                .iter()
                .try_fold(value.clone(), |value, key| index(&value, key)),
            (Self::Slice, [value, bounds @ ..]) => slice(value, bounds),
            (Self::Truncate, [Text(text), Number(length)]) => Ok(Text(
                text.chars()
                    .take(usize::try_from(*length).unwrap_or(0))
                    .collect(),
            )),
            (Self::Print, values) => Ok(Text(values.iter().map(Value::to_text).collect())),
            (Self::Println, values) => Ok(Text(
                values
                    .iter()
                    .map(Value::to_text)
                    .collect::<Vec<_>>()
                    .join(" ")
                    + "\n",
            )),
            (Self::Printf, [Text(format), values @ ..]) => printf(format, values),
            (Self::Eq, [first, others @ ..]) if !others.is_empty() => {
                Ok(Value::Bool(others.contains(first)))
            }
            (Self::Ne, [first, second]) => Ok(Value::Bool(first != second)),
            (Self::Not, [value]) => Ok(Value::Bool(!value.is_true())),
            (Self::And, [.., last]) => Ok(arguments
                .iter()
                .find(|value| !value.is_true())
                .unwrap_or(last)
                .clone()),
            (Self::Or, [.., last]) => Ok(arguments
                .iter()
                .find(|value| value.is_true())
                .unwrap_or(last)
                .clone()),
            _ => Err(Error::Arguments {
                name: self.name(),
                reason: "cannot work with these arguments",
            }),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Join => "join",
            Self::Split => "split",
            Self::Lower => "lower",
            Self::Upper => "upper",
            Self::Len => "len",
            Self::Index => "index",
            Self::Slice => "slice",
            Self::Truncate => "truncate",
            Self::Print => "print",
            Self::Println => "println",
            Self::Printf => "printf",
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Not => "not",
            Self::And => "and",
            Self::Or => "or",
        }
    }
}

fn length(value: &Value) -> Result<Value, Error> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.len(),
        Value::Absent(_) | Value::Omitted(_) => 0,
        _ => {
            return Err(Error::Arguments {
                name: "len",
                reason: "needs text, a list or a map",
            });
        }
    };
    Ok(Value::from(length as u64))
}

fn index(value: &Value, key: &Value) -> Result<Value, Error> {
    match (value, key) {
        (Value::List(items), Value::Number(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| items.get(at))
            .cloned()
            .ok_or(Error::Arguments {
                name: "index",
                reason: "is past the end of the list",
            }),
        (Value::Map(map), Value::Text(key)) => {
            Ok(map.get(key).cloned().unwrap_or_else(|| Value::from("")))
        }
        (Value::Absent(_) | Value::Omitted(_), Value::Text(_)) => Ok(Value::from("")),
        (Value::Absent(_) | Value::Omitted(_), Value::Number(_)) => Err(Error::Arguments {
            name: "index",
            reason: "is past the end of the list",
        }),
        _ => Err(Error::Arguments {
            name: "index",
            reason: "needs a list and a number, or a map and text",
        }),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, Error> {
    const WRONG: Error = Error::Arguments {
        name: "slice",
        reason: "needs text or a list, and bounds inside it",
    };
    let bounds = bounds
        .iter()
        .map(|bound| match bound {
            Value::Number(number) => usize::try_from(*number).map_err(|_| WRONG),
            _ => Err(WRONG),
        })
        .collect::<Result<Vec<_>, _>>()?;
    let range = |length| match bounds.as_slice() {
        [] => Ok(0..length),
        [from] => Ok(*from..length),
        [from, to] => Ok(*from..*to),
        _ => Err(WRONG),
    };
    match value {
        Value::Text(text) => Ok(Value::from(text.get(range(text.len())?).ok_or(WRONG)?)),
        Value::List(items) => Ok(Value::List(
            items.get(range(items.len())?).ok_or(WRONG)?.to_vec(),
        )),
        _ => Err(WRONG),
    }
}

/// `%s`, `%v`, `%d`, `%q` and `%%`: widths and the rest are refused rather than printed wrongly.
fn printf(format: &str, values: &[Value]) -> Result<Value, Error> {
    const WRONG: Error = Error::Arguments {
        name: "printf",
        reason: "knows %s, %v, %d, %q and %%, one value each",
    };
    let mut out = String::new();
    let mut values = values.iter();
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('%') => out.push('%'),
            Some('s' | 'v' | 'd') => out.push_str(&values.next().ok_or(WRONG)?.to_text()),
            Some('q') => {
                out.push_str(&Value::from(values.next().ok_or(WRONG)?.to_text()).to_json())
            }
            _ => return Err(WRONG),
        }
    }
    if values.next().is_some() {
        return Err(WRONG);
    }
    Ok(Value::Text(out))
}
