"""Histories as the files that people have: each format as its own tools write it."""

import itertools
import json
import struct


class Keyword(str):
    pass


class Spelt(int):
    """A value that is written in another way each time, and is the same by EDN's equality, or JSON's."""

    turn = itertools.count()
    EDN = ("{{:a {0} :s #{{1 2}} :v [3 [4]]}}", "{{:v (3 [4]), :s #{{2 1}}, :a {0}N}}", "{{:s #{{1 2}} :a 0x{0:x} :v [3 (4)]}}")

    def edn(self):
        return Spelt.EDN[next(Spelt.turn) % 3].format(int(self))

    def json(self):
        parts = [("a", int(self)), ("b", {"c": 1, "d": [2]}), ("e", None)]
        return dict(parts if next(Spelt.turn) % 2 else parts[::-1])


def value_of(op, value, is_answer):
    """A value as it is written: accounts and balances are maps, micro-ops begin with keywords."""
    if value is None:
        return None
    if op.f == "txn":
        return tuple((Keyword(f), key, seen) for f, key, seen in value)
    if op.f == "transfer":
        return {Keyword("from"): value[0], Keyword("to"): value[1], Keyword("amount"): value[2]}
    if op.f == "read" and is_answer and isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return dict(value)
    return value


def events(history):
    """(time, type, op, value), in order of time."""
    found = []
    for op in history.ops:
        keyed = lambda value: (op.key, value) if history.keyed else value
        asked = keyed(value_of(op, op.arg, False))
        found.append((op.inv, "invoke", op, asked))
        if op.end is not None:
            found.append((op.end, op.out, op, keyed(value_of(op, op.ret, True)) if op.out == "ok" else asked))
    return sorted(found, key=lambda event: event[0])


