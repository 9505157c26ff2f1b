//! The agent of a host without a harness: for what is tested with other programs than the databases that there are runs of.

use super::bed::Bed;
use super::support::{RASHOMON, all_pids, signal, succeed};
use nemesis::agent::protocol::{Answer, Greeting, Outcome, Question, Reply, Request};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// An agent on a host, asked line by line.
pub(crate) struct Agent {
    /// Where the program is on the host: by this name it is found from outside, where other labs may have agents too.
    program: String,
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Agent {
    /// Starts one that works in this directory.
    pub(crate) fn start(bed: &Bed, host: &str, directory: &str) -> Agent {
        let program = format!("/tmp/rashomon-{}", bed.lab.name);
        // A host has its own /tmp, and may not see where this was built.
        let mut upload = bed.lab.command("ssh", &[host, &format!("test -x {program} || {{ cat >{program} && chmod +x {program}; }}")]);
        upload.stdin(File::open(RASHOMON).unwrap());
        succeed(upload);
        let work = format!("exec {program} agent --run test --directory {directory} --dead-man-ms 600000");
        let mut command = bed.lab.command("ssh", &[host, &work]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut agent = Agent { program, child, input, output };
        match serde_json::from_str(&agent.line()).unwrap() {
            Greeting::RashomonAgent(_) => agent,
            Greeting::RashomonRefusal(why) => panic!("{why}"),
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// Asks for something, and does not wait for the answer.
    pub(crate) fn say(&mut self, ask: Request) -> String {
        let line = serde_json::to_string(&Question { id: 1, ask }).unwrap() + "\n";
        self.input.write_all(line.as_bytes()).unwrap();
        line
    }

    /// Its process: looked for before it is to be killed at a certain moment, since that takes longer than most things that it does.
    pub(crate) fn pid(&self) -> i32 {
        // Seen from here, outside the host: to log in there takes longer than most things that an agent does.
        let is_one = |pid: &i32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|b| *b == 0).collect();
            words.first() == Some(&self.program.as_bytes()) && words.get(1) == Some(&b"agent".as_slice())
        };
        let look_like_it: Vec<i32> = all_pids().into_iter().filter(is_one).collect();
        // What it is about to start does, too.
        let is_child = |pid: &i32| parent(*pid).is_some_and(|parent| look_like_it.contains(&parent));
        let found: Vec<i32> = look_like_it.iter().copied().filter(|pid| !is_child(pid)).collect();
        assert_eq!(found.len(), 1, "agents: {found:?}");
        found[0]
    }

    /// Kills it, whose process this is. Whether it had answered what it was asked last.
    pub(crate) fn kill(mut self, pid: i32) -> bool {
        signal(pid, "KILL");
        !self.line().is_empty()
    }

    /// Asks for something that must work.
    pub(crate) fn ask(&mut self, ask: Request) -> Reply {
        let line = self.say(ask);
        match serde_json::from_str::<Answer>(&self.line()).unwrap().outcome {
            Outcome::Done(reply) => reply,
            Outcome::Failed(why) => panic!("{line}: {why}"),
        }
    }
}

/// Who started a process; `None` if it is gone.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 4 of proc(5), counted from 1.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
