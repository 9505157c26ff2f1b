//! The stage of a scene: a running demo cluster, sessions that ask it, and a hand on its links, processes and clocks.
//!
//! Everything that sessions see is recorded, and every fault: with its begin before it is done, and its effect after it was seen.

use super::Options;
use super::object::Object;
use crate::check::fault_windows::{START, STOP};
use crate::runner::clock::Clock;
use crate::runner::interrupt::Interrupt;
use crate::runner::nemesis_thread::record;
use crate::runner::recorder::{Entry, Recorder};
use crate::timeline::PHASE;
use anyhow::{Context as _, bail, ensure};
use histories::history::Meta;
use histories::{Kind, Value};
use nemesis::{Cluster, Database, Network, Node, ProcessState};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use workloads::System;
use workloads::client::{Client, Completion, Invocation, OpError};
use workloads::systems::demo::{Demo, DemoOptions, Replication};

/// How long an op may take: longer than any scheme's own deadlines, so that a node that runs answers before.
const OP_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the cluster may take to come up, or to come back.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long something that a scene waits for may take.
const COMES_TRUE_WITHIN: Duration = Duration::from_secs(10);

/// How often a scene looks whether something has come true.
const POLL: Duration = Duration::from_millis(5);

/// What a stage is opened for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cast {
    /// The name of the row.
    pub(super) name: &'static str,
    /// The scheme.
    pub(super) replication: Replication,
    /// What is asked of it.
    pub(super) object: Object,
    /// The number of nodes.
    pub(super) nodes: usize,
}

/// A cluster under a scene.
pub(super) struct Stage {
    pub(super) cluster: Cluster,
    demo: Demo,
    cast: Cast,
    database: Arc<dyn Database>,
    network: Arc<dyn Network>,
    recorder: Recorder,
    runtime: Runtime,
    interrupt: Interrupt,
    processes: AtomicU64,
    keys: AtomicI64,
    values: AtomicI64,
    /// The keys that were asked for.
    asked: Mutex<BTreeSet<i64>>,
}

impl Stage {
    /// Starts the nodes.
    pub(super) fn open(cast: Cast, options: &Options, history: &Path, interrupt: Interrupt) -> anyhow::Result<Stage> {
        let dir = options.dir.join("nodes").join(cast.name);
        let demo =
            DemoOptions { nodes: cast.nodes, replication: cast.replication, dir, seed: options.seed, binary: options.binary.clone() };
        let demo = Demo::new(demo)?;
        let (cluster, database, network) = (demo.cluster().clone(), demo.database(), demo.network());
        cluster.on_all(|node| database.teardown(node))?;
        cluster.on_all(|node| database.setup(&cluster, node))?;
        database.await_ready(&cluster, READY_WITHIN)?;
        let text = |text: &str| Value::Str(text.into());
        let header =
            [("test", "demo"), ("scheme", cast.name), ("model", cast.object.model())].map(|(name, is)| (name.to_owned(), text(is)));
        let meta = Meta { keyed: Some(true), header: header.into(), ..Meta::default() };
        let recorder = Recorder::create(history, &meta, Clock::start()).with_context(|| format!("cannot write {}", history.display()))?;
        record(&recorder, PHASE, &text("main"));
        Ok(Stage {
            cluster,
            demo,
            cast,
            database,
            network,
            recorder,
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().thread_name("client").build()?,
            interrupt,
            processes: AtomicU64::new(0),
            keys: AtomicI64::new(0),
            values: AtomicI64::new(0),
            asked: Mutex::default(),
        })
    }

    /// Stops the nodes and seals the history.
    pub(super) fn close(self) -> anyhow::Result<()> {
        record(&self.recorder, PHASE, &Value::Str("end".into()));
        self.cluster.on_all(|node| self.database.teardown(node))?;
        self.recorder.seal().map_err(anyhow::Error::msg)
    }

