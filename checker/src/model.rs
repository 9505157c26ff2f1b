//! What an object promises when it is used by one client at a time.

mod any;
mod bank;
mod cas_register;
mod container;
pub(crate) mod counter;
mod deque;
mod fencing_lock;
mod ids;
mod kv;
pub(crate) mod list;
mod multi_register;
mod mutex;
mod priority_queue;
mod queue;
mod reentrant_mutex;
mod register;
mod revisions;
mod semaphore;
pub(crate) mod set;
mod stack;
mod two_phase_set;
mod unordered_queue;

pub use any::AnyModel;
pub use bank::Bank;
pub use cas_register::CasRegister;
pub(crate) use cas_register::find;
pub use counter::Counter;
pub use deque::Deque;
pub use fencing_lock::FencingLock;
pub use ids::IdGenerator;
pub use kv::Kv;
pub use list::ListAppend;
pub use multi_register::MultiRegister;
pub use mutex::Mutex;
pub use priority_queue::{First, PriorityQueue};
pub use queue::FifoQueue;
pub use reentrant_mutex::ReentrantMutex;
pub use register::Register;
pub use revisions::EtcdKv;
pub(crate) use revisions::without_revision;
pub use semaphore::Semaphore;
pub use set::Set;
pub use stack::Stack;
pub use two_phase_set::TwoPhaseSet;
pub use unordered_queue::UnorderedQueue;

use crate::verdict::{Others, Words};
use histories::{Outcome, ValueId, Values};
use std::fmt::Debug;
use std::hash::Hash;

/// The sequential specification of an object (Herlihy and Wing 1990, section 2).
///
/// [`Model::name`], [`Model::init`], [`Model::decode`] and [`Model::step`] are enough; the other methods only make searches
/// faster or explanations better, and a wrong answer is never the price of leaving them out.
///
/// A step may take long: time limits and interrupts are noticed between steps, and a check ends with the step that is being made.
pub trait Model: Sync {
    /// The object's state.
    type State: Clone + Eq + Hash + Debug + Send + Sync;
    /// A decoded call with its result; the result may be unknown.
    type Op: Clone + Eq + Hash + Debug + Send + Sync;

    /// The name on the command line.
    fn name(&self) -> &'static str;

    /// The state before the first op.
    fn init(&self) -> Self::State;

    /// Reads an op out of a history.
    fn decode(&self, call: &Call<'_>) -> Result<Decoded<Self::Op>, String>;

    /// The state after `op` if it happened in `state`; `None` if it could not have happened there with this result.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// The same in place; false if `op` could not have happened, and then the state is meaningless. Worth writing where a state
    /// is large: orders are replayed with it.
    fn apply(&self, state: &mut Self::State, op: &Self::Op) -> bool {
        let next = self.step(state, op);
        next.map(|next| *state = next).is_some()
    }

    /// Whether `op` never changes any state in which it can happen: a read.
    fn is_pure(&self, op: &Self::Op) -> bool {
        let _ = op;
        false
    }

    /// Whether `op` can happen in every state and leaves one that does not depend on it: an overwrite.
    fn is_blind_write(&self, op: &Self::Op) -> bool {
        let _ = op;
        false
    }

    /// In which states `op` can happen, if that is easily said. What no op can see need not be told apart.
    fn sees(&self, op: &Self::Op) -> Sees<Self::State> {
        if self.is_blind_write(op) { Sees::Nothing } else { Sees::Something }
    }

    /// The state after `op`, if that is one only whatever the state was before.
    fn leaves(&self, op: &Self::Op) -> Option<Self::State> {
        match self.sees(op) {
            Sees::Nothing => self.step(&self.init(), op),
            Sees::Only(state) => self.step(&state, op),
            Sees::AllBut(_) | Sees::Total | Sees::Something => None,
        }
    }

    /// Whether [total](Sees::Total) ops may lead from one state to another. Must be reflexive and transitive.
    fn may_become(&self, from: &Self::State, to: &Self::State) -> bool {
        let _ = (from, to);
        true
    }

    /// All [total](Sees::Total) ops that can have led to a state, each with the state before it, where that is one only and smaller
    /// in some way, so that nobody can go back for ever. What is said of one state must be said of all: a model that knows none
    /// leaves this out.
    fn undo(&self, after: &Self::State) -> Vec<(Self::Op, Self::State)> {
        let _ = after;
        Vec::new()
    }

    /// Bytes that the state takes besides its own size: what it points to. Memory limits are kept only as well as this is told.
    fn state_bytes(&self, state: &Self::State) -> usize {
        let _ = state;
        0
    }

    /// The same for an op: what it points to, shared or not.
    fn op_bytes(&self, op: &Self::Op) -> usize {
        let _ = op;
        0
    }

    /// A number that tells `op` apart from all other ops that have one; the smaller they are, the better. What has one is found
    /// in a table, not by its hash: worth writing where most ops are different.
    fn op_number(&self, op: &Self::Op) -> Option<u64> {
        let _ = op;
        None
    }

    /// The same for states.
    fn state_number(&self, state: &Self::State) -> Option<u64> {
        let _ = state;
        None
    }

    /// The kinds of contradictions worth looking for, the most convincing first. [`Others::AnyNumber`] is only worth it where
    /// ops that happen as often as they like reach few states; [`Others::SameValues`] needs [`Model::role`].
    fn contradictions(&self) -> &'static [Others] {
        &[Others::AtMostOnce]
    }

