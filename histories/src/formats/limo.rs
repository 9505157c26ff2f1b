//! Calls and returns, a line each: the histories of `LiMo`, and those of Emmi, Enea and Hamza (PLDI 2015) that it goes back to.
//!
//! ```text
//! # @object atomic-stack
//! [1] call push(3)
//! [2] call pop
//! [1] return
//! [2] return 3
//! ```
//!
//! The number is that of a thread, or of an operation. Who calls again before the return, or after a line `crash`, never comes back
//! to the call: its outcome is unknown. Of a method that returns a value it may stand in the call (`call pop(3)`); `empty` is none.

use super::objects::{Does, LIMO, Object, named};
use crate::draft::Draft;
use crate::error::Fault;
use crate::history::{Builder, Kind};
use crate::sequence::ByLine;
use crate::value::{Value, ValueId};
use hashbrown::HashMap;

/// Whether a text that begins with a comment names an object.
pub(crate) fn looks_like_it(text: &str) -> bool {
    text.lines().map(str::trim).take_while(|line| line.is_empty() || line.starts_with('#')).any(|line| object_of(line).is_some())
}

/// The name of the object in a comment.
fn object_of(comment: &str) -> Option<&str> {
    comment.strip_prefix('#')?.trim_start().strip_prefix("@object").map(str::trim)
}

/// A thread.
#[derive(Debug, Default)]
struct Thread {
    /// How often it left a call and went on: as many processes it was before.
    left: u32,
    open: Option<Call>,
}

/// A call without a return as yet.
#[derive(Debug)]
struct Call {
    f: &'static str,
    does: Does,
    /// What stands in the call.
    told: Option<Value>,
}

/// Reads calls and returns.
#[derive(Debug, Default)]
pub(crate) struct Limo {
    object: Option<Object>,
    threads: HashMap<String, Thread>,
}

impl ByLine for Limo {
    fn line(&mut self, content: &str, at: usize, number: u32, builder: &mut Builder) -> Result<(), Fault> {
        const HELP: &str = "a line is `[1] call push(3)`, `[1] return`, `[1] return 3`, `crash` or a comment behind #";
        if content.starts_with('#') {
            return object_of(content).map_or(Ok(()), |name| self.begin(name, at, builder));
        }
        if content == "crash" {
            self.threads.values_mut().for_each(Thread::leave);
            return Ok(());
        }
        let wrong = || Fault::syntax(at, "this is no call, no return and no crash").help(HELP);
        let (thread, event) = content.strip_prefix('[').and_then(|rest| rest.split_once(']')).ok_or_else(wrong)?;
        let (name, rest) = split_word(event.trim());
        match name {
            "call" => self.call(thread.trim(), rest, at, number, builder),
            "return" => self.returns(thread.trim(), rest, at, number, builder),
            "crash" if rest.is_empty() => {
                self.threads.entry(thread.trim().to_owned()).or_default().leave();
                Ok(())
            }
            _ => Err(wrong()),
        }
    }

    fn finish(&mut self, _: &mut Builder) -> Result<(), Fault> {
        Ok(())
    }
}

impl Limo {
    fn begin(&mut self, name: &str, at: usize, builder: &mut Builder) -> Result<(), Fault> {
        let object = named(LIMO, name).ok_or_else(|| {
            let known: Vec<&str> = LIMO.iter().map(|(name, _)| *name).collect();
            Fault::syntax(at, format!("an object {name:?} is not known; there are {}", known.join(", ")))
        })?;
        self.object = Some(object);
        builder.meta().header.insert("model".into(), Value::Str(object.model.into()));
        builder.meta().keyed = Some(false);
        Ok(())
    }

    fn call(&mut self, thread: &str, what: &str, at: usize, line: u32, builder: &mut Builder) -> Result<(), Fault> {
        let object = self.object.ok_or_else(|| {
            Fault::syntax(at, "a call, and nothing has said of which object")
                .help("the file begins with `# @object atomic-stack`, or another")
        })?;
        let end = what.find(|c: char| c == '(' || c.is_whitespace()).unwrap_or(what.len());
        let (name, told) = what.split_at(end);
        let (f, does) = object.method(name).map_err(|why| Fault::syntax(at, why))?;
        let told = values(told.trim().trim_start_matches('(').trim_end_matches(')'));
        let input = match does {
            Does::Takes | Does::Answers => told.clone().unwrap_or(Value::Nil),
            Does::Gives => Value::Nil,
        };
        let entry = self.threads.entry(thread.to_owned()).or_default();
        entry.leave();
        entry.open = Some(Call { f, does, told });
        let process = process(builder, thread, entry.left);
        push(builder, Kind::Invoke, f, process, &input, line)
    }

