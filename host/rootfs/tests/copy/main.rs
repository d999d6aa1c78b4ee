//! COPY, WORKDIR and the merged view against images made by hand.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod archive;
mod hostile;
mod world;

use std::io::Read;
use std::sync::Arc;

use kiln_layer::Entry;
use kiln_rootfs::{
    Chmod, CopyError, CopySource, CopySpec, LayerOutput, Selection, SourceTree, plan_copy,
    plan_workdir,
};
use world::{World, lines, on_this_host, spec};

#[test]
fn view_applies_whiteouts_and_opaque_folders() {
    let world = World::new(&[
        "a/", "a/x=1", "a/y=2", "b/", "b/old=3", "c=4", "d/", "d/e=5",
    ]);
    world.add_layer(&[
        "a/",
        "a/.wh.x=",
        "b/",
        "b/.wh..wh..opq=",
        "b/new=6",
        "c/",
        "c/f=7",
        "d=8",
    ]);
    let view = world.view();
    let names = |path: &str| {
        let names = view.read_dir(path.as_bytes()).unwrap().unwrap();
        names
            .into_iter()
            .map(|name| String::from_utf8(name).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("/"), ["a", "b", "c", "d"]);
    assert_eq!(
        (names("a"), names("b"), names("c")),
        (vec!["y".into()], vec!["new".into()], vec!["f".into()])
    );
    assert_eq!(world.read("b/old"), None);
    assert_eq!(world.read("d").as_deref(), Some("8"));
    assert_eq!(world.read("d/e"), None);
}

#[test]
fn view_follows_links_inside_the_image() {
    let world = World::new(&[
        "etc/",
        "etc/real=root:x:0:0",
        "etc/passwd -> /../etc/real",
        "loop -> loop",
    ]);
    assert_eq!(world.read("/etc/passwd").as_deref(), Some("root:x:0:0"));
    assert!(
        world.view().lstat(b"etc/passwd").unwrap().unwrap().kind
            != world.view().stat(b"etc/passwd").unwrap().unwrap().kind
    );
    assert!(matches!(
        world.view().stat(b"loop"),
        Err(CopyError::TooManyLinks { .. })
    ));
    assert!(matches!(
        world.view().read_file(b"etc/passwd", 3),
        Err(CopyError::TooLarge { .. })
    ));
}

#[test]
fn destination_leads_through_symlinks_of_the_image() {
    let world = World::new(&[
        "abs -> /real",
        "dang -> nowhere",
        "flink -> /real/old",
        "real/",
        "real/old=old",
        "1750 5:6 real/sub/",
        "rel -> real",
    ]);
    world.context(&[("a", "a"), ("d/c", "c")]);
    for (source, dest, wanted) in [
        ("a", "/abs/", vec!["real/ 755 0:0", "real/a 644 0:0"]),
        (
            "a",
            "/rel/sub/b",
            vec!["real/ 755 0:0", "real/sub/ 1750 5:6", "real/sub/b 644 0:0"],
        ),
        ("d", "/abs/", vec!["real/ 755 0:0", "real/c 644 0:0"]),
        ("a", "/dang/", vec!["nowhere/ 755 0:0", "nowhere/a 644 0:0"]),
        ("a", "/flink", vec!["real/ 755 0:0", "real/old 644 0:0"]),
    ] {
        assert_eq!(
            lines(&world.plan(&[source], dest).unwrap()),
            on_this_host(&wanted),
            "COPY {source} {dest}"
        );
    }
}

#[test]
fn files_replace_files_and_links_but_never_folders() {
    let world = World::new(&["t/", "t/a/", "t/dir/", "t/link -> dir", "t/file=x"]);
    world.context(&[
        ("a", "1"),
        ("s/link", "2"),
        ("e/file/x", "3"),
        ("f/link/x", "4"),
    ]);
    assert_eq!(
        world.plan(&["a"], "/t/").unwrap_err().to_string(),
        "cannot replace directory `/t/a` with a file"
    );
    assert_eq!(
        lines(&world.plan(&["s"], "/t").unwrap()),
        on_this_host(&["t/ 755 0:0", "t/link 644 0:0"])
    );
    for source in ["e", "f"] {
        assert!(
            matches!(
                world.plan(&[source], "/t/").unwrap_err(),
                CopyError::DirOverFile { .. }
            ),
            "{source}"
        );
    }
    assert!(matches!(
        world.plan(&["s"], "/t/file").unwrap_err(),
        CopyError::DirOverFile { .. }
    ));
    assert!(matches!(
        world.plan(&["a"], "/t/file/x").unwrap_err(),
        CopyError::NotADirectory { .. }
    ));
}

#[test]
fn folders_keep_or_take_modes_as_buildkit_has_it() {
    let world = World::new(&["700 9:9 dir/", "700 9:9 dir/sub/"]);
    world.context(&[("s/sub/f", "1")]);
    assert_eq!(
        lines(&world.plan(&["s"], "/dir").unwrap()),
        on_this_host(&["dir/ 700 9:9", "dir/sub/ 755 0:0", "dir/sub/f 644 0:0"])
    );
    let spec = CopySpec {
        chown: Some("3:4".into()),
        chmod: Some(Chmod::Octal(0o1750)),
        ..spec("/new/deep/")
    };
    let plan = world.plan_from(&world.tree(""), &["s"], spec).unwrap();
    assert_eq!(
        lines(&plan),
        [
            "new/ 750 3:4",
            "new/deep/ 750 3:4",
            "new/deep/sub/ 1750 3:4",
            "new/deep/sub/f 1750 3:4"
        ]
    );
}

#[test]
fn copy_from_an_image_keeps_owners_links_and_content() {
    let world = World::new(&[
        "1750 5:6 s/",
        "711 33:8 s/f=1",
        "s/hard == s/f",
        "s/sym -> f",
    ]);
    let image = SourceTree::Image(Arc::new(world.view()));
    let plan = world
        .plan_from(&image, &["/s", "s/sym"], spec("/o/"))
        .unwrap();
    assert_eq!(
        lines(&plan),
        [
            "o/ 755 0:0",
            "o/f 711 33:8",
            "o/hard == o/f 711 33:8",
            "o/sym 711 33:8"
        ],
        "the second source follows its link and replaces the first one's"
    );
    world.commit(&plan);
    assert_eq!(
        (
            world.read("o/hard").as_deref(),
            world.read("o/sym").as_deref()
        ),
        (Some("1"), Some("1"))
    );
}

#[test]
fn links_sorted_before_their_file_become_the_file() {
    let world = World::new(&["s/", "s/a/", "s/a/x=1", "s/a-b == s/a/x"]);
    let image = SourceTree::Image(Arc::new(world.view()));
    let plan = world.plan_from(&image, &["s"], spec("/o/")).unwrap();
    assert_eq!(
        lines(&plan),
        [
            "o/ 755 0:0",
            "o/a/ 755 0:0",
            "o/a-b 644 0:0",
            "o/a/x == o/a-b 644 0:0"
        ]
    );
}

#[test]
fn copy_of_ignored_file_names_the_rule() {
    let world = World::new(&[]);
    world.context(&[("dist/app", "x")]);
    let error = world
        .plan_from(&world.tree("# no\n\ndist\n"), &["dist/app"], spec("/"))
        .unwrap_err();
    assert_eq!(error.to_string(), "`/dist/app` is not in the build context");
    let CopyError::NotFound {
        ignored_by: Some(rule),
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!((rule.line, rule.text.as_str()), (3, "dist"));
}

#[test]
fn copy_of_a_name_in_another_case_names_the_real_one() {
    let world = World::new(&[]);
    world.context(&[("Docs/READ.md", "x"), ("docs2", "y")]);
    for (wanted, real) in [
        ("docs/read.md", Some("/Docs/READ.md")),
        ("Docs/read.md", Some("/Docs/READ.md")),
        ("DOCS", Some("/Docs")),
        ("docs/other", None),
        ("DOCS2/a", None),
    ] {
        let error = world
            .plan_from(&world.tree(""), &[wanted], spec("/"))
            .unwrap_err();
        let CopyError::NotFound { similar, .. } = error else {
            panic!("{error:?}")
        };
        assert_eq!(similar.as_deref(), real, "{wanted}");
    }
}

#[test]
fn names_of_users_need_an_image() {
    let world = World::new(&[]);
    world.context(&[("a", "x")]);
    let owned = |chown: &str| CopySpec {
        chown: Some(chown.into()),
        ..spec("/")
    };
    assert!(matches!(
        world.plan_from(&world.tree(""), &["a"], owned("www")),
        Err(CopyError::NoUsers { .. })
    ));
    assert!(matches!(
        world.plan_from(&world.tree(""), &["a"], owned("99999999999")),
        Err(CopyError::BadId { .. })
    ));
    world.add_layer(&[
        "etc/",
        "etc/group=g:x:50:\n",
        "etc/passwd=# x\nwww:x:33:34::/:\n",
    ]);
    for (chown, wanted) in [
        ("www", "33:34"),
        ("www:g", "33:50"),
        ("nosuch", "0:0"),
        ("7", "7:7"),
        (":g", "0:50"),
        ("7:nosuch", "7:7"),
        ("www:9", "33:9"),
    ] {
        let plan = world
            .plan_from(&world.tree(""), &["a"], owned(chown))
            .unwrap();
        assert_eq!(
            lines(&plan),
            on_this_host(&[&format!("a 644 {wanted}")]),
            "{chown}"
        );
    }
}

#[test]
fn digest_follows_content_and_flags_but_not_times() {
    let world = World::new(&[]);
    let digest = |spec: CopySpec| {
        let source = CopySource::Path {
            tree: world.tree(""),
            path: b".".to_vec(),
            unpack: false,
        };
        Selection::new(spec, vec![source]).unwrap().digest()
    };
    world.context(&[("a", "x"), ("d/b", "y")]);
    let first = digest(spec("/"));
    let file = std::fs::File::options()
        .write(true)
        .open(world.scratch().join("context/a"))
        .unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(digest(spec("/")), first);
    assert_ne!(digest(spec("/o")), first);
    assert_ne!(
        digest(CopySpec {
            chown: Some("1".into()),
            ..spec("/")
        }),
        first
    );
    assert_ne!(
        digest(CopySpec {
            chmod: Some(Chmod::Octal(0)),
            ..spec("/")
        }),
        first
    );
    world.context(&[("a", "z")]);
    let changed = digest(spec("/"));
    assert_ne!(changed, first);
    std::fs::rename(
        world.scratch().join("context/a"),
        world.scratch().join("context/c"),
    )
    .unwrap();
    assert_ne!(digest(spec("/")), changed);
}

#[test]
fn equal_inputs_give_equal_layers() {
    let build = || {
        let world = World::new(&["etc/"]);
        world.context(&[("a", "x"), ("d/b", "y")]);
        let plan = world
            .plan_from(
                &world.tree(""),
                &["."],
                CopySpec {
                    epoch: Some(0),
                    ..spec("/etc/app/")
                },
            )
            .unwrap();
        world.commit(&plan)
    };
    assert_eq!(build(), build());
}

#[test]
fn many_files_arrive_in_order_and_whole() {
    let world = World::new(&[]);
    let names: Vec<(String, String)> = (0..700)
        .map(|n| (format!("d{}/f{n}", n % 7), "x".repeat(n * 17 % 5000)))
        .collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .map(|(name, data)| (name.as_str(), data.as_str()))
        .collect();
    world.context(&files);
    world.context(&[("large", &"y".repeat(3 << 20))]);
    world.commit(&world.plan(&["."], "/").unwrap());
    for (name, data) in files {
        assert_eq!(world.read(name).as_deref(), Some(data), "{name}");
    }
    assert_eq!(
        world
            .view()
            .read_file(b"large", 4 << 20)
            .unwrap()
            .unwrap()
            .len(),
        3 << 20
    );
}

/// Takes some entries and then fails.
struct Full(usize);

impl LayerOutput for Full {
    type Error = std::io::Error;

    fn append(&mut self, _: &Entry, data: &mut dyn Read) -> std::io::Result<()> {
        std::io::copy(data, &mut std::io::sink())?;
        self.0 = self
            .0
            .checked_sub(1)
            .ok_or(std::io::ErrorKind::StorageFull)?;
        Ok(())
    }
}

#[test]
fn a_full_disk_ends_the_copy() {
    let world = World::new(&[]);
    let data = "x".repeat(100_000);
    let names: Vec<String> = (0..300).map(|n| format!("f{n}")).collect();
    let files: Vec<(&str, &str)> = names
        .iter()
        .map(|name| (name.as_str(), data.as_str()))
        .collect();
    world.context(&files);
    let plan = world.plan(&["."], "/").unwrap();
    assert!(plan.write(&mut Full(5)).is_err());
}

#[test]
fn whiteout_names_are_not_copied_nor_made() {
    let world = World::new(&["keep=1"]);
    world.context(&[("d/.wh.keep", ""), ("d/.wh..wh..opq", ""), ("d/ok", "1")]);
    assert_eq!(
        lines(&world.plan(&["d"], "/").unwrap()),
        on_this_host(&["ok 644 0:0"])
    );
    assert!(matches!(
        world.plan(&["d/ok"], "/.wh.keep"),
        Err(CopyError::ReservedName { .. })
    ));
    assert!(matches!(
        plan_workdir(b"/.wh.keep/x", "", None, &world.view()),
        Err(CopyError::ReservedName { .. })
    ));
    let inline = CopySource::Inline {
        name: b".wh.keep".to_vec(),
        content: Arc::from(&b""[..]),
    };
    assert!(plan_copy(spec("/"), vec![inline], &world.view(), world.scratch()).is_err());
}

#[test]
fn workdir_makes_only_what_is_missing() {
    let world = World::new(&[
        "etc/",
        "etc/passwd=app:x:5:6::/:\n",
        "link -> etc",
        "700 1:1 srv/",
    ]);
    let plan =
        |path: &str, user: &str| plan_workdir(path.as_bytes(), user, None, &world.view()).unwrap();
    assert_eq!(
        lines(&plan("/srv/a/b", "app")),
        ["srv/ 700 1:1", "srv/a/ 755 5:6", "srv/a/b/ 755 5:6"]
    );
    assert_eq!(
        lines(&plan("/link/x", "")),
        ["etc/ 755 0:0", "etc/x/ 755 0:0"]
    );
    assert!(plan("/srv", "app").is_empty());
    assert!(plan("/", "").is_empty());
    assert!(matches!(
        plan_workdir(b"/etc/passwd/x", "", None, &world.view()),
        Err(CopyError::NotADirectory { .. })
    ));
}

#[test]
fn malformed_patterns_match_nothing_and_missing_paths_fail() {
    let world = World::new(&[]);
    world.context(&[("a", "x"), ("d/b", "y")]);
    assert!(world.plan(&["[a"], "/o/").unwrap().is_empty());
    assert!(world.plan(&["x*"], "/o/").unwrap().is_empty());
    assert!(matches!(
        world.plan(&["none/*"], "/o/"),
        Err(CopyError::NotFound { .. })
    ));
    assert!(matches!(
        world.plan(&["../../x"], "/o/"),
        Err(CopyError::NotFound { .. })
    ));
    let plan = world.plan_from(
        &world.tree(""),
        &["*"],
        CopySpec {
            excludes: vec!["a".into(), "b".into()],
            ..spec("/o/")
        },
    );
    assert_eq!(lines(&plan.unwrap()), ["o/ 755 0:0"]);
}

#[test]
fn very_deep_folders_need_no_deep_stack() {
    let world = World::new(&[]);
    let deep = ["d"; 1000].join("/");
    world.context(&[(&format!("{deep}/f"), "bottom")]);
    let source = CopySource::Path {
        tree: world.tree(""),
        path: b".".to_vec(),
        unpack: false,
    };
    let (view, scratch) = (world.view(), world.scratch().to_owned());
    let small = std::thread::Builder::new().stack_size(128 << 10);
    let planned = small.spawn(move || plan_copy(spec("/"), vec![source], &view, &scratch));
    let plan = planned.unwrap().join().unwrap().unwrap();
    world.commit(&plan);
    assert_eq!(world.read(&format!("{deep}/f")).as_deref(), Some("bottom"));
}
