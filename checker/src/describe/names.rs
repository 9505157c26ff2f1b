//! What the ops of one explanation are called: short, and each by a name of its own.
//!
//! A transaction is told by what it does to the keys that matter, those that two of the ops touch and one of them changes; two ops of
//! the same label get a number behind it; and times have as many decimals as their order needs.

use super::{completed, input, invoked, label, moment, output, who};
use crate::text::{capital, seconds_to};
use crate::verdict::Words;
use histories::{History, OpId, ValueId};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeSet;

/// The longest text of a value, and of a label where there is little room.
const LONG: usize = 24;

/// The characters that are left at each end of a longer text.
const ENDS: usize = 10;

/// The least and the most decimals of seconds.
const DECIMALS_MIN: usize = 3;
const DECIMALS_MAX: usize = 9;

/// The functions of micro-ops, and how they are told.
const MICRO_OPS: [(&str, &str); 5] = [("r", "r"), ("read", "r"), ("w", "w"), ("write", "w"), ("append", "append")];

/// A part of a transaction.
struct Micro {
    f: &'static str,
    key: ValueId,
    value: ValueId,
    /// Whether the value is known: that of a read is not before it was answered.
    known: bool,
}

/// The names of the ops of one explanation.
pub struct Names<'a> {
    history: &'a History,
    keyed: bool,
    /// The keys that matter.
    keys: BTreeSet<ValueId>,
    /// The number of an op among those of its label, from 1; of those that share one.
    numbers: FxHashMap<OpId, usize>,
    decimals: usize,
}

