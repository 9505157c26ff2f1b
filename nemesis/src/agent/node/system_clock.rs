//! The node's own clock, made to go wrong and right again: `CLOCK_REALTIME` of a whole kernel.
//!
//! It is stepped by adding to it (`ADJ_SETOFFSET` of `clock_adjtime(2)`: one addition within the kernel, nothing is read and
//! written back), and made to gain or lose by its tick and frequency. What it was before is told by clocks that no step reaches,
//! [`Before`]: so it can be put right to the microsecond however long it was wrong, in whatever way, and by an agent that never
//! saw it right. A drift makes the monotonic clocks drift with it, except `CLOCK_MONOTONIC_RAW`, as it is with a bad
//! oscillator: afterwards their rate is right again, and what they gained stays.
//!
//! The clock of a kernel that others live on is refused: those of containers (their namespaces are not the kernel's first ones),
//! and those of nodes that share their kernel with the control node or with another node (they booted as one).

use crate::agent::protocol::clock::Skew;
use crate::agent::protocol::clock::SystemReading;
use crate::machine::boot_id;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;

/// The most a clock is stepped by.
const OFFSET_NS_MAX: i64 = 150 * 366 * 86_400 * SECOND;

/// The shortest period of a strobe.
const PERIOD_MIN: Duration = Duration::from_millis(1);

/// A clock's usual tick: microseconds in a hundredth of a second, and the least and the most that the kernel takes.
const TICK: i64 = 10_000;
const TICKS: std::ops::RangeInclusive<i64> = 9_000..=11_000;

/// What one tick more gains, in billionths; what a unit of the frequency is of a millionth; the most that the kernel takes of those.
const TICK_PER_BILLION: i64 = 100_000;
const FREQUENCY_PER_MILLION: i64 = 1 << 16;
const FREQUENCY_MAX: i64 = 500 * FREQUENCY_PER_MILLION;

/// How often clocks are read together, for the reading that took least time.
const READINGS: u32 = 10;

/// How right a clock must be to be called right, besides the error of its reading, and how often it is tried.
const RIGHT_NS: i64 = 20_000;
const STEPS_MAX: u32 = 5;

/// The numbers of the namespaces that a kernel starts with (`include/linux/proc_ns.h`); containers have others.
const FIRST_NAMESPACES: [(&str, u64); 4] = [("pid", 0xEFFF_FFFC), ("user", 0xEFFF_FFFD), ("uts", 0xEFFF_FFFE), ("ipc", 0xEFFF_FFFF)];

/// How fast a clock runs, as adjtimex(2) has it, and what it says of its quality.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Microseconds that it gains each hundredth of a second.
    pub tick: i64,
    /// What it gains besides, in 2^-16 millionths.
    pub frequency: i64,
    /// The status bits.
    pub status: i32,
    /// The largest and the likely error, in microseconds.
    pub errors_us: [i64; 2],
}

impl Rate {
    /// How much it gains, in 2^-16 millionths.
    fn gains(&self) -> i128 {
        i128::from((self.tick - TICK) * TICK_PER_BILLION / 1000 * FREQUENCY_PER_MILLION + self.frequency)
    }

    /// One that gains this much more, or as much as the kernel allows.
    fn faster_by(&self, per_billion: i64) -> Rate {
        let frequency_of = |per_billion: i64| per_billion * FREQUENCY_PER_MILLION / 1000;
        let billionths = i64::try_from(self.gains() * 1000 / i128::from(FREQUENCY_PER_MILLION)).unwrap_or(0) + per_billion;
        let ticks = (billionths as f64 / TICK_PER_BILLION as f64).round() as i64;
        let tick = (TICK + ticks).clamp(*TICKS.start(), *TICKS.end());
        let frequency = frequency_of(billionths - (tick - TICK) * TICK_PER_BILLION).clamp(-FREQUENCY_MAX, FREQUENCY_MAX);
        Rate { tick, frequency, ..*self }
    }
}

/// All clocks of a kernel at one moment, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// `CLOCK_REALTIME`: stepped, and faster or slower with the rate.
    pub real_ns: i64,
    /// `CLOCK_BOOTTIME`: faster or slower with the rate; goes on while the machine sleeps.
    pub boot_ns: i64,
    /// `CLOCK_MONOTONIC`: faster or slower with the rate; stands still while the machine sleeps.
    pub monotonic_ns: i64,
    /// `CLOCK_MONOTONIC_RAW`: nothing reaches it; stands still while the machine sleeps.
    pub raw_ns: i64,
    /// How far they may be apart: the time that the reading took.
    pub error_ns: i64,
}

