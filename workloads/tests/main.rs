//! Clients against real servers, and against one that misbehaves on purpose.
//!
//! One program, so that the library is linked once.

mod etcd_client;
mod etcd_transport;
