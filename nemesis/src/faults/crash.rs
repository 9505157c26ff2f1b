//! The power of whole hosts is cut: every process on them is gone at once, the database's and everybody else's. What they had
//! written and not synced stays with the kernel, which all hosts of a lab share; the disk survives.

use crate::fault::{Context, Fault};
use crate::faults::support::observe;
use crate::faults::support::target::Choice;
use crate::lab::{self, LabError};
use crate::report::Report;
use crate::{Agents, Hosts, Node, NodeError};
use rand_chacha::ChaCha8Rng;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long a host may take to accept a connection. One that is off never does.
const ANSWERS_WITHIN: Duration = Duration::from_millis(300);

/// How long a host that boots may take until an agent works on it.
const BOOTS_WITHIN: Duration = Duration::from_secs(20);

/// The pause before an agent is tried to be started again.
const AGAIN: Duration = Duration::from_millis(200);

/// The port of a lab host's sshd.
const SSH_PORT: u16 = 22;

/// The hosts of a lab, with the agents on them and the program that is to run on each.
pub struct LabHosts {
    lab: String,
    program: String,
    agents: Agents,
}

impl LabHosts {
    /// The hosts of the lab of this name, on which these agents keep a program of this name.
    pub fn new(lab: &str, program: &str, agents: Agents) -> LabHosts {
        LabHosts { lab: lab.into(), program: program.into(), agents }
    }
}

impl Hosts for LabHosts {
    /// The agent notes it first, on the host's disk: after the boot, however that comes about, the next one starts the program.
    fn crash(&self, node: &Node) -> Result<(), NodeError> {
        if !self.answers(node) {
            return Ok(());
        }
        let agent = self.agents.of(node);
        agent.expect_crash(&self.program)?;
        let crashed = lab::crash_while_this_lives(&self.lab, &node.name).map_err(|error| lab_error(node, &error));
        // The connection would notice by itself, but only when nothing has come for a while.
        agent.hang_up();
        crashed
    }

    fn boot(&self, node: &Node) -> Result<(), NodeError> {
        lab::boot(&self.lab, &node.name).map_err(|error| lab_error(node, &error))?;
        let deadline = Instant::now() + BOOTS_WITHIN;
        loop {
            if self.agents.of(node).is_alive() {
                return Ok(());
            }
            match self.agents.reconnect(node) {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(AGAIN),
            }
        }
    }

    fn answers(&self, node: &Node) -> bool {
        let Ok(mut found) = (node.address.as_str(), SSH_PORT).to_socket_addrs() else { return false };
        found.any(|address| TcpStream::connect_timeout(&address, ANSWERS_WITHIN).is_ok())
    }
}

fn lab_error(node: &Node, error: &LabError) -> NodeError {
    NodeError::new(&node.name, error.to_string())
}

/// Cuts the power of some hosts, and boots them.
pub struct Crash {
    choice: Choice,
    active: Vec<usize>,
}

impl Crash {
    /// Crashes the hosts of what `choice` draws.
    pub fn new(choice: Choice) -> Crash {
        Crash { choice, active: Vec::new() }
    }
}

/// Why there is no such fault where nobody holds the power switches.
pub const ONLY_IN_A_LAB: &str = "only the hosts of a lab can be crashed: `rashomon lab up` makes some, and `--lab` uses them";

fn hosts(context: &Context) -> Result<&dyn Hosts, NodeError> {
    context.database.hosts().ok_or_else(|| NodeError::new("crash", ONLY_IN_A_LAB))
}

impl Fault for Crash {
    fn name(&self) -> &'static str {
        "crash"
    }

    fn setup(&mut self, context: &Context) -> Result<(), NodeError> {
        let hosts = hosts(context)?;
        let all: Vec<usize> = (0..context.cluster.len()).collect();
        let seen = observe::hosts(context, hosts, &all, true);
        if seen.observed {
            Ok(())
        } else {
            Err(NodeError::new("crash", format!("a host that is off could not be seen to go: {}", seen.what)))
        }
    }

    fn inject(&mut self, context: &Context, rng: &mut ChaCha8Rng) -> Result<Report, NodeError> {
        let hosts = hosts(context)?;
        let (nodes, note) = self.choice.draw(context, rng);
        if nodes.is_empty() {
            return Ok(Report::nothing(format!("nothing is crashed{note}")));
        }
        self.active.clone_from(&nodes);
        let mut report = Report::of(nodes.clone(), format!("crashed {}{note}", context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| hosts.crash(node));
        report.seen(observe::hosts(context, hosts, &nodes, false));
        report.failed(&errors);
        Ok(report)
    }

    /// The hosts boot, and the database is started on them.
    fn recover(&mut self, context: &Context) -> Result<Report, NodeError> {
        if self.active.is_empty() {
            return Ok(Report::idle());
        }
        let (hosts, nodes) = (hosts(context)?, self.active.clone());
        let mut report = Report::of(nodes.clone(), format!("booted {}", context.cluster.names(&nodes)));
        let errors = context.errors_on(&nodes, |node| hosts.boot(node).and_then(|()| context.database.start(node)));
        report.seen(observe::hosts(context, hosts, &nodes, true));
        report.failed(&errors);
        if report.observed {
            self.active.clear();
        }
        Ok(report)
    }
}
