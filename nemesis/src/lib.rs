//! Reaching nodes and hurting them.
//!
//! This crate knows nothing of workloads or checkers: it starts, breaks and heals the nodes of a [`Cluster`]. Everything in it
//! blocks on purpose: each node has one plain thread that owns its connection, never an async worker.
//!
//! Start reading at [`cluster`], then [`database`] (whose processes), [`network`] (whose packets) and [`fault`]. How nodes are
//! reached is in [`remote`], what acts on them in [`agent`], and hosts to try it all on are made in [`lab`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod agent;
pub mod cluster;
pub mod command;
pub mod database;
pub mod fault;
pub mod lab;
pub mod network;
pub mod remote;

pub use agent::{Agent, AgentNetwork, AgentOptions, Agents};
pub use cluster::{Cluster, Node, NodeError};
pub use command::{Command, Output, Program};
pub use database::{Database, ProcessState};
pub use fault::{Action, Context, Fault, Phase, Report};
pub use network::Network;
pub use remote::{Access, SshOptions};
