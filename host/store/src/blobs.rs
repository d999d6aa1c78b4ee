//! Blobs: compressed layers that were pulled or made, kept so that neither is done twice.
//!
//! Invariant: a file in `blobs/sha256/` is complete and named by its digest. Blobs can always be made or
//! fetched again, so they are the first to go when room is needed.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};

use kiln_oci::{DiffId, Digest, Hasher};
use kiln_platform::durable::sync_dir;
use rusqlite::{OptionalExtension, params};

use crate::database::{Column, now};
use crate::error::{Error, IoContext, Result};
use crate::lease::Lease;
use crate::store::{Store, TempFile};

const COPY_BUFFER_LEN: usize = 256 * 1024;

impl Store {
    /// Stores content; its digest must be `expected`, if given, and it may be `limit` bytes long at most.
    pub fn put_blob(
        &self,
        mut content: impl Read,
        expected: Option<Digest>,
        limit: u64,
    ) -> Result<Digest> {
        let _lease = Lease::shared(self)?;
        let mut staged = self.tmp_file()?;
        let path = staged.path().to_owned();
        let (found, size) = copy_hashed(&mut content, &mut staged, limit)?;
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(Error::DigestMismatch { expected, found });
        }
        staged.file.sync_all().at("sync", &path)?;
        // Same digest, same bytes: replacing a blob that is there changes nothing.
        let target = self.layout().blob(&found);
        fs::rename(&path, &target).at("create", &target)?;
        let parent = self.layout().blobs();
        sync_dir(&parent).at("sync", &parent)?;
        let insert = "INSERT INTO blobs (digest, size, last_used) VALUES (?1, ?2, ?3)
            ON CONFLICT (digest) DO UPDATE SET size = excluded.size, last_used = excluded.last_used";
        self.database()
            .execute(insert, params![Column(found), size, now()])?;
        Ok(found)
    }

    /// Opens a blob; gives its length too.
    pub fn open_blob(&self, digest: &Digest) -> Result<(File, u64)> {
        let path = self.layout().blob(digest);
        match File::open(&path) {
            Ok(file) => {
                let size = file.metadata().at("inspect", &path)?.len();
                Ok((file, size))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(Error::MissingBlob { digest: *digest })
            }
            Err(error) => Err(Error::io("open", &path, error)),
        }
    }

    /// The blob that compressing a layer gave before, if it is still there.
    pub fn compressed(&self, diff_id: DiffId, algorithm: &str) -> Result<Option<Digest>> {
        let query = "SELECT digest FROM compressed JOIN blobs USING (digest) WHERE diff_id = ?1 AND algorithm = ?2";
        let database = self.database();
        let mut query = database.prepare_cached(query)?;
        let found = query.query_row(params![Column::from(diff_id), algorithm], |row| {
            row.get::<_, Column>(0)
        });
        Ok(found.optional()?.map(|column| column.0))
    }

    /// Remembers which blob compressing a layer gave.
    pub fn remember_compressed(
        &self,
        diff_id: DiffId,
        algorithm: &str,
        blob: &Digest,
    ) -> Result<()> {
        let insert =
            "INSERT OR REPLACE INTO compressed (diff_id, algorithm, digest) VALUES (?1, ?2, ?3)";
        self.database().execute(
            insert,
            params![Column::from(diff_id), algorithm, Column(*blob)],
        )?;
        Ok(())
    }
}

/// Copies all of `content`; gives its digest and length.
fn copy_hashed(content: &mut impl Read, to: &mut TempFile, limit: u64) -> Result<(Digest, u64)> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; COPY_BUFFER_LEN];
    let mut size = 0u64;
    loop {
        let read = match content.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finish(), size)),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::Incoming(error)),
        };
        size += read as u64;
        if size > limit {
            return Err(Error::BlobTooLarge { limit });
        }
        hasher.update(&buffer[..read]);
        let written = to.file.write_all(&buffer[..read]);
        written.at("write", to.path())?;
    }
}
