//! Values: what an op was called with and what it returned.
//!
//! Two forms. [`Value`] is an owned tree, for few values: generators, clients, options. [`ValueId`] is one word that stands
//! for a value inside a history's arena [`Values`]: small integers, nil and booleans are in the word itself, everything else
//! is stored once (hash-consed), so that **equal words are equal values** and comparing two values of a million-op history
//! costs one instruction.

use crate::notation;
use crate::tree::Stored;
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::fmt;
use std::hash::{Hash, Hasher};

/// An owned value tree: the data model of EDN, of which JSON is a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `nil`, JSON's `null`.
    Nil,
    /// `true`, `false`.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// A number that fits neither (`-0.0955M`, `12345678901234567890N`, `1/3`): its source text.
    Number(Box<str>),
    /// `"text"`.
    Str(Box<str>),
    /// `:keyword`, without the colon.
    Keyword(Box<str>),
    /// A bare symbol.
    Symbol(Box<str>),
    /// `(a b)`.
    List(Vec<Value>),
    /// `[a b]`.
    Vector(Vec<Value>),
    /// `#{a b}`, in source order.
    Set(Vec<Value>),
    /// `{k v}`, in source order.
    Map(Vec<(Value, Value)>),
    /// `#tag value`.
    Tagged(Box<str>, Box<Value>),
}

impl Value {
    /// A vector of two values: an independent key and what is under it, or a cas's old and new value.
    pub fn pair(a: impl Into<Value>, b: impl Into<Value>) -> Value {
        Value::Vector(vec![a.into(), b.into()])
    }

    /// The elements of a list, vector or set.
    pub fn elements(&self) -> Option<&[Value]> {
        match self {
            Value::List(v) | Value::Vector(v) | Value::Set(v) => Some(v),
            _ => None,
        }
    }

    /// The integer, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }
}

impl From<i64> for Value {
    fn from(i: i64) -> Value {
        Value::Int(i)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Value {
        Value::Str(s.into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Value {
        v.map_or(Value::Nil, Into::into)
    }
}

/// A value of a history, in one word. Meaningful only with the [`Values`] that gave it, except for [`ValueId::NIL`],
/// booleans and integers of up to 62 bits, which are the same word in every arena.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u64);

// The two low bits: 00 a 62-bit integer, 01 an index into the arena, 10 nil and booleans.
const TAG: u64 = 0b11;
const TAG_ARENA: u64 = 0b01;
const TAG_SIMPLE: u64 = 0b10;

impl ValueId {
    /// `nil`.
    pub const NIL: ValueId = ValueId(TAG_SIMPLE);
    /// `false`.
    pub const FALSE: ValueId = ValueId(TAG_SIMPLE | 1 << 2);
    /// `true`.
    pub const TRUE: ValueId = ValueId(TAG_SIMPLE | 2 << 2);

    /// The word of an integer, if it fits into 62 bits; others need an arena.
    pub fn small_int(i: i64) -> Option<ValueId> {
        let word = i << 2;
        (word >> 2 == i).then_some(ValueId(word as u64))
    }

    /// The integer in the word. `None` for everything else, integers of more than 62 bits included.
    pub fn as_small_int(self) -> Option<i64> {
        (self.0 & TAG == 0).then_some((self.0 as i64) >> 2)
    }

    /// Whether this is `nil`.
    pub fn is_nil(self) -> bool {
        self == ValueId::NIL
    }

    /// The raw word: distinct for distinct values, to be used as a key of hash tables.
    pub fn word(self) -> u64 {
        self.0
    }

    /// The same value's word in the arena that absorbed this word's: `words` is what [`Values::absorb`] made.
    pub(crate) fn translated(self, words: &[ValueId]) -> ValueId {
        if self.0 & TAG == TAG_ARENA { words[(self.0 >> 2) as usize] } else { self }
    }

    fn arena(index: usize) -> ValueId {
        ValueId((index as u64) << 2 | TAG_ARENA)
    }
}

impl fmt::Debug for ValueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_small_int(), *self) {
            (Some(i), _) => write!(f, "{i}"),
            (None, ValueId::NIL) => f.write_str("nil"),
            (None, ValueId::TRUE) => f.write_str("true"),
            (None, ValueId::FALSE) => f.write_str("false"),
            _ => write!(f, "#{}", self.0 >> 2),
        }
    }
}

