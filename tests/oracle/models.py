"""What each object promises to one client at a time, written from the README's table of models and the papers that it names.

`STEP[model](state, op, options)` gives every state in which `op` may leave `state`; none: it cannot have happened there with what
it returned. `INIT[model](options)` is the state at first. Values are hashable: vectors are tuples, maps sorted tuples of pairs.
"""


def unknown(op, options):
    """Whether nobody knows what a read returned: it did not end ok, or nil says nothing."""
    return op.out != "ok" or (op.ret is None and options["nil_read"] == "wildcard")


def cell(state, op, options):
    if op.f == "read":
        return [state] if unknown(op, options) or op.ret == state else []
    if op.f == "write":
        return [op.arg]
    old, new = op.arg
    if op.out == "fail":  # Kept only where a failed cas is held against the register.
        return [state] if state != old else []
    return [new] if state == old else []


def kv(state, op, options):
    """Nil and the empty string are one."""
    text = lambda value: "" if value is None else value
    if op.f == "get":
        return [state] if op.out != "ok" or text(op.ret) == state else []
    if op.f == "cas":
        return [text(op.arg[1])] if text(op.arg[0]) == state else []
    return [{"put": text(op.arg), "append": state + text(op.arg), "delete": ""}[op.f]]


def mutex(held, op, options):
    return [not held] if held == (op.f == "release") else []


def reentrant(state, op, options):
    holder, times = state
    if op.f == "acquire":
        return [(op.proc, times + 1)] if times == 0 or holder == op.proc else []
    if times == 0 or holder != op.proc:
        return []
    return [(None, 0) if times == 1 else (holder, times - 1)]


def semaphore(free, op, options):
    many = 1 if op.arg is None else op.arg
    free += many if op.f == "release" else -many
    return [free] if 0 <= free <= options["permits"] else []


def fencing(state, op, options):
    """Held or not, and the least that the last token can be: one that nobody knows is any that is greater than those before."""
    held, last = state
    if op.f == "release":
        return [(False, last)] if held else []
    token = op.ret if op.out == "ok" else last + 1
    return [(True, token)] if not held and token > last else []


def counter(number, op, options):
    if op.f == "read":
        return [number] if op.out != "ok" or op.ret in (None, number) else []
    amount = 1 if op.arg is None else op.arg
    return [number - amount if op.f == "dec" else number + amount]


def a_set(state, op, options):
    """`state`: what is there, and what was ever added. An add or remove that returned true or false says whether it changed anything."""
    there, ever = state
    final = options["model"] == "2p-set"  # What was removed never comes back; to add it again does nothing.
    if op.f == "read":
        # One that is read twice is in no set.
        return [state] if unknown(op, options) or sorted(op.ret or (), key=repr) == sorted(there, key=repr) else []
    if op.f == "contains":
        return [state] if not isinstance(op.ret, bool) or op.ret == (op.arg in there) else []
    if op.f == "add":
        changes = op.arg not in (ever if final else there)
        after = (there | {op.arg} if changes else there, ever | {op.arg})
    else:
        changes = op.arg in there
        after = (there - {op.arg}, ever)
    return [after] if not isinstance(op.ret, bool) or op.out != "ok" or op.ret == changes else []


def a_list(state, op, options):
    if op.f == "append":
        return [state + (op.arg,)]
    return [state] if unknown(op, options) or (op.ret or ()) == state else []


INSERTS = ("enqueue", "push", "insert", "push-front", "push-back")


def container(takes):
    """`takes(state)`: the places from which the next value may be taken."""

    def step(state, op, options):
        if op.f in INSERTS:
            return [state + (op.arg,)]
        if op.out == "ok" and op.ret is None:
            return [state] if not state else []
        places = takes(state) if state else []
        if op.f == "peek":
            return [state] if op.out != "ok" or op.ret in [state[i] for i in places] else []
        return [state[:i] + state[i + 1 :] for i in places if op.out != "ok" or state[i] == op.ret]

    return step


def deque(state, op, options):
    act, end = op.f.split("-")
    if act == "push":
        return [(op.arg, *state) if end == "front" else (*state, op.arg)]
    if op.out == "ok" and op.ret is None:
        return [state] if not state else []
    if op.out != "ok" and act == "peek":
        return [state]
    at = 0 if end == "front" else len(state) - 1
    if not state or (op.out == "ok" and state[at] != op.ret):
        return []
    return [state if act == "peek" else state[:at] + state[at + 1 :]]


def ids(given, op, options):
    if op.out != "ok" or op.ret is None:
        return [given]
    return [given | {op.ret}] if op.ret not in given else []


