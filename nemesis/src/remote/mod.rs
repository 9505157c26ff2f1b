//! Reaching a node: run a command, copy a file, open a long-lived channel to the agent.
//!
//! A [`Remote`] is made, used and dropped on one plain thread per node: [`Access::connect`] is called there. [`ssh`] is the one
//! for real nodes, [`local`] spawns on this machine.

pub mod local;
mod poll;
pub mod ssh;
mod ssh_config;
mod ssh_options;

#[cfg(test)]
pub(crate) mod fake;

pub use ssh_options::{ConfigFile, HostKeys, Secret, SshOptions, Sudo};

use crate::command::Bounded;
use crate::command::{Command, Output};
use crate::{Node, NodeError};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

/// How nodes are reached.
#[derive(Clone, Debug)]
pub enum Access {
    /// Over SSH, at the node's address.
    Ssh(SshOptions),
    /// Every node is this machine. The agents need directories of their own: see [`crate::agent::AgentOptions::directory`].
    Local,
}

impl Access {
    /// Connects to a node, on the thread that will use the connection.
    pub fn connect(&self, node: &Node, within: Duration) -> Result<Box<dyn Remote>, NodeError> {
        match self {
            Access::Ssh(options) => Ok(Box::new(ssh::Ssh::connect(node, options, within)?)),
            Access::Local => Ok(Box::new(local::Local::new(node))),
        }
    }
}

/// A connection to a node. Not `Send`: it lives and dies on the thread that made it.
pub trait Remote {
    /// The node's name, for messages.
    fn node(&self) -> &str;

    /// Runs an argument vector with a stream as its input, its output going to another stream and the start of its errors kept.
    fn execute(&mut self, argv: &[String], input: &mut dyn Read, output: &mut dyn Write, within: Duration) -> Result<Exit, NodeError>;

    /// Starts an argument vector and hands over its input and output, for as long as the connection lives.
    fn open(self: Box<Self>, argv: &[String]) -> Result<Box<dyn Pipe>, NodeError>;

    /// Runs a command to its end.
    fn run(&mut self, command: &Command) -> Result<Output, NodeError> {
        let mut stdout = Bounded::default();
        let exit = self.execute(&wrap(command), &mut &command.stdin[..], &mut stdout, command.timeout)?;
        let Exit { status, signal, stderr } = exit;
        Ok(Output { status, signal, timed_out: false, stdout: stdout.kept, stderr, truncated: stdout.truncated })
    }

    /// Copies a local file to the node. Readers see the old file or the whole new one.
    fn upload(&mut self, local: &Path, path: &str, mode: u32, within: Duration) -> Result<(), NodeError> {
        let unreadable = |e: io::Error| NodeError::new("control node", format!("cannot read {} to upload it: {e}", local.display()));
        let mut file = File::open(local).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let script = r#"umask 077; cat > "$1.$$" && [ "$(wc -c < "$1.$$")" -eq "$2" ] && chmod "$3" "$1.$$" && mv -f "$1.$$" "$1" || { rm -f "$1.$$"; exit 1; }"#;
        let argv = ["sh", "-c", script, "sh", path, &size.to_string(), &format!("{mode:o}")].map(String::from);
        let exit = self.execute(&argv, &mut file, &mut io::sink(), within)?;
        exit.ok().map_err(|complaint| NodeError::new(self.node(), format!("cannot write {path}: {complaint}; is its disk full?")))
    }

    /// Copies a file of the node to a local file.
    fn download(&mut self, path: &str, local: &Path, within: Duration) -> Result<(), NodeError> {
        let unwritable = |e: io::Error| NodeError::new("control node", format!("cannot write {}: {e}", local.display()));
        let mut file = File::create(local).map_err(unwritable)?;
        let exit = self.execute(&["cat", "--", path].map(String::from), &mut io::empty(), &mut file, within)?;
        let result = exit.ok().map_err(|complaint| NodeError::new(self.node(), format!("cannot read {path}: {complaint}")));
        if result.is_err() {
            let _ = fs::remove_file(local);
        }
        result
    }
}

/// How a command on a node ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exit {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// The signal that ended it; 0 if it has a name that this machine does not know.
    pub signal: Option<i32>,
    /// The first [`crate::command::OUTPUT_BYTES_MAX`] bytes of its standard error.
    pub stderr: Vec<u8>,
}

impl Exit {
    /// Nothing if it ended with status 0; how it ended and what it said otherwise.
    pub fn ok(self) -> Result<(), String> {
        let output = Output { status: self.status, signal: self.signal, stderr: self.stderr, ..Output::default() };
        if output.success() { Ok(()) } else { Err(output.complaint()) }
    }
}

/// The input and output of a program that runs on a node.
pub trait Pipe {
    /// One turn of the conversation: sends what it can of `outgoing` and appends what has arrived to `incoming`. If there is
    /// nothing to do it waits until there is, until `wake` becomes readable, or until the timeout.
    fn turn(&mut self, outgoing: &mut Outgoing, incoming: &mut Vec<u8>, wake: BorrowedFd<'_>, timeout: Duration) -> Result<(), Ended>;
}

/// A pipe that has ended: what is known of why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// For people.
    pub reason: String,
}

/// Lines on their way out.
#[derive(Debug, Default)]
pub struct Outgoing {
    lines: VecDeque<Vec<u8>>,
    sent: usize,
}

impl Outgoing {
    /// One more line, with its newline.
    pub fn push(&mut self, line: Vec<u8>) {
        self.lines.push_back(line);
    }

    /// What to send next. The same bytes at the same place until [`Outgoing::advance`]: SSH asks for that.
    pub fn front(&self) -> Option<&[u8]> {
        self.lines.front().map(|line| &line[self.sent..])
    }

    /// So much of [`Outgoing::front`] was sent.
    pub fn advance(&mut self, bytes: usize) {
        self.sent += bytes;
        if self.lines.front().is_some_and(|line| self.sent >= line.len()) {
            self.lines.pop_front();
            self.sent = 0;
        }
    }
}

/// A command with its environment and directory as one argument vector.
fn wrap(command: &Command) -> Vec<String> {
    let mut argv: Vec<String> = Vec::new();
    if let Some(dir) = &command.dir {
        argv.extend(["sh", "-c", r#"cd -- "$1" && shift && exec "$@""#, "sh", dir].map(String::from));
    }
    if !command.env.is_empty() {
        argv.push("env".into());
        argv.extend(command.env.iter().map(|(name, value)| format!("{name}={value}")));
    }
    argv.extend(command.argv.iter().cloned());
    argv
}
