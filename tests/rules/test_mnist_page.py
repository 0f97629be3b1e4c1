"""docs/learned-optimizers.md: what it says of MNIST is what was recorded.

`pytest tests/rules/test_mnist_page.py --update-golden` writes its table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pages import check, filled

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "learned-optimizers.md"
RECORDED: dict[str, Any] = json.loads(
    (ROOT / "benchmarks" / "learned-optimizer-mnist.json").read_text()
)


def by_name(evaluation: dict[str, Any]) -> dict[str, Any]:
    return {rule["name"]: rule for rule in evaluation["optimizers"]["rules"]}


def results() -> str:
    text = (
        "\n| | steps | LSTM rule | Adam | rule minus Adam | best tuned |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
    )
    for one in RECORDED["evaluations"]:
        rules = by_name(one)
        learned, adam = rules.pop("learned"), rules["Adam"]
        best = min(rules.values(), key=lambda rule: rule["loss"])
        text += (
            f"| {one['name']} | {one['optimizers']['steps']} | {learned['loss']:.3f} "
            f"| {adam['loss']:.3f} | {adam['difference']:+.3f} ± {adam['difference_ci95']:.3f} "
            f"| {best['loss']:.3f} ({best['name']}) |\n"
        )
    machine = RECORDED["machine"]
    return text + (
        f"\n{RECORDED['n_tasks']} runs, seed {RECORDED['seed']}, "
        f"{RECORDED['cpu_minutes']:.0f} CPU minutes of meta-training, {RECORDED['date']}, "
        f"{machine['cpu']}, {machine['threads']} thread(s): "
        f"`quickstudy reproduce {RECORDED['recipe']}`\n\n"
    )


def test_the_table_of_the_page(update_golden: bool) -> None:
    check(PAGE, update_golden, mnist=results())
    text = PAGE.read_text()
    assert (
        filled(text.replace("| 40 units | 100 | 0.", "| 40 units | 100 | 1."), mnist=results())
        == text
    )


def test_it_is_the_run_of_the_recipe() -> None:
    recipe = yaml.safe_load((ROOT / RECORDED["recipe"]).read_text())
    entries = recipe["profiles"]["cpu"]["evaluate"]
    for one, entry in zip(RECORDED["evaluations"], entries, strict=True):
        rules = by_name(one)
        learned = rules.pop("learned")["loss"]
        ratio = learned / min(rule["loss"] for rule in rules.values())
        metric = f"ratio_at_{one['optimizers']['steps']}"
        assert entry["recorded"][metric] == pytest.approx(ratio, abs=1e-5)


def test_what_the_page_says_of_the_way() -> None:
    whole, _, wide, deep, _ = (by_name(one) for one in RECORDED["evaluations"])

    def behind(rules: dict[str, Any], other: str) -> list[int]:
        pairs = zip(rules["learned"]["curve"], rules[other]["curve"], strict=True)
        return [k for k, (mine, theirs) in enumerate(pairs) if mine > theirs]

    assert behind(whole, "Adam") == behind(wide, "Adam") == [1]
    assert min(len(behind(deep, other)) for other in ("RMSprop", "Adam")) > 50
