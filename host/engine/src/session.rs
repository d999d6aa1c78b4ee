//! The VMs of one build, one for each architecture: booted at the first RUN that needs it, gone with the build.
//!
//! Knows which layers the guest has already, and in which form: files of the share, or the upper directory that
//! an earlier RUN of this VM left. Must not decide what is run; only `run` and `run_image` do.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use kiln_agent_client::{AgentClient, LayerPart, OutputStream as AgentOutput, RunOutcome, Terms};
use kiln_oci::{DiffId, Platform};
use kiln_protocol::{LowerRef, RunId, RunSpec};
use kiln_store::{LayerRecord, Store};
use kiln_vmm::{Architecture, GuestStream, Vm, VmConfig, VmImage};

use crate::cancellable::{Cancellable, accept, stop_when_cancelled};
use crate::clock;
use crate::error::Cause;
use crate::event::OutputStream;
use crate::request::{Cancel, VmSettings};

/// How long a guest may take to say hello. Under emulation on a busy machine a boot takes seconds.
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the guest may take to open the connection of a layer.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(60);

/// Largest tar of one RUN's changes. Beyond it a guest is broken or hostile: the scratch disk is no larger.
const MAX_LAYER_BYTES: u64 = 64 << 30;

/// The architecture of the guest that runs commands of a platform.
pub fn guest_for(platform: &Platform) -> Result<Architecture, Cause> {
    match platform.architecture.as_str() {
        "amd64" | "386" => Ok(Architecture::X86_64),
        "arm64" | "arm" => Ok(Architecture::Aarch64),
        _ => Err(Cause::NoGuest {
            platform: platform.clone(),
        }),
    }
}

/// The VMs of a build. Nearly every build has one at most; one whose stages are for several platforms may have more.
pub struct Sessions<'a>([Session<'a>; Architecture::ALL.len()]);

impl<'a> Sessions<'a> {
    /// Sessions of which no VM is started yet.
    pub fn new(store: &'a Store, settings: &'a VmSettings, cancel: &'a Cancel) -> Self {
        Self(Architecture::ALL.map(|guest| Session::new(store, settings, guest, cancel)))
    }

    /// The one with guests of this architecture.
    pub fn of(&mut self, guest: Architecture) -> &mut Session<'a> {
        let mut sessions = self.0.iter_mut();
        let session = sessions.find(|session| session.architecture == guest);
        session.expect("there is one for each")
    }

    /// Whether any VM was started.
    pub fn started(&self) -> bool {
        self.0.iter().any(Session::started)
    }

    /// Ends every VM and waits until nothing of them is left.
    pub fn stop(&mut self) -> Result<(), Cause> {
        let stopped = self.0.each_mut().map(Session::stop);
        stopped.into_iter().collect()
    }
}

/// The VM of a build, running or not.
pub struct Session<'a> {
    architecture: Architecture,
    store: &'a Store,
    settings: &'a VmSettings,
    cancel: &'a Cancel,
    guest: Option<Guest>,
    last_run: u32,
}

struct Guest {
    vm: Vm,
    agent: AgentClient,
    /// The agent's connection, to be cut when the agent does not do as it is told.
    control: GuestStream,
    shared: HashSet<DiffId>,
    uppers: HashMap<DiffId, RunId>,
}

impl<'a> Session<'a> {
    /// A session whose VM is not started yet.
    pub fn new(
        store: &'a Store,
        settings: &'a VmSettings,
        architecture: Architecture,
        cancel: &'a Cancel,
    ) -> Self {
        Self {
            architecture,
            store,
            settings,
            cancel,
            guest: None,
            last_run: 0,
        }
    }

    /// Whether the VM was started.
    pub fn started(&self) -> bool {
        self.guest.is_some()
    }

