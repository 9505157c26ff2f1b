//! The verdict so far, while a test still runs.
//!
//! A thread reads the history file as it grows, sorts its events by key and judges, twice a second, the keys on which
//! something was answered. Linearizability is closed under prefixes (Herlihy and Wing 1990), ops in flight being of unknown
//! outcome: so a key that is contradicted once stays so, and the whole run is judged again at the end, with its proof. A
//! key is asked again only when it has grown by an eighth, which keeps the work over a run within a small multiple of one
//! check at its end.
//!
//! Where many events are held, a key on which nothing happens any more is judged once more and forgotten: a run that goes from key to
//! key takes no more memory the longer it lasts. Should such a key come back (at the final reads it may), it is judged at the end only.

use crate::tables;
use anyhow::Context as _;
use checker::Consistency;
use checker::budget::Stop;
use checker::verdict::Summary;
use checker::{Budget, Options};
use histories::history::NO_TIME;
use histories::{Builder, Event, Format, History, Kind, Row, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_millis(500);

/// Configurations that one look at one key may visit. A key that needs more is judged at the end.
const STEPS: u64 = 1 << 18;

/// Looks in a row at which nothing has happened on a key, until it may be forgotten: ten seconds.
const QUIET_LOOKS: u64 = 20;

/// Events that are held before any key is forgotten: some ten megabytes.
const EVENTS_HELD: usize = 50_000;

/// What is known so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SoFar {
    /// Keys that were judged at least once.
    pub keys: usize,
    /// Those that nothing explains, in the order of discovery; `None` is the whole of a history without keys.
    pub broken: Vec<Option<String>>,
    /// Why nothing can be said, if so.
    pub failure: Option<String>,
}

impl SoFar {
    /// `so far 12 keys valid`, `so far INVALID: key 3`.
    pub fn in_words(&self) -> String {
        match (&self.failure, self.broken.as_slice()) {
            (Some(why), _) => format!("so far unknown: {why}"),
            (None, []) if self.keys == 0 => "so far nothing was answered".into(),
            (None, []) => format!("so far {} valid", crate::ui::format::many(self.keys, "key")),
            (None, [None, ..]) => "so far INVALID".into(),
            (None, [Some(key)]) => format!("so far INVALID: key {key}"),
            (None, [Some(key), rest @ ..]) => format!("so far INVALID: key {key} and {} more", rest.len()),
        }
    }
}

/// The thread that judges while others record. Ends when dropped.
pub struct Live {
    so_far: Arc<Mutex<SoFar>>,
    budget: Arc<Budget>,
    alive: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Live {
    /// Watches the history file of a run. `on_broken` is called once, at the first contradiction, with a sentence.
    ///
    /// # Errors
    /// What the system says if the file cannot be opened.
    pub fn watch(path: &Path, options: Options, on_broken: impl FnOnce(&str) + Send + 'static) -> anyhow::Result<Live> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut budget = Budget::unlimited();
        budget.steps = Some(STEPS);
        let (so_far, budget) = (Arc::<Mutex<SoFar>>::default(), Arc::new(budget));
        let (alive, ended) = channel::<()>();
        let (told, used) = (Arc::clone(&so_far), Arc::clone(&budget));
        let mut watcher = Watcher { file, tail: Vec::new(), sorter: Sorter::new(options), on_broken: Some(Box::new(on_broken)) };
        let thread = std::thread::Builder::new().name("live".into()).spawn(move || {
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                watcher.look(&used, &told);
            }
        })?;
        Ok(Live { so_far, budget, alive: Some(alive), thread: Some(thread) })
    }

    /// What is known so far.
    pub fn so_far(&self) -> SoFar {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.budget.stop(Stop::Interrupt);
        self.alive.take();
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said so, and the run is judged at its end all the same.
            let _ = thread.join();
        }
    }
}

/// Told once of the first contradiction, in a sentence.
type OnBroken = Box<dyn FnOnce(&str) + Send>;

