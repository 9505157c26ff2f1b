//! Writes our own format: JSON lines, a header and then one event per line, appended as they happen. `FORMAT.md` defines it;
//! `crate::json` reads it.

use crate::history::{History, Kind, Meta, NO_TIME, Row};
use crate::notation::write_int;
use crate::number::{is_whole, json_float};
use crate::tree::{Look, Stored, Tree};
use crate::value::Value;
use std::io::{self, Write};

/// The version of the format that is written, and the highest that is read.
pub const VERSION: i64 = 1;

/// Whose event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A client process, by its number.
    Process(i64),
    /// The nemesis.
    Nemesis,
}

/// An event to be written.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Nanoseconds since the start of the test, or [`NO_TIME`].
    pub time: i64,
    /// Who.
    pub actor: Actor,
    /// The thread that runs the process.
    pub thread: Option<u32>,
    /// The node the process talks to.
    pub node: Option<&'a str>,
    /// invoke, ok, fail or info.
    pub kind: Kind,
    /// The function.
    pub f: &'a str,
    /// Its argument or its result.
    pub value: &'a Value,
    /// Why it failed, or why nobody knows.
    pub error: Option<&'a Value>,
}

/// Appends events to a file, one line per [`write_all`](Write::write_all) and so never a line's half, except by the death of
/// the process in the middle of it, which readers forgive. One buffer, no allocation per event.
#[derive(Debug)]
pub struct EventWriter<W: Write> {
    out: W,
    line: Vec<u8>,
    index: u64,
}

impl<W: Write> EventWriter<W> {
    /// A writer that starts at index 0. `out` may be buffered: then its owner decides when a batch is flushed.
    pub fn new(out: W) -> EventWriter<W> {
        EventWriter { out, line: Vec::with_capacity(256), index: 0 }
    }

    /// The header: the first line, and only there. Of `meta`, what a file states: [`Meta::keyed`] and [`Meta::header`].
    pub fn write_header(&mut self, meta: &Meta) -> io::Result<()> {
        self.line.clear();
        write!(self.line, "{{\"rashomon\":{VERSION}")?;
        if let Some(keyed) = meta.keyed {
            write!(self.line, ",\"keyed\":{keyed}")?;
        }
        for (name, value) in &meta.header {
            self.line.push(b',');
            write_string(&mut self.line, name);
            self.line.push(b':');
            write_value(&mut self.line, value, Strictness::Ours);
        }
        self.line.push(b'}');
        self.end_line()
    }

    /// Appends an event.
    pub fn write_event(&mut self, record: &Record<'_>) -> io::Result<()> {
        let process = match record.actor {
            Actor::Process(number) => &Value::Int(number),
            Actor::Nemesis => &Value::Str("nemesis".into()),
        };
        let Record { time, thread, node, kind, f, value, error, .. } = *record;
        self.write_parts(&Parts { time, process, thread, node, kind, f, value, error })
    }

    fn write_parts<'a, T: Tree<'a>>(&mut self, parts: &Parts<'a, T>) -> io::Result<()> {
        self.line.clear();
        write!(self.line, "{{\"index\":{}", self.index)?;
        self.index += 1;
        write_parts(&mut self.line, parts, Strictness::Ours);
        self.end_line()
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.line.push(b'\n');
        self.out.write_all(&self.line)
    }

    /// Hands what was written on, as [`Write::flush`] of the inner writer does.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// The number of events written.
    pub fn count(&self) -> u64 {
        self.index
    }

    /// The inner writer.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// The inner writer, for good.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Writes a whole history in our own format: the header, then every event. Processes that have no name (files that record none) are left out.
pub fn write_history(out: impl Write, history: &History) -> io::Result<()> {
    let mut writer = EventWriter::new(out);
    writer.write_header(&history.meta)?;
    for event in 0..history.len() as u32 {
        writer.write_parts(&Parts::of(history, event))?;
    }
    writer.flush()
}

/// Writes a whole history as Elle's command line and other tools read it: one JSON array. What JSON lacks becomes what comes
/// nearest: keywords and symbols strings, sets and lists arrays, keys of maps strings.
pub fn write_array_of_events(mut out: impl Write, history: &History) -> io::Result<()> {
    let mut line = Vec::with_capacity(256);
    out.write_all(b"[")?;
    for event in 0..history.len() as u32 {
        line.clear();
        line.extend_from_slice(if event == 0 { b"{" } else { b",\n{" });
        write!(line, "\"index\":{event}")?;
        write_parts(&mut line, &Parts::of(history, event), Strictness::Plain);
        out.write_all(&line)?;
    }
    out.write_all(b"]\n")?;
    out.flush()
}

/// An event, whichever form its values have.
pub(crate) struct Parts<'a, T> {
    time: i64,
    process: T,
    thread: Option<u32>,
    node: Option<&'a str>,
    kind: Kind,
    f: &'a str,
    value: T,
    error: Option<T>,
}

