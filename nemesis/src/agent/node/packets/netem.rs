//! Shaping by the kernel: a `prio` qdisc at the root of a device, a `netem` in a band of its own below it, and a filter per peer
//! that leads there. All other traffic passes the bands that it always had.
//!
//! It is used only on a device whose root qdisc is the kernel's default one (its handle is `0:`): removing ours brings exactly that
//! back. A device with qdiscs of somebody else is left alone; packets are then shaped in user space.

use crate::agent::protocol::traffic::{Shape, Thousandths};
use crate::command::Command;
use crate::exec::{Running, find};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// The handle of our qdisc.
const HANDLE: &str = "5253:";
/// The band that leads to netem, and netem's own handle.
const BAND: &str = "5253:4";
const NETEM: &str = "5254:";
const TOOL_WITHIN: Duration = Duration::from_secs(3);

/// `tc`, and whether the kernel is known to lack netem.
pub(in crate::agent) struct Netem {
    tc: Option<String>,
    ip: Option<String>,
    running: Running,
    lacking: Mutex<Option<String>>,
}

impl Netem {
    pub(in crate::agent) fn find(running: Running) -> Netem {
        Netem { tc: find("tc"), ip: find("ip"), running, lacking: Mutex::new(None) }
    }

    /// The devices by which these addresses are reached, if netem may be used on each; why not, otherwise.
    pub(in crate::agent) fn devices(&self, to: &[IpAddr]) -> Result<Vec<String>, String> {
        let (Some(tc), Some(ip)) = (&self.tc, &self.ip) else { return Err("tc and ip (package iproute2) are not on this node".into()) };
        if let Some(why) = &*self.lacking.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(why.clone());
        }
        let mut devices = BTreeSet::new();
        for address in to {
            let route = self.run(&words([ip, "-o", "route", "get", &address.to_string()]))?;
            devices.insert(device_of(&route).ok_or_else(|| format!("no device leads to {address}"))?);
        }
        for device in &devices {
            let qdiscs = self.run(&words([tc, "qdisc", "show", "dev", device]))?;
            if !is_default(&qdiscs) {
                return Err(format!("{device} has a qdisc of somebody else: {}", qdiscs.lines().next().unwrap_or_default()));
            }
        }
        Ok(devices.into_iter().collect())
    }

    /// Shapes what leaves by these devices for these addresses.
    pub(in crate::agent) fn apply(&self, devices: &[String], to: &[IpAddr], shape: &Shape) -> Result<(), String> {
        let Some(tc) = &self.tc else { return Err("tc is no longer on this node".into()) };
        let done = devices.iter().flat_map(|device| commands(tc, device, to, shape)).try_for_each(|command| self.run(&command).map(drop));
        if let Err(why) = &done
            && why.contains("qdisc kind is unknown")
        {
            *self.lacking.lock().unwrap_or_else(PoisonError::into_inner) = Some("the kernel has no netem (CONFIG_NET_SCH_NETEM)".into());
        }
        done
    }

    /// Removes our qdiscs, and nobody else's.
    pub(in crate::agent) fn clear(&self, devices: &[String]) -> Result<(), String> {
        let Some(tc) = &self.tc else { return Ok(()) };
        for device in devices {
            // A device that is gone has taken its qdiscs along.
            let Ok(qdiscs) = self.run(&words([tc, "qdisc", "show", "dev", device])) else { continue };
            if qdiscs.lines().any(|line| line.starts_with(&format!("qdisc prio {HANDLE} root"))) {
                self.run(&words([tc, "qdisc", "del", "dev", device, "root", "handle", HANDLE]))?;
            }
        }
        Ok(())
    }

    fn run(&self, argv: &[String]) -> Result<String, String> {
        let command = Command::new(argv.to_vec()).timeout(TOOL_WITHIN);
        let output = self.running.run(&command, Path::new("/"))?;
        if output.success() { Ok(output.text()) } else { Err(format!("`{command}` failed: {}", output.complaint())) }
    }
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// The device in what `ip -o route get` says; none for an address of this node itself.
fn device_of(route: &str) -> Option<String> {
    let mut words = route.split_whitespace();
    words.find(|word| *word == "dev")?;
    words.next().filter(|device| *device != "lo").map(str::to_owned)
}

/// Whether the root qdisc is one that the kernel attached by itself: those have no handle.
fn is_default(qdiscs: &str) -> bool {
    let root = qdiscs.lines().find(|line| line.split_whitespace().any(|word| word == "root"));
    root.is_none_or(|line| line.split_whitespace().nth(2) == Some("0:"))
}

