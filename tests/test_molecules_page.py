"""docs/molecules.md: its tables are those of the recorded measurements.

`pytest tests/test_molecules_page.py --update-golden` writes them.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from pages import check

ROOT = Path(__file__).resolve().parents[1]
RECORD: dict[str, Any] = json.loads((ROOT / "benchmarks/molecules.json").read_text())
SHOTS = ("5", "10", "32")
BARS = {"5": 0.65, "10": 0.66, "32": 0.68}
TITLES = {
    "tox21": "Tox21, molecules of unseen scaffolds",
    "tox21-shared": "Tox21, the same assays, all molecules seen",
    "toxcast-nvs": "ToxCast, assays of NVS after those of ATG and APR, unseen scaffolds",
    "toxcast-apr": "ToxCast, assays of APR after those of ATG and NVS, unseen scaffolds",
    "toxcast-atg": "ToxCast, assays of ATG after those of NVS and APR, unseen scaffolds",
}
WORDS = {
    "LogisticRegression": "logistic regression",
    "RandomForest": "random forest",
    "KNN": "kNN",
    "TanimotoGP": "Tanimoto GP",
    "Pooled": "pooled, no adaptation",
    "LabelsOnly": "labels only",
}
KEYS = ("on_seen_molecules", "results")
PROVIDERS = [protocol for protocol in TITLES if protocol.startswith("toxcast")]
VALID: dict[str, list[float]] = RECORD["meta-valid"]


def spread(value: dict[str, float], sign: str = "") -> str:
    return f"{value['mean']:{sign}.3f} ± {value['ci95']:.3f}"


def table(part: dict[str, Any]) -> str:
    results, own = part["results"], part["learner"]
    shots = [n for n in SHOTS if n in results]
    heads = ["ROC-AUC", *(f"{n}+{n}" for n in shots), *(f"{own} minus it: {n}+{n}" for n in shots)]
    text = f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
    first = results[shots[0]]["learners"]
    for name in (own, *(word for word in WORDS if word in first)):
        cells = [f"**{name}**" if name == own else WORDS[name]]
        cells += [spread(results[n]["learners"][name]["auc"]) for n in shots]
        for n in shots:
            difference = results[n]["difference"].get(name)
            cells.append("" if difference is None else spread(difference["auc"], "+"))
        text += f"| {' | '.join(cells)} |\n"
    return text


def others(part: dict[str, Any]) -> str:
    """The further metrics of the learner and of logistic regression."""
    lines = []
    for n in (n for n in SHOTS if n in part["results"]):
        rows = part["results"][n]["learners"]
        both = (
            f"{name} {spread(rows[name]['delta_auprc'], '+')} and "
            f"{rows[name]['enrichment']['mean']:.2f}"
            for name in (part["learner"], "LogisticRegression")
        )
        lines.append(f"{n}+{n}: {', '.join(both)}")
    return f"AUPRC beyond the class rate, and enrichment of the first 5 %: {'; '.join(lines)}."


def is_better(part: dict[str, Any], n: str, opponent: str = "LogisticRegression") -> bool:
    """Whether the learner is above an opponent by more than the interval."""
    difference = part["results"][n]["difference"][opponent]["auc"]
    return bool(difference["mean"] > difference["ci95"])


def bars(protocol: str, part: dict[str, Any]) -> str:
    lines = []
    for n, bar in BARS.items() if protocol == "tox21" else [("5", 0.0)]:
        mean_ = part["results"][n]["learners"][part["learner"]]["auc"]["mean"]
        if bar:
            lines.append(f"{n}+{n} at least {bar:.2f}, {'' if mean_ >= bar else 'not '}reached")
        if n != "32":
            word = "" if is_better(part, n) else "not "
            lines.append(f"{n}+{n} better than logistic regression, {word}reached")
    return f"The bars, set beforehand: {'; '.join(lines)}."


def candidates() -> str:
    best = RECORD["tox21"]["candidate"]
    text = "| meta-valid, ROC-AUC | 5+5 | 10+10 | 32+32 | mean |\n| --- | --- | --- | --- | --- |\n"
    for name, values in VALID.items():
        numbers = [f"{value:.3f}" for value in (*values, mean(values))]
        word = f"**{name}**" if name == best else WORDS.get(name, name)
        text += f"| {' | '.join((word, *numbers))} |\n"
    return text


def seen(part: dict[str, Any]) -> str:
    lines = []
    for n in SHOTS:
        own = part["learner"]
        two = (part[key][n]["learners"][own]["auc"]["mean"] for key in KEYS)
        lines.append("{0}+{0}: {1:.3f} and {2:.3f}".format(n, *two))
    return (
        f"The same {part['learner']} on the molecules whose other labels it was trained on, and on "
        f"unseen scaffolds: {'; '.join(lines)}."
    )


def section(protocol: str) -> str:
    part = RECORD[protocol]
    sizes = " / ".join(str(each["n_assays"]) for each in part["results"].values())
    over = "draws of these" if part["interval_over"] == "draws" else "assays"
    text = f"**{TITLES[protocol]}**, {sizes} assays, ± over {over}\n\n"
    text += f"{table(part)}\n{others(part)}\n\n"
    if protocol != "tox21-shared":
        text += f"{bars(protocol, part)}\n\n"
    if protocol == "tox21":
        text += f"{seen(part)}\n\n"
    seeds = ", ".join(
        f"{n}+{n} {' '.join(f'{value:.3f}' for value in part['results'][n]['of_seeds'])}"
        for n in SHOTS
        if n in part["results"]
    )
    return (
        f"{text}Each seed: {seeds}. `{part['command']}`, seeds {', '.join(map(str, part['seeds']))}"
        f", {part['date']}, {part['machine']['cpu']}, one thread; CPU minutes of a training "
        f"{part['training_cpu_minutes']:.1f}.\n"
    )


def test_the_tables_are_those_of_the_record(update_golden: bool) -> None:
    text = "\n".join((candidates(), *map(section, TITLES)))
    check(ROOT / "docs/molecules.md", update_golden, molecules=f"\n{text}\n")


def test_what_the_page_says_in_words_is_so() -> None:
    tox21, shared = RECORD["tox21"], RECORD["tox21-shared"]
    apart = [tox21, *(RECORD[protocol] for protocol in PROVIDERS)]
    assert all(is_better(part, "5") for part in apart)
    assert [is_better(part, "5", "Pooled") for part in apart].count(False) == 3
    assert [is_better(part, "32", "Pooled") for part in apart].count(True) == 3
    gains = [part["results"]["32"]["difference"]["Pooled"]["auc"] for part in apart]
    assert all(gain["mean"] > -gain["ci95"] for gain in gains)
    for n in SHOTS:
        learners = shared["results"][n]["learners"]
        assert max(learners, key=lambda name: learners[name]["auc"]["mean"]) == "LabelsOnly"
    seen_ = [tox21[key]["5"]["learners"][tox21["learner"]]["auc"]["mean"] for key in KEYS]
    assert seen_[0] > seen_[1]


@pytest.mark.parametrize("protocol", TITLES)
def test_a_record_says_how_to_measure_it_again(protocol: str) -> None:
    part = RECORD[protocol]
    assert part["command"].startswith("python benchmarks/molecules.py DATA")
    learners = VALID.keys() - {"LogisticRegression"}
    assert part["candidate"] == max(learners, key=lambda name: mean(VALID[name]))
    assert len(part["seeds"]) == 3
    assert part["training"]["valid_tasks"] == 0
