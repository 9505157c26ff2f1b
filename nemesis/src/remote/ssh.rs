//! SSH: one session per node, on the node's own plain thread. The only module that names `ssh2`.
//!
//! The session never blocks: every call that would is repeated when the socket is ready, until a deadline of ours. (Its own
//! timeout is one of idleness, and its destructors block while a command runs.) To give up, the socket is shut down, which frees
//! everything at once.
//!
//! Three facts of libssh2 shape the code. A packet that went out in part must be completed by the same call with the same bytes
//! before anything else is sent. Every call takes in all that has arrived, also what another call has just waited for in vain:
//! the socket says nothing of that any more, so who waits for it alone may wait for ever. And a command that a signal killed
//! reports exit status 0: the exit signal is looked at too.

use super::poll::{self, Interest};
use super::ssh_options::{Destination, Surroundings};
use super::{Ended, Exit, HostKeys, Outgoing, Pipe, Remote, SshOptions};
use crate::command::{OUTPUT_BYTES_MAX, shell_line, tail};
use crate::{Node, NodeError};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use ssh2::{BlockDirections, Channel, CheckResult, ErrorCode, HashType, KnownHostFileKind, MethodType, Session};
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// libssh2's codes for the errors that we tell apart.
const WOULD_BLOCK: i32 = -37;
const KEY_REFUSED: i32 = -18;
const KEY_UNVERIFIED: i32 = -19;

/// How much is read or written at a time.
const PIECE_BYTES: usize = 32 << 10;

/// How long to wait for the socket when there may be something to do without it.
const GLANCE: Duration = Duration::from_millis(1);

/// The most that is read in one turn of a pipe.
const TURN_BYTES_MAX: usize = 1 << 20;

/// Ciphers, the first that the server has too: processors encrypt AES by themselves, many times as fast as anything is computed. The last
/// ones are for servers that are older than most.
const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes256-ctr,aes192-ctr,\
                       chacha20-poly1305@openssh.com,aes256-cbc,aes192-cbc,aes128-cbc";

/// The host key algorithms by kind of key, the best first.
const KEY_KINDS: [(&str, &str); 5] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("ssh-rsa", "rsa-sha2-512,rsa-sha2-256,ssh-rsa"),
];

/// A connection over SSH.
pub struct Ssh {
    node: String,
    wire: Wire,
}

impl Ssh {
    /// Connects, checks the host's key and logs in.
    pub fn connect(node: &Node, options: &SshOptions, within: Duration) -> Result<Ssh, NodeError> {
        let fail = |why: String| NodeError::new(&node.name, why);
        let to = Destination::of(&node.address, options, &Surroundings::read()).map_err(fail)?;
        let within = to.connect_timeout_s.map_or(within, |seconds| Duration::from_secs(seconds.max(1)).min(within));
        let deadline = Instant::now() + within;
        let wire = Wire::to_known_host(&to, deadline).map_err(fail)?;
        log_in(&wire, &to, deadline).map_err(fail)?;
        Ok(Ssh { node: node.name.clone(), wire })
    }

    fn begin(&mut self, argv: &[String], deadline: Instant) -> Result<Talk, String> {
        let wire = &self.wire;
        let mut channel = wire.until(deadline, || wire.session.channel_session()).map_err(|e| e.tell("open a channel"))?;
        let line = shell_line(argv);
        wire.until(deadline, || channel.exec(&line)).map_err(|e| e.tell("start a command"))?;
        Ok(Talk { channel, stuck: None })
    }
}

impl Remote for Ssh {
    fn node(&self) -> &str {
        &self.node
    }

    fn execute(&mut self, argv: &[String], input: &mut dyn Read, output: &mut dyn Write, within: Duration) -> Result<Exit, NodeError> {
        let deadline = Instant::now() + within;
        let done = self.begin(argv, deadline).and_then(|mut talk| talk.converse(&self.wire, input, output, deadline));
        done.map_err(|why| {
            // Whatever the state of the channel, nothing more will be asked of it.
            self.wire.cut();
            let program = argv.first().map_or("", String::as_str);
            NodeError::new(&self.node, format!("{why} (running `{program}`)"))
        })
    }

