//! The bytes on the wire are held by a file: whoever changes it must raise [`kiln_protocol::VERSION`].

use std::fmt::Write as _;

use kiln_protocol::{
    BindMount, CacheMount, CacheSharing, Channel, Event, Exit, Failure, FileMount, FrameHeader,
    FrameKind, Hello, HelloReply, HostEntry, LayerEnd, Limits, LowerRef, MORE, Mount, MountKind,
    Network, Payload, Refusal, Request, RunId, RunSpec, Security, Stage, TreeRef, VERSION, Welcome,
};

const RUN: RunId = RunId(7);

fn spec() -> RunSpec {
    let lowers = vec![
        LowerRef::Share {
            name: "sha256-ab".into(),
        },
        LowerRef::Upper { run: RunId(6) },
    ];
    let tree = TreeRef {
        lowers: lowers.clone(),
        path: "src".into(),
    };
    let kinds = [
        MountKind::Bind(BindMount {
            tree: tree.clone(),
            writable: true,
        }),
        MountKind::Tmpfs { size: Some(4096) },
        MountKind::Tmpfs { size: None },
        MountKind::Cache(CacheMount {
            id: "go".into(),
            read_only: false,
            sharing: CacheSharing::Locked,
            base: Some(tree),
            mode: 0o755,
            uid: 1,
            gid: 2,
        }),
        MountKind::File(FileMount {
            contents: Payload(b"\0secret\xff".to_vec()),
            mode: 0o400,
            uid: 3,
            gid: 4,
        }),
    ];
    RunSpec {
        env: vec!["PATH=/bin".into()],
        secret_env: vec![("TOKEN".into(), Payload(b"t".to_vec()))],
        workdir: "/w".into(),
        user: "web:33".into(),
        hostname: "h".into(),
        extra_hosts: vec![HostEntry {
            address: "10.0.0.1".into(),
            name: "db".into(),
        }],
        resolv_conf: "nameserver 10.0.0.2\n".into(),
        mounts: kinds
            .map(|kind| Mount {
                target: "/m".into(),
                kind,
            })
            .to_vec(),
        security: Security::Insecure,
        network: Network::Guest,
        read_only: true,
        limits: Limits {
            memory: Some(1),
            pids: Some(2),
            shm: Some(3),
            open_files: Some(4),
        },
        ..RunSpec::new(
            RUN,
            lowers,
            vec!["/bin/sh".into(), "-c".into(), "true".into()],
        )
    }
}

fn json<T: serde::Serialize>(text: &mut String, name: &str, value: &T) {
    writeln!(
        text,
        "{name} {}",
        serde_json::to_string(value).expect("json")
    )
    .expect("write");
}

fn describe() -> String {
    let mut text = format!("version {VERSION}\n");
    for channel in [Channel::Control, Channel::Layer { run: RUN }] {
        let hello = Hello {
            version: VERSION,
            build_id: "b".into(),
            token: "t".into(),
            channel,
            capabilities: vec!["c".into()],
            kernel: "6.12".into(),
            uptime_ns: 5,
        };
        json(&mut text, "hello", &hello);
    }
    let welcome = Welcome {
        time_ns: Some(9),
        entropy: Payload(vec![1, 2]),
        ..Welcome::default()
    };
    json(&mut text, "welcome", &HelloReply::Welcome(welcome));
    json(
        &mut text,
        "refused",
        &HelloReply::Refused(Refusal {
            version: VERSION,
            reason: "r".into(),
        }),
    );
    for request in [
        Request::Run(Box::new(spec())),
        Request::Commit { run: RUN },
        Request::Discard { run: RUN },
        Request::Signal {
            run: RUN,
            signal: 15,
        },
        Request::Time { time_ns: 9 },
        Request::Shutdown,
    ] {
        json(&mut text, "request", &request);
    }
    let failure = Failure {
        stage: Stage::CommandNotFound,
        errno: Some(2),
        message: "m".into(),
    };
    for event in [
        Event::Exited {
            run: RUN,
            exit: Exit::Code(1),
        },
        Event::Exited {
            run: RUN,
            exit: Exit::Signal(9),
        },
        Event::Failed { run: RUN, failure },
    ] {
        json(&mut text, "event", &event);
    }
    for (kind, flags) in [
        (FrameKind::Hello, 0),
        (FrameKind::Control, MORE),
        (FrameKind::Stdout, 0),
        (FrameKind::Stderr, 0),
        (FrameKind::Credit, 0),
        (FrameKind::Data, 0),
        (FrameKind::Zeros, 0),
        (FrameKind::End, 0),
        (FrameKind::Abort, 0),
    ] {
        let header = FrameHeader {
            len: 0x0102,
            stream: RUN.0,
            kind,
            flags,
        }
        .encode();
        writeln!(text, "frame {kind:?} {header:02x?}").expect("write");
    }
    writeln!(
        text,
        "end {:02x?}",
        LayerEnd {
            bytes: 0x0102,
            entries: 3
        }
        .encode()
    )
    .expect("write");
    text
}

#[test]
fn wire_format_is_that_of_its_version() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire-v2.txt");
    let now = describe();
    if std::env::var_os("KILN_WRITE_GOLDEN").is_some() {
        std::fs::write(path, &now).expect("write");
    }
    assert_eq!(now, std::fs::read_to_string(path).expect("golden file"));
}

#[test]
fn everything_said_is_understood() {
    let spec = spec();
    let json = serde_json::to_vec(&Request::Run(Box::new(spec.clone()))).expect("json");
    assert_eq!(
        serde_json::from_slice::<Request>(&json).expect("request"),
        Request::Run(Box::new(spec))
    );
}

#[test]
fn hello_of_another_version_can_be_read() {
    let later = r#"{"version":99,"build_id":"x","token":"t","channel":"control","new":{"a":[1]}}"#;
    assert_eq!(
        serde_json::from_str::<Hello>(later).expect("hello").version,
        99
    );
}
