//! Why there is no order, in words.
//!
//! Everything is said of a minimal contradiction ([`crate::shrink`]) and of the updates that stored the values it saw.

mod crossing;
mod steps;

use crate::linear::problem::{Entry, NEVER, Problem};
use crate::model::{Model, Sees};
use crate::shrink::Core;
use crate::verdict::{Counterexample, Step, StepKind, Words};
use histories::{History, OpId};

pub(crate) use crossing::Crossing;

/// Sources of one value that are shown; if there are more, only the last one before the contradiction is.
const SOURCES_SHOWN: usize = 2;

/// What the explanation is made from.
pub(crate) struct Explainer<'a, M: Model> {
    /// The model.
    pub model: &'a M,
    /// The history.
    pub history: &'a History,
    /// The key's ops.
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
        for entry in &needed {
            core.extend(self.shown_sources(*entry));
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
        match self.model.sees(self.op(entry)) {
            Sees::Only(state) => self.model.step(&state, self.op(entry)),
            Sees::Nothing => self.model.step(&self.model.init(), self.op(entry)),
            _ => None,
        }
    }

    fn is_pure(&self, entry: Entry) -> bool {
        self.model.is_pure(self.op(entry))
    }

    /// The updates that leave the state behind.
    fn sources(&self, state: &M::State) -> impl Iterator<Item = Entry> {
        let leaves: Vec<bool> = (self.problem.classes.iter())
            .map(|op| {
                let next = match self.model.sees(op) {
                    Sees::Only(from) => self.model.step(&from, op),
                    Sees::Nothing => self.model.step(&self.model.init(), op),
                    _ => None,
                };
                !self.model.is_pure(op) && next.as_ref() == Some(state)
            })
            .collect();
        self.problem.entries.iter().filter(move |e| leaves[e.class as usize]).copied()
    }

    fn shown_sources(&self, entry: Entry) -> Vec<Entry> {
        let Some(state) = self.seen(entry) else { return Vec::new() };
        let sources: Vec<Entry> = self.sources(&state).collect();
        if sources.len() <= SOURCES_SHOWN {
            return sources;
        }
        let before: Vec<Entry> = sources.iter().filter(|e| e.call < entry.ret).copied().collect();
        before.last().or(sources.first()).copied().into_iter().collect()
    }

    fn state(&self, state: &M::State) -> Words {
        Words::Value(self.model.show_state(state, &self.history.values))
    }

    fn shape(&self, needed: &[Entry], stuck: Entry) -> (Vec<Words>, Vec<Step>) {
        match (needed, self.seen(stuck)) {
            ([_], Some(state)) => self.thin_air(stuck, &state),
            (&[a, b], Some(state)) if b == stuck && a.ret < b.call => self.stale(a, stuck, &state),
            _ => (Self::generic(needed, stuck), Vec::new()),
        }
    }

    /// One op alone is impossible: what it saw was not there to be seen.
    fn thin_air(&self, stuck: Entry, state: &M::State) -> (Vec<Words>, Vec<Step>) {
        let mut words = self.found(stuck, self.state(state));
        let first = self.sources(state).min_by_key(|e| e.call);
        match first {
            None => words.push(text(", which nobody wrote.")),
            Some(source) if source.call > stuck.ret => {
                words.extend([
                    text(", before anybody wrote it: "),
                    Words::Op(source.id),
                    text(" was sent at "),
                    Words::Invoked(source.id),
                    text("."),
                ]);
                let step = Step {
                    words: vec![
                        Words::Op(source.id),
                        text(" was sent at "),
                        Words::Invoked(source.id),
                        text(", after the answer had come at "),
                        Words::Completed(stuck.id),
                        text("."),
                    ],
                    because: vec![text("It is the first operation that stores this value.")],
                    from: stuck.id,
                    to: source.id,
                    kind: StepKind::RealTime,
                };
                return (words, vec![step]);
            }
            Some(source) => words.extend([text(", which "), Words::Op(source.id), text(" cannot have stored by then.")]),
        }
        (words, Vec::new())
    }

    /// A value was seen although another had taken its place, and it did not come back.
    fn stale(&self, witness: Entry, stuck: Entry, state: &M::State) -> (Vec<Words>, Vec<Step>) {
        let Some(newer) = self.left_behind(witness) else { return (Self::generic(&[witness, stuck], stuck), Vec::new()) };
        let sources: Vec<Entry> = self.sources(state).filter(|e| e.call < stuck.ret).collect();
        let verb = if self.is_pure(witness) { " had already read " } else { self.had_stored(witness) };
        let mut words = self.found(stuck, self.state(state));
        words.extend([text(", although "), Words::Who(witness.id), text(verb)]);
        words.extend([self.state(&newer), text(" at "), Words::Completed(witness.id)]);
        words.extend(self.not_again(state, !sources.is_empty()));
        let mut steps = Vec::new();
        let newer_source = self.is_pure(witness).then(|| self.only_source(&newer, witness)).flatten();
        if let Some(old) = sources.iter().max_by_key(|e| e.ret).copied().filter(|e| e.ret != NEVER) {
            let after = newer_source.filter(|e| old.ret < e.call).unwrap_or(witness);
            if old.ret < after.call {
                let because = vec![text("In every order "), self.state(state), text(" comes first and "), self.state(&newer)];
                steps.push(steps::in_turn(old, after, [because, vec![text(" replaces it.")]].concat()));
            }
        }
        steps.extend(newer_source.map(|source| steps::took_effect(source, witness, self.state(&newer))));
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
        let mut sentence = self.found(stuck, old());
        sentence.extend([text(", although "), Words::Who(newer.id)]);
        sentence.push(text(if stored { self.had_stored(newer) } else { " had already read " }));
        sentence.extend([new(), text(" at "), Words::Completed(newer.id)]);
        sentence.extend(self.not_again(&old_state, before.is_some()));
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
            steps.push(steps::took_effect(newer_source, newer, new()));
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

    /// The beginning of a sentence: who found what, and when.
    fn found(&self, stuck: Entry, state: Words) -> Vec<Words> {
        if self.is_pure(stuck) {
            return vec![Words::Who(stuck.id), text(" read "), state, text(" at "), Words::Completed(stuck.id)];
        }
        vec![
            Words::Op(stuck.id),
            text(" of "),
            Words::Who(stuck.id),
            text(" took effect by "),
            Words::Completed(stuck.id),
            text(", which it can only where it finds "),
            state,
        ]
    }

    fn had_stored(&self, update: Entry) -> &'static str {
        if matches!(self.model.sees(self.op(update)), Sees::Nothing) { " had already stored " } else { " had already made it " }
    }

    /// Why the value does not come back.
    fn not_again(&self, state: &M::State, was_stored: bool) -> Vec<Words> {
        if !was_stored && *state == self.model.init() {
            return vec![text("; "), self.state(state), text(" is there only before the first update.")];
        }
        vec![text(" and nobody wrote "), self.state(state), text(if was_stored { " again." } else { "." })]
    }

    fn generic(needed: &[Entry], stuck: Entry) -> Vec<Words> {
        let mut words = vec![text("No order explains "), Words::Op(stuck.id), text(" of "), Words::Who(stuck.id)];
        if !stuck.is_crashed() {
            words.extend([text(", which completed at "), Words::Completed(stuck.id)]);
        }
        let others: Vec<Entry> = needed.iter().filter(|e| e.id != stuck.id).copied().collect();
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
