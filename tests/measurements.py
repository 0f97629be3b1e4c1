"""Recorded measurements of `quickstudy tables --json` as tables of a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quickstudy.cli.console import counted
from quickstudy.tabular.scores import SCORES, Score


def results(path: Path) -> str:
    """The table of a measurement, or that there is none yet."""
    if not path.is_file():
        return "Not measured yet.\n"
    found: dict[str, Any] = json.loads(path.read_text())
    scores, learner = SCORES[found["kind"]], found["learner"]
    heads = [head for score in scores for head in (score.noun, "learner minus it")]
    lines = ["", f"| | {' | '.join(heads)} |", "| --- |" + " --- |" * len(heads)]
    for name, means in found["means"].items():
        cells = [f"**{name}**" if name == learner else name]
        for score in scores:
            mean, paired = means.get(score.name), found["against"].get(name, {}).get(score.name)
            cells += ["" if mean is None else f"{mean:.4f}", difference(paired, score)]
        lines.append(f"| {' | '.join(cells)} |")
    machine = found["machine"]
    faster = min(row["times_faster"] for row in found["tables"])
    end = (
        f"{counted(found['n_tables'], 'table')}, {counted(found['n_splits'], 'split')}, "
        f"seed {found['seed']}, "
        f"{found['date']}, {machine['cpu']}, {machine['threads']} thread(s): "
        f"`{found['command']}`. ± is 95 % over the tables, paired; in bold where it leaves out "
        f"0 to the learner's good. Adapting and predicting is {found['times_faster']:.1f} times "
        f"faster than fitting the forest (median over the tables; the least is {faster:.2g})."
    )
    return "\n".join([*lines, "", end, ""])


def difference(paired: dict[str, Any] | None, score: Score) -> str:
    """A paired difference with its interval."""
    if paired is None:
        return ""
    text = f"{paired['difference']:+.4f} ± {paired['ci95']:.4f}"
    gain = paired["difference"] if score.larger_is_better else -paired["difference"]
    return f"**{text}**" if gain > paired["ci95"] else text
