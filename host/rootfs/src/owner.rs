//! Owners: `--chown` and USER, by number or by the image's own names.
//!
//! As in BuildKit, a name that the image does not know is root, a number needs no entry, and a user's number without
//! a group is taken for the group too.

use crate::error::CopyError;
use crate::view::MergedView;

/// Most bytes of /etc/passwd and /etc/group that are read.
const MAX_DATABASE: u64 = 8 << 20;

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
}

impl Owner {
    /// Look up `user[:group]` in an image.
    pub fn resolve(text: &str, image: &MergedView) -> Result<Owner, CopyError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let mut owner = match number(user)? {
            Some(id) => Owner { uid: id, gid: id },
            None if user.is_empty() => Owner::default(),
            None => {
                let fields = entry(image, "/etc/passwd", user)?;
                let field =
                    |index: usize| fields.get(index).and_then(|f| f.parse().ok()).unwrap_or(0);
                Owner {
                    uid: field(2),
                    gid: field(3),
                }
            }
        };
        match group {
            None | Some("") => {}
            Some(group) => {
                let named = || entry(image, "/etc/group", group);
                owner.gid = match number(group)? {
                    Some(id) => id,
                    None => named()?
                        .get(2)
                        .map_or(owner.gid, |f| f.parse().unwrap_or(0)),
                };
            }
        }
        Ok(owner)
    }
}

fn number(text: &str) -> Result<Option<u32>, CopyError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| CopyError::BadId {
        id: text.chars().take(40).collect(),
    })
}

/// Fields of the line that starts with `name`; none if there is no such line or file.
fn entry(image: &MergedView, path: &str, name: &str) -> Result<Vec<String>, CopyError> {
    if image.is_empty() {
        return Err(CopyError::NoUsers {
            name: name.to_owned(),
        });
    }
    let Some(bytes) = image.read_file(path.as_bytes(), MAX_DATABASE)? else {
        return Ok(Vec::new());
    };
    let text = String::from_utf8_lossy(&bytes);
    let line = text
        .lines()
        .map(str::trim)
        .find(|line| line.split(':').next() == Some(name));
    Ok(line
        .map(|line| line.split(':').map(str::to_owned).collect())
        .unwrap_or_default())
}
