//! Sequential consistency (Lamport 1979): the result is as if the ops of all processes were executed in some sequential order, and
//! the ops of each process appear in it in the order of its program. Real time plays no part.
//!
//! It is not local: two keys can each be sequentially consistent while both together are not, so all keys are judged
//! together. To decide it is NP-complete even where it is known which write each read saw (Gibbons and Korach 1997, section 3).

//!
//! So: where ops are reads and writes and it is known which write a read saw, `saturate` finds what must come before what; most
//! violations are cycles of that, and most orders are found by giving one write after the other its place. What is left, and
//! all other models, are searched: see `search`.

mod linearized;
mod minimize;
pub(crate) mod program;
mod saturate;
mod search;

use crate::budget::{Account, Budget};
use crate::causal;
use crate::causal::decode::{OF_CELLS, Rules};
use crate::causal::execution::Execution;
use crate::certify::order::Refused;
use crate::certify::sequential::Claims;
use crate::check::{any_model, located, notes_of_model, notes_on_keys};
use crate::consistency::Consistency;
use crate::linear::problem::Unread;
use crate::model::{CasRegister, Kv, Model, Register};
use crate::options::Options;
use crate::verdict::{Answer, Counterexample, KeyVerdict, Others, Reason, Summary, Verdict, Witness, Words};
use hashbrown::HashMap;
use histories::keyed::Keys;
use histories::{History, OpId, Outcome, ValueId};
use program::{ByModel, ByRules, Program, Reading};
use rustc_hash::FxBuildHasher;
use saturate::{Ended, Saturation};
use search::Search;

/// See [`crate::check()`].
pub(crate) fn check(history: &History, options: &Options, per_key: bool, budget: &Budget) -> Result<Verdict, String> {
    let keys = Keys::split(history, options.keyed);
    let rules = Rules::new(history, options, &keys);
    if OF_CELLS.contains(&&*options.model)
        && rules.unjudged_failure(history).is_none()
        && !matches!(options.initial, Some(histories::Value::Map(_)))
    {
        match ByRules::new(history, &rules) {
            Ok(reading) => return of_cells(history, options, &keys, &rules, &reading, per_key, budget),
            Err((op, why)) if options.model.is_empty() => return Err(located(history, op, &why)),
            // The model knows more.
            Err(_) => {}
        }
    }
    match options.model.as_str() {
        "register" => {
            let model = Register::new(history, options);
            check_with(&model, model.notes(), history, options, per_key, budget)
        }
        // Without a name it came here because a failed cas says something.
        "" | "cas-register" => {
            let model = CasRegister::new(history, options);
            check_with(&model, model.notes(), history, options, per_key, budget)
        }
        "kv" => check_with(&Kv::new(history, options), Vec::new(), history, options, per_key, budget),
        other => {
            let model = any_model(other, history, options)?;
            check_with(&model, notes_of_model(other, history, options), history, options, per_key, budget)
        }
    }
}

/// See [`crate::check_sequential_with`].
pub(crate) fn check_with<M: Model>(
    model: &M,
    notes: Vec<String>,
    history: &History,
    options: &Options,
    per_key: bool,
    budget: &Budget,
) -> Result<Verdict, String> {
    let keys = Keys::split(history, options.keyed);
    let reading = ByModel { model, keys: &keys };
    Judge { history, reading: &reading, budget, kinds: model.contradictions() }.verdict(model.name(), notes, &keys, per_key)
}

/// What a history is judged with.
struct Judge<'a, R> {
    history: &'a History,
    reading: &'a R,
    budget: &'a Budget,
    /// The kinds of contradictions that are worth looking for.
    kinds: &'a [Others],
}

