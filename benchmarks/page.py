"""docs/performance.md with its picture and docs/scale.md, from results.json."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from run import HERE, ratios

DOCS = HERE.parent / "docs"
COLOURS = {
    "quickstudy": "#0b7285",
    "quickstudy checkpoint": "#66a80f",
    "quickstudy compiled": "#862e9c",
    "quickstudy bf16": "#0ca678",
    "learn2learn": "#868e96",
    "higher": "#adb5bd",
    "torchopt": "#e64980",
    "parallel-metalearn": "#4c6ef5",
    "torchmeta": "#a07855",
    "bare convolutions": "#f08c00",
    "easyfsl": "#ced4da",
}
HEAD = """\
# Performance

*Written by `python benchmarks/page.py` from a recorded run; `make bench` repeats it.*

Measured {date} on {cpu}, {threads} threads, torch {torch}: {rounds} rounds, in each of which every
library does the same work once in a process of its own. A ratio says how many times as fast as the
first library named a contender is: the median over the rounds, and the quartiles. Before the
timing, the meta-gradients of the same tasks must agree to 1e-4 in float64 (they agree to
{apart:.0e}).

learn2learn, higher, torchopt, parallel-metalearn, easyfsl and torchmeta are used as their own
examples use them. quickstudy's steps are timed from a recording, as they run from the tenth second
of a meta-training on (`quickstudy.batching.record`); "checkpoint" is `meta_gradient: checkpoint`,
which is not recorded, "compiled" is `compile: true` and "bf16" `bf16: true`.

![Ratios and memory](performance.svg)

| work | at first | quickstudy | others | bar |
| --- | --- | --- | --- | --- |
"""
MEMORY = """
## Memory

MiB that a process needs at most beyond what it holds before the first step, for MAML on Conv-4, two
tasks a step. quickstudy computes as many tasks side by side as there are threads, so that it holds
two tasks at a time here, learn2learn one.

| inner steps | {names} |
| --- |{rule}
"""
SCALING = """
## Several processes

MAML on Conv-4, outer steps of {tasks} tasks with their sampling, under `torchrun` on the same
machine; median of {runs} launches, in turn. A step has one all-reduce of {kilobytes:.0f} kB.