/// Reads what the file has gained.
struct Watcher {
    file: File,
    /// The beginning of a line whose end is not in the file yet.
    tail: Vec<u8>,
    sorter: Sorter,
    on_broken: Option<OnBroken>,
}

impl Watcher {
    fn look(&mut self, budget: &Budget, told: &Mutex<SoFar>) {
        if let Err(error) = self.read() {
            tracing::warn!(error = format!("{error:#}"), "live");
            self.sorter.so_far.failure = Some(format!("{error:#}"));
        } else {
            self.sorter.judge(budget);
        }
        let so_far = &self.sorter.so_far;
        // It is known to all before the run ends because of it.
        told.lock().unwrap_or_else(PoisonError::into_inner).clone_from(so_far);
        if !so_far.broken.is_empty()
            && let Some(tell) = self.on_broken.take()
        {
            tell(&so_far.in_words());
        }
    }

    /// Takes the whole lines that the file has gained.
    fn read(&mut self) -> anyhow::Result<()> {
        self.file.read_to_end(&mut self.tail).context("cannot read the history while it grows")?;
        let Some(end) = self.tail.iter().rposition(|&byte| byte == b'\n') else { return Ok(()) };
        let lines = histories::read_bytes(&self.tail[..=end], Some(Format::Jsonl)).context("the history")?;
        self.tail.drain(..=end);
        self.sorter.take(&lines);
        Ok(())
    }
}

/// The events by key, and what is known of each key.
struct Sorter {
    options: Options,
    /// By the key as it is written; `None` is the whole of a history without keys.
    keys: BTreeMap<Option<String>, Key>,
    forgotten: Forgotten,
    /// Events that are held before any key is forgotten.
    events_held: usize,
    looks: u64,
    so_far: SoFar,
}

/// Which keys were forgotten: a filter of fixed size (Bloom 1970). It knows each of them, and takes a few others for one, which are
/// then judged at the end only.
struct Forgotten(Box<[u64]>);

impl Forgotten {
    const WORDS: u64 = 1 << 15;

    fn new() -> Forgotten {
        Forgotten(vec![0; Self::WORDS as usize].into())
    }

    /// The bits of a key: word, and bit in it.
    fn bits(key: &str) -> [(usize, u64); 2] {
        [0u8, 1].map(|which| {
            let mut hasher = DefaultHasher::new();
            (which, key).hash(&mut hasher);
            let hash = hasher.finish();
            ((hash / 64 % Self::WORDS) as usize, 1 << (hash % 64))
        })
    }

    fn add(&mut self, key: &str) {
        for (word, bit) in Self::bits(key) {
            self.0[word] |= bit;
        }
    }

    fn has(&self, key: &str) -> bool {
        Self::bits(key).iter().all(|&(word, bit)| self.0[word] & bit != 0)
    }
}

/// One event of a key, its key taken off.
struct Taken {
    process: Value,
    kind: Kind,
    f: String,
    value: Value,
}

#[derive(Default)]
struct Key {
    events: Vec<Taken>,
    /// The number of events when it was judged last.
    judged: usize,
    /// It has been answered since then.
    answered: bool,
    broken: bool,
    /// Ops in flight.
    open: usize,
    /// At which look something had happened on it last.
    touched: u64,
}

impl Sorter {
    fn new(options: Options) -> Sorter {
        Sorter { options, keys: BTreeMap::new(), forgotten: Forgotten::new(), events_held: EVENTS_HELD, looks: 0, so_far: SoFar::default() }
    }

