//! The recorder: the one writer of a run's history.
//!
//! Whoever records takes a lock, is stamped by the run's clock inside it, and is written into a buffer: so the order of the
//! file is the order of its times. A thread of its own moves the buffer to the file every few milliseconds, so that a slow
//! disk slows nobody until [`BUFFER_MAX`] is full, and a `kill -9` loses at most the last [`FLUSH_EVERY`].

use crate::runner::clock::Clock;
use crate::store::{self, Readers};
use histories::history::Meta;
use histories::{Actor, EventWriter, Kind, Record, Value};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use workloads::client::OpError;

/// The age at which events reach the file.
pub const FLUSH_EVERY: Duration = Duration::from_millis(20);

/// The most bytes that wait for the disk; whoever records then waits too.
pub const BUFFER_MAX: usize = 64 << 20;

/// One event, before it is stamped.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The process; `None` for the nemesis.
    pub process: Option<u64>,
    /// The thread that runs it.
    pub thread: Option<u32>,
    /// The node it talks to.
    pub node: Option<&'a str>,
    /// invoke, ok, fail or info.
    pub kind: Kind,
    /// The function.
    pub f: &'a str,
    /// Its argument or result.
    pub value: &'a Value,
    /// Why it did not end `ok`.
    pub error: Option<&'a OpError>,
}

/// Writes a run's history while it goes on. Shared by all who have something to record.
pub struct Recorder {
    shared: Arc<Shared>,
    clock: Clock,
    mover: Option<JoinHandle<()>>,
}

/// What the recorder and its thread share.
struct Shared {
    path: PathBuf,
    state: Mutex<State>,
    /// Tells the mover that it shall end, and whoever waits that there is room.
    changed: Condvar,
    /// Set with [`State::failure`], and read without a lock.
    failed: AtomicBool,
}

struct State {
    /// Writes into memory; the mover takes what is there.
    writer: EventWriter<Vec<u8>>,
    /// Batches taken by the mover. When a second one has been taken, the first is in the file.
    batches: u64,
    ending: bool,
    failure: Option<String>,
}

impl Recorder {
    /// Creates the file; its header states `meta`.
    ///
    /// # Errors
    /// What the system says when the file cannot be created.
    pub fn create(path: &Path, meta: &Meta, clock: Clock) -> io::Result<Recorder> {
        let mut file = store::create_new(path, Readers::Umask)?;
        let mut writer = EventWriter::new(Vec::new());
        writer.write_header(meta)?;
        let shared = Arc::new(Shared {
            path: path.into(),
            state: Mutex::new(State { writer, batches: 0, ending: false, failure: None }),
            changed: Condvar::new(),
            failed: AtomicBool::new(false),
        });
        let moving = Arc::clone(&shared);
        let mover = std::thread::Builder::new().name("recorder".into()).spawn(move || moving.move_to(&mut file))?;
        Ok(Recorder { shared, clock, mover: Some(mover) })
    }

    /// The clock that stamps.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Stamps and records an event, and returns its time. Once recording has failed nothing more is written: what the file
    /// holds stays a beginning of the truth.
    pub fn record(&self, entry: &Entry<'_>) -> u64 {
        let mut state = self.shared.lock();
        while state.writer.get_mut().len() >= BUFFER_MAX && state.failure.is_none() {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let now = self.clock.now_ns();
        if state.failure.is_none() {
            let error = entry.error.map(|error| Value::pair(error.kind, error.detail.as_str()));
            // Writing into memory cannot fail.
            let _ = state.writer.write_event(&Record {
                time: now as i64,
                actor: entry.process.map_or(Actor::Nemesis, |process| Actor::Process(process as i64)),
                thread: entry.thread,
                node: entry.node,
                kind: entry.kind,
                f: entry.f,
                value: entry.value,
                error: error.as_ref(),
            });
        }
        now
    }

    /// The number of events recorded.
    pub fn events(&self) -> u64 {
        self.shared.lock().writer.count()
    }

    /// Why events can no longer be recorded, if so: a sentence with the file and what to do.
    pub fn failure(&self) -> Option<String> {
        self.shared.failed.load(Ordering::Acquire).then(|| self.shared.lock().failure.clone()).flatten()
    }

    /// Writes what is left, makes it durable and closes the file.
    ///
    /// # Errors
    /// What [`Recorder::failure`] says.
    pub fn seal(mut self) -> Result<(), String> {
        self.end();
        self.failure().map_or(Ok(()), Err)
    }

    /// Waits until what has been recorded so far is in the file; for a recorder that others still hold.
    ///
    /// # Errors
    /// What [`Recorder::failure`] says.
    pub fn flushed(&self) -> Result<(), String> {
        let mut state = self.shared.lock();
        let batches = state.batches + 2;
        while state.batches < batches && state.failure.is_none() {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.failure.clone().map_or(Ok(()), Err)
    }

    fn end(&mut self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
        if let Some(mover) = self.mover.take() {
            // The mover holds no lock while it could panic, and reports failures itself.
            let _ = mover.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mover's life: takes the buffer every few milliseconds and writes it, until the end or the first failure.
    fn move_to(&self, file: &mut File) {
        let mut batch = Vec::new();
        loop {
            let ending = {
                let state = self.lock();
                let (mut state, _) =
                    self.changed.wait_timeout_while(state, FLUSH_EVERY, |state| !state.ending).unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut batch, state.writer.get_mut());
                state.batches += 1;
                state.ending
            };
            self.changed.notify_all();
            let written = file.write_all(&batch).and_then(|()| if ending { file.sync_all() } else { Ok(()) });
            batch.clear();
            if let Err(error) = written {
                self.fail(&error);
                return;
            }
            if ending {
                return;
            }
        }
    }

    fn fail(&self, error: &io::Error) {
        let what = match error.kind() {
            io::ErrorKind::StorageFull => "the disk is full; free some space or choose another place with --store".into(),
            _ => error.to_string(),
        };
        let mut state = self.lock();
        state.failure = Some(format!("{}: the history can no longer be recorded: {what}", self.path.display()));
        *state.writer.get_mut() = Vec::new();
        self.failed.store(true, Ordering::Release);
        self.changed.notify_all();
    }
}
