//! Where a reader puts the values it meets: into the arena, or nowhere.

use crate::value::{ValueId, Values};

/// How deep values may nest. Recorded files stay below 20; the limit keeps every recursion over a value bounded.
pub(crate) const NESTING_MAX: usize = 128;

/// What a reader makes values with.
pub(crate) trait Sink {
    fn int(&mut self, i: i64) -> ValueId;
    fn float(&mut self, x: f64) -> ValueId;
    fn number(&mut self, text: &str) -> ValueId;
    fn str(&mut self, text: &str) -> ValueId;
    fn keyword(&mut self, text: &str) -> ValueId;
    fn symbol(&mut self, text: &str) -> ValueId;
    fn list(&mut self, items: &[ValueId]) -> ValueId;
    fn vector(&mut self, items: &[ValueId]) -> ValueId;
    fn set(&mut self, items: &[ValueId]) -> ValueId;
    fn map(&mut self, flat: &[ValueId]) -> ValueId;
    /// `tag` is the word of a symbol.
    fn tagged(&mut self, tag: ValueId, value: ValueId) -> ValueId;
}

impl Sink for Values {
    fn int(&mut self, i: i64) -> ValueId {
        Values::int(self, i)
    }
    fn float(&mut self, x: f64) -> ValueId {
        Values::float(self, x)
    }
    fn number(&mut self, text: &str) -> ValueId {
        Values::number(self, text)
    }
    fn str(&mut self, text: &str) -> ValueId {
        Values::str(self, text)
    }
    fn keyword(&mut self, text: &str) -> ValueId {
        Values::keyword(self, text)
    }
    fn symbol(&mut self, text: &str) -> ValueId {
        Values::symbol(self, text)
    }
    fn list(&mut self, items: &[ValueId]) -> ValueId {
        Values::list(self, items)
    }
    fn vector(&mut self, items: &[ValueId]) -> ValueId {
        Values::vector(self, items)
    }
    fn set(&mut self, items: &[ValueId]) -> ValueId {
        Values::set(self, items)
    }
    fn map(&mut self, flat: &[ValueId]) -> ValueId {
        Values::map(self, flat)
    }
    fn tagged(&mut self, tag: ValueId, value: ValueId) -> ValueId {
        Values::tagged_with(self, tag, value)
    }
}

/// Keeps nothing: for fields that mean nothing to us, whose grammar is checked all the same.
pub(crate) struct Nowhere;

impl Sink for Nowhere {
    fn int(&mut self, _: i64) -> ValueId {
        ValueId::NIL
    }
    fn float(&mut self, _: f64) -> ValueId {
        ValueId::NIL
    }
    fn number(&mut self, _: &str) -> ValueId {
        ValueId::NIL
    }
    fn str(&mut self, _: &str) -> ValueId {
        ValueId::NIL
    }
    fn keyword(&mut self, _: &str) -> ValueId {
        ValueId::NIL
    }
    fn symbol(&mut self, _: &str) -> ValueId {
        ValueId::NIL
    }
    fn list(&mut self, _: &[ValueId]) -> ValueId {
        ValueId::NIL
    }
    fn vector(&mut self, _: &[ValueId]) -> ValueId {
        ValueId::NIL
    }
    fn set(&mut self, _: &[ValueId]) -> ValueId {
        ValueId::NIL
    }
    fn map(&mut self, _: &[ValueId]) -> ValueId {
        ValueId::NIL
    }
    fn tagged(&mut self, _: ValueId, _: ValueId) -> ValueId {
        ValueId::NIL
    }
}
