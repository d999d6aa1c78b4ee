//! Checking, pruning, locks and leftovers.

use std::time::Duration;

use kiln_oci::{DiffId, Digest};
use kiln_store::{Error, Problem, PruneOptions, Repair, Store};

use crate::support::{TestStore, add_layer, name, staged, tar};

fn check(store: &Store, repair: bool) -> Vec<(Problem, Repair)> {
    store.check(repair).unwrap().problems
}

#[test]
fn check_finds_and_removes_a_corrupted_layer_and_what_stands_on_it() {
    let test = TestStore::new();
    let (bad, good) = (
        add_layer(&test.store, "a", b"content"),
        add_layer(&test.store, "b", b"content"),
    );
    test.store
        .record(&Digest::of(b"step"), Some(bad.diff_id), "RUN")
        .unwrap();
    let id = test.image(&[bad.diff_id, good.diff_id], "1");
    test.store.tag(&name("app"), id).unwrap();
    let mut bytes = std::fs::read(&bad.tar_path).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&bad.tar_path, bytes).unwrap();
    let problems = [
        Problem::LayerDamaged {
            diff_id: bad.diff_id,
        },
        Problem::ImageIncomplete {
            id: id.0,
            names: vec![name("app:latest")],
        },
    ];
    assert_eq!(
        check(&test.store, false),
        problems.clone().map(|problem| (problem, Repair::None))
    );
    assert_eq!(
        check(&test.store, true),
        problems.map(|problem| (problem, Repair::Removed))
    );
    assert!(check(&test.store, false).is_empty());
    assert!(!test.store.has_layer(bad.diff_id).unwrap());
    assert!(test.store.has_layer(good.diff_id).unwrap());
    assert_eq!(test.store.lookup(&Digest::of(b"step")).unwrap(), None);
}

#[test]
fn check_rebuilds_a_damaged_index() {
    let test = TestStore::new();
    let layer = add_layer(&test.store, "a", b"content");
    let sound = std::fs::read(&layer.index_path).unwrap();
    std::fs::write(&layer.index_path, b"damaged").unwrap();
    let expected = Problem::IndexDamaged {
        diff_id: layer.diff_id,
    };
    assert_eq!(check(&test.store, true), [(expected, Repair::Rebuilt)]);
    assert_eq!(std::fs::read(&layer.index_path).unwrap(), sound);
}

#[test]
fn index_that_does_not_parse_is_made_anew_when_it_is_read() {
    let test = TestStore::new();
    let layer = add_layer(&test.store, "a", b"content");
    let sound = std::fs::read(&layer.index_path).unwrap();
    for damage in [Some(&b"damaged"[..]), None] {
        match damage {
            Some(bytes) => std::fs::write(&layer.index_path, bytes).unwrap(),
            None => std::fs::remove_file(&layer.index_path).unwrap(),
        }
        let index = test.reopened().read_index(layer.diff_id).unwrap();
        assert!(index.lookup(index.root(), b"a").unwrap().is_some());
        assert_eq!(std::fs::read(&layer.index_path).unwrap(), sound);
    }
    assert!(staged(test.root()).is_empty());
}

#[test]
fn check_reports_missing_adopts_unrecorded_and_removes_strays() {
    let test = TestStore::new();
    let (gone, unrecorded) = (
        add_layer(&test.store, "a", b"1"),
        add_layer(&test.store, "b", b"2"),
    );
    std::fs::remove_dir_all(gone.tar_path.parent().unwrap()).unwrap();
    let database = rusqlite::Connection::open(test.root().join("kiln.db")).unwrap();
    let id = unrecorded.diff_id.0;
    database
        .execute(
            "DELETE FROM layers WHERE diff_id = ?1",
            [&id.as_bytes()[..]],
        )
        .unwrap();
    let blob = Digest::of(b"whole").hex();
    std::fs::write(test.root().join("blobs/sha256").join(&blob), b"whole").unwrap();
    std::fs::write(test.root().join("layers/sha256/stray"), b"?").unwrap();
    let looked = test.store.check(false).unwrap();
    assert_eq!((looked.problems.len(), looked.unfinished), (2, 2));
    let mut found = check(&test.store, true);
    found.sort_by_key(|(problem, _)| format!("{problem:?}"));
    assert_eq!(
        found,
        [
            (
                Problem::LayerMissing {
                    diff_id: gone.diff_id
                },
                Repair::Removed
            ),
            (
                Problem::LayerUnrecorded {
                    diff_id: unrecorded.diff_id
                },
                Repair::Adopted
            ),
            (Problem::Stray { name: blob }, Repair::Removed),
            (
                Problem::Stray {
                    name: "stray".into()
                },
                Repair::Removed
            ),
        ]
    );
    assert!(test.store.has_layer(unrecorded.diff_id).unwrap());
    assert!(check(&test.store, false).is_empty());
}

