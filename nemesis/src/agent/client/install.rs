//! Bringing the agent's program to a node: once per node and content.
//!
//! The agent is the program itself, run as `rashomon agent`, and not a second program carried inside it: there is one build and
//! one version, so the two ends of the protocol cannot differ, and nothing has to be compiled for another target first. The
//! price is an upload of a few megabytes per node and version, and that a dynamically linked build needs a C library on the
//! node that is not older: that is looked at first, and the error says how to link statically.

use crate::NodeError;
use crate::agent::AgentOptions;
use crate::agent::protocol::HELLO;
use crate::command::Command;
use crate::remote::{Access, Remote, Secret, SshOptions, Sudo};
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the upload of the program may take.
const UPLOAD_WITHIN: Duration = Duration::from_mins(5);

/// How long looking at the node may take.
const LOOK_WITHIN: Duration = Duration::from_secs(20);

/// Says what the node is like, in lines of a name and a value. `$1` is the directory, or empty; `$2` the name of the program's
/// file; `$3` the dynamic loader that it needs, or empty. Programs that were not used for a week are removed.
const LOOK: &str = r#"
if [ -n "$1" ]; then home=$1; elif [ "$(id -u)" = 0 ]; then home=/var/lib/rashomon; else home=$HOME/.rashomon; fi
echo "rashomon-node yes"
echo "system $(uname -s)"
echo "machine $(uname -m)"
echo "uid $(id -u)"
echo "user $(id -un)"
echo "libc $(getconf GNU_LIBC_VERSION 2>/dev/null)"
if [ -n "$3" ] && [ ! -e "$3" ]; then echo "loader missing"; fi
echo "control $SSH_CONNECTION"
mkdir -p "$home/bin" || exit 1
find "$home/bin" -name 'rashomon-*' -mtime +7 -exec rm -f {} + 2>/dev/null
if [ -x "$home/bin/$2" ]; then touch "$home/bin/$2"; echo "size $(wc -c < "$home/bin/$2")"; fi
echo "program $home/bin/$2"
"#;

/// The program that is uploaded: the facts that decide whether it can run on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binary {
    path: PathBuf,
    size: u64,
    /// Of the content, so that a node holds several builds side by side.
    hash: u64,
    elf: Elf,
}

/// What an ELF file says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Elf {
    /// The architecture as `uname -m` says it; empty if it is one we do not know.
    machine: &'static str,
    /// The dynamic loader; `None` if the program is static.
    loader: Option<String>,
    /// The newest glibc that it needs a symbol of: minor version of 2.x.
    glibc_minor: Option<u32>,
}

impl Binary {
    /// Reads a program's file.
    pub fn read(path: &Path) -> Result<Binary, String> {
        let bytes = fs::read(path).map_err(|e| format!("cannot read the program {}: {e}", path.display()))?;
        let elf = Elf::read(&bytes).ok_or_else(|| format!("{} is no 64-bit ELF program for Linux", path.display()))?;
        Ok(Binary { path: path.to_path_buf(), size: bytes.len() as u64, hash: hash(&bytes), elf })
    }

    fn file_name(&self) -> String {
        format!("rashomon-{:016x}-{}", self.hash, self.size)
    }

    /// Refuses a node on which the program cannot run.
    fn check(&self, node: &Facts) -> Result<(), String> {
        if node.system != "Linux" {
            return Err(format!("it runs {}: the agent needs Linux", node.system));
        }
        let machine = self.elf.machine;
        if !machine.is_empty() && node.machine != machine {
            return Err(format!("it is {}, but this program was built for {machine}: use one built for {}", node.machine, node.machine));
        }
        let advice = static_advice(if machine.is_empty() { &node.machine } else { machine });
        if node.loader_missing {
            let loader = self.elf.loader.as_deref().unwrap_or_default();
            return Err(format!("this program is dynamically linked and needs {loader}, which is not there: {advice}"));
        }
        if let (Some(_), Some(needed), Some(there)) = (&self.elf.loader, self.elf.glibc_minor, node.glibc_minor)
            && there < needed
        {
            return Err(format!("this program is dynamically linked and needs glibc 2.{needed}, but there is 2.{there}: {advice}"));
        }
        Ok(())
    }
}

fn static_advice(machine: &str) -> String {
    format!(
        "build a static one, RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --target {machine}-unknown-linux-gnu, and run that"
    )
}

/// Tells builds of ours apart, together with their size; nobody attacks it.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

