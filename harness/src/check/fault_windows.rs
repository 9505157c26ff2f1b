//! What the nemesis did, read back from the history: when each fault was active, whether it was seen to take effect, and the
//! phases of the run.
//!
//! The nemesis records two events per action, both `info` of the process `nemesis`: one when it begins, with no value, and
//! one when it has looked at what it did, whose value is a map. Their function is `start-partition`, `stop-partition`, ... At
//! the end of the run a `heal` without a value goes before the `stop-`s of all that is still active. A `phase` event says that
//! a phase of the run begins.

use crate::timeline::PHASE;
use crate::timeline::{ClockReading, FaultWindow, Phase, PhaseSpan};
use histories::{History, Value, ValueId, View};

/// The function of the event at which the nemesis begins to end every fault.
pub const HEAL: &str = "heal";

/// The function's prefix of an injection.
pub const START: &str = "start-";

/// The function's prefix of a recovery.
pub const STOP: &str = "stop-";

/// When faults were active, in order of their start. `nodes`: the names of all nodes.
pub fn windows(history: &History, nodes: &[String]) -> Vec<FaultWindow> {
    let mut windows: Vec<FaultWindow> = Vec::new();
    let zero_ns = zero_ns(history);
    for event in history.nemesis_events() {
        let f = history.name(history.function(event));
        let time = history.time(event).unwrap_or(0);
        let map = Map::of(history, history.value(event));
        if let Some(fault) = f.strip_prefix(START) {
            let begins = windows.iter().rposition(|w| w.fault == fault && w.injected_ns.is_none() && w.to_ns.is_none());
            let place = begins.filter(|_| map.is_some()).unwrap_or_else(|| {
                // One that was not seen to go ends where the next takes its place: there is one of a class at a time.
                for window in windows.iter_mut().filter(|w| w.to_ns.is_none() && w.fault == fault) {
                    window.to_ns = Some(time);
                }
                windows.push(begun(fault, time));
                windows.len() - 1
            });
            if let Some(map) = map {
                map.injected(&mut windows[place], time, nodes);
                let from_ns = windows[place].from_ns;
                windows[place].clocks = map.clocks(zero_ns, from_ns, time);
            }
        } else if let (Some(fault), Some(map)) = (f.strip_prefix(STOP), map) {
            let gone = map.bool("observed").unwrap_or(false);
            let late = map.text("seen-late");
            for window in windows.iter_mut().filter(|w| w.to_ns.is_none() && w.fault == fault) {
                if !window.observed && !late.is_empty() {
                    window.observed = true;
                    window.seen.clone_from(&late);
                }
                let read = map.clocks(zero_ns, window.injected_ns.unwrap_or(window.from_ns), time);
                window.clocks.extend(read);
                window.recovered = Some(gone);
                window.to_ns = gone.then_some(time);
            }
        }
    }
    windows
}

/// The run's start in nanoseconds since 1970, if the history's header says when it was.
fn zero_ns(history: &History) -> Option<i64> {
    let Some(Value::Str(started)) = history.meta.header.get("started") else { return None };
    started.parse::<jiff::Timestamp>().ok().and_then(|started| i64::try_from(started.as_nanosecond()).ok())
}

/// The phases of the run, as far as the history says: set-up ends where the clock starts.
pub fn phases(history: &History) -> Vec<PhaseSpan> {
    let mut spans: Vec<PhaseSpan> = Vec::new();
    for event in history.nemesis_events().filter(|&e| history.name(history.function(e)) == PHASE) {
        let time = history.time(event).unwrap_or(0);
        if let Some(last) = spans.last_mut() {
            last.to_ns.get_or_insert(time);
        }
        let name = history.values.name(history.value(event));
        if let Some(phase) = [Phase::Main, Phase::Recovery, Phase::FinalReads].into_iter().find(|phase| phase.name() == name) {
            spans.push(PhaseSpan { phase, from_ns: time, to_ns: None });
        }
    }
    spans
}

fn begun(fault: &str, time: i64) -> FaultWindow {
    FaultWindow {
        fault: fault.into(),
        what: String::new(),
        nodes: Vec::new(),
        from_ns: time,
        injected_ns: None,
        to_ns: None,
        observed: false,
        seen: "the run was cut off before anyone looked".into(),
        recovered: None,
        groups: Vec::new(),
        clocks: Vec::new(),
        leaders: None,
        facts: Vec::new(),
    }
}

