//! The lab: hosts made on this machine, for tests to hurt.
//!
//! A host is its own network, mount, pid, uts and ipc namespace with its own sshd, keys and copy-on-write folders: over SSH it is a
//! machine like any other. The hosts hang on a bridge in a *control namespace*, and a test runs in there. Neither has a
//! default route, so no packet of a test leaves the machine. It is no security boundary: root on a host can find ways to hurt the
//! machine if it wants to, but not by mistake.
//!
//! One process holds all of it together (the control process), and nothing that the kernel keeps for a lab is tied to anything else:
//! no named namespace, no mount, no link outside. So a lab ends completely when that process ends, at whatever moment and
//! however. What is left then is one folder, and [`down`] removes that.
//!
//! This module does not know what hosts are used for. Start reading at [`up`] and [`Lab::enter`]; then `control` (the process that
//! holds the lab), `host` (the first process of a host) and `state` (what is on disk).

mod control;
mod enter;
mod error;
mod files;
mod handshake;
mod host;
mod links;
mod process;
mod state;

pub use error::LabError;
pub use state::Subnet;

use control::{Hosts, Request, ask};
use error::Try;
use handshake::Handshake;
use process::{Handle, NamespaceId, ProcessId, await_end, in_namespaces, kill_all, memory_bytes};
use rustix::process::Signal;
use state::{Folder, Lock, State, host_name, read_json};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The name of a lab that is not told otherwise.
pub const NAME_DEFAULT: &str = "default";
/// The number of hosts of a lab that is not told otherwise.
pub const HOSTS_DEFAULT: u32 = 5;
/// How long the control process may take to make its namespace.
const CONTROL_PATIENCE: Duration = Duration::from_secs(20);
/// How long programs that run inside the lab have to end by themselves when it is taken down.
const GRACE: Duration = Duration::from_secs(2);
/// How long killed processes may take to die.
const DEATH_PATIENCE: Duration = Duration::from_secs(15);

/// A lab that is up, as a test needs to know it.
#[derive(Debug)]
pub struct Lab {
    /// Its name.
    pub name: String,
    /// Its hosts in order: name and address. Use the address: names are known inside only.
    pub nodes: Vec<(String, String)>,
    /// An `ssh_config` that reaches every host by name.
    pub ssh_config: PathBuf,
    /// The private key that logs in as root everywhere.
    pub key: PathBuf,
    /// The hosts' keys.
    pub known_hosts: PathBuf,
    folder: Folder,
    state: State,
}

impl Lab {
    /// Finds a lab that is up. Its hosts may have crashed.
    pub fn find(name: &str) -> Result<Lab, LabError> {
        check_root()?;
        let folder = Folder::of(name)?;
        let state = folder.state().ok_or_else(|| LabError::Absent { name: name.into() })?;
        if state.control.open().is_none() {
            return Err(LabError::Dead { name: name.into() });
        }
        Ok(Lab {
            name: name.into(),
            nodes: (1..=state.hosts).map(|host| (host_name(host), state.subnet.host(host))).collect(),
            ssh_config: folder.file("ssh_config"),
            key: folder.file("key"),
            known_hosts: folder.file("known_hosts"),
            folder,
            state,
        })
    }
}

/// What [`up`] is asked for.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The lab's name.
    pub name: String,
    /// Its addresses; `None`: what it has, or [`Subnet::DEFAULT`].
    pub subnet: Option<Subnet>,
    /// How many hosts: n1 to nN.
    pub hosts: u32,
}

/// What [`up`] did.
#[derive(Debug)]
pub struct Up {
    /// The lab.
    pub lab: Lab,
    /// The hosts that were started, in order; those that ran already are not in here.
    pub started: Vec<String>,
}

