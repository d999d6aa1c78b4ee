//! The control connection: handshake, runs, signals.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kiln_protocol::{
    Channel, Exit, Failure, FrameError, FrameKind, Hello, HelloReply, Payload, Refusal, Request,
    RunId, RunSpec, VERSION, Welcome, write_frame, write_message,
};

use crate::error::Error;
use crate::hello::{check_control, read_hello};
use crate::layer::LayerStream;
use crate::receive::{ActiveRun, Incoming, Runs, receive};

/// What the host offers the agent.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Token of this boot.
    pub token: String,
    /// Largest single write that the VM's vsock device takes well.
    pub write_limit: u32,
    /// Bytes of output of one run under way at once.
    pub output_window: u32,
    /// The guest's clock is set by this; none is the present.
    pub time_ns: Option<u64>,
    /// Seed for the guest's random numbers.
    pub entropy: Vec<u8>,
}

impl Terms {
    /// Default terms with this token.
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        let Welcome {
            write_limit,
            output_window,
            ..
        } = Welcome::default();
        Self {
            token: token.into(),
            write_limit,
            output_window,
            time_ns: None,
            entropy: Vec::new(),
        }
    }
}

/// Which of a run's streams some output came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunOutcome {
    /// The command ran and ended so.
    Exited(Exit),
    /// The command never started.
    Failed(Failure),
}

/// The agent of one VM. Shared between threads by reference.
pub struct AgentClient {
    hello: Hello,
    terms: Terms,
    writer: Mutex<Box<dyn Write + Send>>,
    runs: Arc<Mutex<Runs>>,
    /// Held while a commit waits for its connection, so that two commits do not take each other's.
    dialling: Mutex<()>,
}

impl AgentClient {
    /// Answers the agent's Hello on a fresh control connection, given as its two halves.
    ///
    /// # Errors
    /// Another version, a wrong token, or bytes that are no Hello.
    pub fn handshake(
        mut reader: impl Read + Send + 'static,
        mut writer: impl Write + Send + 'static,
        terms: Terms,
    ) -> Result<Self, Error> {
        let hello = read_hello(&mut reader, &terms.token)?;
        let reply = check_control(&hello);
        let message = match &reply {
            Ok(()) => HelloReply::Welcome(Welcome {
                version: VERSION,
                write_limit: terms.write_limit,
                output_window: terms.output_window,
                time_ns: terms.time_ns.or_else(now),
                entropy: Payload(terms.entropy.clone()),
            }),
            Err(error) => HelloReply::Refused(Refusal {
                version: VERSION,
                reason: error.to_string(),
            }),
        };
        write_message(&mut writer, FrameKind::Hello, &message)?;
        writer.flush().map_err(FrameError::Io)?;
        reply?;
        let runs = Arc::new(Mutex::new(Runs::default()));
        let for_thread = Arc::clone(&runs);
        std::thread::spawn(move || receive(&mut reader, &for_thread));
        Ok(Self {
            hello,
            terms,
            writer: Mutex::new(Box::new(writer)),
            runs,
            dialling: Mutex::new(()),
        })
    }

