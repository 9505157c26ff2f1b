//! The agent as the program that it is, over real SSH to a server on loopback: login, commands, files, programs; and what happens
//! when the agent is killed, the connection is cut, or a second run comes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod proxy;
mod sshd;

use nemesis::remote::{ConfigFile, HostKeys, Secret};
use nemesis::{Access, AgentOptions, Agents, Command, NodeError, Own, ProcessState, Program, SshOptions, agent};
use proxy::Proxy;
use sshd::{Sshd, cluster};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const RASHOMON: &str = env!("CARGO_BIN_EXE_rashomon");
const WITHIN: Duration = Duration::from_secs(30);

fn options(directory: &Path, run: &str) -> AgentOptions {
    AgentOptions {
        directory: Some(directory.display().to_string()),
        connect_within: Duration::from_mins(1),
        lock_within: Some(Duration::from_millis(500)),
        ..AgentOptions::new(run, RASHOMON)
    }
}

fn connect(access: &Access, options: &AgentOptions) -> Agents {
    Agents::connect(&cluster(), access, options).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn refusal(options: SshOptions) -> String {
    let node = &cluster().nodes[0];
    match Access::Ssh(options).connect(node, WITHIN) {
        Ok(_) => panic!("the login was accepted"),
        Err(error) => error.to_string(),
    }
}

fn sleeper() -> Program {
    Program {
        name: "p".into(),
        argv: ["sleep", "600"].map(String::from).to_vec(),
        env: Vec::new(),
        dir: None,
        log: "p.log".into(),
        own: Own::default(),
    }
}

fn eventually(what: &str, within: Duration, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The letter that the kernel has for the state of the program's process.
fn kernel_state(directory: &Path) -> Option<char> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(directory.join("processes/p.json")).ok()?).ok()?;
    let stat = fs::read_to_string(format!("/proc/{}/stat", record["leader"]["pid"])).ok()?;
    stat[stat.rfind(')')? + 2..].chars().next().filter(|&state| state != 'Z')
}

