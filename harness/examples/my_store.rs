//! A store of one's own on Rashomon's command line: a Redis server on this machine.
//!
//! ```sh
//! my_store test redis --nemesis kill,pause          what is acknowledged is on disk: valid
//! my_store test redis --nemesis kill --no-log       nothing is written down, and a kill loses all: invalid
//! my_store test demo                                what comes with Rashomon is there, too
//! ```

use rashomon_harness::{Tables, checker, histories, main_with, nemesis, workloads};

use checker::Consistency;
use clap::{ArgMatches, Args, Command as Options, FromArgMatches};
use futures_util::future::BoxFuture;
use histories::Value;
use nemesis::{Agent, Cluster, Command, Database, Network, Node, Own, Program};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use workloads::server::{OneMachine, Paths, ProgramDatabase, Server, on_this_machine};
use workloads::systems::{Made, MakeError, Nodes, Place, Promise, SYSTEMS, Site};
use workloads::{Client, Completion, Invocation, OpError, System, SystemKind};

fn main() -> ExitCode {
    static ALL: &[&dyn SystemKind] = &[SYSTEMS[0], SYSTEMS[1], &Redis];
    main_with(Tables { systems: ALL, ..Tables::default() })
}

/// The row of the table.
struct Redis;

/// Its options.
#[derive(Clone, Debug, Args)]
#[group(skip)]
struct RedisOptions {
    /// The port of the server
    #[arg(long, value_name = "PORT", default_value = "7379")]
    redis_port: u16,
    /// Writes nothing to disk
    #[arg(long)]
    no_log: bool,
}

impl SystemKind for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn about(&self) -> &'static str {
        "One Redis server on this machine"
    }

    fn place(&self) -> Place {
        Place::Here { usual: 1, possible: 1..=1 }
    }

    fn augment(&self, options: Options) -> Options {
        RedisOptions::augment_args(options)
    }

    fn make(&self, options: &ArgMatches, site: &Site<'_>) -> Result<Made, MakeError> {
        let options = RedisOptions::from_arg_matches(options).map_err(|error| MakeError::Usage(error.to_string()))?;
        let Nodes::Here { count, dir, program } = site.nodes else { return Err(MakeError::Usage("it runs on this machine".into())) };
        let (cluster, agents) = on_this_machine(count, dir, program).map_err(MakeError::Nodes)?;
        let database = ProgramDatabase::new(RedisServer(options.clone()), agents, None);
        let system = Arc::new(RedisSystem { database: Arc::new(database), options });
        Ok(Made { system, cluster })
    }

    fn promises(&self) -> &'static [Promise] {
        &[Promise {
            workload: "register",
            consistency: Consistency::Linearizable,
            words: "appendfsync always: very very slow, very safe",
            source: "https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/",
        }]
    }
}

/// How the server is started.
struct RedisServer(RedisOptions);

impl Server for RedisServer {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn paths(&self) -> Paths {
        Paths { home: "redis", data: "redis/data", disk_image: "redis/image", disk_bytes: 64 << 20, log: "redis/redis.log" }
    }

    fn version_command(&self, _: &Agent) -> Command {
        Command::new(["redis-server", "--version"])
    }

    fn version_in<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.split_whitespace().find_map(|word| word.strip_prefix("v="))
    }

    fn binary_hint(&self) -> &'static str {
        "Debian and Ubuntu have it in the package redis-server"
    }

    fn program(&self, agent: &Agent, _: &Node) -> Program {
        let (port, log) = (self.0.redis_port.to_string(), if self.0.no_log { "no" } else { "yes" });
        // The server makes no directory for its data.
        let script = "mkdir -p \"$1\" && cd \"$1\" && shift && exec redis-server \"$@\"";
        let data = format!("{}/{}", agent.directory(), self.paths().data);
        let flags = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", log, "--appendfsync", "always"];
        let argv = ["sh", "-c", script, "sh", &data].iter().chain(&flags).map(|&word| word.to_owned()).collect();
        Program { name: "redis".into(), argv, env: Vec::new(), dir: None, log: self.paths().log.into(), own: Own::default() }
    }

    fn readiness(&self, _: &Cluster) -> Result<(), (usize, String)> {
        std::net::TcpStream::connect(address(&self.0)).map(drop).map_err(|error| (0, error.to_string()))
    }

    fn has_leaders(&self) -> bool {
        false
    }

    fn leaders(&self, _: &Cluster) -> Vec<usize> {
        Vec::new()
    }
}

