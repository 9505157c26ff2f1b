//! The formats of files that are read, and how each is recognised: by content, never by the file's name.

use crate::formats::tuples::find_op;
use crate::formats::{dbcop, intervals, limo, polylin};
use crate::history::Kind;
use crate::names;
use std::fmt;
use std::str::FromStr;

/// A format of recorded histories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Jepsen's and Elle's EDN in all its shapes.
    Edn,
    /// JSON lines: our own, and the upper-case dialect.
    Jsonl,
    /// One JSON array of events: Elle's.
    Json,
    /// Porcupine's etcd log.
    PorcupineEtcd,
    /// Porcupine's key-value log: EDN whose ops have a `:key`.
    PorcupineKv,
    /// Op lines `process :type :f value error`: Jepsen's `history.txt`.
    Tuples,
    /// Op lines among others: Jepsen's console log.
    Console,
    /// Porcupine's operations as JSON: one object per op, with the times of its call and of its return.
    Intervals,
    /// AWDIT's session text.
    Awdit,
    /// Plume's session text.
    Plume,
    /// dbcop's binary histories.
    Dbcop,
    /// Calls and returns, a line each: `LiMo`'s.
    Limo,
    /// Operations with the times of their call and return, a line each: `PolyLin`'s.
    PolyLin,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 13] = [
        Format::Edn,
        Format::Jsonl,
        Format::Json,
        Format::PorcupineEtcd,
        Format::PorcupineKv,
        Format::Tuples,
        Format::Console,
        Format::Intervals,
        Format::Awdit,
        Format::Plume,
        Format::Dbcop,
        Format::Limo,
        Format::PolyLin,
    ];

    /// The name on the command line, and in [`Meta::format`](crate::history::Meta::format).
    pub fn name(self) -> &'static str {
        match self {
            Format::Edn => "edn",
            Format::Jsonl => "jsonl",
            Format::Json => "json",
            Format::PorcupineEtcd => "porcupine-etcd",
            Format::PorcupineKv => "porcupine-kv",
            Format::Tuples => "tuples",
            Format::Console => "console",
            Format::Intervals => "intervals",
            Format::Awdit => "awdit",
            Format::Plume => "plume",
            Format::Dbcop => "dbcop",
            Format::Limo => "limo",
            Format::PolyLin => "polylin",
        }
    }

    /// Whether histories are also written in it.
    pub fn is_written(self) -> bool {
        matches!(self, Format::Edn | Format::Jsonl | Format::Json | Format::Intervals)
    }

    /// Recognises the format of a file by its beginning; a few kilobytes are enough. `None` if no known format begins so. An
    /// empty file is an empty history in any format, and counts as EDN.
    pub fn detect(head: &[u8]) -> Option<Format> {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        if dbcop::looks_like_it(head) {
            return Some(Format::Dbcop);
        }
        let head = match std::str::from_utf8(head) {
            Ok(text) => text,
            // The head may end inside a character, and a log may hold anything.
            Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).ok()?,
        };
        let text = without_comments(head);
        match text.bytes().next() {
            Some(b'{') => Some(detect_map(text, Format::Jsonl)),
            Some(b'[') if !looks_like_a_log(text) => {
                let inner = text[1..].trim_start();
                Some(if inner.starts_with('{') { detect_map(inner, Format::Json) } else { Format::Edn })
            }
            Some(b'#') if limo::looks_like_it(text) => Some(Format::Limo),
            Some(b'#') if polylin::looks_like_it(text) => Some(Format::PolyLin),
            None | Some(b'(' | b'#') => Some(Format::Edn),
            Some(_) => detect_lines(text),
        }
    }
}

/// The text after blank lines and EDN comments.
fn without_comments(mut text: &str) -> &str {
    loop {
        text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
        if !text.starts_with(';') {
            return text;
        }
        text = text.split_once('\n').map_or("", |(_, rest)| rest);
    }
}

/// A text that begins with a map: JSON if its first key is in quotes and a colon follows.
fn detect_map(text: &str, json: Format) -> Format {
    let inner = text[1..].trim_start();
    if let Some(key) = inner.strip_prefix('"') {
        let after = key.split_once('"').map_or("", |(_, rest)| rest.trim_start());
        if after.starts_with(':') || after.is_empty() {
            return if intervals::looks_like_it(text) { Format::Intervals } else { json };
        }
    }
    if inner.is_empty() || (inner.starts_with('}') && json == Format::Json) {
        return json;
    }
    if is_porcupine_kv(text) { Format::PorcupineKv } else { Format::Edn }
}

/// Porcupine's key-value log: the first op has a key of its own, and puts, gets or appends.
fn is_porcupine_kv(text: &str) -> bool {
    let first = text.split_once('}').map_or(text, |(first, _)| first);
    first.contains(":key ") && [":f :get", ":f :put", ":f :append"].iter().any(|f| first.contains(f))
}

/// A bracketed word at the start of a line of a log (`[main] INFO ...`), not a vector.
fn looks_like_a_log(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.contains("INFO") && !line.trim_end().ends_with(']'))
}

fn detect_lines(text: &str) -> Option<Format> {
    let first = text.lines().next().unwrap_or("").trim();
    if first.starts_with("INFO  jepsen.util - ") && find_op(first).is_some() {
        return Some(Format::PorcupineEtcd);
    }
    if find_op(first) == Some(0) {
        return Some(Format::Tuples);
    }
    let is_micro_op = |first: &str| first.starts_with("r ") || first.starts_with("w ");
    if is_micro_op(first) || first.bytes().all(|b| b == b'-') || first.bytes().all(|b| b == b'=') {
        return Some(Format::Awdit);
    }
    if (first.starts_with("r(") || first.starts_with("w(")) && first.ends_with(')') {
        return Some(Format::Plume);
    }
    let has_op = |line: &str| line.contains(":invoke") && find_op(line.trim()).is_some() && Kind::of("invoke").is_some();
    text.lines().any(has_op).then_some(Format::Console)
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        let found = Format::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| names::unknown("format", name, Format::ALL.map(Format::name)))
    }
}
