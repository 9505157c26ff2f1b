//! The agent's life, over a pair of pipes in this process: requests, garbage, the dead-man switch, the lock, healing.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::served::{Agent, LONG};
use crate::size::times;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rashomon_nemesis::agent::node::serve::serve;
use rashomon_nemesis::agent::protocol::options::ServeOptions;
use rashomon_nemesis::agent::protocol::{Greeting, LINE_BYTES_MAX, Question, Reply, Request};
use rashomon_nemesis::{Command, Own, ProcessState, Program};
use std::fs;
use std::io::{BufReader, pipe};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

fn sleeper() -> Program {
    Program {
        name: "p".into(),
        argv: ["sleep", "600"].map(String::from).to_vec(),
        env: Vec::new(),
        dir: None,
        log: "p.log".into(),
        own: Own::default(),
    }
}

fn name() -> String {
    "p".into()
}

/// Looks and cleans up with a new agent.
fn state_then_stop(directory: &Path) -> ProcessState {
    let (mut agent, about) = Agent::at_work(directory, LONG);
    assert_eq!(about.undone, [], "the agent before left something to undo");
    let state = agent.state();
    agent.ask(Request::Stop { name: name() });
    assert_eq!(agent.state(), ProcessState::Down);
    agent.end();
    state
}

#[test]
fn it_answers_requests_and_explains_failures() {
    let directory = tempfile::tempdir().unwrap();
    let (mut agent, about) = Agent::at_work(directory.path(), LONG);
    assert_eq!(Path::new(&about.directory), directory.path().canonicalize().unwrap());
    assert_eq!(agent.ask(Request::Ping), Reply::Nothing);
    let Reply::Output(output) = agent.ask(Request::Run(Command::new(["pwd"]))) else { panic!() };
    assert_eq!(output.text(), about.directory);
    agent.ask(Request::Write { path: "db/conf".into(), offset: 0, data: b"x=1".to_vec() });
    agent.ask(Request::Finish { path: "db/conf".into(), size: 3, mode: 0o600 });
    assert_eq!(agent.ask(Request::Read { path: "db/conf".into(), offset: 1 }), Reply::Chunk { data: b"=1".to_vec(), end: true });
    agent.ask(Request::RemoveTree { path: "db".into() });
    for (ask, words) in [
        (Request::Read { path: "db/conf".into(), offset: 0 }, "No such file"),
        (Request::RemoveTree { path: "/etc".into() }, "refused"),
        (Request::Run(Command::new(["no-such-tool"])), "is it installed"),
        (Request::Kill { name: name() }, "was never started"),
        (Request::Pause { name: name() }, "does not run"),
        (Request::Start(Program { name: "../p".into(), ..sleeper() }), "no name of a program"),
    ] {
        let error = agent.try_ask(ask.clone()).unwrap_err();
        assert!(error.contains(words), "{ask:?}: {error}");
    }
    agent.end();
}

#[test]
fn long_requests_do_not_hold_up_short_ones() {
    let directory = tempfile::tempdir().unwrap();
    let (mut agent, _) = Agent::at_work(directory.path(), LONG);
    let line = |id, ask| serde_json::to_string(&Question { id, ask }).unwrap() + "\n";
    let both = line(1, Request::Run(Command::new(["sleep", "0.5"]))) + &line(2, Request::Ping);
    agent.write(both.as_bytes());
    assert_eq!(agent.answer().id, Some(2));
    assert_eq!(agent.answer().id, Some(1));
    agent.end();
}

#[test]
fn garbage_is_answered_and_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut agent, _) = Agent::at_work(directory.path(), LONG);
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let ping = serde_json::to_vec(&Question { id: 1, ask: Request::Ping }).unwrap();
    let run = serde_json::to_vec(&Question { id: 1, ask: Request::Run(Command::new(["true"])) }).unwrap();
    for round in 0..times(300) {
        let mut line: Vec<u8> = match round % 3 {
            0 => (0..rng.random_range(0..200)).map(|_| rng.random()).collect(),
            // A request cut short, or with a byte changed.
            1 => run[..rng.random_range(0..run.len())].to_vec(),
            _ => {
                let mut line = ping.clone();
                let at = rng.random_range(0..line.len());
                line[at] = rng.random();
                line
            }
        };
        line.retain(|&b| b != b'\n');
        let is_request = serde_json::from_slice::<Question>(&line).is_ok();
        line.push(b'\n');
        agent.write(&line);
        let answer = agent.answer();
        assert_eq!(answer.id.is_none(), !is_request, "{:?}", String::from_utf8_lossy(&line));
    }
    // Longer than any line may be; the next one is understood again.
    agent.write(&vec![b'['; LINE_BYTES_MAX + 10]);
    agent.write(b"\n");
    assert_eq!(agent.answer().id, None);
    assert_eq!(agent.ask(Request::Ping), Reply::Nothing);
    agent.end();
}

