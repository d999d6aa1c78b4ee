//! Windows: whether the Windows Hypervisor Platform is there. Asked of its library, which is loaded only for that:
//! a program linked against it would not start where the optional feature is off.
#![expect(
    unsafe_code,
    reason = "a library that may be missing is loaded and called by address"
)]

use std::ffi::c_void;

use windows_sys::Win32::Foundation::FreeLibrary;
use windows_sys::Win32::System::LibraryLoader::{
    GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LoadLibraryExW,
};
use windows_sys::core::{s, w};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Guests can run.
    Ready,
    /// The optional feature is off.
    NoLibrary,
    /// The feature is on, but the hypervisor was not started.
    NoHypervisor,
}

/// `WHvCapabilityCodeHypervisorPresent`, whose value is a BOOL.
const HYPERVISOR_PRESENT: u32 = 0;

/// `WHvGetCapability`: code, buffer, its size, and the size written.
type GetCapability = unsafe extern "system" fn(u32, *mut c_void, u32, *mut u32) -> i32;

/// Looks for the platform.
#[must_use]
pub fn presence() -> Presence {
    // SAFETY: the name is a constant that ends in NUL; only the system's own folder is searched.
    let library = unsafe {
        LoadLibraryExW(
            w!("WinHvPlatform.dll"),
            std::ptr::null_mut(),
            LOAD_LIBRARY_SEARCH_SYSTEM32,
        )
    };
    if library.is_null() {
        return Presence::NoLibrary;
    }
    // SAFETY: the library is loaded and the name ends in NUL.
    let function = unsafe { GetProcAddress(library, s!("WHvGetCapability")) };
    let present = function.is_some_and(|function| {
        // SAFETY: the function of this name has had this signature since the library exists.
        let get: GetCapability = unsafe { std::mem::transmute(function) };
        let mut present = 0u32;
        let size = size_of_val(&present) as u32;
        // SAFETY: the buffer is valid for the size given, and the last pointer may be null.
        let status = unsafe {
            get(
                HYPERVISOR_PRESENT,
                (&raw mut present).cast(),
                size,
                std::ptr::null_mut(),
            )
        };
        status == 0 && present != 0
    });
    // SAFETY: the library was loaded above and nothing of it is used from here on.
    unsafe { FreeLibrary(library) };
    if present {
        Presence::Ready
    } else {
        Presence::NoHypervisor
    }
}
