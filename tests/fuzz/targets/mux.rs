//! What a guest may send on its serial ports. The first byte chooses: frames to the side that accepts (`a`) or that
//! dials (`d`), or FUSE messages.
#![no_main]

use std::io::Read;

use kiln_mux::{MAX_REQUEST, MAX_STREAMS, Mux, Stream, WINDOW, read_prefixed};
use libfuzzer_sys::fuzz_target;

/// Everything that is left of the streams, of which none may hold more than its window.
fn drain(streams: &[Stream]) {
    for mut stream in streams {
        let mut bytes = Vec::new();
        let read = stream.read_to_end(&mut bytes);
        assert!(read.expect("the link has ended") <= WINDOW as usize);
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, mut bytes)) = bytes.split_first() else {
        return;
    };
    let mux = Mux::new(std::io::sink());
    match choice {
        b'a' => {
            let mut streams = Vec::new();
            let mut accept = |stream: Stream| {
                // Some are let go at once, as those are whose engine is gone.
                if streams.len() % 3 != 2 {
                    streams.push(stream);
                }
                assert!(streams.len() <= MAX_STREAMS);
                Ok(())
            };
            let _ = mux.run(&mut bytes, Some(&mut accept));
            drain(&streams);
        }
        b'd' => {
            let streams = [mux.dial(), mux.dial()].map(|stream| stream.expect("nothing ends it"));
            let _ = mux.run(&mut bytes, None);
            drain(&streams);
        }
        _ => {
            let mut message = Vec::new();
            while read_prefixed(&mut bytes, &mut message, MAX_REQUEST).unwrap_or(false) {
                assert!(message.len() <= MAX_REQUEST);
            }
        }
    }
});