fn kill(pid: u32) {
    assert!(std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
}

#[test]
fn commands_and_files_over_ssh() {
    let Some(sshd) = Sshd::start() else { return };
    let node = &cluster().nodes[0];
    let mut remote = sshd.access().connect(node, WITHIN).unwrap();
    let mut run = |command: Command| remote.run(&command.timeout(WITHIN)).unwrap();
    let output = run(Command::new(["sh", "-c", "cat; echo err >&2; exit 3"]).stdin("in"));
    assert_eq!((output.status, output.signal, output.text().as_str(), &output.stderr[..]), (Some(3), None, "in", &b"err\n"[..]));
    let output = run(Command::new(["sh", "-c", "kill -9 $$"]));
    assert!(!output.success() && output.signal == Some(9) || output.status == Some(137), "{output:?}");
    let output = run(Command::new(["printf", "%s|", "it's", "a b", "$HOME", "*", ""]));
    assert_eq!(output.text(), "it's|a b|$HOME|*||");
    let output = run(Command::new(["sh", "-c", "echo \"$V\"; pwd"]).env("V", "a 'b'").dir("/"));
    assert_eq!(output.text(), "a 'b'\n/");
    // Much in both directions at once, and on both outputs: nothing may wait for something else for ever.
    let much: Vec<u8> = (0..6_000_000_u32).map(|i| (i % 251) as u8).collect();
    let output = run(Command::new(["sh", "-c", "head -c 3000000 /dev/zero >&2; cat"]).stdin(much.clone()));
    assert!(output.success() && output.truncated && output.stdout[..] == much[..1 << 20] && output.stderr.len() == 1 << 20);
    fs::write(sshd.path("local"), &much).unwrap();
    let there = sshd.path("there is").display().to_string();
    remote.upload(&sshd.path("local"), &there, 0o640, WITHIN).unwrap();
    remote.download(&there, &sshd.path("back"), WITHIN).unwrap();
    assert!(fs::read(sshd.path("back")).unwrap() == much);
    let error = remote.download("/no/such/file", &sshd.path("no"), WITHIN).unwrap_err().to_string();
    assert!(error.contains("n1: cannot read /no/such/file") && !sshd.path("no").exists(), "{error}");
    let error = remote.upload(&sshd.path("local"), "/no/such/dir/file", 0o600, WITHIN).unwrap_err().to_string();
    assert!(error.contains("cannot write /no/such/dir/file"), "{error}");
    let started = Instant::now();
    let error = remote.run(&Command::new(["sleep", "60"]).timeout(Duration::from_millis(300))).unwrap_err().to_string();
    assert!(error.contains("in time") && started.elapsed() < Duration::from_secs(5), "{error}");
}

#[test]
fn unknown_and_changed_host_keys_are_refused_and_explained() {
    let Some(sshd) = Sshd::start() else { return };
    let known = |file: &str| SshOptions { known_hosts: vec![sshd.path(file)], ..sshd.options() };
    let error = refusal(known("nothing"));
    assert!(error.contains("is not known in") && error.contains("SHA256:") && error.contains("log in once by hand"), "{error}");
    // The host is known by another key.
    let port = sshd.port;
    let stranger = sshd.known("stranger", port);
    let error = refusal(SshOptions { known_hosts: vec![stranger.clone()], host_keys: Some(HostKeys::AcceptNew), ..sshd.options() });
    assert!(error.contains("is not the one in") && error.contains("ssh-keygen -R '[127.0.0.1]:"), "{error}");
    let any = SshOptions { known_hosts: vec![stranger], host_keys: Some(HostKeys::AcceptAny), ..sshd.options() };
    assert!(Access::Ssh(any).connect(&cluster().nodes[0], WITHIN).is_ok());
    // It is known by its key of another kind than the first it shows.
    let second = SshOptions { known_hosts: vec![sshd.known("host2", port)], ..sshd.options() };
    assert!(Access::Ssh(second).connect(&cluster().nodes[0], WITHIN).is_ok());
    // A new one is remembered, beside a last line without its end.
    fs::write(sshd.path("new"), "other ssh-ed25519 AAAA").unwrap();
    let new = SshOptions { host_keys: Some(HostKeys::AcceptNew), ..known("new") };
    assert!(Access::Ssh(new).connect(&cluster().nodes[0], WITHIN).is_ok());
    let text = fs::read_to_string(sshd.path("new")).unwrap();
    assert!(text.starts_with("other ssh-ed25519 AAAA\n[127.0.0.1]:") && text.ends_with('\n'), "{text}");
    assert!(Access::Ssh(known("new")).connect(&cluster().nodes[0], WITHIN).is_ok());
    let revoked = text.replace("[127.0.0.1]", "@revoked [127.0.0.1]");
    fs::write(sshd.path("revoked"), revoked).unwrap();
    assert!(refusal(known("revoked")).contains("is revoked"));
}

#[test]
fn refused_and_locked_keys_are_explained() {
    let Some(sshd) = Sshd::start() else { return };
    let keys = |names: &[&str]| SshOptions { keys: names.iter().map(|name| sshd.path(name)).collect(), ..sshd.options() };
    let error = refusal(SshOptions { passphrase: Some(Secret::new("hunter2")), ..keys(&["stranger"]) });
    assert!(error.contains("refused the login") && error.contains("stranger: refused") && error.contains("authorized_keys"), "{error}");
    let error = refusal(keys(&["no-such-key"]));
    assert!(error.contains("no-such-key: No such file"), "{error}");
    let error = refusal(SshOptions { passphrase: Some(Secret::new("hunter2")), ..keys(&["locked"]) });
    assert!(error.contains("needs its passphrase") && !error.contains("hunter2"), "{error}");
    let error = refusal(SshOptions { password: Some(Secret::new("hunter2")), ..keys(&[]) });
    assert!(error.contains("the password: this server takes only publickey") && !error.contains("hunter2"), "{error}");
    let open = SshOptions { passphrase: Some(Secret::new("open sesame")), ..keys(&["locked"]) };
    assert!(Access::Ssh(open).connect(&cluster().nodes[0], WITHIN).is_ok());
    assert!(Access::Ssh(keys(&["stranger", "key2"])).connect(&cluster().nodes[0], WITHIN).is_ok());
}

#[test]
fn ssh_config_is_honoured() {
    let Some(sshd) = Sshd::start() else { return };
    let port = sshd.port;
    let known = sshd.known("host", port);
    let text = format!(
        "Host somewhere\n  HostName 127.0.0.1\n  Port {port}\n  IdentityFile {}\n  UserKnownHostsFile {}\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n",
        sshd.path("key").display(),
        known.display()
    );
    fs::write(sshd.path("ssh_config"), text).unwrap();
    let node = nemesis::Node { address: "somewhere".into(), ..cluster().nodes[0].clone() };
    let options = SshOptions { config: ConfigFile::File(sshd.path("ssh_config")), ..SshOptions::default() };
    let mut remote = Access::Ssh(options).connect(&node, WITHIN).unwrap();
    assert_eq!(remote.run(&Command::new(["echo", "here"])).unwrap().text(), "here");
}

#[test]
fn the_agent_is_uploaded_once_and_obeys() {
    let Some(sshd) = Sshd::start() else { return };
    let directory = sshd.path("agent");
    let agents = connect(&sshd.access(), &options(&directory, "a test"));
    let agent = agents.of(&cluster().nodes[0]);
    assert_eq!(Path::new(&agent.directory()), directory.canonicalize().unwrap());
    assert_eq!(agent.about().control, Some([127, 0, 0, 1].into()));
    let much: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 253) as u8).collect();
    agent.write_file("db/data", &much, 0o600).unwrap();
    assert!(agent.read_file("db/data", usize::MAX).unwrap() == much);
    assert!(agent.read_file("db/data", 1000).unwrap_err().to_string().contains("longer than 1000 bytes"));
    agent.fetch("db/data", &sshd.path("fetched")).unwrap();
    agent.upload(&sshd.path("fetched"), "db/again", 0o755).unwrap();
    assert!(fs::read(directory.join("db/again")).unwrap() == much);
    agent.write_file("db/empty", b"", 0o600).unwrap();
    assert_eq!(agent.read_file("db/empty", 10).unwrap(), b"");
    agent.remove_tree("db").unwrap();
    assert!(!directory.join("db").exists());
    let error = agent.run_ok(&Command::new(["sh", "-c", "echo no luck >&2; exit 4"])).unwrap_err().to_string();
    assert!(error.starts_with("n1: `sh -c") && error.contains("exit status 4: no luck"), "{error}");
    assert!(agent.run(&Command::new(["sleep", "60"]).timeout(Duration::from_millis(200))).unwrap().timed_out);
    // Several threads at once, each with its own answers.
    std::thread::scope(|scope| {
        for i in 0..8 {
            scope.spawn(move || {
                for j in 0..20 {
                    let text = format!("{i} {j}");
                    assert_eq!(agent.run_ok(&Command::new(["echo", &text])).unwrap().text(), text);
                }
            });
        }
    });
    agent.start(&sleeper()).unwrap();
    agent.pause("p").unwrap();
    assert_eq!(kernel_state(&directory), Some('T'));
    let undone = agents.close().remove(0).unwrap();
    assert_eq!(undone.len(), 1);
    assert_ne!(kernel_state(&directory), Some('T'));
    assert!(agent.run(&Command::new(["true"])).is_err(), "after the end there are errors, not waits");
    // A second time the program is there already: nothing is written into its directory.
    let programs =
        || fs::read_dir(directory.join("bin")).unwrap().flatten().map(|entry| entry.metadata().unwrap().len()).collect::<Vec<_>>();
    assert_eq!(programs(), [fs::metadata(RASHOMON).unwrap().len()]);
    let agents = connect(&sshd.access(), &options(&directory, "a test"));
    assert_eq!(programs().len(), 1);
    agents.all()[0].stop("p").unwrap();
    assert_eq!(kernel_state(&directory), None);
}

