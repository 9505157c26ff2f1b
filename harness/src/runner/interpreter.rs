//! The interpreter: asks what the generator wants, through clients, and records every event.
//!
//! One task owns the generator and hands ops to *workers*, one task per thread, each of which owns a client. The invocation is
//! recorded before it is handed over, the completion after it came back, both by the recorder's clock: an interval may only
//! be recorded wider than it was, never narrower.
//!
//! An op of unknown outcome ends its process: the thread goes on as `process + concurrency` with a new client. Every wait has
//! a deadline: an op its own ([`Setup::op_timeout`]), a phase its end, and the ops in flight at its end a moment to finish.

use crate::runner::interrupt::Interrupt;
use crate::runner::recorder::{Entry, Recorder};
use futures_util::FutureExt;
use histories::{Kind, Value};
use nemesis::{Cluster, Node};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use workloads::client::{Client, Completion, Invocation, OpError};
use workloads::generator::{Context, Event, Generator, Next};

/// Makes the clients: a new one for every process.
pub type MakeClient = Arc<dyn Fn(&Node) -> Box<dyn Client> + Send + Sync>;

/// What an interpreter works with.
pub struct Setup {
    /// The nodes; thread i talks to node `i mod n`.
    pub cluster: Cluster,
    /// The number of threads.
    pub concurrency: u32,
    /// The deadline of one op. When it is over the client is dropped and the outcome is unknown.
    pub op_timeout: Duration,
    /// Makes the clients.
    pub client: MakeClient,
    /// Where events go.
    pub recorder: Arc<Recorder>,
    /// Counts the ops that have ended, for progress.
    pub tally: Arc<Tally>,
    /// How often a person asked for the end.
    pub interrupt: Interrupt,
}

/// Ops that have ended so far.
#[derive(Debug, Default)]
pub struct Tally {
    ok: AtomicU64,
    fail: AtomicU64,
    info: AtomicU64,
}

impl Tally {
    /// How many ended ok, fail, info.
    pub fn counts(&self) -> [u64; 3] {
        [&self.ok, &self.fail, &self.info].map(|n| n.load(Ordering::Relaxed))
    }
}

/// Why a phase ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The generator had nothing left.
    Done,
    /// Its time was over.
    Deadline,
    /// A person asked for it.
    Interrupted,
    /// Events could not be recorded: see [`Recorder::failure`].
    RecorderFailed,
}

/// The most completions taken at once: bounds the time between two looks at the generator.
const BATCH: usize = 256;

/// How much longer than an op's deadline the ops in flight at the end of a phase may take.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// Drives clients.
pub struct Interpreter {
    setup: Setup,
    workers: Vec<Worker>,
    completions: mpsc::UnboundedReceiver<Done>,
    done: mpsc::UnboundedSender<Done>,
    /// The process that each thread runs.
    processes: Vec<u64>,
    /// All threads, for [`Context::threads`].
    threads: Vec<u32>,
    /// The threads with nothing in flight, the one that waits longest first.
    free: Vec<u32>,
    /// What each thread has in flight.
    in_flight: Vec<Option<Job>>,
    /// The ops asked so far.
    asked: u64,
}

/// A task that owns the client of one thread.
struct Worker {
    jobs: mpsc::UnboundedSender<Job>,
    task: JoinHandle<()>,
}

/// An op on its way to a worker.
#[derive(Clone)]
struct Job {
    /// Its number in this run, so that an answer that comes too late is not taken for that of a later op.
    number: u64,
    invocation: Arc<Invocation>,
}

/// What a worker sends back.
struct Done {
    thread: u32,
    number: u64,
    completion: Completion,
}

impl Interpreter {
    /// Starts the workers. Must be called inside a tokio runtime.
    pub fn new(setup: Setup) -> Interpreter {
        assert!(!setup.cluster.is_empty() && setup.concurrency > 0, "a test has nodes and clients");
        let (done, completions) = mpsc::unbounded_channel();
        let threads: Vec<u32> = (0..setup.concurrency).collect();
        let workers = threads.iter().map(|&thread| Worker::start(&setup, thread, done.clone())).collect();
        Interpreter {
            processes: threads.iter().map(|&thread| u64::from(thread)).collect(),
            free: threads.clone(),
            in_flight: vec![None; threads.len()],
            asked: 0,
            threads,
            workers,
            completions,
            done,
            setup,
        }
    }

