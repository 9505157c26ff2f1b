//! The programs that keep a node's clock right: found, stopped while the clock is to be wrong, and started again.
//!
//! Where there is systemd, its units are stopped and started, and nothing else of them is changed. Elsewhere the process is ended by
//! SIGTERM and started again as it had been: the same program, arguments, environment and directory.

use crate::command::Command;
use crate::exec::{Running, let_signals_in};
use rustix::process::{Pid, Signal, kill_process, setsid};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Programs that set the clock, by the name that the kernel knows (at most 15 characters).
pub(super) const NAMES: [&str; 6] = ["chronyd", "ntpd", "ntpsec", "openntpd", "systemd-timesyn", "ptp4l"];

/// The units of systemd that run them, by the names that distributions give.
const UNITS: [&str; 8] = [
    "chrony.service",
    "chronyd.service",
    "systemd-timesyncd.service",
    "ntp.service",
    "ntpd.service",
    "ntpsec.service",
    "openntpd.service",
    "ptp4l.service",
];

/// How long a daemon may take to end, or to be there again.
const WITHIN: Duration = Duration::from_secs(10);

/// How long one that ended is watched, in case that something starts it again, and one that began, in case that it ends at once.
const STAYS: Duration = Duration::from_millis(300);

const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A journal entry: daemons that keep the clock right are stopped. How they are started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// All that ran.
    pub daemons: Vec<Daemon>,
}

impl Stopped {
    /// In words.
    pub(super) fn describe(&self) -> String {
        self.daemons.iter().map(Daemon::name).collect::<Vec<_>>().join(", ")
    }
}

/// A daemon that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Daemon {
    /// As a unit of systemd.
    Unit(String),
    /// By itself.
    Process {
        /// Its name.
        name: String,
        /// Its program.
        program: PathBuf,
        /// Its arguments, with its own name, each as bytes.
        arguments: Vec<Vec<u8>>,
        /// Its environment, `NAME=VALUE`, each as bytes.
        environment: Vec<Vec<u8>>,
        /// The directory it was in.
        directory: PathBuf,
    },
}

impl Daemon {
    pub(super) fn name(&self) -> String {
        match self {
            Daemon::Unit(name) | Daemon::Process { name, .. } => name.clone(),
        }
    }
}

/// The daemons that run, and how each is stopped and started. Nothing is done to them.
pub(super) fn find(running: &Running) -> Result<Vec<Daemon>, String> {
    let mut daemons: Vec<Daemon> = active_units(running)?.into_iter().map(Daemon::Unit).collect();
    let in_units: Vec<String> = daemons.iter().map(Daemon::name).collect();
    for (pid, name) in processes() {
        if !is_in_unit(pid, &in_units)
            && let Some(daemon) = as_it_runs(pid, &name)
        {
            daemons.push(daemon);
        }
    }
    Ok(daemons)
}

/// Stops daemons and sees that they stay away.
pub(super) fn stop(running: &Running, daemons: &[Daemon]) -> Result<(), String> {
    for daemon in daemons {
        match daemon {
            Daemon::Unit(unit) => systemctl(running, &["stop", unit]).map(drop)?,
            Daemon::Process { name, .. } => {
                for (pid, _) in processes().into_iter().filter(|(_, found)| found == name) {
                    if let Some(pid) = Pid::from_raw(pid) {
                        // One that is gone by now is gone.
                        let _ = kill_process(pid, Signal::TERM);
                    }
                }
            }
        }
    }
    if daemons.is_empty() {
        return Ok(());
    }
    let gone = || processes().is_empty();
    if !comes_true_and_stays(gone) {
        let names: Vec<String> = processes().into_iter().map(|(_, name)| name).collect();
        return Err(format!("the time daemon {} does not stay away: something starts it again", names.join(", ")));
    }
    Ok(())
}

