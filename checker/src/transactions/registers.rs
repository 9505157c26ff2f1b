//! Registers: a read names the write that it saw, and nothing is known of the order of versions but that the initial one is the
//! first, and that a version which its own transaction made of another follows that one.

use super::anomaly::Anomaly;
use super::problem::{After, Finding, INITIAL, Problem, Read};
use super::reading::Transactions;
use super::versions::{self, Versions};
use histories::{History, OpId, Outcome, ValueId};

/// What is known of a history of registers.
pub(crate) fn problem(history: &History, all: &Transactions) -> Problem {
    let versions = Versions::new(all);
    let mut problem = Problem::default();
    let mut happened = versions::ok(all);
    // Transaction, read; the source as a transaction.
    let mut reads: Vec<(u32, Read)> = Vec::new();
    for transaction in (0..all.len() as u32).filter(|&transaction| all.outcome[transaction as usize] == Outcome::Ok) {
        read(history, all, transaction, &versions, &mut problem, &mut reads);
    }
    for (_, read) in reads.iter().filter(|(_, read)| read.source != INITIAL) {
        happened[read.source as usize] |= all.outcome[read.source as usize] == Outcome::Info;
    }
    let node_of = problem.nodes(all, &happened);
    for (transaction, read) in &mut reads {
        *transaction = node_of[*transaction as usize];
        if read.source != INITIAL {
            read.source = node_of[read.source as usize];
        }
    }
    problem.with_reads(&reads);
    let initial = (0..problem.keys as u32).flat_map(|key| problem.writers(key).iter().map(move |&to| After { key, from: INITIAL, to }));
    let mut after: Vec<After> = initial.collect();
    let replaces =
        |&&(node, read): &&(u32, Read)| read.source != INITIAL && read.source != node && problem.writes(node).contains(&read.key);
    after.extend(reads.iter().filter(replaces).map(|&(node, read)| After { key: read.key, from: read.source, to: node }));
    problem.with_order(after);
    problem
}

/// The external reads of a transaction, and what is wrong with any of its reads.
fn read(history: &History, all: &Transactions, transaction: u32, versions: &Versions, problem: &mut Problem, reads: &mut Vec<(u32, Read)>) {
    let micros = all.micros(transaction);
    let first = reads.len();
    let me = all.op[transaction as usize];
    for (at, micro) in micros.iter().enumerate().filter(|(_, micro)| !micro.is_write) {
        let found = |anomaly, ops: Vec<OpId>| Finding { anomaly, key: micro.key, value: micro.value, ops };
        let version = versions.get(micro.key, micro.value);
        if let Some(own) = versions::own(micros, at).next_back() {
            if own != micro.value {
                let later = micros[at..].iter().any(|later| later.is_write && later.key == micro.key && later.value == micro.value);
                let anomaly = if later { Anomaly::FutureRead } else { Anomaly::Internal };
                problem.found(|| found(anomaly, vec![me]), anomaly);
            }
            continue;
        }
        let is_initial = micro.value == all.initial && !(all.initial_may_be_written && version.is_some());
        let source = match version {
            Some(version) if version.is_ambiguous || is_initial => {
                problem.doubt(|| written_twice(history, all, micro.key, micro.value));
                continue;
            }
            None if is_initial => INITIAL,
            None => {
                problem.found(|| found(Anomaly::GarbageRead, vec![me]), Anomaly::GarbageRead);
                continue;
            }
            Some(version) if version.writer == transaction => {
                problem.found(|| found(Anomaly::FutureRead, vec![me]), Anomaly::FutureRead);
                continue;
            }
            Some(version) if all.outcome[version.writer as usize] == Outcome::Fail => {
                problem.found(|| found(Anomaly::G1a, vec![me, all.op[version.writer as usize]]), Anomaly::G1a);
                continue;
            }
            Some(version) => {
                if !version.is_last {
                    problem.found(|| found(Anomaly::G1b, vec![me, all.op[version.writer as usize]]), Anomaly::G1b);
                }
                version.writer
            }
        };
        let earlier = reads[first..].iter().find(|(_, read)| read.key == micro.key);
        if earlier.is_some_and(|(_, read)| read.source != source) {
            problem.found(|| found(Anomaly::Repeated, vec![me]), Anomaly::Repeated);
        }
        reads.push((transaction, Read { key: micro.key, source }));
    }
}

/// Why nobody knows whose value was read.
pub(crate) fn written_twice(history: &History, all: &Transactions, key: u32, value: ValueId) -> String {
    let (key, value) = (history.values.display(all.keys[key as usize]), history.values.display(value));
    format!("{value} was written to key {key} more than once, and read: nobody knows whose it was")
}
