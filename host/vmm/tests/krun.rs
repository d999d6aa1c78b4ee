//! The back-end krun as far as a host goes whose KVM runs no Linux: guests of a few instructions.
//!
//! They are started as the engine starts a VM, through the helper and its lines, past the probe. What they show:
//! libkrun takes our kernel's memory, enters where it should, the initramfs is where the boot parameters say, and the
//! end of the VM arrives in whatever way it comes. Has its own `main`, since the program is the helper as well.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]
#![allow(clippy::print_stdout, reason = "this is the test runner")]

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("vm-helper") {
        return kiln_vmm::helper::main();
    }
    #[cfg(all(target_os = "linux", not(target_env = "musl"), target_arch = "x86_64"))]
    return guests::run();
    #[cfg(not(all(target_os = "linux", not(target_env = "musl"), target_arch = "x86_64")))]
    {
        println!("skipped: the guests are written for x86_64 under Linux");
        ExitCode::SUCCESS
    }
}

#[cfg(all(target_os = "linux", not(target_env = "musl"), target_arch = "x86_64"))]
mod guests {
    use std::ffi::OsString;
    use std::fs::File;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::process::CommandExt;
    use std::path::PathBuf;
    use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
    use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
    use std::time::Duration;

    use kiln_vmm::control::{Event, HelperConfig};
    use kiln_vmm::{Architecture, BackendKind, ExitReason};
    use serde_json::json;

    /// Guest address of the code.
    const BASE: u64 = 0x100_0000;

    /// Far more than it takes, emulated or not.
    const TIMEOUT: Duration = Duration::from_secs(20);

    const INITRAMFS: &[u8] = b"0707 stands for an archive, and its length is odd";

    /// Asks the keyboard controller for a reset, as Linux does for `reboot=k`.
    const RESET: &[u8] = &[0xb0, 0xfe, 0xe6, 0x64];

    /// Goes on for ever.
    const LOOP: &[u8] = &[0xeb, 0xfe];

    const TESTS: &[(&str, fn())] = &[
        (
            "guest_finds_its_initramfs_and_its_reset_ends_the_vm",
            finds_initramfs,
        ),
        ("guest_that_goes_on_for_ever_is_stopped", is_stopped),
        ("helper_ends_the_vm_when_its_owner_is_gone", owner_is_gone),
        ("triple_fault_ends_the_vm", triple_fault),
        ("kernel_that_is_none_is_told", no_kernel),
        (
            "memory_that_does_not_hold_the_kernel_is_told",
            little_memory,
        ),
    ];

    pub fn run() -> ExitCode {
        let kvm = File::options().read(true).write(true).open("/dev/kvm");
        if let Err(error) = kvm {
            println!("skipped: /dev/kvm cannot be opened: {error}");
            return ExitCode::SUCCESS;
        }
        let filter = std::env::args().skip(1).find(|word| !word.starts_with('-'));
        let mut failed = 0;
        for (name, test) in TESTS {
            if filter
                .as_ref()
                .is_some_and(|filter| !name.contains(filter.as_str()))
            {
                continue;
            }
            let passed = std::panic::catch_unwind(test).is_ok();
            println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
            failed += u8::from(!passed);
        }
        println!("\ntest result: {failed} failed");
        ExitCode::from(failed.min(1))
    }

    fn finds_initramfs() {
        let mut code = vec![0x8b, 0x86]; // mov eax, [rsi + ramdisk_image]
        code.extend(0x218u32.to_le_bytes());
        code.extend([0x8b, 0x8e]); // mov ecx, [rsi + ramdisk_size]
        code.extend(0x21cu32.to_le_bytes());
        code.extend([0x81, 0xf9]); // cmp ecx, length
        code.extend((INITRAMFS.len() as u32).to_le_bytes());
        code.extend([0x75, 0x0c]); // jne to the loop
        code.extend([0x81, 0x38]); // cmp dword [rax], "0707"
        code.extend(&INITRAMFS[..4]);
        code.extend([0x75, 0x04]); // jne to the loop
        code.extend(RESET);
        code.extend(LOOP);
        let mut vm = Vm::start(&code, 256);
        vm.started();
        assert_eq!(vm.ended(), ExitReason::GuestStopped);
        vm.leaves_nothing();
    }

    fn is_stopped() {
        let mut vm = Vm::start(LOOP, 256);
        vm.started();
        let silence = vm.events.recv_timeout(Duration::from_millis(300));
        assert_eq!(silence.unwrap_err(), RecvTimeoutError::Timeout);
        vm.say("{\"command\":\"stop\"}");
        assert_eq!(vm.ended(), ExitReason::Stopped);
        vm.leaves_nothing();
    }

    fn owner_is_gone() {
        let mut vm = Vm::start(LOOP, 256);
        vm.started();
        vm.leaves_nothing();
    }

    fn triple_fault() {
        // lidt of an empty table, then a breakpoint.
        let code = [0x6a, 0x00, 0x6a, 0x00, 0x0f, 0x01, 0x1c, 0x24, 0xcc];
        let mut vm = Vm::start(&code, 256);
        vm.started();
        // KVM with the processor's help reports a shutdown; where it emulates, it gives up.
        let ended = vm.ended();
        let told = matches!(
            ended,
            ExitReason::GuestStopped | ExitReason::ProgramFailed { .. }
        );
        assert!(told, "{ended:?}");
        vm.leaves_nothing();
    }

