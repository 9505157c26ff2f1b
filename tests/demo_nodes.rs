//! The demo's nodes as separate processes of the real binary: what they keep through `kill -9`, how their links are cut, who
//! leads.
#![allow(clippy::unwrap_used)] // A test.

use histories::Value;
use nemesis::{Node, ProcessState};
use std::path::Path;
use std::time::{Duration, Instant};
use workloads::systems::demo::{Demo, DemoOptions, Replication};
use workloads::{Completion, Invocation, System};

const RASHOMON: &str = env!("CARGO_BIN_EXE_rashomon");

/// A running cluster of so many nodes in a directory of its own.
fn running(nodes: usize, replication: Replication, dir: &Path) -> Demo {
    let options = DemoOptions { nodes, replication, dir: dir.into(), seed: 1, binary: RASHOMON.into() };
    let demo = Demo::new(options).unwrap();
    let database = demo.database();
    demo.cluster().on_all(|node| database.teardown(node)).unwrap();
    demo.cluster().on_all(|node| database.setup(demo.cluster(), node)).unwrap();
    database.await_ready(demo.cluster(), Duration::from_secs(30)).unwrap();
    demo
}

/// Writes 1, 2, 3, ... to a key through one node until the deadline. Returns the last value that was acknowledged.
async fn write_on(demo: &Demo, node: &Node, key: i64, deadline: Instant) -> i64 {
    let mut client = demo.client(node);
    let mut acknowledged = 0;
    for value in 1.. {
        if Instant::now() >= deadline {
            break;
        }
        let completion = client.invoke(&Invocation { f: "write", value: Value::pair(key, value) }).await;
        if matches!(completion, Completion::Ok(_)) {
            acknowledged = value;
        } else {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    acknowledged
}

/// Reads a key through one node until that works.
async fn read(demo: &Demo, node: &Node, key: i64) -> Option<i64> {
    let mut client = demo.client(node);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match client.invoke(&Invocation { f: "read", value: Value::pair(key, Value::Nil) }).await {
            Completion::Ok(value) => return value.elements().unwrap()[1].as_int(),
            other => assert!(Instant::now() < deadline, "{} answers {other:?}", node.name),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Kills all nodes at once in the middle of their appends, again and again. Each key has one writer, so every node must answer
/// a value at least as new as the last one acknowledged.
#[test]
fn what_was_acknowledged_survives_kill_9_of_all_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let demo = running(3, Replication::Quorum, dir.path());
    let database = demo.database();
    let deadline = Instant::now() + Duration::from_secs(3);
    let acknowledged: Vec<i64> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while Instant::now() + Duration::from_millis(500) < deadline {
                std::thread::sleep(Duration::from_millis(300));
                demo.cluster().on_all(|node| database.kill(node)).unwrap();
                demo.cluster().on_all(|node| database.start(node)).unwrap();
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let writers = demo.cluster().nodes.iter().map(|node| write_on(&demo, node, node.index as i64, deadline));
        runtime.block_on(futures_util::future::join_all(writers))
    });
    assert!(acknowledged.iter().all(|&last| last > 10), "{acknowledged:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (key, &last) in acknowledged.iter().enumerate() {
        for node in demo.cluster().nodes.iter() {
            let value = runtime.block_on(read(&demo, node, key as i64));
            assert!(value >= Some(last), "key {key} on {}: {value:?} after {last} was acknowledged", node.name);
        }
    }
    demo.cluster().on_all(|node| database.teardown(node)).unwrap();
    assert!(!dir.path().join("n1/data").exists() && dir.path().join("n1/node.log").exists());
}

#[test]
fn links_are_cut_one_way_and_stay_cut_while_a_node_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let demo = running(3, Replication::Quorum, dir.path());
    let (database, network) = (demo.database(), demo.network());
    let [n1, n2, n3] = &*demo.cluster().nodes else { panic!("three nodes") };
    for (from, to) in [(n1, n2), (n2, n1), (n3, n2)] {
        assert!(network.probe(from, to).unwrap(), "{} to {}", from.name, to.name);
    }
    network.drop_from(n2, &[n1]).unwrap();
    assert!(!network.probe(n1, n2).unwrap());
    assert!(network.probe(n2, n1).unwrap());
    assert!(network.probe(n3, n2).unwrap());
    database.kill(n2).unwrap();
    assert!(network.probe(n1, n2).unwrap_err().message.starts_with("down"));
    network.drop_from(n2, &[n3]).unwrap();
    database.start(n2).unwrap();
    assert!(network.probe(n1, n2).unwrap());
    assert!(!network.probe(n3, n2).unwrap());
    network.drop_from(n2, &[]).unwrap();
    assert!(network.probe(n3, n2).unwrap());
    database.pause(n2).unwrap();
    assert_eq!(database.state(n2).unwrap(), ProcessState::Paused);
    assert!(network.probe(n1, n2).unwrap_err().message.starts_with("paused"));
    database.resume(n2).unwrap();
    assert!(network.probe(n1, n2).unwrap());
}

#[test]
fn only_the_primary_of_async_primary_leads() {
    let dir = tempfile::tempdir().unwrap();
    let demo = running(3, Replication::AsyncPrimary, dir.path());
    assert_eq!(demo.database().primaries(demo.cluster()), [0]);
    demo.database().kill(&demo.cluster().nodes[0]).unwrap();
    assert_eq!(demo.database().primaries(demo.cluster()), [0_usize; 0]);
}
