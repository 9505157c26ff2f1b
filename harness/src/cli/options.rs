//! Values that options take, and groups of options that several commands share.

use super::Failure;
use crate::check::guess;
use crate::check::limits::Limits;
use crate::render::terminal;
use crate::ui::{console, format};
use checker::text::capital;
use checker::{Algorithm, Consistency, FailedCas, NilRead, Options};
use clap::Args;
use histories::{Format, Value, names};
use nemesis::SshOptions;
use nemesis::remote::{ConfigFile, HostKeys, Secret, Sudo};
use nemesis::spec::{CLASSES, SpecError};
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nobody waits longer; sums and multiples of it are far from the end of numbers.
const DURATION_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// A duration: `10s`, `1m 30s`, `400ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = "write it like 10s, 400ms or 1m30s";
    match humantime::parse_duration(text) {
        Ok(d) if d.is_zero() => Err(format!("must be longer than nothing; {wanted}")),
        Ok(d) if d > DURATION_MAX => Err(format!("is longer than ten years; {wanted}")),
        Ok(d) => Ok(d),
        Err(error) => Err(format!("{error}; {wanted}")),
    }
}

/// A seed: decimal, or hexadecimal after `0x`.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "a seed is a number of 64 bits, like 42 or 0x5a3".into())
}

/// `yes` or `no`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum YesNo {
    Yes,
    No,
}

/// What an `ok` read of `nil` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum NilReadArg {
    /// Nothing: the result is unknown (Knossos, Jepsen)
    Wildcard,
    /// The key holds nothing (Porcupine)
    Missing,
}

impl From<NilReadArg> for NilRead {
    fn from(arg: NilReadArg) -> NilRead {
        match arg {
            NilReadArg::Wildcard => NilRead::Wildcard,
            NilReadArg::Missing => NilRead::Missing,
        }
    }
}

/// What a failed cas means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum FailedCasArg {
    /// Nothing: it did not happen (Knossos, Jepsen)
    Drop,
    /// The register did not hold the expected value at that moment (Porcupine)
    Assert,
}

impl From<FailedCasArg> for FailedCas {
    fn from(arg: FailedCasArg) -> FailedCas {
        match arg {
            FailedCasArg::Drop => FailedCas::Drop,
            FailedCasArg::Assert => FailedCas::Assert,
        }
    }
}

/// What a history is checked against.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "What it is checked against")]
pub(super) struct ModelArgs {
    /// The object the clients used: register, cas-register, kv, fifo-queue, set, ... (see `rashomon check --help`) [default: guessed from the functions, and reported]
    #[arg(long, value_name = "MODEL", value_parser = guess::known_model)]
    pub(super) model: Option<String>,
    /// Whether values are [key value] pairs, each key an object of its own [default: what the file says, else guessed]
    #[arg(long, value_name = "YES|NO", value_enum)]
    pub(super) keyed: Option<YesNo>,
    /// The initial value of registers and counters, in EDN: nil, 0, "a", {:x 0 :y 0} [default: the format's]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, value_parser = initial)]
    pub(super) initial: Option<Value>,
    /// What a successful read of nil means [default: the format's; of a list, of a kv and in a transaction: missing]
    #[arg(long, value_name = "MEANING", value_enum)]
    pub(super) nil_read: Option<NilReadArg>,
    /// What a failed cas of a cas-register means [default: the format's]
    #[arg(long, value_name = "MEANING", value_enum)]
    pub(super) failed_cas: Option<FailedCasArg>,
    /// The permits of a semaphore [default: 1]
    #[arg(long, value_name = "N")]
    pub(super) permits: Option<u32>,
    /// Which procedure decides whether it is linearizable: auto tries all that fit the model, the search last
    #[arg(long, value_name = "NAME", default_value = "auto", long_help = algorithms_help())]
    pub(super) algorithm: Algorithm,
    /// Decide every key. By default, once a key is invalid, the others get no more steps than each had by then
    #[arg(long)]
    pub(super) all_keys: bool,
}

/// The formats for `--help`.
pub(super) fn formats_help() -> String {
    let names = Format::ALL.map(Format::name).join(", ");
    format!("The files' format: {names} [default: recognised by content, and reported]")
}

