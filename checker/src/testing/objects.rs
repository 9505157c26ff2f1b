//! Which calls the small histories make, and what they may return.

use histories::Value;

/// A call, and answers to it, right and wrong ones.
pub(super) struct Act {
    pub(super) f: &'static str,
    pub(super) input: Value,
    pub(super) outputs: Vec<Value>,
}

/// A model, and what its clients do.
pub(super) struct Object {
    pub(super) model: &'static str,
    pub(super) calls: fn() -> Vec<Act>,
}

/// Each model that is asked about.
pub(super) const OBJECTS: &[Object] = &[
    Object { model: "register", calls: register },
    Object { model: "cas-register", calls: cas_register },
    Object { model: "kv", calls: kv },
    Object { model: "mutex", calls: lock },
    Object { model: "semaphore", calls: lock },
    Object { model: "reentrant-mutex", calls: lock },
    Object { model: "counter", calls: counter },
    Object { model: "set", calls: set },
    Object { model: "list-append", calls: list },
    Object { model: "fifo-queue", calls: queue },
    Object { model: "unordered-queue", calls: bag },
    Object { model: "stack", calls: stack },
    Object { model: "deque", calls: deque },
    Object { model: "priority-queue", calls: priority_queue },
    Object { model: "max-priority-queue", calls: max_priority_queue },
    Object { model: "fencing-lock", calls: fencing_lock },
    Object { model: "id-generator", calls: ids },
];

fn int(i: i64) -> Value {
    Value::Int(i)
}

fn act(f: &'static str, input: Value, outputs: &[Value]) -> Act {
    Act { f, input, outputs: outputs.to_vec() }
}

/// A call that answers with what it was called with.
fn done(f: &'static str, input: Value) -> Act {
    act(f, input.clone(), &[input])
}

fn register() -> Vec<Act> {
    let read = || act("read", Value::Nil, &[int(0), int(1), int(2)]);
    vec![read(), read(), done("write", int(0)), done("write", int(1)), done("write", int(2))]
}

fn cas_register() -> Vec<Act> {
    let cas = |old, new| done("cas", Value::pair(int(old), int(new)));
    let mut acts = register();
    acts.extend([cas(0, 1), cas(1, 0), cas(1, 2), cas(2, 0)]);
    acts
}

fn kv() -> Vec<Act> {
    let text = |text: &str| Value::Str(text.into());
    let get = || act("get", Value::Nil, &[text(""), text("a"), text("b"), text("ab")]);
    let put = |value| done("put", text(value));
    vec![get(), get(), put("a"), put("b"), done("append", text("b")), act("delete", Value::Nil, &[Value::Nil])]
}

fn lock() -> Vec<Act> {
    vec![done("acquire", Value::Nil), done("release", Value::Nil)]
}

fn counter() -> Vec<Act> {
    let read = || act("read", Value::Nil, &[int(0), int(1), int(2), int(3)]);
    vec![read(), read(), done("add", int(1)), done("add", int(2)), done("dec", Value::Nil)]
}

fn set() -> Vec<Act> {
    let elements = |elements: &[i64]| Value::Set(elements.iter().map(|&i| int(i)).collect());
    let read = act("read", Value::Nil, &[elements(&[]), elements(&[1]), elements(&[2]), elements(&[1, 2])]);
    let told = |f| act(f, int(1), &[Value::Bool(true), Value::Bool(false)]);
    vec![read, done("add", int(1)), done("add", int(2)), told("contains"), told("remove")]
}

fn list() -> Vec<Act> {
    let values = |values: &[i64]| Value::Vector(values.iter().map(|&i| int(i)).collect());
    let read = || act("read", Value::Nil, &[values(&[]), values(&[1]), values(&[2]), values(&[1, 2]), values(&[2, 1])]);
    vec![read(), read(), done("append", int(1)), done("append", int(2))]
}

fn container(put: &'static str, take: &'static str) -> Vec<Act> {
    let taken = || act(take, Value::Nil, &[Value::Nil, int(1), int(2), int(3)]);
    vec![taken(), taken(), taken(), done(put, int(1)), done(put, int(2)), done(put, int(3))]
}

/// One that also shows what comes out next.
fn open_container(put: &'static str, take: &'static str) -> Vec<Act> {
    let mut acts = container(put, take);
    acts.push(act("peek", Value::Nil, &[Value::Nil, int(1), int(2), int(3)]));
    acts
}

fn queue() -> Vec<Act> {
    open_container("enqueue", "dequeue")
}

fn bag() -> Vec<Act> {
    container("enqueue", "dequeue")
}

fn stack() -> Vec<Act> {
    open_container("push", "pop")
}

fn deque() -> Vec<Act> {
    let mut acts = container("push-front", "pop-front");
    acts.extend(container("push-back", "pop-back"));
    acts.extend(["peek-front", "peek-back"].map(|f| act(f, Value::Nil, &[Value::Nil, int(1), int(2), int(3)])));
    acts
}

fn priority_queue() -> Vec<Act> {
    open_container("insert", "delete-min")
}

fn max_priority_queue() -> Vec<Act> {
    open_container("insert", "delete-max")
}

fn fencing_lock() -> Vec<Act> {
    vec![act("acquire", Value::Nil, &[int(1), int(2), int(3)]), done("release", Value::Nil)]
}

fn ids() -> Vec<Act> {
    vec![act("generate", Value::Nil, &[int(1), int(2), int(3), int(4)])]
}