#[test]
fn a_cut_connection_heals_by_itself_and_can_be_mended() {
    let Some(sshd) = Sshd::start() else { return };
    let proxy = Proxy::to(sshd.port);
    let directory = sshd.path("agent");
    let access = Access::Ssh(SshOptions { port: Some(proxy.port), known_hosts: vec![sshd.known("host", proxy.port)], ..sshd.options() });
    let agents = connect(&access, &options(&directory, "a test"));
    let (node, agent) = (&cluster().nodes[0], &agents.all()[0]);
    agent.start(&sleeper()).unwrap();
    agent.pause("p").unwrap();
    // The default dead-man switch: 5 s, and everything undone within 10 s. Nobody closes anything.
    proxy.cut();
    eventually("the agent resumes the program", Duration::from_secs(10), || kernel_state(&directory) == Some('S'));
    let error = agent.state("p").unwrap_err().to_string();
    assert!(error.contains("the connection to the agent was lost (nothing was heard of it for 5 s)"), "{error}");
    assert!(!agent.is_alive());
    proxy.mend();
    agents.reconnect(node).unwrap();
    assert_eq!(agent.state("p").unwrap(), ProcessState::Running);
    agent.kill("p").unwrap();
    assert_eq!(kernel_state(&directory), None);
    // The harness goes away without a word: the end of its input is enough.
    drop(agents);
    eventually("the agent starts the program again", Duration::from_secs(5), || kernel_state(&directory).is_some());
    let agents = connect(&sshd.access(), &options(&directory, "a test"));
    agents.all()[0].stop("p").unwrap();
}

