//! Lists: a read shows which appends came before the last that it saw, in their order.
//!
//! Of each key every list that was read is a beginning of the longest one, or there is no order of its versions. What nobody
//! read follows, in an order that nobody knows. Values are looked up for the longest list and for the ends of the others only.

use super::anomaly::Anomaly;
use super::problem::{After, Finding, INITIAL, NONE, Problem, Read};
use super::reading::Transactions;
use super::registers::written_twice;
use super::versions::{self, Versions};
use histories::{History, OpId, Outcome, ValueId};

struct Lists<'a> {
    history: &'a History,
    all: &'a Transactions,
    versions: Versions,
    /// Of each key the longest list that was read, and who read it.
    longest: Vec<&'a [ValueId]>,
    longest_by: Vec<u32>,
}

/// What is known of a history of lists.
pub(crate) fn problem(history: &History, all: &Transactions) -> Result<Problem, (OpId, String)> {
    let keys = all.keys.len();
    let mut lists = Lists { history, all, versions: Versions::new(all), longest: vec![&[]; keys], longest_by: vec![NONE; keys] };
    lists.find_longest()?;
    let mut problem = Problem::default();
    let mut happened = versions::ok(all);
    let orders = lists.orders(&mut problem, &mut happened);
    let mut reads = lists.reads(&mut problem, &mut happened);
    let node_of = problem.nodes(all, &happened);
    for (transaction, read) in &mut reads {
        *transaction = node_of[*transaction as usize];
        if read.source != INITIAL {
            read.source = node_of[read.source as usize];
        }
    }
    problem.with_reads(&reads);
    let mut after = Vec::new();
    let mut is_read = vec![false; problem.len()];
    for (key, (order, is_whole)) in orders.iter().enumerate() {
        let key = key as u32;
        let mut from = INITIAL;
        for to in order.iter().map(|&transaction| node_of[transaction as usize]) {
            if to != NONE && to != from {
                after.push(After { key, from, to });
                is_read[to as usize] = true;
                from = to;
            }
        }
        let unread = problem.writers(key).iter().filter(|&&writer| *is_whole && !is_read[writer as usize]);
        after.extend(unread.map(|&to| After { key, from, to }));
        for &writer in problem.writers(key) {
            is_read[writer as usize] = false;
        }
    }
    problem.with_order(after);
    Ok(problem)
}

