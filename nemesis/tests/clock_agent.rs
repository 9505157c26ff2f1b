//! Clocks of programs through the agent: made wrong in every way, read, and right again on every way out.

#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::served::{Agent, LONG};
use rashomon_nemesis::agent::node::vdso::{Rewritten, Setting};
use rashomon_nemesis::agent::protocol::clock::Reading;
use rashomon_nemesis::agent::protocol::clock::Skew;
use rashomon_nemesis::agent::protocol::{Reply, Request};
use rashomon_nemesis::{Own, ProcessState, Program};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const BUMP: Skew = Skew::Bump { offset_ns: HOUR };

/// How far what the program says may be off: it may lose the processor between its two readings.
const SLACK: i64 = 300_000_000;

/// A place with a program in it that tells its clock all the time, from two processes.
struct Place {
    folder: TempDir,
}

impl Drop for Place {
    /// A test that fails leaves nothing behind.
    fn drop(&mut self) {
        for pid in self.pids() {
            Pid::from_raw(pid).and_then(|pid| kill_process(pid, Signal::KILL).ok());
        }
    }
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir_in(std::env::temp_dir().canonicalize().unwrap()).unwrap();
        let (file, binary) = (folder.path().join("ask.c"), folder.path().join("ask"));
        fs::write(&file, include_str!("clock/ask.c")).unwrap();
        assert!(Command::new("cc").args(["-O1", "-o"]).arg(&binary).arg(&file).status().unwrap().success());
        Place { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn log(&self) -> PathBuf {
        self.path().join("p.log")
    }

    /// An agent at work here that has started the program.
    fn agent(&self, dead_man: Duration) -> Agent {
        let (mut agent, _) = Agent::at_work(self.path(), dead_man);
        let argv = vec![self.path().join("ask").display().to_string(), "log".into()];
        agent.ask(Request::Start(Program { name: "p".into(), argv, env: Vec::new(), dir: None, log: "p.log".into(), own: Own::default() }));
        self.is_ahead_by(0);
        agent
    }

    /// What the program's processes say of their clocks from now on: REALTIME, gettimeofday and MONOTONIC, in each row.
    fn told(&self, rows: usize) -> Vec<[i64; 3]> {
        let mut log = fs::File::open(self.log()).unwrap();
        log.seek(SeekFrom::End(0)).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut text = String::new();
        // The first row may be the end of an older one, the next ones may have been written before.
        while text.lines().count() < rows + 4 {
            assert!(Instant::now() < deadline, "the program says nothing: {text:?}");
            thread::sleep(Duration::from_millis(5));
            log.read_to_string(&mut text).unwrap();
        }
        let whole = &text[..=text.rfind('\n').unwrap()];
        let rows = whole.lines().skip(3).filter_map(|line| {
            let numbers: Vec<i64> = line.split(' ').filter_map(|number| number.parse().ok()).collect();
            (numbers.len() == 6).then(|| [numbers[0], numbers[4], numbers[3]])
        });
        rows.collect()
    }

    /// Both processes tell this, soon.
    #[track_caller]
    fn is_ahead_by(&self, offset: i64) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let rows = self.told(6);
            assert!(rows.iter().all(|row| row[2].abs() < SLACK), "monotonic: {rows:?}");
            if rows.iter().all(|row| row[..2].iter().all(|told| (told - offset).abs() < SLACK)) {
                return;
            }
            assert!(Instant::now() < deadline, "{rows:?}, not {offset}");
        }
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.path().join("journal")).unwrap()
    }

    /// The program's processes.
    fn pids(&self) -> Vec<i32> {
        let binary = self.path().join("ask");
        let is_ours = |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == binary);
        let all = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        all.filter(is_ours).collect()
    }

    /// The program's processes, and whether all or none of them are rewritten.
    fn processes(&self) -> (Vec<i32>, bool) {
        let pids = self.pids();
        let rewritten: Vec<bool> = pids.iter().map(|&pid| Rewritten::find(pid).unwrap().is_some()).collect();
        assert!(rewritten.iter().all(|one| *one == rewritten[0]), "{rewritten:?}");
        (pids, rewritten.first() == Some(&true))
    }

    /// The program is there as if nothing had ever happened.
    fn is_clean(&self) {
        self.is_ahead_by(0);
        let (pids, rewritten) = self.processes();
        assert!(pids.len() == 2 && !rewritten, "{pids:?} {rewritten}");
        assert_eq!(self.journal(), "");
    }
}

fn skew(agent: &mut Agent, skew: Skew) {
    assert_eq!(agent.ask(Request::Skew { name: "p".into(), skew }), Reply::Nothing);
}

