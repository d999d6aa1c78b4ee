//! Images and their names.
//!
//! Invariant: an image row exists only with all of its layers recorded, and every name points at an image.
//! An image's config is kept byte for byte as it came, since its digest is the image's id.

use std::fmt;
use std::time::SystemTime;

use kiln_oci::{DiffId, Digest, ImageConfig, ImageName};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use crate::database::{Column, now, time};
use crate::error::{Error, Result};
use crate::store::Store;

/// An image's id: the digest of its config.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(pub Digest);

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An image in the store.
#[derive(Debug, Clone)]
pub struct ImageRecord {
    /// Its id.
    pub id: ImageId,
    /// Its names, sorted.
    pub names: Vec<ImageName>,
    /// When the image says it was made (RFC 3339).
    pub created: Option<String>,
    /// When it came into the store.
    pub stored: SystemTime,
    /// Bytes of all of its uncompressed layers.
    pub size: u64,
    /// Its config.
    pub config: ImageConfig,
}

impl Store {
    /// Stores an image made here. All of its layers must be in the store.
    pub fn put_image(&self, config: &ImageConfig) -> Result<ImageId> {
        self.put_image_bytes(&config.to_canonical_json())
    }

    /// Stores an image from outside, keeping its config as it is so that the id stays.
    pub fn put_image_bytes(&self, json: &[u8]) -> Result<ImageId> {
        let config = ImageConfig::parse(json)?;
        let id = ImageId(Digest::of(json));
        let mut database = self.database();
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let known = "INSERT INTO images (id, config, stored) VALUES (?1, ?2, ?3)
            ON CONFLICT (id) DO UPDATE SET stored = excluded.stored";
        transaction
            .prepare_cached(known)?
            .execute(params![Column(id.0), json, now()])?;
        for (position, diff_id) in config.rootfs.diff_ids.iter().enumerate() {
            let mut exists =
                transaction.prepare_cached("SELECT 1 FROM layers WHERE diff_id = ?1")?;
            if !exists.exists([Column::from(*diff_id)])? {
                return Err(Error::MissingLayer { diff_id: *diff_id });
            }
            let insert = "INSERT OR IGNORE INTO image_layers (image_id, position, diff_id) VALUES (?1, ?2, ?3)";
            let row = params![Column(id.0), position as i64, Column::from(*diff_id)];
            transaction.prepare_cached(insert)?.execute(row)?;
        }
        transaction.commit()?;
        Ok(id)
    }

    /// Points a name at an image, taking it from the image that had it; gives that image's id.
    pub fn tag(&self, name: &ImageName, id: ImageId) -> Result<Option<ImageId>> {
        let name = name.clone().with_default_tag();
        if name.digest.is_some() && name.tag.is_some() {
            return Err(Error::TagWithDigest {
                name: name.familiar(),
            });
        }
        let mut database = self.database();
        let transaction = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let text = name.to_string();
        let before = image_named(&transaction, &text)?;
        if !image_exists(&transaction, id)? {
            return Err(Error::NoSuchImage {
                reference: id.to_string(),
            });
        }
        let insert = "INSERT INTO names (name, image_id) VALUES (?1, ?2)
            ON CONFLICT (name) DO UPDATE SET image_id = excluded.image_id";
        transaction.execute(insert, params![text, Column(id.0)])?;
        transaction.commit()?;
        Ok(before.filter(|before| *before != id))
    }

    /// Takes a name away; the image stays. False if there was no such name.
    pub fn untag(&self, name: &ImageName) -> Result<bool> {
        let text = name.clone().with_default_tag().to_string();
        Ok(self
            .database()
            .execute("DELETE FROM names WHERE name = ?1", [text])?
            > 0)
    }

    /// All images, newest first.
    pub fn list(&self) -> Result<Vec<ImageRecord>> {
        let database = self.database();
        let mut query = database
            .prepare_cached("SELECT id, config, stored FROM images ORDER BY stored DESC, id")?;
        let rows = query
            .query_map([], image_row)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        rows.into_iter()
            .map(|row| complete(&database, row))
            .collect()
    }

    /// One image.
    pub fn image(&self, id: ImageId) -> Result<ImageRecord> {
        let database = self.database();
        let mut query =
            database.prepare_cached("SELECT id, config, stored FROM images WHERE id = ?1")?;
        let row = query.query_row([Column(id.0)], image_row).optional()?;
        complete(
            &database,
            row.ok_or_else(|| Error::NoSuchImage {
                reference: id.to_string(),
            })?,
        )
    }

    /// An image's config, parsed.
    pub fn config(&self, id: ImageId) -> Result<ImageConfig> {
        Ok(ImageConfig::parse(&self.config_bytes(id)?)?)
    }

    /// An image's config, as its digest covers it.
    pub fn config_bytes(&self, id: ImageId) -> Result<Vec<u8>> {
        let database = self.database();
        let mut query = database.prepare_cached("SELECT config FROM images WHERE id = ?1")?;
        let config = query
            .query_row([Column(id.0)], |row| row.get(0))
            .optional()?;
        config.ok_or_else(|| Error::NoSuchImage {
            reference: id.to_string(),
        })
    }
}

pub(crate) fn image_named(database: &Connection, name: &str) -> Result<Option<ImageId>> {
    let mut query = database.prepare_cached("SELECT image_id FROM names WHERE name = ?1")?;
    Ok(query
        .query_row([name], |row| Ok(ImageId(row.get::<_, Column>(0)?.0)))
        .optional()?)
}

pub(crate) fn image_exists(database: &Connection, id: ImageId) -> Result<bool> {
    Ok(database
        .prepare_cached("SELECT 1 FROM images WHERE id = ?1")?
        .exists([Column(id.0)])?)
}

pub(crate) fn names_of(database: &Connection, id: ImageId) -> Result<Vec<ImageName>> {
    let mut query =
        database.prepare_cached("SELECT name FROM names WHERE image_id = ?1 ORDER BY name")?;
    let names = query.query_map([Column(id.0)], |row| row.get::<_, String>(0))?;
    names.map(|name| Ok(ImageName::parse(&name?)?)).collect()
}

struct ImageRow {
    id: ImageId,
    config: Vec<u8>,
    stored: i64,
}

fn image_row(row: &Row<'_>) -> rusqlite::Result<ImageRow> {
    Ok(ImageRow {
        id: ImageId(row.get::<_, Column>(0)?.0),
        config: row.get(1)?,
        stored: row.get(2)?,
    })
}

fn complete(database: &Connection, row: ImageRow) -> Result<ImageRecord> {
    let config = ImageConfig::parse(&row.config)?;
    Ok(ImageRecord {
        id: row.id,
        names: names_of(database, row.id)?,
        created: config.created.clone(),
        stored: time(row.stored),
        size: size_of(database, &config.rootfs.diff_ids)?,
        config,
    })
}

fn size_of(database: &Connection, layers: &[DiffId]) -> Result<u64> {
    let mut query = database.prepare_cached("SELECT tar_size FROM layers WHERE diff_id = ?1")?;
    layers.iter().try_fold(0u64, |total, layer| {
        let size: Option<u64> = query
            .query_row([Column::from(*layer)], |row| row.get(0))
            .optional()?;
        Ok(total.saturating_add(size.unwrap_or(0)))
    })
}
