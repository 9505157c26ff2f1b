//! The nemesis: performs the schedule, remembers what is active, heals.

use crate::NodeError;
use crate::fault::{Action, Context, Fault, Phase};
use crate::report::Report;
use crate::schedule::{Mismatch, Schedule, targets};
use histories::Value;
use rand_chacha::ChaCha8Rng;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Faults, their schedule, and what they act on. It lives on one plain thread: its methods block.
pub struct Nemesis {
    context: Context,
    faults: Vec<Entry>,
    schedule: Schedule,
    seed: u64,
}

struct Entry {
    fault: Box<dyn Fault>,
    /// How often it was injected.
    count: u64,
    active: bool,
}

impl Nemesis {
    /// A nemesis that injects these faults (see [`crate::spec::parse`]) when the schedule says so, with targets drawn from the seed.
    ///
    /// # Errors
    /// The schedule speaks of other faults than these.
    pub fn new(context: Context, faults: Vec<Box<dyn Fault>>, schedule: Schedule, seed: u64) -> Result<Nemesis, Mismatch> {
        schedule.fits(faults.len())?;
        let faults = faults.into_iter().map(|fault| Entry { fault, count: 0, active: false }).collect();
        Ok(Nemesis { context, faults, schedule, seed })
    }

    /// The names of its faults.
    pub fn names(&self) -> Vec<&'static str> {
        self.faults.iter().map(|entry| entry.fault.name()).collect()
    }

    /// Lets every fault that was asked for say what it needs. Called before the database is set up.
    pub fn prepare(&mut self) -> Result<(), NodeError> {
        self.faults.iter_mut().try_for_each(|entry| entry.fault.prepare(&self.context))
    }

    /// Prepares every fault that was asked for. Called when the database answers, before the first op.
    pub fn setup(&mut self) -> Result<(), NodeError> {
        self.faults.iter_mut().try_for_each(|entry| entry.fault.setup(&self.context))
    }

    /// The next step of the schedule; `None` if there are no faults, or at the end of a script.
    pub fn next_action(&mut self) -> Option<Action> {
        self.schedule.next()
    }

    /// What an action is called in the history: `start-partition`, `stop-kill`.
    pub fn action_name(&self, action: &Action) -> String {
        event_name(action.phase, self.faults[action.fault].fault.name())
    }

    /// Performs an action and returns its name and what came of it. Never fails: what did not work is in the report.
    pub fn perform(&mut self, action: &Action) -> (String, Report) {
        // A connection that was cut, or an agent that was killed, must not end the nemesis on a node for good.
        self.context.reach_all();
        let name = self.action_name(action);
        let report = match action.phase {
            Phase::Start => self.start(action.fault),
            Phase::Stop => self.faults[action.fault].stop(&self.context),
        };
        tracing::info!(event = name, what = report.what, observed = report.observed, seen = report.seen, "nemesis");
        (name, report)
    }

    /// Injects a fault, once none of its class is active any more: there is one of a class at a time.
    fn start(&mut self, fault: usize) -> Report {
        let class = self.faults[fault].fault.name();
        // Its number among the injections of the class decides its targets, whichever of several faults of the class it is.
        let count = self.faults.iter().filter(|entry| entry.fault.name() == class).map(|entry| entry.count).sum();
        self.faults[fault].count += 1;
        let mut active = self.faults.iter_mut().filter(|entry| entry.active && entry.fault.name() == class);
        if active.any(|entry| !entry.stop(&self.context).observed) {
            return Report::nothing("not injected: the one before could not be ended".into());
        }
        let leaders = leaders_soon(&self.context);
        let mut report = self.faults[fault].start(&self.context, &mut targets(self.seed, class, count));
        report.facts.extend(leaders.map(|leaders| ("leaders".into(), leaders)));
        report
    }

    /// Ends every active fault and returns what came of it, by name of the event. Idempotent: what could not be ended is tried
    /// again by the next call. Runs on every exit path.
    pub fn heal(&mut self) -> Vec<(String, Report)> {
        let active: Vec<usize> = (0..self.faults.len()).filter(|&i| self.faults[i].active).collect();
        active.into_iter().map(|fault| self.perform(&Action { fault, phase: Phase::Stop, at: Duration::ZERO })).collect()
    }

    /// Whether any fault is active, or could not be ended.
    pub fn is_active(&self) -> bool {
        self.faults.iter().any(|entry| entry.active)
    }
}

