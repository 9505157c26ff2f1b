//! Putting our code into a process, talking to it there, and taking it out of the way again.

use super::maps::{self, Mapping, access};
use super::ptrace::{Stopped, alone};
use super::{ClockError, SECOND, Setting, elf, stub};
use crate::agent::protocol::clock::Reading;
use crate::machine::now_ns;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

/// How long is tried until no thread is in the way.
const TRIED_FOR: Duration = Duration::from_secs(5);

/// The pause between two attempts: a thread is out of five bytes in nanoseconds, unless it was preempted there.
const ATTEMPT_EVERY: Duration = Duration::from_millis(1);

/// How long a process that was just started is given to have a vDSO.
const MAPPED_WITHIN: Duration = Duration::from_millis(100);

/// How much of a thread's stack is searched for returns into the bytes that a jump replaces.
const STACK_BYTES: usize = 64 << 10;

/// A process whose vDSO leads to code of ours.
#[derive(Debug)]
pub struct Rewritten {
    pid: i32,
    memory: File,
    page: u64,
    clock_gettime: u64,
    syscall: u64,
}

impl Rewritten {
    /// Rewrites the vDSO of a process, or finds that it is. Its clock tells the real time at first. Takes milliseconds.
    pub fn install(pid: i32) -> Result<Rewritten, ClockError> {
        await_vdso(pid)?;
        if let Some(found) = Rewritten::find(pid)? {
            return Ok(found);
        }
        may_make_calls(pid)?;
        patiently(|| try_install(pid))
    }

    /// The process, if its vDSO is rewritten. Does not stop it.
    pub fn find(pid: i32) -> Result<Option<Rewritten>, ClockError> {
        let vdso = Vdso::of(pid)?;
        let start = vdso.start_of(vdso.functions.clock_gettime);
        let memory = maps::open(pid)?;
        let Some(code) = stub::jumps_to(start, vdso.bytes_of(vdso.functions.clock_gettime)) else { return Ok(None) };
        let page = code.wrapping_sub(stub::CODE_AT);
        let mut mark = [0; 8];
        let is_ours = page.is_multiple_of(stub::PAGE_BYTES) && memory.read_exact_at(&mut mark, page).is_ok() && mark == stub::MARK;
        Ok(is_ours.then(|| Rewritten { pid, memory, page, clock_gettime: start, syscall: vdso.start + vdso.functions.syscall }))
    }

    /// Sets the clock from now on, while the process runs. Takes microseconds. One caller at a time for a process and its children.
    pub fn set(&self, setting: &Setting) -> Result<(), ClockError> {
        setting.check()?;
        let data = self.page + stub::PAGE_BYTES;
        let mut index = [0];
        let lost = |error: io::Error| maps::lost(self.pid, &error);
        self.memory.read_exact_at(&mut index, data + stub::INDEX_AT).map_err(lost)?;
        let next = index[0].wrapping_add(1);
        self.memory.write_all_at(&stub::slot(setting), data + stub::slot_at(next)).map_err(lost)?;
        self.memory.write_all_at(&[next], data + stub::INDEX_AT).map_err(lost)
    }

    /// Reads the clock as the process does: has one of its threads call its `clock_gettime`. That thread stands still for some
    /// tenths of a millisecond. One caller at a time for a process and its children.
    pub fn read(&self) -> Result<Reading, ClockError> {
        const CLOCK_REALTIME: u64 = 0;
        let data = self.page + stub::PAGE_BYTES;
        patiently(|| {
            let stopped = Stopped::one(self.pid)?;
            let arguments = [CLOCK_REALTIME, data + stub::ANSWER_AT];
            let (result, times) = stopped.run(self.clock_gettime, arguments, [data + stub::STACK_AT, self.syscall], now_ns)?;
            let (0, Some([before, after])) = (result, times) else {
                return Err(ClockError::Refused(format!("process {} may not ask for the time: error {}", self.pid, result as i64)));
            };
            let mut answer = [0; 16];
            self.memory.read_exact_at(&mut answer, data + stub::ANSWER_AT).map_err(|error| maps::lost(self.pid, &error))?;
            let [seconds, nanoseconds] = [0, 8].map(|at| i64::from_le_bytes(std::array::from_fn(|i| answer[at + i])));
            let at_ns = before + (after - before) / 2;
            Ok(Reading { pid: self.pid, at_ns, offset_ns: seconds * SECOND + nanoseconds - at_ns, error_ns: (after - before) / 2 + 1 })
        })
    }

