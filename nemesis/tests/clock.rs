//! Clocks of single processes: C programs linked both ways, a JVM, under load, with children; and everybody else's clock untouched.

#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic, and says what it measured and what it skipped")]

use crate::size::times;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_nemesis::agent::node::vdso::{ClockError, Rewritten, Setting, restore};
use rashomon_nemesis::machine::now_ns;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

/// How far a reading may be off on a busy machine: a process may lose the processor between two readings.
const SLACK: i64 = 200_000_000;

/// Says that a test did not run, for what it needs is not here; fails if `RASHOMON_REQUIRE` asks for that part.
fn not_here(part: &str, what: &str) {
    let required = std::env::var("RASHOMON_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|one| one.trim() == part), "RASHOMON_REQUIRE asks for {part}, and there is no {what} here");
    println!("did not run: there is no {what} here");
}

/// Compiles a program of `tests/clock` once for all tests.
fn program(name: &'static str, source: &str, options: &[&str]) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    let binary = folder.path().join(format!("{name}-{:?}", thread::current().id()));
    let file = binary.with_extension("c");
    std::fs::write(&file, source).unwrap();
    let mut command = Command::new("cc");
    command.args(["-O1", "-pthread", "-o"]).arg(&binary).arg(&file).args(options);
    assert!(command.status().expect("the C compiler that the build needs").success(), "{name} does not compile");
    binary
}

fn ask(options: &[&str]) -> PathBuf {
    program("ask", include_str!("clock/ask.c"), options)
}

/// A program that answers lines with lines; it ends with the test.
struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Talk {
    fn start(binary: &Path, arguments: &[String]) -> Talk {
        let mut child = Command::new(binary).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Talk { child, input, output }
    }

    fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, question: &str) -> Vec<i64> {
        writeln!(self.input.as_mut().unwrap(), "{question}").unwrap();
        let line = self.line();
        line.split(' ').map(|number| number.parse().unwrap_or_else(|_| panic!("{question}: {line:?}"))).collect()
    }

    /// Checks what the process says of its own clocks.
    #[track_caller]
    fn is_ahead_by(&mut self, question: &str, offset: i64) {
        let answer = self.ask(question);
        let [realtime, coarse, tai, monotonic, timeval, seconds] = answer[answer.len() - 6..] else { panic!("{answer:?}") };
        for told in [realtime, coarse, tai, timeval] {
            assert!((told - offset).abs() < SLACK, "{question}: {answer:?}, not {offset}");
        }
        assert!((-SECOND - SLACK..SLACK).contains(&(seconds - offset)), "time: {answer:?}");
        assert!(monotonic.abs() < SLACK, "monotonic: {answer:?}");
    }
}

#[track_caller]
fn reads(rewritten: &Rewritten, offset: i64) {
    let reading = rewritten.read().unwrap();
    assert!((reading.offset_ns - offset).abs() <= reading.error_ns, "{reading:?}, not {offset}");
}

/// The bytes of a process's vDSO.
fn vdso(pid: i32) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let line = maps.lines().find(|line| line.ends_with("[vdso]")).unwrap();
    let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
    let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
    let mut image = vec![0; (end - start) as usize];
    std::fs::File::open(format!("/proc/{pid}/mem")).unwrap().read_exact_at(&mut image, start).unwrap();
    image
}

fn every_setting_is_seen_and_undone(binary: &Path) {
    let mut talk = Talk::start(binary, &[]);
    let other = Talk::start(binary, &[]);
    talk.is_ahead_by("o", 0);
    let before = vdso(talk.pid());
    for round in 0..3 {
        let rewritten = Rewritten::install(talk.pid()).unwrap();
        reads(&rewritten, 0);
        for offset in [HOUR, -HOUR, 11_390_625, -1, 999_999_999, -50 * 365 * 24 * HOUR, 0] {
            rewritten.set(&Setting::ahead(offset)).unwrap();
            reads(&rewritten, offset);
            talk.is_ahead_by("o", offset);
        }
        // Another handle finds it and goes on from there.
        rewritten.set(&Setting::ahead(HOUR)).unwrap();
        assert!(vdso(talk.pid()) != before);
        let again = Rewritten::install(talk.pid()).unwrap();
        reads(&again, HOUR);
        assert_eq!(restore(talk.pid()), Ok(true), "round {round}");
        assert_eq!(restore(talk.pid()), Ok(false));
        assert!(vdso(talk.pid()) == before, "its vDSO is not as it was");
        talk.is_ahead_by("o", 0);
    }
    assert!(vdso(other.pid()) == before, "another process was touched");
}

#[test]
fn a_dynamic_program_is_told_another_time_and_then_the_right_one() {
    every_setting_is_seen_and_undone(&ask(&[]));
}

