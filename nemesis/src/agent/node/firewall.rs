//! Dropping packets that come in, and handing packets that go out to our queue: a table or chain of our own for each in the node's
//! firewall, and nothing of anybody else's.
//!
//! With `nft`, one table `inet rashomon` (or `rashomon-packets`) is replaced as a whole by one atomic transaction and deleted by name. Where `nft` is
//! missing, one chain `RASHOMON` in front of `INPUT` (or `RASHOMON-PACKETS`, `OUTPUT`) does the same by `iptables-restore --noflush`, for IPv4 and IPv6.
//!
//! Loopback is never dropped, nor IPv6 neighbour discovery: without it a one-way cut would soon cut both ways, because the
//! answers to the cut-off side's own questions would be lost.

use super::packets::queue::{MARK, NUMBER};
use crate::command::Command;
use crate::exec::{Running, find};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

/// A table and chain of ours, and what they do with packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// What comes from some addresses is dropped.
    Cut,
    /// What goes to some addresses is handed to our queue; it passes if nobody takes it.
    Queue,
}

impl Place {
    /// The name of the `nft` table.
    fn table(self) -> &'static str {
        if self == Place::Cut { "rashomon" } else { "rashomon-packets" }
    }

    /// The name of the `iptables` chain.
    fn chain(self) -> &'static str {
        if self == Place::Cut { "RASHOMON" } else { "RASHOMON-PACKETS" }
    }

    /// What of the firewall is ours, in words.
    pub(super) fn names(self, backend: Backend) -> String {
        match backend {
            Backend::Nft => format!("nft table inet {}", self.table()),
            Backend::Iptables => format!("iptables and ip6tables chain {} in front of {}", self.chain(), self.builtin()),
        }
    }

    /// The chain of the firewall's own that leads to ours.
    fn builtin(self) -> &'static str {
        if self == Place::Cut { "INPUT" } else { "OUTPUT" }
    }
}

/// How long a firewall tool may take: it may wait for the lock of another.
const TOOL_WITHIN: Duration = Duration::from_secs(3);

/// How packets are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// `nft`.
    Nft,
    /// `iptables` and `ip6tables`.
    Iptables,
}

/// A journal entry: packets are dropped in this way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// With what.
    pub backend: Backend,
}

/// The firewall tools of the node.
#[derive(Clone, Debug)]
pub(super) struct Firewall {
    nft: Option<String>,
    /// By address family: `iptables`, `ip6tables`.
    iptables: [Option<String>; 2],
    running: Running,
}

impl Firewall {
    /// Looks which tools there are.
    pub(super) fn find(running: Running) -> Firewall {
        Firewall { nft: find("nft"), iptables: [find("iptables"), find("ip6tables")], running }
    }

    /// What would be used to drop packets from these addresses.
    pub(super) fn backend(&self, addresses: &[IpAddr]) -> Result<Backend, String> {
        let need = |v6: bool| addresses.iter().any(|address| address.is_ipv6() == v6);
        if self.nft.is_some() {
            return Ok(Backend::Nft);
        }
        if (0..2).all(|v6| !need(v6 == 1) || self.iptables[v6].is_some()) {
            return Ok(Backend::Iptables);
        }
        Err("neither nft nor iptables (and ip6tables, for IPv6) is on this node: install the package nftables, or iptables".into())
    }

    /// What could hand packets to these addresses to our queue, as far as tools are there: some kernels know it by one tool only.
    pub(super) fn queue_backends(&self, addresses: &[IpAddr]) -> Vec<Backend> {
        let without_nft = Firewall { nft: None, ..self.clone() };
        let both = [self.backend(addresses), without_nft.backend(addresses)];
        let mut found: Vec<Backend> = both.into_iter().filter_map(Result::ok).collect();
        found.dedup();
        found
    }

    /// Drops all from these addresses and from no others.
    pub(super) fn cut(&self, backend: Backend, addresses: &[IpAddr]) -> Result<(), String> {
        self.apply(Place::Cut, backend, addresses)
    }

    /// Hands all to these addresses to our queue.
    pub(super) fn queue(&self, backend: Backend, addresses: &[IpAddr]) -> Result<(), String> {
        self.apply(Place::Queue, backend, addresses)
    }

