//! The lab, and what needs one: real hosts over real SSH, a real database, real faults.
//!
//! These tests need Linux, root, and the programs sshd, ip, nft and etcd. Where something is missing they say so on standard error and
//! do nothing, unless `RASHOMON_REQUIRE` names `lab`: then they fail. Each runs in a lab of its own, several at a time, that is
//! kept in a folder of its own, so that they never meet a lab of the user. Every command has a deadline, and runs without a
//! terminal, with nothing on its standard input and an almost empty environment, as in CI.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

mod agent;
mod all_faults;
pub(crate) mod bed;
mod chaos;
mod clean;
mod damage;
mod doctor;
mod etcd;
mod faults;
mod hosts;
mod operators;
mod redis;
mod sudo;
pub(crate) mod support;
