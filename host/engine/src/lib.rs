//! Turns a [`BuildRequest`] into an image in the store.
//!
//! The engine walks the graph that `plan` made: for each step it computes the cache key on the host, asks the
//! store, and makes the layer only on a miss. COPY, ADD and WORKDIR are made here as data; the first RUN that
//! misses boots the VM. It never prints, reads the environment or exits: what happens is told as [`Event`]s.

#![forbid(unsafe_code)]

mod build;
mod cancellable;
mod check;
mod clock;
mod command;
mod copy;
mod error;
mod event;
mod fetch;
pub mod http;
mod key;
mod log;
mod request;
mod resolve;
mod run;
mod run_image;
mod session;
mod source;
mod stage;

pub use build::{BuildOutcome, build};
pub use check::{Finding, check};
pub use error::{BuildError, Cause, FailureKind, ProjectError, RunFailure};
pub use event::{Event, Events, OutputStream, StepHead, StepId};
pub use request::{
    BuildRequest, Cancel, DockerfileSource, ExtraHost, NamedContext, Secret, VmSettings,
};
pub use run_image::{RunRequest, run_image};
