//! `--chmod`: octal, or symbolic as chmod(1) of BSD has it. There is no umask in a build.

use crate::error::CopyError;

/// Most clauses of a symbolic mode that are read.
const MAX_TEXT: usize = 256;

/// A parsed `--chmod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    /// All twelve bits.
    Octal(u32),
    /// Changes of what a file has, in order.
    Symbolic(Vec<Change>),
}

/// One change: who, how, what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    who: u32,
    how: u8,
    what: Vec<u8>,
}

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

impl Chmod {
    /// Read a flag's value.
    pub fn parse(text: &str) -> Result<Chmod, CopyError> {
        let invalid = || CopyError::Chmod {
            text: text.chars().take(MAX_TEXT).collect(),
        };
        if text.len() > MAX_TEXT {
            return Err(invalid());
        }
        match u32::from_str_radix(text, 8) {
            Ok(mode) if mode <= 0o7777 && !text.starts_with('+') => Ok(Chmod::Octal(mode)),
            Ok(_) => Err(invalid()),
            Err(_) => symbolic(text.as_bytes())
                .map(Chmod::Symbolic)
                .ok_or_else(invalid),
        }
    }

    /// The mode of a copied file or folder that had `mode`.
    pub fn apply(&self, mode: u32, is_dir: bool) -> u32 {
        match self {
            Chmod::Octal(mode) => *mode,
            Chmod::Symbolic(changes) => changes
                .iter()
                .fold(mode, |now, change| change.apply(now, mode, is_dir)),
        }
    }

    /// The mode of folders that a copy creates for its destination.
    pub fn for_created_dirs(chmod: Option<&Chmod>) -> u32 {
        match chmod {
            // mkdir(2), which BuildKit leaves it to, takes no more than these bits.
            Some(Chmod::Octal(mode)) => mode & 0o777,
            _ => 0o755,
        }
    }
}

fn symbolic(text: &[u8]) -> Option<Vec<Change>> {
    let mut changes = Vec::new();
    for clause in text.split(|&b| b == b',') {
        let actions = clause.iter().position(|b| b"+-=".contains(b))?;
        let who = clause[..actions]
            .iter()
            .try_fold(0, |who, b| Some(who | who_mask(*b)?))?;
        let who = if actions == 0 { 0o7777 } else { who };
        let mut rest = &clause[actions..];
        while let Some((&how, what)) = rest.split_first() {
            let end = what
                .iter()
                .position(|b| b"+-=".contains(b))
                .unwrap_or(what.len());
            let what = &what[..end];
            if !what.iter().all(|b| b"rwxXstugo".contains(b)) {
                return None;
            }
            changes.push(Change {
                who,
                how,
                what: what.to_vec(),
            });
            rest = &rest[1 + end..];
        }
    }
    Some(changes)
}

fn who_mask(letter: u8) -> Option<u32> {
    match letter {
        b'u' => Some(SET_UID | 0o700),
        b'g' => Some(SET_GID | 0o070),
        b'o' => Some(STICKY | 0o007),
        b'a' => Some(0o7777),
        _ => None,
    }
}

impl Change {
    fn apply(&self, now: u32, original: u32, is_dir: bool) -> u32 {
        let bits = self.what.iter().fold(0, |bits, letter| {
            bits | meaning(*letter, now, original, is_dir)
        }) & self.who;
        match self.how {
            b'+' => now | bits,
            b'-' => now & !bits,
            _ => (now & !(self.who & !STICKY)) | bits,
        }
    }
}

/// Bits that a letter stands for, for everybody; `who` picks from them.
fn meaning(letter: u8, now: u32, original: u32, is_dir: bool) -> u32 {
    let copied = |class: u32| (class & 7) * 0o111;
    match letter {
        b'r' => 0o444,
        b'w' => 0o222,
        b'x' => 0o111,
        b'X' if is_dir || original & 0o111 != 0 => 0o111,
        b's' => SET_UID | SET_GID,
        b't' => STICKY,
        b'u' => copied(now >> 6),
        b'g' => copied(now >> 3),
        b'o' => copied(now),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::Chmod;

    #[test]
    fn modes_apply_as_chmod_does() {
        for (text, before, is_dir, after) in [
            ("0", 0o644, false, 0),
            ("4755", 0o600, false, 0o4755),
            ("1770", 0o755, true, 0o1770),
            ("u=rwX,go=rX", 0o755, true, 0o755),
            ("u=rwX,go=rX", 0o600, false, 0o644),
            ("+x", 0o644, false, 0o755),
            ("go-r,u+s", 0o644, false, 0o4600),
            ("a=rw,+X", 0o755, true, 0o777),
            ("a=rw,+X", 0o644, false, 0o666),
            ("a=rw,+X", 0o744, false, 0o777),
            ("g=u", 0o640, false, 0o660),
            ("o=", 0o777, false, 0o770),
            ("u+x-w", 0o644, false, 0o544),
            ("+t", 0o755, true, 0o1755),
            ("g+s", 0o755, true, 0o2755),
            ("u=rw", 0o4755, false, 0o655),
        ] {
            let got = Chmod::parse(text).unwrap().apply(before, is_dir);
            assert_eq!(got, after, "{text} on {before:o} gave {got:o}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "wat", "", "8", "10000", "+7", "u", "u+q", "x=r", "u=r,", "-1", "0x1",
        ] {
            assert!(Chmod::parse(text).is_err(), "{text}");
        }
    }
}
