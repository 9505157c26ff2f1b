//! What the simulation asks of an object.

use super::dice::Dice;
use super::scene::Scene;
use crate::value::{ValueId, Values};

/// A moment in the life of an op.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// The client.
    pub(super) client: u32,
    /// The event of the op's invocation.
    pub(super) called: u32,
    /// The event that comes next in the history: what has a smaller number has happened.
    pub(super) now: u32,
    /// Whether the op will be answered: known before it is.
    pub(super) answered: bool,
}

/// What may become of an op whose outcome nobody learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crash {
    /// It takes effect before its `info`, later, or never.
    Anyhow,
    /// It takes effect before its `info`, or never.
    AtOnce,
    /// It never takes effect.
    WithoutEffect,
    /// It must be answered.
    Never,
}

/// An object that clients use. It is correct, except where the scene lets it lie.
pub(super) trait Object {
    /// An op with what it returns. Kept and written over: no allocation per op.
    type Op: Default;

    /// What a free client asks next.
    fn ask(&mut self, op: &mut Self::Op, moment: Moment, scene: &Scene, dice: &mut Dice);

    /// What may become of it if it crashes.
    fn crash(&self, _op: &Self::Op, _scene: &Scene) -> Crash {
        Crash::Anyhow
    }

    /// It takes effect.
    fn act(&mut self, op: &mut Self::Op, moment: Moment, scene: &mut Scene);

    /// It is about to be answered: `true` is ok, `false` is fail.
    fn answer(&mut self, op: &mut Self::Op, moment: Moment, scene: &mut Scene) -> bool;

    /// Nobody learns its outcome; it may still take effect.
    fn crashed(&mut self, _op: &Self::Op, _moment: Moment) {}

    /// Its function, and the value it is called with.
    fn called_with(&self, op: &Self::Op, values: &mut Values) -> (&'static str, ValueId);

    /// The value it returns, if it is answered ok.
    fn returned(&self, op: &Self::Op, values: &mut Values) -> ValueId;
}