impl<'a> Lists<'a> {
    fn list(&self, value: ValueId) -> Option<&'a [ValueId]> {
        let all: &'a History = self.history;
        if value.is_nil() { Some(&[]) } else { all.values.elements(value) }
    }

    fn ok(&self) -> impl Iterator<Item = u32> + use<'a> {
        let all = self.all;
        (0..all.len() as u32).filter(|&transaction| all.outcome[transaction as usize] == Outcome::Ok)
    }

    fn find_longest(&mut self) -> Result<(), (OpId, String)> {
        for transaction in self.ok() {
            for micro in self.all.micros(transaction).iter().filter(|micro| !micro.is_write) {
                let Some(list) = self.list(micro.value) else {
                    let shown = self.history.values.display(micro.value);
                    return Err((self.all.op[transaction as usize], format!("a list is read as a vector or list, not {shown}")));
                };
                let key = micro.key as usize;
                if list.len() > self.longest[key].len() {
                    (self.longest[key], self.longest_by[key]) = (list, transaction);
                }
            }
        }
        Ok(())
    }

    /// Of each key the transactions that wrote the longest list, element by element, and whether that is known of all elements.
    fn orders(&self, problem: &mut Problem, happened: &mut [bool]) -> Vec<(Vec<u32>, bool)> {
        let mut orders = Vec::with_capacity(self.longest.len());
        let mut sorted = Vec::new();
        for (key, list) in self.longest.iter().enumerate() {
            let mut order = Vec::with_capacity(list.len());
            let (mut failed, mut is_whole) = (None, true);
            for (place, &value) in list.iter().enumerate() {
                let Some(writer) = self.writer(key as u32, value, self.longest_by[key], problem) else {
                    is_whole = false;
                    continue;
                };
                match self.all.outcome[writer as usize] {
                    Outcome::Fail => failed = failed.or(Some(writer)),
                    Outcome::Ok | Outcome::Info => {
                        if let Some(failed) = failed {
                            let ops = [self.longest_by[key], failed, writer];
                            problem.found(|| self.finding(Anomaly::DirtyUpdate, key as u32, value, &ops), Anomaly::DirtyUpdate);
                        }
                        happened[writer as usize] = true;
                        order.push(writer);
                        if !self.follows_own(writer, key as u32, list, place) {
                            let ops = [self.longest_by[key], writer];
                            problem.found(|| self.finding(Anomaly::CyclicVersions, key as u32, value, &ops), Anomaly::CyclicVersions);
                        }
                    }
                }
            }
            orders.push((order, is_whole));
            sorted.clear();
            sorted.extend_from_slice(list);
            sorted.sort_unstable();
            let is_only = |value| self.versions.get(key as u32, value).is_some_and(|version| !version.is_ambiguous);
            if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1] && is_only(pair[0])) {
                let by = [self.longest_by[key]];
                problem.found(|| self.finding(Anomaly::DuplicateElements, key as u32, twice[0], &by), Anomaly::DuplicateElements);
            }
        }
        orders
    }

    /// Whether what a transaction appended to a key before an element of a list stands before it.
    fn follows_own(&self, writer: u32, key: u32, list: &[ValueId], place: usize) -> bool {
        let mut own = self.all.micros(writer).iter().filter(|micro| micro.is_write && micro.key == key);
        let mut before = None;
        for micro in own.by_ref().take_while(|micro| micro.value != list[place]) {
            before = Some(micro.value);
        }
        before.is_none_or(|before| list[..place].contains(&before))
    }

    /// Who wrote a value that was read, if that is known; and what is wrong with it.
    fn writer(&self, key: u32, value: ValueId, reader: u32, problem: &mut Problem) -> Option<u32> {
        let Some(version) = self.versions.get(key, value) else {
            problem.found(|| self.finding(Anomaly::GarbageRead, key, value, &[reader]), Anomaly::GarbageRead);
            return None;
        };
        if version.is_ambiguous {
            problem.doubt(|| written_twice(self.history, self.all, key, value));
            return None;
        }
        if self.all.outcome[version.writer as usize] == Outcome::Fail {
            problem.found(|| self.finding(Anomaly::G1a, key, value, &[reader, version.writer]), Anomaly::G1a);
        }
        Some(version.writer)
    }

    /// The external reads, by the transaction whose append they saw last.
    fn reads(&self, problem: &mut Problem, happened: &mut [bool]) -> Vec<(u32, Read)> {
        let mut reads: Vec<(u32, Read)> = Vec::new();
        let mut seen: Vec<(u32, &[ValueId])> = Vec::new();
        for transaction in self.ok() {
            seen.clear();
            let micros = self.all.micros(transaction);
            for (at, micro) in micros.iter().enumerate().filter(|(_, micro)| !micro.is_write) {
                let key = micro.key;
                let Some(list) = self.list(micro.value) else { continue };
                self.compare(key, list, micro.value, transaction, problem, happened);
                let mut base = list;
                let mut is_own = true;
                for own in versions::own(micros, at).rev() {
                    match base.split_last() {
                        Some((&last, rest)) if last == own => base = rest,
                        _ => is_own = false,
                    }
                }
                let finding = |anomaly| self.finding(anomaly, key, micro.value, &[transaction]);
                if !is_own {
                    problem.found(|| finding(Anomaly::Internal), Anomaly::Internal);
                    continue;
                }
                let mut later = micros[at..].iter().filter(|later| later.is_write && later.key == key);
                let is_only = |value| self.versions.get(key, value).is_some_and(|version| !version.is_ambiguous);
                if later.any(|later| base.contains(&later.value) && is_only(later.value)) {
                    problem.found(|| finding(Anomaly::FutureRead), Anomaly::FutureRead);
                    continue;
                }
                match seen.iter().find(|(known, _)| *known == key) {
                    Some((_, earlier)) if *earlier != base => problem.found(|| finding(Anomaly::Repeated), Anomaly::Repeated),
                    Some(_) => {}
                    None => seen.push((key, base)),
                }
                if let Some(source) = self.source(key, base, transaction, problem) {
                    reads.push((transaction, Read { key, source }));
                }
            }
        }
        reads
    }

    /// Whether a list is a beginning of the longest one of its key.
    fn compare(&self, key: u32, list: &[ValueId], value: ValueId, reader: u32, problem: &mut Problem, happened: &mut [bool]) {
        let longest = self.longest[key as usize];
        if longest.starts_with(list) {
            return;
        }
        let by = [reader, self.longest_by[key as usize]];
        problem.found(|| self.finding(Anomaly::IncompatibleOrder, key, value, &by), Anomaly::IncompatibleOrder);
        for &element in list {
            if let Some(writer) = self.writer(key, element, reader, problem) {
                happened[writer as usize] |= self.all.outcome[writer as usize] != Outcome::Fail;
            }
        }
        if problem.no_version_order.is_none() {
            let key = self.history.values.display(self.all.keys[key as usize]);
            problem.no_version_order = Some(format!("the lists that were read of key {key} leave no order of its versions"));
        }
    }

    fn source(&self, key: u32, base: &[ValueId], reader: u32, problem: &mut Problem) -> Option<u32> {
        let Some(&last) = base.last() else { return Some(INITIAL) };
        let version = self.versions.get(key, last).filter(|version| !version.is_ambiguous)?;
        if self.all.outcome[version.writer as usize] == Outcome::Fail {
            return None;
        }
        if !version.is_last {
            problem.found(|| self.finding(Anomaly::G1b, key, last, &[reader, version.writer]), Anomaly::G1b);
        }
        Some(version.writer)
    }

    fn finding(&self, anomaly: Anomaly, key: u32, value: ValueId, transactions: &[u32]) -> Finding {
        let ops = transactions.iter().filter(|&&t| t != NONE).map(|&t| self.all.op[t as usize]).collect();
        Finding { anomaly, key, value, ops }
    }
}
