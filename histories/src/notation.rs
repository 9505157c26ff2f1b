//! EDN notation: how values are written, in files and for people.
//!
//! Clojure's own reader reads it, with a `:default` for tags. Words that it would refuse or take for something else (they came
//! from another format) stand in quotes under a tag: `#rashomon/keyword "a b"`, `#rashomon/symbol ""`; a value under a tag that is
//! no word is `#rashomon/tagged ["a b" value]`. The one thing that Clojure refuses and that is written all the same is a set or a
//! map that holds an element or a key twice.

use crate::tree::{Look, Stored, Tree};
use crate::value::{Value, ValueId, Values};
use std::fmt;
use std::io::Write;

impl Values {
    /// The value in EDN notation, for people: `[1 nil "a"]`.
    pub fn display(&self, id: ValueId) -> String {
        let mut text = Vec::new();
        write_value(&mut text, Stored(self, id));
        String::from_utf8_lossy(&text).into_owned()
    }
}

impl fmt::Display for Value {
    /// EDN notation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        write_value(&mut text, self);
        f.write_str(&String::from_utf8_lossy(&text))
    }
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
        Look::Symbol(text) => write_symbol(out, text),
        Look::Str(text) => write_string(out, text),
        Look::Keyword(text) => write_keyword(out, text),
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
        Look::Tagged(tag) => write_tagged(out, tag, value.child(0)),
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

/// The tags under which the text of a word stands in quotes, and of a tagged value: a vector of the tag's text and the value.
pub(crate) const KEYWORD_TAG: &str = "rashomon/keyword";
pub(crate) const SYMBOL_TAG: &str = "rashomon/symbol";
pub(crate) const TAGGED_TAG: &str = "rashomon/tagged";

/// A keyword. One that no reader would take for it (it came from another format) stands in quotes under a tag.
pub(crate) fn write_keyword(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) || (is_word(text) && !text.starts_with(':')) {
        out.push(b':');
        out.extend_from_slice(text.as_bytes());
    } else {
        write_quoted(out, KEYWORD_TAG, text);
    }
}

/// A symbol, as [`write_keyword`].
fn write_symbol(out: &mut Vec<u8>, text: &str) {
    if is_symbol(text) || is_character(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_quoted(out, SYMBOL_TAG, text);
    }
}

fn write_tagged<'a, T: Tree<'a>>(out: &mut Vec<u8>, tag: &str, value: T) {
    let names_a_map = tag.strip_prefix(':').is_some_and(is_plain) && matches!(value.look(), Look::Map(_));
    let is_tag = is_symbol(tag) && tag.starts_with(char::is_alphabetic) && !matches!(tag, KEYWORD_TAG | SYMBOL_TAG | TAGGED_TAG);
    if is_tag || names_a_map {
        out.push(b'#');
        out.extend_from_slice(tag.as_bytes());
        out.push(b' ');
        write_value(out, value);
    } else {
        write!(out, "#{TAGGED_TAG} [").expect("writing into memory cannot fail");
        write_string(out, tag);
        out.push(b' ');
        write_value(out, value);
        out.push(b']');
    }
}

fn write_quoted(out: &mut Vec<u8>, tag: &str, text: &str) {
    out.push(b'#');
    out.extend_from_slice(tag.as_bytes());
    out.push(b' ');
    write_string(out, text);
}

/// Letters, and digits and the like after them: nearly all words.
fn is_plain(text: &str) -> bool {
    let mut bytes = text.bytes();
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'!' | b'?' | b'*' | b'.');
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic()) && bytes.all(is_part)
}

/// What every reader of EDN, Clojure's own included, takes for one word after a colon.
fn is_word(text: &str) -> bool {
    let ends_it = |c: char| c.is_whitespace() || c.is_control() || ",()[]{}\";^@`~\\\u{feff}".contains(c);
    let is_name = |name: &str| !name.starts_with(|c: char| c.is_ascii_digit()) && !name.ends_with(':');
    let is_name = |name: &str| !name.is_empty() && is_name(name);
    let names = match text.split_once('/') {
        Some((space, name)) => text == "/" || (is_name(space) && is_name(name) && !name.contains('/')),
        None => !text.is_empty() && !text.ends_with(':'),
    };
    names && !text.contains(ends_it) && !text.contains("::")
}

