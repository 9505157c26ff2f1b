//! The node process: sockets, a log and a clock around one replication scheme.
//!
//! Two threads. The first runs tokio: it accepts connections, reads lines from clients and peers, and keeps one connection to
//! each peer. The second is the `Core`: it alone touches the scheme, the log and the links. It takes what has come in, lets
//! the scheme act on all of it, forces the records to disk once, and only then lets messages and answers out: many clients
//! share the cost of one write to disk.

use super::link::Links;
use super::log::Log;
use super::protocol::{Answer, Call, Packet, Refusal, Request, Status, read_line, to_line};
use super::scheme::async_primary::AsyncPrimary;
use super::scheme::causal::Causal;
use super::scheme::gossip::Gossip;
use super::scheme::lease_lock::LeaseLock;
use super::scheme::multi_leader::MultiLeader;
use super::scheme::quorum::Quorum;
use super::scheme::sloppy_quorum::SloppyQuorum;
use super::scheme::sync_primary::SyncPrimary;
use super::scheme::total_order::{Reads, TotalOrder};
use super::scheme::{NODES_MAX, Place, Replication, Scheme, TICK, Ticket, Turn, counters, sets};
use super::switches::Watched;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc as outbox, oneshot};

/// The most inputs that wait for the core. More packets are lost, more calls are refused.
const INPUTS_MAX: usize = 1 << 16;
/// The most inputs of one turn, so that nobody waits long for the turn's end.
const INPUTS_PER_TURN_MAX: usize = 1024;
/// The most turns whose packets wait for a connection to a peer. More are lost.
const OUTBOX_MAX: usize = 1 << 12;
/// The most turns whose packets and answers wait to be handed to connections. Then the core waits.
const MAIL_MAX: usize = 64;
/// The most bytes given to a connection at once.
const WRITE_BYTES_MAX: usize = 1 << 16;
/// How long a node waits before it tries again to connect to a peer.
const RECONNECT: Duration = Duration::from_millis(20);
/// How many probes a node remembers to have heard.
const PROBES_MAX: usize = 1024;

/// Everything a node process is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    /// Which node it is.
    pub index: usize,
    /// The ports of all nodes on 127.0.0.1, by index.
    pub ports: Vec<u16>,
    /// The directory of its log and its switches.
    pub data: PathBuf,
    /// Its replication scheme.
    pub replication: Replication,
    /// The delays of its links follow from this.
    pub seed: u64,
}

impl NodeOptions {
    /// The command line that [`NodeOptions::parse`] reads.
    pub fn arguments(&self) -> Vec<String> {
        let peers: Vec<String> = self.ports.iter().map(u16::to_string).collect();
        let pairs = [
            ("--index", self.index.to_string()),
            ("--peers", peers.join(",")),
            ("--data", self.data.to_string_lossy().into_owned()),
            ("--replication", self.replication.name().to_owned()),
            ("--seed", self.seed.to_string()),
        ];
        pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    /// Reads what follows `demo-node` on the command line.
    ///
    /// # Errors
    /// A sentence on what is missing or cannot be read.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<NodeOptions, String> {
        let mut given = BTreeMap::new();
        let mut arguments = arguments.into_iter();
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            given.insert(name, value);
        }
        let mut take = |name: &str| given.remove(name).ok_or_else(|| format!("{name} is missing"));
        let number = |name: &str, text: String| text.parse::<u64>().map_err(|error| format!("{name} {text}: {error}"));
        let replication = take("--replication")?;
        let options = NodeOptions {
            index: number("--index", take("--index")?)? as usize,
            ports: take("--peers")?
                .split(',')
                .map(|port| port.parse().map_err(|error| format!("--peers: {port}: {error}")))
                .collect::<Result<_, String>>()?,
            data: take("--data")?.into(),
            replication: Replication::by_name(&replication).ok_or_else(|| format!("--replication {replication}: unknown"))?,
            seed: number("--seed", take("--seed")?)?,
        };
        if let Some((name, _)) = given.first_key_value() {
            return Err(format!("{name}: unknown"));
        }
        if options.index >= options.ports.len() || options.ports.len() > NODES_MAX {
            return Err(format!("--index {} of {} peers: at most {NODES_MAX} nodes, counted from 0", options.index, options.ports.len()));
        }
        Ok(options)
    }
}

