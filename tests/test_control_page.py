"""docs/control.md: its tables are those of the recorded measurements.

`pytest tests/test_control_page.py --update-golden` writes them.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pages import check, filled

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "control.md"
RECORD: dict[str, Any] = json.loads((ROOT / "benchmarks/control.json").read_text())
JSON = dict[str, Any]
FINE_TUNED = "MultiTaskPolicy, fine-tuned"
BARS = {"point-goal": {1: -16.0, 2: -7.0}}
"""The least return of PolicyMAML after updates."""
GAIN = 2.0
"""The least difference of PolicyMAML to the fine-tuned policy, in the worlds that have a bar."""
NONE_YET = "\nNot measured yet: `python benchmarks/control.py learn`.\n"


def pooled(cells: list[JSON], value: str, ci95: str) -> tuple[float, float]:
    """The mean of the seeds, and the half width over all their worlds; each seed has as many."""
    n = len(cells)
    mean = sum(cell[value] for cell in cells) / n
    return mean, math.sqrt(sum(cell[ci95] ** 2 for cell in cells)) / n


def shown(mean: float, half: float, sign: str = "", digits: int = 1) -> str:
    return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"


def runs_of(learn: dict[str, JSON]) -> dict[tuple[str, str], list[JSON]]:
    """The runs of each family and learner, by their seeds."""
    runs: dict[tuple[str, str], list[JSON]] = {}
    for entry, run in learn.items():
        family, learner, _ = entry.rsplit(", ", 2)
        runs.setdefault((family, learner), []).append(run)
    return {key: sorted(each, key=lambda run: run["seed"]) for key, each in runs.items()}


def learned(learn: dict[str, JSON]) -> str:
    """A table for each family and learner, with its opponents in the same worlds."""
    parts = [_learned(*key, runs) for key, runs in runs_of(learn).items()]
    return "".join(parts) or NONE_YET


def _learned(family: str, learner: str, runs: list[JSON]) -> str:
    digits = 2 if "sparse" in family else 1
    results = [run["results"] for run in runs]
    updates = [row["n_updates"] for row in results[0][learner]["by_updates"]]
    n_updates = runs[0]["options"]["tasks"]["n_updates"]
    heads = ["", *(f"{k} updates" if k != 1 else "1 update" for k in updates)]
    heads += ["success", f"{learner} minus it", "each seed"]
    text = f"\n**{family}**, {learner}: return\n\n"
    text += f"|{' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
    for who in results[0]:
        every = [result[who] for result in results]
        cells = [f"**{who}**" if who == learner else who]
        for at in range(len(updates)):
            points = [each["by_updates"][at] for each in every]
            cells.append(shown(*pooled(points, "return", "ci95"), digits=digits))
        cells.append(f"{100 * sum(each['success'] for each in every) / len(every):.0f} %")
        if who == learner:
            cells += ["", ""]
        else:
            cells.append(shown(*pooled(every, "difference", "difference_ci95"), "+", digits))
            cells.append(", ".join(f"{each['difference']:+.{digits}f}" for each in every))
        text += f"| {' | '.join(cells)} |\n"
    text += (
        f"\nSuccess and differences are after {n_updates} updates. {bars(family, learner, runs)}"
    )
    minutes = sum(run["cpu_minutes"] for run in runs) / len(runs)
    seeds = ", ".join(str(run["seed"]) for run in runs)
    machine, command = runs[0]["machine"], runs[0]["command"].split(" --seed")[0]
    return text + (
        f"`{command}`, seeds {seeds}, {runs[0]['n_tasks']} worlds each, {runs[-1]['date']}, "
        f"{machine['cpu']}, one thread, {minutes:.1f} CPU minutes of meta-training a seed.\n"
    )


def bars(family: str, learner: str, runs: list[JSON]) -> str:
    """Whether what was to be reached was."""
    if learner != "PolicyMAML" or family not in BARS:
        return ""
    text, results = "", [run["results"] for run in runs]
    for k, bar in BARS[family].items():
        points = [result[learner]["by_updates"][k] for result in results]
        mean, _ = pooled(points, "return", "ci95")
        updates = f"{k} update{'s' * (k > 1)}"
        text += f"The bar after {updates}: at least {bar:.0f}, {reached(mean >= bar)}. "
    gains = [result[FINE_TUNED] for result in results]
    mean, half = pooled(gains, "difference", "difference_ci95")
    is_reached = mean >= GAIN and mean > half
    return text + (
        f"The bar of the difference to the fine-tuned policy: at least {GAIN:+.0f} with an "
        f"interval above 0, {reached(is_reached)}. "
    )


def reached(is_reached: bool) -> str:
    return "reached" if is_reached else "missed"


def bandits(record: dict[str, JSON]) -> str:
    """A table of the classical players: the mean of the seeds, with all their worlds."""
    runs = sorted(record.values(), key=lambda run: run["seed"])
    returns: dict[str, dict[str, JSON]] = runs[0]["returns"]
    text = f"\n| | {' | '.join(returns)} |\n|{' --- |' * (1 + len(returns))}\n"
    for player in next(iter(returns.values())):
        cells = [
            shown(
                *pooled([run["returns"][bandit][player] for run in runs], "mean", "interval"),
                digits=2,
            )
            for bandit in returns
        ]
        text += f"| {player} | {' | '.join(cells)} |\n"
    seeds = ", ".join(str(run["seed"]) for run in runs)
    return text + (
        f"\n`{runs[0]['command'].split(' --')[0]}`, seed{'s' * (len(runs) > 1)} {seeds}: "
        f"{runs[0]['worlds']} worlds each, {runs[0]['episodes']} episodes in each of them, "
        f"{runs[-1]['date']}, {runs[0]['machine']['cpu']}, one thread; ± is 95 % over worlds.\n"
    )


def test_the_tables_of_the_page(update_golden: bool) -> None:
    parts = {"control": learned(RECORD.get("learn", {})), "bandits": bandits(RECORD["bandits"])}
    check(PAGE, update_golden, **parts)


def test_a_wrong_number_is_seen() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table = bandits(RECORD["bandits"])
    digit = next(c for c in table if c.isdigit())
    assert filled(text, bandits=table.replace(digit, "?")) != text


def test_seeds_are_joined_and_bars_are_judged() -> None:
    def run(seed: int, after: float, difference: float, half: float = 1.6) -> JSON:
        points = [-40.0, -12.0, after, after]
        rows = [{"n_updates": k, "return": r, "ci95": 0.8} for k, r in enumerate(points)]
        own = {"success": 0.5, "by_updates": rows}
        other = {**own, "difference": difference, "difference_ci95": half}
        return {
            "seed": seed,
            "n_tasks": 200,
            "cpu_minutes": 1.0,
            "options": {"tasks": {"n_updates": 2}},
            "results": {"PolicyMAML": own, FINE_TUNED: other},
            "command": f"python benchmarks/control.py learn --seed {seed} --out x.json",
            "date": "2026-12-01",
            "machine": {"cpu": "C"},
        }

    entry = "point-goal, PolicyMAML, seed {}"
    runs = {entry.format(seed): run(seed, -6.0 - seed, 1.0 + 2 * seed) for seed in (1, 0)}
    text = learned(runs)
    first, second = (line for line in text.splitlines() if "± 0.6" in line)
    assert first == (
        "| **PolicyMAML** | -40.0 ± 0.6 | -12.0 ± 0.6 | -6.5 ± 0.6 | -6.5 ± 0.6 | 50 % |  |  |"
    )
    assert second.endswith("| 50 % | +2.0 ± 1.1 | +1.0, +3.0 |")
    assert text.count("reached") == 3
    assert "`python benchmarks/control.py learn`, seeds 0, 1, 200 worlds each" in text
    runs[entry.format(1)] = run(1, -9.0, 0.0)
    assert learned(runs).count("missed") == 2
    runs[entry.format(1)] = run(1, -7.0, 3.0, half=9.0)
    assert learned(runs).count("missed") == 1
    assert learned({}) == NONE_YET


def test_bandits_of_all_seeds_are_joined() -> None:
    (first, *_) = RECORD["bandits"].values()
    bandit = next(iter(first["returns"]))
    of = {"Gittins": {"mean": 6.0, "interval": 0.3}, "Random": {"mean": 4.0, "interval": 0.4}}
    better = {"Gittins": {"mean": 7.0, "interval": 0.4}, "Random": {"mean": 5.0, "interval": 0.3}}
    record = {
        f"seed {seed}": {**first, "seed": seed, "returns": {bandit: returns}}
        for seed, returns in ((1, better), (0, of))
    }
    text = bandits(record)
    assert "| Gittins | 6.50 ± 0.25 |" in text
    assert "| Random | 4.50 ± 0.25 |" in text
    assert "`python benchmarks/control.py bandits`, seeds 0, 1: 1000 worlds each" in text


def test_greedy_is_near_gittins_and_thompson_is_not() -> None:
    runs: dict[str, JSON] = RECORD["bandits"]
    for bandit, row in [each for run in runs.values() for each in run["returns"].items()]:
        best = max(row[player]["mean"] for player in ("Thompson", "UCB", "Greedy"))
        assert row["Gittins"]["mean"] >= best
        if bandit.endswith("10 pulls"):
            greedy, gittins = row["Greedy"]["mean"], row["Gittins"]["mean"]
            assert greedy == pytest.approx(gittins, rel=0.01)
            assert row["Thompson"]["mean"] < 0.9 * greedy
