//! Packets that this node sends to some others are held back, lost, doubled, mangled: by the kernel where it can (`netem`), by
//! this process where not (`queue`, which asks `fate` what becomes of each).
//!
//! Only packets to the addresses that were named are touched: never those to the control node, nor SSH of anybody else.

pub(super) mod fate;
pub(super) mod netem;
pub(super) mod queue;

use super::firewall::{self, Firewall};
use crate::agent::protocol::traffic::Shape;
use crate::exec::Running;
use netem::Netem;
use queue::Shaper;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// How packets are shaped, with what is needed to undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Qdiscs of the kernel on these devices.
    Netem(Vec<String>),
    /// This process, which is handed packets by a rule of the firewall.
    Queue {
        /// With what.
        backend: firewall::Backend,
        /// Whether there was no `filter` table of iptables before, by family: then it goes again with our rule.
        no_filter_table: [bool; 2],
    },
}

/// A journal entry: packets are shaped in this way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shaped {
    /// With what.
    pub way: Way,
}

/// What shapes this node's packets.
pub(super) struct Packets {
    firewall: Firewall,
    netem: Netem,
    shaper: Mutex<Option<Shaper>>,
}

impl Packets {
    pub(super) fn new(firewall: Firewall, running: Running) -> Packets {
        Packets { firewall, netem: Netem::find(running), shaper: Mutex::new(None) }
    }

    /// The ways to shape packets to these addresses, the best first, and why others are none. A way may still turn out not to
    /// work when it is tried.
    pub(super) fn ways(&self, to: &[IpAddr]) -> (Vec<Way>, Vec<String>) {
        let (mut ways, mut why_not) = (Vec::new(), Vec::new());
        match self.netem.devices(to) {
            Ok(devices) => ways.push(Way::Netem(devices)),
            Err(why) => why_not.push(why),
        }
        let queues = self.firewall.queue_backends(to);
        if queues.is_empty() {
            why_not.push("neither nft nor iptables (and ip6tables, for IPv6) is on this node".into());
        }
        ways.extend(queues.into_iter().map(|backend| Way::Queue { backend, no_filter_table: self.firewall.lacks_filter_table(backend) }));
        (ways, why_not)
    }

    /// Shapes packets to these addresses. Whatever was there of this way was removed before.
    pub(super) fn apply(&self, way: &Way, to: &[IpAddr], shape: &Shape, seed: u64) -> Result<(), String> {
        match way {
            Way::Netem(devices) => self.netem.apply(devices, to, shape),
            Way::Queue { backend, .. } => {
                // Somebody must take the packets before the first is handed over; without, they would pass as if nothing were.
                *self.shaper() = Some(Shaper::start(shape, seed)?);
                self.firewall.queue(*backend, to)
            }
        }
    }

    /// Removes every trace. No harm if there is none.
    pub(super) fn clear(&self, way: &Way) -> Result<(), String> {
        match way {
            Way::Netem(devices) => self.netem.clear(devices),
            Way::Queue { backend, no_filter_table } => {
                let cleared = self.firewall.clear_queue(*backend).and_then(|()| self.firewall.remove_filter_table(*no_filter_table));
                // Now no more come; those that are held back are let go.
                drop(self.shaper().take());
                cleared
            }
        }
    }

    fn shaper(&self) -> std::sync::MutexGuard<'_, Option<Shaper>> {
        self.shaper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
