//! Which nodes, whom they do not hear, what is seen of it: what the classes of faults share.

pub mod grudge;
pub(crate) mod link_probe;
pub(crate) mod observe;
pub(crate) mod packet_harm;
pub(crate) mod shuffle_bag;
pub mod target;