/// The store under test.
struct RedisSystem {
    database: Arc<ProgramDatabase<RedisServer>>,
    options: RedisOptions,
}

impl System for RedisSystem {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn database(&self) -> Arc<dyn Database> {
        self.database.clone()
    }

    fn network(&self) -> Arc<dyn Network> {
        Arc::new(OneMachine)
    }

    fn offers(&self, f: &str) -> bool {
        ["read", "write"].contains(&f)
    }

    fn client(&self, _: &Node) -> Box<dyn Client> {
        Box::new(RedisClient { address: address(&self.options), connection: None })
    }

    fn lacks(&self, fault: &str) -> Option<String> {
        ["partition", "packet"].contains(&fault).then(|| OneMachine::LACKS.into())
    }

    fn describe(&self) -> Vec<(String, String)> {
        vec![("log".into(), if self.options.no_log { "none" } else { "synced before each answer" }.into())]
    }
}

fn address(options: &RedisOptions) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, options.redis_port).into()
}

/// A connection, and one attempt per op.
struct RedisClient {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl RedisClient {
    /// Sends a command and reads its answer: `None` for nil.
    async fn ask(&mut self, words: &[&str]) -> std::io::Result<Option<String>> {
        // Taken out: who is dropped while the answer is on its way leaves no connection with half an answer behind.
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(self.address).await?),
        };
        let words_sent = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
        let command = std::iter::once(format!("*{}\r\n", words.len())).chain(words_sent).collect::<String>();
        connection.get_mut().write_all(command.as_bytes()).await?;
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let answer = match (line.get(..1), line.get(1..).map(str::trim_end)) {
            (Some("+"), Some(text)) => Some(text.to_owned()),
            (Some("$"), Some("-1")) => None,
            (Some("$"), Some(length)) => {
                let mut text = vec![0; length.parse::<usize>().map_err(std::io::Error::other)? + 2];
                connection.read_exact(&mut text).await?;
                Some(String::from_utf8_lossy(&text).trim_end().to_owned())
            }
            _ => return Err(std::io::Error::other(format!("it says {line:?}"))),
        };
        self.connection = Some(connection);
        Ok(answer)
    }
}

impl Client for RedisClient {
    fn open(&mut self) -> BoxFuture<'_, Result<(), OpError>> {
        Box::pin(async { Ok(()) })
    }

    fn invoke<'a>(&'a mut self, op: &'a Invocation) -> BoxFuture<'a, Completion> {
        Box::pin(async move {
            let Some([key, value]) = op.value.elements() else { return Completion::Fail(OpError::new("no-pair", "")) };
            let (name, written) = (key.to_string(), value.to_string());
            let answer = if op.f == "read" { self.ask(&["GET", &name]).await } else { self.ask(&["SET", &name, &written]).await };
            match (op.f, answer) {
                ("read", Ok(None)) => Completion::Ok(Value::pair(key.clone(), Value::Nil)),
                ("read", Ok(Some(text))) => match text.parse::<i64>() {
                    Ok(number) => Completion::Ok(Value::pair(key.clone(), number)),
                    Err(_) => Completion::Fail(OpError::new("no-number", text)),
                },
                ("read", Err(error)) => Completion::Fail(OpError::new("io", error.to_string())),
                (_, Ok(_)) => Completion::Ok(op.value.clone()),
                // It may have been done.
                (_, Err(error)) => Completion::Info(OpError::new("io", error.to_string())),
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.connection = None })
    }
}
