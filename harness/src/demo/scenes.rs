//! What happens in each row: a fault at the moment that matters, then a storm of faults under load, then quiet.
//!
//! A scene looks at what its clients see only to know whether its moment was met; if not, it tries again with another key. The
//! verdict comes from the history alone.

use super::object::Object;
use super::stage::{Session, Stage};
use histories::Value;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use workloads::client::Completion;
use workloads::generator::stream;
use workloads::systems::demo::Replication;
use workloads::systems::demo::scheme::lease_lock;

/// How often a scene tries to meet its moment.
const TRIES_MAX: usize = 300;

/// Tries, each time with a fresh key, until the moment was met.
fn until_met(stage: &Stage, mut attempt: impl FnMut(i64) -> anyhow::Result<bool>) -> anyhow::Result<()> {
    for _ in 0..TRIES_MAX {
        stage.go_on()?;
        if attempt(stage.fresh_key())? {
            return Ok(());
        }
    }
    anyhow::bail!("the moment of this scene did not come in {TRIES_MAX} tries")
}

/// A load and what it is hurt by.
struct Storm {
    /// Whether sessions stay with their node.
    sticky: bool,
    /// Whether wall clocks jump.
    clocks: bool,
    /// How long all that is on its way may take to arrive.
    quiet: Duration,
    /// What is asked.
    asks: Asks,
}

const STICKY: Storm = Storm { sticky: true, clocks: false, quiet: QUIET, asks: registers };

