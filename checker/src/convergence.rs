//! Eventual consistency: when the updates have ended, do all replicas tell the same story?
//!
//! # The definition
//! "If no new updates are made, eventually all accesses return the last updated value" (Vogels 2009); as a property of what was
//! recorded it is quiescent consistency (Burckhardt 2014, section 5.3): *one* order of the updates explains what everybody
//! reads in the end. Here:
//!
//! - An **update** is an op that changes the object and did not fail. It ends with its completion; one of unknown outcome when
//!   its client gave up, or where that is not recorded, with its invocation.
//! - The **final reads** are the `ok` reads of the whole object that were invoked after the last update *of the whole history*
//!   had ended: of each process and object the last such read.
//! - An object **converged** if there is an order of its updates, *any* order, be it against the time or the order of a
//!   session, that contains each acknowledged update once, each of unknown outcome at most once and no other, in which each cas
//!   finds the value that it replaces, and after which the object holds what every final read returned.
//! - **One execution happened**: every other `ok` read by itself returned what some of the updates in that order, that were invoked
//!   before the read completed, leave in some order. A read may miss what was acknowledged, until the end; but what it
//!   returned had been put there, and is not undone by nobody. (Of a string that is appended to this is not asked.)
//!
//! So final reads agree with each other; nothing is read that was never attempted, nothing twice; and what was acknowledged
//! is there unless another update may have replaced or removed it. For a register that is: one of the values written, or the
//! initial one if no write was acknowledged. For a set: each element whose add was acknowledged and that nobody tried to
//! remove; this is what all replicated sets have in common, whether an element can come back (observed-remove) or not
//! (two-phase). For a list, each append once, in the same order. For a counter, the sum of all acknowledged changes and of some of unknown outcome.
//!
//! **What is assumed**: the pause before the final reads was long enough, and an update of unknown outcome took effect before it or
//! never. The verdict's notes tell how long it was. **What is needed**: a final read of every object at every node that clients
//! talked to; where the history names no nodes, by every process that did not end with an unknown outcome. Where one is
//! missing, nothing contradicts convergence and nothing shows it: unknown.
//!
//! A **replicated data type** (g-set, 2p-set, or-set, g-counter, pn-counter) says more: what each remove takes away. See [`replicated`].
//!
//! Transactions are not asked to be atomic: one that reads a register and writes it is a read and a write.
//!
//! Unlike the order of a session, convergence is local: an object converges or not, whatever the others do.

mod compare;
mod conditional;
pub(crate) mod decode;
mod explain;
mod replicated;
mod rules;
mod sums;
mod written;

use crate::budget::{Account, Budget, Limit};
use crate::certify::convergence;
use crate::certify::convergence::Claims;
use crate::check::{located, notes_on_keys, refusal};
use crate::options::Options;
use crate::text::{many, seconds};
use crate::verdict::{Answer, Counterexample, KeyVerdict, Reason, Summary, Verdict, Witness};
use compare::{Found, Wrong};
use decode::{Act, DataType, Fact, Objects, Seen, Shape};
use hashbrown::HashMap;
use histories::history::NO_EVENT;
use histories::keyed::Keys;
use histories::{History, OpId, Outcome, Process, ValueId};
use rayon::prelude::*;
use rustc_hash::FxBuildHasher;
use std::fmt::Write;
use std::sync::atomic::Ordering;

/// An update of an object.
#[derive(Clone, Copy, Debug)]
struct Update {
    op: OpId,
    act: Act,
    /// Whether it was acknowledged.
    is_done: bool,
}

/// The last read of a process.
#[derive(Clone, Debug)]
struct FinalRead {
    op: OpId,
    process: Process,
    seen: Seen,
}

/// All that concerns one object.
#[derive(Debug)]
struct Object {
    key: ValueId,
    ops: Vec<OpId>,
    updates: Vec<Update>,
    /// Updates that failed.
    failed: Vec<(OpId, Act)>,
    /// Writes that their own transaction replaced.
    passing: Vec<Update>,
    /// In the order of the processes' last reads.
    reads: Vec<FinalRead>,
    /// Ops with all other `ok` reads.
    early: Vec<OpId>,
}

