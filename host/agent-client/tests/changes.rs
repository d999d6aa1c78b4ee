//! What a run changed comes back as a layer.
#![cfg(target_os = "linux")]

mod machine;

use kiln_agent_client::protocol::{Exit, LowerRef, RunId};
use kiln_agent_client::{Error, RunOutcome};
use kiln_layer::Kind;
use machine::{Changes, Layer, Machine};

fn changes(machine: &Machine, lowers: &[LowerRef], script: &str) -> (RunId, Changes) {
    let ran = machine.run(&machine.script(lowers, script));
    assert!(ran.is_ok(), "{ran:?}");
    let changes = machine.changes(ran.run);
    (ran.run, changes)
}

#[test]
fn nothing_changed_is_nothing() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    assert_eq!(
        changes(&machine, &base, "true").1.names(),
        Vec::<String>::new()
    );
    assert_eq!(
        changes(
            &machine,
            &base,
            "cat /etc/hosts; ls -lR /etc; echo x > /dev/null"
        )
        .1
        .names(),
        Vec::<String>::new()
    );
}

#[test]
fn entries_come_by_path_with_parents_and_metadata() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let (_, changes) = changes(
        &machine,
        &base,
        "mkdir -p /a/b && echo 1 > /a/b/file && echo 2 > /a-b && touch /a/.z
         chmod 4751 /a-b; chown 33:44 /a/b; touch -d @1234567890 /a/b/file
         ln -s ../x /a/link; ln /a-b /a/hard; mkfifo -m 622 /fifo; echo > /etc/new; echo > '/é'",
    );
    let expected = [
        "a", "a-b", "a/.z", "a/b", "a/b/file", "a/hard", "a/link", "etc", "etc/new", "fifo", "é",
    ];
    assert_eq!(changes.names(), expected);
    assert_eq!(changes.get("a-b").mode, 0o4751);
    assert_eq!((changes.get("a/b").uid, changes.get("a/b").gid), (33, 44));
    assert_eq!(changes.get("a/b/file").mtime, 1_234_567_890);
    assert_eq!(
        changes.get("a/link").kind,
        Kind::Symlink {
            target: b"../x".to_vec()
        }
    );
    assert_eq!(
        changes.get("a/hard").kind,
        Kind::Hardlink {
            target: b"a-b".to_vec()
        }
    );
    assert_eq!(
        (&changes.get("fifo").kind, changes.get("fifo").mode),
        (&Kind::Fifo, 0o622)
    );
    assert_eq!(changes.contents["a/b/file"], "1\n");
}

#[test]
fn odd_names_owners_and_capabilities_survive() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let long = "n".repeat(200);
    let script = format!(
        "cd /tmp && echo > \"$(printf 'raw\\377\\nname')\" && echo > owned && chown 4000000000:3999999999 owned
         mkdir -p {long}/{long} && echo deep > {long}/{long}/{long} && ln -s {long}/{long} link
         touch -d @-5 early; touch .wh.mine; echo > .whx"
    );
    let (_, changes) = changes(&machine, &base, &script);
    let raw = b"tmp/raw\xff\nname";
    assert!(changes.entries.iter().any(|entry| entry.path == raw));
    assert_eq!(changes.get("tmp/owned").uid, 4_000_000_000);
    assert_eq!(changes.get("tmp/owned").gid, 3_999_999_999);
    assert_eq!(
        changes.contents[&format!("tmp/{long}/{long}/{long}")],
        "deep\n"
    );
    assert_eq!(changes.get("tmp/early").mtime, -5);
    assert!(
        !changes.names().contains(&"tmp/.wh.mine".to_owned()),
        "a layer cannot hold it"
    );
    assert!(changes.names().contains(&"tmp/.whx".to_owned()));
}

#[test]
fn capabilities_of_files_are_kept_and_other_attributes_are_not() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    let mut layer = Layer::default();
    let mut entry = kiln_layer::Entry::new("tool", Kind::File { size: 0 }, 0o755);
    entry
        .xattrs
        .insert(b"security.capability".to_vec(), capability.clone());
    entry.xattrs.insert(b"user.note".to_vec(), b"x".to_vec());
    layer.entry(&entry, b"");
    let lowers = [machine.base(), machine.add_layer("tool", layer)];
    let (_, changes) = changes(&machine, &lowers, "touch -d @77 /tool");
    let kept: Vec<_> = changes.get("tool").xattrs.clone().into_iter().collect();
    assert_eq!(kept, [(b"security.capability".to_vec(), capability)]);
}

