//! Stopping the threads of a process, and having one of them make a call.
//!
//! Every thread is brought to the one kind of stop (`PTRACE_EVENT_STOP`) in which nothing of it is under way: no signal is being
//! delivered, a system call that it was in has returned and is not yet restarted. A thread that makes a call for us starts in such
//! a stop and is brought back to one with all registers and its signal mask as they were, so that the kernel then restarts what it
//! had interrupted, as after any stop. Signals that arrive meanwhile are delivered, or stay pending until the mask is back.
//!
//! A tracer is a thread, not a process: use [`alone`].

use super::ClockError;
use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread may take to stop while the others stand still: one that waits for a disk cannot stop.
const STOPS_WITHIN: Duration = Duration::from_millis(300);

/// How long a thread may be on a detour. It waits for nothing but a processor, and must not be left half-way.
const BACK_WITHIN: Duration = Duration::from_mins(1);

/// Bits of a wait status.
const EVENT_STOP: i32 = 128;
const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

/// Requests that the `libc` crate does not name on all systems (`linux/ptrace.h`).
const GET_SIGNAL_MASK: i64 = 0x420a;
const SET_SIGNAL_MASK: i64 = 0x420b;

/// The bytes of the kernel's signal set.
const SIGNAL_SET_BYTES: usize = 8;

/// The length of the instruction `syscall`.
const SYSCALL_BYTES: u64 = 2;

/// `ERESTARTNOHAND`: interrupted; to be restarted unless a handler runs, which then sees `EINTR`.
const RESTART_NO_HANDLER: u64 = -514_i64 as u64;

/// Calls that give `EINTR` to a program that is merely stopped and resumed (signal(7), "Interruption of system calls"), if nothing
/// has been done yet: they are restarted here, so that a program that is not prepared for it sees nothing.
const EINTR_WITHOUT_HANDLER: [libc::c_long; 14] = [
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_io_getevents,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_accept,
    libc::SYS_accept4,
];

/// The registers of a thread.
pub(super) type Registers = libc::user_regs_struct;

/// Does something with traced threads on a thread of its own: at its end the kernel lets go of every tracee that could not be
/// let go of in order.
pub(super) fn alone<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(act).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// A request that passes numbers or pointers; the caller answers for what they point to.
#[allow(unsafe_code, reason = "neither the standard library nor rustix has ptrace")]
fn ptrace(request: i64, tid: i32, address: usize, data: usize) -> Result<(), i32> {
    // SAFETY: of the requests made in this file those that write through `data` are made by `registers` and `signal_mask`, which
    // pass storage of the size that the kernel fills.
    let result = unsafe { libc::syscall(libc::SYS_ptrace, request, i64::from(tid), address, data) };
    if result == -1 { Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)) } else { Ok(()) }
}

#[allow(unsafe_code, reason = "a C struct of numbers, filled by the kernel")]
fn registers(tid: i32) -> Result<Registers, i32> {
    // SAFETY: numbers only, for which zeros are valid.
    let mut registers: Registers = unsafe { std::mem::zeroed() };
    ptrace(libc::PTRACE_GETREGS.into(), tid, 0, (&raw mut registers) as usize)?;
    Ok(registers)
}

fn set_registers(tid: i32, registers: &Registers) -> Result<(), i32> {
    ptrace(libc::PTRACE_SETREGS.into(), tid, 0, std::ptr::from_ref(registers) as usize)
}

fn signal_mask(tid: i32) -> Result<u64, i32> {
    let mut mask = 0_u64;
    ptrace(GET_SIGNAL_MASK, tid, SIGNAL_SET_BYTES, (&raw mut mask) as usize)?;
    Ok(mask)
}

fn set_signal_mask(tid: i32, mask: u64) -> Result<(), i32> {
    ptrace(SET_SIGNAL_MASK, tid, SIGNAL_SET_BYTES, (&raw const mask) as usize)
}

/// Why a traced thread stands still, or that it does not exist any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// By our request, or with its process by a signal like SIGSTOP.
    Event,
    /// Before this signal is delivered.
    Signal(i32),
    /// At the entry or the exit of a system call.
    Call,
    Ended,
}

