//! An etcd server as a program on a node: its files, its addresses, its arguments.

use super::{Consistency, EtcdOptions, authority};
use nemesis::{Cluster, Node, NodeError, Own, Program};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};

/// What the agents call the program.
pub(super) const NAME: &str = "etcd";
/// All that belongs to it, below the agent's directory.
pub(super) const DIRECTORY: &str = "etcd";
/// An uploaded binary.
pub(super) const BINARY: &str = "etcd/bin/etcd";
/// Its data.
pub(super) const DATA: &str = "etcd/data";
/// The file that holds the keys.
pub(super) const BACKEND: &str = "etcd/data/member/snap/db";
/// Its write-ahead log, which has checksums. Its tree has none: damage there may be served for truth.
pub(super) const LOGS: &str = "etcd/data/member/wal";
/// Where the file system is that is mounted on the data's directory, if a fault needs one; and its size: the logs that etcd keeps, of
/// 64 MB each, and its tree.
pub(super) const DISK_IMAGE: &str = "etcd/data.image";
pub(super) const DISK_BYTES: u64 = 768 << 20;
/// What it says.
pub(super) const LOG: &str = "etcd/etcd.log";

/// Milliseconds between the leader's heartbeats, and without one until an election. etcd's defaults, said to be sure.
const HEARTBEAT_MS: u32 = 100;
const ELECTION_MS: u32 = 1_000;

/// One server of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// The node's name is the server's.
    pub(super) name: String,
    /// The address that the others and the clients use. etcd binds to addresses only, never to names.
    pub(super) address: IpAddr,
}

impl Member {
    /// Looks a node's address up, where the harness runs.
    pub(super) fn of(node: &Node) -> Result<Member, NodeError> {
        let hint = "give the node's IP address, or make its name known on this machine (/etc/hosts)";
        let fail = |why: String| NodeError::new(&node.name, format!("cannot look up its address `{}`: {why}; {hint}", node.address));
        let mut found = (node.address.as_str(), 0).to_socket_addrs().map_err(|e| fail(e.to_string()))?;
        let address = found.next().ok_or_else(|| fail("it has none".into()))?.ip();
        Ok(Member { name: node.name.clone(), address })
    }

    /// All members, in the order of the nodes; every node that cannot be looked up is an error of its own.
    pub(super) fn all(cluster: &Cluster) -> Result<Vec<Member>, Vec<NodeError>> {
        let mut members = Vec::with_capacity(cluster.len());
        let mut errors = Vec::new();
        for node in cluster.nodes.iter() {
            match Member::of(node) {
                Ok(member) => members.push(member),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(members) } else { Err(errors) }
    }

    /// The address to bind to: its own, or all of the node's if that one is not among them (a node behind a translated address).
    fn bind(&self, own: &[IpAddr]) -> IpAddr {
        if self.address.is_loopback() || own.contains(&self.address) {
            return self.address;
        }
        match self.address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// The address of a server in lists of members.
pub(super) fn url(address: IpAddr, port: u16) -> String {
    format!("http://{}", authority(address, port))
}

/// The program of one member, of those that found the cluster or of one that joins it. `directory` is the agent's, absolute;
/// `addresses` are the node's.
pub(super) fn program(
    options: &EtcdOptions,
    members: &[Member],
    index: usize,
    founds: bool,
    directory: &str,
    addresses: &[IpAddr],
) -> Program {
    let member = &members[index];
    let bind = member.bind(addresses);
    let cluster: Vec<String> = members.iter().map(|m| format!("{}={}", m.name, url(m.address, options.peer_port))).collect();
    let flags = [
        ("--name", member.name.clone()),
        ("--data-dir", format!("{directory}/{DATA}")),
        ("--listen-peer-urls", url(bind, options.peer_port)),
        ("--initial-advertise-peer-urls", url(member.address, options.peer_port)),
        ("--listen-client-urls", url(bind, options.client_port)),
        ("--advertise-client-urls", url(member.address, options.client_port)),
        ("--initial-cluster", cluster.join(",")),
        // Of a server that has data, the data says what it belongs to, and these two are ignored.
        ("--initial-cluster-state", if founds { "new".into() } else { "existing".into() }),
        ("--initial-cluster-token", "rashomon".into()),
        ("--heartbeat-interval", HEARTBEAT_MS.to_string()),
        ("--election-timeout", ELECTION_MS.to_string()),
        ("--logger", "zap".into()),
        ("--log-outputs", "stderr".into()),
    ];
    let binary = if options.binary.is_some() { format!("{directory}/{BINARY}") } else { NAME.into() };
    let argv = std::iter::once(binary).chain(flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value])).collect();
    Program { name: NAME.into(), argv, env: Vec::new(), dir: Some(DIRECTORY.into()), log: LOG.into(), own: Own::default() }
}

/// The options in words for the report.
pub(super) fn describe(options: &EtcdOptions) -> Vec<(String, String)> {
    let reads = match options.read {
        Consistency::Linearizable => "linearizable",
        Consistency::Serializable => "serializable: each node answers from what it has",
    };
    let binary = options.binary.as_ref().map_or("the nodes' own".into(), |path| path.display().to_string());
    let ports = format!("{} for clients, {} for peers", options.client_port, options.peer_port);
    [
        ("reads", reads.to_owned()),
        ("results", if options.revisions { "values with their revisions" } else { "values" }.to_owned()),
        ("binary", binary),
        ("ports", ports),
        ("timing", format!("heartbeat {HEARTBEAT_MS} ms, election {ELECTION_MS} ms")),
    ]
    .map(|(name, text)| (name.to_owned(), text))
    .into()
}

/// Where a node stands, as far as this run has moved it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// A member, since the cluster was made.
    #[default]
    Founder,
    /// A member with this identity was asked to be removed; whether it was is not known yet.
    Leaving(String),
    /// No member. It has no process and no data.
    Out,
    /// A member again, perhaps without a process or a vote yet.
    Joining,
    /// A member again.
    Rejoined,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn member(name: &str, address: &str) -> Member {
        Member { name: name.into(), address: address.parse().unwrap() }
    }

