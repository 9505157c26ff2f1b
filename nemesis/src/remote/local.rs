//! This machine.
use super::{Exit, Pipe, Remote};
use crate::{Node, NodeError};
use std::io::{Read, Write};
use std::time::Duration;

/// Commands on this machine.
pub struct Local {
    node: String,
}

impl Local {
    /// Nothing to connect to.
    pub fn new(node: &Node) -> Local {
        Local { node: node.name.clone() }
    }
}

impl Remote for Local {
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
