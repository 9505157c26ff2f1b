//! One look at the two forms of a value, so that every writer is written once.

use crate::value::{Value, ValueId, Values, View};

/// One level of a value. Composite values are looked into with [`Tree::child`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Look<'a> {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Number(&'a str),
    Str(&'a str),
    Keyword(&'a str),
    Symbol(&'a str),
    /// The number of elements.
    List(usize),
    Vector(usize),
    Set(usize),
    /// The number of entries; child `2i` is a key, `2i + 1` its value.
    Map(usize),
    /// The one child is the value under the tag.
    Tagged(&'a str),
}

/// A value that can be looked into.
pub(crate) trait Tree<'a>: Copy {
    /// This level.
    fn look(self) -> Look<'a>;
    /// A child, by position.
    fn child(self, i: usize) -> Self;
}

impl<'a> Tree<'a> for &'a Value {
    fn look(self) -> Look<'a> {
        match self {
            Value::Nil => Look::Nil,
            Value::Bool(b) => Look::Bool(*b),
            Value::Int(i) => Look::Int(*i),
            Value::Float(x) => Look::Float(*x),
            Value::Number(s) => Look::Number(s),
            Value::Str(s) => Look::Str(s),
            Value::Keyword(s) => Look::Keyword(s),
            Value::Symbol(s) => Look::Symbol(s),
            Value::List(v) => Look::List(v.len()),
            Value::Vector(v) => Look::Vector(v.len()),
            Value::Set(v) => Look::Set(v.len()),
            Value::Map(m) => Look::Map(m.len()),
            Value::Tagged(tag, _) => Look::Tagged(tag),
        }
    }

    fn child(self, i: usize) -> &'a Value {
        match self {
            Value::List(v) | Value::Vector(v) | Value::Set(v) => &v[i],
            Value::Map(m) if i.is_multiple_of(2) => &m[i / 2].0,
            Value::Map(m) => &m[i / 2].1,
            Value::Tagged(_, value) => value,
            _ => unreachable!("a scalar has no children"),
        }
    }
}

/// A value of a history, with the arena it lives in.
#[derive(Clone, Copy)]
pub(crate) struct Stored<'a>(pub(crate) &'a Values, pub(crate) ValueId);

impl<'a> Tree<'a> for Stored<'a> {
    fn look(self) -> Look<'a> {
        match self.0.view(self.1) {
            View::Nil => Look::Nil,
            View::Bool(b) => Look::Bool(b),
            View::Int(i) => Look::Int(i),
            View::Float(x) => Look::Float(x),
            View::Number(s) => Look::Number(s),
            View::Str(s) => Look::Str(s),
            View::Keyword(s) => Look::Keyword(s),
            View::Symbol(s) => Look::Symbol(s),
            View::List(v) => Look::List(v.len()),
            View::Vector(v) => Look::Vector(v.len()),
            View::Set(v) => Look::Set(v.len()),
            View::Map(v) => Look::Map(v.len() / 2),
            View::Tagged(tag, _) => Look::Tagged(tag),
        }
    }

    fn child(self, i: usize) -> Stored<'a> {
        let id = match self.0.view(self.1) {
            View::List(v) | View::Vector(v) | View::Set(v) | View::Map(v) => v[i],
            View::Tagged(_, value) => value,
            _ => unreachable!("a scalar has no children"),
        };
        Stored(self.0, id)
    }
}