    /// Runs one phase: asks what `generator` wants until it is done or `until` is reached (a time of the recorder's clock),
    /// then waits for what is in flight. What does not come back in time is recorded as unknown.
    pub async fn run(&mut self, generator: &mut dyn Generator, until: u64) -> Ended {
        let ended = self.ask(generator, until).await;
        self.drain(generator).await;
        ended
    }

    async fn ask(&mut self, generator: &mut dyn Generator, until: u64) -> Ended {
        let interrupt = self.setup.interrupt.clone();
        let asked_before = interrupt.times();
        let clock = *self.setup.recorder.clock();
        loop {
            if self.setup.recorder.failure().is_some() {
                return Ended::RecorderFailed;
            }
            if interrupt.times() > asked_before {
                return Ended::Interrupted;
            }
            let now = clock.now_ns();
            if now >= until {
                return Ended::Deadline;
            }
            let wake = match generator.next(&self.context(now)) {
                Next::Op { thread, invocation } => {
                    self.invoke(generator, thread, invocation);
                    // Completions first: what they free may be asked for next, and their events should not wait.
                    self.take_ready(generator);
                    continue;
                }
                Next::Pending { until: Some(at) } => at.min(until),
                Next::Pending { until: None } => until,
                Next::Done => return Ended::Done,
            };
            tokio::select! {
                biased;
                Some(done) = self.completions.recv() => {
                    self.complete(generator, done);
                    self.take_ready(generator);
                }
                () = sleep_until(Instant::from_std(clock.instant(wake))) => {}
                () = interrupt.reached(asked_before + 1) => {}
            }
        }
    }

    /// Waits for the ops in flight, for at most an op's deadline and a little more.
    async fn drain(&mut self, generator: &mut dyn Generator) {
        let deadline = Instant::now() + self.setup.op_timeout + DRAIN_GRACE;
        while self.free.len() < self.threads.len() {
            tokio::select! {
                biased;
                Some(done) = self.completions.recv() => self.complete(generator, done),
                () = sleep_until(deadline) => break,
            }
        }
        for thread in 0..self.setup.concurrency {
            if let Some(number) = self.in_flight[thread as usize].as_ref().map(|job| job.number) {
                // The worker is stuck in a client that keeps its thread to itself: give both up, and start anew.
                let fresh = Worker::start(&self.setup, thread, self.done.clone());
                std::mem::replace(&mut self.workers[thread as usize], fresh).task.abort();
                let error = OpError::new("drain", "no answer when the phase ended");
                self.complete(generator, Done { thread, number, completion: Completion::Info(error) });
            }
        }
    }

    fn take_ready(&mut self, generator: &mut dyn Generator) {
        for _ in 0..BATCH {
            match self.completions.try_recv() {
                Ok(done) => self.complete(generator, done),
                Err(_) => break,
            }
        }
    }