/// Starts daemons that do not run, and sees that they do.
pub(super) fn start(running: &Running, daemons: &[Daemon]) -> Result<(), String> {
    for daemon in daemons {
        match daemon {
            Daemon::Unit(unit) => systemctl(running, &["start", unit]).map(drop)?,
            Daemon::Process { name, program, arguments, environment, directory } => {
                let runs = || processes().iter().any(|(_, found)| found == name);
                if runs() {
                    continue;
                }
                launch(program, arguments, environment, directory).map_err(|why| format!("cannot start {name} again: {why}"))?;
                if !comes_true_and_stays(runs) {
                    return Err(format!("the time daemon {name} was started again and does not run: start it by hand"));
                }
            }
        }
    }
    Ok(())
}

/// Waits until something is so, and sees that it stays so for a while.
fn comes_true_and_stays(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + WITHIN;
    let mut since = None;
    while Instant::now() < deadline {
        since = if is_so() { since.or_else(|| Some(Instant::now())) } else { None };
        if since.is_some_and(|since| since.elapsed() >= STAYS) {
            return true;
        }
        thread::sleep(LOOK_EVERY);
    }
    false
}

/// The units of ours that are active; none where there is no systemd.
fn active_units(running: &Running) -> Result<Vec<String>, String> {
    if !Path::new("/run/systemd/system").is_dir() {
        return Ok(Vec::new());
    }
    let asked = ["show", "--property=Id,ActiveState"].into_iter().chain(UNITS).collect::<Vec<_>>();
    systemctl(running, &asked).map(|text| active(&text))
}

/// Reads what `systemctl show` says of several units: blocks with an empty line between them. Units with several names are listed
/// under each, with the one that they go by.
fn active(text: &str) -> Vec<String> {
    let mut units: Vec<String> = Vec::new();
    for block in text.split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let runs = matches!(field("ActiveState"), Some("active" | "activating" | "reloading"));
        if let (true, Some(id)) = (runs, field("Id"))
            && !units.iter().any(|unit| unit == id)
        {
            units.push(id.to_owned());
        }
    }
    units
}

fn systemctl(running: &Running, arguments: &[&str]) -> Result<String, String> {
    // Its own limit for a unit that does not stop is a minute and a half; nobody waits for that here.
    let command = Command::new(["systemctl"].into_iter().chain(arguments.iter().copied())).timeout(WITHIN);
    let output = running.run(&command, Path::new("/"))?;
    if output.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("`{command}` failed: {}", output.complaint()))
    }
}

/// The processes that set the clock, with their names; of those that have a helper only the first.
fn processes() -> Vec<(i32, String)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    // Those of containers are theirs to keep.
    let world = |pid: &dyn std::fmt::Display| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let ours = world(&"self");
    let all: BTreeMap<i32, Status> =
        numbers.filter_map(|pid| Some((pid, Status::of(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?))).collect();
    let is_helper = |status: &Status| all.get(&status.parent).is_some_and(|parent| parent.name == status.name);
    let daemons = all.iter().filter(|(_, status)| NAMES.contains(&status.name.as_str()) && !is_helper(status));
    daemons.filter(|(pid, _)| world(pid) == ours).map(|(&pid, status)| (pid, status.name.clone())).collect()
}

/// What `/proc/PID/status` says of a process that runs.
struct Status {
    name: String,
    parent: i32,
}

impl Status {
    fn of(text: &str) -> Option<Status> {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("State:")?.starts_with(['Z', 'X']) {
            return None;
        }
        Some(Status { name: field("Name:")?.to_owned(), parent: field("PPid:")?.parse().ok()? })
    }
}

/// Whether a process belongs to one of these units: its control group says so.
fn is_in_unit(pid: i32, units: &[String]) -> bool {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    groups.lines().flat_map(|line| line.split('/')).any(|part| units.iter().any(|unit| unit == part))
}

/// How a process was started; `None` if it is gone.
fn as_it_runs(pid: i32, name: &str) -> Option<Daemon> {
    let words = |file: &str| -> Option<Vec<Vec<u8>>> {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
        Some(bytes.split(|&b| b == 0).filter(|word| !word.is_empty()).map(<[u8]>::to_vec).collect())
    };
    Some(Daemon::Process {
        name: name.into(),
        program: fs::read_link(format!("/proc/{pid}/exe")).ok()?,
        arguments: words("cmdline")?,
        environment: words("environ")?,
        directory: fs::read_link(format!("/proc/{pid}/cwd")).ok()?,
    })
}

