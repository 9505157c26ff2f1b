//! Porcupine's operations as JSON: one object per op, with its client, its input and output, and the times of its call and of
//! its return. What Go's `encoding/json` makes of `porcupine.Operation`, and its ports to other languages with their names in
//! snake case; one array, or one object after another.
//!
//! `{"ClientId":3,"Input":{"f":"write","key":"x","value":1},"Call":10,"Output":{"value":1},"Return":20}`
//!
//! There are no events in such a file: they are made from the times. Where a call and a return fall together the call comes
//! first, so that ops whose closed intervals touch are concurrent. An op without a return is of unknown outcome.

use crate::draft::Draft;
use crate::error::Fault;
use crate::history::{Builder, History, Kind, NO_EVENT, NO_TIME, Outcome};
use crate::json;
use crate::jsonl::{Strictness, write_string, write_value};
use crate::sequence::{InOrder, text_of};
use crate::text::{Container, newlines};
use crate::tree::Stored;
use crate::value::{Value, Values};
use std::io::{self, Write};

/// Whether a text that begins with an object looks like operations.
pub(crate) fn looks_like_it(text: &str) -> bool {
    let first = text.split_once("\n{").map_or(text, |(first, _)| first).to_lowercase();
    first.contains("\"call") && first.contains("\"return") && first.contains("\"input\"")
}

/// One operation.
#[derive(Debug)]
struct Interval {
    client: Value,
    f: String,
    /// What it was called with and, if it ended `ok`, what it returned.
    input: Value,
    output: Value,
    outcome: Outcome,
    call: i64,
    /// `None`: it never returned.
    end: Option<i64>,
    line: u32,
}

/// Reads operations.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    container: Container,
    intervals: Vec<Interval>,
    /// Whether they have keys.
    keyed: Option<bool>,
    values: Values,
}

impl Operations {
    /// Reads the next operation or bracket, if there is one.
    fn step(&mut self, reader: &mut json::Reader<'_>, line: u32) -> Result<(), Fault> {
        let at = reader.position();
        match self.container {
            Container::Unknown if reader.skip(b'[') => self.container = Container::Open(b']'),
            Container::Open(closer) if reader.skip(closer) => self.container = Container::Closed,
            Container::Closed => return Err(Fault::syntax(at, "something follows the closing bracket of the history")),
            Container::Unknown | Container::Bare | Container::Open(_) => {
                self.values.clear();
                let id = reader.value(&mut self.values)?;
                let (interval, has_key) = interval(&self.values.get(id), line).map_err(|message| Fault::event(at, message))?;
                if *self.keyed.get_or_insert(has_key) != has_key {
                    return Err(Fault::event(at, "some operations have a key and some have none"));
                }
                self.intervals.push(interval);
                if self.container == Container::Unknown {
                    self.container = Container::Bare;
                }
            }
        }
        Ok(())
    }
}

impl InOrder for Operations {
    fn take(&mut self, bytes: &[u8], first_line: u32, is_last: bool, _: &mut Builder) -> Result<usize, Fault> {
        let (text, wrong) = text_of(bytes, is_last);
        let mut reader = json::Reader::new(text, false);
        let (mut line, mut counted) = (first_line, 0);
        loop {
            reader.between();
            let at = reader.position();
            line += newlines(&text.as_bytes()[counted..at]);
            counted = at;
            let ended = if at == text.len() {
                None
            } else {
                match self.step(&mut reader, line) {
                    Ok(()) => continue,
                    Err(fault) if fault.ended || reader.position() == text.len() => Some(fault),
                    Err(fault) => return Err(fault),
                }
            };
            return match (wrong, ended) {
                (Some(fault), _) => Err(fault),
                (None, Some(fault)) if is_last => Err(fault),
                (None, _) => Ok(at),
            };
        }
    }

    fn finish(&mut self, builder: &mut Builder) -> Result<(), Fault> {
        if let Container::Open(closer) = self.container {
            return Err(Fault::ended(0, &format!("the history: its {:?} is missing", char::from(closer))));
        }
        if self.keyed == Some(true) {
            builder.meta().keyed = Some(true);
        }
        put_in_order(&self.intervals, builder)
    }
}

