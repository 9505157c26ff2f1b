//! The checker from outside: oracles that share no code with it, recorded histories, limits, examples.
//!
//! One program, so that the library is linked once. `memory.rs` is another: it counts what its own allocator hands out.

mod budget;
mod causal_corpus;
mod deadline;
mod deciders;
mod eventual;
mod generated;
mod lattice;
mod meanings;
mod objects;
mod oracle;
mod own_model;
mod recorder;
mod replicated;
mod sequential;
#[path = "../../tests/size.rs"]
mod size;
mod staleness;
mod switches;
mod weaker;
