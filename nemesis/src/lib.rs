//! Reaching nodes and hurting them.
//!
//! This crate knows nothing of workloads or checkers: it starts, breaks and heals the nodes of a [`Cluster`]. Everything in it
//! blocks on purpose: each node has one plain thread that owns its connection, never an async worker.
//!
//! Start reading at [`cluster`], then [`database`] (whose processes), [`network`] (whose packets) and [`fault`].

pub mod cluster;
pub mod database;
pub mod fault;
pub mod network;

pub use cluster::{Cluster, Node, NodeError};
pub use database::{Database, ProcessState};
pub use fault::{Action, Fault, Phase, Report};
pub use network::Network;
