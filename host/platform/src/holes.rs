//! Holes: zeros that take no room on the disk. Letting files have them and giving room back.
//!
//! Invariant: whatever the file system can do, the bytes read back are the same; only the room they take
//! differs.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

/// Zeros written per call where a range cannot be freed.
const ZEROS_PER_WRITE: usize = 256 * 1024;

/// Allows `file` to have holes where it is extended or seeked over. Unix file systems always do.
pub fn allow_holes(file: &File) -> io::Result<()> {
    #[cfg(windows)]
    {
        windows::set_sparse(file)
    }
    #[cfg(not(windows))]
    {
        let _ = file;
        Ok(())
    }
}

/// Makes `length` bytes at `offset` read as zero, giving their room back where the system can.
pub fn zero_range(file: &mut File, offset: u64, length: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::FallocateFlags;
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&*file, flags, offset, length) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {}
            other => return other.map_err(io::Error::from),
        }
    }
    write_zeros(file, offset, length)
}

fn write_zeros(file: &mut File, offset: u64, length: u64) -> io::Result<()> {
    let end = offset.saturating_add(length).min(file.metadata()?.len());
    let zeros = vec![0u8; ZEROS_PER_WRITE];
    file.seek(SeekFrom::Start(offset))?;
    let mut left = end.saturating_sub(offset);
    while left > 0 {
        let step = left.min(ZEROS_PER_WRITE as u64) as usize;
        file.write_all(&zeros[..step])?;
        left -= step as u64;
    }
    Ok(())
}

#[cfg(windows)]
mod windows {
    #![expect(unsafe_code, reason = "std has no call that allows holes")]

    use std::fs::File;
    use std::io;
    use std::os::windows::io::AsRawHandle;

    /// `CTL_CODE(FILE_DEVICE_FILE_SYSTEM, 49, METHOD_BUFFERED, FILE_SPECIAL_ACCESS)`.
    const FSCTL_SET_SPARSE: u32 = 0x0009_00c4;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn DeviceIoControl(
            device: std::os::windows::io::RawHandle,
            code: u32,
            input: *const core::ffi::c_void,
            input_length: u32,
            output: *mut core::ffi::c_void,
            output_length: u32,
            returned: *mut u32,
            overlapped: *mut core::ffi::c_void,
        ) -> i32;
    }

    pub fn set_sparse(file: &File) -> io::Result<()> {
        let mut returned = 0u32;
        // SAFETY: the handle is open for as long as `file` is borrowed, the call takes no buffers, and
        // `returned` outlives it; without an OVERLAPPED structure the call is synchronous.
        let done = unsafe {
            DeviceIoControl(
                file.as_raw_handle(),
                FSCTL_SET_SPARSE,
                std::ptr::null(),
                0,
                std::ptr::null_mut(),
                0,
                &raw mut returned,
                std::ptr::null_mut(),
            )
        };
        if done == 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroed_range_reads_as_zero_and_keeps_the_length() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut expected = vec![7u8; 3 << 20];
        std::fs::write(&path, &expected).unwrap();
        let mut file = File::options().read(true).write(true).open(&path).unwrap();
        zero_range(&mut file, 1000, 2 << 20).unwrap();
        zero_range(&mut file, (3 << 20) - 10, 4096).unwrap();
        write_zeros(&mut file, 0, 10).unwrap();
        expected[..10].fill(0);
        expected[1000..1000 + (2 << 20)].fill(0);
        expected[(3 << 20) - 10..].fill(0);
        assert!(std::fs::read(&path).unwrap() == expected);
    }
}