impl Elf {
    fn read(bytes: &[u8]) -> Option<Elf> {
        let number = |at: usize, length: usize| -> Option<usize> {
            let bytes = bytes.get(at..at.checked_add(length)?)?;
            Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | usize::from(byte)))
        };
        // Magic, 64 bits, little endian.
        if !bytes.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let machine = match number(18, 2)? {
            62 => "x86_64",
            183 => "aarch64",
            243 => "riscv64",
            _ => "",
        };
        let (table, entry_size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let mut elf = Elf { machine, ..Elf::default() };
        for i in 0..count {
            let entry = table.checked_add(i * entry_size)?;
            // PT_INTERP: where the name of the loader stands, and how long it is.
            if number(entry, 4)? == 3 {
                let (at, length) = (number(entry.checked_add(8)?, 8)?, number(entry.checked_add(32)?, 8)?);
                let name = bytes.get(at..at.checked_add(length)?)?;
                elf.loader = Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_string());
            }
        }
        if elf.loader.is_some() {
            elf.glibc_minor = newest_glibc(bytes);
        }
        Some(elf)
    }
}

/// The newest version in the names of the glibc symbol versions that a program refers to.
fn newest_glibc(bytes: &[u8]) -> Option<u32> {
    const PREFIX: &[u8] = b"GLIBC_2.";
    let starts = memchr::memmem::find_iter(bytes, PREFIX).map(|at| at + PREFIX.len());
    let minor = |at: usize| {
        let digits: String = bytes[at..].iter().take(3).take_while(|b| b.is_ascii_digit()).map(|&b| b as char).collect();
        digits.parse().ok()
    };
    starts.filter_map(minor).max()
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Facts {
    system: String,
    machine: String,
    /// Who logs in.
    uid: Option<u32>,
    user: String,
    glibc_minor: Option<u32>,
    loader_missing: bool,
    control: Option<IpAddr>,
    size: Option<u64>,
    program: String,
}

impl Facts {
    fn read(text: &str) -> Option<Facts> {
        let mut facts = Facts::default();
        // A login shell may have said something before.
        let from = text.find("rashomon-node yes")?;
        for line in text[from..].lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            match name {
                "system" => facts.system = value.into(),
                "machine" => facts.machine = value.into(),
                "uid" => facts.uid = value.parse().ok(),
                "user" => facts.user = value.into(),
                "libc" => facts.glibc_minor = value.strip_prefix("glibc 2.").and_then(|minor| minor.split('.').next()?.parse().ok()),
                "loader" => facts.loader_missing = true,
                "control" => facts.control = value.split(' ').next().and_then(|address| address.parse().ok()),
                "size" => facts.size = value.trim().parse().ok(),
                "program" => facts.program = value.into(),
                _ => {}
            }
        }
        Some(facts)
    }
}

/// How the program is started on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) argv: Vec<String>,
    pub(super) control: Option<IpAddr>,
    /// What sudo wants to read before the program does.
    pub(super) password: Option<Secret>,
}

/// Makes sure that the program is on the node and can run there.
pub(super) fn ensure(remote: &mut dyn Remote, access: &Access, options: &AgentOptions, binary: &Binary) -> Result<Installed, NodeError> {
    let Access::Ssh(ssh) = access else {
        return Ok(Installed { argv: vec![binary.path.display().to_string()], control: None, password: None });
    };
    // With sudo the agent's directory is root's, and the one who logs in puts the program into his own.
    let directory = options.directory.clone().filter(|_| ssh.sudo != Sudo::Always).unwrap_or_default();
    let loader = binary.elf.loader.clone().unwrap_or_default();
    let look = Command::new(["sh", "-c", LOOK, "sh", &directory, &binary.file_name(), &loader]).timeout(LOOK_WITHIN);
    let output = remote.run(&look)?;
    let fail = |why: String| NodeError::new(remote.node(), why);
    let facts = Facts::read(&output.text()).ok_or_else(|| fail(format!("cannot look at the node: {}", output.complaint())))?;
    if !output.success() {
        return Err(fail(format!("cannot make a directory for the agent: {}; name another one", output.complaint())));
    }
    binary.check(&facts).map_err(fail)?;
    if facts.size != Some(binary.size) {
        tracing::info!(node = remote.node(), bytes = binary.size, "uploading the agent");
        remote.upload(&binary.path, &facts.program, 0o755, UPLOAD_WITHIN)?;
    }
    let (mut argv, password) = become_root(remote, ssh, &facts)?;
    argv.push(facts.program);
    Ok(Installed { argv, control: facts.control, password })
}

