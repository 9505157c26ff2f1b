//! `rashomon doctor` on hosts that have what they need, and on hosts that do not.

use super::bed::*;
use super::support::*;
use serde_json::Value;

#[test]
fn each_node_is_looked_over_and_left_as_it_was() {
    let Some(bed) = Bed::new(3) else { return };
    let lab = format!("--lab={}", bed.lab.name);
    let rules = |host: &str| {
        bed.lab.ssh(host, "nft list ruleset; tc qdisc show; ls /var/lib/rashomon | grep -v lock; ps -eo comm= | grep -c sleep; true")
    };
    let output = finish(bed.lab.rashomon(&["doctor", "etcd", &lab]), PATIENCE);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let said = text(&output);
    for words in [
        "login",
        "as root",
        "shared with the control node",
        "fault partition",
        "by nft",
        "fault crash",
        "by the lab",
        "time daemon",
        "database etcd",
        "etcd Version: 3",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let before: Vec<String> = bed.each_host().map(|host| rules(&host)).collect();

    // One host lacks the firewall's tools, another is off.
    remove_programs(&bed, "n2", "/usr/sbin", "nft *tables*");
    bed.lab.run("crash", &["n3"]);
    let output = finish(bed.lab.rashomon(&["doctor", &lab, "--json"]), PATIENCE);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = told["nodes"].as_array().unwrap();
    let finding = |node: usize, topic: &str| {
        let findings = nodes[node]["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["topic"] == topic).unwrap().clone()
    };
    assert_eq!(finding(0, "fault partition")["ok"], true, "{told}");
    let without = finding(1, "fault partition");
    assert!(without["ok"] == false && without["told"].as_str().unwrap().contains("install the package nftables"), "{told}");
    assert_eq!(finding(1, "fault pause")["ok"], true, "{told}");
    assert!(nodes[2]["findings"].is_null() && nodes[2]["error"].is_string(), "{told}");
    bed.lab.run("boot", &["n3"]);
    assert_eq!(rules("n1"), before[0]);
}
