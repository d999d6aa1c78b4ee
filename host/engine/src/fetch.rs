//! Files that ADD takes from the network: fetched once into the store's staging folder, hashed on the way.

use std::io::{Read, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use kiln_oci::{Digest, Hasher};
use kiln_store::{Store, TempFile};

use crate::error::Cause;
use crate::http::HttpSettings;
use crate::request::Cancel;

/// Largest file that is fetched; the store would refuse a larger layer anyway.
const MAX_BYTES: u64 = 64 << 30;

/// A fetched file.
pub struct Fetched {
    /// Where its bytes are until this is dropped.
    pub file: TempFile,
    /// Digest of its bytes.
    pub digest: Digest,
    /// How many they are.
    pub size: u64,
    /// What the server says of its last change, in seconds since 1970.
    pub modified: Option<i64>,
    /// The name it gets in a folder: the last part of the URL's path.
    pub name: String,
}

/// Fetches `url` and checks it against `checksum`, if there is one.
pub fn fetch(
    store: &Store,
    http: &HttpSettings,
    url: &str,
    checksum: Option<&Digest>,
    cancel: &Cancel,
) -> Result<Fetched, Cause> {
    let refused = |reason: String| Cause::Fetch {
        url: url.to_owned(),
        reason,
    };
    let agent = http.agent(url)?;
    let mut response = agent
        .get(url)
        .call()
        .map_err(|error| refused(error.to_string()))?;
    let modified = response
        .headers()
        .get("last-modified")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| httpdate::parse_http_date(text).ok())
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok());
    let file = store.tmp_file()?;
    let mut body = response.body_mut().with_config().limit(MAX_BYTES).reader();
    let (digest, size) = copy(&mut body, &file, cancel, &refused)?;
    if let Some(expected) = checksum
        && *expected != digest
    {
        return Err(Cause::Checksum {
            url: url.to_owned(),
            expected: expected.to_string(),
            found: digest.to_string(),
        });
    }
    Ok(Fetched {
        file,
        digest,
        size,
        modified,
        name: file_name(url),
    })
}

fn copy(
    body: &mut dyn Read,
    file: &TempFile,
    cancel: &Cancel,
    refused: &dyn Fn(String) -> Cause,
) -> Result<(Digest, u64), Cause> {
    let mut out = &file.file;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut size = 0;
    loop {
        if cancel.is_cancelled() {
            return Err(Cause::Interrupted);
        }
        let count = body
            .read(&mut buffer)
            .map_err(|error| refused(error.to_string()))?;
        if count == 0 {
            return Ok((hasher.finish(), size));
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count])
            .map_err(|source| write_failed(file.path(), source))?;
        size += count as u64;
    }
}

fn write_failed(path: &Path, source: std::io::Error) -> Cause {
    Cause::Store(kiln_store::Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

/// The last part of a URL's path, or `download` where it has none.
fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    match path
        .split_once('/')
        .and_then(|(_, path)| path.rsplit('/').next())
    {
        Some(name) if !matches!(name, "" | "." | "..") => name.to_owned(),
        _ => "download".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_come_from_the_path_alone() {
        for (url, name) in [
            ("https://host/a/b.tar?x=/c#d", "b.tar"),
            ("https://host/a/", "download"),
            ("https://host", "download"),
            ("https://host/..", "download"),
        ] {
            assert_eq!(file_name(url), name);
        }
    }
}
