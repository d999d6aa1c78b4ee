//! Whether this Mac's kernel runs guests: Hypervisor.framework.

use std::process::{Command, Stdio};

use super::Unusable;

/// Asks the kernel, which says 1 where the processor and the firmware let guests run.
pub(super) fn check() -> Result<(), Unusable> {
    let output = Command::new("/usr/sbin/sysctl")
        .args(["-n", "kern.hv_support"])
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.stdout.trim_ascii() == b"1" => Ok(()),
        _ => Err(Unusable {
            reason: "this Mac's kernel does not run guests (kern.hv_support is not 1)",
            hint: "inside a virtual machine, switch on nested virtualization; Macs from 2011 on have it",
        }),
    }
}
