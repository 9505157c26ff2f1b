//! Which nodes, whom they do not hear, what is seen of it: what the classes of faults share.

pub mod target;
pub mod grudge;
pub(crate) mod observe;
pub(crate) mod link_probe;
pub(crate) mod shuffle_bag;
pub(crate) mod packet_harm;
