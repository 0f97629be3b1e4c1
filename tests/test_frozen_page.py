"""docs/frozen.md: its table is that of the recorded measurement.

`pytest tests/test_frozen_page.py --update-golden` writes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pages import check, filled

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "frozen.md"
RECORDED = json.loads((ROOT / "benchmarks" / "frozen.json").read_text())
ROWS: list[dict[str, Any]] = RECORDED["rows"]
METHODS = ("LinearProbe", "LR C=10", "centroids")
AGAINST = ("LinearProbe", "LinearProbe, base mean", "LR C=10, own mean")
HEADINGS = (
    *("LinearProbe", "C = 10", "centroids"),
    *("probe minus C = 10", "with a mean of other classes", "C = 10 with the own mean"),
    "CPU-ms",
)


def spread(value: dict[str, float] | None, sign: str = "") -> str:
    return f"{value['mean']:{sign}.2f} ± {value['ci95']:.2f}" if value else ""


def table() -> str:
    text = f"\n| task | {' | '.join(HEADINGS)} |\n|{' --- |' * (len(HEADINGS) + 1)}\n"
    scope = ""
    for row in ROWS:
        cells = [f"{row['data']} {row['way']}-way {row['shot']}-shot"]
        cells += [spread(row["accuracy"].get(name)) for name in METHODS]
        cells += [spread(row["minus LR C=10"].get(name), "+") for name in AGAINST]
        cells.append(f"{1000 * row['cpu_seconds']:.0f}")
        text += f"| {' | '.join(cells)} |\n"
        if "out of scope" in row:
            auroc = row["out of scope"]["auroc"]
            scope = (
                f"Out of scope of {row['data']}, {row['way']}-way {row['shot']}-shot, AUROC: "
                f"LinearProbe {spread(auroc['LinearProbe'])}, C = 10 {spread(auroc['LR C=10'])}, "
                f"centroids {spread(auroc['centroids'])}.\n"
            )
    machine: dict[str, Any] = RECORDED["machine"]
    return text + (
        f"\n{scope}\n`{RECORDED['command']}`, seeds {RECORDED['seeds']}, {RECORDED['date']}, "
        f"{machine['cpu']}, one thread. C = 10 is scikit-learn's logistic regression on features "
        "of length 1, centroids are the nearest of these. Differences to C = 10 are paired.\n"
    )


def test_the_table_of_the_page(update_golden: bool) -> None:
    check(PAGE, update_golden, frozen=table())


def test_a_wrong_number_is_seen() -> None:
    text = PAGE.read_text(encoding="utf-8")
    digit = next(c for c in table() if c.isdigit())
    assert filled(text, frozen=table().replace(digit, "?")) != text


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['data']} {row['way']} {row['shot']}")
def test_the_bars_are_reached(row: dict[str, Any]) -> None:
    probe = row["accuracy"]["LinearProbe"]
    assert probe["mean"] + probe["ci95"] >= row["bar"]


def test_the_chosen_penalty_is_not_worse_than_a_fixed_one() -> None:
    differences = [row["minus LR C=10"]["LinearProbe"] for row in ROWS]
    total = sum(each["mean"] for each in differences)
    ci95 = sum(each["ci95"] ** 2 for each in differences) ** 0.5
    assert total + ci95 >= 0
    assert all(each["mean"] > -0.5 for each in differences)