/// Makes a lab, or what is missing of it. If it cannot be made, nothing of it remains.
pub fn up(plan: &Plan) -> Result<Up, LabError> {
    check_root()?;
    let hosts = u8::try_from(plan.hosts)
        .ok()
        .filter(|n| (1..=Subnet::HOSTS_MAX).contains(n))
        .ok_or(LabError::HostCount { asked: plan.hosts, max: Subnet::HOSTS_MAX })?;
    links::check_programs()?;
    let folder = Folder::of(&plan.name)?;
    let lock = folder.create_and_lock()?;
    let alive = folder.state().filter(|state| state.control.open().is_some());
    let was_up = alive.is_some();
    let made = match alive {
        Some(state) => extend(&folder, state, plan, hosts),
        None => make(&folder, plan, hosts),
    };
    match made.and_then(|state| boot_missing(&folder, &state)) {
        Ok(started) => Ok(Up { lab: Lab::find(&plan.name)?, started }),
        Err(error) => {
            if !was_up {
                remove(&folder, &plan.name, &lock)?;
            }
            Err(error)
        }
    }
}

/// Makes the folder's files and starts the control process.
fn make(folder: &Folder, plan: &Plan, hosts: u8) -> Result<State, LabError> {
    end_processes(folder, &plan.name)?;
    empty(folder)?;
    let (mut control, stdin) = Handshake::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["lab", "control"]).arg(folder.path());
    command.env_clear().env("PATH", links::PATH).current_dir("/").stdin(stdin).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().or_say(|| "start the lab's control process".into())?;
    drop(command);
    let token = std::fs::read_to_string("/proc/sys/kernel/random/uuid").or_say(|| "draw a random number".into())?;
    let state = State {
        name: plan.name.clone(),
        token: token.trim().into(),
        subnet: plan.subnet.unwrap_or(Subnet::DEFAULT),
        hosts,
        control: ProcessId::of(child.id() as i32).or_say(|| "look at the lab's control process".into())?,
    };
    files::write(folder, &state)?;
    folder.write_state(&state)?;
    // Only now that it is written down may it make anything.
    let gone = |_| LabError::Control("the lab's control process ended before the lab was made".into());
    control.go().map_err(gone)?;
    control.hear::<Result<(), String>>(Some(CONTROL_PATIENCE)).map_err(gone)?.map_err(LabError::Control)?;
    Ok(state)
}

/// A lab that is up already: fits what was asked for, or gets the hosts that it lacks.
fn extend(folder: &Folder, mut state: State, plan: &Plan, hosts: u8) -> Result<State, LabError> {
    let differs = |found: String, asked: String| LabError::Differs { name: plan.name.clone(), found, asked };
    if let Some(asked) = plan.subnet.filter(|asked| *asked != state.subnet) {
        return Err(differs(format!("the subnet {}", state.subnet), asked.to_string()));
    }
    if state.hosts > hosts {
        return Err(differs(format!("{} hosts", state.hosts), hosts.to_string()));
    }
    if state.hosts < hosts {
        state.hosts = hosts;
        files::write(folder, &state)?;
        folder.write_state(&state)?;
    }
    Ok(state)
}

fn boot_missing(folder: &Folder, state: &State) -> Result<Vec<String>, LabError> {
    let missing: Vec<u8> = ask(folder, &Request::Hosts)?.into_iter().filter(|(_, id)| id.is_none()).map(|(host, _)| host).collect();
    debug_assert!(missing.iter().all(|&host| host <= state.hosts));
    if !missing.is_empty() {
        ask(folder, &Request::Boot(missing.clone()))?;
    }
    Ok(missing.into_iter().map(host_name).collect())
}

/// What [`down`] did.
#[derive(Debug)]
pub struct Down {
    /// How many hosts the lab had; `None` if there was none.
    pub hosts: Option<u8>,
}

/// Removes a lab with everything in it: running, dead or half-made. Programs that run inside (a test) are ended as well.
/// No harm if there is none.
pub fn down(name: &str) -> Result<Down, LabError> {
    check_root()?;
    let folder = Folder::of(name)?;
    let Some(lock) = folder.lock()? else {
        folder.remove_base();
        return Ok(Down { hosts: None });
    };
    let hosts = folder.state().map_or(0, |state| state.hosts);
    remove(&folder, name, &lock)?;
    Ok(Down { hosts: Some(hosts) })
}

/// The lock is asked for so that nobody calls this without.
fn remove(folder: &Folder, name: &str, _lock: &Lock) -> Result<(), LabError> {
    end_processes(folder, name)?;
    folder.remove()
}