#[test]
fn prune_removes_dangling_images_and_unused_layers_only() {
    let test = TestStore::new();
    let layers: Vec<DiffId> = (0..4u8)
        .map(|number| add_layer(&test.store, "a", &[number]).diff_id)
        .collect();
    let named = test.image(&layers[..1], "named");
    test.store.tag(&name("app"), named).unwrap();
    let dangling = test.image(&layers[..2], "dangling");
    test.store
        .record(&Digest::of(b"step"), Some(layers[2]), "RUN")
        .unwrap();
    let before = test.store.df().unwrap();
    let pruned = test.store.prune(&PruneOptions::default()).unwrap();
    assert_eq!(pruned.images, [dangling]);
    let mut removed = pruned.layers.clone();
    removed.sort();
    let mut expected = vec![layers[1], layers[3]];
    expected.sort();
    assert_eq!(removed, expected);
    let after = test.store.df().unwrap();
    let held = |usage: kiln_store::Usage| usage.images.bytes + usage.build_cache.bytes;
    assert_eq!(pruned.bytes, held(before) - held(after));
    assert!(test.store.has_layer(layers[0]).unwrap() && test.store.has_layer(layers[2]).unwrap());
    assert!(check(&test.store, false).is_empty());
}

#[test]
fn prune_of_the_whole_cache_keeps_named_images() {
    let test = TestStore::new();
    let (kept, cached) = (
        add_layer(&test.store, "a", b"1"),
        add_layer(&test.store, "b", b"2"),
    );
    let id = test.image(&[kept.diff_id], "1");
    test.store.tag(&name("app"), id).unwrap();
    for layer in [&kept, &cached] {
        test.store
            .record(&layer.diff_id.0, Some(layer.diff_id), "RUN")
            .unwrap();
    }
    let options = PruneOptions {
        cache_unused_for: Some(Duration::from_secs(3600)),
        ..PruneOptions::default()
    };
    assert_eq!(test.store.prune(&options).unwrap().cache_records, 0);
    let options = PruneOptions {
        cache_unused_for: Some(Duration::ZERO),
        ..PruneOptions::default()
    };
    let pruned = test.store.prune(&options).unwrap();
    assert_eq!(
        (pruned.cache_records, pruned.layers),
        (2, vec![cached.diff_id])
    );
    let options = PruneOptions {
        named_images: true,
        ..PruneOptions::default()
    };
    assert_eq!(test.store.prune(&options).unwrap().images, [id]);
    assert!(!test.store.has_layer(kept.diff_id).unwrap());
}

#[test]
fn cap_evicts_the_cache_and_never_a_named_image() {
    let test = TestStore::new();
    let content: Vec<u8> = (0..300_000u32).map(|number| number as u8 | 1).collect();
    let kept = add_layer(&test.store, "kept", &content);
    test.store
        .tag(&name("app"), test.image(&[kept.diff_id], "1"))
        .unwrap();
    for step in 0..10 {
        let layer = add_layer(&test.store, &format!("file{step}"), &content);
        test.store
            .record(&layer.diff_id.0, Some(layer.diff_id), "RUN")
            .unwrap();
    }
    let cap = test.store.df().unwrap().total() - 1_000_000;
    let pruned = test
        .store
        .prune(&PruneOptions {
            cap: Some(cap),
            ..PruneOptions::default()
        })
        .unwrap();
    assert_eq!(pruned.cache_records, 4);
    assert!(test.store.df().unwrap().total() <= cap);
    test.store
        .prune(&PruneOptions {
            cap: Some(0),
            ..PruneOptions::default()
        })
        .unwrap();
    assert!(test.store.has_layer(kept.diff_id).unwrap());
}

#[test]
fn removal_and_builds_exclude_each_other_and_name_the_holder() {
    let test = TestStore::new();
    let build = test.reopened();
    build.set_purpose("build -t app .");
    let lease = build.lease().unwrap();
    let second = test.reopened().lease().unwrap();
    let Err(Error::LockBusy { holders }) = test.store.prune(&PruneOptions::default()) else {
        panic!("pruned")
    };
    let mut purposes: Vec<&str> = holders
        .iter()
        .map(|holder| holder.purpose.as_str())
        .collect();
    purposes.sort_unstable();
    assert_eq!(
        purposes,
        ["build -t app .", "kiln"],
        "the pruner itself is not among them"
    );
    assert!(
        holders
            .iter()
            .all(|holder| holder.pid == std::process::id())
    );
    assert!(matches!(
        test.store.check(true),
        Err(Error::LockBusy { .. })
    ));
    assert!(test.store.check(false).is_ok());
    drop((lease, second));
    test.store.prune(&PruneOptions::default()).unwrap();
}