/// What every reader takes for a symbol.
fn is_symbol(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_something_else = unsigned.starts_with(|c: char| c.is_numeric()) || text.starts_with([':', '#']);
    is_word(text) && !is_something_else && !matches!(text, "nil" | "true" | "false")
}

/// Characters that have names.
const NAMED: [(&str, char); 6] =
    [("newline", '\n'), ("space", ' '), ("tab", '\t'), ("backspace", '\u{8}'), ("formfeed", '\u{c}'), ("return", '\r')];

/// `\a`, `\newline`, `\u0041`.
fn is_character(text: &str) -> bool {
    let Some(name) = text.strip_prefix('\\') else { return false };
    let mut chars = name.chars();
    let is_one = matches!((chars.next(), chars.next()), (Some(c), None) if is_shown(c));
    let is_code = name.len() == 5
        && name.strip_prefix('u').is_some_and(|code| code.bytes().all(|b| b.is_ascii_hexdigit()) && !code.starts_with(['d', 'D']));
    is_one || is_code || NAMED.iter().any(|named| named.0 == name)
}

/// Whether a character stands for itself after a backslash.
fn is_shown(c: char) -> bool {
    matches!(c, '!'..='\u{7e}' | '\u{a1}'..='\u{1fff}') && !c.is_whitespace()
}

/// The one notation of all that denote the same character: `\A` for `\u0041`. `None` for what is no character that Clojure
/// knows.
pub(crate) fn character(text: &str) -> Option<String> {
    let name = text.strip_prefix('\\')?;
    let mut chars = name.chars();
    let first = chars.next()?;
    let code = |digits: &str, base| u32::from_str_radix(digits, base).ok().and_then(char::from_u32);
    let c = match (NAMED.iter().find(|named| named.0 == name), chars.as_str()) {
        (Some(named), _) => named.1,
        (None, "") => first,
        (None, digits) if first == 'u' && digits.len() == 4 => code(digits, 16)?,
        (None, digits) if first == 'o' && digits.len() <= 3 => code(digits, 8)?,
        (None, _) => return None,
    };
    let named = NAMED.iter().find(|named| named.1 == c);
    Some(match named {
        Some((name, _)) => format!("\\{name}"),
        None if is_shown(c) => format!("\\{c}"),
        None => format!("\\u{:04x}", u32::from(c)),
    })
}

/// Appends a string in quotes.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
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
        let keyword = |text: &str| Value::Keyword(text.into()).to_string();
        let symbol = |text: &str| Value::Symbol(text.into()).to_string();
        for text in ["a", "1", "a/b", "+", "a.b$c__1", "<init>", "é", "/"] {
            assert_eq!(keyword(text), format!(":{text}"));
        }
        for text in ["", "a b", ":a", "a:", "a::b", "a/1", "a/", "a/b/c", "a^b", "a@b", "a\u{a0}b"] {
            assert_eq!(keyword(text), format!("#rashomon/keyword {text:?}").replace("\\u{a0}", "\u{a0}"));
        }
        for text in ["a", "-", "->x", "a/b", "'a", "\\[", "\\newline", "\\u0041", "."] {
            assert_eq!(symbol(text), text);
        }
        for text in ["", "1", "-1", "nil", "#'a", ":a", "\\foo", "\\ud800", "a;"] {
            assert_eq!(symbol(text), format!("#rashomon/symbol {text:?}"));
        }
        let tagged = |tag: &str, value| Value::Tagged(tag.into(), Box::new(value)).to_string();
        assert_eq!(tagged("a/b", Value::Int(1)), "#a/b 1");
        assert_eq!(tagged(":a", Value::Map(Vec::new())), "#:a {}");
        for tag in [":a", "a b", "_", "", "1", "nil", "<a", ".", TAGGED_TAG] {
            assert_eq!(tagged(tag, Value::Int(1)), format!("#rashomon/tagged [{tag:?} 1]"));
        }
    }
}
