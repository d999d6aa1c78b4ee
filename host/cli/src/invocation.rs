//! What every command works with: the environment, the console, and the store once it is asked for.

use std::path::{Path, PathBuf};

use kiln_engine::VmSettings;
use kiln_store::{Holder, Lease, Store};
use kiln_vmm::BackendKind;

use crate::console::Console;
use crate::env::Environment;
use crate::escape;
use crate::failure::{Exit, Failure};
use crate::hints;
use crate::settings;

/// One run of the program.
pub struct Invocation {
    /// What the environment says.
    pub environment: Environment,
    /// stdout and stderr.
    pub console: Console,
}

impl Invocation {
    /// Joins the two.
    #[must_use]
    pub fn new(environment: Environment, console: Console) -> Self {
        Self {
            environment,
            console,
        }
    }

    /// The folder of the store.
    pub fn data_dir(&self) -> Result<&Path, Failure> {
        self.environment.data_dir.as_deref().ok_or_else(|| {
            Failure::usage("there is no folder to keep images in")
                .hint("set KILN_DATA_DIR to one; without it HOME must be set")
        })
    }

    /// Opens the store; `purpose` is what other processes are told that wait for this one.
    pub fn store(&self, purpose: &str) -> Result<Store, Failure> {
        let root = self.data_dir()?;
        let absolute = self.environment.current_dir.join(root);
        let store = Store::open(&absolute).map_err(|error| {
            Failure::of(Exit::Host, &error)
                .hint(format!("the data folder is {}", absolute.display()))
        })?;
        store.set_purpose(purpose);
        Ok(store)
    }

    /// Keeps everything in the store from being removed; waits for a removal that is running, and says so.
    pub fn lease(&self, store: &Store) -> Result<Lease, Failure> {
        match store.lease() {
            Err(kiln_store::Error::LockBusy { holders }) => {
                self.tell_waiting(&holders);
                Ok(store.lease_wait()?)
            }
            result => Ok(result?),
        }
    }

    /// Says that another process is waited for.
    pub fn tell_waiting(&self, holders: &[Holder]) {
        let holders = escape::line(&hints::of_holders(holders));
        self.console
            .note(&format!("waiting for the store: {holders}"));
    }

    /// Folders that may hold the VM image, most preferred first. `KILN_VM_IMAGE` is the only one if it is set: a wrong
    /// one must not be replaced by another silently.
    #[must_use]
    pub fn vm_image_dirs(&self) -> Vec<PathBuf> {
        if let Some(dir) = &self.environment.vm_image {
            return vec![self.environment.current_dir.join(dir)];
        }
        let program = self.environment.current_exe.as_deref().map(resolved);
        let beside = program.as_deref().and_then(Path::parent);
        let mut dirs = Vec::new();
        if let Some(bin) = beside {
            // An installed program, an unpacked archive, a program in a checkout's target folder.
            dirs.extend(
                [
                    "../share/kiln/vm",
                    "../lib/kiln/vm",
                    "vm",
                    "../../vm-image/out",
                ]
                .map(|dir| bin.join(dir)),
            );
        }
        if let Some(data) = &self.environment.data_dir {
            dirs.push(data.join("vm"));
        }
        dirs
    }

    /// How a VM is to be made.
    pub fn vm_settings(&self, options: &VmOptions) -> Result<VmSettings, Failure> {
        let helper_exe = self.environment.current_exe.clone();
        let user = settings::read(&self.environment)?;
        let backend = options
            .vmm
            .as_ref()
            .or(self.environment.vmm.as_ref())
            .or(user.backend.as_ref())
            .cloned();
        if let Some(Err(error)) = backend.as_ref().map(|name| name.parse::<BackendKind>()) {
            return Err(Failure::of(Exit::Usage, &error));
        }
        Ok(VmSettings {
            image_dirs: self.vm_image_dirs(),
            helper_exe: helper_exe
                .ok_or_else(|| Failure::host("the path of this program cannot be found out"))?,
            memory_mib: memory_mib(options.memory.as_ref().or(user.memory.as_ref()))?,
            cpus: options.cpus.or(user.cpus),
            backend,
            program_dirs: self.environment.program_dirs.clone(),
        })
    }
}

/// Symbolic links in the program's path followed, as far as they can be: packages link it into `bin`.
fn resolved(program: &Path) -> PathBuf {
    kiln_platform::paths::resolve(program).unwrap_or_else(|_| program.to_owned())
}

/// Flags of commands that may start a VM.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct VmOptions {
    /// Memory of the VM (`512m`, `2g`)
    #[arg(short, long, value_name = "BYTES", help_heading = "VM")]
    pub memory: Option<String>,
    /// CPUs of the VM
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=64), help_heading = "VM")]
    pub cpus: Option<u32>,
    /// Back-end that runs the VM (see `kiln doctor`)
    #[arg(long, value_name = "NAME", help_heading = "VM")]
    pub vmm: Option<String>,
}

/// Least memory in MiB with which the guest's kernel, agent and a shell still work.
const LEAST_MEMORY_MIB: u64 = 128;

/// An amount in words, else the default.
fn memory_mib(text: Option<&String>) -> Result<u32, Failure> {
    let Some(text) = text else {
        return Ok(kiln_vmm::VmConfig::DEFAULT_MEMORY_MIB);
    };
    let bytes = crate::format::size::parse_binary(text).ok_or_else(|| {
        Failure::usage(format!("`{text}` is not an amount of memory")).hint("try `2g`")
    })?;
    let mib = bytes.div_ceil(1 << 20);
    if mib < LEAST_MEMORY_MIB {
        return Err(Failure::usage(format!(
            "a VM needs at least {LEAST_MEMORY_MIB}m of memory, not `{text}`"
        )));
    }
    u32::try_from(mib)
        .map_err(|_| Failure::usage(format!("`{text}` is more memory than a VM can have")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mib(text: &str) -> Result<u32, Failure> {
        memory_mib(Some(&text.to_owned()))
    }

    #[test]
    fn memory_is_rounded_up_to_whole_mebibytes() {
        assert_eq!(mib("2g").ok(), Some(2048));
        assert_eq!(mib("200000000").ok(), Some(191));
        assert!(mib("64m").is_err());
        assert!(mib("lots").is_err());
        assert!(mib("8000000t").is_err());
    }
}