/// A journal entry: the node's clock is wrong. What it was before, by which it is put right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// The kernel's number of this boot: after another the clock is a new one.
    pub boot: String,
    /// The clocks.
    pub clocks: Clocks,
    /// The rate.
    pub rate: Rate,
}

impl Before {
    /// How far the clock is ahead of what it would be if nobody had touched it.
    ///
    /// Steps are what it has gained on the boot-time clock, which runs just as fast and is never stepped. What both gained by a wrong
    /// rate is what the monotonic clock has gained on the raw one, besides what it always does.
    fn ahead_ns(&self, now: &Clocks) -> i64 {
        let stepped = (now.real_ns - now.boot_ns) - (self.clocks.real_ns - self.clocks.boot_ns);
        let raw = i128::from(now.raw_ns - self.clocks.raw_ns);
        let usual = raw + raw * self.rate.gains() / i128::from(1_000_000 * FREQUENCY_PER_MILLION);
        let drifted = i128::from(now.monotonic_ns - self.clocks.monotonic_ns) - usual;
        stepped + i64::try_from(drifted).unwrap_or(0)
    }
}

/// What is done to a kernel's clock, so that tests need no kernel to do it to.
pub(super) trait Kernel: Send + Sync {
    /// Reads all clocks, once.
    fn clocks(&self) -> io::Result<Clocks>;
    /// Reads the rate.
    fn rate(&self) -> io::Result<Rate>;
    /// Adds to the clock.
    fn step(&self, by_ns: i64) -> io::Result<()>;
    /// Sets the rate only, or all of it.
    fn set_rate(&self, rate: &Rate, with_status: bool) -> io::Result<()>;
}

/// The clock of the kernel that this program runs on.
#[derive(Debug)]
pub(super) struct Linux;

#[allow(unsafe_code, reason = "the standard library does not read these clocks, and sets none")]
mod linux {
    use super::{Clocks, Kernel, Linux, Rate, SECOND};
    use std::io;

    fn read(clock: libc::clockid_t) -> io::Result<i64> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure lives on this stack.
        if unsafe { libc::clock_gettime(clock, &raw mut time) } == 0 {
            Ok(time.tv_sec * SECOND + time.tv_nsec)
        } else {
            Err(io::Error::last_os_error())
        }
    }

    fn adjust(timex: &mut libc::timex) -> io::Result<()> {
        // SAFETY: the structure lives on the caller's stack.
        match unsafe { libc::clock_adjtime(libc::CLOCK_REALTIME, &raw mut *timex) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    fn asked(modes: u32) -> libc::timex {
        // SAFETY: it holds numbers only.
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        timex.modes = modes;
        timex
    }

    impl Kernel for Linux {
        fn clocks(&self) -> io::Result<Clocks> {
            let begin = read(libc::CLOCK_MONOTONIC_RAW)?;
            let boot_ns = read(libc::CLOCK_BOOTTIME)?;
            let real_ns = read(libc::CLOCK_REALTIME)?;
            let monotonic_ns = read(libc::CLOCK_MONOTONIC)?;
            let end = read(libc::CLOCK_MONOTONIC_RAW)?;
            Ok(Clocks { real_ns, boot_ns, monotonic_ns, raw_ns: i64::midpoint(begin, end), error_ns: end - begin })
        }

        fn rate(&self) -> io::Result<Rate> {
            let mut now = asked(0);
            adjust(&mut now)?;
            Ok(Rate { tick: now.tick, frequency: now.freq, status: now.status, errors_us: [now.maxerror, now.esterror] })
        }

        fn step(&self, by_ns: i64) -> io::Result<()> {
            let mut timex = asked(libc::ADJ_SETOFFSET | libc::ADJ_NANO);
            // The kernel wants the fraction positive.
            timex.time.tv_sec = by_ns.div_euclid(SECOND);
            timex.time.tv_usec = by_ns.rem_euclid(SECOND);
            adjust(&mut timex)
        }

        fn set_rate(&self, rate: &Rate, with_status: bool) -> io::Result<()> {
            let mut timex = asked(libc::ADJ_TICK | libc::ADJ_FREQUENCY);
            (timex.tick, timex.freq) = (rate.tick, rate.frequency);
            if with_status {
                let unit = if rate.status & libc::STA_NANO == 0 { libc::ADJ_MICRO } else { libc::ADJ_NANO };
                timex.modes |= libc::ADJ_STATUS | libc::ADJ_MAXERROR | libc::ADJ_ESTERROR | unit;
                timex.status = rate.status & !libc::STA_RONLY;
                [timex.maxerror, timex.esterror] = rate.errors_us;
            }
            adjust(&mut timex)
        }
    }

    /// Whether the kernel would let us: it looks at that before it finds that what is asked for here makes no sense, and changes nothing.
    pub(super) fn may_set() -> bool {
        // A tick of 0.
        adjust(&mut asked(libc::ADJ_TICK)).is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL))
    }
}

