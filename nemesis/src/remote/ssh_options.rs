//! How to log in over SSH: what the user asked for, what `ssh_config` says, and the defaults, in this order.

use super::ssh_config::HostConfig;
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

/// Whether to become root on a node by sudo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sudo {
    /// If the user who logs in is not root and may; otherwise the agent has that user's rights.
    #[default]
    Auto,
    /// A node on which that cannot be done is refused.
    Always,
    /// No.
    Never,
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
    /// Whether the agent is run as root by sudo.
    pub sudo: Sudo,
    /// What sudo asks for, if it does.
    pub sudo_password: Option<Secret>,
}

/// Where and how to log in: everything decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Destination {
    /// The name or address to connect to.
    pub(super) host: String,
    /// The name that the host's key is known by.
    pub(super) key_name: String,
    pub(super) port: u16,
    pub(super) user: String,
    /// Keys that the user named: they must exist.
    pub(super) named_keys: Vec<PathBuf>,
    /// Keys of `ssh_config`, or the usual ones: tried if they exist.
    pub(super) other_keys: Vec<PathBuf>,
    /// The socket of an SSH agent to ask, if one may be.
    pub(super) agent: Option<PathBuf>,
    /// Only keys of the agent whose public half lies beside a key file may be tried.
    pub(super) identities_only: bool,
    pub(super) passphrase: Option<Secret>,
    pub(super) password: Option<Secret>,
    /// Files of known host keys; the first is written to.
    pub(super) known_hosts: Vec<PathBuf>,
    pub(super) host_keys: HostKeys,
    pub(super) connect_timeout_s: Option<u64>,
}

/// What this process knows of its user.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    pub(super) home: PathBuf,
    pub(super) user: String,
    pub(super) agent: Option<PathBuf>,
}

impl Surroundings {
    /// Reads the environment.
    pub(super) fn read() -> Surroundings {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        Surroundings {
            home: variable("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from),
            user: variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "root".into()),
            agent: variable("SSH_AUTH_SOCK").map(PathBuf::from),
        }
    }
}

impl Destination {
    /// Decides everything about a host: the options first, then `ssh_config`, then OpenSSH's defaults.
    pub(super) fn of(host: &str, options: &SshOptions, around: &Surroundings) -> Result<Destination, String> {
        let config = read_config(host, &options.config, around)?;
        if let Some(proxy) = config.proxy.filter(|proxy| !proxy.eq_ignore_ascii_case("none")) {
            return Err(format!(
                "ssh_config asks for a proxy ({proxy}), which is not supported: run Rashomon where the nodes can be reached directly"
            ));
        }
        let in_home = |name: &str| around.home.join(".ssh").join(name);
        let usual_keys = || ["id_ed25519", "id_ecdsa", "id_rsa"].map(in_home).to_vec();
        let known_hosts = if options.known_hosts.is_empty() {
            let mut files = config.user_known_hosts.unwrap_or_else(|| ["known_hosts", "known_hosts2"].map(in_home).to_vec());
            files.extend(config.global_known_hosts.unwrap_or_else(|| vec!["/etc/ssh/ssh_known_hosts".into()]));
            files
        } else {
            options.known_hosts.clone()
        };
        let address = config.host_name.unwrap_or_else(|| host.to_string());
        Ok(Destination {
            key_name: config.host_key_alias.unwrap_or_else(|| address.to_lowercase()),
            host: address,
            port: options.port.or(config.port).unwrap_or(22),
            user: options.user.clone().or(config.user).unwrap_or_else(|| around.user.clone()),
            named_keys: options.keys.clone(),
            other_keys: if config.identity_files.is_empty() { usual_keys() } else { config.identity_files },
            agent: match config.identity_agent.as_deref() {
                Some("none") => None,
                Some("SSH_AUTH_SOCK") | None => around.agent.clone(),
                Some(path) => Some(path.into()),
            },
            identities_only: config.identities_only.unwrap_or(false),
            passphrase: options.passphrase.clone(),
            password: options.password.clone(),
            known_hosts,
            host_keys: options.host_keys.unwrap_or(match config.strict_host_key_checking.as_deref() {
                Some("no" | "off") => HostKeys::AcceptAny,
                Some("accept-new") => HostKeys::AcceptNew,
                // Nobody is there to be asked.
                _ => HostKeys::Strict,
            }),
            connect_timeout_s: config.connect_timeout_s,
        })
    }
}

