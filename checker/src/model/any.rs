//! One model for many: what the engine is compiled for once, whatever the object.

use super::{
    Bank, Call, Collection, Counter, Decoded, Deed, Deque, EtcdKv, FencingLock, FifoQueue, IdGenerator, ListAppend, Model, MultiRegister,
    Mutex, PriorityQueue, ReentrantMutex, Role, Sees, Semaphore, Set, Stack, Tally, TwoPhaseSet, UnorderedQueue,
};
use crate::verdict::{Others, Words};
use histories::{ValueId, Values};

/// Makes an enum of models, one of their states, one of their ops, and the model that hands each call on. A state or op of
/// another variant than the model's never occurs: it is told from the model's own.
macro_rules! any {
    ($($name:ident),+ $(,)?) => {
        /// Any of the models for which the engine is not compiled separately.
        #[derive(Clone, Debug)]
        pub enum AnyModel {
            $(#[doc = concat!("A [`", stringify!($name), "`].")] $name($name)),+
        }

        /// A state of any of the models.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum AnyState {
            $(#[doc = concat!("Of a [`", stringify!($name), "`].")] $name(<$name as Model>::State)),+
        }

        /// An op of any of the models.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum AnyOp {
            $(#[doc = concat!("Of a [`", stringify!($name), "`].")] $name(<$name as Model>::Op)),+
        }

        impl Model for AnyModel {
            type State = AnyState;
            type Op = AnyOp;

            fn name(&self) -> &'static str {
                match self { $(AnyModel::$name(model) => model.name()),+ }
            }

            fn init(&self) -> AnyState {
                match self { $(AnyModel::$name(model) => AnyState::$name(model.init())),+ }
            }

            fn decode(&self, call: &Call<'_>) -> Result<Decoded<AnyOp>, String> {
                match self {
                    $(AnyModel::$name(model) => Ok(match model.decode(call)? {
                        Decoded::Op(op) => Decoded::Op(AnyOp::$name(op)),
                        Decoded::Nothing => Decoded::Nothing,
                    })),+
                }
            }

            fn step(&self, state: &AnyState, op: &AnyOp) -> Option<AnyState> {
                match (self, state, op) {
                    $((AnyModel::$name(model), AnyState::$name(state), AnyOp::$name(op)) => model.step(state, op).map(AnyState::$name),)+
                    _ => None,
                }
            }

            fn apply(&self, state: &mut AnyState, op: &AnyOp) -> bool {
                match (self, state, op) {
                    $((AnyModel::$name(model), AnyState::$name(state), AnyOp::$name(op)) => model.apply(state, op),)+
                    _ => false,
                }
            }

            fn state_bytes(&self, state: &AnyState) -> usize {
                match (self, state) { $((AnyModel::$name(model), AnyState::$name(state)) => model.state_bytes(state),)+ _ => 0 }
            }

            fn op_bytes(&self, op: &AnyOp) -> usize {
                match (self, op) { $((AnyModel::$name(model), AnyOp::$name(op)) => model.op_bytes(op),)+ _ => 0 }
            }

            fn op_number(&self, op: &AnyOp) -> Option<u64> {
                match (self, op) { $((AnyModel::$name(model), AnyOp::$name(op)) => model.op_number(op),)+ _ => None }
            }

            fn is_pure(&self, op: &AnyOp) -> bool {
                match (self, op) { $((AnyModel::$name(model), AnyOp::$name(op)) => model.is_pure(op),)+ _ => false }
            }

            fn is_blind_write(&self, op: &AnyOp) -> bool {
                match (self, op) { $((AnyModel::$name(model), AnyOp::$name(op)) => model.is_blind_write(op),)+ _ => false }
            }

            fn sees(&self, op: &AnyOp) -> Sees<AnyState> {
                match (self, op) {
                    $((AnyModel::$name(model), AnyOp::$name(op)) => match model.sees(op) {
                        Sees::Nothing => Sees::Nothing,
                        Sees::Only(state) => Sees::Only(AnyState::$name(state)),
                        Sees::AllBut(state) => Sees::AllBut(AnyState::$name(state)),
                        Sees::Total => Sees::Total,
                        Sees::Something => Sees::Something,
                    },)+
                    _ => Sees::Something,
                }
            }

            fn leaves(&self, op: &AnyOp) -> Option<AnyState> {
                match (self, op) {
                    $((AnyModel::$name(model), AnyOp::$name(op)) => model.leaves(op).map(AnyState::$name),)+
                    _ => None,
                }
            }

            fn may_become(&self, from: &AnyState, to: &AnyState) -> bool {
                match (self, from, to) {
                    $((AnyModel::$name(model), AnyState::$name(from), AnyState::$name(to)) => model.may_become(from, to),)+
                    _ => true,
                }
            }

            fn contradictions(&self) -> &'static [Others] {
                match self { $(AnyModel::$name(model) => model.contradictions()),+ }
            }

            fn collection(&self) -> Option<Collection> {
                match self { $(AnyModel::$name(model) => model.collection()),+ }
            }

            fn role<'o>(&self, op: &'o AnyOp) -> Role<'o> {
                match (self, op) { $((AnyModel::$name(model), AnyOp::$name(op)) => model.role(op),)+ _ => Role::Other }
            }

            fn tally(&self) -> Option<Tally> {
                match self { $(AnyModel::$name(model) => model.tally()),+ }
            }

            fn deed(&self, op: &AnyOp) -> Deed {
                match (self, op) { $((AnyModel::$name(model), AnyOp::$name(op)) => model.deed(op),)+ _ => Deed::Other }
            }

            fn restrict(&self, op: &AnyOp, keep: &dyn Fn(ValueId) -> bool) -> Option<AnyOp> {
                match (self, op) {
                    $((AnyModel::$name(model), AnyOp::$name(op)) => model.restrict(op, keep).map(AnyOp::$name),)+
                    _ => None,
                }
            }

            fn tell_op(&self, op: &AnyOp, perfect: bool, values: &Values) -> Vec<Words> {
                match (self, op) { $((AnyModel::$name(model), AnyOp::$name(op)) => model.tell_op(op, perfect, values),)+ _ => Vec::new() }
            }

            fn tell_absence(&self, state: &AnyState, again: bool, values: &Values) -> Vec<Words> {
                match (self, state) {
                    $((AnyModel::$name(model), AnyState::$name(state)) => model.tell_absence(state, again, values),)+
                    _ => Vec::new(),
                }
            }

            fn show_op(&self, op: &AnyOp, values: &Values) -> String {
                match (self, op) { $((AnyModel::$name(model), AnyOp::$name(op)) => model.show_op(op, values),)+ _ => String::new() }
            }

            fn show_state(&self, state: &AnyState, values: &Values) -> String {
                match (self, state) {
                    $((AnyModel::$name(model), AnyState::$name(state)) => model.show_state(state, values),)+
                    _ => String::new(),
                }
            }
        }
    };
}

any!(
    FifoQueue,
    UnorderedQueue,
    Stack,
    PriorityQueue,
    Deque,
    Set,
    TwoPhaseSet,
    ListAppend,
    Counter,
    Mutex,
    ReentrantMutex,
    Semaphore,
    FencingLock,
    IdGenerator,
    MultiRegister,
    EtcdKv,
    Bank,
);
