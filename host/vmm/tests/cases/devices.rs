//! What a guest's devices promise. These tests share one guest and leave it as they found it.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use kiln_vmm::{Vm, VmError};

use crate::support::{BOOT_TIMEOUT, Guest, TestImage};

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|i| (i.wrapping_mul(0x9e37_79b9) >> 13) as u8)
        .collect()
}

pub fn data_comes_back(_image: &TestImage, _vm: &mut Vm, guest: &mut Guest) {
    for len in [1, 100, 4095, 4096, 65_536, 65_537, 200_000] {
        let data = pattern(len);
        assert!(guest.echo(&data) == data, "{len} bytes");
    }
    let total = 5_000_000;
    guest.say(&format!("recv {total}"));
    guest.stream.write_all(&pattern(total)).unwrap();
    assert_eq!(guest.line(), format!("got {total}"));
}

pub fn large_writes(_image: &TestImage, _vm: &mut Vm, guest: &mut Guest) {
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

pub fn slow_reader(_image: &TestImage, vm: &mut Vm, guest: &mut Guest) {
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

pub fn several_streams(_image: &TestImage, vm: &mut Vm, guest: &mut Guest) {
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

pub fn end_of_data(_image: &TestImage, vm: &mut Vm, guest: &mut Guest) {
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

pub fn shared_files(image: &TestImage, vm: &mut Vm, guest: &mut Guest) {
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

pub fn scratch_disk(_image: &TestImage, _vm: &mut Vm, guest: &mut Guest) {
    assert_eq!(guest.ask("scratch 20000000"), "wrote 20000000");
}