/// The algorithms for `--help`.
pub(super) fn algorithms_help() -> String {
    let names = Algorithm::ALL.map(Algorithm::option).join(", ");
    format!("Which procedure decides whether it is linearizable: {names}. Auto tries all that fit the model, the search last")
}

/// Rows of a name and what stands behind it, for the end of `--help`.
pub(super) fn table<'a>(title: &str, rows: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> String {
    let names = rows.clone().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let mut text = format!("{title}:\n");
    for (name, told) in rows {
        for (i, line) in terminal::wrap(told, console::WIDTH - names - 2).iter().enumerate() {
            let _ = writeln!(text, "  {:names$}{line}", if i == 0 { name } else { "" });
        }
    }
    text
}

/// Refuses an algorithm where nobody asks whether a history is linearizable: it would decide nothing.
pub(super) fn refuse_algorithm(algorithm: Algorithm, asked: &[Consistency]) -> Result<(), Failure> {
    if algorithm == Algorithm::Auto || asked.is_empty() || asked.contains(&Consistency::Linearizable) {
        return Ok(());
    }
    Err(Failure::usage("--algorithm chooses how linearizable is judged; leave it out with other consistency models"))
}

/// A consistency model by its name.
pub(super) fn consistency(name: &str) -> Result<Consistency, String> {
    let found = name.parse().ok();
    found.ok_or_else(|| names::unknown("consistency model", name, Consistency::named().map(Consistency::name)))
}

/// What to say of a request for faults that makes no sense: also which class may be meant.
pub(super) fn refused_fault(error: &SpecError) -> String {
    let class = error.item.split([':', '@', ' ']).next().unwrap_or_default();
    let known = || CLASSES.iter().map(|class| class.name).chain(["all", "none"]);
    let question = (!known().any(|known| known == class)).then(|| names::did_you_mean(class, known())).flatten();
    question.map_or_else(|| error.why.clone(), |question| format!("{question} {}", capital(&error.why)))
}

pub(super) fn initial(text: &str) -> Result<Value, String> {
    histories::read_value(text).map_err(|error| error.to_string())
}

impl ModelArgs {
    /// The options, with an empty model where it shall be guessed.
    pub(super) fn options(&self) -> Options {
        Options {
            model: self.model.clone().unwrap_or_default(),
            keyed: self.keyed.map(|keyed| keyed == YesNo::Yes),
            initial: self.initial.clone(),
            nil_read: self.nil_read.map(Into::into),
            failed_cas: self.failed_cas.map(Into::into),
            permits: self.permits,
            algorithm: self.algorithm,
            all_keys: self.all_keys,
            ..Options::default()
        }
    }
}

/// What a check may use.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Give up after this long with the verdict unknown
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    pub(super) time_limit: Duration,
    /// Memory the searches may hold, like 64MB or 4GiB [default: three quarters of what is available]
    #[arg(long, value_name = "SIZE", value_parser = format::parse_bytes)]
    pub(super) memory_limit: Option<u64>,
}

impl LimitArgs {
    pub(super) fn limits(&self) -> Limits {
        Limits { time: Some(self.time_limit), memory_bytes: self.memory_limit }
    }
}

/// What the hosts of a lab need not be told: they know who logs in, and how.
pub(super) const NODES_AND_LOGIN: [&str; 10] =
    ["nodes", "user", "port", "key", "known_hosts", "ssh_config", "insecure", "sudo", "sudo_password_file", "ask_sudo_password"];

