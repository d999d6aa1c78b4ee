//! ADD of archives: what they replace, where their links lead, and what a hostile one can do.

use std::io::Write;
use std::sync::Arc;

use kiln_layer::TarWriter;
use kiln_rootfs::{CopyError, CopyPlan, CopySource, CopySpec, plan_copy};

use crate::world::{World, lines, on_this_host, parse, spec};

fn tar(entries: &[&str]) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for line in entries {
        let (entry, data) = parse(line);
        tar.append(&entry, &mut data.as_bytes()).unwrap();
    }
    tar.finish().unwrap()
}

fn add(world: &World, archive: &[u8], spec: CopySpec) -> Result<CopyPlan, CopyError> {
    std::fs::write(world.scratch().join("context/a.bin"), archive).unwrap();
    let source = CopySource::Path {
        tree: world.tree(""),
        path: b"a.bin".to_vec(),
        unpack: true,
    };
    plan_copy(spec, vec![source], &world.view(), world.scratch())
}

#[test]
fn archives_unpack_by_content_whatever_their_name_and_compression() {
    let world = World::new(&[]);
    let plain = tar(&[
        "4711 5:6 top/",
        "644 1:2 top/f=text",
        "top/h == top/f",
        "top/s -> f",
    ]);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for archive in [plain, gzip.finish().unwrap(), zstd] {
        let plan = add(&world, &archive, spec("/x")).unwrap();
        assert_eq!(
            lines(&plan),
            [
                "x/ 755 0:0",
                "x/top/ 4711 5:6",
                "x/top/f 644 1:2",
                "x/top/h == x/top/f 644 1:2",
                "x/top/s -> f 777 0:0"
            ]
        );
    }
    let plan = add(
        &world,
        b"no archive",
        CopySpec {
            chmod: None,
            ..spec("/x/")
        },
    )
    .unwrap();
    assert_eq!(
        lines(&plan),
        on_this_host(&["x/ 755 0:0", "x/a.bin 644 0:0"])
    );
}

#[test]
fn archives_replace_what_is_there_and_merge_folders() {
    let world = World::new(&["f/", "f/inside=1", "d/", "d/keep=1", "d/old=1", "l -> d"]);
    let plan = add(
        &world,
        &tar(&["f=file", "700 1:1 d/", "d/old=2", "l/", "l/x=1"]),
        spec("/"),
    )
    .unwrap();
    world.commit(&plan);
    assert_eq!(world.read("f").as_deref(), Some("file"));
    assert_eq!(
        (
            world.read("d/keep").as_deref(),
            world.read("d/old").as_deref()
        ),
        (Some("1"), Some("2"))
    );
    assert_eq!(world.view().lstat(b"d").unwrap().unwrap().mode, 0o700);
    assert_eq!(
        (world.read("l/x").as_deref(), world.read("l/keep")),
        (Some("1"), None)
    );
}

#[test]
fn a_folder_that_became_a_file_and_a_folder_again_is_empty() {
    let world = World::new(&["d/", "d/old=1"]);
    let plan = add(&world, &tar(&["d=file", "d/", "d/new=2"]), spec("/")).unwrap();
    world.commit(&plan);
    assert_eq!(
        (world.read("d/old"), world.read("d/new").as_deref()),
        (None, Some("2"))
    );
}

#[test]
fn links_of_image_and_archive_lead_no_further_than_the_destination() {
    let world = World::new(&[
        "etc/",
        "etc/passwd=real",
        "x/",
        "x/abs -> /etc",
        "x/up -> ../../../etc",
    ]);
    let archive = tar(&[
        "abs/passwd=evil",
        "up/passwd=evil",
        "own -> /etc",
        "own/shadow=evil",
        "hard == own/shadow",
    ]);
    world.commit(&add(&world, &archive, spec("/x/")).unwrap());
    assert_eq!(world.read("etc/passwd").as_deref(), Some("real"));
    assert_eq!(world.read("etc/shadow"), None);
    assert_eq!(world.read("x/etc/passwd").as_deref(), Some("evil"));
    assert_eq!(world.read("x/hard").as_deref(), Some("evil"));
}

#[test]
fn links_to_files_of_the_image_bring_these_along() {
    let world = World::new(&["x/", "640 3:4 x/old=content"]);
    let plan = add(&world, &tar(&["new == old"]), spec("/x/")).unwrap();
    assert_eq!(
        lines(&plan),
        ["x/ 755 0:0", "x/new 640 3:4", "x/old == x/new 640 3:4"]
    );
    world.commit(&plan);
    assert_eq!(
        (
            world.read("x/new").as_deref(),
            world.read("x/old").as_deref()
        ),
        (Some("content"), Some("content"))
    );
    assert!(matches!(
        add(&world, &tar(&["n == none"]), spec("/x/")),
        Err(CopyError::ArchiveLink { .. })
    ));
}

#[test]
fn entries_that_climb_out_are_refused() {
    let world = World::new(&[]);
    // The writer takes no such name, so it is put in afterwards, with the header's checksum.
    let mut archive = tar(&["aaaaaaaa=evil"]);
    archive[..8].copy_from_slice(b"../../e\0");
    archive[148..156].copy_from_slice(b"        ");
    let sum: u32 = archive[..512].iter().map(|byte| u32::from(*byte)).sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(matches!(
        add(&world, &archive, spec("/x/")),
        Err(CopyError::Archive { .. })
    ));
}

#[test]
fn broken_archives_are_an_error() {
    let world = World::new(&[]);
    let archive = tar(&["a=1", "b=2"]);
    let mut cut = archive.clone();
    cut.truncate(1024 + 100);
    assert!(matches!(
        add(&world, &cut, spec("/x/")),
        Err(CopyError::Archive { .. })
    ));
}

#[test]
fn owner_flag_reaches_into_archives_and_whiteouts_do_not_come_out() {
    let world = World::new(&["keep=1"]);
    let flags = CopySpec {
        chown: Some("33:34".into()),
        ..spec("/")
    };
    let plan = add(&world, &tar(&["4644 1:2 f=1", ".wh.keep="]), flags).unwrap();
    assert_eq!(lines(&plan), ["f 4644 33:34"]);
}

#[test]
fn large_archives_wait_in_a_file() {
    let world = World::new(&[]);
    let large = "z".repeat(9 << 20);
    let archive = tar(&[&format!("b={large}"), &format!("a={large}"), "c=end"]);
    world.commit(&add(&world, &archive, spec("/")).unwrap());
    assert_eq!(
        world.view().read_file(b"a", 10 << 20).unwrap().unwrap(),
        large.as_bytes()
    );
    assert_eq!(world.read("c").as_deref(), Some("end"));
}

#[test]
fn downloads_are_private_and_unpacked_only_on_request() {
    let world = World::new(&[]);
    let archive = tar(&["inside=1"]);
    let file = world.scratch().join("download");
    std::fs::write(&file, &archive).unwrap();
    for (unpack, wanted) in [(false, "d/app.tar 600 0:0"), (true, "d/inside 644 0:0")] {
        let source = CopySource::Download {
            name: b"app.tar".to_vec(),
            file: Arc::new(file.clone()),
            size: archive.len() as u64,
            digest: kiln_oci::Digest::of(&archive),
            mtime: Some(5),
            unpack,
        };
        let plan = plan_copy(spec("/d/"), vec![source], &world.view(), world.scratch()).unwrap();
        assert_eq!(lines(&plan), ["d/ 755 0:0", wanted]);
    }
}
