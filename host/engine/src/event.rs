//! What a build tells while it runs. Displays are made from these alone.

use std::time::Duration;

use kiln_oci::{Digest, Platform};

/// Position of a step in the order of [`Event::Planned`].
pub type StepId = usize;

/// What a display shows of a step before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepHead {
    /// Name of the stage, or its number as text.
    pub stage: String,
    /// The instruction as the user wrote it, on one line.
    pub text: String,
    /// Line of the Dockerfile on which it starts, from 1.
    pub line: usize,
}

/// Which of a RUN's streams some output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One thing that happened. Steps are told in order of the graph; output of one step is never mixed with another's.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the fields are said in the variants' own lines"
)]
pub enum Event<'a> {
    /// The steps that will be looked at, FROMs included; sent once, before any other event but warnings.
    Planned { steps: &'a [StepHead] },
    /// A rule of the linter or the planner has something to say, about a line from 1 where there is one.
    Warning {
        line: Option<usize>,
        message: &'a str,
    },
    /// The store is being cleaned up by these; the build goes on when they are done.
    Waiting { holders: &'a str },
    /// Work on a step begins.
    Started { step: StepId },
    /// The step's earlier result is used.
    Cached { step: StepId },
    /// A part of a RUN's output, as it came.
    Output {
        step: StepId,
        stream: OutputStream,
        bytes: &'a [u8],
    },
    /// What a long step is doing now ("fetching https://…").
    Status { step: StepId, message: &'a str },
    /// The step was done, not taken from the cache. `layer_size` is the new layer's tar in bytes, if it made one.
    Finished {
        step: StepId,
        elapsed: Duration,
        layer_size: Option<u64>,
    },
    /// The step failed; the build ends with an error that tells why.
    Failed { step: StepId, elapsed: Duration },
    /// A VM is being started, for the step named. `emulated` is its platform where this machine's processors do not
    /// run it.
    VmStarting {
        step: StepId,
        emulated: Option<&'a Platform>,
    },
    /// The guest said hello.
    VmReady { backend: &'a str, elapsed: Duration },
    /// The image is in the store under this id, and has these names now.
    Built { image: Digest, names: &'a [String] },
}

/// Receives events, from one thread at a time.
pub trait Events: Sync {
    /// Takes one event. Must not block for long: the build waits.
    fn event(&self, event: Event<'_>);
}

/// Drops every event.
impl Events for () {
    fn event(&self, _event: Event<'_>) {}
}