    fn context(&self, now: u64) -> Context<'_> {
        Context { now, free: &self.free, threads: &self.threads, processes: &self.processes, nodes: self.setup.cluster.len() as u32 }
    }

    fn invoke(&mut self, generator: &mut dyn Generator, thread: u32, invocation: Invocation) {
        let place = self.free.iter().position(|&t| t == thread).expect("a generator picks one of the free threads");
        self.free.remove(place);
        let now = self.record(thread, Kind::Invoke, invocation.f, &invocation.value, None);
        generator.update(now, &Event::Invoke(thread, &invocation));
        let job = Job { number: self.asked, invocation: Arc::new(invocation) };
        self.asked += 1;
        self.in_flight[thread as usize] = Some(job.clone());
        // A worker ends only with the interpreter; were it gone, the drain would end the op as unknown.
        let _ = self.workers[thread as usize].jobs.send(job);
    }

    fn complete(&mut self, generator: &mut dyn Generator, done: Done) {
        let Done { thread, number, completion } = done;
        // An answer that comes after the drain gave its op up is dropped: that op has been recorded as unknown.
        let Some(Job { invocation, .. }) = self.in_flight[thread as usize].take_if(|job| job.number == number) else { return };
        let Tally { ok, fail, info } = &*self.setup.tally;
        let (kind, counter, value, error) = match &completion {
            Completion::Ok(value) => (Kind::Ok, ok, value, None),
            Completion::Fail(error) => (Kind::Fail, fail, &invocation.value, Some(error)),
            Completion::Info(error) => (Kind::Info, info, &invocation.value, Some(error)),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let now = self.record(thread, kind, invocation.f, value, error);
        if kind == Kind::Info {
            self.processes[thread as usize] += u64::from(self.setup.concurrency);
        }
        self.free.push(thread);
        generator.update(now, &Event::Complete(thread, &invocation, &completion));
    }

    fn record(&self, thread: u32, kind: Kind, f: &str, value: &Value, error: Option<&OpError>) -> u64 {
        let node = node_of(&self.setup.cluster, thread);
        self.setup.recorder.record(&Entry {
            process: Some(self.processes[thread as usize]),
            thread: Some(thread),
            node: Some(&node.name),
            kind,
            f,
            value,
            error,
        })
    }

    /// Ends the workers and their clients. Clients get a moment to say goodbye.
    pub async fn close(self) {
        let Interpreter { workers, setup, .. } = self;
        for Worker { jobs, mut task } in workers {
            drop(jobs);
            if timeout(setup.op_timeout, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

fn node_of(cluster: &Cluster, thread: u32) -> &Node {
    &cluster.nodes[thread as usize % cluster.len()]
}

impl Worker {
    fn start(setup: &Setup, thread: u32, done: mpsc::UnboundedSender<Done>) -> Worker {
        let (jobs, queue) = mpsc::unbounded_channel();
        let node = node_of(&setup.cluster, thread).clone();
        let task = tokio::spawn(work(thread, node, Arc::clone(&setup.client), setup.op_timeout, queue, done));
        Worker { jobs, task }
    }
}

/// The life of a worker: one client at a time, a new one after every op of unknown outcome.
async fn work(
    thread: u32,
    node: Node,
    make: MakeClient,
    op_timeout: Duration,
    mut queue: mpsc::UnboundedReceiver<Job>,
    done: mpsc::UnboundedSender<Done>,
) {
    let mut client: Option<Box<dyn Client>> = None;
    while let Some(Job { number, invocation }) = queue.recv().await {
        let completion = attempt(&mut client, &node, &make, op_timeout, &invocation).await;
        if matches!(completion, Completion::Info(_)) {
            client = None;
        }
        if done.send(Done { thread, number, completion }).is_err() {
            return;
        }
    }
    if let Some(mut client) = client {
        let _ = timeout(op_timeout, client.close()).await;
    }
}

/// One op: opens a client if there is none, and makes one attempt.
async fn attempt(
    client: &mut Option<Box<dyn Client>>,
    node: &Node,
    make: &MakeClient,
    op_timeout: Duration,
    invocation: &Invocation,
) -> Completion {
    let open = if let Some(open) = client {
        open
    } else {
        let mut fresh = make(node);
        // Nothing has been sent before a client is open: whatever goes wrong here, the op did not happen.
        match timeout(op_timeout, guarded(fresh.open())).await {
            Ok(Ok(Ok(()))) => client.insert(fresh),
            Ok(Ok(Err(error)) | Err(error)) => return Completion::Fail(error),
            Err(_) => return Completion::Fail(OpError::new("open-timeout", format!("no connection in {}", words(op_timeout)))),
        }
    };
    match timeout(op_timeout, guarded(open.invoke(invocation))).await {
        Ok(Ok(completion)) => completion,
        Ok(Err(panic)) => Completion::Info(panic),
        Err(_) => Completion::Info(OpError::new("timeout", format!("no reply in {}", words(op_timeout)))),
    }
}

/// A panic of a client is a fault of ours, but no reason to lose the run.
async fn guarded<T>(future: impl Future<Output = T>) -> Result<T, OpError> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
        OpError::new("client-panic", text.unwrap_or_default())
    })
}

fn words(timeout: Duration) -> String {
    crate::ui::format::duration(timeout)
}
