//! An SSH server of our own on loopback, with keys of its own, for one test.

use nemesis::remote::{ConfigFile, HostKeys};
use nemesis::{Access, Cluster, Node, SshOptions};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Sshd {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) port: u16,
    server: Child,
}

impl Sshd {
    /// `None`, said loudly, if there is no sshd; a panic if there must be one.
    pub(crate) fn start() -> Option<Sshd> {
        let Some(program) = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"].iter().find(|path| Path::new(path).exists()) else {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            let required = std::env::var("RASHOMON_REQUIRE").is_ok_and(|parts| parts.split(',').any(|part| part == "lab"));
            assert!(!required, "{test} cannot run, but RASHOMON_REQUIRE asks for it: there is no sshd");
            // Not by eprintln: the output of a test that passes is thrown away.
            let _ = writeln!(std::io::stderr(), "NOT RUN: {test}: there is no sshd");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (kind, name) in [("ed25519", "host"), ("ecdsa", "host2"), ("ed25519", "key"), ("ecdsa", "key2"), ("ed25519", "stranger")] {
            make_key(kind, &folder.path().join(name), "");
        }
        make_key("ed25519", &folder.path().join("locked"), "open sesame");
        let authorized: String =
            ["key", "key2", "locked"].iter().map(|key| fs::read_to_string(path(&format!("{key}.pub"))).unwrap()).collect();
        fs::write(path("authorized"), authorized).unwrap();
        // Somebody may take the port between here and the start; then the next one is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let config = format!(
                "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nHostKey {}\nPidFile none\nUsePAM no\nUseDNS no\nStrictModes no\n\
                 PermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nAuthorizedKeysFile {}\n",
                path("host"),
                path("host2"),
                path("authorized")
            );
            fs::write(path("config"), config).unwrap();
            // As root, sshd wants a directory that only its service makes: it gets one that nobody else sees.
            let script = "if [ \"$(id -u)\" = 0 ]; then mount -t tmpfs sshd /run && mkdir /run/sshd || exit 1; fi; exec \"$@\"";
            let own_mounts: &[&str] = if is_root() { &["unshare", "--mount", "--propagation", "private"] } else { &[] };
            let argv: Vec<&str> = own_mounts.iter().copied().chain(["sh", "-c", script, "sh", program, "-D", "-e", "-f"]).collect();
            let log = fs::File::create(path("log")).unwrap();
            let mut server = Command::new(argv[0])
                .args(&argv[1..])
                .arg(path("config"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()
                .unwrap();
            if answers(port, &mut server) {
                return Some(Sshd { folder, port, server });
            }
            let _ = server.kill();
            let _ = server.wait();
        }
        panic!("sshd does not come up: {}", fs::read_to_string(path("log")).unwrap());
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of known hosts with one of the host's keys, as it is known at a port.
    pub(crate) fn known(&self, host_key: &str, port: u16) -> PathBuf {
        let key = fs::read_to_string(self.path(&format!("{host_key}.pub"))).unwrap();
        let mut words = key.split(' ');
        let line = format!("[127.0.0.1]:{port} {} {}\n", words.next().unwrap(), words.next().unwrap());
        let file = self.path(&format!("known-{host_key}-{port}"));
        fs::write(&file, line).unwrap();
        file
    }

    /// Options that log in with the right key to a known host.
    pub(crate) fn options(&self) -> SshOptions {
        SshOptions {
            port: Some(self.port),
            keys: vec![self.path("key")],
            known_hosts: vec![self.known("host", self.port)],
            host_keys: Some(HostKeys::Strict),
            config: ConfigFile::Nothing,
            ..SshOptions::default()
        }
    }

    pub(crate) fn access(&self) -> Access {
        Access::Ssh(self.options())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// A cluster of one node: this machine.
pub(crate) fn cluster() -> Cluster {
    Cluster { nodes: [Node { index: 0, name: "n1".into(), address: "127.0.0.1".into() }].into() }
}

fn make_key(kind: &str, file: &Path, passphrase: &str) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", kind, "-N", passphrase, "-C", "test", "-f"]).arg(file).status().unwrap();
    assert!(made.success(), "ssh-keygen failed");
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}

fn answers(port: u16, server: &mut Child) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline && server.try_wait().unwrap().is_none() {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let mut banner = [0; 4];
            if stream.read_exact(&mut banner).is_ok() && &banner == b"SSH-" {
                return true;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
