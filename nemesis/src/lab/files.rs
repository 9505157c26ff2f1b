//! The text files of a lab: who is where, and how SSH logs in.

use super::error::{LabError, Try};
use super::links::run;
use super::state::{Folder, State, host_name, write_private};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Writes everything that depends on the number of hosts, and the keys that are missing.
pub(super) fn write(folder: &Folder, state: &State) -> Result<(), LabError> {
    make_key(&folder.file("key"), "lab")?;
    for host in 1..=state.hosts {
        let own = folder.path().join(host_name(host));
        fs::create_dir_all(&own).or_say(|| format!("make {}", own.display()))?;
        make_key(&own.join("host_key"), &host_name(host))?;
    }
    write_private(&folder.file("known_hosts"), known_hosts(folder, state)?.as_bytes())?;
    write_private(&folder.file("ssh_config"), ssh_config(folder, state).as_bytes())?;
    // Written in place: it is mounted over the control namespace's /etc/hosts. Others than root read it there.
    let hosts = folder.file("hosts");
    fs::write(&hosts, hosts_table(state)).or_say(|| format!("write {}", hosts.display()))
}

/// `/etc/hosts` of every host and of the control namespace.
pub(super) fn hosts_table(state: &State) -> String {
    let mut text = String::from("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
    for host in 1..=state.hosts {
        let _ = writeln!(text, "{} {}", state.subnet.host(host), host_name(host));
    }
    let _ = writeln!(text, "{} control", state.subnet.control());
    text
}

fn known_hosts(folder: &Folder, state: &State) -> Result<String, LabError> {
    let mut text = String::new();
    for host in 1..=state.hosts {
        let path = folder.host_file(host, "host_key.pub");
        let key = fs::read_to_string(&path).or_say(|| format!("read {}", path.display()))?;
        let words: Vec<&str> = key.split_ascii_whitespace().take(2).collect();
        let _ = writeln!(text, "{},{} {}", host_name(host), state.subnet.host(host), words.join(" "));
    }
    Ok(text)
}

fn ssh_config(folder: &Folder, state: &State) -> String {
    let mut text = String::new();
    for host in 1..=state.hosts {
        let _ = writeln!(text, "Host {}\n  HostName {}", host_name(host), state.subnet.host(host));
    }
    let path = folder.path().display();
    let _ = write!(
        text,
        "Host *
  User root
  Port 22
  IdentityFile {path}/key
  IdentitiesOnly yes
  UserKnownHostsFile {path}/known_hosts
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
  BatchMode yes
  ConnectTimeout 5
  LogLevel ERROR
"
    );
    text
}

/// A host's `sshd_config`. `version` is what `sshd -V` says. Nobody keeps what is said on a lab's network to break it in years to come: what
/// protects from that costs most of a login's processor time, and is left out.
pub(super) fn sshd_config(version: &str) -> String {
    let mut text = String::from(
        "Port 22
HostKey /etc/ssh/ssh_host_ed25519_key
PidFile none
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile .ssh/authorized_keys
MaxStartups 200:30:400
MaxSessions 200
LoginGraceTime 20
PrintMotd no
PrintLastLog no
Subsystem sftp internal-sftp
KexAlgorithms -sntrup*,mlkem*
",
    );
    // Newer servers shut out an address that failed to log in: a test of refused keys would shut out the next test.
    if openssh_version(version).is_some_and(|v| v >= (9, 8)) {
        text.push_str("PerSourcePenalties no\n");
    }
    text
}

/// Major and minor number in a text like `OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15`.
fn openssh_version(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.split_once("OpenSSH_")?;
    let (major, rest) = rest.split_once('.')?;
    let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// root's line of `/etc/passwd` or `/etc/shadow` made fit to log in with a key, whatever this machine has; the other lines stay.
pub(super) fn with_root(table: &str, root: &str) -> String {
    let mut text = format!("{root}\n");
    for line in table.lines().filter(|line| !line.starts_with("root:")) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn make_key(path: &Path, comment: &str) -> Result<(), LabError> {
    // The public half is written last: a key without it was interrupted.
    if path.with_extension("pub").exists() {
        return Ok(());
    }
    let _ = fs::remove_file(path);
    let path = path.to_string_lossy();
    run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", &path], None).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_openssh() {
        assert_eq!(openssh_version("OpenSSH_9.2p1 Debian-2+deb12u3, OpenSSL 3.0.15"), Some((9, 2)));
        assert_eq!(openssh_version("unknown option -- V\nOpenSSH_10.0p2 Debian"), Some((10, 0)));
        assert_eq!(openssh_version("Dropbear"), None);
        assert!(sshd_config("OpenSSH_9.9p1").contains("PerSourcePenalties no"));
        assert!(!sshd_config("OpenSSH_9.2p1").contains("PerSourcePenalties"));
        assert!(!sshd_config("").contains("PerSourcePenalties"));
    }

    #[test]
    fn root_can_log_in_whatever_the_machine_says() {
        let table = "root:!:19000:0:99999:7:::\nrootless:x:1\ndaemon:*:19000\n";
        assert_eq!(with_root(table, "root:*:1"), "root:*:1\nrootless:x:1\ndaemon:*:19000\n");
        assert_eq!(with_root("", "root:*:1"), "root:*:1\n");
    }
}
