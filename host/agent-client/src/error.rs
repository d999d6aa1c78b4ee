//! How talking to the agent fails.

use std::io;
use std::sync::Arc;

use kiln_protocol::{Failure, FrameError, RunId};

/// Why the agent could not be talked to. How a run ends is no error but a [`crate::RunOutcome`].
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Bytes or connection are bad.
    #[error("cannot talk to the agent in the VM")]
    Frame(#[source] Arc<FrameError>),
    /// The agent speaks another version.
    #[error("the agent in the VM speaks protocol version {theirs}, this program {ours}")]
    Version {
        /// The agent's.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// The token is not that of this boot.
    #[error("whoever dialled from the VM does not know the token of this boot")]
    Token,
    /// Another channel was due.
    #[error("the agent opened another channel than was due")]
    Channel,
    /// The agent broke a rule of the protocol.
    #[error("the agent broke the protocol: {rule}")]
    Protocol {
        /// The rule.
        rule: &'static str,
    },
    /// The control connection has ended.
    #[error("the agent in the VM is gone")]
    Gone,
    /// No layer connection came.
    #[error("the agent did not open a connection for its layer")]
    Accept(#[source] Arc<io::Error>),
    /// The run id is in use.
    #[error("run {run} is under way already")]
    RunInUse {
        /// Which.
        run: RunId,
    },
    /// The agent could not read a run's changes.
    #[error("the changes of the step could not be read: {0}")]
    Commit(#[source] Failure),
    /// A layer is larger than its bound.
    #[error("the changes of the step are larger than {limit} bytes")]
    LayerTooLarge {
        /// The bound.
        limit: u64,
    },
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Closed => Self::Gone,
            error => Self::Frame(Arc::new(error)),
        }
    }
}
