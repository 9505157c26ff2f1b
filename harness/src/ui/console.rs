//! What the terminal can show: colour, box characters, width. Decided once, from the command line and the environment.
//!
//! Everything that is printed goes through [`print()`], [`print_json`] or [`complain`]. They let no control character out but ends of
//! lines and the colours of [`Console::ink`]: what a history, a log or a path holds never moves the cursor, never renames the window
//! and never turns the direction of writing.

use console::Term;
use std::fmt::{Display, Write as _};
use std::io::{self, IsTerminal, Write};

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// If the output is a terminal and `NO_COLOR` is not set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// One of the two output streams, and what it can show.
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// Colours may be used.
    pub color: bool,
    /// The locale is UTF-8: `✓` rather than `OK`.
    pub unicode: bool,
    /// A person is looking: progress may be redrawn in place.
    pub terminal: bool,
    /// The columns that paragraphs and pictures fit into: the terminal's, within reason; [`WIDTH`] in a file or a pipe.
    pub width: usize,
}

/// The columns of an output that is no terminal.
pub const WIDTH: usize = 80;

/// A terminal that is narrower gets lines that it breaks itself; one that is wider gets lines of this length, which can be read.
const WIDTH_MIN: usize = 60;
const WIDTH_MAX: usize = 140;

/// A colour with a meaning (never the only carrier of it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// The verdict invalid, and the op that cannot be placed.
    Red,
    /// The verdict valid.
    Green,
    /// Unknown: verdicts and outcomes.
    Yellow,
    /// The first value of an explanation.
    Blue,
    /// The second value of an explanation.
    Orange,
    /// What matters less.
    Dim,
    /// What matters more.
    Bold,
}

impl Console {
    /// Standard output.
    pub fn stdout(color: Color) -> Console {
        Console::new(color, io::stdout().is_terminal(), &Term::stdout())
    }

    /// Standard error.
    pub fn stderr(color: Color) -> Console {
        Console::new(color, io::stderr().is_terminal(), &Term::stderr())
    }

    /// Plain ASCII without colour: for files.
    pub fn plain() -> Console {
        Console { color: false, unicode: false, terminal: false, width: WIDTH }
    }

    fn new(color: Color, terminal: bool, term: &Term) -> Console {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && env("NO_COLOR").is_none() && env("TERM").is_none_or(|term| term != "dumb"),
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env(name)).unwrap_or_default().to_ascii_lowercase();
        // A terminal that does not know its width says 0.
        let columns =
            if terminal { term.size_checked().map(|(_, columns)| usize::from(columns)).filter(|&columns| columns > 0) } else { None };
        let width = columns.map_or(WIDTH, |columns| columns.clamp(WIDTH_MIN, WIDTH_MAX));
        Console { color, unicode: locale.contains("utf-8") || locale.contains("utf8"), terminal, width }
    }

    /// Text in a colour, if colours may be used.
    pub fn ink(&self, ink: Ink, text: impl Display) -> String {
        if !self.color {
            return text.to_string();
        }
        let code = match ink {
            Ink::Red => "1;31",
            Ink::Green => "1;32",
            Ink::Yellow => "33",
            Ink::Blue => "34",
            Ink::Orange => "38;5;208",
            Ink::Dim => "2",
            Ink::Bold => "1",
        };
        format!("{INK}{code}{INK_END}{text}{INK}0{INK_END}")
    }

    /// The text in ASCII if the locale is not UTF-8: every sign that the program itself uses has a fallback, of the same
    /// width where it stands in a grid. Control characters, which histories and logs may hold, never reach the terminal.
    pub fn fit(&self, text: &str) -> String {
        if self.unicode { text.chars().map(|c| if is_unsafe(c) { '?' } else { c }).collect() } else { ascii(text) }
    }
}

/// What stands around the number of a colour until it is printed: no character, so that no text can be taken for a colour.
const INK: char = '\u{fdd0}';
const INK_END: char = '\u{fdd1}';

/// Control characters could move the cursor or worse, invisible ones turn the direction of writing; only ends of lines are harmless.
/// The two joiners stay: some scripts are written with them.
pub(crate) fn is_unsafe(c: char) -> bool {
    let invisible = matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    (c.is_control() && c != '\n') || invisible
}

