//! Names that people mistype: what to say of one that there is not.

/// More names than this are no suggestion but a list.
const SUGGESTED_MAX: usize = 4;

/// The least letters that may stand for the names they occur in: `queue` for `fifo-queue`.
const PART_MIN: usize = 3;

/// A sentence on a name that there is not: the names that it may stand for, then all that there are.
///
/// `there is no model `registr`; did you mean register? There are register, kv`. `noun` is what is named, in the singular.
pub fn unknown<'a>(noun: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let all = known.join(", ");
    match did_you_mean(name, known) {
        Some(question) => format!("there is no {noun} `{name}`; {question} There are {all}"),
        None => format!("there is no {noun} `{name}`; there are {all}"),
    }
}

/// `did you mean register?`, if there is a name that the mistyped one may stand for.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    match *nearest(name, known) {
        [] => None,
        [one] => Some(format!("did you mean {one}?")),
        [ref others @ .., last] => Some(format!("did you mean {} or {last}?", others.join(", "))),
    }
}

/// The name in back quotes and, if it may stand for others, the question which is meant: `` `bmup` (did you mean bump?)``.
pub fn quoted<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match did_you_mean(name, known) {
        Some(question) => format!("`{name}` ({question})"),
        None => format!("`{name}`"),
    }
}

/// The names that a mistyped one may stand for: those that the fewest slips of the finger lead to, else those that it is a part of.
/// At most four, in the order of `known`.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let typed = plain(name);
    let slips = |known: &str| strsim::damerau_levenshtein(&typed, &plain(known));
    let fewest = known.iter().map(|known| slips(known)).min().filter(|&slips| slips <= slips_max(&typed));
    let mut near: Vec<&str> = known.iter().copied().filter(|known| fewest == Some(slips(known))).collect();
    if near.is_empty() && typed.len() >= PART_MIN {
        near.extend(known.iter().copied().filter(|known| plain(known).contains(&typed)));
    }
    if near.len() > SUGGESTED_MAX { Vec::new() } else { near }
}

/// The name without what is mistyped most easily: capitals, and which sign stands between its words.
fn plain(name: &str) -> String {
    name.to_lowercase().replace(['_', ' '], "-")
}

/// How many letters of a name may be wrong: one in three.
fn slips_max(name: &str) -> usize {
    (name.chars().count() / 3).min(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODELS: [&str; 7] = ["register", "cas-register", "kv", "set", "fifo-queue", "unordered-queue", "priority-queue"];

    #[test]
    fn slips_and_parts_are_recognised() {
        for (name, near) in [
            ("registr", &["register"][..]),
            ("Register", &["register"]),
            ("cas_register", &["cas-register"]),
            ("cas-regsiter", &["cas-register"]),
            ("queue", &["fifo-queue", "unordered-queue", "priority-queue"]),
            ("fifo", &["fifo-queue"]),
            ("KV", &["kv"]),
            ("sets", &["set"]),
            ("get", &["set"]),
            ("x", &[]),
            ("", &[]),
            ("bank-of-england", &[]),
        ] {
            assert_eq!(nearest(name, MODELS), near, "{name}");
        }
    }

    #[test]
    fn every_name_with_one_slip_is_met_with_that_name() {
        for name in MODELS.into_iter().filter(|name| name.len() > 3) {
            for at in 0..name.len() {
                let lost = format!("{}{}", &name[..at], &name[at + 1..]);
                assert!(nearest(&lost, MODELS).contains(&name), "{lost} for {name}");
            }
        }
    }

    #[test]
    fn a_sentence_ends_with_all_names() {
        assert_eq!(unknown("model", "kw", ["kv", "set"]), "there is no model `kw`; there are kv, set");
        assert_eq!(unknown("model", "est", ["kv", "set"]), "there is no model `est`; did you mean set? There are kv, set");
        assert!(
            unknown("model", "queue", MODELS).contains("did you mean fifo-queue, unordered-queue or priority-queue? There are register")
        );
    }
}
