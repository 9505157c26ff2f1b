//! A bank: `transfer {:from a, :to b, :amount n}`, which fails where the money is missing, and `read` of all accounts. Each has
//! [`BALANCE`] at first.

use super::Anomaly;
use super::dice::Dice;
use super::object::{Moment, Object};
use super::scene::Scene;
use crate::value::{ValueId, Values};

/// What each account has at first.
const BALANCE: i64 = 10;
/// The most that one transfer moves.
const AMOUNT_MAX: u64 = 5;

#[derive(Clone, Copy, Debug, Default)]
enum Call {
    #[default]
    Read,
    Transfer {
        from: usize,
        to: usize,
        amount: i64,
    },
}

/// An op on the bank.
#[derive(Clone, Debug, Default)]
pub(super) struct Op {
    call: Call,
    is_ok: bool,
    found: Vec<i64>,
    /// The transfer that took effect last before a read.
    last: Option<(usize, i64)>,
}

/// All accounts.
#[derive(Debug)]
pub(super) struct Bank {
    balances: Vec<i64>,
    /// The last transfer: whom it was to, and how much.
    last: Option<(usize, i64)>,
}

impl Bank {
    pub(super) fn new(accounts: u32) -> Bank {
        Bank { balances: vec![BALANCE; accounts as usize], last: None }
    }

    fn read(op: &mut Op, moment: Moment, scene: &mut Scene) {
        if let Some((to, amount)) = op.last.filter(|_| scene.wants(Anomaly::FracturedRead)) {
            op.found[to] -= amount;
            scene.plant(moment.called, format!("a read misses the {amount} that a transfer brought to {to}, but not what they cost"));
        } else if scene.wants(Anomaly::NegativeBalance) {
            let overdrawn = op.found[0] + 1;
            op.found[0] -= overdrawn;
            op.found[1] += overdrawn;
            scene.plant(moment.called, "a read shows an account that is overdrawn".into());
        } else if scene.awaits(Anomaly::LostWrite) && op.found.iter().sum::<i64>() != BALANCE * op.found.len() as i64 {
            scene.plant(moment.called, "money that a transfer took from one account never came to another".into());
        }
    }
}

impl Object for Bank {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, _: Moment, _: &Scene, dice: &mut Dice) {
        op.call = if dice.below(2) == 0 {
            Call::Read
        } else {
            let accounts = self.balances.len() as u64;
            let from = dice.below(accounts);
            let to = (from + 1 + dice.below(accounts - 1)) % accounts;
            Call::Transfer { from: from as usize, to: to as usize, amount: 1 + dice.below(AMOUNT_MAX) as i64 }
        };
    }

    fn act(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        op.is_ok = true;
        let Call::Transfer { from, to, amount } = op.call else {
            op.found.clone_from(&self.balances);
            op.last = self.last;
            return;
        };
        op.is_ok = self.balances[from] >= amount;
        if !op.is_ok {
            return;
        }
        self.balances[from] -= amount;
        if moment.answered && scene.wants(Anomaly::LostWrite) {
            scene.begin();
            return;
        }
        self.balances[to] += amount;
        self.last = Some((to, amount));
    }

    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        if matches!(op.call, Call::Read) {
            Bank::read(op, moment, scene);
        }
        op.is_ok
    }

    fn called_with(&self, op: &Op, values: &mut Values) -> (&'static str, ValueId) {
        let Call::Transfer { from, to, amount } = op.call else { return ("read", ValueId::NIL) };
        let mut flat = [ValueId::NIL; 6];
        for (i, (name, value)) in [("from", from as i64), ("to", to as i64), ("amount", amount)].into_iter().enumerate() {
            flat[2 * i] = values.keyword(name);
            flat[2 * i + 1] = values.int(value);
        }
        ("transfer", values.map(&flat))
    }

    fn returned(&self, op: &Op, values: &mut Values) -> ValueId {
        if !matches!(op.call, Call::Read) {
            return self.called_with(op, values).1;
        }
        let balances = (0..).zip(&op.found);
        let flat: Vec<ValueId> = balances.flat_map(|(account, &balance)| [values.int(account), values.int(balance)]).collect();
        values.map(&flat)
    }
}
