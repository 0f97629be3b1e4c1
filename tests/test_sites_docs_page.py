"""docs/sites.md: its tables are those of the recorded measurements.

`pytest tests/test_sites_docs_page.py --update-golden` writes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pages import check, filled

ROOT = Path(__file__).resolve().parents[1]
RECORD: dict[str, Any] = json.loads((ROOT / "benchmarks/sites.json").read_text())
PAGE = ROOT / "docs/sites.md"
TITLES = {
    "rotated": "MNIST at 75°, from 0 to 60°",
    "mnist-to-usps": "MNIST → USPS",
    "usps-to-mnist": "USPS → MNIST",
}
BARS = {"rotated": 0.84, "mnist-to-usps": 0.835, "usps-to-mnist": 0.84}
CHOSEN = "SimpleShot, support"
ROWS = (
    ("pooled, never adapts", "Pooled", "0"),
    ("ARM-BN, 10 pictures without labels", "ARMBN", "10 unlabelled"),
    ("ARM-BN, 50 pictures without labels", "ARMBN", "50 unlabelled"),
    *((f"**SimpleShot, {n} a class**", CHOSEN, n) for n in ("1", "5", "20")),
    ("the same, norms of meta-training, 5", "SimpleShot, population", "5"),
    ("nearest centroid on pixels, 5", "NearestCentroid", "5"),
    ("logistic regression on pixels, 5", "LogisticRegression", "5"),
    ("logistic regression on pixels, 20", "LogisticRegression", "20"),
)
CELLS = {"LinearProbe": "logistic regression", "NearestCentroid": "nearest centroid"}


def percent(row: dict[str, Any], sign: str = "") -> str:
    return f"{100 * row['mean']:{sign}.1f} ± {100 * row['ci95']:.1f}"


def digits() -> str:
    heads = ["accuracy %"]
    for title in TITLES.values():
        heads += [title, "seeds", "minus pooled"]
    text = f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
    for words, name, key in ROWS:
        cells = [words]
        for protocol in TITLES:
            row = RECORD[protocol]["results"][name][key]
            seeds = sorted(100 * value for value in row["of_seeds"])
            spread = f"{seeds[0]:.1f} to {seeds[-1]:.1f}" if len(seeds) > 1 else ""
            minus = "" if name == "Pooled" else percent(row["minus_pooled"], "+")
            cells += [percent(row), spread, minus]
        text += f"| {' | '.join(cells)} |\n"
    reached = [
        f"{TITLES[protocol]} at least {100 * bar:.1f} %, "
        f"{'reached' if five(protocol) >= bar else 'missed'}"
        for protocol, bar in BARS.items()
    ]
    date, cpu = (RECORD["rotated"][key] for key in ("date", "machine"))
    return (
        f"\n{text}\nThe bars with 5 labels a class: {'; '.join(reached)}. "
        f"`python benchmarks/sites.py DATA --out benchmarks/sites.json`, {date}, {cpu['cpu']}, one "
        f"thread, {RECORD['rotated']['cpu_minutes']:.1f} CPU minutes a column.\n"
    )


def five(protocol: str) -> float:
    mean: float = RECORD[protocol]["results"][CHOSEN]["5"]["mean"]
    return mean


def cells() -> str:
    part = RECORD["wbc"]
    text = "\n| balanced accuracy % | as they are | grey-world | grey-world minus none |\n"
    text += "| --- | --- | --- | --- |\n"
    for name, words in CELLS.items():
        for labels, row in part["results"][name].items():
            shown = [percent(row["None"]), percent(row["grey-world"])]
            minus = percent(row["grey-world minus none"], "+")
            text += f"| {words}, {labels} a class | {' | '.join(shown)} | {minus} |\n"
    best = part["results"]["LinearProbe"]["5"]
    verdict = "reached" if max(best[k]["mean"] for k in ("None", "grey-world")) >= 0.7 else "missed"
    gain = best["grey-world minus none"]
    helps = "reached" if gain["mean"] - gain["ci95"] > 0 else "missed"
    return (
        f"{text}\nThe bars, 5 labels a class: at least 70 %, {verdict}; grey-world better by "
        f"an interval above 0, {helps}. {part['pictures']} pictures, {part['draws']} draws, "
        f"{part['date']}.\n"
    )


def test_the_tables_of_the_page(update_golden: bool) -> None:
    check(PAGE, update_golden, digits=digits(), cells=cells())


def test_the_number_of_the_recipe_is_the_recorded_one() -> None:
    recipe = yaml.safe_load((ROOT / "recipes/rotated-mnist-simple-shot.yaml").read_text())
    recorded = recipe["profiles"]["cpu"]["evaluate"][0]["recorded"]
    words = percent({"mean": recorded["accuracy"], "ci95": recorded["ci95"]})
    assert f"{words} %" in PAGE.read_text(encoding="utf-8")


def test_a_wrong_number_is_seen() -> None:
    text, table = PAGE.read_text(encoding="utf-8"), digits()
    digit = next(c for c in table if c.isdigit())
    assert filled(text, digits=table.replace(digit, "?")) != text


def test_the_norm_of_the_page_is_that_of_meta_valid() -> None:
    of = RECORD["choice"]["results"]
    norms = ("SimpleShot, population", "SimpleShot, support")
    assert max(norms, key=lambda name: of[name]["5"]["mean"]) == CHOSEN


def test_what_the_page_says_in_words_is_what_was_measured() -> None:
    """More labels never fall below the pooled model; without labels it depends on the site."""
    for protocol in TITLES:
        minus = RECORD[protocol]["results"][CHOSEN]["20"]["minus_pooled"]
        assert minus["mean"] - minus["ci95"] > 0
    turned = RECORD["rotated"]["results"]["ARMBN"]["10 unlabelled"]["minus_pooled"]
    assert turned["mean"] + turned["ci95"] < 0
    for protocol in ("mnist-to-usps", "usps-to-mnist"):
        other = RECORD[protocol]["results"]["ARMBN"]["50 unlabelled"]["minus_pooled"]
        assert other["mean"] - other["ci95"] > 0
    gain = RECORD["wbc"]["results"]["LinearProbe"]["20"]["grey-world minus none"]
    assert gain["mean"] + gain["ci95"] < 0
