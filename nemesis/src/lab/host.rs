//! The first process of a host: makes the host's own view of the machine, keeps its sshd running and reaps what is orphaned.
//! When it dies, every process of the host dies with it.

use super::error::{LabError, Try};
use super::files;
use super::handshake::Handshake;
use super::links::{self, PATH};
use super::state::{COPIED, Folder, State, host_name};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use rustix::process::{Signal, WaitOptions, set_parent_process_death_signal, wait};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities};
use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Capabilities that reach beyond the host: the kernel's clock and the machine's power switch are shared with everything else.
const DROPPED: [CapabilitySet; 2] = [CapabilitySet::SYS_TIME, CapabilitySet::SYS_BOOT];

/// Becomes a host. The calling process is the first one in new mount, network, pid, uts and ipc namespaces. Returns only with an error,
/// or if the control process died before the host was made.
pub(super) fn main(folder: &Folder, host: u8) -> Result<(), LabError> {
    let mut control = Handshake::from_stdin()?;
    // From here on the host dies with the control process. If that has died already, its end of the handshake is closed.
    set_parent_process_death_signal(Some(Signal::KILL)).or_say(|| "tie the host to the lab".into())?;
    if !control.await_go() {
        return Ok(());
    }
    let Some(state) = report(&mut control, make(folder, host)) else { return Ok(()) };
    // The control process now plugs the host in.
    if !control.await_go() {
        return Ok(());
    }
    let started = links::bring_up(&state, host).and_then(|()| links::program("sshd"));
    let Some(sshd) = report(&mut control, started) else { return Ok(()) };
    drop(control);
    keep_running(&sshd)
}

/// Tells the control process how it went; it passes an error on to the command that asked for the host. `None`: that was it.
fn report<T>(control: &mut Handshake, result: Result<T, LabError>) -> Option<T> {
    let told = control.say(&result.as_ref().map(|_| ()).map_err(ToString::to_string));
    result.ok().filter(|_| told.is_ok())
}

fn make(folder: &Folder, host: u8) -> Result<State, LabError> {
    let state = folder.state().ok_or_else(|| LabError::Control("the lab's folder is gone: somebody removed it".into()))?;
    let name = host_name(host);
    rustix::system::sethostname(name.as_bytes()).or_say(|| "name the host".into())?;
    mount_disk(&folder.disks().join(&name))?;
    write_files(folder, &state, host)?;
    mount_kernel_views()?;
    mount_interfaces()?;
    mount_fresh(folder)?;
    drop_capabilities()?;
    Ok(state)
}

/// The host's own copies of the machine's folders. What is written to them is on the host's disk and survives its crash.
fn mount_disk(disk: &Path) -> Result<(), LabError> {
    for copied in COPIED {
        // Some systems have /home as a link into /var, of which there is a copy already.
        if !fs::symlink_metadata(copied).is_ok_and(|m| m.is_dir()) {
            continue;
        }
        let (upper, work) = (disk.join("upper").join(&copied[1..]), disk.join("work").join(&copied[1..]));
        make_dir(&upper, 0o755)?;
        make_dir(&work, 0o755)?;
        let options = format!("lowerdir={copied},upperdir={},workdir={},index=off,metacopy=off", upper.display(), work.display());
        mount_on("overlay", Path::new(copied), MountFlags::empty(), &options)?;
    }
    // A clean /root: a shell that sshd starts reads ~/.bashrc, and the machine's own may do slow or odd things.
    let root = disk.join("root");
    make_dir(&root, 0o700)?;
    if fs::symlink_metadata("/root").is_ok_and(|m| m.is_dir()) {
        mount_bind(&root, "/root").or_say(|| "mount /root".into())?;
        // The lab's folder may forbid programs (/run does on some systems); a host's home does not.
        remount(Path::new("/root"), MountFlags::empty())?;
    }
    // Everything else of the machine can be read, and nothing of it changed. Last, because the disk itself lies in there.
    remount(Path::new("/"), MountFlags::RDONLY)
}

