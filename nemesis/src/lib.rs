//! Reaching nodes and hurting them.
//!
//! This crate knows nothing of workloads or checkers: it starts, breaks and heals the nodes of a [`Cluster`]. Everything in it
//! blocks on purpose: each node has one plain thread that owns its connection, never an async worker.
//!
//! Start reading at [`cluster`], then [`database`] (whose processes), [`network`] (whose packets) and [`fault`]. Each class of
//! faults is a file of [`faults`]; [`spec`] reads what the user asks for, [`schedule`] says when, [`nemesis`]
//! performs it. How nodes are reached is in [`remote`], what acts on them in [`agent`], and hosts to try it all on are made
//! in [`lab`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod agent;
pub mod clean;
pub mod cluster;
pub mod command;
pub mod database;
pub mod doctor;
pub(crate) mod exec;
pub mod fault;
pub mod faults;
pub mod lab;
pub mod machine;
pub mod nemesis;
pub mod network;
pub mod pack;
pub mod remote;
pub mod report;
pub mod schedule;
pub mod spec;

pub use agent::client::system_clocks::SystemClocks;
pub use agent::{Agent, AgentClocks, AgentDisks, AgentFiles, AgentGroups, AgentNetwork, AgentOptions, Agents};
pub use cluster::{Cluster, Node, NodeError};
pub use command::{Command, DataDisk, Ending, Output, Own, ProcessState, Program};
pub use database::{Admin, Clocks, DataFiles, Database, Disks, Files, Groups, Hosts, Membership, Payloads};
pub use fault::{Action, Context, Fault, Phase};
pub use nemesis::Nemesis;
pub use network::Network;
pub use remote::{Access, SshOptions};
pub use report::Report;