    fn apply(&self, place: Place, backend: Backend, addresses: &[IpAddr]) -> Result<(), String> {
        match backend {
            Backend::Nft => self.nft(&nft_script(place, addresses)),
            Backend::Iptables => (0..2).try_for_each(|v6| self.iptables_apply(place, v6, addresses)),
        }
    }

    /// Removes every trace of what drops. No harm if there is none.
    pub(super) fn clear(&self, backend: Backend) -> Result<(), String> {
        self.remove(Place::Cut, backend)
    }

    /// Removes every trace of what hands over. No harm if there is none.
    pub(super) fn clear_queue(&self, backend: Backend) -> Result<(), String> {
        self.remove(Place::Queue, backend)
    }

    fn remove(&self, place: Place, backend: Backend) -> Result<(), String> {
        let table = place.table();
        match backend {
            // Adding it first makes deleting it succeed, in the same transaction, whether it was there or not.
            Backend::Nft => self.nft(&format!("add table inet {table}\ndelete table inet {table}\n")),
            Backend::Iptables => (0..2).try_for_each(|v6| self.iptables_clear(place, v6)),
        }
    }

    /// Whether there is no `filter` table of iptables yet, by family: its first rule makes one, which does not go with the rule.
    pub(super) fn lacks_filter_table(&self, backend: Backend) -> [bool; 2] {
        ["ip", "ip6"].map(|family| backend == Backend::Iptables && self.nft.is_some() && self.filter_table(family).is_none())
    }

    /// Removes `filter` tables in which nothing is left but the chains that the tool makes by itself.
    pub(super) fn remove_filter_table(&self, families: [bool; 2]) -> Result<(), String> {
        let Some(nft) = &self.nft else { return Ok(()) };
        for (family, _) in ["ip", "ip6"].into_iter().zip(families).filter(|(_, ours)| *ours) {
            let is_bare = |line: &str| {
                let builtin = ["INPUT", "FORWARD", "OUTPUT"].iter().any(|chain| line == format!("chain {chain} {{"));
                builtin
                    || line == "}"
                    || line.starts_with("table ")
                    || line.starts_with("type filter hook ") && line.ends_with("policy accept;")
            };
            let text = self.filter_table(family);
            if text.is_some_and(|text| text.lines().map(str::trim).filter(|line| !line.is_empty()).all(is_bare)) {
                self.run(&[nft, "delete", "table", family, "filter"], "")?;
            }
        }
        Ok(())
    }

    /// The `filter` table as `nft` shows it, with what only iptables understands as comments; `None` if there is none.
    fn filter_table(&self, family: &str) -> Option<String> {
        let command = Command::new([self.nft.as_ref()?, "list", "table", family, "filter"]).timeout(TOOL_WITHIN);
        self.running.run(&command, Path::new("/")).ok().filter(crate::Output::success).map(|output| output.text())
    }

    /// Whether an nft table of ours is there: that which drops, that which hands over.
    pub(super) fn has_tables(&self) -> [bool; 2] {
        let Some(nft) = &self.nft else { return [false; 2] };
        [Place::Cut, Place::Queue].map(|place| self.run(&[nft, "list", "table", "inet", place.table()], "").is_ok())
    }

    fn nft(&self, script: &str) -> Result<(), String> {
        let Some(nft) = &self.nft else { return Err("nft is no longer on this node".into()) };
        self.run(&[nft, "-f", "-"], script)
    }