/// The rate of the clock, in words. Nothing in a container, whose host may have a daemon that changes it.
pub(super) fn rate() -> Vec<String> {
    if is_no_container(namespace).is_err() {
        return Vec::new();
    }
    Linux.rate().map(|rate| format!("tick {} us, frequency {} * 2^-16 millionths", rate.tick, rate.frequency)).into_iter().collect()
}

/// An error unless the clock of this node is its own, and may be set. `others`: the boots of the control node and of all other nodes.
pub(super) fn may_be_set(others: &[String]) -> Result<(), String> {
    is_ours_alone(&boot_id(), others)?;
    is_no_container(namespace)?;
    if linux::may_set() { Ok(()) } else { Err("the kernel does not let the agent set the clock: it needs root (CAP_SYS_TIME)".into()) }
}

fn is_ours_alone(boot: &str, others: &[String]) -> Result<(), String> {
    if boot.is_empty() {
        return Err("this kernel does not say when it booted, so nobody knows who else lives on it: its clock is left alone".into());
    }
    if others.iter().any(|other| other.trim() == boot) {
        return Err("its kernel is shared with the control node or another node: its clock is left alone".into());
    }
    Ok(())
}

/// The number of a namespace that we are in.
fn namespace(kind: &str) -> u64 {
    fs::metadata(format!("/proc/self/ns/{kind}")).map_or(0, |namespace| namespace.ino())
}

fn is_no_container(number: impl Fn(&str) -> u64) -> Result<(), String> {
    match FIRST_NAMESPACES.iter().find(|(kind, first)| number(kind) != *first) {
        Some((kind, _)) => Err(format!(
            "it is a container (its {kind} namespace is not the kernel's first): the clock is that of its host, too, and left alone"
        )),
        None => Ok(()),
    }
}

/// The clock of this node, and what makes it strobe.
pub(super) struct SystemClock<K: Kernel + 'static = Linux> {
    kernel: Arc<K>,
    strobe: Mutex<Option<Strobe>>,
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::of(Linux)
    }
}

impl<K: Kernel> SystemClock<K> {
    fn of(kernel: K) -> SystemClock<K> {
        SystemClock { kernel: Arc::new(kernel), strobe: Mutex::new(None) }
    }

    fn strobe(&self) -> MutexGuard<'_, Option<Strobe>> {
        self.strobe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the clock, before anything is done to it.
    pub(super) fn look(&self) -> Result<Before, String> {
        let rate = self.kernel.rate().map_err(|error| format!("cannot read the clock's rate: {error}"))?;
        Ok(Before { boot: boot_id(), clocks: exactly(&*self.kernel)?, rate })
    }

    /// Makes the clock wrong in this way and no longer in the way before.
    pub(super) fn skew(&self, before: &Before, skew: &Skew) -> Result<(), String> {
        self.end_strobe();
        set_rate(&*self.kernel, &before.rate, false)?;
        // Any step, even one of nothing, ends what the kernel was still making up for on behalf of a daemon that has ended.
        step(&*self.kernel, 0)?;
        step_to(&*self.kernel, before, 0)?;
        match *skew {
            Skew::None => Ok(()),
            Skew::Bump { offset_ns } => step_to(&*self.kernel, before, offset_ns),
            Skew::Drift { per_billion } => set_rate(&*self.kernel, &before.rate.faster_by(per_billion), false),
            Skew::Strobe { offset_ns, period, lasts } => {
                let strobe = Strobe::start(self.kernel.clone(), before.clone(), offset_ns, period.max(PERIOD_MIN), lasts);
                *self.strobe() = Some(strobe.map_err(|error| format!("cannot strobe the clock: {error}"))?);
                Ok(())
            }
        }
    }

