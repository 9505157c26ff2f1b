//! The node's own clock: whatever keeps it right is stopped first, and noted, and what it was is noted before it is touched.

use super::Host;
use crate::agent::node::journal::Entry;
use crate::agent::node::system_clock::{Before, may_be_set};
use crate::agent::node::time_daemon;
use crate::agent::node::time_daemon::Stopped;
use crate::agent::protocol::clock::Skew;
use crate::agent::protocol::clock::SystemReading;

impl Host {
    /// What keeps the clock right, by name, if it may be set at all.
    pub(super) fn try_system_clock(&self, others: &[String]) -> Result<Vec<String>, String> {
        may_be_set(others)?;
        Ok(time_daemon::find(&self.running)?.iter().map(time_daemon::Daemon::name).collect())
    }

    pub(super) fn skew_system_clock(&self, skew: &Skew, others: &[String]) -> Result<(), String> {
        may_be_set(others)?;
        let before = match self.clock_before() {
            Some(before) => before,
            None => self.prepare_system_clock().inspect_err(|_| {
                // It stays noted if even that fails.
                let _ = self.restore_system_clock();
            })?,
        };
        self.system_clock.skew(&before, skew)
    }

    /// Stops what keeps the clock right, and notes what the clock is like from then on.
    fn prepare_system_clock(&self) -> Result<Before, String> {
        let daemons = time_daemon::find(&self.running)?;
        if !daemons.is_empty() {
            self.begin(&Entry::TimeDaemonStopped(Stopped { daemons: daemons.clone() }))?;
            time_daemon::stop(&self.running, &daemons)?;
        }
        let before = self.system_clock.look()?;
        self.begin(&Entry::SystemClock(before.clone()))?;
        Ok(before)
    }

    pub(super) fn read_system_clock(&self) -> Result<SystemReading, String> {
        let before = self.clock_before().ok_or("the node's clock is as it always was: nobody has noted what to compare it with")?;
        self.system_clock.read(&before)
    }

    /// Sets the clock right, and then starts what keeps it so: the latest entry is undone first.
    pub(super) fn restore_system_clock(&self) -> Result<(), String> {
        self.undo_all_of(|entry| matches!(entry, Entry::SystemClock(_) | Entry::TimeDaemonStopped(_)))
    }

    fn clock_before(&self) -> Option<Before> {
        self.journal().open_entries().into_iter().find_map(|(_, entry)| match entry {
            Entry::SystemClock(before) => Some(before),
            _ => None,
        })
    }
}
