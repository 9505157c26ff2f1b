//! Commands on the node, run to their end.

use crate::command::Bounded;
use crate::command::{Command, Output};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, Child, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long the end of the output is waited for once the command itself has ended: a process it left behind may hold the other end open.
const LEFTOVER: Duration = Duration::from_millis(200);

/// How long output that is there, but not yet read, is waited for: on a busy machine whoever reads it may have to wait for a turn.
const UNREAD: Duration = Duration::from_secs(10);

/// Directories of system tools that a user's `PATH` often lacks.
const TOOL_DIRS: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The search path of commands and programs: the agent's own, then the usual directories.
pub(super) fn search_path() -> String {
    match std::env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:{TOOL_DIRS}"),
        _ => TOOL_DIRS.to_string(),
    }
}

/// Where a tool is.
pub(super) fn find(tool: &str) -> Option<String> {
    search_path().split(':').map(|dir| format!("{dir}/{tool}")).find(|path| Path::new(path).is_file())
}

/// The process groups of commands that run now, to be ended with the agent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running {
    groups: Arc<Mutex<Vec<Pid>>>,
}

impl Running {
    fn groups(&self) -> MutexGuard<'_, Vec<Pid>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills them all.
    pub(super) fn kill(&self) {
        for &group in self.groups().iter() {
            kill_group(group);
        }
    }

    /// Runs a command to its end, or kills it at its timeout. An error only if it could not be started.
    pub(crate) fn run(&self, command: &Command, home: &Path) -> Result<Output, String> {
        let deadline = Instant::now() + command.timeout;
        let mut child = start(command, home)?;
        let group = Pid::from_child(&child);
        self.groups().push(group);
        let ended = converse(&mut child, &command.stdin, deadline);
        if ended.is_err() {
            kill_group(group);
            let _ = child.wait();
        }
        self.groups().retain(|&running| running != group);
        ended.map_err(|e| format!("lost sight of `{command}`: {e}"))
    }
}

fn start(command: &Command, home: &Path) -> Result<Child, String> {
    let Some((program, arguments)) = command.argv.split_first() else { return Err("an empty command".into()) };
    process::Command::new(program)
        .args(arguments)
        .env("PATH", search_path())
        .envs(command.env.iter().map(|(name, value)| (name, value)))
        .current_dir(command.dir.as_deref().map_or(home, Path::new))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|e| cannot_start(program, command.dir.as_deref(), &e))
}

/// Why a program did not start, and what to do.
pub(super) fn cannot_start(program: &str, dir: Option<&str>, error: &io::Error) -> String {
    let hint = match (error.kind(), dir) {
        (io::ErrorKind::NotFound, Some(dir)) if !Path::new(dir).is_dir() => format!(": the directory {dir} does not exist"),
        (io::ErrorKind::NotFound, _) => ": is it installed on this node?".into(),
        _ => String::new(),
    };
    format!("cannot start `{program}`: {error}{hint}")
}

/// Feeds and drains a child until it ends, or kills its group at the deadline.
fn converse(child: &mut Child, stdin: &[u8], deadline: Instant) -> io::Result<Output> {
    if let Some(mut input) = child.stdin.take() {
        let stdin = stdin.to_vec();
        // A child that does not read its input to the end closes it: no error of ours.
        thread::Builder::new().spawn(move || input.write_all(&stdin))?;
    }
    let gone = || io::Error::other("its output is gone");
    let stdout = Drain::start(child.stdout.take().ok_or_else(gone)?)?;
    let stderr = Drain::start(child.stderr.take().ok_or_else(gone)?)?;
    let mut pause = Duration::from_micros(200);
    let mut timed_out = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= deadline {
            timed_out = true;
            kill_group(Pid::from_child(child));
            break child.wait()?;
        }
        thread::sleep(pause);
        pause = (2 * pause).min(Duration::from_millis(10));
    };
    let ended = Instant::now();
    let (stdout, stderr) = (stdout.end(ended), stderr.end(ended));
    Ok(Output {
        status: status.code(),
        signal: status.signal(),
        timed_out,
        truncated: stdout.truncated || stderr.truncated,
        stdout: stdout.kept,
        stderr: stderr.kept,
    })
}

/// A thread that reads a stream to its end.
struct Drain {
    /// Locked from before something is taken from the stream until it is kept: what is not in there is still to be seen in the stream.
    kept: Arc<Mutex<Bounded>>,
    stream: OwnedFd,
    thread: JoinHandle<()>,
}