impl Object {
    /// What an op found there: several times, if it is a transaction.
    fn seen(&self, history: &History, objects: &Objects<'_>, read: OpId) -> Vec<Seen> {
        let mut facts = Vec::new();
        // An op that cannot be read was refused before.
        if objects.decode(history, read, false, &mut facts).is_err() {
            return Vec::new();
        }
        let seen = facts.into_iter().filter(|fact| fact.0 == self.key);
        seen.filter_map(|(_, fact)| if let Fact::Read(seen) = fact { Some(seen) } else { None }).collect()
    }
}

/// Where a final read is needed.
struct Sites {
    /// Whether they are nodes, not processes.
    are_nodes: bool,
    names: Vec<String>,
    /// The site of each process, if it has one.
    of: Vec<Option<u32>>,
}

/// See [`crate::check()`].
pub(crate) fn check(history: &History, options: &Options, budget: &Budget) -> Result<Verdict, String> {
    let keys = Keys::split(history, options.keyed);
    let objects = Objects::new(history, options, &keys)?;
    let mut verdict = Verdict {
        consistency: crate::Consistency::Eventual.name(),
        model: if options.model.is_empty() { objects.name().into() } else { options.model.clone() },
        keyed: keys.is_keyed(),
        answer: Summary::Unknown,
        reason: refusal(history),
        keys: Vec::new(),
        notes: objects.notes(options),
    };
    if let Some(DataType::TwoPhaseSet | DataType::ObservedRemoveSet) = objects.data_type {
        verdict.notes.push("a remove is taken to have seen what its own process had added or read before".into());
    }
    if objects.unjudged_failure(history) {
        verdict
            .notes
            .push("a failed cas is a read before the end, which may have missed any update: it is not held against anything".into());
    }
    verdict.notes.extend(notes_on_keys(history, &keys));
    if verdict.reason.is_none() && !history.has_processes() {
        verdict.reason = Some(Reason::History("it records no processes, so nobody knows who read what in the end".into()));
    }
    if verdict.reason.is_some() {
        return Ok(verdict);
    }
    let mut account = Account::new(budget);
    let (found, end) = match gather(history, &objects, &mut account) {
        Ok(found) => found,
        Err(Ended::Malformed(op, why)) => return Err(located(history, op, &why)),
        Err(Ended::Out(limit)) => {
            verdict.reason = Some(limit.reason(0, 0));
            return Ok(verdict);
        }
    };
    verdict.notes.extend(notes(history, &found, end));
    let sites = Sites::new(history);
    let last = convergence::last_update(history, &objects);
    budget.keys_total.store(found.len() as u64, Ordering::Relaxed);
    verdict.keys = (found.par_iter())
        .map(|object| {
            let answer = decide(history, &objects, object, &sites, last, budget);
            budget.keys_done.fetch_add(1, Ordering::Relaxed);
            budget.ops_done.fetch_add(object.ops.len() as u64, Ordering::Relaxed);
            let key = (!object.key.is_nil()).then_some(object.key);
            KeyVerdict { key, ops: object.ops.len(), answer, algorithm: "final-reads", steps: 0, undecided: None }
        })
        .collect();
    verdict.answer = Verdict::compose(None, &verdict.keys);
    Ok(verdict)
}

/// Why a history was not read to its end.
enum Ended {
    Malformed(OpId, String),
    Out(Limit),
}

impl From<Limit> for Ended {
    fn from(limit: Limit) -> Ended {
        Ended::Out(limit)
    }
}

/// The event with which an update ends.
pub(crate) fn end_of(history: &History, id: OpId) -> u32 {
    let op = history.op(id);
    if op.complete == NO_EVENT { op.invoke } else { op.complete }
}