    /// Adds the events of clients. Lines of a file that are cut anywhere between two events are a history by themselves, if
    /// nobody asks which ops they are.
    fn take(&mut self, lines: &History) {
        for event in (0..lines.len() as u32).filter(|&event| lines.is_client(lines.process(event))) {
            let Row { kind, f, process, value, .. } = lines.row(event);
            let (key, value) = match lines.values.as_pair(value).filter(|_| self.options.keyed == Some(true)) {
                Some((key, value)) => (Some(lines.values.display(key)), value),
                None => (None, value),
            };
            if key.as_deref().is_some_and(|key| !self.keys.contains_key(&Some(key.to_owned())) && self.forgotten.has(key)) {
                continue;
            }
            let (key, value) = (self.keys.entry(key).or_default(), lines.values.get(value));
            key.answered |= kind == Kind::Ok;
            key.touched = self.looks;
            key.open = if kind == Kind::Invoke { key.open + 1 } else { key.open.saturating_sub(1) };
            if key.broken {
                continue;
            }
            key.events.push(Taken { process: lines.values.get(process), kind, f: f.to_owned(), value });
        }
    }

    /// Judges the keys that have grown.
    fn judge(&mut self, budget: &Budget) {
        self.looks += 1;
        let options = Options { keyed: Some(false), ..self.options.clone() };
        let looks = self.looks;
        let is_much = self.keys.values().map(|key| key.events.len()).sum::<usize>() > self.events_held;
        let is_quiet = |key: &Key| is_much && key.open == 0 && looks - key.touched > QUIET_LOOKS;
        let ready = |key: &Key| key.answered && !key.broken && (key.events.len() - key.judged > key.judged / 8 || is_quiet(key));
        for (name, key) in self.keys.iter_mut().filter(|(_, key)| ready(key)) {
            if budget.stopped().is_some() {
                return;
            }
            self.so_far.keys += usize::from(key.judged == 0);
            key.judged = key.events.len();
            key.answered = false;
            match tables::check(&history(&key.events), Consistency::Linearizable, &options, budget) {
                Ok(verdict) => key.broken = verdict.answer == Summary::Invalid,
                Err(why) => self.so_far.failure = Some(why),
            }
            if key.broken {
                key.events = Vec::new();
                key.judged = 0;
                self.so_far.broken.push(name.clone());
            }
        }
        let forgotten = &mut self.forgotten;
        self.keys.retain(|name, key| {
            let goes = name.is_some() && !key.broken && !key.answered && is_quiet(key);
            if let Some(name) = name.as_deref().filter(|_| goes) {
                forgotten.add(name);
            }
            !goes
        });
    }
}