fn write_files(folder: &Folder, state: &State, host: u8) -> Result<(), LabError> {
    let name = host_name(host);
    let read = |path: &Path| fs::read_to_string(path).or_say(|| format!("read {}", path.display()));
    let shell = if Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" };
    let passwd = files::with_root(&read(Path::new("/etc/passwd"))?, &format!("root:x:0:0:root:/root:{shell}"));
    // A locked or expired root could not log in, not even with a key.
    let shadow = files::with_root(&fs::read_to_string("/etc/shadow").unwrap_or_default(), "root:*:19000:0:99999:7:::");
    let version = sshd_version();
    let machine_id = format!("{}{host:02x}\n", &state.token.replace('-', "")[..30]);
    let host_key = read(&folder.host_file(host, "host_key"))?;
    let host_key_public = read(&folder.host_file(host, "host_key.pub"))?;
    let key = read(&folder.file("key.pub"))?;
    for (path, mode, content) in [
        ("/etc/hosts", 0o644, files::hosts_table(state)),
        ("/etc/hostname", 0o644, format!("{name}\n")),
        ("/etc/machine-id", 0o444, machine_id),
        // No name server can be reached: names are in /etc/hosts or nowhere.
        ("/etc/resolv.conf", 0o644, String::new()),
        // Some sshds still ask TCP wrappers.
        ("/etc/hosts.allow", 0o644, String::new()),
        ("/etc/hosts.deny", 0o644, String::new()),
        ("/etc/passwd", 0o644, passwd),
        ("/etc/shadow", 0o600, shadow),
        ("/etc/ssh/sshd_config", 0o644, files::sshd_config(&version)),
        ("/etc/ssh/ssh_host_ed25519_key", 0o600, host_key),
        ("/etc/ssh/ssh_host_ed25519_key.pub", 0o644, host_key_public),
        ("/root/.ssh/authorized_keys", 0o600, key),
    ] {
        replace(Path::new(path), mode, &content)?;
    }
    // sshd would run it at every login.
    remove(Path::new("/etc/ssh/sshrc"))
}

/// What `sshd -V` says. Before 9.2 it does not know that option, but its complaint names the version too.
fn sshd_version() -> String {
    let output = links::program("sshd").ok().and_then(|sshd| Command::new(sshd).arg("-V").env_clear().stdin(Stdio::null()).output().ok());
    output.map(|o| String::from_utf8_lossy(&o.stderr).into_owned()).unwrap_or_default()
}

/// The kernel as this host sees it: its own processes, and of the kernel's settings only the network's to change.
fn mount_kernel_views() -> Result<(), LabError> {
    let safe = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_on("proc", Path::new("/proc"), safe, "")?;
    bind("/proc/sys", safe | MountFlags::RDONLY)?;
    bind("/proc/sys/net", safe)?;
    let trigger = "/proc/sysrq-trigger";
    if Path::new(trigger).exists() { mount_bind("/dev/null", trigger).or_say(|| format!("mount {trigger}")) } else { Ok(()) }
}

/// The network's interfaces are the host's own in the kernel's files too: those of a file system of sysfs that is mounted in here. All
/// else of it (control groups are mounted there) stays the machine's.
fn mount_interfaces() -> Result<(), LabError> {
    let (fresh, safe) = ("/run", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY);
    mount_on("sysfs", Path::new(fresh), safe, "")?;
    // The second is where the links in the first lead to.
    for folder in ["class/net", "devices/virtual/net"] {
        let (own, shown) = (format!("{fresh}/{folder}"), format!("/sys/{folder}"));
        mount_bind(&own, &shown).or_say(|| format!("mount {shown}"))?;
    }
    unmount(fresh, UnmountFlags::DETACH).or_say(|| format!("unmount {fresh}"))
}

