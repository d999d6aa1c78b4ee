//! Requests of the host, events of the agent, and how things fail.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{RunId, RunSpec};

/// What the host asks. Requests are taken in order; runs go on side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Run a command; ends in [`Event::Exited`] or [`Event::Failed`].
    Run(Box<RunSpec>),
    /// Send the changes of a run that has ended: the agent dials a layer connection, also to say that it cannot.
    Commit {
        /// Which run's.
        run: RunId,
    },
    /// Forget a run that has ended and free its changes. No run may stand on it afterwards.
    Discard {
        /// Which run.
        run: RunId,
    },
    /// Send a signal to a run's first process. A run that is gone is no error.
    Signal {
        /// Which run.
        run: RunId,
        /// Its Linux number.
        signal: i32,
    },
    /// What time it is, for a guest whose clock may have stood still. Nothing answers; a clock that is about right is left alone.
    Time {
        /// Nanoseconds since 1970.
        time_ns: u64,
    },
    /// Stop the VM.
    Shutdown,
}

/// What the agent tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// The run's command ended; all of its output was sent before.
    Exited {
        /// Which run.
        run: RunId,
        /// How.
        exit: Exit,
    },
    /// The run's command never started.
    Failed {
        /// Which run.
        run: RunId,
        /// Why.
        failure: Failure,
    },
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// What the agent was about when something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The request makes no sense.
    Request,
    /// Scratch disk or share.
    Storage,
    /// Mounting a layer.
    Layer,
    /// Stacking the layers.
    Overlay,
    /// Limits of the run.
    Cgroup,
    /// Starting the process.
    Spawn,
    /// Namespaces, network, host name.
    Namespace,
    /// Making the new root, its `/dev`, `/proc` and `/sys`.
    Root,
    /// A mount of the RUN instruction.
    Mount,
    /// The user does not exist in the image, or cannot be taken on.
    User,
    /// The working directory does not exist or is none.
    WorkingDirectory,
    /// Capabilities, seccomp.
    Security,
    /// The command was not found: a shell would say 127.
    CommandNotFound,
    /// The command was found and cannot be executed: a shell would say 126.
    CommandNotExecutable,
    /// Reading the changes.
    Diff,
}

/// Why the agent could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What it was about.
    pub stage: Stage,
    /// What the kernel said.
    pub errno: Option<i32>,
    /// What failed, on what and why, in words; bounded and without control characters once it has passed the client.
    pub message: String,
}

impl Failure {
    /// The exit code that a shell or `docker run` gives for this failure.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self.stage {
            Stage::CommandNotFound => 127,
            Stage::CommandNotExecutable => 126,
            _ => 125,
        }
    }

    /// Whether the Dockerfile or the image is to blame, not the VM.
    #[must_use]
    pub fn is_users_matter(&self) -> bool {
        matches!(
            self.stage,
            Stage::Mount
                | Stage::User
                | Stage::WorkingDirectory
                | Stage::CommandNotFound
                | Stage::CommandNotExecutable
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
