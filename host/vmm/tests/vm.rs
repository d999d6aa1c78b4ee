//! A real guest on the devices of this crate, and every way in which a VM ends.
//!
//! Has its own `main`, since the program must also be able to become the helper process.
#![allow(clippy::unwrap_used, reason = "a failing test panics")]
#![allow(clippy::print_stdout, reason = "this is the test runner")]

mod cases;
mod support;

use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Instant;

use cases::devices::*;
use cases::ends::*;
use kiln_vmm::{BackendKind, BackendReport, Vm};
use support::{Guest, TestImage};

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

/// What is tested: the back-end that Kiln would choose, and the one whose guest is reached as on every system.
const BACKENDS: [Option<BackendKind>; 2] = [None, Some(BackendKind::QemuSerial)];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("vm-helper") => return kiln_vmm::helper::main(),
        Some("own-a-vm") => own_a_vm(&arguments[1], arguments.get(2).map(String::as_str)),
        _ => {}
    }
    let mut image = match TestImage::make() {
        Ok(image) => image,
        Err(missing) => {
            println!("skipped: {missing}");
            return ExitCode::SUCCESS;
        }
    };
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let filter = filter.map_or("", String::as_str);
    let reports = kiln_vmm::probe(&[], None);
    let mut passed = true;
    for backend in BACKENDS {
        let tested = |report: &BackendReport| backend.is_none_or(|kind| kind == report.kind);
        if !reports
            .iter()
            .any(|report| tested(report) && report.works())
        {
            println!("skipped: no VM back-end works here: {reports:?}");
            continue;
        }
        image.backend = backend;
        passed &= run_all(&image, filter);
    }
    ExitCode::from(u8::from(!passed))
}

/// Runs the tests whose names have `filter` in them.
fn run_all(image: &TestImage, filter: &str) -> bool {
    let prefix = image.backend.map_or("default", BackendKind::name);
    let name = |name: &str| format!("{prefix}::{name}");
    let wanted = |test: &str| name(test).contains(filter);
    let mut passed = true;
    if DEVICE_TESTS.iter().any(|(name, _)| wanted(name)) {
        let (mut vm, mut guest) = image.boot();
        for (test_name, test) in DEVICE_TESTS.iter().filter(|(name, _)| wanted(name)) {
            passed &= run(&name(test_name), || test(image, &mut vm, &mut guest));
        }
    }
    for (test_name, test) in END_TESTS.iter().filter(|(name, _)| wanted(name)) {
        passed &= run(&name(test_name), || test(image));
    }
    passed
}

fn run(name: &str, test: impl FnOnce()) -> bool {
    let start = Instant::now();
    let passed = std::panic::catch_unwind(AssertUnwindSafe(test)).is_ok();
    let word = if passed { "ok" } else { "FAILED" };
    let took = start.elapsed().as_secs_f32();
    println!("test {name} ... {word} ({took:.2} s)");
    passed
}
