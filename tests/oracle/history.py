"""Histories, and what is told of them on the command line."""

from dataclasses import dataclass, field


class Op:
    """One operation: when it was called and when it returned (None: it never did), and how it ended: ok, fail or info."""

    __slots__ = ("proc", "f", "key", "arg", "ret", "out", "inv", "end", "node")

    def __init__(self, proc, f, arg, ret=None, out="ok", inv=0, end=None, key=None, node=None):
        self.proc, self.f, self.key, self.arg, self.ret, self.out = proc, f, key, arg, ret, out
        self.inv, self.end, self.node = inv, end, node

    def but(self, **changes):
        told = {name: getattr(self, name) for name in Op.__slots__}
        return Op(**{**told, **changes})


@dataclass
class History:
    ops: list
    options: dict
    format: str
    keyed: bool
    told: dict = field(default_factory=dict)  # On the command line, for all histories of a call.

    def but(self, ops):
        return History(ops, self.options, self.format, self.keyed, self.told)


def meaning(told, model, format):
    """What is meant: what was told, else what is usual of the model and the format."""
    porcupine, session_text = format.startswith("porcupine"), format in ("awdit", "plume", "dbcop")
    nil_read = "missing" if porcupine or model in ("kv", "list-append", "multi-register") else "wildcard"
    return {
        "model": model,
        "initial": told.get("initial", 0 if session_text else None),
        "nil_read": told.get("nil_read", nil_read),
        "failed_cas": told.get("failed_cas", "assert" if porcupine else "drop"),
        "permits": told.get("permits", 1),
        "session_text": session_text,
    }