/// Removes what an earlier lab left in the folder, but not the folder, which is locked.
fn empty(folder: &Folder) -> Result<(), LabError> {
    for entry in std::fs::read_dir(folder.path()).or_say(|| format!("list {}", folder.path().display()))? {
        let path = entry.or_say(|| format!("list {}", folder.path().display()))?.path();
        let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.or_say(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

/// Ends every process of a lab, and with them its namespaces, mounts and links.
fn end_processes(folder: &Folder, name: &str) -> Result<(), LabError> {
    let Some(state) = folder.state() else { return Ok(()) };
    let control: Vec<Handle> = state.control.open().into_iter().collect();
    let keepers: Vec<Handle> = state.control.open().into_iter().chain(inits(folder)).collect();
    // Held open until the end: a namespace's number cannot be given to another one while we compare.
    let network = network_of(folder, &state)?;
    let id = network.as_ref().and_then(|file| NamespaceId::of_file(file).ok());
    if id.is_some() && NamespaceId::of("self", "net").ok() == id {
        return Err(LabError::Inside);
    }
    for guest in guests(id, &keepers) {
        guest.signal(Signal::TERM);
    }
    await_end(&guests(id, &keepers), GRACE);
    let mut left = kill_guests(id, &keepers);
    // The control process first: it may have started hosts meanwhile, and a host that still lives may still write.
    left.extend(kill_all(&control, DEATH_PATIENCE));
    left.extend(kill_all(&inits(folder), DEATH_PATIENCE));
    // What the control process had started itself, if it was killed while it made the lab.
    left.extend(kill_guests(id, &[]));
    if left.is_empty() {
        return Ok(());
    }
    Err(LabError::Remains { name: name.into(), what: format!("these processes do not die: {left:?}") })
}

/// The first processes of a lab's hosts.
fn inits(folder: &Folder) -> Vec<Handle> {
    (1..=Subnet::HOSTS_MAX).filter_map(|host| read_json::<ProcessId>(&folder.host_file(host, "init.json"))?.open()).collect()
}

/// The programs in a lab's network that are neither its keepers nor on its hosts.
fn guests(network: Option<NamespaceId>, keepers: &[Handle]) -> Vec<Handle> {
    let Some(id) = network else { return Vec::new() };
    in_namespaces("net", &BTreeSet::from([id]))
        .into_iter()
        .filter(|pid| keepers.iter().all(|keeper| keeper.pid != *pid) && !belongs_to_a_host(*pid, keepers))
        .filter_map(Handle::open)
        // Opened first and looked at then: from here on the number cannot become somebody else's.
        .filter(|guest| NamespaceId::of(&guest.pid.to_string(), "net").is_ok_and(|of| of == id))
        .collect()
}

/// Kills the guests of a lab, also those that one of them started meanwhile; the numbers of those that do not die.
fn kill_guests(network: Option<NamespaceId>, keepers: &[Handle]) -> Vec<i32> {
    let deadline = Instant::now() + DEATH_PATIENCE;
    loop {
        let found = guests(network, keepers);
        let left = kill_all(&found, deadline.saturating_duration_since(Instant::now()));
        if found.is_empty() || Instant::now() > deadline {
            return left;
        }
    }
}

/// Whether a process is inside a host: it dies with the host's first process, and needs no signal of its own.
fn belongs_to_a_host(pid: i32, keepers: &[Handle]) -> bool {
    let Ok(mine) = NamespaceId::of("self", "pid") else { return false };
    let of = |pid: i32| NamespaceId::of(&pid.to_string(), "pid").ok().filter(|id| *id != mine);
    of(pid).is_some_and(|namespace| keepers.iter().any(|keeper| of(keeper.pid) == Some(namespace)))
}

/// The control namespace of a lab, as an open file: that of its control process, or, if that is dead, the one that programs may
/// still hold. Only the bridge's unique name proves that it is the lab's: a control process that was only just started is in the
/// network of whoever started it, and the number of a namespace that is gone may belong to another one by now.
fn network_of(folder: &Folder, state: &State) -> Result<Option<File>, LabError> {
    let holders = match (state.control.open(), read_json::<NamespaceId>(&folder.file("network"))) {
        (Some(control), _) => vec![control.pid],
        (None, Some(id)) => in_namespaces("net", &BTreeSet::from([id])),
        (None, None) => Vec::new(),
    };
    for pid in holders {
        let Ok(file) = File::open(format!("/proc/{pid}/ns/net")) else { continue };
        if enter::has_bridge(&file, &state.bridge())? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// A lab, looked at now.
#[derive(Debug)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// Whether its control process runs. If not, nothing of it does.
    pub alive: bool,
    /// Its addresses.
    pub subnet: Subnet,
    /// Its hosts, in order.
    pub hosts: Vec<HostStatus>,
}

/// A host, looked at now.
#[derive(Debug)]
pub struct HostStatus {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its first process, as numbered on this machine; `None` if it has crashed.
    pub pid: Option<i32>,
    /// How many processes it has.
    pub processes: usize,
    /// The memory they hold, in bytes.
    pub memory_bytes: u64,
}

/// Looks at one lab.
pub fn status(name: &str) -> Result<Status, LabError> {
    check_root()?;
    let folder = Folder::of(name)?;
    let state = folder.state().ok_or_else(|| LabError::Absent { name: name.into() })?;
    let alive = state.control.open().is_some();
    let hosts = if alive { ask(&folder, &Request::Hosts)? } else { (1..=state.hosts).map(|host| (host, None)).collect() };
    let hosts = hosts.into_iter().map(|(host, id)| look_at(&state, host, id.as_ref())).collect();
    Ok(Status { name: state.name, alive, subnet: state.subnet, hosts })
}

fn look_at(state: &State, host: u8, id: Option<&ProcessId>) -> HostStatus {
    let space = id.and_then(|id| NamespaceId::of(&id.pid.to_string(), "pid").ok());
    let pids = space.map_or_else(Vec::new, |space| in_namespaces("pid", &BTreeSet::from([space])));
    HostStatus {
        name: host_name(host),
        address: state.subnet.host(host),
        pid: id.map(|id| id.pid),
        processes: pids.len(),
        memory_bytes: memory_bytes(&pids),
    }
}

/// The names of all labs of this machine, in order: running, dead or half-made.
pub fn names() -> Result<Vec<String>, LabError> {
    check_root()?;
    Folder::all()
}

/// Kills a host: all its processes at once, as when the power is cut. Its disk stays. No harm if it is down.
pub fn crash(name: &str, host: &str) -> Result<(), LabError> {
    on_host(name, host, |hosts| Request::Crash { hosts, while_i_live: false }).map(drop)
}

/// [`crash`], as a fault: when this process is gone, however it went, the lab boots the host again by itself.
pub fn crash_while_this_lives(name: &str, host: &str) -> Result<(), LabError> {
    on_host(name, host, |hosts| Request::Crash { hosts, while_i_live: true }).map(drop)
}

/// Starts a host that has crashed, on the disk that it had. No harm if it runs.
pub fn boot(name: &str, host: &str) -> Result<(), LabError> {
    on_host(name, host, Request::Boot).map(drop)
}

fn on_host(name: &str, host: &str, request: fn(Vec<u8>) -> Request) -> Result<Hosts, LabError> {
    let lab = Lab::find(name)?;
    let _lock = lab.folder.lock()?.ok_or_else(|| LabError::Absent { name: name.into() })?;
    ask(&lab.folder, &request(vec![lab.state.host(host)?]))
}

/// What the hidden command `rashomon lab control FOLDER` does: the process that holds a lab together. Only [`up`] starts it.
pub fn control_main(folder: &Path) -> Result<(), LabError> {
    control::close_inherited();
    control::main(&Folder::at(folder))
}

/// What the hidden command `rashomon lab init FOLDER HOST` does: the first process of a host. Only the control process starts it.
pub fn host_main(folder: &Path, host: &str) -> Result<(), LabError> {
    control::close_inherited();
    let host = host.strip_prefix('n').and_then(|n| n.parse().ok());
    let host = host.ok_or_else(|| LabError::NoSuchHost { host: String::new(), hosts: "n1, n2, ...".into() })?;
    if std::process::id() != 1 {
        return Err(LabError::Control("only a lab's control process starts a host: use `rashomon lab boot`".into()));
    }
    host::main(&Folder::at(folder), host)
}

fn check_root() -> Result<(), LabError> {
    if rustix::process::geteuid().is_root() { Ok(()) } else { Err(LabError::NotRoot) }
}
