//! What hurts programs, their disks and files, and packets: each is noted in the journal before it is done.

use super::Host;
use crate::ProcessState;
use crate::agent::node::cgroup;
use crate::agent::node::cgroup::Squeezed;
use crate::agent::node::damage;
use crate::agent::node::damage::Damaged;
use crate::agent::node::disk;
use crate::agent::node::disk::HurtDisk;
use crate::agent::node::firewall::Cut;
use crate::agent::node::journal::Entry;
use crate::agent::node::packets::Shaped;
use crate::agent::node::process::Killed;
use crate::agent::protocol::damage::{Change, Plan};
use crate::agent::protocol::disk::DiskHarm;
use crate::agent::protocol::group::Resource;
use crate::agent::protocol::traffic::Shape;
use crate::command::Program;
use rustix::thread::{CapabilitySet, capabilities};
use std::net::IpAddr;
use std::sync::PoisonError;

/// An error where the kernel would let this agent change nothing of the network. Then nothing is noted either: it could not be undone.
pub(super) fn must_own_network() -> Result<(), String> {
    match capabilities(None) {
        Ok(sets) if !sets.effective.contains(CapabilitySet::NET_ADMIN) => {
            Err("only root can drop or hold back packets (the capability NET_ADMIN is missing)".into())
        }
        // Where nobody tells, it is tried.
        Ok(_) | Err(_) => Ok(()),
    }
}

impl Host {
    pub(super) fn hurt_disk(&self, name: &str, harm: DiskHarm) -> Result<(), String> {
        let program = self.programs.last(name)?;
        let disk = disk::of(&program)?;
        self.begin(&Entry::HurtDisk(HurtDisk { program: program.clone(), harm }))?;
        match harm {
            DiskHarm::Full => self.disks.fill(disk),
            DiskHarm::ReadOnly => {
                self.programs.kill(name)?;
                self.disks.set_read_only(disk, true)?;
                // One that cannot run so ends at once: that is what such a disk does.
                let _ = self.programs.start(&program);
                Ok(())
            }
            DiskHarm::PowerLoss => {
                // Without power nobody acknowledges anything. A program that runs on a little longer does, and a call to sync that is
                // under way when the file system shuts down may tell it that all went well: so it stands still before.
                self.programs.pause(name)?;
                self.disks.cut_power(disk)?;
                self.programs.kill(name)?;
                self.disks.unmount(disk)
            }
        }
    }

    pub(super) fn squeeze(&self, name: &str, resource: Resource, thousandths: u32) -> Result<(), String> {
        self.programs.must_run(name)?;
        let program = self.programs.last(name)?;
        let groups = cgroup::of(&program)?;
        self.begin(&Entry::Squeezed(Squeezed { program: program.clone(), resource }))?;
        cgroup::limit(groups, resource, thousandths)
    }

    /// Kills a program, so that its files stay as they are, and looks at them.
    pub(super) fn plan_damage(&self, name: &str, plan: &Plan) -> Result<Vec<Change>, String> {
        let leaving = self.leaving.read().unwrap_or_else(PoisonError::into_inner);
        if *leaving {
            return Err("the agent is leaving".into());
        }
        let _one_at_a_time = self.programs_gate.lock().unwrap_or_else(PoisonError::into_inner);
        self.programs.must_run(name)?;
        let program = self.programs.last(name)?;
        self.begin(&Entry::Killed(Killed { program: program.clone() }))?;
        self.programs.kill(name)?;
        damage::plan(&self.directory, plan).inspect_err(|_| {
            let _ = self.revive(&program);
        })
    }

    pub(super) fn damage(&self, name: &str, changes: &[Change]) -> Result<(), String> {
        if self.programs.state(name)? != ProcessState::Down {
            return Err(format!("{name} was started again meanwhile: its files are left alone"));
        }
        let program = self.programs.last(name)?;
        self.begin(&Entry::Damaged(Damaged { program: program.clone(), changes: changes.to_vec() }))?;
        let done = damage::inflict(&self.directory, changes);
        // One that does not run on what it finds ends at once: that is for it to decide.
        let _ = self.revive(&program);
        done
    }

    /// Starts a program that was killed; whether it then runs or not, it is not kept down any more.
    fn revive(&self, program: &Program) -> Result<(), String> {
        let started = self.programs.start(program);
        self.journal().end_all(|entry| matches!(entry, Entry::Killed(killed) if killed.program.name == program.name))?;
        started
    }

    fn spare_control(&self, addresses: &[IpAddr], what: &str) -> Result<(), String> {
        match addresses.iter().find(|address| Some(address.to_canonical()) == self.control) {
            Some(control) => Err(format!("refused to {what} {control}: the control node talks to this node from there")),
            None => Ok(()),
        }
    }

    pub(super) fn drop_from(&self, addresses: &[IpAddr]) -> Result<(), String> {
        self.spare_control(addresses, "drop packets from")?;
        if addresses.is_empty() {
            return self.undo_all_of(|entry| matches!(entry, Entry::Cut(_)));
        }
        let backend = self.firewall.backend(addresses)?;
        must_own_network()?;
        self.begin(&Entry::Cut(Cut { backend }))?;
        self.firewall.cut(backend, addresses)
    }

    /// Replaces what there was, by the first way that works.
    pub(super) fn shape(&self, addresses: &[IpAddr], shape: &Shape, seed: u64) -> Result<(), String> {
        self.spare_control(addresses, "hold back packets to")?;
        self.undo_all_of(|entry| matches!(entry, Entry::Shaped(_)))?;
        if addresses.is_empty() {
            return Ok(());
        }
        must_own_network()?;
        let (ways, mut why_not) = self.packets.ways(addresses);
        for way in ways {
            self.begin(&Entry::Shaped(Shaped { way: way.clone() }))?;
            match self.packets.apply(&way, addresses, shape, seed) {
                Ok(()) => return Ok(()),
                Err(why) => why_not.push(why),
            }
            self.undo_all_of(|entry| matches!(entry, Entry::Shaped(_)))?;
        }
        Err(format!("packets cannot be shaped on this node: {}", why_not.join("; ")))
    }
}