    /// Puts back the vDSO as it was. Other processes that were forked meanwhile have to be restored too, each by itself.
    pub fn restore(self) -> Result<(), ClockError> {
        self.set(&Setting::default())?;
        let mut saved = [0; 16 * stub::SAVED_MAX];
        self.memory.read_exact_at(&mut saved, self.page + stub::SAVED_AT).map_err(|error| maps::lost(self.pid, &error))?;
        patiently(|| {
            let stopped = Stopped::all(self.pid)?;
            for entry in saved.chunks_exact(16) {
                let address = u64::from_le_bytes(std::array::from_fn(|i| entry[i]));
                if address != 0 {
                    stopped.poke(address, &entry[8..8 + stub::JUMP_BYTES as usize])?;
                }
            }
            Ok(())
        })
    }
}

/// The vDSO of a process.
struct Vdso {
    start: u64,
    image: Vec<u8>,
    functions: elf::Functions,
    maps: Vec<Mapping>,
}

impl Vdso {
    fn of(pid: i32) -> Result<Vdso, ClockError> {
        let maps = maps::of(pid)?;
        let Some(vdso) = maps.iter().find(|map| map.name == "[vdso]") else {
            return Err(if maps.is_empty() {
                super::denied(pid)
            } else {
                ClockError::Unfit(format!("process {pid} has no vDSO: its clock cannot be changed alone"))
            });
        };
        let mut image = vec![0; usize::try_from(vdso.end - vdso.start).unwrap_or(0).min(1 << 20)];
        maps::open(pid)?.read_exact_at(&mut image, vdso.start).map_err(|error| maps::lost(pid, &error))?;
        let unfit = |why| ClockError::Unfit(format!("the clock of process {pid} cannot be changed: {why}"));
        let functions = elf::functions(&image, stub::JUMP_BYTES).map_err(unfit)?;
        Ok(Vdso { start: vdso.start, image, functions, maps })
    }

    fn start_of(&self, function: elf::Function) -> u64 {
        self.start + function.offset
    }

    fn bytes_of(&self, function: elf::Function) -> &[u8] {
        &self.image[function.offset as usize..][..stub::JUMP_BYTES as usize]
    }

    /// The functions that are rewritten, each with where our code for it begins.
    fn rewritten(&self) -> Vec<(elf::Function, u64)> {
        let functions = [Some(self.functions.clock_gettime), self.functions.gettimeofday, self.functions.time];
        functions.into_iter().zip(stub::entries()).filter_map(|(function, entry)| Some((function?, entry))).collect()
    }

    /// Whether an address is within the bytes that a jump replaces, but not the first: there one comes to the jump itself.
    fn is_replaced(&self, address: u64) -> bool {
        self.rewritten().iter().any(|(function, _)| (1..stub::JUMP_BYTES).contains(&address.wrapping_sub(self.start_of(*function))))
    }

    /// The pages that an earlier rewriting left in the process: the same code, and data behind it.
    fn leftover(&self, memory: &File) -> Option<u64> {
        self.maps.iter().filter(|map| map.permissions == "r-xp" && map.name.is_empty()).find_map(|map| {
            let mut code = vec![0; stub::code().len()];
            let mut mark = [0; 8];
            memory.read_exact_at(&mut mark, map.start).ok()?;
            memory.read_exact_at(&mut code, map.start + stub::CODE_AT).ok()?;
            let data = map.start + stub::PAGE_BYTES;
            let has_data = self.maps.iter().any(|map| (map.start, map.permissions.as_str()) == (data, "rw-s"));
            (mark == stub::MARK && code == stub::code() && has_data).then_some(map.start)
        })
    }
}

/// Gives a process that has just been started the time to get its vDSO: the last that the kernel maps.
fn await_vdso(pid: i32) -> Result<(), ClockError> {
    let deadline = Instant::now() + MAPPED_WITHIN;
    while Instant::now() < deadline && !maps::of(pid)?.iter().any(|map| map.name == "[vdso]") {
        thread::sleep(ATTEMPT_EVERY);
    }
    Ok(())
}

/// Tries something that stops threads until none of them is in the way, or time is over.
fn patiently<T: Send>(mut act: impl FnMut() -> Result<T, ClockError> + Send) -> Result<T, ClockError> {
    let deadline = Instant::now() + TRIED_FOR;
    loop {
        match alone(&mut act) {
            Err(ClockError::Busy(_)) if Instant::now() < deadline => thread::sleep(ATTEMPT_EVERY),
            other => return other,
        }
    }
}

