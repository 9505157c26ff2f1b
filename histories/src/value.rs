//! Values: what an op was called with and what it returned.
//!
//! Two forms. [`Value`] is an owned tree, for few values: generators, clients, options. [`ValueId`] is one word that stands
//! for a value inside a history's arena [`Values`]: small integers, nil and booleans are in the word itself, everything else
//! is stored once (hash-consed), so that **equal words are equal values** and comparing two values of a million-op history
//! costs one instruction.
//!
//! Values are equal as in EDN, and JSON's are read so that this is their own equality: sets and maps whatever the order of their
//! parts, a list and a vector with the same elements, integers and decimals in any notation, `0.0` and
//! `-0.0`, `#inst`s of one moment. Besides, what is not a number is equal to itself, so that it can be read after it was written.
//! Of equal values the form that was met first is kept (of a list and a vector the vector).

use crate::identity;
use crate::number::{self, Number};
use hashbrown::HashTable;
use rustc_hash::FxHasher;
use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

/// An owned value tree: the data model of EDN, of which JSON is a part. Equality is that of the values, not of their form.
#[derive(Clone, Debug)]
pub enum Value {
    /// `nil`, JSON's `null`.
    Nil,
    /// `true`, `false`.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Float(f64),
    /// A number that fits neither (`-0.0955M`, `12345678901234567890N`, `1/3`): its text.
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

