//! The harness's end: one plain thread per node, which owns the connection, sends requests and heartbeats, and hands answers to
//! those who wait for them.

use super::install::{self, Binary};
use crate::agent::AgentOptions;
use crate::agent::protocol::options::ServeOptions;
use crate::agent::protocol::{About, Answer, Greeting, LINE_BYTES_MAX, Outcome, Question, Reply, Request, Undone, VERSION};
use crate::remote::{Access, Outgoing, Pipe};
use crate::{Node, NodeError};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a new agent waits for one that may still be undoing its faults.
const LOCK_WITHIN: Duration = Duration::from_secs(3);

/// The most that a login shell may say before the agent does.
const CHATTER_BYTES_MAX: usize = 64 << 10;

/// A request on its way to the node's thread.
struct Call {
    ask: Request,
    deadline: Instant,
    reply: Sender<Result<Reply, String>>,
}

/// The connection to the agent of one node.
pub(super) struct Line {
    about: About,
    calls: Sender<Call>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    /// A byte in here ends the thread's wait.
    bell: UnixStream,
    hang_up: AtomicBool,
    /// Why the line is dead, once it is.
    dead: Mutex<Option<String>>,
}

impl Shared {
    fn ring(&self) {
        // If it cannot take another byte, it is ringing already.
        let _ = (&self.bell).write(&[0]);
    }

    fn dead(&self) -> Option<String> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Line {
    /// Connects, starts the agent and waits for its greeting.
    pub(super) fn connect(node: &Node, access: &Access, options: &AgentOptions, binary: &Arc<Binary>) -> Result<Line, NodeError> {
        let fail = |e: std::io::Error| NodeError::new(&node.name, format!("this machine has no room for another connection: {e}"));
        let (bell, ear) = UnixStream::pair().map_err(fail)?;
        bell.set_nonblocking(true).and_then(|()| ear.set_nonblocking(true)).map_err(fail)?;
        let shared = Arc::new(Shared { bell, hang_up: AtomicBool::new(false), dead: Mutex::new(None) });
        let (calls, called) = mpsc::channel();
        let (greeted, greeting) = mpsc::channel();
        let (name, access, options, binary, theirs) = (node.clone(), access.clone(), options.clone(), binary.clone(), shared.clone());
        let thread = thread::Builder::new().name(format!("node {}", node.name)).spawn(move || {
            // Everything that belongs to the connection is made, used and dropped on this thread.
            match start(&name, &access, &options, &binary, &ear, false) {
                Err(error) => drop(greeted.send(Err(error))),
                Ok((about, mut talk)) => {
                    let _ = greeted.send(Ok(about));
                    let reason = talk.run(&called, &theirs, &ear);
                    *theirs.dead.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.clone());
                    talk.fail_all(&reason, &called);
                }
            }
        });
        let thread = thread.map_err(fail)?;
        let about = greeting.recv().unwrap_or_else(|_| Err(NodeError::new(&node.name, "the thread of this node has died")))?;
        Ok(Line { about, calls, shared, thread: Mutex::new(Some(thread)) })
    }

    /// Starts an agent that only undoes what is left of an earlier run. Call it on a plain thread.
    pub(super) fn heal(node: &Node, access: &Access, options: &AgentOptions, binary: &Arc<Binary>) -> Result<Vec<Undone>, NodeError> {
        let (_bell, ear) = UnixStream::pair().map_err(|e| NodeError::new(&node.name, e.to_string()))?;
        start(node, access, options, binary, &ear, true).map(|(about, _)| about.undone)
    }

    pub(super) fn about(&self) -> &About {
        &self.about
    }

    pub(super) fn is_alive(&self) -> bool {
        self.shared.dead().is_none()
    }

    /// Asks and waits for the answer.
    pub(super) fn ask(&self, ask: Request, within: Duration) -> Result<Reply, String> {
        let (reply, answer) = mpsc::channel();
        let gone = || self.shared.dead().unwrap_or_else(|| "the connection to the agent is closed".into());
        self.calls.send(Call { ask, deadline: Instant::now() + within, reply }).map_err(|_| gone())?;
        self.shared.ring();
        answer.recv().unwrap_or_else(|_| Err(gone()))
    }

