//! The few calls of the Windows API that the standard library does not make. Each is one question or one switch; what the
//! answers mean is decided elsewhere.
#![expect(unsafe_code, reason = "foreign functions")]

use std::ffi::{OsString, c_void};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// `GetDriveTypeW`: the volume is on another machine.
const DRIVE_REMOTE: u32 = 4;
/// `GetDriveTypeW`: there is no such volume, or it does not tell.
const DRIVE_NO_ROOT_DIR: u32 = 1;
/// Processor feature: virtualization is on in the firmware and left to the operating system.
const PF_VIRT_FIRMWARE_ENABLED: u32 = 21;
/// Console mode: escape sequences are understood.
const ENABLE_VIRTUAL_TERMINAL_PROCESSING: u32 = 4;

#[link(name = "kernel32")]
unsafe extern "system" {
    fn GetDriveTypeW(root: *const u16) -> u32;
    fn GetDiskFreeSpaceExW(
        folder: *const u16,
        available: *mut u64,
        total: *mut u64,
        free: *mut u64,
    ) -> i32;
    fn GetSystemDirectoryW(buffer: *mut u16, length: u32) -> u32;
    fn IsProcessorFeaturePresent(feature: u32) -> i32;
    fn GetConsoleMode(console: *mut c_void, mode: *mut u32) -> i32;
    fn SetConsoleMode(console: *mut c_void, mode: u32) -> i32;
}

/// Text as the API takes it, with a zero at the end.
fn wide(text: &Path) -> Vec<u16> {
    text.as_os_str().encode_wide().chain([0]).collect()
}

/// Bytes that this user may still write to the volume of `folder`.
pub(crate) fn available(folder: &Path) -> io::Result<u64> {
    let folder = wide(folder);
    let (mut available, mut total, mut free) = (0, 0, 0);
    // SAFETY: the text ends in a zero and, like the three numbers, outlives the call, which keeps no pointer.
    let done = unsafe {
        GetDiskFreeSpaceExW(
            folder.as_ptr(),
            &raw mut available,
            &raw mut total,
            &raw mut free,
        )
    };
    match done {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(available),
    }
}

/// Whether the volume of an absolute path is on another machine; none if that cannot be told.
pub(crate) fn is_remote(path: &Path) -> Option<bool> {
    let mut components = path.components();
    let Some(Component::Prefix(prefix)) = components.next() else {
        return None;
    };
    let mut root = PathBuf::from(prefix.as_os_str());
    root.push("\\");
    let root = wide(&root);
    // SAFETY: the text ends in a zero and outlives the call.
    match unsafe { GetDriveTypeW(root.as_ptr()) } {
        kind if kind <= DRIVE_NO_ROOT_DIR => None,
        kind => Some(kind == DRIVE_REMOTE),
    }
}

/// The folder of the system's own libraries.
pub(crate) fn system_directory() -> OsString {
    let mut buffer = [0; 260];
    // SAFETY: the buffer is as long as is said, and outlives the call.
    let length = unsafe { GetSystemDirectoryW(buffer.as_mut_ptr(), buffer.len() as u32) };
    OsString::from_wide(buffer.get(..length as usize).unwrap_or_default())
}

/// Whether the processor's virtualization is on and free to be used by this system.
pub(crate) fn firmware_virtualization() -> bool {
    // SAFETY: the call takes a number and touches no memory of ours.
    unsafe { IsProcessorFeaturePresent(PF_VIRT_FIRMWARE_ENABLED) != 0 }
}

/// Whether a hypervisor runs below this system, be it Windows's own.
pub(crate) fn hypervisor_runs() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        // Leaf 1 tells of a hypervisor in bit 31 of ECX.
        std::arch::x86_64::__cpuid(1).ecx >> 31 == 1
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        true
    }
}

/// Lets a console understand escape sequences; gives the mode it had, or none if it is no console or cannot.
pub(crate) fn understand_escapes(console: *mut c_void) -> Option<u32> {
    let mut mode = 0;
    // SAFETY: `mode` outlives the call; a handle that is no console is refused.
    if unsafe { GetConsoleMode(console, &raw mut mode) } == 0 {
        return None;
    }
    // SAFETY: as above; the mode is what the console said, with one bit more.
    let set = unsafe { SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) };
    (set != 0).then_some(mode)
}

/// Gives a console the mode back that it had.
pub(crate) fn restore_mode(console: *mut c_void, mode: u32) {
    // SAFETY: the mode is one that this console said of itself; a handle that is closed by now is refused.
    unsafe {
        SetConsoleMode(console, mode);
    }
}
