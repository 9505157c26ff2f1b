//! What this process uses of the machine's memory, and what there is.

/// The largest resident memory of this process so far, in bytes, if the system says.
pub fn peak_rss_bytes() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// What a check may hold when nobody says: three quarters of what is available now. `None` if the system does not say.
pub fn default_limit_bytes() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:").map(|bytes| bytes / 4 * 3)
}

/// A field in KiB of one of the kernel's status files, in bytes.
fn field(path: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_says() {
        assert!(super::peak_rss_bytes().unwrap() > 100_000);
        assert!(super::default_limit_bytes().unwrap() > 1_000_000);
    }
}
