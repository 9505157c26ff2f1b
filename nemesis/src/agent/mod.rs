//! The agent: our hands on a node.
//!
//! It is this very program, run as `rashomon agent` on the node over one long-lived channel. The binary itself and not a
//! second, smaller one: there is one build and one version, both ends share their types, and nothing is embedded. It is
//! uploaded once per node and content (see [`client::install`]).
//!
//! [`Agent`] is the harness's handle: its methods block until the node has answered, and may be called from several threads at
//! once. Behind it one plain thread per node owns the connection (`client::connection`). On the node, [`node::serve`] reads requests and `node::host` answers
//! them, [`node::journal`] remembers what to undo, and one file per thing that can be hurt does it: `process`, `firewall`, `packets`.
//!
//! The agent's life is a lease: when its input ends or heartbeats stop, it undoes every fault and exits.

pub mod client;
pub mod node;
pub mod protocol;

pub use client::network::AgentNetwork;
pub use client::powers::{AgentClocks, AgentDisks, AgentFiles, AgentGroups};
pub use client::{Agent, AgentOptions, Agents, heal};
pub use protocol::{About, Undone};
