//! A running VM as the engine sees it: guest streams, the share, the console, the end.
//!
//! The VM itself lives in the helper process; this side starts the helper, tells it what to share and
//! learns from it when and why the VM ended. Invariant: no call waits for a VM that is gone.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use kiln_platform::local_socket::{LocalListener, LocalStream};

use crate::backends::Chosen;
use crate::config::VmConfig;
use crate::console::ConsoleTail;
use crate::control::{Command, HelperConfig};
use crate::error::{ExitReason, VmError};
use crate::link::{self, Incoming, Link};
use crate::probe::Capabilities;
use crate::runtime_dir::RuntimeDir;
use crate::{BackendKind, TOKEN_KEY};

/// Name, inside the VM's directory, at which the helper hands over guest connections.
pub const STREAM_SOCKET: &str = "guest.sock";

/// Name, inside the VM's directory, of the guest's console log.
pub const CONSOLE_LOG: &str = "console.log";

/// Name, inside the VM's directory, of what the helper writes when it fails badly.
const HELPER_LOG: &str = "helper.log";

/// How long a helper may take to end the VM before it is killed itself.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the helper may take to answer one command; it answers in well under a millisecond.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// A virtual machine, from its start until it is dropped.
#[derive(Debug)]
pub struct Vm {
    backend: BackendKind,
    capabilities: Capabilities,
    token: String,
    helper: Child,
    /// `None` once the helper was told to end.
    commands: Option<ChildStdin>,
    incoming: Receiver<Incoming>,
    link: Arc<Link>,
    next_id: u64,
    // Dropped last: the helper must be gone before its directory is.
    directory: RuntimeDir,
}

/// A duplex byte stream that the guest opened.
#[derive(Debug)]
pub struct GuestStream(LocalStream);

impl Vm {
    /// Starts a VM and returns at once; its guest's first stream comes from [`Vm::accept`].
    pub fn start(config: &VmConfig) -> Result<Self, VmError> {
        crate::verified::check(&config.image, config.cache_dir.as_deref())?;
        let chosen = crate::backends::choose(config)?;
        let at_dir = |source| VmError::RuntimeDir {
            path: config.runtime_dir.clone(),
            source,
        };
        let parent = std::path::absolute(&config.runtime_dir).map_err(at_dir)?;
        RuntimeDir::sweep(&parent);
        let directory = RuntimeDir::create(&parent).map_err(at_dir)?;
        let listener = LocalListener::bind(directory.path(), STREAM_SOCKET).map_err(at_dir)?;
        let token = random_token().map_err(at_dir)?;

        let at_start = |source| VmError::HelperStart {
            program: config.helper_exe.clone(),
            source,
        };
        let mut helper = start_helper(config, directory.path()).map_err(at_start)?;
        let mut commands = helper.stdin.take().expect("stdin is piped");
        let events = helper.stdout.take().expect("stdout is piped");
        let line = helper_config(config, &chosen, &directory, &token).map_err(at_dir)?;
        // A helper that is gone already is reported by its missing events, with its status.
        let _ = send_line(&mut commands, &line);

        let link = Arc::new(Link::default());
        let console = directory.path().join(CONSOLE_LOG);
        let incoming = link::listen(Arc::clone(&link), listener, events, console);
        Ok(Self {
            backend: chosen.kind,
            capabilities: chosen.capabilities,
            token,
            helper,
            commands: Some(commands),
            incoming: incoming.map_err(at_start)?,
            link,
            next_id: 0,
            directory,
        })
    }

    /// The back-end that runs this VM.
    #[must_use]
    pub fn backend(&self) -> BackendKind {
        self.backend
    }

