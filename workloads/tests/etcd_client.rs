//! The etcd client against real etcd servers on loopback: what each op answers, and how it is classified when the server is
//! down, stopped, killed with an op in flight, or without a quorum.
//!
//! Needs an `etcd` in the `PATH`. Without one these tests say that they did not run; with `RASHOMON_REQUIRE=etcd` they fail.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // A test stops at the first surprise, and says when it did not run.

use futures_util::FutureExt;
use histories::Value;
use rashomon_workloads::systems::etcd::{Consistency, EtcdClient};
use rashomon_workloads::{Client, Completion, Invocation};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Whether what a test needs is there. Says loudly if not, and fails if the environment says that it must be.
fn have_etcd(test: &str) -> bool {
    let there = Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !there {
        let required = std::env::var("RASHOMON_REQUIRE").is_ok_and(|all| all.split(',').any(|one| one.trim() == "etcd"));
        assert!(!required, "{test} needs etcd (Debian: apt-get install etcd-server), and RASHOMON_REQUIRE asks for it");
        eprintln!("NOT RUN: {test}: there is no `etcd` in the PATH (Debian: apt-get install etcd-server)");
    }
    there
}

struct Server {
    name: String,
    client: u16,
    peer: u16,
    cluster: String,
    data: TempDir,
    child: Option<Child>,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// The servers of a new cluster, not yet started.
    fn cluster(size: usize) -> Vec<Server> {
        let peers: Vec<u16> = (0..size).map(|_| free_port()).collect();
        let names: Vec<String> = peers.iter().enumerate().map(|(i, port)| format!("n{i}=http://127.0.0.1:{port}")).collect();
        let cluster = names.join(",");
        let server = |(i, &peer): (usize, &u16)| Server {
            name: format!("n{i}"),
            client: free_port(),
            peer,
            cluster: cluster.clone(),
            data: tempfile::tempdir().unwrap(),
            child: None,
        };
        peers.iter().enumerate().map(server).collect()
    }

    /// One server, which answers.
    fn single() -> Server {
        let mut server = Server::cluster(1).pop().unwrap();
        server.start();
        server.await_ready();
        server
    }

