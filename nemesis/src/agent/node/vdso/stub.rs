//! The code that takes the place of the vDSO's functions in a process, and the data beside it.
//!
//! Two pages, one behind the other. The first is private and executable: a mark, the bytes that the jumps replaced, the code. The
//! second is shared with children that the process forks, and writable: which of its slots holds the setting now, the slots, and
//! room for the stack of a call that we have the process make.
//!
//! A setting is written into the next slot, then the index of that slot: code that runs meanwhile uses the old setting or the new
//! one. It reads the index again after the slot, in case the slot was written while it read; the writer never makes it wait.

use super::Setting;

/// What a page is.
pub(super) const PAGE_BYTES: u64 = 4096;

/// How long the jump is that is written over the beginning of a function: `jmp rel32`.
pub(super) const JUMP_BYTES: u64 = 5;

/// Both pages.
pub(super) const BYTES: u64 = 2 * PAGE_BYTES;

/// The first bytes of the first page. The digit is that of this layout.
pub(super) const MARK: [u8; 8] = *b"rashclk1";

/// Where the saved bytes begin, 16 bytes for each function: its address, then what stood there. An address of 0 is the end.
pub(super) const SAVED_AT: u64 = 16;

/// The most functions.
pub(super) const SAVED_MAX: usize = 3;

/// Where the code begins. The assembly below counts on it.
pub(super) const CODE_AT: u64 = 256;

/// In the data: the index of the slot in use, a byte, which counts on and on.
pub(super) const INDEX_AT: u64 = 0;
const SLOTS_AT: u64 = 64;
const SLOT_BYTES: u64 = 32;
const SLOTS: u8 = 32;

/// In the data: where the answer of `clock_gettime` goes that we ask for, and the stack of that call, which grows down from there.
pub(super) const ANSWER_AT: u64 = PAGE_BYTES - 32;
pub(super) const STACK_AT: u64 = PAGE_BYTES - 64;

// Only registers that a called function may change are changed: rax, rcx, rdx, rsi, rdi, r8 to r11. The kernel changes rax, rcx
// and r11 and keeps all others.
#[allow(unsafe_code, reason = "code for another process has to be assembled; here it is only data")]
mod code {
    core::arch::global_asm!(
        ".pushsection .rodata.rashomon_clock, \"a\", @progbits",
        ".globl rashomon_clock_code, rashomon_clock_gettimeofday, rashomon_clock_time, rashomon_clock_end",
        ".hidden rashomon_clock_code, rashomon_clock_gettimeofday, rashomon_clock_time, rashomon_clock_end",
        ".balign 16",
        // int clock_gettime(clockid_t clock: edi, struct timespec *time: rsi)
        "rashomon_clock_code:",
        "mov eax, 228",
        "syscall",
        "test eax, eax",
        "jnz 2f",
        // Clocks 0, 5, 8 and 11: CLOCK_REALTIME, _COARSE, _ALARM, and CLOCK_TAI. Those of processes and files are negative.
        "cmp edi, 11",
        "ja 2f",
        "mov ecx, 0x921",
        "bt ecx, edi",
        "jnc 2f",
        "call 4f",
        "mov [rsi], rax",
        "mov [rsi + 8], rdx",
        "xor eax, eax",
        "2: ret",
        // int gettimeofday(struct timeval *time: rdi, struct timezone *zone: rsi); both may be null.
        ".balign 16",
        "rashomon_clock_gettimeofday:",
        "push rdi",
        "test rsi, rsi",
        "jz 2f",
        "xor edi, edi",
        "mov eax, 96",
        "syscall",
        "test eax, eax",
        "jnz 3f",
        "2: xor eax, eax",
        "cmp qword ptr [rsp], 0",
        "jz 3f",
        "sub rsp, 16",
        "xor edi, edi",
        "mov rsi, rsp",
        "mov eax, 228",
        "syscall",
        "call 4f",
        "add rsp, 16",
        "pop rdi",
        "mov [rdi], rax",
        "mov eax, edx",
        "xor edx, edx",
        "mov ecx, 1000",
        "div ecx",
        "mov [rdi + 8], rax",
        "xor eax, eax",
        "ret",
        "3: pop rdi",
        "ret",
        // time_t time(time_t *time: rdi), which may be null. As the kernel's it tells the seconds of CLOCK_REALTIME_COARSE.
        ".balign 16",
        "rashomon_clock_time:",
        "push rdi",
        "sub rsp, 16",
        "mov edi, 5",
        "mov rsi, rsp",
        "mov eax, 228",
        "syscall",
        "call 4f",
        "add rsp, 16",
        "pop rdi",
        "test rdi, rdi",
        "jz 2f",
        "mov [rdi], rax",
        "2: ret",
        // The real time at rsi, as the setting wants it told: seconds in rax, nanoseconds in rdx. Keeps rsi.
        // With n the real time in nanoseconds: n + offset + ((n - from) * rate >> 32).
        ".balign 16",
        "4: imul rax, qword ptr [rsi], 1000000000",
        "add rax, [rsi + 8]",
        "lea r8, [rip + rashomon_clock_code + 4096 - 256]",
        "5: movzx ecx, byte ptr [r8]",
        "mov edx, ecx",
        "and edx, 31",
        "shl edx, 5",
        "mov r9, [r8 + rdx + 64]",
        "mov r10, [r8 + rdx + 72]",
        "mov rdi, [r8 + rdx + 80]",
        "cmp cl, byte ptr [r8]",
        "jne 5b",
        "mov r11, rax",
        "sub rax, r10",
        "imul rdi",
        "shrd rax, rdx, 32",
        "add rax, r11",
        "add rax, r9",
        // Whole seconds, rounded down also before 1970.
        "mov ecx, 1000000000",
        "cqo",
        "idiv rcx",
        "test rdx, rdx",
        "jns 6f",
        "add rdx, rcx",
        "dec rax",
        "6: ret",
        "rashomon_clock_end:",
        ".popsection",
    );