def edn(value):
    if value is None:
        return "nil"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Spelt):
        return value.edn()
    if isinstance(value, Keyword):
        return ":" + value
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, tuple):
        return "[" + " ".join(map(edn, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{edn(key)} {edn(under)}" for key, under in value.items()) + "}"
    return str(value)


def plain(value, mark=""):
    """For JSON. `mark`: what stands before keywords."""
    if isinstance(value, Keyword):
        return mark + value
    if isinstance(value, Spelt):
        return value.json()
    if isinstance(value, tuple):
        return [plain(part, mark) for part in value]
    if isinstance(value, dict):
        return {plain(key, mark): plain(under, mark) for key, under in value.items()}
    return value


def json_event(event, mark=""):
    time, kind, op, value = event
    told = {"time": time, "process": op.proc, "type": kind, "f": op.f, "value": plain(value, mark)}
    return json.dumps({**told, "node": op.node} if op.node else told)


def edn_event(event):
    time, kind, op, value = event
    return f"{{:process {op.proc}, :type :{kind}, :f :{op.f}, :value {edn(value)}, :time {time}}}"


def tuple_event(event, separator="\t"):
    _, kind, op, value = event
    return separator.join([str(op.proc), ":" + kind, ":" + op.f, edn(value)])


def etcd_event(event):
    kind, op, value = event[1:]
    return f"INFO  jepsen.util - {op.proc}\t:{kind}\t:{op.f}\t{':timed-out' if kind == 'info' else edn(value)}"


def kv_event(event):
    kind, op, value = event[1:]
    return f"{{:process {op.proc}, :type :{kind}, :f :{op.f}, :key {edn(value[0])}, :value {edn(value[1])}}}"


def intervals(history):
    """Where one is called and the next thing is that another returns, both may bear the same time: they were open together."""
    told, now, before = {}, 0, None
    for event in events(history):
        together = before is not None and before[1] == "invoke" and event[1] != "invoke" and event[2] is not before[2] and event[0] % 3 == 0
        now += not together
        told.setdefault(id(event[2]), []).append((now, event))
        before = event
    rows = []
    for op in sorted(history.ops, key=lambda op: (op.proc, op.inv)):
        (call, asked), *returned = told[id(op)]
        under = lambda value: plain(value[1] if history.keyed else value)
        row = {"ClientId": op.proc, "Input": {"f": op.f, "value": under(asked[3])}, "Call": call}
        if history.keyed:
            row["Input"]["key"] = op.key
        for time, (_, kind, _, value) in returned:
            row |= {"Output": {"type": kind, "value": under(value)}, "Return": time}
        row.setdefault("Output", None)
        row.setdefault("Return", None)
        rows.append(json.dumps(row))
    return "[" + ",\n".join(rows) + "]\n"


def by_session(history):
    ops = sorted(history.ops, key=lambda op: op.inv)
    return [[op for op in ops if op.proc == proc] for proc in sorted({op.proc for op in ops})]


def awdit(history):
    """The read or written value of each micro-op, a line each."""
    lines = lambda op: "".join(f"{f} {key} {value}\n" for f, key, value in op.ret)
    return "=====\n".join("-----\n".join(map(lines, session)) for session in by_session(history))


def plume(history):
    told = ""
    for session, ops in enumerate(by_session(history)):
        for number, op in enumerate(ops):
            for f, key, value in op.ret if op.out == "ok" else op.arg:
                if f == "w" or op.out == "ok":
                    told += f"{f}({key},{value},{session},{number + 1 if op.out == 'ok' else -1})\n"
    return told or "w(9,9,9,-1)\n"


def dbcop(history):
    number = lambda n: struct.pack("<Q", n)
    text = lambda words: number(len(words)) + words.encode()
    sessions = by_session(history)
    data = b"".join(map(number, [1, 2, 2, 2, 2])) + text("oracle") + text("2024-05-24T21:18:04.900Z") * 2 + number(len(sessions))
    for ops in sessions:
        data += number(len(ops))
        for op in ops:
            done = op.out == "ok"
            micros = [(*micro, done) for micro in (op.ret if done else op.arg)]
            if op.inv % 3 == 0:  # A write that did not take place, of a value that nobody reads.
                micros.append(("w", micros[0][1], 1000 + op.inv, False))
            data += number(len(micros))
            for f, key, value, took_place in micros:
                data += bytes([f == "w"]) + number(key) + number(value or 0) + bytes([took_place])
            data += bytes([done])
    return data


# What the nemesis does is in many files, and is nobody's operation.
NEMESIS = {
    "jsonl": '{"process": "nemesis", "type": "info", "f": "start-partition", "value": {"n1": ["n2"]}}',
    "bare": '{"process": "nemesis", "type": "info", "f": "start-partition", "value": "n1"}',
    "edn": "{:process :nemesis, :type :info, :f :start, :value [:isolated {n1 #{n2}}]}",
    "vector": "{:process :nemesis, :type :info, :f :start, :value nil}",
    "tuples": ":nemesis\t:info\t:start\tnil",
    "console": "INFO [2024-05-24 21:18:04,900] nemesis - jepsen.util: :nemesis\t:info\t:start\tnil",
}


def written(history):
    """The file's ending and its bytes."""
    lines = lambda of, rows: "".join(of(row) + "\n" for row in rows)
    log = lambda event: "INFO [2024-05-24 21:18:04,900] worker - jepsen.util: " + tuple_event(event)
    rows = events(history)
    header = json.dumps({"rashomon": 1, "keyed": history.keyed}) + "\n"
    ending, text = {
        "jsonl": lambda: ("jsonl", header + lines(lambda event: json_event(event, ":"), rows)),
        "bare": lambda: ("jsonl", lines(json_event, rows)),
        "json": lambda: ("json", "[" + ",\n".join(map(json_event, rows)) + "]\n"),
        "edn": lambda: ("edn", lines(edn_event, rows)),
        "vector": lambda: ("edn", "[" + lines(edn_event, rows) + "]\n"),
        "tuples": lambda: ("txt", lines(tuple_event, rows)),
        "console": lambda: ("log", "INFO [2024-05-24 21:18:03,100] main - jepsen.core Running test\n" + lines(log, rows)),
        "porcupine-etcd": lambda: ("log", lines(etcd_event, rows)),
        "porcupine-kv": lambda: ("txt", lines(kv_event, rows)),
        "intervals": lambda: ("json", intervals(history)),
        "awdit": lambda: ("txt", awdit(history)),
        "plume": lambda: ("txt", plume(history)),
        "dbcop": lambda: ("bincode", dbcop(history)),
    }[history.format]()
    if isinstance(text, bytes):
        return ending, text
    chance = sum(op.inv for op in history.ops)
    if history.format in NEMESIS and chance % 4 == 0:
        first, rest = text.split("\n", 1)
        text = f"{first}\n{NEMESIS[history.format]}\n{rest}"
    if history.format in ("bare", "edn", "tuples", "console", "porcupine-kv", "awdit") and chance % 5 == 0:
        text = text.removesuffix("\n")
    return ending, text.encode()
