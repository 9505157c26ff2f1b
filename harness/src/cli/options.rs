//! Values that options take, and groups of options that several commands share.

use crate::guess;
use crate::judge::Limits;
use crate::words;
use checker::{FailedCas, NilRead};
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// A duration: `10s`, `1m 30s`, `400ms`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wanted = "write it like 10s, 400ms or 1m30s";
    match humantime::parse_duration(text) {
        Ok(d) if d.is_zero() => Err(format!("must be longer than nothing; {wanted}")),
        Ok(d) => Ok(d),
        Err(error) => Err(format!("{error}; {wanted}")),
    }
}

/// A duration that may be zero.
pub(super) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { humantime::parse_duration(text).or_else(|_| duration(text)) }
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
    /// The object the clients used: register, cas-register, kv, mutex [default: guessed from the functions, and reported]
    #[arg(long, value_name = "MODEL", value_parser = guess::known_model)]
    pub(super) model: Option<String>,
    /// Whether values are [key value] pairs, each key an object of its own [default: what the file says, else guessed]
    #[arg(long, value_name = "YES|NO", value_enum)]
    pub(super) keyed: Option<YesNo>,
    /// The initial value of registers, in EDN: nil, 0, "a" [default: the format's]
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub(super) initial: Option<String>,
    /// What a successful read of nil means [default: the format's]
    #[arg(long, value_name = "MEANING", value_enum)]
    pub(super) nil_read: Option<NilReadArg>,
    /// What a failed cas means [default: the format's]
    #[arg(long, value_name = "MEANING", value_enum)]
    pub(super) failed_cas: Option<FailedCasArg>,
}

/// What a check may use.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArgs {
    /// Give up after this long with the verdict unknown
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m")]
    pub(super) time_limit: Duration,
    /// Memory the searches may hold, like 64MB or 4GiB [default: three quarters of what is available]
    #[arg(long, value_name = "SIZE", value_parser = words::parse_bytes)]
    pub(super) memory_limit: Option<u64>,
}

impl LimitArgs {
    pub(super) fn limits(&self) -> Limits {
        Limits { time: Some(self.time_limit), memory_bytes: self.memory_limit }
    }
}

/// How nodes are reached.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "SSH")]
pub(super) struct SshArgs {
    /// The user to log in as [default: what ~/.ssh/config says, else root]
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// The port [default: what ~/.ssh/config says, else 22]
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// A private key [default: what ~/.ssh/config says, the agent's keys, else the usual files]
    #[arg(long, value_name = "FILE")]
    pub(super) key: Option<PathBuf>,
    /// The file of known host keys [default: ~/.ssh/known_hosts]
    #[arg(long, value_name = "FILE")]
    pub(super) known_hosts: Option<PathBuf>,
    /// The configuration to honour [default: ~/.ssh/config]
    #[arg(long, value_name = "FILE")]
    pub(super) ssh_config: Option<PathBuf>,
    /// Accept host keys that are not known (never on nodes that matter)
    #[arg(long)]
    pub(super) insecure: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_seeds() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert!(duration("10").unwrap_err().contains("write it like 10s"));
        assert!(duration("0s").is_err());
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO));
        assert_eq!(seed("0x5a3"), Ok(0x5a3));
        assert_eq!(seed("42"), Ok(42));
        assert!(seed("-1").is_err() && seed("0x").is_err());
    }
}
