//! Accounts: `transfer {:from a :to b :amount n}`, `read` of all balances.

use super::{Call, Decoded, Model, text};
use crate::options::Options;
use crate::verdict::Words;
use histories::{Outcome, Value, ValueId, Values, View};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Accounts between which money is moved. What they hold at first is the initial value of the options; without it, the first
/// read in the order says so. Whether a transfer may overdraw an account is not asked.
#[derive(Clone, Debug)]
pub struct Bank {
    initial: Option<BTreeMap<Account, i128>>,
}

/// An account's name: JSON makes strings of the numbers that EDN writes.
pub(super) type Account = Arc<str>;

/// An op of a bank.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Takes an amount from the first account and gives it to the second.
    Transfer(Account, Account, i64),
    /// All balances.
    Read(BTreeMap<Account, i128>),
}

/// The balances; or, before anybody knows them, what was moved since the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// By how much each account changed, where it did.
    Changed(BTreeMap<Account, i128>),
    /// What each account holds.
    Known(BTreeMap<Account, i128>),
}

impl Bank {
    /// A bank.
    ///
    /// # Errors
    /// An initial value that is no map of numbers.
    pub fn new(options: &Options) -> Result<Bank, String> {
        let pairs = match &options.initial {
            None | Some(Value::Nil) => return Ok(Bank { initial: None }),
            Some(Value::Map(pairs)) => pairs,
            Some(other) => return Err(wrong_initial(other)),
        };
        let mut initial = BTreeMap::new();
        for (account, balance) in pairs {
            initial.insert(name_of(account), balance.as_int().ok_or_else(|| wrong_initial(balance))?.into());
        }
        Ok(Bank { initial: Some(initial) })
    }
}

fn wrong_initial(value: &Value) -> String {
    format!("a bank starts with a map of account to whole number, not {value}; give one with --initial, like {{0 100, 1 0}}")
}

fn name_of(value: &Value) -> Account {
    match value {
        Value::Str(name) | Value::Keyword(name) | Value::Symbol(name) => (&**name).into(),
        other => other.to_string().into(),
    }
}

fn account(values: &Values, id: ValueId) -> Account {
    match values.view(id) {
        View::Str(name) | View::Keyword(name) | View::Symbol(name) => name.into(),
        _ => values.display(id).into(),
    }
}

fn transfer(call: &Call<'_>) -> Option<Op> {
    let View::Map(fields) = call.values.view(call.input) else { return None };
    let field = |name: &str| fields.chunks_exact(2).find(|field| call.values.name(field[0]) == name).map(|field| field[1]);
    let amount = call.values.as_int(field("amount")?)?;
    Some(Op::Transfer(account(call.values, field("from")?), account(call.values, field("to")?), amount))
}

fn read(values: &Values, seen: ValueId) -> Option<Op> {
    let View::Map(balances) = values.view(seen) else { return None };
    let balances = balances.chunks_exact(2).map(|pair| Some((account(values, pair[0]), values.as_int(pair[1])?.into())));
    Some(Op::Read(balances.collect::<Option<_>>()?))
}

impl Model for Bank {
    type State = State;
    type Op = Op;

    fn name(&self) -> &'static str {
        "bank"
    }

    fn init(&self) -> State {
        self.initial.clone().map_or(State::Changed(BTreeMap::new()), State::Known)
    }

    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Op>, String> {
        let shown = |value| call.values.display(value);
        let op = match (call.f, call.output) {
            ("transfer", _) => {
                let op = transfer(call);
                Some(op.ok_or_else(|| format!("a transfer needs {{:from a, :to b, :amount n}}, not {}", shown(call.input)))?)
            }
            ("read", None) => None,
            ("read", Some(nil)) if nil.is_nil() => None,
            ("read", Some(seen)) => {
                let op = read(call.values, seen);
                Some(op.ok_or_else(|| format!("a bank is read as a map of account to whole number, not {}", shown(seen)))?)
            }
            (other, _) => return Err(format!("a bank knows transfer and read, not {other}")),
        };
        Ok(op.filter(|_| call.outcome != Outcome::Fail).map_or(Decoded::Nothing, Decoded::Op))
    }

    fn step(&self, state: &State, op: &Op) -> Option<State> {
        match (state, op) {
            (State::Known(balances), Op::Read(seen)) => (balances == seen).then(|| state.clone()),
            // Only accounts that exist were changed; what they held at first follows from what is seen now.
            (State::Changed(changes), Op::Read(seen)) => {
                changes.keys().all(|account| seen.contains_key(account)).then(|| State::Known(seen.clone()))
            }
            (State::Known(balances), Op::Transfer(from, to, amount)) => {
                let mut next = balances.clone();
                *next.get_mut(from)? -= i128::from(*amount);
                *next.get_mut(to)? += i128::from(*amount);
                Some(State::Known(next))
            }
            (State::Changed(changes), Op::Transfer(from, to, amount)) => {
                let mut next = changes.clone();
                // An account stays in the map when its changes cancel out: it exists.
                *next.entry(from.clone()).or_default() -= i128::from(*amount);
                *next.entry(to.clone()).or_default() += i128::from(*amount);
                Some(State::Changed(next))
            }
        }
    }

    fn is_pure(&self, op: &Op) -> bool {
        // Where the initial balances are not known, a read tells them: it changes what is possible.
        self.initial.is_some() && matches!(op, Op::Read(_))
    }

    fn leaves(&self, op: &Op) -> Option<State> {
        match op {
            Op::Read(seen) => Some(State::Known(seen.clone())),
            Op::Transfer(..) => None,
        }
    }

    fn tell_op(&self, op: &Op, _: bool, values: &Values) -> Vec<Words> {
        match op {
            Op::Transfer(from, to, amount) => vec![text(&format!("moved {amount} from {from} to {to}"))],
            Op::Read(_) => vec![text("read "), Words::Value(self.show_op(op, values))],
        }
    }

    fn show_op(&self, op: &Op, _: &Values) -> String {
        match op {
            Op::Transfer(from, to, amount) => format!("{from}→{to} {amount}"),
            Op::Read(seen) => show(seen),
        }
    }

    fn show_state(&self, state: &State, _: &Values) -> String {
        match state {
            State::Changed(changes) => format!("changed by {}", show(changes)),
            State::Known(balances) => show(balances),
        }
    }
}

fn show(balances: &BTreeMap<Account, i128>) -> String {
    let each: Vec<String> = balances.iter().map(|(account, balance)| format!("{account} {balance}")).collect();
    format!("{{{}}}", each.join(", "))
}