/// The commands that shape one device, in order.
fn commands(tc: &str, device: &str, to: &[IpAddr], shape: &Shape) -> Vec<Vec<String>> {
    // The usual map of priorities to the three usual bands, so that all other traffic goes as it did; ours is the fourth.
    let prio = format!("{tc} qdisc add dev {device} root handle {HANDLE} prio bands 4 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1");
    let netem = format!("{tc} qdisc add dev {device} parent {BAND} handle {NETEM} netem {}", options(shape));
    let filter = |address: &IpAddr| {
        let (protocol, preference, kind, bits) = if address.is_ipv4() { ("ip", 1, "ip", 32) } else { ("ipv6", 2, "ip6", 128) };
        format!(
            "{tc} filter add dev {device} parent {HANDLE} protocol {protocol} prio {preference} u32 match {kind} dst {address}/{bits} flowid {BAND}"
        )
    };
    let all = [prio, netem].into_iter().chain(to.iter().map(filter));
    all.map(|line| words(line.split_whitespace())).collect()
}

/// netem's own words for a shape.
fn options(shape: &Shape) -> String {
    let percent = |share: Thousandths| format!("{}.{}%", share / 10, share % 10);
    let correlated = |name: &str, share: Thousandths| match (share, shape.correlation) {
        (0, _) => String::new(),
        (share, 0) => format!("{name} {} ", percent(share)),
        (share, correlation) => format!("{name} {} {} ", percent(share), percent(correlation)),
    };
    let mut text = String::from("limit 1000 ");
    if shape.delay_us > 0 || shape.jitter_us > 0 {
        let _ = write!(text, "delay {}us {}us ", shape.delay_us, shape.jitter_us);
    }
    text += &correlated("loss", shape.loss);
    text += &correlated("duplicate", shape.duplicate);
    text += &correlated("reorder", shape.reorder);
    text += &correlated("corrupt", shape.corrupt);
    if shape.rate_bits > 0 {
        let _ = write!(text, "rate {}bit", shape.rate_bits);
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_tc() {
        let to: Vec<IpAddr> = ["10.0.0.2", "fd00::2"].map(|text| text.parse().unwrap()).into();
        let shape = Shape { delay_us: 50_000, jitter_us: 10_000, correlation: 750, loss: 200, ..Shape::default() };
        let lines: Vec<String> = commands("tc", "eth0", &to, &shape).into_iter().map(|argv| argv.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "tc qdisc add dev eth0 root handle 5253: prio bands 4 priomap 1 2 2 2 1 2 0 0 1 1 1 1 1 1 1 1",
                "tc qdisc add dev eth0 parent 5253:4 handle 5254: netem limit 1000 delay 50000us 10000us loss 20.0% 75.0%",
                "tc filter add dev eth0 parent 5253: protocol ip prio 1 u32 match ip dst 10.0.0.2/32 flowid 5253:4",
                "tc filter add dev eth0 parent 5253: protocol ipv6 prio 2 u32 match ip6 dst fd00::2/128 flowid 5253:4",
            ]
        );
        for (shape, expected) in [
            (Shape { rate_bits: 1_000_000, ..Shape::default() }, "limit 1000 rate 1000000bit"),
            (Shape { corrupt: 5, ..Shape::default() }, "limit 1000 corrupt 0.5%"),
            (
                Shape { delay_us: 1, duplicate: 200, reorder: 1000, ..Shape::default() },
                "limit 1000 delay 1us 0us duplicate 20.0% reorder 100.0%",
            ),
        ] {
            assert_eq!(options(&shape), expected);
        }
    }

    #[test]
    fn only_default_qdiscs_are_replaced() {
        for (shown, default) in [
            ("qdisc noqueue 0: root refcnt 2", true),
            ("qdisc mq 0: root \nqdisc fq_codel 0: parent :2 limit 10240p", true),
            ("", true),
            ("qdisc tbf 8001: root refcnt 2 rate 1Mbit", false),
            ("qdisc ingress ffff: parent ffff:fff1 \nqdisc htb 1: root refcnt 2", false),
            ("qdisc prio 5253: root refcnt 2 bands 4", false),
        ] {
            assert_eq!(is_default(shown), default, "{shown}");
        }
    }

    #[test]
    fn the_device_is_read_from_the_route() {
        assert_eq!(device_of("10.77.0.2 dev eth0 src 10.77.0.1 uid 0 \\    cache"), Some("eth0".into()));
        assert_eq!(device_of("fd00::2 from :: via fe80::1 dev ens3 proto ra metric 1"), Some("ens3".into()));
        assert_eq!(device_of("local 10.77.0.1 dev lo src 10.77.0.1"), None);
    }
}