fn history(events: &[Taken]) -> History {
    let mut history = Builder::new();
    for Taken { process, kind, f, value } in events {
        let (process, value) = (history.values().insert(process), history.values().insert(value));
        let f = history.name(f);
        history.push(Event { process, kind: *kind, f, value, time: NO_TIME, line: 0 });
    }
    history.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Events of two keys; on key 7, process 1 reads 0 after process 0 has written 1.
    const LINES: [&str; 9] = [
        r#"{"rashomon":1,"keyed":true}"#,
        r#"{"process":0,"type":"invoke","f":"write","value":[7,1]}"#,
        r#"{"process":"nemesis","type":"info","f":"start-partition","value":null}"#,
        r#"{"process":2,"type":"invoke","f":"write","value":[8,1]}"#,
        r#"{"process":2,"type":"ok","f":"write","value":[8,1]}"#,
        r#"{"process":0,"type":"ok","f":"write","value":[7,1]}"#,
        r#"{"process":1,"type":"invoke","f":"read","value":[7,null]}"#,
        r#"{"process":1,"type":"ok","f":"read","value":[7,0]}"#,
        r#"{"process":1,"type":"invoke","f":"read","value":[7,null]}"#,
    ];

    fn options() -> Options {
        Options { keyed: Some(true), initial: Some(Value::Int(0)), ..Options::from("register") }
    }

    #[test]
    fn a_violation_is_found_once_its_last_line_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let mut file = File::create(&path).unwrap();
        let text = LINES.join("\n");
        let violation = text.rfind(LINES[8]).unwrap();
        let (shown, tellings) = (Mutex::default(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&tellings);
        let tell = move |_: &str| {
            count.fetch_add(1, Ordering::Relaxed);
        };
        let mut watcher =
            Watcher { file: File::open(&path).unwrap(), tail: Vec::new(), sorter: Sorter::new(options()), on_broken: Some(Box::new(tell)) };
        let budget = Budget::unlimited();
        for (at, byte) in text.bytes().enumerate() {
            file.write_all(&[byte]).unwrap();
            watcher.look(&budget, &shown);
            let so_far: SoFar = shown.lock().unwrap().clone();
            assert_eq!(so_far.failure, None);
            let broken: &[Option<String>] = if at + 1 >= violation { &[Some("7".into())] } else { &[] };
            assert_eq!(so_far.broken, broken, "after {} bytes", at + 1);
            assert_eq!(tellings.load(Ordering::Relaxed), broken.len());
        }
        assert_eq!(watcher.sorter.so_far.keys, 2);
        assert_eq!(watcher.sorter.so_far.in_words(), "so far INVALID: key 7");
    }

    #[test]
    fn what_cannot_be_judged_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        std::fs::write(&path, "{\"process\":0,\n").unwrap();
        let live = Live::watch(&path, options(), |_| panic!("nothing is broken")).unwrap();
        let begun = std::time::Instant::now();
        while live.so_far().failure.is_none() {
            assert!(begun.elapsed() < Duration::from_secs(30), "it says nothing");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(live.so_far().in_words().starts_with("so far unknown: the history"), "{}", live.so_far().in_words());
        assert!(Live::watch(&folder.path().join("none"), options(), |_| {}).is_err());
    }

    /// A run that goes from key to key: what is held at its end is what the last keys take, and a key that comes back is no lie.
    #[test]
    fn keys_on_which_nothing_happens_are_forgotten() {
        let mut sorter = Sorter::new(options());
        sorter.events_held = 10;
        let budget = Budget::unlimited();
        let lines = |key: u64, read: u64| {
            let ops = [("write", "1", "1"), ("read", "null", &*read.to_string())];
            let line = |kind: &str, (f, value): (&str, &str)| {
                format!("{{\"process\":0,\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":[{key},{value}]}}\n")
            };
            let text: String = ops.iter().flat_map(|&(f, asked, got)| [line("invoke", (f, asked)), line("ok", (f, got))]).collect();
            histories::read_bytes(format!("{{\"rashomon\":1,\"keyed\":true}}\n{text}").as_bytes(), Some(Format::Jsonl)).unwrap()
        };
        for key in 0..1000 {
            sorter.take(&lines(key, 1));
            sorter.judge(&budget);
            assert!(sorter.keys.len() as u64 <= QUIET_LOOKS + 2, "{} keys are held", sorter.keys.len());
        }
        assert!(sorter.so_far.keys >= 990, "{} keys were judged", sorter.so_far.keys);
        // Not from what it was last, but from nothing: it must not be judged.
        sorter.take(&lines(3, 0));
        sorter.judge(&budget);
        assert_eq!(sorter.so_far.broken, Vec::new());
        // A lie that is told at the end of a key is found before it is forgotten.
        sorter.take(&lines(5000, 0));
        for _ in 0..QUIET_LOOKS + 2 {
            sorter.judge(&budget);
        }
        assert_eq!(sorter.so_far.broken, [Some("5000".into())]);
    }

    #[test]
    fn words() {
        let broken = |keys: &[&str]| SoFar { broken: keys.iter().map(|&key| Some(key.into())).collect(), ..SoFar::default() };
        assert_eq!(SoFar::default().in_words(), "so far nothing was answered");
        assert_eq!(SoFar { keys: 1, ..SoFar::default() }.in_words(), "so far 1 key valid");
        assert_eq!(broken(&["3", "5"]).in_words(), "so far INVALID: key 3 and 1 more");
        assert_eq!(SoFar { broken: vec![None], ..SoFar::default() }.in_words(), "so far INVALID");
    }
}