    /// Reads how far the clock is ahead of what it would be if nobody had touched it.
    pub(super) fn read(&self, before: &Before) -> Result<SystemReading, String> {
        let now = exactly(&*self.kernel)?;
        Ok(SystemReading { real_ns: now.real_ns, ahead_ns: before.ahead_ns(&now), error_ns: now.error_ns + before.clocks.error_ns })
    }

    /// Puts the clock right, as it was before. `boot` is the kernel's number of this boot: after another there is nothing to do.
    pub(super) fn restore(&self, before: &Before, boot: &str) -> Result<(), String> {
        self.end_strobe();
        if before.boot != boot {
            return Ok(());
        }
        set_rate(&*self.kernel, &before.rate, false)?;
        step_to(&*self.kernel, before, 0)?;
        set_rate(&*self.kernel, &before.rate, true)
    }

    fn end_strobe(&self) {
        let strobe = self.strobe().take();
        drop(strobe);
    }
}

/// Reads all clocks several times; the reading that took least time.
fn exactly(kernel: &impl Kernel) -> Result<Clocks, String> {
    let read = || kernel.clocks().map_err(|error| format!("cannot read the clock: {error}"));
    let mut best = read()?;
    for _ in 1..READINGS {
        let again = read()?;
        if again.error_ns < best.error_ns {
            best = again;
        }
    }
    Ok(best)
}

fn set_rate(kernel: &impl Kernel, rate: &Rate, with_status: bool) -> Result<(), String> {
    kernel.set_rate(rate, with_status).map_err(|error| format!("cannot set the clock's rate: {error}"))
}

fn step(kernel: &impl Kernel, by_ns: i64) -> Result<(), String> {
    kernel.step(by_ns).map_err(|error| format!("cannot set the clock: {error}"))
}

/// Steps the clock until it is ahead by this much.
fn step_to(kernel: &impl Kernel, before: &Before, offset_ns: i64) -> Result<(), String> {
    if offset_ns.abs() > OFFSET_NS_MAX {
        return Err("a clock can be ahead or behind by 150 years at most".into());
    }
    let mut off_ns = 0;
    for _ in 0..STEPS_MAX {
        let now = exactly(kernel)?;
        off_ns = before.ahead_ns(&now) - offset_ns;
        if off_ns.abs() <= now.error_ns {
            return Ok(());
        }
        step(kernel, -off_ns)?;
    }
    let now = exactly(kernel)?;
    off_ns = off_ns.abs().min((before.ahead_ns(&now) - offset_ns).abs());
    if off_ns <= RIGHT_NS + now.error_ns {
        return Ok(());
    }
    Err(format!("the clock was set {STEPS_MAX} times and is {off_ns} ns from where it should be: something else sets it, too"))
}