    fn iptables_apply(&self, place: Place, v6: usize, addresses: &[IpAddr]) -> Result<(), String> {
        let addresses: Vec<&IpAddr> = addresses.iter().filter(|address| address.is_ipv6() == (v6 == 1)).collect();
        let Some(tool) = &self.iptables[v6] else {
            return if addresses.is_empty() { Ok(()) } else { Err("ip6tables is not on this node: install the package iptables".into()) };
        };
        if addresses.is_empty() {
            return self.iptables_clear(place, v6);
        }
        // Naming the chain empties it; the rest of the table stays. The jump is added last and once.
        let (chain, builtin) = (place.chain(), place.builtin());
        let jump = self.run(&[tool, "-w", "2", "-C", builtin, "-j", chain], "").is_err();
        let (loopback, side, verdict) = match place {
            Place::Cut => ("-i lo", "-s", "DROP".to_owned()),
            Place::Queue => ("-o lo", "-d", format!("NFQUEUE --queue-num {NUMBER} --queue-bypass")),
        };
        let mut script = format!("*filter\n:{chain} - [0:0]\n-A {chain} {loopback} -j RETURN\n");
        if place == Place::Queue {
            let _ = writeln!(script, "-A {chain} -m mark --mark {MARK:#x} -j RETURN");
        }
        if v6 == 1 {
            for kind in ["neighbour-solicitation", "neighbour-advertisement"] {
                let _ = writeln!(script, "-A {chain} -p ipv6-icmp --icmpv6-type {kind} -j RETURN");
            }
        }
        for address in addresses {
            let _ = writeln!(script, "-A {chain} {side} {address} -j {verdict}");
        }
        if jump {
            let _ = writeln!(script, "-I {builtin} 1 -j {chain}");
        }
        script.push_str("COMMIT\n");
        self.run(&[&format!("{tool}-restore"), "-w", "2", "--noflush"], &script)
    }

    fn iptables_clear(&self, place: Place, v6: usize) -> Result<(), String> {
        let Some(tool) = &self.iptables[v6] else { return Ok(()) };
        let (chain, builtin) = (place.chain(), place.builtin());
        if self.run(&[tool, "-w", "2", "-n", "-L", chain], "").is_err() {
            return Ok(());
        }
        // Somebody may have restored a snapshot with our jump in it: remove them all, but not for ever.
        for _ in 0..16 {
            if self.run(&[tool, "-w", "2", "-D", builtin, "-j", chain], "").is_err() {
                break;
            }
        }
        self.run(&[tool, "-w", "2", "-F", chain], "")?;
        self.run(&[tool, "-w", "2", "-X", chain], "")
    }

    fn run(&self, argv: &[&str], stdin: &str) -> Result<(), String> {
        let command = Command::new(argv.iter().copied()).stdin(stdin).timeout(TOOL_WITHIN);
        let output = self.running.run(&command, Path::new("/"))?;
        if output.success() {
            return Ok(());
        }
        let complaint = output.complaint();
        let denied = complaint.contains("not permitted") || complaint.contains("Permission denied");
        let hint = if denied { "; cutting the network needs root: log in as root, or use sudo" } else { "" };
        Err(format!("`{command}` failed: {complaint}{hint}"))
    }
}