    fn open(mut self: Box<Self>, argv: &[String]) -> Result<Box<dyn Pipe>, NodeError> {
        let deadline = Instant::now() + Duration::from_secs(20);
        let talk = self.begin(argv, deadline).map_err(|why| NodeError::new(&self.node, why))?;
        Ok(Box::new(SshPipe { talk, wire: self.wire, said: Vec::new(), buffer: vec![0; PIECE_BYTES] }))
    }
}

/// Why a call did not succeed.
enum Trouble {
    Late,
    Failed(ssh2::Error),
    Socket(io::Error),
}

impl Trouble {
    fn tell(&self, what: &str) -> String {
        match self {
            Trouble::Late => format!("could not {what} in time: the node, or the network to it, hangs"),
            Trouble::Failed(error) => format!("could not {what}: {}", error.message()),
            Trouble::Socket(error) => format!("could not {what}: the connection failed: {error}"),
        }
    }
}

/// A session and the socket below it.
struct Wire {
    session: Session,
    socket: TcpStream,
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Before the session goes: what is left of it must not wait for anybody.
        self.cut();
    }
}

impl Wire {
    fn cut(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Repeats a call until it does not ask to be repeated, waiting for the socket in between.
    fn until<T>(&self, deadline: Instant, mut call: impl FnMut() -> Result<T, ssh2::Error>) -> Result<T, Trouble> {
        loop {
            match call() {
                Ok(value) => return Ok(value),
                Err(e) if e.code() == ErrorCode::Session(WOULD_BLOCK) => {}
                Err(e) => return Err(Trouble::Failed(e)),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.cut();
                return Err(Trouble::Late);
            }
            poll::wait(&[self.interest()], left).map_err(Trouble::Socket)?;
        }
    }

    /// What the session waits for.
    fn interest(&self) -> Interest<'_> {
        let (read, write) = match self.session.block_directions() {
            BlockDirections::Inbound | BlockDirections::None => (true, false),
            BlockDirections::Outbound => (false, true),
            BlockDirections::Both => (true, true),
        };
        Interest { fd: self.socket.as_fd(), read, write }
    }

    /// Whether the last call left a packet half-way out.
    fn is_half_sent(&self) -> bool {
        matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both)
    }

    /// Connects and agrees on keys; the host's key is of the given kinds if any are given.
    fn open(to: &Destination, kinds: Option<&str>, deadline: Instant) -> Result<Wire, String> {
        let socket = dial(to, deadline)?;
        let broken = |e: io::Error| format!("cannot use the connection to {}: {e}", to.host);
        socket.set_nodelay(true).map_err(broken)?;
        let mut session = Session::new().map_err(|e| format!("cannot use SSH on this machine: {}", e.message()))?;
        session.set_tcp_stream(socket.try_clone().map_err(broken)?);
        session.set_blocking(false);
        for direction in [MethodType::CryptCs, MethodType::CryptSc] {
            session.method_pref(direction, CIPHERS).map_err(|e| e.message().to_string())?;
        }
        if let Some(kinds) = kinds {
            session.method_pref(MethodType::HostKey, kinds).map_err(|e| e.message().to_string())?;
        }
        let wire = Wire { session: session.clone(), socket };
        wire.until(deadline, || session.handshake())
            .map_err(|e| format!("{}; is an SSH server at {} port {}?", e.tell("agree on an encrypted connection"), to.host, to.port))?;
        Ok(wire)
    }

    /// Connects to a host whose key is known, or may be accepted.
    fn to_known_host(to: &Destination, deadline: Instant) -> Result<Wire, String> {
        let wire = Wire::open(to, None, deadline)?;
        let known = KnownHosts::read(to);
        let first = known.check(&wire, to)?;
        if first == Known::Yes || to.host_keys == HostKeys::AcceptAny {
            return Ok(wire);
        }
        // The host may be known by a key of another kind than the one it showed first.
        for (kind, methods) in KEY_KINDS.iter().filter(|(kind, _)| known.text.contains(kind)) {
            tracing::debug!(host = to.host, kind, "asking the host for another kind of key");
            if let Ok(wire) = Wire::open(to, Some(methods), deadline)
                && known.check(&wire, to)? == Known::Yes
            {
                return Ok(wire);
            }
        }
        if first == Known::No && to.host_keys == HostKeys::AcceptNew {
            known.remember(&wire, to)?;
            return Ok(wire);
        }
        Err(known.refusal(&wire, to, first))
    }
}

