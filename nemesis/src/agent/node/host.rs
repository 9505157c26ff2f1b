//! Everything of the node that the agent holds, and the answers to what it is asked.
//!
//! What hurts something is in [`harm`], what puts it right in [`undo`].

mod harm;
mod system_clock;
mod undo;

use super::cgroup;
use super::clock::Skewed;
use super::clock::{self, Clocks};
use super::disk::Disks;
use super::files::{Directory, replace};
use super::firewall::Firewall;
use super::footprint::{self, Footprint};
use super::journal::{Entry, Journal};
use super::packets::Packets;
use super::probe::Probe;
use super::process::{Killed, Paused, Programs};
use super::system_clock::SystemClock;
use super::{addresses, snapshot};
use crate::agent::protocol::options::ServeOptions;
use crate::agent::protocol::{About, Reply, Request, Undone, VERSION};
use crate::exec::Running;
use crate::machine::boot_id;
use rustix::process::geteuid;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// Everything of this node that the agent holds.
pub(super) struct Host {
    directory: Directory,
    journal: Mutex<Journal>,
    footprint: Mutex<Footprint>,
    programs: Programs,
    clocks: Clocks,
    system_clock: SystemClock,
    disks: Disks,
    /// One change of a program at a time.
    programs_gate: Mutex<()>,
    firewall: Firewall,
    firewall_gate: Mutex<()>,
    packets: Packets,
    probe: Probe,
    pub(super) running: Running,
    pub(super) busy: AtomicUsize,
    control: Option<IpAddr>,
    /// Whether the agent is leaving: nothing is hurt any more. Held for reading while something is.
    leaving: RwLock<bool>,
    /// Released by the kernel when the agent ends in whatever way.
    _lock: File,
}

impl Host {
    pub(super) fn enter(options: &ServeOptions) -> Result<Host, String> {
        let directory = Directory::make(&options.directory())?;
        let lock = lock(&directory.root().join("lock"), options)?;
        let running = Running::default();
        Ok(Host {
            journal: Mutex::new(Journal::open(directory.root())?),
            programs: Programs::new(&directory, Disks::new(&directory, running.clone()))?,
            disks: Disks::new(&directory, running.clone()),
            footprint: Mutex::new(Footprint::open(directory.root())),
            clocks: Clocks::default(),
            system_clock: SystemClock::default(),
            programs_gate: Mutex::new(()),
            packets: Packets::new(Firewall::find(running.clone()), running.clone()),
            firewall: Firewall::find(running.clone()),
            firewall_gate: Mutex::new(()),
            probe: Probe::listen(options.probe_port)?,
            directory,
            running,
            busy: AtomicUsize::new(0),
            control: options.control.map(|address| address.to_canonical()),
            leaving: RwLock::new(false),
            _lock: lock,
        })
    }

    pub(super) fn about(&self, undone: Vec<Undone>) -> About {
        About {
            protocol: VERSION,
            pid: std::process::id(),
            uid: geteuid().as_raw(),
            directory: self.directory.root().display().to_string(),
            addresses: addresses::own(),
            probe_port: self.probe.port(),
            boot: boot_id(),
            control: self.control,
            undone,
        }
    }

    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn footprint(&self) -> MutexGuard<'_, Footprint> {
        self.footprint.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_footprint(&self) {
        let mut footprint = self.footprint();
        footprint.begin();
        footprint.note(footprint::of_agent(self.directory.root()));
    }

    /// Notes a fault where it outlives us, before it is applied.
    fn begin(&self, entry: &Entry) -> Result<(), String> {
        self.journal().begin(entry)?;
        self.footprint().note([footprint::of_entry(entry)]);
        Ok(())
    }

