//! A schedule of faults that a file says:
//!
//! ```toml
//! [[schedule]]
//! at = "10s"                  # since the first client may ask
//! fault = "partition:halves"  # as in --nemesis
//! for = "5s"                  # without it: to the end of the run
//! ```

use super::{Failure, options};
use crate::ui::format;
use nemesis::schedule::Step;
use nemesis::spec::{Asked, Times};
use nemesis::{Cluster, Fault, spec};
use serde::Deserialize;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use toml::Spanned;

/// A file that was read. What it asks for is looked at when the nodes are known.
#[derive(Debug)]
pub(super) struct Script {
    name: String,
    text: String,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    schedule: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    at: Spanned<String>,
    fault: Spanned<String>,
    #[serde(rename = "for")]
    lasts: Option<Spanned<String>>,
}

/// Faults, and when each starts and ends.
pub(super) type Planned = (Vec<Box<dyn Fault>>, Vec<Step>);

/// Why a system cannot be hurt by a class of faults, by its name, if it cannot.
type Lacks<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Script {
    /// Reads a file.
    pub(super) fn read(path: &Path) -> Result<Script, Failure> {
        let name = format::path(path);
        let text = std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("cannot read the schedule {name}: {error}")))?;
        Script::parse(&name, text).map_err(Failure::Usage)
    }

    fn parse(name: &str, text: String) -> Result<Script, String> {
        let File { schedule: rows } = toml::from_str(&text).map_err(|error| {
            let place = place(name, &text, &error.span().unwrap_or(0..0));
            format!("{place}: {}", error.message())
        })?;
        if rows.is_empty() {
            return Err(format!(
                "{name}: it has no [[schedule]]; write for each fault [[schedule]] at = \"10s\" fault = \"kill:one\" for = \"5s\""
            ));
        }
        Ok(Script { name: name.into(), text, rows })
    }

    /// What the file says, to the letter.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// In words for the report.
    pub(super) fn describe(&self) -> String {
        let of = |row: &Row| {
            let lasts = row.lasts.as_ref().map_or("to the end".into(), |lasts| format!("for {}", lasts.get_ref()));
            format!("{} at {} {lasts}", row.fault.get_ref(), row.at.get_ref())
        };
        self.rows.iter().map(of).collect::<Vec<_>>().join("; ")
    }

    /// The faults and their steps, in a run of this length. An error names the line and the column.
    pub(super) fn faults(&self, cluster: &Cluster, run: Duration, lacks: Lacks<'_>) -> Result<Planned, String> {
        let mut faults: Vec<Box<dyn Fault>> = Vec::new();
        let mut steps: Vec<Step> = Vec::new();
        let mut texts: Vec<&str> = Vec::new();
        for row in &self.rows {
            let (at, until) = self.times(row, run)?;
            let text = row.fault.get_ref().as_str();
            let fault = self.fault(row, cluster, lacks)?;
            let among = texts.iter().position(|known| *known == text);
            let index = among.unwrap_or_else(|| {
                texts.push(text);
                faults.push(fault);
                faults.len() - 1
            });
            let step = Step { fault: index, at, until };
            if steps.iter().any(|other| faults[other.fault].name() == faults[index].name() && overlap(other, &step)) {
                let class = faults[index].name();
                return Err(self.wrong(&row.at, &format!("another {class} is active then: there is one of a class at a time")));
            }
            steps.push(step);
        }
        Ok((faults, steps))
    }

    fn times(&self, row: &Row, run: Duration) -> Result<(Duration, Option<Duration>), String> {
        let read = |text: &Spanned<String>| {
            let wrong = |error| self.wrong(text, &format!("`{}` is no time: {error}; write it like 10s, 400ms or 1m30s", text.get_ref()));
            humantime::parse_duration(text.get_ref()).map_err(wrong)
        };
        let length = humantime::format_duration(run);
        let at = read(&row.at)?;
        if at >= run {
            return Err(self.wrong(&row.at, &format!("the run is over by then: it lasts {length} (--time-limit)")));
        }
        let Some(lasts) = &row.lasts else { return Ok((at, None)) };
        let until = at.saturating_add(read(lasts)?);
        if until == at {
            return Err(self.wrong(lasts, "a fault must last longer than nothing"));
        }
        if until > run {
            return Err(self
                .wrong(lasts, &format!("the run is over by then: it lasts {length} (--time-limit); without `for` it ends with the run")));
        }
        Ok((at, Some(until)))
    }

    /// The one fault of a row.
    fn fault(&self, row: &Row, cluster: &Cluster, lacks: Lacks<'_>) -> Result<Box<dyn Fault>, String> {
        let text = row.fault.get_ref();
        if text.trim() == "all" {
            return Err(self.wrong(&row.fault, "`all` is many faults: write a [[schedule]] for each"));
        }
        let mut faults = spec::parse_for(text, cluster, lacks)
            .map_err(|error| self.wrong(&row.fault, &format!("{}: {}", error.item, options::refused_fault(&error))))?;
        match (faults.pop(), faults.is_empty()) {
            (Some(Asked { times, .. }), true) if times != Times::default() => {
                Err(self.wrong(&row.fault, "a [[schedule]] says when by `at` and `for` of its own, not behind the fault"))
            }
            (Some(Asked { fault, .. }), true) => Ok(fault),
            _ => Err(self.wrong(&row.fault, &format!("`{text}` is not one class of faults: write a [[schedule]] for each"))),
        }
    }

    fn wrong(&self, at: &Spanned<String>, why: &str) -> String {
        format!("{}: {why}", place(&self.name, &self.text, &at.span()))
    }
}

