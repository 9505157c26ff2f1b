//! A key of a store: `get`, `put` and, where values are unique, `append`.
//!
//! With unique values a key holds a string: a word of its own for each op that stored something there since the last put
//! (`v3v7`), so that it tells who wrote it. With few values it holds a number, and nobody appends.

use super::dice::Dice;
use super::gone::Watch;
use super::object::{Crash, Moment, Object};
use super::register::{awaits_gone, plans_gone};
use super::scene::Scene;
use super::{Anomaly, Distinct};
use crate::value::{ValueId, Values};
use std::fmt::Write;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Call {
    #[default]
    Get,
    Put(i64),
    Append(i64),
}

/// An op on the key.
#[derive(Clone, Debug, Default)]
pub(super) struct Op {
    call: Call,
    /// What the key held when the op had taken effect: the words of its string, or one number.
    held: Vec<i64>,
    is_lost: bool,
}

/// A key.
#[derive(Debug)]
pub(super) struct Kv {
    values: Distinct,
    never: i64,
    held: Vec<i64>,
    fresh: i64,
    watch: Watch<Vec<i64>>,
    /// What a lost write left in place, and since when that write has been answered.
    lost: Option<(Vec<i64>, Option<u32>)>,
}

impl Kv {
    pub(super) fn new(values: Distinct, never: i64) -> Kv {
        Kv { values, never, held: Vec::new(), fresh: 0, watch: Watch::new(values), lost: None }
    }

    fn shown(&self, held: &[i64], values: &mut Values) -> ValueId {
        match (self.values, held) {
            (_, []) => ValueId::NIL,
            (Distinct::Few(_), [value, ..]) => values.int(*value),
            (Distinct::Unique, words) => values.str(&text(words)),
        }
    }

    fn get(&self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        if scene.wants(Anomaly::Phantom) {
            op.held = vec![self.never];
            scene.plant(moment.called, "a get returns what nobody ever puts".into());
        } else if let Some(old) = self.watch.gone.gone(moment.called).filter(|_| scene.wants(Anomaly::StaleRead)) {
            op.held.clone_from(old);
            scene.plant(moment.called, "a get returns what had been overwritten when it was sent".into());
        } else if let Some((old, Some(since))) = &self.lost
            && moment.called > *since
            && scene.awaits(Anomaly::LostWrite)
        {
            op.held.clone_from(old);
            scene.plant(moment.called, "a get returns what was there before a write that was answered and never took effect".into());
        }
    }
}

fn text(words: &[i64]) -> String {
    words.iter().fold(String::new(), |mut text, word| {
        // Writing into memory cannot fail.
        let _ = write!(text, "v{word}");
        text
    })
}

impl Object for Kv {
    type Op = Op;

    fn ask(&mut self, op: &mut Op, _: Moment, scene: &Scene, dice: &mut Dice) {
        op.is_lost = false;
        let die = dice.below(4);
        op.call = match self.values {
            _ if die < 2 => Call::Get,
            Distinct::Unique => {
                self.fresh += 1;
                if die == 2 { Call::Put(self.fresh) } else { Call::Append(self.fresh) }
            }
            Distinct::Few(values) => {
                let value = dice.below(u64::from(values)) as i64;
                Call::Put(if awaits_gone(scene) { self.watch.adjusted(value) } else { value })
            }
        };
        if let Call::Put(value) = op.call {
            self.watch.sent(value);
        }
    }

    fn crash(&self, op: &Op, scene: &Scene) -> Crash {
        let is_watched = matches!(op.call, Call::Put(value) if self.watch.reserved() == Some(value));
        if is_watched && plans_gone(scene) { Crash::Never } else { Crash::Anyhow }
    }

    fn act(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) {
        if op.call != Call::Get
            && moment.answered
            && scene.wants(Anomaly::LostWrite)
            && let Some(old) = self.watch.gone.settled(moment.called)
        {
            scene.begin();
            self.lost = Some((old.clone(), None));
            op.is_lost = true;
            return;
        }
        match op.call {
            Call::Get => {}
            Call::Put(value) => {
                self.held.clear();
                self.held.push(value);
            }
            Call::Append(value) => self.held.push(value),
        }
        op.held.clone_from(&self.held);
    }

    fn answer(&mut self, op: &mut Op, moment: Moment, scene: &mut Scene) -> bool {
        if op.is_lost {
            self.lost = self.lost.take().map(|(old, _)| (old, Some(moment.now)));
        }
        match op.call {
            Call::Get => {
                self.get(op, moment, scene);
                if !op.held.is_empty() {
                    self.watch.gone.seen(&op.held, moment.called, moment.now, scene.armed);
                }
            }
            Call::Put(value) | Call::Append(value) if !op.is_lost => {
                self.watch.gone.seen(&op.held, moment.called, moment.now, scene.armed);
                self.watch.answered(value, &op.held, true, moment.now);
            }
            Call::Put(_) | Call::Append(_) => {}
        }
        true
    }

    fn called_with(&self, op: &Op, values: &mut Values) -> (&'static str, ValueId) {
        match op.call {
            Call::Get => ("get", ValueId::NIL),
            Call::Put(value) => ("put", self.shown(&[value], values)),
            Call::Append(value) => ("append", self.shown(&[value], values)),
        }
    }

    fn returned(&self, op: &Op, values: &mut Values) -> ValueId {
        match op.call {
            Call::Get => self.shown(&op.held, values),
            _ => self.called_with(op, values).1,
        }
    }
}
