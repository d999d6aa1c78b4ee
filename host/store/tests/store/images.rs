//! Images, names and references.

use kiln_oci::{DiffId, Digest, ImageConfig};
use kiln_store::{Error, ImageId};

use crate::support::{TestStore, add_layer, name};

fn familiar(names: &[kiln_oci::ImageName]) -> Vec<String> {
    names.iter().map(kiln_oci::ImageName::familiar).collect()
}

#[test]
fn image_is_found_by_name_id_and_prefix() {
    let test = TestStore::new();
    let layer = add_layer(&test.store, "a", b"a");
    let id = test.image(&[layer.diff_id], "2024-01-01T00:00:00Z");
    test.store.tag(&name("app"), id).unwrap();
    for reference in [
        "app".to_owned(),
        "app:latest".to_owned(),
        "docker.io/library/app".to_owned(),
        id.0.to_string(),
        id.0.hex(),
        id.0.short(),
        format!("sha256:{}", &id.0.hex()[..5]),
    ] {
        let record = test.store.resolve(&reference).unwrap();
        assert_eq!(record.id, id, "{reference}");
        assert_eq!(familiar(&record.names), ["app:latest"]);
        assert_eq!(record.size, layer.tar_size);
        assert_eq!(record.created.as_deref(), Some("2024-01-01T00:00:00Z"));
    }
    for reference in ["other", "app:2", "", "zz", "sha256:", &"0".repeat(64)] {
        assert!(
            matches!(
                test.store.resolve(reference),
                Err(Error::NoSuchImage { .. })
            ),
            "{reference}"
        );
    }
}

#[test]
fn name_wins_over_the_start_of_an_id() {
    let test = TestStore::new();
    let (first, second) = (test.image(&[], "1"), test.image(&[], "2"));
    let prefix = first.0.hex()[..6].to_owned();
    test.store.tag(&name(&prefix), second).unwrap();
    assert_eq!(test.store.resolve(&prefix).unwrap().id, second);
}

#[test]
fn ambiguous_prefix_is_refused() {
    let test = TestStore::new();
    let ids: Vec<String> = (0..40)
        .map(|number| test.image(&[], &number.to_string()).0.hex())
        .collect();
    let shared = ids
        .iter()
        .map(|id| &id[..1])
        .find(|start| ids.iter().filter(|id| id.starts_with(start)).count() > 1);
    assert!(matches!(
        test.store.resolve(shared.unwrap()),
        Err(Error::AmbiguousId { .. })
    ));
}

#[test]
fn tag_moves_a_name_and_tells_whose_it_was() {
    let test = TestStore::new();
    let (first, second) = (test.image(&[], "1"), test.image(&[], "2"));
    assert_eq!(test.store.tag(&name("app"), first).unwrap(), None);
    assert_eq!(test.store.tag(&name("app"), first).unwrap(), None);
    assert_eq!(
        test.store.tag(&name("app:latest"), second).unwrap(),
        Some(first)
    );
    assert!(test.store.image(first).unwrap().names.is_empty());
    let missing = ImageId(Digest::of(b"?"));
    assert!(matches!(
        test.store.tag(&name("x"), missing),
        Err(Error::NoSuchImage { .. })
    ));
}

#[test]
fn image_needs_its_layers() {
    let test = TestStore::new();
    let mut config = ImageConfig::default();
    config.rootfs.diff_ids.push(DiffId(Digest::of(b"missing")));
    assert!(matches!(
        test.store.put_image(&config),
        Err(Error::MissingLayer { .. })
    ));
    assert!(test.store.list().unwrap().is_empty());
}

#[test]
fn config_from_outside_keeps_its_bytes_and_id() {
    let test = TestStore::new();
    let json = br#"{ "os":"linux", "architecture":"amd64", "unknown": 1, "rootfs":{"diff_ids":[],"type":"layers"}}"#;
    let id = test.store.put_image_bytes(json).unwrap();
    assert_eq!(id.0, Digest::of(json));
    assert_eq!(test.store.config_bytes(id).unwrap(), json);
    assert_eq!(test.store.config(id).unwrap().os, "linux");
}

#[test]
fn same_image_twice_is_one() {
    let test = TestStore::new();
    assert_eq!(test.image(&[], "1"), test.image(&[], "1"));
    assert_eq!(test.store.list().unwrap().len(), 1);
}

#[test]
fn removing_one_of_several_names_keeps_the_image() {
    let test = TestStore::new();
    let layer = add_layer(&test.store, "a", b"a");
    let id = test.image(&[layer.diff_id], "1");
    test.store.tag(&name("a"), id).unwrap();
    test.store.tag(&name("b:1"), id).unwrap();
    let error = test.store.remove_image(&id.0.short(), false).unwrap_err();
    assert!(
        matches!(error, Error::NamedSeveralTimes { names, .. } if names == ["a:latest", "b:1"])
    );
    let removed = test.store.remove_image("b:1", false).unwrap();
    assert_eq!(
        (familiar(&removed.untagged), removed.deleted),
        (vec!["b:1".to_owned()], None)
    );
    let removed = test.store.remove_image("a", false).unwrap();
    assert_eq!(removed.deleted, Some(id));
    assert_eq!(removed.layers, [layer.diff_id]);
    assert!(removed.bytes >= layer.tar_size);
    assert!(!layer.tar_path.exists());
    assert!(matches!(
        test.store.remove_image("a", false),
        Err(Error::NoSuchImage { .. })
    ));
}

#[test]
fn forced_removal_by_id_takes_all_names() {
    let test = TestStore::new();
    let id = test.image(&[], "1");
    test.store.tag(&name("a"), id).unwrap();
    test.store.tag(&name("b"), id).unwrap();
    let removed = test.store.remove_image(&id.0.to_string(), true).unwrap();
    assert_eq!(removed.untagged.len(), 2);
    assert!(test.store.list().unwrap().is_empty());
}

#[test]
fn layers_of_a_removed_image_stay_while_a_build_or_the_cache_needs_them() {
    let test = TestStore::new();
    let (used, cached) = (
        add_layer(&test.store, "a", b"a"),
        add_layer(&test.store, "b", b"b"),
    );
    test.store
        .record(&Digest::of(b"step"), Some(cached.diff_id), "RUN")
        .unwrap();
    let id = test.image(&[used.diff_id, cached.diff_id], "1");
    let build = test.reopened();
    let lease = build.lease().unwrap();
    let removed = test.store.remove_image(&id.0.hex(), false).unwrap();
    assert_eq!((removed.deleted, removed.layers.len()), (Some(id), 0));
    assert!(used.tar_path.exists());
    drop(lease);
    let pruned = test
        .store
        .prune(&kiln_store::PruneOptions::default())
        .unwrap();
    assert_eq!(pruned.layers, [used.diff_id]);
    assert!(cached.tar_path.exists());
}

#[test]
fn pulled_name_with_digest_is_found_with_and_without_its_tag() {
    let test = TestStore::new();
    let id = test.image(&[], "1");
    let digest = Digest::of(b"manifest");
    test.store.tag(&name(&format!("app@{digest}")), id).unwrap();
    assert_eq!(test.store.resolve(&format!("app@{digest}")).unwrap().id, id);
    assert_eq!(
        test.store.resolve(&format!("app:1@{digest}")).unwrap().id,
        id
    );
    let error = test
        .store
        .tag(&name(&format!("app:1@{digest}")), id)
        .unwrap_err();
    assert!(matches!(error, Error::TagWithDigest { .. }));
    assert_eq!(
        test.store
            .remove_image(&format!("app:1@{digest}"), false)
            .unwrap()
            .deleted,
        Some(id)
    );
}
