//! The guest's clock: set by what the host says, and left alone while it is about right.
//!
//! A VM stands still while its host sleeps, and its clock with it. The host tells the time again when it wakes, and now and then.
//! A clock that is stepped disturbs what runs, so that only an error that somebody would notice is mended.

use rustix::time::{ClockId, Timespec};

use crate::connection::console;

const SECOND: u64 = 1_000_000_000;

/// Error from which on the clock is stepped. A message may be some tenths of a second on its way to a guest that is emulated and
/// busy.
const TOLERATED: u64 = SECOND;

/// Takes the host's time, in nanoseconds since 1970.
pub(crate) fn tell(host: u64) {
    // Outside of a VM the clock is not ours.
    if rustix::process::getpid() != rustix::process::Pid::INIT {
        return;
    }
    if !is_off(now(), host) {
        return;
    }
    let time = Timespec {
        tv_sec: i64::try_from(host / SECOND).unwrap_or(0),
        tv_nsec: i64::try_from(host % SECOND).unwrap_or(0) as _,
    };
    if let Err(error) = rustix::time::clock_settime(ClockId::Realtime, time) {
        console(&format!("cannot set the clock: {error}"));
    }
}

fn now() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Realtime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds.saturating_mul(SECOND) + u64::try_from(now.tv_nsec).unwrap_or(0)
}

fn is_off(guest: u64, host: u64) -> bool {
    guest.abs_diff(host) > TOLERATED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_error_that_is_noticed_is_mended() {
        let host = 1_700_000_000 * SECOND;
        assert!(!is_off(host, host));
        assert!(!is_off(host - SECOND, host));
        assert!(!is_off(host + SECOND, host));
        assert!(is_off(host - 2 * SECOND, host), "the host slept");
        assert!(is_off(host + 2 * SECOND, host));
        assert!(is_off(0, host), "no clock at all");
        assert!(is_off(host, u64::MAX));
    }
}
