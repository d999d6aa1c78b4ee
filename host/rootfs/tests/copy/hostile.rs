//! Images that a guest made to cost the host more than they hold.

use std::sync::Arc;

use kiln_erofs::{Index, IndexBuilder};
use kiln_layer::{Entry, Kind};
use kiln_oci::{DiffId, Digest};
use kiln_rootfs::{CopyError, CopySource, MergedView, SourceTree, plan_copy};

use crate::world::{World, spec};

#[test]
fn files_that_are_all_holes_are_not_read_without_end() {
    let mut index = IndexBuilder::new();
    for name in ["a", "b"] {
        let file = Entry::new(format!("d/{name}"), Kind::File { size: 1 << 60 }, 0o644);
        index.add(&file, 512, Some(&[])).unwrap();
    }
    let mut bytes = Vec::new();
    index.finish(1024, &mut bytes).unwrap();
    let index = Arc::new(Index::parse(bytes).unwrap());
    let diff_id = DiffId(Digest::of(b"huge"));
    let view = MergedView::empty().with_layer(diff_id, index, "not-there.tar".into());
    let source = CopySource::Path {
        tree: SourceTree::Image(Arc::new(view)),
        path: b"d".to_vec(),
        unpack: false,
    };
    let world = World::new(&[]);
    let result = plan_copy(spec("/"), vec![source], &world.view(), world.scratch());
    assert!(matches!(result, Err(CopyError::TooMuch { .. })));
}
