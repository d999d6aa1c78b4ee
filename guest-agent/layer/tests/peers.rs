//! GNU tar and Python read what Kiln writes; Kiln reads what GNU tar writes, in all its formats.

#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests are not seen as tests"
)]

mod support;

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::Command;

use kiln_layer::{Entry, Kind, TarWriter};
use support::{Random, file, read, write};

/// Output of a tool, or `None` (and a line that says so) where it is not installed.
fn run(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(output) => {
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{command:?}: {errors}");
            Some(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Err(_) => {
            println!("skipped: {:?} is not installed", command.get_program());
            None
        }
    }
}

fn temp_dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// One line for each thing that other readers could get wrong.
fn samples() -> Vec<(Entry, Vec<u8>)> {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let split = format!("{}/{}", "p".repeat(120), "n".repeat(90));
    let mut owner = file("owner", "x");
    (owner.0.uid, owner.0.gid, owner.0.mtime) = (3_000_000, 4_000_000_000, -7);
    let mut xattr = file("xattr", "");
    xattr
        .0
        .xattrs
        .insert(b"user.note".to_vec(), b"a=b\nc".to_vec());
    let empty = Vec::new;
    vec![
        (Entry::new("dir", Kind::Dir, 0o1777), empty()),
        file("plain", "plain content"),
        file(&long, "long"),
        file(&split, "split"),
        (
            Entry::new(&b"raw-\xff\xfe"[..], Kind::File { size: 3 }, 0o600),
            b"raw".to_vec(),
        ),
        file("späti", "utf-8"),
        owner,
        xattr,
        (
            Entry::new(
                "hard",
                Kind::Hardlink {
                    target: "plain".into(),
                },
                0o644,
            ),
            empty(),
        ),
        (
            Entry::new(
                "soft",
                Kind::Symlink {
                    target: "t".repeat(300).into(),
                },
                0o777,
            ),
            empty(),
        ),
        (
            Entry::new("null", Kind::CharDevice { major: 1, minor: 3 }, 0o666),
            empty(),
        ),
        (
            Entry::new(
                "disk",
                Kind::BlockDevice {
                    major: 259,
                    minor: 70_000,
                },
                0o660,
            ),
            empty(),
        ),
        (Entry::new("pipe", Kind::Fifo, 0o644), empty()),
    ]
}

#[test]
fn gnu_tar_lists_every_entry_alike() {
    let dir = temp_dir();
    let path = dir.path().join("layer.tar");
    fs::write(&path, write(&samples())).unwrap();
    let mut tar = Command::new("tar");
    tar.args([
        "--numeric-owner",
        "--quoting-style=escape",
        "--utc",
        "--full-time",
        "-tvf",
    ])
    .arg(&path);
    let Some(listing) = run(tar.env("LC_ALL", "C")) else {
        return;
    };
    let lines: Vec<Vec<&str>> = listing
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let split = format!("{}/{}", "p".repeat(120), "n".repeat(90));
    let soft = "t".repeat(300);
    let want = [
        ["drwxrwxrwt", "0/0", "0", "dir/"],
        ["-rw-r--r--", "0/0", "13", "plain"],
        ["-rw-r--r--", "0/0", "4", &long],
        ["-rw-r--r--", "0/0", "5", &split],
        ["-rw-------", "0/0", "3", "raw-\\377\\376"],
        ["-rw-r--r--", "0/0", "5", "sp\\303\\244ti"],
        ["-rw-r--r--", "3000000/4000000000", "1", "owner"],
        ["-rw-r--r--", "0/0", "0", "xattr"],
        ["hrw-r--r--", "0/0", "0", "hard"],
        ["lrwxrwxrwx", "0/0", "0", "soft"],
        ["crw-rw-rw-", "0/0", "1,3", "null"],
        ["brw-rw----", "0/0", "259,70000", "disk"],
        ["prw-r--r--", "0/0", "0", "pipe"],
    ];
    assert_eq!(lines.len(), want.len(), "{listing}");
    for (line, [mode, owner, size, name]) in lines.iter().zip(want) {
        assert_eq!(
            [line[0], line[1], line[2], line[5]],
            [mode, owner, size, name]
        );
    }
    assert_eq!(lines[6][3..5], ["1969-12-31", "23:59:53"]);
    assert_eq!(lines[8][6..], ["link", "to", "plain"]);
    assert_eq!(lines[9][6..], ["->", &soft]);
}

#[test]
fn python_reads_every_field() {
    let dir = temp_dir();
    let path = dir.path().join("layer.tar");
    fs::write(&path, write(&samples())).unwrap();
    let script = "
import sys, tarfile
for m in tarfile.open(sys.argv[1], errors='surrogateescape'):
    x = {k: v for k, v in m.pax_headers.items() if k.startswith('SCHILY')}
    name = m.name.encode('utf-8', 'surrogateescape')
    print(name, m.type, oct(m.mode), m.uid, m.gid, int(m.mtime), m.size, len(m.linkname), m.devmajor, m.devminor, x)
";
    let Some(listing) = run(Command::new("python3").args(["-c", script]).arg(&path)) else {
        return;
    };
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let split = format!("{}/{}", "p".repeat(120), "n".repeat(90));
    let want = [
        "b'dir' b'5' 0o1777 0 0 0 0 0 0 0 {}".to_owned(),
        "b'plain' b'0' 0o644 0 0 0 13 0 0 0 {}".to_owned(),
        format!("b'{long}' b'0' 0o644 0 0 0 4 0 0 0 {{}}"),
        format!("b'{split}' b'0' 0o644 0 0 0 5 0 0 0 {{}}"),
        "b'raw-\\xff\\xfe' b'0' 0o600 0 0 0 3 0 0 0 {}".to_owned(),
        "b'sp\\xc3\\xa4ti' b'0' 0o644 0 0 0 5 0 0 0 {}".to_owned(),
        "b'owner' b'0' 0o644 3000000 4000000000 -7 1 0 0 0 {}".to_owned(),
        "b'xattr' b'0' 0o644 0 0 0 0 0 0 0 {'SCHILY.xattr.user.note': 'a=b\\nc'}".to_owned(),
        "b'hard' b'1' 0o644 0 0 0 0 5 0 0 {}".to_owned(),
        "b'soft' b'2' 0o777 0 0 0 0 300 0 0 {}".to_owned(),
        "b'null' b'3' 0o666 0 0 0 0 0 1 3 {}".to_owned(),
        "b'disk' b'4' 0o660 0 0 0 0 0 259 70000 {}".to_owned(),
        "b'pipe' b'6' 0o644 0 0 0 0 0 0 0 {}".to_owned(),
    ];
    assert_eq!(listing.lines().collect::<Vec<_>>(), want);
}

#[test]
fn python_reads_sizes_beyond_eight_gibibytes() {
    let size = (9_u64 << 30) + 1;
    let dir = temp_dir();
    let path = dir.path().join("big.tar");
    let mut tar = TarWriter::new(fs::File::create(&path).unwrap());
    tar.begin(&Entry::new("big", Kind::File { size }, 0o644))
        .unwrap();
    // Enough for the header to leave the buffer; announced data need not exist to be listed.
    tar.write_zeros(1 << 20).unwrap();
    let script = "import sys, tarfile; print(tarfile.open(sys.argv[1]).next().size)";
    if let Some(found) = run(Command::new("python3").args(["-c", script]).arg(&path)) {
        assert_eq!(found.trim(), size.to_string());
    }
}

/// A tree with what the named format can hold.
fn make_tree(root: &Path, long_names: bool) {
    let mut random = Random::new(5);
    fs::create_dir_all(root.join("dir/sub")).unwrap();
    fs::write(root.join("dir/empty"), "").unwrap();
    fs::write(root.join("dir/data"), random.bytes(100_000)).unwrap();
    fs::hard_link(root.join("dir/data"), root.join("dir/sub/hard")).unwrap();
    symlink("../data", root.join("dir/sub/soft")).unwrap();
    if long_names {
        fs::write(root.join(format!("dir/{}", "ü".repeat(120))), "long").unwrap();
        symlink("t".repeat(400), root.join("dir/longlink")).unwrap();
        let deep = root.join("d".repeat(150)).join("e".repeat(150));
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("f"), "deep").unwrap();
    }
}