/// Of reads and writes: saturation first, for it is known which write most reads saw.
fn of_cells(
    history: &History,
    options: &Options,
    keys: &Keys,
    rules: &Rules<'_>,
    reading: &ByRules<'_>,
    per_key: bool,
    budget: &Budget,
) -> Result<Verdict, String> {
    let model = if options.model.is_empty() { "register" } else { &options.model };
    let mut verdict = begun(history, model, rules.notes(options), keys, per_key);
    if verdict.reason.is_some() {
        return Ok(verdict);
    }
    let mut account = Account::new(budget);
    if let Err(limit) = account.hold(history.ops().len() * Execution::BYTES_PER_OP) {
        let (ops, answer) = (history.ops().len(), Answer::Unknown(limit.reason(0, 0)));
        verdict.keys.push(KeyVerdict { key: None, ops, answer, algorithm: "saturation", steps: 0, undecided: None });
        return Ok(verdict);
    }
    let execution = Execution::new(history, rules).map_err(|(op, why)| located(history, op, &why))?;
    let judge = Judge { history, reading, budget, kinds: &[Others::AnyNumber, Others::AtMostOnce] };
    let linearized = || match options.model.as_str() {
        _ if per_key => None,
        "register" => linearized::order(&Register::new(history, options), history, keys, budget),
        "cas-register" => linearized::order(&CasRegister::new(history, options), history, keys, budget),
        "kv" => linearized::order(&Kv::new(history, options), history, keys, budget),
        other => linearized::order(&any_model(other, history, options).ok()?, history, keys, budget),
    };
    let cells = Cells { judge: &judge, rules, linearized: &linearized };
    if !per_key {
        let ids: Vec<OpId> = history.op_ids().collect();
        let (answer, algorithm, steps) = cells.answer(&ids, &execution)?;
        verdict.keys.push(KeyVerdict { key: None, ops: ids.len(), answer, algorithm, steps, undecided: None });
    } else if keys.is_keyed() || execution.keys.len() < 2 {
        let node_of: HashMap<OpId, u32, FxBuildHasher> = execution.ops.iter().copied().zip(0..).collect();
        for group in keys.groups() {
            let mut nodes: Vec<u32> = group.ops.iter().filter_map(|id| node_of.get(id)).copied().collect();
            nodes.sort_unstable();
            let mut part = execution.restricted(&nodes);
            part.doubts.clone_from(&execution.doubts);
            // What is impossible is missing from it: the search sees that.
            let is_whole = execution.impossible.is_none();
            let (answer, algorithm, steps) =
                if is_whole { cells.answer(&group.ops, &part)? } else { judge.searched(&group.ops, |op| by_completion(history, op))? };
            verdict.keys.push(KeyVerdict { key: group.key, ops: group.ops.len(), answer, algorithm, steps, undecided: None });
        }
    } else {
        return Err("transactions cannot be judged key by key; --consistency sequential judges all keys together".into());
    }
    verdict.answer = Verdict::compose(None, &verdict.keys);
    Ok(verdict)
}

/// A verdict that knows no answers yet; and, if there can be none, why.
fn begun(history: &History, model: &str, mut notes: Vec<String>, keys: &Keys, per_key: bool) -> Verdict {
    notes.extend(notes_on_keys(history, keys));
    let consistency = if per_key { Consistency::SequentialPerKey } else { Consistency::Sequential };
    Verdict {
        consistency: consistency.name(),
        model: model.into(),
        keyed: keys.is_keyed(),
        answer: Summary::Unknown,
        reason: histories::lint::refusal(history).map(Reason::History),
        keys: Vec::new(),
        notes,
    }
}

/// An answer, the procedure that gave it, and its steps.
type Found = (Answer, &'static str, u64);

/// What reads and writes are judged with.
struct Cells<'a> {
    judge: &'a Judge<'a, ByRules<'a>>,
    rules: &'a Rules<'a>,
    /// Looks for an order that keeps real time.
    linearized: &'a dyn Fn() -> Option<Vec<OpId>>,
}

