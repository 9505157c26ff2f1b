//! A node that is only said to be there: for unit tests.

use super::{Exit, Pipe, Remote};
use crate::NodeError;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Duration;

/// Gives prepared answers, one per command, and remembers what was asked.
pub(crate) struct Fake {
    name: String,
    answers: VecDeque<String>,
    pub(crate) asked: Vec<Vec<String>>,
}

impl Fake {
    pub(crate) fn answering<'a>(answers: impl IntoIterator<Item = &'a str>) -> Fake {
        Fake { name: "n1".into(), answers: answers.into_iter().map(String::from).collect(), asked: Vec::new() }
    }
}

impl Remote for Fake {
    fn node(&self) -> &str {
        &self.name
    }

    fn execute(&mut self, argv: &[String], input: &mut dyn Read, output: &mut dyn Write, _within: Duration) -> Result<Exit, NodeError> {
        self.asked.push(argv.to_vec());
        let answer = self.answers.pop_front().ok_or_else(|| NodeError::new("n1", "no answer was prepared"))?;
        io::copy(input, &mut io::sink()).unwrap();
        output.write_all(answer.as_bytes()).unwrap();
        Ok(Exit { status: Some(0), ..Exit::default() })
    }

    fn open(self: Box<Self>, _argv: &[String]) -> Result<Box<dyn Pipe>, NodeError> {
        Err(NodeError::new("n1", "this node has no pipes"))
    }
}