/// A TCP connection to the first of the host's addresses that answers.
fn dial(to: &Destination, deadline: Instant) -> Result<TcpStream, String> {
    let place = format!("{} port {}", to.host, to.port);
    let addresses = (to.host.as_str(), to.port)
        .to_socket_addrs()
        .map_err(|e| format!("cannot find the address of {}: {e}; is its name right?", to.host))?;
    let mut last = format!("{} has no address", to.host);
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(socket) => return Ok(socket),
            Err(e) if e.kind() == ErrorKind::ConnectionRefused => {
                last = format!("cannot reach {place}: connection refused; is sshd running there, on this port?");
            }
            Err(e) => last = format!("cannot reach {place}: {e}; is the node up, and does its firewall let SSH in?"),
        }
    }
    Err(last)
}

/// What is known of a host's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// It is the host's.
    Yes,
    /// The host has another one.
    Changed,
    /// Nothing.
    No,
}

/// The host keys that are known.
struct KnownHosts {
    files: Vec<PathBuf>,
    text: String,
}

impl KnownHosts {
    fn read(to: &Destination) -> KnownHosts {
        // Files that do not exist know no keys.
        let text = to
            .known_hosts
            .iter()
            .filter_map(|file| fs::read(file).ok())
            .map(|text| String::from_utf8_lossy(&text).to_string() + "\n")
            .collect();
        KnownHosts { files: to.known_hosts.clone(), text }
    }

    fn check(&self, wire: &Wire, to: &Destination) -> Result<Known, String> {
        let fail = |e: ssh2::Error| format!("cannot check the host's key: {}", e.message());
        let mut known = wire.session.known_hosts().map_err(fail)?;
        for line in self.text.lines().filter(|line| !line.starts_with('@')) {
            // A line of a kind that libssh2 does not know must not hide the others.
            let _ = known.read_str(line, KnownHostFileKind::OpenSSH);
        }
        let (key, _) = wire.session.host_key().ok_or("the host showed no key")?;
        let encoded = BASE64_STANDARD.encode(key);
        if self.text.lines().any(|line| line.starts_with("@revoked") && line.split_ascii_whitespace().any(|word| word == encoded)) {
            return Err(format!("the key of {} is revoked in {}", to.host, self.places()));
        }
        match known.check_port(&to.key_name, to.port, key) {
            CheckResult::Match => Ok(Known::Yes),
            CheckResult::Mismatch => Ok(Known::Changed),
            CheckResult::NotFound => Ok(Known::No),
            CheckResult::Failure => Err(format!("cannot compare the key of {} with {}", to.host, self.places())),
        }
    }

    fn places(&self) -> String {
        self.files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
    }

    /// Adds the host's key to the first file.
    fn remember(&self, wire: &Wire, to: &Destination) -> Result<(), String> {
        let (Some(file), Some((key, _))) = (self.files.first(), wire.session.host_key()) else { return Ok(()) };
        let fail = |e: io::Error| format!("cannot add the key of {} to {}: {e}", to.host, file.display());
        let name = if to.port == 22 { to.key_name.clone() } else { format!("[{}]:{}", to.key_name, to.port) };
        let kind = kind_of(key).ok_or("the host's key is damaged")?;
        if let Some(above) = file.parent() {
            fs::create_dir_all(above).map_err(fail)?;
        }
        let mut to_file = OpenOptions::new().read(true).append(true).create(true).open(file).map_err(fail)?;
        let mut text = Vec::new();
        to_file.read_to_end(&mut text).map_err(fail)?;
        let gap = if text.last().is_none_or(|&b| b == b'\n') { "" } else { "\n" };
        to_file.write_all(format!("{gap}{name} {kind} {}\n", BASE64_STANDARD.encode(key)).as_bytes()).map_err(fail)
    }

