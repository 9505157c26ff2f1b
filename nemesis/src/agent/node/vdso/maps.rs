//! The memory of another process: what is where, and what it holds.

use super::ClockError;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

/// What is mapped somewhere, as `/proc/PID/maps` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) permissions: String,
    pub(super) name: String,
}

/// The end of the addresses of programs, with a page to spare.
const ADDRESS_END: u64 = 0x7fff_ffff_e000;

/// How far a jump of five bytes reaches, with a little to spare.
const REACH: u64 = (2 << 30) - (64 << 10);

/// What is left free below a stack and above a heap: they grow.
const ROOM_TO_GROW: u64 = 64 << 20;

/// Everything that is mapped in a process, by address.
pub(super) fn of(pid: i32) -> Result<Vec<Mapping>, ClockError> {
    let text = fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| access(pid, &error))?;
    Ok(parse(&text))
}

fn parse(text: &str) -> Vec<Mapping> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let permissions = fields.next()?.to_owned();
        let name = fields.skip(3).collect::<Vec<_>>().join(" ");
        Some(Mapping { start: u64::from_str_radix(start, 16).ok()?, end: u64::from_str_radix(end, 16).ok()?, permissions, name })
    };
    text.lines().filter_map(line).collect()
}

/// A free place for `length` bytes that jumps reach from everywhere in `from`, and that is in the way of nothing that grows.
pub(super) fn free_near(maps: &[Mapping], from: &Mapping, length: u64) -> Option<u64> {
    let reached = |at: &u64| at.saturating_add(length).saturating_sub(from.start) <= REACH && from.end.saturating_sub(*at) <= REACH;
    let ends = maps.iter().map(|map| (map.end, map.name.as_str()));
    let starts = maps.iter().skip(1).map(|map| (map.start, map.name.as_str())).chain([(ADDRESS_END, "")]);
    let gaps = ends.zip(starts).filter(|((low, below), (high, above))| {
        let grows = above.starts_with("[stack") || *below == "[heap]";
        high.saturating_sub(*low) >= if grows { ROOM_TO_GROW } else { length }
    });
    // Above, as far from a stack as may be; then below, where the kernel itself would put the next mapping.
    let (below, above): (Vec<_>, Vec<_>) = gaps.partition(|((low, _), _)| *low < from.end);
    let above = above.into_iter().map(|((low, _), _)| low);
    let below = below.into_iter().rev().filter(|(_, (_, above))| !above.starts_with("[stack")).map(|(_, (high, _))| high - length);
    above.chain(below).find(reached)
}

/// The memory of a process, open to be read and written wherever it may be written by itself.
pub(super) fn open(pid: i32) -> Result<File, ClockError> {
    File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).map_err(|error| access(pid, &error))
}

/// What an error while opening something of a process means.
pub(super) fn access(pid: i32, error: &io::Error) -> ClockError {
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound, _) | (_, Some(libc::ESRCH)) => ClockError::Gone(pid),
        (io::ErrorKind::PermissionDenied, _) => crate::agent::node::vdso::denied(pid),
        _ => ClockError::Refused(format!("cannot look at process {pid}: {error}")),
    }
}

/// Reads `N` bytes of a process.
pub(super) fn read<const N: usize>(pid: i32, address: u64) -> Result<[u8; N], ClockError> {
    let mut bytes = [0; N];
    let read = open(pid)?.read_exact_at(&mut bytes, address);
    read.map(|()| bytes).map_err(|error| lost(pid, &error))
}

/// What an error while reading or writing memory means: an empty read is the end of the process.
pub(super) fn lost(pid: i32, error: &io::Error) -> ClockError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::WriteZero => ClockError::Gone(pid),
        _ => ClockError::Refused(format!("cannot reach the memory of process {pid}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_VDSO_ABOVE_THE_STACK: &str = "\
00400000-00401000 r-xp 00000000 fe:00 247030                     /usr/bin/a b
01000000-01021000 rw-p 00000000 00:00 0                          [heap]
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                  [stack]
7ffc00030000-7ffc00034000 r--p 00000000 00:00 0                  [vvar]
7ffc00034000-7ffc00036000 r-xp 00000000 00:00 0                  [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0          [vsyscall]
";
    const WITH_VDSO_AMONG_LIBRARIES: &str = "\
7f0000000000-7f0000100000 r-xp 00000000 fe:00 1                  /lib/libc.so.6
7f0000200000-7f0000202000 r-xp 00000000 00:00 0                  [vdso]
7f0000202000-7f0000203000 r--p 00000000 fe:00 1                  /lib/ld.so
7ffdfc968000-7ffdfc989000 rw-p 00000000 00:00 0                  [stack]
";

    fn place(text: &str, length: u64) -> Option<u64> {
        let maps = parse(text);
        let vdso = maps.iter().find(|map| map.name == "[vdso]").unwrap();
        free_near(&maps, vdso, length)
    }

    #[test]
    fn lines_are_read_with_their_names() {
        let maps = parse(WITH_VDSO_ABOVE_THE_STACK);
        assert_eq!((maps.len(), maps[0].name.as_str(), maps[0].end), (6, "/usr/bin/a b", 0x40_1000));
        assert_eq!(maps[4].permissions, "r-xp");
        assert_eq!(parse("nonsense\n\n12-zz r\n"), []);
    }

    #[test]
    fn the_place_is_free_near_and_not_below_a_stack() {
        assert_eq!(place(WITH_VDSO_ABOVE_THE_STACK, 0x2000), Some(0x7ffc_0003_6000));
        assert_eq!(place(WITH_VDSO_AMONG_LIBRARIES, 0x2000), Some(0x7f00_0020_3000));
        // Nothing above: below, at the upper end of the gap.
        let full = "\
7fff80000000-7fff90000000 rw-p 00000000 00:00 0
7fffa0000000-7fffa0002000 r-xp 00000000 00:00 0                  [vdso]
7fffa0002000-7ffffffff000 rw-p 00000000 00:00 0                  big
";
        assert_eq!(place(full, 0x2000), Some(0x7fff_9fff_e000));
        let none = "7fff00000000-7fffa0000000 rw-p 00000000 00:00 0\n7fffa0000000-7fffa0002000 r-xp 00000000 00:00 0 [vdso]
7fffa0002000-7ffffffff000 rw-p 00000000 00:00 0\n";
        assert_eq!(place(none, 0x2000), None);
    }
}