impl Entry {
    fn start(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Report {
        // Active from now on whatever comes back: half an injection must be healed too.
        self.active = true;
        self.fault.inject(context, rng).unwrap_or_else(|error| Report::nothing(format!("not injected: {error}")))
    }

    fn stop(&mut self, context: &Context) -> Report {
        match self.fault.recover(context) {
            Ok(report) => {
                self.active = !report.observed;
                report
            }
            Err(error) => Report { seen: error.to_string(), ..Report::of(Vec::new(), "not healed".into()) },
        }
    }
}

/// How long the nodes may take to say who leads, before it goes unsaid: what is done must not wait for nodes that are hurt already.
const LEADERS_WITHIN: Duration = Duration::from_millis(100);

/// The names of the nodes that say they lead, if all can be asked at once: the roles at the moment of a fault, for the report.
fn leaders_soon(context: &Context) -> Option<Value> {
    if !context.database.has_primaries() {
        return None;
    }
    let (context, (told, answer)) = (context.clone(), channel());
    let ask = move || {
        let leaders = context.database.primaries(&context.cluster);
        let names = leaders.into_iter().map(|leader| Value::from(context.cluster.nodes[leader].name.as_str())).collect();
        let _ = told.send(Value::Vector(names));
    };
    std::thread::Builder::new().name("leaders".into()).spawn(ask).ok()?;
    answer.recv_timeout(LEADERS_WITHIN).ok()
}

fn event_name(phase: Phase, fault: &str) -> String {
    match phase {
        Phase::Start => format!("start-{fault}"),
        Phase::Stop => format!("stop-{fault}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::agent::protocol::clock::Reading;
    use crate::agent::protocol::clock::Skew;
    use crate::agent::protocol::traffic::{Echoes, Measured, Shape};
    use crate::cluster::tests::cluster;
    use crate::schedule::{Mix, Step};
    use crate::{Admin, Clocks, Cluster, Database, Hosts, Membership, Network, Node, ProcessState, spec};
    use std::path::{Path, PathBuf};
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    /// A cluster that is only said to be there.
    #[derive(Default)]
    pub(crate) struct Pretended {
        inner: Arc<Mutex<Inner>>,
        system: PretendedSystemClocks,
    }

    /// The nodes' own clocks, which some have.
    #[derive(Default)]
    struct PretendedSystemClocks(Arc<Mutex<Inner>>);

    #[derive(Clone, Default)]
    #[allow(clippy::struct_excessive_bools, reason = "what goes wrong is independent of each other")]
    pub(crate) struct Inner {
        pub(crate) states: Vec<Option<ProcessState>>,
        drops: Vec<Vec<usize>>,
        pub(crate) leaders: Vec<usize>,
        /// Those that have left the cluster, and whether the others let nobody in.
        pub(crate) gone: Vec<usize>,
        pub(crate) nobody_gets_in: bool,
        /// Commands of operators without effect.
        pub(crate) chores_do_nothing: bool,
        /// The clocks' skews, and since when; `None` where nothing is rewritten.
        skews: Vec<Option<(Skew, Instant)>>,
        /// The same of the nodes' own clocks, and which nodes have one.
        system_skews: Vec<Option<(Skew, Instant)>>,
        own_clock: Vec<bool>,
        /// Clocks that are told to be wrong, and are not.
        skews_do_nothing: bool,
        off: Vec<usize>,
        /// By node: whose packets from it suffer, and how.
        shapes: Vec<Option<(Vec<usize>, Shape)>>,
        /// How often each process was started.
        starts: Vec<usize>,
        /// What goes wrong: a node whose calls fail, a firewall without effect, probes that nobody hears.
        broken_node: Option<usize>,
        cuts_do_nothing: bool,
        starts_do_nothing: bool,
        shapes_do_nothing: bool,
        nothing_is_heard: bool,
    }

    impl Pretended {
        pub(crate) fn new(n: usize) -> Arc<Pretended> {
            let inner = Inner {
                states: vec![Some(ProcessState::Running); n],
                drops: vec![Vec::new(); n],
                skews: vec![None; n],
                system_skews: vec![None; n],
                own_clock: vec![false; n],
                shapes: vec![None; n],
                leaders: vec![1],
                ..Inner::default()
            };
            let inner = Arc::new(Mutex::new(inner));
            Arc::new(Pretended { system: PretendedSystemClocks(inner.clone()), inner })
        }

        pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
            act(&mut self.inner.lock().unwrap())
        }

        fn set(&self, node: &Node, state: ProcessState) -> Result<(), NodeError> {
            self.with(|inner| {
                if inner.broken_node == Some(node.index) {
                    return Err(NodeError::new(&node.name, "its agent is gone"));
                }
                inner.states[node.index] = Some(state);
                Ok(())
            })
        }

        pub(crate) fn nemesis(self: &Arc<Self>, text: &str, seed: u64) -> Nemesis {
            let cluster = cluster(self.with(|inner| inner.states.len()));
            let faults = spec::parse(text, &cluster).unwrap();
            let context = Context { cluster, database: self.clone(), network: self.clone() };
            let names: Vec<&str> = faults.iter().map(|fault| fault.name()).collect();
            let schedule = Schedule::drawn(Mix::FlipFlop, &names, Duration::from_secs(5), seed);
            Nemesis::new(context, faults, schedule, seed).unwrap()
        }

        fn is_healthy(&self) -> bool {
            self.with(|inner| {
                inner.off.is_empty()
                    && inner.gone.is_empty()
                    && inner.shapes.iter().all(Option::is_none)
                    && inner.drops.iter().all(Vec::is_empty)
                    && inner.skews.iter().chain(&inner.system_skews).all(Option::is_none)
                    && inner.states.iter().all(|state| *state == Some(ProcessState::Running))
            })
        }
    }

    impl Database for Pretended {
        fn name(&self) -> &'static str {
            "pretended"
        }
        fn version(&self, _: &Node) -> Result<String, NodeError> {
            Ok("1".into())
        }
        fn setup(&self, _: &Cluster, _: &Node) -> Result<(), NodeError> {
            Ok(())
        }
        fn await_ready(&self, _: &Cluster, _: Duration) -> Result<(), NodeError> {
            Ok(())
        }
        fn teardown(&self, _: &Node) -> Result<(), NodeError> {
            Ok(())
        }
        fn start(&self, node: &Node) -> Result<(), NodeError> {
            self.with(|inner| {
                inner.starts.resize(inner.states.len(), 0);
                inner.starts[node.index] += usize::from(inner.states[node.index] == Some(ProcessState::Down) && !inner.starts_do_nothing);
            });
            self.set(node, ProcessState::Running)
        }
        fn kill(&self, node: &Node) -> Result<(), NodeError> {
            self.set(node, ProcessState::Down)
        }
        fn terminate(&self, node: &Node) -> Result<(), NodeError> {
            if self.state(node)? == ProcessState::Paused {
                return Err(NodeError::new(&node.name, "it stands still and does not hear"));
            }
            self.set(node, ProcessState::Down)
        }
        fn incarnation(&self, node: &Node) -> Result<Option<String>, NodeError> {
            let started = self.with(|inner| inner.starts.get(node.index).copied().unwrap_or(0));
            Ok((self.state(node)? != ProcessState::Down).then(|| started.to_string()))
        }
        fn hosts(&self) -> Option<&dyn Hosts> {
            Some(self)
        }
        fn membership(&self) -> Option<&dyn Membership> {
            Some(self)
        }
        fn admin(&self) -> Option<&dyn Admin> {
            Some(self)
        }
        fn pause(&self, node: &Node) -> Result<(), NodeError> {
            self.set(node, ProcessState::Paused)
        }
        fn resume(&self, node: &Node) -> Result<(), NodeError> {
            if self.state(node)? == ProcessState::Paused { self.set(node, ProcessState::Running) } else { Ok(()) }
        }
        fn state(&self, node: &Node) -> Result<ProcessState, NodeError> {
            self.with(|inner| inner.states[node.index]).ok_or_else(|| NodeError::new(&node.name, "cannot look"))
        }
        fn primaries(&self, _: &Cluster) -> Vec<usize> {
            self.with(|inner| inner.leaders.clone())
        }
        fn clocks(&self) -> Option<&dyn Clocks> {
            Some(self)
        }
        fn system_clocks(&self) -> Option<&dyn Clocks> {
            Some(&self.system)
        }
        fn fetch_logs(&self, _: &Node, _: &Path) -> Result<Vec<PathBuf>, NodeError> {
            Ok(Vec::new())
        }
    }

    /// What a clock says that is off in this way since then.
    fn pretended_reading((skew, since): (Skew, Instant)) -> Reading {
        let since = since.elapsed();
        let offset_ns = match skew {
            Skew::None => 0,
            Skew::Bump { offset_ns } => offset_ns,
            Skew::Strobe { offset_ns, period, .. } => offset_ns * i64::from(since.as_nanos() / period.as_nanos() % 2 == 0),
            Skew::Drift { per_billion } => (since.as_secs_f64() * per_billion as f64) as i64,
        };
        Reading { pid: 1, at_ns: crate::machine::now_ns(), offset_ns, error_ns: 1000 }
    }

    impl Clocks for PretendedSystemClocks {
        fn can_skew(&self, node: &Node) -> Result<(), NodeError> {
            let own = self.0.lock().unwrap().own_clock[node.index];
            if own { Ok(()) } else { Err(NodeError::new(&node.name, "its kernel is shared")) }
        }

        fn skew(&self, node: &Node, skew: &Skew) -> Result<(), NodeError> {
            self.can_skew(node)?;
            self.0.lock().unwrap().system_skews[node.index] = Some((*skew, Instant::now()));
            Ok(())
        }

        fn read(&self, node: &Node) -> Result<Vec<Reading>, NodeError> {
            let skew = self.0.lock().unwrap().system_skews[node.index];
            skew.map(|skew| vec![pretended_reading(skew)]).ok_or_else(|| NodeError::new(&node.name, "nobody prepared it"))
        }

        fn restore(&self, node: &Node) -> Result<(), NodeError> {
            self.0.lock().unwrap().system_skews[node.index] = None;
            Ok(())
        }
    }

    impl Clocks for Pretended {
        fn can_skew(&self, _: &Node) -> Result<(), NodeError> {
            Ok(())
        }

        fn skew(&self, node: &Node, skew: &Skew) -> Result<(), NodeError> {
            self.with(|inner| {
                if inner.states[node.index] == Some(ProcessState::Down) {
                    return Err(NodeError::new(&node.name, "it does not run"));
                }
                inner.skews[node.index] = Some((if inner.skews_do_nothing { Skew::None } else { *skew }, Instant::now()));
                Ok(())
            })
        }

        fn read(&self, node: &Node) -> Result<Vec<Reading>, NodeError> {
            let skew = self.with(|inner| inner.skews[node.index]).ok_or_else(|| NodeError::new(&node.name, "it has its own clock"))?;
            Ok(vec![pretended_reading(skew)])
        }

        fn restore(&self, node: &Node) -> Result<(), NodeError> {
            self.with(|inner| inner.skews[node.index] = None);
            Ok(())
        }
    }

    impl Hosts for Pretended {
        fn crash(&self, node: &Node) -> Result<(), NodeError> {
            self.with(|inner| inner.off.push(node.index));
            self.set(node, ProcessState::Down)
        }
        fn boot(&self, node: &Node) -> Result<(), NodeError> {
            self.with(|inner| inner.off.retain(|off| *off != node.index));
            Ok(())
        }
        fn answers(&self, node: &Node) -> bool {
            self.with(|inner| !inner.off.contains(&node.index))
        }
    }

    impl Network for Pretended {
        fn drop_from(&self, node: &Node, from: &[&Node]) -> Result<(), NodeError> {
            self.set(node, ProcessState::Running)?;
            self.with(|inner| inner.drops[node.index] = from.iter().map(|from| from.index).collect());
            Ok(())
        }
        fn can_drop(&self, _: &Node) -> Result<(), NodeError> {
            Ok(())
        }
        fn shape(&self, node: &Node, to: &[&Node], shape: &Shape, _seed: u64) -> Result<(), NodeError> {
            self.with(|inner| {
                if inner.broken_node == Some(node.index) {
                    return Err(NodeError::new(&node.name, "its agent is gone"));
                }
                inner.shapes[node.index] = (!to.is_empty()).then(|| (to.iter().map(|to| to.index).collect(), *shape));
                Ok(())
            })
        }
        fn can_shape(&self, _: &Node) -> Result<(), NodeError> {
            Ok(())
        }
        /// As a line of 1 ms would answer that is hurt on its way there, with every share exactly as asked for.
        fn measure(&self, from: &Node, to: &Node, echoes: &Echoes) -> Result<Measured, NodeError> {
            self.with(|inner| {
                let shape = inner.shapes[from.index].as_ref().filter(|(peers, _)| peers.contains(&to.index) && !inner.shapes_do_nothing);
                let shape = shape.map(|(_, shape)| *shape).unwrap_or_default();
                let of_sent = |share: u16| echoes.count * u32::from(share) / 1000;
                let passes_us = (u64::from(echoes.bytes) * 8_000_000).checked_div(shape.rate_bits).unwrap_or(0);
                let [first, last] =
                    [shape.delay_us - shape.jitter_us, shape.delay_us + shape.jitter_us + passes_us * u64::from(echoes.count)];
                Ok(Measured {
                    sent: echoes.count,
                    back: if inner.nothing_is_heard { 0 } else { echoes.count - of_sent(shape.loss) - of_sent(shape.corrupt) },
                    duplicates: of_sent(shape.duplicate),
                    disordered: of_sent(shape.reorder),
                    round_trip_us: [first, shape.delay_us, last].map(|us| us + 1000),
                })
            })
        }

        fn probe(&self, from: &Node, to: &Node) -> Result<bool, NodeError> {
            Ok(self.with(|inner| !inner.nothing_is_heard && (inner.cuts_do_nothing || !inner.drops[to.index].contains(&from.index))))
        }
    }

    pub(crate) fn first(nemesis: &mut Nemesis, phase: Phase) -> Report {
        nemesis.perform(&Action { fault: 0, phase, at: Duration::ZERO }).1
    }

    #[test]
    fn every_way_to_cut_and_hurt_is_observed_and_healed() {
        for text in [
            "partition:halves",
            "partition:random-halves",
            "partition:one",
            "partition:majority",
            "partition:minority",
            "partition:primary",
            "partition:one-way",
            "partition:one-way@n2",
            "partition:one-way@primary",
            "partition:bridge",
            "partition:majorities-ring",
            "partition:n1+n3",
            "partition:random",
            "partition",
            "kill",
            "kill:all",
            "kill:n2+n3",
            "kill:primaries",
            "stop",
            "stop:minority",
            "crash",
            "crash:primaries",
            "packet",
            "packet@primary",
            "packet:delay",
            "packet:delay=3s@minority",
            "packet:jitter",
            "packet:loss@n2+n3",
            "packet:loss=100%@n2",
            "packet:duplicate",
            "packet:reorder",
            "packet:corrupt",
            "packet:rate",
            "packet:flaky",
            "pause",
            "pause:minority",
            "pause:random",
            "pause:majority",
            "membership",
            "membership@n2",
            "membership:primary",
            "clock",
            "clock:bump@all",
            "clock:strobe@n2",
            "clock:drift@primaries",
        ] {
            for seed in 0..4 {
                let pretended = Pretended::new(5);
                let mut nemesis = pretended.nemesis(text, seed);
                nemesis.setup().unwrap();
                let report = first(&mut nemesis, Phase::Start);
                assert!(report.observed && !report.nodes.is_empty(), "{text}: {report:?}");
                assert!(!pretended.is_healthy() && nemesis.is_active(), "{text}");
                let report = first(&mut nemesis, Phase::Stop);
                assert!(report.observed, "{text}: {report:?}");
                assert!(pretended.is_healthy() && !nemesis.is_active(), "{text}");
                assert_eq!(nemesis.heal(), [], "{text}");
            }
        }
    }

    #[test]
    fn the_same_seed_hurts_the_same_whatever_the_cluster_answers() {
        let run = |prepare: &dyn Fn(&mut Inner)| {
            let pretended = Pretended::new(5);
            pretended.with(|inner| prepare(inner));
            let mut nemesis = pretended.nemesis("partition:random-halves,partition:one-way,kill:minority,pause:random", 11);
            let actions: Vec<Action> = (0..16).map(|_| nemesis.next_action().unwrap()).collect();
            let whats: Vec<String> =
                actions.iter().filter(|action| action.phase == Phase::Start).map(|action| nemesis.perform(action).1.what).collect();
            (actions, whats)
        };
        let plain = run(&|_| {});
        assert_eq!(run(&|inner| inner.leaders = vec![3, 4]), plain);
        assert_eq!(run(&|inner| inner.leaders = Vec::new()), plain);
    }

    #[test]
    fn a_restart_is_seen_by_the_new_process() {
        let pretended = Pretended::new(3);
        let mut nemesis = pretended.nemesis("restart:n1+n2", 1);
        let report = first(&mut nemesis, Phase::Start);
        assert!(report.observed && report.seen == "n1 runs anew, n2 runs anew", "{report:?}");
        assert!(first(&mut nemesis, Phase::Stop).observed && pretended.is_healthy() && !nemesis.is_active());
        pretended.with(|inner| inner.starts_do_nothing = true);
        let report = first(&mut nemesis, Phase::Start);
        assert!(!report.observed && report.seen.contains("before and"), "{report:?}");
        // One that stands still is not asked to end: it would when it runs on.
        pretended.with(|inner| inner.states[0] = Some(ProcessState::Paused));
        for text in ["restart:n1", "stop:n1"] {
            let report = first(&mut pretended.nemesis(text, 1), Phase::Start);
            assert!(!report.observed && report.what.contains("not n1, paused already"), "{report:?}");
        }
    }

    #[test]
    fn packets_that_are_not_hurt_or_not_healed_are_told() {
        for harm in ["delay", "jitter", "loss", "duplicate", "reorder", "corrupt", "rate", "flaky"] {
            let pretended = Pretended::new(3);
            let text = format!("packet:{harm}");
            let mut nemesis = pretended.nemesis(&text, 1);
            pretended.with(|inner| inner.shapes_do_nothing = true);
            assert!(!first(&mut nemesis, Phase::Start).observed, "{harm}");
            // It takes effect later, and is not undone: the probe tells, whoever says it was done.
            let node = pretended.with(|inner| inner.shapes.iter().position(Option::is_some)).unwrap();
            pretended.with(|inner| (inner.shapes_do_nothing, inner.broken_node) = (false, Some(node)));
            let report = first(&mut nemesis, Phase::Stop);
            assert!(!report.observed && nemesis.is_active(), "{harm}: {report:?}");
            pretended.with(|inner| inner.broken_node = None);
            assert!(nemesis.heal()[0].1.observed && pretended.is_healthy(), "{harm}");
        }
        let pretended = Pretended::new(3);
        pretended.with(|inner| inner.nothing_is_heard = true);
        let mut nemesis = pretended.nemesis("packet:loss", 1);
        assert!(nemesis.setup().unwrap_err().to_string().contains("gets no echo"));
        let report = first(&mut nemesis, Phase::Start);
        assert!(!report.observed && report.what.contains("no link gave an echo before"), "{report:?}");
        // What nobody could see to be gone is not done.
        assert!(first(&mut nemesis, Phase::Stop).observed && !nemesis.is_active());
    }

    #[test]
    fn two_faults_of_a_class_are_never_active_together_and_draw_like_one() {
        let scripted = |texts: &[&str]| {
            let pretended = Pretended::new(5);
            let cluster = cluster(5);
            let faults: Vec<_> = texts.iter().flat_map(|text| spec::parse(text, &cluster).unwrap()).collect();
            let steps: Vec<Step> =
                (0..4).map(|i| Step { fault: i % texts.len(), at: Duration::from_secs(i as u64), until: None }).collect();
            let context = Context { cluster, database: pretended.clone(), network: pretended.clone() };
            let mut nemesis = Nemesis::new(context, faults, Schedule::scripted(&steps), 3).unwrap();
            let mut whats = Vec::new();
            while let Some(action) = nemesis.next_action() {
                whats.push(nemesis.perform(&action).1.what);
                let down = pretended.with(|inner| inner.states.iter().filter(|state| **state == Some(ProcessState::Down)).count());
                assert_eq!(down, 1, "{whats:?}");
            }
            whats
        };
        assert_eq!(scripted(&["kill:one", "kill:one"]), scripted(&["kill:one"]));
    }

    #[test]
    fn a_cut_without_effect_is_not_observed() {
        let pretended = Pretended::new(3);
        pretended.with(|inner| inner.cuts_do_nothing = true);
        let report = first(&mut pretended.nemesis("partition:one", 1), Phase::Start);
        assert!(!report.observed && report.seen.contains("0 of 4 cut links silent") && report.seen.contains("still hears"), "{report:?}");
        // Probes that nobody hears prove nothing: not before a cut, and not of a cut.
        let pretended = Pretended::new(3);
        pretended.with(|inner| inner.nothing_is_heard = true);
        let mut nemesis = pretended.nemesis("partition:one", 1);
        let error = nemesis.setup().unwrap_err().to_string();
        assert!(error.contains("although no fault is active"), "{error}");
        let report = first(&mut nemesis, Phase::Start);
        assert!(!report.observed, "{report:?}");
    }

    #[test]
    fn a_fault_that_half_failed_is_said_and_healed_all_the_same() {
        let pretended = Pretended::new(3);
        pretended.with(|inner| inner.broken_node = Some(1));
        let mut nemesis = pretended.nemesis("kill:all", 1);
        let report = first(&mut nemesis, Phase::Start);
        assert!(!report.observed && report.seen.contains("n2: its agent is gone"), "{report:?}");
        let report = first(&mut nemesis, Phase::Stop);
        assert!(!report.observed && nemesis.is_active(), "{report:?}");
        pretended.with(|inner| inner.broken_node = None);
        let healed = nemesis.heal();
        assert_eq!((healed.len(), healed[0].0.as_str(), healed[0].1.observed), (1, "stop-kill", true));
        assert!(pretended.is_healthy() && !nemesis.is_active());
        assert_eq!(nemesis.heal(), []);
    }

    #[test]
    fn a_partition_that_cannot_be_healed_stays_active_until_it_can() {
        let pretended = Pretended::new(3);
        let mut nemesis = pretended.nemesis("partition:n2", 1);
        assert!(first(&mut nemesis, Phase::Start).observed);
        pretended.with(|inner| inner.broken_node = Some(0));
        let report = nemesis.heal().remove(0).1;
        assert!(!report.observed && report.seen.contains("n1: its agent is gone"), "{report:?}");
        assert!(nemesis.is_active());
        let report = first(&mut nemesis, Phase::Start);
        assert!(report.what.contains("the one before could not be ended"), "{report:?}");
        pretended.with(|inner| inner.broken_node = None);
        assert!(nemesis.heal()[0].1.observed && pretended.is_healthy());
    }

    #[test]
    fn without_a_leader_a_named_target_does_nothing_and_a_usual_one_takes_any() {
        let pretended = Pretended::new(3);
        pretended.with(|inner| inner.leaders = Vec::new());
        let report = first(&mut pretended.nemesis("kill:primary", 1), Phase::Start);
        assert!(!report.observed && report.nodes.is_empty() && report.what.contains("no node says that it leads"), "{report:?}");
        let whats: Vec<String> = (0..12).map(|seed| first(&mut pretended.nemesis("kill", seed), Phase::Start).what).collect();
        assert!(whats.iter().any(|what| what.contains("one is taken at random")), "{whats:?}");
    }

    #[test]
    fn a_killed_process_is_not_paused() {
        let pretended = Pretended::new(3);
        pretended.with(|inner| inner.states[0] = Some(ProcessState::Down));
        let mut nemesis = pretended.nemesis("pause:n1+n2", 1);
        let report = first(&mut nemesis, Phase::Start);
        assert_eq!((report.nodes, report.observed), (vec![1], true));
        assert!(report.what.contains("not n1, down already"), "{}", report.what);
        assert!(first(&mut nemesis, Phase::Stop).observed);
        assert_eq!(pretended.with(|inner| inner.states[0]), Some(ProcessState::Down));
    }

    /// Where nobody names the node, a fault is not lost because another one took its node first.
    #[test]
    fn what_is_down_is_passed_over_when_nodes_are_drawn() {
        let pretended = Pretended::new(5);
        pretended.with(|inner| (inner.states[0], inner.states[3]) = (Some(ProcessState::Down), Some(ProcessState::Down)));
        for seed in 0..40 {
            for text in ["pause:one", "kill", "clock:bump@one"] {
                let mut nemesis = pretended.nemesis(text, seed);
                let report = first(&mut nemesis, Phase::Start);
                assert!(!report.nodes.is_empty() && !report.nodes.contains(&0) && !report.nodes.contains(&3), "{text}, {seed}: {report:?}");
                assert!(first(&mut nemesis, Phase::Stop).observed, "{text}, {seed}");
                pretended.with(|inner| (inner.states[0], inner.states[3]) = (Some(ProcessState::Down), Some(ProcessState::Down)));
            }
        }
        pretended.with(|inner| inner.states.fill(Some(ProcessState::Down)));
        let report = first(&mut pretended.nemesis("pause:one", 1), Phase::Start);
        assert!(!report.observed && report.what.contains("down already"), "{report:?}");
    }

    #[test]
    fn a_clock_that_stays_right_is_not_observed() {
        for text in ["clock:bump@n1", "clock:strobe@n1", "clock:drift@n1"] {
            let pretended = Pretended::new(3);
            pretended.with(|inner| inner.skews_do_nothing = true);
            let mut nemesis = pretended.nemesis(text, 1);
            let report = first(&mut nemesis, Phase::Start);
            assert!(!report.observed, "{report:?}");
            assert!(first(&mut nemesis, Phase::Stop).observed && pretended.is_healthy());
        }
    }

    #[test]
    fn a_node_s_own_clock_is_set_where_it_has_one_and_nowhere_else() {
        for (text, own, which) in [
            ("clock:bump@all", [true, false, true], [true, false, true]),
            ("clock:drift@all", [false; 3], [false; 3]),
            ("clock:process-strobe@all", [true; 3], [false; 3]),
            ("clock:system-bump@all", [true; 3], [true; 3]),
        ] {
            let pretended = Pretended::new(3);
            pretended.with(|inner| inner.own_clock = own.to_vec());
            let mut nemesis = pretended.nemesis(text, 1);
            nemesis.setup().unwrap();
            assert!(pretended.is_healthy(), "{text}");
            // The node's own goes wrong whether a process sees it or not.
            pretended.with(|inner| inner.states[0] = Some(ProcessState::Down));
            let report = first(&mut nemesis, Phase::Start);
            let system = pretended.with(|inner| inner.system_skews.iter().map(Option::is_some).collect::<Vec<_>>());
            let process = pretended.with(|inner| inner.skews.iter().map(Option::is_some).collect::<Vec<_>>());
            assert!(report.observed, "{text}: {report:?}");
            for node in 0..3 {
                let expected = (which[node], !which[node] && node != 0);
                assert_eq!((system[node], process[node]), expected, "{text}, n{}: {report:?}", node + 1);
                assert_eq!(report.what.contains(&format!("host n{}", node + 1)), which[node], "{text}: {report:?}");
            }
            assert!(first(&mut nemesis, Phase::Stop).observed && !nemesis.is_active(), "{text}");
            pretended.with(|inner| inner.states[0] = Some(ProcessState::Running));
            assert!(pretended.is_healthy(), "{text}");
        }
        let pretended = Pretended::new(3);
        pretended.with(|inner| inner.own_clock = vec![true, false, true]);
        let error = pretended.nemesis("clock:system", 1).setup().unwrap_err().to_string();
        assert!(error.contains("n2") && error.contains("its kernel is shared"), "{error}");
    }

    #[test]
    fn the_clock_of_a_process_that_was_killed_has_nothing_to_heal() {
        let pretended = Pretended::new(3);
        let mut nemesis = pretended.nemesis("clock:bump@n1+n2", 1);
        let report = first(&mut nemesis, Phase::Start);
        assert!(report.observed && report.what.contains("n1 is") && report.what.contains("n2 is"), "{report:?}");
        pretended.with(|inner| inner.states[0] = Some(ProcessState::Down));
        let report = first(&mut nemesis, Phase::Stop);
        assert!(report.observed && report.seen.contains("n1 is down"), "{report:?}");
        let report = first(&mut nemesis, Phase::Start);
        assert!(report.observed && report.nodes == [1] && report.what.contains("not n1, down already"), "{report:?}");
        assert!(first(&mut nemesis, Phase::Stop).observed);
        assert!(pretended.with(|inner| inner.skews.iter().all(Option::is_none)));
    }

    #[test]
    fn reports_survive_the_history() {
        let pretended = Pretended::new(5);
        let mut nemesis = pretended.nemesis("partition:one-way@n2", 3);
        let report = first(&mut nemesis, Phase::Start);
        let value = report.to_value(&cluster(5));
        assert_eq!(Report::from_value(&value, &cluster(5)), Some(report));
        assert_eq!(Report::from_value(&histories::Value::Nil, &cluster(5)), None);
        assert_eq!(Report::from_value(&histories::Value::Map(Vec::new()), &cluster(5)), None);
    }
}