#[test]
fn when_heartbeats_stop_everything_is_undone() {
    let directory = tempfile::tempdir().unwrap();
    let (mut agent, _) = Agent::at_work(directory.path(), Duration::from_millis(400));
    agent.ask(Request::Start(sleeper()));
    agent.ask(Request::Pause { name: name() });
    assert_eq!(agent.state(), ProcessState::Paused);
    for _ in 0..8 {
        thread::sleep(Duration::from_millis(100));
        agent.ask(Request::Ping);
    }
    assert_eq!(agent.state(), ProcessState::Paused, "heartbeats keep it alive");
    let silent = Instant::now();
    agent.await_end(Duration::from_secs(5));
    assert!(silent.elapsed() >= Duration::from_millis(300), "it left too early");
    assert_eq!(state_then_stop(directory.path()), ProcessState::Running);
}

#[test]
fn when_its_input_ends_what_was_killed_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let (mut agent, _) = Agent::at_work(directory.path(), LONG);
    agent.ask(Request::Start(sleeper()));
    agent.ask(Request::Kill { name: name() });
    assert_eq!(agent.state(), ProcessState::Down);
    agent.end();
    assert_eq!(state_then_stop(directory.path()), ProcessState::Running);
}

#[test]
fn what_was_stopped_for_good_or_ended_by_hand_stays_so() {
    let directory = tempfile::tempdir().unwrap();
    let (mut agent, _) = Agent::at_work(directory.path(), LONG);
    agent.ask(Request::Start(sleeper()));
    agent.ask(Request::Pause { name: name() });
    agent.ask(Request::Kill { name: name() });
    agent.ask(Request::Stop { name: name() });
    assert_eq!(agent.ask(Request::Heal), Reply::Undone(Vec::new()));
    agent.ask(Request::Start(sleeper()));
    agent.ask(Request::Kill { name: name() });
    agent.ask(Request::Start(sleeper()));
    agent.ask(Request::Pause { name: name() });
    agent.ask(Request::Resume { name: name() });
    assert_eq!(agent.ask(Request::Heal), Reply::Undone(Vec::new()));
    assert_eq!(fs::read(directory.path().join("journal")).unwrap(), b"");
    agent.ask(Request::Stop { name: name() });
    agent.end();
}

#[test]
fn healing_is_idempotent_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let (mut agent, _) = Agent::at_work(directory.path(), LONG);
    agent.ask(Request::Start(sleeper()));
    for _ in 0..3 {
        agent.ask(Request::Pause { name: name() });
        let Reply::Undone(undone) = agent.ask(Request::Heal) else { panic!() };
        assert_eq!(
            undone.iter().map(|undone| (undone.what.as_str(), undone.error.as_deref())).collect::<Vec<_>>(),
            [("p was paused", None)]
        );
        assert_eq!(agent.ask(Request::Heal), Reply::Undone(Vec::new()));
        assert_eq!(agent.state(), ProcessState::Running);
    }
    agent.ask(Request::Kill { name: name() });
    let Reply::Undone(undone) = agent.ask(Request::Bye) else { panic!() };
    assert_eq!(undone[0].what, "p was killed");
    agent.await_end(Duration::from_secs(5));
    assert_eq!(state_then_stop(directory.path()), ProcessState::Running);
}

#[test]
fn an_agent_undoes_what_one_that_was_killed_left_behind() {
    let directory = tempfile::tempdir().unwrap();
    let journal = directory.path().join("journal");
    let (mut agent, _) = Agent::at_work(directory.path(), LONG);
    agent.ask(Request::Start(sleeper()));
    agent.ask(Request::Pause { name: name() });
    let left_behind = fs::read(&journal).unwrap();
    assert!(!left_behind.is_empty());
    agent.end();
    // As if the agent had not lived to undo it: the journal of before, and the program stopped.
    fs::write(&journal, &left_behind).unwrap();
    let (mut agent, about) = Agent::at_work(directory.path(), LONG);
    assert_eq!(about.undone.len(), 1);
    assert_eq!(about.undone[0].error, None);
    assert_eq!(fs::read(&journal).unwrap(), b"");
    agent.ask(Request::Stop { name: name() });
    agent.end();
}

