//! SSH.
use super::{Exit, Pipe, Remote, SshOptions};
use crate::{Node, NodeError};
use std::io::{Read, Write};
use std::time::Duration;

/// A connection over SSH.
pub struct Ssh {
    node: String,
}

impl Ssh {
    /// Connects and logs in.
    pub fn connect(node: &Node, _options: &SshOptions, _within: Duration) -> Result<Ssh, NodeError> {
        Err(NodeError::new(&node.name, "not yet"))
    }
}

impl Remote for Ssh {
    fn node(&self) -> &str {
        &self.node
    }

    fn execute(&mut self, _: &[String], _: &mut dyn Read, _: &mut dyn Write, _: Duration) -> Result<Exit, NodeError> {
        Err(NodeError::new(&self.node, "not yet"))
    }

    fn open(self: Box<Self>, _: &[String]) -> Result<Box<dyn Pipe>, NodeError> {
        Err(NodeError::new(&self.node, "not yet"))
    }
}