/// What a session asks next: where, of which key, and the last value that it read of it.
type Asks = fn(&mut Session<'_>, &mut ChaCha8Rng, usize, i64, Option<i64>) -> Completion;

/// Two sessions per node.
const SESSIONS_PER_NODE: usize = 2;
/// How long a session waits after each op, at most.
const THINK_MAX_MS: u64 = 12;
/// How long it waits after one that did not end ok: a node that is down refuses at once.
const REST: Duration = Duration::from_millis(40);
/// How long a fault lasts, and how long the gap is before the next.
const FAULT_MS: std::ops::Range<u64> = 150..300;
const GAP_MS: std::ops::Range<u64> = 50..120;
/// Ops of a session on a key before it takes the next: so that ops of unknown outcome are spread over many keys.
const OPS_PER_KEY: i64 = 40;

impl Storm {
    /// Every fault once, in an order drawn, while sessions on all nodes ask; then quiet, and every node is read.
    fn rage(&self, stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
        self.hit(stage, rng)?;
        end(stage, self.quiet)
    }

    fn hit(&self, stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
        let nodes = stage.cluster.len();
        let over = AtomicBool::new(false);
        let seed: u64 = rng.random();
        let base = stage.fresh_key();
        std::thread::scope(|scope| {
            for number in 0..nodes * SESSIONS_PER_NODE {
                let over = &over;
                scope.spawn(move || {
                    let mut rng = stream(seed, "session", number as u64);
                    self.load(stage, stage.session(), number % nodes, base, &mut rng, || over.load(Ordering::Relaxed));
                });
            }
            let raged = self.faults(stage, rng);
            over.store(true, Ordering::Relaxed);
            raged
        })
    }

    fn faults(&self, stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
        let nodes = stage.cluster.len();
        let mut faults = vec![0, 1, 2, 3];
        if self.clocks {
            faults.push(4);
        }
        for _ in 0..faults.len() {
            nap(rng.random_range(GAP_MS));
            stage.go_on()?;
            let fault = faults.swap_remove(rng.random_range(0..faults.len()));
            let node = rng.random_range(0..nodes);
            let other = (node + rng.random_range(1..nodes)) % nodes;
            let lasts = rng.random_range(FAULT_MS);
            match fault {
                0 => {
                    stage.partition(&[&[node]])?;
                    nap(lasts);
                    stage.heal()?;
                }
                1 => {
                    stage.partition(&[&[node, other]])?;
                    nap(lasts);
                    stage.heal()?;
                }
                2 => {
                    stage.kill(node)?;
                    nap(lasts);
                    stage.start(node)?;
                }
                3 => {
                    stage.pause(node)?;
                    nap(lasts);
                    stage.resume(node)?;
                }
                _ => {
                    stage.clock(node, rng.random_range(-5_000..5_000))?;
                    nap(lasts);
                    stage.clock(node, 0)?;
                }
            }
        }
        nap(rng.random_range(GAP_MS));
        Ok(())
    }

    /// One session's ops, until all is over.
    fn load(&self, stage: &Stage, mut session: Session<'_>, home: usize, base: i64, rng: &mut ChaCha8Rng, over: impl Fn() -> bool) {
        // Keys far above those of the scene, two in use at a time, shared by all sessions.
        let mut count = 0;
        let mut seen = None;
        while !over() && !stage.is_over() {
            let key = LOAD_KEYS + base * 1_000 + (count / OPS_PER_KEY) * 2 + rng.random_range(0..2);
            count += 1;
            let node = if self.sticky { home } else { rng.random_range(0..stage.cluster.len()) };
            let last = seen.filter(|(of, _)| *of == key).map(|(_, value)| value);
            let completion = (self.asks)(&mut session, rng, node, key, last);
            if let Completion::Ok(value) = &completion {
                seen = value.elements().and_then(|pair| pair[1].as_int()).map(|value| (key, value)).or(seen);
            }
            match completion {
                Completion::Ok(_) => nap(rng.random_range(0..THINK_MAX_MS)),
                _ => std::thread::sleep(REST),
            }
        }
    }
}

/// Reads and writes, and compare-and-set where clients rely on it.
fn registers(session: &mut Session<'_>, rng: &mut ChaCha8Rng, node: usize, key: i64, last: Option<i64>) -> Completion {
    let value = session.stage.fresh_value();
    match (rng.random_range(0..8), last) {
        (0..4, _) => session.ask(node, "read", key, Value::Nil),
        (4, Some(old)) if !session.stage.is_object(Object::Register) => session.ask(node, "cas", key, Value::pair(old, value)),
        _ => session.ask(node, "write", key, value),
    }
}

/// Reads and additions of small numbers, less than nothing too where that is offered.
fn counters(session: &mut Session<'_>, rng: &mut ChaCha8Rng, node: usize, key: i64, _: Option<i64>) -> Completion {
    let low = if session.stage.is_scheme(Replication::PnCounter) { -5 } else { 1 };
    if rng.random_bool(0.5) { session.ask(node, "read", key, Value::Nil) } else { session.ask(node, "add", key, rng.random_range(low..=5)) }
}

/// Reads of the whole, additions of elements, and removals of some where they are offered.
fn sets(session: &mut Session<'_>, rng: &mut ChaCha8Rng, node: usize, key: i64, _: Option<i64>) -> Completion {
    match rng.random_range(0..8) {
        0..3 => session.ask(node, "read", key, Value::Nil),
        3 if session.stage.offers("remove") => session.ask(node, "remove", key, rng.random_range(0..20)),
        4 if session.stage.offers("remove") => session.ask(node, "add", key, rng.random_range(0..20)),
        _ => session.ask(node, "add", key, 100 + session.stage.fresh_value()),
    }
}

/// The first key of a load.
const LOAD_KEYS: i64 = 1_000_000;

fn nap(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Time for what is on its way to arrive.
const QUIET: Duration = Duration::from_millis(500);

/// The end of every scene: the last update, quiet, and the final reads.
fn end(stage: &Stage, quiet: Duration) -> anyhow::Result<()> {
    stage.await_ready()?;
    stage.last_update()?;
    std::thread::sleep(quiet);
    stage.final_reads()
}

/// Only the storm: for schemes that keep everything.
pub(super) fn storm_alone(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    STICKY.rage(stage, rng)
}

/// A follower of the log is cut off: it reads what was.
pub(super) fn total_order(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let (mut writer, mut reader) = (stage.session(), stage.session());
    stage.partition(&[&[0, 1], &[2]])?;
    until_met(stage, |key| {
        let written = writer.does(1, "write", key, stage.fresh_value());
        Ok(written && reader.read(2, key) == Some(Value::Nil))
    })?;
    stage.heal()?;
    STICKY.rage(stage, rng)
}

/// Two nodes deliver two concurrent writes in opposite orders.
pub(super) fn causal_broadcast(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let mut sessions = [stage.session(), stage.session()];
    until_met(stage, |key| {
        let values = [stage.fresh_value(), stage.fresh_value()];
        stage.partition(&[&[0], &[1], &[2]])?;
        let mut written = true;
        for node in [0, 1] {
            written &= sessions[node].does(node, "write", key, values[node]);
            written &= sessions[node].read(node, key) == Some(Value::Int(values[node]));
        }
        stage.heal()?;
        for node in [0, 1] {
            let other = Some(Value::Int(values[1 - node]));
            stage.until("the delivery of a concurrent write", || sessions[node].read(node, key) == other)?;
        }
        Ok(written)
    })?;
    STICKY.rage(stage, rng)
}

/// A write that loses against a concurrent one is never seen, and the writes around it are.
pub(super) fn causal_convergent(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let (mut loser, mut winner) = (stage.session(), stage.session());
    until_met(stage, |before| {
        let (key, after) = (stage.fresh_key(), stage.fresh_key());
        let values = [(); 4].map(|()| stage.fresh_value());
        stage.partition(&[&[0], &[1], &[2]])?;
        let mut met =
            [(before, values[0]), (key, values[1]), (after, values[2])].into_iter().all(|(key, value)| loser.does(0, "write", key, value));
        // Enough writes to be ahead in Lamport time.
        let ahead = stage.fresh_key();
        met &= (0..10).all(|_| winner.does(1, "write", ahead, stage.fresh_value()));
        met &= winner.does(1, "write", key, values[3]) && winner.read(1, before) == Some(Value::Nil);
        stage.heal()?;
        stage.until("the delivery of concurrent writes", || winner.read(1, after) == Some(Value::Int(values[2])))?;
        Ok(met && winner.read(1, key) == Some(Value::Int(values[3])))
    })?;
    STICKY.rage(stage, rng)
}

/// A value is written by a clock that is an hour ahead, and overwritten by one that is right.
pub(super) fn multi_leader(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    const HOUR_MS: i64 = 3_600_000;
    let (mut ahead, mut right) = (stage.session(), stage.session());
    stage.clock(0, HOUR_MS)?;
    until_met(stage, |key| {
        let first = stage.fresh_value();
        let written = ahead.does(0, "write", key, first);
        stage.until("a write's arrival", || right.read(1, key) == Some(Value::Int(first)))?;
        let overwritten = right.does(1, "write", key, stage.fresh_value());
        Ok(written && overwritten && right.read(1, key) == Some(Value::Int(first)))
    })?;
    stage.clock(0, 0)?;
    Storm { clocks: true, ..STICKY }.rage(stage, rng)
}

/// While a write is on its way to the replicas, a client reads it from one majority, and from another one it does not.
pub(super) fn quorum_no_repair(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let (mut writer, mut reader) = (stage.session(), stage.session());
    until_met(stage, |key| {
        let value = stage.fresh_value();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                writer.does(0, "write", key, value);
                done.store(true, Ordering::SeqCst);
            });
            let mut was_there = false;
            while !done.load(Ordering::SeqCst) {
                match reader.read(2, key) {
                    Some(Value::Int(_)) => was_there = true,
                    Some(_) if was_there => return Ok(true),
                    _ => {}
                }
            }
            Ok(false)
        })
    })?;
    STICKY.hit(stage, rng)?;
    half_written(stage)?;
    end(stage, QUIET)
}