def multi(state, op, options):
    """A transaction does all at one moment. Nil and the empty list are one: nothing is there, or what was there at first."""
    held = dict(state)
    micros = op.arg if op.out != "ok" else op.ret
    for f, key, value in micros:
        says_nothing = op.out != "ok" or (value is None and options["nil_read"] == "wildcard")
        value = None if value == () else value
        if f == "r":
            if not says_nothing and held.get(key) != value:
                return []
        elif f == "w":
            held[key] = value
        else:
            before = held.get(key)
            if before is not None and not isinstance(before, tuple):
                return []
            held[key] = (before or ()) + (value,)
    return [frozenset(pair for pair in held.items() if pair[1] is not None)]


def etcd(state, op, options):
    """The value, the least that its revision can be, and whether it is just that. Each change has a greater one than that before."""
    value, least, exactly = state
    told = revision(op)
    if op.f == "get":
        if op.out != "ok":
            return [state]
        seen = op.ret if told is None else op.ret[0]
        fits = told is None or (told == least if exactly else told >= least)
        return ([state] if told is None else [(value, told, True)]) if seen == value and fits else []
    if (op.f == "cas" and op.arg[0] != value) or (told is not None and told <= least):
        return []
    if op.f == "delete" and value is None:
        return [state]
    after = {"put": op.arg, "delete": None}[op.f] if op.f != "cas" else op.arg[1]
    return [(after, least + 1 if told is None else told, told is not None)]


def revision(op):
    """Results are `[value revision]`, those of updates with what they were called with."""
    if op.out != "ok" or not isinstance(op.ret, tuple) or len(op.ret) != 2 or not isinstance(op.ret[1], int):
        return None
    return op.ret[1] if op.f == "get" or op.ret[0] == op.arg else None


def bank(state, op, options):
    """Balances; before the first read, where no initial ones were told, the changes since then."""
    known, balances = state[0], dict(state[1])
    if op.f == "read":
        if op.out != "ok" or op.ret is None:
            return [state]
        if known:
            return [state] if dict(op.ret) == balances else []
        return [(True, frozenset(op.ret))] if set(balances) <= set(dict(op.ret)) else []
    a, b, amount = op.arg
    if known and not {a, b} <= set(balances):
        return []
    balances[a] = balances.get(a, 0) - amount
    balances[b] = balances.get(b, 0) + amount
    return [(known, frozenset(balances.items()))]


bag = container(lambda held: range(len(held)))
fifo = container(lambda held: [0])
stack = container(lambda held: [len(held) - 1])
smallest = container(lambda held: [held.index(min(held))])
greatest = container(lambda held: [held.index(max(held))])

STEP = {
    "register": cell, "cas-register": cell, "kv": kv, "mutex": mutex, "counter": counter, "set": a_set, "g-set": a_set,
    "2p-set": a_set, "or-set": a_set, "g-counter": counter, "pn-counter": counter, "list-append": a_list, "fifo-queue": fifo,
    "unordered-queue": bag, "stack": stack, "priority-queue": smallest, "max-priority-queue": greatest, "deque": deque,
    "reentrant-mutex": reentrant, "semaphore": semaphore,
    "fencing-lock": fencing, "id-generator": ids, "multi-register": multi, "etcd-kv": etcd, "bank": bank,
}  # fmt: skip

NO_TOKEN = -(1 << 70)


def init(model, options):
    first = options["initial"]
    if model in ("register", "cas-register"):
        return first
    if model == "multi-register":
        return frozenset((("x", first), ("y", first)) if isinstance(first, int) else (first or {}).items())
    if model == "bank":
        return (first is not None, frozenset((first or {}).items()))
    return {
        "kv": first or "", "mutex": False, "counter": first or 0, "g-counter": first or 0, "pn-counter": first or 0,
        "set": (frozenset(), frozenset()), "g-set": (frozenset(), frozenset()), "2p-set": (frozenset(), frozenset()),
        "or-set": (frozenset(), frozenset()), "reentrant-mutex": (None, 0), "semaphore": options["permits"],
        "fencing-lock": (False, NO_TOKEN), "id-generator": frozenset(), "etcd-kv": (None, 0, True),
    }.get(model, ())  # fmt: skip


def takes_part(op, options):
    """Whether an op has to be ordered: a failed one did not happen, unless a failed cas is held against the register."""
    if op.out != "fail":
        return True
    return op.f == "cas" and options["model"] == "cas-register" and options["failed_cas"] == "assert"
