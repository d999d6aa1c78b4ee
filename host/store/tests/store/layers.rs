//! Layers made on the host.

use kiln_layer::{Entry, Kind};
use kiln_oci::{DiffId, Digest};
use kiln_store::Error;

use crate::support::{TestStore, add_layer, file, names_below, staged, tar};

#[test]
fn committed_layer_has_tar_index_and_digest() {
    let test = TestStore::new();
    let record = add_layer(&test.store, "hello", b"hello\n");
    let bytes = std::fs::read(&record.tar_path).unwrap();
    assert_eq!(bytes, tar(&[("hello", b"hello\n")]));
    assert_eq!(record.diff_id, DiffId(Digest::of(&bytes)));
    assert_eq!(record.tar_size, bytes.len() as u64);
    assert_eq!(
        record.index_size,
        std::fs::metadata(&record.index_path).unwrap().len()
    );
    assert_eq!(test.reopened().layer(record.diff_id).unwrap(), record);
    let index = test.store.read_index(record.diff_id).unwrap();
    assert!(index.lookup(index.root(), b"hello").unwrap().is_some());
    assert!(test.store.check(false).unwrap().problems.is_empty());
}

#[test]
fn empty_layer_is_a_layer() {
    let test = TestStore::new();
    let record = test.store.begin_layer().unwrap().commit().unwrap();
    assert_eq!(record.tar_size, 1024);
    assert!(test.store.has_layer(record.diff_id).unwrap());
}

#[test]
fn dropped_layer_leaves_nothing() {
    let test = TestStore::new();
    let mut layer = test.store.begin_layer().unwrap();
    layer.append(&file("a", 3), &mut &b"abc"[..]).unwrap();
    assert_eq!(staged(test.root()).len(), 2);
    drop(layer);
    assert!(staged(test.root()).is_empty());
    assert!(
        names_below(&test.root().join("layers"))
            .iter()
            .all(|name| name == "sha256")
    );
}

#[test]
fn source_that_ends_early_fails_and_leaves_nothing() {
    let test = TestStore::new();
    let mut layer = test.store.begin_layer().unwrap();
    let error = layer.append(&file("a", 10), &mut &b"abc"[..]).unwrap_err();
    assert!(matches!(error, Error::Tar(_)), "{error:?}");
    drop(layer);
    assert!(staged(test.root()).is_empty());
}

#[test]
fn same_layer_twice_is_stored_once() {
    let test = TestStore::new();
    let first = add_layer(&test.store, "a", b"same");
    let before = std::fs::metadata(&first.tar_path)
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(add_layer(&test.store, "a", b"same"), first);
    assert_eq!(
        std::fs::metadata(&first.tar_path)
            .unwrap()
            .modified()
            .unwrap(),
        before
    );
    assert!(staged(test.root()).is_empty());
}

#[test]
fn many_threads_and_stores_commit_the_same_layer_at_once() {
    let test = TestStore::new();
    let content = vec![b'x'; 1 << 20];
    let records: Vec<_> = std::thread::scope(|scope| {
        let commit = || {
            let store = test.reopened();
            add_layer(&store, "big", &content)
        };
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(commit)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(records.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(test.store.check(false).unwrap().problems.is_empty());
}

#[test]
fn layer_whose_files_were_cut_is_replaced_by_the_next_commit() {
    let test = TestStore::new();
    let record = add_layer(&test.store, "a", b"content");
    std::fs::write(&record.tar_path, b"cut").unwrap();
    assert_eq!(add_layer(&test.store, "a", b"content"), record);
    assert_eq!(
        std::fs::read(&record.tar_path).unwrap(),
        tar(&[("a", b"content")])
    );
    assert!(test.store.check(false).unwrap().problems.is_empty());
}

#[test]
fn missing_layer_is_a_typed_error() {
    let test = TestStore::new();
    let diff_id = DiffId(Digest::of(b"nothing"));
    assert!(!test.store.has_layer(diff_id).unwrap());
    assert!(
        matches!(test.store.layer(diff_id), Err(Error::MissingLayer { diff_id: found }) if found == diff_id)
    );
    assert!(matches!(
        test.store.read_index(diff_id),
        Err(Error::MissingLayer { .. })
    ));
}

#[test]
fn layer_of_many_small_files_is_written_and_indexed() {
    let test = TestStore::new();
    let mut layer = test.store.begin_layer().unwrap();
    layer
        .append(&Entry::new("d", Kind::Dir, 0o755), &mut std::io::empty())
        .unwrap();
    for number in 0..2000 {
        let content = format!("file {number}");
        layer
            .append(
                &file(&format!("d/{number:05}"), content.len()),
                &mut content.as_bytes(),
            )
            .unwrap();
    }
    let record = layer.commit().unwrap();
    let index = test.store.read_index(record.diff_id).unwrap();
    let folder = index.lookup(index.root(), b"d").unwrap().unwrap();
    assert!(index.lookup(folder, b"01999").unwrap().is_some());
    assert!(index.lookup(folder, b"02000").unwrap().is_none());
}
