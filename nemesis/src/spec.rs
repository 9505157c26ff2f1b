//! What the user asks of the nemesis: `--nemesis partition,kill:minority,pause@n1+n3`.
//!
//! Items have commas between them: `CLASS`, `CLASS:HOW`, `CLASS@TARGET` or `CLASS:HOW@TARGET`. Several items of one class are one
//! fault that draws one of them each time. `all` is every class, `none` is none.

use crate::Cluster;
use crate::agent::protocol::group::Resource;
use crate::fault::Fault;
use crate::faults::admin;
use crate::faults::admin::AdminFault;
use crate::faults::clock::{ClockFault, Way};
use crate::faults::crash::Crash;
use crate::faults::disk;
use crate::faults::disk::DiskFault;
use crate::faults::membership::MembershipFault;
use crate::faults::packet;
use crate::faults::packet::Packet;
use crate::faults::partition::{Cut, Partition};
use crate::faults::process::{Harm, ProcessFault};
use crate::faults::resources;
use crate::faults::resources::Squeeze;
use crate::faults::support::target::{Choice, Target};
use std::time::Duration;
use thiserror::Error;

/// A class of faults: what it is called, what it does, and how to make it.
pub struct Class {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it does and what may be said about it, for `--help`.
    pub help: &'static str,
    /// Whether a process may end by itself because of it: on a disk that fails, without memory, or because the others let it go.
    pub may_end: bool,
    make: Make,
}

