//! `rashomon verify-clean`: whether a run left its nodes as it found them.

use super::{Failure, Global, Outcome, options, plan, replay};
use crate::run::Footprints;
use crate::runner::clean;
use crate::store::RunDir;
use crate::ui::console;
use crate::ui::console::{Console, Ink};
use crate::ui::exit;
use clap::Args;
use nemesis::lab::NAME_DEFAULT;
use nemesis::{Access, AgentOptions, Agents, Cluster};
use std::fmt::Write;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  rashomon verify-clean store/latest
  rashomon verify-clean store/latest --footprint    what the run touched, node by node
";

/// Compare nodes with what they were like before a run: firewall, qdiscs, clock, time daemon, processes, mounts, files. Exit
/// code 0 if they are alike, 1 if not, 255 if they cannot be looked at.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = super::TEMPLATE)]
pub(super) struct VerifyCleanArgs {
    /// The run's directory
    #[arg(value_name = "RUN_DIR")]
    run: PathBuf,
    /// List everything that the run touched on each node, and compare nothing
    #[arg(long)]
    footprint: bool,
    /// The nodes, if they are reached otherwise than the run did: names or addresses, separated by commas
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    nodes: Vec<String>,
    /// The hosts of `rashomon lab up`; =NAME names the lab if there are several
    #[arg(long, value_name = "NAME", conflicts_with_all = options::NODES_AND_LOGIN, num_args = 0..=1, require_equals = true, default_missing_value = NAME_DEFAULT)]
    lab: Option<String>,
    #[command(flatten)]
    ssh: options::SshArgs,
}

pub(super) fn run(args: &VerifyCleanArgs, global: Global) -> Outcome {
    let dir = RunDir::open(&args.run)?;
    let out = global.stdout();
    if args.footprint
        && let Some(footprints) = dir.read_footprints()?
    {
        return show(&footprints, out);
    }
    let (cluster, access) = nodes(args, &dir)?;
    let options = AgentOptions::new("rashomon verify-clean", plan::this_program()?);
    let agents = Agents::connect(&cluster, &access, &options).map_err(|errors| plan::all(&errors))?;
    // Nobody lived to fetch it when the run ended.
    let outcome =
        if args.footprint { show(&clean::keep_footprints(&cluster, &agents, &dir)?, out) } else { compare(&cluster, &agents, &dir, out) };
    agents.close();
    outcome
}

/// The nodes as the command line says, or else as the run's own did.
fn nodes(args: &VerifyCleanArgs, dir: &RunDir) -> Result<(Cluster, Access), Failure> {
    if !args.nodes.is_empty() || args.lab.is_some() {
        let lab = args.lab.as_deref().map(plan::enter_lab).transpose()?;
        return plan::reach(&args.nodes, lab, args.ssh.options()?);
    }
    if dir.read_before().is_err() {
        let why = "the run has no picture of its nodes from before: it ended too early, or its nodes are processes of this machine";
        return Err(Failure::error(why));
    }
    let recorded = replay::test_of(&dir.read_test()?.command)?.args;
    let lab = recorded.lab.as_deref().map(plan::enter_lab).transpose()?;
    let ssh = if args.ssh.given().is_some() { &args.ssh } else { &recorded.ssh };
    plan::reach(&recorded.nodes, lab, ssh.options()?)
}

/// Says of each node what is not as it was.
fn compare(cluster: &Cluster, agents: &Agents, dir: &RunDir, out: Console) -> Outcome {
    let before = dir.read_before()?;
    let (mut text, mut code) = (String::new(), exit::VALID);
    let mut say = |ok: bool, words: &str| {
        let (sign, ink) = if ok { ("✓", Ink::Green) } else { ("✗", Ink::Red) };
        let _ = writeln!(text, "{} {}", out.ink(ink, out.fit(sign)), out.fit(words));
    };
    for (node, looked) in cluster.nodes.iter().zip(clean::compare(cluster, agents, &before)) {
        // Whoever comes first undoes what a killed agent left: it was not clean, and is now.
        let undone = agents.of(node).about().undone;
        for one in &undone {
            let how = one.error.as_ref().map_or("undone now".to_owned(), |error| format!("not undone: {error}"));
            say(false, &format!("{}: a fault was still active: {} ({how})", node.name, one.what));
            code = exit::worse(code, exit::INVALID);
        }
        match looked {
            Ok(differences) if differences.is_empty() && undone.is_empty() => say(true, &format!("{}: clean", node.name)),
            Ok(differences) => {
                for difference in differences {
                    say(false, &clean::line(&node.name, &difference));
                    code = exit::worse(code, exit::INVALID);
                }
            }
            Err(error) => {
                say(false, &error.to_string());
                code = exit::worse(code, exit::CRASH);
            }
        }
    }
    console::print(&text)?;
    Ok(code)
}

fn show(footprints: &Footprints, out: Console) -> Outcome {
    let mut text = String::new();
    for (node, touches) in footprints {
        let _ = writeln!(text, "{}", out.ink(Ink::Bold, node));
        for touch in touches {
            let _ = writeln!(text, "  {:<9} {}", touch.kind, out.fit(&touch.what));
        }
    }
    console::print(&text)?;
    Ok(exit::VALID)
}
