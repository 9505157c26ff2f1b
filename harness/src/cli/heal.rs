//! `rashomon heal`: undo what a killed run left behind.

use super::{Failure, Global, Outcome, options, plan};
use crate::ui::console;
use crate::ui::console::Ink;
use crate::ui::exit;
use clap::Args;
use nemesis::AgentOptions;
use nemesis::lab::{self, NAME_DEFAULT};
use std::fmt::Write;

const EXAMPLES: &str = "\
Examples:
  rashomon heal --nodes n1,n2,n3
  rashomon heal --lab
  rashomon heal --lab --teardown    the database that the run started, and its files, go too
";

/// Undo every fault that a killed run left on nodes.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, help_template = super::TEMPLATE)]
pub(super) struct HealArgs {
    /// The nodes: names or addresses, separated by commas
    #[arg(long, value_name = "NODES", value_delimiter = ',')]
    pub(super) nodes: Vec<String>,
    /// The hosts of `rashomon lab up`; =NAME names the lab if there are several
    #[arg(long, value_name = "NAME", conflicts_with_all = options::NODES_AND_LOGIN, num_args = 0..=1, require_equals = true, default_missing_value = NAME_DEFAULT)]
    pub(super) lab: Option<String>,
    /// Also end what the run started and remove its files
    #[arg(long)]
    pub(super) teardown: bool,
    #[command(flatten)]
    pub(super) ssh: options::SshArgs,
}

/// Heals every node, says what was undone, and fails if any node could not be healed.
pub(super) fn run(args: &HealArgs, global: Global) -> Outcome {
    if args.nodes.is_empty() && args.lab.is_none() {
        return Err(Failure::usage("which nodes? Name them with --nodes n1,n2,n3, or say --lab for the hosts of `rashomon lab up`"));
    }
    let lab = args.lab.as_deref().map(plan::enter_lab).transpose()?;
    let mut text = String::new();
    let out = global.stdout();
    if let Some(lab) = &lab {
        for host in boot_crashed(&lab.name)? {
            let _ = writeln!(text, "{} {host}: undone: it had crashed", out.ink(Ink::Green, out.fit("✓")));
        }
    }
    let (cluster, access) = plan::reach(&args.nodes, lab, args.ssh.options()?)?;
    let options = AgentOptions { teardown: args.teardown, ..AgentOptions::new("rashomon heal", plan::this_program()?) };
    let results = nemesis::agent::heal(&cluster, &access, &options);
    let mut code = exit::VALID;
    for (node, result) in cluster.nodes.iter().zip(results) {
        let undone = match result {
            Ok(undone) => undone,
            Err(error) => {
                code = exit::CRASH;
                let _ = writeln!(text, "{} {}", out.ink(Ink::Red, out.fit("✗")), out.fit(&error.to_string()));
                continue;
            }
        };
        if undone.is_empty() {
            let _ = writeln!(text, "{} {}: clean", out.ink(Ink::Green, out.fit("✓")), node.name);
        }
        for one in undone {
            let (sign, ink, what) = match one.error {
                None => ("✓", Ink::Green, format!("undone: {}", one.what)),
                Some(error) => {
                    code = exit::CRASH;
                    ("✗", Ink::Red, format!("not undone: {}: {error}", one.what))
                }
            };
            let _ = writeln!(text, "{} {}: {}", out.ink(ink, out.fit(sign)), node.name, out.fit(&what));
        }
    }
    console::print(&text)?;
    Ok(code)
}

/// Boots the hosts of a lab that have crashed, and returns their names.
fn boot_crashed(lab: &str) -> Result<Vec<String>, Failure> {
    let crashed = lab::status(lab)?.hosts.into_iter().filter(|host| host.pid.is_none()).map(|host| host.name);
    let crashed: Vec<String> = crashed.collect();
    for host in &crashed {
        lab::boot(lab, host)?;
    }
    Ok(crashed)
}