/// The words before the program that make it run as root, and what sudo wants to read first. Tried out, because only sudo itself knows
/// what it allows: without a password, then with the one that was given.
fn become_root(remote: &mut dyn Remote, ssh: &SshOptions, facts: &Facts) -> Result<(Vec<String>, Option<Secret>), NodeError> {
    if ssh.sudo == Sudo::Never || facts.uid == Some(0) {
        return Ok((Vec::new(), None));
    }
    // -k: whoever logged in before may have left a ticket, and the password would then be read by the wrong program.
    let with = |flags: &[&str]| [&["sudo", "-k"], flags, &["--"]].concat().into_iter().map(String::from).collect::<Vec<_>>();
    let mut attempt = |flags: &[&str], input: String| -> Result<Result<Vec<String>, String>, NodeError> {
        let words = with(flags);
        let hello = words.iter().map(String::as_str).chain([facts.program.as_str(), "agent", HELLO]);
        let output = remote.run(&Command::new(hello).stdin(input).timeout(LOOK_WITHIN))?;
        Ok(if output.success() { Ok(words) } else { Err(output.complaint()) })
    };
    let mut why = match attempt(&["-n"], String::new())? {
        Ok(words) => return Ok((words, None)),
        Err(why) => why,
    };
    if let Some(password) = &ssh.sudo_password {
        match attempt(&["-S", "-p", ""], format!("{}\n", password.reveal()))? {
            Ok(words) => return Ok((words, Some(password.clone()))),
            Err(complaint) => why = format!("the password that was given does not help: {complaint}"),
        }
    }
    if ssh.sudo == Sudo::Auto && ssh.sudo_password.is_none() {
        tracing::info!(node = remote.node(), user = facts.user, why, "not root, and sudo does not help");
        return Ok((Vec::new(), None));
    }
    let line = sudoers_line(&facts.user, &facts.program);
    Err(NodeError::new(
        remote.node(),
        format!(
            "{} cannot become root by sudo: {why}. Give the password with --sudo-password-file or --ask-sudo-password, or put this into a file in /etc/sudoers.d: {line}",
            facts.user
        ),
    ))
}

/// What lets a user run the agent as root without a password. It is as good as the root password: the user can replace the program.
pub fn sudoers_line(user: &str, program: &str) -> String {
    let folder = program.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{user} ALL=(root) NOPASSWD: {folder}/rashomon-*")
}

