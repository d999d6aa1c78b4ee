//! The first words of a connection: who is there, and may they stay.

use std::io::Read;

use kiln_protocol::{Channel, FrameError, FrameKind, Hello, VERSION, read_frame};

use crate::error::Error;
use crate::text::clean;

/// Longest token compared; ours are far shorter.
const MAX_TOKEN: usize = 256;

/// Reads the Hello of any connection and checks its token.
pub(crate) fn read_hello(reader: &mut impl Read, token: &str) -> Result<Hello, Error> {
    let mut buffer = Vec::new();
    let frame = read_frame(reader, &mut buffer)?;
    if frame.kind != FrameKind::Hello {
        return Err(FrameError::Unexpected {
            expected: FrameKind::Hello,
            got: frame.kind,
        }
        .into());
    }
    let hello: Hello = frame.json()?;
    if !same_token(&hello.token, token) {
        return Err(Error::Token);
    }
    Ok(Hello {
        build_id: clean(&hello.build_id),
        kernel: clean(&hello.kernel),
        capabilities: hello
            .capabilities
            .iter()
            .take(64)
            .map(|name| clean(name))
            .collect(),
        ..hello
    })
}

/// Compares in a time that does not tell where the texts part.
fn same_token(theirs: &str, ours: &str) -> bool {
    theirs.len() == ours.len()
        && ours.len() <= MAX_TOKEN
        && theirs
            .bytes()
            .zip(ours.bytes())
            .fold(0, |all, (a, b)| all | (a ^ b))
            == 0
}

/// Whether this is the control channel of an agent of our version.
pub(crate) fn check_control(hello: &Hello) -> Result<(), Error> {
    if hello.version != VERSION {
        return Err(Error::Version {
            theirs: hello.version,
            ours: VERSION,
        });
    }
    if hello.channel != Channel::Control {
        return Err(Error::Channel);
    }
    Ok(())
}
