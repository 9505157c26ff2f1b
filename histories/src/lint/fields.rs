//! Fields that were passed over because their name is misspelt.

use super::{Report, Rule};

/// Fields whose loss changes what an event says.
const FIELDS: [&str; 5] = ["type", "process", "value", "time", "error"];

pub(super) fn lint(report: &mut Report<'_>) {
    let found: Vec<String> = (report.history.meta.passed_over.iter())
        .filter_map(|name| FIELDS.iter().find(|field| is_misspelt(name, field)).map(|field| format!("`{name}` (for `{field}`?)")))
        .collect();
    if !found.is_empty() {
        let sentence = format!("A field looks misspelt: {}.", found.join(", "));
        report.add(Rule::MisspeltField, found.len(), sentence, Vec::new());
    }
}

/// Whether `name` is `field` with other capitals, one letter lost, changed or doubled, or two neighbours swapped. A plural is
/// a word of its own.
fn is_misspelt(name: &str, field: &str) -> bool {
    if name.eq_ignore_ascii_case(field) {
        return name != field;
    }
    let (name, field) = (name.as_bytes(), field.as_bytes());
    if name.len() + 1 == field.len() {
        return without_one(field).any(|shorter| shorter == name);
    }
    if name.len() == field.len() + 1 {
        return name.last() != Some(&b's') && without_one(name).any(|shorter| shorter == field);
    }
    if name.len() != field.len() {
        return false;
    }
    let differ: Vec<usize> = (0..name.len()).filter(|&i| name[i] != field[i]).collect();
    match differ[..] {
        [_] => true,
        [i, j] => j == i + 1 && name[i] == field[j] && name[j] == field[i],
        _ => false,
    }
}

fn without_one(word: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..word.len()).map(|i| [&word[..i], &word[i + 1..]].concat())
}

#[cfg(test)]
mod tests {
    use super::is_misspelt;

    #[test]
    fn one_slip_of_the_finger() {
        for name in ["vlue", "valeu", "value2", "Value", "vakue", "vallue"] {
            assert!(is_misspelt(name, "value"), "{name}");
        }
        for name in ["value", "values", "val", "vaule2", "latency", "", "eulav"] {
            assert!(!is_misspelt(name, "value"), "{name}");
        }
    }
}
