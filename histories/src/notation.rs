//! EDN notation: how values are written, in files and for people.

use crate::history::{History, Row};
use crate::tree::{Look, Stored, Tree};
use std::io::{self, Write};

/// Writes a whole history as Jepsen does: one op map per line.
pub(crate) fn write_history(mut out: impl Write, history: &History) -> io::Result<()> {
    let mut line = Vec::with_capacity(256);
    for event in 0..history.len() as u32 {
        line.clear();
        write_event(&mut line, history, event);
        out.write_all(&line)?;
    }
    out.flush()
}

fn write_event(line: &mut Vec<u8>, history: &History, event: u32) {
    let Row { kind, f, process, value, time, error, node, thread } = history.row(event);
    let stored = |id| Stored(&history.values, id);
    line.extend_from_slice(b"{:index ");
    write_int(line, i64::from(event));
    if let Some(time) = time {
        line.extend_from_slice(b", :time ");
        write_int(line, time);
    }
    line.extend_from_slice(b", :type :");
    line.extend_from_slice(kind.name().as_bytes());
    if !process.is_nil() {
        line.extend_from_slice(b", :process ");
        write_value(line, stored(process));
    }
    line.extend_from_slice(b", :f ");
    write_word(line, ":", f);
    line.extend_from_slice(b", :value ");
    write_value(line, stored(value));
    if let Some(error) = error {
        line.extend_from_slice(b", :error ");
        write_value(line, stored(error));
    }
    if let Some(node) = node {
        line.extend_from_slice(b", :node ");
        write_string(line, node);
    }
    if let Some(thread) = thread {
        line.extend_from_slice(b", :thread ");
        write_int(line, i64::from(thread));
    }
    line.extend_from_slice(b"}\n");
}

/// Appends a value. Its depth is bounded: readers limit nesting.
pub(crate) fn write_value<'a, T: Tree<'a>>(out: &mut Vec<u8>, value: T) {
    match value.look() {
        Look::Nil => out.extend_from_slice(b"nil"),
        Look::Bool(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
        Look::Int(i) => write_int(out, i),
        Look::Float(x) if x.is_nan() => out.extend_from_slice(b"##NaN"),
        Look::Float(x) if x.is_infinite() => out.extend_from_slice(if x > 0.0 { b"##Inf" } else { b"##-Inf" }),
        // Writing into memory cannot fail.
        Look::Float(x) => drop(write!(out, "{x:?}")),
        Look::Number(text) => out.extend_from_slice(text.as_bytes()),
        Look::Symbol(text) => write_word(out, "", text),
        Look::Str(text) => write_string(out, text),
        Look::Keyword(text) => write_word(out, ":", text),
        Look::List(count) => write_many(out, "(", value, count, ")"),
        Look::Vector(count) => write_many(out, "[", value, count, "]"),
        Look::Set(count) => write_many(out, "#{", value, count, "}"),
        Look::Map(count) => {
            out.push(b'{');
            for i in 0..count {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                write_value(out, value.child(2 * i));
                out.push(b' ');
                write_value(out, value.child(2 * i + 1));
            }
            out.push(b'}');
        }
        Look::Tagged(tag) => {
            write_word(out, "#", tag);
            out.push(b' ');
            write_value(out, value.child(0));
        }
    }
}

fn write_many<'a, T: Tree<'a>>(out: &mut Vec<u8>, open: &str, value: T, count: usize, close: &str) {
    out.extend_from_slice(open.as_bytes());
    for i in 0..count {
        if i > 0 {
            out.push(b' ');
        }
        write_value(out, value.child(i));
    }
    out.extend_from_slice(close.as_bytes());
}

/// A keyword, a symbol or a tag. What no reader would take for one (it came from another format) is written as a string.
fn write_word(out: &mut Vec<u8>, prefix: &str, text: &str) {
    let ends_it = |c: char| c.is_whitespace() || c.is_control() || ",()[]{}\";".contains(c);
    let is_character = prefix.is_empty() && text.starts_with('\\') && text.chars().nth(1).is_some();
    let is_word = is_character || (!text.is_empty() && !text.contains(ends_it));
    if is_word || (text.is_empty() && prefix == ":") {
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(text.as_bytes());
    } else {
        if prefix == "#" {
            out.extend_from_slice(b"#tag ");
        }
        write_string(out, text);
    }
}

/// Appends a string in quotes.
fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    for (i, byte) in text.bytes().enumerate() {
        let escape: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[plain..i]);
        out.extend_from_slice(escape);
        plain = i + 1;
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
    out.push(b'"');
}

/// Appends an integer in decimal.
pub(crate) fn write_int(out: &mut Vec<u8>, i: i64) {
    const DIGITS_MAX: usize = 20;
    let mut digits = [0_u8; DIGITS_MAX];
    let mut at = DIGITS_MAX;
    let mut rest = i.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if i < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    #[test]
    fn integers() {
        for i in [0, 7, 10, -1, 1_234_567_890, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            write_int(&mut out, i);
            assert_eq!(String::from_utf8(out).unwrap(), i.to_string());
        }
    }

    #[test]
    fn words_that_are_none() {
        assert_eq!(Value::Keyword("a b".into()).to_string(), "\"a b\"");
        assert_eq!(Value::Symbol("".into()).to_string(), "\"\"");
        assert_eq!(Value::Symbol("\\[".into()).to_string(), "\\[");
        assert_eq!(Value::Keyword("a/b".into()).to_string(), ":a/b");
    }
}