/// Adds what to do to the words with which a program fails to start.
pub(super) fn explain(why: &str) -> String {
    let advice = if why.contains("error while loading shared libraries") || why.contains("GLIBC_") {
        format!("this program is dynamically linked and lacks a library there: {}", static_advice(std::env::consts::ARCH))
    } else if why.contains("Permission denied") {
        "is the directory on a file system mounted noexec? Name another directory".into()
    } else if why.contains("sudo:") {
        "the user must be allowed to run the agent by sudo: `rashomon doctor` says how".into()
    } else {
        return why.into();
    };
    format!("{why}; {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remote::fake::Fake;
    use crate::remote::{ConfigFile, SshOptions};

    /// A small ELF file: a header, one program header with the loader if there is one, and some text.
    fn elf(machine: u8, loader: Option<&str>, text: &str) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18] = machine;
        (bytes[32], bytes[54], bytes[56]) = (64, 56, 1);
        let mut entry = vec![0; 56];
        if let Some(loader) = loader {
            (entry[0], entry[8], entry[32]) = (3, 120, loader.len() as u8 + 1);
        }
        bytes.extend(entry);
        bytes.extend(loader.unwrap_or_default().bytes().chain([0]));
        bytes.extend(text.bytes());
        bytes
    }

    const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

    #[test]
    fn the_facts_are_read_from_the_file() {
        let read = |bytes: &[u8]| Elf::read(bytes).unwrap();
        let dynamic = read(&elf(62, Some(LOADER), "GLIBC_2.2.5\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_2."));
        assert_eq!(dynamic, Elf { machine: "x86_64", loader: Some(LOADER.into()), glibc_minor: Some(34) });
        assert_eq!(read(&elf(183, None, "GLIBC_2.34")), Elf { machine: "aarch64", loader: None, glibc_minor: None });
        let whole = elf(62, Some(LOADER), "");
        for length in 0..whole.len() {
            // Cut short anywhere, or with a byte turned over, it is no panic.
            let _ = Elf::read(&whole[..length]);
            let mut broken = whole.clone();
            broken[length] = !broken[length];
            let _ = Elf::read(&broken);
        }
        assert_eq!(Elf::read(b"#!/bin/sh\n"), None);
        let own = Binary::read(&std::env::current_exe().unwrap()).unwrap();
        assert_eq!(own.elf.machine, std::env::consts::ARCH);
    }

    /// What `ensure` says of a node that answers so.
    fn ensure_on(answer: &str, bytes: &[u8]) -> (Result<Installed, String>, Vec<Vec<String>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rashomon");
        fs::write(&path, bytes).unwrap();
        let mut remote = Fake::answering([answer, ""]);
        let access = Access::Ssh(SshOptions { config: ConfigFile::Nothing, ..SshOptions::default() });
        let binary = Binary::read(&path).unwrap();
        let result = ensure(&mut remote, &access, &AgentOptions::new("a test", &path), &binary);
        (result.map_err(|error| error.to_string()), remote.asked)
    }

    fn node(machine: &str, more: &str) -> String {
        format!(
            "a greeting of the shell\nrashomon-node yes\nsystem Linux\nmachine {machine}\nuid 0\nuser root\n{more}control 192.0.2.1 5000 192.0.2.2 22\nprogram /x/bin/rashomon-1"
        )
    }

    #[test]
    fn it_is_uploaded_where_it_is_missing_only() {
        let program = elf(62, None, "");
        let (installed, asked) = ensure_on(&node("x86_64", ""), &program);
        let installed = installed.unwrap();
        assert_eq!((installed.argv, installed.control), (vec!["/x/bin/rashomon-1".to_string()], Some([192, 0, 2, 1].into())));
        assert_eq!(asked.len(), 2);
        assert!(asked[1].contains(&"/x/bin/rashomon-1".to_string()), "{asked:?}");
        let (_, asked) = ensure_on(&node("x86_64", &format!("size {}\n", program.len())), &program);
        assert_eq!(asked.len(), 1);
        let (_, asked) = ensure_on(&node("x86_64", "size 5\n"), &program);
        assert_eq!(asked.len(), 2, "half a program is uploaded again");
    }

    #[test]
    fn a_node_that_cannot_run_it_is_refused_before_the_upload() {
        let dynamic = elf(62, Some(LOADER), "GLIBC_2.38");
        for (answer, words) in [
            (node("aarch64", ""), "it is aarch64, but this program was built for x86_64"),
            (node("x86_64", "libc glibc 2.36\n"), "needs glibc 2.38, but there is 2.36: build a static one"),
            (node("x86_64", "loader missing\n"), "needs /lib64/ld-linux-x86-64.so.2, which is not there: build a static one"),
            (node("x86_64", "").replace("Linux", "Darwin"), "it runs Darwin"),
            ("command not found".into(), "cannot look at the node"),
        ] {
            let (result, asked) = ensure_on(&answer, &dynamic);
            let error = result.unwrap_err();
            assert!(error.contains(words), "{error}");
            assert_eq!(asked.len(), 1, "nothing is uploaded");
        }
        assert!(ensure_on(&node("x86_64", "libc glibc 2.38\n"), &dynamic).0.is_ok());
        assert!(ensure_on(&node("x86_64", "libc glibc 2.17\n"), &elf(62, None, "GLIBC_2.38")).0.is_ok(), "a static program does not care");
    }

    #[test]
    fn whoever_is_not_root_becomes_it_if_sudo_lets_him() {
        let program = elf(62, None, "");
        let answer = node("x86_64", &format!("uid 1000\nuser ann\nsize {}\n", program.len()));
        let (installed, asked) = ensure_on(&answer, &program);
        let sudo = ["sudo", "-k", "-n", "--", "/x/bin/rashomon-1"];
        assert_eq!(installed.unwrap().argv, sudo);
        assert_eq!(asked[1], [&sudo[..], &["agent", HELLO]].concat());
    }

    #[test]
    fn the_line_for_sudoers_names_every_build() {
        let line = sudoers_line("ann", "/home/ann/.rashomon/bin/rashomon-0123-45");
        assert_eq!(line, "ann ALL=(root) NOPASSWD: /home/ann/.rashomon/bin/rashomon-*");
    }

    #[test]
    fn what_a_program_says_that_cannot_start_is_explained() {
        assert!(explain("x: error while loading shared libraries: libssl.so.3").contains("build a static one"));
        assert!(explain("sh: x: Permission denied").contains("noexec"));
        assert!(explain("sudo: a password is required").contains("rashomon doctor"));
        assert_eq!(explain("something else"), "something else");
    }
}
