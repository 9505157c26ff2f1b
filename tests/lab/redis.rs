//! Power loss against a real Redis: what it acknowledged and had not synced is lost, and what it had synced is not.
//!
//! A small workload of its own: one client adds numbers to a set, one after the other, and writes down what was acknowledged. The
//! agent works on the host as in every test, and is told what to do over the channel that it always has.

use super::agent::Agent;
use super::bed::*;
use super::support::*;
use nemesis::agent::protocol::Request;
use nemesis::agent::protocol::disk::DiskHarm;
use nemesis::{DataDisk, Own, Program};
use std::path::Path;
use std::time::Duration;

/// How often the power is cut to see something lost: Redis syncs once a second, and may just have done so.
const TRIES: usize = 5;

/// Where the agent works on the host.
const HOME: &str = "/var/lib/rashomon-redis";

fn redis(appendfsync: &str) -> Program {
    let flags = ["--port", "7777", "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", appendfsync];
    let mut argv = vec!["redis-server".to_owned(), "--dir".into(), format!("{HOME}/data")];
    argv.extend(flags.map(String::from));
    let disk = Some(DataDisk { at: "data".into(), bytes: 64 << 20 });
    Program { name: "redis".into(), argv, env: Vec::new(), dir: None, log: "redis.log".into(), own: Own { disk, ..Own::default() } }
}

/// Cuts the power under a Redis while numbers are added to a set; how many additions were acknowledged, and how many are lost.
fn lost(bed: &Bed, agent: &mut Agent, appendfsync: &str) -> (usize, usize) {
    let ask = |script: &str| bed.lab.ssh("n1", script).trim().to_owned();
    let number = |script: &str| ask(script).parse::<usize>().unwrap_or(0);
    let answers = || ask("redis-cli -p 7777 ping 2>&1; true") == "PONG";
    agent.ask(Request::Start(redis(appendfsync)));
    eventually("Redis answers", PATIENCE, answers);
    // One addition at a time, each answer written down before the next is sent.
    ask("rm -f /root/acked; \
         setsid sh -c 'seq -f \"SADD s %.0f\" 1 10000000 | stdbuf -oL redis-cli -p 7777 >/root/acked 2>/dev/null' \
         </dev/null >/dev/null 2>&1 &");
    eventually("additions are acknowledged", PATIENCE, || number("grep -cx 1 /root/acked; true") > 500);
    std::thread::sleep(Duration::from_millis(1300));
    agent.ask(Request::HurtDisk { name: "redis".into(), harm: DiskHarm::PowerLoss });
    // The client must not go on when the server is back.
    ask("pkill -KILL -x seq; pkill -KILL -x redis-cli; true");
    let acked = number("grep -cx 1 /root/acked; true");
    agent.ask(Request::HealDisk { name: "redis".into() });
    eventually("Redis answers again", PATIENCE, answers);
    let kept = number("redis-cli -p 7777 scard s");
    agent.ask(Request::Stop { name: "redis".into() });
    for path in ["data", "data.image"] {
        agent.ask(Request::RemoveTree { path: path.into() });
    }
    (acked, acked.saturating_sub(kept))
}

#[test]
fn redis_loses_what_it_did_not_sync_and_nothing_else() {
    if !Path::new("/usr/bin/redis-server").exists() {
        assert!(!is_required("redis"), "redis-server is not installed, but RASHOMON_REQUIRE asks for it");
        report("NOT RUN: redis_loses_what_it_did_not_sync_and_nothing_else: not installed: redis-server");
        return;
    }
    let Some(bed) = Bed::new(1) else { return };
    let mut agent = Agent::start(&bed, "n1", HOME);
    for _ in 0..2 {
        let (acked, lost) = lost(&bed, &mut agent, "always");
        report(&format!("Redis, appendfsync always: {lost} of {acked} acknowledged additions lost"));
        assert!(acked > 500 && lost == 0, "{lost} of {acked} lost although each was synced");
    }
    let found = (0..TRIES).any(|_| {
        let (acked, lost) = lost(&bed, &mut agent, "everysec");
        report(&format!("Redis, appendfsync everysec: {lost} of {acked} acknowledged additions lost"));
        lost > 0
    });
    assert!(found, "nothing was lost in {TRIES} cuts of the power");
    agent.ask(Request::Heal);
    drop(agent);
    assert_eq!(
        bed.lab.ssh("n1", &format!("ls {HOME}; grep {HOME} /proc/mounts; true")),
        "footprint\njournal\nlock\nlock.holder\nprocesses\nredis.log\n"
    );
}
