//! A store, a context and layers made by hand.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use kiln_context::{Context, Ignore};
use kiln_layer::{Entry, Kind};
use kiln_oci::DiffId;
use kiln_rootfs::{CopyError, CopyPlan, CopySource, CopySpec, MergedView, SourceTree, plan_copy};
use kiln_store::Store;

pub struct World {
    folder: tempfile::TempDir,
    pub store: Store,
    layers: RefCell<Vec<DiffId>>,
}

impl World {
    /// An image of one layer: `dir/`, `link -> target` or `file=content`, each optionally after `mode uid:gid `.
    pub fn new(image: &[&str]) -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data")).unwrap();
        std::fs::create_dir(folder.path().join("context")).unwrap();
        let world = World {
            folder,
            store,
            layers: RefCell::default(),
        };
        if !image.is_empty() {
            world.add_layer(image);
        }
        world
    }

    pub fn add_layer(&self, lines: &[&str]) {
        let mut writer = self.store.begin_layer().unwrap();
        for line in lines {
            let (entry, data) = parse(line);
            writer.append(&entry, &mut data.as_bytes()).unwrap();
        }
        self.layers
            .borrow_mut()
            .push(writer.commit().unwrap().diff_id);
    }

    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    pub fn view(&self) -> MergedView {
        MergedView::of_store(&self.store, &self.layers.borrow())
    }

    /// Put files into the context.
    pub fn context(&self, files: &[(&str, &str)]) -> &World {
        for (path, content) in files {
            let path = self.folder.path().join("context").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        self
    }

    pub fn tree(&self, ignore: &str) -> SourceTree {
        let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
        SourceTree::Context(Arc::new(Context::new(
            self.folder.path().join("context"),
            ignore,
        )))
    }

    /// Plan `COPY source… dest` from the context.
    pub fn plan(&self, sources: &[&str], dest: &str) -> Result<CopyPlan, CopyError> {
        self.plan_from(&self.tree(""), sources, spec(dest))
    }

    pub fn plan_from(
        &self,
        tree: &SourceTree,
        sources: &[&str],
        spec: CopySpec,
    ) -> Result<CopyPlan, CopyError> {
        let source = |path: &&str| CopySource::Path {
            tree: tree.clone(),
            path: path.as_bytes().to_vec(),
            unpack: false,
        };
        plan_copy(
            spec,
            sources.iter().map(source).collect(),
            &self.view(),
            self.scratch(),
        )
    }

    /// Write a plan as the image's next layer.
    pub fn commit(&self, plan: &CopyPlan) -> DiffId {
        let mut writer = self.store.begin_layer().unwrap();
        plan.write(&mut writer).unwrap();
        let diff_id = writer.commit().unwrap().diff_id;
        self.layers.borrow_mut().push(diff_id);
        diff_id
    }

    /// The text of a file of the image.
    pub fn read(&self, path: &str) -> Option<String> {
        let bytes = self.view().read_file(path.as_bytes(), 1 << 20).unwrap();
        bytes.map(|bytes| String::from_utf8(bytes).unwrap())
    }
}

pub fn spec(dest: &str) -> CopySpec {
    CopySpec {
        dest: dest.as_bytes().to_vec(),
        ..CopySpec::default()
    }
}

/// A plan's entries, one line each: path, kind, mode and owner.
pub fn lines(plan: &CopyPlan) -> Vec<String> {
    let line = |entry: &Entry| {
        let path = String::from_utf8_lossy(&entry.path);
        let show = |target: &[u8]| String::from_utf8_lossy(target).into_owned();
        let what = match &entry.kind {
            Kind::Dir => "/".to_owned(),
            Kind::Symlink { target } => format!(" -> {}", show(target)),
            Kind::Hardlink { target } => format!(" == {}", show(target)),
            _ => String::new(),
        };
        format!("{path}{what} {:o} {}:{}", entry.mode, entry.uid, entry.gid)
    };
    plan.entries().map(line).collect()
}

/// The lines, as they are where files of a context have no modes of their own and count as 0755: on Windows.
pub fn on_this_host(lines: &[&str]) -> Vec<String> {
    let mode = if cfg!(unix) { " 644 " } else { " 755 " };
    lines
        .iter()
        .map(|line| line.replace(" 644 ", mode))
        .collect()
}

pub fn parse(line: &str) -> (Entry, String) {
    let (mut mode, mut uid, mut gid, mut rest) = (None, 0, 0, line);
    if let Some((head, tail)) = line.split_once(' ')
        && let Ok(bits) = u32::from_str_radix(head, 8)
    {
        let (owner, name) = tail.split_once(' ').unwrap();
        let (user, group) = owner.split_once(':').unwrap();
        (mode, uid, gid, rest) = (
            Some(bits),
            user.parse().unwrap(),
            group.parse().unwrap(),
            name,
        );
    }
    let (path, kind, default, data) = if let Some((path, target)) = rest.split_once(" -> ") {
        (
            path,
            Kind::Symlink {
                target: target.into(),
            },
            0o777,
            "",
        )
    } else if let Some((path, target)) = rest.split_once(" == ") {
        (
            path,
            Kind::Hardlink {
                target: target.into(),
            },
            0o644,
            "",
        )
    } else if let Some((path, data)) = rest.split_once('=') {
        (
            path,
            Kind::File {
                size: data.len() as u64,
            },
            0o644,
            data,
        )
    } else {
        (rest.trim_end_matches('/'), Kind::Dir, 0o755, "")
    };
    let entry = Entry {
        uid,
        gid,
        mtime: 7,
        ..Entry::new(path, kind, mode.unwrap_or(default))
    };
    (entry, data.to_owned())
}
