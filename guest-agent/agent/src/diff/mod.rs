//! What a run changed, read from the upper directory of its overlay and sent as a layer's tar.
//!
//! Upper directory                         | tar
//! ----------------------------------------|------------------------------------------------
//! character device 0:0                    | `.wh.<name>`
//! directory with `trusted.overlay.opaque` | the directory, then `.wh..wh..opq` in it
//! second name of an inode                 | hard link to the first
//! file, directory, symlink, device, fifo  | as it is
//! socket, file named `.wh.*`              | left out: a layer cannot hold them
//! `security.capability`                   | kept; all other attributes are left out, as BuildKit does
//!
//! Entries come sorted by path bytes. The root directory itself is no entry.

mod attributes;
mod sink;
mod tree;

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use kiln_layer::{TarError, TarWriter};
use kiln_protocol::{Channel, Failure, FrameKind, LayerEnd, RunId, Stage, write_message};
use rustix::fs::{Mode, OFlags};

use crate::connection::{Connection, console};
use crate::failure::{OrFail, failure};
use crate::serve::Agent;
use sink::LayerSink;

/// Why a layer could not be made.
#[derive(Debug, thiserror::Error)]
enum DiffError {
    /// The host takes no more.
    #[error("the layer's connection has failed")]
    Connection(#[source] io::Error),
    /// The changes cannot be read or do not fit into a tar.
    #[error("{0}")]
    Changes(Failure),
}

/// Sends a run's changes over a connection of their own; a failure is told there too.
pub(crate) fn send(agent: &Agent, run: RunId) {
    let connection = Connection::open(
        &agent.dialler,
        &agent.settings.token,
        Channel::Layer { run },
        agent.terms.write_limit,
    );
    let mut connection = match connection {
        Ok(connection) => connection,
        Err(error) => return console(&format!("cannot dial for the layer of run {run}: {error}")),
    };
    match send_layer(agent, run, &mut connection) {
        Ok(()) => {}
        Err(DiffError::Changes(failure)) => {
            if let Err(error) = write_message(&mut connection, FrameKind::Abort, &failure) {
                console(&format!(
                    "cannot tell that the layer of run {run} failed: {error}"
                ));
            }
        }
        Err(error @ DiffError::Connection(_)) => console(&format!("layer of run {run}: {error}")),
    }
}

fn send_layer(agent: &Agent, run: RunId, connection: &mut Connection) -> Result<(), DiffError> {
    let Some(lowers) = agent.lowers_of(run) else {
        return Err(DiffError::Changes(failure(
            Stage::Request,
            format!("run {run} has no changes to send"),
        )));
    };
    let scratch = agent.scratch().map_err(DiffError::Changes)?;
    let upper = open_upper(&scratch.run(run).upper()).map_err(DiffError::Changes)?;
    let mut tar = TarWriter::new(LayerSink::new(connection));
    let entries = tree::write(upper, &lowers, &mut tar)?;
    let sink = tar.finish().map_err(|error| from_tar(error, b""))?;
    let (connection, bytes) = sink.finish().map_err(DiffError::Connection)?;
    connection
        .send(FrameKind::End, &LayerEnd { bytes, entries }.encode())
        .map_err(DiffError::Connection)
}

fn open_upper(path: &Path) -> Result<OwnedFd, Failure> {
    rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .or_fail(Stage::Diff, || "cannot open the run's changes".into())
}

/// An error of the tar writer: the connection's, or the entry's.
fn from_tar(error: TarError, path: &[u8]) -> DiffError {
    match error {
        TarError::Io(error) => DiffError::Connection(error),
        error => {
            let path = String::from_utf8_lossy(path);
            DiffError::Changes(failure(
                Stage::Diff,
                format!("cannot put {path} into a layer: {error}"),
            ))
        }
    }
}
