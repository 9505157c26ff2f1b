//! How fast histories are read and converted, against a scan of the same bytes in the same run, and what memory that takes.
//!
//! `cargo bench -p rashomon-histories` measures with criterion and prints a table of the best runs at the end.
//! `RASHOMON_BENCH_LARGE=1` adds histories of ten times the size; a word after `--` selects rows by their names.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark is a program that prints, and fails by panicking")]

use criterion::{Criterion, Throughput};
use rashomon_histories::{Format, History, read_bytes, read_path, write};
use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Names a file to be read once, by a process of its own whose peak of memory is asked for.
const PEAK_OF: &str = "RASHOMON_BENCH_PEAK_OF";
const CLIENTS: u64 = 10;
const THREADS: [usize; 2] = [1, 2];

/// Chance, from a seed: the inputs are the same every time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (word ^ (word >> 31)) % bound
    }
}

/// Events of ten clients, each with an op in flight nearly always. `op` makes the function and the values of an op: what it is
/// called with, what it returns.
fn events(ops: usize, with_times: bool, mut op: impl FnMut(&mut Chance) -> (&'static str, String, String)) -> String {
    let mut chance = Chance(7);
    let mut text = String::new();
    let mut idle: VecDeque<u64> = (0..CLIENTS).collect();
    let mut open: Vec<(u64, &str, String)> = Vec::new();
    let (mut index, mut time, mut invoked) = (0, 0, 0);
    while invoked < ops || !open.is_empty() {
        let invokes = invoked < ops && !idle.is_empty() && (open.is_empty() || idle.len() > 1);
        let (kind, process, f, value) = if invokes {
            let process = idle.pop_front().unwrap();
            let (f, input, output) = op(&mut chance);
            open.push((process, f, output));
            invoked += 1;
            ("invoke", process, f, input)
        } else {
            let (process, f, output) = open.swap_remove(chance.below(open.len() as u64) as usize);
            idle.push_back(process);
            ("ok", process, f, output)
        };
        write!(text, "{{:type :{kind}, :f :{f}, :process {process}, :value {value}").unwrap();
        if with_times {
            time += chance.below(100_000);
            write!(text, ", :time {time}, :index {index}").unwrap();
        }
        text.push_str("}\n");
        index += 1;
    }
    text
}

/// Reads and writes of one register.
fn register(ops: usize, with_times: bool) -> String {
    let mut value = 0;
    events(ops, with_times, move |chance| {
        if chance.below(2) == 0 {
            return ("read", "nil".into(), value.to_string());
        }
        value = chance.below(1_000);
        ("write", value.to_string(), value.to_string())
    })
}

/// Transactions of one to four appends and reads over a few keys at a time; a key is given up after 16 appends.
fn list_append(transactions: usize) -> String {
    const KEYS: u64 = 8;
    const LENGTH_MAX: usize = 16;
    let mut lists: VecDeque<(u64, Vec<usize>)> = (0..KEYS).map(|key| (key, Vec::new())).collect();
    let mut next_key = KEYS;
    events(transactions, true, move |chance| {
        let (mut input, mut output) = (String::from("["), String::from("["));
        for i in 0..=chance.below(4) {
            let blank = if i == 0 { "" } else { " " };
            let (key, list) = &mut lists[chance.below(KEYS) as usize];
            if chance.below(2) == 0 {
                list.push(list.len() + 1);
                write!(input, "{blank}[:append {key} {}]", list.len()).unwrap();
                write!(output, "{blank}[:append {key} {}]", list.len()).unwrap();
            } else {
                let elements: Vec<String> = list.iter().map(usize::to_string).collect();
                write!(input, "{blank}[:r {key} nil]").unwrap();
                write!(output, "{blank}[:r {key} [{}]]", elements.join(" ")).unwrap();
            }
            if lists[0].1.len() >= LENGTH_MAX {
                lists.pop_front();
                lists.push_back((next_key, Vec::new()));
                next_key += 1;
            }
        }
        ("txn", input + "]", output + "]")
    })
}

fn as_json_lines(text: &str) -> Vec<u8> {
    let mut lines = Vec::new();
    write(&mut lines, &read_bytes(text.as_bytes(), Some(Format::Edn)).unwrap(), Format::Jsonl).unwrap();
    lines
}

/// One row of the table.
struct Row {
    name: &'static str,
    input: Vec<u8>,
    does: fn(&[u8]) -> usize,
    /// Megabytes a second of a byte scan, and of each number of threads.
    scan: f64,
    speeds: [f64; 2],
    /// Megabytes per second of the processors' time, with one thread.
    per_cpu_second: f64,
}

impl Row {
    fn new(name: &'static str, input: impl Into<Vec<u8>>, does: fn(&[u8]) -> usize) -> Row {
        Row { name, input: input.into(), does, scan: 0.0, speeds: [0.0; 2], per_cpu_second: 0.0 }
    }
}

fn read(input: &[u8]) -> usize {
    read_bytes(input, None).unwrap().len()
}

fn convert(input: &[u8]) -> usize {
    let history = read_bytes(input, None).unwrap();
    write(std::io::sink(), &history, Format::Jsonl).unwrap();
    history.len()
}

fn rows() -> Vec<Row> {
    const OPS: usize = 1_000_000;
    let short = register(OPS, false);
    let mut rows = vec![
        Row::new("register, JSON lines", as_json_lines(&short), read),
        Row::new("register, EDN to JSON lines", short.clone(), convert),
        Row::new("register, EDN", short, read),
        Row::new("register with times, EDN", register(OPS, true), read),
        Row::new("list-append with times, EDN", list_append(OPS / 2), read),
    ];
    if std::env::var_os("RASHOMON_BENCH_LARGE").is_some() {
        rows.push(Row::new("register, EDN, ten times as large", register(10 * OPS, false), read));
    }
    rows
}

/// Nanoseconds that the threads of this process have run.
fn cpu_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of = |task: PathBuf| std::fs::read_to_string(task.join("schedstat")).ok()?.split(' ').next()?.parse::<u64>().ok();
    tasks.filter_map(|task| of(task.path())).sum()
}