/// Makes the events, in order of time.
fn put_in_order(intervals: &[Interval], builder: &mut Builder) -> Result<(), Fault> {
    let mut events: Vec<(i64, bool, usize)> = Vec::with_capacity(intervals.len() * 2);
    for (i, interval) in intervals.iter().enumerate() {
        events.push((interval.call, false, i));
        if let Some(end) = interval.end {
            events.push((end, true, i));
        }
    }
    events.sort_unstable();
    for (time, is_return, i) in events {
        let Interval { client, f, input, output, outcome, line, .. } = &intervals[i];
        let mut draft = Draft::new(*line);
        draft.time = time;
        draft.f = Some(f.as_str().into());
        draft.process = Some(builder.values().insert(client)).filter(|id| !id.is_nil());
        draft.kind = Some(match outcome {
            _ if !is_return => Kind::Invoke,
            Outcome::Ok => Kind::Ok,
            Outcome::Fail => Kind::Fail,
            Outcome::Info => Kind::Info,
        });
        draft.value = Some(builder.values().insert(if is_return && *outcome == Outcome::Ok { output } else { input }));
        draft.push(builder, 0)?;
    }
    Ok(())
}

/// The field of an object by one of its names, which are compared without case and underscores.
fn field<'a>(object: &'a [(Value, Value)], names: &[&str]) -> Option<&'a Value> {
    let is_named = |key: &Value| match key {
        Value::Str(key) => names.contains(&key.replace('_', "").to_lowercase().as_str()),
        _ => false,
    };
    object.iter().find(|(key, _)| is_named(key)).map(|(_, value)| value)
}

/// An operation, and whether it has a key.
fn interval(value: &Value, line: u32) -> Result<(Interval, bool), String> {
    let Value::Map(object) = value else {
        return Err("this is no operation: expected an object".into());
    };
    let time = |value: &Value| match value {
        Value::Int(time) => Ok(Some(*time)),
        Value::Nil => Ok(None),
        other => Err(format!("the time of an operation is {other}; times are whole numbers of nanoseconds, of 64 bits")),
    };
    let call = field(object, &["call", "calltime", "start", "invoke"]).map(time).transpose()?.flatten();
    let call = call.ok_or("this operation has no time of its call")?;
    let end = field(object, &["return", "returntime", "end", "complete"]).map(time).transpose()?.flatten();
    if end.is_some_and(|end| end < call) {
        return Err("this operation returns before it is called".into());
    }
    let (f, key, argument) = input(field(object, &["input"]).unwrap_or(&Value::Nil));
    let (output, outcome) = output(field(object, &["output"]).unwrap_or(&Value::Nil), &f, &argument);
    let under_key = |value: Value| match &key {
        Some(key) => Value::Vector(vec![key.clone(), value]),
        None => value,
    };
    let client = field(object, &["clientid", "client", "process"]).cloned().unwrap_or(Value::Nil);
    let outcome = if end.is_none() { Outcome::Info } else { outcome };
    Ok((Interval { client, f, input: under_key(argument), output: under_key(output), outcome, call, end, line }, key.is_some()))
}

/// The function, the key and the argument. Functions are names, or the codes of Porcupine's own models: 0 to 2 for get, put
/// and append of its key-value store, true and false for the get and the put of its register.
fn input(input: &Value) -> (String, Option<Value>, Value) {
    let Value::Map(object) = input else {
        return ("call".into(), None, input.clone());
    };
    let f = match field(object, &["f", "op", "operation", "type", "kind"]) {
        Some(Value::Str(name)) => name.to_lowercase(),
        Some(Value::Int(0)) => "get".into(),
        Some(Value::Int(1)) => "put".into(),
        Some(Value::Int(2)) => "append".into(),
        Some(Value::Bool(is_get)) => if *is_get { "read" } else { "write" }.into(),
        _ => return ("call".into(), None, input.clone()),
    };
    let key = field(object, &["key", "k"]).cloned();
    let argument = field(object, &["value", "v", "arg", "args"]).cloned().unwrap_or(Value::Nil);
    (f, key, argument)
}

