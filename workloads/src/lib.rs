//! What is asked of a store, and who is asked.
//!
//! Two axes, one file per point on each: a workload (`register`) says *what* is asked and which model must hold, a system
//! (`etcd`, `demo`) says *who* is asked. A run is a pair.
//!
//! This crate does not know how a run goes: no schedule of faults, no recording, no deadline, no terminal.
//!
//! Start reading at [`client`] and [`generator`], then [`workloads`] and [`systems`].

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod client;
pub mod generator;
pub mod server;
pub mod systems;
#[cfg(test)]
#[path = "../../tests/size.rs"]
mod test_size;
pub mod workloads;

pub use client::{Client, Completion, Invocation, OpError};
pub use generator::{Generator, Next};
pub use systems::etcd::{Etcd, EtcdOptions};
pub use systems::{Finding, Findings, SYSTEMS, System, SystemKind};
pub use workloads::register::RegisterOptions;
pub use workloads::{WORKLOADS, Workload, WorkloadKind};
