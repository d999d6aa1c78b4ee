//! From what a user typed to an image, as Docker does it: a full id, else a name, else the start of an id.

use kiln_oci::{Digest, ImageName};
use rusqlite::params;

use crate::database::Column;
use crate::error::{Error, Result};
use crate::images::{ImageId, ImageRecord, image_exists, image_named};
use crate::store::Store;

/// How an image was referred to.
pub(crate) enum Reference {
    /// By name, which is kept in its canonical spelling.
    Name(ImageName, ImageId),
    /// By id or the start of it.
    Id(ImageId),
}

impl Reference {
    pub fn id(&self) -> ImageId {
        match self {
            Reference::Name(_, id) | Reference::Id(id) => *id,
        }
    }
}

impl Store {
    /// Finds an image by name, id or the start of an id.
    pub fn resolve(&self, reference: &str) -> Result<ImageRecord> {
        self.image(self.resolve_reference(reference)?.id())
    }

    /// Finds an image by its exact name.
    pub fn resolve_name(&self, name: &ImageName) -> Result<Option<ImageRecord>> {
        match self.find_name(name)? {
            Some(id) => Ok(Some(self.image(id)?)),
            None => Ok(None),
        }
    }

    pub(crate) fn resolve_reference(&self, reference: &str) -> Result<Reference> {
        if let Some(id) = full_id(reference)
            && image_exists(&self.database(), id)?
        {
            return Ok(Reference::Id(id));
        }
        if let Ok(name) = ImageName::parse(reference)
            && let Some(id) = self.find_name(&name)?
        {
            return Ok(Reference::Name(name.with_default_tag(), id));
        }
        self.id_starting_with(reference).map(Reference::Id)
    }

    /// A name with tag and digest is satisfied by the digest alone.
    fn find_name(&self, name: &ImageName) -> Result<Option<ImageId>> {
        let database = self.database();
        let mut name = name.clone().with_default_tag();
        if let Some(id) = image_named(&database, &name.to_string())? {
            return Ok(Some(id));
        }
        if name.digest.is_none() || name.tag.is_none() {
            return Ok(None);
        }
        name.tag = None;
        image_named(&database, &name.to_string())
    }

    fn id_starting_with(&self, reference: &str) -> Result<ImageId> {
        let missing = || Error::NoSuchImage {
            reference: reference.chars().take(512).collect(),
        };
        let prefix = reference.strip_prefix("sha256:").unwrap_or(reference);
        let (low, high) = prefix_range(prefix).ok_or_else(missing)?;
        let database = self.database();
        let mut query =
            database.prepare_cached("SELECT id FROM images WHERE id BETWEEN ?1 AND ?2 LIMIT 2")?;
        let ids = query.query_map(params![Column(low), Column(high)], |row| {
            row.get::<_, Column>(0)
        })?;
        match ids.collect::<rusqlite::Result<Vec<_>>>()?[..] {
            [] => Err(missing()),
            [id] => Ok(ImageId(id.0)),
            _ => Err(Error::AmbiguousId {
                prefix: prefix.to_owned(),
            }),
        }
    }
}

fn full_id(reference: &str) -> Option<ImageId> {
    let id = reference.parse().or_else(|_| Digest::from_hex(reference));
    id.ok().map(ImageId)
}

/// The lowest and highest digest that begin with the given hex digits.
fn prefix_range(prefix: &str) -> Option<(Digest, Digest)> {
    if prefix.is_empty() || prefix.len() > 64 || !prefix.is_ascii() {
        return None;
    }
    let low = Digest::from_hex(&format!("{prefix:0<64}")).ok()?;
    let high = Digest::from_hex(&format!("{prefix:f<64}")).ok()?;
    Some((low, high))
}
