//! Faults: setup → inject → observe that it took effect → recover → observe that it is gone.

use crate::observe::Seen;
use crate::{Cluster, Database, Network, Node, NodeError, ProcessState};
use histories::Value;
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;
use std::time::Duration;

/// What faults act on.
#[derive(Clone)]
pub struct Context {
    /// The nodes.
    pub cluster: Cluster,
    /// Their processes.
    pub database: Arc<dyn Database>,
    /// Their packets.
    pub network: Arc<dyn Network>,
}

/// One class of faults: `partition`, `kill`, `pause`. Healing is idempotent and runs on every exit path.
pub trait Fault: Send {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// In how many ways it hurts, each of which has its turn before any comes again.
    fn ways(&self) -> usize {
        1
    }

    /// Says what the database has to be set up with. Called before it is set up, only if this fault was asked for.
    fn prepare(&mut self, _context: &Context) -> Result<(), NodeError> {
        Ok(())
    }

    /// Prepares the nodes. Called only if this fault was asked for.
    fn setup(&mut self, context: &Context) -> Result<(), NodeError>;

    /// Chooses targets by `rng` (the same draws whatever the cluster answers) and hurts them. `after` is the state observed
    /// from outside once it was done.
    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError>;

    /// Undoes it and observes that it is gone. No harm if nothing is active.
    fn recover(&mut self, context: &Context) -> Result<Report, NodeError>;
}

impl Context {
    /// Reaches every node again whose connection was lost, except those whose hosts are off.
    pub(crate) fn reach_all(&self) {
        let on: Vec<usize> = self.without_off((0..self.cluster.len()).collect()).0;
        for error in self.errors_on(&on, |node| self.network.reach(node)) {
            tracing::warn!(%error, "reaching a node again");
        }
    }

    /// The nodes whose hosts are off, asked now: nothing can be done to them. None where nobody holds power switches.
    pub(crate) fn off(&self) -> Vec<usize> {
        let Some(hosts) = self.database.hosts() else { return Vec::new() };
        let all: Vec<usize> = (0..self.cluster.len()).collect();
        let answers = self.cluster.on(&all, |node| hosts.answers(node));
        all.into_iter().filter(|&node| !answers[node]).collect()
    }

    /// Leaves out nodes whose hosts are off, and says so: ` (not n2, its host is off)`.
    pub(crate) fn without_off(&self, nodes: Vec<usize>) -> (Vec<usize>, String) {
        let off = self.off();
        let (off, on): (Vec<usize>, Vec<usize>) = nodes.into_iter().partition(|node| off.contains(node));
        let note = if off.is_empty() { String::new() } else { format!(" (not {}, off)", self.cluster.names(&off)) };
        (on, note)
    }

    /// Leaves out nodes without a process, and says so.
    pub(crate) fn without_down(&self, nodes: Vec<usize>) -> (Vec<usize>, String) {
        let states = self.cluster.on(&nodes, |node| self.database.state(node));
        let is_down = |state| matches!(state, Ok(ProcessState::Down));
        let (down, up): (Vec<_>, Vec<_>) =
            nodes.into_iter().zip(states).map(|(node, state)| (node, is_down(state))).partition(|(_, down)| *down);
        let of = |nodes: Vec<(usize, bool)>| nodes.into_iter().map(|(node, _)| node).collect::<Vec<usize>>();
        let (down, up) = (of(down), of(up));
        let note = if down.is_empty() { String::new() } else { format!(" (not {}, down already)", self.cluster.names(&down)) };
        (up, note)
    }

    /// Does something on several nodes at once and returns the errors.
    pub(crate) fn errors_on(&self, nodes: &[usize], act: impl Fn(&Node) -> Result<(), NodeError> + Sync) -> Vec<NodeError> {
        self.cluster.on(nodes, act).into_iter().filter_map(Result::err).collect()
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

/// Start or end of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Inject.
    Start,
    /// Recover.
    Stop,
}

/// One step of the nemesis's schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// Which fault: an index into the nemesis's list.
    pub fault: usize,
    /// Start or end.
    pub phase: Phase,
    /// When, since the start of the run.
    pub at: Duration,
}
