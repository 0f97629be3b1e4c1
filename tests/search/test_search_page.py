"""docs/search.md: its table is that of the recorded benchmark.

`pytest tests/search/test_search_page.py --update-golden` writes it.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pages import check, filled

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "search.md"
RECORDED = ROOT / "benchmarks" / "search.json"


def shown(values: list[float | None]) -> str:
    """The mean over the seeds; those that diverged have none."""
    known = [value for value in values if value is not None]
    failed = len(values) - len(known)
    said = f"{sum(known) / len(known):.3f}" if known else ""
    return said + (f" ({failed} of {len(values)} diverged)" if failed else "")


def results() -> str:
    found: dict[str, Any] = json.loads(RECORDED.read_text())
    text = ""
    for family, row in found["table"].items():
        better = "higher" if row["metric"] == "accuracy" else "lower"
        text += (
            f"\n| {family}, {row['seeds']} seeds | {row['metric']} ({better} is better) "
            "| search is better by | 95 % | seeds won |\n| --- | --- | --- | --- | --- |\n"
        )
        for name, one in row["contenders"].items():
            gain, half = one["gain_of_search"], one["ci95"]
            compared = name != "search" and gain is not None
            text += (
                f"| {name} | {shown(one['by_seed'])} | "
                f"{f'{gain:+.3f}' if compared else ''} | {f'± {half:.3f}' if compared else ''} | "
                f"{'' if name == 'search' else one['seeds_won']} |\n"
            )
    machine = found["machine"]
    return text + (
        f"\n{found['date']}, {machine['cpu']}, {machine['threads']} thread(s): "
        f"`{found['command']}`\n"
    )


def test_the_table_of_the_page(update_golden: bool) -> None:
    check(PAGE, update_golden, results=results())


def test_a_wrong_number_is_seen() -> None:
    text = PAGE.read_text()
    wrong = re.sub(r"\| search \| [0-9.]+", "| search | 0.000", text)
    assert wrong != text
    assert filled(wrong, results=results()) == text
