//! `kiln vm-helper`, hidden: the process in which a VM lives. Started by kiln itself.

use std::process::ExitCode;

use crate::failure::{Exit, Failure};

/// Runs the VM until standard input ends.
pub fn run() -> Result<(), Failure> {
    // Its own failures travel over its control stream; the code only says that there was one.
    if kiln_vmm::helper::main() == ExitCode::SUCCESS {
        Ok(())
    } else {
        Err(Failure::silent(Exit::Host))
    }
}