    unsafe extern "C" {
        static rashomon_clock_code: u8;
        static rashomon_clock_gettimeofday: u8;
        static rashomon_clock_time: u8;
        static rashomon_clock_end: u8;
    }

    /// The code, and where in it `gettimeofday` and `time` begin; `clock_gettime` is the first.
    pub(super) fn parts() -> (&'static [u8], [usize; 2]) {
        let (start, end) = (&raw const rashomon_clock_code, &raw const rashomon_clock_end);
        let offset = |label: *const u8| label as usize - start as usize;
        // SAFETY: the labels stand in this order in one read-only section.
        let code = unsafe { std::slice::from_raw_parts(start, offset(end)) };
        (code, [offset(&raw const rashomon_clock_gettimeofday), offset(&raw const rashomon_clock_time)])
    }
}

/// The code.
pub(super) fn code() -> &'static [u8] {
    code::parts().0
}

/// Where `clock_gettime`, `gettimeofday` and `time` begin in it.
pub(super) fn entries() -> [u64; SAVED_MAX] {
    let [gettimeofday, time] = code::parts().1;
    [0, gettimeofday as u64, time as u64]
}

/// The jump to `to` that stands at `at`. `None` if it is too far.
pub(super) fn jump(at: u64, to: u64) -> Option<[u8; JUMP_BYTES as usize]> {
    let distance = i32::try_from(to.wrapping_sub(at + JUMP_BYTES) as i64).ok()?;
    let [a, b, c, d] = distance.to_le_bytes();
    Some([0xe9, a, b, c, d])
}

/// Where a jump that stands at `at` goes. `None` if it is none.
pub(super) fn jumps_to(at: u64, bytes: &[u8]) -> Option<u64> {
    let (&0xe9, &[a, b, c, d]) = (bytes.first()?, bytes.get(1..5)?) else { return None };
    Some((at + JUMP_BYTES).wrapping_add(i64::from(i32::from_le_bytes([a, b, c, d])) as u64))
}

/// Where the slot of an index is in the data.
pub(super) fn slot_at(index: u8) -> u64 {
    SLOTS_AT + u64::from(index % SLOTS) * SLOT_BYTES
}

/// A setting as it stands in a slot.
pub(super) fn slot(setting: &Setting) -> [u8; 24] {
    let mut bytes = [0; 24];
    for (at, number) in [setting.offset_ns, setting.from_ns, setting.rate].into_iter().enumerate() {
        bytes[at * 8..at * 8 + 8].copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_read_back_and_too_far_ones_are_none() {
        for (at, to) in [(0x7f00_0000_1000, 0x7f00_7000_0100), (0x7f00_7000_0000, 0x7f00_0000_0000), (16, 21)] {
            let jump = jump(at, to).unwrap();
            assert_eq!(jumps_to(at, &jump), Some(to));
        }
        assert_eq!(jump(0x1000, 0x1_0000_0000), None);
        assert_eq!(jumps_to(0, b"\x55\x48\x89\xe5\x00"), None);
        assert_eq!(jumps_to(0, b"\xe9\x00"), None);
    }

    #[test]
    fn everything_has_its_place_on_the_pages() {
        assert!(SAVED_AT + 16 * (SAVED_MAX as u64 + 1) <= CODE_AT);
        assert!(CODE_AT + (code().len() as u64) < PAGE_BYTES);
        assert!(slot_at(SLOTS - 1) + SLOT_BYTES + 2048 < STACK_AT && STACK_AT.is_multiple_of(16));
        // The assembly counts on these numbers.
        assert_eq!((CODE_AT, SLOTS_AT, SLOT_BYTES, SLOTS, INDEX_AT), (256, 64, 32, 32, 0));
        assert_eq!(slot_at(255), slot_at(31));
    }
}
