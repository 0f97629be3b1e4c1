"""docs/generator.md: its tables are those of the recorded measurements.

`pytest tests/tabular/test_generator_page.py --update-golden` writes them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from measurements import results
from pages import check, filled

from quickstudy.cli.console import counted

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "generator.md"
RECORDED = ROOT / "benchmarks" / "tables.json"
PRIOR = ROOT / "benchmarks" / "table-prior.json"


def looks(found: dict[str, Any]) -> str:
    """The table of what made-up tables look like, beside real ones."""
    kinds = {"made up": "made up", "real": "real"}
    lines = [
        "",
        f"| 5 %, median and 95 % of the tables | {' | '.join(kinds.values())} |",
        "| --- | --- | --- |",
    ]
    for name in found["made up"]["quantiles"]:
        cells = []
        for kind in kinds:
            low, _, middle, _, high = found[kind]["quantiles"][name]
            cells.append(f"{low:.3g}, {middle:.3g}, {high:.3g}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    wins = [f"{100 * found[kind]['forest wins']:.0f} % of the tables" for kind in kinds]
    lines.append(f"| the forest is better on | {' | '.join(wins)} |")
    sizes = [f"{found[kind]['tables']} {kind}" for kind in kinds]
    return "\n".join([*lines, "", f"{', '.join(sizes)}. {made(found)}", ""])


def speeds(found: dict[str, Any]) -> str:
    """The table of how many tables are drawn a second."""
    lines = [
        "",
        "| rows | columns | classes | tables of a group | tables a second |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in found["speed"]:
        rows = f"{row['n_support']} + {row['n_query']}"
        cells = (rows, row["width"], row["way"] or "a number", row["group"])
        lines.append(f"| {' | '.join(map(str, cells))} | {row['per_second']:,} |")
    return "\n".join([*lines, "", made(found), ""])


def made(found: dict[str, Any]) -> str:
    """When, where and how it was measured."""
    machine = found["machine"]
    threads = counted(machine["threads"], "thread")
    return f"{found['date']}, {machine['cpu']}, {threads}: `{found['command']}`."


def test_the_tables_of_the_page(update_golden: bool) -> None:
    prior = json.loads(PRIOR.read_text())
    check(PAGE, update_golden, results=results(RECORDED), looks=looks(prior), speeds=speeds(prior))


def test_a_wrong_number_is_seen() -> None:
    text = PAGE.read_text()
    wrong = re.sub(r"\| random forest \| [0-9.]+", "| random forest | 0.0000", text)
    assert wrong != text
    assert filled(wrong, results=results(RECORDED)) == text
