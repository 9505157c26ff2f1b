//! Where the kernel has put the core of a process: the memory that it had when it ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// File systems tell time less exactly than clocks do.
const GRANULARITY: Duration = Duration::from_secs(1);

/// The core that a process of this id has left that ran in `dir` and began at `since`, if it is in a file. core(5) says what the kernel's
/// patterns mean; what is handed to a program is that program's.
pub(super) fn find(pid: u32, dir: &Path, since: SystemTime) -> Option<PathBuf> {
    let told = |name: &str| fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    find_by(told("core_pattern").trim_end(), told("core_uses_pid").trim_end() == "1", pid, dir, since)
}

fn find_by(pattern: &str, uses_pid: bool, pid: u32, dir: &Path, since: SystemTime) -> Option<PathBuf> {
    if pattern.is_empty() || pattern.starts_with('|') {
        return None;
    }
    let pattern_at = dir.join(pattern);
    let (folder, name) = (pattern_at.parent()?, pattern_at.file_name()?.to_str()?);
    let plain = name.split('%').next().unwrap_or_default();
    let pid = (uses_pid || name.contains("%p") || name.contains("%P")).then(|| pid.to_string());
    let from = since.checked_sub(GRANULARITY)?;
    let entries = fs::read_dir(folder).ok()?.flatten();
    let found = entries.filter_map(|entry| {
        let file = entry.file_name();
        let file = file.to_str()?;
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        let is_it = (file == name || name.contains('%') || uses_pid) && file.starts_with(plain);
        let modified = metadata.modified().ok().filter(|at| *at >= from)?;
        (is_it && pid.as_ref().is_none_or(|pid| file.contains(pid.as_str()))).then(|| (modified, entry.path()))
    });
    found.max().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_found_by_the_patterns_of_the_kernel() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        for name in ["core", "core.17", "core.18", "x-17-dump", "corely"] {
            fs::write(dir.join(name), name).unwrap();
        }
        let elsewhere = format!("{}/x-%p-%e", dir.display());
        let now = SystemTime::now();
        for (pattern, uses_pid, expected) in [
            ("core", false, Some("core")),
            ("core", true, Some("core.17")),
            ("core.%p", false, Some("core.17")),
            (elsewhere.as_str(), false, Some("x-17-dump")),
            ("|/usr/lib/systemd/systemd-coredump %P", false, None),
            ("", false, None),
            ("nothing", false, None),
        ] {
            assert_eq!(find_by(pattern, uses_pid, 17, dir, now), expected.map(|name| dir.join(name)), "{pattern}");
        }
        let later = now + Duration::from_mins(1);
        assert_eq!(find_by("core", false, 17, dir, later), None, "it was there before");
    }
}