#[test]
fn a_static_program_is_told_another_time_and_then_the_right_one() {
    every_setting_is_seen_and_undone(&ask(&["-static"]));
}

#[test]
fn a_position_dependent_program_is_told_another_time_and_then_the_right_one() {
    every_setting_is_seen_and_undone(&ask(&["-static", "-no-pie"]));
}

#[test]
fn a_clock_drifts_as_it_was_told() {
    let mut talk = Talk::start(&ask(&[]), &[]);
    let rewritten = Rewritten::install(talk.pid()).unwrap();
    for per_billion in [100_000_000, -100_000_000, 500_000, 999_000_000] {
        let setting = Setting::drifting(now_ns() - 1000 * SECOND, per_billion);
        rewritten.set(&setting).unwrap();
        for _ in 0..3 {
            let reading = rewritten.read().unwrap();
            let wanted = setting.offset_at(reading.at_ns);
            // The rate of the clock widens the error of the reading.
            assert!((reading.offset_ns - wanted).abs() <= 2 * reading.error_ns + 2, "{per_billion}: {reading:?}, not {wanted}");
            thread::sleep(Duration::from_millis(20));
        }
        let sure = setting.offset_at(now_ns());
        let told = talk.ask("o")[0];
        assert!((told - sure).abs() < SLACK, "{told} {sure}");
    }
    rewritten.restore().unwrap();
    talk.is_ahead_by("o", 0);
}

#[test]
fn a_forked_child_follows_and_each_is_restored_by_itself() {
    let mut talk = Talk::start(&ask(&[]), &[]);
    let rewritten = Rewritten::install(talk.pid()).unwrap();
    rewritten.set(&Setting::ahead(HOUR)).unwrap();
    let child = talk.ask("f")[0] as i32;
    talk.is_ahead_by("c", HOUR);
    // The page is shared: what is set for one holds for both.
    rewritten.set(&Setting::ahead(-HOUR)).unwrap();
    talk.is_ahead_by("c", -HOUR);
    let other = Rewritten::find(child).unwrap().expect("the child's vDSO is rewritten too");
    reads(&other, -HOUR);
    other.set(&Setting::ahead(SECOND)).unwrap();
    talk.is_ahead_by("o", SECOND);
    rewritten.restore().unwrap();
    talk.is_ahead_by("o", 0);
    talk.is_ahead_by("c", 0);
    other.restore().unwrap();
    talk.is_ahead_by("c", 0);
    assert!(vdso(child) == vdso(talk.pid()));
    assert!(Rewritten::find(child).unwrap().is_none());
}

#[test]
fn threads_under_load_see_whole_settings_and_are_not_harmed() {
    let offsets = [0, 3_600_123_456_789, -3_599_876_543_211, 7];
    let binary = program("hammer", include_str!("clock/hammer.c"), &[]);
    let mut talk = Talk::start(&binary, &offsets.map(|offset| offset.to_string()));
    assert_eq!(talk.line(), "ready");
    let before = vdso(talk.pid());
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut installs, mut sets, mut longest) = (0, 0, Duration::ZERO);
    for _ in 0..times(100) {
        let start = Instant::now();
        let rewritten = Rewritten::install(talk.pid()).unwrap();
        longest = longest.max(start.elapsed());
        for _ in 0..rng.random_range(1..50) {
            let offset = offsets[rng.random_range(0..offsets.len())];
            rewritten.set(&Setting::ahead(offset)).unwrap();
            sets += 1;
            if rng.random_range(0..50) == 0 {
                reads(&rewritten, offset);
            }
        }
        if rng.random() {
            rewritten.restore().unwrap();
            installs += 1;
        }
    }
    restore(talk.pid()).unwrap();
    assert!(vdso(talk.pid()) == before);
    talk.input = None;
    let said = talk.line();
    println!("{installs} times rewritten and restored, {longest:?} at most, {sets} settings; {said}");
    assert!(said.starts_with("ok "), "{said}");
    let counts: Vec<u64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
    assert!(counts.iter().all(|&count| count > 0), "{said}");
    assert!(talk.child.wait().unwrap().success());
}

#[test]
fn a_stopped_process_stays_stopped() {
    let mut talk = Talk::start(&ask(&[]), &[]);
    talk.is_ahead_by("o", 0);
    let signal = |name: &str| assert!(Command::new("kill").args([name, &talk.pid().to_string()]).status().unwrap().success());
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", talk.pid())).unwrap().split(' ').nth(2).unwrap().to_owned();
    let until = |wanted: &str| {
        let deadline = Instant::now() + Duration::from_secs(5);
        while state() != wanted {
            assert!(Instant::now() < deadline, "{} and not {wanted}", state());
            thread::sleep(Duration::from_millis(1));
        }
    };
    signal("-STOP");
    until("T");
    let rewritten = Rewritten::install(talk.pid()).unwrap();
    until("T");
    rewritten.set(&Setting::ahead(HOUR)).unwrap();
    reads(&rewritten, HOUR);
    until("T");
    signal("-CONT");
    until("S");
    talk.is_ahead_by("o", HOUR);
    rewritten.restore().unwrap();
    talk.is_ahead_by("o", 0);
}