    pub(super) fn answer(&self, request: &Request) -> Result<Reply, String> {
        self.footprint().note(footprint::of_request(request, self.directory.root()));
        match request {
            Request::Ping | Request::Bye => Ok(Reply::Nothing),
            Request::Run(command) => {
                let mut command = command.clone();
                command.dir = command.dir.map(|dir| self.directory.any(&dir).display().to_string());
                self.running.run(&command, self.directory.root()).map(Reply::Output)
            }
            Request::Write { path, offset, data } => self.directory.write(path, *offset, data).map(|()| Reply::Nothing),
            Request::Finish { path, size, mode } => self.directory.finish(path, *size, *mode).map(|()| Reply::Nothing),
            Request::Read { path, offset } => self.directory.read(path, *offset),
            Request::RemoveTree { path } => self.remove(path).map(|()| Reply::Nothing),
            Request::Pack { paths, to, bytes_max } => self.directory.pack(paths, to, *bytes_max).map(Reply::Packed),
            Request::State { name } => self.programs.state(name).map(Reply::State),
            Request::Endings { name } => Ok(Reply::Endings(self.programs.endings(name))),
            Request::ReadClock { name } => self.read_clock(name),
            Request::TrySystemClock { others } => self.try_system_clock(others).map(Reply::TimeDaemons),
            Request::ReadSystemClock => self.read_system_clock().map(Reply::SystemClock),
            Request::Incarnation { name } => self.programs.incarnation(name).map(Reply::Incarnation),
            Request::ProbeSend { to, nonce } => self.probe.send(*to, *nonce).map(|()| Reply::Nothing),
            Request::ProbeHeard { nonce, within } => Ok(Reply::Heard(self.probe.heard(*nonce, *within))),
            Request::Echo { to, nonce, echoes } => self.probe.echo(*to, *nonce, echoes).map(Reply::Echoed),
            Request::UsageFiles { name, resource } => cgroup::paths(name, *resource).map(Reply::Paths),
            Request::PlanDamage { name, plan } => self.plan_damage(name, plan).map(Reply::Changes),
            Request::Snapshot => Ok(Reply::Snapshot(snapshot::take(self.directory.root(), &self.running, &self.footprint().cgroups()))),
            Request::Time => Ok(Reply::Time(crate::machine::now_ns())),
            Request::BeginFootprint => {
                self.begin_footprint();
                Ok(Reply::Nothing)
            }
            Request::Footprint => Ok(Reply::Footprint(self.footprint().touches().to_vec())),
            Request::Heal => Ok(Reply::Undone(self.undo_all())),
            _ => self.change(request).map(|()| Reply::Nothing),
        }
    }

