//! A real guest on the devices of this crate, and every way in which a VM ends.
//!
//! Has its own `main`, since the program must also be able to become the helper process.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]
#![allow(clippy::print_stdout, reason = "this is the test runner")]

mod support;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::panic::AssertUnwindSafe;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use kiln_vmm::{ExitReason, Vm, VmError};
use support::{BOOT_TIMEOUT, Guest, TestImage, boot};

type DeviceTest = fn(&TestImage, &mut Vm, &mut Guest);
type EndTest = fn(&TestImage);

/// Tests that share one guest and leave it as they found it.
const DEVICE_TESTS: &[(&str, DeviceTest)] = &[
    (
        "data_comes_back_unchanged_whatever_its_size",
        data_comes_back,
    ),
    ("large_writes_of_the_guest_do_not_stall", large_writes),
    ("slow_reader_stops_the_guest_and_loses_nothing", slow_reader),
    ("several_streams_do_not_disturb_each_other", several_streams),
    ("end_of_data_arrives_in_both_directions", end_of_data),
    ("shared_files_read_back_and_cannot_be_written", shared_files),
    ("scratch_disk_can_be_written", scratch_disk),
];

/// Tests that end their VM, each in its way.
const END_TESTS: &[(&str, EndTest)] = &[
    ("nothing_is_left_after_a_stop", nothing_is_left),
    ("kernel_panic_is_told_with_its_console", kernel_panic),
    ("guest_that_reboots_is_gone", guest_reboots),
    ("killed_vmm_is_noticed_at_once", vmm_killed),
    ("killed_helper_takes_the_vmm_along", helper_killed),
    ("vm_dies_with_the_process_that_started_it", owner_killed),
    ("missing_kernel_is_an_image_error", missing_kernel),
    (
        "impossible_memory_size_fails_with_its_reason",
        too_much_memory,
    ),
    ("full_host_disk_is_told", full_host_disk),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("vm-helper") => return kiln_vmm::helper::main(),
        Some("own-a-vm") => own_a_vm(&arguments[1]),
        _ => {}
    }
    let image = match TestImage::make() {
        Ok(image) => image,
        Err(missing) => {
            println!("skipped: {missing}");
            return ExitCode::SUCCESS;
        }
    };
    if !kiln_vmm::probe(&[], None)
        .iter()
        .any(|report| report.works())
    {
        println!(
            "skipped: no VM back-end works here: {:?}",
            kiln_vmm::probe(&[], None)
        );
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter.as_str()));
    let mut passed = true;
    if DEVICE_TESTS.iter().any(|(name, _)| wanted(name)) {
        let (mut vm, mut guest) = image.boot();
        for (name, test) in DEVICE_TESTS.iter().filter(|(name, _)| wanted(name)) {
            passed &= run(name, || test(&image, &mut vm, &mut guest));
        }
    }
    for (name, test) in END_TESTS.iter().filter(|(name, _)| wanted(name)) {
        passed &= run(name, || test(&image));
    }
    ExitCode::from(u8::from(!passed))
}

fn run(name: &str, test: impl FnOnce()) -> bool {
    let start = Instant::now();
    let passed = std::panic::catch_unwind(AssertUnwindSafe(test)).is_ok();
    let word = if passed { "ok" } else { "FAILED" };
    let took = start.elapsed().as_secs_f32();
    println!("test {name} ... {word} ({took:.2} s)");
    passed
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8)
        .collect()
}

fn data_comes_back(_image: &TestImage, _vm: &mut Vm, guest: &mut Guest) {
    for len in [1, 100, 4095, 4096, 65_536, 65_537, 200_000] {
        let data = pattern(len);
        assert!(guest.echo(&data) == data, "{len} bytes");
    }
    let total = 5_000_000;
    guest.say(&format!("recv {total}"));
    guest.stream.write_all(&pattern(total)).unwrap();
    assert_eq!(guest.line(), format!("got {total}"));
}

fn large_writes(_image: &TestImage, _vm: &mut Vm, guest: &mut Guest) {
    for write in [
        1,
        27_000,
        28 << 10,
        (28 << 10) + 1,
        65_536,
        100_000,
        1 << 20,
    ] {
        let total = if write == 1 { 2000 } else { 4 << 20 };
        guest.say(&format!("send {total} {write}"));
        guest.check_sent(total, write);
    }
}