    fn start(&mut self) {
        let client = format!("http://127.0.0.1:{}", self.client);
        let peer = format!("http://127.0.0.1:{}", self.peer);
        let log = std::fs::File::create(self.data.path().join("log")).unwrap();
        let child = Command::new("etcd")
            .args(["--name", &self.name, "--data-dir"])
            .arg(self.data.path().join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &self.cluster, "--initial-cluster-state", "new"])
            .args(["--heartbeat-interval", "20", "--election-timeout", "200", "--logger", "zap", "--log-outputs", "stderr"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    fn await_ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        let op = Invocation { f: "read", value: Value::pair(0, Value::Nil) };
        while !matches!(within(5_000, self.client(Consistency::Linearizable).as_mut(), &op), Some(Completion::Ok(_))) {
            let log = || std::fs::read_to_string(self.data.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "etcd does not answer: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn client(&self, read: Consistency) -> Box<dyn Client> {
        self.client_that_tells(read, false)
    }

    fn client_that_tells(&self, read: Consistency, revisions: bool) -> Box<dyn Client> {
        let mut client = EtcdClient::new([127, 0, 0, 1].into(), self.client, read, revisions);
        client.open().now_or_never().unwrap().unwrap();
        Box::new(client)
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Stops it, and waits until the last of its threads has stopped: until then it may answer.
    fn pause(&self) {
        self.signal("-STOP");
        let tasks = format!("/proc/{}/task", self.child.as_ref().unwrap().id());
        let deadline = Instant::now() + Duration::from_secs(10);
        let stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // "pid (name) state ..."
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        while !std::fs::read_dir(&tasks).unwrap().all(|task| stopped(task.unwrap())) {
            assert!(Instant::now() < deadline, "etcd does not stop");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// What an op answers within this time; afterwards its future is dropped, as the interpreter does at the op's deadline.
fn within(ms: u64, client: &mut dyn Client, op: &Invocation) -> Option<Completion> {
    runtime().block_on(async { tokio::time::timeout(Duration::from_millis(ms), client.invoke(op)).await.ok() })
}

fn ask(server: &Server, f: &'static str, value: Value) -> Completion {
    let mut client = server.client(Consistency::Linearizable);
    within(20_000, client.as_mut(), &Invocation { f, value }).expect("an answer within 20 s")
}

fn read(server: &Server, key: i64) -> Completion {
    ask(server, "read", Value::pair(key, Value::Nil))
}

fn write(server: &Server, key: i64, value: i64) -> Completion {
    ask(server, "write", Value::pair(key, value))
}

fn cas(server: &Server, key: i64, old: i64, new: i64) -> Completion {
    ask(server, "cas", Value::pair(key, Value::pair(old, new)))
}

fn kind(completion: &Completion) -> (&'static str, &'static str) {
    match completion {
        Completion::Ok(_) => ("ok", ""),
        Completion::Fail(error) => ("fail", error.kind),
        Completion::Info(error) => ("info", error.kind),
    }
}

#[test]
fn read_write_and_cas_mean_what_they_say() {
    if !have_etcd("read_write_and_cas_mean_what_they_say") {
        return;
    }
    let server = Server::single();
    assert_eq!(read(&server, 1), Completion::Ok(Value::pair(1, Value::Nil)), "a key that is missing");
    assert_eq!(kind(&cas(&server, 1, 0, 5)), ("fail", "mismatch"), "a missing key compares with nothing");
    assert_eq!(write(&server, 1, 7), Completion::Ok(Value::pair(1, 7)));
    assert_eq!(read(&server, 1), Completion::Ok(Value::pair(1, 7)));
    assert_eq!(cas(&server, 1, 7, -8), Completion::Ok(Value::pair(1, Value::pair(7, -8))));
    assert_eq!(kind(&cas(&server, 1, 7, 9)), ("fail", "mismatch"));
    assert_eq!(read(&server, 1), Completion::Ok(Value::pair(1, -8)), "the failed cas changed nothing");
    assert_eq!(read(&server, 10), Completion::Ok(Value::pair(10, Value::Nil)), "keys are independent");
    let mut serializable = server.client(Consistency::Serializable);
    let op = Invocation { f: "read", value: Value::pair(1, Value::Nil) };
    assert_eq!(within(5_000, serializable.as_mut(), &op), Some(Completion::Ok(Value::pair(1, -8))));
}

#[test]
fn results_carry_the_revisions_of_the_store() {
    if !have_etcd("results_carry_the_revisions_of_the_store") {
        return;
    }
    let server = Server::single();
    let mut client = server.client_that_tells(Consistency::Linearizable, true);
    let runtime = runtime();
    let mut ask = |f, key: i64, value: Value| {
        let op = Invocation { f, value: Value::pair(key, value) };
        runtime.block_on(async { client.invoke(&op).await })
    };
    let told = |key: i64, value: Value, revision: i64| Completion::Ok(Value::pair(key, Value::pair(value, revision)));
    // A new store is at revision 1.
    assert_eq!(ask("read", 1, Value::Nil), Completion::Ok(Value::pair(1, Value::Nil)), "what is missing has no revision");
    assert_eq!(ask("write", 1, Value::Int(7)), told(1, Value::Int(7), 2));
    assert_eq!(ask("write", 2, Value::Int(8)), told(2, Value::Int(8), 3), "the revision is the store's");
    assert_eq!(ask("read", 1, Value::Nil), told(1, Value::Int(7), 2), "a read tells the revision of the last change of its key");
    assert_eq!(ask("cas", 1, Value::pair(7, 9)), told(1, Value::pair(7, 9), 4));
    assert_eq!(kind(&ask("cas", 1, Value::pair(7, 9))), ("fail", "mismatch"));
    assert_eq!(ask("read", 1, Value::Nil), told(1, Value::Int(9), 4), "a cas that failed is no change");
}

#[test]
fn a_server_that_is_down_refuses_and_nothing_was_sent() {
    if !have_etcd("a_server_that_is_down_refuses_and_nothing_was_sent") {
        return;
    }
    let mut server = Server::single();
    assert_eq!(kind(&write(&server, 1, 1)).0, "ok");
    server.kill();
    for completion in [write(&server, 1, 2), cas(&server, 1, 1, 2), read(&server, 1)] {
        assert_eq!(kind(&completion), ("fail", "connection-refused"));
    }
    server.start();
    server.await_ready();
    assert_eq!(read(&server, 1), Completion::Ok(Value::pair(1, 1)));
}

#[test]
fn a_server_killed_with_ops_in_flight_leaves_writes_open() {
    if !have_etcd("a_server_killed_with_ops_in_flight_leaves_writes_open") {
        return;
    }
    let mut server = Server::single();
    let mut clients: Vec<Box<dyn Client>> = (0..3).map(|_| server.client(Consistency::Linearizable)).collect();
    let ops = [
        Invocation { f: "write", value: Value::pair(1, 1) },
        Invocation { f: "cas", value: Value::pair(1, Value::pair(1, 2)) },
        Invocation { f: "read", value: Value::pair(1, Value::Nil) },
    ];
    // Connections that have been used before, as in a run.
    let warm = Invocation { f: "read", value: Value::pair(9, Value::Nil) };
    let completions = runtime().block_on(async {
        for client in &mut clients {
            assert_eq!(kind(&client.invoke(&warm).await).0, "ok");
        }
        server.pause();
        let asked = clients.iter_mut().zip(&ops).map(|(client, op)| client.invoke(op));
        let (completions, ()) = tokio::join!(futures_util::future::join_all(asked), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.kill();
        });
        completions
    });
    assert_eq!(completions.iter().map(|c| kind(c).0).collect::<Vec<_>>(), ["info", "info", "fail"], "{completions:?}");
}

#[test]
fn a_paused_server_answers_nobody_until_it_goes_on() {
    if !have_etcd("a_paused_server_answers_nobody_until_it_goes_on") {
        return;
    }
    let server = Server::single();
    let mut client = server.client(Consistency::Linearizable);
    server.pause();
    let op = Invocation { f: "write", value: Value::pair(1, 1) };
    assert_eq!(within(500, client.as_mut(), &op), None, "the client has no deadline of its own");
    server.signal("-CONT");
    // The request had been sent when its future was dropped: it may take effect, or not, and the server serves others.
    assert_eq!(kind(&write(&server, 2, 5)).0, "ok");
    let later = read(&server, 1);
    assert!([Value::Nil, Value::Int(1)].map(|v| Completion::Ok(Value::pair(1, v))).contains(&later), "{later:?}");
}

#[test]
fn a_connection_that_the_server_closed_meanwhile_does_not_mislead() {
    if !have_etcd("a_connection_that_the_server_closed_meanwhile_does_not_mislead") {
        return;
    }
    let mut server = Server::single();
    let mut client = server.client(Consistency::Linearizable);
    let runtime = runtime();
    let mut ask = |f, value| runtime.block_on(async { client.invoke(&Invocation { f, value }).await });
    assert_eq!(kind(&ask("write", Value::pair(1, 0))).0, "ok");
    for round in 1..=3 {
        server.kill();
        server.start();
        server.await_ready();
        let before = read(&server, 1);
        let written = ask("write", Value::pair(1, round));
        let after = read(&server, 1);
        match kind(&written).0 {
            "ok" => assert_eq!(after, Completion::Ok(Value::pair(1, round))),
            "fail" => assert_eq!(after, before, "{written:?}"),
            _ => {}
        }
    }
}

#[test]
fn without_a_quorum_writes_stay_open_and_only_serializable_reads_answer() {
    if !have_etcd("without_a_quorum_writes_stay_open_and_only_serializable_reads_answer") {
        return;
    }
    let mut servers = Server::cluster(2);
    servers.iter_mut().for_each(Server::start);
    servers.iter().for_each(Server::await_ready);
    assert_eq!(kind(&write(&servers[0], 1, 1)).0, "ok");
    assert_eq!(read(&servers[1], 1), Completion::Ok(Value::pair(1, 1)));
    servers[1].kill();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write(&servers[0], 1, 2));
        let reader = scope.spawn(|| read(&servers[0], 1));
        let written = writer.join().unwrap();
        assert!(matches!(kind(&written), ("info", "etcd-timeout" | "unavailable")), "{written:?}");
        let failed = reader.join().unwrap();
        assert_eq!(kind(&failed).0, "fail", "{failed:?}");
    });
    let mut serializable = servers[0].client(Consistency::Serializable);
    let op = Invocation { f: "read", value: Value::pair(1, Value::Nil) };
    assert_eq!(within(5_000, serializable.as_mut(), &op), Some(Completion::Ok(Value::pair(1, 1))));
}
