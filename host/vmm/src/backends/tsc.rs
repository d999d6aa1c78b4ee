//! How fast the host's time stamp counter runs, which an emulated guest would otherwise spend a tenth
//! of a second finding out.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "reading the counter is an intrinsic")
)]

/// Kilohertz of the counter; `None` where it does not run evenly, or there is none.
pub(crate) fn khz() -> Option<u64> {
    imp::khz()
}

#[cfg(target_arch = "x86_64")]
mod imp {
    use std::time::{Duration, Instant};

    /// Long enough that reading both clocks, some 50 ns apart, errs by less than 10 in a million.
    const INTERVAL: Duration = Duration::from_millis(10);

    /// Readings of which the one with the least delay between the two clocks counts.
    const READINGS: usize = 8;

    pub(super) fn khz() -> Option<u64> {
        if !runs_evenly() {
            return None;
        }
        let (first_ticks, first_time) = reading()?;
        std::thread::sleep(INTERVAL);
        let (last_ticks, last_time) = reading()?;
        let elapsed = last_time.duration_since(first_time).as_nanos();
        let ticks = u128::from(last_ticks.checked_sub(first_ticks)?);
        u64::try_from(ticks * 1_000_000 / elapsed.max(1)).ok()
    }

    /// Whether the counter runs at one rate in all states, as the kernel judges it.
    #[cfg(target_os = "linux")]
    fn runs_evenly() -> bool {
        let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let flags = info.lines().find(|line| line.starts_with("flags"));
        let has = |flag| flags.is_some_and(|line| line.split_whitespace().any(|word| word == flag));
        has("constant_tsc") && has("nonstop_tsc")
    }

    /// Whether the counter runs at one rate in all states, as the processor says.
    #[cfg(not(target_os = "linux"))]
    fn runs_evenly() -> bool {
        const POWER: u32 = 0x8000_0007;
        const INVARIANT: u32 = 1 << 8;
        use std::arch::x86_64::__cpuid;
        __cpuid(0x8000_0000).eax >= POWER && __cpuid(POWER).edx & INVARIANT != 0
    }

    fn reading() -> Option<(u64, Instant)> {
        let readings = (0..READINGS).map(|_| {
            let before = counter();
            let time = Instant::now();
            let after = counter();
            (after.wrapping_sub(before), before, time)
        });
        let (delay, before, time) = readings.min_by_key(|(delay, ..)| *delay)?;
        Some((before + delay / 2, time))
    }

    fn counter() -> u64 {
        // SAFETY: every x86_64 processor has the instruction, and it touches no memory.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod imp {
    pub(super) fn khz() -> Option<u64> {
        None
    }
}
