//! How an agent is to work: what the harness starts it with.

use rustix::process::geteuid;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How an agent is to work: the arguments of `rashomon agent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// What the run is called, for another that finds the node taken.
    pub run: String,
    /// The agent's directory; the default of [`crate::agent::AgentOptions::directory`] if `None`.
    pub directory: Option<PathBuf>,
    /// How long it waits for a heartbeat.
    pub dead_man: Duration,
    /// How long it waits for another agent to leave the node.
    pub lock_within: Duration,
    /// The UDP port for probes; any if 0.
    pub probe_port: u16,
    /// The address that the control node comes from: never cut off.
    pub control: Option<IpAddr>,
    /// Only undo what an agent that was killed left behind, say what it was, and exit.
    pub heal: bool,
    /// When healing: also end the programs that a run started, and remove its files.
    pub teardown: bool,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            run: "a run without a name".into(),
            directory: None,
            dead_man: Duration::from_secs(5),
            lock_within: Duration::from_secs(3),
            probe_port: 0,
            control: None,
            heal: false,
            teardown: false,
        }
    }
}

impl ServeOptions {
    /// The arguments that [`ServeOptions::parse`] reads back.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--run".into(), self.run.clone()];
        if let Some(directory) = &self.directory {
            arguments.extend(["--directory".into(), directory.display().to_string()]);
        }
        arguments.extend(["--dead-man-ms".into(), self.dead_man.as_millis().to_string()]);
        arguments.extend(["--lock-within-ms".into(), self.lock_within.as_millis().to_string()]);
        arguments.extend(["--probe-port".into(), self.probe_port.to_string()]);
        if let Some(control) = self.control {
            arguments.extend(["--control".into(), control.to_string()]);
        }
        for (flag, given) in [("--heal", self.heal), ("--teardown", self.teardown)] {
            if given {
                arguments.push(flag.into());
            }
        }
        arguments
    }

    /// Reads the arguments of `rashomon agent`.
    pub fn parse(arguments: &[String]) -> Result<ServeOptions, String> {
        let mut options = ServeOptions::default();
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let flag = match name.as_str() {
                "--heal" => Some(&mut options.heal),
                "--teardown" => Some(&mut options.teardown),
                _ => None,
            };
            if let Some(flag) = flag {
                *flag = true;
                continue;
            }
            let value = rest.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{name} needs a number, not {value:?}"));
            match name.as_str() {
                "--run" => options.run.clone_from(value),
                "--directory" => options.directory = Some(value.into()),
                "--dead-man-ms" => options.dead_man = Duration::from_millis(number()?),
                "--lock-within-ms" => options.lock_within = Duration::from_millis(number()?),
                "--probe-port" => options.probe_port = number()?.try_into().map_err(|_| format!("{value} is no port"))?,
                "--control" => options.control = Some(value.parse().map_err(|_| format!("{value:?} is no address"))?),
                _ => return Err(format!("unknown argument {name:?}")),
            }
        }
        Ok(options)
    }

    pub(in crate::agent) fn directory(&self) -> PathBuf {
        match (&self.directory, std::env::var_os("HOME")) {
            (Some(directory), _) => directory.clone(),
            (None, Some(home)) if !geteuid().is_root() => Path::new(&home).join(".rashomon"),
            _ => PathBuf::from("/var/lib/rashomon"),
        }
    }
}
