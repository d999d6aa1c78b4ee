//! Stores in temporary folders, and layers to put into them.

use std::path::Path;

use kiln_layer::{Entry, Kind, TarWriter};
use kiln_oci::{DiffId, ImageConfig, ImageName};
use kiln_store::{ImageId, LayerRecord, Store};

/// A store that vanishes with the test.
pub struct TestStore {
    pub store: Store,
    _dir: tempfile::TempDir,
}

impl TestStore {
    pub fn new() -> TestStore {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("data")).unwrap();
        TestStore { store, _dir: dir }
    }

    pub fn root(&self) -> &Path {
        self.store.root()
    }

    /// Another process's view of the same store.
    pub fn reopened(&self) -> Store {
        Store::open(self.root()).unwrap()
    }

    pub fn image(&self, layers: &[DiffId], created: &str) -> ImageId {
        let mut config = ImageConfig {
            architecture: "amd64".into(),
            os: "linux".into(),
            ..ImageConfig::default()
        };
        config.created = Some(created.to_owned());
        config.rootfs.diff_ids = layers.to_vec();
        self.store.put_image(&config).unwrap()
    }
}

pub fn name(text: &str) -> ImageName {
    ImageName::parse(text).unwrap()
}

pub fn file(path: &str, size: usize) -> Entry {
    Entry::new(path, Kind::File { size: size as u64 }, 0o644)
}

/// A committed layer of one file.
pub fn add_layer(store: &Store, path: &str, content: &[u8]) -> LayerRecord {
    let mut layer = store.begin_layer().unwrap();
    layer
        .append(&file(path, content.len()), &mut &content[..])
        .unwrap();
    layer.commit().unwrap()
}

/// A tar of files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (path, content) in files {
        tar.append(&file(path, content.len()), &mut &content[..])
            .unwrap();
    }
    tar.finish().unwrap()
}

/// Everything below a folder, by relative path.
pub fn names_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.extend(
                names_below(&path)
                    .into_iter()
                    .map(|below| format!("{name}/{below}")),
            );
        }
        found.push(name);
    }
    found.sort();
    found
}

/// What is staged by live or dead processes.
pub fn staged(root: &Path) -> Vec<String> {
    names_below(&root.join("run"))
        .into_iter()
        .filter(|name| name.contains('/'))
        .collect()
}