/// A map of a history, with its history.
struct Map<'a> {
    history: &'a History,
    flat: &'a [ValueId],
}

impl<'a> Map<'a> {
    fn of(history: &'a History, value: ValueId) -> Option<Map<'a>> {
        match history.values.view(value) {
            View::Map(flat) => Some(Map { history, flat }),
            _ => None,
        }
    }

    fn entries(&self) -> impl Iterator<Item = (&'a str, ValueId)> + use<'a> {
        let values = &self.history.values;
        self.flat.chunks_exact(2).map(move |entry| (values.name(entry[0]), entry[1]))
    }

    fn get(&self, name: &str) -> Option<ValueId> {
        self.entries().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn bool(&self, name: &str) -> Option<bool> {
        match self.history.values.view(self.get(name)?) {
            View::Bool(b) => Some(b),
            _ => None,
        }
    }

    fn text(&self, name: &str) -> String {
        self.get(name).map(|value| self.history.values.name(value).to_owned()).unwrap_or_default()
    }

    /// The groups of nodes that hear each other, the smaller first, if nothing passes between them; else none. A grudge is a
    /// map: for each node that drops something, the names of those it drops.
    fn groups(&self, grudge: ValueId, nodes: &[String]) -> Vec<Vec<String>> {
        let Some(grudge) = Map::of(self.history, grudge) else { return Vec::new() };
        let drops = |to: usize, from: usize| {
            let dropped = grudge.get(&nodes[to]).map(|names| self.names(names)).unwrap_or_default();
            dropped.contains(&nodes[from])
        };
        let mut group_of: Vec<usize> = (0..nodes.len()).collect();
        for a in 0..nodes.len() {
            for b in 0..a {
                if !drops(a, b) && !drops(b, a) {
                    let (from, to) = (group_of[a], group_of[b]);
                    group_of.iter_mut().filter(|group| **group == from).for_each(|group| *group = to);
                }
            }
        }
        let apart = |a: usize, b: usize| group_of[a] == group_of[b] || (drops(a, b) && drops(b, a));
        if (0..nodes.len()).any(|a| (0..a).any(|b| !apart(a, b))) {
            return Vec::new();
        }
        let members = |group| (0..nodes.len()).filter(|&node| group_of[node] == group).map(|node| nodes[node].clone()).collect();
        let mut groups: Vec<Vec<String>> = (0..nodes.len()).map(members).filter(|members: &Vec<String>| !members.is_empty()).collect();
        groups.sort_by_key(Vec::len);
        if groups.len() > 1 { groups } else { Vec::new() }
    }

    fn names(&self, value: ValueId) -> Vec<String> {
        let values = &self.history.values;
        values.elements(value).unwrap_or_default().iter().map(|&name| values.name(name).to_owned()).collect()
    }

    /// The readings of clocks that a report holds, each `[nanoseconds since 1970, nanoseconds ahead, error]`. A node's clock may differ
    /// from that of the control node: a reading is put where its time says, but not outside of the time in which it must have been made.
    fn clocks(&self, zero_ns: Option<i64>, from_ns: i64, to_ns: i64) -> Vec<ClockReading> {
        let values = &self.history.values;
        let Some(nodes) = self.get("clocks").and_then(|clocks| Map::of(self.history, clocks)) else { return Vec::new() };
        let mut readings = Vec::new();
        for (node, rows) in nodes.entries() {
            let rows = values.elements(rows).unwrap_or_default();
            let numbers = |row: &ValueId| -> Option<[i64; 3]> {
                let row: Option<Vec<i64>> = values.elements(*row)?.iter().map(|&number| as_int(values.view(number))).collect();
                row?.try_into().ok()
            };
            let rows: Vec<[i64; 3]> = rows.iter().filter_map(numbers).collect();
            // Without a start, the last reading was made when the report was.
            let zero_ns = zero_ns.unwrap_or_else(|| rows.iter().map(|row| row[0]).max().unwrap_or(0).saturating_sub(to_ns));
            let reading = |&[at, ahead_ns, error_ns]: &[i64; 3]| {
                let at_ns = at.saturating_sub(zero_ns).max(from_ns).min(to_ns);
                ClockReading { node: node.to_owned(), at_ns, ahead_ns, error_ns }
            };
            readings.extend(rows.iter().map(reading));
        }
        readings
    }

    fn injected(&self, window: &mut FaultWindow, time: i64, nodes: &[String]) {
        window.injected_ns = Some(time);
        window.what = self.text("what");
        window.nodes = self.get("nodes").map(|nodes| self.names(nodes)).unwrap_or_default();
        window.observed = self.bool("observed").unwrap_or(false);
        window.seen = self.text("seen");
        window.groups = self.get("grudge").map(|grudge| self.groups(grudge, nodes)).unwrap_or_default();
        window.leaders = self.get("leaders").map(|leaders| self.names(leaders));
        let known = ["what", "nodes", "observed", "seen", "grudge", "clocks", "leaders"];
        let facts = self.entries().filter(|(name, _)| !known.contains(name));
        window.facts = facts.map(|(name, value)| (name.to_owned(), self.history.values.display(value))).collect();
    }
}

fn as_int(view: View<'_>) -> Option<i64> {
    match view {
        View::Int(number) => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use histories::{Builder, Event, Kind};
    use nemesis::{Cluster, Node, Report};

    fn cluster() -> Cluster {
        let node = |index| Node { index, name: format!("n{}", index + 1), address: String::new() };
        Cluster { nodes: (0..3).map(node).collect::<Vec<_>>().into() }
    }

    /// A history of nemesis events: function, value, time.
    fn history(events: &[(&str, Value, i64)]) -> History {
        let mut b = Builder::new();
        for (f, value, time) in events {
            let process = b.values().str("nemesis");
            let value = b.values().insert(value);
            let f = b.name(f);
            b.push(Event { process, kind: Kind::Info, f, value, time: *time, line: 0 });
        }
        b.finish()
    }

    fn names() -> Vec<String> {
        cluster().nodes.iter().map(|node| node.name.clone()).collect()
    }

    /// A grudge: who drops whom.
    fn grudge(drops: &[(&str, &[&str])]) -> Value {
        let names = |names: &[&str]| Value::Vector(names.iter().map(|&name| name.into()).collect());
        Value::Map(drops.iter().map(|(node, from)| (Value::from(*node), names(from))).collect())
    }

    fn report(what: &str, observed: bool) -> Value {
        let cut = grudge(&[("n1", &["n2", "n3"]), ("n2", &["n1"]), ("n3", &["n1"])]);
        let facts = vec![("grudge".into(), cut), ("leader".into(), Value::Str("n1".into()))];
        Report { nodes: vec![0], what: what.into(), observed, seen: "seen".into(), facts }.to_value(&cluster())
    }

    fn refused() -> Value {
        Report { seen: "n2: connection refused".into(), ..Report::of(vec![], String::new()) }.to_value(&cluster())
    }

    #[test]
    fn windows_open_and_close() {
        let h = history(&[
            ("phase", "main".into(), 0),
            ("start-partition", Value::Nil, 10),
            ("start-partition", report("n1 | n2 n3", true), 12),
            ("start-kill", Value::Nil, 13),
            ("start-kill", refused(), 14),
            ("stop-partition", Value::Nil, 20),
            ("stop-partition", report("", true), 22),
            ("phase", "recovery".into(), 25),
            ("heal", Value::Nil, 30),
            ("stop-kill", report("", true), 33),
            ("start-pause", Value::Nil, 40),
        ]);
        let windows = windows(&h, &names());
        let spans: Vec<_> = windows.iter().map(|w| (w.fault.as_str(), w.from_ns, w.injected_ns, w.to_ns, w.observed)).collect();
        assert_eq!(
            spans,
            [("partition", 10, Some(12), Some(22), true), ("kill", 13, Some(14), Some(33), false), ("pause", 40, None, None, false),]
        );
        assert_eq!(windows[0].groups, [vec!["n1".to_owned()], vec!["n2".into(), "n3".into()]]);
        assert_eq!(windows[0].nodes, ["n1"]);
        assert_eq!(windows[0].facts, [("leader".to_owned(), "\"n1\"".to_owned())]);
        assert_eq!(windows[1].seen, "n2: connection refused");
        let phases: Vec<_> = phases(&h).iter().map(|s| (s.phase, s.from_ns, s.to_ns)).collect();
        assert_eq!(phases, [(Phase::Main, 0, Some(25)), (Phase::Recovery, 25, None)]);
    }

    #[test]
    fn grudges_that_let_something_pass_form_no_groups() {
        let groups = |drops: &[(&str, &[&str])]| {
            let Value::Map(mut map) = report("", true) else { unreachable!() };
            map.retain(|(key, _)| *key != Value::from("grudge"));
            map.push(("grudge".into(), grudge(drops)));
            let h = history(&[("start-partition", Value::Nil, 1), ("start-partition", Value::Map(map), 2)]);
            windows(&h, &names())[0].groups.len()
        };
        assert_eq!(groups(&[("n1", &["n2", "n3"]), ("n2", &["n1", "n3"]), ("n3", &["n1", "n2"])]), 3);
        assert_eq!(groups(&[("n1", &["n2", "n3"])]), 0, "one way is open");
        assert_eq!(groups(&[("n1", &["n2"]), ("n2", &["n1"])]), 0, "n3 hears both");
    }

    #[test]
    fn a_fault_may_be_seen_when_its_node_answers_again() {
        let Value::Map(mut healed) = report("", true) else { unreachable!() };
        healed.push(("seen-late".into(), "8 of 8 cut links silent".into()));
        let h = history(&[
            ("start-partition", Value::Nil, 1),
            ("start-partition", report("n1 | n2 n3", false), 2),
            ("stop-partition", Value::Nil, 3),
            ("stop-partition", Value::Map(healed), 4),
        ]);
        let windows = windows(&h, &names());
        assert_eq!((windows[0].observed, windows[0].seen.as_str()), (true, "8 of 8 cut links silent"));
    }

    #[test]
    fn a_fault_that_is_not_seen_to_go_stays() {
        let h = history(&[
            ("start-pause", Value::Nil, 1),
            ("start-pause", report("n1", true), 2),
            ("stop-pause", Value::Nil, 3),
            ("stop-pause", report("", false), 4),
        ]);
        let windows = windows(&h, &names());
        assert_eq!((windows[0].to_ns, windows[0].recovered), (None, Some(false)));
    }

    #[test]
    fn readings_of_clocks_have_a_place_in_the_run() {
        let row = |row: [i64; 3]| Value::Vector(row.map(Value::Int).to_vec());
        let clocks = |rows: &[[i64; 3]]| {
            let Value::Map(mut map) = report("n1", true) else { unreachable!() };
            map.push(("clocks".into(), Value::Map(vec![("n1".into(), Value::Vector(rows.iter().copied().map(row).collect()))])));
            map.push(("leaders".into(), Value::Vector(vec!["n2".into()])));
            Value::Map(map)
        };
        let second = 1_000_000_000;
        let events = [
            ("start-clock", Value::Nil, 5),
            ("start-clock", clocks(&[[10 * second + 7, 0, 1], [10 * second + 9, 250, 2]]), 20),
            ("stop-clock", Value::Nil, 30),
            // A node whose own clock is far ahead of the control node's.
            ("stop-clock", clocks(&[[99 * second, -1, 1]]), 40),
        ];
        let mut h = history(&events);
        let places = |h: &History| windows(h, &names())[0].clocks.iter().map(|r| (r.at_ns, r.ahead_ns, r.error_ns)).collect::<Vec<_>>();
        assert_eq!(places(&h), [(18, 0, 1), (20, 250, 2), (40, -1, 1)], "the last one when the report was made");
        h.meta.header.insert("started".into(), Value::Str("1970-01-01T00:00:10Z".into()));
        assert_eq!(places(&h), [(7, 0, 1), (9, 250, 2), (40, -1, 1)]);
        let window = &windows(&h, &names())[0];
        assert_eq!((window.leaders.as_deref(), window.facts.len()), (Some(&["n2".to_owned()][..]), 1), "{:?}", window.facts);
    }

    #[test]
    fn a_fault_ends_where_the_next_of_its_class_begins() {
        let h = history(&[
            ("start-pause", Value::Nil, 1),
            ("start-pause", report("n1", true), 2),
            ("stop-pause", Value::Nil, 3),
            ("stop-pause", report("", false), 4),
            ("start-pause", Value::Nil, 5),
            ("start-pause", report("n2", true), 6),
        ]);
        let spans: Vec<_> = windows(&h, &names()).iter().map(|w| (w.from_ns, w.injected_ns, w.to_ns)).collect();
        assert_eq!(spans, [(1, Some(2), Some(5)), (5, Some(6), None)]);
    }
}