    /// Which collection of values it is, if it is one: searches and explanations can then go by values.
    fn collection(&self) -> Option<Collection> {
        None
    }

    /// What `op` does to the collection.
    fn role<'o>(&self, op: &'o Self::Op) -> Role<'o> {
        let _ = op;
        Role::Other
    }

    /// What is counted, if the object is a lock or a counter: it can then be decided by counting.
    fn tally(&self) -> Option<Tally> {
        None
    }

    /// What `op` does where something is counted, to one element of a set, or to a key whose changes are numbered.
    fn deed(&self, op: &Self::Op) -> Deed {
        let _ = op;
        Deed::Other
    }

    /// What is left of `op` if only the values that `keep` accepts exist; `None` if nothing is. Leaving out all other values
    /// in this way must turn every legal order into a legal order. Asked only for [`Others::SameValues`].
    fn restrict(&self, op: &Self::Op, keep: &dyn Fn(ValueId) -> bool) -> Option<Self::Op> {
        let _ = keep;
        Some(op.clone())
    }

    /// What the op did, in the past tense: `read 66`, `acquired the lock`; after "had" if `perfect`: `written 66`.
    fn tell_op(&self, op: &Self::Op, perfect: bool, values: &Values) -> Vec<Words> {
        vec![Words::Text(if perfect { "done " } else { "did " }.into()), Words::Value(self.show_op(op, values))]
    }

    /// That no op led to the state, or none again: `nobody wrote 66 again`.
    fn tell_absence(&self, state: &Self::State, again: bool, values: &Values) -> Vec<Words> {
        let end = if again { " again" } else { "" };
        vec![Words::Text("no operation led to ".into()), Words::Value(self.show_state(state, values)), Words::Text(end.into())]
    }

    /// The op in a few characters: `w 66`, `r→66`, `cas 1→2`. `values` is the history's arena.
    fn show_op(&self, op: &Self::Op, values: &Values) -> String {
        let _ = values;
        format!("{op:?}")
    }

    /// The state in a few characters.
    fn show_state(&self, state: &Self::State, values: &Values) -> String {
        let _ = values;
        format!("{state:?}")
    }
}

/// A value that is a small natural number.
pub(crate) fn small(value: ValueId) -> Option<u64> {
    value.as_small_int().and_then(|i| u32::try_from(i).ok()).map(u64::from)
}

/// Plain words.
fn text(text: &str) -> Words {
    Words::Text(text.into())
}

