//! The nodes' processes on this machine: each its own process group, and none outlives the harness.
//!
//! Linux kills a child when the *thread* that started it ends, if the child asks for that (`PR_SET_PDEATHSIG`). So one thread
//! starts all nodes and lives as long as [`Processes`]. A SIGKILL of the harness ends that thread, and with it every node,
//! also one that is stopped by a signal.

use nemesis::ProcessState;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a process may take to stop after it was told to. Whoever asked looks at its state afterwards anyway.
const STOPS_WITHIN: Duration = Duration::from_secs(2);

/// How often processes are looked at that may have ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The process of a node, and how those before it ended.
#[derive(Default)]
struct Slot {
    child: Option<Child>,
    /// Whether the process was told to end.
    ours: bool,
    /// When and how its processes ended that nobody had told to.
    ended: Vec<(Instant, ExitStatus)>,
}

type Children = Vec<Slot>;
type Job = Box<dyn FnOnce(&mut Children) + Send>;

/// One process per node, or none. Dropping this kills all of them.
#[derive(Debug)]
pub struct Processes {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Processes {
    /// No process yet for any of so many nodes.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn new(nodes: usize) -> io::Result<Processes> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new().name("demo processes".into()).spawn(move || {
            let mut children: Children = (0..nodes).map(|_| Slot::default()).collect();
            loop {
                match queue.recv_timeout(LOOK_EVERY) {
                    Ok(job) => job(&mut children),
                    // What cannot be seen now is seen when somebody asks.
                    Err(RecvTimeoutError::Timeout) => children.iter_mut().for_each(|slot| drop(slot.has_ended())),
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            for slot in &mut children {
                // There is nobody left to tell.
                drop(slot.kill());
            }
        })?;
        Ok(Processes { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Starts a node's process. No harm if it runs.
    pub fn start(&self, node: usize, command: Command) -> io::Result<()> {
        self.with(node, |slot| {
            if slot.state()? == ProcessState::Down {
                slot.child = Some(spawn(command)?);
                slot.ours = false;
            }
            Ok(())
        })
    }

    /// Kills a node's process group with SIGKILL, whatever state it is in, and waits until it is gone.
    pub fn kill(&self, node: usize) -> io::Result<()> {
        self.with(node, Slot::kill)
    }

    /// Asks a node's process group to end, by SIGTERM. No harm if there is none.
    pub fn terminate(&self, node: usize) -> io::Result<()> {
        self.with(node, |slot| {
            slot.ours |= !slot.has_ended()?;
            slot.signal(libc::SIGTERM)
        })
    }

    /// Sends a signal to a node's process group. No harm if there is none.
    pub fn signal(&self, node: usize, signal: libc::c_int) -> io::Result<()> {
        self.with(node, move |slot| slot.signal(signal))
    }

    /// How long ago a node's processes ended that nobody had told to, and how, the earliest first.
    pub fn endings(&self, node: usize) -> io::Result<Vec<(Duration, ExitStatus)>> {
        self.with(node, |slot| {
            slot.has_ended()?;
            Ok(slot.ended.iter().map(|(at, status)| (at.elapsed(), *status)).collect())
        })
    }

    /// Stops a node's process group and waits until its process is seen to have stopped: a signal takes effect in its own
    /// time. No harm if there is none.
    pub fn pause(&self, node: usize) -> io::Result<()> {
        self.signal(node, libc::SIGSTOP)?;
        let deadline = Instant::now() + STOPS_WITHIN;
        while self.state(node)? == ProcessState::Running && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Looks at a node's process, in `/proc`.
    pub fn state(&self, node: usize) -> io::Result<ProcessState> {
        self.with(node, Slot::state)
    }

    /// The id of a node's process, if one was started and not yet seen to be gone.
    pub fn pid(&self, node: usize) -> io::Result<Option<u32>> {
        self.with(node, |slot| Ok(slot.child.as_ref().map(Child::id)))
    }

    /// Does something with a node's process, on the thread that owns it.
    fn with<T: Send + 'static>(&self, node: usize, job: impl FnOnce(&mut Slot) -> io::Result<T> + Send + 'static) -> io::Result<T> {
        let gone = || io::Error::other("the thread that keeps the demo's processes is gone");
        let (reply, answer) = mpsc::channel();
        let job: Job = Box::new(move |children| {
            let result = children.get_mut(node).map_or_else(|| Err(io::Error::other(format!("there is no node {node}"))), job);
            // Nobody else holds the other end, and it waits below.
            let _ = reply.send(result);
        });
        self.jobs.as_ref().ok_or_else(gone)?.send(job).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has killed the nodes, too.
            let _ = thread.join();
        }
    }
}

fn spawn(mut command: Command) -> io::Result<Child> {
    command.process_group(0);
    let parent = std::process::id();
    #[allow(unsafe_code)] // The only way to do something between fork and exec.
    // SAFETY: the closure runs in the forked child and calls async-signal-safe functions only; it allocates nothing.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as libc::c_ulong) != 0 {
                return Err(io::Error::last_os_error());
            }
            // The harness may have died before the line above.
            if libc::getppid() as u32 != parent {
                libc::_exit(1);
            }
            Ok(())
        });
    }
    command.spawn()
}

