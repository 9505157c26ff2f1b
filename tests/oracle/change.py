"""What changes a history and must not change its verdict: other names of processes, keys and values; equal values written otherwise."""

from files import Spelt
from history import History


def spelt(history):
    """Values become maps, each written now so, now so; or None where values mean something."""
    model = history.options["model"]
    plain = ("register", "cas-register", "set", "g-set", "2p-set", "or-set", "list-append", "fifo-queue", "unordered-queue", "stack", "deque")
    if model not in (*plain, "id-generator", "multi-register") or history.format not in ("edn", "vector", "tuples", "bare", "json"):
        return None
    if isinstance(history.options["initial"], (int, dict)):
        return None

    def value(of):
        if isinstance(of, tuple):
            return tuple(map(value, of))
        return Spelt(of) if isinstance(of, int) and not isinstance(of, bool) else of

    def told_of(op, of):
        if op.f == "txn" and of is not None:
            return tuple((f, name, value(seen)) for f, name, seen in of)
        return value(of)

    return history.but([op.but(arg=told_of(op, op.arg), ret=told_of(op, op.ret)) for op in history.ops])


def renamed(history):
    """The initial value keeps its name; order is kept where it means something, and so are sums and revisions."""
    model, told = history.options["model"], history.told
    names = {"x": "beta", "y": "alpha", 1: 9, 2: 4} if "initial" not in told or model != "multi-register" else {}
    text = history.options["session_text"]

    def key(name):
        if history.format == "porcupine-kv":
            return {"0": "k", "1": "j"}.get(name, name)
        return names.get(name, name)

    first = history.options["initial"]
    kept = list(first.values()) if isinstance(first, dict) else [first]

    def value(of):
        if isinstance(of, tuple):
            return tuple(map(value, of))
        if of is None or isinstance(of, bool) or of in kept:
            return of
        if isinstance(of, str):
            return of.translate(str.maketrans("bcdef", "cxbgz")) if model == "kv" else of
        if model in ("counter", "g-counter", "pn-counter", "bank", "semaphore"):
            return of
        if model == "fencing-lock":
            return of + 7
        if text or model in ("priority-queue", "max-priority-queue") or history.format == "porcupine-etcd":
            return of * 3 + 5
        return f"v{9 - of}" if of % 2 else of * 1000 + 7

    def told_of(op, of):
        if of is None:
            return None
        if op.f == "txn":
            return tuple((f, key(name), value(seen)) for f, name, seen in of)
        if model == "etcd-kv" and of is op.ret and isinstance(of, tuple) and (op.f == "get" or of[0] == op.arg):
            return (value(of[0]), of[1])
        return value(of)

    order = sorted({op.proc for op in history.ops})
    procs = {proc: 3 + 7 * (len(order) - at) for at, proc in enumerate(order)}
    change = lambda op: op.but(proc=procs[op.proc], key=key(op.key), arg=told_of(op, op.arg), ret=told_of(op, op.ret))
    return History(list(map(change, history.ops)), history.options, history.format, history.keyed, told)