    /// A new session: one process of the history.
    pub(super) fn session(&self) -> Session<'_> {
        Session { stage: self, process: self.next_process(), clients: BTreeMap::new() }
    }

    fn next_process(&self) -> u64 {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }

    /// A key that nobody has used.
    pub(super) fn fresh_key(&self) -> i64 {
        self.keys.fetch_add(1, Ordering::Relaxed)
    }

    /// A value that nobody has written.
    pub(super) fn fresh_value(&self) -> i64 {
        self.values.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn node(&self, node: usize) -> &Node {
        &self.cluster.nodes[node]
    }

    /// Whether clients can ask for `f`.
    pub(super) fn offers(&self, f: &str) -> bool {
        self.demo.offers(f)
    }

    /// Whether this is the scheme that is shown.
    pub(super) fn is_scheme(&self, replication: Replication) -> bool {
        self.cast.replication == replication
    }

    /// Whether clients take the scheme for this.
    pub(super) fn is_object(&self, object: Object) -> bool {
        self.cast.object == object
    }

    /// Whether a person wants an end.
    pub(super) fn is_over(&self) -> bool {
        self.interrupt.times() > 0 || self.recorder.failure().is_some()
    }

    /// Ends the scene if a person wants that.
    pub(super) fn go_on(&self) -> anyhow::Result<()> {
        if let Some(failure) = self.recorder.failure() {
            bail!(failure);
        }
        ensure!(self.interrupt.times() == 0, "interrupted");
        Ok(())
    }

    /// Waits until something is so.
    pub(super) fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + COMES_TRUE_WITHIN;
        while !is_so() {
            self.go_on()?;
            ensure!(Instant::now() < deadline, "{what} did not come true within {COMES_TRUE_WITHIN:?}");
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Does something with the nodes that hurts, and has a look at it.
    fn strike(&self, fault: &str, nodes: &[usize], what: &str, act: impl FnOnce() -> anyhow::Result<Look>) -> anyhow::Result<()> {
        self.note(START, fault, nodes, what, act)
    }

    /// Ends a fault, and looks whether it is gone.
    fn mend(&self, fault: &str, nodes: &[usize], what: &str, act: impl FnOnce() -> anyhow::Result<Look>) -> anyhow::Result<()> {
        self.note(STOP, fault, nodes, what, act)
    }

    fn note(
        &self,
        prefix: &str,
        fault: &str,
        nodes: &[usize],
        what: &str,
        act: impl FnOnce() -> anyhow::Result<Look>,
    ) -> anyhow::Result<()> {
        let name = format!("{prefix}{fault}");
        record(&self.recorder, &name, &Value::Nil);
        let look = act()?;
        let names = nodes.iter().map(|&node| Value::Str(self.node(node).name.as_str().into())).collect();
        let field = |name: &str, value: Value| (Value::Str(name.into()), value);
        let facts = vec![
            field("what", what.into()),
            field("nodes", Value::Vector(names)),
            field("observed", Value::Bool(look == Look::Seen)),
            field("seen", look.words().into()),
        ];
        record(&self.recorder, &name, &Value::Map(facts));
        ensure!(look != Look::Missing, "{name} ({what}) was not seen to take effect");
        Ok(())
    }

    /// Cuts all links between nodes of different groups. A node that is in no group is alone.
    pub(super) fn partition(&self, groups: &[&[usize]]) -> anyhow::Result<()> {
        let group_of = |node: usize| groups.iter().position(|group| group.contains(&node)).unwrap_or(groups.len() + node);
        let all: Vec<usize> = (0..self.cluster.len()).collect();
        let apart = |a: usize, b: usize| group_of(a) != group_of(b);
        let what = groups.iter().map(|group| self.cluster.names(group)).collect::<Vec<_>>().join(" | ");
        self.strike("partition", &all, &what, || {
            for &to in &all {
                let dropped: Vec<&Node> = all.iter().filter(|&&from| apart(from, to)).map(|&from| self.node(from)).collect();
                self.network.drop_from(self.node(to), &dropped)?;
            }
            let cut = all.iter().flat_map(|&a| all.iter().map(move |&b| (a, b))).filter(|&(a, b)| apart(a, b));
            let mut observed = true;
            for (from, to) in cut.filter(|&(from, to)| self.runs(from) && self.runs(to)) {
                observed &= self.falls_silent(from, to)?;
            }
            Ok(Look::at(observed))
        })
    }

    /// All links work again.
    pub(super) fn heal(&self) -> anyhow::Result<()> {
        let all: Vec<usize> = (0..self.cluster.len()).collect();
        self.mend("partition", &all, "all links", || {
            self.cluster.on_all(|node| self.network.drop_from(node, &[]))?;
            Ok(Look::None)
        })
    }

    /// Whether what one node sends is not heard by another any more. What was on its way when the link was cut may still come.
    fn falls_silent(&self, from: usize, to: usize) -> anyhow::Result<bool> {
        let deadline = Instant::now() + COMES_TRUE_WITHIN;
        while self.hears(from, to)? {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            self.go_on()?;
        }
        Ok(true)
    }

    /// Whether what one node sends is heard by another. A busy machine may answer that late: it is asked again.
    fn hears(&self, from: usize, to: usize) -> anyhow::Result<bool> {
        let deadline = Instant::now() + COMES_TRUE_WITHIN;
        loop {
            match self.network.probe(self.node(from), self.node(to)) {
                Err(_) if Instant::now() < deadline => self.go_on()?,
                probed => return Ok(probed?),
            }
        }
    }

    fn runs(&self, node: usize) -> bool {
        self.database.state(self.node(node)).is_ok_and(|state| state == ProcessState::Running)
    }

    fn is(&self, node: usize, state: ProcessState) -> anyhow::Result<bool> {
        Ok(self.database.state(self.node(node))? == state)
    }

    /// Kills a node's process.
    pub(super) fn kill(&self, node: usize) -> anyhow::Result<()> {
        self.strike("kill", &[node], &format!("killed {}", self.node(node).name), || {
            self.database.kill(self.node(node))?;
            self.is(node, ProcessState::Down).map(Look::at)
        })
    }

    /// Starts it again.
    pub(super) fn start(&self, node: usize) -> anyhow::Result<()> {
        self.mend("kill", &[node], &format!("started {}", self.node(node).name), || {
            self.database.start(self.node(node))?;
            self.is(node, ProcessState::Running).map(Look::at)
        })
    }

    /// Stops a node's process in the middle of whatever it does.
    pub(super) fn pause(&self, node: usize) -> anyhow::Result<()> {
        self.strike("pause", &[node], &format!("paused {}", self.node(node).name), || {
            self.database.pause(self.node(node))?;
            self.is(node, ProcessState::Paused).map(Look::at)
        })
    }

    /// Lets it go on.
    pub(super) fn resume(&self, node: usize) -> anyhow::Result<()> {
        self.mend("pause", &[node], &format!("resumed {}", self.node(node).name), || {
            self.database.resume(self.node(node))?;
            self.is(node, ProcessState::Running).map(Look::at)
        })
    }

    /// Sets a node's wall clock ahead, or behind.
    pub(super) fn clock(&self, node: usize, ahead_ms: i64) -> anyhow::Result<()> {
        let what = format!("the clock of {} is {ahead_ms} ms ahead", self.node(node).name);
        let act = || {
            self.demo.set_clock_ahead(self.node(node), ahead_ms)?;
            Ok(Look::None)
        };
        if ahead_ms == 0 { self.mend("clock", &[node], &what, act) } else { self.strike("clock", &[node], &what, act) }
    }

    /// Makes what some nodes receive from a node come so much later, or at once again.
    pub(super) fn slow(&self, from: usize, to: &[usize], ms: u64) -> anyhow::Result<()> {
        let what = format!("what {} sends comes {ms} ms later", self.node(from).name);
        let senders = if ms == 0 { Vec::new() } else { vec![self.node(from)] };
        let act = || {
            to.iter().try_for_each(|&to| self.demo.set_delay(self.node(to), &senders, ms))?;
            Ok(Look::None)
        };
        if ms == 0 { self.mend("delay", to, &what, act) } else { self.strike("delay", to, &what, act) }
    }

    /// Nodes drop what comes from another one, which hears them.
    pub(super) fn mute(&self, from: usize, to: &[usize]) -> anyhow::Result<()> {
        let what = format!("nobody hears {}", self.node(from).name);
        self.strike("partition", to, &what, || {
            to.iter().try_for_each(|&to| self.network.drop_from(self.node(to), &[self.node(from)]))?;
            Ok(Look::None)
        })
    }

    /// One more update, of a key of its own. Whatever sessions have read before it is not what they read in the end.
    pub(super) fn last_update(&self) -> anyhow::Result<()> {
        let f = if self.offers("write") { "write" } else { "add" };
        let (mut session, key) = (self.session(), self.fresh_key());
        self.until("the last update", || session.does(0, f, key, self.fresh_value()))
    }

    /// Every key is read on every node until the node answers, and then once more: where readers repair what they find, the first
    /// reads may still differ.
    pub(super) fn final_reads(&self) -> anyhow::Result<()> {
        record(&self.recorder, PHASE, &Value::Str("final-reads".into()));
        let keys: Vec<i64> = self.asked.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let all: Vec<usize> = (0..self.cluster.len()).collect();
        let everybody_has_read = std::sync::Barrier::new(all.len());
        let read = |node: &Node| {
            let mut session = self.session();
            let mut pass = || keys.iter().try_for_each(|&key| self.until("a final read", || session.read(node.index, key).is_some()));
            let first = pass();
            everybody_has_read.wait();
            first.and_then(|()| pass())
        };
        self.cluster.on(&all, read).into_iter().collect()
    }

    /// Waits until the cluster is whole again.
    pub(super) fn await_ready(&self) -> anyhow::Result<()> {
        Ok(self.database.await_ready(&self.cluster, READY_WITHIN)?)
    }
}

/// What a look at a fault showed, from outside of what did it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Look {
    /// It was there, or gone, as it should be.
    Seen,
    /// It was not.
    Missing,
    /// Nobody looked: the nodes took the request, and a scene goes on at once, for its moment is short. Whether it was met is
    /// told by what its clients read.
    None,
}

