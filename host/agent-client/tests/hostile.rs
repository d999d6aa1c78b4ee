//! A guest that lies: each lie ends in a typed error, never in a panic, a hang or unbounded memory.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::thread;

use kiln_agent_client::protocol::{
    Channel, Event, Exit, Failure, FrameKind, Hello, LayerEnd, Request, RunId, RunSpec, Stage,
    VERSION, read_frame, read_message, write_frame, write_message,
};
use kiln_agent_client::{AgentClient, Error, LayerPart, RunOutcome, Terms};

const RUN: RunId = RunId(1);

struct Guest {
    reader: PipeReader,
    writer: PipeWriter,
}

fn hello(channel: Channel) -> Hello {
    Hello {
        version: VERSION,
        build_id: "evil\u{1b}[2J".into(),
        token: "token".into(),
        channel,
        capabilities: Vec::new(),
        kernel: "k".repeat(100_000),
        uptime_ns: 0,
    }
}

/// Connects a client to a guest that says `hello` and then does as `guest` says.
fn with_guest(
    hello: Hello,
    terms: Terms,
    guest: impl FnOnce(&mut Guest) + Send + 'static,
) -> (Result<AgentClient, Error>, thread::JoinHandle<()>) {
    let (to_guest, from_host) = (pipe().expect("pipe"), pipe().expect("pipe"));
    let mut end = Guest {
        reader: to_guest.0,
        writer: from_host.1,
    };
    let acting = thread::spawn(move || {
        write_message(&mut end.writer, FrameKind::Hello, &hello).expect("hello");
        let _ = read_frame(&mut end.reader, &mut Vec::new());
        guest(&mut end);
    });
    (
        AgentClient::handshake(from_host.0, to_guest.1, terms),
        acting,
    )
}

fn run(guest: impl FnOnce(&mut Guest) + Send + 'static) -> Result<RunOutcome, Error> {
    let mut terms = Terms::new("token");
    terms.output_window = 1000;
    let (client, acting) = with_guest(hello(Channel::Control), terms, move |end| {
        let _: Request =
            read_message(&mut end.reader, &mut Vec::new(), FrameKind::Control).expect("request");
        guest(end);
    });
    let client = client.expect("handshake");
    let outcome = client.run(
        &RunSpec::new(RUN, Vec::new(), vec!["x".into()]),
        &mut |_, _| {},
    );
    drop(client);
    acting.join().expect("guest");
    outcome
}

fn event(end: &mut Guest, event: &Event) {
    write_message(&mut end.writer, FrameKind::Control, event).expect("event");
}

#[test]
fn strangers_are_refused() {
    let wrong = |change: fn(&mut Hello)| {
        let mut hello = hello(Channel::Control);
        change(&mut hello);
        let (client, acting) = with_guest(hello, Terms::new("token"), |_| {});
        acting.join().expect("guest");
        client.err().expect("refused")
    };
    assert!(matches!(
        wrong(|hello| hello.token = "tokem".into()),
        Error::Token
    ));
    assert!(matches!(
        wrong(|hello| hello.token = String::new()),
        Error::Token
    ));
    assert!(matches!(
        wrong(|hello| hello.version = VERSION + 1),
        Error::Version { theirs, ours: VERSION } if theirs == VERSION + 1
    ));
    assert!(matches!(
        wrong(|hello| hello.channel = Channel::Layer { run: RUN }),
        Error::Channel
    ));
}

#[test]
fn text_is_cleaned_and_cut() {
    let (client, acting) = with_guest(hello(Channel::Control), Terms::new("token"), |_| {});
    let client = client.expect("handshake");
    assert_eq!(client.hello().build_id, "evil\u{fffd}[2J");
    assert!(client.hello().kernel.len() < 10_000);
    acting.join().expect("guest");

    let message = format!("\u{1b}]0;owned\u{7}{}", "x".repeat(100_000));
    let outcome = run(move |end| {
        let failure = Failure {
            stage: Stage::Root,
            errno: None,
            message,
        };
        event(end, &Event::Failed { run: RUN, failure });
    });
    let Ok(RunOutcome::Failed(failure)) = outcome else {
        panic!("{outcome:?}")
    };
    assert!(failure.message.len() < 10_000 && !failure.message.contains(char::is_control));
}

#[test]
fn rules_of_the_protocol_hold() {
    let broken = [
        run(|end| {
            write_frame(&mut end.writer, 1, FrameKind::Stdout, 0, &[0; 1001]).expect("write")
        }),
        run(|end| write_frame(&mut end.writer, 1, FrameKind::Stdout, 0, b"").expect("write")),
        run(|end| {
            event(
                end,
                &Event::Exited {
                    run: RUN,
                    exit: Exit::Code(256),
                },
            )
        }),
        run(|end| {
            event(
                end,
                &Event::Exited {
                    run: RunId(2),
                    exit: Exit::Code(0),
                },
            )
        }),
    ];
    for outcome in broken {
        assert!(
            matches!(outcome, Err(Error::Protocol { .. })),
            "{outcome:?}"
        );
    }
    for junk in [
        &b"\xff\xff\xff\xff\0\0\0\0\x03\0"[..],
        b"\0\0\0\0\0\0\0\0\x99\0",
        b"\x02\0\0\0\0\0\0\0\x02\0{}",
        b"abc",
    ] {
        let outcome = run(move |end| end.writer.write_all(junk).expect("write"));
        assert!(matches!(outcome, Err(Error::Frame(_))), "{outcome:?}");
    }
    assert!(matches!(run(|_| {}), Err(Error::Gone)));
}

