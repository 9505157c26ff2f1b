#!/usr/bin/env python3
"""Compares `rashomon check` with the definitions, on random histories of every pair of model and level.

  tests/oracle/run.py --binary target/release/rashomon [--pairs WORD ...] [--per-pair 1000] [--seed 1] [--keep DIR]

One line a pair; of a disagreement the smallest history. Exit code 1 if there is one. A tenth of the histories is judged again under
other names, in other formats and by more threads, and `strongest` is compared with what the levels say one by one.
"""

import argparse
import collections
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from change import renamed, spelt
from examples import wrong as wrong_examples
from files import edn, written
from generate import draw, draw_options
from levels import LEVELS, accepts, judge
from models import STEP

# Why a verdict may be withheld, and of which share of a pair's histories at most. Any other reason is a disagreement.
EXCUSES = {
    "stored more than once and read": 0.4,
    "transactions cannot be judged key by key": 1.0,
    "a transaction of reads and writes cannot append": 0.7,
    "appended to, and which order of that explains": 0.4,
    "a failed cas is taken as having found another value": 0.7,
}
OPEN = "the definition leaves it open"


class Rashomon:
    def __init__(self, binary):
        self.binary = str(Path(binary).resolve())
        self.starts = 0
        has = subprocess.run([self.binary, "check", "--help"], capture_output=True, text=True).stdout
        self.always = ["--allow-empty"] if "--allow-empty" in has else []

    def run(self, *args, threads=None):
        self.starts += 1
        env = {**os.environ, "RAYON_NUM_THREADS": str(threads or 1)}
        return subprocess.run([self.binary, *map(str, args)], capture_output=True, text=True, env=env)

    def arguments(self, model, told):
        args = ["--json", "--time-limit", "1s", "--model", model, *self.always]
        for name, value in told.items():
            shown = ("yes" if value else "no") if name == "keyed" else edn(value) if name == "initial" else str(value)
            args += [f"--{name.replace('_', '-')}={shown}"]
        return args

    def check(self, files, model, told, consistency, threads=None):
        """One object a file and level, in their order; of a file that cannot be read one for all levels."""
        ran = self.run("check", *self.arguments(model, told), "--consistency", consistency, *files, threads=threads)
        by_file = collections.defaultdict(list)
        for line in ran.stdout.splitlines():
            row = json.loads(line)
            by_file[row["file"]].append(row)
        levels = consistency.count(",") + 1
        rows = [row for path in files for row in by_file[str(path)] * (levels if len(by_file[str(path)]) == 1 else 1)]
        if len(rows) != levels * len(files):
            raise SystemExit(f"{len(rows)} answers from {' '.join(map(str, ran.args))}\n{ran.stderr[-2000:]}")
        return rows


def verdict_of(row):
    return row["verdict"] or "refused"