/// What this program's own writer calls the ways in which operations end.
const OUTCOMES: [(&str, Outcome); 3] = [("ok", Outcome::Ok), ("fail", Outcome::Fail), ("info", Outcome::Info)];

/// What an operation returned, and how it ended, if a `type` does not say it. An update that returns nothing returns what it was called with, as in every
/// other format; one that returns false did not take effect.
fn output(output: &Value, f: &str, argument: &Value) -> (Value, Outcome) {
    let value = match output {
        Value::Map(object) => {
            let value = field(object, &["value", "v"]).cloned().unwrap_or(Value::Nil);
            let told = match field(object, &["type"]) {
                Some(Value::Str(name)) => OUTCOMES.iter().find(|(known, _)| **name == **known),
                _ => None,
            };
            if let Some((_, outcome)) = told {
                return (value, *outcome);
            }
            value
        }
        other => other.clone(),
    };
    let is_read = matches!(f, "read" | "get" | "call");
    match value {
        Value::Bool(false) if !is_read => (argument.clone(), Outcome::Fail),
        Value::Bool(true) | Value::Nil if !is_read => (argument.clone(), Outcome::Ok),
        // What Go makes of a result that was never set.
        Value::Int(0) if matches!(f, "write" | "put" | "append") => (argument.clone(), Outcome::Ok),
        value => (value, Outcome::Ok),
    }
}

/// Writes a history as Porcupine's operations, one array: the client ops, in the order of their calls. The times are those of
/// the events where they alone say which came first, else the events' positions. An op of unknown outcome returns after all
/// others; what JSON lacks becomes what comes nearest. The nemesis's events have no place in this format.
pub(crate) fn write(mut out: impl Write, history: &History) -> io::Result<()> {
    let clock = Clock::of(history);
    let mut line = Vec::new();
    out.write_all(b"[")?;
    for (i, &op) in history.ops().iter().filter(|op| op.invoke != NO_EVENT).enumerate() {
        line.clear();
        line.extend_from_slice(if i == 0 { b"{" } else { b",\n{" });
        let stored = |id| Stored(&history.values, id);
        let process = history.op_process(op);
        line.extend_from_slice(b"\"ClientId\":");
        write_value(&mut line, stored(history.process_name(process)), Strictness::Plain);
        line.extend_from_slice(b",\"Input\":{\"f\":");
        write_string(&mut line, history.name(history.op_function(op)));
        line.extend_from_slice(b",\"value\":");
        write_value(&mut line, stored(history.input(op)), Strictness::Plain);
        write!(line, "}},\"Call\":{},\"Output\":{{\"type\":\"", clock.time(history, op.invoke))?;
        let outcome = OUTCOMES.iter().find(|(_, outcome)| *outcome == history.outcome(op));
        line.extend_from_slice(outcome.map_or("", |(name, _)| name).as_bytes());
        line.extend_from_slice(b"\",\"value\":");
        match history.output(op) {
            Some(output) => write_value(&mut line, stored(output), Strictness::Plain),
            None => line.extend_from_slice(b"null"),
        }
        let end = if history.outcome(op) == Outcome::Info { clock.end } else { clock.time(history, op.complete) };
        write!(line, "}},\"Return\":{end}}}")?;
        out.write_all(&line)?;
    }
    out.write_all(b"]\n")?;
    out.flush()
}

/// Whether the times of a history are written, and not its events' positions.
pub(crate) fn holds_times(history: &History) -> bool {
    Clock::of(history).has_times
}

/// The times that are written.
struct Clock {
    /// Whether the history's own times put the events into their order.
    has_times: bool,
    /// After everything.
    end: i64,
}

