"""What each level asks of a history, by trying everything: every choice of which ops of unknown outcome happened, of the write that
each read saw, of the order of the ops. Written from the definitions that the README names; no cleverness, so that there is little to
be wrong. Histories of a few operations only.

`judge(history, level)` answers valid, invalid, or unknown where the definition itself leaves it open (a final read is missing).

Interpretations, where the sources leave a choice:
* Every level but `linearizable` knows sessions: what one process did, in its order. A process does nothing after an op of unknown outcome.
* An op of unknown outcome has happened, wholly, or never. A cas is a read and a write at one moment; if it happened it succeeded.
* Where an op reads and writes, what it reads counts as before what it writes: writes-follow-reads orders its own writes after those.
* Session text knows no beginning: if somebody writes the initial value, all reads of it saw that write.
* Eventual: objects converge or not each by itself, and so do the keys that a transaction writes. An update that adds nothing is none. Every
  other read saw some of what happened too, of what had been begun when it ended, and be it what its transaction replaced; of a string
  that is appended to this is not asked.
"""

from itertools import chain, combinations, product

from models import STEP, init, takes_part, unknown

READS_AND_WRITES = ("register", "cas-register", "kv", "multi-register", "etcd-kv")
CONVERGING = ("register", "cas-register", "kv", "etcd-kv", "multi-register", "counter", "set", "list-append")
REPLICATED = ("g-set", "2p-set", "or-set", "g-counter", "pn-counter")
VIEWS = ("causal-memory", "pram", "read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads")
LEVELS = ("linearizable", "sequential", "sequential-per-key", "causal-convergence", "causal", *VIEWS, "eventual")
INITIAL = -1


def accepts(model, level):
    """Whether the level is defined for the model; if it is not, every answer but a refusal is wrong."""
    if level in ("linearizable", "sequential", "sequential-per-key"):
        return True
    return model in (CONVERGING + REPLICATED if level == "eventual" else READS_AND_WRITES)


def judge(history, level):
    options = history.options
    ops = [op for op in history.ops if takes_part(op, options)]
    if level == "eventual":
        return eventual(history)
    if level not in ("linearizable", "sequential", "sequential-per-key"):
        holds = weak(ops, level, options)
    elif level == "sequential":
        holds = one_order(ops, sessions(ops), options)
    else:
        real_time = level == "linearizable"
        by_key = [[op for op in ops if op.key == key] for key in {op.key for op in ops}]
        holds = all(one_order(part, by_time(part) if real_time else sessions(part), options) for part in by_key)
    return "valid" if holds else "invalid"


def by_time(ops):
    """For each op those that had returned before it was called. Nobody knows when one of unknown outcome takes effect."""
    return [[j for j, other in enumerate(ops) if other.out != "info" and other.end < op.inv] for op in ops]


def sessions(ops):
    return [[j for j, other in enumerate(ops) if other.proc == op.proc and other.inv < op.inv] for op in ops]


def some_order(before, must, state, step):
    """Whether there is an order of all ops of `must`, and any of the others, each after those of `before`, in which every step is
    possible. The state at its end, as (state,)."""
    needed = sum(1 << i for i in must)
    masks = [sum(1 << j for j in those) for those in before]
    seen, todo = set(), [(0, state)]
    while todo:
        placed, state = todo.pop()
        if placed & needed == needed:
            yield state
        for i, mask in enumerate(masks):
            if not placed >> i & 1 and mask & ~placed == 0:
                for after in step(state, i):
                    if (placed | 1 << i, after) not in seen:
                        seen.add((placed | 1 << i, after))
                        todo.append((placed | 1 << i, after))


def one_order(ops, before, options):
    """Whether there is one legal order of all that happened."""
    model, keys = options["model"], list({op.key for op in ops})
    first = initial_of(ops, options)

    def step(state, i):
        at = keys.index(ops[i].key)
        return [state[:at] + (after,) + state[at + 1 :] for after in STEP[model](state[at], ops[i], options)]

    must = [i for i, op in enumerate(ops) if op.out != "info"]
    return any(True for _ in some_order(before, must, tuple(first for _ in keys), step))


