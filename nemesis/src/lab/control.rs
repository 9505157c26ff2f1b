//! The control process: holds the lab together.
//!
//! It owns the control namespace with the bridge, starts the hosts and is the parent of each one's first process. When it
//! dies, however it dies, the kernel kills the hosts, and with the last process in them every namespace, mount and link of the lab
//! is gone: none of them is tied to anything else. It is one thread, so that "the parent died" means the process did.

use super::error::{LabError, Try};
use super::files;
use super::handshake::Handshake;
use super::links::{self, PATH};
use super::process::{Handle, NamespaceId, ProcessId, kill_all};
use super::state::{Folder, State, host_name, write_json};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{WaitOptions, wait};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How often the control process looks whether its lab still exists and which hosts have died.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 300_000_000 };
/// How long a host may take to make itself.
const MAKE_PATIENCE: Duration = Duration::from_secs(20);
/// How long its sshd may take to answer.
const SSHD_PATIENCE: Duration = Duration::from_secs(10);
/// How long processes may take to die.
const DEATH_PATIENCE: Duration = Duration::from_secs(10);
/// How much of a host's console goes into an error.
const CONSOLE_TAIL_BYTES: u64 = 1500;

/// What a command asks of the control process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Start these hosts; those that run are left alone.
    Boot(Vec<u8>),
    /// Kill these hosts: all processes at once, as when the power is cut. Their disks stay.
    Crash {
        /// Which.
        hosts: Vec<u8>,
        /// Whether they are to be booted again when the process that asks is gone.
        while_i_live: bool,
    },
    /// Which hosts run?
    Hosts,
}

/// Each host with its first process, if it runs.
pub(super) type Hosts = BTreeMap<u8, Option<ProcessId>>;

/// Asks the control process of a lab; waits for its answer.
pub(super) fn ask(folder: &Folder, request: &Request) -> Result<Hosts, LabError> {
    let stream = UnixStream::connect(folder.file("control.sock")).or_say(|| "reach the lab's control process".into())?;
    let mut control = Handshake::over(stream);
    control.say(request).or_say(|| "ask the lab's control process".into())?;
    let patience = MAKE_PATIENCE + SSHD_PATIENCE + DEATH_PATIENCE;
    let answer: Result<Hosts, String> = control.hear(Some(patience)).or_say(|| "hear the lab's control process".into())?;
    answer.map_err(LabError::Control)
}

/// Becomes the control process of a lab. Returns when the lab is gone, or with an error.
pub(super) fn main(folder: &Folder) -> Result<(), LabError> {
    let mut starter = Handshake::from_stdin()?;
    // Until here nothing exists but this process, and it is not written down anywhere.
    if !starter.await_go() {
        return Ok(());
    }
    match Control::make(folder) {
        Ok(mut control) => {
            // If the starter died meanwhile, the lab lives, and the next command finds it.
            let _ = starter.say(&Ok::<(), String>(()));
            drop(starter);
            control.serve()
        }
        Err(error) => {
            let _ = starter.say(&Err::<(), _>(error.to_string()));
            Ok(())
        }
    }
}

struct Control {
    folder: Folder,
    token: String,
    listener: UnixListener,
    hosts: BTreeMap<u8, ProcessId>,
    /// Hosts that somebody keeps off, and who: when that process is gone, however it went, they are booted.
    kept_off: BTreeMap<u8, ProcessId>,
}

