//! The formats of other tools, one file per family.

pub(crate) mod sessions;
pub(crate) mod tuples;
