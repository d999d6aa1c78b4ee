//! The streams' port: each stream that the guest opens becomes a connection to the engine's socket.
//!
//! Two threads carry each stream. Their number is bounded by kiln-mux's bound on streams.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;

use kiln_mux::{Mux, Stream, expect_token};
use kiln_platform::local_socket::LocalStream;

use crate::vm::STREAM_SOCKET;

/// Bytes read from the port at once: some full frames.
const READ_BUFFER: usize = 256 << 10;

/// Bytes carried at once.
const CHUNK: usize = 64 << 10;

/// Serves the streams until the port is closed or the guest breaks the rules.
pub(super) fn serve(port: &TcpStream, token: &str, directory: &Path) -> io::Result<()> {
    let result = carry_all(port, token, directory);
    // Whoever still waits for the guest to read waits no longer.
    let _ = port.shutdown(Shutdown::Both);
    result
}

fn carry_all(port: &TcpStream, token: &str, directory: &Path) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(READ_BUFFER, port);
    if !expect_token(&mut reader, token)? {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mux = Mux::new(port.try_clone()?);
    let mut connect = |stream| carry(stream, LocalStream::connect(directory, STREAM_SOCKET)?);
    mux.run(&mut reader, Some(&mut connect))
        .map_err(io::Error::other)
}

/// Carries bytes both ways from two threads.
fn carry(guest: Stream, engine: LocalStream) -> io::Result<()> {
    let engine = Arc::new(engine);
    let (guest_again, engine_again) = (guest.clone(), Arc::clone(&engine));
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    thread("to-engine").spawn(move || {
        if copy(&guest, &*engine).is_err() {
            guest.shutdown(Shutdown::Read);
        }
        let _ = engine.shutdown(Shutdown::Write);
    })?;
    thread("to-guest").spawn(move || {
        let (guest, engine) = (guest_again, engine_again);
        if copy(&*engine, &guest).is_err() {
            // The guest takes no more: whoever writes learns it, or at least does not wait.
            let _ = engine.shutdown(Shutdown::Read);
            let _ = io::copy(&mut &*engine, &mut io::sink());
        }
        guest.shutdown(Shutdown::Write);
    })?;
    Ok(())
}

/// Copies until `from` ends; fails when `to` does.
fn copy(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buf = vec![0; CHUNK];
    loop {
        match from.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buf[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // An end like any other: what came was passed on.
            Err(_) => return Ok(()),
        }
    }
}
