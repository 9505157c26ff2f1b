//! What puts right what was hurt: what the journal says, one kind of it or all, at the end or when asked to.

use super::Host;
use super::harm::must_own_network;
use crate::agent::node::cgroup;
use crate::agent::node::damage;
use crate::agent::node::disk;
use crate::agent::node::disk::HurtDisk;
use crate::agent::node::firewall::{Backend, Firewall};
use crate::agent::node::journal::Entry;
use crate::agent::node::time_daemon;
use crate::agent::protocol::disk::DiskHarm;
use crate::agent::protocol::{Request, Undone};
use crate::command::{DataDisk, Program};
use crate::machine::boot_id;
use std::sync::PoisonError;

impl Host {
    pub(super) fn undo_all_of(&self, which: impl Fn(&Entry) -> bool) -> Result<(), String> {
        let found = self.journal().open_entries().into_iter().filter(|(_, entry)| which(entry));
        for (id, entry) in found.collect::<Vec<_>>() {
            self.undo(&entry)?;
            self.journal().end(id)?;
        }
        Ok(())
    }

    fn undo(&self, entry: &Entry) -> Result<(), String> {
        match entry {
            // The journal is its owner's alone: whoever may change nothing of the network has not changed it.
            Entry::Cut(_) | Entry::Shaped(_) if must_own_network().is_err() => Ok(()),
            Entry::Cut(cut) => self.firewall.clear(cut.backend),
            Entry::Shaped(shaped) => self.packets.clear(&shaped.way),
            Entry::Killed(killed) => self.programs.start(&killed.program),
            Entry::Paused(paused) => self.programs.resume(&paused.name),
            Entry::Skewed(skewed) => self.clocks.restore(&skewed.name, || self.programs.pids(&skewed.name)),
            Entry::TimeDaemonStopped(stopped) => time_daemon::start(&self.running, &stopped.daemons),
            Entry::SystemClock(before) => self.system_clock.restore(before, &boot_id()),
            Entry::HurtDisk(hurt) => self.heal_disk(hurt),
            Entry::Damaged(damaged) => {
                self.programs.kill(&damaged.program.name)?;
                // After the host's crash the files are there only when their disk is.
                self.programs.provide(&damaged.program)?;
                damage::repair(&self.directory, &damaged.changes)?;
                self.start_again(&damaged.program)
            }
            Entry::Squeezed(squeezed) => {
                cgroup::unlimit(cgroup::of(&squeezed.program)?, squeezed.resource)?;
                self.start_again(&squeezed.program)
            }
        }
    }

    /// Undoes everything, once what is under way has ended, and lets nothing begin any more.
    pub(in crate::agent) fn leave(&self) -> Vec<Undone> {
        let mut leaving = self.leaving.write().unwrap_or_else(PoisonError::into_inner);
        *leaving = true;
        self.undo_journal()
    }

    /// Undoes everything, once what is under way has ended.
    pub(in crate::agent) fn undo_all(&self) -> Vec<Undone> {
        let _alone = self.leaving.write().unwrap_or_else(PoisonError::into_inner);
        self.undo_journal()
    }

    /// Ends every program that was started, with the faults on it, and removes all files that are not the agent's own.
    pub(in crate::agent) fn tear_down(&self) -> Vec<Undone> {
        let mut undone = Vec::new();
        let names = self.programs.names();
        for name in &names {
            let error = self.change(&Request::Stop { name: name.clone() }).err();
            undone.push(Undone { what: format!("{name} was started by a run"), error });
        }
        for path in self.directory.others() {
            let error = self.directory.remove(&path).err();
            undone.push(Undone { what: format!("{path} was written by a run"), error });
        }
        undone
    }

    /// Undoes the journal, the latest entry first; what fails stays in it.
    fn undo_journal(&self) -> Vec<Undone> {
        let entries = self.journal().open_entries();
        let mut undone: Vec<Undone> = Vec::new();
        for (id, entry) in entries {
            let error = self.undo(&entry).and_then(|()| self.journal().end(id)).err();
            undone.push(Undone { what: describe(&entry), error });
        }
        // Tables of ours that no journal knows of: somebody removed the journal.
        let open = self.journal().open_entries();
        let [cut, queue] = self.firewall.has_tables();
        let mut clear = |stray: bool, clear: fn(&Firewall, Backend) -> Result<(), String>| {
            if stray {
                let error = clear(&self.firewall, Backend::Nft).err();
                undone.push(Undone { what: "a table of ours in the firewall that no journal knows of".into(), error });
            }
        };
        clear(cut && !open.iter().any(|(_, entry)| matches!(entry, Entry::Cut(_))), Firewall::clear);
        clear(queue && !open.iter().any(|(_, entry)| matches!(entry, Entry::Shaped(_))), Firewall::clear_queue);
        if let Some(error) = self.journal().set_unreadable_aside() {
            undone.push(Undone { what: "what the journal could not tell".into(), error: Some(error) });
        }
        undone
    }

    fn heal_disk(&self, hurt: &HurtDisk) -> Result<(), String> {
        let disk = disk::of(&hurt.program)?;
        let mount_anew = || {
            self.programs.kill(&hurt.program.name)?;
            self.disks.unmount(disk)
        };
        if hurt.harm == DiskHarm::PowerLoss {
            // Whoever cut the power may have been killed half-way: the program stands still, on a file system that is shut down.
            mount_anew()?;
        }
        if self.put_right(hurt, disk).is_err() {
            // A file system on which a write has failed, since the node's own disk was full, takes none until it is mounted anew.
            mount_anew()?;
            self.put_right(hurt, disk)?;
        }
        self.start_again(&hurt.program)
    }

    fn put_right(&self, hurt: &HurtDisk, disk: &DataDisk) -> Result<(), String> {
        // Its power was cut, or that of the whole host.
        self.disks.mount(disk)?;
        match hurt.harm {
            DiskHarm::Full => self.disks.empty(disk),
            DiskHarm::ReadOnly => self.disks.set_read_only(disk, false),
            DiskHarm::PowerLoss => Ok(()),
        }
    }

    /// Starts a program that ended because of a fault, unless another fault keeps it down.
    fn start_again(&self, program: &Program) -> Result<(), String> {
        let is_kept_down = |entry: &Entry| matches!(entry, Entry::Killed(killed) if killed.program.name == program.name);
        if self.journal().open_entries().iter().any(|(_, entry)| is_kept_down(entry)) {
            return Ok(());
        }
        self.programs.start(program)
    }
}

fn describe(entry: &Entry) -> String {
    match entry {
        Entry::Cut(_) => "packets were dropped".into(),
        Entry::Shaped(_) => "packets were held back, lost or mangled".into(),
        Entry::Killed(killed) => format!("{} was killed", killed.program.name),
        Entry::Paused(paused) => format!("{} was paused", paused.name),
        Entry::Skewed(skewed) => format!("the clock of {} was changed", skewed.name),
        Entry::TimeDaemonStopped(stopped) => format!("{} was stopped", stopped.describe()),
        Entry::SystemClock(_) => "the node's clock was changed".into(),
        Entry::HurtDisk(hurt) => hurt.describe(),
        Entry::Damaged(damaged) => format!("files of {} were damaged", damaged.program.name),
        Entry::Squeezed(squeezed) => squeezed.describe(),
    }
}
