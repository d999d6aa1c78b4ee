//! Takes requests in order and starts a thread for each that takes time.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use kiln_protocol::{
    Event, Failure, Frame, FrameError, FrameKind, MAX_MESSAGE_LEN, MORE, Request, RunId, RunSpec,
    Stage, Welcome, credit_from_payload, read_frame,
};

use crate::cgroup::Cgroups;
use crate::connection::{Sender, console};
use crate::dialler::Dialler;
use crate::failure::failure;
use crate::layers::Layers;
use crate::run::{Active, Caches};
use crate::scratch::Scratch;
use crate::settings::Settings;
use crate::spawner::Spawner;
use crate::{diff, run};

/// Everything that runs share.
pub(crate) struct Agent {
    pub settings: Settings,
    pub dialler: Dialler,
    pub terms: Welcome,
    pub spawner: Spawner,
    pub layers: Layers,
    pub caches: Caches,
    cgroups: OnceLock<Cgroups>,
    scratch: OnceLock<Result<Scratch, Failure>>,
    runs: Mutex<HashMap<RunId, RunState>>,
}

/// How far a run is.
enum RunState {
    /// Being prepared or running.
    Active(Arc<Active>),
    /// Over; its changes are there, and stood on these directories.
    Ended(Arc<Vec<PathBuf>>),
}

impl Agent {
    pub fn new(settings: Settings, dialler: Dialler, spawner: Spawner) -> Self {
        let layers = Layers::new(&settings);
        Self {
            settings,
            dialler,
            terms: Welcome::default(),
            spawner,
            layers,
            caches: Caches::default(),
            cgroups: OnceLock::new(),
            scratch: OnceLock::new(),
            runs: Mutex::default(),
        }
    }

    pub fn with_terms(self, terms: Welcome) -> Self {
        Self { terms, ..self }
    }

    /// The scratch disk, mounted on first use.
    pub fn scratch(&self) -> Result<&Scratch, Failure> {
        self.scratch
            .get_or_init(|| Scratch::mount(&self.settings))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The control groups, mounted on first use.
    pub fn cgroups(&self) -> &Cgroups {
        self.cgroups
            .get_or_init(|| Cgroups::mount(&self.settings.root))
    }

    fn runs(&self) -> MutexGuard<'_, HashMap<RunId, RunState>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the run has ended, so that its changes may be stood on or sent.
    pub fn has_ended(&self, run: RunId) -> bool {
        matches!(self.runs().get(&run), Some(RunState::Ended(_)))
    }

    /// What an ended run stood on, bottom first.
    pub fn lowers_of(&self, run: RunId) -> Option<Arc<Vec<PathBuf>>> {
        match self.runs().get(&run) {
            Some(RunState::Ended(lowers)) => Some(Arc::clone(lowers)),
            _ => None,
        }
    }

    /// Serves until the host is gone or asks for the end.
    pub fn serve(self: &Arc<Self>, reader: &mut impl Read, sender: &Arc<Sender>) {
        let for_thread = Arc::clone(self);
        // What every RUN needs, ahead of the first.
        thread::spawn(move || {
            let _ = for_thread.scratch();
            for_thread.cgroups();
        });
        self.layers.prepare();
        let mut buffer = Vec::new();
        let mut message = Vec::new();
        loop {
            match read_frame(reader, &mut buffer) {
                Ok(frame) => match self.take(frame, &mut message, sender) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => return console(&format!("malformed request: {error}")),
                },
                Err(FrameError::Closed) => return,
                Err(error) => return console(&format!("lost the host: {error}")),
            }
        }
    }

    /// Takes one frame; false asks for the end.
    fn take(
        self: &Arc<Self>,
        frame: Frame<'_>,
        message: &mut Vec<u8>,
        sender: &Arc<Sender>,
    ) -> Result<bool, FrameError> {
        match frame.kind {
            FrameKind::Credit => {
                let bytes = credit_from_payload(frame.payload)?;
                if let Some(RunState::Active(active)) = self.runs().get(&RunId(frame.stream)) {
                    active.credit.give(bytes);
                }
                Ok(true)
            }
            FrameKind::Control => {
                message.extend_from_slice(frame.payload);
                if message.len() > MAX_MESSAGE_LEN {
                    return Err(FrameError::MessageTooLong);
                }
                if frame.flags & MORE != 0 {
                    return Ok(true);
                }
                let request =
                    serde_json::from_slice(message).map_err(|source| FrameError::Json {
                        kind: FrameKind::Control,
                        source,
                    })?;
                message.clear();
                Ok(self.handle(request, sender))
            }
            got => Err(FrameError::Unexpected {
                expected: FrameKind::Control,
                got,
            }),
        }
    }

    fn handle(self: &Arc<Self>, request: Request, sender: &Arc<Sender>) -> bool {
        match request {
            Request::Run(spec) => self.start_run(*spec, sender),
            Request::Commit { run } => {
                let agent = Arc::clone(self);
                thread::spawn(move || diff::send(&agent, run));
            }
            Request::Discard { run } => {
                let agent = Arc::clone(self);
                thread::spawn(move || agent.discard(run));
            }
            Request::Signal { run, signal } => {
                if let Some(RunState::Active(active)) = self.runs().get(&run) {
                    active.signal(signal);
                }
            }
            Request::Time { time_ns } => crate::clock::tell(time_ns),
            Request::Shutdown => return false,
        }
        true
    }

    fn start_run(self: &Arc<Self>, spec: RunSpec, sender: &Arc<Sender>) {
        let run = spec.run;
        let active = Arc::new(Active::new(self.terms.output_window));
        let taken = {
            let mut runs = self.runs();
            let taken = runs.contains_key(&run);
            if !taken {
                runs.insert(run, RunState::Active(Arc::clone(&active)));
            }
            taken
        };
        let (agent, sender) = (Arc::clone(self), Arc::clone(sender));
        thread::spawn(move || {
            let event = if taken {
                Event::Failed {
                    run,
                    failure: failure(Stage::Request, format!("run {run} exists already")),
                }
            } else {
                let mut lowers = Vec::new();
                let result = run::execute(&agent, &spec, &active, &sender, &mut lowers);
                // Before the host hears of it: it may ask for the changes at once.
                agent.runs().insert(run, RunState::Ended(Arc::new(lowers)));
                match result {
                    Ok(exit) => Event::Exited { run, exit },
                    Err(failure) => Event::Failed { run, failure },
                }
            };
            if let Err(error) = sender.message(&event) {
                console(&format!("cannot tell the host of run {run}: {error}"));
            }
        });
    }

    /// Frees a run's changes; one that has not ended is kept.
    fn discard(&self, run: RunId) {
        let ended = self.has_ended(run);
        if let (true, Ok(scratch)) = (ended, self.scratch()) {
            let _ = std::fs::remove_dir_all(scratch.run(run).path);
        }
    }
}
