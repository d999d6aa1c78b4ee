//! Mount options to a typed mount: values expanded and parsed, and checked against the type.

use super::{
    BindMount, CacheMount, FileOwner, Mount, MountError, MountKind, MountOption, SecretMount,
    Sharing, SshMount,
};
use crate::words::ExpandError;

/// Everything that was given, before it is known whether the type takes it.
#[derive(Default)]
struct Given {
    kind: Kind,
    from: Option<String>,
    source: Option<String>,
    target: Option<String>,
    id: Option<String>,
    env: Option<String>,
    read_only: Option<bool>,
    required: Option<bool>,
    sharing: Option<Sharing>,
    size: Option<u64>,
    file: FileOwner,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Kind {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

const KINDS: [(&str, Kind); 5] = [
    ("bind", Kind::Bind),
    ("cache", Kind::Cache),
    ("tmpfs", Kind::Tmpfs),
    ("secret", Kind::Secret),
    ("ssh", Kind::Ssh),
];

impl Kind {
    fn name(self) -> &'static str {
        KINDS
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("bind", |(name, _)| name)
    }
}

pub(super) fn resolve(
    options: &[MountOption],
    expand: &mut dyn FnMut(&str) -> Result<String, ExpandError>,
) -> Result<Mount, MountError> {
    let mut given = Given::default();
    for MountOption { key, value } in options {
        let value = match value {
            None => None,
            Some(value) => {
                let expanded = expand(value);
                Some(expanded.map_err(|source| MountError::Expand {
                    key: key.clone(),
                    source,
                })?)
            }
        };
        given.set(key, value)?;
    }
    given.check()?;
    Ok(given.finish())
}

impl Given {
    fn set(&mut self, key: &str, value: Option<String>) -> Result<(), MountError> {
        let missing = || MountError::MissingValue {
            key: key.to_owned(),
        };
        match key {
            "readonly" | "ro" => self.read_only = Some(flag(key, value)?),
            "readwrite" | "rw" => self.read_only = Some(!flag(key, value)?),
            "required" => self.required = Some(flag(key, value)?),
            "type" => self.kind = kind(value.ok_or_else(missing)?)?,
            "from" => self.from = value.ok_or_else(missing).map(filled)?,
            "source" | "src" => self.source = value.ok_or_else(missing).map(filled)?,
            "target" | "dst" | "destination" => {
                self.target = value.ok_or_else(missing).map(filled)?
            }
            "id" => self.id = value.ok_or_else(missing).map(filled)?,
            "env" => self.env = value.ok_or_else(missing).map(filled)?,
            "sharing" => self.sharing = Some(sharing(value.ok_or_else(missing)?)?),
            "size" => self.size = Some(parsed(key, value.ok_or_else(missing)?, size)?),
            "mode" => self.file.mode = Some(parsed(key, value.ok_or_else(missing)?, octal)?),
            "uid" => {
                self.file.uid = Some(parsed(key, value.ok_or_else(missing)?, |text| {
                    text.parse().ok()
                })?)
            }
            "gid" => {
                self.file.gid = Some(parsed(key, value.ok_or_else(missing)?, |text| {
                    text.parse().ok()
                })?)
            }
            _ => {
                return Err(MountError::UnexpectedKey {
                    key: key.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Refuses options that the type does not take.
    fn check(&self) -> Result<(), MountError> {
        let kind = self.kind;
        let owned = matches!(kind, Kind::Cache | Kind::Secret | Kind::Ssh);
        let credential = matches!(kind, Kind::Secret | Kind::Ssh);
        let misplaced = [
            ("mode", self.file.mode.is_some() && !owned),
            ("uid", self.file.uid.is_some() && !owned),
            ("gid", self.file.gid.is_some() && !owned),
            ("required", self.required.is_some() && !credential),
            ("sharing", self.sharing.is_some() && kind != Kind::Cache),
            ("size", self.size.is_some() && kind != Kind::Tmpfs),
            ("env", self.env.is_some() && kind != Kind::Secret),
            ("from", self.from.is_some() && kind == Kind::Secret),
        ];
        if let Some((key, _)) = misplaced.iter().find(|(_, misplaced)| *misplaced) {
            return Err(MountError::KeyNotForType {
                key,
                kind: kind.name(),
            });
        }
        if kind == Kind::Secret {
            if self.source.is_some() && self.id.is_some() {
                return Err(MountError::SecretWithTwoNames);
            }
            if self.source.is_none() && self.id.is_none() && self.target.is_none() {
                return Err(MountError::SecretWithoutName);
            }
        }
        Ok(())
    }

    fn finish(self) -> Mount {
        let target = self.target.clone();
        let writable = matches!(self.kind, Kind::Cache | Kind::Tmpfs);
        let read_only = self.read_only.unwrap_or(!writable);
        let kind = match self.kind {
            Kind::Bind => {
                let (from, source) = (self.from, self.source);
                MountKind::Bind(BindMount { from, source })
            }
            Kind::Cache => MountKind::Cache(self.cache()),
            Kind::Tmpfs => MountKind::Tmpfs(self.size),
            Kind::Secret => MountKind::Secret(self.secret()),
            Kind::Ssh => MountKind::Ssh(self.ssh()),
        };
        Mount {
            kind,
            target,
            read_only,
        }
    }

    fn cache(self) -> CacheMount {
        CacheMount {
            id: self.id,
            from: self.from,
            source: self.source,
            sharing: self.sharing.unwrap_or_default(),
            file: self.file,
        }
    }

    fn secret(self) -> SecretMount {
        let id = self
            .source
            .or(self.id)
            .or_else(|| self.target.as_deref().map(base_name));
        SecretMount {
            id: id.unwrap_or_default(),
            required: self.required.unwrap_or(false),
            env: self.env,
            file: self.file,
        }
    }

    fn ssh(self) -> SshMount {
        SshMount {
            id: self
                .source
                .or(self.id)
                .unwrap_or_else(|| "default".to_owned()),
            required: self.required.unwrap_or(false),
            file: self.file,
        }
    }
}

fn filled(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

fn base_name(path: &str) -> String {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

fn invalid(key: &str, value: String) -> MountError {
    MountError::InvalidValue {
        key: key.to_owned(),
        value,
    }
}

/// A bare key is true; the values are those that Go takes.
fn flag(key: &str, value: Option<String>) -> Result<bool, MountError> {
    match value {
        None => Ok(true),
        Some(value) => match value.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            _ => Err(invalid(key, value)),
        },
    }
}

fn parsed<T>(key: &str, value: String, parse: fn(&str) -> Option<T>) -> Result<T, MountError> {
    parse(&value).ok_or_else(|| invalid(key, value))
}

fn octal(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok()
}

fn kind(value: String) -> Result<Kind, MountError> {
    let lower = value.to_lowercase();
    let found = KINDS.iter().find(|(name, _)| *name == lower);
    found
        .map(|(_, kind)| *kind)
        .ok_or(MountError::UnsupportedType { kind: value })
}

fn sharing(value: String) -> Result<Sharing, MountError> {
    match value.to_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => Err(invalid("sharing", value)),
    }
}

/// A number of bytes with an optional binary unit: `64m`, `1.5GiB`.
fn size(text: &str) -> Option<u64> {
    let end = text
        .find(|ch: char| !ch.is_ascii_digit() && ch != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if unit.is_empty() || unit == "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * f64::from(2u32).powi(shift);
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}