/// Folders that are empty after every boot.
fn mount_fresh(folder: &Folder) -> Result<(), LabError> {
    let safe = MountFlags::NOSUID | MountFlags::NODEV;
    mount_on("tmpfs", Path::new("/run"), safe, "mode=755,size=256m")?;
    make_dir(Path::new("/run/sshd"), 0o755)?;
    make_dir(Path::new("/run/lock"), 0o1777)?;
    mount_on("tmpfs", Path::new("/dev/shm"), safe, "mode=1777")?;
    mount_on("tmpfs", Path::new("/tmp"), safe, "mode=1777")?;
    // The lab's folder is hidden by /run or /tmp, or else by this: a host cannot reach its own strings.
    let labs = folder.path().parent().unwrap_or(folder.path());
    if labs.exists() { mount_on("tmpfs", labs, safe | MountFlags::RDONLY, "mode=700") } else { Ok(()) }
}

fn drop_capabilities() -> Result<(), LabError> {
    let what = || "drop capabilities".to_string();
    let mut dropped = CapabilitySet::empty();
    for capability in DROPPED {
        remove_capability_from_bounding_set(capability).or_say(what)?;
        dropped |= capability;
    }
    let now = capabilities(None).or_say(what)?;
    let left =
        CapabilitySets { effective: now.effective - dropped, permitted: now.permitted - dropped, inheritable: now.inheritable - dropped };
    set_capabilities(None, left).or_say(what)
}

/// Starts sshd again whenever it ends, and reaps everything: the first process of a host inherits its orphans.
fn keep_running(sshd: &Path) -> Result<(), LabError> {
    let mut pause = Duration::ZERO;
    loop {
        std::thread::sleep(pause);
        let started = Instant::now();
        let mut command = Command::new(sshd);
        command.args(["-D", "-e", "-f", "/etc/ssh/sshd_config"]);
        command.env_clear().env("PATH", PATH).env("HOME", "/root").current_dir("/").stdin(Stdio::null());
        let server = command.spawn().or_say(|| format!("start {}", sshd.display()))?.id() as i32;
        loop {
            match wait(WaitOptions::empty()) {
                Ok(Some((pid, _))) if pid.as_raw_pid() == server => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(io::Error::from(error)).or_say(|| "wait for sshd".into()),
            }
        }
        // One that ends at once again and again must not take a whole processor.
        let quick = started.elapsed() < Duration::from_secs(5);
        pause = if quick { (pause * 2).clamp(Duration::from_millis(100), Duration::from_secs(2)) } else { Duration::from_millis(100) };
    }
}

fn mount_on(kind: &str, target: &Path, flags: MountFlags, options: &str) -> Result<(), LabError> {
    let options = CString::new(options).expect("options hold no zero byte");
    match mount(kind, target, kind, flags, options.as_c_str()) {
        Err(rustix::io::Errno::NODEV) => Err(LabError::System {
            what: format!("mount {}", target.display()),
            source: io::Error::other(format!("this kernel knows no {kind}: load its module (modprobe {kind})")),
        }),
        other => other.or_say(|| format!("mount {kind} on {}", target.display())),
    }
}

/// Mounts a folder on itself, with other flags.
fn bind(path: &str, flags: MountFlags) -> Result<(), LabError> {
    mount_bind(path, path).or_say(|| format!("mount {path}"))?;
    remount(Path::new(path), flags)
}

/// Changes the flags of this mount point alone, not those of the file system behind it.
fn remount(path: &Path, flags: MountFlags) -> Result<(), LabError> {
    mount_remount(path, MountFlags::BIND | flags, c"").or_say(|| format!("remount {}", path.display()))
}

fn make_dir(path: &Path, mode: u32) -> Result<(), LabError> {
    DirBuilder::new().recursive(true).mode(mode).create(path).or_say(|| format!("make {}", path.display()))?;
    // The mode above went through the umask.
    set_mode(path, mode)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), LabError> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).or_say(|| format!("set the mode of {}", path.display()))
}

/// Writes a file where there may be a link to somewhere else.
fn replace(path: &Path, mode: u32, content: &str) -> Result<(), LabError> {
    if let Some(parent) = path.parent().filter(|p| !p.exists()) {
        make_dir(parent, 0o700)?;
    }
    remove(path)?;
    fs::write(path, content).or_say(|| format!("write {}", path.display()))?;
    set_mode(path, mode)
}

fn remove(path: &Path) -> Result<(), LabError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).or_say(|| format!("remove {}", path.display())),
        _ => Ok(()),
    }
}
