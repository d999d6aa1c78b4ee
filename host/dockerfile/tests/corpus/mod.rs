//! Finds the conformance corpus beside the repository; tests skip with a line where it is not there.

use std::path::PathBuf;

/// The folder `name` of the corpus, or `None` with a printed line.
pub fn folder(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/conformance")
        .join(name);
    if !path.is_dir() {
        println!("skipped: no conformance corpus at {}", path.display());
        return None;
    }
    Some(path)
}
