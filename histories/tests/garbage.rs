//! Half a gigabyte of garbage is refused, or passed over, and costs little memory.
//!
//! Every input is read by a process of its own, whose peak of memory the kernel tells.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panicking; the process that reads tells what it took")]
#![cfg(target_os = "linux")]

use rashomon_histories::{Format, read};
use std::io::Read;
use std::process::Command;

/// Names the format and the garbage that this process is to read.
const TASK: &str = "RASHOMON_TEST_GARBAGE";
const LENGTH: u64 = 1 << 29;
/// The longest event is 32 MiB; its text, and its values as they are met, are several times that.
const PEAK_MAX: u64 = 320 << 20;

/// Garbage: something that is read, and what follows it over and over.
const GARBAGE: &[(&str, &str, &str)] = &[
    ("zeros", "", "\0"),
    ("one endless line", "", "x"),
    ("blanks", "", " "),
    ("lines of prose", "", "And all that is gold does not glitter.\n"),
    ("brackets", "", "["),
    ("an endless comment", "{:type :ok}\n;", "{:type :ok} "),
    ("an endless string, EDN", "{:type :ok}\n{:type :ok :value \"", "abc \\n"),
    ("an endless vector, EDN", "{:type :ok}\n{:type :ok :value [", "1 "),
    ("an endless vector of vectors, EDN", "{:type :ok :value [", "[[1]]\n"),
    ("endless fields, EDN", "{:type :ok", " :xx 1"),
    ("discards without end", "{:type :ok}", "#_"),
    ("an endless string, JSON", "{\"type\":\"ok\"}\n{\"type\":\"ok\",\"value\":\"", "\\u00e9"),
    ("an endless array, JSON", "{\"type\":\"ok\",\"value\":[0", ",1"),
    ("an endless number, JSON", "{\"type\":\"ok\",\"value\":1", "1"),
    ("an endless header", "{\"rashomon\":1,\"a\":[0", ",1"),
    ("an endless op", "0 :ok :f ", "[1 2] "),
    ("an endless log line", "INFO  jepsen.util - 4\t:invoke\t:write\t0\n", "INFO  jepsen.util - 4\t:invoke\t:write\t0 "),
    ("an endless operation", "[{\"call\":1,\"input\":[0", ",1"),
    ("an endless read", "r 1 1\nr ", "1"),
    ("an endless transaction's name", "r(1,1,1,1)\nr(1,1,1,", "1"),
];

/// The first text once, then the other one without end, until so many bytes were read.
struct Repeated {
    first: &'static [u8],
    /// The other text, many times over.
    again: Vec<u8>,
    /// In both.
    place: usize,
    left: u64,
}

impl Repeated {
    fn new(first: &'static str, again: &'static str) -> Repeated {
        Repeated { first: first.as_bytes(), again: again.as_bytes().repeat((1 << 16) / again.len()), place: 0, left: LENGTH }
    }
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let next = match self.place.checked_sub(self.first.len()) {
            None => &self.first[self.place..],
            Some(place) => &self.again[place % self.again.len()..],
        };
        let length = buffer.len().min(next.len()).min(usize::try_from(self.left).unwrap());
        buffer[..length].copy_from_slice(&next[..length]);
        self.place += length;
        self.left -= length as u64;
        Ok(length)
    }
}

/// Not a test by itself: what the processes do.
#[test]
fn read_what_was_told() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (format, which) = task.split_once(' ').unwrap();
    let (_, first, again) = GARBAGE[which.parse::<usize>().unwrap()];
    let outcome = match read(Repeated::new(first, again), Some(format.parse().unwrap())) {
        Ok(history) => format!("{} events", history.len()),
        Err(error) => error.to_string().replace('\n', " "),
    };
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("PEAK {} {outcome}", peak.trim().trim_end_matches(" kB"));
}

#[test]
fn garbage_costs_little_memory() {
    let mut worst = (0, String::new());
    for format in Format::ALL {
        for (which, (name, ..)) in GARBAGE.iter().enumerate() {
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "garbage::read_what_was_told", "--nocapture"])
                .env(TASK, format!("{format} {which}"))
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            let told = told.lines().find_map(|line| line.split_once("PEAK ")).map(|(_, told)| told.to_owned());
            let told = told.unwrap_or_else(|| panic!("{format}, {name}: {}", String::from_utf8_lossy(&output.stderr)));
            let (peak, outcome) = told.split_once(' ').unwrap();
            let peak = peak.parse::<u64>().unwrap() << 10;
            worst = worst.max((peak, format!("{format}, {name}: {outcome}")));
            assert!(peak <= PEAK_MAX, "{format}, {name}: {} MiB: {outcome}", peak >> 20);
            assert!(outcome == "0 events" || outcome.contains(": "), "{format}, {name}: {outcome}");
        }
    }
    println!("at most {} MiB: {}", worst.0 >> 20, worst.1);
}