/// Runs a node until it is killed. It logs by `tracing`; who calls this decides where to.
///
/// # Errors
/// What keeps the node from starting or from going on: a port in use, a damaged log, a disk that fails.
pub fn run(options: &NodeOptions) -> io::Result<()> {
    match options.replication {
        Replication::Quorum => serve(options, |place| Quorum::new(place, true)),
        Replication::QuorumNoRepair => serve(options, |place| Quorum::new(place, false)),
        Replication::SloppyQuorum => serve(options, SloppyQuorum::new),
        Replication::AsyncPrimary => serve(options, AsyncPrimary::new),
        Replication::SyncPrimary => serve(options, SyncPrimary::new),
        Replication::MultiLeader => serve(options, MultiLeader::new),
        Replication::TotalOrder => serve(options, |place| TotalOrder::new(place, Reads::Local)),
        Replication::TotalOrderReads => serve(options, |place| TotalOrder::new(place, Reads::InTheLog)),
        Replication::CausalBroadcast => serve(options, |place| Causal::new(place, false)),
        Replication::CausalConvergent => serve(options, |place| Causal::new(place, true)),
        Replication::GCounter => serve(options, Gossip::<counters::GrowOnly>::new),
        Replication::PnCounter => serve(options, Gossip::<counters::UpDown>::new),
        Replication::GSet => serve(options, Gossip::<sets::GrowOnly>::new),
        Replication::TwoPhaseSet => serve(options, Gossip::<sets::TwoPhase>::new),
        Replication::OrSet => serve(options, Gossip::<sets::ObservedRemove>::new),
        Replication::LeaseLock => serve(options, |place| LeaseLock::new(place, false)),
        Replication::FencedLock => serve(options, |place| LeaseLock::new(place, true)),
    }
}

/// What the core is told. Each answer goes back through its channel; one that is dropped closes the connection.
enum Input<M> {
    Call(Call, oneshot::Sender<Answer>),
    Packet(usize, Packet<M>),
    Status(oneshot::Sender<Status>),
    Probe { to: usize, number: u64, sent: oneshot::Sender<bool> },
    Heard { number: u64, heard: oneshot::Sender<Option<bool>> },
}

fn serve<S: Scheme>(options: &NodeOptions, make: impl FnOnce(Place) -> S) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The port first: a second node on the same data must not touch the log.
        let port = options.ports[options.index];
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on 127.0.0.1:{port}: {error}")))?;
        let (inputs, from_connections) = mpsc::sync_channel(INPUTS_MAX);
        let (mail, from_core) = outbox::channel(MAIL_MAX);
        let up: Up = options.ports.iter().map(|_| AtomicBool::new(false)).collect();
        let mut core = Core::open(options, make, from_connections, mail, up.clone())?;
        tokio::spawn(deliver(from_core, connect_to_peers(options, &up)));
        let (ended, end) = oneshot::channel();
        std::thread::Builder::new().name("core".into()).spawn(move || ended.send(core.run()))?;
        tokio::select! {
            result = accept(&listener, &inputs, options.ports.len()) => result,
            result = end => result.unwrap_or_else(|_| Err(io::Error::other("the core has panicked"))),
        }
    })
}

/// What leaves the node at the end of a turn.
struct Mail {
    /// Lines for each peer, by index.
    packets: Vec<Vec<u8>>,
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
}

/// Which peers there is a connection to, by index.
type Up = Arc<[AtomicBool]>;

/// The one thread that acts.
struct Core<S: Scheme> {
    place: Place,
    replication: Replication,
    scheme: S,
    log: Log,
    links: Links<Packet<S::Message>>,
    switches: Watched,
    inputs: mpsc::Receiver<Input<S::Message>>,
    mail: outbox::Sender<Mail>,
    up: Up,
    waiting: BTreeMap<Ticket, oneshot::Sender<Answer>>,
    last_ticket: u64,
    /// The last probes, newest first, and whether the links let them through.
    probes: VecDeque<(u64, bool)>,
    start: Instant,
    next_tick: Duration,
}