class Pair:
    """All that is found out about a model and a level."""

    def __init__(self, rashomon, folder, model, level, seed, keep, flip):
        self.rashomon, self.folder, self.model, self.level, self.keep, self.flip = rashomon, folder, model, level, keep, flip
        self.rng = random.Random(f"{seed} {model} {level}")
        self.counts, self.reasons, self.wrong = collections.Counter(), collections.Counter(), []

    def file(self, history, name):
        ending, text = written(history)
        path = self.folder / f"{name}.{ending}"
        path.write_bytes(text)
        return path

    def refusals(self, size):
        """Levels that are not defined for the model: all of them at once."""
        told = draw_options(self.rng, self.model, self.level)
        histories = [draw(self.rng, self.model, self.level, told) for _ in range(size)]
        files = [self.file(history, i) for i, history in enumerate(histories)]
        levels = self.level.split(",")
        for at, row in enumerate(self.rashomon.check(files, self.model, told, self.level)):
            self.compare(histories[at // len(levels)], row)
        self.tidy()

    def batch(self, size):
        told = draw_options(self.rng, self.model, self.level)
        histories = [draw(self.rng, self.model, self.level, told) for _ in range(size)]
        again = range(0, size, 10)
        files = [self.file(history, i) for i, history in enumerate(histories)]
        changed = [(i, "under other names", self.file(renamed(histories[i]), f"{i}-renamed")) for i in again]
        others = [(i, spelt(histories[i])) for i in again]
        changed += [(i, "with equal values written otherwise", self.file(other, f"{i}-spelt")) for i, other in others if other]
        changed += [(i, f"converted to {to}", path) for i in again for to, path in self.converted(histories[i], files[i])]
        rows = self.rashomon.check([*files, *(path for _, _, path in changed)], self.model, told, self.level)
        if self.flip and rows[0]["verdict"] in ("valid", "invalid"):
            rows[0]["verdict"] = "invalid" if rows[0]["verdict"] == "valid" else "valid"
            self.flip = False
        for history, row in zip(histories, rows):
            self.compare(history, row)
        for (i, how, path), row in zip(changed, rows[size:]):
            self.same(histories[i], how, rows[i], row, path)
        self.climb(histories, rows, again, files, told)
        self.tidy()

    def tidy(self):
        for path in self.folder.iterdir():
            path.unlink()

    def compare(self, history, row):
        self.counts[verdict_of(row)] += 1
        why = self.disagree(history, row)
        if why:
            self.wrong.append((history, why))
        elif verdict_of(row) in ("unknown", "refused") and accepts(self.model, self.level):
            self.reasons[self.excuse(history, row)] += 1

    def disagree(self, history, row):
        """In words, or None."""
        answer = verdict_of(row)
        if not accepts(self.model, self.level):
            return f"{answer} as {row['consistency']}, which is not defined" if answer in ("valid", "invalid") else None
        if answer in ("unknown", "refused") and self.excuse(history, row):
            return None
        right = judge(history, self.level)
        told = answer if answer in ("valid", "invalid") else f"{answer} ({row['reason']})"
        return None if answer == right else f"{told}; by the definition {right}"

    def excuse(self, history, row):
        """Why an answer may be withheld, if it may."""
        if verdict_of(row) == "unknown" and judge(history, self.level) == "unknown":
            return OPEN
        return next((words for words in EXCUSES if words in (row["reason"] or "")), None)

    def converted(self, history, path):
        """The same in other formats. What they cannot hold is not asked: nodes, a missing beginning, meanings that porcupine's logs
        have by themselves."""
        if history.options["session_text"] or history.format.startswith("porcupine") or history.ops[0].node:
            return
        # Where operations are written with their times, those of unknown outcome return after all others, whenever it was given up.
        late = self.level == "eventual" and any(op.out == "info" for op in history.ops)
        for to in self.rng.sample(["edn", "jsonl", "json", "intervals"][: 3 if late else 4], 1):
            target = path.with_name(f"{path.stem}-converted-{to}")
            if self.rashomon.run("convert", path, target, "--to", to).returncode:
                self.wrong.append((history, f"cannot be converted to {to}"))
            else:
                yield to, target

    def same(self, history, how, row, other, path):
        if verdict_of(row) != verdict_of(other):
            self.counts["changed"] += 1
            self.wrong.append((history, f"{verdict_of(row)}; {how} {verdict_of(other)} ({other['reason']})\n{told_file(path)}"))

    def climb(self, histories, rows, chosen, files, told):
        """By more threads: this level again, all others one by one, and `strongest`, which must not contradict them."""
        levels = list(dict.fromkeys([self.level, *(level for level in LEVELS if level != "sequential-per-key")]))
        asked = [files[i] for i in chosen]
        told_by = iter(self.rashomon.check(asked, self.model, told, ",".join([*levels, "strongest"]), threads=4))
        for i in chosen:
            alone = {level: next(told_by) for level in levels}
            self.same(histories[i], "by four threads", rows[i], alone[self.level], files[i])
            for rung in next(told_by).get("ladder", []):
                single = verdict_of(alone[rung["consistency"]])
                if {single, rung["verdict"]} == {"valid", "invalid"} or "fault of Rashomon" in (rung["reason"] or ""):
                    why = f"{rung['consistency']} is {single} alone, {rung['verdict']} ({rung['reason']}) under strongest"
                    self.wrong.append((histories[i], why))
                    break

    def shrunk(self, history):
        """Without the ops that the disagreement does not need, if it is one with the definition."""
        history = self.simpler(history)
        at = 0
        while at < len(history.ops):
            fewer = history.but(history.ops[:at] + history.ops[at + 1 :])
            if fewer.ops and self.wrongly(fewer):
                history = fewer
            else:
                at += 1
        return history

    def simpler(self, history):
        plain = history.but(history.ops)
        plain.format = "jsonl"
        kept = not history.options["session_text"] and not history.format.startswith("porcupine")
        return plain if kept and self.wrongly(plain) else history

    def wrongly(self, history):
        path = self.file(history, "shrinking")
        rows = self.rashomon.check([path], self.model, history.told, self.level)
        return next(filter(None, (self.disagree(history, row) for row in rows)), None)

    def report(self, seed):
        total = sum(self.counts[answer] for answer in ("valid", "invalid", "unknown", "refused"))
        columns = " ".join(f"{name} {self.counts[name]:>5}" for name in ("valid", "invalid", "unknown", "refused"))
        withheld = {reason: many / total for reason, many in self.reasons.items() if reason != OPEN}
        self.wrong += [(None, f"withheld too often: {why}") for why, share in withheld.items() if share > EXCUSES[why] and total >= 100]
        sign, share = "✗" if self.wrong else "✓", f"{sum(withheld.values()):.0%}"
        level = self.level if "," not in self.level else "none of the others"
        told = f"withheld {share:>4}  wrong {len(self.wrong)}"
        print(f"{sign} {self.model:<18} {level:<19} {columns}  {told}", flush=True)
        if not self.wrong:
            return
        print(f"  seed {seed}: {len(self.wrong)} disagreements; the smallest:")
        shrunk = []
        for history, why in [found for found in self.wrong if found[0]][:8]:
            small = self.shrunk(history) if self.wrongly(history) else history
            shrunk.append((len(small.ops), small, self.wrongly(small) or why))
        if not shrunk:
            return print(f"  {self.wrong[0][1]}")
        if self.keep:
            for number, (_, small, why) in enumerate(shrunk):
                ending, text = written(small)
                name = self.keep / f"{self.model}-{self.level.split(',')[0]}-{number}"
                Path(f"{name}.{ending}").write_bytes(text)
                Path(f"{name}.why").write_text(f"{self.command(small)}\n{why}\n")
        _, small, why = min(shrunk, key=lambda found: found[0])
        print(f"  rashomon {self.command(small)}\n  {why}")
        print("".join(f"    {line}\n" for line in told_file(self.file(small, "smallest")).splitlines()), flush=True)

    def command(self, history):
        args = self.rashomon.arguments(self.model, history.told)[1:]
        return " ".join(["check FILE", *args, "--consistency", self.level])

def told_file(path):
    data = path.read_bytes()
    return data.hex() if path.suffix == ".bincode" else data.decode()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    words = "the pairs in whose names all these occur: set, ' set ', eventual"
    parser.add_argument("--pairs", nargs="*", default=[], metavar="WORD", help=words)
    parser.add_argument("--per-pair", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="where the histories of disagreements are kept")
    parser.add_argument("--flip", action="store_true", help="turn one verdict of each pair around: each must then be told")
    args = parser.parse_args()
    for example in wrong_examples():
        raise SystemExit(f"the oracle itself is wrong: {example}")
    folder = Path(tempfile.mkdtemp(prefix="oracle-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    rashomon = Rashomon(args.binary)
    pairs = [(model, level) for model in STEP for level in LEVELS if accepts(model, level)]
    refused = [(model, [level for level in LEVELS if not accepts(model, level)]) for model in STEP]
    pairs += [(model, ",".join(levels)) for model, levels in refused if levels]
    pairs = [pair for pair in pairs if all(word in f" {pair[0]} {pair[1]} " for word in args.pairs)]
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    wrong, reasons, total = 0, collections.Counter(), 0
    try:
        for model, level in pairs:
            pair = Pair(rashomon, folder, model, level, args.seed, args.keep, args.flip)
            left = args.per_pair
            total += left
            size = max(10, min(250, left // 8))
            while left > 0 and accepts(model, level):
                pair.batch(min(size, left))
                left -= size
            if not accepts(model, level):
                pair.refusals(args.per_pair)
            pair.report(args.seed)
            wrong += len(pair.wrong)
            reasons += pair.reasons
    finally:
        shutil.rmtree(folder)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(f"\n{total} histories of {len(pairs)} pairs, {wrong} disagreements; {rashomon.starts} calls,", end=" ")
    print("processor time {:.1f} s here, {:.1f} s there".format(*(use.ru_utime + use.ru_stime for use in used)))
    print("withheld because:" + "".join(f"\n  {many:>6}  {reason}" for reason, many in reasons.most_common()))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