/// Waits for a thread to stop.
#[allow(unsafe_code, reason = "rustix's waitpid knows no __WALL, which finds threads")]
fn await_stop(tid: i32, deadline: Instant) -> Result<Stop, i32> {
    let mut status = 0;
    let mut pause = Duration::ZERO;
    loop {
        // SAFETY: writes one number, here.
        match unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL | libc::WNOHANG) } {
            0 if Instant::now() >= deadline => return Err(libc::ETIMEDOUT),
            0 => thread::sleep(pause),
            -1 => match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::ECHILD) | None => return Ok(Stop::Ended),
                Some(other) => return Err(other),
            },
            _ if !libc::WIFSTOPPED(status) => return Ok(Stop::Ended),
            _ => break,
        }
        pause = (pause + Duration::from_micros(10)).min(Duration::from_millis(1));
    }
    Ok(match (status >> 16, libc::WSTOPSIG(status)) {
        (EVENT_STOP, _) => Stop::Event,
        (_, SYSCALL_STOP) => Stop::Call,
        (_, signal) => Stop::Signal(signal),
    })
}

/// Asks a traced thread to come to an event stop as soon as it runs. `false`: it ended.
fn interrupt(tid: i32) -> Result<bool, i32> {
    match ptrace(libc::PTRACE_INTERRUPT.into(), tid, 0, 0) {
        Ok(()) => Ok(true),
        Err(libc::ESRCH) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Waits until a traced thread that was asked to is in an event stop. `false`: it ended.
fn settle(tid: i32, deadline: Instant) -> Result<bool, i32> {
    loop {
        let signal = match await_stop(tid, deadline)? {
            Stop::Event => return Ok(true),
            Stop::Ended => return Ok(false),
            Stop::Signal(signal) => signal,
            Stop::Call => 0,
        };
        if !resume_to_event_stop(tid, signal)? {
            return Ok(false);
        }
    }
}

/// Lets a thread that stands in any stop go on to an event stop; a signal is delivered first if there is one (0 is none). The stop
/// that it is in has taken the place of one that was asked for, so that is asked for again before it runs.
fn resume_to_event_stop(tid: i32, signal: i32) -> Result<bool, i32> {
    if !interrupt(tid)? {
        return Ok(false);
    }
    match ptrace(libc::PTRACE_CONT.into(), tid, 0, signal as usize) {
        Ok(()) => Ok(true),
        Err(libc::ESRCH) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Threads of a process, stopped; they run on when this is dropped.
pub(super) struct Stopped {
    pid: i32,
    threads: Vec<i32>,
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for &tid in &self.threads {
            let _ = ptrace(libc::PTRACE_DETACH.into(), tid, 0, 0);
        }
    }
}

impl Stopped {
    /// Stops all threads of a process: again and again until no new one appears. A stopped thread makes no more.
    pub(super) fn all(pid: i32) -> Result<Stopped, ClockError> {
        let deadline = Instant::now() + STOPS_WITHIN;
        let mut stopped = Stopped { pid, threads: Vec::new() };
        let mut seen = Vec::new();
        loop {
            let new: Vec<i32> = tasks(pid)?.into_iter().filter(|tid| !seen.contains(tid)).collect();
            if new.is_empty() {
                return if stopped.threads.is_empty() { Err(ClockError::Gone(pid)) } else { Ok(stopped) };
            }
            // All are asked before any is waited for: a thread that runs takes the processor from one that is to stop.
            let mut asked = Vec::new();
            for tid in new {
                seen.push(tid);
                if stopped.ask(tid)? {
                    asked.push(tid);
                }
            }
            for tid in asked {
                stopped.settle(tid, deadline)?;
            }
        }
    }

    /// Stops one thread of a process, if possible one that waits in the kernel: it has nothing to do anyway.
    pub(super) fn one(pid: i32) -> Result<Stopped, ClockError> {
        let mut stopped = Stopped { pid, threads: Vec::new() };
        let mut tasks = tasks(pid)?;
        tasks.sort_by_key(|&tid| rank(pid, tid));
        for tid in tasks {
            if stopped.ask(tid)? && stopped.settle(tid, Instant::now() + STOPS_WITHIN)? {
                return Ok(stopped);
            }
        }
        Err(ClockError::Gone(pid))
    }

    /// Asks a thread to stop. `false`: it has ended.
    fn ask(&self, tid: i32) -> Result<bool, ClockError> {
        let options = libc::PTRACE_O_TRACESYSGOOD as usize;
        match ptrace(libc::PTRACE_SEIZE.into(), tid, 0, options) {
            Ok(()) => interrupt(tid).map_err(|error| self.failed("stop", error)),
            Err(libc::ESRCH) => Ok(false),
            Err(libc::EPERM) if matches!(state(self.pid, tid), None | Some('Z' | 'X')) => Ok(false),
            Err(libc::EPERM) => Err(super::denied(self.pid)),
            Err(error) => Err(self.failed("trace", error)),
        }
    }

    /// Waits for a thread that was asked to stop. `false`: it has ended.
    fn settle(&mut self, tid: i32, deadline: Instant) -> Result<bool, ClockError> {
        let stopped = settle(tid, deadline).map_err(|error| self.failed("stop", error))?;
        if stopped {
            self.threads.push(tid);
            self.restart_what_would_see_eintr(tid)?;
        }
        Ok(stopped)
    }

    fn restart_what_would_see_eintr(&self, tid: i32) -> Result<(), ClockError> {
        let mut now = self.registers(tid)?;
        let interrupted = now.rax as i64 == -i64::from(libc::EINTR);
        if interrupted && EINTR_WITHOUT_HANDLER.contains(&(now.orig_rax as libc::c_long)) {
            now.rax = RESTART_NO_HANDLER;
            set_registers(tid, &now).map_err(|error| self.failed("restart a call of", error))?;
        }
        Ok(())
    }

    fn failed(&self, what: &str, error: i32) -> ClockError {
        match error {
            libc::ESRCH => ClockError::Gone(self.pid),
            libc::ETIMEDOUT => ClockError::Busy(format!("a thread of process {} does not stop: it waits for a disk or a device", self.pid)),
            _ => ClockError::Refused(format!("cannot {what} process {}: {}", self.pid, io::Error::from_raw_os_error(error))),
        }
    }

    /// The threads that are stopped.
    pub(super) fn threads(&self) -> &[i32] {
        &self.threads
    }

    /// The registers of a thread.
    pub(super) fn registers(&self, tid: i32) -> Result<Registers, ClockError> {
        registers(tid).map_err(|error| self.failed("read the registers of", error))
    }

    /// Writes into the process, also where it may not write itself: it gets a page of its own then.
    pub(super) fn poke(&self, address: u64, bytes: &[u8]) -> Result<(), ClockError> {
        let mut word_bytes = [0; 8];
        for (chunk, at) in bytes.chunks(8).zip((address..).step_by(8)) {
            if chunk.len() < 8 {
                word_bytes = super::maps::read(self.pid, at)?;
            }
            word_bytes[..chunk.len()].copy_from_slice(chunk);
            let poked = ptrace(libc::PTRACE_POKEDATA.into(), self.threads[0], at as usize, u64::from_le_bytes(word_bytes) as usize);
            poked.map_err(|error| self.failed("write into", error))?;
        }
        Ok(())
    }

    /// The thread that makes calls for us: if possible one that waits in a system call, because it is in no restartable sequence
    /// (rseq(2)) then, which a detour would break.
    fn worker(&self) -> Result<i32, ClockError> {
        for &tid in &self.threads {
            if self.registers(tid)?.orig_rax as i64 >= 0 {
                return Ok(tid);
            }
        }
        Ok(self.threads[0])
    }

    /// Makes a system call in the process, by its instruction at `syscall_at`. Returns what the kernel does: negative for an error.
    pub(super) fn call(&self, syscall_at: u64, number: libc::c_long, arguments: [u64; 6]) -> Result<i64, ClockError> {
        let [rdi, rsi, rdx, r10, r8, r9] = arguments;
        let prepare = |before: Registers| Registers { rip: syscall_at, rax: number as u64, rdi, rsi, rdx, r10, r8, r9, ..before };
        self.detour(prepare, |worker| {
            worker.next_call()?;
            worker.next_call()?;
            Ok(registers(worker.tid)?.rax as i64)
        })
    }

    /// Calls a C function in the process on a stack that is given. Its return address is the instruction at `syscall_at`, where we
    /// wait for it. Returns what it returns, and what `now` said just before and after the last system call that it made.
    pub(super) fn run<T: Copy>(
        &self,
        function: u64,
        arguments: [u64; 2],
        [stack_top, syscall_at]: [u64; 2],
        now: impl Fn() -> T,
    ) -> Result<(u64, Option<[T; 2]>), ClockError> {
        const DIRECTION_FLAG: u64 = 1 << 10;
        // As if just called: the return address is on top, and the stack was aligned to 16 bytes before.
        self.poke(stack_top - 8, &syscall_at.to_le_bytes())?;
        let prepare = |before: Registers| Registers {
            rip: function,
            rsp: stack_top - 8,
            rax: 0,
            rdi: arguments[0],
            rsi: arguments[1],
            eflags: before.eflags & !DIRECTION_FLAG,
            ..before
        };
        self.detour(prepare, |worker| {
            let mut times = None;
            loop {
                // Calls that the function makes go by; the one that has its stack empty is none of its own.
                worker.next_call()?;
                let there = registers(worker.tid)?;
                if there.rip == syscall_at + SYSCALL_BYTES && there.rsp == stack_top {
                    // Its result is the number of this call, which must not happen.
                    set_registers(worker.tid, &Registers { orig_rax: u64::MAX, ..there })?;
                    worker.next_call()?;
                    return Ok((there.orig_rax, times));
                }
                let before = now();
                worker.next_call()?;
                times = Some([before, now()]);
            }
        })
    }

    /// Has a thread do something else and come back: its registers and signal mask are as before then, and the system call that it
    /// was stopped in, if any, is restarted when it runs on.
    fn detour<T>(
        &self,
        prepare: impl FnOnce(Registers) -> Registers,
        act: impl FnOnce(&Worker) -> Result<T, i32>,
    ) -> Result<T, ClockError> {
        let tid = self.worker()?;
        let go = || {
            let (before, mask) = (registers(tid)?, signal_mask(tid)?);
            set_signal_mask(tid, u64::MAX)?;
            // Without the number of a call there is nothing to restart before ours.
            set_registers(tid, &Registers { orig_rax: u64::MAX, ..prepare(before) })?;
            let result = act(&Worker { tid, deadline: Instant::now() + BACK_WITHIN });
            set_registers(tid, &before)?;
            set_signal_mask(tid, mask)?;
            if resume_to_event_stop(tid, 0)? && settle(tid, Instant::now() + BACK_WITHIN)? { result } else { Err(libc::ESRCH) }
        };
        go().map_err(|error| self.failed("make a call in", error))
    }
}

/// A thread on a detour.
struct Worker {
    tid: i32,
    deadline: Instant,
}

impl Worker {
    /// Lets it run to the next entry or exit of a system call.
    fn next_call(&self) -> Result<(), i32> {
        let mut signal = 0;
        loop {
            ptrace(libc::PTRACE_SYSCALL.into(), self.tid, 0, signal as usize)?;
            signal = match await_stop(self.tid, self.deadline)? {
                Stop::Call => return Ok(()),
                Stop::Event => 0,
                // All signals are masked but SIGSTOP, which takes effect when we have gone.
                Stop::Signal(signal) => signal,
                Stop::Ended => return Err(libc::ESRCH),
            };
        }
    }
}

/// The threads of a process.
fn tasks(pid: i32) -> Result<Vec<i32>, ClockError> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| ClockError::Gone(pid))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// What a thread does, as a letter of proc(5).
fn state(pid: i32, tid: i32) -> Option<char> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{tid}/stat")).ok()?;
    text[text.rfind(')')? + 1..].trim_start().chars().next()
}

/// Sleeping threads first, then running ones; those that cannot stop now last.
fn rank(pid: i32, tid: i32) -> u8 {
    match state(pid, tid) {
        Some('S') => 0,
        Some('D') => 2,
        _ => 1,
    }
}
