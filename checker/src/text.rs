//! Numbers, times and sentences as text.

/// The text with a capital letter at its beginning.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// A count with its thousands apart: `12 345`. The space is U+202F where `unicode`, else a plain one.
pub fn count(n: u64, unicode: bool) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(if unicode { '\u{202f}' } else { ' ' });
        }
        out.push(digit);
    }
    out
}

/// `one key`, `3 keys`: a count and its noun, with a plural by `s`.
pub fn many(n: usize, noun: &str) -> String {
    let number = count(n as u64, false);
    if n == 1 { format!("{number} {noun}") } else { format!("{number} {noun}s") }
}

/// Seconds with three decimals: `3.631`. Negative before the start of the run.
pub fn seconds(ns: i64) -> String {
    seconds_to(ns, 3)
}

/// Seconds with so many decimals, from 1 to 9: `3.6307`.
pub fn seconds_to(ns: i64, decimals: usize) -> String {
    let decimals = decimals.clamp(1, 9);
    let unit = 10_i64.pow(9 - decimals as u32);
    let rounded = ns.saturating_add(ns.signum() * (unit / 2)) / unit;
    let per_second = 10_u64.pow(decimals as u32);
    let sign = if rounded < 0 { "-" } else { "" };
    let (whole, part) = (rounded.unsigned_abs() / per_second, rounded.unsigned_abs() % per_second);
    format!("{sign}{whole}.{part:0decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(1_234_567, false), "1 234 567");
        assert_eq!(count(999, false), "999");
        assert_eq!(many(1, "key"), "1 key");
        assert_eq!(seconds(3_630_600_000), "3.631");
        assert_eq!(seconds(-4_100_000_000), "-4.100");
        assert_eq!(seconds(-400_000), "0.000");
        assert_eq!(seconds_to(3_630_600_000, 6), "3.630600");
        assert_eq!(seconds_to(0, 1), "0.0");
    }
}
