//! Files of a program that only looks at them: damaged, seen by others, and put back by whoever is left to do so.

use super::agent::Agent;
use super::bed::{Bed, report};
use super::support::*;
use nemesis::agent::protocol::damage::{Harm, Plan};
use nemesis::agent::protocol::disk::DiskHarm;
use nemesis::agent::protocol::{Reply, Request};
use nemesis::{DataDisk, Own, Program};
use std::time::Instant;

const HOME: &str = "/var/lib/rashomon";

fn sleeper() -> Program {
    let disk = Some(DataDisk { at: "data".into(), bytes: 32 << 20 });
    let argv = ["sleep", "600"].map(String::from).to_vec();
    Program { name: "p".into(), argv, env: Vec::new(), dir: None, log: "p.log".into(), own: Own { disk, ..Own::default() } }
}

#[test]
fn damaged_files_are_put_back_by_the_agent_or_by_heal() {
    let Some(bed) = Bed::new(1) else { return };
    let hashes = || bed.lab.ssh("n1", &format!("cat {HOME}/data/*.log | sha256sum; stat -c %s {HOME}/data/*.log"));
    let runs = || bed.lab.ssh("n1", "pgrep -xc sleep; true").trim() == "1";
    let mut agent = Agent::start(&bed, "n1", HOME);
    agent.ask(Request::Start(sleeper()));
    bed.lab.ssh("n1", &format!("head -c 300000 /dev/urandom > {HOME}/data/1.log; seq 50000 > {HOME}/data/2.log; sync"));
    let before = hashes();
    let harms = [Harm::Bitflip { per_billion: 1_000_000 }, Harm::Copy { per_billion: 50_000_000 }, Harm::Truncate { bytes_max: 60_000 }];
    for (harm, killed) in harms.into_iter().flat_map(|harm| [(harm, false), (harm, true)]) {
        let plan = Plan { directory: "data".into(), suffix: ".log".into(), harm, seed: 5, stripe: None, pieces: None };
        let Reply::Changes(changes) = agent.ask(Request::PlanDamage { name: "p".into(), plan }) else { panic!("no plan") };
        assert!(!runs() && hashes() == before, "{harm:?}: changed by planning");
        agent.ask(Request::Damage { name: "p".into(), changes });
        assert!(runs() && hashes() != before, "{harm:?}: not damaged");
        if killed {
            bed.lab.ssh("n1", "pkill -KILL -f '[r]ashomon.* agent --run'; true");
            drop(agent);
            assert!(hashes() != before, "{harm:?}: nobody was left to put it back");
            let output = finish(bed.lab.rashomon(&["heal", &format!("--lab={}", bed.lab.name)]), PATIENCE);
            assert!(output.status.success() && text(&output).contains("files of p were damaged"), "{}", text(&output));
            agent = Agent::start(&bed, "n1", HOME);
        } else {
            agent.ask(Request::Repair { name: "p".into() });
        }
        assert!(runs() && hashes() == before, "{harm:?}: not as before");
    }
    agent.ask(Request::Stop { name: "p".into() });
    agent.ask(Request::RemoveTree { path: "data".into() });
    assert_eq!(bed.lab.ssh("n1", &format!("ls {HOME}/data; grep ' {HOME}' /proc/mounts; cat {HOME}/journal; true")), "");
}

/// How often an agent is killed while it cuts the power.
const CUTS: u32 = 8;
const ROUNDS_MAX: u32 = 8;

#[test]
fn a_power_loss_whose_agent_is_killed_half_way_is_undone() {
    let Some(bed) = Bed::new(1) else { return };
    let mut agent = Agent::start(&bed, "n1", HOME);
    agent.ask(Request::Start(sleeper()));
    // How long it takes; the moments at which it is interrupted are spread over this time and a little more.
    let began = Instant::now();
    agent.ask(Request::HurtDisk { name: "p".into(), harm: DiskHarm::PowerLoss });
    let takes = began.elapsed();
    agent.ask(Request::HealDisk { name: "p".into() });
    let (mut interrupted, mut cut) = (0, 0);
    let cuts = times(CUTS);
    // On a busy machine a whole round may come too late.
    while cut < cuts || interrupted == 0 && cut < ROUNDS_MAX * cuts {
        let after = takes * (cut % cuts) / (cuts - 1);
        let pid = agent.pid();
        agent.say(Request::HurtDisk { name: "p".into(), harm: DiskHarm::PowerLoss });
        std::thread::sleep(after);
        interrupted += u32::from(!agent.kill(pid));
        let output = finish(bed.lab.rashomon(&["heal", &format!("--lab={}", bed.lab.name)]), PATIENCE);
        assert!(output.status.success(), "cut {cut}: {}", text(&output));
        let look = format!(
            "cat {HOME}/journal; pgrep -xc sleep; ps -eo stat=,comm= | grep ^T; echo x > {HOME}/data/x && sync {HOME}/data/x && grep -c ' {HOME}/data ' /proc/mounts"
        );
        assert_eq!(bed.lab.ssh("n1", &look), "1\n1\n", "cut {cut} after {after:?}");
        agent = Agent::start(&bed, "n1", HOME);
        cut += 1;
    }
    report(&format!("a power loss takes {takes:?}; {interrupted} of {cut} were interrupted"));
    assert!(interrupted > 0, "none was interrupted");
    agent.ask(Request::Stop { name: "p".into() });
    agent.ask(Request::RemoveTree { path: "data".into() });
}