/// Makes the fault of a class from all items that name it.
type Make = fn(&[Item<'_>], &Cluster) -> Result<Box<dyn Fault>, String>;

/// Every class there is. A new fault is a file of its own and a line here.
pub const CLASSES: &[Class] = &[
    Class {
        name: "partition",
        help: "cuts the network between nodes: halves, random-halves, bridge, majorities-ring, one-way, or a TARGET to cut off; with one-way@TARGET the target hears nobody and is heard",
        may_end: false,
        make: |items, cluster| {
            let cuts = items.iter().filter(|item| !item.is_bare()).map(|item| Cut::parse(item.how, item.target, cluster));
            Ok(Box::new(Partition::new(cuts.collect::<Result<_, _>>()?, cluster)?))
        },
    },
    Class {
        name: "packet",
        help: "hurts packets between nodes: delay, jitter, loss, duplicate, reorder, corrupt, rate (also delay=200ms, loss=5%, rate=500kbit), each of a TARGET's packets with loss@TARGET; flaky: one link loses half",
        may_end: false,
        make: |items, cluster| {
            let own = items.iter().filter(|item| !item.is_bare()).map(|item| packet::Item::parse(item.how, item.target, cluster));
            Ok(Box::new(Packet::new(own.collect::<Result<Vec<_>, _>>()?.concat(), cluster)?))
        },
    },
    Class {
        name: "kill",
        help: "kills processes by SIGKILL and starts them again: a TARGET",
        may_end: false,
        make: |items, cluster| Ok(Box::new(ProcessFault::new(Harm::Kill, choice(items, cluster)?))),
    },
    Class {
        name: "stop",
        help: "ends processes by SIGTERM and starts them again: a TARGET",
        may_end: false,
        make: |items, cluster| Ok(Box::new(ProcessFault::new(Harm::Stop, choice(items, cluster)?))),
    },
    Class {
        name: "restart",
        help: "ends processes by SIGTERM and starts them again at once: a TARGET",
        may_end: false,
        make: |items, cluster| Ok(Box::new(ProcessFault::new(Harm::Restart, choice(items, cluster)?))),
    },
    Class {
        name: "pause",
        help: "stops processes by SIGSTOP and lets them run on: a TARGET",
        may_end: false,
        make: |items, cluster| Ok(Box::new(ProcessFault::new(Harm::Pause, choice(items, cluster)?))),
    },
    Class {
        name: "clock",
        help: "changes the time of day that processes see, by the clock of the node where that is its own, else for each process: bump, strobe, drift, or whose clock it is: system, process (also system-bump, process-drift); HOW@TARGET",
        may_end: false,
        make: |items, cluster| {
            let ways: Result<Vec<Way>, String> = items.iter().map(|item| Way::parse(item.how, item.target, cluster)).collect();
            let ways = ways.map(|ways| if ways.is_empty() { Way::parse(None, None, cluster).map(|way| vec![way]) } else { Ok(ways) })?;
            Ok(Box::new(ClockFault::new(ways?)))
        },
    },
    Class {
        name: "disk",
        help: "hurts the disk that the data lies on, which is put on one of its own for that: full, read-only, power-loss; or files on it, where it is certain to notice: bitflip, copy, truncate (also bitflip=0.001, copy=0.1, truncate=4096), or anywhere: bitflip-anywhere, ...; HOW@TARGET, with bitflip@helix each chunk on one node only",
        may_end: true,
        make: |items, cluster| {
            let whole = [Item { class: "disk", how: None, target: None, times: "" }];
            let items = if items.is_empty() { &whole } else { items };
            let ways: Result<Vec<disk::Way>, String> = items.iter().map(|item| disk::Way::parse(item.how, item.target, cluster)).collect();
            Ok(Box::new(DiskFault::new(ways?)))
        },
    },
    Class {
        name: "memory",
        help: "leaves processes 80 % of the memory that they use (memory:50%: another share): a TARGET",
        may_end: true,
        make: |items, cluster| squeeze(Resource::Memory, items, cluster),
    },
    Class {
        name: "cpu",
        help: "leaves processes 5 % of one processor (cpu:20%: another share): a TARGET",
        may_end: false,
        make: |items, cluster| squeeze(Resource::Cpu, items, cluster),
    },
    Class {
        name: "crash",
        help: "cuts the power of whole hosts of a lab and boots them: a TARGET",
        may_end: true,
        make: |items, cluster| Ok(Box::new(Crash::new(choice(items, cluster)?))),
    },
    Class {
        name: "membership",
        help: "removes a member from the cluster and adds it again with empty data: one, primary, or the name of a node",
        may_end: true,
        make: |items, cluster| Ok(Box::new(MembershipFault::new(targets(items, cluster)?, cluster)?)),
    },
    Class {
        name: "admin",
        help: "does what operators do: compact, defragment, move-leader, each with @one, @primary or the name of a node",
        may_end: false,
        make: |items, cluster| {
            let own: Vec<&Item<'_>> = items.iter().filter(|item| !item.is_bare()).collect();
            let items = if own.is_empty() {
                vec![admin::Item::parse(None, None, cluster)?]
            } else {
                own.into_iter().map(|item| admin::Item::parse(item.how, item.target, cluster)).collect::<Result<_, _>>()?
            };
            Ok(Box::new(AdminFault::new(items)))
        },
    },
];

/// Whether a process may end by itself because of faults of a class.
pub fn may_end(class: &str) -> bool {
    CLASSES.iter().any(|known| known.name == class && known.may_end)
}

/// One item: `class:how@target for=1s every=5s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Item<'a> {
    class: &'a str,
    how: Option<&'a str>,
    target: Option<&'a str>,
    /// What stands behind it.
    times: &'a str,
}

/// How long a fault is active, and how often it begins, as far as its item says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// From its start to its end, exactly: `for=50ms`.
    pub lasts: Option<Duration>,
    /// From one start to the next, on average: `every=3s`.
    pub every: Option<Duration>,
}

impl Times {
    /// Reads `for=50ms every=3s`, or nothing.
    fn parse(text: &str) -> Result<Times, String> {
        let mut times = Times::default();
        for word in text.split_whitespace() {
            let (name, length) = word.split_once('=').unwrap_or((word, ""));
            let place = match name {
                "for" => &mut times.lasts,
                "every" => &mut times.every,
                _ => {
                    return Err(format!(
                        "`{word}` is nothing that can stand behind a fault: say how long it lasts, for=50ms, and how often it begins, every=3s"
                    ));
                }
            };
            match humantime::parse_duration(length) {
                Ok(length) if !length.is_zero() && place.is_none() => *place = Some(length),
                Ok(_) if place.is_some() => return Err(format!("`{name}=` is said twice")),
                Ok(_) => return Err(format!("`{word}` is no time: it must be longer than nothing")),
                Err(error) => return Err(format!("`{word}` is no time: {error}; write it like {name}=400ms or {name}=3s")),
            }
        }
        match times {
            Times { lasts: Some(lasts), every: Some(every) } if lasts >= every => {
                Err(format!("it cannot begin again every {every:?} and last {lasts:?} each time"))
            }
            times => Ok(times),
        }
    }
}

