//! Independent keys: a history over many keys is one history per key.
//!
//! Linearizability is local (Herlihy and Wing 1990, theorem 1): a history is linearizable exactly if its restriction to each
//! object is, so a checker takes the keys one by one. Jepsen writes the key into the value, as a plain vector `[key value]`,
//! and `[key [old new]]` for a cas; nothing in the file says so. `[1 2]` may be a cas on one register or a write of 2 to
//! key 1. Where neither the file nor the user says which it is, [`Keys::split`] guesses from every op's function, input and
//! output, and tells its reason.

use crate::history::{History, Op, OpId};
use crate::value::{ValueId, Values, View};
use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// The ops under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyOps {
    /// The key; `None` for the whole of a history that is not keyed.
    pub key: Option<ValueId>,
    /// The client ops, in the order of the history.
    pub ops: Vec<OpId>,
}

/// What being keyed means, in words for people.
fn meaning(keyed: bool) -> &'static str {
    if keyed { "values are [key value] pairs, each key an object of its own" } else { "values are whole: there is one object" }
}

/// A history's ops by key, in the order in which the keys first appear. Holds op ids only: no event is copied, and the
/// nemesis's events belong to no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    keyed: bool,
    guessed: bool,
    reason: String,
    groups: Vec<KeyOps>,
    without_key: Vec<OpId>,
}

impl Keys {
    /// Splits the client ops by key. `told` is what the user says; without it, what the file says
    /// ([`Meta::keyed`](crate::history::Meta::keyed)); without that, [`guess`]. Linear in the number of ops.
    pub fn split(history: &History, told: Option<bool>) -> Keys {
        let (keyed, reason) = match (told, history.meta.keyed) {
            (Some(told), _) => (told, format!("{}, as was told", meaning(told))),
            (None, Some(stated)) => (stated, format!("{}, as the file says", meaning(stated))),
            (None, None) => {
                let guess = guess(history);
                (guess.keyed, guess.reason)
            }
        };
        let guessed = told.or(history.meta.keyed).is_none();
        let mut keys = Keys { keyed, guessed, reason, groups: Vec::new(), without_key: Vec::new() };
        if keyed {
            keys.group(history);
        } else {
            keys.groups.push(KeyOps { key: None, ops: history.op_ids().collect() });
        }
        keys
    }

    fn group(&mut self, history: &History) {
        let mut group_of: HashMap<ValueId, usize, FxBuildHasher> = HashMap::default();
        for id in history.op_ids() {
            let Some((key, _)) = history.values.as_pair(history.input(history.op(id))) else {
                self.without_key.push(id);
                continue;
            };
            let next = self.groups.len();
            let group = *group_of.entry(key).or_insert(next);
            if group == next {
                self.groups.push(KeyOps { key: Some(key), ops: Vec::new() });
            }
            self.groups[group].ops.push(id);
        }
    }

    /// Whether the values are taken as `[key value]` pairs.
    pub fn is_keyed(&self) -> bool {
        self.keyed
    }

    /// Whether that was guessed. Of a history that was guessed keyed, every op has a key and answers under it.
    pub fn is_guessed(&self) -> bool {
        self.guessed
    }

    /// Why they are, or are not, in a few words for people.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The keys with their ops, in the order of first appearance. A history that is not keyed has one group without a key.
    pub fn groups(&self) -> &[KeyOps] {
        &self.groups
    }

    /// Ops of a keyed history whose input is no `[key value]` pair: they belong to no key, and no verdict covers them.
    pub fn without_key(&self) -> &[OpId] {
        &self.without_key
    }

    /// What an op was called with, its key taken off.
    pub fn input(&self, history: &History, op: Op) -> ValueId {
        self.strip(&history.values, history.input(op))
    }

    /// What an op returned, if it ended `ok`, its key taken off.
    pub fn output(&self, history: &History, op: Op) -> Option<ValueId> {
        history.output(op).map(|value| self.strip(&history.values, value))
    }

    /// The second of a pair if the history is keyed; everything else as it is.
    pub fn strip(&self, values: &Values, value: ValueId) -> ValueId {
        if !self.keyed {
            return value;
        }
        values.as_pair(value).map_or(value, |(_, under)| under)
    }
}

/// Whether a history's values look like `[key value]` pairs, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The guess.
    pub keyed: bool,
    /// The op or the rule that decided it, for people.
    pub reason: String,
}

/// Functions whose argument is a pair also without keys: the expected and the new value.
const TAKES_A_PAIR: [&str; 3] = ["cas", "compare-and-set", "compare-and-swap"];

/// Guesses whether the values of a history are `[key value]` pairs.
///
/// They are if *every* client op's input is a pair that begins with a scalar (a transaction `[[:r 1 nil] [:w 2 3]]` begins
/// with a micro-op), every `ok` result is a pair with the same key, every cas holds a pair under its key, and at least one op
/// says more than `[a b]` of a cas does. One op that is otherwise decides against it.
pub fn guess(history: &History) -> Guess {
    let values = &history.values;
    let against = |op: Op, why: &str| {
        let event = history.first_event(op);
        let (f, value) = (history.name(history.function(event)), values.display(history.value(event)));
        let place = if history.line(event) == 0 { String::new() } else { format!(" at line {}", history.line(event)) };
        Guess { keyed: false, reason: format!("guessed not keyed: {f} {value}{place} {why}") }
    };
    let mut evidence = None;
    for &op in history.ops() {
        if let Some(why) = misfit(history, op) {
            return against(op, why);
        }
        evidence.get_or_insert(op);
    }
    let Some(op) = evidence else {
        return Guess { keyed: false, reason: "guessed not keyed: no op".into() };
    };
    let (f, value) = (history.name(history.op_function(op)), values.display(history.input(op)));
    Guess { keyed: true, reason: format!("guessed keyed: every value is a [key value] pair, as {f} {value}") }
}

