//! The whole product from outside: the command line, the README, the demo, recorded histories, hosts over SSH, the lab.
//!
//! One program, so that the product is linked once; a module per subject.

mod agent;
mod architecture;
mod cases;
mod cli;
mod convert;
mod corpus;
mod demo;
mod demo_nodes;
mod demo_schemes;
mod lab;
mod lint;
mod memory;
mod own_store;
mod readme;
mod runs;
mod schedule;
mod size;
mod verdicts;
