//! QEMU's command line. Pure: the helper's current directory is the VM's, so sockets and files that
//! belong to the VM are named without a path.

use std::ffi::OsString;

use super::machine::{self, Machine};
use super::program::SANDBOX;
use super::wires::Words;
use super::{Accelerator, SCRATCH_FILE};
use crate::control::HelperConfig;

/// Guest counters slower than this cannot be told on the command line; none is that slow.
const MIN_TSC_KHZ: u64 = 100_000;

/// All arguments.
pub(super) fn of(accelerator: Accelerator, config: &HelperConfig, wires: &Words) -> Vec<OsString> {
    let mut arguments = Vec::new();
    let mut push = |words: &[&str]| arguments.extend(words.iter().map(OsString::from));
    let machine = machine::of(config.architecture);
    let memory = config.memory_mib;
    // Emulated processors are slow to start, and a second one helps only much later.
    let cpus = if accelerator == Accelerator::Tcg {
        1
    } else {
        config.cpus.max(1)
    };

    push(&[
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
    ]);
    push(&["-machine", &format!("{}{}", machine.machine, wires.machine)]);
    for property in machine.globals {
        push(&["-global", property]);
    }
    push(&["-accel", accelerator.words()]);
    push(&["-cpu", accelerator.processor()]);
    push(&["-smp", &cpus.to_string()]);
    push(&["-m", &format!("{memory}M")]);
    if config.facts.sandbox {
        push(&["-sandbox", SANDBOX]);
    }
    for argument in &wires.arguments {
        push(&[argument]);
    }
    push(&["-mon", "chardev=monitor,mode=control"]);
    // Nothing on it outlives the VM: no flush is worth its time. A full host disk stops the guest, which
    // the monitor then ends: the guest itself could only call it an I/O error.
    let drive = "if=none,id=scratch,format=raw,cache=unsafe,discard=unmap,werror=enospc";
    push(&["-drive", &format!("{drive},file={SCRATCH_FILE}")]);
    push(&["-device", "virtio-blk-device,drive=scratch"]);

    let command_line = kernel_command_line(accelerator, machine, config, wires);
    push(&["-append", &command_line]);
    arguments.extend(["-kernel".into(), config.kernel.clone()]);
    arguments.extend(["-initrd".into(), config.initramfs.clone()]);
    arguments
}

fn kernel_command_line(
    accelerator: Accelerator,
    machine: &Machine,
    config: &HelperConfig,
    wires: &Words,
) -> String {
    let mut words = vec![format!("{} quiet panic=-1", machine.kernel_words)];
    if accelerator == Accelerator::Tcg {
        words.extend(machine.emulated_kernel_words.map(str::to_owned));
        if let Some(khz) = config.facts.tsc_khz.filter(|khz| *khz > MIN_TSC_KHZ) {
            words.push(format!("tsc_early_khz={khz} tsc=reliable"));
        }
    }
    words.extend(wires.kernel.iter().map(|word| (*word).to_owned()));
    words.extend(config.kernel_args.iter().cloned());
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;
    use crate::backends::Facts;
    use crate::config::BackendKind;

    fn config(architecture: Architecture) -> HelperConfig {
        HelperConfig {
            architecture,
            directory: "/run/vm-1".into(),
            backend: BackendKind::QemuTcg,
            program: "qemu".into(),
            facts: Facts {
                sandbox: true,
                tsc_khz: machine::of(architecture).has_tsc.then_some(2_600_000),
            },
            kernel: "/image/vmlinux".into(),
            initramfs: "/image/initramfs".into(),
            scratch: "/image/scratch.img".into(),
            memory_mib: 512,
            cpus: 4,
            token: "abc".to_owned(),
            kernel_args: vec!["kiln.token=abc".to_owned()],
        }
    }

    fn wires() -> Words {
        Words {
            machine: ",memory-backend=ram",
            arguments: vec!["-serial".to_owned(), "stdio".to_owned()],
            kernel: vec!["kiln.link=x"],
        }
    }

    fn line(architecture: Architecture, accelerator: Accelerator) -> String {
        let words = of(accelerator, &config(architecture), &wires());
        words
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn emulated_guest_has_one_processor_and_knows_its_clock() {
        let line = line(Architecture::X86_64, Accelerator::Tcg);
        assert!(line.contains("-smp 1 "), "{line}");
        assert!(
            line.contains("tsc_early_khz=2600000 tsc=reliable"),
            "{line}"
        );
        assert!(
            line.contains("kiln.link=x kiln.token=abc -kernel /image/vmlinux"),
            "{line}"
        );
        assert!(line.contains(",memory-backend=ram -accel tcg "), "{line}");
        assert!(
            line.contains(" -serial stdio -mon chardev=monitor,mode=control "),
            "{line}"
        );
    }

    #[test]
    fn real_processors_come_as_asked_and_measure_their_own_clock() {
        for architecture in Architecture::ALL {
            let line = line(architecture, Accelerator::Kvm);
            assert!(line.contains("-smp 4 "), "{line}");
            assert!(line.contains("-cpu host "), "{line}");
            assert!(!line.contains("tsc_early_khz"), "{line}");
        }
    }

    #[test]
    fn machine_console_and_devices_are_those_of_the_architecture() {
        let x86 = line(Architecture::X86_64, Accelerator::Tcg);
        assert!(x86.contains("-machine microvm,"), "{x86}");
        assert!(x86.contains("console=ttyS0 "), "{x86}");
        let arm = line(Architecture::Aarch64, Accelerator::Tcg);
        assert!(arm.contains("-machine virt,"), "{arm}");
        assert!(
            arm.contains("-global virtio-mmio.force-legacy=false"),
            "{arm}"
        );
        assert!(arm.contains("console=ttyAMA0 "), "{arm}");
        assert!(!arm.contains("tsc") && !arm.contains("lapic"), "{arm}");
    }
}