def initial_of(ops, options):
    """The state at first. Of session text: 0 in every key that nobody writes it to."""
    if not options["session_text"]:
        return init(options["model"], options)
    micros = [micro for op in ops for micro in (op.ret or op.arg)]
    written = {key for f, key, value in micros if f == "w" and value == 0}
    return frozenset((key, 0) for _, key, _ in micros if key not in written)


# Reads and writes: weaker than one order.


class Node:
    """An op as what it read of others and what it left: each read of a key with the values that would do, each write."""

    def __init__(self, op, options):
        self.op, self.reads, self.writes, self.broken = op, [], {}, False
        for is_write, key, value in micros(op, options):
            if is_write:
                self.writes[key] = value
            elif key not in self.writes:
                self.reads.append((key, value))
            elif not is_seen(value, self.writes[key]):
                self.broken = True  # It does not read what it wrote.


def is_seen(read, value):
    """A failed cas that is held against the register saw anything but what it compared with."""
    return value != read[1] if isinstance(read, tuple) and read[:1] == ("not",) else value == read


def micros(op, options):
    normal = lambda value: None if value == "" and options["model"] == "kv" else value
    if op.f == "txn":
        for f, key, value in op.ret if op.out == "ok" else op.arg:
            nothing = f == "r" and (op.out != "ok" or (value is None and options["nil_read"] == "wildcard"))
            if not nothing:
                yield f == "w", key, value
    elif op.f in ("read", "get"):
        if op.out == "ok" and not (op.f == "read" and unknown(op, options)):
            told = op.ret[0] if options["model"] == "etcd-kv" and isinstance(op.ret, tuple) else op.ret
            yield False, op.key, normal(told)
    elif op.f == "cas":
        old, new = map(normal, op.arg)
        yield False, op.key, ("not", old) if op.out == "fail" else old
        if op.out != "fail":
            yield True, op.key, new
    else:
        yield True, op.key, normal(op.arg)


def weak(ops, level, options):
    surely = [op for op in ops if op.out != "info"]
    perhaps = [op for op in ops if op.out == "info"]
    for some in subsets(perhaps):
        nodes = [Node(op, options) for op in sorted(surely + list(some), key=lambda op: op.inv)]
        nodes = [node for node in nodes if node.reads or node.writes or node.broken]
        if not any(node.broken for node in nodes) and any(holds(nodes, sees, level) for sees in read_froms(nodes, options)):
            return True
    return False


def subsets(items):
    return chain.from_iterable(combinations(items, size) for size in range(len(items) + 1))


def read_froms(nodes, options):
    """Every way to say which write each read saw: for each node a map from key to the writer."""
    first = options["initial"]
    choices = []
    for i, node in enumerate(nodes):
        for key, value in node.reads:
            writers = [j for j, other in enumerate(nodes) if key in other.writes and is_seen(value, other.writes[key]) and j != i]
            at_first = first.get(key) if isinstance(first, dict) else first
            is_written = options["session_text"] and any(other.writes.get(key) == at_first for other in nodes)
            choices.append([(i, key, j) for j in writers + [INITIAL] * (is_seen(value, at_first) and not is_written)])
    for chosen in product(*choices):
        sees = [{} for _ in nodes]
        # Of two reads of a key in one op both saw the same.
        if all(sees[i].setdefault(key, j) == j for i, key, j in chosen):
            yield sees


