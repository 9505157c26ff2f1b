//! What this process uses of the machine's memory, and what there is.

use std::fs::read_to_string;
use std::path::Path;

/// Below this a limit that nobody asked for would only be in the way.
const LIMIT_BYTES_MIN: u64 = 64 << 20;

/// The largest resident memory of this process so far, in bytes, if the system says.
pub fn peak_rss_bytes() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// What a check may hold when nobody says: three quarters of what is available now, on this machine and to this process (in a container
/// that may be much less). `None` if the system does not say.
pub fn default_limit_bytes() -> Option<u64> {
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let to_us = left_by_groups(Path::new("/sys/fs/cgroup"), &groups);
    let in_all = field("/proc/meminfo", "MemAvailable:");
    in_all.into_iter().chain(to_us).min().map(|bytes| (bytes / 4 * 3).max(LIMIT_BYTES_MIN))
}

/// A field in KiB of one of the kernel's status files, in bytes.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What control groups leave to a process, in bytes: the least of its own groups and all above them. `groups` is what the kernel says
/// in `/proc/PID/cgroup`; a path in it that is not there is that of the container's host, of which the root is ours.
fn left_by_groups(root: &Path, groups: &str) -> Option<u64> {
    let mut least: Option<u64> = None;
    for line in groups.lines() {
        // `0::/path` of version 2, `9:memory:/path` of version 1.
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, files) = match controllers {
            "" => (root.to_path_buf(), ["memory.max", "memory.current"]),
            "memory" => (root.join("memory"), ["memory.limit_in_bytes", "memory.usage_in_bytes"]),
            _ => continue,
        };
        let own = root.join(path.trim_start_matches('/'));
        let own = if own.is_dir() { own } else { root.clone() };
        for group in own.ancestors().take_while(|group| group.starts_with(&root)) {
            least = least.into_iter().chain(left_in(group, files)).min();
        }
    }
    least
}

/// What one group leaves: its limit without what is in use and cannot be dropped. `None` without a limit.
fn left_in(group: &Path, [limit, usage]: [&str; 2]) -> Option<u64> {
    let number = |file: &str| read_to_string(group.join(file)).ok()?.trim().parse::<u64>().ok();
    let statistics = read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cached = statistics.lines().find_map(|line| line.strip_prefix("inactive_file ")?.parse::<u64>().ok()).unwrap_or(0);
    Some(number(limit)?.saturating_sub(number(usage)?.saturating_sub(cached)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_says() {
        assert!(peak_rss_bytes().unwrap() > 100_000);
        assert!(default_limit_bytes().unwrap() > 1_000_000);
    }

    #[test]
    fn the_narrowest_group_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let left = |groups: &str| left_by_groups(folder.path(), groups);
        assert_eq!(left("0::/\n"), None);
        write("a/memory.max", "1000\n");
        write("a/memory.current", "900\n");
        write("a/memory.stat", "anon 300\ninactive_file 500\n");
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "800\n");
        assert_eq!(left("0::/a/b\n"), Some(600));
        assert_eq!(left("0::/elsewhere\n"), None);
        write("memory/memory.limit_in_bytes", "700\n");
        write("memory/memory.usage_in_bytes", "200\n");
        assert_eq!(left("5:cpu,cpuacct:/x\n3:memory:/docker/1234\n"), Some(500));
        assert_eq!(left("3:memory:/\n0::/a\n"), Some(500));
        write("a/memory.current", "1600\n");
        assert_eq!(left("0::/a\n"), Some(0));
        assert_eq!(left("no such thing"), None);
    }
}
