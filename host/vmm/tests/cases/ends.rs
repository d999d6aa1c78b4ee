//! Every way in which a VM ends.

use std::io::Read;
use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::{Duration, Instant};

use kiln_vmm::{BackendKind, ExitReason, Vm, VmError};

use crate::support::{BOOT_TIMEOUT, TestImage, boot};

pub fn nothing_is_left(image: &TestImage) {
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

pub fn kernel_panic(image: &TestImage) {
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

pub fn guest_reboots(image: &TestImage) {
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

pub fn vmm_killed(image: &TestImage) {
    let (mut vm, mut guest) = image.boot();
    kill(vm.vmm_pid().unwrap());
    assert_eq!(end_of(&mut vm).0, ExitReason::Killed { signal: 9 });
    assert_eq!(guest.lines.read(&mut [0; 10]).unwrap(), 0);
    assert!(matches!(
        vm.share_file("x", image.path()),
        Err(VmError::Exited { .. })
    ));
}

pub fn helper_killed(image: &TestImage) {
    let (mut vm, _guest) = image.boot();
    let vmm = vm.vmm_pid().unwrap();
    kill(vm.helper_pid());
    assert!(matches!(end_of(&mut vm).0, ExitReason::HelperLost { .. }));
    wait_until_gone(vmm);
    drop(vm);
    assert_eq!(image.leftovers(), Vec::<std::path::PathBuf>::new());
}

/// Body of a process that starts a VM and is then killed.
pub fn own_a_vm(dir: &str, backend: Option<&str>) -> ! {
    let image = kiln_vmm::VmImage::open(dir.as_ref()).unwrap();
    let run = std::path::Path::new(dir).join("run");
    let mut config = kiln_vmm::VmConfig::new(image, run, std::env::current_exe().unwrap());
    config.backend = backend.map(|name| name.parse().unwrap());
    let (vm, _guest) = boot(&config);
    println!("{}", vm.vmm_pid().unwrap());
    loop {
        std::thread::park();
    }
}

pub fn owner_killed(image: &TestImage) {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .arg("own-a-vm")
        .arg(image.path())
        .args(image.backend.map(BackendKind::name))
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

pub fn missing_kernel(image: &TestImage) {
    let config = image.config();
    let (kernel, away) = (image.path().join("vmlinux"), image.path().join("away"));
    std::fs::rename(&kernel, &away).unwrap();
    let error = Vm::start(&config).unwrap_err();
    std::fs::rename(&away, &kernel).unwrap();
    assert!(matches!(error, VmError::Image(_)), "{error:?}");
}

pub fn too_much_memory(image: &TestImage) {
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
pub fn full_host_disk(image: &TestImage) {
    let small = image.path().join("small");
    std::fs::create_dir_all(&small).unwrap();
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