#[test]
fn a_java_program_is_told_another_time_and_then_the_right_one() {
    if Command::new("java").arg("-version").stderr(Stdio::null()).status().is_err() {
        not_here("clock", "java");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Clock.java");
    std::fs::write(&file, include_str!("clock/Clock.java")).unwrap();
    let mut talk = Talk::start(Path::new("java"), &[file.display().to_string()]);
    let mut monotonic = 0;
    let mut is_ahead_by = |talk: &mut Talk, offset: i64| {
        let answer = talk.ask(&now_ns().to_string());
        assert!(answer[..2].iter().all(|told| (told - offset).abs() < 3 * SECOND), "{answer:?}, not {offset}");
        assert!(answer[2] > monotonic && answer[2] < monotonic + HOUR / 6 || monotonic == 0, "{answer:?} after {monotonic}");
        monotonic = answer[2];
    };
    // The first answer comes when the machine is up.
    talk.ask("0");
    is_ahead_by(&mut talk, 0);
    let rewritten = Rewritten::install(talk.pid()).unwrap();
    for offset in [HOUR, -HOUR, 0, HOUR] {
        rewritten.set(&Setting::ahead(offset)).unwrap();
        reads(&rewritten, offset);
        is_ahead_by(&mut talk, offset);
    }
    rewritten.restore().unwrap();
    is_ahead_by(&mut talk, 0);
}

/// A free port of this machine, for now.
fn port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An HTTP request to this machine: the head and the body of the answer.
fn http(port: u16, head: &str, body: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "{head} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.to_owned(), body.to_owned()))
}

/// The seconds since 1970 of a date like `Fri, 20 Nov 2026 15:47:02 GMT`, by counting days.
fn seconds_of(date: &str) -> i64 {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let words: Vec<&str> = date.split([' ', ':']).collect();
    let number = |word: usize| words[word].parse::<i64>().unwrap();
    let (day, year) = (number(1), number(3));
    let month = MONTHS.iter().position(|month| *month == words[2]).unwrap();
    let years: i64 = (1970..year).map(|year| 365 + i64::from(is_leap(year))).sum();
    let lengths = [31, 28 + i64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let days = years + lengths[..month].iter().sum::<i64>() + day - 1;
    ((days * 24 + number(4)) * 60 + number(5)) * 60 + number(6)
}

/// An etcd of one node.
struct Etcd {
    server: Talk,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Etcd {
    /// `None` if there is no etcd on this machine.
    fn start() -> Option<Etcd> {
        let folder = tempfile::tempdir().unwrap();
        let (port, peers) = (port(), port());
        let [client, peer] = [port, peers].map(|port| format!("http://127.0.0.1:{port}"));
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(folder.path().join("data"));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client, "--listen-peer-urls", &peer]);
        command.args(["--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("default={peer}")]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        let etcd = Etcd { server: Talk { child, input, output }, port, _folder: folder };
        let deadline = Instant::now() + Duration::from_mins(1);
        while !http(etcd.port, "GET /health", "").is_ok_and(|(_, body)| body.contains("true")) {
            assert!(Instant::now() < deadline, "etcd does not get healthy");
            thread::sleep(Duration::from_millis(50));
        }
        Some(etcd)
    }

    /// How far its clock is ahead, by the date of its answers, in nanoseconds.
    fn ahead(&self) -> i64 {
        let (head, _) = http(self.port, "GET /health", "").unwrap();
        let date = head.lines().find_map(|line| line.strip_prefix("Date: ")).unwrap_or_else(|| panic!("{head}"));
        seconds_of(date.trim()) * SECOND - now_ns()
    }

    #[track_caller]
    fn is_ahead_by(&self, offset: i64) {
        let ahead = self.ahead();
        assert!((ahead - offset).abs() < 2 * SECOND, "{ahead}, not {offset}");
    }

    /// It still takes writes and answers reads.
    #[track_caller]
    fn works(&self, value: &str) {
        let put = http(self.port, "POST /v3/kv/put", &format!(r#"{{"key": "YQ==", "value": "{value}"}}"#)).unwrap();
        assert!(put.0.contains(" 200 "), "{put:?}");
        let range = http(self.port, "POST /v3/kv/range", r#"{"key": "YQ=="}"#).unwrap();
        assert!(range.1.contains(&format!(r#""value":"{value}""#)), "{range:?}");
    }
}

#[test]
fn etcd_is_told_another_time_while_it_works_and_then_the_right_one() {
    let Some(mut etcd) = Etcd::start() else {
        not_here("etcd", "etcd");
        return;
    };
    etcd.is_ahead_by(0);
    let before = vdso(etcd.server.pid());
    for round in 0..20 {
        let rewritten = Rewritten::install(etcd.server.pid()).unwrap();
        for offset in [HOUR, -HOUR] {
            rewritten.set(&Setting::ahead(offset)).unwrap();
            reads(&rewritten, offset);
            etcd.is_ahead_by(offset);
            etcd.works(if round % 2 == 0 { "MQ==" } else { "Mg==" });
        }
        rewritten.restore().unwrap();
        etcd.is_ahead_by(0);
    }
    // Strobing as fast as it goes.
    let rewritten = Rewritten::install(etcd.server.pid()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(2);
    let mut strobes = 0;
    while Instant::now() < deadline {
        for _ in 0..500 {
            strobes += 1;
            rewritten.set(&Setting::ahead(if strobes % 2 == 0 { HOUR } else { 0 })).unwrap();
        }
        etcd.works("Mw==");
        let ahead = etcd.ahead();
        assert!([0, HOUR].iter().any(|offset| (ahead - offset).abs() < 2 * SECOND), "{ahead}");
    }
    rewritten.restore().unwrap();
    assert!(vdso(etcd.server.pid()) == before);
    etcd.is_ahead_by(0);
    etcd.works("NA==");
    assert!(etcd.server.child.try_wait().unwrap().is_none());
    println!("{strobes} strobes");
}

/// Why a process is refused.
fn refused(pid: i32) -> String {
    match Rewritten::install(pid) {
        Err(ClockError::Refused(why) | ClockError::Unfit(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_done_says_why() {
    let binary = ask(&[]);
    // A process that is gone, one that never was.
    let mut talk = Talk::start(&binary, &[]);
    let rewritten = Rewritten::install(talk.pid()).unwrap();
    talk.child.kill().unwrap();
    talk.child.wait().unwrap();
    let gone = ClockError::Gone(talk.pid());
    assert_eq!(rewritten.set(&Setting::ahead(1)), Err(gone.clone()));
    assert_eq!(rewritten.read().unwrap_err(), gone);
    assert_eq!(rewritten.restore(), Err(gone.clone()));
    assert_eq!(Rewritten::install(talk.pid()).unwrap_err(), gone);
    assert_eq!(restore(talk.pid()), Err(gone));
    // A process without a vDSO.
    let mut talk = Talk::start(&binary, &[]);
    writeln!(talk.input.as_mut().unwrap(), "u").unwrap();
    assert_eq!(talk.line(), "done");
    assert!(refused(talk.pid()).contains("has no vDSO"), "{}", refused(talk.pid()));
    // A thread of the kernel.
    let why = refused(2);
    assert!(why.contains("a thread of the kernel") || why.contains("must be root"), "{why}");
    // What is no setting.
    let talk = Talk::start(&binary, &[]);
    let rewritten = Rewritten::install(talk.pid()).unwrap();
    assert!(rewritten.set(&Setting::ahead(i64::MAX)).unwrap_err().to_string().contains("150 years"));
}

/// A 32-bit program without a C library: it waits for ever.
#[test]
fn a_32_bit_process_is_refused() {
    let source = r#"void _start(void) { for (;;) __asm__ volatile ("int $0x80" :: "a"(29)); }"#;
    let folder = tempfile::tempdir().unwrap();
    let (file, binary) = (folder.path().join("wait.c"), folder.path().join("wait"));
    std::fs::write(&file, source).unwrap();
    let compiled = Command::new("cc").args(["-m32", "-nostdlib", "-static", "-o"]).arg(&binary).arg(&file).output().unwrap();
    if !compiled.status.success() {
        not_here("clock", &format!("compiler of 32-bit programs ({})", String::from_utf8_lossy(&compiled.stderr)));
        return;
    }
    let talk = Talk::start(&binary, &[]);
    assert!(refused(talk.pid()).contains("32-bit"), "{}", refused(talk.pid()));
}

#[test]
fn a_process_that_is_traced_is_refused() {
    let talk = Talk::start(&ask(&[]), &[]);
    let Ok(mut tracer) = Command::new("strace").args(["-qq", "-o", "/dev/null", "-p", &talk.pid().to_string()]).spawn() else {
        not_here("clock", "strace");
        return;
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    while std::fs::read_to_string(format!("/proc/{}/status", talk.pid())).unwrap().contains("TracerPid:\t0") {
        assert!(Instant::now() < deadline, "strace does not trace");
        thread::sleep(Duration::from_millis(1));
    }
    let why = refused(talk.pid());
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    assert!(why.contains("traces it already"), "{why}");
}