    /// Ends the connection. The agent sees the end of its input, undoes what is left and exits.
    pub(super) fn hang_up(&self) {
        self.shared.hang_up.store(true, Ordering::Relaxed);
        self.shared.ring();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic there has been told to those who waited.
            let _ = thread.join();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// Connects to the node, makes sure that the program is there, starts it and hears its greeting.
fn start(
    node: &Node,
    access: &Access,
    options: &AgentOptions,
    binary: &Binary,
    ear: &UnixStream,
    heal: bool,
) -> Result<(About, Talk), NodeError> {
    let mut remote = access.connect(node, options.connect_within)?;
    let program = install::ensure(&mut *remote, access, options, binary)?;
    let serve = ServeOptions {
        run: options.run.clone(),
        directory: options.directory_of(node, access),
        dead_man: options.dead_man,
        // An agent that lost its harness lives for as long as its dead-man switch takes.
        lock_within: if heal { options.dead_man + LOCK_WITHIN } else { options.lock_within.unwrap_or(LOCK_WITHIN) },
        probe_port: options.probe_port,
        control: program.control,
        heal,
        teardown: heal && options.teardown,
    };
    let mut argv = program.argv;
    argv.push("agent".into());
    argv.extend(serve.arguments());
    let pipe = remote.open(&argv)?;
    let mut talk = Talk::new(pipe, options.dead_man);
    if let Some(password) = program.password {
        talk.outgoing.push(format!("{}\n", password.reveal()).into_bytes());
    }
    let about =
        talk.greet(ear, options.connect_within + serve.lock_within).map_err(|why| NodeError::new(&node.name, install::explain(&why)))?;
    if about.protocol != VERSION {
        return Err(NodeError::new(
            &node.name,
            format!("its agent speaks version {} of the protocol, not {VERSION}: another program was started", about.protocol),
        ));
    }
    Ok((about, talk))
}

/// The conversation with one agent.
struct Talk {
    pipe: Box<dyn Pipe>,
    outgoing: Outgoing,
    incoming: Vec<u8>,
    /// So much of `incoming` is known to hold no newline.
    searched: usize,
    waiting: BTreeMap<u64, Call>,
    next_id: u64,
    dead_man: Duration,
    last_sent: Instant,
    last_heard: Instant,
}

impl Talk {
    fn new(pipe: Box<dyn Pipe>, dead_man: Duration) -> Talk {
        let now = Instant::now();
        Talk {
            pipe,
            outgoing: Outgoing::default(),
            incoming: Vec::new(),
            searched: 0,
            waiting: BTreeMap::new(),
            next_id: 1,
            dead_man,
            last_sent: now,
            last_heard: now,
        }
    }

    /// Waits for the agent's first line. What a login shell says before is skipped.
    fn greet(&mut self, ear: &UnixStream, within: Duration) -> Result<About, String> {
        let deadline = Instant::now() + within;
        let mut chatter = 0;
        loop {
            while let Some(line) = self.take_line() {
                match serde_json::from_slice(&line) {
                    Ok(Greeting::RashomonAgent(about)) => return Ok(about),
                    Ok(Greeting::RashomonRefusal(why)) => return Err(why),
                    Err(_) => chatter += line.len(),
                }
            }
            if chatter + self.incoming.len() > CHATTER_BYTES_MAX {
                return Err("the login shell says too much before the agent can: does ~/.bashrc print something?".into());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("the agent said nothing within {} s", within.as_secs()));
            }
            let turn = self.pipe.turn(&mut self.outgoing, &mut self.incoming, ear.as_fd(), left);
            if let Err(ended) = turn
                && !self.incoming.contains(&b'\n')
            {
                return Err(format!("the agent ended before it began: {}", ended.reason));
            }
        }
    }

    /// Talks until the end and says why it came.
    fn run(&mut self, calls: &Receiver<Call>, shared: &Shared, ear: &UnixStream) -> String {
        let heartbeat = self.dead_man / 5;
        self.last_heard = Instant::now();
        loop {
            if shared.hang_up.load(Ordering::Relaxed) {
                return "the connection to the agent is closed".into();
            }
            loop {
                match calls.try_recv() {
                    Ok(call) => self.ask(call),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return "nobody listens to the agent any more".into(),
                }
            }
            if self.last_sent.elapsed() >= heartbeat {
                self.send(0, Request::Ping);
            }
            self.expire();
            if self.last_heard.elapsed() > self.dead_man {
                return self.lost(&format!("nothing was heard of it for {} s", self.dead_man.as_secs_f32()));
            }
            let timeout = heartbeat.saturating_sub(self.last_sent.elapsed()).min(self.next_deadline());
            let turn = self.pipe.turn(&mut self.outgoing, &mut self.incoming, ear.as_fd(), timeout);
            let _ = (&*ear).read(&mut [0; 256]);
            while let Some(line) = self.take_line() {
                self.hear(&line);
            }
            if let Err(ended) = turn {
                return self.lost(&ended.reason);
            }
            if self.incoming.len() > LINE_BYTES_MAX {
                return self.lost("it sent a line without end");
            }
        }
    }

    fn lost(&self, reason: &str) -> String {
        format!(
            "the connection to the agent was lost ({reason}); it undoes its faults by itself within {} s, and `heal` does if it was killed",
            2 * self.dead_man.as_secs()
        )
    }

    fn ask(&mut self, call: Call) {
        let id = self.next_id;
        self.next_id += 1;
        self.send(id, call.ask.clone());
        self.waiting.insert(id, call);
    }

    fn send(&mut self, id: u64, ask: Request) {
        // Questions hold strings, numbers and bytes only: they always have a JSON form.
        if let Ok(mut line) = serde_json::to_vec(&Question { id, ask }) {
            line.push(b'\n');
            self.outgoing.push(line);
        }
        self.last_sent = Instant::now();
    }

    fn hear(&mut self, line: &[u8]) {
        self.last_heard = Instant::now();
        match serde_json::from_slice(line) {
            Ok(Answer { id: Some(id), outcome }) => {
                if let Some(call) = self.waiting.remove(&id) {
                    let result = match outcome {
                        Outcome::Done(reply) => Ok(reply),
                        Outcome::Failed(why) => Err(why),
                    };
                    let _ = call.reply.send(result);
                }
            }
            Ok(Answer { id: None, outcome }) => tracing::warn!(?outcome, "the agent did not understand a line"),
            Err(error) => tracing::warn!(%error, "the agent sent a line that is no answer"),
        }
    }

    /// Gives up on calls whose time is over.
    fn expire(&mut self) {
        let now = Instant::now();
        let late: Vec<u64> = self.waiting.iter().filter(|(_, call)| call.deadline <= now).map(|(&id, _)| id).collect();
        for id in late {
            if let Some(call) = self.waiting.remove(&id) {
                let _ = call.reply.send(Err(format!("the agent did not answer in time to {}", name_of(&call.ask))));
            }
        }
    }

    fn next_deadline(&self) -> Duration {
        let now = Instant::now();
        let next = self.waiting.values().map(|call| call.deadline.saturating_duration_since(now)).min();
        next.unwrap_or(Duration::MAX).max(Duration::from_millis(1))
    }

    fn fail_all(&mut self, reason: &str, calls: &Receiver<Call>) {
        let waiting = std::mem::take(&mut self.waiting).into_values();
        for call in waiting.chain(calls.try_iter()) {
            let _ = call.reply.send(Err(reason.into()));
        }
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let Some(at) = self.incoming[self.searched..].iter().position(|&b| b == b'\n') else {
            self.searched = self.incoming.len();
            return None;
        };
        let rest = self.incoming.split_off(self.searched + at + 1);
        self.searched = 0;
        Some(std::mem::replace(&mut self.incoming, rest))
    }
}

/// A request's name, without its content: that may be long, or secret.
fn name_of(ask: &Request) -> String {
    let text = format!("{ask:?}");
    text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase()
}
