//! A context on a real file system: what is seen, and whether digests stay true.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
#[cfg(unix)]
use std::io::Read;
use std::path::Path;

use kiln_context::{Context, Ignore, NodeId, NodeKind, Tree};

fn write(root: &Path, files: &[&str]) {
    for file in files {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, file).unwrap();
    }
}

fn paths(tree: &Tree) -> Vec<String> {
    fn walk(tree: &Tree, dir: NodeId, out: &mut Vec<String>) {
        for id in tree.children(dir) {
            out.push(String::from_utf8_lossy(&tree.path(id)).into_owned());
            walk(tree, id, out);
        }
    }
    let mut out = Vec::new();
    walk(tree, tree.root(), &mut out);
    out
}

fn find(tree: &Tree, path: &str) -> Option<NodeId> {
    path.split('/')
        .try_fold(tree.root(), |dir, name| tree.child(dir, name.as_bytes()))
}

fn scan(root: &Path, ignore: &str) -> Context {
    let context = Context::new(root, Ignore::parse(ignore.as_bytes()).unwrap());
    context.tree().unwrap();
    context
}

#[test]
fn entries_come_sorted_and_ignored_ones_do_not_come() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        &[
            "b/2",
            "b/1",
            "b-x",
            "a",
            "out/deep/keep/me",
            "out/deep/other",
            "logs/x",
        ],
    );
    let context = scan(dir.path(), "out\n!out/deep/keep\nlogs\n");
    let seen = paths(context.tree().unwrap());
    assert_eq!(
        seen,
        [
            "a",
            "b",
            "b/1",
            "b/2",
            "b-x",
            "out",
            "out/deep",
            "out/deep/keep",
            "out/deep/keep/me"
        ]
    );
    assert_eq!(context.excluded(b"logs/x").unwrap().line, 3);
}

#[test]
fn an_excluded_folder_with_nothing_brought_back_stays_hidden() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &["folder1/file1", "folder1/file2"]);
    let context = scan(dir.path(), "**\n!folder1/file\n");
    let tree = context.tree().unwrap();
    assert!(tree.is_empty());
    assert_eq!(tree.child(tree.root(), b"folder1"), None);
}

#[test]
fn large_folders_are_complete() {
    let dir = tempfile::tempdir().unwrap();
    for n in 0..3000 {
        fs::write(dir.path().join(format!("f{n:05}")), "x").unwrap();
    }
    (0..200).for_each(|n| write(dir.path(), &[&format!("d{n}/e/f")]));
    let context = scan(dir.path(), "f00007\n");
    let tree = context.tree().unwrap();
    assert_eq!(tree.len(), 2999 + 600);
    assert!(find(tree, "d199/e/f").is_some());
    let files: Vec<NodeId> = tree
        .children(tree.root())
        .filter(|id| tree.node(*id).kind != NodeKind::Dir)
        .collect();
    assert_eq!(context.facts(&files).unwrap().len(), 2999);
}

#[test]
fn a_missing_context_is_an_error_with_its_path() {
    let context = Context::new("/nonexistent/context", Ignore::none());
    assert_eq!(
        context.tree().unwrap_err().to_string(),
        "cannot open the build context /nonexistent/context"
    );
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, SystemTime};

    use super::*;

    fn age(path: &Path, seconds: u64) {
        let time = SystemTime::now() - Duration::from_secs(seconds);
        fs::File::options()
            .write(true)
            .open(path)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }

    #[test]
    fn links_are_kept_as_links_and_sockets_left_out() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &["real/file"]);
        symlink("real", dir.path().join("link")).unwrap();
        fs::hard_link(dir.path().join("real/file"), dir.path().join("same")).unwrap();
        let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
        fs::set_permissions(
            dir.path().join("real/file"),
            fs::Permissions::from_mode(0o4711),
        )
        .unwrap();
        let context = scan(dir.path(), "");
        let tree = context.tree().unwrap();
        assert_eq!(paths(tree), ["link", "real", "real/file", "same"]);
        let link = find(tree, "link").unwrap();
        assert_eq!(
            (tree.node(link).kind, tree.link_target(link)),
            (NodeKind::Symlink, b"real".as_slice())
        );
        let (file, same) = (
            find(tree, "real/file").unwrap(),
            find(tree, "same").unwrap(),
        );
        assert_eq!(tree.inode(file), tree.inode(same));
        assert_eq!((tree.node(file).mode, tree.node(file).links), (0o4711, 2));
    }

    #[test]
    fn a_change_of_the_same_length_and_time_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let (root, index) = (dir.path().join("context"), dir.path().join("index"));
        write(&root, &["f"]);
        let time = SystemTime::now() - Duration::from_secs(1000);
        let digest = |content: &str| {
            fs::write(root.join("f"), content).unwrap();
            fs::File::options()
                .write(true)
                .open(root.join("f"))
                .unwrap()
                .set_modified(time)
                .unwrap();
            // Old enough to be remembered.
            std::thread::sleep(Duration::from_millis(150));
            let context = Context::new(&root, Ignore::none()).with_stat_index(&index);
            let file = find(context.tree().unwrap(), "f").unwrap();
            let digest = context.facts(&[file]).unwrap()[0].digest;
            context.save_stat_index().unwrap();
            digest
        };
        let (first, again, other) = (digest("one"), digest("one"), digest("two"));
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(index.exists());
    }

    #[test]
    fn a_file_replaced_while_it_is_copied_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &["f", "log"]);
        age(&dir.path().join("f"), 100);
        let context = scan(dir.path(), "");
        let tree = context.tree().unwrap();
        let (file, log) = (find(tree, "f").unwrap(), find(tree, "log").unwrap());
        context.facts(&[file, log]).unwrap();
        fs::write(dir.path().join("f"), "g").unwrap();
        fs::write(dir.path().join("log"), "log and more").unwrap();
        let mut bytes = Vec::new();
        assert!(context.open(file).unwrap().read_to_end(&mut bytes).is_err());
        bytes.clear();
        context.open(log).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(
            bytes, b"log",
            "a file that only grew is what it was when it was scanned"
        );
    }
}
