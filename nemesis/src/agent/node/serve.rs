//! The agent's life on the node: greeting, requests, each answered on a thread of its own; and the undoing of everything at its end.

use super::host::Host;
use crate::agent::protocol::{Answer, Greeting, LINE_BYTES_MAX, Outcome, Question, Reply, Request};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

pub use crate::agent::protocol::options::ServeOptions;

/// The most requests answered at once.
const BUSY_MAX: usize = 256;

/// How long an agent that nobody hears any more goes on trying to undo what it could not, and the pauses in between.
const UNDO_WITHIN: Duration = Duration::from_hours(1);
const UNDO_AGAIN_FIRST: Duration = Duration::from_millis(500);
const UNDO_AGAIN_LAST: Duration = Duration::from_secs(30);

/// How long the last answers may take to leave.
const FAREWELL: Duration = Duration::from_millis(300);

/// What `rashomon agent ARGUMENTS` does. Call it before the process has started any thread: it sets signals aside.
pub fn main(arguments: &[String]) -> ExitCode {
    if arguments == [crate::agent::protocol::HELLO] {
        return ExitCode::SUCCESS;
    }
    let events = mpsc::channel();
    let options = match ServeOptions::parse(arguments) {
        Ok(options) => options,
        Err(why) => return refuse(&mut io::stdout(), &format!("the agent was started with wrong arguments: {why}")),
    };
    await_signals(events.0.clone());
    run(io::stdin(), io::stdout(), &options, events)
}

/// The agent over any pair of streams: answers requests until its input ends, heartbeats stop or it is told to leave; then
/// undoes every fault. The exit code is 0 if nothing is left to undo.
pub fn serve(input: impl Read + Send + 'static, output: impl Write + Send + 'static, options: &ServeOptions) -> ExitCode {
    run(input, output, options, mpsc::channel())
}

enum Event {
    Line(Vec<u8>),
    TooLong,
    End,
    Terminate,
}

