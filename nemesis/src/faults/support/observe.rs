//! Looking whether a fault took effect, or is gone: from outside what did it, with a bound on time.

use crate::fault::Context;
use crate::faults::support::grudge::Grudge;
use crate::report::Seen;
use crate::{Hosts, Network, Node, NodeError, ProcessState};
use std::time::{Duration, Instant};

/// How long a fault is given to show.
const SHOWS_WITHIN: Duration = Duration::from_secs(2);

/// How long what is looked at by several commands is given.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// How long links are given of which an end does not answer: it may be killed or paused for much longer than this.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);

/// The pause between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The most probes in flight at once.
const PROBES_MAX: usize = 64;

/// Looks at the processes of some nodes until `wanted` holds for each, or time is over.
pub(crate) fn processes(context: &Context, nodes: &[usize], wanted: impl Fn(ProcessState) -> bool + Sync) -> Seen {
    let looks = context.cluster.on(nodes, |node| {
        let deadline = Instant::now() + SHOWS_WITHIN;
        loop {
            let look = context.database.state(node);
            let good = look.as_ref().is_ok_and(|&state| wanted(state));
            if good || Instant::now() >= deadline {
                let said = look.map_or_else(|error| error.to_string(), |state| format!("{} {}", node.name, word(state)));
                return (good, said);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    });
    let observed = !looks.is_empty() && looks.iter().all(|(good, _)| *good);
    Seen { observed, what: looks.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(", ") }
}

/// Looks at some nodes until each is as it should be, or time is over.
pub(crate) fn look_until(context: &Context, nodes: &[usize], look: impl Fn(&Node) -> Result<(bool, String), NodeError> + Sync) -> Seen {
    let looks = context.cluster.on(nodes, |node| {
        let deadline = Instant::now() + SETTLES_WITHIN;
        loop {
            let (good, said) = look(node).unwrap_or_else(|error| (false, error.to_string()));
            if good || Instant::now() >= deadline {
                return (good, said);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    });
    let observed = !looks.is_empty() && looks.iter().all(|(good, _)| *good);
    Seen { observed, what: looks.into_iter().map(|(_, said)| said).collect::<Vec<_>>().join(", ") }
}

/// What tells the process of each node from the next; an error counts as none.
pub(crate) fn incarnations(context: &Context, nodes: &[usize]) -> Vec<Option<String>> {
    context.cluster.on(nodes, |node| context.database.incarnation(node).ok().flatten())
}

/// Looks until another process than `before` runs on each of some nodes, or time is over.
pub(crate) fn restarted(context: &Context, nodes: &[usize], before: &[Option<String>]) -> Seen {
    let deadline = Instant::now() + SHOWS_WITHIN;
    loop {
        let now = incarnations(context, nodes);
        let is_new = |i: usize| now[i].is_some() && before[i].is_some() && now[i] != before[i];
        let observed = !nodes.is_empty() && (0..nodes.len()).all(is_new);
        if observed || Instant::now() >= deadline {
            let process = |of: &Option<String>| of.clone().unwrap_or_else(|| "no process".into());
            let told = (0..nodes.len()).map(|i| {
                let name = context.cluster.names(&[nodes[i]]);
                if is_new(i) {
                    format!("{name} runs anew")
                } else {
                    format!("{name}: {} before and {} now", process(&before[i]), process(&now[i]))
                }
            });
            return Seen { observed, what: told.collect::<Vec<_>>().join(", ") };
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Looks until every host of these answers, or none does, or time is over.
pub(crate) fn hosts(context: &Context, hosts: &dyn Hosts, nodes: &[usize], up: bool) -> Seen {
    let deadline = Instant::now() + SHOWS_WITHIN;
    loop {
        let answers = context.cluster.on(nodes, |node| hosts.answers(node));
        let observed = !nodes.is_empty() && answers.iter().all(|&answers| answers == up);
        if observed || Instant::now() >= deadline {
            let told = nodes.iter().zip(answers).map(|(&node, answers)| {
                format!("{} {}", context.cluster.names(&[node]), if answers { "answers" } else { "does not answer" })
            });
            return Seen { observed, what: told.collect::<Vec<_>>().join(", ") };
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The nodes that say they lead; asked for a while if none does, because one may be about to be elected.
pub(crate) fn primaries(context: &Context) -> Vec<usize> {
    if !context.database.has_primaries() {
        return Vec::new();
    }
    let deadline = Instant::now() + SHOWS_WITHIN;
    loop {
        let primaries = context.database.primaries(&context.cluster);
        if !primaries.is_empty() || Instant::now() >= deadline {
            return primaries;
        }
        std::thread::sleep(2 * LOOK_EVERY);
    }
}

fn word(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Running => "runs",
        ProcessState::Paused => "is paused",
        ProcessState::Down => "is down",
    }
}

/// What a probe of one link told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Heard,
    Silent,
    /// It could not be tried: an end of the link does not answer.
    Untried,
}

struct Link {
    from: usize,
    to: usize,
    cut: bool,
    told: Probe,
}

impl Link {
    fn as_wanted(&self) -> bool {
        self.told == if self.cut { Probe::Silent } else { Probe::Heard }
    }
}

/// Probes all links until the cut ones are silent and the others heard, or time is over. The cut counts as observed if
/// every cut link that could be tried is silent (and at least one could), and not simply everything is silent. Links of hosts that
/// are off are left out: they are silent without any cut.
pub(crate) fn cut(context: &Context, grudge: &Grudge) -> Seen {
    let off = context.off();
    let links = probe_until_as_wanted(context, grudge.links().filter(|(from, to, _)| !off.contains(from) && !off.contains(to)));
    let tried = |cut: bool| links.iter().filter(move |link| link.cut == cut && link.told != Probe::Untried);
    let silent = tried(true).filter(|link| link.as_wanted()).count();
    let heard = tried(false).filter(|link| link.as_wanted()).count();
    let probes_work = heard > 0 || tried(false).count() == 0;
    let observed = silent > 0 && silent == tried(true).count() && probes_work;
    Seen { observed, what: tell(context, &links) }
}

/// An error unless every link is heard: what is silent without any fault cannot be seen to fall silent.
pub(crate) fn all_heard(context: &Context) -> Result<(), NodeError> {
    let links = probe_until_as_wanted(context, Grudge::none(context.cluster.len()).links());
    let Some(link) = links.iter().find(|link| !link.as_wanted()) else { return Ok(()) };
    let (from, to) = (&context.cluster.nodes[link.from], &context.cluster.nodes[link.to]);
    match context.network.probe(from, to) {
        Ok(true) => Ok(()),
        Ok(false) => Err(NodeError::new(
            &to.name,
            format!(
                "does not hear {} although no fault is active: a partition could not be told from this. Probes are UDP datagrams between the nodes: let them pass the nodes' firewalls, or leave out `partition`",
                from.name
            ),
        )),
        Err(error) => Err(error),
    }
}

/// Probes the links that were cut until all are heard again, or time is over. Links of which an end does not answer do not
/// count, but at least one must be heard.
pub(crate) fn healed(context: &Context, was: &Grudge) -> Seen {
    let off = context.off();
    let was_cut = |(from, to, cut): &(usize, usize, bool)| *cut && !off.contains(from) && !off.contains(to);
    let links = probe_until_as_wanted(context, was.links().filter(was_cut).map(|(from, to, _)| (from, to, false)));
    let heard = links.iter().filter(|link| link.told == Probe::Heard).count();
    let silent = links.iter().filter(|link| link.told == Probe::Silent).count();
    Seen { observed: links.is_empty() || heard > 0 && silent == 0, what: tell(context, &links) }
}

fn probe_until_as_wanted(context: &Context, links: impl Iterator<Item = (usize, usize, bool)>) -> Vec<Link> {
    let mut links: Vec<Link> = links.map(|(from, to, cut)| Link { from, to, cut, told: Probe::Untried }).collect();
    let start = Instant::now();
    loop {
        let mut open: Vec<&mut Link> = links.iter_mut().filter(|link| !link.as_wanted()).collect();
        if open.is_empty() {
            return links;
        }
        probe(context, &mut open);
        let untried_only = open.iter().all(|link| link.as_wanted() || link.told == Probe::Untried);
        if start.elapsed() >= if untried_only { ANSWERS_WITHIN } else { SHOWS_WITHIN } {
            return links;
        }
        if open.iter().any(|link| !link.as_wanted()) {
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Probes links, many at once.
fn probe(context: &Context, links: &mut [&mut Link]) {
    let (network, nodes): (&dyn Network, &[Node]) = (&*context.network, &context.cluster.nodes);
    for batch in links.chunks_mut(PROBES_MAX) {
        std::thread::scope(|scope| {
            for link in batch {
                scope.spawn(move || {
                    link.told = match network.probe(&nodes[link.from], &nodes[link.to]) {
                        Ok(true) => Probe::Heard,
                        Ok(false) => Probe::Silent,
                        Err(_) => Probe::Untried,
                    };
                });
            }
        });
    }
}

/// `12 of 12 cut links silent, 8 of 8 others heard`, and which links are not as they should be.
fn tell(context: &Context, links: &[Link]) -> String {
    let count = |cut: bool| (links.iter().filter(|l| l.cut == cut && l.as_wanted()).count(), links.iter().filter(|l| l.cut == cut).count());
    let mut parts = Vec::new();
    for (cut, words) in [(true, "cut links silent"), (false, "other links heard")] {
        let (good, all) = count(cut);
        if all > 0 {
            let words = if cut || links.iter().any(|link| link.cut) { words } else { "links heard again" };
            parts.push(format!("{good} of {all} {words}"));
        }
    }
    let name = |i: usize| &context.cluster.nodes[i].name;
    let odd = links.iter().filter(|link| !link.as_wanted()).take(4).map(|link| {
        let told = match link.told {
            Probe::Heard => "still hears",
            Probe::Silent => "does not hear",
            Probe::Untried => "could not be asked whether it hears",
        };
        format!("{} {told} {}", name(link.to), name(link.from))
    });
    parts.extend(odd);
    parts.join(", ")
}