impl<'a> Names<'a> {
    /// The names of these ops, of which the explanation consists. `keyed` is whether values are `[key value]` pairs.
    pub fn new(history: &'a History, keyed: bool, ops: &[OpId]) -> Names<'a> {
        let decimals = decimals(ops.iter().flat_map(|&op| [invoked(history, op), completed(history, op)]).flatten());
        let keys = shared_keys(history, keyed, ops);
        let mut names = Names { history, keyed, keys, numbers: FxHashMap::default(), decimals };
        let mut by_label: FxHashMap<String, Vec<OpId>> = FxHashMap::default();
        let mut sorted = ops.to_vec();
        sorted.sort_unstable_by_key(|&op| (history.first_event(history.op(op)), op));
        sorted.dedup();
        for op in sorted {
            by_label.entry(elide(&names.unnumbered(op))).or_default().push(op);
        }
        for same in by_label.into_values().filter(|same| same.len() > 1) {
            names.numbers.extend(same.into_iter().enumerate().map(|(i, op)| (op, i + 1)));
        }
        names
    }

    /// An op in a few characters: `w 66`, `r→66 #2`, `{r x→1, w y 2, …}`.
    pub fn label(&self, op: OpId) -> String {
        self.numbered(op, &self.unnumbered(op))
    }

    /// [`Names::label`] where there is little room: a long one has its middle left out.
    pub fn short_label(&self, op: OpId) -> String {
        self.numbered(op, &elide(&self.unnumbered(op)))
    }

    /// The number of an op among those that share its label, from 1; `None` if it shares it with none.
    pub fn number(&self, op: OpId) -> Option<usize> {
        self.numbers.get(&op).copied()
    }

    fn numbered(&self, op: OpId, label: &str) -> String {
        self.numbers.get(&op).map_or_else(|| label.to_owned(), |number| format!("{label} #{number}"))
    }

    fn unnumbered(&self, op: OpId) -> String {
        match transaction(self.history, self.keyed, op) {
            None => label(self.history, self.keyed, op),
            Some(parts) => self.transaction(&parts),
        }
    }

    /// What a transaction does to the keys that matter. Of one that does nothing to them all is told.
    fn transaction(&self, parts: &[Micro]) -> String {
        let matters = |part: &Micro| self.keys.contains(&part.key);
        let all = !parts.iter().any(matters);
        let mut told: Vec<String> = Vec::new();
        for part in parts {
            if all || matters(part) {
                told.push(tell(self.history, part));
            } else if told.last().is_none_or(|last| last != "…") {
                told.push("…".into());
            }
        }
        format!("{{{}}}", told.join(", "))
    }

    /// A moment in nanoseconds as seconds, with as many decimals as the order of all moments needs.
    pub fn seconds(&self, ns: i64) -> String {
        seconds_to(ns, self.decimals)
    }

    /// How many decimals the order of all moments needs.
    pub fn decimals(&self) -> usize {
        self.decimals
    }

    /// Text with references, written out: ops in short, processes with their nodes, times in seconds.
    pub fn text(&self, words: &[Words]) -> String {
        let history = self.history;
        let mut out = String::new();
        for word in words {
            match word {
                Words::Text(text) => out.push_str(text),
                // States and whole transactions, as the model writes them.
                Words::Value(value) => out.push_str(value),
                Words::Op(op) => out.push_str(&self.label(*op)),
                Words::Who(op) => out.push_str(&who(history, *op)),
                Words::Invoked(op) => out.push_str(&moment(history, invoked(history, *op), history.op(*op).invoke, self.decimals)),
                Words::Completed(op) => {
                    out.push_str(&moment(history, completed(history, *op), history.op(*op).complete, self.decimals));
                }
            }
        }
        out
    }

    /// [`Names::text`] as a sentence: a word at its beginning gets a capital letter, an op or a value stays as it is written.
    pub fn sentence(&self, words: &[Words]) -> String {
        let text = self.text(words);
        match words.first() {
            Some(Words::Text(_) | Words::Who(_)) => capital(&text),
            Some(Words::Op(_) | Words::Value(_) | Words::Invoked(_) | Words::Completed(_)) | None => text,
        }
    }
}

/// A long text with its middle left out.
pub fn elide(text: &str) -> String {
    let length = text.chars().count();
    if length <= LONG {
        return text.into();
    }
    let start: String = text.chars().take(ENDS).collect();
    let end: String = text.chars().skip(length - ENDS).collect();
    format!("{start}…{end}")
}

/// The parts of an op that is a transaction, `[[:r x 1] [:w y 2] [:append z 3]]`: as they were answered, else as they were asked for.
fn transaction(history: &History, keyed: bool, op: OpId) -> Option<Vec<Micro>> {
    let answered = output(history, keyed, op);
    let values = &history.values;
    let parts = values.elements(answered.unwrap_or_else(|| input(history, keyed, op))).filter(|parts| !parts.is_empty())?;
    let part = |&part: &ValueId| {
        let (f, key, value) = match *values.elements(part)? {
            [f, key, value] => (f, key, Some(value)),
            [f, key] => (f, key, None),
            _ => return None,
        };
        let f = MICRO_OPS.iter().find(|(name, _)| *name == values.name(f))?.1;
        Some(Micro { f, key, value: value.unwrap_or(ValueId::NIL), known: f != "r" || answered.is_some() })
    };
    parts.iter().map(part).collect()
}

/// `r x→1`, `w y 2`, `append z 3`: a long value has its middle left out.
fn tell(history: &History, part: &Micro) -> String {
    let key = elide(&history.values.display(part.key));
    let value = elide(&history.values.display(part.value));
    match (part.f, part.known) {
        ("r", false) => format!("r {key}"),
        ("r", true) => format!("r {key}→{value}"),
        (f, _) => format!("{f} {key} {value}"),
    }
}

/// The keys that two of the transactions touch, and one of them changes.
fn shared_keys(history: &History, keyed: bool, ops: &[OpId]) -> BTreeSet<ValueId> {
    let (mut touched, mut changed): (FxHashMap<ValueId, usize>, FxHashSet<ValueId>) = (FxHashMap::default(), FxHashSet::default());
    for parts in ops.iter().filter_map(|&op| transaction(history, keyed, op)) {
        for key in parts.iter().map(|part| part.key).collect::<BTreeSet<_>>() {
            *touched.entry(key).or_default() += 1;
        }
        changed.extend(parts.iter().filter(|part| part.f != "r").map(|part| part.key));
    }
    let keys: BTreeSet<ValueId> = touched.into_iter().filter(|&(_, times)| times > 1).map(|(key, _)| key).collect();
    let both: BTreeSet<ValueId> = keys.iter().copied().filter(|key| changed.contains(key)).collect();
    // Reads alone may contradict each other.
    if both.is_empty() { keys } else { both }
}

/// The fewest decimals of seconds at which no two of these moments look alike.
fn decimals(moments: impl Iterator<Item = i64>) -> usize {
    let moments: BTreeSet<i64> = moments.collect();
    let apart = |decimals: usize| {
        let shown: FxHashSet<String> = moments.iter().map(|&ns| seconds_to(ns, decimals)).collect();
        shown.len() == moments.len()
    };
    (DECIMALS_MIN..DECIMALS_MAX).find(|&decimals| apart(decimals)).unwrap_or(DECIMALS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use histories::{Builder, Kind};

    /// Completed ops: process, function, argument, result, start and end in nanoseconds.
    fn history(ops: &[(i64, &str, &str, &str, i64, i64)]) -> History {
        let mut b = Builder::new();
        let value = |text: &str| histories::read_value(text).unwrap();
        for &(process, f, input, output, from, to) in ops {
            b.event(process, Kind::Invoke, f, &value(input), from);
            b.event(process, Kind::Ok, f, &value(output), to);
        }
        b.finish()
    }

    fn names(history: &History) -> Names<'_> {
        Names::new(history, false, &history.op_ids().collect::<Vec<_>>())
    }

    fn labels(history: &History) -> Vec<String> {
        history.op_ids().map(|op| names(history).label(op)).collect()
    }

    #[test]
    fn no_two_ops_have_one_label() {
        let h = history(&[
            (0, "read", "nil", "86", 10, 20),
            (0, "write", "86", "86", 30, 40),
            (1, "read", "nil", "86", 50, 60),
            (1, "read", "nil", "87", 70, 80),
            (1, "txn", "[[:r 1 nil]]", "[[:r 1 [1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]]]", 90, 100),
            (1, "txn", "[[:r 1 nil]]", "[[:r 1 [1 2 3 4 5 7 6 8 9 10 11 12 13 14 15]]]", 110, 120),
        ]);
        let told = labels(&h);
        assert_eq!(told[..4], ["r→86 #1", "w 86", "r→86 #2", "r→87"]);
        for short in [false, true] {
            let all: FxHashSet<String> = h.op_ids().map(|op| if short { names(&h).short_label(op) } else { names(&h).label(op) }).collect();
            assert_eq!(all.len(), told.len(), "{all:?}");
        }
    }

    #[test]
    fn transactions_are_told_by_the_keys_that_matter() {
        let h = history(&[
            (0, "txn", "[[:w 7 26] [:w 4 15]]", "[[:w 7 26] [:w 4 15]]", 10, 20),
            (0, "txn", "[[:w 4 21] [:r 7 nil] [:r 9 nil] [:r 8 nil]]", "[[:w 4 21] [:r 7 33] [:r 9 1] [:r 8 1]]", 30, 40),
            (1, "txn", "[[:r 6 nil] [:r 4 nil] [:r 1 nil]]", "[[:r 6 16] [:r 4 15] [:r 1 28]]", 50, 60),
            (2, "txn", "[[:w 5 3]]", "[[:w 5 3]]", 70, 80),
        ]);
        assert_eq!(labels(&h), ["{w 7 26, w 4 15}", "{w 4 21, r 7→33, …}", "{…, r 4→15, …}", "{w 5 3}"]);
        let mut b = Builder::new();
        b.event(0, Kind::Invoke, "txn", &histories::read_value("[[:r 1] [:append 2 3]]").unwrap(), 0);
        assert_eq!(labels(&b.finish()), ["{r 1, append 2 3}"], "what was not answered has read nothing");
    }

    #[test]
    fn what_only_looks_like_a_transaction_is_none() {
        let h = history(&[(0, "write", "[[1 2] [3 4]]", "[[1 2] [3 4]]", 10, 20), (0, "cas", "[1 2]", "[1 2]", 30, 40)]);
        assert_eq!(labels(&h), ["w [[1 2] [3 4]]", "cas 1→2"]);
    }

    #[test]
    fn times_have_the_decimals_that_their_order_needs() {
        let shown = |times: &[i64]| {
            let h = history(&times.chunks(2).map(|t| (t[0], "read", "nil", "1", t[0], t[1])).collect::<Vec<_>>());
            times.iter().map(|&ns| names(&h).seconds(ns)).collect::<Vec<_>>()
        };
        assert_eq!(shown(&[1_000_000, 2_000_000, 3_000_000, 4_000_000]), ["0.001", "0.002", "0.003", "0.004"]);
        assert_eq!(shown(&[735_800_000, 736_100_000]), ["0.7358", "0.7361"]);
        assert_eq!(shown(&[5, 6]), ["0.000000005", "0.000000006"]);
        assert_eq!(shown(&[0, 0]), ["0.000", "0.000"], "one moment has one name");
        for gap in [1, 7, 100, 4_999, 77_777, 1_000_000] {
            let times: Vec<i64> = (0..8).map(|i| 3_000_000_000 + i * gap).collect();
            let told = shown(&times);
            assert!(told.is_sorted() && told.windows(2).all(|pair| pair[0] != pair[1]), "{told:?}");
        }
        let h = history(&[(0, "read", "nil", "1", 735_800_000, 736_100_000)]);
        let words = [Words::Invoked(OpId(0)), Words::Text(" to ".into()), Words::Completed(OpId(0))];
        assert_eq!(names(&h).text(&words), "0.7358 s to 0.7361 s");
    }
}
