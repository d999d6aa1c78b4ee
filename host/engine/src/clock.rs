//! Keeps the guest's clock right while a RUN goes on, whatever the host does meanwhile: sleep, be stopped, or have its own
//! clock set.
//!
//! A VM stands still while its host sleeps. What tells of that everywhere is that a wait of a second took much longer by
//! the wall clock; whether other clocks count sleep differs by system. A clock that is about right is left alone by the agent, so that telling it
//! once too often costs a frame and nothing else.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, SystemTime};

use kiln_agent_client::AgentClient;

/// How often is looked.
const TICK: Duration = Duration::from_secs(1);

/// How much longer or shorter a tick may be by the wall clock before the guest is told: a busy host is late by less.
const JUMP: Duration = Duration::from_secs(2);

/// Ticks after which the guest is told in any case: it may have stood still alone, or run at another speed.
const TICKS_BETWEEN: u32 = 10;

/// Tells the guest the time when it has to be, until `finished` closes.
pub fn keep(agent: &AgentClient, finished: &Receiver<()>) {
    let mut watch = Watch::new(SystemTime::now());
    while let Err(RecvTimeoutError::Timeout) = finished.recv_timeout(TICK) {
        if watch.tick(SystemTime::now()) && agent.tell_time().is_err() {
            // The agent is gone, which whoever waits for the run is told.
            return;
        }
    }
}

/// Decides after each tick whether the guest has to be told.
struct Watch {
    last: SystemTime,
    untold: u32,
}

impl Watch {
    fn new(now: SystemTime) -> Self {
        Self {
            last: now,
            untold: 0,
        }
    }

    fn tick(&mut self, now: SystemTime) -> bool {
        let expected = self.last + TICK;
        let off = match now.duration_since(expected) {
            Ok(late) => late,
            Err(early) => early.duration(),
        };
        self.last = now;
        self.untold += 1;
        let tell = off > JUMP || self.untold >= TICKS_BETWEEN;
        if tell {
            self.untold = 0;
        }
        tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which ticks are told, for the seconds that each took by the wall clock.
    fn told(ticks: &[i64]) -> Vec<usize> {
        let mut now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let mut watch = Watch::new(now);
        let mut told = Vec::new();
        for (number, seconds) in ticks.iter().enumerate() {
            let step = Duration::from_secs(seconds.unsigned_abs());
            now = if *seconds < 0 { now - step } else { now + step };
            if watch.tick(now) {
                told.push(number);
            }
        }
        told
    }

    #[test]
    fn the_guest_is_told_when_the_host_slept_or_its_clock_was_set() {
        assert_eq!(told(&[1, 1, 3600, 1, 1]), [2], "slept");
        assert_eq!(told(&[1, -3600, 1]), [1], "set back");
        assert!(told(&[1, 2, 3, 1]).is_empty(), "busy");
    }

    #[test]
    fn the_guest_is_told_now_and_then() {
        assert_eq!(told(&[1; 25]), [9, 19]);
        let mut ticks = [1; 15];
        ticks[3] = 100;
        assert_eq!(told(&ticks), [3, 13], "counted from the last time");
    }
}
