//! How entries add up to a tree: each case is a layer, written as its entries, and the tree that must come out.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not seen as tests")]

mod support;

use kiln_erofs::{BuildError, Index, IndexBuilder, Nid};
use kiln_layer::{Entry, Kind};
use support::{build, dir, file, hardlink, symlink};

/// One line for each path: type, what matters about it, and the path.
fn tree(entries: &[(Entry, Vec<u8>)]) -> Vec<String> {
    let index = Index::parse(build(entries).index).unwrap();
    index.check().unwrap();
    let mut lines = Vec::new();
    walk(&index, index.root(), "", &mut lines);
    lines
}

fn walk(index: &Index, nid: Nid, path: &str, lines: &mut Vec<String>) {
    let inode = index.inode(nid).unwrap();
    let what = match &inode.kind {
        _ if inode.is_whiteout() => "gone".to_owned(),
        Kind::File { size } => format!("file {size} x{}", inode.nlink),
        Kind::Dir if inode.opaque => format!("opaque {:o}", inode.mode),
        Kind::Dir => format!("dir {:o}", inode.mode),
        Kind::Symlink { target } => format!("link {}", target.escape_ascii()),
        other => format!("{other:?}"),
    };
    lines.push(format!("{what} /{path}"));
    if inode.is_dir() {
        for entry in index.read_dir(nid).unwrap() {
            let name = entry.name.escape_ascii();
            let separator = if path.is_empty() { "" } else { "/" };
            walk(index, entry.nid, &format!("{path}{separator}{name}"), lines);
        }
    }
}

#[test]
fn missing_parents_are_implied() {
    assert_eq!(
        tree(&[file("a/b/c", "1")]),
        [
            "dir 755 /",
            "dir 755 /a",
            "dir 755 /a/b",
            "file 1 x1 /a/b/c"
        ]
    );
}

#[test]
fn metadata_of_a_parent_may_come_after_its_children() {
    assert_eq!(
        tree(&[file("a/b", "1"), dir("a", 0o700)]),
        ["dir 755 /", "dir 700 /a", "file 1 x1 /a/b"]
    );
}

#[test]
fn the_later_entry_of_a_path_replaces_the_earlier() {
    for (earlier, later, want) in [
        (file("a", "1"), file("a", "22"), "file 2 x1 /a"),
        (file("a", "1"), symlink("a", "b"), "link b /a"),
        (symlink("a", "b"), dir("a", 0o700), "dir 700 /a"),
        (dir("a", 0o700), file("a", "1"), "file 1 x1 /a"),
    ] {
        assert_eq!(tree(&[earlier, later]), ["dir 755 /", want]);
    }
}

#[test]
fn a_file_over_a_directory_takes_its_children_away() {
    assert_eq!(
        tree(&[file("a/b/c", "1"), file("a", "22")]),
        ["dir 755 /", "file 2 x1 /a"]
    );
    let again = tree(&[file("a/b", "1"), file("a", "22"), file("a/c", "333")]);
    assert_eq!(again, ["dir 755 /", "dir 755 /a", "file 3 x1 /a/c"]);
}

#[test]
fn hard_links_share_a_file_that_outlives_its_first_name() {
    let entries = [file("a", "1"), hardlink("b", "a"), hardlink("c", "b")];
    assert_eq!(
        tree(&entries),
        ["dir 755 /", "file 1 x3 /a", "file 1 x3 /b", "file 1 x3 /c"]
    );
    let replaced = [&entries[..], &[file("a", "22")]].concat();
    assert_eq!(
        tree(&replaced),
        ["dir 755 /", "file 2 x1 /a", "file 1 x2 /b", "file 1 x2 /c"]
    );
}

#[test]
fn a_link_to_itself_changes_nothing() {
    assert_eq!(
        tree(&[file("a", "1"), hardlink("a", "a")]),
        ["dir 755 /", "file 1 x1 /a"]
    );
}

#[test]
fn a_whiteout_stands_where_nothing_else_does() {
    assert_eq!(
        tree(&[file("d/.wh.x", "")]),
        ["dir 755 /", "dir 755 /d", "gone /d/x"]
    );
}

#[test]
fn a_path_whited_out_and_present_is_present_in_either_order() {
    let marker = file(".wh.x", "");
    for entries in [
        [marker.clone(), file("x", "1")],
        [file("x", "1"), marker.clone()],
    ] {
        assert_eq!(tree(&entries), ["dir 755 /", "file 1 x1 /x"]);
    }
    for entries in [
        [marker.clone(), dir("x", 0o700)],
        [dir("x", 0o700), marker.clone()],
    ] {
        assert_eq!(tree(&entries), ["dir 755 /", "opaque 700 /x"]);
    }
    for entries in [
        [marker.clone(), file("x/y", "1")],
        [file("x/y", "1"), marker],
    ] {
        assert_eq!(
            tree(&entries),
            ["dir 755 /", "opaque 755 /x", "file 1 x1 /x/y"]
        );
    }
}

