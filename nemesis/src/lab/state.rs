//! What a lab keeps on disk: one folder, removed with it.
//!
//! ```text
//! /run/rashomon-lab/NAME/
//!   lab.json                        what was asked for, and which process holds it together
//!   network                         the control namespace
//!   key, known_hosts, ssh_config    how to reach the hosts
//!   hosts                           /etc/hosts of the control namespace and of every host
//!   control.sock, control.log       the control process
//!   n1/                             host_key, init.json (its first process), console.log
//!   disks/n1/                       what n1 has written: survives a crash of the host, not the end of the lab
//! ```

use super::error::{LabError, Try};
use super::process::ProcessId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// Where labs are kept, unless the environment variable `RASHOMON_LAB_DIR` says otherwise.
const BASE_DEFAULT: &str = "/run/rashomon-lab";
/// Hosts have their own copy of these: a lab in there would be its own lower layer.
pub(super) const COPIED: [&str; 5] = ["/etc", "/var", "/opt", "/srv", "/home"];
/// How long a command waits for another one that works on the same lab.
const LOCK_PATIENCE: Duration = Duration::from_secs(30);
/// The longest path of a lab's folder: its socket's path must fit into a socket address (108 bytes).
const BASE_LENGTH_MAX: usize = 60;

/// What a lab is, as written when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Its name.
    pub(super) name: String,
    /// Tells this lab from all others that ever were.
    pub(super) token: String,
    /// Its subnet.
    pub(super) subnet: Subnet,
    /// How many hosts it has: n1 to nN.
    pub(super) hosts: u8,
    /// The process that holds it together.
    pub(super) control: ProcessId,
}

impl State {
    /// The bridge's name: unique, so that having it proves which network a namespace is.
    pub(super) fn bridge(&self) -> String {
        format!("lab{}", &self.token[..8])
    }

    /// The address of a host's network card: the same after every boot, so that no neighbour remembers a wrong one.
    pub(super) fn hardware_address(&self, host: u8) -> String {
        let digits = &self.token[..8];
        format!("02:{}:{}:{}:{}:{host:02x}", &digits[0..2], &digits[2..4], &digits[4..6], &digits[6..8])
    }

    /// The names of its hosts, in order.
    pub(super) fn host_names(&self) -> String {
        (1..=self.hosts).map(host_name).collect::<Vec<_>>().join(", ")
    }

    /// The number of a host: 3 for `n3`.
    pub(super) fn host(&self, name: &str) -> Result<u8, LabError> {
        (1..=self.hosts).find(|&i| host_name(i) == name).ok_or_else(|| LabError::NoSuchHost { host: name.into(), hosts: self.host_names() })
    }
}

/// The name of a host: `n3`.
pub(super) fn host_name(host: u8) -> String {
    format!("n{host}")
}

/// The first three numbers of a lab's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet([u8; 3]);

impl Subnet {
    /// The subnet of a lab that is not told otherwise.
    pub const DEFAULT: Subnet = Subnet([10, 77, 0]);
    /// The most hosts that fit, with room for the control node.
    pub const HOSTS_MAX: u8 = 200;
    /// The last number of the control node's address.
    const CONTROL: u8 = 254;

    /// The address of host `n{host}`.
    pub(super) fn host(self, host: u8) -> String {
        let [a, b, c] = self.0;
        format!("{a}.{b}.{c}.{host}")
    }

    /// The address of the control node.
    pub(super) fn control(self) -> String {
        self.host(Subnet::CONTROL)
    }
}

impl std::str::FromStr for Subnet {
    type Err = LabError;

    fn from_str(text: &str) -> Result<Subnet, LabError> {
        let wrong = || LabError::Subnet(text.into());
        let short = text.strip_suffix(".0/24").unwrap_or(text);
        let numbers: Vec<u8> = short.split('.').map(|n| n.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
        match <[u8; 3]>::try_from(numbers) {
            // 0, loopback, and from 224 on multicast and reserved: no host can have such an address.
            Ok(numbers) if !matches!(numbers[0], 0 | 127 | 224..) => Ok(Subnet(numbers)),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c] = self.0;
        write!(f, "{a}.{b}.{c}.0/24")
    }
}

/// The folder of one lab.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder of the lab of this name, whether it exists or not.
    pub(super) fn of(name: &str) -> Result<Folder, LabError> {
        let fits = name.len() <= 24
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if !fits {
            return Err(LabError::Name(name.into()));
        }
        Ok(Folder { path: base()?.join(name) })
    }