    /// What that back-end gives.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The secret that a stream of this very VM must show first.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Waits for the next stream that the guest opens.
    pub fn accept(&mut self, timeout: Duration) -> Result<GuestStream, VmError> {
        match self.incoming.recv_timeout(timeout) {
            Ok(Incoming::Stream(stream)) => Ok(stream),
            Ok(Incoming::Ended) | Err(RecvTimeoutError::Disconnected) => Err(self.exited()),
            Err(RecvTimeoutError::Timeout) if !self.alive() => Err(self.exited()),
            Err(RecvTimeoutError::Timeout) => Err(VmError::Timeout {
                waited: timeout,
                console: self.console(),
            }),
        }
    }

    /// Adds the file `host` to the share, where the guest sees it as `layers/<name>`.
    pub fn share_file(&mut self, name: &str, host: &Path) -> Result<(), VmError> {
        self.share_files(&[(name, host)])
    }

    /// Adds several files at the price of one wait.
    pub fn share_files(&mut self, files: &[(&str, &Path)]) -> Result<(), VmError> {
        let mut answers = Vec::with_capacity(files.len());
        for (name, path) in files {
            let id = self.next_id;
            let failed = |error: io::Error| VmError::Share {
                name: (*name).to_owned(),
                path: path.to_path_buf(),
                reason: error.to_string(),
            };
            // The helper has another current directory.
            let path = std::path::absolute(path).map_err(failed)?.into();
            let command = Command::Share {
                id,
                name: (*name).to_owned(),
                path,
            };
            answers.push(self.ask(id, &command)?);
        }
        for ((name, path), answer) in files.iter().zip(answers) {
            if let Some(reason) = self.answer(&answer)? {
                let (name, path) = ((*name).to_owned(), path.to_path_buf());
                return Err(VmError::Share { name, path, reason });
            }
        }
        Ok(())
    }

    /// Takes `layers/<name>` out of the share. What the guest has open stays readable to it.
    pub fn unshare_file(&mut self, name: &str) -> Result<(), VmError> {
        let id = self.next_id;
        let answer = self.ask(
            id,
            &Command::Unshare {
                id,
                name: name.to_owned(),
            },
        )?;
        self.answer(&answer).map(drop)
    }

    /// The end of what the guest's kernel and agent wrote to the console.
    #[must_use]
    pub fn console(&self) -> ConsoleTail {
        match &*self.link.ended() {
            Some((_, console)) => console.clone(),
            None => ConsoleTail::read(&self.console_path()),
        }
    }

    /// The whole console log; it goes with the VM.
    #[must_use]
    pub fn console_path(&self) -> PathBuf {
        self.directory.path().join(CONSOLE_LOG)
    }

    /// Whether the VM still runs, as far as is known.
    #[must_use]
    pub fn alive(&self) -> bool {
        self.link.ended().is_none()
    }

    /// The process that runs the guest, once it was started; for diagnosis.
    #[must_use]
    pub fn vmm_pid(&self) -> Option<u32> {
        self.link.vmm_pid()
    }

    /// The helper process; for diagnosis.
    #[must_use]
    pub fn helper_pid(&self) -> u32 {
        self.helper.id()
    }

    /// Ends the VM and waits until nothing of it is left. Dropping does the same and tells nothing.
    pub fn stop(mut self) -> Result<(), VmError> {
        if let Some(commands) = &mut self.commands {
            let _ = send_line(commands, &Command::Stop);
        }
        self.end_helper();
        match &*self.link.ended() {
            None | Some((ExitReason::Stopped | ExitReason::GuestStopped, _)) => Ok(()),
            Some((reason, console)) => {
                let (reason, console) = (reason.clone(), console.clone());
                Err(VmError::Exited { reason, console })
            }
        }
    }

    fn ask(&mut self, id: u64, command: &Command) -> Result<Receiver<Option<String>>, VmError> {
        self.next_id += 1;
        let (sender, receiver) = mpsc::channel();
        self.link.expect_answer(id, sender);
        let commands = self.commands.as_mut().expect("only `end_helper` takes it");
        match send_line(commands, command) {
            Ok(()) => Ok(receiver),
            Err(_) => Err(self.exited()),
        }
    }