/// One op of a history, its key already taken off.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The function's name.
    pub f: &'a str,
    /// What it was called with.
    pub input: ValueId,
    /// What it returned, if it ended `ok`.
    pub output: Option<ValueId>,
    /// How it ended.
    pub outcome: Outcome,
    /// The process that called.
    pub process: u32,
    /// The arena the values live in.
    pub values: &'a Values,
}

/// In which states an op can happen.
///
/// A state that none of some ops names, and that may become none that is named, is *dead* to them: each of them can happen in
/// all dead states or in none, and leads from all of them to the same state, or to a dead one. So dead states are
/// interchangeable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sees<S> {
    /// In every state, and the next one does not depend on it: an overwrite.
    Nothing,
    /// In this state only.
    Only(S),
    /// In every state but this one, and it changes none.
    AllBut(S),
    /// In every state, and the next one depends on it: an append. See [`Model::may_become`].
    Total,
    /// Not one of these.
    Something,
}

/// A collection of values in which each value goes its own way: leave out all ops on some values, and the rest is as legal as
/// before (Bouajjani, Emmi, Enea and Hamza 2015 call this closure under projection).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Collection {
    /// First in, first out.
    Queue,
    /// Last in, first out.
    Stack,
    /// By rank.
    PriorityQueue(First),
    /// In any order.
    Bag,
    /// Each value is there or not; ops name it.
    Set,
    /// Values are added at the end and stay.
    List,
    /// Values are given out once.
    Ids,
}

/// What an op does to a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role<'o> {
    /// Adds a value.
    Insert(ValueId),
    /// Takes this value out.
    Remove(ValueId),
    /// Takes a value out that nobody knows.
    RemoveAny,
    /// Found the collection empty.
    Empty,
    /// Saw all values: in their order, or sorted by [`ValueId`] where there is none.
    Read(&'o [ValueId]),
    /// Puts a value in, and tells more about it.
    Put(ValueId),
    /// Concerns one value in another way, and does not put it in.
    Concerns(ValueId),
    /// Not one of these.
    Other,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A number that starts at this.
    Number(i128),
    /// So many permits, which anybody gives back.
    Permits(u32),
    /// Who holds a lock, and how often.
    Holds,
    /// A lock that anybody gives back, whose tokens grow.
    Tokens,
    /// The changes of a key.
    Revisions {
        /// Whether some are known by number.
        told: bool,
    },
}

/// What an op does where something is counted, to one element of a set, or to a key whose changes are numbered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Adds to the number.
    Add(i64),
    /// Saw the number.
    Saw(i64),
    /// Takes permits, or the lock.
    Take {
        /// How many.
        permits: u32,
        /// The process.
        by: u32,
        /// What it got, if that is known.
        token: Option<i64>,
    },
    /// Gives permits back, or the lock.
    GiveBack {
        /// How many.
        permits: u32,
        /// The process.
        by: u32,
    },
    /// Puts an element in. If it says so: whether it was not there before.
    Enter(ValueId, Option<bool>),
    /// Takes an element out. If it says so: whether it was there before.
    Leave(ValueId, Option<bool>),
    /// Whether an element is there.
    Has(ValueId, bool),
    /// Saw what the key holds, and the revision of the change that stored it if that is known.
    Show(ValueId, Option<i64>),
    /// Changes what the key holds.
    Store {
        /// What it must hold before, if that matters.
        from: Option<ValueId>,
        /// What it holds then.
        to: ValueId,
        /// The revision of the change, if it is known.
        revision: Option<i64>,
    },
    /// Takes away what the key holds; changes nothing where it holds nothing.
    Clear(Option<i64>),
    /// Not one of these.
    Other,
}

/// What a model makes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded<O> {
    /// An op to be ordered. If its outcome is `info` it may also never happen.
    Op(O),
    /// Says nothing about the object: a failed op, a read of unknown result.
    Nothing,
}