    /// Starts the VM, waits for its agent, and gives the name of the back-end.
    pub fn boot(&mut self) -> Result<&'static str, Cause> {
        let image = VmImage::find(self.architecture, &self.settings.image_dirs)
            .map_err(kiln_vmm::VmError::from)?;
        image
            .check_protocol(kiln_protocol::VERSION)
            .map_err(kiln_vmm::VmError::from)?;
        let mut vm = Vm::start(&self.config(image)?)?;
        let control = accept(&mut vm, self.cancel, BOOT_TIMEOUT)?;
        let clone = || control.try_clone().map_err(Cause::GuestStream);
        let agent = AgentClient::handshake(clone()?, clone()?, terms(&vm)?)?;
        let backend = vm.backend().name();
        self.guest = Some(Guest {
            vm,
            agent,
            control,
            shared: HashSet::new(),
            uppers: HashMap::new(),
        });
        Ok(backend)
    }

    fn config(&self, image: VmImage) -> Result<VmConfig, Cause> {
        let mut config = VmConfig::new(
            image,
            self.store.run_dir()?,
            self.settings.helper_exe.clone(),
        );
        config.memory_mib = self.settings.memory_mib;
        if let Some(cpus) = self.settings.cpus {
            config.cpus = cpus;
        }
        config.backend = match &self.settings.backend {
            Some(name) => Some(name.parse().map_err(Cause::Backend)?),
            None => None,
        };
        config.program_dirs = self.settings.program_dirs.clone();
        config.cache_dir = Some(self.store.cache_dir()?);
        Ok(config)
    }

    /// The next number of a run.
    pub fn next_run(&mut self) -> RunId {
        self.last_run += 1;
        RunId(self.last_run)
    }

    /// Makes the layers visible to the guest and says how it finds each. The VM must be running.
    pub fn lowers(&mut self, layers: &[DiffId]) -> Result<Vec<LowerRef>, Cause> {
        let store = self.store;
        let layers = without_hidden(store, without_shadowed(layers))?;
        let guest = self.guest()?;
        let missing: Vec<LayerRecord> = layers
            .iter()
            .filter(|layer| !guest.uppers.contains_key(layer) && !guest.shared.contains(layer))
            .map(|layer| store.layer(*layer))
            .collect::<Result<_, _>>()?;
        guest.share(&missing)?;
        Ok(layers
            .into_iter()
            .map(|layer| match guest.uppers.get(&layer) {
                Some(run) => LowerRef::Upper { run: *run },
                None => LowerRef::Share {
                    name: share_name(layer),
                },
            })
            .collect())
    }

    /// Runs a command to its end, or until the build is cancelled.
    pub fn run(
        &mut self,
        spec: &RunSpec,
        on_output: &mut dyn FnMut(OutputStream, &[u8]),
    ) -> Result<RunOutcome, Cause> {
        let cancel = self.cancel;
        let guest = self.guest()?;
        let (agent, control) = (&guest.agent, &guest.control);
        let (done, finished) = std::sync::mpsc::channel::<()>();
        let (clock_done, clock_finished) = std::sync::mpsc::channel::<()>();
        // The host may have slept since the last run. An agent that is gone is noticed below.
        let _ = agent.tell_time();
        let outcome = std::thread::scope(|scope| {
            scope.spawn(move || clock::keep(agent, &clock_finished));
            scope.spawn(move || stop_when_cancelled(agent, control, spec.run, cancel, &finished));
            let outcome = agent.run(spec, &mut |stream, bytes| {
                let stream = match stream {
                    AgentOutput::Stdout => OutputStream::Stdout,
                    AgentOutput::Stderr => OutputStream::Stderr,
                };
                on_output(stream, bytes);
            });
            drop((done, clock_done));
            outcome
        });
        if cancel.is_cancelled() {
            return Err(Cause::Interrupted);
        }
        outcome.map_err(|error| guest.lost(error))
    }

    /// Takes the changes of a run into the store. Later runs of this VM stand on them where they are.
    pub fn commit(&mut self, run: RunId) -> Result<LayerRecord, Cause> {
        let (store, cancel) = (self.store, self.cancel);
        let guest = self.guest()?;
        let layer = guest.receive(run, store, cancel)?;
        guest.uppers.entry(layer.diff_id).or_insert(run);
        Ok(layer)
    }

    /// Ends the VM, if there is one, and waits until nothing of it is left.
    pub fn stop(&mut self) -> Result<(), Cause> {
        match self.guest.take() {
            Some(guest) => Ok(guest.vm.stop()?),
            None => Ok(()),
        }
    }

    fn guest(&mut self) -> Result<&mut Guest, Cause> {
        self.guest.as_mut().ok_or(Cause::NotBooted)
    }
}

impl Guest {
    /// Adds layers to the share, all at the price of one wait.
    fn share(&mut self, layers: &[LayerRecord]) -> Result<(), Cause> {
        let names: Vec<[String; 2]> = layers
            .iter()
            .map(|layer| share_name(layer.diff_id))
            .map(|name| [format!("{name}.tar"), format!("{name}.erofs")])
            .collect();
        let files: Vec<(&str, &Path)> = layers
            .iter()
            .zip(&names)
            .flat_map(|(layer, [tar, index])| {
                [
                    (tar.as_str(), layer.tar_path.as_path()),
                    (index, &layer.index_path),
                ]
            })
            .collect();
        if !files.is_empty() {
            self.vm.share_files(&files)?;
        }
        self.shared.extend(layers.iter().map(|layer| layer.diff_id));
        Ok(())
    }