fn gnu_tar(root: &Path, args: &[&str]) -> Option<Vec<u8>> {
    let path = root.with_extension("tar");
    let mut tar = Command::new("tar");
    tar.args(args).args([
        "--sort=name",
        "--mtime=@1234567890",
        "--owner=:1000",
        "--group=:50",
    ]);
    run(tar.args(["-C"]).arg(root).arg("-cf").arg(&path).arg("."))?;
    Some(fs::read(path).unwrap())
}

#[test]
fn every_format_of_gnu_tar_is_read() {
    for format in ["v7", "ustar", "oldgnu", "gnu", "pax"] {
        let dir = temp_dir();
        let root = dir.path().join("tree");
        let long_names = !matches!(format, "v7" | "ustar");
        make_tree(&root, long_names);
        let Some(tar) = gnu_tar(&root, &[&format!("--format={format}")]) else {
            return;
        };
        let entries = read(&tar).unwrap();
        for (tar_entry, data) in &entries {
            let entry = &tar_entry.entry;
            let path = root.join(std::str::from_utf8(&entry.path).unwrap());
            let found = fs::symlink_metadata(&path).unwrap();
            assert_eq!(
                (entry.uid, entry.gid, entry.mtime),
                (1000, 50, 1_234_567_890),
                "{format} {path:?}"
            );
            match &entry.kind {
                Kind::Dir => assert!(found.is_dir(), "{format} {path:?}"),
                Kind::File { .. } => {
                    assert_eq!(&fs::read(&path).unwrap(), data, "{format} {path:?}")
                }
                Kind::Symlink { target } => {
                    let want = fs::read_link(&path).unwrap();
                    assert_eq!(
                        want.to_str().unwrap().as_bytes(),
                        target,
                        "{format} {path:?}"
                    );
                }
                Kind::Hardlink { target } => assert_eq!(target, b"dir/data"),
                other => panic!("{format} {path:?}: {other:?}"),
            }
        }
        assert_eq!(entries.len(), if long_names { 12 } else { 7 }, "{format}");
    }
}