/// A class of faults that was asked for.
pub struct Asked {
    /// What it does.
    pub fault: Box<dyn Fault>,
    /// When, as far as it was said.
    pub times: Times,
}

impl<'a> Item<'a> {
    fn parse(text: &'a str) -> Item<'a> {
        // Blanks around `:` and `@` are nobody's concern, so times begin at the first word that can be nothing else.
        let is_time = |word: &str| word.starts_with("for=") || word.starts_with("every=");
        let begin = text.split_whitespace().find(|word| is_time(word)).map(|word| word.as_ptr() as usize - text.as_ptr() as usize);
        let (text, times) = text.split_at(begin.unwrap_or(text.len()));
        let (rest, target) = text.split_once('@').map_or((text, None), |(rest, target)| (rest, Some(target.trim())));
        let (class, how) = rest.split_once(':').map_or((rest, None), |(class, how)| (class, Some(how.trim())));
        Item { class: class.trim(), how, target, times }
    }

    fn is_bare(self) -> bool {
        self.how.is_none() && self.target.is_none()
    }
}

/// A request that makes no sense; the text says what would.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("--nemesis {item}: {why}")]
pub struct SpecError {
    /// The item that makes no sense.
    pub item: String,
    /// Why not, and what to say instead.
    pub why: String,
}

/// Reads what the user asks for and makes the faults, in the order of [`CLASSES`].
pub fn parse(text: &str, cluster: &Cluster) -> Result<Vec<Box<dyn Fault>>, SpecError> {
    Ok(parse_for(text, cluster, &|_| None)?.into_iter().map(|asked| asked.fault).collect())
}

/// The same for a system that cannot be hurt in every way: `lacks` says for the name of a class why it is not there. Such a class is
/// left out of `all`, and refused with the reason if it is named.
pub fn parse_for(text: &str, cluster: &Cluster, lacks: &dyn Fn(&str) -> Option<String>) -> Result<Vec<Asked>, SpecError> {
    let items: Vec<Item<'_>> = text.split(',').map(str::trim).filter(|item| !matches!(*item, "" | "none")).map(Item::parse).collect();
    let everything = items.iter().any(|item| item.class == "all");
    if let Some(item) = items.iter().find(|item| item.class == "all" && (!item.is_bare() || !item.times.is_empty())) {
        return Err(error(item, "`all` takes nothing behind it".into()));
    }
    if let Some(item) = items.iter().find(|item| item.class != "all" && CLASSES.iter().all(|class| class.name != item.class)) {
        let names: Vec<&str> = CLASSES.iter().map(|class| class.name).collect();
        return Err(error(item, format!("there is no such fault: say some of {}, with commas between them, or all", names.join(", "))));
    }
    let mut faults = Vec::new();
    for class in CLASSES {
        let own: Vec<Item<'_>> = items.iter().filter(|item| item.class == class.name).copied().collect();
        match (own.first(), lacks(class.name)) {
            (Some(item), Some(why)) => return Err(error(item, why)),
            (None, Some(_)) => continue,
            (None, None) if !everything => continue,
            _ => {}
        }
        // Each item alone first, so that the error names the one that is wrong.
        for item in &own {
            (class.make)(&[*item], cluster).map_err(|why| error(item, why))?;
        }
        let whole = Item { class: class.name, how: None, target: None, times: "" };
        let times = times(&own)?;
        faults.push(Asked { fault: (class.make)(&own, cluster).map_err(|why| error(&whole, why))?, times });
    }
    Ok(faults)
}

/// The times of a class, of which only one item needs to say them.
fn times(items: &[Item<'_>]) -> Result<Times, SpecError> {
    let mut known: Option<Times> = None;
    for item in items.iter().filter(|item| !item.times.is_empty()) {
        let times = Times::parse(item.times).map_err(|why| error(item, why))?;
        if known.is_some_and(|known| known != times) {
            return Err(error(item, "another item of this class says other times: a class starts and ends as one".into()));
        }
        known = Some(times);
    }
    Ok(known.unwrap_or_default())
}

/// A fault that leaves processes less of something than they want.
fn squeeze(resource: Resource, items: &[Item<'_>], cluster: &Cluster) -> Result<Box<dyn Fault>, String> {
    let way = |how, target| resources::Way::parse(resource, how, target, cluster);
    let ways: Result<Vec<resources::Way>, String> = match items {
        [] => way(None, None).map(|way| vec![way]),
        items => items.iter().map(|item| way(item.how, item.target)).collect(),
    };
    Ok(Box::new(Squeeze::new(resource, ways?)))
}

/// The targets of a fault on processes; the usual ones if none is named.
fn choice(items: &[Item<'_>], cluster: &Cluster) -> Result<Choice, String> {
    targets(items, cluster).map(|targets| Choice::new(targets, cluster.len()))
}

/// The targets that items name: `kill:minority` and `kill@minority` are the same.
fn targets(items: &[Item<'_>], cluster: &Cluster) -> Result<Vec<Target>, String> {
    let mut targets = Vec::new();
    for item in items.iter().filter(|item| !item.is_bare()) {
        let text = match (item.how, item.target) {
            (Some(_), Some(_)) => return Err(format!("`{}` takes one target", item.class)),
            (how, target) => how.or(target).unwrap_or_default(),
        };
        let target = Target::parse(text, cluster)?;
        target.check(cluster.len())?;
        targets.push(target);
    }
    Ok(targets)
}

fn error(item: &Item<'_>, why: String) -> SpecError {
    let how = item.how.map(|how| format!(":{how}")).unwrap_or_default();
    let target = item.target.map(|target| format!("@{target}")).unwrap_or_default();
    let times = if item.times.is_empty() { String::new() } else { format!(" {}", item.times) };
    SpecError { item: format!("{}{how}{target}{times}", item.class), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::tests::cluster;

    fn names(text: &str, n: usize) -> Result<Vec<&'static str>, String> {
        parse(text, &cluster(n)).map(|faults| faults.iter().map(|fault| fault.name()).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn what_makes_sense_is_read() {
        for (text, expected) in [
            ("", &[][..]),
            ("none", &[]),
            ("partition", &["partition"]),
            ("kill, partition", &["partition", "kill"]),
            ("all", &CLASSES.iter().map(|class| class.name).collect::<Vec<_>>()),
            ("kill:minority,kill@n1+n3,pause:all", &["kill", "pause"]),
            ("partition:halves,partition:one,partition:one-way@n2,partition@primary", &["partition"]),
            ("partition:majority,partition:n1+n2", &["partition"]),
            ("clock:bump,clock:strobe@primaries,clock@n1+n2,clock", &["clock"]),
            ("clock:system,clock:process-drift@n1,clock:system-bump", &["clock"]),
            ("partition:bridge,partition:majorities-ring,partition:one-way@primary", &["partition"]),
            ("membership:primary,membership@n2,membership:one", &["membership"]),
            ("admin:compact,admin:move-leader@n2,admin", &["admin"]),
        ] {
            assert_eq!(names(text, 5).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn times_stand_behind_a_fault() {
        let times = |text: &str| parse_for(text, &cluster(5), &|_| None).unwrap().iter().map(|asked| asked.times).collect::<Vec<_>>();
        let ms = |ms| Some(Duration::from_millis(ms));
        assert_eq!(times("kill:one for=50ms every=3s"), [Times { lasts: ms(50), every: ms(3000) }]);
        assert_eq!(times("packet:delay=200ms@n1 every=1m"), [Times { lasts: None, every: ms(60_000) }]);
        assert_eq!(times("kill:n1 for=1s, kill:n2, pause"), [Times { lasts: ms(1000), every: None }, Times::default()]);
        assert_eq!(names("kill:one for=50ms every=3s,pause every=1s", 5).as_deref(), Ok(&["kill", "pause"][..]));
    }

    #[test]
    fn all_is_every_way_of_every_class() {
        let faults = parse("all", &cluster(5)).unwrap();
        let ways: Vec<(&str, usize)> = faults.iter().map(|fault| (fault.name(), fault.ways())).filter(|(_, ways)| *ways > 1).collect();
        assert_eq!(ways, [("partition", 8), ("packet", 8), ("clock", 3), ("disk", 6), ("admin", 3)]);
    }

    #[test]
    fn what_a_system_lacks_is_refused_by_name_and_left_out_of_all() {
        let lacks = |class: &str| (class == "crash").then(|| "there are no hosts".to_owned());
        let names =
            |text: &str| parse_for(text, &cluster(5), &lacks).map(|all| all.iter().map(|asked| asked.fault.name()).collect::<Vec<_>>());
        let all = names("all").unwrap();
        assert!(all.len() == CLASSES.len() - 1 && !all.contains(&"crash"), "{all:?}");
        assert_eq!(names("crash:one,kill").unwrap_err().to_string(), "--nemesis crash:one: there are no hosts");
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_reason() {
        for (text, n, words) in [
            ("earthquake", 5, "--nemesis earthquake: there is no such fault: say some of partition, packet, kill, "),
            ("clock:slow", 5, "--nemesis clock:slow: `slow` is no way for a clock to be wrong: say one of bump, strobe, drift"),
            ("clock:bmup", 5, "--nemesis clock:bmup: `bmup` (did you mean bump?) is no way for a clock to be wrong"),
            ("kill:minorty", 5, "`minorty` (did you mean minority?) is no target"),
            ("partition:bridg", 5, "one-way, bridge, majorities-ring (did you mean bridge?)"),
            ("packet:dely", 5, "`dely` (did you mean delay?) is none of"),
            ("disk:ful", 5, "`ful` (did you mean full?) is nothing that can happen to a disk"),
            ("clock:bump@n9", 5, "`n9` is no target"),
            ("clock@minority-third", 3, "selects no node of 3"),
            ("clock:system-slow", 5, "--nemesis clock:system-slow: `slow` is no way for a clock to be wrong"),
            ("clock:systembump", 5, "`systembump` is no way for a clock to be wrong"),
            ("kill:minority-third", 3, "--nemesis kill:minority-third: `minority-third` selects no node of 3"),
            ("kill,kill:n9", 5, "--nemesis kill:n9: `n9` is no target"),
            ("packet:delay=5", 5, "--nemesis packet:delay=5: `5` is no amount of delay"),
            ("packet", 1, "no link"),
            ("kill:one@n1", 5, "`kill` takes one target"),
            ("kill:", 5, "`` is no target"),
            ("partition:all", 5, "cuts no link"),
            ("partition:n1+n2+n3", 3, "cuts no link"),
            ("partition:halves", 1, "cuts no link"),
            ("partition", 1, "there is no partition of 1 node"),
            ("partition:halves@n1", 5, "takes no target"),
            ("partition:one@n1", 5, "only `one-way` takes a target"),
            ("partition:minority", 2, "selects no node"),
            ("partition:majorities-ring", 3, "cuts no link between 3 nodes"),
            ("partition:bridge", 2, "cuts no link between 2 nodes"),
            ("partition:bridge@n1", 5, "`bridge` takes no target"),
            ("membership", 2, "of 2 nodes none may leave"),
            ("membership:majority", 5, "`majority` is not one node: members leave one at a time"),
            ("membership:n1+n2", 5, "`named nodes` is not one node"),
            ("admin:reboot", 5, "`reboot` is none of compact, defragment, move-leader"),
            ("admin:compact@all", 5, "`all` is not one node"),
            ("partition:ring", 5, "random-halves, one-way, bridge, majorities-ring"),
            ("all:one", 5, "takes nothing behind it"),
            ("all every=3s", 5, "takes nothing behind it"),
            ("kill:one for=soon", 5, "--nemesis kill:one for=soon: `for=soon` is no time"),
            ("kill:one for=0s", 5, "must be longer than nothing"),
            ("kill:one for=1s for=2s", 5, "said twice"),
            ("kill:one for=3s every=3s", 5, "cannot begin again every 3s"),
            ("kill:one for=3s often", 5, "`often` is nothing that can stand behind a fault"),
            ("kill:one for=3s,kill:n2 for=4s", 5, "another item of this class says other times"),
            ("kill:one 3s", 5, "`one 3s` is no target"),
        ] {
            let error = names(text, n).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
