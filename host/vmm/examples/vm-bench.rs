//! Measures a VM: start to the guest's first byte, round trip, throughput of streams and of the share.
//!
//! `cargo run --release -p kiln-vmm --example vm-bench [RUNS [BACKEND]]`. The guest is the one of the tests, so
//! the figures are those of kernel, VMM and devices without the agent.
#![allow(clippy::unwrap_used, reason = "a failing measurement panics")]
#![allow(clippy::print_stdout, reason = "a program for people")]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use support::{Guest, TestImage};

const MIB: usize = 1 << 20;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("vm-helper") {
        return kiln_vmm::helper::main();
    }
    let runs = argument.and_then(|runs| runs.parse().ok()).unwrap_or(10);
    let backend = std::env::args().nth(2).map(|name| name.parse().unwrap());
    let mut image = match TestImage::make() {
        Ok(image) => image,
        Err(missing) => {
            println!("skipped: {missing}");
            return ExitCode::SUCCESS;
        }
    };
    image.backend = backend;
    boots(&image, runs);
    streams(&image);
    share(&image);
    ExitCode::SUCCESS
}

fn boots(image: &TestImage, runs: usize) {
    // The first one fills the caches.
    drop(image.boot());
    let (mut starts, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        let start = Instant::now();
        let (vm, guest) = image.boot();
        starts.push(start.elapsed());
        let stop = Instant::now();
        drop((vm, guest));
        stops.push(stop.elapsed());
    }
    show("start to the guest's first line", starts);
    show("stop", stops);
}

fn show(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let (median, least) = (times[times.len() / 2], times[0]);
    println!(
        "{what:<34} median {median:.2?}  least {least:.2?}  of {}",
        times.len()
    );
}

fn streams(image: &TestImage) {
    let (_vm, mut guest) = image.boot();
    let mut trips = Vec::new();
    for _ in 0..500 {
        let start = Instant::now();
        guest.echo(b"ping");
        trips.push(start.elapsed());
    }
    show("round trip of 4 bytes", trips);

    let total = 256 * MIB;
    for write in [64 << 10, 256 << 10, MIB] {
        let start = Instant::now();
        guest.say(&format!("send {total} {write}"));
        drain(&mut guest, total);
        rate(
            &format!("guest to host, writes of {} KiB", write >> 10),
            total,
            start,
        );
    }
    let total = 64 * MIB;
    let chunk = vec![7; MIB];
    let start = Instant::now();
    guest.say(&format!("recv {total}"));
    for _ in 0..total / MIB {
        guest.stream.write_all(&chunk).unwrap();
    }
    assert_eq!(guest.line(), format!("got {total}"));
    rate("host to guest", total, start);
}

fn drain(guest: &mut Guest, total: usize) {
    let mut buf = vec![0; MIB];
    let mut left = total;
    while left > 0 {
        let limit = left.min(MIB);
        left -= guest.lines.read(&mut buf[..limit]).unwrap();
    }
}

fn rate(what: &str, bytes: usize, start: Instant) {
    let rate = bytes as f64 / MIB as f64 / start.elapsed().as_secs_f64();
    println!("{what:<34} {rate:.0} MiB/s");
}

fn share(image: &TestImage) {
    let (mut vm, mut guest) = image.boot();
    let path = image.path().join("large");
    let total = 256 * MIB;
    std::fs::write(&path, vec![5; total]).unwrap();
    vm.share_file("large", &path).unwrap();
    for state in ["first", "second"] {
        let answer = guest.ask("read layers/large");
        let micros: f64 = answer.split(' ').nth(3).unwrap().parse().unwrap();
        let rate = total as f64 / MIB as f64 / (micros / 1e6);
        println!(
            "{:<34} {rate:.0} MiB/s",
            format!("share, {state} read of a large file")
        );
    }
}