| processes | threads of each | tasks/s | against the first | all-reduce |
| --- | --- | --- | --- | --- |
"""


def scaling(found: list[dict[str, Any]]) -> str:
    """The part about several processes."""
    kinds = list(dict.fromkeys((run["processes"], run["threads"]) for run in found))
    text, first = "", None
    for kind in kinds:
        runs = [run for run in found if (run["processes"], run["threads"]) == kind]
        speed = median(run["tasks"] / run["step"] for run in runs)
        first = first or speed
        wait = 1e3 * median(run["all_reduce"] for run in runs)
        cells = (*kind, f"{speed:.1f}", f"{speed / first:.2f}", f"{wait:.2f} ms")
        text += f"| {' | '.join(map(str, cells))} |\n"
    head = SCALING.format(
        tasks=found[0]["tasks"], runs=len(runs), kilobytes=found[0]["bytes"] / 1000
    )
    return head + text


DEVICES, BANDWIDTH, LATENCY, TASKS = 64, 1e10, 1e-5, 1e9


def scale(result: dict[str, Any]) -> str:
    """docs/scale.md."""
    rows = {found["name"]: found["seconds"]["quickstudy"] for found in result["times"]}
    task = median(rows["MAML, Conv-4, meta-batch 16"]) / 16
    sample = median(rows["sampling 5-way 1-shot tasks, in memory"])
    size = result["scaling"][0]["bytes"]
    one, two = (
        median(
            r["tasks"] / r["step"]
            for r in result["scaling"]
            if r["processes"] == n and r["threads"] == 1
        )
        for n in (1, 2)
    )
    reduce = 2 * (DEVICES - 1) / DEVICES * size / BANDWIDTH + 2 * (DEVICES - 1) * LATENCY
    lines = []
    for rate in (100, 1000, 10000):
        for m in (4, 32):
            parts = (m / rate, m * sample, reduce)
            steps = TASKS / (DEVICES * m)
            shares = " | ".join(f"{100 * part / sum(parts):.0f} %" for part in parts)
            days = steps * sum(parts) / 86400
            lines.append(f"| {rate} | {m} | {steps / 1e6:.2f} million | {days:.1f} | {shares} |")
    return (
        (HERE / "scale.md")
        .read_text()
        .format(
            date=result["date"],
            **{key: result["machine"][key] for key in ("cpu", "threads", "torch")},
            task=1e3 * task,
            sample=1e3 * sample,
            kilobytes=size / 1000,
            wait=1e3 * median(r["all_reduce"] for r in result["scaling"] if r["processes"] == 2),
            two=two / one,
            years=TASKS * task / (365 * 86400),
            rows="\n".join(lines),
            bend=1 / sample,
            checkpoint=4 * size / 8 * 5 / 1e6,
        )
    )


def row(found: dict[str, Any]) -> str:
    first = found["contenders"][0]
    base = sorted(found["seconds"][first])[len(found["seconds"][first]) // 2]
    ours, others = [], []
    for who, (middle, low, high) in ratios(found).items():
        text = f"{middle:.2f} [{low:.2f}, {high:.2f}]"
        short = who.removeprefix("quickstudy").strip()
        (ours if who.startswith("quickstudy") else others).append(f"{short} {text}".strip())
    # That of quickstudy as it is by default: what is compiled must not make up for it.
    bar, reached = found["bar"], ratios(found)["quickstudy"][0]
    said = "" if bar is None else f"{bar:g}: {'reached' if reached >= bar else 'missed'}"
    cells = (found["name"], f"{first} {1e3 * base:.1f} ms", "<br>".join(ours), "<br>".join(others))
    return f"| {' | '.join(cells)} | {said} |"


def picture(result: dict[str, Any], path: Path) -> None:
    mpl.rcParams["svg.hashsalt"] = "quickstudy"
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(11, 6.5), width_ratios=[1.6, 1], layout="constrained"
    )
    labels = []
    for y, found in enumerate(result["times"][::-1]):
        labels.append(found["name"])
        for who, (middle, low, high) in ratios(found).items():
            left.plot([low, high], [y, y], color=COLOURS[who], lw=3, alpha=0.5)
            left.plot(middle, y, "o", color=COLOURS[who], ms=6)
        if found["bar"]:
            left.plot(found["bar"], y, "|", color="black", ms=14, mew=1.5)
    left.axvline(1, color=COLOURS["learn2learn"], lw=1)
    left.set_xscale("log")
    left.set_xticks([0.5, 1, 2, 5, 10, 20, 50, 100], ["½", 1, 2, 5, 10, 20, 50, 100])
    left.set_yticks(range(len(labels)), labels, fontsize=8)
    left.set_xlabel("times as fast as the first library named (stroke: the bar)")
    for who in result["memory"][0]["bytes"]:
        points = [(m["steps"], m["bytes"][who] / 2**20) for m in result["memory"]]
        right.plot(*zip(*points, strict=True), "o-", color=COLOURS[who], label=who)
    right.set_xlabel("inner steps")
    right.set_ylabel("peak memory, MiB")
    right.set_ylim(bottom=0)
    drawn = {who for found in result["times"] for who in ratios(found)}
    for who in COLOURS:
        if who in drawn and who not in result["memory"][0]["bytes"]:
            right.plot([], [], "o", color=COLOURS[who], label=who)
    right.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    result = json.loads((HERE / "results.json").read_text())
    text = HEAD.format(
        date=result["date"],
        rounds=result["rounds"],
        apart=max(found["disagreement"] or 0 for found in result["times"]),
        **{key: result["machine"][key] for key in ("cpu", "threads", "torch")},
    )
    text += "\n".join(map(row, result["times"])) + "\n"
    names = list(result["memory"][0]["bytes"])
    text += MEMORY.format(names=" | ".join(names), rule=" --- |" * len(names))
    for found in result["memory"]:
        cells = [f"{found['bytes'][who] / 2**20:.0f}" for who in names]
        text += f"| {found['steps']} | {' | '.join(cells)} |\n"
    text += scaling(result["scaling"])
    notes = (HERE / "notes.md").read_text()
    (DOCS / "performance.md").write_text(text + "\n" + notes)
    (DOCS / "scale.md").write_text(scale(result))
    picture(result, DOCS / "performance.svg")


if __name__ == "__main__":
    main()