#[test]
fn what_cannot_be_undone_is_tried_again_and_the_node_is_free_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("program");
    fs::write(&program, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let (mut agent, _) = Agent::at_work(directory.path(), LONG);
    agent.ask(Request::Start(Program { argv: vec![program.display().to_string()], ..sleeper() }));
    agent.ask(Request::Kill { name: name() });
    let away = directory.path().join("away");
    fs::rename(&program, &away).unwrap();
    agent.input = None;
    let lock = fs::File::open(directory.path().join("lock")).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while lock.try_lock().is_err() {
        assert!(Instant::now() < deadline, "the node is never free");
        thread::sleep(Duration::from_millis(5));
    }
    assert_ne!(fs::read(directory.path().join("journal")).unwrap(), b"", "it was not undone");
    lock.unlock().unwrap();
    fs::rename(&away, &program).unwrap();
    agent.await_end(Duration::from_mins(1));
    let (mut agent, about) = Agent::at_work(directory.path(), LONG);
    assert!(about.undone.is_empty(), "{:?}", about.undone);
    assert_eq!(agent.state(), ProcessState::Running);
    agent.ask(Request::Stop { name: name() });
    agent.end();
}

#[test]
fn two_runs_at_once_are_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let (first, _) = Agent::at_work(directory.path(), LONG);
    let (mut second, greeting) = Agent::start(directory.path(), LONG);
    let Greeting::RashomonRefusal(why) = greeting else { panic!("{greeting:?}") };
    assert!(why.contains("another run is using this node: the first run"), "{why}");
    second.await_end(Duration::from_secs(5));
    first.end();
    Agent::at_work(directory.path(), LONG).0.end();
}

#[test]
fn probes_tell_heard_from_silent() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (mut a, _) = Agent::at_work(directories[0].path(), LONG);
    let (mut b, about) = Agent::at_work(directories[1].path(), LONG);
    let to = ([127, 0, 0, 1], about.probe_port).into();
    a.ask(Request::ProbeSend { to, nonce: 5 });
    assert_eq!(b.ask(Request::ProbeHeard { nonce: 5, within: Duration::from_secs(5) }), Reply::Heard(true));
    assert_eq!(b.ask(Request::ProbeHeard { nonce: 6, within: Duration::from_millis(50) }), Reply::Heard(false));
    a.end();
    b.end();
}

#[test]
fn the_control_node_is_never_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        ServeOptions { directory: Some(directory.path().into()), control: Some("192.0.2.9".parse().unwrap()), ..ServeOptions::default() };
    let ((theirs_in, ours_out), (ours_in, theirs_out)) = (pipe().unwrap(), pipe().unwrap());
    let thread = thread::spawn(move || serve(theirs_in, theirs_out, &options));
    let mut agent = Agent { input: Some(ours_out), output: BufReader::new(ours_in), thread: Some(thread), next: 1 };
    agent.line();
    for text in ["192.0.2.9", "::ffff:192.0.2.9"] {
        let error = agent.try_ask(Request::DropFrom { addresses: vec!["192.0.2.1".parse().unwrap(), text.parse().unwrap()] }).unwrap_err();
        assert!(error.contains("the control node talks to this node from there"), "{error}");
    }
    agent.end();
}

#[test]
fn arguments_are_read_back_as_they_were_written() {
    let options = ServeOptions {
        run: "store/etcd 'x' --heal".into(),
        directory: Some("/a b".into()),
        dead_man: Duration::from_millis(1234),
        lock_within: Duration::from_secs(9),
        probe_port: 4000,
        control: Some("fd00::1".parse().unwrap()),
        heal: true,
        teardown: true,
    };
    assert_eq!(ServeOptions::parse(&options.arguments()), Ok(options));
    let parse = |arguments: &[&str]| ServeOptions::parse(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>());
    for arguments in [&["--run"][..], &["--probe-port", "70000"], &["--dead-man-ms", "soon"], &["--nonsense", "1"], &["--control", "n1"]] {
        assert!(parse(arguments).is_err(), "{arguments:?}");
    }
}
