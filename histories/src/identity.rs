//! Tagged values whose text has more than one notation: `#inst` and `#uuid`, which every reader of EDN knows.

use jiff::Timestamp;
use std::borrow::Cow;

/// The one text of all that mean the same under a tag. Of other tags, and of text that the tag does not allow, it is as it is.
pub(crate) fn of_tagged<'t>(tag: &str, text: &'t str) -> Cow<'t, str> {
    match tag {
        "inst" => moment(text).map_or(Cow::Borrowed(text), |moment| Cow::Owned(shown(moment))),
        "uuid" => Cow::Owned(text.to_ascii_lowercase()),
        _ => Cow::Borrowed(text),
    }
}

/// The moment that an `#inst` names: a time with an offset, whose parts after the year may be missing from the end
/// (`clojure.instant`).
fn moment(text: &str) -> Option<Timestamp> {
    const LEAST: &str = "0000-01-01T00:00:00";
    if !text.is_ascii() || text.len() < "2020".len() {
        return None;
    }
    let (date, rest) = text.split_once('T').unwrap_or((text, ""));
    let offset_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (time, offset) = rest.split_at(offset_at);
    let local = if rest.is_empty() { date.to_owned() } else { format!("{date}T{time}") };
    let padded = format!("{local}{}", LEAST.get(local.len()..).unwrap_or(""));
    format!("{padded}{}", if offset.is_empty() { "Z" } else { offset }).parse().ok()
}

/// As Clojure prints it: to the millisecond, or as much finer as it is.
fn shown(moment: Timestamp) -> String {
    let digits = if moment.subsec_nanosecond() % 1_000_000 == 0 { 3 } else { 9 };
    format!("{moment:.digits$}").replace('Z', "-00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_has_one_text() {
        let midnight = "2020-01-01T00:00:00.000-00:00";
        for text in [
            "2020",
            "2020-01",
            "2020-01-01",
            "2020-01-01T00",
            "2020-01-01T00:00Z",
            "2020-01-01T00:00:00",
            "2020-01-01T00:00:00.000Z",
            "2019-12-31T19:00:00.0-05:00",
            "2020-01-01T05:30+05:30",
        ] {
            assert_eq!(of_tagged("inst", text), midnight, "{text}");
        }
        assert_eq!(of_tagged("inst", "2020-01-01T00:00:00.000001Z"), "2020-01-01T00:00:00.000001000-00:00");
        for text in ["", "now", "2020-13", "2020-01-01T25", "20200101", "2020-01-01T00:00:00.000001000-00:00"] {
            assert_eq!(of_tagged("inst", text), text);
        }
        assert_eq!((of_tagged("uuid", "AB"), of_tagged("other", "AB")), (Cow::Borrowed("ab"), Cow::Borrowed("AB")));
    }
}
