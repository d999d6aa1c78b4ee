//! What extension headers say about the entry that follows them: pax records, and GNU's long names.
//!
//! Global pax headers are skipped, as Docker does; those in the wild hold a comment.
//! Invariant: no record makes memory grow beyond the limits, however many headers come in a row.

use std::collections::BTreeMap;

use super::encode::XATTR_PREFIX;
use crate::path::MAX_PATH_LEN;
use crate::{Limits, TarError, TarResult};

/// Fields that replace those of the next header.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mtime: Option<i64>,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    xattr_len: u64,
    pub sparse: PaxSparse,
}

/// GNU's sparse records, of all three pax versions.
#[derive(Debug, Default)]
pub(crate) struct PaxSparse {
    pub name: Option<Vec<u8>>,
    /// Version 1.0: the map stands in front of the data.
    pub map_in_data: bool,
    /// Logical size of the file.
    pub size: Option<u64>,
    /// Versions 0.0 and 0.1: the map, as alternating offsets and lengths.
    pub map: Option<Vec<u64>>,
}

impl Overrides {
    /// Takes the data of a pax header that starts at `offset`.
    pub fn apply_pax(&mut self, data: &[u8], offset: u64, limits: &Limits) -> TarResult<()> {
        let mut rest = data;
        // Some writers pad with zeros inside the announced size.
        while rest.first().is_some_and(|&byte| byte != 0) {
            let record = split_record(&mut rest).ok_or(TarError::BadPax { offset })?;
            self.apply_record(record, offset, limits)?;
        }
        Ok(())
    }

    fn apply_record(
        &mut self,
        (key, value): Record<'_>,
        offset: u64,
        limits: &Limits,
    ) -> TarResult<()> {
        let bad = || TarError::BadPax { offset };
        let text = || (!value.is_empty()).then(|| value.to_vec());
        let number = || decimal(value).ok_or_else(bad);
        match key {
            b"path" => self.path = text(),
            b"linkpath" => self.link = text(),
            b"size" => self.size = optional(value, decimal).ok_or_else(bad)?,
            b"uid" => self.uid = optional(value, id).ok_or_else(bad)?,
            b"gid" => self.gid = optional(value, id).ok_or_else(bad)?,
            b"mtime" => self.mtime = optional(value, seconds).ok_or_else(bad)?,
            b"GNU.sparse.name" => self.sparse.name = text(),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.size = Some(number()?),
            b"GNU.sparse.major" => self.sparse.map_in_data = number()? == 1,
            b"GNU.sparse.offset" => self.push_map(number()?, 0, offset, limits)?,
            b"GNU.sparse.numbytes" => self.push_map(number()?, 1, offset, limits)?,
            b"GNU.sparse.map" => {
                self.sparse.map = Some(Vec::new());
                let fields = value
                    .split(|&byte| byte == b',')
                    .filter(|_| !value.is_empty());
                for (place, field) in fields.enumerate() {
                    self.push_map(decimal(field).ok_or_else(bad)?, place % 2, offset, limits)?;
                }
            }
            _ => return self.apply_xattr(key, value, offset, limits),
        }
        Ok(())
    }

    /// Adds to the map; `place` tells an offset from a length.
    fn push_map(
        &mut self,
        number: u64,
        place: usize,
        offset: u64,
        limits: &Limits,
    ) -> TarResult<()> {
        let map = self.sparse.map.get_or_insert_default();
        if map.len() % 2 != place {
            return Err(TarError::BadPax { offset });
        }
        if map.len() as u64 / 2 >= limits.sparse_segments {
            let limit = limits.sparse_segments;
            return Err(TarError::LimitExceeded {
                what: "sparse segments",
                limit,
                offset,
            });
        }
        map.push(number);
        Ok(())
    }

    fn apply_xattr(
        &mut self,
        key: &[u8],
        value: &[u8],
        offset: u64,
        limits: &Limits,
    ) -> TarResult<()> {
        let Some(name) = key.strip_prefix(XATTR_PREFIX) else {
            return Ok(());
        };
        if name.is_empty() || name.contains(&0) {
            return Err(TarError::BadPax { offset });
        }
        self.xattr_len += (name.len() + value.len()) as u64;
        if self.xattr_len > limits.xattr_len {
            let limit = limits.xattr_len;
            return Err(TarError::LimitExceeded {
                what: "bytes of extended attributes",
                limit,
                offset,
            });
        }
        self.xattrs.insert(name.to_vec(), value.to_vec());
        Ok(())
    }

    /// Takes the data of a GNU long name or long link entry.
    pub fn apply_long_name(&mut self, is_link: bool, data: &[u8]) {
        let name = Some(super::header::text(data).to_vec());
        match is_link {
            true => self.link = name,
            false => self.path = name,
        }
    }

    /// Most that a GNU long name entry may hold: a path and its terminator, with room for `./` in front.
    pub const MAX_LONG_NAME: u64 = MAX_PATH_LEN as u64 + 16;
}

