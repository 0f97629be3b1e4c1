"""Times quickstudy and other libraries on the same work, turn by turn, and writes what came out.

    python benchmarks/run.py [--rounds 15] [--only TEXT] [--threads 2]

Every contender lives in a process of its own, so that none is helped or harmed by another's memory;
in each round each does its work once, in an order that changes from round to round, so that a
machine that is busy for a while slows all of them. The ratios are medians over rounds of the two
times of one round. First, the gradients must agree to 1e-4 in float64.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from work import MEMORY, WORK, Work

HERE = Path(__file__).parent
AGREE = 1e-4
SCALING = ((1, 1), (1, 2), (2, 1))
"""Numbers of processes and of threads of each."""


class Process:
    """A worker, asked one thing at a time."""

    def __init__(self, who: str, work: Work, threads: int) -> None:
        command = [sys.executable, str(HERE / "worker.py"), who, json.dumps(work.to_json())]
        self.process = subprocess.Popen(
            command,
            env=environment(threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.who, self.seconds = who, []  # type: ignore[var-annotated]

    def ask(self, *words: str) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.who} failed; run its worker by hand to see why")
        return json.loads(answer)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def disagreement(processes: Sequence[Process]) -> float:
    """Largest relative difference between the first one's gradient and another's."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for i, process in enumerate(processes):
            path = Path(folder) / f"{i}.npz"
            process.ask("gradient", str(path))
            with np.load(path) as arrays:
                found.append([arrays[name] for name in arrays.files])
    worst = 0.0
    for other in (arrays for arrays in found[1:] if arrays):
        # By the largest gradient of all: that of a bias before a batch norm is rounding.
        scale = max(np.abs(g).max() for g in found[0])
        apart = max(np.abs(a - b).max() for a, b in zip(found[0], other, strict=True))
        worst = max(worst, float(apart / scale))
    return worst


def timed(work: Work, rounds: int, threads: int) -> dict[str, Any]:
    """The results of one row: seconds of each round, and the gradients' disagreement."""
    processes = [Process(who, work, threads) for who in work.contenders]
    apart = None
    if work.kind in ("maml", "anil", "episode"):
        apart = disagreement(processes)
        if not apart <= AGREE:
            raise SystemExit(f"{work.name}: gradients differ by {apart:.1e}, more than {AGREE}")
    for process in processes:
        for _ in range(3):
            process.ask("step")
    repeats = {
        process.who: max(1, round(0.02 / max(process.ask("step"), 1e-9))) for process in processes
    }
    for number in range(rounds):
        for process in processes if number % 2 == 0 else processes[::-1]:
            n = repeats[process.who]
            process.seconds.append(sum(process.ask("step") for _ in range(n)) / n)
    for process in processes:
        process.end()
    return {
        **work.to_json(),
        "disagreement": apart,
        "seconds": {process.who: process.seconds for process in processes},
    }


def peaks(work: Work, threads: int) -> dict[str, Any]:
    """Bytes that each contender needs at most for a few steps, beyond what it began with."""
    found = {}
    for who in work.contenders:
        process = Process(who, work, threads)
        for _ in range(2):
            process.ask("step")
        found[who] = process.ask("peak")
        process.end()
    return {**work.to_json(), "bytes": found}


def scaling(rounds: int) -> list[dict[str, Any]]:
    """Outer steps by one and by two processes, and by one of two threads, in turn."""
    found: list[dict[str, Any]] = []
    for _ in range(rounds):
        for processes, threads in SCALING:
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
            run = subprocess.run(
                [sys.executable, *launch, str(processes), str(HERE / "scaling.py")],
                env=environment(threads),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                check=False,  # Gloo's threads sometimes abort a process that has done its work.
            )
            if not run.stdout:
                raise SystemExit("scaling.py failed; run it by hand to see why")
            found.append(json.loads(run.stdout.splitlines()[-1]))
            print(f"scaling: {found[-1]}", flush=True)
    return found


def environment(threads: int) -> dict[str, str]:
    """Of a process of this benchmark: the source of quickstudy, and so many threads."""
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(HERE.parent / "src"),
        "OMP_NUM_THREADS": str(threads),
    }


def machine() -> dict[str, Any]:
    sys.path.insert(0, str(HERE.parent / "src"))
    from quickstudy.files.machine import machine

    found: dict[str, Any] = machine()["machine"]
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--threads", type=int, default=2)
    options.add_argument("--only", default="", help="rows whose name contains this")
    options.add_argument("--out", type=Path, default=HERE / "results.json")
    chosen = options.parse_args()
    result = json.loads(chosen.out.read_text()) if chosen.only and chosen.out.exists() else {}
    result |= {
        "date": date.today().isoformat(),
        "machine": machine() | {"threads": chosen.threads},
        "rounds": chosen.rounds,
    }
    for key, all_of_them in (("times", WORK), ("memory", MEMORY)):
        found = {row["name"]: row for row in result.get(key, [])}
        for work in all_of_them:
            if chosen.only not in work.name:
                continue
            if key == "times":
                found[work.name] = timed(work, chosen.rounds, chosen.threads)
                print(line(found[work.name]), flush=True)
            else:
                found[work.name] = peaks(work, chosen.threads)
                mib = {who: round(b / 2**20) for who, b in found[work.name]["bytes"].items()}
                print(f"{work.name}: MiB {mib}", flush=True)
            # In the order of the list, and after each row: a long run may be cut short.
            result[key] = [found[w.name] for w in all_of_them if w.name in found]
            chosen.out.write_text(json.dumps(result, indent=1) + "\n")
    if chosen.only in "scaling":
        result["scaling"] = scaling(3)
        chosen.out.write_text(json.dumps(result, indent=1) + "\n")


def ratios(row: dict[str, Any]) -> dict[str, tuple[float, float, float]]:
    """How many times as fast as the first contender: median and quartiles over the rounds."""
    first, *others = row["contenders"]
    base = np.array(row["seconds"][first])
    return {
        who: tuple(np.quantile(base / np.array(row["seconds"][who]), (0.5, 0.25, 0.75)))  # type: ignore[misc]
        for who in others
    }


def line(row: dict[str, Any]) -> str:
    first = row["contenders"][0]
    milliseconds = 1e3 * float(np.median(row["seconds"][first]))
    found = ", ".join(
        f"{who} x{m:.2f} [{a:.2f}, {b:.2f}]" for who, (m, a, b) in ratios(row).items()
    )
    return f"{row['name']}: {first} {milliseconds:.1f} ms; {found}"


if __name__ == "__main__":
    main()
