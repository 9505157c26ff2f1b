//! The checker from outside: oracles that share no code with it, recorded histories, limits, examples.
//!
//! One program, so that the library is linked once. `memory.rs` is another: it counts what its own allocator hands out.

mod budget;
mod causal_corpus;
mod deadline;
mod deciders;
mod eventual;
mod failed_writes;
mod generated;
mod keys;
mod lattice;
mod meanings;
mod objects;
mod oracle;
mod own_model;
mod recorder;
mod replicated;
mod revisions;
mod sequential;
#[path = "../../tests/size.rs"]
mod size;
mod staleness;
mod switches;
mod transactions;
mod weaker;
