"""docs/tables.md: its tables are those of the recorded measurements.

`pytest tests/tabular/test_tables_page.py --update-golden` writes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from measurements import difference, results
from pages import check, filled

from quickstudy.cli.console import counted
from quickstudy.tabular.scores import SCORES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "tables.md"
RECORDED = {
    "classes": ROOT / "benchmarks" / "tables-in-context.json",
    "values": ROOT / "benchmarks" / "tables-in-context-values.json",
    "values-valid": ROOT / "benchmarks" / "tables-numbers-valid.json",
}
"""What `quickstudy tables --json` wrote, of classes and of numbers to predict."""


def sizes(path: Path) -> str:
    """The table of seconds and memory by the number of rows."""
    found: dict[str, Any] = json.loads(path.read_text())
    lines = [
        "",
        "| model | rows | learning | answering | fitting a forest | memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in found["sizes"]:
        timed = ("learn_seconds", "answer_seconds", "forest_seconds")
        seconds = (f"{row[key]:.2f} s" for key in timed)
        cells = (f"{row['rows']:,}", *seconds, f"{row['gigabytes']:.1f} GB")
        lines.append(f"| `{row['model']}` | {' | '.join(cells)} |")
    machine = found["machine"]
    end = (
        f"CPU seconds to learn a table of {found['columns']} columns, with two classes or one "
        "number, and to answer as many rows; those in which scikit-learn fits a random forest "
        "of 100 trees; memory of the whole process at most. "
        f"{found['date']}, {machine['cpu']}, {counted(machine['threads'], 'thread')}: "
        f"`{found['command']}`."
    )
    return "\n".join([*lines, "", end, ""])


def steps(path: Path) -> str:
    """The table of seconds of an outer step."""
    found: dict[str, Any] = json.loads(path.read_text())
    names = ("TableInContext", "plain")
    ours, plain = (found["parameters"][name] for name in ("TableInContext", "Plain"))
    lines = [
        "",
        f"| tables | `TableInContext`, {ours:,} parameters | plain, {plain:,} parameters |",
        "| --- | --- | --- |",
    ]
    for size, seconds in found["CPU seconds"].items():
        lines.append(f"| {size} | {' | '.join(f'{seconds[name]:.2f} s' for name in names)} |")
    machine = found["machine"]
    end = (
        f"CPU seconds of {found['tables a step']} tables, in turns. {found['date']}, "
        f"{machine['cpu']}, {counted(machine['threads'], 'thread')}: `{found['command']}`."
    )
    return "\n".join([*lines, "", end, ""])


def curve(path: Path) -> str:
    """The table of the scores by the length of meta-training."""
    found: dict[str, Any] = json.loads(path.read_text())
    scores = [score for score in SCORES["classification"] if score.name in found["points"][0]]
    lines = [
        "",
        f"| width | steps | minutes | {' | '.join(score.noun for score in scores)} |",
        "| --- | --- | --- |" + " --- |" * len(scores),
    ]
    for point in found["points"]:
        values = " | ".join(f"{point[score.name]:.4f}" for score in scores)
        sizes = (f"{point['width']}", f"{point['steps']:,}", f"{point['minutes']:.0f}")
        lines.append(f"| {' | '.join(sizes)} | {values} |")
    end = (
        f"{found['n_tables']} tables, {counted(found['n_splits'], 'split')}, seed {found['seed']}, "
        f"{found['date']}, {found['machine']['cpu']}; minutes of one thread: `{found['command']}`."
    )
    return "\n".join([*lines, "", end, ""])


def test_the_tables_of_the_page(update_golden: bool) -> None:
    measured = {name: results(path) for name, path in RECORDED.items()}
    rows = sizes(ROOT / "benchmarks" / "table_rows.json")
    by_steps = curve(ROOT / "benchmarks" / "tables-curve.json")
    step = steps(ROOT / "benchmarks" / "table-step.json")
    check(PAGE, update_golden, **measured, rows=rows, curve=by_steps, step=step)


def test_a_measurement_as_a_table(tmp_path: Path) -> None:
    paired = {"difference": -0.02, "ci95": 0.01}
    recorded = {
        "kind": "classification",
        "learner": "Own",
        "means": {"Own": {"auc": 0.9, "log_loss": 0.3}, "SVM": {"auc": 0.92}},
        "against": {"SVM": {"auc": paired}},
        "tables": [{"times_faster": 3.0}, {"times_faster": 2.0}],
        "n_tables": 2, "n_splits": 5, "seed": 0, "date": "D", "command": "C", "times_faster": 2.5,
        "machine": {"cpu": "M", "threads": 1},
    }  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps(recorded))
    lines = results(tmp_path / "a.json").splitlines()
    assert lines[3] == "| **Own** | 0.9000 |  |  |  | 0.3000 |  |  |  |"
    assert lines[4] == "| SVM | 0.9200 | -0.0200 ± 0.0100 |  |  |  |  |  |  |"
    assert "the least is 2)" in lines[6]
    # Of a loss less is better.
    assert difference(paired, SCORES["classification"][2]) == "**-0.0200 ± 0.0100**"
    page = filled(PAGE.read_text(encoding="utf-8"), classes="other\n")
    assert page != PAGE.read_text(encoding="utf-8")