    fn returns(&mut self, thread: &str, what: &str, at: usize, line: u32, builder: &mut Builder) -> Result<(), Fault> {
        let entry = self.threads.entry(thread.to_owned()).or_default();
        let Some(Call { f, does, told }) = entry.open.take() else {
            return Err(Fault::event(at, format!("[{thread}] returns from no call")));
        };
        let returned = values(what.trim_start_matches('(').trim_end_matches(')'));
        let (kind, value) = match (does, returned) {
            // A bounded object may refuse.
            (Does::Takes, Some(Value::Bool(false))) => (Kind::Fail, told.unwrap_or(Value::Nil)),
            (Does::Takes, _) | (Does::Answers, None) => (Kind::Ok, told.unwrap_or(Value::Nil)),
            (Does::Answers | Does::Gives, Some(value)) => (Kind::Ok, value),
            (Does::Gives, None) => {
                let value = told.ok_or_else(|| Fault::event(at, format!("nothing says what {f} returned; none is `return empty`")))?;
                (Kind::Ok, value)
            }
        };
        let process = process(builder, thread, entry.left);
        push(builder, kind, f, process, &value, line)
    }
}

impl Thread {
    /// Whoever goes on without a return is somebody else from then on.
    fn leave(&mut self) {
        self.left += u32::from(self.open.take().is_some());
    }
}

fn process(builder: &mut Builder, thread: &str, left: u32) -> ValueId {
    let number = thread.parse().ok().filter(|_| left == 0);
    let name = number.map_or_else(|| Value::Str(if left == 0 { thread.into() } else { format!("{thread}+{left}").into() }), Value::Int);
    builder.values().insert(&name)
}

fn push(builder: &mut Builder, kind: Kind, f: &'static str, process: ValueId, value: &Value, line: u32) -> Result<(), Fault> {
    let mut draft = Draft::new(line);
    draft.kind = Some(kind);
    draft.f = Some(f.into());
    draft.process = Some(process);
    draft.value = Some(builder.values().insert(value));
    draft.push(builder, 0).map(drop)
}

fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (&text[..end], text[end..].trim())
}

/// The values in a list with commas or blanks: none, one, or a vector of several.
fn values(text: &str) -> Option<Value> {
    let mut all: Vec<Value> = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty()).map(value).collect();
    match all.len() {
        0 | 1 => all.pop(),
        _ => Some(Value::Vector(all)),
    }
}

fn value(word: &str) -> Value {
    match word {
        "empty" | "nil" | "null" => Value::Nil,
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        word => word.parse().map_or_else(|_| Value::Str(word.into()), Value::Int),
    }
}

#[cfg(test)]
mod tests {
    use crate::formats::told;
    use crate::{Format, read_bytes};

    #[test]
    fn calls_and_returns() {
        let text = "# of a run\n# @object atomic-stack\n\n[1] call push(3)\n[2] call pop\n[1] return\n[2] return 3\n[1] call pop()\n[1] return empty\n\
             [x] call push b\n[x] return true\n[2] call push(4)\n[2] return false\n";
        let expected = [
            "1 invoke push 3",
            "2 invoke pop nil",
            "1 ok push 3",
            "2 ok pop 3",
            "1 invoke pop nil",
            "1 ok pop nil",
            "\"x\" invoke push \"b\"",
            "\"x\" ok push \"b\"",
            "2 invoke push 4",
            "2 fail push 4",
        ];
        assert_eq!(told(text, "limo"), expected);
        let queue = "# @object atomic-queue\n[1] call add(1)\n[1] return\n[2] call remove\n[2] return 1\n";
        assert_eq!(told(queue, "limo"), ["1 invoke enqueue 1", "1 ok enqueue 1", "2 invoke dequeue nil", "2 ok dequeue 1"]);
        let set = "# @object atomic-set\n[1] call add(1)\n[1] return true\n[2] call contains(2)\n[2] return false\n";
        assert_eq!(told(set, "limo"), ["1 invoke add 1", "1 ok add true", "2 invoke contains 2", "2 ok contains false"]);
    }

    #[test]
    fn who_calls_again_or_crashes_never_comes_back() {
        let text = "# @object atomic-stack\n[0] call push(1)\n[0] call pop(2)\n[0] return\n[1] call pop(1)\ncrash\n[1] call pop(1)\n[1] return\n\
             [0] call pop\n[0] return empty\n";
        let expected = [
            "0 invoke push 1",
            "\"0+1\" invoke pop nil",
            "\"0+1\" ok pop 2",
            "1 invoke pop nil",
            "\"1+1\" invoke pop nil",
            "\"1+1\" ok pop 1",
            "\"0+1\" invoke pop nil",
            "\"0+1\" ok pop nil",
        ];
        assert_eq!(told(text, "limo"), expected);
    }

    #[test]
    fn refusals() {
        for (text, error) in [
            ("# @object atomic-cow\n", "1:1: an object \"atomic-cow\" is not known"),
            ("# @object atomic-stack\n[1] call push(1)\n[2] return\n", "3:1: [2] returns from no call"),
            ("# @object atomic-stack\n[1] call moo(1)\n", "2:1: the model stack has no method moo"),
            ("# @object atomic-stack\n[1] call pop\n[1] return\n", "3:1: nothing says what pop returned"),
            ("# @object atomic-stack\n1 call pop\n", "2:1: this is no call"),
            ("[1] call pop\n", "1:1: a call, and nothing has said of which object"),
        ] {
            let refusal = read_bytes(text.as_bytes(), Some(Format::Limo)).unwrap_err().to_string();
            assert!(refusal.starts_with(error), "{text}: {refusal}");
        }
    }
}
