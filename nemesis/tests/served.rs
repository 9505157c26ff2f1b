//! An agent that is served over a pair of pipes in the test's own process.

#![allow(dead_code, clippy::unwrap_used, reason = "each file of tests uses some of it; a test fails by panicking")]

use rashomon_nemesis::ProcessState;
use rashomon_nemesis::agent::node::serve::serve;
use rashomon_nemesis::agent::protocol::options::ServeOptions;
use rashomon_nemesis::agent::protocol::{About, Answer, Greeting, Outcome, Question, Reply, Request};
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write, pipe};
use std::path::Path;
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A dead-man switch that no test waits for by accident.
pub(crate) const LONG: Duration = Duration::from_mins(2);

/// An agent and both ends of its pipes.
pub(crate) struct Agent {
    pub(crate) input: Option<PipeWriter>,
    pub(crate) output: BufReader<PipeReader>,
    pub(crate) thread: Option<JoinHandle<ExitCode>>,
    pub(crate) next: u64,
}

impl Agent {
    pub(crate) fn start(directory: &Path, dead_man: Duration) -> (Agent, Greeting) {
        let options = ServeOptions {
            run: "the first run".into(),
            directory: Some(directory.into()),
            dead_man,
            lock_within: Duration::from_millis(100),
            ..ServeOptions::default()
        };
        let ((theirs_in, ours_out), (ours_in, theirs_out)) = (pipe().unwrap(), pipe().unwrap());
        let thread = thread::spawn(move || serve(theirs_in, theirs_out, &options));
        let mut agent = Agent { input: Some(ours_out), output: BufReader::new(ours_in), thread: Some(thread), next: 1 };
        let greeting = serde_json::from_str(&agent.line()).unwrap();
        (agent, greeting)
    }

    pub(crate) fn at_work(directory: &Path, dead_man: Duration) -> (Agent, About) {
        match Agent::start(directory, dead_man) {
            (agent, Greeting::RashomonAgent(about)) => (agent, about),
            (_, Greeting::RashomonRefusal(why)) => panic!("refused: {why}"),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn answer(&mut self) -> Answer {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    pub(crate) fn try_ask(&mut self, ask: Request) -> Result<Reply, String> {
        let id = self.next;
        self.next += 1;
        let mut line = serde_json::to_vec(&Question { id, ask }).unwrap();
        line.push(b'\n');
        self.write(&line);
        let answer = self.answer();
        assert_eq!(answer.id, Some(id));
        match answer.outcome {
            Outcome::Done(reply) => Ok(reply),
            Outcome::Failed(why) => Err(why),
        }
    }

    pub(crate) fn ask(&mut self, ask: Request) -> Reply {
        self.try_ask(ask).unwrap()
    }

    pub(crate) fn state(&mut self) -> ProcessState {
        match self.ask(Request::State { name: "p".into() }) {
            Reply::State(state) => state,
            other => panic!("{other:?}"),
        }
    }

    /// Ends its input and waits for its end.
    pub(crate) fn end(mut self) {
        self.input = None;
        self.await_end(Duration::from_secs(10));
    }

    pub(crate) fn await_end(&mut self, within: Duration) {
        let deadline = Instant::now() + within;
        let thread = self.thread.take().unwrap();
        while !thread.is_finished() {
            assert!(Instant::now() < deadline, "the agent is still there after {within:?}");
            thread::sleep(Duration::from_millis(5));
        }
        thread.join().unwrap();
    }
}
