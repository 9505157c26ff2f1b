//! What it means to be linearizable, in the most literal way.

use histories::{OpId, Value};
use rashomon_checker::verdict::Others;
use rashomon_checker::{Counterexample, Options};
use std::collections::{BTreeSet, HashSet};

/// A state of any object.
pub(crate) type State = Vec<i64>;

/// What a call can return in a state, with the state that follows.
pub(crate) type Outcomes = fn(&State, &str, &Value) -> Vec<(Value, State)>;

/// The states that follow a call with a result, `None` if all that it can return says it.
pub(crate) type After = fn(&State, &str, &Value, Option<&Value>) -> Option<Vec<State>>;

/// An object, its calls for random histories, and its acts (calls with results) for exhaustive ones.
#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) model: &'static str,
    pub(crate) options: Options,
    /// Usually one; several if nobody knows which it is.
    pub(crate) starts: Vec<State>,
    /// Whether a call's input names the process that makes it.
    pub(crate) by_process: bool,
    pub(crate) outcomes: Outcomes,
    /// A shorter way to the states that follow, where a call can return very much.
    pub(crate) after: Option<After>,
    /// Ops of a random history: as many as can be ordered in every way.
    pub(crate) most_ops: u32,
    pub(crate) calls: Vec<(&'static str, Value)>,
    pub(crate) acts: Vec<(&'static str, Value, Value)>,
}

/// An op with its interval. `ret` is `usize::MAX`, and the output missing, for one that may also never happen.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    pub(crate) id: OpId,
    pub(crate) f: &'static str,
    pub(crate) input: Value,
    pub(crate) output: Option<Value>,
    pub(crate) call: usize,
    pub(crate) ret: usize,
}

fn next_states(object: &Object, state: &State, op: &Interval) -> Vec<State> {
    if let Some(states) = object.after.and_then(|after| after(state, op.f, &op.input, op.output.as_ref())) {
        return states;
    }
    let all = (object.outcomes)(state, op.f, &op.input);
    all.into_iter().filter(|(output, _)| op.output.as_ref().is_none_or(|seen| seen == output)).map(|(_, next)| next).collect()
}

/// Whether the ops can be ordered. Those of unknown outcome need not happen.
pub(crate) fn order_exists(object: &Object, ops: &[Interval]) -> bool {
    let musts: Vec<bool> = ops.iter().map(|op| op.ret != usize::MAX).collect();
    can_end(object, ops, &musts)
}

/// Whether there is an order of all that must happen. Follows every order; what was done once is not done again.
fn can_end(object: &Object, ops: &[Interval], musts: &[bool]) -> bool {
    let mut todo: Vec<(u32, State)> = object.starts.iter().map(|start| (0, start.clone())).collect();
    let mut seen: HashSet<(u32, State)> = todo.iter().cloned().collect();
    while let Some((done, state)) = todo.pop() {
        let is_done = |i: usize| done >> i & 1 == 1;
        let latest_call = (0..ops.len()).filter(|&i| is_done(i)).map(|i| ops[i].call).max().unwrap_or(0);
        let Some(first_return) = (0..ops.len()).filter(|&i| musts[i] && !is_done(i)).map(|i| ops[i].ret).min() else { return true };
        for (i, op) in ops.iter().enumerate() {
            if is_done(i) || first_return < op.call || op.ret < latest_call {
                continue;
            }
            for next in next_states(object, &state, op) {
                let point = (done | 1 << i, next);
                if seen.insert(point.clone()) {
                    todo.push(point);
                }
            }
        }
    }
    false
}

/// Whether an order that was found is one.
pub(crate) fn check_witness(object: &Object, ops: &[Interval], order: &[OpId]) -> Result<(), &'static str> {
    let mut states: BTreeSet<State> = object.starts.iter().cloned().collect();
    let mut placed: Vec<&Interval> = Vec::new();
    for id in order {
        let op = ops.iter().find(|o| o.id == *id).ok_or("an op is in the witness that says nothing")?;
        if placed.iter().any(|before| before.id == op.id) {
            return Err("an op is in the witness twice");
        }
        if placed.iter().any(|before| op.ret < before.call) {
            return Err("the witness breaks real time");
        }
        // One of unknown outcome may have done several things.
        states = states.iter().flat_map(|state| next_states(object, state, op)).collect();
        if states.is_empty() {
            return Err("the witness is not legal");
        }
        placed.push(op);
    }
    let missing = ops.iter().any(|o| o.ret != usize::MAX && !is_idle(o) && !order.contains(&o.id));
    if missing { Err("an op is missing from the witness") } else { Ok(()) }
}

/// Whether the op says nothing: nobody knows what it read, or it added nothing.
fn is_idle(op: &Interval) -> bool {
    op.f == "add" && op.input == Value::Int(0)
}

