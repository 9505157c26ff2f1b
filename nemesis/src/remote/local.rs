//! This machine as a node: for tests, and for clusters of local processes.

use super::poll::{self, Interest};
use super::{Ended, Exit, Outgoing, Pipe, Remote};
use crate::command::{Command, tail};
use crate::exec::Running;
use crate::{Node, NodeError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process::{self, Child, ChildStderr, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

/// The most that is kept of what a program says on its standard error.
const STDERR_BYTES_MAX: usize = 8 << 10;

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

    fn execute(&mut self, argv: &[String], input: &mut dyn Read, output: &mut dyn Write, within: Duration) -> Result<Exit, NodeError> {
        let fail = |why: String| NodeError::new(&self.node, why);
        let mut stdin = Vec::new();
        input.read_to_end(&mut stdin).map_err(|e| fail(format!("cannot read the input of a command: {e}")))?;
        let command = Command::new(argv.iter().cloned()).stdin(stdin).timeout(within);
        let ended = Running::default().run(&command, Path::new("/")).map_err(fail)?;
        if ended.timed_out {
            return Err(fail(format!("`{command}` did not end within {} s", within.as_secs_f32())));
        }
        output.write_all(&ended.stdout).map_err(|e| fail(format!("cannot keep the output of a command: {e}")))?;
        Ok(Exit { status: ended.status, signal: ended.signal, stderr: ended.stderr })
    }

    fn open(self: Box<Self>, argv: &[String]) -> Result<Box<dyn Pipe>, NodeError> {
        LocalPipe::start(argv)
            .map(|pipe| Box::new(pipe) as Box<dyn Pipe>)
            .map_err(|e| NodeError::new(&self.node, format!("cannot start {argv:?}: {e}")))
    }
}

/// A child process and its three streams.
struct LocalPipe {
    child: Option<Child>,
    stdin: ChildStdin,
    stdout: ChildStdout,
    stderr: ChildStderr,
    said: Vec<u8>,
    stderr_ended: bool,
}

impl LocalPipe {
    fn start(argv: &[String]) -> io::Result<LocalPipe> {
        let (program, arguments) = argv.split_first().ok_or(ErrorKind::InvalidInput)?;
        let mut child =
            process::Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        for fd in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        Ok(LocalPipe { child: Some(child), stdin, stdout, stderr, said: Vec::new(), stderr_ended: false })
    }

    /// Keeps the end of what the program says on its standard error.
    fn drain_stderr(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match self.stderr.read(&mut buffer) {
                Ok(0) => self.stderr_ended = true,
                Ok(length) => {
                    self.said.extend_from_slice(&buffer[..length]);
                    let excess = self.said.len().saturating_sub(STDERR_BYTES_MAX);
                    self.said.drain(..excess);
                    continue;
                }
                Err(_) => {}
            }
            return;
        }
    }

    fn ended(&mut self) -> Ended {
        self.drain_stderr();
        let status = self.child.as_mut().and_then(|child| child.wait().ok()).map_or("it is gone".into(), |status| status.to_string());
        self.child = None;
        Ended { reason: format!("{status} {}", tail(&self.said, 600)).trim_end().to_string() }
    }
}

impl Pipe for LocalPipe {
    fn turn(&mut self, outgoing: &mut Outgoing, incoming: &mut Vec<u8>, wake: BorrowedFd<'_>, timeout: Duration) -> Result<(), Ended> {
        let mut moved = false;
        while let Some(front) = outgoing.front() {
            match self.stdin.write(front) {
                Ok(length) => outgoing.advance(length),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(self.ended()),
            }
            moved = true;
        }
        let mut buffer = [0; 16 << 10];
        match self.stdout.read(&mut buffer) {
            Ok(0) => return Err(self.ended()),
            Ok(length) => {
                incoming.extend_from_slice(&buffer[..length]);
                moved = true;
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return Err(self.ended()),
        }
        self.drain_stderr();
        if moved {
            return Ok(());
        }
        let mut interests = vec![Interest::read(self.stdout.as_fd()), Interest::read(wake)];
        if !self.stderr_ended {
            interests.push(Interest::read(self.stderr.as_fd()));
        }
        if outgoing.front().is_some() {
            interests.push(Interest { fd: self.stdin.as_fd(), read: false, write: true });
        }
        poll::wait(&interests, timeout).map_err(|e| Ended { reason: e.to_string() })
    }
}

impl Drop for LocalPipe {
    fn drop(&mut self) {
        // The end of its input tells the program to go; somebody has to wait for it.
        if let Some(mut child) = self.child.take() {
            std::thread::spawn(move || child.wait());
        }
    }
}