impl<S: Scheme> Core<S> {
    fn open(
        options: &NodeOptions,
        make: impl FnOnce(Place) -> S,
        inputs: mpsc::Receiver<Input<S::Message>>,
        mail: outbox::Sender<Mail>,
        up: Up,
    ) -> io::Result<Core<S>> {
        std::fs::create_dir_all(&options.data)?;
        let recovered = Log::open(&options.data.join("log"))?;
        let boot = recovered.log.boot();
        let place = Place { index: options.index, nodes: options.ports.len(), boot };
        let (records, torn_bytes) = (recovered.records.len(), recovered.torn_bytes);
        tracing::info!(index = place.index, boot, records, torn_bytes, replication = options.replication.name(), "started");
        let mut scheme = make(place);
        recovered.records.into_iter().for_each(|record| scheme.recover(record));
        Ok(Core {
            place,
            replication: options.replication,
            scheme,
            log: recovered.log,
            links: Links::new(options.seed ^ (place.index as u64) << 48 ^ boot << 32),
            switches: Watched::open(&options.data.join("switches"))?,
            inputs,
            mail,
            up,
            waiting: BTreeMap::new(),
            last_ticket: 0,
            probes: VecDeque::new(),
            start: Instant::now(),
            next_tick: Duration::ZERO,
        })
    }

    /// Turn after turn, until the disk fails or the connections are gone.
    fn run(&mut self) -> io::Result<()> {
        loop {
            let next = self.links.next_due().map_or(self.next_tick, |due| due.min(self.next_tick));
            let first = match self.inputs.recv_timeout(next.saturating_sub(self.start.elapsed())) {
                Ok(input) => Some(input),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if first.is_some() {
                self.switches.look()?;
            }
            let mut turn = Turn::new(self.place.index, self.start.elapsed()).at(self.wall_ms());
            let mut mail = Mail { packets: vec![Vec::new(); self.place.nodes], answers: Vec::new() };
            self.take_inputs(first, &mut turn, &mut mail);
            self.take_packets(&mut turn);
            if turn.now() >= self.next_tick {
                self.scheme.tick(&mut turn);
                turn.deliver_to_self(&mut self.scheme);
                self.next_tick = turn.now() + TICK;
            }
            self.finish(turn, mail)?;
        }
    }

    /// Milliseconds since 1970, as this node's wall clock has it.
    fn wall_ms(&self) -> i64 {
        let machine = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        machine + self.switches.current().clock_ahead_ms
    }

    /// What has come in from connections. Packets go into the links.
    fn take_inputs(&mut self, first: Option<Input<S::Message>>, turn: &mut Turn<S>, mail: &mut Mail) {
        let mut next = first;
        for _ in 0..INPUTS_PER_TURN_MAX {
            let Some(input) = next.take().or_else(|| self.inputs.try_recv().ok()) else { break };
            // Whoever asked may be gone: then nobody misses the answer.
            match input {
                Input::Call(call, reply) => self.call(call, reply, turn),
                Input::Packet(from, packet) => self.arrive(from, packet, turn.now()),
                Input::Status(reply) => drop(reply.send(self.status())),
                Input::Probe { to, number, sent } => drop(sent.send(self.probe(to, number, mail))),
                Input::Heard { number, heard } => drop(heard.send(self.fate(number))),
            }
        }
    }

    /// The packets that the links let through by now.
    fn take_packets(&mut self, turn: &mut Turn<S>) {
        while let Some((from, packet)) = self.links.pop_due(turn.now()) {
            match packet {
                Packet::Message(message) => {
                    self.scheme.receive(from, message, turn);
                    turn.deliver_to_self(&mut self.scheme);
                }
                Packet::Probe(number) => self.note_probe(number, true),
            }
        }
    }

    /// A packet comes in: the links hold it back, or drop it.
    fn arrive(&mut self, from: usize, packet: Packet<S::Message>, now: Duration) {
        let probe = if let Packet::Probe(number) = packet { Some(number) } else { None };
        let is_data = if let Packet::Message(message) = &packet { S::is_data(message) } else { false };
        if !self.links.accept(now, from, packet, is_data, self.switches.current())
            && let Some(number) = probe
        {
            self.note_probe(number, false);
        }
    }

    fn note_probe(&mut self, number: u64, heard: bool) {
        self.probes.truncate(PROBES_MAX - 1);
        self.probes.push_front((number, heard));
    }

    fn fate(&self, number: u64) -> Option<bool> {
        self.probes.iter().find(|probe| probe.0 == number).map(|probe| probe.1)
    }

    fn call(&mut self, call: Call, reply: oneshot::Sender<Answer>, turn: &mut Turn<S>) {
        self.last_ticket += 1;
        let ticket = Ticket(self.last_ticket);
        self.waiting.insert(ticket, reply);
        self.scheme.call(ticket, call, turn);
        turn.deliver_to_self(&mut self.scheme);
    }

    /// Puts a probe in the mail. Returns whether there is a connection to take it.
    fn probe(&self, to: usize, number: u64, mail: &mut Mail) -> bool {
        if let Some(lines) = mail.packets.get_mut(to) {
            lines.extend(to_line(&Packet::<S::Message>::Probe(number)));
        }
        self.up.get(to).is_some_and(|up| up.load(Ordering::Relaxed))
    }

    /// Records first, then what rests on them.
    fn finish(&mut self, turn: Turn<S>, mut mail: Mail) -> io::Result<()> {
        for record in turn.records {
            self.log.append(record)?;
        }
        self.log.commit()?;
        if self.log.wants_rewrite() {
            self.log.rewrite(self.scheme.snapshot())?;
        }
        for (to, message) in turn.sends {
            if let Some(lines) = mail.packets.get_mut(to) {
                lines.extend(to_line(&Packet::Message(message)));
            }
        }
        for (ticket, answer) in turn.answers {
            mail.answers.extend(self.waiting.remove(&ticket).map(|reply| (reply, answer)));
        }
        if mail.answers.is_empty() && mail.packets.iter().all(Vec::is_empty) {
            return Ok(());
        }
        self.mail.blocking_send(mail).map_err(|_| io::Error::other("the thread of the connections is gone"))
    }

    fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            replication: self.replication.name().into(),
            leads: self.scheme.leads(),
            boot: self.place.boot,
            links: self.up.iter().filter(|up| up.load(Ordering::Relaxed)).count(),
        }
    }
}

