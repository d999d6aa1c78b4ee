//! What the other side of the protocol may send. The first byte chooses: a whole conversation of the client with
//! an agent (`c`), events (`e`), requests (`r`), or single frames.
#![no_main]

use std::io::Cursor;

use kiln_agent_client::protocol::{
    Event, FrameKind, Request, RunId, RunSpec, read_frame, read_message,
};
use kiln_agent_client::{AgentClient, Terms};
use libfuzzer_sys::fuzz_target;

const HELLO: &str = r#"{"version":1,"build_id":"b","token":"token","channel":"control"}"#;
const LAYER: &str = r#"{"version":1,"build_id":"b","token":"token","channel":{"layer":{"run":1}}}"#;

fn after_hello(hello: &str, bytes: &[u8]) -> Cursor<Vec<u8>> {
    let mut all = (hello.len() as u32).to_le_bytes().to_vec();
    all.extend([0, 0, 0, 0, FrameKind::Hello as u8, 0]);
    all.extend(hello.as_bytes());
    all.extend(bytes);
    Cursor::new(all)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let mut buffer = Vec::new();
    match choice {
        b'c' => {
            let reader = after_hello(HELLO, bytes);
            let mut terms = Terms::new("token");
            terms.output_window = 4096;
            let Ok(client) = AgentClient::handshake(reader, std::io::sink(), terms) else {
                return;
            };
            let spec = RunSpec::new(RunId(1), Vec::new(), vec!["true".to_owned()]);
            let mut shown = 0;
            let _ = client.run(&spec, &mut |_, bytes| shown += bytes.len());
            let layer = || Ok(after_hello(LAYER, bytes));
            if let Ok(layer) = client.commit(RunId(1), 1 << 20, layer) {
                let read = std::io::copy(&mut layer.into_reader(), &mut std::io::sink());
                assert!(read.unwrap_or(0) <= 1 << 20);
            }
        }
        b'e' => {
            let mut reader = bytes;
            while read_message::<Event>(&mut reader, &mut buffer, FrameKind::Control).is_ok() {}
        }
        b'r' => {
            let mut reader = bytes;
            while read_message::<Request>(&mut reader, &mut buffer, FrameKind::Control).is_ok() {}
        }
        _ => {
            let mut reader = bytes;
            while let Ok(frame) = read_frame(&mut reader, &mut buffer) {
                let _ = frame.json::<Event>();
            }
        }
    }
});
