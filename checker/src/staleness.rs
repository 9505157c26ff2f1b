//! How stale: by how many writes, by how much time, and how long writes stayed unseen.
//!
//! Not a verdict on a promise but a measurement of how far a history is from being linearizable. Each key is an object of its own.
//!
//! - **k** (k-atomicity, Aiyer, Alvisi and Bazzi 2005): the smallest k such that one order of all ops, in which every op takes effect
//!   between its invocation and its completion, lets each read return one of the k latest writes. k = 1 is linearizable. See
//!   `versions`.
//! - **t** (Δ-atomicity, Golab, Li and Shah 2011): the smallest t such that the history is linearizable if every read may take
//!   effect up to t before it was invoked: no read is staler than t. See `time`.
//! - **The window** of each acknowledged write: until how long after its acknowledgement a read was invoked that had not seen it
//!   yet. See `window`.
//!
//! k and t are for registers: reads and writes; a cas counts as a write of its new value. Windows are also for sets and lists.
//! Times are those of the history; where they run backwards in the file, the latest one so far is taken.
//!
//! **Repeated values**: where a value is written more than once nobody knows which write a read returned. Then k and t are bounds:
//! at least what the values of one write show, at most what is found if each read is taken to have returned the latest write of
//! its value.

mod cell;
mod latest;
mod time;
mod versions;
mod window;

use crate::budget::{Account, Budget, Limit};
use crate::check::{located, notes_on_keys, refusal};
use crate::convergence::decode::Objects;
use crate::linear::problem::Unread;
use crate::options::Options;
use crate::verdict::Reason;
use cell::{Cell, Clock};
use histories::keyed::{KeyOps, Keys};
use histories::{History, OpId, ValueId};
use latest::Latest;
use rayon::prelude::*;

/// A number that is known, or between what it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Bounds {
    /// It is at least this.
    pub least: u64,
    /// It is at most this.
    pub most: u64,
}

impl Bounds {
    fn exact(n: u64) -> Bounds {
        Bounds { least: n, most: n }
    }

    /// Whether it is known.
    pub fn is_exact(self) -> bool {
        self.least == self.most
    }

    /// The larger of two.
    fn max(self, other: Bounds) -> Bounds {
        Bounds { least: self.least.max(other.least), most: self.most.max(other.most) }
    }
}

/// How long acknowledged writes stayed unseen, in nanoseconds: 0 for one that every later read saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Of each acknowledged write that a later read could have seen, sorted.
    pub sorted_ns: Vec<u64>,
    /// Acknowledged writes that nobody read after: nothing is known of them.
    pub untested: usize,
    /// The writes of acknowledged elements that the last read did not see either: they are lost, or still on their way. Of registers
    /// there are none: another write may hide it.
    pub unseen: Vec<OpId>,
    /// The write that stayed unseen for the longest time, and the last read that had not seen it.
    pub longest: Option<(OpId, OpId)>,
}

impl Windows {
    /// The window that this many of a thousand writes do not exceed, by the nearest rank; `None` if there are none.
    pub fn per_mille(&self, n: u64) -> Option<u64> {
        let rank = (self.sorted_ns.len() as u64 * n).div_ceil(1000).max(1);
        self.sorted_ns.get(rank as usize - 1).copied()
    }

    fn add(&mut self, other: &Windows) {
        if other.sorted_ns.last() > self.sorted_ns.last() || self.longest.is_none() {
            self.longest = other.longest;
        }
        self.sorted_ns.extend(&other.sorted_ns);
        self.untested += other.untested;
        self.unseen.extend(&other.unseen);
    }
}

/// What was measured of one key, or of all.
#[derive(Clone, Debug)]
pub struct KeyStaleness {
    /// The key, if there are keys; `None` for all together.
    pub key: Option<ValueId>,
    /// Its ops.
    pub ops: usize,
    /// k; or why there is none.
    pub versions: Result<Bounds, String>,
    /// A read that is that stale by what lies between it and its write, if one shows it alone.
    pub stalest_by_versions: Option<OpId>,
    /// t in nanoseconds; or why there is none.
    pub time_ns: Result<Bounds, String>,
    /// A read that is that stale.
    pub stalest_by_time: Option<OpId>,
    /// The windows; or why there are none.
    pub windows: Result<Windows, String>,
    /// Values that were written more than once.
    pub repeated: usize,
}

/// What was measured of a history.
#[derive(Clone, Debug)]
pub struct Staleness {
    /// The model that its ops were read by.
    pub model: String,
    /// Whether it was split by key.
    pub keyed: bool,
    /// Why nothing was measured, if so.
    pub reason: Option<Reason>,
    /// All keys together: the largest k and t, and the windows of all writes.
    pub all: KeyStaleness,
    /// Each key, in order of first appearance.
    pub keys: Vec<KeyStaleness>,
    /// What was assumed, in sentences for the user.
    pub notes: Vec<String>,
}