fn read_config(host: &str, file: &ConfigFile, around: &Surroundings) -> Result<HostConfig, String> {
    let mut config = HostConfig::default();
    match file {
        ConfigFile::Nothing => {}
        ConfigFile::File(path) => config.read(path, host, &around.home)?,
        ConfigFile::User => {
            let files = [around.home.join(".ssh/config"), PathBuf::from("/etc/ssh/ssh_config")];
            for path in files.iter().filter(|path| path.exists()) {
                config.read(path, host, &around.home)?;
            }
        }
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn around(home: &std::path::Path) -> Surroundings {
        Surroundings { home: home.into(), user: "me".into(), agent: Some("/agent".into()) }
    }

    #[test]
    fn options_come_before_the_file_and_the_file_before_defaults() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        let text = "Host n1\n HostName N1.internal\n Port 2200\n User admin\n IdentityFile ~/.ssh/lab\n IdentityAgent none\n StrictHostKeyChecking accept-new\n";
        fs::write(home.path().join(".ssh/config"), text).unwrap();
        let from_file = Destination::of("n1", &SshOptions::default(), &around(home.path())).unwrap();
        assert_eq!((from_file.host.as_str(), from_file.key_name.as_str()), ("N1.internal", "n1.internal"));
        assert_eq!((from_file.port, from_file.user.as_str(), from_file.agent), (2200, "admin", None));
        assert_eq!(from_file.other_keys, [home.path().join(".ssh/lab")]);
        assert_eq!(from_file.host_keys, HostKeys::AcceptNew);
        let options = SshOptions {
            user: Some("root".into()),
            port: Some(22),
            keys: vec!["/key".into()],
            known_hosts: vec!["/known".into()],
            host_keys: Some(HostKeys::Strict),
            ..SshOptions::default()
        };
        let asked = Destination::of("n1", &options, &around(home.path())).unwrap();
        assert_eq!((asked.port, asked.user.as_str(), asked.host_keys), (22, "root", HostKeys::Strict));
        assert_eq!((asked.named_keys, asked.known_hosts), (vec!["/key".into()], vec!["/known".into()]));
    }

    #[test]
    fn without_a_file_the_defaults_of_openssh_hold() {
        let options = SshOptions { config: ConfigFile::Nothing, ..SshOptions::default() };
        let plain = Destination::of("10.0.0.1", &options, &around("/home/me".as_ref())).unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.user.as_str()), ("10.0.0.1", 22, "me"));
        assert_eq!(plain.other_keys[0], PathBuf::from("/home/me/.ssh/id_ed25519"));
        assert_eq!(plain.known_hosts[0], PathBuf::from("/home/me/.ssh/known_hosts"));
        assert_eq!((plain.host_keys, plain.agent), (HostKeys::Strict, Some("/agent".into())));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        fs::write(&file, "ProxyJump bastion\n").unwrap();
        let options = SshOptions { config: ConfigFile::File(file), ..SshOptions::default() };
        let error = Destination::of("n1", &options, &around(home.path())).unwrap_err();
        assert!(error.contains("proxy (bastion)"), "{error}");
        let options = SshOptions { config: ConfigFile::File("/no/such".into()), ..SshOptions::default() };
        assert!(Destination::of("n1", &options, &around(home.path())).unwrap_err().contains("cannot read /no/such"));
    }

    #[test]
    fn secrets_do_not_show() {
        let options = SshOptions {
            password: Some(Secret::new("hunter2")),
            passphrase: Some(Secret::new("hunter2")),
            sudo_password: Some(Secret::new("hunter2")),
            ..SshOptions::default()
        };
        assert!(!format!("{options:?}").contains("hunter2"));
        let destination = Destination::of("n1", &SshOptions { config: ConfigFile::Nothing, ..options }, &around("/".as_ref())).unwrap();
        assert!(!format!("{destination:?}").contains("hunter2"));
    }
}
