//! From the start of the VM to the agent's first words.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kiln_protocol::{FrameKind, read_frame};
use kiln_vmm::{Architecture, Vm, VmConfig, VmImage};

use crate::samples::{Row, time};

const ROUNDS: usize = 10;

/// A VM that takes longer is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Boots, reads Hello, ends the VM.
pub fn hello(name: &str) -> Vec<Row> {
    hello_of(name, Architecture::HOST)
}

/// The same for every guest that is emulated here.
pub fn emulated_hello(name: &str) -> Vec<Row> {
    let foreign = Architecture::ALL
        .into_iter()
        .filter(|guest| guest.is_foreign());
    foreign
        .flat_map(|guest| hello_of(&format!("{name}, {guest}"), guest))
        .collect()
}

fn hello_of(name: &str, guest: Architecture) -> Vec<Row> {
    let (Some(program), Some(image)) = (
        std::env::var_os("KILN_BIN"),
        std::env::var_os("KILN_VM_IMAGE"),
    ) else {
        return vec![Row::absent(
            name,
            "kiln",
            "KILN_BIN and KILN_VM_IMAGE are not set",
        )];
    };
    let image = match VmImage::find(guest, &[PathBuf::from(image)]) {
        Ok(image) => image,
        Err(error) => return vec![Row::absent(name, "kiln", &error.to_string())],
    };
    let work = tempfile::tempdir().expect("temporary folder");
    let mut config = VmConfig::new(image, work.path().join("run"), program.into());
    config.cache_dir = Some(work.path().join("cache"));
    for folder in ["run", "cache"] {
        std::fs::create_dir(work.path().join(folder)).expect("folder");
    }
    // The first one probes and verifies, whose answers are remembered.
    boot(&config);
    let samples = (0..ROUNDS).map(|_| boot(&config)).collect();
    vec![Row::new(name, "kiln", samples)]
}

fn boot(config: &VmConfig) -> Duration {
    let mut vm = None;
    let taken = time(|| {
        let mut started = Vm::start(config).expect("VM starts");
        let mut stream = started.accept(PATIENCE).expect("agent dials");
        let mut buffer = Vec::new();
        let frame = read_frame(&mut stream, &mut buffer).expect("first frame");
        assert_eq!(frame.kind, FrameKind::Hello, "the first frame is a Hello");
        vm = Some(started);
    });
    drop(vm);
    assert!(
        Path::new(&config.runtime_dir).is_dir(),
        "the folder of VMs outlives each VM"
    );
    taken
}