/// Replaces our table as a whole.
fn nft_script(place: Place, addresses: &[IpAddr]) -> String {
    let table = place.table();
    let set = |name: &str, kind: &str, v6: bool| {
        let elements: Vec<String> = addresses.iter().filter(|a| a.is_ipv6() == v6).map(ToString::to_string).collect();
        let elements = if elements.is_empty() { String::new() } else { format!(" elements = {{ {} }};", elements.join(", ")) };
        format!("  set {name} {{ type {kind};{elements} }}\n")
    };
    let (hook, loopback, side, verdict) = match place {
        Place::Cut => ("input", "iifname \"lo\" accept".to_owned(), "saddr", "drop".to_owned()),
        Place::Queue => {
            ("output", format!("oifname \"lo\" accept\n    meta mark {MARK:#x} accept"), "daddr", format!("queue num {NUMBER} bypass"))
        }
    };
    let mut script = format!("add table inet {table}\ndelete table inet {table}\ntable inet {table} {{\n");
    script += &set("peers4", "ipv4_addr", false);
    script += &set("peers6", "ipv6_addr", true);
    let _ = write!(script, "  chain {hook} {{\n    type filter hook {hook} priority -10; policy accept;\n    {loopback}\n");
    script += "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n";
    let _ = write!(script, "    ip {side} @peers4 {verdict}\n    ip6 {side} @peers6 {verdict}\n  }}\n}}\n");
    script
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::thread::UnshareFlags;
    use std::io::Write as _;
    use std::sync::mpsc;
    use std::thread;

    const FOREIGN: &str = "table inet foreign { set s { type ipv4_addr; elements = { 192.0.2.77 } }\n chain input { type filter hook input priority 0; policy accept; ip saddr @s drop; }\n}\n";

    /// Runs a test in a network namespace of its own, which only this thread and the processes it starts are in.
    fn in_own_network(tools: &[&str], test: impl FnOnce() + Send + 'static) {
        let name = thread::current().name().unwrap_or_default().to_owned();
        let missing = tools.iter().find(|tool| find(tool).is_none());
        let (told, why_not) = mpsc::channel();
        let missing = missing.map(|tool| format!("there is no {tool}"));
        let done = thread::spawn(move || {
            // SAFETY: only this thread leaves the network namespace; no other relies on sharing it.
            #[allow(unsafe_code, reason = "a namespace for one thread")]
            let left = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) };
            match (left, missing) {
                (Ok(()), None) => test(),
                (Err(error), _) => told.send(format!("a network namespace needs root: {error}")).unwrap(),
                (_, Some(missing)) => told.send(missing).unwrap(),
            }
        });
        if let Err(panic) = done.join() {
            std::panic::resume_unwind(panic);
        }
        if let Ok(why) = why_not.recv() {
            let required = std::env::var("RASHOMON_REQUIRE").is_ok_and(|parts| parts.split(',').any(|part| part == "lab"));
            assert!(!required, "{name} cannot run, but RASHOMON_REQUIRE asks for it: {why}");
            // Not by eprintln: the output of a test that passes is thrown away.
            let _ = writeln!(std::io::stderr(), "NOT RUN: {name}: {why}");
        }
    }

    fn output(argv: &[&str]) -> String {
        let output = Running::default().run(&Command::new(argv.iter().copied()), Path::new("/")).unwrap();
        assert!(output.success(), "{argv:?}: {}", output.complaint());
        output.text()
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn nft_rules_of_others_are_left_as_they_were() {
        in_own_network(&["nft"], || {
            let firewall = Firewall::find(Running::default());
            firewall.run(&["nft", "-f", "-"], FOREIGN).unwrap();
            let before = output(&["nft", "list", "ruleset"]);
            firewall.clear(Backend::Nft).unwrap();
            assert_eq!(firewall.has_tables(), [false, false]);
            for addresses in [ips(&["10.0.0.1", "fd00::1", "10.0.0.2"]), ips(&["10.0.0.3"]), ips(&["fd00::2"]), ips(&[])] {
                firewall.cut(Backend::Nft, &addresses).unwrap();
                let ours = output(&["nft", "list", "table", "inet", "rashomon"]);
                assert!(addresses.iter().all(|address| ours.contains(&address.to_string())), "{ours}");
                assert_eq!(
                    ours.matches("10.0.0.1").count(),
                    usize::from(addresses.contains(&ips(&["10.0.0.1"])[0])),
                    "the set before is gone: {ours}"
                );
                assert!(ours.contains("priority filter - 10") || ours.contains("priority -10"), "{ours}");
                assert_eq!(firewall.has_tables(), [true, false]);
            }
            for _ in 0..2 {
                firewall.clear(Backend::Nft).unwrap();
                assert_eq!(output(&["nft", "list", "ruleset"]), before);
            }
        });
    }

    #[test]
    fn iptables_rules_of_others_are_left_as_they_were() {
        in_own_network(&["iptables", "ip6tables", "iptables-save", "ip6tables-save"], || {
            let firewall = Firewall { nft: None, ..Firewall::find(Running::default()) };
            let backend = firewall.backend(&ips(&["10.0.0.1", "fd00::1"])).unwrap();
            assert_eq!(backend, Backend::Iptables);
            for tool in ["iptables", "ip6tables"] {
                output(&[tool, "-A", "INPUT", "-p", "tcp", "--dport", "9", "-j", "ACCEPT"]);
                output(&[tool, "-N", "FOREIGN"]);
            }
            // Without the counters and dates, which change by themselves.
            let rules = || {
                let all = output(&["iptables-save"]) + &output(&["ip6tables-save"]);
                let counts = |line: &&str| line.starts_with('-') || line.starts_with(":FOREIGN") || line.contains("RASHOMON");
                all.lines().filter(counts).collect::<Vec<_>>().join("\n")
            };
            let before = rules();
            assert!(before.contains("FOREIGN") && before.contains("--dport 9"), "{before}");
            firewall.clear(backend).unwrap();
            for addresses in [ips(&["10.0.0.1", "fd00::1", "10.0.0.2"]), ips(&["10.0.0.3"]), ips(&["fd00::2"])] {
                firewall.cut(backend, &addresses).unwrap();
                let now = rules();
                assert_eq!(now.matches("-j DROP").count(), addresses.len(), "{now}");
                assert_eq!(now.matches("-A INPUT -j RASHOMON").count(), if addresses.len() == 3 { 2 } else { 1 }, "{now}");
                let first = now.lines().find(|line| line.starts_with("-A INPUT")).unwrap();
                assert!(first.contains("RASHOMON") || addresses.len() == 1, "ours comes first: {now}");
            }
            for _ in 0..2 {
                firewall.clear(backend).unwrap();
                assert_eq!(rules(), before);
            }
        });
    }

    #[test]
    fn packets_are_handed_over_beside_what_is_dropped_and_each_is_removed_alone() {
        in_own_network(&["nft", "iptables", "ip6tables", "iptables-save", "ip6tables-save"], || {
            let firewall = Firewall::find(Running::default());
            let rules = || output(&["iptables-save"]) + &output(&["ip6tables-save"]);
            let ours = || rules().lines().filter(|line| line.contains("RASHOMON")).count();
            let peers = ips(&["10.0.0.1", "fd00::1"]);
            assert!(firewall.queue_backends(&peers).contains(&Backend::Iptables));
            firewall.cut(Backend::Iptables, &peers).unwrap();
            let cut_alone = ours();
            for _ in 0..2 {
                firewall.queue(Backend::Iptables, &peers).unwrap();
                let now = rules();
                assert_eq!(now.matches("-j NFQUEUE --queue-num 21075 --queue-bypass").count(), 2, "{now}");
                assert_eq!(now.matches("-A OUTPUT -j RASHOMON-PACKETS").count(), 2, "{now}");
            }
            for _ in 0..2 {
                firewall.clear_queue(Backend::Iptables).unwrap();
                assert_eq!(ours(), cut_alone);
            }
            firewall.clear(Backend::Iptables).unwrap();
            assert_eq!(ours(), 0);
            // The table that the first rule made goes with the last one, unless somebody else has a rule in it by then.
            let nft = || output(&["nft", "list", "ruleset"]);
            for foreign in [true, false] {
                let foreign_rule = if foreign { "-A" } else { "-D" };
                output(&["iptables", foreign_rule, "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "DROP"]);
                firewall.remove_filter_table([true, true]).unwrap();
                assert_eq!((nft().contains("table ip filter"), nft().contains("table ip6 filter")), (foreign, false), "{}", nft());
            }
            assert_eq!(firewall.lacks_filter_table(Backend::Iptables), [true, true]);
            assert_eq!(firewall.lacks_filter_table(Backend::Nft), [false, false]);
        });
    }

    #[test]
    fn the_script_that_hands_over_spares_loopback_discovery_and_what_was_handed_over_before() {
        let script = nft_script(Place::Queue, &ips(&["10.0.0.1", "fd00::1"]));
        let rules = [
            "oifname \"lo\" accept",
            "meta mark 0x5253 accept",
            "icmpv6 type",
            "ip daddr @peers4 queue num 21075 bypass",
            "ip6 daddr @peers6 queue",
        ];
        let places: Vec<usize> = rules.iter().map(|rule| script.find(rule).unwrap()).collect();
        assert!(places.is_sorted() && script.contains("type filter hook output"), "{script}");
    }

    #[test]
    fn missing_tools_are_named() {
        let none = Firewall { nft: None, iptables: [None, None], running: Running::default() };
        let error = none.backend(&ips(&["10.0.0.1"])).unwrap_err();
        assert!(error.contains("install the package nftables"), "{error}");
        let v4_only = Firewall { iptables: [Some("iptables".into()), None], ..none };
        assert_eq!(v4_only.backend(&ips(&["10.0.0.1"])), Ok(Backend::Iptables));
        assert!(v4_only.backend(&ips(&["fd00::1"])).unwrap_err().contains("ip6tables"));
    }

    #[test]
    fn a_tool_that_fails_says_what_and_why() {
        let script = |text: &str| {
            Firewall { nft: Some("sh".into()), iptables: [None, None], running: Running::default() }.run(&["sh", "-c", text], "")
        };
        let error = script("echo 'Operation not permitted' >&2; exit 1").unwrap_err();
        assert!(error.contains("exit status 1") && error.contains("needs root"), "{error}");
        assert!(!script("echo no >&2; exit 1").unwrap_err().contains("root"));
    }
}