    fn answer(&mut self, answer: &Receiver<Option<String>>) -> Result<Option<String>, VmError> {
        let deadline = Instant::now() + COMMAND_TIMEOUT;
        loop {
            match answer.recv_timeout(Duration::from_millis(50)) {
                Ok(error) => return Ok(error),
                Err(_) if !self.alive() => return Err(self.exited()),
                Err(_) if Instant::now() > deadline => {
                    let console = self.console();
                    return Err(VmError::Timeout {
                        waited: COMMAND_TIMEOUT,
                        console,
                    });
                }
                Err(_) => {}
            }
        }
    }

    /// The error for a VM that is gone, waiting a moment for the reason to arrive.
    fn exited(&mut self) -> VmError {
        let deadline = Instant::now() + Duration::from_secs(1);
        while self.alive() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        let ended = self.link.ended().clone();
        let (reason, console) = match ended {
            Some((ExitReason::HelperLost { .. }, console)) => (self.helper_lost(), console),
            Some(known) => known,
            None => (self.helper_lost(), self.console()),
        };
        VmError::Exited { reason, console }
    }

    /// Why the helper is gone: its exit status and last words.
    fn helper_lost(&mut self) -> ExitReason {
        let status = match self.helper.try_wait() {
            Ok(Some(status)) => status.to_string(),
            _ => "it no longer answers".to_owned(),
        };
        let words = ConsoleTail::read(&self.directory.path().join(HELPER_LOG));
        ExitReason::HelperLost {
            status: format!("{status} {words}").trim().to_owned(),
        }
    }

    fn end_helper(&mut self) {
        // End-of-file tells the helper to end the VM and itself.
        drop(self.commands.take());
        let deadline = Instant::now() + STOP_TIMEOUT;
        let mut pause = Duration::from_micros(200);
        while let Ok(None) = self.helper.try_wait() {
            if Instant::now() > deadline {
                let _ = self.helper.kill();
                let _ = self.helper.wait();
                break;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
        if self.link.close() {
            // Wakes the accepting thread, which then sees that it is over.
            let _ = LocalStream::connect(self.directory.path(), STREAM_SOCKET);
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        self.end_helper();
    }
}

fn start_helper(config: &VmConfig, directory: &Path) -> io::Result<Child> {
    let mut command = std::process::Command::new(&config.helper_exe);
    command
        .args(&config.helper_args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(directory.join(HELPER_LOG))?);
    // Ctrl-C is for the engine, which then stops the VM in its own order.
    kiln_platform::process::detach_from_terminal(&mut command);
    command.spawn()
}

fn helper_config(
    config: &VmConfig,
    chosen: &Chosen,
    directory: &RuntimeDir,
    token: &str,
) -> io::Result<HelperConfig> {
    // The helper has another current directory.
    let absolute = |path: PathBuf| std::path::absolute(path).map(OsString::from);
    let mut kernel_args = vec![format!("{TOKEN_KEY}={token}")];
    kernel_args.extend(config.kernel_args.iter().cloned());
    Ok(HelperConfig {
        directory: directory.path().into(),
        architecture: config.image.manifest.arch,
        backend: chosen.kind,
        program: chosen.program.clone().into(),
        facts: chosen.facts.clone(),
        kernel: absolute(config.image.kernel())?,
        initramfs: absolute(config.image.initramfs())?,
        scratch: absolute(config.image.scratch())?,
        memory_mib: config.memory_mib,
        cpus: config.cpus,
        token: token.to_owned(),
        kernel_args,
    })
}

fn random_token() -> io::Result<String> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    Ok(format!("{:032x}", u128::from_le_bytes(random)))
}

fn send_line(to: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

impl GuestStream {
    pub(crate) fn new(stream: LocalStream) -> Self {
        Self(stream)
    }

    /// A second handle of the same stream.
    pub fn try_clone(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// Ends one or both directions; the guest reads end-of-file.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }

    /// Bounds the time that one read may wait; `None` waits for ever.
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(timeout)
    }
}

impl Read for GuestStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf)
    }
}

impl Write for GuestStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
