//! An event in the making: the fields that a reader has met so far. What a missing field means is decided here, once for all
//! formats.

use crate::error::Fault;
use crate::history::{Builder, Event, Kind, NO_TIME};
use crate::value::{ValueId, Values, View};
use std::borrow::Cow;

/// The keys of an event that mean something to us. Everything else is passed over, and its name noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Type,
    F,
    Process,
    Value,
    Time,
    Index,
    Error,
    Node,
    Thread,
    Key,
    Other,
}

impl Field {
    pub(crate) fn of(name: &[u8]) -> Field {
        match name {
            b"type" => Field::Type,
            b"f" => Field::F,
            b"process" | b"client" => Field::Process,
            b"value" => Field::Value,
            b"time" => Field::Time,
            b"index" => Field::Index,
            b"error" => Field::Error,
            b"node" => Field::Node,
            b"thread" => Field::Thread,
            b"key" => Field::Key,
            _ => Field::Other,
        }
    }
}

/// The fields of one event.
#[derive(Debug)]
pub(crate) struct Draft<'t> {
    pub(crate) kind: Option<Kind>,
    /// The function's name. It is interned with the event, so that half an event leaves no trace.
    pub(crate) f: Option<Cow<'t, str>>,
    /// `None` where the file records no process: all such events are of one nameless process.
    pub(crate) process: Option<ValueId>,
    pub(crate) value: Option<ValueId>,
    /// The key, in formats that give it a field of its own. It joins the value: `[key value]`.
    pub(crate) key: Option<ValueId>,
    pub(crate) time: i64,
    pub(crate) error: Option<ValueId>,
    pub(crate) node: Option<ValueId>,
    pub(crate) thread: Option<u32>,
    pub(crate) line: u32,
}

/// The function of an event that names none: in every known file it is a transaction.
const NAMELESS: &str = "txn";

impl<'t> Draft<'t> {
    pub(crate) fn new(line: u32) -> Draft<'t> {
        Draft { kind: None, f: None, process: None, value: None, key: None, time: NO_TIME, error: None, node: None, thread: None, line }
    }

    /// Appends the event, unless it lacks what every event has.
    /// `at` is its offset in the text, for the fault.
    pub(crate) fn push(self, builder: &mut Builder, at: usize) -> Result<u32, Fault> {
        let Some(kind) = self.kind else {
            return Err(Fault::event(at, "this is no event: it has no type (invoke, ok, fail or info)"));
        };
        if !builder.has_room() {
            return Err(Fault::limit(at, "more events or distinct values than fit into one history"));
        }
        let process = self.process.unwrap_or(ValueId::NIL);
        let Some(f) = builder.try_name(self.f.as_deref().unwrap_or(NAMELESS)) else {
            return Err(Fault::limit(at, "more than 65,536 distinct functions in one history"));
        };
        let mut value = self.value.unwrap_or(ValueId::NIL);
        if let Some(key) = self.key {
            value = builder.values().vector(&[key, value]);
            builder.meta().keyed = Some(true);
        }
        let event = builder.push(Event { process, kind, f, value, time: self.time, line: self.line });
        if let Some(error) = self.error.filter(|error| !error.is_nil()) {
            builder.error(event, error);
        }
        if let Some(node) = self.node {
            builder.node_value(process, node);
        }
        if let Some(thread) = self.thread {
            builder.thread(process, thread);
        }
        Ok(event)
    }
}

/// What the value of a time field stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Time {
    /// Whole units, or [`NO_TIME`].
    Whole(i64),
    /// Units and a fraction.
    Fraction(f64),
}

impl Time {
    /// `None`: it is no number, or out of range.
    pub(crate) fn of(values: &Values, id: ValueId) -> Option<Time> {
        match values.view(id) {
            View::Nil => Some(Time::Whole(NO_TIME)),
            View::Int(i) => Some(Time::Whole(i)),
            View::Float(x) => Time::of_float(x),
            View::Number(text) => text.trim_end_matches('M').parse().ok().and_then(Time::of_float),
            _ => None,
        }
    }

    pub(crate) fn of_float(x: f64) -> Option<Time> {
        // The bounds of 64 bits, as doubles.
        let in_range = (i64::MIN as f64..i64::MAX as f64).contains(&x);
        let time = if x.fract() == 0.0 { Time::Whole(x as i64) } else { Time::Fraction(x) };
        in_range.then_some(time)
    }
}

/// What is wrong with a time field whose value is shown as `text`.
pub(crate) fn no_time(at: usize, text: &str) -> Fault {
    const HELP: &str = "times are whole numbers of nanoseconds: 1.5 seconds are 1500000000";
    Fault::event(at, format!("the time of an event is {text}")).help(HELP)
}