impl<'a> Parts<'a, Stored<'a>> {
    pub(crate) fn of(history: &'a History, event: u32) -> Parts<'a, Stored<'a>> {
        let Row { kind, f, process, value, time, error, node, thread } = history.row(event);
        let stored = |id| Stored(&history.values, id);
        let time = time.unwrap_or(NO_TIME);
        Parts { time, process: stored(process), thread, node, kind, f, value: stored(value), error: error.map(stored) }
    }
}

/// What becomes of values that JSON lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// The stand-ins of `FORMAT.md`: nothing is lost.
    Ours,
    /// What everybody else reads: keywords and symbols are strings, sets and lists arrays, keys strings.
    Plain,
}

/// Appends the fields of an event and the closing brace, each field with a comma before it.
pub(crate) fn write_parts<'a, T: Tree<'a>>(line: &mut Vec<u8>, parts: &Parts<'a, T>, strictness: Strictness) {
    if parts.time != NO_TIME {
        line.extend_from_slice(b",\"time\":");
        write_int(line, parts.time);
    }
    match parts.process.look() {
        Look::Nil => {}
        Look::Keyword("nemesis") => line.extend_from_slice(b",\"process\":\"nemesis\""),
        _ => {
            line.extend_from_slice(b",\"process\":");
            write_value(line, parts.process, strictness);
        }
    }
    if let Some(thread) = parts.thread {
        line.extend_from_slice(b",\"thread\":");
        write_int(line, i64::from(thread));
    }
    if let Some(node) = parts.node {
        line.extend_from_slice(b",\"node\":");
        write_string(line, node);
    }
    line.extend_from_slice(b",\"type\":\"");
    line.extend_from_slice(parts.kind.name().as_bytes());
    line.extend_from_slice(b"\",\"f\":");
    write_string(line, parts.f);
    line.extend_from_slice(b",\"value\":");
    write_value(line, parts.value, strictness);
    if let Some(error) = parts.error {
        let before = line.len();
        line.extend_from_slice(b",\"error\":");
        write_value(line, error, strictness);
        // A tag around nothing is nothing where tags are lost.
        if line.ends_with(b":null") {
            line.truncate(before);
        }
    }
    line.push(b'}');
}

/// Appends a value. Its depth is bounded: readers limit nesting.
pub(crate) fn write_value<'a, T: Tree<'a>>(line: &mut Vec<u8>, value: T, strictness: Strictness) {
    let ours = strictness == Strictness::Ours;
    match value.look() {
        Look::Nil => line.extend_from_slice(b"null"),
        Look::Bool(b) => line.extend_from_slice(if b { b"true" } else { b"false" }),
        Look::Int(i) => write_int(line, i),
        // Writing into memory cannot fail.
        Look::Float(x) if ours && x.is_finite() => drop(write!(line, "{x:?}")),
        Look::Float(x) if x.is_finite() => line.extend_from_slice(json_float(x).as_bytes()),
        Look::Float(x) => {
            let name = if x.is_nan() {
                "NaN"
            } else if x > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            };
            if ours { write_scalar(line, "#float", name) } else { write_string(line, name) }
        }
        Look::Number(text) if is_whole(text) => line.extend_from_slice(text.as_bytes()),
        Look::Number(text) if ours => write_scalar(line, "#number", text),
        Look::Symbol(text) if ours => write_scalar(line, "#symbol", text),
        Look::Str(text) if ours && text.starts_with(':') => write_scalar(line, "#str", text),
        Look::Keyword(text) if ours => {
            line.extend_from_slice(b"\":");
            write_escaped(line, text);
            line.push(b'"');
        }
        Look::Number(text) | Look::Symbol(text) | Look::Keyword(text) | Look::Str(text) => write_string(line, text),
        Look::Vector(count) => {
            let stands_in = ours && count > 0 && matches!(value.child(0).look(), Look::Str(text) if text.starts_with('#'));
            write_array(line, if stands_in { Some("#vector") } else { None }, value, count, strictness);
        }
        Look::List(count) => write_array(line, ours.then_some("#list"), value, count, strictness),
        Look::Set(count) => write_array(line, ours.then_some("#set"), value, count, strictness),
        Look::Map(count) if ours && !(0..count).all(|i| is_object_key(value.child(2 * i))) => {
            write_array(line, Some("#map"), value, 2 * count, strictness);
        }
        Look::Map(count) => write_object(line, value, count, strictness),
        Look::Tagged(tag) if ours => {
            line.extend_from_slice(b"[\"#tag\",");
            write_string(line, tag);
            line.push(b',');
            write_value(line, value.child(0), strictness);
            line.push(b']');
        }
        Look::Tagged(_) => write_value(line, value.child(0), strictness),
    }
}