/// Measures with criterion, and gives the megabytes a second of the best run, and per second of the processors' time.
fn best(criterion: &mut Criterion, name: &str, bytes: usize, mut run: impl FnMut() -> usize) -> (f64, f64) {
    let (fastest, cheapest) = (Cell::new(Duration::MAX), Cell::new(u64::MAX));
    let mut group = criterion.benchmark_group("reading");
    group.sample_size(10).warm_up_time(Duration::from_millis(100)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function(name, |bencher| {
        bencher.iter_custom(|times| {
            let mut total = Duration::ZERO;
            for _ in 0..times {
                let (start, cpu) = (Instant::now(), cpu_ns());
                std::hint::black_box(run());
                let took = start.elapsed();
                cheapest.set(cheapest.get().min(cpu_ns() - cpu));
                fastest.set(fastest.get().min(took));
                total += took;
            }
            total
        });
    });
    group.finish();
    let megabytes = bytes as f64 / 1e6;
    (megabytes / fastest.get().as_secs_f64(), megabytes / (cheapest.get() as f64 / 1e9))
}

fn measure(row: &mut Row, criterion: &mut Criterion) {
    let (name, input, does) = (row.name, &row.input, row.does);
    row.scan = best(criterion, &format!("{name}: byte scan"), input.len(), || memchr::memchr_iter(b'\n', input).count()).0;
    for (place, threads) in THREADS.into_iter().enumerate() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let (speed, per_cpu_second) = best(criterion, &format!("{name}: {threads} threads"), input.len(), || pool.install(|| does(input)));
        row.speeds[place] = speed;
        if threads == 1 {
            row.per_cpu_second = per_cpu_second;
        }
    }
}

/// Peak of memory of a process that reads a file and holds its history, and the number of its events.
fn peak(row: &Row) -> (usize, usize) {
    let path = std::env::temp_dir().join(format!("rashomon-reading-{}.history", std::process::id()));
    std::fs::write(&path, &row.input).unwrap();
    let output = Command::new(std::env::current_exe().unwrap()).env(PEAK_OF, &path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let mut numbers = told.split_whitespace().map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn tell_peak(path: &Path) {
    let history: History = read_path(path, None).unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: usize = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{} {}", kilobytes * 1024, history.len());
}

fn main() {
    if let Some(path) = std::env::var_os(PEAK_OF) {
        return tell_peak(Path::new(&path));
    }
    let selected = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let mut criterion = Criterion::default();
    let mut table = vec![String::from(
        "| history | MB | byte scan, MB/s | 1 thread, MB/s | 2 threads, MB/s | per CPU-second, MB | peak / file | peak, bytes per event |\n\
         |---|---|---|---|---|---|---|---|",
    )];
    for mut row in rows().into_iter().filter(|row| selected.as_ref().is_none_or(|word| row.name.contains(word))) {
        measure(&mut row, &mut criterion);
        let (peak, events) = peak(&row);
        let (megabytes, [one, two]) = (row.input.len() as f64 / 1e6, row.speeds);
        table.push(format!(
            "| {} | {megabytes:.0} | {:.0} | {one:.0} | {two:.0} | {:.0} | {:.2} | {} |",
            row.name,
            row.scan,
            row.per_cpu_second,
            peak as f64 / row.input.len() as f64,
            peak / events
        ));
    }
    println!("\n{}", table.join("\n"));
}
