//! How many ops a second the interpreter drives through clients that answer at once, recorded to disk.
//!
//! `cargo bench -p rashomon-harness` prints a table and fails below [`WANTED`]. `RASHOMON_BENCH_DIR` names the directory that
//! is written to (default: the system's directory for temporary files).

#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use histories::Value;
use histories::history::Meta;
use nemesis::{Cluster, Node};
use rashomon_harness::runner::clock::Clock;
use rashomon_harness::runner::interpreter::{Interpreter, MakeClient, Setup};
use rashomon_harness::runner::interrupt::Interrupt;
use rashomon_harness::runner::recorder::Recorder;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use workloads::client::{Client, Completion, Invocation, OpError};
use workloads::generator::{Context, Generator, Next};

/// Ops a second below which this fails: what a run of the fastest stores on a local network needs.
const WANTED: f64 = 50_000.0;

/// The length of one measurement.
const LENGTH: Duration = Duration::from_secs(3);

/// Answers every op at once.
struct Echo;

impl Client for Echo {
    fn open(&mut self) -> BoxFuture<'_, Result<(), OpError>> {
        async { Ok(()) }.boxed()
    }

    fn invoke<'a>(&'a mut self, op: &'a Invocation) -> BoxFuture<'a, Completion> {
        async { Completion::Ok(op.value.clone()) }.boxed()
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        async {}.boxed()
    }
}

/// Asks as fast as threads become free: a read, a write, ..., of a hundred keys in turn.
struct Flood {
    asked: i64,
}

impl Generator for Flood {
    fn next(&mut self, context: &Context<'_>) -> Next {
        let Some(&thread) = context.free.first() else { return Next::Pending { until: None } };
        self.asked += 1;
        let key = self.asked % 100;
        let (f, value) = if self.asked % 2 == 0 { ("read", Value::Nil) } else { ("write", Value::Int(self.asked)) };
        Next::Op { thread, invocation: Invocation { f, value: Value::pair(key, value) } }
    }
}

fn main() {
    let directory = std::env::var_os("RASHOMON_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let directory = tempfile::tempdir_in(directory).expect("a directory to write to");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!("{:>8}  {:>10}  {:>12}  {:>10}", "clients", "ops/s", "bytes/s", "ops");
    let mut slowest = f64::INFINITY;
    for clients in [2, 10, 100] {
        let path = directory.path().join(format!("history-{clients}.jsonl"));
        let (ops, took) =
            runtime.block_on(async { tokio::spawn(measure(path.clone(), clients)).await.expect("the interpreter does not panic") });
        let bytes = std::fs::metadata(&path).expect("the history is there").len();
        let rate = ops as f64 / took.as_secs_f64();
        println!("{clients:>8}  {rate:>10.0}  {:>12.0}  {ops:>10}", bytes as f64 / took.as_secs_f64());
        slowest = slowest.min(rate);
    }
    assert!(slowest >= WANTED, "{slowest:.0} ops/s are fewer than {WANTED:.0}");
}

/// Runs one flood and returns the ops and the time from the first to the sealed history.
async fn measure(path: PathBuf, concurrency: u32) -> (u64, Duration) {
    let nodes: Arc<[Node]> =
        (0..5).map(|index| Node { index, name: format!("n{}", index + 1), address: "127.0.0.1".into() }).collect::<Vec<_>>().into();
    let start = Instant::now();
    let recorder = Recorder::create(&path, &Meta::default(), Clock::start()).expect("a history can be written");
    let recorder = Arc::new(recorder);
    let client: MakeClient = Arc::new(|_| Box::new(Echo));
    let setup = Setup {
        cluster: Cluster { nodes },
        concurrency,
        op_timeout: Duration::from_secs(1),
        client,
        recorder: Arc::clone(&recorder),
        tally: Arc::default(),
        interrupt: Interrupt::none(),
    };
    let mut interpreter = Interpreter::new(setup);
    interpreter.run(&mut Flood { asked: 0 }, LENGTH.as_nanos() as u64).await;
    interpreter.close().await;
    let events = recorder.events();
    Arc::into_inner(recorder).expect("all others are gone").seal().expect("the history is sealed");
    (events / 2, start.elapsed())
}