fn read(agent: &mut Agent) -> Vec<Reading> {
    match agent.ask(Request::ReadClock { name: "p".into() }) {
        Reply::Clock(readings) => readings,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn reads(agent: &mut Agent, offset: i64) {
    let readings = read(agent);
    assert_eq!(readings.len(), 2, "{readings:?}");
    assert!(readings.iter().all(|r| (r.offset_ns - offset).abs() <= r.error_ns), "{readings:?}, not {offset}");
}

fn stop(mut agent: Agent) {
    agent.ask(Request::Stop { name: "p".into() });
    assert_eq!(agent.state(), ProcessState::Down);
    agent.end();
}

#[test]
fn a_clock_is_bumped_back_and_forth_and_restored() {
    let place = Place::new();
    let (wall, monotonic) = (SystemTime::now(), Instant::now());
    let mut agent = place.agent(LONG);
    let error = agent.try_ask(Request::ReadClock { name: "p".into() }).unwrap_err();
    assert!(error.contains("has its own clock"), "{error}");
    skew(&mut agent, Skew::None);
    reads(&mut agent, 0);
    assert!(place.journal().contains("skewed"), "{}", place.journal());
    for offset_ns in [HOUR, -HOUR, 11_390_625] {
        skew(&mut agent, Skew::Bump { offset_ns });
        reads(&mut agent, offset_ns);
        place.is_ahead_by(offset_ns);
        assert!(place.processes().1);
    }
    for _ in 0..2 {
        agent.ask(Request::RestoreClock { name: "p".into() });
        place.is_clean();
    }
    // Nobody else's clock moved.
    let moved = wall.elapsed().unwrap().as_secs_f64() - monotonic.elapsed().as_secs_f64();
    assert!(moved.abs() < 0.2, "the clock of this machine moved by {moved} s");
    stop(agent);
}

#[test]
fn a_clock_strobes_until_it_is_over_or_ended() {
    let place = Place::new();
    let mut agent = place.agent(LONG);
    let strobe = |lasts: u64| Skew::Strobe { offset_ns: HOUR, period: Duration::from_millis(20), lasts: Duration::from_millis(lasts) };
    for lasts in [60_000, 700] {
        skew(&mut agent, strobe(lasts));
        let rows = place.told(200);
        let count = |offset: i64| rows.iter().filter(|row| (row[0] - offset).abs() < SLACK).count();
        assert!(count(0) > 20 && count(HOUR) > 20 && count(0) + count(HOUR) == rows.len(), "{rows:?}");
        if lasts > 1000 {
            agent.ask(Request::RestoreClock { name: "p".into() });
        }
        place.is_ahead_by(0);
    }
    agent.ask(Request::Heal);
    place.is_clean();
    stop(agent);
}

#[test]
fn a_clock_drifts() {
    let place = Place::new();
    let mut agent = place.agent(LONG);
    skew(&mut agent, Skew::Drift { per_billion: -50_000_000 });
    let first = read(&mut agent);
    thread::sleep(Duration::from_millis(500));
    let last = read(&mut agent);
    for (first, last) in first.iter().zip(&last) {
        let rate = (last.offset_ns - first.offset_ns) as f64 / (last.at_ns - first.at_ns) as f64;
        assert!((rate + 0.05).abs() < 0.02, "{rate}");
    }
    agent.ask(Request::Heal);
    place.is_clean();
    stop(agent);
}

#[test]
fn when_heartbeats_stop_the_clock_is_right() {
    let place = Place::new();
    let mut agent = place.agent(Duration::from_millis(1500));
    skew(&mut agent, BUMP);
    agent.await_end(Duration::from_secs(20));
    place.is_clean();
    stop(Agent::at_work(place.path(), LONG).0);
}

#[test]
fn when_its_input_ends_a_strobe_ends_too() {
    let place = Place::new();
    let mut agent = place.agent(LONG);
    skew(&mut agent, Skew::Strobe { offset_ns: -HOUR, period: Duration::ZERO, lasts: Duration::from_mins(1) });
    agent.end();
    place.is_clean();
    stop(Agent::at_work(place.path(), LONG).0);
}

#[test]
fn an_agent_rights_the_clock_that_one_that_was_killed_left_wrong() {
    let place = Place::new();
    let mut agent = place.agent(LONG);
    skew(&mut agent, BUMP);
    let left_behind = place.journal();
    agent.end();
    place.is_clean();
    // As if the agent had not lived to undo it.
    for pid in place.processes().0 {
        Rewritten::install(pid).unwrap().set(&Setting::ahead(HOUR)).unwrap();
    }
    place.is_ahead_by(HOUR);
    fs::write(place.path().join("journal"), left_behind).unwrap();
    let (agent, about) = Agent::at_work(place.path(), LONG);
    let undone: Vec<_> = about.undone.iter().map(|undone| (undone.what.as_str(), undone.error.as_deref())).collect();
    assert_eq!(undone, [("the clock of p was changed", None)]);
    place.is_clean();
    stop(agent);
}

#[test]
fn a_process_that_died_meanwhile_leaves_nothing_to_undo() {
    let place = Place::new();
    let mut agent = place.agent(LONG);
    let error = |agent: &mut Agent, ask: Request| agent.try_ask(ask).unwrap_err();
    for skewed in [BUMP, Skew::Strobe { offset_ns: HOUR, period: Duration::from_millis(1), lasts: Duration::from_mins(1) }] {
        skew(&mut agent, skewed);
        agent.ask(Request::Kill { name: "p".into() });
        assert_eq!(agent.state(), ProcessState::Down);
        assert!(error(&mut agent, Request::ReadClock { name: "p".into() }).contains("does not run"));
        assert!(error(&mut agent, Request::Skew { name: "p".into(), skew: BUMP }).contains("does not run"));
        let Reply::Undone(undone) = agent.ask(Request::Heal) else { panic!() };
        assert!(undone.len() == 2 && undone.iter().all(|undone| undone.error.is_none()), "{undone:?}");
        place.is_clean();
    }
    stop(agent);
}

#[test]
fn a_paused_program_stays_paused() {
    let place = Place::new();
    let mut agent = place.agent(LONG);
    agent.ask(Request::Pause { name: "p".into() });
    skew(&mut agent, BUMP);
    reads(&mut agent, HOUR);
    assert_eq!(agent.state(), ProcessState::Paused);
    agent.ask(Request::Resume { name: "p".into() });
    place.is_ahead_by(HOUR);
    agent.ask(Request::RestoreClock { name: "p".into() });
    place.is_clean();
    stop(agent);
}