    fn value<'a>(program: &'a Program, flag: &str) -> &'a str {
        let at = program.argv.iter().position(|a| a == flag).unwrap();
        &program.argv[at + 1]
    }

    #[test]
    fn a_server_binds_to_its_address_and_knows_the_others() {
        let members = [member("n1", "10.0.0.1"), member("n2", "10.0.0.2")];
        let options = EtcdOptions { client_port: 12_379, peer_port: 12_380, ..EtcdOptions::default() };
        let program = program(&options, &members, 1, true, "/var/lib/rashomon", &["10.0.0.2".parse().unwrap()]);
        assert_eq!(program.argv[0], "etcd");
        assert_eq!(value(&program, "--name"), "n2");
        assert_eq!(value(&program, "--data-dir"), "/var/lib/rashomon/etcd/data");
        assert_eq!(value(&program, "--listen-peer-urls"), "http://10.0.0.2:12380");
        assert_eq!(value(&program, "--listen-client-urls"), "http://10.0.0.2:12379");
        assert_eq!(value(&program, "--initial-cluster"), "n1=http://10.0.0.1:12380,n2=http://10.0.0.2:12380");
        assert_eq!(value(&program, "--initial-cluster-state"), "new");
        let joining = super::program(&options, &members, 1, false, "/var/lib/rashomon", &[]);
        assert_eq!(value(&joining, "--initial-cluster-state"), "existing");
    }

    #[test]
    fn an_address_that_is_not_the_nodes_own_is_advertised_but_not_bound() {
        let members = [member("n1", "203.0.113.5")];
        let program = program(&EtcdOptions::default(), &members, 0, true, "/d", &["10.0.0.5".parse().unwrap()]);
        assert_eq!(value(&program, "--listen-client-urls"), "http://0.0.0.0:2379");
        assert_eq!(value(&program, "--advertise-client-urls"), "http://203.0.113.5:2379");
    }

    #[test]
    fn ipv6_addresses_stand_in_brackets_and_an_uploaded_binary_is_used() {
        let members = [member("n1", "fd00::1")];
        let options = EtcdOptions { binary: Some(PathBuf::from("/tmp/etcd")), ..EtcdOptions::default() };
        let program = program(&options, &members, 0, true, "/d", &["fd00::1".parse().unwrap()]);
        assert_eq!(program.argv[0], "/d/etcd/bin/etcd");
        assert_eq!(value(&program, "--listen-peer-urls"), "http://[fd00::1]:2380");
        assert_eq!(value(&program, "--initial-cluster"), "n1=http://[fd00::1]:2380");
    }

    #[test]
    fn nodes_that_cannot_be_looked_up_are_all_named() {
        let node = |index, address: &str| Node { index, name: format!("n{}", index + 1), address: address.into() };
        let cluster = Cluster { nodes: [node(0, "127.0.0.1"), node(1, ""), node(2, "")].into() };
        let errors = Member::all(&cluster).unwrap_err();
        assert_eq!(errors.iter().map(|e| e.node.as_str()).collect::<Vec<_>>(), ["n2", "n3"]);
        assert!(errors[0].message.contains("IP address"));
    }
}
