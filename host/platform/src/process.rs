//! Child processes that must not outlive, nor be interrupted apart from, the process that started them.
//!
//! Owns what differs by OS about process groups and parent death. Starting, feeding and reaping the
//! child stays with the caller.
#![cfg_attr(
    target_os = "linux",
    expect(
        unsafe_code,
        reason = "`pre_exec` is the only way to ask for the parent-death signal"
    )
)]

use std::process::Command;

/// Puts the child into a process group of its own, so that Ctrl-C in the terminal reaches only the
/// parent, which then decides what happens to the child.
pub fn detach_from_terminal(command: &mut Command) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
    }
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        /// Ctrl-C and Ctrl-Break of the console are not delivered to the new group.
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x0000_0200;
        command.creation_flags(CREATE_NEW_PROCESS_GROUP);
    }
    #[cfg(not(any(unix, windows)))]
    let _ = command;
}

/// Asks the kernel to kill the child when the *thread* that starts it ends, however it ends.
///
/// Call it from a thread that lives as long as the process. Where the OS has no such thing (macOS,
/// Windows) this does nothing, and the child must watch its standard input for end-of-file instead.
pub fn die_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt;
        let parent = rustix::process::getpid();
        let ask = move || {
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
            // The parent may have died before the signal was asked for.
            if rustix::process::getppid() != Some(parent) {
                return Err(std::io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        };
        // SAFETY: between fork and exec the closure makes two system calls and touches no lock,
        // no allocator and no memory but its own copy of the parent's process id.
        unsafe {
            command.pre_exec(ask);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// Identity of this boot of the host, where the OS gives one.
///
/// Used to remember probes whose answer holds until the next boot.
#[must_use]
pub fn boot_id() -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(text.trim().to_owned())
    }
    #[cfg(not(target_os = "linux"))]
    None
}