/// Measures how stale the reads of a history are. O(n log n) times the bits of the longest time; and, where k lies between bounds,
/// a search for each k between them, which takes as many steps as the budget allows.
///
/// # Errors
/// A model of which this is not defined, or ops that it cannot read: a sentence.
pub fn measure(history: &History, options: &Options, budget: &Budget) -> Result<Staleness, String> {
    options.fit()?;
    let keys = Keys::split(history, options.keyed);
    let objects = Objects::new(history, options, &keys)?;
    let mut told = Staleness {
        model: if options.model.is_empty() { objects.name().into() } else { options.model.clone() },
        keyed: keys.is_keyed(),
        reason: refusal(history),
        all: nothing("nothing was measured"),
        keys: Vec::new(),
        notes: objects.notes(options),
    };
    told.notes.extend(notes_on_keys(history, &keys));
    if told.reason.is_some() {
        return Ok(told);
    }
    let clock = Clock::new(history);
    told.notes.extend(clock.note());
    let model = Latest::new(history, options, 1);
    let found: Vec<Result<KeyStaleness, Failed>> =
        keys.groups().par_iter().map(|group| key(history, &keys, group, &objects, &model, &clock, budget)).collect();
    for result in found {
        match result {
            Ok(key) => told.keys.push(key),
            Err(Failed::Malformed(op, why)) => return Err(located(history, op, &why)),
            Err(Failed::Out(limit)) => told.reason = told.reason.or(Some(limit.reason(0, 0))),
        }
    }
    if told.reason.is_none() {
        told.all = together(&told.keys);
        let repeated: usize = told.keys.iter().map(|key| key.repeated).sum();
        if repeated > 0 {
            told.notes.push(format!(
                "{repeated} values were written more than once under one key, and nobody knows which write a read of them returned: what depends on that is told as bounds"
            ));
        }
    }
    Ok(told)
}

enum Failed {
    Malformed(OpId, String),
    Out(Limit),
}

impl From<Limit> for Failed {
    fn from(limit: Limit) -> Failed {
        Failed::Out(limit)
    }
}

impl From<Unread> for Failed {
    fn from(unread: Unread) -> Failed {
        match unread {
            Unread::Malformed(op, why) => Failed::Malformed(op, why),
            Unread::Out(limit) => Failed::Out(limit),
        }
    }
}

fn nothing(why: &str) -> KeyStaleness {
    KeyStaleness {
        key: None,
        ops: 0,
        versions: Err(why.into()),
        stalest_by_versions: None,
        time_ns: Err(why.into()),
        stalest_by_time: None,
        windows: Err(why.into()),
        repeated: 0,
    }
}

fn key(
    history: &History,
    keys: &Keys,
    group: &KeyOps,
    objects: &Objects<'_>,
    model: &Latest,
    clock: &Clock,
    budget: &Budget,
) -> Result<KeyStaleness, Failed> {
    let mut account = Account::new(budget);
    let untimed = || "the history has no times".to_owned();
    if objects.name() != "register" {
        let of_registers = format!("it is told of reads and writes, not of a {}", objects.name());
        let windows = match (&clock.times, objects.name()) {
            (None, _) => Err(untimed()),
            (_, "counter") => Err("the changes of a counter cannot be told apart in what is read".into()),
            (Some(times), _) => Ok(window::of_elements(history, group, objects, times, &mut account)?),
        };
        let found = nothing(&of_registers);
        return Ok(KeyStaleness { key: group.key, ops: group.ops.len(), windows, ..found });
    }
    let cell = Cell::new(history, keys, group, model, &mut account)?;
    let mut found = KeyStaleness { key: group.key, ops: group.ops.len(), repeated: cell.repeated, ..nothing("") };
    if let Some(op) = cell.impossible {
        let why = format!("{} read what nobody had written by then", crate::describe::who(history, op));
        found.versions = Err(why.clone());
        found.time_ns = Err(why);
    } else {
        let versions = versions::least(history, keys, group, model, &cell, budget)?;
        (found.versions, found.stalest_by_versions) = (Ok(versions.0), versions.1);
        if let Some(times) = &clock.times {
            let time = time::least(&cell, times, &mut account)?;
            (found.time_ns, found.stalest_by_time) = (time.0, time.1);
        }
    }
    if let Some(times) = &clock.times {
        found.windows = Ok(window::of_writes(&cell, times, &mut account)?);
    } else {
        (found.time_ns, found.windows) = (Err(untimed()), Err(untimed()));
    }
    Ok(found)
}

/// The worst of all keys.
fn together(keys: &[KeyStaleness]) -> KeyStaleness {
    let mut all = nothing("there is no key");
    all.ops = keys.iter().map(|key| key.ops).sum();
    all.repeated = keys.iter().map(|key| key.repeated).sum();
    let worst = |of: fn(&KeyStaleness) -> &Result<Bounds, String>| {
        keys.iter().map(of).cloned().reduce(|a, b| a.and_then(|a| b.map(|b| a.max(b)))).unwrap_or(Err("there is no key".into()))
    };
    all.versions = worst(|key| &key.versions);
    all.time_ns = worst(|key| &key.time_ns);
    let stalest = |of: fn(&KeyStaleness) -> &Result<Bounds, String>| {
        keys.iter().filter(|key| of(key).is_ok()).max_by_key(|key| of(key).as_ref().map_or(0, |bounds| bounds.least))
    };
    all.stalest_by_versions = stalest(|key| &key.versions).and_then(|key| key.stalest_by_versions);
    all.stalest_by_time = stalest(|key| &key.time_ns).and_then(|key| key.stalest_by_time);
    let mut windows = Windows::default();
    for key in keys {
        match &key.windows {
            Ok(more) => windows.add(more),
            Err(why) => {
                all.windows = Err(why.clone());
                return all;
            }
        }
    }
    windows.sorted_ns.sort_unstable();
    all.windows = Ok(windows);
    all
}