/// Whether two steps have some time in common. One that begins when the other ends does not count.
fn overlap(a: &Step, b: &Step) -> bool {
    let ends_before = |a: &Step, b: &Step| a.until.is_some_and(|until| until <= b.at);
    !ends_before(a, b) && !ends_before(b, a)
}

/// `file:line:column`, counted from 1.
fn place(name: &str, text: &str, span: &Range<usize>) -> String {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("{name}:{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nemesis::Node;

    const RUN: Duration = Duration::from_secs(30);

    fn steps(text: &str) -> Result<(Vec<&'static str>, Vec<Step>), String> {
        let node = |index| Node { index, name: format!("n{}", index + 1), address: String::new() };
        let cluster = Cluster { nodes: (0..3).map(node).collect() };
        let lacks = |class: &str| (class == "crash").then(|| "there are no hosts".to_owned());
        let (faults, steps) = Script::parse("f.toml", text.into())?.faults(&cluster, RUN, &lacks)?;
        Ok((faults.iter().map(|fault| fault.name()).collect(), steps))
    }

    fn row(at: &str, fault: &str, lasts: &str) -> String {
        let lasts = if lasts.is_empty() { String::new() } else { format!("for = \"{lasts}\"\n") };
        format!("[[schedule]]\nat = \"{at}\"\nfault = \"{fault}\"\n{lasts}\n")
    }

    #[test]
    fn a_script_is_read() {
        let text = row("10s", "partition:halves", "5s")
            + &row("0s", "kill:n2", "2s")
            + &row("15s", "partition:one", "")
            + &row("3s", "kill:n2", "400ms");
        let (names, steps) = steps(&text).unwrap();
        assert_eq!(names, ["partition", "kill", "partition"]);
        let ms = Duration::from_millis;
        let expected = [(0, 10_000, Some(15_000)), (1, 0, Some(2000)), (2, 15_000, None), (1, 3000, Some(3400))];
        assert_eq!(steps, expected.map(|(fault, at, until)| Step { fault, at: ms(at), until: until.map(ms) }));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        let second = row("1s", "kill:one", "2s");
        for (text, words) in [
            (String::new(), "f.toml: it has no [[schedule]]"),
            ("[[schedule]]\nat = 5\n".into(), "f.toml:2:6: invalid type: integer"),
            ("[[schedule]]\nat = \"5s\"\n".into(), "missing field `fault`"),
            ("[[schedule]]\nat = \"5s\"\nfault = \"kill\"\nduring = \"2s\"\n".into(), "f.toml:4:1: unknown field `during`"),
            ("seed = 3\n".into(), "f.toml:1:1: unknown field `seed`"),
            ("[[schedule]\n".into(), "f.toml:1:"),
            (row("soon", "kill", ""), "f.toml:2:6: `soon` is no time"),
            (row("30s", "kill", ""), "f.toml:2:6: the run is over by then: it lasts 30s"),
            (row("29s", "kill", "2s"), "f.toml:4:7: the run is over by then"),
            (row("2s", "kill", "0s"), "f.toml:4:7: a fault must last longer than nothing"),
            (row("2s", "kill:n9", ""), "f.toml:3:9: kill:n9: `n9` is no target"),
            (row("2s", "all", ""), "f.toml:3:9: `all` is many faults"),
            (row("2s", "none", ""), "f.toml:3:9: `none` is not one class"),
            (row("2s", "kill,pause", ""), "is not one class of faults"),
            (row("2s", "crash", ""), "f.toml:3:9: crash: there are no hosts"),
            (second.clone() + &row("2s", "kill:all", "1s"), "f.toml:7:6: another kill is active then"),
            (row("1s", "kill:one", "") + &row("20s", "kill:all", "1s"), "another kill is active then"),
        ] {
            let error = steps(&text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
