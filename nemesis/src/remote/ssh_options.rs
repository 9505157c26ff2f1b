//! How to log in over SSH: what the user asked for, what `ssh_config` says, and the defaults, in this order.

use std::fmt;
use std::path::PathBuf;

/// Text that never appears in a log or an error.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for the one who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// What to do about host keys that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostKeys {
    /// Refuse them.
    Strict,
    /// Accept and remember keys of hosts never seen; refuse changed ones.
    AcceptNew,
    /// Accept everything: for hosts that are made anew all the time.
    AcceptAny,
}

/// Which `ssh_config` is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConfigFile {
    /// `~/.ssh/config`, then `/etc/ssh/ssh_config`, where they exist.
    #[default]
    User,
    /// This one alone; it must exist.
    File(PathBuf),
    /// None.
    Nothing,
}

/// What the user asked for. Everything left out is taken from `ssh_config`, then from OpenSSH's defaults.
#[derive(Clone, Debug, Default)]
pub struct SshOptions {
    /// The user; the one who runs this if nobody says.
    pub user: Option<String>,
    /// The port.
    pub port: Option<u16>,
    /// Private keys, tried first, in this order.
    pub keys: Vec<PathBuf>,
    /// The passphrase of encrypted keys.
    pub passphrase: Option<Secret>,
    /// A password, tried after the keys.
    pub password: Option<Secret>,
    /// Files of known host keys, instead of the usual ones.
    pub known_hosts: Vec<PathBuf>,
    /// What to do about unknown host keys.
    pub host_keys: Option<HostKeys>,
    /// Which `ssh_config` is read.
    pub config: ConfigFile,
    /// Run the agent as root by `sudo -n`: the user must be allowed to without a password.
    pub sudo: bool,
}