    fn no_kernel() {
        let mut vm = Vm::start_with(256, |kernel| std::fs::write(kernel, b"#!/bin/sh").unwrap());
        let ended = vm.ended();
        let told =
            matches!(&ended, ExitReason::HostFailed { action, .. } if action == "load the kernel");
        assert!(told, "{ended:?}");
        vm.leaves_nothing();
    }

    fn little_memory() {
        let mut vm = Vm::start(LOOP, 17);
        let ended = vm.ended();
        let told =
            matches!(&ended, ExitReason::HostFailed { cause, .. } if cause.contains("17 MiB"));
        assert!(told, "{ended:?}");
        vm.leaves_nothing();
    }

    /// A helper and what it says.
    struct Vm {
        helper: Child,
        commands: Option<ChildStdin>,
        events: Receiver<Event>,
        directory: PathBuf,
        _parent: tempfile::TempDir,
    }

    impl Vm {
        fn start(code: &[u8], memory_mib: u32) -> Self {
            Self::start_with(memory_mib, |kernel| {
                std::fs::write(kernel, elf(code)).unwrap()
            })
        }

        fn start_with(memory_mib: u32, make_kernel: impl FnOnce(&PathBuf)) -> Self {
            let parent = tempfile::tempdir().unwrap();
            let path = |name: &str| parent.path().join(name);
            make_kernel(&path("kernel"));
            std::fs::write(path("initramfs"), INITRAMFS).unwrap();
            let disk = File::create(path("disk")).unwrap();
            disk.set_len(1 << 20).unwrap();
            kiln_platform::sparse_pack::pack(&path("disk"), &path("scratch")).unwrap();
            let directory = path("vm-1");
            std::fs::create_dir(&directory).unwrap();
            std::fs::write(path("vm-1.lock"), b"").unwrap();
            let name = |name: &str| OsString::from(path(name));
            let config = HelperConfig {
                directory: directory.clone().into(),
                backend: BackendKind::Krun,
                architecture: Architecture::HOST,
                token: "abc".to_owned(),
                program: "unused".into(),
                facts: serde_json::from_value(json!({"sandbox": false, "tsc_khz": null})).unwrap(),
                kernel: name("kernel"),
                initramfs: name("initramfs"),
                scratch: name("scratch"),
                memory_mib,
                cpus: 1,
                kernel_args: vec!["kiln.token=abc".to_owned()],
            };
            let mut command = Command::new(std::env::current_exe().unwrap());
            command
                .arg("vm-helper")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped());
            let mut helper = command.process_group(0).spawn().unwrap();
            let (sender, events) = mpsc::channel();
            let lines = BufReader::new(helper.stdout.take().unwrap()).lines();
            std::thread::spawn(move || {
                for line in lines.map_while(Result::ok) {
                    let _ = sender.send(serde_json::from_str(&line).expect("a line is an event"));
                }
            });
            let mut vm = Self {
                commands: helper.stdin.take(),
                helper,
                events,
                directory,
                _parent: parent,
            };
            vm.say(&serde_json::to_string(&config).unwrap());
            vm
        }

        fn say(&mut self, line: &str) {
            writeln!(self.commands.as_mut().unwrap(), "{line}").unwrap();
        }

        fn started(&self) {
            let pid = self.helper.id();
            let event = self.events.recv_timeout(TIMEOUT).unwrap();
            assert_eq!(event, Event::Started { vmm_pid: pid });
        }

        fn ended(&self) -> ExitReason {
            match self.events.recv_timeout(TIMEOUT).unwrap() {
                Event::Exited { reason } => reason,
                other => panic!("{other:?}"),
            }
        }

        /// Goes away, as the engine does, and looks back.
        fn leaves_nothing(&mut self) {
            drop(self.commands.take());
            let deadline = std::time::Instant::now() + TIMEOUT;
            while self.helper.try_wait().unwrap().is_none() {
                assert!(
                    std::time::Instant::now() < deadline,
                    "the helper does not end"
                );
                std::thread::sleep(Duration::from_millis(5));
            }
            assert!(!self.directory.exists());
        }
    }

    impl Drop for Vm {
        fn drop(&mut self) {
            let _ = self.helper.kill();
            let _ = self.helper.wait();
        }
    }

    /// A kernel of one segment.
    fn elf(code: &[u8]) -> Vec<u8> {
        let mut file = vec![0; 4096];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01");
        put(16, &2u16.to_le_bytes());
        put(18, &62u16.to_le_bytes());
        put(24, &BASE.to_le_bytes());
        put(32, &64u64.to_le_bytes());
        put(54, &56u16.to_le_bytes());
        put(56, &1u16.to_le_bytes());
        put(64, &1u32.to_le_bytes());
        let len = code.len() as u64;
        for (at, value) in [(8, 1024), (24, BASE), (32, len), (40, len)] {
            put(64 + at, &value.to_le_bytes());
        }
        put(1024, code);
        file
    }
}
