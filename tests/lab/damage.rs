//! Files of a program that only looks at them: damaged, seen by others, and put back by whoever is left to do so.

use crate::agent::Agent;
use crate::bed::Bed;
use crate::support::*;
use nemesis::agent::damage::{Harm, Plan};
use nemesis::agent::protocol::{Reply, Request};
use nemesis::{DataDisk, Own, Program};

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
        let plan = Plan { directory: "data".into(), suffix: ".log".into(), harm, seed: 5, stripe: None };
        let Reply::Changes(changes) = agent.ask(Request::PlanDamage { name: "p".into(), plan }) else { panic!("no plan") };
        assert!(!runs() && hashes() == before, "{harm:?}: changed by planning");
        agent.ask(Request::Damage { name: "p".into(), changes });
        assert!(runs() && hashes() != before, "{harm:?}: not damaged");
        if killed {
            bed.lab.ssh("n1", "pkill -KILL -f '[r]ashomon agent --run' ; true");
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
