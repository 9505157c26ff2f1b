//! Small pieces of text that several sections share.

use crate::ui::format;
use std::fmt;

/// A count with its thousands apart.
pub(super) fn count(n: usize) -> String {
    format::count(n as u64, true)
}

/// `1 key`, `3 keys`.
pub(super) fn many(n: usize, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(n))
}

/// Small numbers as words, for the start of a sentence: `Four`.
pub(super) fn spelled(n: usize) -> String {
    const WORDS: [&str; 11] = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];
    WORDS.get(n).map_or_else(|| count(n), |word| (*word).to_string())
}

/// `n1, n2 and n3`.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        [one] => one.as_ref().into(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

/// The first characters of a long value, an ellipsis, and its last ones. Short values stay whole.
pub(super) fn shorten(value: &str) -> String {
    const WHOLE: usize = 12;
    const END: usize = 5;
    let length = value.chars().count();
    if length <= WHOLE {
        return value.into();
    }
    let head: String = value.chars().take(END).collect();
    let tail: String = value.chars().skip(length - END).collect();
    format!("{head}…{tail}")
}

/// A latency in milliseconds, in about three figures and without a unit: `0.42`, `17.3`, `812`.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 1.0 => format!("{ms:.2}"),
        ms if ms < 100.0 => format!("{ms:.1}"),
        ms => count(ms.round() as usize),
    }
}

/// A share of a whole in percent with one decimal; `0 %` of nothing.
pub(super) fn percent(part: usize, whole: usize) -> String {
    if whole == 0 || part == 0 { "0 %".into() } else { format!("{:.1} %", 100.0 * part as f64 / whole as f64) }
}

/// The first letter in upper case.
pub(super) fn capital(sentence: &str) -> String {
    let mut chars = sentence.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A length or coordinate of a drawing: at most one decimal, and never anything but a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = if self.0.is_finite() { (self.0 * 10.0).round() as i64 } else { 0 };
        let (whole, tenth) = (tenths / 10, (tenths % 10).abs());
        let sign = if tenths < 0 && whole == 0 { "-" } else { "" };
        write!(f, "{sign}{whole}")?;
        if tenth != 0 { write!(f, ".{tenth}") } else { Ok(()) }
    }
}

/// A share of a width, for drawings that stretch: `12.34%`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Percent(pub(super) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = if self.0.is_finite() { (self.0 * 10_000.0).round().max(0.0) as u64 } else { 0 };
        match (hundredths / 100, hundredths % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_lists() {
        assert_eq!(spelled(4), "Four");
        assert_eq!(spelled(11), "11");
        assert_eq!(list(&["n1"]), "n1");
        assert_eq!(list(&["n1", "n2", "n3"]), "n1, n2 and n3");
        assert_eq!(many(1, "key"), "1 key");
        assert_eq!(many(1356, "operation"), "1\u{202f}356 operations");
        assert_eq!(capital("über alles"), "Über alles");
        assert_eq!(percent(0, 0), "0 %");
        assert_eq!(percent(1, 3), "33.3 %");
    }

    #[test]
    fn long_values_keep_both_ends() {
        assert_eq!(shorten("123456789012"), "123456789012");
        assert_eq!(shorten("ä23456789012ö"), "ä2345…9012ö");
        assert_eq!(shorten(&"x".repeat(1000)).chars().count(), 11);
    }

    #[test]
    fn coordinates_are_always_numbers() {
        let shown: Vec<String> = [1.0, 1.25, -0.04, -0.3, 12.96, f64::NAN, f64::INFINITY].iter().map(|&x| Px(x).to_string()).collect();
        assert_eq!(shown, ["1", "1.3", "0", "-0.3", "13", "0", "0"]);
        let shown: Vec<String> = [0.0, 0.5, 0.1234, 1.0, f64::NAN].iter().map(|&x| Percent(x).to_string()).collect();
        assert_eq!(shown, ["0%", "50%", "12.34%", "100%", "0%"]);
    }
}