/// Why the values of an op are no `[key value]` pairs; `None` if they can be.
pub(crate) fn misfit(history: &History, op: Op) -> Option<&'static str> {
    let values = &history.values;
    let Some((key, under)) = values.as_pair(history.input(op)) else {
        return Some("is no [key value] pair");
    };
    if !is_scalar(values, key) {
        return Some("does not begin with a key");
    }
    if history.output(op).is_some_and(|out| values.as_pair(out).is_none_or(|(k, _)| k != key)) {
        return Some("returned something that is not under the same key");
    }
    let takes_a_pair = TAKES_A_PAIR.contains(&history.name(history.op_function(op)));
    (takes_a_pair && values.as_pair(under).is_none()).then_some("may be the old and the new value")
}

fn is_scalar(values: &Values, id: ValueId) -> bool {
    !matches!(values.view(id), View::List(_) | View::Vector(_) | View::Set(_) | View::Map(_) | View::Nil)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Builder, Kind};
    use crate::value::Value;

    fn pair(a: i64, b: impl Into<Value>) -> Value {
        Value::pair(a, b)
    }

    /// Ops that return what they were called with, one process each.
    fn history(ops: &[(&str, Value)]) -> History {
        let mut builder = Builder::new();
        for (process, (f, value)) in (0..).zip(ops) {
            builder.event(process, Kind::Invoke, f, value, 0);
            builder.event(process, Kind::Ok, f, value, 0);
        }
        builder.finish()
    }

    #[test]
    fn guesses() {
        let cases = [
            (vec![("cas", pair(1, 2))], false, "old and the new"),
            (vec![("cas", pair(0, pair(1, 2)))], true, "every value"),
            (vec![("write", pair(1, 2)), ("read", pair(1, Value::Nil))], true, "every value"),
            (vec![("write", pair(1, 2)), ("read", Value::Nil)], false, "read nil"),
            (vec![("write", pair(1, 2)), ("cas", pair(1, 2))], false, "cas [1 2]"),
            (vec![("txn", Value::pair(pair(1, 2), pair(3, 4)))], false, "does not begin"),
            (vec![("write", Value::Int(3))], false, "no [key value] pair"),
            (vec![], false, "no op"),
        ];
        for (ops, keyed, reason) in cases {
            let guess = guess(&history(&ops));
            assert_eq!(guess.keyed, keyed, "{ops:?}: {}", guess.reason);
            assert!(guess.reason.contains(reason), "{ops:?}: {}", guess.reason);
        }
    }

    #[test]
    fn a_result_under_another_key_is_no_key() {
        let mut builder = Builder::new();
        builder.event(0, Kind::Invoke, "swap", &pair(1, 2), 0);
        builder.event(0, Kind::Ok, "swap", &pair(2, 1), 0);
        assert!(!guess(&builder.finish()).keyed);
    }

    #[test]
    fn splits_in_order_of_appearance() {
        let mut builder = Builder::new();
        builder.event(0, Kind::Invoke, "write", &pair(7, 1), 0);
        builder.event(1, Kind::Invoke, "read", &pair(3, Value::Nil), 0);
        let nemesis = builder.values().keyword("nemesis");
        let f = builder.name("start");
        builder.push(crate::Event { process: nemesis, kind: Kind::Info, f, value: ValueId::NIL, time: 0, line: 0 });
        builder.event(1, Kind::Ok, "read", &pair(3, 5), 0);
        builder.event(2, Kind::Invoke, "read", &pair(7, Value::Nil), 0);
        builder.event(0, Kind::Ok, "write", &pair(7, 1), 0);
        let history = builder.finish();
        let keys = Keys::split(&history, None);
        assert!(keys.is_keyed());
        let groups: Vec<_> = keys.groups().iter().map(|g| (g.key.unwrap().as_small_int().unwrap(), g.ops.clone())).collect();
        assert_eq!(groups, [(7, vec![OpId(0), OpId(2)]), (3, vec![OpId(1)])]);
        let read = history.op(OpId(1));
        assert_eq!(keys.input(&history, read), ValueId::NIL);
        assert_eq!(keys.output(&history, read), ValueId::small_int(5));

        let whole = Keys::split(&history, Some(false));
        assert_eq!(whole.groups(), [KeyOps { key: None, ops: vec![OpId(0), OpId(1), OpId(2)] }]);
        assert_eq!(whole.output(&history, read), history.output(read));
    }

    #[test]
    fn told_against_the_values() {
        let keys = Keys::split(&history(&[("write", Value::Int(3)), ("write", pair(0, 3))]), Some(true));
        assert_eq!(keys.without_key(), [OpId(0)]);
        assert_eq!(keys.groups().len(), 1);
    }
}
