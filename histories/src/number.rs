//! What the text of a number denotes, in one form for equal numbers: `0x1`, `+1`, `1N` and `2/2` are 1, `1.50M` is `1.5M`.
//!
//! Equality is Clojure's `=`: integers of every size and notation are of one kind, ratios, decimals (`M`) and doubles of three
//! others, and numbers of two kinds are never equal.

/// What a token that begins with a digit, or with a sign and a digit, denotes.
#[derive(Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
    /// A number that neither holds, in the one notation of all that are equal to it. Two exceptions, told apart by their notation: ratios, and
    /// integers to another base than ten, that do not fit 128 bits.
    Other(String),
}

/// Decimals of up to so many digits are written without an exponent.
const PLAIN_DIGITS_MAX: i64 = 40;

impl Number {
    /// What a token of EDN, with Clojure's extensions, denotes; `None` if it is no number.
    pub(crate) fn of(token: &str) -> Option<Number> {
        let digits = token.strip_prefix(['-', '+']).unwrap_or(token);
        let negative = token.starts_with('-');
        let integer = digits.strip_suffix('N').unwrap_or(digits);
        if all_digits(integer) {
            let is_octal = integer.len() > 1 && integer.starts_with('0');
            return if is_octal { to_base(negative, integer, 8) } else { Some(whole(negative, integer)) };
        }
        if let Some(hexadecimal) = integer.strip_prefix("0x").or_else(|| integer.strip_prefix("0X")) {
            return to_base(negative, hexadecimal, 16);
        }
        if let Some((base, digits)) = digits.split_once(['r', 'R']) {
            return to_base(negative, digits, base.parse().ok().filter(|base| (2..=36).contains(base))?);
        }
        if let Some((numerator, denominator)) = digits.split_once('/') {
            return ratio(negative, numerator, denominator);
        }
        let text = digits.strip_suffix('M').unwrap_or(digits);
        let decimal = Decimal::of(negative, text)?;
        if text == digits { token.parse().ok().map(Number::Float) } else { Some(Number::Other(decimal.to_string())) }
    }
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn signed(negative: bool, digits: &str) -> String {
    format!("{}{digits}", if negative { "-" } else { "" })
}

/// Whether the text of a number is that of an integer as JSON writes it.
pub(crate) fn is_whole(text: &str) -> bool {
    all_digits(text.strip_prefix('-').unwrap_or(text))
}

/// A decimal integer of any length.
fn whole(negative: bool, digits: &str) -> Number {
    let digits = digits.trim_start_matches('0');
    let text = signed(negative, if digits.is_empty() { "0" } else { digits });
    text.parse().map_or(Number::Other(text), Number::Int)
}

/// An integer to another base.
fn to_base(negative: bool, digits: &str, base: u32) -> Option<Number> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return None;
    }
    let digits = digits.trim_start_matches('0').to_ascii_lowercase();
    let digits = if digits.is_empty() { "0" } else { &digits };
    Some(match u128::from_str_radix(digits, base) {
        Ok(value) => whole(negative, &value.to_string()),
        Err(_) => Number::Other(signed(negative, &format!("{base}r{digits}"))),
    })
}

/// A ratio in its lowest terms, which may be an integer.
fn ratio(negative: bool, numerator: &str, denominator: &str) -> Option<Number> {
    if !all_digits(numerator) || !all_digits(denominator) || denominator.bytes().all(|byte| byte == b'0') {
        return None;
    }
    let (Ok(above), Ok(below)) = (numerator.parse::<u128>(), denominator.parse::<u128>()) else {
        let trimmed = |digits: &str| digits.trim_start_matches('0').to_owned();
        return Some(Number::Other(signed(negative, &format!("{}/{}", trimmed(numerator), trimmed(denominator)))));
    };
    let (mut common, mut rest) = (above, below);
    while rest != 0 {
        (common, rest) = (rest, common % rest);
    }
    let above = (above / common).to_string();
    Some(match below / common {
        1 => whole(negative, &above),
        below => Number::Other(signed(negative, &format!("{above}/{below}"))),
    })
}