/// Whether the ops of a contradiction contradict each other as it claims, and whether each is needed.
pub(crate) fn check_core(object: &Object, ops: &[Interval], found: &Counterexample) -> Result<(), &'static str> {
    let needed: BTreeSet<OpId> = found.needed.iter().copied().collect();
    if needed.is_empty() || needed.iter().any(|id| !ops.iter().any(|o| o.id == *id)) {
        return Err("the core has ops that say nothing");
    }
    if !needed.iter().all(|id| found.core.contains(id)) || found.stuck.is_none_or(|id| !found.core.contains(&id)) {
        return Err("the core is not whole");
    }
    if relaxed_order_exists(object, ops, &needed, found.others) {
        return Err("the core can be ordered");
    }
    if !found.minimal {
        return Err("the core of a small history is not minimal");
    }
    for id in &needed {
        let rest: BTreeSet<OpId> = needed.iter().copied().filter(|other| other != id).collect();
        // Ops that may happen as often as they like are let happen twice here: enough to refute, not to confirm.
        if found.others != Others::AnyNumber && !relaxed_order_exists(object, ops, &rest, found.others) {
            return Err("an op of the core is not needed");
        }
    }
    check_prefix(object, ops, found)
}

fn check_prefix(object: &Object, ops: &[Interval], found: &Counterexample) -> Result<(), &'static str> {
    let until = ops.iter().find(|o| Some(o.id) == found.blocked).ok_or("nothing is blocked")?.ret;
    let before: Vec<Interval> = ops
        .iter()
        .filter(|o| o.call < until)
        .cloned()
        .map(|mut o| {
            if o.ret >= until {
                (o.ret, o.output) = (usize::MAX, None);
            }
            o
        })
        .collect();
    check_witness(object, &before, &found.prefix).map_err(|_| "the prefix does not hold")
}

/// Whether the needed ops can be ordered, with the others relaxed.
fn relaxed_order_exists(object: &Object, ops: &[Interval], needed: &BTreeSet<OpId>, others: Others) -> bool {
    let ops = match others {
        Others::SameValues => of_same_values(ops, needed),
        Others::AtMostOnce => ops.to_vec(),
        Others::AsRecorded => unreachable!("no contradiction to linearizability is of this kind"),
        Others::AnyNumber => ops.iter().flat_map(|op| vec![op.clone(); if needed.contains(&op.id) { 1 } else { 2 }]).collect(),
    };
    let musts: Vec<bool> = ops.iter().map(|op| needed.contains(&op.id) && op.ret != usize::MAX).collect();
    can_end(object, &ops, &musts)
}

/// The ops on the values that the needed ops name, or that needed reads saw before anybody put them in.
fn of_same_values(ops: &[Interval], needed: &BTreeSet<OpId>) -> Vec<Interval> {
    let needed: Vec<&Interval> = ops.iter().filter(|op| needed.contains(&op.id)).collect();
    let mut values: Vec<Value> = needed.iter().filter_map(|op| value_of(op)).collect();
    for read in needed.iter().filter(|op| op.f == "read") {
        for seen in read.output.iter().filter_map(Value::elements).flatten() {
            let puts_in = |op: &&Interval| !matches!(op.f, "read" | "contains" | "remove") && op.output_is_no_value();
            if !ops.iter().filter(puts_in).any(|op| op.input == *seen && op.call < read.ret) {
                values.push(seen.clone());
            }
        }
    }
    let restricted = |op: &Interval| match (&op.output, value_of(op)) {
        (Some(seen), _) if op.f == "read" => {
            let kept = seen.elements()?.iter().filter(|v| values.contains(v)).cloned().collect();
            let output = if matches!(seen, Value::Set(_)) { Value::Set(kept) } else { Value::Vector(kept) };
            Some(Interval { output: Some(output), ..op.clone() })
        }
        (_, None) => Some(op.clone()),
        (_, Some(value)) => values.contains(&value).then(|| op.clone()),
    };
    let only_looks = |op: &Interval| op.f == "read" || op.f.starts_with("peek");
    ops.iter().filter(|op| !only_looks(op) || needed.iter().any(|n| n.id == op.id)).filter_map(restricted).collect()
}

impl Interval {
    fn output_is_no_value(&self) -> bool {
        !["dequeue", "pop", "delete-", "peek"].iter().any(|takes| self.f.starts_with(takes))
    }
}

/// The one value that an op concerns: what it was called with, or what it took out or saw.
fn value_of(op: &Interval) -> Option<Value> {
    let value = if op.output_is_no_value() { &op.input } else { op.output.as_ref()? };
    (*value != Value::Nil).then(|| value.clone())
}
