//! A child process that several threads may wait for and kill, and that does not outlive this process.
//!
//! What keeps it from outliving us: on Linux the parent-death signal, on Windows a job object that ends with its last
//! handle. macOS has neither: there the child lives on when this process is killed, unless it ends by itself.

use std::io;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The child. Its process number is not given to another process before [`BoundChild::wait`] has returned.
#[derive(Debug)]
pub struct BoundChild {
    child: Mutex<Child>,
    id: u32,
    #[cfg(windows)]
    _job: crate::job::Job,
}

impl BoundChild {
    /// Starts `command`. Must be called from a thread that lives as long as this process: with that thread the child ends.
    ///
    /// # Errors
    /// What starting a process may fail with.
    pub fn spawn(mut command: Command) -> io::Result<Self> {
        crate::process::die_with_parent(&mut command);
        let child = command.spawn()?;
        #[cfg(windows)]
        let (child, job) = {
            let mut child = child;
            let job = crate::job::Job::of(&child).inspect_err(|_| drop(child.kill()))?;
            (child, job)
        };
        Ok(Self {
            id: child.id(),
            child: Mutex::new(child),
            #[cfg(windows)]
            _job: job,
        })
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Our end of its standard input, if that was asked to be a pipe; once.
    pub fn take_stdin(&self) -> Option<ChildStdin> {
        self.child().stdin.take()
    }

    /// Our end of its standard output, if that was asked to be a pipe; once.
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        self.child().stdout.take()
    }

    /// Our end of its standard error, if that was asked to be a pipe; once.
    pub fn take_stderr(&self) -> Option<ChildStderr> {
        self.child().stderr.take()
    }

    /// How it ended; `None` while it runs.
    ///
    /// # Errors
    /// The system's.
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.child().try_wait()
    }

    /// Waits for its end. Others may kill it meanwhile.
    ///
    /// # Errors
    /// The system's.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        self.wait_unreaped()?;
        self.child().wait()
    }

    /// Ends it at once. Harmless when it has ended already.
    pub fn kill(&self) {
        // Fails only when the process is gone.
        let _ = self.child().kill();
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits without the lock and without taking the process's number out of use.
    #[cfg(unix)]
    fn wait_unreaped(&self) -> io::Result<()> {
        use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
        let pid = i32::try_from(self.id).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        loop {
            match waitid(WaitId::Pid(pid), options) {
                Err(rustix::io::Errno::INTR) => {}
                // Somebody has waited for it already and knows how it ended.
                Ok(_) | Err(rustix::io::Errno::CHILD) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    #[cfg(windows)]
    fn wait_unreaped(&self) -> io::Result<()> {
        let handle = crate::job::duplicate(&self.child())?;
        crate::job::wait(&handle)
    }
}

/// Number of the signal that ended the process, where processes are ended so.
#[must_use]
pub fn signal_of(status: ExitStatus) -> Option<i32> {
    #[cfg(unix)]
    return std::os::unix::process::ExitStatusExt::signal(&status);
    #[cfg(not(unix))]
    {
        let _ = status;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLEEP: &str = "KILN_TEST_SLEEP";

    #[test]
    fn child_is_killed_while_another_thread_waits_for_it() {
        // The test program itself is a process that every system has.
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child::tests::sleeps_when_asked_to"])
            .env(SLEEP, "1")
            .stdout(std::process::Stdio::null());
        let child = BoundChild::spawn(command).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| child.wait().unwrap());
            std::thread::sleep(std::time::Duration::from_millis(50));
            assert!(!waiting.is_finished());
            child.kill();
            let status = waiting.join().unwrap();
            assert!(!status.success());
            assert_eq!(signal_of(status), cfg!(unix).then_some(9));
        });
        child.kill();
        assert!(!child.wait().unwrap().success());
    }

    /// A process for the other test to end.
    #[test]
    fn sleeps_when_asked_to() {
        if std::env::var_os(SLEEP).is_some() {
            std::thread::sleep(std::time::Duration::from_secs(30));
        }
    }
}