/// A clock that is wrong and right by turns. It is right when this is dropped.
#[derive(Debug)]
struct Strobe {
    /// Closed to end it.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Strobe {
    fn start(kernel: Arc<impl Kernel + 'static>, before: Before, offset_ns: i64, period: Duration, lasts: Duration) -> io::Result<Strobe> {
        let (end, ended) = mpsc::channel();
        let over = Instant::now() + lasts;
        let strobe = move || {
            let mut next = Instant::now();
            let mut is_wrong = false;
            while Instant::now() < over {
                is_wrong = !is_wrong;
                if step_to(&*kernel, &before, if is_wrong { offset_ns } else { 0 }).is_err() {
                    break;
                }
                next = (next + period).max(Instant::now());
                if ended.recv_timeout(next.saturating_duration_since(Instant::now())) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            let _ = step_to(&*kernel, &before, 0);
        };
        let thread = thread::Builder::new().name("strobe".into()).spawn(strobe)?;
        Ok(Strobe { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Strobe {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel's clocks, moved by hand and by the time between two looks at them: nothing here touches a real one.
    struct Pretended(Mutex<State>);

    #[derive(Clone, Copy)]
    struct State {
        clocks: Clocks,
        rate: Rate,
        /// Real nanoseconds that pass with each reading.
        passes_ns: i64,
        steps: u32,
        /// Somebody else who steps it back each time.
        rival: bool,
    }

    impl Pretended {
        fn new(rate: Rate) -> Pretended {
            let clocks = Clocks {
                real_ns: 1_800_000_000 * SECOND,
                boot_ns: 70 * SECOND,
                monotonic_ns: 50 * SECOND,
                raw_ns: 49 * SECOND,
                error_ns: 100,
            };
            Pretended(Mutex::new(State { clocks, rate, passes_ns: 100, steps: 0, rival: false }))
        }

        fn state(&self) -> MutexGuard<'_, State> {
            self.0.lock().unwrap()
        }

        /// Lets time pass.
        fn pass(&self, ns: i64) {
            let mut state = self.state();
            let gained = i128::from(ns) * state.rate.gains() / i128::from(1_000_000 * FREQUENCY_PER_MILLION);
            let adjusted = ns + gained as i64;
            state.clocks.raw_ns += ns;
            state.clocks.real_ns += adjusted;
            state.clocks.boot_ns += adjusted;
            state.clocks.monotonic_ns += adjusted;
        }
    }

    impl Kernel for Pretended {
        fn clocks(&self) -> io::Result<Clocks> {
            let passes_ns = self.state().passes_ns;
            self.pass(passes_ns);
            Ok(self.state().clocks)
        }

        fn rate(&self) -> io::Result<Rate> {
            Ok(self.state().rate)
        }

        fn step(&self, by_ns: i64) -> io::Result<()> {
            let mut state = self.state();
            state.steps += 1;
            if !state.rival {
                state.clocks.real_ns += by_ns;
            }
            // As the kernel does: what is synchronised no longer is.
            state.rate.status |= libc::STA_UNSYNC;
            state.rate.errors_us = [16_000_000; 2];
            Ok(())
        }

        fn set_rate(&self, rate: &Rate, with_status: bool) -> io::Result<()> {
            if !TICKS.contains(&rate.tick) || rate.frequency.abs() > FREQUENCY_MAX {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let mut state = self.state();
            (state.rate.tick, state.rate.frequency) = (rate.tick, rate.frequency);
            if with_status {
                state.rate = *rate;
            }
            Ok(())
        }
    }

    const USUAL: Rate = Rate { tick: TICK, frequency: 0, status: libc::STA_PLL, errors_us: [1500, 20] };

    /// Clocks that are as usual, and those that a daemon has made a little faster or slower.
    fn rates() -> [Rate; 3] {
        [USUAL, Rate { frequency: 3_276_800 + 7, ..USUAL }, Rate { tick: TICK - 3, frequency: -1_234_567, ..USUAL }]
    }

    /// What the clock says that nobody has touched.
    fn true_ns(rate: Rate, passed: &Clocks, start: &Clocks) -> i64 {
        let raw = i128::from(passed.raw_ns - start.raw_ns);
        start.real_ns + (raw + raw * rate.gains() / i128::from(1_000_000 * FREQUENCY_PER_MILLION)) as i64
    }

    #[test]
    fn whatever_was_done_the_clock_comes_back_to_the_microsecond() {
        for rate in rates() {
            for skew in [
                Skew::None,
                Skew::Bump { offset_ns: 288_000_000_007 },
                Skew::Bump { offset_ns: -11_390_625 },
                Skew::Drift { per_billion: 100_000_000 },
                Skew::Drift { per_billion: -3_125_000 },
            ] {
                let clock = SystemClock::of(Pretended::new(rate));
                let before = clock.look().unwrap();
                clock.skew(&before, &skew).unwrap();
                clock.kernel.pass(37 * SECOND + 11);
                let ahead = clock.read(&before).unwrap().ahead_ns;
                let wanted = match skew {
                    Skew::Bump { offset_ns } => offset_ns,
                    Skew::Drift { per_billion } => 37 * per_billion,
                    _ => 0,
                };
                assert!((ahead - wanted).abs() < 2000, "{rate:?} {skew:?}: {ahead} ns");
                // The agent is killed, and another one finds the entry a day later.
                let healer = SystemClock { kernel: clock.kernel.clone(), strobe: Mutex::new(None) };
                for _ in 0..2 {
                    clock.kernel.pass(86_400 * SECOND);
                    healer.restore(&before, &before.boot).unwrap();
                    let now = clock.kernel.state().clocks;
                    assert!((now.real_ns - true_ns(rate, &now, &before.clocks)).abs() < 1000, "{rate:?} {skew:?}");
                    assert_eq!(clock.kernel.state().rate, rate, "{skew:?}");
                }
            }
        }
    }

    #[test]
    fn one_fault_follows_another_from_where_the_clock_would_be() {
        let clock = SystemClock::of(Pretended::new(rates()[1]));
        let before = clock.look().unwrap();
        for offset_ns in [50_000_000, -7_000_000_000, 50_000_000] {
            clock.skew(&before, &Skew::Drift { per_billion: 50_000_000 }).unwrap();
            clock.kernel.pass(10 * SECOND);
            clock.skew(&before, &Skew::Bump { offset_ns }).unwrap();
            clock.kernel.pass(10 * SECOND);
            assert!((clock.read(&before).unwrap().ahead_ns - offset_ns).abs() < 1000);
        }
        clock.restore(&before, &before.boot).unwrap();
        let now = clock.kernel.state().clocks;
        assert!((now.real_ns - true_ns(rates()[1], &now, &before.clocks)).abs() < 1000);
    }

    #[test]
    fn a_strobe_is_seen_both_ways_and_ends_right() {
        let clock = SystemClock::of(Pretended::new(USUAL));
        let before = clock.look().unwrap();
        let offset_ns = 4_000_000_000;
        clock.skew(&before, &Skew::Strobe { offset_ns, period: Duration::ZERO, lasts: Duration::from_mins(1) }).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let (mut right, mut wrong) = (false, false);
        while !(right && wrong) {
            assert!(Instant::now() < deadline, "right: {right}, wrong: {wrong}");
            let read = clock.read(&before).unwrap().ahead_ns;
            right |= read.abs() < 10_000;
            wrong |= (read - offset_ns).abs() < 10_000;
            thread::sleep(Duration::from_micros(300));
        }
        clock.restore(&before, &before.boot).unwrap();
        assert!(clock.read(&before).unwrap().ahead_ns.abs() < 1000);
        let steps = clock.kernel.state().steps;
        thread::sleep(Duration::from_millis(20));
        assert_eq!(clock.kernel.state().steps, steps, "it goes on");
    }

    #[test]
    fn after_another_boot_nothing_is_touched() {
        let clock = SystemClock::of(Pretended::new(USUAL));
        let before = clock.look().unwrap();
        clock.skew(&before, &Skew::Bump { offset_ns: SECOND }).unwrap();
        let steps = clock.kernel.state().steps;
        clock.restore(&before, "another boot").unwrap();
        assert_eq!(clock.kernel.state().steps, steps);
    }

    #[test]
    fn a_clock_that_somebody_else_holds_is_no_success() {
        let clock = SystemClock::of(Pretended::new(USUAL));
        let before = clock.look().unwrap();
        clock.kernel.state().rival = true;
        let error = clock.skew(&before, &Skew::Bump { offset_ns: SECOND }).unwrap_err();
        assert!(error.contains("something else sets it"), "{error}");
    }

    #[test]
    fn a_rate_is_as_asked_or_as_far_as_the_kernel_goes() {
        for rate in rates() {
            for per_billion in [3_125_000, -3_125_000, 77_777_777, -100_000_000, 100_000_000, 1] {
                let faster = rate.faster_by(per_billion);
                assert!(TICKS.contains(&faster.tick) && faster.frequency.abs() <= FREQUENCY_MAX, "{faster:?}");
                let gained = (faster.gains() - rate.gains()) * 1000 / i128::from(FREQUENCY_PER_MILLION);
                assert!((gained - i128::from(per_billion)).abs() <= 2, "{rate:?} {per_billion}: {gained}");
            }
            let most = rate.faster_by(900_000_000);
            assert_eq!((most.tick, most.frequency), (*TICKS.end(), FREQUENCY_MAX));
        }
    }

    #[test]
    fn a_clock_that_others_live_by_is_refused() {
        assert_eq!(is_ours_alone("a", &["b".into(), "c".into()]), Ok(()));
        assert!(is_ours_alone("a", &["b".into(), "a\n".into()]).unwrap_err().contains("shared with the control node or another node"));
        assert!(is_ours_alone("", &[]).unwrap_err().contains("nobody knows who else"));
        let first = |kind: &str| FIRST_NAMESPACES.iter().find(|(known, _)| *known == kind).map_or(0, |(_, number)| *number);
        assert_eq!(is_no_container(first), Ok(()));
        for (kind, _) in FIRST_NAMESPACES {
            let error = is_no_container(|asked| if asked == kind { 4_026_532_000 } else { first(asked) }).unwrap_err();
            assert!(error.contains("it is a container") && error.contains(kind), "{error}");
        }
        // Whoever runs this test on a kernel of its own: it is the control node, too.
        assert!(may_be_set(&[boot_id()]).unwrap_err().contains("shared"));
    }
}
