//! Into the lab: a process that enters reaches the hosts, and nothing beyond.

use super::error::{LabError, Try};
use super::{Lab, process};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::{self, File};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

impl Lab {
    /// Moves this process into the lab's network, for good, and checks that it is there. Everything else of the process stays: its
    /// files, mounts and pid.
    ///
    /// Call it before any thread starts: a namespace belongs to a thread, and those that run already would stay outside and send
    /// their packets to the wrong network. If there are any it is refused.
    pub fn enter(&self) -> Result<(), LabError> {
        self.move_into("net", LinkNameSpaceType::Network)?;
        self.check_inside()
    }

    /// [`Lab::enter`], and host names are known as well: the mounts are the control namespace's, which differ in `/etc/hosts` only.
    pub fn enter_with_names(&self) -> Result<(), LabError> {
        let folder = std::env::current_dir();
        self.enter()?;
        self.move_into("mnt", LinkNameSpaceType::Mount)?;
        // The move set the current folder to the root.
        if let Ok(folder) = folder {
            std::env::set_current_dir(&folder).or_say(|| format!("go back to {}", folder.display()))?;
        }
        Ok(())
    }

    /// Checks that packets of this process to the hosts stay in the lab: it is in the control namespace, its way to every host
    /// goes by the bridge, and there is no way to anywhere else. Sends nothing.
    pub fn check_inside(&self) -> Result<(), LabError> {
        let outside = |why: String| Err(LabError::Outside { why });
        let bridge = self.state.bridge();
        if !has_interface(&bridge)? {
            return outside(format!("it has no {bridge}"));
        }
        let routes = fs::read_to_string("/proc/thread-self/net/route").or_say(|| "read the routes".into())?;
        if let Some(other) = routes.lines().skip(1).filter_map(|line| line.split_ascii_whitespace().next()).find(|i| *i != bridge) {
            return outside(format!("it has a route by {other}"));
        }
        let control = self.state.subnet.control();
        for (name, address) in &self.nodes {
            match source_address(address) {
                Ok(source) if source == control => {}
                Ok(source) => return outside(format!("packets to {name} would leave from {source}, not from {control}")),
                Err(error) => return outside(format!("there is no way to {name}: {error}")),
            }
        }
        Ok(())
    }

    /// A command that logs in to a host. Names are resolved by the `ssh_config`, so it works wherever the network is entered.
    pub fn ssh(&self, host: &str, command: &[std::ffi::OsString]) -> Result<Command, LabError> {
        let number = self.state.host(host)?;
        let mut ssh = Command::new(super::links::program("ssh")?);
        ssh.arg("-F").arg(&self.ssh_config).arg(&self.nodes[usize::from(number) - 1].0).args(command);
        Ok(ssh)
    }

    fn move_into(&self, file: &str, kind: LinkNameSpaceType) -> Result<(), LabError> {
        let threads = process::thread_count().or_say(|| "count the threads".into())?;
        if threads != 1 {
            return Err(LabError::Threads { threads });
        }
        let dead = || LabError::Dead { name: self.name.clone() };
        let control = self.state.control.open().ok_or_else(dead)?;
        let namespace = File::open(format!("/proc/{}/ns/{file}", control.pid)).map_err(|_| dead())?;
        // Looked at again: only if it lives still was that file its own.
        self.state.control.open().ok_or_else(dead)?;
        move_into_link_name_space(namespace.as_fd(), Some(kind)).or_say(|| format!("enter the lab {:?}", self.name))
    }
}

/// Whether a network namespace has an interface of this name: a unique one proves which namespace it is.
pub(super) fn has_bridge(namespace: &File, bridge: &str) -> Result<bool, LabError> {
    let what = || "look into a network namespace".to_string();
    let own = File::open(Path::new("/proc/thread-self/ns/net")).or_say(what)?;
    move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).or_say(what)?;
    let found = has_interface(bridge);
    move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::Network)).or_say(what)?;
    found
}

fn has_interface(name: &str) -> Result<bool, LabError> {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).or_say(|| "open a socket".into())?;
    Ok(netdevice::name_to_index(&socket, name).is_ok())
}

/// The address from which packets to another one would leave. Nothing is sent: a datagram socket only looks up the route.
fn source_address(to: &str) -> std::io::Result<String> {
    let socket = UdpSocket::bind(("0.0.0.0", 0))?;
    socket.connect((to, 9))?;
    Ok(socket.local_addr()?.ip().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Subnet;
    use crate::lab::process::ProcessId;
    use crate::lab::state::{Folder, State};

    /// A lab that does not exist, held by this process.
    fn lab() -> Lab {
        let control = ProcessId::of(std::process::id() as i32).unwrap();
        let state = State { name: "x".into(), token: "0badcafe-".into(), subnet: Subnet::DEFAULT, hosts: 1, control };
        Lab {
            name: "x".into(),
            nodes: vec![("n1".into(), "10.77.0.1".into())],
            ssh_config: "/tmp/x/ssh_config".into(),
            key: "/tmp/x/key".into(),
            known_hosts: "/tmp/x/known_hosts".into(),
            folder: Folder::at(Path::new("/tmp/x")),
            state,
        }
    }

    #[test]
    fn whoever_has_threads_is_kept_out() {
        // The test harness has more than one thread by itself.
        let error = lab().enter().unwrap_err();
        assert!(matches!(error, LabError::Threads { threads: 2.. }), "{error}");
    }

    #[test]
    fn whoever_is_not_inside_is_told_so() {
        let error = lab().check_inside().unwrap_err();
        assert!(matches!(error, LabError::Outside { .. }) && error.to_string().contains("has no lab0badcafe"), "{error}");
    }

    #[test]
    fn an_address_of_this_machine_is_reached_from_itself() {
        assert_eq!(source_address("127.0.0.1").unwrap(), "127.0.0.1");
    }
}
