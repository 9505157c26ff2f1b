//! Why a history was refused, and where.

use std::fmt;

/// What kind of thing is wrong with the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadErrorKind {
    /// The bytes could not be read at all.
    Io,
    /// No known format looks like this.
    UnknownFormat,
    /// The text is not what its format's grammar allows.
    Syntax,
    /// The text is well-formed, but is no event.
    Event,
    /// A limit of the reader: nesting, the size of one event, the number of distinct functions.
    Limit,
}

/// A refused history: the place, the offending text, what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ReadError {
    /// What kind of thing is wrong.
    pub kind: ReadErrorKind,
    /// The file, if the input is one.
    pub file: Option<Box<str>>,
    /// Line and column, from 1; the column counts characters. `None` where there is no place.
    pub place: Option<(u64, u32)>,
    /// The text from that place on, elided; empty where there is none.
    pub text: Box<str>,
    /// What is wrong.
    pub message: Box<str>,
    /// What to do about it; may be empty.
    pub help: Box<str>,
}

impl fmt::Display for ReadError {
    /// `history.edn:12:8: message`, then the text and the help, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        if self.file.is_some() || self.place.is_some() {
            f.write_str(" ")?;
        }
        f.write_str(&self.message)?;
        if !self.text.is_empty() {
            write!(f, "\n  near: {}", self.text)?;
        }
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}

impl ReadError {
    /// Names the file.
    #[must_use]
    pub fn in_file(mut self, file: impl Into<Box<str>>) -> ReadError {
        self.file = Some(file.into());
        self
    }

    pub(crate) fn io(error: &std::io::Error) -> ReadError {
        let help = match error.kind() {
            std::io::ErrorKind::NotFound => "check the path",
            std::io::ErrorKind::PermissionDenied => "check the permissions of the file and of its directory",
            std::io::ErrorKind::IsADirectory => "name the history file inside it",
            std::io::ErrorKind::UnexpectedEof => "was the file cut off while it was copied?",
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => "is the compressed file damaged?",
            _ => "",
        };
        ReadError {
            kind: ReadErrorKind::Io,
            file: None,
            place: None,
            text: "".into(),
            message: format!("cannot read it: {error}").into(),
            help: help.into(),
        }
    }
}

/// Something wrong at an offset of a text: a [`ReadError`] before its line is known.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) kind: ReadErrorKind,
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) help: &'static str,
    /// The text ended too early: more text might mend it.
    pub(crate) ended: bool,
}

impl Fault {
    pub(crate) fn syntax(at: usize, message: impl Into<String>) -> Fault {
        Fault { kind: ReadErrorKind::Syntax, at, message: message.into(), help: "", ended: false }
    }

    pub(crate) fn event(at: usize, message: impl Into<String>) -> Fault {
        Fault { kind: ReadErrorKind::Event, ..Fault::syntax(at, message) }
    }

    pub(crate) fn limit(at: usize, message: impl Into<String>) -> Fault {
        Fault { kind: ReadErrorKind::Limit, ..Fault::syntax(at, message) }
    }

    /// A byte that is part of no character.
    pub(crate) fn no_text(at: usize) -> Fault {
        Fault::syntax(at, "this is no UTF-8 text").help("is the file binary, or damaged?")
    }

    /// The text ended inside something that began at `at`.
    pub(crate) fn ended(at: usize, inside: &str) -> Fault {
        let help = "was the file cut off while it was copied, or its writer killed? Cut the last, incomplete event off";
        Fault { ended: true, help, ..Fault::syntax(at, format!("the file ends inside {inside}")) }
    }

    pub(crate) fn help(mut self, help: &'static str) -> Fault {
        self.help = help;
        self
    }

    /// The error at its place in `text`, which itself begins at `start` of the input.
    pub(crate) fn locate(self, text: &[u8], start: Place) -> ReadError {
        let at = self.at.min(text.len());
        let Place { line, column } = start.after(&text[..at]);
        let text = elide(&text[at..]).into();
        ReadError { kind: self.kind, file: None, place: Some((line, column)), text, message: self.message.into(), help: self.help.into() }
    }
}

/// A place in a text: line and column, from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u32,
}

impl Place {
    pub(crate) const START: Place = Place { line: 1, column: 1 };

    /// The place after some text.
    pub(crate) fn after(self, text: &[u8]) -> Place {
        let breaks = memchr::memchr_iter(b'\n', text).count() as u64;
        let last_line = memchr::memrchr(b'\n', text).map_or(text, |i| &text[i + 1..]);
        // Characters by their first bytes: the same sum wherever an input is cut, and even if it is no text.
        let characters = last_line.iter().filter(|&&byte| byte & 0xC0 != 0x80).count() as u32;
        let column = if breaks == 0 { self.column.saturating_add(characters) } else { characters + 1 };
        Place { line: self.line + breaks, column }
    }
}

/// The first 60 characters of the first line, control characters made visible.
fn elide(text: &[u8]) -> String {
    const WIDTH: usize = 60;
    let line = &text[..memchr::memchr(b'\n', text).unwrap_or(text.len())];
    let line = String::from_utf8_lossy(&line[..line.len().min(WIDTH * 4)]);
    let mut shown = String::new();
    for c in line.chars().take(WIDTH) {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    if line.chars().nth(WIDTH).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locates_and_shows() {
        let text = "one\nzwö\tdrei".as_bytes();
        let error = Fault::syntax(9, "no").help("do").locate(text, Place { line: 10, column: 1 }).in_file("f.edn");
        assert_eq!(error.to_string(), "f.edn:11:5: no\n  near: drei\n  help: do");
        let error = Fault::syntax(8, "no").locate(text, Place::START);
        assert_eq!(error.to_string(), "2:4: no\n  near: \\tdrei");
        assert_eq!(Fault::syntax(0, "no").locate("é".repeat(70).as_bytes(), Place::START).text.as_ref(), "é".repeat(60) + "…");
    }
}