def holds(nodes, sees, level):
    n = range(len(nodes))
    session = lambda i, j: nodes[i].op.proc == nodes[j].op.proc and i < j
    sources = lambda i: {j for j in sees[i].values() if j != INITIAL}
    writers = [i for i in n if nodes[i].writes]
    causes = closure([{j for j in n if session(j, i)} | sources(i) for i in n])

    def explained(those, own, keeps, state=()):
        """Whether there is an order of `those` that keeps `keeps` (i before j) in which the ops of `own` read what they read."""
        place = {node: at for at, node in enumerate(those)}
        before = [[place[i] for i in those if keeps(i, j)] for j in those]
        if any(at in those_before for at, those_before in enumerate(before)):
            return False

        def step(state, at):
            i, last = those[at], dict(state)
            if i in own and any(last.get(key, INITIAL) != source for key, source in sees[i].items()):
                return []
            return [frozenset({**last, **dict.fromkeys(nodes[i].writes, i)}.items())]

        return any(True for _ in some_order(before, range(len(those)), frozenset(), step))

    if level in ("causal", "causal-memory", "causal-convergence") and any(i in causes[i] for i in n):
        return False
    if level == "causal":  # CC: each op by itself explains its causal past.
        return all(explained([*sorted(causes[i]), i], {i}, lambda a, b: a in causes[b]) for i in n)
    if level == "causal-convergence":  # CCv: one order of all, and each op sees of it its causal past.
        return any(all(sees_last(nodes, sees[i], [j for j in order if j in causes[i]]) for i in n) for order in orders(causes))
    keeps = {
        "causal-memory": lambda own: lambda i, j: i in causes[j],
        "pram": lambda own: session,
        "read-your-writes": lambda own: lambda i, j: session(i, j) and {i, j} <= own and nodes[i].writes and nodes[j].reads,
        "monotonic-reads": lambda own: lambda i, j: any(session(k, j) and nodes[j].reads and i in sources(k) for k in own if j in own),
        "monotonic-writes": lambda own: lambda i, j: session(i, j) and nodes[i].writes and nodes[j].writes,
        "writes-follow-reads": lambda own: lambda i, j: nodes[j].writes
        and any(i in sources(k) for k in n if k == j or session(k, j)),
    }[level]
    of_process = [{i for i in n if nodes[i].op.proc == proc} for proc in {node.op.proc for node in nodes}]
    return all(explained(sorted({*writers, *own}), own, keeps(own)) for own in of_process)


def closure(before):
    reach = [set(those) for those in before]
    for _ in reach:
        reach = [those.union(*(reach[j] for j in those)) for those in reach]
    return reach


def orders(before, placed=()):
    """Every order of all in which each comes after those of `before`."""
    if len(placed) == len(before):
        yield placed
    for i, those in enumerate(before):
        if i not in placed and those <= set(placed):
            yield from orders(before, (*placed, i))


def sees_last(nodes, seen, order):
    last = {key: i for i in order for key in nodes[i].writes}
    return all(last.get(key, INITIAL) == source for key, source in seen.items())


# Eventual.


def eventual(history):
    options = history.options
    tried = [fact for op in history.ops for fact in facts_of(op, options)]
    facts = [fact for fact in tried if fact.op.out != "fail"]
    # What only failed updates name is an object as well, of which nobody knows anything in the end.
    updates = [fact for fact in facts if fact.is_update]
    over = max((op.inv if op.end is None else op.end for op in updates), default=-1)
    told = [converges(history, key, [f for f in facts if f.key == key], over) for key in dict.fromkeys(fact.key for fact in tried)]
    return next((verdict for verdict in ("invalid", "unknown") if verdict in told), "valid")


class Fact:
    """What an op did to one object: an update, as an op of its own, or what a read returned."""

    def __init__(self, op, key, is_update, does=None, seen=None, passing=()):
        self.op, self.key, self.is_update, self.does, self.seen, self.passing = op, key, is_update, does or op, seen, passing
        self.inv, self.end, self.proc = op.inv, op.end, op.proc


def facts_of(op, options):
    if op.f == "txn":
        written = {}
        for is_write, key, value in micros(op, options):
            if not is_write:
                yield Fact(op, key, False, seen=value)
            else:
                write = op.but(f="write", arg=value, ret=value, key=key)
                written.setdefault(key, []).append(Fact(op, key, True, does=write))
        for key, writes in written.items():
            yield Fact(op, key, True, does=writes[-1].does, passing=writes[:-1])
    elif op.f in ("read", "get"):
        if op.out == "ok" and not (op.f == "read" and unknown(op, options)):
            nothing = () if options["model"].endswith("set") or options["model"] == "list-append" else None
            seen = op.ret[0] if options["model"] == "etcd-kv" and isinstance(op.ret, tuple) else op.ret
            yield Fact(op, op.key, False, seen=nothing if seen is None else seen)
    elif op.f != "contains" and not adds_nothing(op, options["model"]):
        yield Fact(op, op.key, True, does=op.but(ret=None))  # What it said of other replicas' updates is not asked.


def adds_nothing(op, model):
    return (op.f == "append" and op.arg in ("", None)) or (op.f == "add" and op.arg == 0 and "counter" in model)


