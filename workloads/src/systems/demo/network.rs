//! The demo's links, cut by each node's switches and probed by real packets.

use super::control;
use super::protocol::Request;
use super::switches::Switches;
use super::testbed::TestBed;
use nemesis::{Network, Node, NodeError, ProcessState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a probe may take. Links hold it back for [`super::link::DELAY_MAX`] at most; the rest is for a busy machine.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// How long until the next probe is sent, if nobody knows of the last one: a connection may just be coming back.
const PROBE_AGAIN: Duration = Duration::from_millis(100);
/// How often a node is asked what became of a probe.
const POLL: Duration = Duration::from_millis(2);

/// The links between the nodes of a demo.
#[derive(Debug)]
pub struct DemoNetwork {
    bed: Arc<TestBed>,
    probes: AtomicU64,
}

impl DemoNetwork {
    pub(super) fn new(bed: Arc<TestBed>) -> DemoNetwork {
        DemoNetwork { bed, probes: AtomicU64::new(0) }
    }

    /// Sends one probe and waits for a while to hear what became of it: taken in, dropped at the receiver's end, or (`None`)
    /// not seen there at all.
    fn probe_once(&self, from: &Node, to: &Node) -> io::Result<Option<bool>> {
        let number = self.probes.fetch_add(1, Ordering::Relaxed);
        let deadline = Instant::now() + PROBE_AGAIN;
        let sent: bool = control::ask(self.bed.port(from), &Request::Probe { to: to.index, number })?;
        while sent && Instant::now() < deadline {
            if let Some(heard) = control::ask(self.bed.port(to), &Request::Heard { number })? {
                return Ok(Some(heard));
            }
            std::thread::sleep(POLL);
        }
        std::thread::sleep(deadline.saturating_duration_since(Instant::now()));
        Ok(None)
    }

    fn must_run(&self, node: &Node) -> Result<(), NodeError> {
        let state = self.bed.processes.state(node.index).map_err(|error| NodeError::new(&node.name, error.to_string()))?;
        match state {
            ProcessState::Running => Ok(()),
            ProcessState::Paused => Err(NodeError::new(&node.name, "paused: a probe would say nothing about its links")),
            ProcessState::Down => Err(NodeError::new(&node.name, "down: a probe would say nothing about its links")),
        }
    }
}

impl Network for DemoNetwork {
    /// Holds from the next packet that the node takes in, also if it is paused or down now.
    fn drop_from(&self, node: &Node, from: &[&Node]) -> Result<(), NodeError> {
        let mut drop_from: Vec<usize> = from.iter().map(|node| node.index).collect();
        drop_from.sort_unstable();
        let path = self.bed.switches(node);
        // A node that was torn down, or never set up, has nothing to cut and nothing to heal.
        if !self.bed.data(node).exists() && from.is_empty() {
            return Ok(());
        }
        let switched = Switches::read(&path).and_then(|switches| Switches { drop_from, ..switches }.write(&path));
        switched.map_err(|error| NodeError::new(&node.name, format!("cannot switch its links in {}: {error}", path.display())))
    }

    /// Every node has its switches.
    fn can_drop(&self, _: &Node) -> Result<(), NodeError> {
        Ok(())
    }

    /// An error if one of the two does not run.
    fn probe(&self, from: &Node, to: &Node) -> Result<bool, NodeError> {
        let deadline = Instant::now() + PROBE_TIMEOUT;
        loop {
            self.must_run(from)?;
            self.must_run(to)?;
            match self.probe_once(from, to) {
                Ok(Some(heard)) => return Ok(heard),
                Ok(None) if Instant::now() >= deadline => return Ok(false),
                Ok(None) => {}
                Err(error) if Instant::now() >= deadline => {
                    return Err(NodeError::new(&to.name, format!("cannot be probed from {}: {error}", from.name)));
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }
}