/// Stops the process and rewrites it.
fn try_install(pid: i32) -> Result<Rewritten, ClockError> {
    let stopped = Stopped::all(pid)?;
    let vdso = Vdso::of(pid)?;
    let memory = maps::open(pid)?;
    if is_in_the_way(&stopped, &vdso, &memory)? {
        return Err(ClockError::Busy(format!("a thread of process {pid} does not leave the beginning of a function of its vDSO")));
    }
    let syscall = vdso.start + vdso.functions.syscall;
    let page = match vdso.leftover(&memory) {
        Some(page) => page,
        None => map_pages(pid, &stopped, &vdso)?,
    };
    let rewritten = Rewritten { pid, memory, page, clock_gettime: vdso.start_of(vdso.functions.clock_gettime), syscall };
    rewritten.set(&Setting::default())?;
    for (function, entry) in vdso.rewritten() {
        let start = vdso.start_of(function);
        let jump = stub::jump(start, page + stub::CODE_AT + entry);
        let jump = jump.ok_or_else(|| ClockError::Refused(format!("the pages in process {pid} are too far from its vDSO")))?;
        stopped.poke(start, &jump)?;
    }
    Ok(rewritten)
}

/// Maps the two pages and fills the first: mark, saved bytes, code.
fn map_pages(pid: i32, stopped: &Stopped, vdso: &Vdso) -> Result<u64, ClockError> {
    let own = vdso.maps.iter().find(|map| map.start == vdso.start);
    let place = own.and_then(|own| maps::free_near(&vdso.maps, own, stub::BYTES));
    let page = place.ok_or_else(|| ClockError::Refused(format!("process {pid} has no two free pages near its vDSO")))?;
    let syscall = vdso.start + vdso.functions.syscall;
    let map = |at: u64, protection: i32, sharing: i32| {
        let flags = sharing | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
        let arguments = [at, stub::PAGE_BYTES, protection as u64, flags as u64, u64::MAX, 0];
        match stopped.call(syscall, libc::SYS_mmap, arguments)? {
            mapped if mapped as u64 == at => Ok(()),
            error @ -4095..0 => {
                let error = io::Error::from_raw_os_error(-error as i32);
                Err(ClockError::Refused(format!("process {pid} may not have another page: {error}")))
            }
            // A kernel before 4.17, which takes the place for a wish.
            elsewhere => {
                stopped.call(syscall, libc::SYS_munmap, [elsewhere as u64, stub::PAGE_BYTES, 0, 0, 0, 0])?;
                Err(ClockError::Refused(format!("process {pid} has no free page near its vDSO")))
            }
        }
    };
    map(page, libc::PROT_READ | libc::PROT_EXEC, libc::MAP_PRIVATE)?;
    if let Err(error) = map(page + stub::PAGE_BYTES, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED) {
        stopped.call(syscall, libc::SYS_munmap, [page, stub::PAGE_BYTES, 0, 0, 0, 0])?;
        return Err(error);
    }
    let mut content = vec![0; stub::CODE_AT as usize + stub::code().len()];
    content[..stub::MARK.len()].copy_from_slice(&stub::MARK);
    for (at, (function, _)) in (stub::SAVED_AT as usize..).step_by(16).zip(vdso.rewritten()) {
        content[at..at + 8].copy_from_slice(&vdso.start_of(function).to_le_bytes());
        content[at + 8..at + 8 + stub::JUMP_BYTES as usize].copy_from_slice(vdso.bytes_of(function));
    }
    content[stub::CODE_AT as usize..].copy_from_slice(stub::code());
    stopped.poke(page, &content)?;
    Ok(page)
}

/// Whether a thread stands within bytes that a jump replaces, or may return there from a signal handler: any word on its stack may
/// be such a return.
fn is_in_the_way(stopped: &Stopped, vdso: &Vdso, memory: &File) -> Result<bool, ClockError> {
    let mut stack = vec![0; STACK_BYTES];
    for &tid in stopped.threads() {
        let registers = stopped.registers(tid)?;
        // What is below the end of the mapping is not a whole stack's worth: as much as there is.
        let top = registers.rsp & !7;
        let read = memory.read_at(&mut stack, top).unwrap_or(0);
        let words = stack[..read].chunks_exact(8).map(|word| u64::from_le_bytes(std::array::from_fn(|i| word[i])));
        if vdso.is_replaced(registers.rip) || words.into_iter().any(|word| vdso.is_replaced(word)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Refuses processes in which calls cannot be made without harm.
fn may_make_calls(pid: i32) -> Result<(), ClockError> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| access(pid, &error))?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map_or("", str::trim);
    let unfit = |why: &str| Err(ClockError::Unfit(format!("the clock of process {pid} cannot be changed: {why}")));
    if field("Seccomp:") == "1" {
        return unfit("it may only read, write and exit (strict seccomp)");
    }
    if field("x86_Thread_features:").contains("shstk") {
        return unfit("it has a shadow stack, which calls made by us would not fit");
    }
    Ok(())
}
