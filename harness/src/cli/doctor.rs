//! `rashomon doctor`: look nodes over before a test.

use super::{Failure, Global, Outcome, options, plan};
use crate::tables;
use crate::ui::console;
use crate::ui::console::{Console, Ink};
use crate::ui::exit;
use clap::Args;
use nemesis::doctor::{self, Finding, Sought};
use nemesis::lab::NAME_DEFAULT;
use nemesis::{AgentOptions, Cluster, NodeError};
use serde_json::json;
use std::fmt::Write;

const EXAMPLES: &str = "\
Examples:
  rashomon doctor --nodes n1,n2,n3
  rashomon doctor etcd --nodes n1,n2,n3        etcd is to be there, too
  rashomon doctor --lab --json
";

/// Look nodes over before a test: what they have, and which faults can be injected there. Faults are tried on nobody's packets and
/// on a process that only sleeps, and undone. Exit code 0 if nothing is missing, 1 if a line begins with ✗.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = super::TEMPLATE)]
pub(super) struct DoctorArgs {
    /// The database that shall be tested
    #[arg(value_name = "SYSTEM")]
    database: Option<String>,
    /// The nodes: names or addresses, separated by commas
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    nodes: Vec<String>,
    /// The hosts of `rashomon lab up`; =NAME names the lab if there are several
    #[arg(long, value_name = "NAME", conflicts_with_all = options::NODES_AND_LOGIN, num_args = 0..=1, require_equals = true, default_missing_value = NAME_DEFAULT)]
    lab: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ssh: options::SshArgs,
}

/// What was found on a node; why it could not be reached.
type Examined = Result<Vec<Finding>, NodeError>;

pub(super) fn run(args: &DoctorArgs, global: Global) -> Outcome {
    if args.nodes.is_empty() && args.lab.is_none() {
        return Err(Failure::usage("which nodes? Name them with --nodes n1,n2,n3, or say --lab for the hosts of `rashomon lab up`"));
    }
    let lab = args.lab.as_deref().map(plan::enter_lab).transpose()?;
    let (cluster, access) = plan::reach(&args.nodes, lab, args.ssh.options()?)?;
    let options = AgentOptions::new("rashomon doctor", plan::this_program()?);
    let kinds = tables::get().systems;
    let sought: Vec<Sought> = kinds
        .iter()
        .filter_map(|kind| {
            let is_wanted = args.database.as_deref() == Some(kind.name());
            Some(Sought { name: kind.name(), command: kind.version_command()?, is_wanted })
        })
        .collect();
    let examined = doctor::examine(&cluster, &access, &options, args.lab.is_some(), &sought);
    if args.json {
        console::print_json(&as_json(&cluster, &examined)?)?;
    } else {
        console::print(&as_table(&cluster, &examined, global.stdout()))?;
    }
    let is_fine = |examined: &Examined| examined.as_ref().is_ok_and(|all| !all.iter().any(Finding::is_missed));
    Ok(if examined.iter().all(is_fine) { exit::VALID } else { exit::INVALID })
}

fn as_json(cluster: &Cluster, examined: &[Examined]) -> anyhow::Result<String> {
    let node = |(node, examined): (&nemesis::Node, &Examined)| {
        json!({
            "node": node.name,
            "error": examined.as_ref().err().map(|error| &error.message),
            "findings": examined.as_ref().ok(),
        })
    };
    let nodes: Vec<_> = cluster.nodes.iter().zip(examined).map(node).collect();
    Ok(serde_json::to_string_pretty(&json!({ "nodes": nodes }))? + "\n")
}

/// A row per topic; nodes of which the same is to be said share it.
fn as_table(cluster: &Cluster, examined: &[Examined], out: Console) -> String {
    let mut text = String::new();
    let mut row = |sign: &str, topic: &str, told: &str, nodes: &[&str]| {
        let who = if nodes.len() == cluster.len() { "all".to_owned() } else { nodes.join(" ") };
        let _ = writeln!(text, "{sign} {topic:<17} {who:<8} {}", out.fit(told));
    };
    let (fine, missed) = (out.ink(Ink::Green, out.fit("✓")), out.ink(Ink::Red, out.fit("✗")));
    for (node, error) in cluster.nodes.iter().zip(examined).filter_map(|(node, examined)| Some((node, examined.as_ref().err()?))) {
        row(&missed, "ssh", &error.message, &[&node.name]);
    }
    let mut topics: Vec<&str> = Vec::new();
    for finding in examined.iter().flatten().flatten() {
        if !topics.contains(&finding.topic.as_str()) {
            topics.push(&finding.topic);
        }
    }
    for topic in topics {
        let mut groups: Vec<(&Finding, Vec<&str>)> = Vec::new();
        for (node, findings) in cluster.nodes.iter().zip(examined).filter_map(|(node, examined)| Some((node, examined.as_ref().ok()?))) {
            for finding in findings.iter().filter(|finding| finding.topic == topic) {
                match groups.iter_mut().find(|(of, _)| *of == finding) {
                    Some((_, nodes)) => nodes.push(&node.name),
                    None => groups.push((finding, vec![&node.name])),
                }
            }
        }
        for (finding, nodes) in groups {
            // What is not there and does not matter has no sign.
            let sign = match (finding.ok, finding.is_missed()) {
                (true, _) => &*fine,
                (false, true) => &*missed,
                (false, false) => " ",
            };
            row(sign, topic, &finding.told, &nodes);
        }
    }
    text
}
