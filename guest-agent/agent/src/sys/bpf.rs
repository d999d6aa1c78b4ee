//! The cgroup program that decides which devices a RUN may open, as Docker's device rules do.

#![expect(unsafe_code, reason = "bpf(2) has no safe form")]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;

/// `BPF_DEVCG_ACC_MKNOD`: making a node is no access to its device.
const ACCESS_MKNOD: i32 = 1;
/// `BPF_DEVCG_DEV_CHAR`.
const CHARACTER: i32 = 2;

/// Character devices that may be opened; no minor means all of the major.
const ALLOWED: [(i32, Option<i32>); 8] = [
    (1, Some(3)), // null
    (1, Some(5)), // zero
    (1, Some(7)), // full
    (1, Some(8)), // random
    (1, Some(9)), // urandom
    (5, Some(0)), // tty
    (5, Some(2)), // ptmx
    (136, None),  // pts/*
];

/// Loads the program and attaches it to a cgroup; it holds for all cgroups below.
pub(crate) fn load_device_filter(cgroup: BorrowedFd<'_>) -> io::Result<()> {
    let program = device_program();
    #[repr(C)]
    #[derive(Default)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        rest: [u64; 12],
    }
    let load = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).expect("the program is short"),
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..Load::default()
    };
    let program = bpf(PROG_LOAD, &load)?;
    // SAFETY: the call has just returned this descriptor.
    let program = unsafe { OwnedFd::from_raw_fd(program as i32) };
    let attach: [u32; 5] = [
        cgroup.as_raw_fd() as u32,
        program.as_raw_fd() as u32,
        ATTACH_CGROUP_DEVICE,
        0,
        0,
    ];
    bpf(PROG_ATTACH, &attach).map(drop)
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<libc::c_long> {
    // SAFETY: the attributes are plain data, valid for their size; the pointers in them outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            &raw const *attributes,
            size_of::<T>(),
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// eBPF: `r1` points at `{access << 16 | type, major, minor}`; `r0` 1 allows.
fn device_program() -> Vec<u64> {
    let op = |code: u8, target: u8, source: u8, offset: i16, value: i32| {
        u64::from(code)
            | u64::from(source << 4 | target) << 8
            | u64::from(offset as u16) << 16
            | u64::from(value as u32) << 32
    };
    let allow = || [op(0xb7, 0, 0, 0, 1), op(0x95, 0, 0, 0, 0)];
    let mut program = vec![
        op(0x61, 2, 1, 0, 0),            // r2 = access << 16 | type
        op(0xbf, 3, 2, 0, 0),            // r3 = r2
        op(0x77, 3, 0, 0, 16),           // r3 >>= 16
        op(0x57, 2, 0, 0, 0xffff),       // r2 &= 0xffff
        op(0x61, 4, 1, 4, 0),            // r4 = major
        op(0x61, 5, 1, 8, 0),            // r5 = minor
        op(0x55, 3, 0, 2, ACCESS_MKNOD), // if r3 != mknod skip the verdict
    ];
    program.extend(allow());
    // Only character devices are listed: any other type goes on to the refusal at the end.
    let listed: Vec<u64> = ALLOWED
        .iter()
        .flat_map(|(major, minor)| {
            let mut test = vec![op(0x55, 4, 0, if minor.is_some() { 3 } else { 2 }, *major)];
            test.extend(minor.map(|minor| op(0x55, 5, 0, 2, minor)));
            test.extend(allow());
            test
        })
        .collect();
    let length = i16::try_from(listed.len()).expect("the program is short");
    program.push(op(0x55, 2, 0, length, CHARACTER));
    program.extend(listed);
    program.extend([op(0xb7, 0, 0, 0, 0), op(0x95, 0, 0, 0, 0)]);
    program
}

#[cfg(test)]
mod tests {
    #[test]
    fn kernel_accepts_the_device_program() {
        let place = tempdir();
        let Ok(cgroup) = std::fs::File::open(&place) else {
            println!("skipped: no cgroup v2 that can be written");
            return;
        };
        let result = super::load_device_filter(std::os::fd::AsFd::as_fd(&cgroup));
        let _ = std::fs::remove_dir(&place);
        if let Err(error) = result {
            assert_ne!(error.raw_os_error(), Some(libc::EINVAL), "{error}");
            println!("skipped: {error}");
        }
    }

    fn tempdir() -> std::path::PathBuf {
        let path =
            std::path::PathBuf::from(format!("/sys/fs/cgroup/kiln-test-{}", std::process::id()));
        let _ = std::fs::create_dir(&path);
        path
    }
}
