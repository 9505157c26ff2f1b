//! One plain thread per node.
use super::AgentOptions;
use super::protocol::{About, Reply, Request, Undone};
use crate::remote::Access;
use crate::{Node, NodeError};
use std::time::Duration;

pub(super) struct Line {
    about: About,
}

impl Line {
    pub(super) fn connect(node: &Node, _: &Access, _: &AgentOptions) -> Result<Line, NodeError> {
        Err(NodeError::new(&node.name, "not yet"))
    }

    pub(super) fn heal(node: &Node, _: &Access, _: &AgentOptions) -> Result<Vec<Undone>, NodeError> {
        Err(NodeError::new(&node.name, "not yet"))
    }

    pub(super) fn about(&self) -> &About {
        &self.about
    }

    pub(super) fn is_alive(&self) -> bool {
        false
    }

    pub(super) fn ask(&self, _: Request, _: Duration) -> Result<Reply, String> {
        Err("not yet".into())
    }

    pub(super) fn hang_up(&self) {}
}
