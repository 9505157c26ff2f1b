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
