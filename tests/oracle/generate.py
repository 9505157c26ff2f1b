"""Random histories of at most six operations: an object is used by a few clients, one after the other or at the same time, or through
replicas that lag; then, in about half of them, an answer is changed. Values are few, so that answers fit by chance as well."""

from history import History, Op, meaning
from levels import CONVERGING, REPLICATED, VIEWS
from models import INSERTS, STEP, init

OPS_MAX = 6
WEAK = (*VIEWS, "causal", "causal-convergence")
CONTAINERS = {"stack": ("push", "pop"), "priority-queue": ("insert", "delete-min"), "max-priority-queue": ("insert", "delete-max")}
TAKES = ("dequeue", "pop", "delete-min", "delete-max", "pop-front", "pop-back", "peek", "peek-front", "peek-back")
PLAIN = ("jsonl", "bare", "edn", "vector", "json", "tuples", "console", "intervals")


def draw_options(rng, model, level):
    """What is told on the command line."""
    told = {}
    if model in ("register", "cas-register") and rng.random() < 0.4:
        told["initial"] = rng.choice([0, 1])
    elif model in ("counter", "g-counter", "pn-counter") and rng.random() < 0.3:
        told["initial"] = rng.choice([0, 5, -1])
    elif model == "kv" and rng.random() < 0.2:
        told["initial"] = "a"
    elif model == "multi-register" and rng.random() < 0.3:
        # Below these levels every key begins with one value.
        told["initial"] = {"x": 0, "y": 0} if level in ("linearizable", "sequential") and rng.random() < 0.5 else 0
    elif model == "bank" and rng.random() < 0.5:
        told["initial"] = {"a": 10, "b": 0}
    if model in ("register", "cas-register", "multi-register", "set", "list-append") and rng.random() < 0.5:
        told["nil_read"] = rng.choice(["wildcard", "missing"])
    if model == "cas-register" and rng.random() < 0.4:
        told["failed_cas"] = rng.choice(["drop", "assert"])
    if model == "semaphore":
        told["permits"] = rng.randint(1, 3)
    often = level in WEAK or "sequential" in level
    told["keyed"] = model not in ("multi-register", "bank") and rng.random() < (0.75 if often else 0.35)
    return told


def formats(model, level, told):
    extra = []
    if model in ("register", "cas-register") and not told["keyed"]:
        extra = ["porcupine-etcd"]
    if model == "kv" and told["keyed"]:
        extra = ["porcupine-kv"]
    if model == "multi-register" and (level in WEAK or level == "sequential") and not {"initial", "nil_read"} & set(told):
        extra = ["awdit", "plume", "dbcop"]
    return PLAIN + tuple(extra) * 2


def draw(rng, model, level, told):
    format = rng.choice(formats(model, level, told))
    options = meaning(told, model, format)
    maker = Maker(rng, model, level, options, format, told)
    return History(maker.ops(), options, format, told["keyed"], told)


