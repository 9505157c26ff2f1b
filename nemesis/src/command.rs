//! Commands and programs on a node, as argument vectors: nothing is ever pasted into a shell string.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// The most that is kept of each of a command's two output streams; more is read and thrown away.
pub const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// A command that runs to its end. It runs in a process group of its own, which is killed at the timeout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// The program (looked up in the node's `PATH`, with the `sbin` directories added) and its arguments.
    pub argv: Vec<String>,
    /// Variables added to the environment.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// The working directory; the agent's own directory if `None`.
    #[serde(default)]
    pub dir: Option<String>,
    /// What it reads on its standard input.
    #[serde(default, with = "bytes")]
    pub stdin: Vec<u8>,
    /// How long it may take.
    pub timeout: Duration,
}

impl Command {
    /// A command with nothing on its standard input and 30 seconds of time.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Command {
        Command {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            dir: None,
            stdin: Vec::new(),
            timeout: Duration::from_secs(30),
        }
    }

    /// The same with one more environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Command {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The same in another working directory.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<String>) -> Command {
        self.dir = Some(dir.into());
        self
    }

    /// The same with something on its standard input.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Vec<u8>>) -> Command {
        self.stdin = stdin.into();
        self
    }

    /// The same with another timeout.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.timeout = timeout;
        self
    }
}

/// As one would type it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shell_line(&self.argv))
    }
}

/// What came of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Whether it was killed because its time was over.
    pub timed_out: bool,
    /// Its standard output, the first [`OUTPUT_BYTES_MAX`] of it.
    #[serde(with = "bytes")]
    pub stdout: Vec<u8>,
    /// Its standard error, the first [`OUTPUT_BYTES_MAX`] of it.
    #[serde(with = "bytes")]
    pub stderr: Vec<u8>,
    /// Whether either stream was longer than what is kept.
    pub truncated: bool,
}

impl Output {
    /// Whether it ended by itself with status 0.
    pub fn success(&self) -> bool {
        self.status == Some(0) && !self.timed_out
    }

    /// Its standard output as text, without white space around it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim().to_string()
    }

    /// How it ended and the end of what it said, in one line for an error message.
    pub fn complaint(&self) -> String {
        let how = match (self.timed_out, self.status, self.signal) {
            (true, ..) => "did not end in time and was killed".to_string(),
            (_, Some(status), _) => format!("exit status {status}"),
            (_, None, Some(signal)) => format!("killed by signal {signal}"),
            (_, None, None) => "ended in an unknown way".to_string(),
        };
        let said = if self.stderr.trim_ascii().is_empty() { &self.stdout } else { &self.stderr };
        let said = tail(said, 600);
        if said.is_empty() { how } else { format!("{how}: {said}") }
    }
}

/// A long-running program: a database's server. The agent starts it in a session of its own with its input closed and its
/// output appended to a log file. It must stay in the foreground.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// What it is called in later requests: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables added to the environment.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// The working directory; the agent's own directory if `None`.
    #[serde(default)]
    pub dir: Option<String>,
    /// The file that its output and errors are appended to: a path below the agent's directory.
    pub log: String,
    /// What it has on the node for itself alone.
    #[serde(default)]
    pub own: Own,
}

/// What a program has on a node for itself alone, so that it can be hurt and nothing else is. It is made when the program is first
/// started, and is there whenever it is started; it goes when the program is stopped for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// A file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DataDisk>,
    /// Control groups for memory and processor time, by their name: it begins with `rashomon-`, and no other program of this kernel has
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<String>,
}

/// A small file system in a file, on which a program's data lies: what is done to it is done to nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDisk {
    /// Where it is mounted: a path below the agent's directory. The file it is in has the same name with `.image` behind it.
    pub at: String,
    /// Its size. The file is sparse: it takes only what was written.
    pub bytes: u64,
}

/// An argument vector as one line for a POSIX shell. Every argument is quoted unless it is plain.
pub fn shell_line<S: AsRef<str>>(argv: &[S]) -> String {
    argv.iter().map(|argument| quote(argument.as_ref())).collect::<Vec<_>>().join(" ")
}

/// One argument for a POSIX shell: unchanged if no shell could misread it, otherwise in single quotes.
pub fn quote(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+,".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        return argument.to_string();
    }
    format!("'{}'", argument.replace('\'', r"'\''"))
}

/// The end of some output as one line of at most about `bytes_max` bytes.
pub(crate) fn tail(output: &[u8], bytes_max: usize) -> String {
    let output = output.trim_ascii();
    let from = output.len().saturating_sub(bytes_max);
    let text = String::from_utf8_lossy(&output[from..]);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if from > 0 { format!("... {line}") } else { line }
}

/// Bytes in JSON: base64.
pub(crate) mod bytes {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        BASE64_STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// What a database's process does, as seen by looking at it (not by remembering what was done to it).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// It runs.
    Running,
    /// It is stopped by a signal.
    Paused,
    /// There is none.
    Down,
}

/// How a database's process ended that nobody of ours had ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// How long ago, when it was asked for.
    pub ago: Duration,
    /// Its exit code, or the signal that ended it, and whether its core was dumped: `exit status: 2`.
    pub how: String,
    /// Whether the kernel ended it because memory was short, as far as the kernel's log says.
    pub out_of_memory: bool,
    /// The end of its log at that time.
    pub log: String,
    /// The file on the node that its core was dumped to, if it was.
    #[serde(default)]
    pub core: Option<String>,
}

/// Keeps the first [`OUTPUT_BYTES_MAX`] bytes.
#[derive(Debug, Default)]
pub(crate) struct Bounded {
    pub(crate) kept: Vec<u8>,
    pub(crate) truncated: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = OUTPUT_BYTES_MAX - self.kept.len();
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.truncated |= bytes.len() > room;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process;

    #[test]
    fn a_shell_reads_back_every_argument_as_it_was() {
        let awkward =
            ["", " ", "a b", "it's", "''", "$HOME", "`id`", "a\nb", "*", "~", "-n", "\\", "\"", "!x", "é", "a;b", "\t", "#", "=x", "{a,b}"];
        for argument in awkward {
            let line = shell_line(&["printf", "%s|", argument, "end"]);
            let output = process::Command::new("sh").arg("-c").arg(&line).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{argument}|end|"), "{line}");
        }
    }

    #[test]
    fn plain_arguments_stay_readable() {
        assert_eq!(shell_line(&["etcd", "--data-dir", "/var/lib/x", "a=b"]), "etcd --data-dir /var/lib/x 'a=b'");
    }

    #[test]
    fn a_complaint_is_one_line_with_the_end_of_what_was_said() {
        let output = Output { status: Some(1), stderr: b"first\nlast\n".to_vec(), ..Output::default() };
        assert_eq!(output.complaint(), "exit status 1: first last");
        let output = Output { signal: Some(9), stdout: b"x".to_vec(), ..Output::default() };
        assert_eq!(output.complaint(), "killed by signal 9: x");
        let long = Output { status: Some(2), stderr: vec![b'y'; 10_000], ..Output::default() };
        assert!(long.complaint().len() < 700);
    }

    #[test]
    fn bytes_survive_json() {
        let command = Command::new(["cat"]).stdin((0..=255).collect::<Vec<u8>>());
        let line = serde_json::to_string(&command).unwrap();
        assert_eq!(serde_json::from_str::<Command>(&line).unwrap(), command);
        assert!(serde_json::from_str::<Command>(&line.replace("AAEC", "A!!C")).is_err());
    }
}
