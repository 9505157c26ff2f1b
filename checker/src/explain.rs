//! Why there is no order, in words.
//!
//! Everything is said of a minimal contradiction ([`crate::minimize`]) and of the updates that stored the values it saw.

mod crossing;
mod possible;
mod steps;

use crate::linear::problem::{Entry, Problem};
use crate::minimize::Core;
use crate::model::{Call, Decoded, Model, Role, Sees};
use crate::text::many;
use crate::verdict::{Counterexample, Step, Words};
use histories::keyed::{KeyOps, Keys};
use histories::{History, OpId, Outcome};

pub(crate) use crossing::Crossing;

/// Sources of one value that are shown; if there are more, only the last one before the contradiction is.
const SOURCES_SHOWN: usize = 2;

/// With more needed ops than this, the sources of the values that they saw are not shown.
const NEEDED_WITH_SOURCES: usize = 64;

/// Ops that the plainest sentence names; the rest are counted.
const OTHERS_NAMED: usize = 6;

/// What the explanation is made from.
pub(crate) struct Explainer<'a, M: Model> {
    /// The model.
    pub model: &'a M,
    /// The history.
    pub history: &'a History,
    /// How keys are taken off.
    pub keys: &'a Keys,
    /// The key's ops, failed ones included.
    pub group: &'a KeyOps,
    /// The ops to be ordered.
    pub problem: &'a Problem<M::Op>,
}

