//! `rashomon lab`: hosts made on this machine, for tests to use.

use super::{Failure, Global, Outcome};
use crate::ui::console;
use crate::ui::console::{Console, Ink};
use crate::ui::{exit, format};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use nemesis::lab::{self, HOSTS_DEFAULT, Lab, LabError, NAME_DEFAULT, Plan, Status, Subnet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

const EXAMPLES: &str = "\
Examples:
  rashomon lab up 5                      five hosts, n1 to n5, each with its own sshd
  rashomon test etcd --lab               a test on them
  rashomon lab ssh n1                    log in
  rashomon lab exec -- curl n1:2379/health    run a program of this machine inside the lab's network
  rashomon lab crash n2                  cut the power of n2 (its disk stays); lab boot n2 brings it back
  rashomon lab down                      leaves nothing behind
  rashomon lab up 3 --name ci --subnet 10.99.7    a second lab beside the first
";

const NOTES: &str = "\
A lab needs Linux, root, and the packages openssh-server, openssh-client and iproute2. Its hosts have no way out of this machine.
They are kept in /run/rashomon-lab, or in the folder that RASHOMON_LAB_DIR names.
";

/// Make hosts on this machine for tests to use.
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES, after_help = NOTES, help_template = super::TEMPLATE)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(super) struct LabArgs {
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Debug, Args)]
struct Name {
    /// Which lab: several can be up at the same time
    #[arg(long, value_name = "NAME", default_value = NAME_DEFAULT)]
    name: String,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Make a lab, or what is missing of it
    Up {
        /// How many hosts
        #[arg(value_name = "N", default_value_t = HOSTS_DEFAULT)]
        hosts: u32,
        #[command(flatten)]
        lab: Name,
        /// The first three numbers of the hosts' addresses [default: 10.77.0, or what the lab has]
        #[arg(long, value_name = "A.B.C")]
        subnet: Option<String>,
    },
    /// Remove a lab: its hosts, their disks, and every program that runs in it
    Down {
        #[command(flatten)]
        lab: Name,
    },
    /// Show the labs of this machine; exit code 0 if there is one and every host runs, 1 if not
    Status {
        /// Show this lab only
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Kill all processes of a host at once, as when the power is cut; its disk stays
    Crash {
        /// The host, like n2
        host: String,
        #[command(flatten)]
        lab: Name,
    },
    /// Start a host that has crashed, on the disk that it had
    Boot {
        /// The host, like n2
        host: String,
        #[command(flatten)]
        lab: Name,
    },
    /// Run a program of this machine inside the lab's network, where the hosts' names are known
    Exec {
        #[command(flatten)]
        lab: Name,
        /// The program and its arguments
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Log in to a host, or run a command on it
    Ssh {
        #[command(flatten)]
        lab: Name,
        /// The host, like n2
        host: String,
        /// The command; the host's shell reads it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// The process that holds a lab together: started by `up`
    #[command(hide = true)]
    Control { folder: PathBuf },
    /// The first process of a host: started by the control process
    #[command(hide = true)]
    Init { folder: PathBuf, host: String },
}

pub(super) fn run(args: &LabArgs, global: Global) -> Outcome {
    act(&args.command, global.stdout()).map_err(|error| match error.downcast_ref() {
        // The command line names what cannot be; everything else could not be done.
        Some(LabError::Name(_) | LabError::Subnet(_) | LabError::HostCount { .. } | LabError::NoSuchHost { .. }) => {
            Failure::usage(error.to_string())
        }
        _ => Failure::Error(error),
    })
}

fn act(command: &LabCommand, console: Console) -> Result<u8> {
    match command {
        LabCommand::Up { hosts, lab, subnet } => up(&lab.name, subnet.as_deref(), *hosts),
        LabCommand::Down { lab } => down(&lab.name),
        LabCommand::Status { name } => status(console, name.as_deref()),
        LabCommand::Crash { host, lab } => {
            lab::crash(&lab.name, host)?;
            say(&format!("{host} crashed: its processes are gone, its disk stays\n"))
        }
        LabCommand::Boot { host, lab } => {
            lab::boot(&lab.name, host)?;
            say(&format!("{host} runs\n"))
        }
        LabCommand::Exec { lab, command } => exec(&lab.name, command),
        LabCommand::Ssh { lab, host, command } => {
            let lab = Lab::find(&lab.name)?;
            let ssh = lab.ssh(host, command)?;
            lab.enter_with_names()?;
            replace_by(ssh)
        }
        LabCommand::Control { folder } => {
            lab::control_main(folder)?;
            Ok(exit::VALID)
        }
        LabCommand::Init { folder, host } => {
            lab::host_main(folder, host)?;
            Ok(exit::VALID)
        }
    }
}

fn up(name: &str, subnet: Option<&str>, hosts: u32) -> Result<u8> {
    let started = Instant::now();
    let plan = Plan { name: name.into(), subnet: subnet.map(str::parse::<Subnet>).transpose()?, hosts };
    let up = lab::up(&plan)?;
    let first = up.lab.nodes.first().map_or("n1", |(host, _)| host);
    let mut text = match (up.started.len(), up.lab.nodes.len()) {
        (0, all) => format!("{} {} already\n", format::many(all, "host"), if all == 1 { "runs" } else { "run" }),
        (new, all) if new == all => format!("{} up in {}\n", format::many(all, "host"), format::duration(started.elapsed())),
        (_, all) => {
            format!("{} started, {} up in {}\n", up.started.join(" "), format::many(all, "host"), format::duration(started.elapsed()))
        }
    };
    for (host, address) in &up.lab.nodes {
        let _ = writeln!(text, "  {host:<4} {address}");
    }
    let option = name_option(name);
    let test = if option.is_empty() { String::new() } else { format!("={name}") };
    let _ = writeln!(
        text,
        "Test on them: rashomon test etcd --lab{test}    Log in: rashomon lab ssh{option} {first}    Remove them: rashomon lab down{option}"
    );
    say(&text)
}

fn down(name: &str) -> Result<u8> {
    let text = match lab::down(name)?.hosts {
        None => format!("there is no lab {name:?}\n"),
        Some(0) => format!("the half-made lab {name:?} is removed\n"),
        Some(n) => format!("the lab {name:?} with {} is removed\n", format::many(usize::from(n), "host")),
    };
    say(&text)
}

fn status(console: Console, only: Option<&str>) -> Result<u8> {
    let names = match only {
        Some(name) => vec![name.to_owned()],
        None => lab::names()?,
    };
    if names.is_empty() {
        say("there is no lab: make one with `rashomon lab up`\n")?;
        return Ok(exit::INVALID);
    }
    let (mut text, mut all_run) = (String::new(), true);
    for name in &names {
        match lab::status(name) {
            Ok(status) => {
                all_run &= status.alive && status.hosts.iter().all(|host| host.pid.is_some());
                text.push_str(&describe(console, &status));
            }
            // Of several labs, one that is half-made must not hide the others.
            Err(LabError::Absent { .. }) if only.is_none() => {
                all_run = false;
                let _ = writeln!(text, "{name}  {}: rashomon lab down{} removes it", console.ink(Ink::Red, "half-made"), name_option(name));
            }
            Err(error) => return Err(error.into()),
        }
    }
    say(&text)?;
    Ok(if all_run { exit::VALID } else { exit::INVALID })
}

fn describe(console: Console, status: &Status) -> String {
    let state = if status.alive { console.ink(Ink::Green, "up") } else { console.ink(Ink::Red, "dead") };
    let mut text = format!("{}  {state}  {}\n", status.name, status.subnet);
    for host in &status.hosts {
        let what = match host.pid {
            Some(pid) => format!(
                "{}  pid {pid:<7} {:>3} processes  {}",
                console.ink(Ink::Green, "runs   "),
                host.processes,
                format::bytes(host.memory_bytes)
            ),
            None => console.ink(Ink::Red, "crashed"),
        };
        let _ = writeln!(text, "  {:<4} {:<15} {what}", host.name, host.address);
    }
    text
}

fn exec(name: &str, command: &[OsString]) -> Result<u8> {
    Lab::find(name)?.enter_with_names()?;
    let (program, args) = command.split_first().context("say which program is to run")?;
    let mut command = Command::new(program);
    command.args(args);
    replace_by(command)
}

/// Turns this process into another program: it gets the terminal and the signals, and its exit code is the command's.
fn replace_by(mut command: Command) -> Result<u8> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", command.get_program().to_string_lossy()))
}

/// ` --name x`, for hints, unless it is the default.
fn name_option(name: &str) -> String {
    if name == NAME_DEFAULT { String::new() } else { format!(" --name {name}") }
}

fn say(text: &str) -> Result<u8> {
    console::print(text)?;
    Ok(exit::VALID)
}