fn run(
    input: impl Read + Send + 'static,
    mut output: impl Write + Send + 'static,
    options: &ServeOptions,
    events: (Sender<Event>, Receiver<Event>),
) -> ExitCode {
    let host = match Host::enter(options) {
        Ok(host) => Arc::new(host),
        Err(why) => return refuse(&mut output, &why),
    };
    let mut undone = if options.teardown { host.tear_down() } else { Vec::new() };
    undone.extend(host.undo_all());
    let clean = undone.iter().all(|undone| undone.error.is_none());
    let greeting = Greeting::RashomonAgent(host.about(undone));
    if options.heal {
        let said = say(&mut output, &greeting);
        return if clean && said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let (answers, to_write) = mpsc::channel();
    let writer = thread::spawn(move || {
        let _ = say(&mut output, &greeting);
        for answer in to_write {
            if say::<Answer>(&mut output, &answer).is_err() {
                return;
            }
        }
    });
    let (sender, receiver) = events;
    thread::spawn(move || read_lines(input, &sender));
    // Whatever goes wrong in here, what was hurt is healed below.
    let farewell = catch_unwind(AssertUnwindSafe(|| attend(&host, &receiver, &answers, options.dead_man))).unwrap_or(None);
    let undone = host.leave();
    host.running.kill();
    let clean = undone.iter().all(|undone| undone.error.is_none());
    if let Some(id) = farewell {
        let _ = answers.send(Answer { id: Some(id), outcome: Outcome::Done(Reply::Undone(undone)) });
    }
    drop(answers);
    let deadline = Instant::now() + FAREWELL;
    while farewell.is_some() && !writer.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    // Whoever said farewell is told what is left. Nobody else will put it right.
    let clean = clean || farewell.is_none() && try_again(host, options, &receiver);
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Undoes what could not be undone (the node's disk was full), again and again, until nothing is left or somebody ends this. Meanwhile
/// the node is free for others, who undo it when they come.
fn try_again(host: Arc<Host>, options: &ServeOptions, events: &Receiver<Event>) -> bool {
    let deadline = Instant::now() + UNDO_WITHIN;
    let options = ServeOptions { lock_within: Duration::ZERO, ..options.clone() };
    let mut pause = UNDO_AGAIN_FIRST;
    // One whose request still hangs keeps the node to itself.
    let mut kept = Arc::try_unwrap(host).err();
    while Instant::now() < deadline {
        thread::sleep(pause);
        pause = (2 * pause).min(UNDO_AGAIN_LAST);
        if events.try_iter().any(|event| matches!(event, Event::Terminate)) {
            return false;
        }
        // What another has noted since is in the journal only.
        let Ok(host) = kept.take().map_or_else(|| Host::enter(&options).map(Arc::new), Ok) else { continue };
        if host.undo_all().iter().all(|undone| undone.error.is_none()) {
            return true;
        }
        kept = Arc::try_unwrap(host).err();
    }
    false
}

/// Answers requests until it is time to go. Returns the number of the request that asked it to, if one did.
fn attend(host: &Arc<Host>, events: &Receiver<Event>, answers: &Sender<Answer>, dead_man: Duration) -> Option<u64> {
    let mut last_heard = Instant::now();
    let failed = |id, why: String| Answer { id, outcome: Outcome::Failed(why) };
    loop {
        let line = match events.recv_timeout(dead_man.saturating_sub(last_heard.elapsed())) {
            Ok(Event::Line(line)) => line,
            Ok(Event::TooLong) => {
                let _ = answers.send(failed(None, format!("a line of more than {LINE_BYTES_MAX} bytes")));
                continue;
            }
            Ok(Event::End | Event::Terminate) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
        };
        let question = match serde_json::from_slice::<Question>(&line) {
            Ok(question) => question,
            Err(error) => {
                let _ = answers.send(failed(None, format!("not a request: {error}")));
                continue;
            }
        };
        last_heard = Instant::now();
        match question.ask {
            Request::Ping => drop(answers.send(Answer { id: Some(question.id), outcome: Outcome::Done(Reply::Nothing) })),
            Request::Bye => return Some(question.id),
            _ if host.busy.load(Ordering::Relaxed) >= BUSY_MAX => {
                let _ = answers.send(failed(Some(question.id), format!("busy with {BUSY_MAX} other requests")));
            }
            _ => {
                let (id, worker) = (question.id, Worker { host: host.clone(), answers: answers.clone(), question });
                if let Err(error) = worker.start() {
                    let _ = answers.send(failed(Some(id), format!("this node has no room for another thread: {error}")));
                }
            }
        }
    }
}

/// Answers one request, on a thread of its own.
struct Worker {
    host: Arc<Host>,
    answers: Sender<Answer>,
    question: Question,
}

impl Worker {
    fn start(self) -> io::Result<()> {
        self.host.busy.fetch_add(1, Ordering::Relaxed);
        let host = self.host.clone();
        let started = thread::Builder::new().spawn(move || self.work());
        if started.is_err() {
            host.busy.fetch_sub(1, Ordering::Relaxed);
        }
        started.map(drop)
    }

    fn work(self) {
        let answer = catch_unwind(AssertUnwindSafe(|| self.host.answer(&self.question.ask)));
        let answer = answer.unwrap_or_else(|_| Err("the agent has a defect: this request made it panic".into()));
        self.host.busy.fetch_sub(1, Ordering::Relaxed);
        let outcome = answer.map_or_else(Outcome::Failed, Outcome::Done);
        let _ = self.answers.send(Answer { id: Some(self.question.id), outcome });
    }
}

/// Reads lines of bounded length; skips what is longer.
fn read_lines(input: impl Read, events: &Sender<Event>) {
    let mut input = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        let event = match (&mut input).take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => Event::End,
            Ok(_) if line.ends_with(b"\n") => Event::Line(line),
            Ok(length) if length < LINE_BYTES_MAX => Event::End,
            Ok(_) => match skip_line(&mut input) {
                Ok(()) => Event::TooLong,
                Err(_) => Event::End,
            },
        };
        let end = matches!(event, Event::End);
        if events.send(event).is_err() || end {
            return;
        }
    }
}

fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let newline = buffer.iter().position(|&b| b == b'\n');
        let used = newline.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if newline.is_some() {
            return Ok(());
        }
    }
}

fn say<T: serde::Serialize>(output: &mut impl Write, message: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

fn refuse(output: &mut impl Write, why: &str) -> ExitCode {
    let _ = say(output, &Greeting::RashomonRefusal(why.into()));
    ExitCode::FAILURE
}

/// Turns signals into events: SIGTERM, SIGINT and SIGQUIT end the agent in order. SIGHUP, which the end of an SSH connection may
/// bring, is swallowed: the end of the input says when to go.
#[allow(unsafe_code, reason = "the standard library has no signals")]
fn await_signals(events: Sender<Event>) {
    // SAFETY: a signal set of zeros is valid storage, and is initialised before it is used.
    let mut signals: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set lives on this stack; no other thread runs yet, so all will inherit the mask. So do children: those that are to
    // hear signals let them in.
    unsafe {
        libc::sigemptyset(&raw mut signals);
        for signal in [libc::SIGHUP, libc::SIGTERM, libc::SIGINT, libc::SIGQUIT] {
            libc::sigaddset(&raw mut signals, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const signals, std::ptr::null_mut());
    }
    let wait = move || {
        loop {
            let mut signal = 0;
            // SAFETY: both point to values of this closure.
            let waited = unsafe { libc::sigwait(&raw const signals, &raw mut signal) };
            if waited == 0 && signal != libc::SIGHUP && events.send(Event::Terminate).is_err() {
                return;
            }
        }
    };
    // Without the thread the signals stay blocked: the agent then ends with its input or its heartbeats alone.
    let _ = thread::Builder::new().name("signals".into()).spawn(wait);
}