#[test]
fn an_opaque_marker_counts_anywhere_in_the_layer() {
    let marker = file("x/.wh..wh..opq", "");
    let (x, y) = (dir("x", 0o700), file("x/y", "1"));
    for entries in [
        [marker.clone(), x.clone(), y.clone()],
        [x.clone(), marker.clone(), y.clone()],
        [x, y, marker],
    ] {
        assert_eq!(
            tree(&entries),
            ["dir 755 /", "opaque 700 /x", "file 1 x1 /x/y"]
        );
    }
}

#[test]
fn an_opaque_root_hides_all_lower_layers() {
    let layer = build(&[dir("", 0o711), file(".wh..wh..opq", "")]);
    let index = Index::parse(layer.index).unwrap();
    assert!(index.hides_lower_layers().unwrap());
    assert_eq!(index.inode(index.root()).unwrap().mode, 0o711);
}

#[test]
fn whiteouts_in_an_opaque_directory_are_left_out() {
    let entries = [
        file("x/.wh.gone", ""),
        file("x/.wh..wh..opq", ""),
        file("x/y", "1"),
    ];
    assert_eq!(
        tree(&entries),
        ["dir 755 /", "opaque 755 /x", "file 1 x1 /x/y"]
    );
}

#[test]
fn bookkeeping_of_aufs_is_left_out() {
    assert_eq!(
        tree(&[
            dir(".wh..wh.plnk", 0o700),
            file(".wh..wh.plnk/1.2", "1"),
            file(".wh..wh.aufs", "")
        ]),
        ["dir 755 /"]
    );
}

#[test]
fn links_in_an_entrys_parents_are_followed_within_the_layer() {
    let base = [
        dir("usr/lib", 0o755),
        symlink("lib", "usr/lib"),
        symlink("lib64", "/lib"),
    ];
    let through = [&base[..], &[file("lib64/x", "1")]].concat();
    let found = tree(&through);
    assert!(
        found.contains(&"file 1 x1 /usr/lib/x".to_owned()),
        "{found:?}"
    );
    assert!(found.contains(&"link usr/lib /lib".to_owned()), "{found:?}");
}

#[test]
fn links_that_lead_nowhere_in_the_layer_become_directories() {
    for target in ["missing", "a", "b", "file", "../../.."] {
        let entries = [
            symlink("b", "a"),
            file("file", ""),
            symlink("a", target),
            file("a/x", "1"),
        ];
        let found = tree(&entries);
        let want = if target == "../../.." {
            "file 1 x1 /x"
        } else {
            "file 1 x1 /a/x"
        };
        assert!(found.contains(&want.to_owned()), "{target}: {found:?}");
    }
}

#[test]
fn impossible_entries_are_refused() {
    let refused = |entries: &[(Entry, Vec<u8>)]| {
        let mut builder = IndexBuilder::new();
        entries
            .iter()
            .find_map(|(entry, _)| builder.add(entry, 512, None).err())
    };
    let device = |major, minor| {
        (
            Entry::new("d", Kind::CharDevice { major, minor }, 0),
            Vec::new(),
        )
    };
    assert!(matches!(
        refused(&[file("", "")]),
        Some(BuildError::RootNotDirectory)
    ));
    assert!(matches!(
        refused(&[hardlink("a", "b")]),
        Some(BuildError::LinkTarget { .. })
    ));
    assert!(matches!(
        refused(&[dir("d", 0), hardlink("a", "d")]),
        Some(BuildError::LinkTarget { .. })
    ));
    assert!(matches!(
        refused(&[file(".wh.b", ""), hardlink("a", "b")]),
        Some(BuildError::LinkTarget { .. })
    ));
    assert!(matches!(
        refused(&[file(&"n".repeat(256), "")]),
        Some(BuildError::Name { .. })
    ));
    assert!(matches!(
        refused(&[file("a/../b", "")]),
        Some(BuildError::Name { .. })
    ));
    assert!(matches!(
        refused(&[symlink("l", "t".repeat(4096))]),
        Some(BuildError::TooLarge { .. })
    ));
    assert!(matches!(
        refused(&[device(4096, 0)]),
        Some(BuildError::TooLarge { .. })
    ));
    assert!(matches!(
        refused(&[device(0, 1 << 20)]),
        Some(BuildError::TooLarge { .. })
    ));
}
