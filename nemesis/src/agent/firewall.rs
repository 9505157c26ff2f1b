//! Dropping packets: a table or chain of our own in the node's firewall, and nothing of anybody else's.
//!
//! With `nft`, one table `inet rashomon` is replaced as a whole by one atomic transaction and deleted by name. Where `nft` is
//! missing, one chain `RASHOMON` in front of `INPUT` does the same by `iptables-restore --noflush`, for IPv4 and IPv6.
//!
//! Loopback is never dropped, nor IPv6 neighbour discovery: without it a one-way cut would soon cut both ways, because the
//! answers to the cut-off side's own questions would be lost.

use super::exec::{Running, find};
use crate::command::Command;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

const TABLE: &str = "rashomon";
const CHAIN: &str = "RASHOMON";

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

    /// Drops all from these addresses and from no others.
    pub(super) fn cut(&self, backend: Backend, addresses: &[IpAddr]) -> Result<(), String> {
        match backend {
            Backend::Nft => self.nft(&nft_script(addresses)),
            Backend::Iptables => (0..2).try_for_each(|v6| self.iptables_cut(v6, addresses)),
        }
    }

    /// Removes every trace of ours. No harm if there is none.
    pub(super) fn clear(&self, backend: Backend) -> Result<(), String> {
        match backend {
            // Adding it first makes deleting it succeed, in the same transaction, whether it was there or not.
            Backend::Nft => self.nft(&format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")),
            Backend::Iptables => (0..2).try_for_each(|v6| self.iptables_clear(v6)),
        }
    }

    /// Whether our nft table is there although no journal says so.
    pub(super) fn has_table(&self) -> bool {
        let Some(nft) = &self.nft else { return false };
        self.run(&[nft, "list", "table", "inet", TABLE], "").is_ok()
    }

    fn nft(&self, script: &str) -> Result<(), String> {
        let Some(nft) = &self.nft else { return Err("nft is no longer on this node".into()) };
        self.run(&[nft, "-f", "-"], script)
    }

    fn iptables_cut(&self, v6: usize, addresses: &[IpAddr]) -> Result<(), String> {
        let addresses: Vec<&IpAddr> = addresses.iter().filter(|address| address.is_ipv6() == (v6 == 1)).collect();
        let Some(tool) = &self.iptables[v6] else {
            return if addresses.is_empty() { Ok(()) } else { Err("ip6tables is not on this node: install the package iptables".into()) };
        };
        if addresses.is_empty() {
            return self.iptables_clear(v6);
        }
        // Naming the chain empties it; the rest of the table stays. The jump is added last and once.
        let jump = self.run(&[tool, "-w", "2", "-C", "INPUT", "-j", CHAIN], "").is_err();
        let mut script = format!("*filter\n:{CHAIN} - [0:0]\n-A {CHAIN} -i lo -j RETURN\n");
        if v6 == 1 {
            for kind in ["neighbour-solicitation", "neighbour-advertisement"] {
                let _ = writeln!(script, "-A {CHAIN} -p ipv6-icmp --icmpv6-type {kind} -j RETURN");
            }
        }
        for address in addresses {
            let _ = writeln!(script, "-A {CHAIN} -s {address} -j DROP");
        }
        if jump {
            let _ = writeln!(script, "-I INPUT 1 -j {CHAIN}");
        }
        script.push_str("COMMIT\n");
        self.run(&[&format!("{tool}-restore"), "-w", "2", "--noflush"], &script)
    }

    fn iptables_clear(&self, v6: usize) -> Result<(), String> {
        let Some(tool) = &self.iptables[v6] else { return Ok(()) };
        if self.run(&[tool, "-w", "2", "-n", "-L", CHAIN], "").is_err() {
            return Ok(());
        }
        // Somebody may have restored a snapshot with our jump in it: remove them all, but not for ever.
        for _ in 0..16 {
            if self.run(&[tool, "-w", "2", "-D", "INPUT", "-j", CHAIN], "").is_err() {
                break;
            }
        }
        self.run(&[tool, "-w", "2", "-F", CHAIN], "")?;
        self.run(&[tool, "-w", "2", "-X", CHAIN], "")
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
fn nft_script(addresses: &[IpAddr]) -> String {
    let set = |name: &str, kind: &str, v6: bool| {
        let elements: Vec<String> = addresses.iter().filter(|a| a.is_ipv6() == v6).map(ToString::to_string).collect();
        let elements = if elements.is_empty() { String::new() } else { format!(" elements = {{ {} }};", elements.join(", ")) };
        format!("  set {name} {{ type {kind};{elements} }}\n")
    };
    let mut script = format!("add table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n");
    script += &set("from4", "ipv4_addr", false);
    script += &set("from6", "ipv6_addr", true);
    script += "  chain input {\n    type filter hook input priority -10; policy accept;\n    iifname \"lo\" accept\n";
    script += "    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\n";
    script += "    ip saddr @from4 drop\n    ip6 saddr @from6 drop\n  }\n}\n";
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
            assert!(!firewall.has_table());
            for addresses in [ips(&["10.0.0.1", "fd00::1", "10.0.0.2"]), ips(&["10.0.0.3"]), ips(&["fd00::2"]), ips(&[])] {
                firewall.cut(Backend::Nft, &addresses).unwrap();
                let ours = output(&["nft", "list", "table", "inet", TABLE]);
                assert!(addresses.iter().all(|address| ours.contains(&address.to_string())), "{ours}");
                assert_eq!(
                    ours.matches("10.0.0.1").count(),
                    usize::from(addresses.contains(&ips(&["10.0.0.1"])[0])),
                    "the set before is gone: {ours}"
                );
                assert!(ours.contains("priority filter - 10") || ours.contains("priority -10"), "{ours}");
                assert!(firewall.has_table());
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
                let counts = |line: &&str| line.starts_with('-') || line.starts_with(":FOREIGN") || line.contains(CHAIN);
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
                assert!(first.contains(CHAIN) || addresses.len() == 1, "ours comes first: {now}");
            }
            for _ in 0..2 {
                firewall.clear(backend).unwrap();
                assert_eq!(rules(), before);
            }
        });
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