impl Clock {
    fn of(history: &History) -> Clock {
        // An op of unknown outcome has no return of its own.
        let is_written = |&event: &u32| history.is_client(history.process(event)) && history.kind(event) != Kind::Info;
        let times = || (0..history.len() as u32).filter(is_written).map(|event| history.time(event).unwrap_or(NO_TIME));
        let has_times = times().is_sorted_by(|a, b| a < b) && !times().any(|time| time == NO_TIME);
        let last = if has_times { times().next_back() } else { Some(history.len() as i64) };
        Clock { has_times, end: last.unwrap_or(0).saturating_add(1) }
    }

    /// A time, or the event's position.
    fn time(&self, history: &History, event: u32) -> i64 {
        if self.has_times { history.time(event).unwrap_or(0) } else { i64::from(event) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read_bytes;

    fn told(history: &History) -> Vec<String> {
        let row = |event| {
            let row = history.row(event);
            let value = |id| history.values.display(id);
            format!("{} {} {} {}", value(row.process), row.kind.name(), row.f, value(row.value))
        };
        (0..history.len() as u32).map(row).collect()
    }

    #[test]
    fn go_and_snake_case() {
        let go = r#"[{"ClientId":0,"Input":{"Op":1,"Key":"x","Value":"a"},"Call":10,"Output":{"Value":""},"Return":20},
            {"ClientId":1,"Input":{"Op":0,"Key":"x","Value":""},"Call":20,"Output":{"Value":"a"},"Return":30}]"#;
        let history = read_bytes(go.as_bytes(), None).unwrap();
        assert_eq!((history.meta.format, history.meta.keyed), ("intervals", Some(true)));
        // They touch, so they are concurrent.
        let events = ["0 invoke put [\"x\" \"a\"]", "1 invoke get [\"x\" \"\"]", "0 ok put [\"x\" \"\"]", "1 ok get [\"x\" \"a\"]"];
        assert_eq!(told(&history), events);

        let rust = r#"{"client_id":7,"input":{"op":"Cas","value":[1,2]},"call":1,"output":false,"return_time":2}
            {"client_id":8,"input":{"op":"write","value":3},"call":1,"output":null,"return_time":null}"#;
        let history = read_bytes(rust.as_bytes(), None).unwrap();
        assert_eq!(told(&history), ["7 invoke cas [1 2]", "8 invoke write 3", "7 fail cas [1 2]"]);
        assert_eq!(history.line(1), 2);

        let register = r#"[{"ClientId":0,"Input":{"Op":false,"Value":100},"Call":0,"Output":0,"Return":9}]"#;
        let history = read_bytes(register.as_bytes(), None).unwrap();
        assert_eq!(told(&history), ["0 invoke write 100", "0 ok write 100"]);
        assert_eq!(crate::lint::refusal(&history), None);
    }

    #[test]
    fn refusals() {
        for (text, error) in [
            (r#"{"input":1,"call":5,"return":4}"#, "1:1: this operation returns before"),
            ("[\n3]", "2:1: this is no operation"),
            (r#"[{"input":1,"call":"x","return":4}]"#, "1:2: the time of an operation is \"x\""),
            (r#"[{"input":{"f":"a","key":1},"call":1},{"input":{"f":"a"},"call":1}]"#, "1:39: some operations have a key"),
        ] {
            let refusal = read_bytes(text.as_bytes(), Some(crate::Format::Intervals)).unwrap_err().to_string();
            assert!(refusal.starts_with(error), "{text}: {refusal}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let text = "[0 :invoke :write 1] [1 :invoke :read nil] [1 :ok :read 1] [2 :invoke :cas [1 2]] [2 :fail :cas [1 2]] [3 :invoke :put 3] \
             [3 :ok :put false] [4 :invoke :put 3] [4 :ok :put nil] [0 :info :write 1]";
        let history = read_bytes(text.as_bytes(), None).unwrap();
        let mut written = Vec::new();
        write(&mut written, &history).unwrap();
        let again = read_bytes(&written, None).unwrap();
        assert_eq!(again.meta.format, "intervals");
        assert_eq!(told(&again), told(&history));
    }
}