#[test]
fn every_sparse_format_of_gnu_tar_is_read() {
    let formats: [&[&str]; 5] = [
        &["--format=gnu"],
        &["--format=oldgnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for format in formats {
        let dir = temp_dir();
        let root = dir.path().join("tree");
        fs::create_dir(&root).unwrap();
        for (name, size, runs) in [
            ("all-hole", 1 << 20, 0),
            ("few", 3_000_001, 3),
            ("many", 8 << 20, 60),
        ] {
            let file = fs::File::create(root.join(name)).unwrap();
            file.set_len(size).unwrap();
            for run in 0..runs {
                file.write_all_at(&[run as u8 + 1; 5000], size / 61 * run)
                    .unwrap();
            }
        }
        let args = [&["-S"], format].concat();
        let Some(tar) = gnu_tar(&root, &args) else {
            return;
        };
        let entries = read(&tar).unwrap();
        let mut sparse_seen = 0;
        for (tar_entry, data) in entries.iter().filter(|(found, _)| !found.entry.is_dir()) {
            let path = root.join(std::str::from_utf8(&tar_entry.entry.path).unwrap());
            let want = fs::read(&path).unwrap();
            assert!(*data == want, "{format:?} {path:?}");
            assert_eq!(
                tar_entry.entry.kind,
                Kind::File {
                    size: want.len() as u64
                }
            );
            let Some(runs) = &tar_entry.sparse else {
                continue;
            };
            sparse_seen += 1;
            let mut stored = tar_entry.data_offset as usize;
            for &(offset, len) in runs {
                let (offset, len) = (offset as usize, len as usize);
                assert!(
                    tar[stored..stored + len] == want[offset..offset + len],
                    "{format:?} {path:?}"
                );
                stored += len;
            }
        }
        if sparse_seen == 0 {
            println!("skipped: this file system shows no holes");
        }
    }
}
