//! The function that libkrun calls for its kernel, which it has under the name of the library `libkrunfw`.
#![expect(
    unsafe_code,
    reason = "the caller is C's calling convention with bare pointers"
)]

use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};

use super::kernel::Bundle;

// `msb_krun` asks for the framework only when it is built on a Mac; asking twice does no harm.
#[cfg(target_os = "macos")]
#[link(name = "Hypervisor", kind = "framework")]
// SAFETY: nothing is declared.
unsafe extern "C" {}

/// The one kernel of this process, which is a helper with one VM. Never taken out: the guest's memory is in it.
static PROVIDED: Mutex<Option<Bundle>> = Mutex::new(None);

/// Gives the kernel that the VM will be entered with. Only the first call of a process succeeds.
pub(super) fn provide(bundle: Bundle) -> Result<(), Bundle> {
    let mut provided = PROVIDED.lock().unwrap_or_else(PoisonError::into_inner);
    if provided.is_some() {
        return Err(bundle);
    }
    *provided = Some(bundle);
    Ok(())
}

/// Returns the kernel's pages and writes where they go; null when none was provided. The path is not looked at.
///
/// # Safety
///
/// The last three pointers may be written to.
// SAFETY: no other function of this program has the name, and the signature is the one that `msb_krun` documents.
#[unsafe(no_mangle)]
unsafe extern "C" fn krunfw_get_kernel(
    _path: *const c_char,
    guest_address: *mut u64,
    entry_address: *mut u64,
    size: *mut usize,
) -> *mut c_char {
    let mut provided = PROVIDED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(bundle) = provided.as_mut() else {
        return std::ptr::null_mut();
    };
    // SAFETY: the caller lets us write to them.
    unsafe {
        guest_address.write(bundle.address);
        entry_address.write(bundle.entry);
        size.write(bundle.pages.len());
    }
    // The bundle stays in its place for good, and nobody else touches its pages.
    bundle.pages.as_mut_ptr().cast()
}

#[cfg(test)]
mod tests {
    use super::super::kernel::Bundle;
    use super::super::pages::{PAGE, Pages};
    use super::*;

    #[test]
    fn libkrun_gets_the_one_kernel_that_was_provided() {
        let bundle = |pages: usize| Bundle {
            pages: Pages::zeroed(pages * PAGE),
            address: 0x100_0000,
            entry: 0x100_0123,
        };
        let ask = || {
            let (mut address, mut entry, mut size) = (0, 0, 0);
            // SAFETY: all three are ours.
            let host =
                unsafe { krunfw_get_kernel(std::ptr::null(), &mut address, &mut entry, &mut size) };
            (host, address, entry, size)
        };
        assert!(ask().0.is_null());
        provide(bundle(2)).unwrap();
        assert!(provide(bundle(3)).is_err());
        let (host, address, entry, size) = ask();
        assert_eq!(host as usize % PAGE, 0);
        assert_eq!((address, entry, size), (0x100_0000, 0x100_0123, 2 * PAGE));
        assert_eq!(ask().0, host);
    }
}
