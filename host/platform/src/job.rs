//! Windows: job objects, which end their processes with their last handle, and waiting for a process.
#![expect(unsafe_code, reason = "the standard library has no job objects")]

use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::process::Child;

use windows_sys::Win32::Foundation::WAIT_OBJECT_0;
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectExtendedLimitInformation,
    SetInformationJobObject,
};
use windows_sys::Win32::System::Threading::{INFINITE, WaitForSingleObject};

/// A job with one process, which ends when this process does, however that ends.
#[derive(Debug)]
pub(crate) struct Job {
    _handle: OwnedHandle,
}

impl Job {
    /// Puts the child into a job of its own.
    pub(crate) fn of(child: &Child) -> io::Result<Self> {
        // SAFETY: both pointers may be null: no attributes, no name.
        let raw = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if raw.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle was just made and nobody else has it.
        let handle = unsafe { OwnedHandle::from_raw_handle(raw) };
        // SAFETY: all-zero bytes are a valid value: no limit at all.
        let mut limits: JOBOBJECT_EXTENDED_LIMIT_INFORMATION = unsafe { std::mem::zeroed() };
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        // SAFETY: the handle is a job's, and the information is of the class named and valid for its length.
        let set = unsafe {
            SetInformationJobObject(
                handle.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of_val(&limits) as u32,
            )
        };
        if set == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: both handles are open across the call.
        let assigned =
            unsafe { AssignProcessToJobObject(handle.as_raw_handle(), child.as_raw_handle()) };
        if assigned == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { _handle: handle })
    }
}

/// A second handle of the child's process.
pub(crate) fn duplicate(child: &Child) -> io::Result<OwnedHandle> {
    child.as_handle().try_clone_to_owned()
}

/// Waits until the process of the handle has ended.
pub(crate) fn wait(process: &OwnedHandle) -> io::Result<()> {
    let process: BorrowedHandle<'_> = process.as_handle();
    // SAFETY: the handle is open across the call.
    match unsafe { WaitForSingleObject(process.as_raw_handle(), INFINITE) } {
        WAIT_OBJECT_0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
