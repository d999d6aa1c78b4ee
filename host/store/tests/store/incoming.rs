//! Layers from outside.

use std::io::Read;

use kiln_layer::Limits;
use kiln_oci::{DiffId, Digest};
use kiln_store::{Error, IngestLimits};

use crate::support::{TestStore, add_layer, staged, tar};

fn limits() -> IngestLimits {
    IngestLimits::default()
}

#[test]
fn ingested_layer_equals_the_one_made_here() {
    let test = TestStore::new();
    let bytes = tar(&[("a", b"content"), ("b", &[7; 100_000])]);
    let record = test.store.ingest_layer(&bytes[..], None, limits()).unwrap();
    assert_eq!(record.diff_id.0, Digest::of(&bytes));
    assert_eq!(std::fs::read(&record.tar_path).unwrap(), bytes);
    let other = TestStore::new();
    let made = add_layer(&other.store, "a", b"content");
    let taken = test
        .store
        .ingest_layer(&tar(&[("a", b"content")])[..], Some(made.diff_id), limits())
        .unwrap();
    assert_eq!(
        std::fs::read(taken.index_path).unwrap(),
        std::fs::read(made.index_path).unwrap()
    );
}

#[test]
fn bytes_behind_the_end_marker_belong_to_the_layer() {
    let test = TestStore::new();
    let mut bytes = tar(&[("a", b"content")]);
    bytes.resize(20 * 512, 0);
    let record = test
        .store
        .ingest_layer(&bytes[..], Some(DiffId(Digest::of(&bytes))), limits())
        .unwrap();
    assert_eq!(record.tar_size, 20 * 512);
    assert!(test.store.check(false).unwrap().problems.is_empty());
}

#[test]
fn wrong_digest_is_refused_and_leaves_nothing() {
    let test = TestStore::new();
    let expected = DiffId(Digest::of(b"other"));
    let error = test
        .store
        .ingest_layer(&tar(&[("a", b"")])[..], Some(expected), limits())
        .unwrap_err();
    assert!(
        matches!(error, Error::DigestMismatch { expected: wanted, .. } if wanted == expected.0)
    );
    assert!(staged(test.root()).is_empty());
}

#[test]
fn bad_tars_are_refused_with_a_typed_error() {
    let test = TestStore::new();
    let whole = tar(&[("a", &[1; 5000])]);
    for bytes in [
        &b"not a tar at all"[..],
        &[b'x'; 4096],
        &whole[..3000],
        &tar(&[("../up", b"")]),
    ] {
        let error = test.store.ingest_layer(bytes, None, limits()).unwrap_err();
        assert!(matches!(error, Error::Tar(_)), "{error:?}");
    }
    assert!(staged(test.root()).is_empty());
}

#[test]
fn limits_hold_for_bytes_holes_and_entries() {
    let test = TestStore::new();
    let bytes = tar(&[("a", &[1; 700_000]), ("b", b"")]);
    let small = IngestLimits {
        bytes: 500_000,
        ..limits()
    };
    let error = test
        .store
        .ingest_layer(&bytes[..], None, small)
        .unwrap_err();
    assert!(
        matches!(error, Error::LayerTooLarge { limit: 500_000 }),
        "{error:?}"
    );
    let one = Limits {
        entries: 1,
        ..Limits::default()
    };
    assert!(matches!(
        test.store.ingest_layer(&bytes[..], None, one).unwrap_err(),
        Error::Tar(_)
    ));
    let mut sink = test.store.begin_ingest(small).unwrap();
    let pushed = sink
        .write_zeros(u64::MAX)
        .and_then(|()| sink.write_zeros(1))
        .and_then(|()| sink.finish(None).map(drop));
    assert!(matches!(pushed.unwrap_err(), Error::LayerTooLarge { .. }));
    assert!(staged(test.root()).is_empty());
}

#[test]
fn failing_source_is_told_apart_from_a_bad_tar() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    let test = TestStore::new();
    let bytes = tar(&[("a", &[1; 700_000])]);
    let error = test
        .store
        .ingest_layer(bytes[..600_000].chain(Broken), None, limits())
        .unwrap_err();
    assert!(matches!(error, Error::Incoming(_)), "{error:?}");
}

#[test]
fn pushed_layer_with_holes_is_hashed_whole_and_stored_sparse() {
    let test = TestStore::new();
    let hole = 64usize << 20;
    let content = [vec![1u8; 1000], vec![0; hole], vec![2; 24]].concat();
    let bytes = tar(&[("big", &content)]);
    let start = 512 + 1000;
    let mut sink = test.store.begin_ingest(limits()).unwrap();
    for piece in bytes[..start].chunks(100) {
        sink.write(piece).unwrap();
    }
    sink.write_zeros(hole as u64).unwrap();
    sink.write(&bytes[start + hole..]).unwrap();
    let record = sink.finish(Some(DiffId(Digest::of(&bytes)))).unwrap();
    assert!(std::fs::read(&record.tar_path).unwrap() == bytes);
    let room = test.store.df().unwrap().total();
    assert!(!cfg!(unix) || room < 8 << 20, "{room} bytes on disk");
}

#[test]
fn sink_that_is_dropped_leaves_nothing() {
    let test = TestStore::new();
    let mut sink = test.store.begin_ingest(limits()).unwrap();
    sink.write(&tar(&[("a", b"content")])).unwrap();
    drop(sink);
    assert!(staged(test.root()).is_empty());
    assert_eq!(test.store.df().unwrap().build_cache.bytes, 0);
}

#[test]
fn sink_reports_a_bad_tar_at_the_latest_when_it_ends() {
    let test = TestStore::new();
    let mut sink = test.store.begin_ingest(limits()).unwrap();
    let mut pushed = Ok(());
    for _ in 0..100 {
        pushed = pushed.and_then(|()| sink.write(&[b'x'; 100_000]));
    }
    let error = pushed
        .and_then(|()| sink.finish(None).map(drop))
        .unwrap_err();
    assert!(matches!(error, Error::Tar(_)), "{error:?}");
}
