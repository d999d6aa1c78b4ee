//! The build cache: which result a step with a given key had.
//!
//! Looking up writes nothing; that a record was used is noted in memory and written when the store closes,
//! at most once an hour per record, so that a build with every step cached stays a read.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use kiln_oci::{DiffId, Digest};
use rusqlite::{Connection, OptionalExtension, params};

use crate::database::{Column, now, time};
use crate::error::{Error, Result};
use crate::store::Store;

/// How exactly the time of the last use is known. Eviction thinks in days.
const USE_RESOLUTION: Duration = Duration::from_secs(3600);

/// What a step gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheHit {
    /// Its layer; none if it changed nothing.
    pub diff_id: Option<DiffId>,
    /// When it was recorded.
    pub created: SystemTime,
    /// The step, in words, as it was recorded.
    pub note: String,
}

impl Store {
    /// The result recorded under `key`, provided that its layer is still there.
    pub fn lookup(&self, key: &Digest) -> Result<Option<CacheHit>> {
        let database = self.database();
        let mut query = database.prepare_cached(
            "SELECT diff_id, created, note, last_used FROM cache
             WHERE key = ?1 AND (diff_id IS NULL OR diff_id IN (SELECT diff_id FROM layers))",
        )?;
        let found = query.query_row([Column(*key)], |row| {
            let diff_id = row
                .get::<_, Option<Column>>(0)?
                .map(|column| DiffId(column.0));
            let hit = CacheHit {
                diff_id,
                created: time(row.get(1)?),
                note: row.get(2)?,
            };
            Ok((hit, row.get::<_, i64>(3)?))
        });
        let Some((hit, last_used)) = found.optional()? else {
            return Ok(None);
        };
        if last_used.saturating_add(USE_RESOLUTION.as_secs() as i64) < now() {
            self.used().insert(*key);
        }
        Ok(Some(hit))
    }

    /// Records the result of a step. The newest result under a key wins.
    pub fn record(&self, key: &Digest, diff_id: Option<DiffId>, note: &str) -> Result<()> {
        if let Some(diff_id) = diff_id
            && !self.has_layer(diff_id)?
        {
            return Err(Error::MissingLayer { diff_id });
        }
        let insert =
            "INSERT INTO cache (key, diff_id, note, created, last_used) VALUES (?1, ?2, ?3, ?4, ?4)
            ON CONFLICT (key) DO UPDATE SET diff_id = excluded.diff_id, note = excluded.note,
                created = excluded.created, last_used = excluded.last_used";
        let database = self.database();
        let mut insert = database.prepare_cached(insert)?;
        insert.execute(params![
            Column(*key),
            diff_id.map(Column::from),
            note,
            now()
        ])?;
        Ok(())
    }
}

/// Writes that records were used now.
pub(crate) fn mark_used(database: &mut Connection, keys: &HashSet<Digest>) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let transaction = database.transaction()?;
    for key in keys {
        let update = "UPDATE cache SET last_used = max(last_used, ?2) WHERE key = ?1";
        transaction
            .prepare_cached(update)?
            .execute(params![Column(*key), now()])?;
    }
    Ok(transaction.commit()?)
}
