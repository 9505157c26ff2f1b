//! The formats of other tools, one file per family.

pub(crate) mod dbcop;
pub(crate) mod intervals;
pub(crate) mod sessions;
pub(crate) mod tuples;
