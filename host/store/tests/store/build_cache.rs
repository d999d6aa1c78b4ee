//! Step results.

use kiln_oci::{DiffId, Digest};
use kiln_store::Error;

use crate::support::{TestStore, add_layer};

fn key(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

#[test]
fn recorded_result_is_found_by_any_process() {
    let test = TestStore::new();
    let layer = add_layer(&test.store, "a", b"a");
    test.store
        .record(&key("run"), Some(layer.diff_id), "RUN make")
        .unwrap();
    test.store.record(&key("empty"), None, "RUN true").unwrap();
    let other = test.reopened();
    let hit = other.lookup(&key("run")).unwrap().unwrap();
    assert_eq!(hit.diff_id, Some(layer.diff_id));
    assert_eq!(hit.note, "RUN make");
    assert!(hit.created.elapsed().unwrap().as_secs() < 60);
    assert_eq!(other.lookup(&key("empty")).unwrap().unwrap().diff_id, None);
    assert_eq!(other.lookup(&key("else")).unwrap(), None);
}

#[test]
fn newest_result_under_a_key_wins() {
    let test = TestStore::new();
    let (old, new) = (
        add_layer(&test.store, "a", b"1"),
        add_layer(&test.store, "a", b"2"),
    );
    test.store
        .record(&key("run"), Some(old.diff_id), "old")
        .unwrap();
    test.store
        .record(&key("run"), Some(new.diff_id), "new")
        .unwrap();
    assert_eq!(
        test.store.lookup(&key("run")).unwrap().unwrap().diff_id,
        Some(new.diff_id)
    );
}

#[test]
fn result_without_its_layer_cannot_be_recorded() {
    let test = TestStore::new();
    let missing = DiffId(key("missing"));
    assert!(matches!(
        test.store.record(&key("run"), Some(missing), ""),
        Err(Error::MissingLayer { .. })
    ));
}
