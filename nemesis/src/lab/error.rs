//! Why a lab could not be made, used or removed, and what to do.

use std::path::PathBuf;
use thiserror::Error;

/// Everything that can go wrong with a lab.
#[derive(Debug, Error)]
pub enum LabError {
    /// The process is not root.
    #[error("a lab needs root (it makes network namespaces and mounts): run it with sudo. Labs without root are not supported yet")]
    NotRoot,
    /// The machine, or the container, forbids namespaces.
    #[error(
        "this machine does not let root make namespaces ({0}); in a container, start that with the capabilities SYS_ADMIN and NET_ADMIN \
         (docker run --privileged)"
    )]
    NoNamespaces(std::io::Error),
    /// A program that the lab needs is not installed.
    #[error(
        "{program} is not installed: install the package {package} (Debian, Ubuntu: apt-get install openssh-server openssh-client iproute2)"
    )]
    MissingProgram {
        /// The program.
        program: &'static str,
        /// Debian's package that holds it.
        package: &'static str,
    },
    /// A name that cannot name a lab.
    #[error("{0:?} cannot name a lab: write 1 to 24 of a-z, 0-9 and -, beginning with a letter")]
    Name(String),
    /// A subnet that cannot be used.
    #[error("{0:?} is not a subnet: write its first three numbers, like 10.77.0 (the hosts are .1 to .N, the control node is .254)")]
    Subnet(String),
    /// A number of hosts that cannot be made.
    #[error("a lab has 1 to {max} hosts, not {asked}")]
    HostCount {
        /// What was asked for.
        asked: u32,
        /// The most there can be.
        max: u8,
    },
    /// The folder of all labs cannot be used.
    #[error("{}: labs cannot be kept there: {why}. Set RASHOMON_LAB_DIR to another folder, like /run/rashomon-lab", path.display())]
    Base {
        /// The folder.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// There is no lab of this name.
    #[error("there is no lab {name:?}: make one with `rashomon lab up`{}", name_option(name))]
    Absent {
        /// The lab's name.
        name: String,
    },
    /// The lab's control process is gone, and its hosts with it.
    #[error("the lab {name:?} has died (its control process is gone): `rashomon lab up{}` makes it anew", name_option(name))]
    Dead {
        /// The lab's name.
        name: String,
    },
    /// The lab exists, but not as asked for.
    #[error(
        "the lab {name:?} is up with {found}, not {asked}: take it down first (`rashomon lab down{}`), or give another --name",
        name_option(name)
    )]
    Differs {
        /// The lab's name.
        name: String,
        /// What there is: `5 hosts`, `the subnet 10.77.0.0/24`.
        found: String,
        /// What was asked for.
        asked: String,
    },
    /// Another command works on the lab.
    #[error("another `rashomon lab` command has been working on the lab {name:?} for {waited_s} s: wait for it, or end it")]
    Busy {
        /// The lab's name.
        name: String,
        /// How long this one has waited.
        waited_s: u64,
    },
    /// The lab has no such host.
    #[error("the lab has no host {host:?}: its hosts are {hosts}")]
    NoSuchHost {
        /// What was asked for.
        host: String,
        /// What there is.
        hosts: String,
    },
    /// A host did not come up.
    #[error("{host} did not come up: {why}{}", console_text(console))]
    Host {
        /// The host.
        host: String,
        /// Why.
        why: String,
        /// The end of what it said.
        console: String,
    },
    /// What the control process could not do, in its own words.
    #[error("{0}")]
    Control(String),
    /// The process that enters has threads already; only one of them would enter.
    #[error("the lab must be entered before any thread is started ({threads} threads run)")]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// The process is not in the lab's network, so its packets would leave the machine.
    #[error("this process is not inside the lab's network ({why}): its packets could leave the machine. Nothing was sent")]
    Outside {
        /// What is wrong.
        why: String,
    },
    /// The process is inside the lab that it is to remove.
    #[error("this command runs inside the lab that it would remove: run it outside (leave `rashomon lab exec`)")]
    Inside,
    /// Processes or namespaces of the lab are still there.
    #[error("the lab {name:?} is not gone: {what}. Run `rashomon lab down` again")]
    Remains {
        /// The lab's name.
        name: String,
        /// What remains.
        what: String,
    },
    /// The system refused something.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// ` --name x`, for hints, unless the name is the default.
fn name_option(name: &str) -> String {
    if name == super::NAME_DEFAULT { String::new() } else { format!(" --name {name}") }
}

fn console_text(console: &str) -> String {
    if console.trim().is_empty() { String::new() } else { format!("\nIts console ends with:\n{}", console.trim_end()) }
}

/// Says what was tried, where the system refuses.
pub(super) trait Try<T> {
    /// Makes the error one of the lab: `cannot {what}: ...`.
    fn or_say(self, what: impl FnOnce() -> String) -> Result<T, LabError>;
}

impl<T, E: Into<std::io::Error>> Try<T> for Result<T, E> {
    fn or_say(self, what: impl FnOnce() -> String) -> Result<T, LabError> {
        self.map_err(|source| LabError::System { what: what(), source: source.into() })
    }
}