/// A decimal number: the digits, without zeros at either end, times a power of ten.
#[derive(Debug, PartialEq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Digits, with a point and an exponent or without.
    fn of(negative: bool, text: &str) -> Option<Decimal> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (before, after) = digits.split_once('.').unwrap_or((digits, ""));
        if !all_digits(before) || !(after.is_empty() || all_digits(after)) {
            return None;
        }
        let all = format!("{before}{after}");
        let digits = all.trim_end_matches('0');
        let dropped = (all.len() - digits.len()) as i64;
        let digits = digits.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits, exponent: 0 });
        }
        let exponent = exponent.checked_add(dropped - after.len() as i64)?;
        Some(Decimal { negative, digits, exponent })
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Decimal { negative, digits, exponent } = self;
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let length = digits.len() as i64;
        let text = if digits.is_empty() {
            "0".into()
        } else if *exponent >= 0 && length.saturating_add(*exponent) <= PLAIN_DIGITS_MAX {
            format!("{digits}{}", zeros(*exponent))
        } else if *exponent < 0 && *exponent >= -PLAIN_DIGITS_MAX {
            let padded = format!("{}{digits}", zeros(1 - exponent - length));
            let point = padded.len() - exponent.unsigned_abs() as usize;
            format!("{}.{}", &padded[..point], &padded[point..])
        } else {
            format!("{digits}E{exponent}")
        };
        f.write_str(&signed(*negative, &text))?;
        f.write_str("M")
    }
}

/// The integer that a token of JSON denotes, however it is written: to JSON, which has one kind of number, `1`, `1.0` and `1e0`
/// are one. `None` for what is none, and for what has more than [`PLAIN_DIGITS_MAX`] digits.
pub(crate) fn json_integer(token: &str) -> Option<Number> {
    let decimal = Decimal::of(token.starts_with('-'), token.strip_prefix('-').unwrap_or(token))?;
    let length = (decimal.digits.len() as i64).saturating_add(decimal.exponent);
    let is_plain = decimal.exponent >= 0 && length <= PLAIN_DIGITS_MAX;
    is_plain.then(|| whole(decimal.negative, decimal.to_string().trim_start_matches('-').trim_end_matches('M')))
}

/// A double as plain JSON writes it, so that it is read as the same number: without a fraction where it has none.
pub(crate) fn json_float(x: f64) -> String {
    const PLAIN_MAX: f64 = 1e40;
    if x == 0.0 {
        "0".into()
    } else if x.fract() == 0.0 && x.abs() < PLAIN_MAX {
        format!("{x}")
    } else {
        format!("{x:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_numbers_have_one_notation() {
        let other = |text: &str| Number::Other(text.into());
        for (texts, number) in [
            (&["1", "+1", "1N", "0x1", "0X01", "01", "2r1", "36R01", "2/2", "0x1N"][..], Number::Int(1)),
            (&["0", "-0", "00", "0N", "-0x0", "0/7"], Number::Int(0)),
            (&["-255", "-0xfF", "-0377N", "-16rFF", "-510/2"], Number::Int(-255)),
            (&["9223372036854775808", "9223372036854775808N", "0x8000000000000000"], other("9223372036854775808")),
            (&["-9223372036854775808", "-0x8000000000000000"], Number::Int(i64::MIN)),
            (&["1/3", "2/6", "01/03", "+1/3"], other("1/3")),
            (&["1.5M", "1.50M", "15e-1M", "0.15E+1M", "001.5M"], other("1.5M")),
            (&["100M", "1e2M", "100.00M"], other("100M")),
            (&["0M", "-0.00M", "0e9M"], other("0M")),
            (&["-0.0955M", "-955e-4M"], other("-0.0955M")),
            (&["1e99M", "10e98M"], other("1E99M")),
            (&["1.5", "15e-1", "+1.5"], Number::Float(1.5)),
        ] {
            for text in texts {
                let of = Number::of(text).unwrap();
                assert_eq!(of, number, "{text}");
                if let Number::Other(text) = of {
                    assert_eq!(Number::of(&text), Some(other(&text)), "{text}");
                }
            }
        }
        for text in ["1x", "08", "1/0", "0xg", "1r0", "37r1", "1..2", "1e", "1e5e5", "r1", "1M5"] {
            assert_eq!(Number::of(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_of_two_kinds_differ() {
        let kinds = ["1", "1.0", "1M"].map(|text| Number::of(text).unwrap());
        assert_eq!(kinds, [Number::Int(1), Number::Float(1.0), Number::Other("1M".into())]);
    }

    #[test]
    fn json_has_one_kind() {
        for text in ["1200", "1200.0", "1.2e3", "12E+2", "120000e-2"] {
            assert_eq!(json_integer(text), Some(Number::Int(1200)), "{text}");
        }
        assert_eq!(json_integer("9007199254740993.0"), Some(Number::Int(9_007_199_254_740_993)));
        assert_eq!(json_integer("-1e20"), Some(Number::Other("-100000000000000000000".into())));
        for text in ["1.5", "1e-1", "1e300", "1e9999999999999999999"] {
            assert_eq!(json_integer(text), None, "{text}");
        }
        for (x, text) in [
            (-0.0, "0"),
            (1.0, "1"),
            (-1e20, "-100000000000000000000"),
            (9.5e39, "9500000000000000000000000000000000000000"),
            (1e40, "1e40"),
            (1.5, "1.5"),
            (1e300, "1e300"),
        ] {
            assert_eq!(json_float(x), text);
        }
    }
}
