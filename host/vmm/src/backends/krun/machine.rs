//! The machine that a guest gets: memory, processors, kernel and devices, in libkrun's words.

use std::path::Path;
use std::sync::Arc;

use kiln_share::Server;
use msb_krun::{CacheMode, DiskImageFormat, SyncMode, Vm, VmBuilder};

use super::channel::Channel;
use super::console::Console;
use super::kernel::{self, Bundle};
use super::share::Share;
use super::{SCRATCH_FILE, firmware, host_failed};
use crate::control::HelperConfig;
use crate::error::ExitReason;
use crate::{AGENT_PORT, SHARE_TAG};

/// Longest words of ours on the command line: Linux takes 2 KiB, of which libkrun and its devices use a third.
const MAX_WORDS: usize = 1024;

/// Where the memory below the devices ends on x86_64.
const X86_64_GAP_MIB: u64 = 3328;

/// Builds the VM; `observer` is called with the exit code when it ends.
pub(super) fn build(
    config: &HelperConfig,
    share: Arc<Server>,
    channel: Arc<Channel>,
    console: &Console,
    observer: impl Fn(i32) + Send + 'static,
) -> Result<Vm, ExitReason> {
    let bundle = load(config)?;
    let memory_mib = memory(&bundle, config.memory_mib)?;
    let words = command_line(&config.kernel_args)?;
    let vcpus = u8::try_from(config.cpus.max(1)).unwrap_or(u8::MAX);
    let unwanted = firmware::provide(bundle);
    if unwanted.is_err() {
        return Err(refused("a VM was started in this process before"));
    }
    let built = VmBuilder::new()
        .machine(|machine| {
            machine
                .vcpus(vcpus)
                .memory_mib(memory_mib)
                .nested_virt(false)
                .balloon(false)
                .msb_metrics(false)
                .rng(true)
        })
        .kernel(|kernel| {
            let kernel = kernel.cmdline(&words).init_path("/init");
            if cfg!(target_arch = "x86_64") {
                // It is in the bundle.
                kernel
            } else {
                kernel.initramfs_path(&config.initramfs)
            }
        })
        .console(|output| output.output(console.path()))
        .fs(|fs| fs.tag(SHARE_TAG).custom(Box::new(Share(share))))
        .vsock(|vsock| vsock.custom(AGENT_PORT, channel))
        // Nothing on it outlives the VM: no flush is worth its time.
        .disk(|disk| {
            disk.path(SCRATCH_FILE)
                .format(DiskImageFormat::Raw)
                .cache(CacheMode::Unsafe)
                .sync(SyncMode::None)
        })
        .on_exit(observer)
        .build();
    built.map_err(|error| host_failed("build the VM", &error))
}

fn load(config: &HelperConfig) -> Result<Bundle, ExitReason> {
    let kernel = Path::new(&config.kernel);
    let loaded = if cfg!(target_arch = "x86_64") {
        kernel::load_x86_64(kernel, Path::new(&config.initramfs))
    } else {
        kernel::load_aarch64(kernel)
    };
    loaded.map_err(|error| host_failed("load the kernel", &error))
}

/// Memory to ask for. libkrun panics when the kernel does not fit, and on x86_64 it puts the kernel's memory on top
/// of what was asked for, which must not reach into the devices.
fn memory(bundle: &Bundle, wanted_mib: u32) -> Result<usize, ExitReason> {
    let wanted = u64::from(wanted_mib);
    let start = if cfg!(target_arch = "x86_64") {
        0
    } else {
        bundle.address
    };
    let kernel_mib = (bundle.end() - start).div_ceil(1 << 20);
    // As much again for the kernel to start in.
    if wanted < 2 * kernel_mib {
        let needed = 2 * kernel_mib;
        return Err(refused(&format!(
            "{wanted} MiB of memory are too little for its kernel, which needs {needed}"
        )));
    }
    let gap = X86_64_GAP_MIB - kernel_mib;
    let in_gap = cfg!(target_arch = "x86_64") && (gap..=X86_64_GAP_MIB).contains(&wanted);
    let granted = if in_gap { gap - 1 } else { wanted };
    Ok(usize::try_from(granted).unwrap_or(usize::MAX))
}

fn command_line(words: &[String]) -> Result<String, ExitReason> {
    let line = words.join(" ");
    let printable = line.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if line.len() > MAX_WORDS || !printable {
        return Err(refused("the words for the kernel are too many or odd"));
    }
    Ok(line)
}

fn refused(cause: &str) -> ExitReason {
    ExitReason::HostFailed {
        action: "build the VM".to_owned(),
        cause: cause.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::pages::{PAGE, Pages};
    use super::*;

    fn bundle(mib: usize) -> Bundle {
        let address = if cfg!(target_arch = "x86_64") {
            16 << 20
        } else {
            0x8000_0000
        };
        Bundle {
            pages: Pages::zeroed(mib * (1 << 20) - PAGE),
            address,
            entry: address,
        }
    }

    #[test]
    fn memory_never_lets_libkrun_panic_or_cover_devices() {
        let bundle = bundle(24);
        assert!(memory(&bundle, 16).is_err());
        assert!(memory(&bundle, 79).is_err() == cfg!(target_arch = "x86_64"));
        for wanted in [
            128, 512, 2048, 3200, 3287, 3288, 3300, 3327, 3328, 3329, 8192,
        ] {
            let granted = memory(&bundle, wanted).unwrap();
            let covers = granted <= 3328 && granted + 40 > 3328;
            assert!(
                !covers || cfg!(not(target_arch = "x86_64")),
                "{wanted}: {granted}"
            );
            assert!(granted <= wanted as usize && granted + 41 >= wanted as usize);
        }
    }

    #[test]
    fn command_line_is_bounded_and_printable() {
        let words = ["kiln.token=abc".to_owned(), "quiet".to_owned()];
        assert_eq!(command_line(&words).unwrap(), "kiln.token=abc quiet");
        assert!(command_line(&["a".repeat(MAX_WORDS + 1)]).is_err());
        assert!(command_line(&["a\nb".to_owned()]).is_err());
    }
}
