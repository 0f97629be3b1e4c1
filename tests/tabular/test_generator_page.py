"""docs/generator.md: its table is that of the recorded measurement.

`pytest tests/tabular/test_generator_page.py --update-golden` writes it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pages import check, filled

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "generator.md"
RECORDED = ROOT / "benchmarks" / "tables.json"
ROWS = (
    "generator",
    "logistic regression",
    "RBF SVM",
    "random forest",
    "before meta-training",
    "without its steps",
)


def results() -> str:
    found: dict[str, Any] = json.loads(RECORDED.read_text())
    text = (
        "\n| | ROC-AUC | generator minus it | p | accuracy | generator minus it | p |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    for name in ROWS:
        cells = ["**LearnerGenerator**" if name == "generator" else name]
        for metric in ("auc", "accuracy"):
            cells.append(f"{found['means'][name][metric]:.4f}")
            if name == "generator":
                cells += ["", ""]
                continue
            row = found["against"][name][metric]
            cells += [f"{row['difference']:+.4f} ± {row['ci95']:.4f}", f"{row['p']:.2g}"]
        text += f"| {' | '.join(cells)} |\n"
    least = min(row["times_faster"] for row in found["tables"])
    machine = found["machine"]
    return text + (
        f"\n{found['n_tables']} tables, {found['n_splits']} splits, seed {found['seed']}, "
        f"{found['date']}, {machine['cpu']}, {machine['threads']} thread(s): "
        f"`{found['command']}`. Adapting and predicting is {found['times_faster']:.0f} times "
        f"faster than fitting the forest (median over the tables; the least is {least:.1f}), both "
        "of prepared inputs, taking turns.\n"
    )


def test_the_table_of_the_page(update_golden: bool) -> None:
    check(PAGE, update_golden, results=results())


def test_a_wrong_number_is_seen() -> None:
    text = PAGE.read_text()
    wrong = re.sub(r"\| random forest \| [0-9.]+", "| random forest | 0.0000", text)
    assert wrong != text
    assert filled(wrong, results=results()) == text