type Record<'a> = (&'a [u8], &'a [u8]);

/// Takes `<length> <key>=<value>\n` off the front.
fn split_record<'a>(rest: &mut &'a [u8]) -> Option<Record<'a>> {
    let space = rest.iter().take(20).position(|&byte| byte == b' ')?;
    let len = usize::try_from(decimal(&rest[..space])?).ok()?;
    let record = rest.get(..len)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|&byte| byte == b'=')?;
    *rest = &rest[len..];
    (equals > 0).then(|| (&body[..equals], &body[equals + 1..]))
}

/// An empty value takes an earlier one back.
fn optional<T>(value: &[u8], parse: fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
    match value {
        b"" => Some(None),
        value => parse(value).map(Some),
    }
}

/// Digits only, within what signed offsets can hold.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let number = text.iter().try_fold(0_u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    });
    number.filter(|&number| i64::try_from(number).is_ok())
}

fn id(text: &[u8]) -> Option<u32> {
    u32::try_from(decimal(text)?).ok()
}

/// Seconds with an optional sign and fraction, rounded down.
fn seconds(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text {
        [b'-', text @ ..] => (true, text),
        text => (false, text),
    };
    let mut parts = text.splitn(2, |&byte| byte == b'.');
    let whole = decimal(parts.next()?)?.cast_signed();
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let below = negative && fraction.iter().any(|&digit| digit != b'0');
    Some(if negative {
        -whole - i64::from(below)
    } else {
        whole
    })
}

#[cfg(test)]
mod tests {
    use super::super::encode::push_record;
    use super::*;

    fn records(pairs: &[(&str, &str)]) -> Vec<u8> {
        let mut data = Vec::new();
        for (key, value) in pairs {
            push_record(&mut data, key.as_bytes(), value.as_bytes());
        }
        data
    }

    fn apply(data: &[u8]) -> TarResult<Overrides> {
        let mut overrides = Overrides::default();
        overrides.apply_pax(data, 0, &Limits::default())?;
        Ok(overrides)
    }

    #[test]
    fn records_replace_fields() {
        let overrides = apply(&records(&[
            ("path", "a/b"),
            ("path", "a\nb=c"),
            ("mtime", "-12.50"),
            ("size", "99"),
            ("uid", "123"),
            ("SCHILY.xattr.user.a", "b\n"),
            ("comment", "ignored"),
        ]));
        let overrides = overrides.unwrap();
        assert_eq!(overrides.path, Some(b"a\nb=c".to_vec()));
        assert_eq!(
            (overrides.mtime, overrides.size, overrides.uid),
            (Some(-13), Some(99), Some(123))
        );
        assert_eq!(overrides.xattrs[&b"user.a"[..]], b"b\n");
    }

    #[test]
    fn an_empty_value_takes_the_field_back() {
        let pairs = [("path", "a"), ("path", ""), ("size", "99"), ("size", "")];
        let overrides = apply(&records(&pairs)).unwrap();
        assert_eq!((overrides.path, overrides.size), (None, None));
    }

    #[test]
    fn malformed_records_are_refused() {
        let framing = [
            &b"path=a\n"[..],
            b"8 path=a\n",
            b"11 path=a\n",
            b"0 path=a\n",
            b"7 path\n",
            b"6 =ab\n",
        ];
        let huge = b"99999999999999999999 path=a\n".to_vec();
        let values = [
            ("size", "-12"),
            ("size", "9223372036854775808"),
            ("uid", "1.25"),
            ("uid", "4294967296"),
            ("mtime", "ab"),
            ("GNU.sparse.map", "1,2,"),
            ("GNU.sparse.numbytes", "12"),
            ("SCHILY.xattr.", "x"),
        ];
        let framing = framing.map(<[u8]>::to_vec).into_iter().chain([huge]);
        for data in framing.chain(values.map(|pair| records(&[pair]))) {
            let result = apply(&data);
            assert!(
                matches!(result, Err(TarError::BadPax { .. })),
                "{}",
                data.escape_ascii()
            );
        }
    }

    #[test]
    fn times_are_rounded_down() {
        for (text, want) in [
            ("0", Some(0)),
            ("1.999", Some(1)),
            ("-1", Some(-1)),
            ("-1.0", Some(-1)),
            ("-1.001", Some(-2)),
            ("-0.5", Some(-1)),
            ("1.", Some(1)),
            ("", None),
            ("-", None),
            ("1.x", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(seconds(text.as_bytes()), want, "{text}");
        }
    }

    #[test]
    fn attributes_are_limited_across_headers() {
        let limits = Limits {
            xattr_len: 20,
            ..Limits::default()
        };
        let mut overrides = Overrides::default();
        let record = records(&[("SCHILY.xattr.user.a", "12345")]);
        assert!(overrides.apply_pax(&record, 0, &limits).is_ok());
        let again = overrides.apply_pax(&record, 0, &limits);
        assert!(matches!(again, Err(TarError::LimitExceeded { .. })));
    }
}