impl<M: Model> Explainer<'_, M> {
    /// The ops that contradict each other, in the order of their invocations.
    pub(crate) fn needed(&self, found: &Core) -> Vec<Entry> {
        let mut needed: Vec<Entry> = found.needed.iter().filter_map(|&id| self.entry(id)).collect();
        needed.sort_unstable_by_key(|e| e.call);
        needed
    }

    /// Fills in core, stuck op, sentence and steps: those of the crossing, if that is what the core is.
    pub(crate) fn explain(&self, found: &Core, crossing: Option<&Crossing>, blocked: OpId) -> Counterexample {
        let needed = self.needed(found);
        let stuck = crossing.map_or_else(|| self.stuck(&needed, blocked), |crossing| crossing.stuck);
        let mut core: Vec<Entry> = needed.clone();
        // Each looks through all ops: a contradiction that could not be made small goes without.
        if needed.len() <= NEEDED_WITH_SOURCES {
            core.extend(needed.iter().flat_map(|entry| self.shown_sources(*entry)));
        }
        if let Some(crossing) = crossing {
            core.extend(crossing.ops(true));
        }
        core.sort_unstable_by_key(|e| e.call);
        core.dedup();
        let (sentence, steps) = match crossing {
            Some(crossing) => self.crossed(crossing),
            None => self.shape(&needed, stuck),
        };
        Counterexample {
            core: core.iter().map(|e| e.id).collect(),
            needed: needed.iter().map(|e| e.id).collect(),
            others: found.others,
            minimal: found.minimal,
            stuck: Some(stuck.id),
            sentence,
            steps,
            ..Counterexample::default()
        }
    }

    fn entry(&self, id: OpId) -> Option<Entry> {
        self.problem.entries.binary_search_by_key(&id, |e| e.id).ok().map(|i| self.problem.entries[i])
    }

    fn op(&self, entry: Entry) -> &M::Op {
        &self.problem.classes[entry.class as usize]
    }

    /// The op to be drawn in red: the needed one that sees something and was invoked last.
    fn stuck(&self, needed: &[Entry], blocked: OpId) -> Entry {
        let seeing = needed.iter().filter(|e| self.seen(**e).is_some()).max_by_key(|e| e.call);
        let last = seeing.or(needed.last()).copied();
        last.or_else(|| self.entry(blocked)).unwrap_or(self.problem.entries[0])
    }

    /// The one state in which the op can happen.
    fn seen(&self, entry: Entry) -> Option<M::State> {
        match self.model.sees(self.op(entry)) {
            Sees::Only(state) => Some(state),
            _ => None,
        }
    }

    /// The state that the op leaves behind, if that is always the same.
    fn left_behind(&self, entry: Entry) -> Option<M::State> {
        self.leads_to(self.op(entry))
    }

    fn leads_to(&self, op: &M::Op) -> Option<M::State> {
        match self.model.sees(op) {
            Sees::Only(state) => self.model.step(&state, op),
            Sees::Nothing => self.model.step(&self.model.init(), op),
            _ => None,
        }
    }

    fn is_pure(&self, entry: Entry) -> bool {
        self.model.is_pure(self.op(entry))
    }

    /// The updates that leave the state behind.
    fn sources(&self, state: &M::State) -> impl Iterator<Item = Entry> {
        let leaves: Vec<bool> =
            (self.problem.classes.iter()).map(|op| !self.model.is_pure(op) && self.leads_to(op).as_ref() == Some(state)).collect();
        self.problem.entries.iter().filter(move |e| leaves[e.class as usize]).copied()
    }

    fn shown_sources(&self, entry: Entry) -> Vec<Entry> {
        let Some(state) = self.seen(entry) else { return self.inserts(entry) };
        let sources: Vec<Entry> = self.sources(&state).collect();
        if sources.len() <= SOURCES_SHOWN {
            return sources;
        }
        let before: Vec<Entry> = sources.iter().filter(|e| e.call < entry.ret).copied().collect();
        before.last().or(sources.first()).copied().into_iter().collect()
    }

    /// The ops that put in the value which the op took out, if they are few.
    fn inserts(&self, entry: Entry) -> Vec<Entry> {
        let Role::Remove(value) = self.model.role(self.op(entry)) else { return Vec::new() };
        let inserts = |e: &&Entry| self.model.role(self.op(**e)) == Role::Insert(value);
        let inserts: Vec<Entry> = self.problem.entries.iter().filter(inserts).take(SOURCES_SHOWN + 1).copied().collect();
        if inserts.len() > SOURCES_SHOWN { Vec::new() } else { inserts }
    }

    fn state(&self, state: &M::State) -> Words {
        Words::Value(self.model.show_state(state, &self.history.values))
    }

    fn shape(&self, needed: &[Entry], stuck: Entry) -> (Vec<Words>, Vec<Step>) {
        match (needed, self.seen(stuck)) {
            ([_], Some(state)) => self.thin_air(stuck, &state),
            (&[a, b], Some(state)) if b == stuck && a.ret < b.call => self.stale(a, stuck, &state),
            (&[a, b], Some(state)) if self.seen(a).is_some_and(|other| other != state) && self.is_pure(a) && self.is_pure(b) => {
                (self.either_first(a, b), Vec::new())
            }
            (&[a, b], Some(state)) if self.seen(a) == Some(state.clone()) && !self.is_pure(a) && !self.is_pure(b) => {
                (self.both_need(a, b, &state), Vec::new())
            }
            _ => (Self::generic(needed, stuck), Vec::new()),
        }
    }

    /// Two reads at the same time saw values of which none came back.
    fn either_first(&self, a: Entry, b: Entry) -> Vec<Words> {
        let mut words = self.found(b);
        words.push(text(" and "));
        words.extend(self.found(a));
        words.push(text(": whichever came first, nobody stored the value of the other after it."));
        words
    }

    /// Two updates at the same time need one state, which the first of them replaces.
    fn both_need(&self, a: Entry, b: Entry, state: &M::State) -> Vec<Words> {
        let mut words = self.found(b);
        words.push(text(" and "));
        words.extend(self.found(a));
        words.extend([text(": whichever came first, the other needs "), self.state(state), text(", and ")]);
        words.extend(self.model.tell_absence(state, true, &self.history.values));
        words.push(text("."));
        words
    }

    /// One op alone is impossible: what it saw was not there to be seen.
    fn thin_air(&self, stuck: Entry, state: &M::State) -> (Vec<Words>, Vec<Step>) {
        let mut words = self.found(stuck);
        let first = self.sources(state).min_by_key(|e| e.call);
        match first {
            None => words.extend(self.unsourced(state)),
            Some(source) if source.call > stuck.ret => {
                words.extend([
                    text(", before anybody stored that: "),
                    Words::Op(source.id),
                    text(" was sent only at "),
                    Words::Invoked(source.id),
                    text("."),
                ]);
                let because = vec![text("It is the first operation that stores this value.")];
                let step = steps::in_turn(stuck, source, because);
                return (words, vec![step]);
            }
            Some(source) => words.extend([text(", which "), Words::Op(source.id), text(" cannot have stored by then.")]),
        }
        (words, Vec::new())
    }

    /// Nobody stored what was seen.
    fn unsourced(&self, state: &M::State) -> Vec<Words> {
        if let Some(failed) = self.failed_source(state) {
            let only = [text(", and only "), Words::Op(failed), text(" of "), Words::Who(failed)];
            return [&only[..], &[text(" would have stored that, which had failed.")]].concat();
        }
        let absence = self.model.tell_absence(state, false, &self.history.values);
        [vec![text(", although ")], absence, vec![text(".")]].concat()
    }

    /// A value was seen although another had taken its place, and it did not come back.
    fn stale(&self, witness: Entry, stuck: Entry, state: &M::State) -> (Vec<Words>, Vec<Step>) {
        let sources: Vec<Entry> = self.sources(state).filter(|e| e.call < stuck.ret).collect();
        let words = self.although(stuck, witness, state, !sources.is_empty());
        let Some(newer) = self.left_behind(witness) else {
            return (words, vec![steps::in_turn(witness, stuck, vec![text("So it comes first in every order.")])]);
        };
        let mut steps = Vec::new();
        let newer_source = self.is_pure(witness).then(|| self.only_source(&newer, witness)).flatten();
        if let Some(old) = sources.iter().max_by_key(|e| e.ret).copied().filter(|e| !e.is_crashed()) {
            let after = newer_source.filter(|e| old.ret < e.call).unwrap_or(witness);
            if old.ret < after.call {
                let because = vec![text("In every order "), self.state(state), text(" comes first and "), self.state(&newer)];
                steps.push(steps::in_turn(old, after, [because, vec![text(" replaces it.")]].concat()));
            }
        }
        steps.extend(newer_source.map(|source| steps::took_effect(self.told(witness, false), source, witness, self.state(&newer))));
        steps.push(steps::later(witness, stuck, self.state(&newer)));
        steps.push(steps::too_late(stuck, newer_source.unwrap_or(witness), self.state(state)));
        (words, steps)
    }

    /// Two values would each have to come before the other.
    fn crossed(&self, crossing: &Crossing) -> (Vec<Words>, Vec<Step>) {
        let &Crossing { before, newer_last, newer, stuck, newer_source, .. } = crossing;
        let Some(old_state) = self.seen(stuck) else { return (Self::generic(&crossing.ops(false), stuck), Vec::new()) };
        let Some(new_state) = self.left_behind(newer_source) else { return (Self::generic(&crossing.ops(false), stuck), Vec::new()) };
        let (old, new) = (|| self.state(&old_state), || self.state(&new_state));
        let stored = newer.id == newer_source.id;
        let sentence = self.although(stuck, newer, &old_state, before.is_some());
        let mut steps = Vec::new();
        if let Some(before) = before {
            let because = vec![
                text("Each of the two values was stored once, so in every order "),
                old(),
                text(" comes first and "),
                new(),
                text(" replaces it."),
            ];
            steps.push(steps::in_turn(before, newer_last, because));
        }
        if !stored {
            steps.push(steps::took_effect(self.told(newer, false), newer_source, newer, new()));
        }
        steps.push(steps::later(newer, stuck, new()));
        steps.push(steps::too_late(stuck, newer_source, old()));
        (sentence, steps)
    }

    fn only_source(&self, state: &M::State, reader: Entry) -> Option<Entry> {
        let mut sources = self.sources(state).filter(|e| e.call < reader.ret);
        let first = sources.next()?;
        sources.next().is_none().then_some(first)
    }

    /// Who did what.
    fn told(&self, entry: Entry, perfect: bool) -> Vec<Words> {
        let mut words = vec![Words::Who(entry.id), text(if perfect { " had already " } else { " " })];
        words.extend(self.model.tell_op(self.op(entry), perfect, &self.history.values));
        words
    }

    /// The beginning of a sentence: who did what, and when.
    fn found(&self, stuck: Entry) -> Vec<Words> {
        let mut words = self.told(stuck, false);
        if !stuck.is_crashed() {
            words.extend([text(" at "), Words::Completed(stuck.id)]);
        }
        words
    }

    /// One op happened although another had, and what it needs did not come back.
    fn although(&self, stuck: Entry, newer: Entry, needs: &M::State, again: bool) -> Vec<Words> {
        let mut words = self.found(stuck);
        words.push(text(", although "));
        words.extend(self.told(newer, true));
        words.extend([text(" at "), Words::Completed(newer.id), text(" and ")]);
        words.extend(self.model.tell_absence(needs, again, &self.history.values));
        words.push(text("."));
        words
    }

    /// A failed op that would have led to the state.
    fn failed_source(&self, state: &M::State) -> Option<OpId> {
        let leads_there = |op: &M::Op| !self.model.is_pure(op) && self.leads_to(op).as_ref() == Some(state);
        self.group.ops.iter().copied().find(|&id| {
            let op = self.history.op(id);
            // As if nobody knew its outcome: then the model takes it for one that may have happened.
            let call = Call {
                f: self.history.name(self.history.op_function(op)),
                input: self.keys.input(self.history, op),
                output: None,
                outcome: Outcome::Info,
                process: self.history.op_process(op).0,
                values: &self.history.values,
            };
            self.history.outcome(op) == Outcome::Fail && matches!(self.model.decode(&call), Ok(Decoded::Op(op)) if leads_there(&op))
        })
    }

    fn generic(needed: &[Entry], stuck: Entry) -> Vec<Words> {
        let mut words = vec![text("No order explains "), Words::Op(stuck.id), text(" of "), Words::Who(stuck.id)];
        if !stuck.is_crashed() {
            words.extend([text(", which completed at "), Words::Completed(stuck.id)]);
        }
        let others: Vec<Entry> = needed.iter().filter(|e| e.id != stuck.id).copied().collect();
        if others.len() > OTHERS_NAMED {
            words.push(Words::Text(format!(", together with {} that contradict it.", many(others.len(), "other operation"))));
            return words;
        }
        for (i, other) in others.iter().enumerate() {
            let lead = if i == 0 {
                ", together with "
            } else if i + 1 == others.len() {
                " and "
            } else {
                ", "
            };
            words.extend([text(lead), Words::Op(other.id), text(" of "), Words::Who(other.id)]);
        }
        words.push(text("."));
        words
    }
}

fn text(text: &str) -> Words {
    Words::Text(text.into())
}
