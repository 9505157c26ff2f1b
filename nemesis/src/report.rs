//! What the nemesis did, and what was seen of it.

use crate::{Cluster, NodeError};
use histories::Value;

/// What was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Whether it is as it should be.
    pub(crate) observed: bool,
    /// In words.
    pub(crate) what: String,
}

impl Seen {
    /// It is not as it should be.
    pub(crate) fn no(what: impl Into<String>) -> Seen {
        Seen { observed: false, what: what.into() }
    }
}

/// What was done and what was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The nodes hurt (or healed), by index.
    pub nodes: Vec<usize>,
    /// In words: `n1 n3 | n2 n4 n5`, `n2 hears nobody`, `killed n4`.
    pub what: String,
    /// Whether it was seen, from outside what did it, to have taken effect (or to be gone).
    pub observed: bool,
    /// What was seen, in words; why not, if not.
    pub seen: String,
    /// Further facts for the history: the grudge by node names, ...
    pub facts: Vec<(String, Value)>,
}

impl Report {
    /// Something done to these nodes, not yet looked at.
    pub fn of(nodes: Vec<usize>, what: String) -> Report {
        Report { nodes, what, observed: false, seen: String::new(), facts: Vec::new() }
    }

    /// Nothing could be done, and why.
    pub fn nothing(why: String) -> Report {
        Report { seen: "no effect".into(), ..Report::of(Vec::new(), why) }
    }

    /// There was nothing to undo.
    pub fn idle() -> Report {
        Report { observed: true, seen: "no fault was active".into(), ..Report::of(Vec::new(), "nothing to heal".into()) }
    }

    /// Nothing had to be undone on the nodes where it was active: their hosts are off.
    pub(crate) fn all_off(note: &str) -> Report {
        Report {
            observed: true,
            seen: "whatever it was went with the power".into(),
            ..Report::of(Vec::new(), format!("nothing to heal{note}"))
        }
    }

    /// Notes what was seen.
    pub(crate) fn seen(&mut self, seen: Seen) {
        self.observed = seen.observed;
        self.seen = seen.what;
    }

    /// Notes what did not work: then whatever was seen is not what was meant.
    pub(crate) fn failed(&mut self, errors: &[NodeError]) {
        for error in errors {
            self.observed = false;
            self.seen = format!("{}; {error}", self.seen);
        }
    }

    /// The report as the value of a nemesis event: a map with string keys.
    ///
    /// | key | value |
    /// |---|---|
    /// | `what` | what was done, in words |
    /// | `nodes` | the names of the nodes hurt or healed, a vector |
    /// | `observed` | whether it was seen to have taken effect, or to be gone |
    /// | `seen` | what was seen, in words |
    /// | `seen-late` | of a recovery: what was seen of the fault just before, if it could not be seen when it was injected |
    /// | `clocks` | of a changed clock: for each node its readings, `[nanoseconds since 1970, nanoseconds ahead, error]` |
    /// | `leaders` | of an injection: the names of the nodes that said just before that they lead; missing if they could not be asked in time |
    /// | `grudge` | of a partition: for each node that drops something, the names of those it drops |
    pub fn to_value(&self, cluster: &Cluster) -> Value {
        let name = |&i: &usize| Value::from(cluster.nodes[i].name.as_str());
        let mut entries = vec![
            (Value::from("what"), Value::from(self.what.as_str())),
            (Value::from("nodes"), Value::Vector(self.nodes.iter().map(name).collect())),
            (Value::from("observed"), Value::Bool(self.observed)),
            (Value::from("seen"), Value::from(self.seen.as_str())),
        ];
        entries.extend(self.facts.iter().map(|(key, value)| (Value::from(key.as_str()), value.clone())));
        Value::Map(entries)
    }

    /// Reads a report back from the value of a nemesis event, also when its keys have become keywords. `None` if it is none.
    /// Names that are no nodes of the cluster are left out.
    pub fn from_value(value: &Value, cluster: &Cluster) -> Option<Report> {
        let Value::Map(entries) = value else { return None };
        let text = |value: &Value| match value {
            Value::Str(text) | Value::Keyword(text) => Some(text.to_string()),
            _ => None,
        };
        let mut report = Report::of(Vec::new(), String::new());
        let mut keys_found = 0;
        for (key, value) in entries {
            let key = text(key)?;
            keys_found += usize::from(["what", "nodes", "observed", "seen"].contains(&key.as_str()));
            match key.as_str() {
                "what" => report.what = text(value)?,
                "seen" => report.seen = text(value)?,
                "observed" => report.observed = *value == Value::Bool(true),
                "nodes" => {
                    let names: Vec<String> = value.elements()?.iter().filter_map(text).collect();
                    report.nodes = cluster.nodes.iter().filter(|node| names.contains(&node.name)).map(|node| node.index).collect();
                }
                _ => report.facts.push((key, value.clone())),
            }
        }
        (keys_found == 4).then_some(report)
    }
}
