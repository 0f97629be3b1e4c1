"""docs/recommendation.md: its tables are those of the recorded measurements.

`pytest tests/test_recommendation_page.py --update-golden` writes them.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from pages import check, filled

ROOT = Path(__file__).resolve().parents[1]
RECORD: dict[str, Any] = json.loads((ROOT / "benchmarks/ratings.json").read_text())
SHOTS = ("5", "10", "20")
TITLES = {
    "ml-1m": "MovieLens 1M, new users, ratings at random",
    "ml-100k": "MovieLens 100K, ratings at random",
    "ml-100k-time": "MovieLens 100K, the first ratings in time",
}
WORDS = {
    "PriorHead": "PriorHead",
    "RidgeHead": "RidgeHead",
    "MatrixFactorisation": "matrix factorisation",
    "ItemKNN": "item-kNN",
    "UserItemBias": "user + item bias",
    "ItemMean": "item mean",
    "EASE": "EASE",
    "Popularity": "popularity",
}
BARS = {"5": 0.785, "10": 0.765, "20": 0.750}
SLACK = 0.005


def spread(value: dict[str, float], sign: str = "", scale: int = 1, digits: int = 3) -> str:
    mean, half = (scale * value[key] for key in ("mean", "ci95"))
    return f"{mean:{sign}.{digits}f} ± {half:.{digits}f}"


def learners(part: dict[str, Any]) -> list[str]:
    """The learners, the one that meta-valid chose first."""
    return sorted(part["settings"], key=lambda name: name != part["chosen"])


def error_table(part: dict[str, Any]) -> str:
    chosen, results = part["chosen"], part["results"]
    heads = ["MAE", *(f"{n} ratings" for n in SHOTS)]
    heads += [f"{chosen} minus it: {n}" for n in SHOTS]
    text = f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
    for name in (*learners(part), *(w for w in WORDS if w not in part["settings"])):
        word = f"**{WORDS[name]}**" if name == chosen else WORDS[name]
        cells = [word, *(spread(results[n][name]["mae"]) for n in SHOTS)]
        for n in SHOTS:
            difference = results[n][chosen]["difference"].get(name)
            cells.append("" if difference is None else spread(difference, "+"))
        text += f"| {' | '.join(cells)} |\n"
    return text


def ranking_table(part: dict[str, Any]) -> str:
    results = part["results"]
    heads = ["the whole catalogue", *(f"Recall@10 %, {n} ratings" for n in SHOTS)]
    heads += [f"NDCG@10, {n}" for n in SHOTS]
    text = f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"

    def row(word: str, name: str, suffix: str = "") -> str:
        cells = [word]
        cells += [spread(results[n][name][f"recall{suffix}"], "", 100, 1) for n in SHOTS]
        cells += [spread(results[n][name][f"ndcg{suffix}"]) for n in SHOTS]
        return f"| {' | '.join(cells)} |\n"

    for name in (*learners(part), *(w for w in WORDS if w not in part["settings"])):
        text += row(WORDS[name], name)
        if name in part["settings"]:
            weight = part["popularity"][name]
            text += row(f"{name}, popularity counts {weight:g}", name, ", popularity")
    return text


def reached(is_reached: bool) -> str:
    return "reached" if is_reached else "missed"


def bars(name: str, part: dict[str, Any]) -> str:
    """The verdicts on the bars of a protocol."""
    chosen = part["chosen"]
    rows = {n: part["results"][n][chosen] for n in SHOTS}
    ends = {n: row["difference"] for n, row in rows.items()}
    if name == "ml-1m":
        verdicts = [
            f"with {n} ratings MAE at most {bar:.3f}, {reached(rows[n]['mae']['mean'] <= bar)}; "
            "better than the user + item bias by an interval without 0, "
            f"{reached(upper(ends[n]['UserItemBias']) < 0)}; upper end of the interval to matrix "
            f"factorisation at most +{SLACK}, "
            f"{reached(upper(ends[n]['MatrixFactorisation']) <= SLACK)}"
            for n, bar in BARS.items()
        ]
        return f"The bars: {'. '.join(v[0].upper() + v[1:] for v in verdicts)}. "
    if name == "ml-100k-time":
        verdicts = [f"{n} ratings {reached(ends[n]['ItemKNN']['mean'] <= SLACK)}" for n in SHOTS]
        return f"The bar: at most {SLACK} above item-kNN in the mean: {', '.join(verdicts)}. "
    return ""


def upper(difference: dict[str, float]) -> float:
    return difference["mean"] + difference["ci95"]


def protocol(name: str) -> str:
    part = RECORD[name]
    chosen, machine = part["chosen"], part["machine"]
    valid = ", ".join(f"{learner} {value:.4f}" for learner, value in part["valid"].items())
    runs = ", ".join(f"{run['split_seed']}/{run['seed']}" for run in part["runs"])
    of_runs = "; ".join(
        f"{n} ratings " + ", ".join(f"{v:.3f}" for v in part["results"][n][chosen]["of_runs"])
        for n in SHOTS
    )
    minutes = ", ".join(f"{n} {m:.1f}" for n, m in part["training_cpu_minutes"].items())
    return (
        f"\n**{TITLES[name]}**, {part['users']} users\n\n{error_table(part)}\n"
        f"{bars(name, part)}Meta-valid chose {chosen} ({valid}). Each run: {of_runs}. "
        f"`{part['command']}`, seeds of split/training {runs}, {part['date']}, {machine['cpu']}, "
        f"one thread; CPU minutes of a training: {minutes}.\n\n{ranking_table(part)}"
    )


def tables() -> str:
    return "".join(protocol(name) for name in TITLES)


def test_the_tables_of_the_page(update_golden: bool) -> None:
    check(ROOT / "docs/recommendation.md", update_golden, ratings=tables())


def test_a_wrong_number_is_seen() -> None:
    text = (ROOT / "docs/recommendation.md").read_text(encoding="utf-8")
    table = tables()
    digit = next(c for c in table if c.isdigit())
    assert filled(text, ratings=table.replace(digit, "?")) != text


def test_what_was_measured_is_what_the_benchmark_trains() -> None:
    benchmark = module()
    for name, part in RECORD.items():
        settings = {each: [*pair] for each, pair in benchmark.SETTINGS[name].items()}
        assert part["settings"] == settings
        assert part["training"] == benchmark.TRAINING
        assert [(run["split_seed"], run["seed"]) for run in part["runs"]] == [*benchmark.RUNS[name]]
        assert part["chosen"] == min(part["valid"], key=lambda each: part["valid"][each])
        for learner, recalls in part["valid_recall"].items():
            assert part["popularity"][learner] == float(max(recalls, key=lambda w: recalls[w]))


def test_a_user_of_two_splits_counts_once() -> None:
    runs = [{"mae": {"a": 1.0, "b": 2.0}}, {"mae": {"b": 4.0, "c": 5.0}}]
    np.testing.assert_array_equal(module().of_users(runs, "mae"), [1.0, 3.0, 5.0])


@pytest.mark.parametrize("n", SHOTS)
def test_the_opponents_are_those_of_the_reference(n: str) -> None:
    """MAE of another implementation of the same protocol, on the same 430 users."""
    reference = {
        "5": {"UserItemBias": 0.795, "MatrixFactorisation": 0.789, "ItemKNN": 0.794},
        "10": {"UserItemBias": 0.778, "MatrixFactorisation": 0.767, "ItemKNN": 0.765},
        "20": {"UserItemBias": 0.768, "MatrixFactorisation": 0.751, "ItemKNN": 0.745},
    }
    for name, value in reference[n].items():
        assert RECORD["ml-1m"]["results"][n][name]["mae"]["mean"] == pytest.approx(value, abs=0.01)


def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "ratings_benchmark", ROOT / "benchmarks/ratings.py"
    )
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