impl Drain {
    fn start(mut source: impl Read + AsFd + Send + 'static) -> io::Result<Drain> {
        let stream = source.as_fd().try_clone_to_owned()?;
        let kept = Arc::new(Mutex::new(Bounded::default()));
        let theirs = kept.clone();
        let thread = thread::Builder::new().spawn(move || {
            let mut buffer = [0; 16 << 10];
            loop {
                while let Err(Errno::INTR) = poll(&mut [PollFd::new(&source, PollFlags::IN)], None) {}
                let mut kept = theirs.lock().unwrap_or_else(PoisonError::into_inner);
                match source.read(&mut buffer) {
                    Ok(length @ 1..) => drop(kept.write(&buffer[..length])),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => return,
                }
            }
        });
        Ok(Drain { kept, stream, thread: thread? })
    }

    /// What was read of a command that ended at this moment: all that it wrote.
    fn end(self, ended: Instant) -> Bounded {
        loop {
            let waited = ended.elapsed();
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            let is_enough = waited > UNREAD || waited > LEFTOVER && !has_more(&self.stream);
            if self.thread.is_finished() || is_enough {
                kept.truncated |= waited > UNREAD && has_more(&self.stream);
                return std::mem::take(&mut *kept);
            }
            drop(kept);
            thread::sleep(Duration::from_micros(500));
        }
    }
}

/// Whether a stream holds something, or its end, that nobody has taken yet.
fn has_more(stream: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
}

/// Kills a process group. A group that is gone is no error.
fn kill_group(group: Pid) {
    let _ = kill_process_group(group, Signal::KILL);
}

/// Lets all signals in: the agent keeps some out and its children inherit that, but a program that never hears SIGTERM cannot be asked to
/// end. Called between fork and exec.
#[allow(unsafe_code, reason = "the standard library has no signals")]
pub(super) fn let_signals_in() -> io::Result<()> {
    // SAFETY: a signal set of zeros is valid storage, lives on this stack, and is initialised before it is used.
    let failed = unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none) != 0 || libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut()) != 0
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::BorrowedFd;

    fn run(command: &Command) -> Output {
        Running::default().run(command, Path::new("/")).unwrap()
    }

    #[test]
    fn status_signal_and_both_streams_are_kept_apart() {
        let output = run(&Command::new(["sh", "-c", "cat; echo err >&2; exit 3"]).stdin("in"));
        assert_eq!((output.status, output.signal, output.timed_out), (Some(3), None, false));
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"in"[..], &b"err\n"[..]));
        let output = run(&Command::new(["sh", "-c", "kill -9 $$"]));
        assert_eq!((output.status, output.signal), (None, Some(9)));
        assert!(!output.success());
    }

    #[test]
    fn a_command_is_killed_with_its_children_at_its_timeout() {
        let started = Instant::now();
        let output = run(&Command::new(["sh", "-c", "echo here; sleep 60 & sleep 60"]).timeout(Duration::from_millis(200)));
        assert!(output.timed_out && !output.success());
        assert_eq!(output.text(), "here");
        assert!(started.elapsed() < Duration::from_secs(5), "its children hold the output open");
    }

    #[test]
    fn long_output_is_drained_and_cut() {
        let output = run(&Command::new(["sh", "-c", "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2"]));
        assert!(output.success() && output.truncated);
        assert_eq!((output.stdout.len(), output.stderr.len()), (1 << 20, 1 << 20));
    }

    /// A reader that is slow to get its turn.
    struct Slow(process::ChildStdout);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            thread::sleep(2 * LEFTOVER);
            self.0.read(buffer)
        }
    }

    impl AsFd for Slow {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    #[test]
    fn nothing_is_lost_when_the_reader_is_late() {
        let mut child = start(&Command::new(["echo", "here"]), Path::new("/")).unwrap();
        let drain = Drain::start(Slow(child.stdout.take().unwrap())).unwrap();
        child.wait().unwrap();
        let kept = drain.end(Instant::now());
        assert_eq!((&kept.kept[..], kept.truncated), (&b"here\n"[..], false));
    }

    #[test]
    fn a_process_that_is_left_behind_is_not_waited_for() {
        let started = Instant::now();
        let output = run(&Command::new(["sh", "-c", "echo here; sleep 20 &"]));
        assert_eq!(output.text(), "here");
        assert!(started.elapsed() < UNREAD, "{:?}", started.elapsed());
    }

    #[test]
    fn input_that_nobody_reads_is_no_error() {
        assert!(run(&Command::new(["true"]).stdin(vec![b'x'; 1 << 20])).success());
    }

    #[test]
    fn what_cannot_start_says_why() {
        let error = |command: Command| Running::default().run(&command, Path::new("/")).unwrap_err();
        assert!(error(Command::new(["no-such-tool"])).contains("is it installed on this node?"));
        assert!(error(Command::new(["true"]).dir("/no/such/dir")).contains("/no/such/dir does not exist"));
        assert!(error(Command::new(Vec::<String>::new())).contains("empty command"));
    }
}