#[test]
fn blobs_are_kept_checked_and_pruned() {
    let test = TestStore::new();
    let layer = add_layer(&test.store, "a", b"content");
    let blob = test
        .store
        .put_blob(&b"compressed"[..], None, 1 << 20)
        .unwrap();
    test.store
        .remember_compressed(layer.diff_id, "gzip", &blob)
        .unwrap();
    assert_eq!(
        test.reopened().compressed(layer.diff_id, "gzip").unwrap(),
        Some(blob)
    );
    assert_eq!(test.store.compressed(layer.diff_id, "zstd").unwrap(), None);
    assert_eq!(test.store.open_blob(&blob).unwrap().1, 10);
    let wrong = test.store.put_blob(&b"x"[..], Some(blob), 10).unwrap_err();
    assert!(matches!(wrong, Error::DigestMismatch { .. }));
    assert!(test.store.put_blob(&[0u8; 11][..], None, 10).is_err());
    let path = test.root().join("blobs/sha256").join(blob.hex());
    std::fs::write(&path, b"damaged").unwrap();
    assert_eq!(
        check(&test.store, true),
        [(Problem::BlobDamaged { digest: blob }, Repair::Removed)]
    );
    assert_eq!(test.store.compressed(layer.diff_id, "gzip").unwrap(), None);
    assert!(matches!(
        test.store.open_blob(&blob),
        Err(Error::MissingBlob { .. })
    ));
    let unreferenced = test
        .store
        .put_blob(&b"unreferenced"[..], None, 100)
        .unwrap();
    assert_eq!(test.store.prune(&PruneOptions::default()).unwrap().blobs, 1);
    assert!(test.store.open_blob(&unreferenced).is_err());
}

#[test]
fn prune_removes_stale_logs_and_on_demand_what_is_remembered() {
    let test = TestStore::new();
    let (old, new) = (test.store.log_file("old"), test.store.log_file("new"));
    let index = test.store.stat_index_path(std::path::Path::new("/project"));
    for path in [&old, &new, &index] {
        std::fs::write(path, b"x").unwrap();
    }
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(40 * 24 * 3600);
    for path in [&old, &index] {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(long_ago).unwrap();
    }
    let remembered = test.store.cache_dir().unwrap().join("template");
    std::fs::write(&remembered, b"x").unwrap();
    test.store.prune(&PruneOptions::default()).unwrap();
    assert_eq!(
        [&old, &new, &index, &remembered].map(|path| path.exists()),
        [false, true, false, true]
    );
    let options = PruneOptions {
        blobs: true,
        ..PruneOptions::default()
    };
    test.store.prune(&options).unwrap();
    assert!(!remembered.exists());
    assert!(test.store.cache_dir().unwrap().is_dir());
}

#[test]
fn temporary_files_vanish_with_their_value_and_store() {
    let test = TestStore::new();
    let store = test.reopened();
    let temp = store.tmp_file().unwrap();
    std::fs::write(store.run_dir().unwrap().join("scratch"), b"x").unwrap();
    assert_eq!(staged(test.root()).len(), 2);
    drop(temp);
    assert_eq!(staged(test.root()).len(), 1);
    drop(store);
    assert!(
        std::fs::read_dir(test.root().join("run"))
            .unwrap()
            .next()
            .is_none()
    );
}

#[test]
fn usage_counts_every_byte_once() {
    let test = TestStore::new();
    let shared = add_layer(&test.store, "a", &[1; 100_000]);
    let cached = add_layer(&test.store, "b", &[1; 50_000]);
    for created in ["1", "2"] {
        let id = test.image(&[shared.diff_id], created);
        test.store
            .tag(&name(&format!("app:{created}")), id)
            .unwrap();
    }
    test.store
        .record(&Digest::of(b"a"), Some(shared.diff_id), "")
        .unwrap();
    test.store
        .record(&Digest::of(b"b"), Some(cached.diff_id), "")
        .unwrap();
    let usage = test.store.df().unwrap();
    assert_eq!((usage.images.count, usage.build_cache.count), (2, 2));
    assert!(
        (100_000..150_000).contains(&usage.images.bytes),
        "{usage:?}"
    );
    assert!(
        (50_000..100_000).contains(&usage.build_cache.bytes),
        "{usage:?}"
    );
    assert_eq!(usage.images.reclaimable, 0);
    assert_eq!(usage.build_cache.reclaimable, usage.build_cache.bytes);
}

#[test]
fn log_names_cannot_leave_the_folder() {
    let test = TestStore::new();
    let path = test.store.log_file("../../etc/passwd");
    assert_eq!(path, test.root().join("logs/etcpasswd.log"));
}

#[test]
fn stored_tar_is_the_one_given() {
    let test = TestStore::new();
    let layer = add_layer(&test.store, "a", b"x");
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(
        &mut test.store.open_layer_tar(layer.diff_id).unwrap(),
        &mut bytes,
    )
    .unwrap();
    assert_eq!(bytes, tar(&[("a", b"x")]));
}