    fn refusal(&self, wire: &Wire, to: &Destination, result: Known) -> String {
        let print = wire
            .session
            .host_key_hash(HashType::Sha256)
            .map_or("unknown".into(), |hash| format!("SHA256:{}", BASE64_STANDARD_NO_PAD.encode(hash)));
        let kind = wire.session.host_key().and_then(|(key, _)| kind_of(key)).unwrap_or_default();
        let place = format!("{} port {}", to.host, to.port);
        if result == Known::Changed {
            return format!(
                "the key of {place} ({kind} {print}) is not the one in {}: somebody may be listening in, or the host was made anew. If it was, remove its old key by `ssh-keygen -R {}` and log in once by hand",
                self.places(),
                if to.port == 22 { to.key_name.clone() } else { format!("'[{}]:{}'", to.key_name, to.port) },
            );
        }
        format!(
            "the key of {place} ({kind} {print}) is not known in {}: log in once by hand (`ssh -p {} {}@{}`) and check it, or accept new host keys by StrictHostKeyChecking accept-new in ssh_config",
            self.places(),
            to.port,
            to.user,
            to.host,
        )
    }
}

/// The kind of a key: the first string in it.
fn kind_of(key: &[u8]) -> Option<String> {
    let length = u32::from_be_bytes(key.get(..4)?.try_into().ok()?) as usize;
    String::from_utf8(key.get(4..4 + length)?.to_vec()).ok()
}

/// Tries everything there is to log in with, and says what was tried if nothing was accepted.
fn log_in(wire: &Wire, to: &Destination, deadline: Instant) -> Result<(), String> {
    let mut login = Login { wire, to, deadline, tried: Vec::new() };
    if login.attempt().map_err(|e| format!("{} as {}", e.tell("log in"), to.user))? {
        return Ok(());
    }
    let tried = if login.tried.is_empty() { "there is no key to try".into() } else { login.tried.join("; ") };
    Err(format!(
        "{}@{} port {} refused the login ({tried}): name a key that is in the user's authorized_keys there, or another user",
        to.user, to.host, to.port
    ))
}

struct Login<'a> {
    wire: &'a Wire,
    to: &'a Destination,
    deadline: Instant,
    /// What was tried and why it failed.
    tried: Vec<String>,
}

