//! `rashomon explain`: what a word of this program means.

use super::{Failure, Global, Outcome};
use crate::render::terminal::wrap;
use crate::tables;
use crate::ui::console::{self, Console, Ink};
use crate::ui::exit;
use checker::Consistency;
use clap::Args;
use histories::lint::Rule;
use histories::names;
use nemesis::spec::CLASSES;
use std::fmt::Write;

const EXAMPLES: &str = "\
Examples:
  rashomon explain                       all words that can be explained
  rashomon explain causal
  rashomon explain partition
  rashomon explain read-of-failed-write
  rashomon explain testing               a page of the documentation
";

/// The pages of the documentation.
const PAGES: [(&str, &str); 10] = [
    ("testing", include_str!("../../doc/testing.md")),
    ("ci", include_str!("../../doc/ci.md")),
    ("histories", include_str!("../../doc/histories.md")),
    ("consistency", include_str!("../../doc/consistency.md")),
    ("models", include_str!("../../doc/models.md")),
    ("verdicts", include_str!("../../doc/verdicts.md")),
    ("demo-schemes", include_str!("../../doc/demo.md")),
    ("performance", include_str!("../../doc/performance.md")),
    ("architecture", include_str!("../../doc/architecture.md")),
    ("contributing", include_str!("../../doc/contributing.md")),
];

/// Say what a model, a consistency model, a fault, a system, a workload or a finding of `lint` is; or show a page of the documentation.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = super::TEMPLATE)]
pub(super) struct ExplainArgs {
    /// The word; without it all words are listed
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// A word, what kind of thing it names, and what that is.
struct Topic {
    kind: &'static str,
    name: &'static str,
    text: String,
}

pub(super) fn run(args: &ExplainArgs, global: Global) -> Outcome {
    let topics = topics();
    let out = global.stdout();
    let text = match &args.name {
        None => list(&topics, out),
        Some(name) => {
            let found: Vec<&Topic> = topics.iter().filter(|topic| topic.name == name).collect();
            if found.is_empty() {
                let known = topics.iter().map(|topic| topic.name);
                return Err(Failure::usage(names::unknown("word", name, known)));
            }
            found.iter().map(|topic| show(topic, out)).collect::<Vec<_>>().join("\n")
        }
    };
    console::print(&text)?;
    Ok(exit::VALID)
}

/// Everything that can be explained, from the tables that it stands in.
fn topics() -> Vec<Topic> {
    let mut all = Vec::new();
    let mut add = |kind, name, text| all.push(Topic { kind, name, text });
    for consistency in Consistency::named() {
        add("consistency model", consistency.name(), about_level(consistency));
    }
    for (name, ops) in tables::models() {
        add("model", name, about_model(name, ops));
    }
    for class in CLASSES {
        add("fault", class.name, format!("It {}.\n\nAs in: --nemesis {}", class.help, class.name));
    }
    let tables = tables::get();
    for system in tables.systems {
        let promises = system.promises().iter().map(|promise| {
            format!(
                "\n\n{}: promises {} (\u{201c}{}\u{201d}, {})",
                promise.workload,
                promise.consistency.name(),
                promise.words,
                promise.source
            )
        });
        add("system", system.name(), format!("{}.{}", system.about(), promises.collect::<String>()));
    }
    for workload in tables.workloads {
        add("workload", workload.name(), format!("{}. It asks for {}.", workload.about(), workload.needs().join(", ")));
    }
    for &rule in Rule::ALL {
        let (severity, causes) = (rule.severity().name(), rule.causes().join("\n- "));
        add("finding of lint", rule.id(), format!("A {severity}. It usually comes from:\n\n- {causes}\n\n{}", rule.advice()));
    }
    for (name, page) in PAGES {
        add("page", name, page.to_owned());
    }
    all
}

/// What a consistency model asks, and where it stands among the others.
fn about_level(level: Consistency) -> String {
    let stronger = |other: &Consistency| *other != level && other.implies(level);
    let weaker = |other: &Consistency| *other != level && level.implies(*other);
    let list = |models: Vec<Consistency>| models.into_iter().map(Consistency::name).collect::<Vec<_>>().join(", ");
    let (above, below) =
        (Consistency::named().filter(stronger).collect::<Vec<_>>(), Consistency::named().filter(weaker).collect::<Vec<_>>());
    let mut text = level.definition().to_owned();
    if !above.is_empty() {
        let _ = write!(text, "\n\nIt follows from {}.", list(above));
    }
    if !below.is_empty() {
        let _ = write!(text, "\n\nFrom it follow {}.", list(below));
    }
    let _ = write!(text, "\n\nAs in: rashomon check FILE --consistency {}", level.name());
    text
}

/// The ops of a model, and the notes of its row on the page of models.
fn about_model(name: &str, ops: &str) -> String {
    let page = PAGES.iter().find(|(page, _)| *page == "models").map_or("", |(_, text)| text);
    let quoted = format!("`{name}`");
    let row =
        page.lines().filter(|line| line.starts_with("| `")).find(|line| line.split('|').nth(1).is_some_and(|cell| cell.contains(&quoted)));
    let notes = row.and_then(|row| row.split('|').nth(3)).map(str::trim).unwrap_or_default();
    let gap = if notes.is_empty() { "" } else { "\n\n" };
    format!("Operations: {ops}.{gap}{notes}\n\nAs in: rashomon check FILE --model {name}")
}

fn list(topics: &[Topic], out: Console) -> String {
    let mut text = String::new();
    let mut kinds: Vec<&str> = topics.iter().map(|topic| topic.kind).collect();
    kinds.dedup();
    for kind in kinds {
        let _ = writeln!(text, "{}", out.ink(Ink::Bold, format!("{kind}s")));
        let names: Vec<&str> = topics.iter().filter(|topic| topic.kind == kind).map(|topic| topic.name).collect();
        for line in wrap(&names.join(", "), out.width.saturating_sub(2)) {
            let _ = writeln!(text, "  {line}");
        }
    }
    text.replace("finding of lints", "findings of lint")
}

fn show(topic: &Topic, out: Console) -> String {
    if topic.kind == "page" {
        return format!("{}\n", out.fit(topic.text.trim_end()));
    }
    let mut text = format!("{}, a {}\n\n", out.ink(Ink::Bold, topic.name), topic.kind);
    for line in topic.text.lines() {
        let (indent, rest) = if line.starts_with("- ") { ("    ", line) } else { ("  ", line) };
        if rest.is_empty() {
            text.push('\n');
        }
        for line in wrap(&out.fit(rest), out.width.saturating_sub(4)) {
            let _ = writeln!(text, "{indent}{line}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_explained_and_only_once_of_each_kind() {
        let topics = topics();
        for topic in &topics {
            assert!(topic.text.trim().len() > 20, "{} {}: {}", topic.kind, topic.name, topic.text);
            let twins = topics.iter().filter(|other| other.name == topic.name && other.kind == topic.kind).count();
            assert_eq!(twins, 1, "{} {}", topic.kind, topic.name);
        }
        let text = show(topics.iter().find(|topic| topic.name == "causal").unwrap(), Console::plain());
        assert!(text.contains("It follows from linearizable") && text.contains("--consistency causal"), "{text}");
        let list = list(&topics, Console::plain());
        assert!(list.contains("consistency models\n  linearizable") && list.contains("two-ops-at-once"), "{list}");
    }

    #[test]
    fn every_model_has_a_row_on_its_page() {
        let page = PAGES.iter().find(|(page, _)| *page == "models").unwrap().1;
        for (name, _) in checker::MODELS {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