    /// Whether it is equal to values of its own variant only.
    fn has_one_form(&self) -> bool {
        match self {
            Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Str(_) | Value::Keyword(_) | Value::Symbol(_) => true,
            Value::Number(_) | Value::List(_) | Value::Vector(_) | Value::Set(_) | Value::Map(_) | Value::Tagged(..) => false,
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

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Nil, Value::Nil) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Str(a), Value::Str(b)) | (Value::Keyword(a), Value::Keyword(b)) | (Value::Symbol(a), Value::Symbol(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (a, b) if a.has_one_form() && b.has_one_form() => false,
            // What equality is, is said once: by the arena.
            (a, b) => {
                let mut values = Values::new();
                values.insert(a) == values.insert(b)
            }
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
    /// Any other number: its text, the same for equal numbers.
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
    /// A set, in the order that was met first.
    Set(&'a [ValueId]),
    /// A map: key, value, key, value, in the order that was met first.
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

    /// The word for a double.
    pub fn float(&mut self, x: f64) -> ValueId {
        let one = if x.is_nan() {
            f64::NAN
        } else if x == 0.0 {
            0.0
        } else {
            x
        };
        self.word(Shape::Float, one.to_bits())
    }

    /// The word for any other number, by its text in EDN notation. What is no number is kept as it is.
    pub fn number(&mut self, text: &str) -> ValueId {
        match Number::of(text) {
            Some(Number::Int(i)) => self.int(i),
            Some(Number::Float(x)) => self.float(x),
            Some(Number::Other(text)) => self.text(Shape::Number, &text),
            None => self.text(Shape::Number, text),
        }
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
        let id = self.seq(Shape::Vector, items);
        // The form does not depend on which of the two came first.
        self.nodes[(id.0 >> 2) as usize].shape = Shape::Vector;
        id
    }

    /// The word for a set, in whatever order. The order that is given first is kept.
    pub fn set(&mut self, items: &[ValueId]) -> ValueId {
        self.unordered::<1>(Shape::Set, items)
    }

    /// The word for a map, from `key, value, key, value` in whatever order of the keys. The order that is given first is kept.
    pub fn map(&mut self, flat: &[ValueId]) -> ValueId {
        assert!(flat.len().is_multiple_of(2), "a map has a value for every key");
        self.unordered::<2>(Shape::Map, flat)
    }

    /// The word for a tagged value.
    pub fn tagged(&mut self, tag: &str, value: ValueId) -> ValueId {
        let tag = self.symbol(tag);
        self.tagged_with(tag, value)
    }

    /// The word for a tagged value; `tag` is the word of a symbol.
    pub(crate) fn tagged_with(&mut self, tag: ValueId, value: ValueId) -> ValueId {
        let value = match self.view(value) {
            View::Str(text) => match identity::of_tagged(self.name(tag), text) {
                Cow::Borrowed(_) => value,
                Cow::Owned(one) => self.str(&one),
            },
            _ => value,
        };
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

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.text.capacity()
            + self.children.capacity() * size_of::<ValueId>()
            + self.table.capacity() * (size_of::<Slot>() + 1)
    }

    /// Whether any of the values is of a kind that JSON lacks, which has one kind of number. The nemesis's name, which every JSON dialect has, is none.
    pub(crate) fn exceed_json(&self) -> bool {
        let is_text = |&key: &ValueId| matches!(self.view(key), View::Str(_));
        self.nodes.iter().any(|&node| match node.shape {
            Shape::Int | Shape::Str | Shape::Vector => false,
            Shape::Float => !f64::from_bits(node.start).is_finite() || f64::from_bits(node.start).fract() == 0.0,
            Shape::Keyword => self.text_of(node) != "nemesis",
            Shape::Map => !self.children_of(node).iter().step_by(2).all(is_text),
            Shape::Number => !number::is_whole(self.text_of(node)),
            Shape::Symbol | Shape::List | Shape::Set | Shape::Tagged => true,
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
        let kind = |shape| if shape == Shape::List { Shape::Vector } else { shape };
        let hash = hash_of(kind(shape), |h| items.iter().for_each(|item| h.write_u64(item.0)));
        let found = self.find(hash, |values, node| kind(node.shape) == kind(shape) && values.children_of(node) == items);
        found.unwrap_or_else(|| self.push_items(hash, shape, items))
    }

    /// Parts of `N` words each, in whatever order.
    fn unordered<const N: usize>(&mut self, shape: Shape, items: &[ValueId]) -> ValueId {
        let (parts, _) = items.as_chunks::<N>();
        let sum = parts.iter().fold(0_u64, |sum, part| sum.wrapping_add(part.iter().fold(0, |hash, item| mixed(hash ^ item.0))));
        let hash = hash_of(shape, |h| h.write_u64(sum));
        let found = self.find(hash, |values, node| node.shape == shape && have_same_parts::<N>(values.children_of(node), items));
        found.unwrap_or_else(|| self.push_items(hash, shape, items))
    }

    fn push_items(&mut self, hash: u32, shape: Shape, items: &[ValueId]) -> ValueId {
        let start = self.children.len() as u64;
        self.children.extend_from_slice(items);
        self.push(hash, Node { start, len: items.len() as u32, shape })
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
                    match node.shape {
                        Shape::Vector => self.vector(&items),
                        Shape::Set => self.set(&items),
                        Shape::Map => self.map(&items),
                        _ => self.seq(node.shape, &items),
                    }
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

/// Whether two sets or maps hold the same parts of `N` words. A key that a map holds twice has its values in order.
fn have_same_parts<const N: usize>(a: &[ValueId], b: &[ValueId]) -> bool {
    let sorted = |items: &[ValueId]| {
        let mut parts = items.as_chunks::<N>().0.to_vec();
        parts.sort_by_key(|part| part[0]);
        parts
    };
    a == b || (a.len() == b.len() && sorted(a) == sorted(b))
}

/// A word whose bits depend on all bits of another, so that sums of them differ (the finaliser of `SplitMix64`).
fn mixed(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_add(0x9E37_79B9_7F4A_7C15).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

fn hash_of(shape: Shape, with: impl FnOnce(&mut FxHasher)) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write_u8(shape as u8);
    with(&mut hasher);
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    /// Values of few kinds, so that two of them are often equal, or nearly so.
    fn few() -> impl Strategy<Value = Value> {
        let number =
            prop::sample::select(&["1", "0x1", "1N", "2/2", "1M", "1.0M", "1/2", "2/4", "9223372036854775808", "0x8000000000000000"][..]);
        let inst = prop::sample::select(&["2020", "2020-01-01T01:00+01:00", "2020-01-02", "x"][..]);
        let leaf = prop_oneof![
            Just(Value::Nil),
            (0_i64..3).prop_map(Value::Int),
            prop::sample::select(&[0.0, -0.0, 1.0, f64::NAN, -f64::NAN][..]).prop_map(Value::Float),
            number.prop_map(|text| Value::Number(text.into())),
            inst.prop_map(|text| Value::Tagged("inst".into(), Box::new(Value::Str(text.into())))),
            prop::sample::select(&["1", "2020"][..]).prop_map(|text| Value::Str(text.into())),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let many = || prop::collection::vec(inner.clone(), 0..3);
            prop_oneof![
                many().prop_map(Value::List),
                many().prop_map(Value::Vector),
                many().prop_map(Value::Set),
                prop::collection::vec((inner.clone(), inner.clone()), 0..3).prop_map(Value::Map),
            ]
        })
    }

    /// A leaf by what it means, told by hand for each that [`few`] makes.
    fn meaning(leaf: &Value) -> String {
        match leaf {
            Value::Number(text) => match &**text {
                "1" | "0x1" | "1N" | "2/2" => "1",
                "1M" | "1.0M" => "one, decimal",
                "1/2" | "2/4" => "half",
                _ => "2^63",
            }
            .into(),
            Value::Float(x) if x.is_nan() => "nan".into(),
            Value::Float(x) => format!("double {}", x.abs()),
            Value::Tagged(_, text) => match text.to_string().as_str() {
                "\"2020\"" | "\"2020-01-01T01:00+01:00\"" => "new year".into(),
                other => format!("inst {other}"),
            },
            Value::Str(text) => format!("text {text}"),
            other => other.to_string(),
        }
    }

    /// Equality by its definition: parts in order, or any matching of the parts.
    fn are_equal(a: &Value, b: &Value) -> bool {
        // Any match will do: what is equal to one is equal to all that are.
        fn match_up<T>(a: &[T], b: &[T], equal: impl Fn(&T, &T) -> bool) -> bool {
            let mut rest: Vec<&T> = b.iter().collect();
            let found = |one: &T| rest.iter().position(|other| equal(one, other)).map(|at| rest.remove(at));
            a.len() == b.len() && a.iter().map(found).all(|found| found.is_some())
        }
        match (a, b) {
            (Value::List(a) | Value::Vector(a), Value::List(b) | Value::Vector(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| are_equal(a, b))
            }
            (Value::Set(a), Value::Set(b)) => match_up(a, b, are_equal),
            (Value::Map(a), Value::Map(b)) => match_up(a, b, |a, b| are_equal(&a.0, &b.0) && are_equal(&a.1, &b.1)),
            (a, b) if a.elements().is_none() && b.elements().is_none() => {
                !matches!((a, b), (Value::Map(_), _) | (_, Value::Map(_))) && meaning(a) == meaning(b)
            }
            _ => false,
        }
    }

    fn has_a_key_twice(value: &Value) -> bool {
        match value {
            Value::Map(entries) => {
                let twice = |i: usize| entries[..i].iter().any(|(key, _)| are_equal(key, &entries[i].0));
                (0..entries.len()).any(twice) || entries.iter().any(|(key, value)| has_a_key_twice(key) || has_a_key_twice(value))
            }
            other => other.elements().unwrap_or_default().iter().any(has_a_key_twice),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(crate::test_size::times(20_000) as u32))]
        #[test]
        fn words_are_equal_exactly_if_values_are(mut all in prop::collection::vec(few(), 2..5)) {
            // What such a map means, no format says.
            all.retain(|value| !has_a_key_twice(value));
            let mut values = Values::new();
            let ids: Vec<ValueId> = all.iter().map(|value| values.insert(value)).collect();
            // In another arena, and put together with it.
            let (mut other, mut words) = (Values::new(), Vec::new());
            let rest: Vec<ValueId> = all.iter().rev().map(|value| other.insert(value)).collect();
            values.absorb(&other, &mut words);
            for (i, a) in all.iter().enumerate() {
                prop_assert_eq!(rest[all.len() - 1 - i].translated(&words), ids[i]);
                for (j, b) in all.iter().enumerate() {
                    prop_assert_eq!(ids[i] == ids[j], are_equal(a, b), "{} {}", a, b);
                    prop_assert_eq!(a == b, are_equal(a, b), "{} {}", a, b);
                }
            }
        }
    }

    #[test]
    fn the_form_met_first_is_kept() {
        let read = |text: &str, values: &mut Values| values.insert(&crate::read_value(text).unwrap());
        let mut values = Values::new();
        let set = read("#{3 1 2}", &mut values);
        assert_eq!(set, read("#{1 2 3}", &mut values));
        assert_eq!(values.display(set), "#{3 1 2}");
        let list = read("(1 (2))", &mut values);
        assert_eq!(values.display(list), "(1 (2))");
        assert_eq!(list, read("[1 (2)]", &mut values));
        assert_eq!(values.display(list), "[1 (2)]");
    }
}