impl Login<'_> {
    /// Whether anything was accepted. An error only if the connection failed.
    fn attempt(&mut self) -> Result<bool, Trouble> {
        let Login { wire, to, deadline, .. } = *self;
        let methods = wire.until(deadline, || wire.session.auth_methods(&to.user).map(str::to_string));
        if wire.session.authenticated() {
            return Ok(true);
        }
        let methods = methods?;
        if methods.contains("publickey") {
            for key in &to.named_keys {
                if self.key(key)? {
                    return Ok(true);
                }
            }
            if self.agent()? {
                return Ok(true);
            }
            for key in to.other_keys.iter().filter(|key| key.exists()) {
                if self.key(key)? {
                    return Ok(true);
                }
            }
        }
        match &to.password {
            Some(_) if methods.contains("password") => {
                let password = || wire.session.userauth_password(&to.user, to.password.as_ref().map_or("", |secret| secret.reveal()));
                let accepted = wire.until(deadline, password);
                self.note("the password", accepted)
            }
            Some(_) => {
                self.tried.push(format!("the password: this server takes only {methods}"));
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn key(&mut self, key: &Path) -> Result<bool, Trouble> {
        let Login { wire, to, deadline, .. } = *self;
        if let Err(e) = fs::File::open(key) {
            self.tried.push(format!("{}: {e}", key.display()));
            return Ok(false);
        }
        let passphrase = to.passphrase.as_ref().map(super::Secret::reveal);
        let accepted = wire.until(deadline, || wire.session.userauth_pubkey_file(&to.user, None, key, passphrase));
        self.note(&key.display().to_string(), accepted)
    }

    fn agent(&mut self) -> Result<bool, Trouble> {
        let Login { wire, to, deadline, .. } = *self;
        let Some(socket) = &to.agent else { return Ok(false) };
        let listed = wire.session.agent().and_then(|mut agent| {
            agent.set_identity_path(socket)?;
            agent.connect()?;
            agent.list_identities()?;
            let identities = agent.identities()?;
            Ok((agent, identities))
        });
        // No agent, or one without keys, is as good as none.
        let Ok((agent, identities)) = listed else { return Ok(false) };
        let files: Vec<Vec<u8>> = to.named_keys.iter().chain(&to.other_keys).filter_map(|key| public_half(key)).collect();
        for identity in identities.iter().filter(|identity| !to.identities_only || files.iter().any(|key| key == identity.blob())) {
            let accepted = wire.until(deadline, || agent.userauth(&to.user, identity));
            if self.note(&format!("the agent's key {}", identity.comment()), accepted)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn note(&mut self, what: &str, accepted: Result<(), Trouble>) -> Result<bool, Trouble> {
        match accepted {
            Ok(()) => return Ok(self.wire.session.authenticated()),
            Err(Trouble::Failed(error)) => match error.code() {
                ErrorCode::Session(KEY_REFUSED | KEY_UNVERIFIED) => self.tried.push(format!("{what}: refused")),
                // The server hangs up after some keys.
                _ if error.message().to_lowercase().contains("socket") => {
                    self.tried.push(format!("{what}: the server hung up"));
                    return Err(Trouble::Failed(error));
                }
                _ => self.tried.push(format!("{what}: {} (an encrypted key needs its passphrase, or an agent)", error.message())),
            },
            Err(trouble) => return Err(trouble),
        }
        Ok(false)
    }
}

/// The public key that lies beside a private one.
fn public_half(key: &Path) -> Option<Vec<u8>> {
    let mut name = key.as_os_str().to_owned();
    if key.extension().is_none_or(|extension| extension != "pub") {
        name.push(".pub");
    }
    let text = fs::read_to_string(name).ok()?;
    BASE64_STANDARD.decode(text.split_ascii_whitespace().nth(1)?).ok()
}

/// A call that must be repeated before any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    In,
    InErrors,
    Out,
}

/// One channel's streams, with the rule that a packet half-way out is completed first.
struct Talk {
    channel: Channel,
    stuck: Option<Direction>,
}

impl Talk {
    /// Makes one call, unless another one must be repeated first. `None` if it would block.
    fn call<T>(&mut self, wire: &Wire, direction: Direction, call: impl FnOnce(&mut Channel) -> io::Result<T>) -> io::Result<Option<T>> {
        if self.stuck.is_some_and(|stuck| stuck != direction) {
            return Ok(None);
        }
        self.stuck = None;
        match call(&mut self.channel) {
            Ok(value) => Ok(Some(value)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if wire.is_half_sent() {
                    self.stuck = Some(direction);
                }
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn read(&mut self, wire: &Wire, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.call(wire, Direction::In, |channel| channel.read(buffer))
    }

    fn read_errors(&mut self, wire: &Wire, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.call(wire, Direction::InErrors, |channel| channel.stderr().read(buffer))
    }

    fn write(&mut self, wire: &Wire, bytes: &[u8]) -> io::Result<Option<usize>> {
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        self.call(wire, Direction::Out, |channel| channel.write(piece))
    }

    /// Waits until a call may succeed that did not before, or until the timeout: for the socket, unless one of the calls has taken
    /// in what an earlier one needs. Then it only glances at the socket, and does not spin while keys are exchanged anew.
    fn wait(&self, others: &[Interest<'_>], socket: Interest<'_>, more_to_send: bool, timeout: Duration) -> io::Result<()> {
        let ready =
            self.stuck.is_none() && (self.channel.read_window().available > 0 || more_to_send && self.channel.write_window().remaining > 0);
        poll::wait(&[&[socket], others].concat(), if ready { timeout.min(GLANCE) } else { timeout })
    }

    /// Feeds and drains a command until it ends.
    fn converse(&mut self, wire: &Wire, input: &mut dyn Read, output: &mut dyn Write, deadline: Instant) -> Result<Exit, String> {
        let lost = |e: io::Error| format!("the connection was lost: {e}");
        let mut piece = vec![0; PIECE_BYTES];
        let mut buffer = vec![0; PIECE_BYTES];
        // What of `piece` is still to be sent.
        let (mut from, mut to, mut input_ended) = (0, 0, false);
        let mut stderr = Vec::new();
        loop {
            let mut moved = false;
            if from == to && !input_ended && self.stuck.is_none() {
                (from, to) = (0, input.read(&mut piece).map_err(|e| format!("cannot read what is to be sent: {e}"))?);
                if to == 0 {
                    input_ended = true;
                    wire.until(deadline, || self.channel.send_eof()).map_err(|e| e.tell("end the input"))?;
                }
            }
            if from < to
                && let Some(length @ 1..) = self.write(wire, &piece[from..to]).map_err(lost)?
            {
                from += length;
                moved = true;
            }
            while let Some(length @ 1..) = self.read(wire, &mut buffer).map_err(lost)? {
                output.write_all(&buffer[..length]).map_err(|e| format!("cannot keep the output: {e}"))?;
                moved = true;
            }
            while let Some(length @ 1..) = self.read_errors(wire, &mut buffer).map_err(lost)? {
                let room = OUTPUT_BYTES_MAX.saturating_sub(stderr.len());
                stderr.extend_from_slice(&buffer[..length.min(room)]);
                moved = true;
            }
            if self.channel.eof() {
                let (status, signal) = self.end(wire, deadline)?;
                return Ok(Exit { status, signal, stderr });
            }
            if !moved {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err("it did not end in time".into());
                }
                self.wait(&[], wire.interest(), from < to, left).map_err(lost)?;
            }
        }
    }

    /// Waits for the channel's end: only then are status and signal known.
    fn end(&mut self, wire: &Wire, deadline: Instant) -> Result<(Option<i32>, Option<i32>), String> {
        wire.until(deadline, || self.channel.close()).map_err(|e| e.tell("close a channel"))?;
        wire.until(deadline, || self.channel.wait_close()).map_err(|e| e.tell("see a command end"))?;
        let signal = self.channel.exit_signal().ok().and_then(|signal| signal.exit_signal);
        match signal {
            Some(name) => Ok((None, Some(signal_number(&name)))),
            None => Ok((self.channel.exit_status().ok(), None)),
        }
    }
}

/// SSH names signals without `SIG`; 0 for names that are not in RFC 4254.
fn signal_number(name: &str) -> i32 {
    match name {
        "ABRT" => libc::SIGABRT,
        "ALRM" => libc::SIGALRM,
        "FPE" => libc::SIGFPE,
        "HUP" => libc::SIGHUP,
        "ILL" => libc::SIGILL,
        "INT" => libc::SIGINT,
        "KILL" => libc::SIGKILL,
        "PIPE" => libc::SIGPIPE,
        "QUIT" => libc::SIGQUIT,
        "SEGV" => libc::SIGSEGV,
        "TERM" => libc::SIGTERM,
        "USR1" => libc::SIGUSR1,
        "USR2" => libc::SIGUSR2,
        _ => 0,
    }
}

/// The agent's channel.
struct SshPipe {
    // Dropped in this order: the channel before its session.
    talk: Talk,
    wire: Wire,
    /// The end of what the agent said on its standard error.
    said: Vec<u8>,
    buffer: Vec<u8>,
}

impl SshPipe {
    fn lost(&self, error: &io::Error) -> Ended {
        Ended { reason: format!("{error} {}", tail(&self.said, 600)).trim_end().to_string() }
    }

    /// Moves what can be moved. Whether anything was.
    fn exchange(&mut self, outgoing: &mut Outgoing, incoming: &mut Vec<u8>) -> io::Result<bool> {
        let mut moved = false;
        while let Some(front) = outgoing.front()
            && let Some(length @ 1..) = self.talk.write(&self.wire, front)?
        {
            outgoing.advance(length);
            moved = true;
        }
        let mut room = TURN_BYTES_MAX;
        while room > 0
            && let Some(length @ 1..) = self.talk.read(&self.wire, &mut self.buffer)?
        {
            incoming.extend_from_slice(&self.buffer[..length]);
            room = room.saturating_sub(length);
            moved = true;
        }
        while let Some(length @ 1..) = self.talk.read_errors(&self.wire, &mut self.buffer)? {
            self.said.extend_from_slice(&self.buffer[..length]);
            let excess = self.said.len().saturating_sub(8 << 10);
            self.said.drain(..excess);
            moved = true;
        }
        Ok(moved)
    }

    /// How the agent ended.
    fn ended(&mut self) -> Ended {
        let deadline = Instant::now() + Duration::from_secs(2);
        let how = match self.talk.end(&self.wire, deadline) {
            Ok((_, Some(signal))) => format!("killed by signal {signal}"),
            Ok((status, None)) => format!("exit status {}", status.unwrap_or_default()),
            Err(why) => why,
        };
        Ended { reason: format!("{how} {}", tail(&self.said, 600)).trim_end().to_string() }
    }
}

impl Pipe for SshPipe {
    fn turn(&mut self, outgoing: &mut Outgoing, incoming: &mut Vec<u8>, wake: BorrowedFd<'_>, timeout: Duration) -> Result<(), Ended> {
        match self.exchange(outgoing, incoming) {
            Err(error) => return Err(self.lost(&error)),
            Ok(true) => return Ok(()),
            Ok(false) if self.talk.channel.eof() => return Err(self.ended()),
            Ok(false) => {}
        }
        // Answers may come at any time, whatever the last call waited for.
        let socket = Interest { read: true, ..self.wire.interest() };
        let more = outgoing.front().is_some();
        self.talk.wait(&[Interest::read(wake)], socket, more, timeout).map_err(|e| self.lost(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_of_a_key_is_its_first_string() {
        let mut key = 11_u32.to_be_bytes().to_vec();
        key.extend(b"ssh-ed25519rest");
        assert_eq!(kind_of(&key).as_deref(), Some("ssh-ed25519"));
        assert_eq!(kind_of(&key[..9]), None);
        assert_eq!(kind_of(&[]), None);
    }

    #[test]
    fn a_closed_port_is_told_as_such() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let node = Node { index: 0, name: "n1".into(), address: "127.0.0.1".into() };
        let options = SshOptions { port: Some(port), config: super::super::ConfigFile::Nothing, ..SshOptions::default() };
        let error = Ssh::connect(&node, &options, Duration::from_secs(5)).err().unwrap().to_string();
        assert!(error.starts_with("n1: cannot reach 127.0.0.1") && error.contains("is sshd running there"), "{error}");
    }

    #[test]
    fn a_server_that_says_nothing_is_given_up_in_time() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let node = Node { index: 0, name: "n1".into(), address: "127.0.0.1".into() };
        let options = SshOptions { port: Some(port), config: super::super::ConfigFile::Nothing, ..SshOptions::default() };
        let started = Instant::now();
        let error = Ssh::connect(&node, &options, Duration::from_millis(300)).err().unwrap().to_string();
        assert!(error.contains("in time") && error.contains("is an SSH server"), "{error}");
        assert!(started.elapsed() < Duration::from_secs(3));
    }
}