#[test]
fn output_within_credit_is_taken() {
    let outcome = run(|end| {
        let mut buffer = Vec::new();
        for _ in 0..20 {
            write_frame(&mut end.writer, 1, FrameKind::Stderr, 0, &[7; 500]).expect("write");
            let credit = read_frame(&mut end.reader, &mut buffer).expect("credit");
            assert_eq!(
                (credit.kind, credit.payload),
                (FrameKind::Credit, &500u32.to_le_bytes()[..])
            );
        }
        event(
            end,
            &Event::Exited {
                run: RUN,
                exit: Exit::Code(3),
            },
        );
    });
    assert_eq!(outcome.expect("outcome"), RunOutcome::Exited(Exit::Code(3)));
}

/// A layer connection on which the guest says these things.
fn layer(frames: &[(FrameKind, &[u8])]) -> (AgentClient, Vec<u8>) {
    let (client, acting) = with_guest(hello(Channel::Control), Terms::new("token"), |end| {
        let _: Result<Request, _> =
            read_message(&mut end.reader, &mut Vec::new(), FrameKind::Control);
    });
    drop(acting);
    let mut wire = Vec::new();
    write_message(
        &mut wire,
        FrameKind::Hello,
        &hello(Channel::Layer { run: RUN }),
    )
    .expect("hello");
    for (kind, payload) in frames {
        write_frame(&mut wire, 0, *kind, 0, payload).expect("frame");
    }
    (client.expect("handshake"), wire)
}

fn read_layer(frames: &[(FrameKind, &[u8])]) -> Result<Vec<u8>, Error> {
    let (client, wire) = layer(frames);
    let mut stream = client.commit(RUN, 1 << 20, || Ok(wire.as_slice()))?;
    let mut bytes = Vec::new();
    loop {
        match stream.next_part()? {
            LayerPart::Data(data) => bytes.extend_from_slice(data),
            LayerPart::Zeros(count) => bytes.resize(bytes.len() + count as usize, 0),
            LayerPart::End(_) => return Ok(bytes),
        }
    }
}

#[test]
fn layers_are_bounded_and_counted() {
    let [right, wrong] = [8, 9].map(|bytes| LayerEnd { bytes, entries: 1 }.encode());
    let zeros = 5u64.to_le_bytes();
    let parts = [
        (FrameKind::Data, &b"ab"[..]),
        (FrameKind::Zeros, &zeros),
        (FrameKind::Data, b"c"),
    ];
    let good = [&parts[..], &[(FrameKind::End, &right[..])]].concat();
    assert_eq!(read_layer(&good).expect("layer"), b"ab\0\0\0\0\0c");

    let (client, wire) = layer(&good);
    let mut reader = client
        .commit(RUN, 8, || Ok(wire.as_slice()))
        .expect("commit")
        .into_reader();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("read");
    assert_eq!(
        (bytes.as_slice(), reader.end()),
        (
            &b"ab\0\0\0\0\0c"[..],
            Some(LayerEnd {
                bytes: 8,
                entries: 1
            })
        )
    );
    assert_eq!(reader.read(&mut [0; 8]).expect("end"), 0);

    let short = [&parts[..], &[(FrameKind::End, &wrong[..])]].concat();
    assert!(matches!(read_layer(&short), Err(Error::Protocol { .. })));
    assert!(matches!(read_layer(&parts), Err(Error::Gone)));
    for count in [u64::MAX, (1 << 20) + 1] {
        let bomb = [
            (FrameKind::Data, &b"a"[..]),
            (FrameKind::Zeros, &count.to_le_bytes()),
        ];
        assert!(matches!(
            read_layer(&bomb),
            Err(Error::LayerTooLarge { .. })
        ));
    }
    let failure = Failure {
        stage: Stage::Diff,
        errno: Some(5),
        message: "disk\u{7}".into(),
    };
    let json = serde_json::to_vec(&failure).expect("json");
    let Err(Error::Commit(failure)) = read_layer(&[(FrameKind::Abort, &json)]) else {
        panic!()
    };
    assert_eq!(failure.message, "disk\u{fffd}");
    assert!(matches!(
        read_layer(&[(FrameKind::Stdout, b"x")]),
        Err(Error::Frame(_))
    ));
}

#[test]
fn a_connection_for_another_layer_is_refused() {
    let (client, _) = layer(&[]);
    let mut wire = Vec::new();
    write_message(
        &mut wire,
        FrameKind::Hello,
        &hello(Channel::Layer { run: RunId(2) }),
    )
    .expect("hello");
    assert!(matches!(
        client.commit(RUN, 1, || Ok(wire.as_slice())),
        Err(Error::Channel)
    ));
}