/// Hands what the core sends to the connections. What is for a peer without a connection, or one that takes nothing more, is
/// lost.
async fn deliver(mut from_core: outbox::Receiver<Mail>, peers: Vec<outbox::Sender<Vec<u8>>>) {
    while let Some(mail) = from_core.recv().await {
        for (peer, lines) in peers.iter().zip(mail.packets).filter(|(_, lines)| !lines.is_empty()) {
            let _ = peer.try_send(lines);
        }
        for (reply, answer) in mail.answers {
            // A client that is gone misses nothing.
            drop(reply.send(answer));
        }
    }
}

/// A task per peer that keeps a connection to it. The place of this node itself takes nothing.
fn connect_to_peers(options: &NodeOptions, up: &Up) -> Vec<outbox::Sender<Vec<u8>>> {
    let peer = |(peer, &port): (usize, &u16)| {
        let (lines, queue) = outbox::channel(OUTBOX_MAX);
        if peer != options.index {
            tokio::spawn(keep_connected(options.index, peer, port, queue, up.clone()));
        }
        lines
    };
    options.ports.iter().enumerate().map(peer).collect()
}

/// Connects to a peer again and again. What waits when a connection breaks is lost.
async fn keep_connected(index: usize, peer: usize, port: u16, mut queue: outbox::Receiver<Vec<u8>>, up: Up) {
    loop {
        if let Ok(stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
            up[peer].store(true, Ordering::Relaxed);
            let end = write_packets(stream, index, &mut queue).await;
            up[peer].store(false, Ordering::Relaxed);
            match end {
                Ok(()) => return,
                Err(error) => tracing::info!(peer, %error, "connection to a peer lost"),
            }
        }
        while queue.try_recv().is_ok() {}
        tokio::time::sleep(RECONNECT).await;
    }
}

/// Writes packets until the connection breaks (an error) or the core is gone.
async fn write_packets(stream: TcpStream, index: usize, queue: &mut outbox::Receiver<Vec<u8>>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut answers, mut stream) = stream.into_split();
    stream.write_all(&to_line(&Request::Peer(index))).await?;
    let mut bytes = Vec::new();
    let mut nothing = [0];
    loop {
        tokio::select! {
            packet = queue.recv() => match packet {
                Some(packet) => bytes.extend(packet),
                None => return Ok(()),
            },
            // A peer never answers here: the end of its life is all that can be read.
            end = answers.read(&mut nothing) => return Err(end.err().unwrap_or(io::ErrorKind::ConnectionReset.into())),
        }
        while bytes.len() < WRITE_BYTES_MAX
            && let Ok(packet) = queue.try_recv()
        {
            bytes.extend(packet);
        }
        stream.write_all(&bytes).await?;
        bytes.clear();
    }
}

