//! Network links, by the `ip` program, and the running of programs.

use super::error::{LabError, Try};
use super::process::find_program;
use super::state::{State, host_name};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The only path hosts and helpers get: whatever the environment of the caller is, or if it has none.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The programs that a lab needs, and Debian's packages that hold them.
const NEEDED: [(&str, &str); 3] = [("ip", "iproute2"), ("sshd", "openssh-server"), ("ssh-keygen", "openssh-client")];

/// Finds a program of the machine.
pub(super) fn program(name: &'static str) -> Result<PathBuf, LabError> {
    program_in(name, &PATH.split(':').collect::<Vec<_>>())
}

fn program_in(name: &'static str, folders: &[&str]) -> Result<PathBuf, LabError> {
    let package = NEEDED.iter().find(|(program, _)| *program == name).map_or("openssh-client", |(_, package)| package);
    find_program(name, folders).ok_or(LabError::MissingProgram { program: name, package })
}

/// Checks that everything is installed, before anything is made.
pub(super) fn check_programs() -> Result<(), LabError> {
    NEEDED.iter().try_for_each(|(name, _)| program(name).map(drop))
}

/// Runs a program to its end with an empty environment; its standard output, or an error with what it complained about.
pub(super) fn run(name: &'static str, args: &[&str], input: Option<&str>) -> Result<String, LabError> {
    let what = || format!("run {name} {}", args.join(" "));
    let mut command = Command::new(program(name)?);
    command.args(args).env_clear().env("PATH", PATH).current_dir("/");
    command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() }).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().or_say(what)?;
    if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
        // If the program has ended already, its complaint says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().or_say(what)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(std::io::Error::other(format!("{complaint} ({})", output.status))).or_say(what)
}

/// Several commands of `ip` in this process's network namespace, by one program. The words are ours: no blanks, no quotes.
fn batch(commands: &[Vec<&str>]) -> Result<(), LabError> {
    let lines: String = commands.iter().map(|words| words.join(" ") + "\n").collect();
    run("ip", &["-batch", "-"], Some(&lines)).map(drop)
}

/// Makes the bridge of the control namespace, in which the calling process must be.
pub(super) fn make_bridge(state: &State) -> Result<(), LabError> {
    let bridge = state.bridge();
    let address = format!("{}/24", state.subnet.control());
    batch(&[
        vec!["link", "set", "lo", "up"],
        vec!["link", "add", &bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"],
        vec!["addr", "add", &address, "dev", &bridge],
        vec!["link", "set", &bridge, "up"],
    ])?;
    // Where docker has loaded br_netfilter, bridged packets would also take the way through iptables.
    let filter = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    if fs::exists(filter).unwrap_or(false) {
        fs::write(filter, "0").or_say(|| format!("write {filter}"))?;
    }
    Ok(())
}

/// Plugs hosts into the bridge of the calling process's namespace: each by its first process, which is in the host's own.
pub(super) fn plug_in(state: &State, hosts: &[(u8, i32)]) -> Result<(), LabError> {
    let bridge = state.bridge();
    let words: Vec<[String; 3]> =
        hosts.iter().map(|&(host, pid)| [host_name(host), pid.to_string(), state.hardware_address(host)]).collect();
    let mut commands = Vec::new();
    for [name, pid, address] in &words {
        commands.push(vec!["link", "add", name, "type", "veth", "peer", "name", "eth0", "address", address, "netns", pid]);
        commands.push(vec!["link", "set", name, "master", &bridge, "up"]);
    }
    batch(&commands)
}

/// Unplugs a host. Its end vanishes by itself some time after the host's death: waiting for that would be a race.
pub(super) fn unplug(host: u8) {
    // The error is that it has vanished already.
    let _ = run("ip", &["link", "del", &host_name(host)], None);
}

/// Brings up a host's network, in whose namespace the calling process must be.
pub(super) fn bring_up(state: &State, host: u8) -> Result<(), LabError> {
    let address = format!("{}/24", state.subnet.host(host));
    batch(&[vec!["link", "set", "lo", "up"], vec!["addr", "add", &address, "dev", "eth0"], vec!["link", "set", "eth0", "up"]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let error = program_in("sshd", &["/nowhere"]).unwrap_err().to_string();
        assert!(error.contains("sshd is not installed") && error.contains("openssh-server"), "{error}");
        let error = program_in("ip", &["/nowhere"]).unwrap_err().to_string();
        assert!(error.contains("the package iproute2"), "{error}");
    }

    #[test]
    fn complaints_are_passed_on() {
        let error = run("sh", &["-c", "echo of this; echo and that >&2; exit 3"], None).unwrap_err().to_string();
        assert!(error.starts_with("cannot run sh -c ") && error.ends_with("and that (exit status: 3)"), "{error}");
        assert_eq!(run("sh", &["-c", "cat"], Some("read")).unwrap(), "read");
    }
}