    /// A folder that was found by [`Folder::of`] before, in another process.
    pub(super) fn at(path: &Path) -> Folder {
        Folder { path: path.into() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(super) fn host_file(&self, host: u8, name: &str) -> PathBuf {
        self.path.join(host_name(host)).join(name)
    }

    /// Where the hosts' disks are.
    pub(super) fn disks(&self) -> PathBuf {
        self.path.join("disks")
    }

    /// The state that was written last; `None` if there is no lab, or it was killed before it had one.
    pub(super) fn state(&self) -> Option<State> {
        read_json(&self.file("lab.json"))
    }

    /// Writes the state: at every moment there is the old one or the new one.
    pub(super) fn write_state(&self, state: &State) -> Result<(), LabError> {
        write_json(&self.file("lab.json"), state)
    }

    /// The names of all labs there are, in order.
    pub(super) fn all() -> Result<Vec<String>, LabError> {
        let base = base()?;
        let entries = match fs::read_dir(&base) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.or_say(|| format!("list {}", base.display()))?,
        };
        let mut names: Vec<String> = entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect();
        names.sort();
        Ok(names)
    }

    /// Makes the folder if it is missing, and keeps every other command off the lab until the lock is dropped.
    pub(super) fn create_and_lock(&self) -> Result<Lock, LabError> {
        let base = self.path.parent().unwrap_or(&self.path);
        self.lock_when(|| {
            create_private(base)?;
            check_base(base)?;
            create_private(&self.path)
        })
        .map(|lock| lock.expect("the folder was made"))
    }

    /// Keeps every other command off the lab until the lock is dropped; `None` if there is no lab.
    pub(super) fn lock(&self) -> Result<Option<Lock>, LabError> {
        self.lock_when(|| Ok(()))
    }

    /// Locks the folder itself: no lock file remains when it is removed. Whoever waited for a folder that is gone starts over.
    fn lock_when(&self, prepare: impl Fn() -> Result<(), LabError>) -> Result<Option<Lock>, LabError> {
        let started = Instant::now();
        loop {
            prepare()?;
            let folder = match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other.or_say(|| format!("open {}", self.path.display()))?,
            };
            match folder.try_lock() {
                Ok(()) if is_same(&folder, &self.path) => return Ok(Some(Lock { _folder: folder })),
                Ok(()) | Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(error)) => return Err(error).or_say(|| format!("lock {}", self.path.display())),
            }
            if started.elapsed() > LOCK_PATIENCE {
                let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(LabError::Busy { name, waited_s: LOCK_PATIENCE.as_secs() });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Removes the folder with all that is in it, and what is around it if this was the last lab.
    pub(super) fn remove(&self) -> Result<(), LabError> {
        if let Some(mount) = mounts_under(&self.path).first() {
            let why = format!("{} is mounted there, and no lab mounts anything outside its hosts: unmount it", mount.display());
            return Err(LabError::Base { path: self.path.clone(), why });
        }
        remove_tree(&self.path)?;
        self.remove_base();
        Ok(())
    }

    /// Removes the folder of all labs if none is in there.
    pub(super) fn remove_base(&self) {
        if let Some(base) = self.path.parent() {
            // Fails if another lab is in there, which is right.
            let _ = fs::remove_dir(base);
        }
    }
}

/// Removes a folder with all that is in it. A program that a killed command had started may write one more file meanwhile.
fn remove_tree(path: &Path) -> Result<(), LabError> {
    let mut tries = 5;
    loop {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && tries > 0 => tries -= 1,
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).or_say(|| format!("remove {}", path.display())),
            _ => return Ok(()),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Held while a command works on a lab. The kernel frees it when the process ends, however it ends.
#[derive(Debug)]
pub(super) struct Lock {
    _folder: File,
}

fn is_same(open: &File, path: &Path) -> bool {
    match (open.metadata(), fs::symlink_metadata(path)) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

/// The folder of all labs.
fn base() -> Result<PathBuf, LabError> {
    let base = std::env::var_os("RASHOMON_LAB_DIR").filter(|v| !v.is_empty()).map_or_else(|| BASE_DEFAULT.into(), PathBuf::from);
    match unfit(&base) {
        Some(why) => Err(LabError::Base { path: base, why }),
        None => Ok(base),
    }
}

/// Why labs cannot be kept there, as far as the path alone tells.
fn unfit(base: &Path) -> Option<String> {
    let text = base.to_str().unwrap_or_default();
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !base.is_absolute() || !base.components().all(plain) {
        return Some("write a plain absolute path".into());
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'-' | b'_' | b'.')) {
        return Some("only letters, digits and / - _ . can be in the path (it becomes a mount option)".into());
    }
    if text.len() > BASE_LENGTH_MAX {
        return Some(format!("the path is longer than {BASE_LENGTH_MAX} bytes"));
    }
    let taken = COPIED.iter().chain(&["/root", "/proc", "/sys", "/dev", "/"]);
    taken
        .copied()
        .find(|folder| base == Path::new(folder) || (*folder != "/" && base.starts_with(folder)))
        .map(|folder| if folder == "/" { "it must be a folder of its own".into() } else { format!("hosts have their own {folder}") })
}

fn create_private(path: &Path) -> Result<(), LabError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).or_say(|| format!("make {}", path.display()))
}

/// Root writes there: nobody else may have prepared it.
fn check_base(base: &Path) -> Result<(), LabError> {
    let found = fs::symlink_metadata(base).or_say(|| format!("look at {}", base.display()))?;
    let why = match () {
        () if !found.is_dir() => "it is not a folder",
        () if found.uid() != 0 => "it does not belong to root",
        () if found.mode() & 0o022 != 0 => "others may write there",
        () => return Ok(()),
    };
    Err(LabError::Base { path: base.into(), why: why.into() })
}

/// Everything mounted in or below a folder.
fn mounts_under(path: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).filter(|point| point.starts_with(path)).collect()
}