    /// What the agent said of itself, cleaned.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Runs a command to its end. `on_output` gets its output as it comes, and no more comes while it does not return.
    ///
    /// # Errors
    /// The agent is gone or broke the protocol; a command that fails or cannot be started is no error.
    pub fn run(
        &self,
        spec: &RunSpec,
        on_output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<RunOutcome, Error> {
        let incoming = self.register(spec.run)?;
        let request = Request::Run(Box::new(spec.clone()));
        let outcome = self
            .request(&request)
            .and_then(|()| self.follow(spec.run, &incoming, on_output));
        lock(&self.runs).active.remove(&spec.run);
        outcome
    }

    fn register(&self, run: RunId) -> Result<Receiver<Incoming>, Error> {
        let mut runs = lock(&self.runs);
        if let Some(error) = &runs.lost {
            return Err(error.clone());
        }
        if runs.active.contains_key(&run) {
            return Err(Error::RunInUse { run });
        }
        let (sender, receiver) = channel();
        runs.active.insert(
            run,
            ActiveRun {
                sender,
                window: u64::from(self.terms.output_window),
            },
        );
        Ok(receiver)
    }

    fn follow(
        &self,
        run: RunId,
        incoming: &Receiver<Incoming>,
        on_output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<RunOutcome, Error> {
        let mut owed = 0u32;
        loop {
            match incoming.recv().map_err(|_| Error::Gone)? {
                Incoming::Output(stream, bytes) => {
                    on_output(stream, &bytes);
                    owed = owed.saturating_add(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
                    // A quarter of the window at a time: credit frames cost a wake-up of the guest.
                    if owed >= self.terms.output_window / 4 {
                        self.give_credit(run, owed)?;
                        owed = 0;
                    }
                }
                Incoming::Ended(outcome) => return Ok(outcome),
                Incoming::Lost(error) => return Err(error),
            }
        }
    }

    fn give_credit(&self, run: RunId, bytes: u32) -> Result<(), Error> {
        if let Some(active) = lock(&self.runs).active.get_mut(&run) {
            active.window += u64::from(bytes);
        }
        let mut writer = lock(&self.writer);
        write_frame(
            &mut *writer,
            run.0,
            FrameKind::Credit,
            0,
            &bytes.to_le_bytes(),
        )?;
        Ok(writer.flush().map_err(FrameError::Io)?)
    }

    /// Sends a signal to a run's first process; one that has ended already is no error.
    ///
    /// # Errors
    /// The agent is gone.
    pub fn signal(&self, run: RunId, signal: i32) -> Result<(), Error> {
        self.request(&Request::Signal { run, signal })
    }

    /// Asks for the changes of a run that has ended. `accept` gets the next connection that the guest dials.
    ///
    /// # Errors
    /// No connection came, or one that is not this layer's. That the changes cannot be read is told by the stream.
    pub fn commit<R: Read>(
        &self,
        run: RunId,
        limit: u64,
        accept: impl FnOnce() -> std::io::Result<R>,
    ) -> Result<LayerStream<R>, Error> {
        let _alone = lock(&self.dialling);
        self.request(&Request::Commit { run })?;
        let mut reader = accept().map_err(|error| Error::Accept(Arc::new(error)))?;
        let hello = read_hello(&mut reader, &self.terms.token)?;
        if hello.channel != (Channel::Layer { run }) {
            return Err(Error::Channel);
        }
        Ok(LayerStream::new(reader, limit))
    }

    /// Forgets a run that has ended and frees its changes.
    ///
    /// # Errors
    /// The agent is gone.
    pub fn discard(&self, run: RunId) -> Result<(), Error> {
        self.request(&Request::Discard { run })
    }

    /// Tells the guest what time it is.
    ///
    /// # Errors
    /// The agent is gone, or this machine's clock is before 1970.
    pub fn tell_time(&self) -> Result<(), Error> {
        let time_ns = now().ok_or(Error::Protocol {
            rule: "time starts in 1970",
        })?;
        self.request(&Request::Time { time_ns })
    }

    /// Asks the VM to stop.
    ///
    /// # Errors
    /// The agent is gone already.
    pub fn shutdown(&self) -> Result<(), Error> {
        self.request(&Request::Shutdown)
    }

    fn request(&self, request: &Request) -> Result<(), Error> {
        let mut writer = lock(&self.writer);
        write_message(&mut *writer, FrameKind::Control, request)?;
        Ok(writer.flush().map_err(FrameError::Io)?)
    }
}

/// Nanoseconds since 1970.
fn now() -> Option<u64> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_nanos()).ok()
}

/// What the mutex guards; a thread that panicked has left nothing half done.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
