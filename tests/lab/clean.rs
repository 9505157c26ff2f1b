//! Nodes are as they were before a run; and where they are not, it is seen.

use super::bed::*;
use super::support::*;
use std::process::Output;

/// Rules and a qdisc of somebody else, beside those that a run makes.
const FOREIGN: &str = "nft add table inet foreign && nft add chain inet foreign in '{ type filter hook input priority 0; policy accept; }' && \
                       nft add rule inet foreign in tcp dport 9 counter drop && \
                       iptables -A OUTPUT -p tcp --dport 9 -j DROP && ip6tables -A INPUT -p tcp --dport 9 -j DROP && \
                       tc qdisc add dev eth0 root handle 77: tbf rate 1gbit burst 1mb latency 100ms";

fn verify(bed: &Bed, args: &[&str]) -> Output {
    let run = bed.run_folder().to_string_lossy().into_owned();
    let mut all = vec!["verify-clean", &run];
    all.extend(args);
    finish(bed.lab.rashomon(&all), PATIENCE)
}

#[test]
fn foreign_rules_and_qdiscs_survive_and_every_change_is_seen() {
    let Some(bed) = Bed::new(3) else { return };
    for host in bed.each_host() {
        bed.lab.ssh(&host, FOREIGN);
    }
    let output = finish(bed.test(&["--nemesis", "partition,packet,pause,clock", "--time-limit", "10s", "--seed", "7"]), RUN_PATIENCE);
    bed.assert_valid(&output);
    assert!(text(&output).contains("3 nodes as before: firewall"), "{}", text(&output));
    for fault in ["partition", "packet", "pause", "clock"] {
        assert!(observed(&bed.results(), fault) > 0, "{fault}: {}", bed.results()["coverage"]);
    }
    let output = verify(&bed, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(text(&output).matches(": clean").count(), 3, "{}", text(&output));
    let output = verify(&bed, &["--footprint"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for words in ["nft table inet rashomon", "etcd --name n2", "/var/lib/rashomon/journal", "the vDSO of the processes of etcd"] {
        assert!(text(&output).contains(words), "{words}: {}", text(&output));
    }

    // Each thing that could be left, or be damaged, on one node.
    for (spoil, undo, words) in [
        ("nft add table inet rashomon-old", "nft delete table inet rashomon-old", "firewall (nft): new: table inet rashomon-old"),
        ("iptables -N RASHOMON", "iptables -X RASHOMON", "RASHOMON"),
        ("nft delete table inet foreign", "true", "firewall (nft): gone: table inet foreign"),
        (
            "tc qdisc del dev eth0 root",
            "tc qdisc add dev eth0 root handle 77: tbf rate 1gbit burst 1mb latency 100ms",
            "qdiscs: gone: qdisc tbf 77:",
        ),
        ("mount -t tmpfs none /mnt", "umount /mnt", "mounts: new: /mnt"),
        ("echo x > /var/lib/rashomon/left", "rm /var/lib/rashomon/left", "files: new: left: 2 bytes"),
        (
            "setsid sleep 4321 </dev/null >/dev/null 2>&1 & sleep 0.5; kill -STOP $!",
            "pkill -KILL -x sleep",
            "processes: new: stopped: sleep",
        ),
        (
            "{ cd /var/lib/rashomon && exec setsid sleep 4322; } </dev/null >/dev/null 2>&1 &",
            "pkill -KILL -x sleep",
            "processes: new: sleep 4322",
        ),
    ] {
        bed.lab.ssh("n2", spoil);
        let output = verify(&bed, &[&format!("--lab={}", bed.lab.name)]);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{spoil}: {said}");
        assert!(said.contains(words) && said.contains("n2: ") && said.contains("n1: clean"), "{spoil}: {said}");
        bed.lab.ssh("n2", undo);
    }
}

#[test]
fn what_a_killed_run_leaves_is_seen_and_torn_down() {
    let Some(bed) = Bed::new(3) else { return };
    let harness = Background::start(bed.test(&["--nemesis", "none", "--time-limit", "5m"]));
    eventually("ops are recorded", RUN_PATIENCE, || bed.history().contains("\"type\":\"ok\""));
    signal(harness.pid(), "KILL");
    drop(harness);
    // Its agents go when they find that nobody is there any more.
    let output = verify(&bed, &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for words in ["processes: new: etcd --name n3", "files: new: etcd", "heal --teardown"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let output = verify(&bed, &["--footprint"]);
    assert!(text(&output).contains("etcd --name n2"), "{}", text(&output));
    let output = finish(bed.lab.rashomon(&["heal", "--teardown", &format!("--lab={}", bed.lab.name)]), PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let output = verify(&bed, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    bed.assert_clean();
}