/// What a [`ValueId`] stands for: a borrowed look at one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum View<'a> {
    /// `nil`.
    Nil,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// Any other number: its source text.
    Number(&'a str),
    /// A string.
    Str(&'a str),
    /// A keyword, without the colon.
    Keyword(&'a str),
    /// A symbol.
    Symbol(&'a str),
    /// A list.
    List(&'a [ValueId]),
    /// A vector.
    Vector(&'a [ValueId]),
    /// A set, in source order.
    Set(&'a [ValueId]),
    /// A map: key, value, key, value, in source order.
    Map(&'a [ValueId]),
    /// A tag and the value under it.
    Tagged(&'a str, ValueId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Shape {
    Int,
    Float,
    Number,
    Str,
    Keyword,
    Symbol,
    List,
    Vector,
    Set,
    Map,
    Tagged,
}

/// One stored value: 16 bytes. `start..start+len` is a range of `text` or of `children`; a tag's child is `children[start]`
/// and its text is the node `children[start + 1]`.
#[derive(Clone, Copy, Debug)]
struct Node {
    start: u64,
    len: u32,
    shape: Shape,
}

/// The arena of a history's values. Append-only; every value is stored once.
#[derive(Default, Debug)]
pub struct Values {
    nodes: Vec<Node>,
    text: String,
    children: Vec<ValueId>,
    table: HashTable<Slot>,
}

/// An entry of the table: a node, and the low half of its hash, so that growing the table and passing over others reads no
/// node.
#[derive(Clone, Copy, Debug)]
struct Slot {
    hash: u32,
    node: u32,
}

impl Slot {
    /// The hash that the table sees: the stored half, spread over all bits.
    fn spread(hash: u32) -> u64 {
        u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

impl Values {
    /// An empty arena.
    pub fn new() -> Values {
        Values::default()
    }

    /// Whether the values of one more event surely fit: indices are 32 bits wide, and readers limit the size of an event.
    pub(crate) fn has_room(&self) -> bool {
        self.nodes.len() < (u32::MAX - (1 << 27)) as usize
    }

    /// The word for an integer.
    pub fn int(&mut self, i: i64) -> ValueId {
        ValueId::small_int(i).unwrap_or_else(|| self.word(Shape::Int, i as u64))
    }

    /// The word for a double. Bit-wise: `-0.0` and `0.0` differ.
    pub fn float(&mut self, x: f64) -> ValueId {
        self.word(Shape::Float, x.to_bits())
    }

    /// The word for any other number, by its source text.
    pub fn number(&mut self, text: &str) -> ValueId {
        self.text(Shape::Number, text)
    }

    /// The word for a string.
    pub fn str(&mut self, text: &str) -> ValueId {
        self.text(Shape::Str, text)
    }

    /// The word for a keyword (without its colon).
    pub fn keyword(&mut self, text: &str) -> ValueId {
        self.text(Shape::Keyword, text)
    }

    /// The word for a symbol.
    pub fn symbol(&mut self, text: &str) -> ValueId {
        self.text(Shape::Symbol, text)
    }

    /// The word for a list.
    pub fn list(&mut self, items: &[ValueId]) -> ValueId {
        self.seq(Shape::List, items)
    }

    /// The word for a vector.
    pub fn vector(&mut self, items: &[ValueId]) -> ValueId {
        self.seq(Shape::Vector, items)
    }

    /// The word for a set; the order given is kept, and part of its identity.
    pub fn set(&mut self, items: &[ValueId]) -> ValueId {
        self.seq(Shape::Set, items)
    }

    /// The word for a map, from `key, value, key, value`; the order given is kept, and part of its identity.
    pub fn map(&mut self, flat: &[ValueId]) -> ValueId {
        assert!(flat.len().is_multiple_of(2), "a map has a value for every key");
        self.seq(Shape::Map, flat)
    }

    /// The word for a tagged value.
    pub fn tagged(&mut self, tag: &str, value: ValueId) -> ValueId {
        let tag = self.symbol(tag);
        self.tagged_with(tag, value)
    }

    /// The word for a tagged value; `tag` is the word of a symbol.
    pub(crate) fn tagged_with(&mut self, tag: ValueId, value: ValueId) -> ValueId {
        self.seq(Shape::Tagged, &[value, tag])
    }

    /// Stores an owned tree. Depth is bounded by whoever made the tree (readers limit nesting).
    pub fn insert(&mut self, value: &Value) -> ValueId {
        let many = |values: &mut Values, items: &[Value]| -> Vec<ValueId> { items.iter().map(|v| values.insert(v)).collect() };
        match value {
            Value::Nil => ValueId::NIL,
            Value::Bool(b) => {
                if *b {
                    ValueId::TRUE
                } else {
                    ValueId::FALSE
                }
            }
            Value::Int(i) => self.int(*i),
            Value::Float(x) => self.float(*x),
            Value::Number(s) => self.number(s),
            Value::Str(s) => self.str(s),
            Value::Keyword(s) => self.keyword(s),
            Value::Symbol(s) => self.symbol(s),
            Value::List(v) => {
                let items = many(self, v);
                self.list(&items)
            }
            Value::Vector(v) => {
                let items = many(self, v);
                self.vector(&items)
            }
            Value::Set(v) => {
                let items = many(self, v);
                self.set(&items)
            }
            Value::Map(m) => {
                let mut flat = Vec::with_capacity(m.len() * 2);
                for (k, v) in m {
                    flat.push(self.insert(k));
                    flat.push(self.insert(v));
                }
                self.map(&flat)
            }
            Value::Tagged(tag, v) => {
                let inner = self.insert(v);
                self.tagged(tag, inner)
            }
        }
    }

    /// One level of a value.
    pub fn view(&self, id: ValueId) -> View<'_> {
        if let Some(i) = id.as_small_int() {
            return View::Int(i);
        }
        match id {
            ValueId::NIL => return View::Nil,
            ValueId::TRUE => return View::Bool(true),
            ValueId::FALSE => return View::Bool(false),
            _ => {}
        }
        let node = self.nodes[(id.0 >> 2) as usize];
        match node.shape {
            Shape::Int => View::Int(node.start as i64),
            Shape::Float => View::Float(f64::from_bits(node.start)),
            Shape::Number => View::Number(self.text_of(node)),
            Shape::Str => View::Str(self.text_of(node)),
            Shape::Keyword => View::Keyword(self.text_of(node)),
            Shape::Symbol => View::Symbol(self.text_of(node)),
            Shape::List => View::List(self.children_of(node)),
            Shape::Vector => View::Vector(self.children_of(node)),
            Shape::Set => View::Set(self.children_of(node)),
            Shape::Map => View::Map(self.children_of(node)),
            Shape::Tagged => match *self.children_of(node) {
                [value, tag] => View::Tagged(self.name(tag), value),
                _ => unreachable!("a tagged node has two children"),
            },
        }
    }

    /// The text of a string, keyword, symbol or odd number; `""` for everything else.
    pub fn name(&self, id: ValueId) -> &str {
        match self.view(id) {
            View::Number(s) | View::Str(s) | View::Keyword(s) | View::Symbol(s) => s,
            _ => "",
        }
    }

    /// The elements of a list, vector or set; `None` for everything else.
    pub fn elements(&self, id: ValueId) -> Option<&[ValueId]> {
        match self.view(id) {
            View::List(v) | View::Vector(v) | View::Set(v) => Some(v),
            _ => None,
        }
    }

    /// The two elements of a list or vector of two; `None` for everything else.
    pub fn as_pair(&self, id: ValueId) -> Option<(ValueId, ValueId)> {
        match self.view(id) {
            View::List(&[a, b]) | View::Vector(&[a, b]) => Some((a, b)),
            _ => None,
        }
    }

    /// The integer, of any width; `None` for everything else.
    pub fn as_int(&self, id: ValueId) -> Option<i64> {
        match self.view(id) {
            View::Int(i) => Some(i),
            _ => None,
        }
    }

    /// An owned copy.
    pub fn get(&self, id: ValueId) -> Value {
        let many = |items: &[ValueId]| items.iter().map(|&v| self.get(v)).collect();
        match self.view(id) {
            View::Nil => Value::Nil,
            View::Bool(b) => Value::Bool(b),
            View::Int(i) => Value::Int(i),
            View::Float(x) => Value::Float(x),
            View::Number(s) => Value::Number(s.into()),
            View::Str(s) => Value::Str(s.into()),
            View::Keyword(s) => Value::Keyword(s.into()),
            View::Symbol(s) => Value::Symbol(s.into()),
            View::List(v) => Value::List(many(v)),
            View::Vector(v) => Value::Vector(many(v)),
            View::Set(v) => Value::Set(many(v)),
            View::Map(v) => Value::Map(v.chunks_exact(2).map(|kv| (self.get(kv[0]), self.get(kv[1]))).collect()),
            View::Tagged(tag, v) => Value::Tagged(tag.into(), Box::new(self.get(v))),
        }
    }

    /// The value in EDN notation, for people: `[1 nil "a"]`.
    pub fn display(&self, id: ValueId) -> String {
        let mut text = Vec::new();
        notation::write_value(&mut text, Stored(self, id));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.text.capacity()
            + self.children.capacity() * size_of::<ValueId>()
            + self.table.capacity() * (size_of::<Slot>() + 1)
    }

    /// Whether any of the values is of a kind that JSON lacks. The nemesis's name, which every JSON dialect has, is none.
    pub(crate) fn exceed_json(&self) -> bool {
        let is_text = |&key: &ValueId| matches!(self.view(key), View::Str(_));
        self.nodes.iter().any(|&node| match node.shape {
            Shape::Int | Shape::Str | Shape::Vector => false,
            Shape::Float => !f64::from_bits(node.start).is_finite(),
            Shape::Keyword => self.text_of(node) != "nemesis",
            Shape::Map => !self.children_of(node).iter().step_by(2).all(is_text),
            Shape::Number | Shape::Symbol | Shape::List | Shape::Set | Shape::Tagged => true,
        })
    }

    fn text_of(&self, node: Node) -> &str {
        &self.text[node.start as usize..][..node.len as usize]
    }

    fn children_of(&self, node: Node) -> &[ValueId] {
        &self.children[node.start as usize..][..node.len as usize]
    }

    fn word(&mut self, shape: Shape, word: u64) -> ValueId {
        let hash = hash_of(shape, |h| word.hash(h));
        let found = self.find(hash, |_, node| node.shape == shape && node.start == word);
        found.unwrap_or_else(|| self.push(hash, Node { start: word, len: 0, shape }))
    }

    fn text(&mut self, shape: Shape, text: &str) -> ValueId {
        let hash = hash_of(shape, |h| text.hash(h));
        let found = self.find(hash, |values, node| node.shape == shape && values.text_of(node) == text);
        found.unwrap_or_else(|| {
            let start = self.text.len() as u64;
            self.text.push_str(text);
            self.push(hash, Node { start, len: text.len() as u32, shape })
        })
    }

    fn seq(&mut self, shape: Shape, items: &[ValueId]) -> ValueId {
        let hash = hash_of(shape, |h| items.iter().for_each(|item| h.write_u64(item.0)));
        let found = self.find(hash, |values, node| node.shape == shape && values.children_of(node) == items);
        found.unwrap_or_else(|| {
            let start = self.children.len() as u64;
            self.children.extend_from_slice(items);
            self.push(hash, Node { start, len: items.len() as u32, shape })
        })
    }

    fn find(&self, hash: u32, is_it: impl Fn(&Values, Node) -> bool) -> Option<ValueId> {
        let found = self.table.find(Slot::spread(hash), |slot| slot.hash == hash && is_it(self, self.nodes[slot.node as usize]));
        found.map(|slot| ValueId::arena(slot.node as usize))
    }

    fn push(&mut self, hash: u32, node: Node) -> ValueId {
        let index = u32::try_from(self.nodes.len()).expect("more than 2^32 distinct values in one history");
        self.nodes.push(node);
        self.table.insert_unique(Slot::spread(hash), Slot { hash, node: index }, |slot| Slot::spread(slot.hash));
        ValueId::arena(index as usize)
    }

    /// Stores every value of another arena. `words[i]` becomes the word here of the other's node `i`: see
    /// [`ValueId::translated`].
    pub(crate) fn absorb(&mut self, other: &Values, words: &mut Vec<ValueId>) {
        words.clear();
        words.reserve(other.nodes.len());
        let mut items = Vec::new();
        for &node in &other.nodes {
            let word = match node.shape {
                Shape::Int | Shape::Float => self.word(node.shape, node.start),
                Shape::Number | Shape::Str | Shape::Keyword | Shape::Symbol => self.text(node.shape, other.text_of(node)),
                Shape::List | Shape::Vector | Shape::Set | Shape::Map | Shape::Tagged => {
                    items.clear();
                    items.extend(other.children_of(node).iter().map(|child| child.translated(words)));
                    self.seq(node.shape, &items)
                }
            };
            words.push(word);
        }
    }

    /// Forgets every value, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
        self.text.clear();
        self.children.clear();
        self.table.clear();
    }
}

fn hash_of(shape: Shape, with: impl FnOnce(&mut FxHasher)) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write_u8(shape as u8);
    with(&mut hasher);
    hasher.finish() as u32
}

impl fmt::Display for Value {
    /// EDN notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        notation::write_value(&mut text, self);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_words() {
        let mut values = Values::new();
        for value in [
            Value::Nil,
            Value::Int(-5),
            Value::Int(i64::MAX),
            Value::Float(1.5),
            Value::Str("a".into()),
            Value::Keyword("a".into()),
            Value::pair(1, Value::pair("k", Value::Nil)),
            Value::Map(vec![(Value::Int(0), Value::Int(100))]),
            Value::Tagged("tag".into(), Box::new(Value::Set(vec![Value::Bool(true)]))),
        ] {
            let id = values.insert(&value);
            assert_eq!(id, values.insert(&value));
            assert_eq!(values.get(id), value);
        }
        assert_ne!(values.str("a"), values.keyword("a"));
        assert_eq!(values.view(ValueId::small_int(-7).unwrap()), View::Int(-7));
        assert_eq!(ValueId::small_int(i64::MAX), None);
    }
}