class Maker:
    def __init__(self, rng, model, level, options, format, told):
        self.rng, self.model, self.level, self.options, self.format = rng, model, level, options, format
        self.text, self.weak = options["session_text"], level in WEAK
        self.keys = rng.choice([["x", "y"], [1, 2]] if format != "porcupine-kv" else [["0", "1"]]) if told["keyed"] else [None]
        self.unique = rng.random() < (0.85 if self.weak else 0.4)
        self.last_value = 1 if options["initial"] == 1 else 0
        self.appends = rng.random() < 0.5 and not self.weak and not self.text and options["initial"] != 0
        self.names = [1, 2] if self.text else ["x", "y"]
        self.bool_answers = level != "eventual"
        self.nodes = level == "eventual" and format == "jsonl" and rng.random() < 0.5
        self.revisions = rng.random() < 0.6

    def value(self):
        if self.unique:
            self.last_value += 1
            return self.last_value
        return self.rng.randint(1, 3)

    def seen_value(self):
        """One that somebody may have read."""
        return self.rng.randint(1, max(2, min(self.last_value, 4))) if self.unique else self.rng.randint(1, 3)

    def string(self):
        return "abcdef"[(self.value() - 1) % 6] if self.rng.random() < 0.93 or self.level == "eventual" else self.rng.choice(["", None])

    def call(self):
        """A function and what it is called with."""
        rng, pick = self.rng, self.rng.choice
        match self.model:
            case "register" | "cas-register":
                if self.model == "cas-register" and rng.random() < 0.35:
                    return "cas", (pick([self.options["initial"], self.seen_value()]), self.value())
                if rng.random() < 0.55:
                    return "read", None
                return "write", None if rng.random() < (0.01 if self.weak else 0.04) else self.value()
            case "kv":
                fs = ["get"] * 5 + ["put"] * 4
                if self.format != "porcupine-kv":
                    fs += ["cas"] * 2 + ["delete"] * (not self.weak)
                f = pick(fs + ["append"] * (3 * self.appends))
                if f in ("get", "delete"):
                    return f, None
                return f, (pick(["", None, "a", "b"]), self.string()) if f == "cas" else self.string()
            case "etcd-kv":
                f = pick(["get"] * 4 + ["put"] * 3 + ["cas"] * 2 + ["delete"] * (not self.weak))
                return f, {"put": self.value(), "cas": (pick([None, self.seen_value()]), self.value())}.get(f)
            case "counter" | "pn-counter" | "g-counter":
                f = pick(["read"] * 3 + ["add", "add", "inc"] + ["dec"] * (self.model != "g-counter"))
                return f, None if f == "read" else pick([None, 1, 2, 3] + [-1, 0] * (f == "add" and self.model != "g-counter"))
            case "set" | "g-set" | "2p-set" | "or-set":
                f = pick(["read"] * 3 + ["add"] * 4 + ["remove"] * (2 * (self.model != "g-set")) + ["contains"])
                return f, None if f == "read" else rng.randint(1, 2)
            case "list-append":
                return ("read", None) if rng.random() < 0.5 else ("append", self.value())
            case "fifo-queue" | "unordered-queue" | "stack" | "priority-queue" | "max-priority-queue":
                into, out = CONTAINERS.get(self.model, ("enqueue", "dequeue"))
                if self.model != "unordered-queue" and rng.random() < 0.15:
                    return "peek", None
                return (into, self.value()) if rng.random() < 0.5 else (out, None)
            case "deque":
                act = pick(["push", "push", "pop", "pop", "peek"])
                return f"{act}-{pick(['front', 'back'])}", self.value() if act == "push" else None
            case "id-generator":
                return "generate", None
            case "multi-register":
                return "txn", tuple(self.micro() for _ in range(rng.choice([1, 1, 2, 2, 3])))
            case "bank":
                if rng.random() < 0.5:
                    return "read", None
                return "transfer", (*rng.sample(["a", "b", "c"] if rng.random() < 0.1 else ["a", "b"], 2), rng.randint(1, 3))
            case "semaphore":
                return pick(["acquire", "release"]), pick([None, 1, 1, 2])
            case _:
                return pick(["acquire", "release"]), None

    def micro(self):
        name = self.rng.choice(self.names)
        if self.rng.random() < 0.5:
            return ("r", name, None)
        zero = self.text and self.rng.random() < 0.05
        return ("append" if self.appends else "w", name, 0 if zero else self.value())

    def ops(self):
        rng = self.rng
        count, threads = rng.choice([1, 2, 3, 4, 4, 5, 5, 6, 6, 6]), rng.randint(1, 3)
        ends = self.level == "eventual" and self.model in (*CONVERGING, *REPLICATED)
        ops = self.times([None] * (max(1, count - threads) if ends else count), threads)
        for op in ops:
            op.key = rng.choice(self.keys)
            op.f, op.arg = self.call()
        if ends:
            ops += self.final_reads(ops, threads)
        self.simulate(ops)
        for _ in range(rng.choice([0, 1, 1, 2] if not self.weak else [0, 1, 2, 3])):
            self.lie(ops)
        return ops

    def times(self, slots, threads):
        """Ops of some threads, each with the times of its call and return; a thread goes on as another process after an unknown
        outcome."""
        rng, now, ops, busy = self.rng, 0, [], {}
        procs = list(range(threads))
        left = len(slots)
        while left or busy:
            thread = rng.randrange(threads)
            now += 1
            if thread not in busy and left:
                left -= 1
                busy[thread] = Op(procs[thread], None, None, inv=now, node=f"n{thread % 2 + 1}" if self.nodes else None)
                ops.append(busy[thread])
            elif thread in busy and rng.random() < 0.6:
                op = busy.pop(thread)
                op.end = now
                op.out = "ok" if self.format == "awdit" else rng.choices(["ok", "info", "fail"], [78, 0 if self.text else 13, 9])[0]
                if op.out == "info":
                    op.end = None if rng.random() < 0.3 else now
                    procs[thread] += threads
        return ops

    def final_reads(self, ops, threads):
        now = 1 + max([op.end or op.inv for op in ops])
        alive = {op.proc % threads: op for op in ops}
        reads = []
        for op in alive.values():
            proc = op.proc if op.out != "info" else op.proc + threads
            for key in self.keys:
                if self.rng.random() < 0.92 and len(ops) + len(reads) < OPS_MAX + 2:
                    f = {"multi-register": "txn", "kv": "get", "etcd-kv": "get"}.get(self.model, "read")
                    arg = tuple(("r", name, None) for name in self.names) if f == "txn" else None
                    reads.append(Op(proc, f, arg, out="ok", inv=now, end=now + 1, key=key, node=op.node))
                    now += 2
        return reads

    def simulate(self, ops):
        """Gives answers, as if the ops had happened one after the other: at some moment of each, or in any order that keeps the
        processes', or each process at a replica of its own."""
        rng = self.rng
        mode = rng.choice(["time", "time", "session", "replicas" if self.level != "linearizable" else "time"])
        far = max(op.end or op.inv for op in ops) + 3
        if mode == "session":
            order, left = [], list(ops)
            while left:
                proc = rng.choice([op.proc for op in left])
                order.append(next(op for op in left if op.proc == proc))
                left.remove(order[-1])
        else:
            order = sorted(ops, key=lambda op: rng.uniform(op.inv, far if op.out == "info" else op.end))
        first = self.first()
        states = {}
        for op in order:
            if op.out == "fail" or (op.out == "info" and rng.random() < 0.4):
                continue
            place = (op.key, op.proc if mode == "replicas" and rng.random() < 0.7 else None)
            state = states.get(place, states.get((op.key, None), first))
            after = self.does(state, op)
            if after is None:
                continue
            states[place] = after
            if mode == "replicas" and rng.random() < 0.6:
                for other in list(states):
                    if other[0] == op.key:
                        states[other] = after
                states[op.key, None] = after

    def first(self):
        if self.text:
            return frozenset((name, 0) for name in self.names)
        return init(self.model, self.options)

    def does(self, state, op):
        """Gives an op its answer; the state after it. What cannot happen fails, mostly, or another thing is done."""
        for _ in range(4):
            op.ret = self.answer(state, op)
            after = STEP[self.model](state, op, self.options)
            if after:
                return self.rng.choice(after)
            if op.f == "cas" and op.out == "ok" and self.rng.random() < 0.6:
                op.out, op.ret = "fail", None
                return None
            if op.f in ("acquire", "release") and op.out == "ok" and self.rng.random() < 0.3:
                op.out = "ok" if op.ret is not None or self.rng.random() < 0.5 else "fail"
                return None
            op.f, op.arg = self.call()
        op.ret = self.answer(state, op)
        return None

    def answer(self, state, op):
        rng, f = self.rng, op.f
        if op.out != "ok":
            return None
        match self.model:
            case "kv" if f == "get":
                return state or rng.choice([None, ""])
            case "etcd-kv":
                told = self.revisions and rng.random() < 0.7
                value, least, exactly = state
                if f == "get":
                    return (value, least) if told and exactly and value is not None else value
                step = rng.choice([1, 1, 2, 3])
                return (op.arg, least + step) if told and f != "delete" else op.arg
            case "set" | "g-set" | "2p-set" | "or-set":
                there, ever = state
                if f == "read":
                    return None if rng.random() < 0.03 else tuple(there)
                if f == "contains":
                    return op.arg in there
                fresh = op.arg not in (ever if self.model == "2p-set" else there)
                return (fresh if f == "add" else op.arg in there) if self.bool_answers and rng.random() < 0.3 else op.arg
            case "list-append" if f == "read":
                return rng.choice([None, ()]) if not state else state
            case "register" | "cas-register" if f == "read":
                return state if rng.random() < 0.97 else None
            case "counter" | "g-counter" | "pn-counter" if f == "read":
                return state
            case "deque" if f not in INSERTS:
                return state[0 if f.endswith("front") else -1] if state else None
            case "fifo-queue" | "unordered-queue" | "stack" | "priority-queue" | "max-priority-queue" if f not in INSERTS:
                kinds = {"stack": lambda s: s[-1], "priority-queue": min, "max-priority-queue": max, "unordered-queue": rng.choice}
                kind = kinds.get(self.model, lambda s: s[0])
                return kind(state) if state else None
            case "fencing-lock" if f == "acquire":
                return max(state[1], 0) + rng.choice([1, 1, 2])
            case "id-generator":
                return max(state, default=0) + 1 if rng.random() < 0.9 else rng.randint(1, 4)
            case "multi-register":
                held, seen = dict(state), []
                for f, key, value in op.arg:
                    seen.append((f, key, held.get(key) if f == "r" else value))
                    if f == "w":
                        held[key] = value
                    elif f == "append":
                        before = held.get(key)
                        held[key] = (before if isinstance(before, tuple) else ()) + (value,)
                return tuple(seen)
            case "bank" if f == "read":
                known = dict(state[1]) if state[0] else {"a": 10, "b": 10, **{k: 10 + v for k, v in state[1]}}
                return tuple(sorted(known.items()))
        return op.arg

    def lie(self, ops):
        """Changes what one op returned, or says that one was done which could not be."""
        done = [op for op in ops if op.out == "ok" and self.wrong(op) is not op.ret]
        if not done:
            locks = [op for op in ops if op.f in ("acquire", "release") and op.out == "fail" and self.model != "fencing-lock"]
            for op in locks[:1]:
                op.out = "ok"
            return
        op = self.rng.choice(done[-3:] if self.level == "eventual" else done)
        for _ in range(5):
            told = self.wrong(op)
            if told != op.ret or type(told) is not type(op.ret):
                op.ret = told
                return

    def wrong(self, op):
        rng, seen, f = self.rng, op.ret, op.f
        if f in ("read", "get") or f in (*TAKES, "generate"):
            if isinstance(seen, tuple) and self.model == "bank":
                at = rng.randrange(len(seen))
                return tuple((name, n + (i == at) * rng.choice([1, -1])) for i, (name, n) in enumerate(seen))
            if self.model == "etcd-kv":
                if isinstance(seen, tuple):
                    return rng.choice([(seen[0], seen[1] + rng.choice([1, -1])), (self.seen_value(), seen[1])])
                return rng.choice([None, self.seen_value()])
            if isinstance(seen, tuple) or "set" in self.model or self.model == "list-append":
                return self.wrong_list(seen or ())
            if self.model == "kv":
                return rng.choice(["a", "b", "c", "ab", "ba", "", None])
            if self.model in ("counter", "g-counter", "pn-counter"):
                return (seen or 0) + rng.choice([-1, 1, 2])
            return rng.choice([None, self.seen_value(), self.seen_value()]) if f != "generate" else self.seen_value()
        if f == "contains":
            return not seen
        if f in ("add", "remove") and self.bool_answers and "counter" not in self.model and self.level != "eventual":
            return rng.random() < 0.5
        if self.model == "fencing-lock" and f == "acquire":
            return max(1, (seen or 1) + rng.choice([-1, -2, 1]))
        if self.model == "etcd-kv" and isinstance(seen, tuple) and f == "put":
            return (op.arg, max(1, seen[1] + rng.choice([-1, 1])))
        if self.model == "multi-register" and seen:
            reads = [i for i, micro in enumerate(seen) if micro[0] == "r"]
            if reads:
                at = rng.choice(reads)
                was = seen[at][2]
                if self.appends:
                    new = self.wrong_list(was or ())
                else:
                    new = rng.choice([0 if self.text or self.options["initial"] is not None else None, self.seen_value(), self.seen_value()])
                return (*seen[:at], ("r", seen[at][1], new), *seen[at + 1 :])
        return seen

    def wrong_list(self, seen):
        rng, items = self.rng, list(seen)
        change = rng.random()
        if items and change < 0.45:
            items.pop(rng.randrange(len(items)))
        elif len(items) > 1 and change < 0.65:
            items.reverse()
        else:
            items.append(rng.randint(1, 3))
        return tuple(items)
