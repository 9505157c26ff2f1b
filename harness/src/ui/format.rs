//! Numbers, times, sizes and command lines as text for people.

pub use checker::text::{count, many, seconds};

use crate::ui::console::is_unsafe;
use std::path::Path;
use std::time::Duration;

/// A duration in two or three figures: `384 ms`, `4.1 s`, `2.5 min`.
pub fn duration(d: Duration) -> String {
    let us = d.as_micros();
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..10_000 => format!("{:.1} ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{} ms", (us + 500) / 1_000),
        1_000_000..120_000_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => format!("{:.1} min", us as f64 / 6e7),
    }
}

/// A size: `812 B`, `1.7 GiB`.
pub fn bytes(n: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut x = n as f64 / 1024.0;
    let mut unit = 0;
    while x >= 1024.0 && unit + 1 < units.len() {
        x /= 1024.0;
        unit += 1;
    }
    if x < 10.0 { format!("{x:.1} {}", units[unit]) } else { format!("{x:.0} {}", units[unit]) }
}

/// A size as people write it on a command line: `64MB`, `1.5GiB`, `4096B`. Decimal and binary units, in any case.
///
/// # Errors
/// A sentence that shows what is accepted.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let bad = || format!("`{text}` is not a size; write it like 64MB, 1.5GiB or 4096B");
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" => return Err(format!("{text} of what? Write {text}MB, {text}GiB or {text}B")),
        "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(bad()),
    };
    let bytes = number * factor as f64;
    if bytes < 1.0 || bytes > 2f64.powi(62) { Err(bad()) } else { Ok(bytes as u64) }
}

/// A name from outside (of a file, a function, a node) in one line: what is no text, ends of lines too, stands there in Rust's notation.
pub fn name(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' || is_unsafe(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// The name of a file: see [`name`].
pub fn path(path: &Path) -> String {
    name(&path.display().to_string())
}

/// A message that names a file, in one line whatever the file is called.
pub fn of_file(file: &Path, message: &str) -> String {
    message.replace(&file.display().to_string(), &path(file))
}

/// A command line, each word quoted for a POSIX shell where it needs it.
pub fn shell(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    quoted.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=@%+".contains(c);
    if word.chars().any(|c| c == '\n' || is_unsafe(c)) {
        // Bash's and zsh's notation: in single quotes there is none for what a terminal would obey.
        let bytes = word.bytes().map(|byte| match byte {
            b'\'' | b'\\' => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        });
        return format!("$'{}'", bytes.collect::<String>());
    }
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(duration(Duration::from_millis(384)), "384 ms");
        assert_eq!(duration(Duration::from_millis(61_400)), "61.4 s");
        assert_eq!(bytes(1_825_361_100), "1.7 GiB");
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_bytes("64MB"), Ok(64_000_000));
        assert_eq!(parse_bytes("1.5 GiB"), Ok(1_610_612_736));
        assert_eq!(parse_bytes("4096B"), Ok(4096));
        assert!(parse_bytes("64").unwrap_err().contains("64MB"));
        for bad in ["", "MB", "12XB", "-3MB", "0", "1e9999", "999999999TiB"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn command_lines_survive_a_shell() {
        let words = ["rashomon", "check", "a b.edn", "it's", "", "--seed=0x5a3"].map(String::from);
        assert_eq!(shell(&words), r"rashomon check 'a b.edn' 'it'\''s' '' --seed=0x5a3");
        assert_eq!(shell(&["a\nb\u{1b}'\u{202e}".into()]), r"$'a\x0ab\x1b\'\xe2\x80\xae'");
        assert_eq!(name("a\nb\u{1b}[2J é"), r"a\nb\u{1b}[2J é");
    }
}