/// A text as the terminal gets it: with our colours, and without anything else that is no text.
fn painted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(is_unsafe) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let colour = rest.strip_prefix(INK).and_then(|rest| rest.split_once(INK_END));
        if let Some((code, after)) = colour.filter(|(code, _)| code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';')) {
            out.push_str("\x1b[");
            out.push_str(code);
            out.push('m');
            rest = after;
        } else {
            out.push('?');
            rest = rest.get(rest.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
        }
    }
    out + rest
}

/// JSON in which nothing but text is left raw. What is not can only stand in strings, where it may be escaped.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            let _ = c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"));
        } else {
            out.push(c);
        }
    }
    out
}

fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '✓' => out.push_str("OK"),
            '✗' => out.push('X'),
            '→' => out.push_str("->"),
            '┄' | '─' | '–' => out.push('-'),
            '│' => out.push('|'),
            '\u{2588}' => out.push('#'),
            // The block elements of one to seven eighths.
            '\u{2589}'..='\u{258f}' => out.push('+'),
            '·' => out.push('.'),
            '…' => out.push_str("..."),
            '×' => out.push('x'),
            'µ' => out.push('u'),
            '\u{202f}' => out.push(' '),
            c if is_unsafe(c) => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// Writes a text to standard output. A closed pipe is no error: whoever reads has read enough. What standard output cannot take
/// goes to standard error, so that a verdict is not lost to a full disk.
///
/// # Errors
/// Whatever else the system says, a full disk for one.
pub fn print(text: &str) -> io::Result<()> {
    put(&painted(text))
}

/// Writes JSON, of one line or of several, to standard output: see [`print()`].
///
/// # Errors
/// As for [`print()`].
pub fn print_json(json: &str) -> io::Result<()> {
    put(&escaped(json))
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            drop(out);
            put_aside(text);
            Err(error)
        }
        _ => Ok(()),
    }
}

/// Writes data to standard output byte for byte, as a program that reads it wants it; a terminal gets it as text.
///
/// # Errors
/// Of `write`, or what the system says; a closed pipe is none.
pub fn print_data(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let out = io::stdout().lock();
    let written = if out.is_terminal() {
        drop(out);
        let mut bytes = Vec::new();
        write(&mut bytes).and_then(|()| print(&String::from_utf8_lossy(&bytes)))
    } else {
        let mut out = io::BufWriter::new(out);
        write(&mut out).and_then(|()| out.flush())
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes a text to standard error. If even that fails there is nobody left to tell.
pub fn complain(text: &str) {
    put_aside(&painted(text));
}

fn put_aside(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_have_fallbacks() {
        let plain = Console::plain();
        assert_eq!(plain.fit("✗ r→66 ┄┄ 1\u{202f}000 µs"), "X r->66 -- 1 000 us");
        assert_eq!(plain.fit("a\nb\x1b[2Jc"), "a\nb?[2Jc");
        assert_eq!(plain.ink(Ink::Red, "x"), "x");
        let coloured = Console { color: true, unicode: true, terminal: true, width: WIDTH };
        assert_eq!(painted(&coloured.ink(Ink::Red, "x")), "\x1b[1;31mx\x1b[0m");
    }

    #[test]
    fn nothing_but_our_colours_gets_out() {
        let coloured = Console { color: true, unicode: true, terminal: true, width: WIDTH };
        let hostile = "a\x1b[2J\x1b[1;31m\x07\u{9b}31m\u{202e}b\u{fdd0}1\u{fdd1}\r\0\u{feff}";
        let shown = painted(&coloured.ink(Ink::Red, coloured.fit(hostile)));
        assert_eq!(shown, "\x1b[1;31ma?[2J?[1;31m??31m?b?1????\x1b[0m");
        assert_eq!(painted("a\u{fdd0}2Jb"), "a?2Jb", "no colour of ours");
        let json = serde_json::json!({ "f": hostile }).to_string();
        let told = escaped(&json);
        assert!(!told.chars().any(is_unsafe), "{told}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&told).unwrap()["f"], hostile);
    }
}