type Inputs<M> = mpsc::SyncSender<Input<M>>;

async fn accept<M: serde::de::DeserializeOwned + Send + 'static>(
    listener: &TcpListener,
    inputs: &Inputs<M>,
    nodes: usize,
) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let inputs = inputs.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &inputs, nodes).await {
                        tracing::debug!(%error, "connection ended");
                    }
                });
            }
            // Too many open files, or a connection that was gone again: others go on.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(RECONNECT).await;
            }
        }
    }
}

/// Serves one connection, request after request.
async fn answer<M: serde::de::DeserializeOwned>(stream: TcpStream, inputs: &Inputs<M>, nodes: usize) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (stream, mut answers) = stream.into_split();
    let mut stream = BufReader::new(stream);
    let mut buffer = Vec::new();
    while let Some(request) = read_line(&mut stream, &mut buffer).await? {
        let line = match request {
            Request::Call(call) => {
                let (reply, answer) = oneshot::channel();
                match inputs.try_send(Input::Call(call, reply)) {
                    Ok(()) => to_line(&answer.await.map_err(|_| gone())?),
                    Err(_) => to_line(&Answer::Fail(Refusal::Busy)),
                }
            }
            Request::Status => ask(inputs, Input::Status).await?,
            Request::Probe { to, number } => ask(inputs, |sent| Input::Probe { to, number, sent }).await?,
            Request::Heard { number } => ask(inputs, |heard| Input::Heard { number, heard }).await?,
            Request::Peer(from) if from < nodes => return receive(from, &mut stream, inputs, &mut buffer).await,
            Request::Peer(from) => return Err(io::Error::other(format!("there is no node {from}"))),
        };
        answers.write_all(&line).await?;
    }
    Ok(())
}

/// Puts a question to the core and makes a line of its answer.
async fn ask<M, T: serde::Serialize>(inputs: &Inputs<M>, question: impl FnOnce(oneshot::Sender<T>) -> Input<M>) -> io::Result<Vec<u8>> {
    let (reply, answer) = oneshot::channel();
    inputs.try_send(question(reply)).map_err(|_| gone())?;
    Ok(to_line(&answer.await.map_err(|_| gone())?))
}

fn gone() -> io::Error {
    io::Error::other("the core is gone or has too much to do")
}

/// Takes the packets of a peer. What the core has no room for is lost.
async fn receive<M: serde::de::DeserializeOwned>(
    from: usize,
    stream: &mut (impl tokio::io::AsyncBufRead + Unpin),
    inputs: &Inputs<M>,
    buffer: &mut Vec<u8>,
) -> io::Result<()> {
    while let Some(packet) = read_line(stream, buffer).await? {
        let _ = inputs.try_send(Input::Packet(from, packet));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_say_it_all() {
        let options = NodeOptions {
            index: 2,
            ports: vec![20_001, 20_002, 20_003],
            data: "/tmp/a directory/n3".into(),
            replication: Replication::QuorumNoRepair,
            seed: u64::MAX,
        };
        assert_eq!(NodeOptions::parse(options.arguments()), Ok(options));
    }

    #[test]
    fn bad_arguments_are_refused() {
        let good = ["--index", "0", "--peers", "1,2", "--data", "d", "--replication", "quorum", "--seed", "7"];
        let refuse = |at: usize, with: &str| {
            let mut arguments = good.map(str::to_owned);
            arguments[at] = with.into();
            NodeOptions::parse(arguments).unwrap_err()
        };
        assert_eq!(refuse(1, "2"), "--index 2 of 2 peers: at most 64 nodes, counted from 0");
        assert!(refuse(3, "1,x").starts_with("--peers: x:"));
        assert_eq!(refuse(7, "raid"), "--replication raid: unknown");
        assert_eq!(refuse(8, "--sede"), "--seed is missing");
        assert_eq!(NodeOptions::parse(["--index".to_owned()]).unwrap_err(), "--index needs a value");
    }
}