#[test]
fn an_agent_that_is_killed_is_told_of_and_healed_after() {
    let Some(sshd) = Sshd::start() else { return };
    let directory = sshd.path("agent");
    let (access, options) = (sshd.access(), options(&directory, "a test"));
    let agents = connect(&access, &options);
    let (node, agent) = (&cluster().nodes[0], &agents.all()[0]);
    agent.start(&sleeper()).unwrap();
    agent.pause("p").unwrap();
    kill(agent.about().pid);
    eventually("the handle knows", WITHIN, || !agent.is_alive());
    let error = agent.resume("p").unwrap_err().to_string();
    assert!(error.contains("the connection to the agent was lost"), "{error}");
    assert_eq!(kernel_state(&directory), Some('T'), "nobody was left to undo it");
    // By the next agent ...
    agents.reconnect(node).unwrap();
    assert_eq!(agent.about().undone.len(), 1);
    assert_eq!(kernel_state(&directory), Some('S'));
    // ... or by `heal`, as often as one likes.
    agent.pause("p").unwrap();
    kill(agent.about().pid);
    eventually("the handle knows", WITHIN, || !agent.is_alive());
    for expected in [1, 0, 0] {
        let undone = agent::heal(&cluster(), &access, &options).remove(0).unwrap();
        assert_eq!(undone.len(), expected);
        assert_eq!(kernel_state(&directory), Some('S'));
    }
    let agents = connect(&access, &options);
    agents.all()[0].stop("p").unwrap();
}

#[test]
fn a_second_run_on_the_node_is_refused_by_name() {
    let Some(sshd) = Sshd::start() else { return };
    let directory = sshd.path("agent");
    let first = connect(&sshd.access(), &options(&directory, "store/first"));
    let refused = |result: Result<Agents, Vec<NodeError>>| result.err().unwrap()[0].to_string();
    let error = refused(Agents::connect(&cluster(), &sshd.access(), &options(&directory, "store/second")));
    assert!(error.contains("n1: another run is using this node: store/first from 127.0.0.1"), "{error}");
    let heal = AgentOptions { dead_man: Duration::from_millis(100), ..options(&directory, "heal") };
    let error = agent::heal(&cluster(), &sshd.access(), &heal).remove(0).unwrap_err().to_string();
    assert!(error.contains("store/first"), "{error}");
    assert!(first.all()[0].run(&Command::new(["true"])).is_ok(), "the first goes on");
}

#[test]
fn a_node_that_is_not_there_is_an_error_for_each() {
    let Some(sshd) = Sshd::start() else { return };
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let access = Access::Ssh(SshOptions { port: Some(closed), ..sshd.options() });
    let errors = Agents::connect(&cluster(), &access, &options(&sshd.path("agent"), "a test")).err().unwrap();
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().contains("connection refused; is sshd running there"), "{}", errors[0]);
    let absent = AgentOptions { binary: "/no/such/program".into(), ..options(&sshd.path("agent"), "a test") };
    let errors = Agents::connect(&cluster(), &sshd.access(), &absent).err().unwrap();
    assert!(errors[0].to_string().contains("cannot read the program /no/such/program"), "{}", errors[0]);
}