impl Cells<'_> {
    /// The answer for the ops of an execution.
    fn answer(&self, ids: &[OpId], execution: &Execution) -> Result<Found, String> {
        let Judge { history, budget, .. } = *self.judge;
        if let Some(answer) = causal::impossible(history, self.rules, execution) {
            return Ok((answer, "saturation", 0));
        }
        let mut account = Account::new(budget);
        let ready = account.hold(Saturation::bytes(execution)).map_err(Ended::Out);
        let mut saturation = match ready.and_then(|()| Saturation::new(execution, &mut account)) {
            Ok(saturation) => saturation,
            Err(Ended::Out(limit)) => return Ok((Answer::Unknown(limit.reason(0, 0)), "saturation", 0)),
            Err(Ended::Cycle(suspects)) => {
                drop(account);
                let mut account = Account::new(budget);
                if let Err(limit) = account.hold(history.ops().len() * causal::Claims::BYTES_PER_OP) {
                    return Ok((Answer::Unknown(limit.reason(0, 0)), "saturation", 0));
                }
                let claims = causal::Claims::new(history, self.rules);
                let answer = causal::refuted(history, &claims, execution, &suspects, Consistency::Sequential, budget);
                return Ok((answer, "saturation", 0));
            }
        };
        if !history.has_processes() {
            return Ok((Answer::Unknown(Reason::History(execution.doubts.join("; "))), "saturation", 0));
        }
        let priority: Vec<u32> = execution.ops.iter().map(|&op| by_completion(history, op)).collect();
        let mut guess = saturation.guess(&priority);
        match saturation.line_up(&guess, &mut account) {
            Err(limit) => return Ok((Answer::Unknown(limit.reason(0, 0)), "saturation", 0)),
            Ok(is_in_line) => {
                guess = saturation.guess(&priority);
                if is_in_line && execution.doubts.is_empty() {
                    let order = guess.iter().map(|&node| execution.ops[node as usize]).collect();
                    return Ok((self.judge.certified(ids, order), "saturation", 0));
                }
            }
        }
        drop((saturation, account));
        if let Some(found) = self.judge.by_linearization(ids, self.linearized) {
            return Ok(found);
        }
        let mut rank: HashMap<OpId, u32, FxBuildHasher> = HashMap::with_capacity_and_hasher(guess.len(), FxBuildHasher);
        rank.extend((0..).zip(&guess).map(|(at, &node)| (execution.ops[node as usize], at)));
        self.judge.searched(ids, |op| rank.get(&op).copied().unwrap_or(u32::MAX))
    }
}

impl<R> Judge<'_, R> {
    fn verdict<M: Model>(&self, model: &str, notes: Vec<String>, keys: &Keys, per_key: bool) -> Result<Verdict, String>
    where
        R: Reading<M>,
    {
        let history = self.history;
        let mut verdict = begun(history, model, notes, keys, per_key);
        if verdict.reason.is_some() {
            return Ok(verdict);
        }
        let groups: Vec<(Option<ValueId>, Vec<OpId>)> = if per_key {
            keys.groups().iter().map(|group| (group.key, group.ops.clone())).collect()
        } else {
            vec![(None, history.op_ids().collect())]
        };
        for (key, ids) in groups {
            let linearized = || if per_key { None } else { linearized::order(self.reading.model(), history, keys, self.budget) };
            if let Some((answer, algorithm, steps)) = self.by_linearization(&ids, &linearized) {
                verdict.keys.push(KeyVerdict { key, ops: ids.len(), answer, algorithm, steps, undecided: None });
                continue;
            }
            let (answer, algorithm, steps) = self.searched(&ids, |op| by_completion(history, op))?;
            verdict.keys.push(KeyVerdict { key, ops: ids.len(), answer, algorithm, steps, undecided: None });
        }
        verdict.answer = Verdict::compose(None, &verdict.keys);
        Ok(verdict)
    }

    /// The answer, if an order that keeps real time is found and holds.
    fn by_linearization<M: Model>(&self, ids: &[OpId], linearized: &dyn Fn() -> Option<Vec<OpId>>) -> Option<Found>
    where
        R: Reading<M>,
    {
        if !self.history.has_processes() {
            return None;
        }
        let answer = self.certified(ids, linearized()?);
        matches!(answer, Answer::Valid(_)).then_some((answer, "linearization", 0))
    }

    /// The answer of the search for some ops, which tries those of lower rank first.
    fn searched<M: Model>(&self, ids: &[OpId], rank: impl Fn(OpId) -> u32) -> Result<Found, String>
    where
        R: Reading<M>,
    {
        let Judge { history, reading, budget, .. } = *self;
        let mut account = Account::new(budget);
        let program = match Program::new(history, reading, ids.iter().copied(), &mut account) {
            Ok(program) => program,
            Err(Unread::Out(limit)) => return Ok((Answer::Unknown(limit.reason(0, 0)), "search", 0)),
            Err(Unread::Malformed(op, why)) => return Err(located(history, op, &why)),
        };
        let rank: Vec<u32> = program.ops.iter().map(|op| rank(op.id)).collect();
        let mut held = Account::new(budget);
        let (found, steps) = match held.hold(Search::bytes(&program)) {
            Ok(()) => Search::new(reading.model(), &program, &rank).run(budget.steps.unwrap_or(u64::MAX), &mut held),
            Err(limit) => (search::Found::Out(limit, 0), 0),
        };
        drop(held);
        let answer = match found {
            search::Found::Order(order) => self.certified(ids, order.iter().map(|&op| program.ops[op as usize].id).collect()),
            search::Found::Nothing(stuck) => self.refuted(&program, ids, &stuck),
            search::Found::Out(limit, placed) => Answer::Unknown(limit.reason(placed, 0)),
        };
        Ok((answer, "search", steps))
    }

    /// An order, replayed from the history.
    fn certified<M: Model>(&self, ids: &[OpId], order: Vec<OpId>) -> Answer
    where
        R: Reading<M>,
    {
        if !self.history.has_processes() {
            let why = "it records no processes, so nobody knows which operations were of one session";
            return Answer::Unknown(Reason::History(why.into()));
        }
        let mut account = Account::new(self.budget);
        let claims = Claims::new(self.history, self.reading, ids.iter().copied(), &mut account);
        match claims.map_err(Refused::Out).and_then(|claims| claims.holds(&order, &mut Account::new(self.budget))) {
            Ok(()) => Answer::Valid(Witness { order, ..Witness::default() }),
            Err(Refused::Wrong(why)) => Answer::Unknown(Reason::Uncertified(format!("the order that was found does not hold: {why}"))),
            Err(Refused::Out(limit)) => Answer::Unknown(limit.reason(order.len(), 1)),
        }
    }

    /// Where the search found no order: the few ops that have none.
    fn refuted<M: Model>(&self, program: &Program<M>, ids: &[OpId], stuck: &[u32]) -> Answer
    where
        R: Reading<M>,
    {
        let mut account = Account::new(self.budget);
        let found = Claims::new(self.history, self.reading, ids.iter().copied(), &mut account)
            .and_then(|claims| minimize::shrink(&claims, &nearest(self.history, program, stuck), self.kinds, self.budget));
        match found {
            Ok(Some(core)) => Answer::Invalid(Box::new(told(core))),
            Ok(None) => {
                let why = "there is no order, but no small contradiction was found that could be checked by itself";
                Answer::Unknown(Reason::Uncertified(why.into()))
            }
            Err(limit) => Answer::Unknown(limit.reason(0, 0)),
        }
    }
}