/// How nodes are reached.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "SSH")]
pub(super) struct SshArgs {
    /// The user to log in as [default: what ~/.ssh/config says, else yours]
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// The port [default: what ~/.ssh/config says, else 22]
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// A private key [default: what ~/.ssh/config says, the agent's keys, else the usual files]
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// The file of known host keys [default: `~/.ssh/known_hosts`]
    #[arg(long, value_name = "FILE")]
    pub(super) known_hosts: Option<PathBuf>,
    /// The configuration to honour [default: ~/.ssh/config]
    #[arg(long, value_name = "FILE")]
    pub(super) ssh_config: Option<PathBuf>,
    /// Accept host keys that are not known (never on nodes that matter)
    #[arg(long)]
    pub(super) insecure: bool,
    /// Become root on the nodes by sudo: auto (if the user is not root and may), always, never
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_value = "auto", default_missing_value = "always", hide_possible_values = true)]
    pub(super) sudo: SudoArg,
    /// A file with the password that sudo asks for; only you may read it
    #[arg(long, value_name = "FILE", conflicts_with = "ask_sudo_password")]
    pub(super) sudo_password_file: Option<PathBuf>,
    /// Ask here for the password that sudo asks for on the nodes
    #[arg(long)]
    pub(super) ask_sudo_password: bool,
}

/// When to use sudo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SudoArg {
    /// If the user who logs in is not root and may
    #[default]
    Auto,
    /// Always, or not at all
    Always,
    /// Never
    Never,
}

impl SshArgs {
    /// The first of them that was given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let SshArgs { user, port, key, known_hosts, ssh_config, insecure, sudo, sudo_password_file, ask_sudo_password } = self;
        let all = [
            ("--user", user.is_some()),
            ("--port", port.is_some()),
            ("--key", key.is_some()),
            ("--known-hosts", known_hosts.is_some()),
            ("--ssh-config", ssh_config.is_some()),
            ("--insecure", *insecure),
            ("--sudo", *sudo != SudoArg::Auto),
            ("--sudo-password-file", sudo_password_file.is_some()),
            ("--ask-sudo-password", *ask_sudo_password),
        ];
        all.into_iter().find(|(_, given)| *given).map(|(name, _)| name)
    }

    /// How to log in. Asks for a password if that is wished.
    pub(super) fn options(&self) -> Result<SshOptions, Failure> {
        let sudo_password = match &self.sudo_password_file {
            Some(file) => Some(read_password(file)?),
            None if self.ask_sudo_password => Some(ask_password()?),
            None => None,
        };
        Ok(SshOptions {
            user: self.user.clone(),
            port: self.port,
            keys: self.key.iter().cloned().collect(),
            known_hosts: self.known_hosts.iter().cloned().collect(),
            host_keys: self.insecure.then_some(HostKeys::AcceptAny),
            config: self.ssh_config.clone().map_or(ConfigFile::User, ConfigFile::File),
            sudo: match self.sudo {
                SudoArg::Auto => Sudo::Auto,
                SudoArg::Always => Sudo::Always,
                SudoArg::Never => Sudo::Never,
            },
            sudo_password,
            ..SshOptions::default()
        })
    }
}

/// The first line of a file that nobody else can read.
fn read_password(file: &Path) -> Result<Secret, Failure> {
    let refuse = |why: String| Failure::usage(format!("--sudo-password-file {}: {why}", format::path(file)));
    let mode = std::fs::metadata(file).map_err(|e| refuse(e.to_string()))?.mode();
    if mode & 0o077 != 0 {
        return Err(refuse(format!("others can read or write it: chmod 600 {}", format::shell(&[file.display().to_string()]))));
    }
    let text = std::fs::read_to_string(file).map_err(|e| refuse(e.to_string()))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(refuse("its first line is empty; it should be the password".into())),
    }
}

fn ask_password() -> Result<Secret, Failure> {
    let terminal = ::console::Term::stderr();
    if !terminal.is_term() {
        return Err(Failure::usage("--ask-sudo-password needs a terminal: use --sudo-password-file where there is none"));
    }
    console::complain("password for sudo on the nodes: ");
    let line = terminal.read_secure_line().map_err(|e| Failure::error(format!("cannot read the password: {e}")))?;
    if line.is_empty() { Err(Failure::usage("no password was given")) } else { Ok(Secret::new(line)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_seeds() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("10").unwrap_err().contains("write it like 10s"));
        assert!(duration("0s").is_err() && duration("9y").is_ok());
        assert!(duration("300000000000y").unwrap_err().contains("longer than ten years"));
        assert_eq!(seed("0x5a3"), Ok(0x5a3));
        assert_eq!(seed("42"), Ok(42));
        assert!(seed("-1").is_err() && seed("0x").is_err());
    }
}