/// How many writes are cut off half-way, at least, and how many at once.
const HALF_WRITTEN: usize = 12;

/// The first node asks the others for versions, and is not heard any more when it tells them what to store: from now on it depends
/// on who answers first whether a read sees these writes. The moment was met by a write of unknown outcome: of one that had found
/// no majority in its first phase it is known that it did not happen.
fn half_written(stage: &Stage) -> anyhow::Result<()> {
    let half = AtomicUsize::new(0);
    until_met(stage, |_| {
        stage.slow(0, &[1, 2], 150)?;
        std::thread::scope(|scope| {
            for _ in 0..HALF_WRITTEN {
                scope.spawn(|| {
                    let completion = stage.session().ask(0, "write", stage.fresh_key(), stage.fresh_value());
                    half.fetch_add(usize::from(matches!(completion, Completion::Info(_))), Ordering::SeqCst);
                });
            }
            std::thread::sleep(Duration::from_millis(60));
            stage.mute(0, &[1, 2])
        })?;
        stage.slow(0, &[1, 2], 0)?;
        stage.heal()?;
        Ok(half.load(Ordering::SeqCst) >= HALF_WRITTEN)
    })
}

/// A client writes through its follower, and asks it before the write has come back there.
pub(super) fn async_primary_sticky(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let mut session = stage.session();
    until_met(stage, |key| Ok(session.does(2, "write", key, stage.fresh_value()) && session.read(2, key) == Some(Value::Nil)))?;
    STICKY.rage(stage, rng)
}

/// A client goes on at a follower that is cut off.
pub(super) fn async_primary(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let mut session = stage.session();
    stage.partition(&[&[0, 1], &[2]])?;
    until_met(stage, |key| {
        let written = session.does(0, "write", key, stage.fresh_value());
        Ok(written && session.read(0, key).is_some_and(|value| value != Value::Nil) && session.read(2, key) == Some(Value::Nil))
    })?;
    stage.heal()?;
    Storm { sticky: false, ..STICKY }.rage(stage, rng)
}

/// A client writes through stand-ins, and reads at the homes as soon as they are back.
pub(super) fn sloppy_quorum(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let mut session = stage.session();
    until_met(stage, |key| {
        // Its homes are the first three nodes.
        if key % 5 != 0 {
            return Ok(false);
        }
        stage.partition(&[&[0, 1, 2], &[3, 4]])?;
        let written = session.does(3, "write", key, stage.fresh_value());
        let read = session.read(3, key).is_some_and(|value| value != Value::Nil);
        stage.heal()?;
        Ok(written && read && session.read(3, key) == Some(Value::Nil))
    })?;
    // Hints are handed on, and homes tell each other what they hold.
    Storm { quiet: Duration::from_millis(2_500), ..STICKY }.rage(stage, rng)
}