/// All objects with their updates and final reads, in order of first appearance, and the last event of an update.
fn gather(history: &History, objects: &Objects<'_>, account: &mut Account<'_>) -> Result<(Vec<Object>, Option<u32>), Ended> {
    let mut found: Vec<Object> = Vec::new();
    let mut place_of: HashMap<ValueId, usize, FxBuildHasher> = HashMap::default();
    let mut facts = Vec::new();
    let mut end: Option<u32> = None;
    account.hold(history.ops().len() * (size_of::<Update>() * 2 + size_of::<OpId>()))?;
    for id in history.op_ids() {
        account.work(16)?;
        let outcome = history.outcome(history.op(id));
        facts.clear();
        objects.decode(history, id, true, &mut facts).map_err(|why| Ended::Malformed(id, why))?;
        for (key, fact) in facts.drain(..) {
            let place = *place_of.entry(key).or_insert_with(|| {
                found.push(Object {
                    key,
                    ops: Vec::new(),
                    updates: Vec::new(),
                    failed: Vec::new(),
                    passing: Vec::new(),
                    reads: Vec::new(),
                    early: Vec::new(),
                });
                found.len() - 1
            });
            let object = &mut found[place];
            if object.ops.last() != Some(&id) {
                object.ops.push(id);
            }
            match (fact, outcome) {
                (Fact::Update(act), Outcome::Fail) => object.failed.push((id, act)),
                (Fact::Update(act), _) => {
                    // Of several writes in one transaction the last one stays.
                    if object.updates.last().is_some_and(|update| update.op == id) {
                        object.passing.extend(object.updates.pop());
                    }
                    object.updates.push(Update { op: id, act, is_done: outcome == Outcome::Ok });
                    end = end.max(Some(end_of(history, id)));
                }
                (Fact::Read(_), Outcome::Ok) if object.early.last() != Some(&id) => object.early.push(id),
                (Fact::Read(_), _) => {}
            }
        }
    }
    for id in history.op_ids().filter(|&id| Some(history.op(id).invoke) > end && history.outcome(history.op(id)) == Outcome::Ok) {
        account.work(64)?;
        objects.decode(history, id, false, &mut facts).map_err(|why| Ended::Malformed(id, why))?;
        let process = history.op_process(history.op(id));
        for (key, fact) in facts.drain(..) {
            if let (Fact::Read(seen), Some(&place)) = (fact, place_of.get(&key)) {
                found[place].reads.push(FinalRead { op: id, process, seen });
            }
        }
    }
    for object in &mut found {
        keep_last(&mut object.reads, history.process_count());
        let is_final = |op: &OpId| object.reads.binary_search_by_key(op, |read| read.op).is_ok();
        object.early.retain(|op| !is_final(op));
    }
    Ok((found, end))
}

/// Of each process the last of its reads.
fn keep_last(reads: &mut Vec<FinalRead>, processes: usize) {
    let mut seen = if reads.len() > 1 { vec![false; processes] } else { return };
    reads.reverse();
    reads.retain(|read| !std::mem::replace(&mut seen[read.process.0 as usize], true));
    reads.reverse();
}

/// What the answer rests on.
fn notes(history: &History, found: &[Object], end: Option<u32>) -> Vec<String> {
    let mut notes = Vec::new();
    let reads: usize = found.iter().map(|object| object.reads.len()).sum();
    let first = found.iter().flat_map(|object| &object.reads).map(|read| history.op(read.op).invoke).min();
    let pause = |(end, first): (u32, u32)| Some(history.time(first)?.saturating_sub(history.time(end)?)).filter(|&ns| ns >= 0);
    let began = end.zip(first).and_then(pause).map(|ns| format!("; the first began {} s after it", seconds(ns))).unwrap_or_default();
    notes.push(format!("{} after the last update: of each process its last{began}", many(reads, "final read")));
    let unknown = found.iter().flat_map(|object| &object.updates).filter(|update| !update.is_done).count();
    if unknown > 0 {
        let they = if unknown == 1 { "one update of unknown outcome is" } else { "updates of unknown outcome are" };
        let count = if unknown == 1 { String::new() } else { format!("{unknown} ") };
        notes.push(format!("{count}{they} taken to have taken effect before the final reads, or never"));
    }
    notes
}

