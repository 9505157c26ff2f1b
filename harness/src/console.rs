//! What the terminal can show: colour, box characters, width. Decided once, from the command line and the environment.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

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
}

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
        Console::new(color, std::io::stdout().is_terminal())
    }

    /// Standard error.
    pub fn stderr(color: Color) -> Console {
        Console::new(color, std::io::stderr().is_terminal())
    }

    /// Plain ASCII without colour: for files.
    pub fn plain() -> Console {
        Console { color: false, unicode: false, terminal: false }
    }

    fn new(color: Color, terminal: bool) -> Console {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && env("NO_COLOR").is_none() && env("TERM").is_none_or(|term| term != "dumb"),
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| env(name)).unwrap_or_default().to_ascii_lowercase();
        Console { color, unicode: locale.contains("utf-8") || locale.contains("utf8"), terminal }
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
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// The text in ASCII if the locale is not UTF-8: every sign that the program itself uses has a fallback, of the same
    /// width where it stands in a grid. Control characters, which histories and logs may hold, never reach the terminal.
    pub fn fit(&self, text: &str) -> String {
        if self.unicode { text.chars().map(|c| if is_unsafe(c) { '?' } else { c }).collect() } else { ascii(text) }
    }
}

/// Control characters could move the cursor or worse; only ends of lines are harmless.
fn is_unsafe(c: char) -> bool {
    c.is_control() && c != '\n'
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

/// Writes a text to standard output. A closed pipe is no error: whoever reads has read enough.
///
/// # Errors
/// Whatever else the system says, a full disk for one.
pub fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes a text to standard error. If even that fails there is nobody left to tell.
pub fn complain(text: &str) {
    let mut err = std::io::stderr().lock();
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
        let coloured = Console { color: true, unicode: true, terminal: true };
        assert_eq!(coloured.ink(Ink::Red, "x"), "\x1b[1;31mx\x1b[0m");
    }
}
