"""docs/selection.md: its tables are those of the list and of the recorded judgements.

`pytest tests/selection/test_page.py --update-golden` writes them.
"""

from __future__ import annotations

import json
from pathlib import Path

from pages import check, filled

from quickstudy.selection import CONFIGURATIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "selection.md"
RECORDED = sorted((ROOT / "benchmarks").glob("selection-*.json"))


def configurations() -> str:
    head = "| name | algorithm | tried before the choice |\n| --- | --- | --- |\n"
    return head + "".join(
        f"| {name} | `{each.describe()}` | {'yes' if each.cheap else ''} |\n"
        for name, each in CONFIGURATIONS.items()
    )


def results() -> str:
    text = ""
    for path in RECORDED:
        found = json.loads(path.read_text())
        metric = found["metric"]
        name = {"accuracy": "accuracy", "auc": "ROC-AUC"}[metric]
        text += f"\n| way to choose | {name} | of the gap closed | 95 % | CPU seconds a choice |\n"
        text += "| --- | --- | --- | --- | --- |\n"
        for row in found["methods"]:
            low, high = row["closed_95"]
            bold = "**" if row["name"] == "policy gradient" else ""
            text += (
                f"| {bold}{row['name']}{bold} | {row[metric]:.4f} | {100 * row['closed']:.0f} % | "
                f"{100 * low:.0f} to {100 * high:.0f} % | {row['seconds']:.2f} |\n"
            )
        measuring = found["tasks"] * sum(found["seconds"].values()) / 60
        text += (
            f"\n{found['tables']} tables of {found['families']} families, {found['tasks']} splits, "
            f"{found['folds']} folds, {measuring:.0f} CPU minutes of measuring, {found['date']}, "
            f"{found['machine']['cpu']}, "
            f"{found['machine']['threads']} thread(s): `{found['command']}`\n"
        )
    return text


def parts() -> dict[str, str]:
    return {"configurations": configurations(), "results": results()}


def test_the_tables_of_the_page(update_golden: bool) -> None:
    check(PAGE, update_golden, **parts())


def test_a_wrong_number_is_seen() -> None:
    text = PAGE.read_text()
    assert filled(text.replace("`SVC(C=1.0)`", "`SVC(C=2.0)`"), **parts()) == text
    assert text.count("| yes |") == sum(each.cheap for each in CONFIGURATIONS.values())