    fn receive(
        &mut self,
        run: RunId,
        store: &Store,
        cancel: &Cancel,
    ) -> Result<LayerRecord, Cause> {
        let vm = &mut self.vm;
        let mut refused = None;
        let stream = self.agent.commit(run, MAX_LAYER_BYTES, || {
            match accept(vm, cancel, COMMIT_TIMEOUT) {
                Ok(stream) => Cancellable::new(stream, cancel),
                Err(cause) => {
                    refused = Some(cause);
                    Err(std::io::ErrorKind::NotConnected.into())
                }
            }
        });
        let mut stream = match (stream, refused) {
            (_, Some(cause)) => return Err(cause),
            (Err(_), None) if cancel.is_cancelled() => return Err(Cause::Interrupted),
            (Err(error), None) => return Err(self.lost(error)),
            (Ok(stream), None) => stream,
        };
        let mut sink = store.begin_ingest(kiln_store::IngestLimits::default())?;
        loop {
            if cancel.is_cancelled() {
                return Err(Cause::Interrupted);
            }
            match stream.next_part() {
                Ok(LayerPart::Data(bytes)) => sink.write(bytes)?,
                Ok(LayerPart::Zeros(count)) => sink.write_zeros(count)?,
                Ok(LayerPart::End(_)) => return Ok(sink.finish(None)?),
                Err(_) if cancel.is_cancelled() => return Err(Cause::Interrupted),
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    /// A broken connection to the agent is the VM's end, if the VM has ended: that says more.
    fn lost(&mut self, error: kiln_agent_client::Error) -> Cause {
        use kiln_agent_client::Error;
        if !matches!(error, Error::Gone | Error::Frame(_) | Error::Accept(_)) {
            return error.into();
        }
        match self.vm.accept(Duration::from_millis(500)) {
            Err(ended @ kiln_vmm::VmError::Exited { .. }) => ended.into(),
            _ => error.into(),
        }
    }
}

/// The layers without those that come again further up. All that such a layer does is done again by its later self,
/// and overlayfs takes no directory twice.
fn without_shadowed(layers: &[DiffId]) -> Vec<DiffId> {
    let mut seen = HashSet::new();
    let mut kept: Vec<DiffId> = layers
        .iter()
        .rev()
        .filter(|layer| seen.insert(**layer))
        .copied()
        .collect();
    kept.reverse();
    kept
}

/// The layers from the last one on that hides all below it, which overlayfs does not do for a root directory.
fn without_hidden(store: &Store, mut layers: Vec<DiffId>) -> Result<Vec<DiffId>, Cause> {
    for start in (1..layers.len()).rev() {
        let layer = layers[start];
        let hides = store.read_index(layer)?.hides_lower_layers();
        if hides.map_err(|source| damaged(store, layer, source))? {
            return Ok(layers.split_off(start));
        }
    }
    Ok(layers)
}

fn damaged(store: &Store, layer: DiffId, source: kiln_erofs::IndexError) -> Cause {
    match store.layer(layer) {
        Ok(record) => Cause::Store(kiln_store::Error::DamagedIndex {
            path: record.index_path,
            source,
        }),
        Err(error) => error.into(),
    }
}

/// The name of a layer's pair of files in the share, without their endings.
fn share_name(layer: DiffId) -> String {
    layer.0.hex()
}

fn terms(vm: &Vm) -> Result<Terms, Cause> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let mut entropy = vec![0; 32];
    getrandom::fill(&mut entropy).map_err(Cause::Entropy)?;
    Ok(Terms {
        time_ns: now.ok().and_then(|now| u64::try_from(now.as_nanos()).ok()),
        entropy,
        write_limit: vm.capabilities().guest_write,
        ..Terms::new(vm.token())
    })
}

#[cfg(test)]
mod tests {
    use kiln_oci::Digest;

    use super::*;

    #[test]
    fn layer_that_comes_twice_is_stacked_once_at_its_upper_place() {
        let [a, b, c] = ["a", "b", "c"].map(|text| DiffId(Digest::of(text.as_bytes())));
        assert_eq!(without_shadowed(&[a, b, a, c, c]), [b, a, c]);
        assert_eq!(without_shadowed(&[a, b, c]), [a, b, c]);
    }
}