/// Whether a key of a map can be a key of an object: a keyword, or a string that does not look like one.
fn is_object_key<'a, T: Tree<'a>>(key: T) -> bool {
    match key.look() {
        Look::Keyword(_) => true,
        Look::Str(text) => !text.starts_with(':'),
        _ => false,
    }
}

fn write_array<'a, T: Tree<'a>>(line: &mut Vec<u8>, name: Option<&str>, value: T, count: usize, strictness: Strictness) {
    line.push(b'[');
    if let Some(name) = name {
        write_string(line, name);
    }
    for i in 0..count {
        if i > 0 || name.is_some() {
            line.push(b',');
        }
        write_value(line, value.child(i), strictness);
    }
    line.push(b']');
}

fn write_object<'a, T: Tree<'a>>(line: &mut Vec<u8>, value: T, count: usize, strictness: Strictness) {
    line.push(b'{');
    for i in 0..count {
        if i > 0 {
            line.push(b',');
        }
        match value.child(2 * i).look() {
            Look::Keyword(text) if strictness == Strictness::Ours => {
                line.extend_from_slice(b"\":");
                write_escaped(line, text);
                line.push(b'"');
            }
            Look::Str(text) | Look::Keyword(text) | Look::Symbol(text) | Look::Number(text) => write_string(line, text),
            _ => {
                let mut key = Vec::new();
                write_value(&mut key, value.child(2 * i), strictness);
                write_string(line, &String::from_utf8_lossy(&key));
            }
        }
        line.push(b':');
        write_value(line, value.child(2 * i + 1), strictness);
    }
    line.push(b'}');
}

fn write_scalar(line: &mut Vec<u8>, name: &str, text: &str) {
    line.push(b'[');
    write_string(line, name);
    line.push(b',');
    write_string(line, text);
    line.push(b']');
}

pub(crate) fn write_string(line: &mut Vec<u8>, text: &str) {
    line.push(b'"');
    write_escaped(line, text);
    line.push(b'"');
}

fn write_escaped(line: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut plain = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 | 0x7f => b"",
            _ => continue,
        };
        line.extend_from_slice(&bytes[plain..i]);
        if escape.is_empty() {
            drop(write!(line, "\\u{byte:04x}"));
        } else {
            line.extend_from_slice(escape);
        }
        plain = i + 1;
    }
    line.extend_from_slice(&bytes[plain..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of `FORMAT.md`.
    #[test]
    fn the_documented_lines() {
        let mut writer = EventWriter::new(Vec::new());
        let mut meta = Meta { keyed: Some(true), ..Meta::default() };
        meta.header.insert("seed".into(), Value::Int(9));
        meta.header.insert("test".into(), Value::Str("etcd".into()));
        writer.write_header(&meta).unwrap();
        let write = Value::pair(7, 1);
        let cut = Value::Map(vec![("n1".into(), Value::Vector(vec!["n2".into(), "n3".into()]))]);
        let client = Actor::Process(3);
        let event = |time, actor, kind, f, value| Record { time, actor, thread: None, node: None, kind, f, value, error: None };
        let of_thread = |record| Record { thread: Some(3), node: Some("n4"), ..record };
        for record in [
            of_thread(event(1_200_345, client, Kind::Invoke, "write", &write)),
            of_thread(event(3_400_120, client, Kind::Ok, "write", &write)),
            event(4_100_999, Actor::Nemesis, Kind::Info, "start-partition", &cut),
        ] {
            writer.write_event(&record).unwrap();
        }
        assert_eq!(writer.count(), 3);
        let written = String::from_utf8(writer.into_inner()).unwrap();
        let document = include_str!("../FORMAT.md");
        let example = document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let header = "{\"rashomon\":1,\"keyed\":true,\"seed\":9,\"test\":\"etcd\"}\n";
        let events = example.split_once('\n').unwrap().1;
        assert_eq!(written, format!("{header}{events}"));
        assert_eq!(
            crate::read_bytes(example.as_bytes(), None).unwrap().difference(&crate::read_bytes(written.as_bytes(), None).unwrap()),
            None
        );
    }
}
