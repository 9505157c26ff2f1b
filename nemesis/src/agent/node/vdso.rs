//! The clock of one process, and of no other: its vDSO rewritten while it runs.
//!
//! A process asks the time by calling functions of the vDSO, a small library that the kernel maps into it (vdso(7)). [`Rewritten`]
//! puts code of ours into the process (`stub`) and writes jumps to it over the beginning of `clock_gettime`, `gettimeofday` and
//! `time`. That code makes the real system call and adds to what `CLOCK_REALTIME`, its coarse and alarm twins and `CLOCK_TAI`
//! say; other clocks, the monotonic ones above all, tell what they always tell. This works for programs in any language, linked
//! in whatever way, without a restart, and touches neither the kernel's clock nor any other process. Children forked afterwards
//! have the same pages and follow. The idea is that of Chaos Mesh's `TimeChaos`.
//!
//! All threads are stopped while the jumps are written (`ptrace`), and let go again if one of them, or a signal handler's return,
//! stands within the bytes that a jump replaces, or does not stop at once because it waits for a disk. Whatever else is asked of the process then happens while it runs: a new
//! [`Setting`] is two writes into a page of it, which code that reads meanwhile sees wholly or not at all.
//!
//! [`Rewritten::restore`] puts back the bytes that were there. The two pages stay, and are used again by the next one: a thread
//! may still stand in them, and nothing shows when the last one has left.
//!
//! A thread that makes a call for us, once for a process to get the pages and for each reading, is on its way for some tens of
//! microseconds. If we are killed just then, by a signal that nobody can catch, the process does not survive it.
//!
//! What this does not reach: programs that make the system call themselves, waits in the kernel until a time of
//! `CLOCK_REALTIME`, the times that the kernel gives files. A program that a child executes has a vDSO of its own, as it was.
//! Monotonic clocks, too, now cost a system call (the README says how much that is). Only x86-64; 32-bit processes
//! and those with a shadow stack are refused.

#[cfg(target_arch = "x86_64")]
mod elf;
#[cfg(target_arch = "x86_64")]
mod maps;
#[cfg(target_arch = "x86_64")]
mod ptrace;
#[cfg(target_arch = "x86_64")]
mod rewritten;
#[cfg(target_arch = "x86_64")]
mod stub;

#[cfg(not(target_arch = "x86_64"))]
#[path = "vdso/elsewhere.rs"]
mod rewritten;

pub use rewritten::Rewritten;

use std::fs;
use thiserror::Error;

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// The largest offset: a century and a half, so that no sum overflows before 2116.
pub const OFFSET_NS_MAX: i64 = 150 * 366 * 86_400 * SECOND;

/// Why a clock could not be rewritten or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClockError {
    /// The process has ended.
    #[error("process {0} is gone")]
    Gone(i32),
    /// It can never be done with such a process; the text says why.
    #[error("{0}")]
    Unfit(String),
    /// It could not be done for now, because a thread was busy with something else for long; the text says with what.
    #[error("{0}")]
    Busy(String),
    /// It may not be done, or went wrong; the text says why, and what to do.
    #[error("{0}")]
    Refused(String),
}

/// What a process's clock adds to the real time n, in nanoseconds: `offset + (n - from) * rate / 2^32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    /// How far it is ahead.
    pub offset_ns: i64,
    /// The real time since 1970 from which on it runs faster or slower.
    pub from_ns: i64,
    /// By how much: 2^32 is twice as fast, -2^32 stands still.
    pub rate: i64,
}

impl Setting {
    /// A clock that is ahead, or behind if negative.
    pub fn ahead(offset_ns: i64) -> Setting {
        Setting { offset_ns, ..Setting::default() }
    }

    /// A clock that is right at `from_ns` and gains `per_billion` nanoseconds each second, or loses them.
    pub fn drifting(from_ns: i64, per_billion: i64) -> Setting {
        let rate = (i128::from(per_billion) << 32) / i128::from(SECOND);
        Setting { offset_ns: 0, from_ns, rate: i64::try_from(rate).unwrap_or(if per_billion < 0 { i64::MIN } else { i64::MAX }) }
    }

    /// How far such a clock is ahead at a real time.
    pub fn offset_at(&self, now_ns: i64) -> i64 {
        let gained = (i128::from(now_ns.wrapping_sub(self.from_ns)) * i128::from(self.rate)) >> 32;
        self.offset_ns.wrapping_add(gained as i64)
    }

    /// Refuses what would make the sums of the code overflow, or the clock run backwards.
    fn check(&self) -> Result<(), ClockError> {
        if self.offset_ns.unsigned_abs() > OFFSET_NS_MAX as u64 {
            return Err(ClockError::Refused("a clock can be ahead or behind by 150 years at most".into()));
        }
        if self.rate.unsigned_abs() >= 1 << 32 {
            return Err(ClockError::Refused("a clock can be stopped or twice as fast at most".into()));
        }
        Ok(())
    }
}

/// Restores a process if it is there and rewritten; returns whether it was.
pub fn restore(pid: i32) -> Result<bool, ClockError> {
    match Rewritten::find(pid) {
        Ok(Some(rewritten)) => rewritten.restore().map(|()| true),
        Ok(None) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Why a process cannot be traced, as far as can be told.
fn denied(pid: i32) -> ClockError {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim).unwrap_or_default().to_owned();
    let why = match (field("TracerPid:").as_str(), field("VmSize:").as_str()) {
        ("" | "0", "") => "it is a thread of the kernel, or has ended".to_owned(),
        ("" | "0", _) => {
            "the agent must be root, or the process its user's own and a descendant (sysctl kernel.yama.ptrace_scope)".to_owned()
        }
        (tracer, _) => format!("process {tracer} traces it already (a debugger, strace?)"),
    };
    ClockError::Refused(format!("process {pid} may not be traced: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_say_what_they_add() {
        assert_eq!(Setting::ahead(-7).offset_at(123), -7);
        let drifting = Setting::drifting(10 * SECOND, 100_000_000);
        assert_eq!(drifting.offset_at(10 * SECOND), 0);
        assert!((drifting.offset_at(20 * SECOND) - SECOND).abs() <= 3, "{}", drifting.offset_at(20 * SECOND));
        assert!((drifting.offset_at(0) + SECOND).abs() <= 3);
        assert!(Setting::drifting(0, -SECOND).check().is_err() && Setting::drifting(0, -SECOND + 1).check().is_ok());
        assert!(Setting::ahead(OFFSET_NS_MAX + 1).check().is_err() && Setting::ahead(-OFFSET_NS_MAX).check().is_ok());
        assert!(Setting::ahead(i64::MIN).check().is_err());
    }
}