impl Control {
    fn make(folder: &Folder) -> Result<Control, LabError> {
        let state = folder.state().ok_or_else(|| LabError::Control("the lab's folder is gone: somebody removed it".into()))?;
        detach(&folder.file("control.log"))?;
        enter_new_namespaces()?;
        // The machine's later mounts and unmounts are followed; nothing goes the other way.
        mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).or_say(|| "make the mounts private".into())?;
        mount_memory_disks(&folder.disks())?;
        mount_bind(folder.file("hosts"), "/etc/hosts").or_say(|| "mount /etc/hosts".into())?;
        links::make_bridge(&state)?;
        let network = NamespaceId::of("self", "net").or_say(|| "look at the network namespace".into())?;
        write_json(&folder.file("network"), &network)?;
        let socket = folder.file("control.sock");
        let listener = UnixListener::bind(&socket).or_say(|| format!("listen on {}", socket.display()))?;
        listener.set_nonblocking(true).or_say(|| "listen".into())?;
        Ok(Control { folder: folder.clone(), token: state.token, listener, hosts: BTreeMap::new(), kept_off: BTreeMap::new() })
    }

    fn serve(&mut self) -> Result<(), LabError> {
        loop {
            // A signal is no reason to end; whoever wants that removes the lab.
            let _ = poll(&mut [PollFd::new(&self.listener, PollFlags::IN)], Some(&LOOK_EVERY));
            self.reap()?;
            let Some(state) = self.folder.state().filter(|state| state.token == self.token) else { return Ok(()) };
            self.boot_orphans(&state);
            if let Ok((stream, _)) = self.listener.accept() {
                self.answer(stream, &state);
            }
        }
    }

    fn answer(&mut self, stream: UnixStream, state: &State) {
        // By the kernel's word, as numbered in here: the one who asks may count processes in another way.
        let asks = socket_peercred(&stream).ok().and_then(|peer| ProcessId::of(peer.pid.as_raw_pid()).ok());
        let mut command = Handshake::over(stream);
        let Ok(request) = command.hear(Some(Duration::from_secs(5))) else { return };
        let done = match request {
            Request::Boot(hosts) => self.boot(state, &hosts),
            Request::Crash { hosts, while_i_live } => {
                for host in &hosts {
                    self.keep_off(*host, asks.as_ref().filter(|_| while_i_live));
                }
                self.crash(&hosts)
            }
            Request::Hosts => Ok(()),
        };
        let answer = done.map(|()| -> Hosts { (1..=state.hosts).map(|host| (host, self.hosts.get(&host).cloned())).collect() });
        // If the command was killed meanwhile, the work is done all the same.
        let _ = command.say(&answer.map_err(|error| error.to_string()));
    }

    /// Forgets hosts whose first process has ended: somebody killed it from outside.
    fn reap(&mut self) -> Result<(), LabError> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, _))) => {
                    let host = self.hosts.iter().find(|(_, id)| id.pid == pid.as_raw_pid()).map(|(&host, _)| host);
                    if let Some(host) = host {
                        self.forget(host);
                    }
                }
                Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).or_say(|| "wait for hosts".into()),
            }
        }
    }

    fn forget(&mut self, host: u8) {
        self.hosts.remove(&host);
        let _ = fs::remove_file(self.folder.host_file(host, "init.json"));
        links::unplug(host);
    }

    /// A host that is off by the wish of one process belongs to the last one that wished it.
    fn keep_off(&mut self, host: u8, owner: Option<&ProcessId>) {
        match owner {
            Some(owner) => self.kept_off.insert(host, owner.clone()),
            None => self.kept_off.remove(&host),
        };
    }

    /// Boots hosts whose owner is gone: nobody else would.
    fn boot_orphans(&mut self, state: &State) {
        let is_orphan = |(host, owner): (&u8, &ProcessId)| owner.open().is_none().then_some(*host);
        let orphans: Vec<u8> = self.kept_off.iter().filter_map(is_orphan).collect();
        if orphans.is_empty() {
            return;
        }
        // Tried once: `rashomon lab boot` says why it fails.
        self.kept_off.retain(|host, _| !orphans.contains(host));
        if let Err(error) = self.boot(state, &orphans) {
            let _ = writeln!(io::stderr(), "cannot boot hosts whose owner is gone: {error}");
        }
    }

    fn crash(&mut self, hosts: &[u8]) -> Result<(), LabError> {
        let doomed: Vec<Handle> = hosts.iter().filter_map(|host| self.hosts.get(host)?.open()).collect();
        let left = kill_all(&doomed, DEATH_PATIENCE);
        self.reap()?;
        if left.is_empty() { Ok(()) } else { Err(LabError::Control(format!("processes of the lab do not die: {left:?}"))) }
    }

    /// Starts hosts, all at the same time.
    fn boot(&mut self, state: &State, hosts: &[u8]) -> Result<(), LabError> {
        self.kept_off.retain(|host, _| !hosts.contains(host));
        self.tell_names(state);
        let mut starting = Vec::new();
        let booted = hosts.iter().filter(|host| !self.hosts.contains_key(host)).try_for_each(|&host| {
            starting.push((host, start_host(&self.folder, host)?));
            Ok(())
        });
        for (host, start) in &starting {
            self.hosts.insert(*host, start.id.clone());
        }
        let booted = booted.and_then(|()| self.bring_up(state, &mut starting));
        if booted.is_err() {
            let half_made: Vec<u8> = starting.iter().map(|(host, _)| *host).collect();
            self.crash(&half_made)?;
        }
        booted
    }

    fn bring_up(&self, state: &State, starting: &mut [(u8, Start)]) -> Result<(), LabError> {
        self.await_each(starting)?;
        let pids: Vec<(u8, i32)> = starting.iter().map(|(host, start)| (*host, start.id.pid)).collect();
        links::plug_in(state, &pids)?;
        for (_, start) in starting.iter_mut() {
            // If it died, the next wait says so.
            let _ = start.handshake.go();
        }
        self.await_each(starting)?;
        let deadline = Instant::now() + SSHD_PATIENCE;
        starting.iter().try_for_each(|(host, _)| await_sshd(&state.subnet.host(*host), deadline).map_err(|why| self.host_error(*host, why)))
    }

    /// Waits until each host has said that it has done its part.
    fn await_each(&self, starting: &mut [(u8, Start)]) -> Result<(), LabError> {
        starting.iter_mut().try_for_each(|(host, start)| match start.handshake.hear::<Result<(), String>>(Some(MAKE_PATIENCE)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(why)) => Err(self.host_error(*host, why)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(self.host_error(*host, "its first process ended".into())),
            Err(error) => Err(self.host_error(*host, format!("its first process says nothing: {error}"))),
        })
    }

    fn host_error(&self, host: u8, why: String) -> LabError {
        let console = tail(&self.folder.host_file(host, "console.log")).unwrap_or_default();
        LabError::Host { host: host_name(host), why, console }
    }

    /// Tells the hosts that run the names of those that are new.
    fn tell_names(&self, state: &State) {
        let table = files::hosts_table(state);
        for id in self.hosts.values() {
            let path = format!("/proc/{}/root/etc/hosts", id.pid);
            // Not through a link: a host could have made one to a file of the machine. Such a host keeps its own table.
            let file = File::options().write(true).truncate(true).custom_flags(libc::O_NOFOLLOW).open(path);
            let _ = file.and_then(|mut file| file.write_all(table.as_bytes()));
        }
    }
}

