//! How programs ended, and whether anybody of ours had ended them: each is waited for by whoever started it.

use super::cores;
use super::files::Directory;
use crate::Ending;
use crate::command::{Program, tail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// So much of a log is kept.
const LOG_BYTES: usize = 600;

/// Endings of one program that are kept: one that ends again and again is the same finding.
const KEPT: usize = 32;

/// The endings of all programs of an agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Endings(Arc<Mutex<BTreeMap<String, Watched>>>);

/// A program that is watched.
#[derive(Debug, Default)]
struct Watched {
    /// Whether we ended the process that was started last, or are about to.
    ours: Arc<AtomicBool>,
    ended: Vec<(Instant, Ending)>,
}

impl Endings {
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Watched) -> T) -> T {
        act(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_default())
    }

    /// From now on a program's end is ours.
    pub(super) fn expect(&self, name: &str) {
        self.with(name, |watched| watched.ours.store(true, Ordering::SeqCst));
    }

    /// How a program ended when nobody of ours had ended it, the earliest first.
    pub(super) fn of(&self, name: &str) -> Vec<Ending> {
        self.with(name, |watched| watched.ended.iter().map(|(at, ending)| Ending { ago: at.elapsed(), ..ending.clone() }).collect())
    }

    /// Waits for the end of a program that was just started: somebody has to, or it stays a zombie. `lives` tells whether others of its
    /// processes go on.
    pub(super) fn watch(&self, program: &Program, home: &Directory, child: Child, lives: impl FnOnce() -> bool + Send + 'static) {
        let ours = Arc::<AtomicBool>::default();
        self.with(&program.name, |watched| watched.ours = Arc::clone(&ours));
        let (endings, name, log, began) = (self.clone(), program.name.clone(), home.any(&program.log), SystemTime::now());
        let dir = home.any(program.dir.as_deref().unwrap_or_default());
        thread::spawn(move || {
            let pid = child.id();
            let Some(status) = reap(child) else { return };
            // In this order: if the others no longer live because we ended them just now, that is ours, and known before.
            if lives() || ours.load(Ordering::SeqCst) {
                return;
            }
            let log = end_of(&log).map_or_else(|_| String::new(), |end| tail(&end, LOG_BYTES));
            let out_of_memory = status.signal() == Some(libc::SIGKILL) && was_killed_for_memory(pid);
            let core = status.core_dumped().then(|| cores::find(pid, &dir, began)).flatten().map(|core| core.display().to_string());
            let ending = Ending { ago: Duration::ZERO, how: status.to_string(), out_of_memory, log, core };
            endings.with(&name, |watched| {
                if watched.ended.len() < KEPT {
                    watched.ended.push((Instant::now(), ending));
                }
            });
        });
    }
}

/// Waits for a child's end, and only then fetches its status: whoever waits for a child whose clock is being changed is told, too,
/// that it has stopped, takes that for its end, and the tracer is never told (ptrace(2): every thread of the tracer's process is).
fn reap(mut child: Child) -> Option<ExitStatus> {
    if let Ok(handle) = pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
        while let Err(Errno::INTR) = poll(&mut [PollFd::new(&handle, PollFlags::IN)], None) {}
    }
    child.wait().ok()
}

/// The end of a log, with a little more than is kept.
fn end_of(log: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let from = file.metadata()?.len().saturating_sub(LOG_BYTES as u64 + 1);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.read_to_end(&mut end)?;
    Ok(end)
}

/// Whether the kernel's log says that it killed a process because memory was short. False where the log cannot be read, or numbers
/// processes otherwise.
fn was_killed_for_memory(pid: u32) -> bool {
    let Ok(mut log) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg") else { return false };
    let words = format!("Killed process {pid} ");
    // Each read is one message; one that was overwritten meanwhile is an error, and the next one follows.
    let mut message = [0; 8 << 10];
    loop {
        match log.read(&mut message) {
            Ok(0) => return false,
            Ok(length) if String::from_utf8_lossy(&message[..length]).contains(&words) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe || error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}