/// Ops are tried in the order of their completions, which is nearly right where a store is nearly linearizable; those of unknown
/// outcome by their invocations.
fn by_completion(history: &History, id: OpId) -> u32 {
    let op = history.op(id);
    if history.outcome(op) == Outcome::Info { history.first_event(op) } else { op.complete }
}

/// All ops, the nearest to where the search got stuck first.
fn nearest<M: Model>(history: &History, program: &Program<M>, stuck: &[u32]) -> Vec<OpId> {
    let event = |op: &program::Op| history.first_event(history.op(op.id));
    let is_next = |(session, &next): (usize, &u32)| (next < program.starts[session + 1]).then(|| event(&program.ops[next as usize]));
    let middle = stuck.iter().enumerate().filter_map(is_next).min().unwrap_or(0);
    let mut ops: Vec<(u32, OpId)> = program.ops.iter().map(|op| (event(op).abs_diff(middle), op.id)).collect();
    ops.sort_unstable();
    ops.into_iter().map(|(_, id)| id).collect()
}

/// Ops that the sentence names; the rest are counted.
const NAMED: usize = 12;

fn told(core: minimize::Core) -> Counterexample {
    let mut needed = core.needed;
    needed.sort_unstable();
    let text = |text: &str| Words::Text(text.into());
    let mut sentence = vec![text("no order that keeps that of each process explains together ")];
    let shown = if needed.len() > NAMED { NAMED } else { needed.len() };
    for (at, &op) in needed[..shown].iter().enumerate() {
        if at > 0 {
            sentence.push(text(if at + 1 == needed.len() { " and " } else { ", " }));
        }
        sentence.extend([Words::Op(op), text(" of "), Words::Who(op)]);
    }
    if needed.len() > shown {
        sentence.push(text(&format!(", and {} operations more", needed.len() - shown)));
    }
    sentence.push(text("."));
    Counterexample {
        core: needed.clone(),
        stuck: needed.last().copied(),
        needed,
        others: core.others,
        minimal: core.minimal,
        sentence,
        ..Counterexample::default()
    }
}
