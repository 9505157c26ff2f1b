//! What the readers of all text formats share: the container of events, escapes of strings, counting of lines.

/// What a reader must know of the text before the piece it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub(crate) container: Container,
    /// Whether our header was seen (JSON).
    pub(crate) ours: bool,
}

/// What holds the events of a file: nothing, or one vector or list that has to be closed. Carried from piece to piece of an
/// input that is read in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Container {
    /// No event yet: the next bracket may open the container.
    #[default]
    Unknown,
    /// Events stand by themselves.
    Bare,
    /// Inside; this byte closes it.
    Open(u8),
    /// After the closing byte: nothing may follow.
    Closed,
}

/// Replaces the escapes of a string literal. `Err` holds the offset and what is wrong.
pub(crate) fn unescape(raw: &str, into: &mut String) -> Result<(), (usize, &'static str)> {
    let mut rest = raw;
    while let Some(i) = memchr::memchr(b'\\', rest.as_bytes()) {
        into.push_str(&rest[..i]);
        let at = raw.len() - rest.len() + i;
        let escape = &rest[i + 1..];
        let (c, length) = match escape.bytes().next() {
            Some(b'n') => ('\n', 1),
            Some(b't') => ('\t', 1),
            Some(b'r') => ('\r', 1),
            Some(b'b') => ('\u{8}', 1),
            Some(b'f') => ('\u{c}', 1),
            Some(c @ (b'"' | b'\\' | b'/' | b'\'')) => (char::from(c), 1),
            Some(b'u') => unicode_escape(escape).ok_or((at, "a \\u escape needs four hexadecimal digits"))?,
            Some(b'0'..=b'7') => {
                let length = escape.bytes().take(3).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let code = u32::from_str_radix(&escape[..length], 8).ok().and_then(char::from_u32);
                (code.ok_or((at, "an octal escape out of range"))?, length)
            }
            _ => return Err((at, "an unknown escape in a string")),
        };
        into.push(c);
        rest = &escape[length..];
    }
    into.push_str(rest);
    Ok(())
}

/// `u` and four hexadecimal digits, twice for a surrogate pair; a lone surrogate becomes the replacement character. Gives the
/// character and the length of the escape.
fn unicode_escape(escape: &str) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        let digits = escape.get(at..at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    };
    let high = unit(1)?;
    if let Some(c) = char::from_u32(high) {
        return Some((c, 5));
    }
    let low = (escape.get(5..7) == Some("\\u")).then(|| unit(7)).flatten();
    match low {
        Some(low) if high < 0xDC00 && (0xDC00..0xE000).contains(&low) => {
            char::from_u32(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)).map(|c| (c, 11))
        }
        _ => Some((char::REPLACEMENT_CHARACTER, 5)),
    }
}

/// The number of line breaks in some text.
pub(crate) fn newlines(bytes: &[u8]) -> u32 {
    memchr::memchr_iter(b'\n', bytes).count() as u32
}

/// The most digits that surely fit 64 bits.
pub(crate) const SMALL_DIGITS_MAX: usize = 18;

/// The digits that a text begins with: their value, unless there are more than [`SMALL_DIGITS_MAX`], and their number.
#[inline]
pub(crate) fn leading_digits(text: &[u8]) -> (i64, usize) {
    let mut value = 0_i64;
    let mut length = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
        length += 1;
    }
    (value, length)
}