impl Look {
    fn at(is_as_it_should_be: bool) -> Look {
        if is_as_it_should_be { Look::Seen } else { Look::Missing }
    }

    fn words(self) -> &'static str {
        match self {
            Look::Seen => "looked at from outside",
            Look::Missing => "looked at from outside, and not so",
            Look::None => "the nodes were told; nobody looked",
        }
    }
}

/// One process that asks, op by op, whichever node it is told to. An op of unknown outcome ends it: it goes on as a new process.
pub(super) struct Session<'s> {
    pub(super) stage: &'s Stage,
    process: u64,
    clients: BTreeMap<usize, Box<dyn Client>>,
}

impl Session<'_> {
    /// Asks a node and waits for what comes of it.
    pub(super) fn ask(&mut self, node: usize, f: &'static str, key: i64, argument: impl Into<Value>) -> Completion {
        let invocation = Invocation { f, value: Value::pair(key, argument) };
        self.stage.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        self.record(node, Kind::Invoke, f, &invocation.value, None);
        let stage = self.stage;
        let client = self.clients.entry(node).or_insert_with(|| stage.demo.client(stage.node(node)));
        let answer = stage.runtime.block_on(async { tokio::time::timeout(OP_TIMEOUT, client.invoke(&invocation)).await });
        let completion = answer.unwrap_or_else(|_| Completion::Info(OpError::new("timeout", "")));
        match &completion {
            Completion::Ok(value) => self.record(node, Kind::Ok, f, value, None),
            Completion::Fail(error) => self.record(node, Kind::Fail, f, &invocation.value, Some(error)),
            Completion::Info(error) => {
                self.record(node, Kind::Info, f, &invocation.value, Some(error));
                self.process = stage.next_process();
                self.clients.clear();
            }
        }
        completion
    }

    fn record(&self, node: usize, kind: Kind, f: &str, value: &Value, error: Option<&OpError>) {
        let name = &self.stage.node(node).name;
        let (process, thread) = (Some(self.process), None);
        self.stage.recorder.record(&Entry { process, thread, node: Some(name), kind, f, value, error });
    }

    /// What a node says that a key holds; `None` if it does not say.
    pub(super) fn read(&mut self, node: usize, key: i64) -> Option<Value> {
        match self.ask(node, "read", key, Value::Nil) {
            Completion::Ok(value) => value.elements().and_then(|pair| pair.get(1)).cloned(),
            _ => None,
        }
    }

    /// Whether a node says that it has done something.
    pub(super) fn does(&mut self, node: usize, f: &'static str, key: i64, argument: impl Into<Value>) -> bool {
        matches!(self.ask(node, f, key, argument), Completion::Ok(_))
    }
}