impl Slot {
    /// Whether there is no process, any more or yet. One that ended untold is noted.
    fn has_ended(&mut self) -> io::Result<bool> {
        let Some(running) = &mut self.child else { return Ok(true) };
        let Some(status) = running.try_wait()? else { return Ok(false) };
        if !self.ours {
            self.ended.push((Instant::now(), status));
        }
        self.child = None;
        Ok(true)
    }

    fn kill(&mut self) -> io::Result<()> {
        if !self.has_ended()?
            && let Some(running) = &mut self.child
        {
            signal_group(running, libc::SIGKILL)?;
            running.wait()?;
            self.child = None;
        }
        Ok(())
    }

    fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        self.child.as_ref().map_or(Ok(()), |child| signal_group(child, signal))
    }

    fn state(&mut self) -> io::Result<ProcessState> {
        if self.has_ended()? {
            return Ok(ProcessState::Down);
        }
        let Some(running) = &self.child else { return Ok(ProcessState::Down) };
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", running.id()))?;
        // `pid (name) state ...`, and the name may hold anything.
        let letter = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        Ok(match letter {
            Some('T' | 't') => ProcessState::Paused,
            Some('Z' | 'X') | None => ProcessState::Down,
            Some(_) => ProcessState::Running,
        })
    }
}

/// Signals the process group of a child that has not been waited for: its id cannot belong to anybody else.
fn signal_group(child: &Child, signal: libc::c_int) -> io::Result<()> {
    #[allow(unsafe_code)] // A system call without a safe wrapper in the standard library.
    // SAFETY: kill takes no pointers.
    let result = unsafe { libc::kill(-(child.id() as libc::pid_t), signal) };
    let error = io::Error::last_os_error();
    // It has ended by itself, and nobody has waited for it yet.
    if result == 0 || error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Command {
        let mut command = Command::new("sleep");
        command.arg("60");
        command
    }

    fn wait_for(processes: &Processes, expected: ProcessState) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while processes.state(0).unwrap() != expected {
            assert!(Instant::now() < deadline, "not {expected:?} within 5 s");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn start_pause_resume_kill() {
        let processes = Processes::new(1).unwrap();
        assert_eq!(processes.state(0).unwrap(), ProcessState::Down);
        processes.start(0, sleeper()).unwrap();
        wait_for(&processes, ProcessState::Running);
        let pid = processes.pid(0).unwrap();
        processes.start(0, sleeper()).unwrap();
        assert_eq!(processes.pid(0).unwrap(), pid);
        processes.signal(0, libc::SIGSTOP).unwrap();
        wait_for(&processes, ProcessState::Paused);
        processes.signal(0, libc::SIGCONT).unwrap();
        wait_for(&processes, ProcessState::Running);
        processes.kill(0).unwrap();
        assert_eq!(processes.state(0).unwrap(), ProcessState::Down);
        processes.kill(0).unwrap();
        processes.signal(0, libc::SIGCONT).unwrap();
        assert!(processes.state(1).is_err());
    }

    #[test]
    fn a_process_that_ends_by_itself_is_down() {
        let processes = Processes::new(1).unwrap();
        processes.start(0, Command::new("false")).unwrap();
        wait_for(&processes, ProcessState::Down);
        let hows = || processes.endings(0).unwrap().iter().map(|(_, status)| status.to_string()).collect::<Vec<_>>();
        assert_eq!(hows(), ["exit status: 1"]);
        // What was told to end did not end by itself.
        processes.start(0, sleeper()).unwrap();
        processes.kill(0).unwrap();
        processes.start(0, sleeper()).unwrap();
        processes.terminate(0).unwrap();
        wait_for(&processes, ProcessState::Down);
        assert_eq!(hows().len(), 1);
        processes.start(0, sleeper()).unwrap();
        processes.signal(0, libc::SIGKILL).unwrap();
        wait_for(&processes, ProcessState::Down);
        assert_eq!(hows(), ["exit status: 1", "signal: 9 (SIGKILL)"]);
    }

    #[test]
    fn none_is_left_behind_not_even_a_paused_one() {
        let processes = Processes::new(1).unwrap();
        processes.start(0, sleeper()).unwrap();
        processes.signal(0, libc::SIGSTOP).unwrap();
        let pid = processes.pid(0).unwrap().unwrap();
        drop(processes);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