/// Leaves the terminal and everything else that belongs to whoever started the lab.
fn detach(log: &Path) -> Result<(), LabError> {
    rustix::process::setsid().or_say(|| "start a session".into())?;
    let log = File::options().append(true).create(true).mode(0o600).open(log).or_say(|| format!("write {}", log.display()))?;
    rustix::stdio::dup2_stdout(log.as_fd()).and_then(|()| rustix::stdio::dup2_stderr(log.as_fd())).or_say(|| "write the log".into())
}

/// Closes what was inherited beyond the three standard streams: a pipe of the caller that stays open in here would make it
/// wait for ever.
pub(super) fn close_inherited() {
    // SAFETY: this is called first thing in a process that has just been started: nothing in it has opened a file yet, so no
    // file that anything owns is closed. Fails only on kernels without the call (before 5.9), where they stay open.
    #[allow(unsafe_code, reason = "no safe wrapper of close_range exists")]
    unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32);
    }
}

fn enter_new_namespaces() -> Result<(), LabError> {
    // SAFETY: the one hazard of unshare is a file table that threads no longer share; FILES is not asked for.
    #[allow(unsafe_code, reason = "rustix marks unshare as unsafe for flags that are not used here")]
    let entered = unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS | rustix::thread::UnshareFlags::NEWNET) };
    entered.map_err(|error| LabError::NoNamespaces(error.into()))
}