#[test]
fn removals_become_whiteouts() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let (_, removed) = changes(
        &machine,
        &base,
        "rm /old/file; rm -r /old/deep; rm /dangling",
    );
    assert_eq!(
        removed.names(),
        [".wh.dangling", "old", "old/.wh.deep", "old/.wh.file"]
    );
    let (_, replaced) = changes(
        &machine,
        &base,
        "rm -r /old; mkdir /old; echo > /old/new; mkdir /brand-new",
    );
    assert_eq!(
        replaced.names(),
        ["brand-new", "old", "old/.wh..wh..opq", "old/new"]
    );
    let (_, kind) = changes(&machine, &base, "rm -r /old; echo file > /old");
    assert_eq!(kind.names(), ["old"]);
}

#[test]
fn runs_stand_on_what_runs_changed() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = machine.base();
    let (first, _) = changes(
        &machine,
        std::slice::from_ref(&base),
        "echo one > /one; rm /old/file; chmod 700 /tmp",
    );
    let lowers = [base.clone(), LowerRef::Upper { run: first }];
    let (second, two) = changes(
        &machine,
        &lowers,
        "cat /one; test ! -e /old/file; echo two > /two; rm /one",
    );
    assert_eq!(two.names(), [".wh.one", "two"]);
    let lowers = [
        base,
        LowerRef::Upper { run: first },
        LowerRef::Upper { run: second },
    ];
    let ran = machine.run(&machine.script(&lowers, "ls -d /one /two /tmp; stat -c %a /tmp"));
    assert_eq!(ran.stdout, "/tmp\n/two\n700\n", "{ran:?}");
    machine.client.discard(first).expect("discard");
}

#[test]
fn a_failed_run_has_changes_and_an_unknown_one_does_not() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let ran = machine.run(&machine.script(&base, "echo > /half; exit 2"));
    assert_eq!(ran.outcome, RunOutcome::Exited(Exit::Code(2)));
    assert_eq!(machine.changes(ran.run).names(), ["half"]);
    let mut stream = machine
        .client
        .commit(RunId(99), 1, || machine.accept())
        .expect("connection");
    assert!(matches!(stream.next_part(), Err(Error::Commit(_))));
}

#[test]
fn an_empty_root_shows_and_keeps_no_mount_points() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let mut layer = Layer::default();
    layer.file(
        "sh",
        0o755,
        &std::fs::read("/bin/busybox").expect("busybox"),
    );
    let lowers = [machine.add_layer("alone", layer)];
    let mut spec = machine.script(&lowers, "");
    spec.argv = ["/sh", "-c", "echo /* /etc/*; echo x > /etc/mine"]
        .map(String::from)
        .to_vec();
    let ran = machine.run(&spec);
    assert_eq!(
        ran.stdout, "/dev /etc /proc /sh /sys /etc/hosts /etc/resolv.conf\n",
        "{ran:?}"
    );
    assert_eq!(machine.changes(ran.run).names(), ["etc", "etc/mine"]);
}

#[test]
fn holes_are_counted_not_sent() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let base = [machine.base()];
    let script = "truncate -s 3G /hole; dd if=/etc/passwd of=/mixed bs=1 seek=1000000 2>/dev/null; truncate -s 5M /mixed";
    let ran = machine.run(&machine.script(&base, script));
    assert!(ran.is_ok(), "{ran:?}");
    let mut stream = machine
        .client
        .commit(ran.run, 4 << 30, || machine.accept())
        .expect("commit");
    let (mut data, mut zeros) = (0, 0);
    loop {
        match stream.next_part().expect("part") {
            kiln_agent_client::LayerPart::Data(bytes) => data += bytes.len() as u64,
            kiln_agent_client::LayerPart::Zeros(count) => zeros += count,
            kiln_agent_client::LayerPart::End(end) => {
                assert_eq!(end.entries, 2);
                assert_eq!(end.bytes, data + zeros);
                break;
            }
        }
    }
    assert!(zeros > 3 << 30 && data < 1 << 20, "{data} {zeros}");
    let mut stream = machine
        .client
        .commit(ran.run, 1 << 20, || machine.accept())
        .expect("commit");
    let error = loop {
        if let Err(error) = stream.next_part() {
            break error;
        }
    };
    assert!(matches!(error, Error::LayerTooLarge { .. }));
}

#[test]
fn many_layers_stack() {
    let Some(machine) = Machine::start() else {
        return;
    };
    let mut lowers = vec![machine.base()];
    for index in 0..120 {
        let mut layer = Layer::default();
        layer.file(&format!("file-{index}"), 0o644, b"x");
        lowers.push(machine.add_layer(&format!("layer-{index}"), layer));
    }
    let ran = machine.run(&machine.script(
        &lowers,
        "ls -d /file-* | { n=0; while read x; do n=$((n+1)); done; echo $n; }",
    ));
    assert_eq!(ran.stdout, "120\n", "{ran:?}");
}