/// Reads a file that [`write_json`] wrote; `None` if there is none, or none that makes sense.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Writes a file beside and moves it in place, so that it is never half-written.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), LabError> {
    let text = serde_json::to_vec(value).map_err(io::Error::other).or_say(|| format!("write {}", path.display()))?;
    let beside = path.with_extension("new");
    write_private(&beside, &text)?;
    fs::rename(&beside, path).or_say(|| format!("write {}", path.display()))
}

/// Writes a file that only root may read.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<(), LabError> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).and_then(|mut file| file.write_all(content)).or_say(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subnets() {
        assert_eq!("10.77.0".parse::<Subnet>().unwrap(), Subnet::DEFAULT);
        assert_eq!("10.77.0.0/24".parse::<Subnet>().unwrap(), Subnet::DEFAULT);
        assert_eq!(Subnet::DEFAULT.host(3), "10.77.0.3");
        assert_eq!(Subnet::DEFAULT.to_string(), "10.77.0.0/24");
        for bad in ["", "10.77", "10.77.0.1", "10.77.0.0", "10.77.256", "127.0.0", "0.1.2", "224.0.0", "a.b.c", "10.77.0/16"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }

    #[test]
    fn names() {
        for good in ["default", "a", "ci-3", "abcdefghijklmnopqrstuvwx"] {
            assert!(Folder::of(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "3a", "A", "a/b", "..", "a b", "abcdefghijklmnopqrstuvwxy"] {
            assert!(Folder::of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn folders_that_hosts_have_copies_of_cannot_hold_a_lab() {
        for good in ["/run/rashomon-lab", "/tmp/lab", "/mnt/lab", "/variety/lab"] {
            assert_eq!(unfit(Path::new(good)), None, "{good}");
        }
        for bad in ["/", "/var/lib/lab", "/etc", "/root/x", "/home/me/lab", "lab", "/tmp/../var/lab", "/tmp/a,b", "/tmp/a:b", "/tmp/\u{e9}"]
        {
            assert!(unfit(Path::new(bad)).is_some(), "{bad}");
        }
        assert!(unfit(Path::new(&format!("/tmp/{}", "x".repeat(BASE_LENGTH_MAX)))).is_some());
    }

    #[test]
    fn one_command_at_a_time_and_no_lock_on_a_folder_that_is_gone() {
        let temp = tempfile::tempdir().unwrap();
        let folder = Folder::at(&temp.path().join("lab"));
        assert!(folder.lock().unwrap().is_none(), "no lab, no lock");
        fs::create_dir(folder.path()).unwrap();
        let first = folder.lock().unwrap().unwrap();
        let waiting = std::thread::spawn({
            let folder = folder.clone();
            move || folder.lock().unwrap().is_none()
        });
        std::thread::sleep(Duration::from_millis(60));
        assert!(!waiting.is_finished(), "the lock was not exclusive");
        folder.remove().unwrap();
        drop(first);
        assert!(waiting.join().unwrap(), "a folder that was removed meanwhile was locked");
    }

    #[test]
    fn names_and_addresses_come_from_the_token() {
        let state = State {
            name: "x".into(),
            token: "0123abcd-rest".into(),
            subnet: Subnet::DEFAULT,
            hosts: 3,
            control: ProcessId::of(std::process::id() as i32).unwrap(),
        };
        assert_eq!(state.bridge(), "lab0123abcd");
        assert_eq!(state.hardware_address(200), "02:01:23:ab:cd:c8");
        assert_eq!(state.host("n3").unwrap(), 3);
        assert!(state.host("n4").is_err() && state.host("n03").is_err() && state.host("").is_err());
    }
}