/// Where the lab's folder cannot be the upper layer of an overlay, or is itself in scarce memory, the disks get a memory
/// of their own. It ends with the control process.
fn mount_memory_disks(disks: &Path) -> Result<(), LabError> {
    const OVERLAY: i64 = 0x794c_7630;
    const TMPFS: i64 = 0x0102_1994;
    fs::create_dir_all(disks).or_say(|| format!("make {}", disks.display()))?;
    let kind = rustix::fs::statfs(disks).or_say(|| format!("look at {}", disks.display()))?.f_type as i64;
    if kind != OVERLAY && kind != TMPFS {
        return Ok(());
    }
    let options = CString::new("mode=700,size=50%").expect("no zero byte");
    mount("tmpfs", disks, "tmpfs", MountFlags::empty(), options.as_c_str()).or_say(|| format!("mount {}", disks.display()))
}

/// A host that is being started.
struct Start {
    id: ProcessId,
    handshake: Handshake,
}

fn start_host(folder: &Folder, host: u8) -> Result<Start, LabError> {
    let console = folder.host_file(host, "console.log");
    let open = || File::options().append(true).create(true).mode(0o600).open(&console).or_say(|| format!("write {}", console.display()));
    let (mut handshake, stdin) = Handshake::pair()?;
    let mut command = Command::new("/proc/self/exe");
    command.args(["lab", "init"]).arg(folder.path()).arg(host_name(host));
    command.env_clear().env("PATH", PATH).current_dir("/").stdin(stdin).stdout(open()?).stderr(open()?);
    let pid = exec_in_new_namespaces(&mut command)?;
    drop(command);
    let id = ProcessId::of(pid).or_say(|| format!("look at {}", host_name(host)))?;
    // Only now that it is written down may it make anything.
    write_json(&folder.host_file(host, "init.json"), &id)?;
    handshake.go().or_say(|| format!("start {}", host_name(host)))?;
    Ok(Start { id, handshake })
}

/// Starts a program as the first process of new namespaces of all kinds that make a host.
fn exec_in_new_namespaces(command: &mut Command) -> Result<i32, LabError> {
    let namespaces = libc::CLONE_NEWNS | libc::CLONE_NEWNET | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC;
    let flags = (namespaces | libc::SIGCHLD) as libc::c_ulong;
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: without CLONE_VM and without a stack this is fork(): the child has its own copy of everything. This process has
    // one thread, so no lock is held by a thread that the child does not have. The child only executes a program, or exits.
    #[allow(unsafe_code, reason = "std's Command cannot make namespaces for its child")]
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match pid {
        0 => {
            let error = command.exec();
            let _ = writeln!(io::stderr(), "cannot start: {error}");
            std::process::abort()
        }
        1.. => Ok(pid as i32),
        _ => Err(LabError::NoNamespaces(io::Error::last_os_error())),
    }
}

/// Waits until an SSH server introduces itself.
fn await_sshd(address: &str, deadline: Instant) -> Result<(), String> {
    let address: IpAddr = address.parse().map_err(|e| format!("{address}: {e}"))?;
    let mut seen = String::from("nothing was tried");
    while Instant::now() < deadline {
        match greeting(SocketAddr::new(address, 22)) {
            Ok(()) => return Ok(()),
            Err(error) => seen = error.to_string(),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Err(format!("its sshd does not answer ({seen})"))
}

fn greeting(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_millis(500))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting)?;
    if &greeting == b"SSH-" { Ok(()) } else { Err(io::Error::other("something else than SSH answers")) }
}

/// The end of a file.
pub(super) fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(CONSOLE_TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