    /// Changes what runs or what is heard, unless the agent is leaving.
    fn change(&self, request: &Request) -> Result<(), String> {
        let leaving = self.leaving.read().unwrap_or_else(PoisonError::into_inner);
        if *leaving {
            return Err("the agent is leaving".into());
        }
        if let Request::DropFrom { addresses } = request {
            let _one_at_a_time = self.firewall_gate.lock().unwrap_or_else(PoisonError::into_inner);
            return self.drop_from(addresses);
        }
        if let Request::Shape { addresses, shape, seed } = request {
            let _one_at_a_time = self.firewall_gate.lock().unwrap_or_else(PoisonError::into_inner);
            return self.shape(addresses, shape, *seed);
        }
        let _one_at_a_time = self.programs_gate.lock().unwrap_or_else(PoisonError::into_inner);
        match request {
            Request::Start(program) => {
                self.programs.start(program)?;
                self.journal().end_all(|entry| matches!(entry, Entry::Killed(killed) if killed.program.name == program.name))
            }
            Request::Stop { name } => {
                self.programs.stop(name)?;
                self.clocks.forget(name);
                self.journal().end_all(|entry| match entry {
                    Entry::Killed(killed) => killed.program.name == *name,
                    Entry::Paused(paused) => paused.name == *name,
                    Entry::Skewed(skewed) => skewed.name == *name,
                    Entry::HurtDisk(hurt) => hurt.program.name == *name,
                    Entry::Damaged(damaged) => damaged.program.name == *name,
                    Entry::Squeezed(squeezed) => squeezed.program.name == *name,
                    Entry::Cut(_) | Entry::Shaped(_) | Entry::TimeDaemonStopped(_) | Entry::SystemClock(_) => false,
                })
            }
            Request::Kill { name } => {
                let program = self.programs.last(name)?;
                self.begin(&Entry::Killed(Killed { program }))?;
                self.programs.kill(name)
            }
            Request::Terminate { name } => {
                let program = self.programs.last(name)?;
                self.begin(&Entry::Killed(Killed { program }))?;
                self.programs.terminate(name)
            }
            Request::ExpectCrash { name } => {
                // Of a program that does not belong on this node at the moment, nothing is to be started after the crash.
                match self.programs.known(name)? {
                    Some(program) => self.begin(&Entry::Killed(Killed { program })),
                    None => Ok(()),
                }
            }
            Request::Pause { name } => {
                self.programs.must_run(name)?;
                self.begin(&Entry::Paused(Paused { name: name.clone() }))?;
                self.programs.pause(name)
            }
            Request::Resume { name } => {
                self.programs.resume(name)?;
                self.journal().end_all(|entry| matches!(entry, Entry::Paused(paused) if paused.name == *name))
            }
            Request::Skew { name, skew } => {
                self.programs.must_run(name)?;
                self.begin(&Entry::Skewed(Skewed { name: name.clone() }))?;
                self.clocks.skew(name, || self.programs.pids(name), skew)
            }
            Request::RestoreClock { name } => {
                self.clocks.restore(name, || self.programs.pids(name))?;
                self.journal().end_all(|entry| matches!(entry, Entry::Skewed(skewed) if skewed.name == *name))
            }
            Request::SkewSystemClock { skew, others } => self.skew_system_clock(skew, others),
            Request::RestoreSystemClock => self.restore_system_clock(),
            Request::TryGroups { name } => cgroup::try_out(name),
            Request::Squeeze { name, resource, thousandths } => self.squeeze(name, *resource, *thousandths),
            Request::Release { name, resource } => self.undo_all_of(
                |entry| matches!(entry, Entry::Squeezed(squeezed) if squeezed.program.name == *name && squeezed.resource == *resource),
            ),
            Request::Damage { name, changes } => self.damage(name, changes),
            Request::Repair { name } => self.undo_all_of(|entry| matches!(entry, Entry::Damaged(damaged) if damaged.program.name == *name)),
            Request::TryDisk { bytes } => self.disks.try_out(*bytes),
            Request::HurtDisk { name, harm } => self.hurt_disk(name, *harm),
            Request::HealDisk { name } => self.undo_all_of(|entry| matches!(entry, Entry::HurtDisk(hurt) if hurt.program.name == *name)),
            other => Err(format!("this agent cannot {other:?}")),
        }
    }

    /// Reads a program's clocks, while nobody else does something to its processes.
    fn read_clock(&self, name: &str) -> Result<Reply, String> {
        let _here = self.leaving.read().unwrap_or_else(PoisonError::into_inner);
        let _one_at_a_time = self.programs_gate.lock().unwrap_or_else(PoisonError::into_inner);
        clock::read(name, &self.programs.pids(name)?).map(Reply::Clock)
    }

    /// Removes a file or a directory with all below it, and first the disks of ours that are mounted there.
    fn remove(&self, path: &str) -> Result<(), String> {
        self.disks.unmount_below(&self.directory.below(path)?)?;
        self.directory.remove(path)
    }
}

/// Takes the lock of the directory, or says who has it.
fn lock(path: &Path, options: &ServeOptions) -> Result<File, String> {
    let fail = |e: io::Error| format!("cannot use the lock {}: {e}", path.display());
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(fail)?;
    let deadline = Instant::now() + options.lock_within;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(fs::TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(Duration::from_millis(20)),
            Err(fs::TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(path.with_file_name("lock.holder")).unwrap_or_else(|_| "somebody".into());
                return Err(format!("another run is using this node: {}. Wait for its end, or end it", holder.trim()));
            }
            Err(fs::TryLockError::Error(e)) => return Err(fail(e)),
        }
    }
    let from = options.control.map_or(String::new(), |address| format!(" from {address}"));
    let holder = format!("{}{from} (its agent is process {})\n", options.run, std::process::id());
    replace(&path.with_file_name("lock.holder"), holder.as_bytes()).map_err(fail)?;
    Ok(file)
}