def converges(history, key, facts, over):
    options = history.options
    reads = [fact for fact in facts if not fact.is_update]
    final = list({fact.proc: fact for fact in reads if fact.inv > over}.values())
    early = [fact for fact in reads if fact not in final]
    done = [fact for fact in facts if fact.is_update and fact.op.out == "ok"]
    perhaps = [fact for fact in facts if fact.is_update and fact.op.out == "info"]
    explains = visibly if options["model"] in ("g-set", "2p-set", "or-set") else ordered
    if not any(explains([*done, *some], early, final, key, options) for some in subsets(perhaps)):
        return "invalid"
    return "valid" if final and sites(history) <= {site(history, fact.op) for fact in final} else "unknown"


def site(history, op):
    return op.node if all(other.node for other in history.ops) else op.proc


def sites(history):
    """Where a final read is needed: every node; without nodes every process that did not end with an unknown outcome."""
    if all(op.node for op in history.ops):
        return {op.node for op in history.ops}
    return {op.proc for op in history.ops} - {op.proc for op in history.ops if op.out == "info"}


def ordered(updates, early, final, key, options):
    """Whether some order of the updates, any, leaves what all final reads returned; and each other read is of some of them."""
    model, first = options["model"], init(options["model"], options)
    if model == "multi-register":
        model, first = "register", dict(first).get(key)

    def ends(those):
        """What is there after them, in each of their orders."""
        step = lambda state, i: STEP[model](state, those[i].does, options)
        return some_order([()] * len(those), range(len(those)), first, step)

    begun = lambda read: [fact for update in updates if update.inv < read.end for fact in [update, *update.passing]]
    are_strings = model == "kv" and any(update.does.f == "append" for update in updates)
    if not are_strings and not all(
        any(is_whole(model, state, read.seen) for some in subsets(begun(read)) for state in ends(some)) for read in early
    ):
        return False
    return any(all(is_whole(model, state, read.seen) for read in final) for state in ends(updates))


def is_whole(model, state, seen):
    if model == "etcd-kv":
        return state[0] == seen
    if model == "set":
        return len(seen) == len(state[0]) and frozenset(seen) == state[0]
    return state == ("" if seen is None and model == "kv" else seen)


def visibly(updates, early, final, _, options):
    """Sets by visibility: whether some relation says which adds each remove had seen that explains the final reads."""
    adds = [update for update in updates if update.does.f == "add"]
    for read in early + final:
        added = {add.does.arg for add in adds if add.inv < read.end}
        if len(set(read.seen)) < len(read.seen) or not set(read.seen) <= added:
            return False
    if len({frozenset(read.seen) for read in final}) > 1:
        return False
    for element in {update.does.arg for update in updates}:
        those = [add for add in adds if add.does.arg == element]
        removes = [update for update in updates if update.does.f == "remove" and update.does.arg == element]
        relations = seens(those, removes, [read for read in early if element in read.seen])
        can = set(chain.from_iterable(in_the_end(options["model"], those, seen) for seen in relations))
        if not can or (final and (element in final[0].seen) not in can):
            return False
    return True


def seens(adds, removes, reads):
    """All choices of what each remove had seen: nothing of the future, all that its process had added or, by one add at least, read."""
    choices = []
    for remove in removes:
        possible = [add for add in adds if remove.op.out == "info" or add.inv < remove.end]
        own = {add for add in adds if add.op.out == "ok" and add.proc == remove.proc and add.end < remove.inv}
        known = [read for read in reads if read.proc == remove.proc and read.end < remove.inv]
        fits = lambda seen: own <= set(seen) and all(any(add.inv < read.end for add in seen) for read in known)
        choices.append([seen for seen in subsets(possible) if fits(seen)])
    return product(*choices)


def in_the_end(model, adds, seen):
    """Whether the element is there: each answer that the type allows. `seen`: the adds that each remove had seen."""
    if model == "or-set":
        return {any(all(add not in those for those in seen) for add in adds)}
    if model == "g-set" or not seen:
        return {bool(adds)}
    # 2p-set: a remove that had seen no add takes effect or not.
    return {False} if any(seen) or not adds else {False, True}
