//! The mounts of a RUN: seen while it runs, and in no layer.
#![cfg(target_os = "linux")]

mod machine;

use kiln_agent_client::RunOutcome;
use kiln_agent_client::protocol::{
    BindMount, CacheMount, CacheSharing, FileMount, LowerRef, Mount, MountKind, Payload, Stage,
    TreeRef,
};
use machine::{Layer, Machine, Ran};

fn with(
    machine: &Machine,
    lowers: &[LowerRef],
    mounts: Vec<(&str, MountKind)>,
    script: &str,
) -> Ran {
    let mut spec = machine.script(lowers, script);
    spec.mounts = mounts
        .into_iter()
        .map(|(target, kind)| Mount {
            target: target.into(),
            kind,
        })
        .collect();
    machine.run(&spec)
}

fn bind(lowers: &[LowerRef], path: &str, writable: bool) -> MountKind {
    MountKind::Bind(BindMount {
        tree: TreeRef {
            lowers: lowers.to_vec(),
            path: path.into(),
        },
        writable,
    })
}

fn cache(id: &str, base: Option<TreeRef>) -> MountKind {
    MountKind::Cache(CacheMount {
        id: id.into(),
        read_only: false,
        sharing: CacheSharing::Shared,
        base,
        mode: 0o750,
        uid: 33,
        gid: 44,
    })
}

fn source(machine: &Machine) -> LowerRef {
    let mut layer = Layer::default();
    layer.add("dir", kiln_layer::Kind::Dir, 0o755, b"");
    layer.file("dir/file", 0o644, b"from the source\n");
    layer.add(
        "out",
        kiln_layer::Kind::Symlink {
            target: b"/etc/passwd".to_vec(),
        },
        0o777,
        b"",
    );
    layer.add(
        "in",
        kiln_layer::Kind::Symlink {
            target: b"/dir".to_vec(),
        },
        0o777,
        b"",
    );
    machine.add_layer("source", layer)
}

#[test]
fn binds_show_a_part_and_keep_nothing() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let (base, source) = ([machine.base()], [source(&machine)]);
    let mounts = vec![
        ("/ro", bind(&source, "dir", false)),
        ("/rw/deep", bind(&source, "", true)),
        ("/one", bind(&source, "/dir/file", false)),
        ("/link", bind(&source, "in", false)),
        ("/tmp", bind(&[], "", true)),
    ];
    let script = "cat /ro/file /one /link/file; echo x > /ro/y; echo changed > /rw/deep/dir/file; cat /rw/deep/dir/file
        echo x > /tmp/x && ls /tmp";
    let ran = with(&machine, &base, mounts, script);
    let text = "from the source\n".repeat(3) + "changed\nx\n";
    assert_eq!(ran.stdout, text, "{ran:?}");
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    assert_eq!(machine.changes(ran.run).names(), Vec::<String>::new());
}

#[test]
fn a_source_cannot_lead_out_of_its_tree() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let (base, source) = ([machine.base()], [source(&machine)]);
    for path in ["out", "../../etc/passwd", "dir/../../bin", "missing"] {
        let ran = with(
            &machine,
            &base,
            vec![("/m", bind(&source, path, false))],
            "cat /m",
        );
        let RunOutcome::Failed(failure) = ran.outcome else {
            panic!("{path}: {ran:?}")
        };
        assert_eq!(failure.stage, Stage::Mount);
    }
}

#[test]
fn memory_and_files_are_mounted() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let secret = FileMount {
        contents: Payload(b"hunter2\n".to_vec()),
        mode: 0o400,
        uid: 33,
        gid: 44,
    };
    let mounts = vec![
        ("/run/secrets/key", MountKind::File(secret)),
        (
            "/scratch",
            MountKind::Tmpfs {
                size: Some(1 << 20),
            },
        ),
    ];
    let script =
        "cat /run/secrets/key; stat -c '%a %u %g' /run/secrets/key; echo no > /run/secrets/key
        dd if=/dev/zero of=/scratch/big bs=1M count=3 2>&1";
    let ran = with(&machine, &base, mounts, script);
    assert!(ran.stdout.starts_with("hunter2\n400 33 44\n"), "{ran:?}");
    assert!(
        ran.stdout.contains("No space left on device") && ran.stderr.contains("Read-only"),
        "{ran:?}"
    );
    assert_eq!(machine.changes(ran.run).names(), Vec::<String>::new());
}

#[test]
fn caches_live_on_and_start_as_asked() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let (base, source) = ([machine.base()], source(&machine));
    let first = with(
        &machine,
        &base,
        vec![("/c", cache("a", None))],
        "stat -c '%a %u %g' /c; echo kept > /c/x",
    );
    assert_eq!(first.stdout, "750 33 44\n", "{first:?}");
    let second = with(
        &machine,
        &base,
        vec![("/d/e", cache("a", None)), ("/f", cache("b", None))],
        "cat /d/e/x; ls /f",
    );
    assert_eq!(second.stdout, "kept\n", "{second:?}");
    let tree = TreeRef {
        lowers: vec![source],
        path: "dir".into(),
    };
    let based = || vec![("/c", cache("based", Some(tree.clone())))];
    assert_eq!(
        with(
            &machine,
            &base,
            based(),
            "cat /c/file; echo more >> /c/file"
        )
        .stdout,
        "from the source\n"
    );
    let again = with(&machine, &base, based(), "cat /c/file");
    assert_eq!(again.stdout, "from the source\nmore\n", "{again:?}");
    assert_eq!(machine.changes(again.run).names(), Vec::<String>::new());
}

#[test]
fn mount_points_that_got_contents_stay_as_folders_of_them() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let mounts = vec![("/etc/app/cache", MountKind::Tmpfs { size: None })];
    let ran = with(
        &machine,
        &base,
        mounts,
        "echo x > /etc/app/config; echo y > /etc/app/cache/y",
    );
    assert!(ran.is_ok(), "{ran:?}");
    assert_eq!(
        machine.changes(ran.run).names(),
        ["etc", "etc/app", "etc/app/config"]
    );
}

#[test]
fn targets_follow_symlinks_of_the_image_and_stay_inside() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let mounts = vec![
        ("/dangling/here", MountKind::Tmpfs { size: None }),
        ("/../../x", MountKind::Tmpfs { size: None }),
    ];
    let ran = with(&machine, &base, mounts, "ls -d /nowhere/else/here /x");
    assert_eq!(ran.stdout, "/nowhere/else/here\n/x\n", "{ran:?}");
    assert_eq!(machine.changes(ran.run).names(), Vec::<String>::new());
}