fn slow_reader(_image: &TestImage, vm: &mut Vm, guest: &mut Guest) {
    let total = 16 << 20;
    guest.say(&format!("send {total} 65536"));
    // While one stream is stuck another one works.
    guest.say("dial other");
    std::thread::sleep(Duration::from_millis(300));
    guest.check_sent(total, 65_536);
    let mut other = Guest::new(vm.accept(BOOT_TIMEOUT).unwrap());
    assert_eq!(other.line(), "stream other");
    other.say(&format!("send {total} 65536"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(guest.echo(b"still here"), b"still here");
    other.check_sent(total, 65_536);
}

fn several_streams(_image: &TestImage, vm: &mut Vm, guest: &mut Guest) {
    let count = 8;
    for number in 0..count {
        guest.say(&format!("dial {number}"));
    }
    let streams: Vec<Guest> = (0..count)
        .map(|_| Guest::new(vm.accept(BOOT_TIMEOUT).unwrap()))
        .collect();
    let threads: Vec<_> = streams
        .into_iter()
        .map(|mut stream| {
            std::thread::spawn(move || {
                assert!(stream.line().starts_with("stream "));
                stream.say("send 2000000 30000");
                stream.check_sent(2_000_000, 30_000);
                let data = pattern(100_000);
                assert!(stream.echo(&data) == data);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(guest.echo(b"alone again"), b"alone again");
}

fn end_of_data(_image: &TestImage, vm: &mut Vm, guest: &mut Guest) {
    guest.say("dial closes");
    let mut closes = Guest::new(vm.accept(BOOT_TIMEOUT).unwrap());
    assert_eq!(closes.line(), "stream closes");
    closes.say("send 3000000 65536");
    closes.say("close");
    // What was sent before the close must not be lost, however late it is read.
    std::thread::sleep(Duration::from_millis(200));
    closes.check_sent(3_000_000, 65_536);
    assert_eq!(closes.lines.read(&mut [0; 10]).unwrap(), 0);

    guest.say("dial ends");
    let mut ends = Guest::new(vm.accept(BOOT_TIMEOUT).unwrap());
    assert_eq!(ends.line(), "stream ends");
    ends.say("send 1000000 65536");
    ends.stream.shutdown(Shutdown::Write).unwrap();
    ends.check_sent(1_000_000, 65_536);
    assert_eq!(ends.lines.read(&mut [0; 10]).unwrap(), 0);
    assert_eq!(guest.echo(b"not ended"), b"not ended");
}

fn shared_files(image: &TestImage, vm: &mut Vm, guest: &mut Guest) {
    let path = image.path().join("shared-data");
    let data = pattern(5_000_001);
    std::fs::write(&path, &data).unwrap();
    vm.share_file("a.tar", &path).unwrap();
    assert_eq!(guest.ask("list"), "a.tar");
    assert_eq!(guest.line(), "");
    vm.share_file("b.tar", &path).unwrap();
    let mut names = vec![guest.ask("list"), guest.line()];
    names.sort();
    assert_eq!(names, ["a.tar", "b.tar"]);
    assert_eq!(guest.line(), "");
    let sum = data
        .chunks(1 << 20)
        .flat_map(|chunk| chunk.iter().step_by(4096))
        .fold(0u64, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u64::from(*byte))
        });
    for name in ["a.tar", "b.tar"] {
        let answer = guest.ask(&format!("read layers/{name}"));
        assert!(
            answer.starts_with(&format!("read {} {sum} ", data.len())),
            "{answer}"
        );
    }
    let read_only = 30;
    assert_eq!(guest.ask("write layers/a.tar"), read_only.to_string());
    let error = vm
        .share_file("c.tar", &image.path().join("no-such-file"))
        .unwrap_err();
    assert!(matches!(error, VmError::Share { name, .. } if name == "c.tar"));
}

fn scratch_disk(_image: &TestImage, _vm: &mut Vm, guest: &mut Guest) {
    assert_eq!(guest.ask("scratch 20000000"), "wrote 20000000");
}

fn nothing_is_left(image: &TestImage) {
    let (vm, _guest) = image.boot();
    let pid = vm.vmm_pid().unwrap();
    assert!(is_running(pid));
    assert_eq!(image.leftovers().len(), 2);
    let start = Instant::now();
    vm.stop().unwrap();
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "{:?}",
        start.elapsed()
    );
    assert!(!is_running(pid));
    assert_eq!(image.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// The error of a VM that is expected to end, which must be told soon.
fn end_of(vm: &mut Vm) -> (ExitReason, String) {
    let start = Instant::now();
    let error = vm.accept(Duration::from_secs(20)).unwrap_err();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    match error {
        VmError::Exited { reason, console } => (reason, console.0),
        other => panic!("{other:?}"),
    }
}

fn kernel_panic(image: &TestImage) {
    let (mut vm, mut guest) = image.boot();
    guest.say("panic");
    let (reason, console) = end_of(&mut vm);
    let ExitReason::KernelPanic { message } = reason else {
        panic!("{reason:?}")
    };
    assert!(message.contains("Attempted to kill init"), "{message}");
    assert!(console.contains("asked to"), "{console}");
    assert_eq!(guest.lines.read(&mut [0; 10]).unwrap(), 0);
}

fn guest_reboots(image: &TestImage) {
    let (mut vm, mut guest) = image.boot();
    guest.say("reboot");
    assert_eq!(end_of(&mut vm).0, ExitReason::GuestStopped);
    assert!(!vm.alive());
}

fn kill(pid: u32) {
    assert!(
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

/// Whether the process runs; a zombie does not.
fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

fn wait_until_gone(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(3);
    while is_running(pid) {
        assert!(Instant::now() < deadline, "process {pid} still runs");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn vmm_killed(image: &TestImage) {
    let (mut vm, mut guest) = image.boot();
    kill(vm.vmm_pid().unwrap());
    assert_eq!(end_of(&mut vm).0, ExitReason::Killed { signal: 9 });
    assert_eq!(guest.lines.read(&mut [0; 10]).unwrap(), 0);
    assert!(matches!(
        vm.share_file("x", image.path()),
        Err(VmError::Exited { .. })
    ));
}

fn helper_killed(image: &TestImage) {
    let (mut vm, _guest) = image.boot();
    let vmm = vm.vmm_pid().unwrap();
    kill(vm.helper_pid());
    assert!(matches!(end_of(&mut vm).0, ExitReason::HelperLost { .. }));
    wait_until_gone(vmm);
    drop(vm);
    assert_eq!(image.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// Body of a process that starts a VM and is then killed.
fn own_a_vm(dir: &str) -> ! {
    let image = kiln_vmm::VmImage::open(dir.as_ref()).unwrap();
    let run = std::path::Path::new(dir).join("run");
    let config = kiln_vmm::VmConfig::new(image, run, std::env::current_exe().unwrap());
    let (vm, _guest) = boot(&config);
    println!("{}", vm.vmm_pid().unwrap());
    loop {
        std::thread::park();
    }
}

fn owner_killed(image: &TestImage) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .arg("own-a-vm")
        .arg(image.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut pid = String::new();
    let mut output = std::io::BufReader::new(owner.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut output, &mut pid).unwrap();
    let vmm = pid.trim().parse().unwrap();
    assert!(is_running(vmm));
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until_gone(vmm);
    let deadline = Instant::now() + Duration::from_secs(3);
    while !image.leftovers().is_empty() {
        assert!(Instant::now() < deadline, "left: {:?}", image.leftovers());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn missing_kernel(image: &TestImage) {
    let config = image.config();
    let (kernel, away) = (image.path().join("vmlinux"), image.path().join("away"));
    std::fs::rename(&kernel, &away).unwrap();
    let error = Vm::start(&config).unwrap_err();
    std::fs::rename(&away, &kernel).unwrap();
    assert!(matches!(error, VmError::Image(_)), "{error:?}");
}

fn too_much_memory(image: &TestImage) {
    let mut config = image.config();
    config.memory_mib = 1 << 30;
    let mut vm = Vm::start(&config).unwrap();
    let (reason, _) = end_of(&mut vm);
    let told = matches!(
        reason,
        ExitReason::OutOfMemory { .. } | ExitReason::ProgramFailed { .. }
    );
    assert!(told, "{reason:?}");
}

/// Needs root, to make a file system that is soon full.
fn full_host_disk(image: &TestImage) {
    let small = image.path().join("small");
    std::fs::create_dir(&small).unwrap();
    let mount = |words: &[&str]| {
        Command::new(words[0])
            .args(&words[1..])
            .arg(&small)
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=24m", "kiln-test"]) {
        println!("skipped: a file system of 24 MiB cannot be mounted here");
        return;
    }
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut config = image.config();
        config.runtime_dir = small.clone();
        let (mut vm, mut guest) = boot(&config);
        guest.say("scratch 100000000");
        assert_eq!(end_of(&mut vm).0, ExitReason::ScratchFull);
        drop(vm);

        std::fs::write(small.join("filler"), vec![1; 25 << 20]).unwrap_err();
        let told = Vm::start(&config).and_then(|mut vm| vm.accept(BOOT_TIMEOUT).map(drop));
        let full = match &told {
            Err(VmError::RuntimeDir { source, .. }) => {
                source.kind() == std::io::ErrorKind::StorageFull
            }
            Err(VmError::Exited { reason, .. }) => *reason == ExitReason::ScratchFull,
            _ => false,
        };
        assert!(full, "{told:?}");
    }));
    assert!(mount(&["umount", "-l"]));
    outcome.unwrap();
}
