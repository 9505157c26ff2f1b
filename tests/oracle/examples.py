"""Examples whose answers are published, or plain: the oracle itself is asked about them before it is believed."""

from history import History, Op, meaning
from levels import LEVELS, judge

ALL = {level for level in LEVELS if level not in ("eventual", "sequential-per-key")}
SESSION = {"read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads"}
# Sessions by `;`, ops by blanks. All keys hold 0 at first. Ops take turns.
EXAMPLES = {
    "wx1 rx1; ry0 rx1": ALL,
    "wx1; ry0 rx0": ALL - {"linearizable"},
    # Dekker.
    "wx1 ry0; wy1 rx0": ALL - {"linearizable", "sequential"},
    # Bouajjani, Enea, Guerraoui and Hamza 2017, figure 3: CM and not CCv; CCv and not PRAM.
    "wx1 rx2; wx2 rx1": ALL - {"linearizable", "sequential", "causal-convergence"},
    "wz1 wx1 wy1; wx2 rz0 ry1 rx2": {"causal", "causal-convergence"} | SESSION,
    # CC explains each read by an order of its own. The guarantees alone do not say in which order a process's reads come.
    "wx1; wx2 rx1 rx2": {"causal"} | SESSION,
    "wx1; wx2; rx1 rx2 rx1": {"causal"} | SESSION - {"monotonic-reads"},
    # The causal order leads through processes that PRAM keeps apart.
    "wx1 wy1; rx1 wx2; rx2 wz1; rz1 rx1": {"pram"} | SESSION,
    # Each key is sequentially consistent by itself.
    "wx1 wx2 ry0 ry1; wy1 rx0 rx1": ALL - {"linearizable", "sequential"},
    # Nobody wrote it.
    "rx1": set(),
}


def history(text):
    sessions = [session.split() for session in text.split(";")]
    ops, now = [], 0
    for turn in range(max(map(len, sessions))):
        for proc, session in enumerate(sessions):
            if turn < len(session):
                f, key, value = {"w": "write", "r": "read"}[session[turn][0]], session[turn][1], int(session[turn][2])
                ops.append(Op(proc, f, value if f == "write" else None, value, inv=now, end=now + 1, key=key))
                now += 2
    told = {"keyed": True, "initial": 0}
    return History(ops, meaning(told, "register", "jsonl"), "jsonl", True, told)


def wrong():
    for text, right in EXAMPLES.items():
        told = {level for level in ALL if judge(history(text), level) == "valid"}
        if told != right:
            yield f"{text}: {sorted(told)}, not {sorted(right)}"