/// Each side of a partition counts what it knows.
pub(super) fn counter(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let mut sessions = [stage.session(), stage.session()];
    stage.partition(&[&[0], &[1], &[2]])?;
    until_met(stage, |key| {
        let mut met = true;
        for node in [0, 1] {
            met &= sessions[node].does(node, "add", key, 1) && sessions[node].read(node, key) == Some(Value::Int(1));
        }
        Ok(met)
    })?;
    stage.heal()?;
    Storm { asks: counters, ..STICKY }.rage(stage, rng)
}

/// Each side of a partition knows its own elements.
pub(super) fn set(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let mut sessions = [stage.session(), stage.session()];
    stage.partition(&[&[0], &[1], &[2]])?;
    until_met(stage, |key| {
        let mut met = true;
        for node in [0, 1] {
            let element = node as i64;
            met &= sessions[node].does(node, "add", key, element);
            met &= sessions[node].read(node, key) == Some(Value::Vector(vec![Value::Int(element)]));
        }
        Ok(met)
    })?;
    stage.heal()?;
    Storm { asks: sets, ..STICKY }.rage(stage, rng)
}

/// On one side of a partition an element is removed and added again; another one is added on both sides and removed on one of them.
/// In the end it tells the types of sets apart: where removals are final neither is there, where they remove what they saw both are.
pub(super) fn set_with_removals(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    const AGAIN: i64 = 0;
    const BOTH: i64 = 1;
    let [mut here, mut there] = [stage.session(), stage.session()];
    stage.partition(&[&[0], &[1], &[2]])?;
    until_met(stage, |key| {
        let does = |session: &mut Session<'_>, node: usize, calls: &[(&'static str, i64)]| {
            calls.iter().all(|&(f, element)| session.does(node, f, key, element))
        };
        let met = does(&mut here, 0, &[("add", AGAIN), ("add", BOTH)]) && does(&mut there, 1, &[("add", BOTH)]);
        let met = met && does(&mut here, 0, &[("remove", AGAIN), ("remove", BOTH), ("add", AGAIN)]);
        Ok(met && there.read(1, key) == Some(Value::Vector(vec![Value::Int(BOTH)])) && here.read(0, key).is_some())
    })?;
    stage.heal()?;
    Storm { asks: sets, ..STICKY }.rage(stage, rng)
}

/// The longest that a paused holder of a lock sleeps beyond its lease.
const OVERSLEPT: Duration = Duration::from_millis(200);

/// The holder of a lock is paused in the middle of its critical section, past its lease, while another one gets in.
pub(super) fn paused_holder(stage: &Stage, rng: &mut ChaCha8Rng) -> anyhow::Result<()> {
    let fenced = stage.is_scheme(Replication::FencedLock);
    until_met(stage, |key| {
        let (mut holder, mut other) = (stage.session(), stage.session());
        let first = stage.fresh_value();
        if !holder.does(0, "write", key, first) {
            return Ok(false);
        }
        let values = [stage.fresh_value(), stage.fresh_value()];
        let [late, early] = std::thread::scope(|scope| {
            let holder = scope.spawn(|| holder.does(2, "cas", key, Value::pair(first, values[0])));
            std::thread::sleep(lease_lock::WORK / 2);
            stage.pause(2)?;
            std::thread::sleep(lease_lock::LEASE);
            let early = other.does(0, "cas", key, Value::pair(first, values[1]));
            std::thread::sleep(OVERSLEPT);
            stage.resume(2)?;
            let late = holder.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            anyhow::Ok([late, early])
        })?;
        // The moment was met if the other one was let in while the first one slept.
        Ok(early && late != fenced)
    })?;
    STICKY.rage(stage, rng)
}

/// A client holds a lock for longer than its lease.
pub(super) fn overdue_holder(stage: &Stage, _: &mut ChaCha8Rng) -> anyhow::Result<()> {
    until_met(stage, |key| {
        let (mut holder, mut other) = (stage.session(), stage.session());
        let Completion::Ok(lock) = holder.ask(2, "acquire", key, Value::Nil) else { return Ok(false) };
        let Completion::Ok(second) = other.ask(1, "acquire", key, Value::Nil) else { return Ok(false) };
        for (session, node, lock) in [(&mut holder, 2, lock), (&mut other, 1, second)] {
            if let Some([_, token]) = lock.elements() {
                session.ask(node, "release", key, token.clone());
            }
        }
        Ok(true)
    })
}