#[allow(unsafe_code, reason = "a session is begun between fork and exec")]
/// Starts a program in a session of its own, with nothing of ours. Most of them leave their first process at once.
fn launch(program: &Path, arguments: &[Vec<u8>], environment: &[Vec<u8>], directory: &Path) -> Result<(), String> {
    let word = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let variables = environment.iter().filter_map(|variable| {
        let at = variable.iter().position(|&b| b == b'=')?;
        Some((word(&variable[..at]), word(&variable[at + 1..])))
    });
    let mut command = process::Command::new(program);
    if let Some((own_name, rest)) = arguments.split_first() {
        command.arg0(word(own_name)).args(rest.iter().map(|argument| word(argument)));
    }
    command.env_clear().envs(variables).current_dir(directory).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // SAFETY: both are async-signal-safe, and nothing is allocated.
    unsafe {
        command.pre_exec(|| {
            let_signals_in()?;
            setsid().map(drop).map_err(Into::into)
        })
    };
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    // One that stays in the foreground is waited for when it ends, or by whoever inherits it.
    let reap = move || child.wait();
    thread::Builder::new().name("time daemon".into()).spawn(reap).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_units_are_told_once_by_the_name_that_they_go_by() {
        let text = "Id=chrony.service\nActiveState=active\n\nId=chrony.service\nActiveState=active\n\nId=systemd-timesyncd.service\nActiveState=inactive\n\nId=ntp.service\nActiveState=activating\n\nId=ntpd.service\nActiveState=failed\n";
        assert_eq!(active(text), ["chrony.service", "ntp.service"]);
        assert!(active("").is_empty());
    }

    #[test]
    fn a_status_is_read_and_a_dead_process_is_none() {
        let text = |state: &str| format!("Name:\tchronyd\nUmask:\t0022\nState:\t{state}\nPPid:\t17\n");
        let status = Status::of(&text("S (sleeping)")).unwrap();
        assert_eq!((status.name.as_str(), status.parent), ("chronyd", 17));
        assert!(Status::of(&text("Z (zombie)")).is_none() && Status::of("").is_none());
    }

    #[test]
    fn a_program_is_started_as_it_ran() {
        let folder = tempfile::tempdir().unwrap();
        let told = folder.path().join("told");
        let script = format!("echo \"$0 $1 $ONE ${{HOME-none}} $(pwd)\" > {0}.part && mv {0}.part {0}; exec sleep 5", told.display());
        let mut child = process::Command::new("sh")
            .args(["-c", &script, "name", "an argument"])
            .env_clear()
            .envs([("ONE", "a=b"), ("PATH", "/usr/bin:/bin")])
            .current_dir("/usr")
            .spawn()
            .unwrap();
        let there = || told.exists();
        assert!(comes_true_and_stays(there));
        let first = fs::read_to_string(&told).unwrap();
        // By now it has become another program: what it was started as is asked of a shell that waits.
        child.kill().unwrap();
        child.wait().unwrap();
        fs::remove_file(&told).unwrap();
        let words = |all: &[&str]| all.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let short = script.replace("exec sleep 5", "true");
        launch(
            Path::new("/bin/sh"),
            &words(&["sh", "-c", &short, "name", "an argument"]),
            &words(&["ONE=a=b", "PATH=/usr/bin:/bin"]),
            Path::new("/usr"),
        )
        .unwrap();
        assert!(comes_true_and_stays(there));
        assert_eq!(fs::read_to_string(&told).unwrap(), first);
        assert_eq!(first.trim(), "name an argument a=b none /usr");
        // And what a process says of itself is what it was started with.
        let Some(Daemon::Process { name, arguments, .. }) = as_it_runs(process::id() as i32, "us") else { panic!("we are gone") };
        let own: Vec<Vec<u8>> = std::env::args_os().map(OsStringExt::into_vec).collect();
        assert_eq!((name.as_str(), arguments), ("us", own));
        assert!(as_it_runs(i32::MAX, "nobody").is_none());
    }
}