impl Sites {
    fn new(history: &History) -> Sites {
        let count = history.process_count();
        let mut last: Vec<Option<Outcome>> = vec![None; count];
        for &op in history.ops() {
            last[history.op_process(op).0 as usize] = Some(history.outcome(op));
        }
        let clients = |process: &Process| history.is_client(*process) && last[process.0 as usize].is_some();
        let all = || (0..count as u32).map(Process).filter(clients);
        let are_nodes = all().all(|process| history.node(process).is_some());
        let mut sites = Sites { are_nodes, names: Vec::new(), of: vec![None; count] };
        for process in all() {
            let name = match history.node(process) {
                Some(node) if are_nodes => node.to_owned(),
                _ if last[process.0 as usize] == Some(Outcome::Info) => continue,
                _ => history.values.display(history.process_name(process)),
            };
            let known = sites.names.iter().position(|known| are_nodes && *known == name);
            let place = known.unwrap_or_else(|| {
                sites.names.push(name);
                sites.names.len() - 1
            });
            sites.of[process.0 as usize] = Some(place as u32);
        }
        sites
    }

    /// Why these reads do not speak for all, if they do not.
    fn missing(&self, reads: &[FinalRead]) -> Option<String> {
        const NAMED_MAX: usize = 5;
        let mut seen = vec![false; self.names.len()];
        for site in reads.iter().filter_map(|read| self.of[read.process.0 as usize]) {
            seen[site as usize] = true;
        }
        let missing: Vec<&str> = self.names.iter().zip(&seen).filter(|(_, seen)| !**seen).map(|(name, _)| name.as_str()).collect();
        if missing.is_empty() {
            return reads.is_empty().then(|| "nobody read it after the last update had ended".into());
        }
        if missing.len() == self.names.len() {
            return Some("nobody read it after the last update had ended".into());
        }
        let more = missing.len().saturating_sub(NAMED_MAX);
        let mut named = missing[..missing.len() - more].join(", ");
        if more > 0 {
            let _ = write!(named, " and {more} more");
        }
        Some(match (self.are_nodes, missing.len()) {
            (true, _) => format!("nobody read it on {named} after the last update had ended"),
            (false, 1) => format!("process {named} did not read it after the last update had ended"),
            (false, _) => format!("processes {named} did not read it after the last update had ended"),
        })
    }
}

fn uncertified(why: String) -> Answer {
    Answer::Unknown(Reason::Uncertified(why))
}

/// The answer for one object, with its proof.
fn decide(history: &History, objects: &Objects<'_>, object: &Object, sites: &Sites, last: Option<u32>, budget: &Budget) -> Answer {
    let mut account = Account::new(budget);
    if let Err(limit) = account.work(object.updates.len() as u64).and_then(|()| account.hold(rules::bytes(objects, object))) {
        return Answer::Unknown(limit.reason(0, 0));
    }
    let claims = || Claims::new(history, objects, object.key, &object.ops, last);
    match rules::decide(history, objects, object, &mut account) {
        Err(limit) => Answer::Unknown(limit.reason(0, 0)),
        Ok(Found::Wrong(wrong)) => {
            let (claims, proof) = (claims(), explain::contradiction(history, object, &wrong));
            match certified(&claims, proof) {
                // With cas fewer ops may show it than the rule that found it takes.
                Answer::Invalid(proof) if !proof.minimal && objects.shape() == Shape::Register => {
                    let needed = claims.few(&proof.needed);
                    let (reads, ops): (Vec<OpId>, Vec<OpId>) =
                        needed.into_iter().partition(|op| object.reads.iter().any(|read| read.op == *op));
                    let few = Wrong::FoundTooOften { ops, read: reads.first().copied(), times: None };
                    certified(&claims, explain::contradiction(history, object, &few))
                }
                answer => answer,
            }
        }
        Ok(Found::Open(why)) => Answer::Unknown(Reason::History(why)),
        Ok(Found::Order(order)) => match sites.missing(&object.reads) {
            Some(why) => Answer::Unknown(Reason::History(why)),
            None => match claims().explains(&order) {
                Ok(()) => Answer::Valid(Witness { order, ..Witness::default() }),
                Err(why) => uncertified(why),
            },
        },
    }
}

fn certified(claims: &Claims<'_>, mut proof: Counterexample) -> Answer {
    match claims.contradict(&proof.needed) {
        Ok(true) => {
            proof.minimal = claims.is_minimal(&proof.needed) == Ok(true);
            Answer::Invalid(Box::new(proof))
        }
        Ok(false) => uncertified("the final reads can be explained".into()),
        Err(why) => uncertified(why),
    }
}
