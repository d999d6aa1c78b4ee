//! The SQLite database: opening it, its schema and how the schema grows.
//!
//! Invariant: migrations are only ever appended; a store of version N has the first N of them applied, in
//! order, each in one transaction. Rows say what exists and why; the bytes are in files. A row is written
//! after its files are durable, so losing the newest rows in a power cut loses no more than work.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kiln_oci::{DiffId, Digest};
use rusqlite::config::DbConfig;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use crate::error::{Error, Result};

/// Longest wait for another process's transaction; all of them are short.
const BUSY_TIMEOUT: Duration = Duration::from_secs(20);

/// Append only. Times are seconds since 1970, digests are 32 raw bytes.
const MIGRATIONS: &[&str] = &["
CREATE TABLE layers (
    diff_id    BLOB PRIMARY KEY,
    tar_size   INTEGER NOT NULL,
    index_size INTEGER NOT NULL,
    created    INTEGER NOT NULL
) WITHOUT ROWID;

-- Results of steps. A row without a layer records a step that changed nothing.
CREATE TABLE cache (
    key       BLOB PRIMARY KEY,
    diff_id   BLOB,
    note      TEXT NOT NULL,
    created   INTEGER NOT NULL,
    last_used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX cache_by_layer ON cache (diff_id);
CREATE INDEX cache_by_use ON cache (last_used);

CREATE TABLE images (
    id     BLOB PRIMARY KEY,
    config BLOB NOT NULL,
    stored INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE image_layers (
    image_id BLOB NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    diff_id  BLOB NOT NULL,
    PRIMARY KEY (image_id, position)
) WITHOUT ROWID;
CREATE INDEX image_layers_by_layer ON image_layers (diff_id);

CREATE TABLE names (
    name     TEXT PRIMARY KEY,
    image_id BLOB NOT NULL REFERENCES images (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX names_by_image ON names (image_id);

CREATE TABLE blobs (
    digest    BLOB PRIMARY KEY,
    size      INTEGER NOT NULL,
    last_used INTEGER NOT NULL
) WITHOUT ROWID;

-- What compressing a layer gave, so that it is done once.
CREATE TABLE compressed (
    diff_id   BLOB NOT NULL,
    algorithm TEXT NOT NULL,
    digest    BLOB NOT NULL,
    PRIMARY KEY (diff_id, algorithm)
) WITHOUT ROWID;
CREATE INDEX compressed_by_blob ON compressed (digest);
"];

/// Opens the database, making or upgrading it where needed.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // In WAL mode this syncs at checkpoints only: a power cut may lose the newest rows, never the file.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    // The next writer checkpoints; a process that only reads shall not pay for it when it ends.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let supported = MIGRATIONS.len() as u32;
    let found = version(&connection)?;
    if found > supported {
        return Err(Error::NewerStore {
            path: path.to_owned(),
            found,
            supported,
        });
    }
    if found < supported {
        migrate(&mut connection)?;
    }
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn version(connection: &Connection) -> Result<u32> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

fn migrate(connection: &mut Connection) -> Result<()> {
    switch_to_wal(connection)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    let done = version(&transaction)? as usize;
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as u32)?;
    Ok(transaction.commit()?)
}

/// SQLite does not wait for others when it changes the mode: with several processes creating the store at
/// once, that is done here.
fn switch_to_wal(connection: &Connection) -> Result<()> {
    let end = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if is_busy(&error) && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => return Ok(done?),
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Now, as the database writes times.
pub(crate) fn now() -> i64 {
    seconds(SystemTime::now())
}

/// A time, as the database writes it.
pub(crate) fn seconds(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |age| age.as_secs().try_into().unwrap_or(i64::MAX))
}

/// A time read from the database.
pub(crate) fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs())
}

/// A digest as a column.
#[derive(Clone, Copy)]
pub(crate) struct Column(pub Digest);

impl ToSql for Column {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Blob(self.0.as_bytes())))
    }
}

impl FromSql for Column {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?;
        let bytes = bytes
            .try_into()
            .map_err(|_| FromSqlError::InvalidBlobSize {
                expected_size: 32,
                blob_size: bytes.len(),
            })?;
        Ok(Column(Digest::from_bytes(bytes)))
    }
}

impl From<DiffId> for Column {
    fn from(diff_id: DiffId) -> Column {
        Column(diff_id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn store_of_a_newer_version_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        open(&path)
            .unwrap()
            .pragma_update(None, "user_version", 99)
            .unwrap();
        assert!(matches!(
            open(&path),
            Err(Error::NewerStore { found: 99, .. })
        ));
    }

    #[test]
    fn many_processes_may_create_the_store_at_once() {
        for _ in 0..10 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("db");
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| open(&path).unwrap());
                }
            });
            let version = version(&open(&path).unwrap()).unwrap();
            assert_eq!(version, MIGRATIONS.len() as u32);
        }
    }
}
