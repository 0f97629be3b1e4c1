"""docs/forecasting.md and docs/driving.md: their tables are those of the recorded measurements.

`pytest tests/test_window_pages.py --update-golden` writes them.
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
FORECASTING: dict[str, Any] = json.loads((ROOT / "benchmarks/forecasting.json").read_text())
RUNS: dict[str, Any] = json.loads((ROOT / "benchmarks/driving.json").read_text())
DRIVING = RUNS["all"]
WORDS = {
    "PriorHead": "**PriorHead**",
    "PooledRidge": "ridge, pooled over other series",
    "RidgeRegression": "ridge, own history alone",
    "Theta": "Theta",
    "Naive2": "Naive2",
    "SeasonalNaive": "seasonal naive",
    "Drift": "drift",
    "Naive": "naive",
}
OF_TRACKS = {
    "PriorHead": "**PriorHead**",
    "ConstantVelocity": "constant velocity",
    "PooledRidge": "ridge, pooled over the other places",
    "RidgeRegression": "ridge, own recording alone",
    "LinearFit": "line through the lags",
}
BARS = {"weekly": 0.76, "hourly": 0.53}
COVERAGE = (0.75, 0.85)


def spread(value: dict[str, float], digits: int = 3, sign: str = "") -> str:
    return f"{value['mean']:{sign}.{digits}f} ± {value['ci95']:.{digits}f}"


def frequency_table(name: str) -> str:
    part = FORECASTING[name]
    head = "| | sMAPE % | MASE | OWA | PriorHead minus it: sMAPE | MASE | OWA | better for |\n"
    text = f"\n**M4 {name}**, {part['series']} series\n\n{head}|{' --- |' * 8}\n"
    for row, values in part["rows"].items():
        cells = [WORDS[row], *(spread(values[each]) for each in ("smape", "mase"))]
        cells.append(f"{values['owa']['mean']:.3f}")
        difference = part["difference"].get(row)
        cells += (
            [""] * 4
            if difference is None
            else [spread(difference[each], 3, "+") for each in ("smape", "mase", "owa")]
            + [f"{100 * difference['owa']['better']:.0f} %"]
        )
        text += f"| {' | '.join(cells)} |\n"
    own = part["rows"]["PriorHead"]
    seeds = ", ".join(f"{run['owa']:.3f}" for run in part["of_seeds"])
    owa, covered = own["owa"]["mean"], own["coverage"]
    machine: dict[str, Any] = part["machine"]
    return text + (
        f"\nThe bar: OWA at most {BARS[name]:.2f}, {reached(owa <= BARS[name])} "
        f"({owa:.3f}; each seed {seeds}). The central 80 % interval holds "
        f"{100 * covered['mean']:.1f} ± {100 * covered['ci95']:.1f} % of the values, "
        f"{reached(COVERAGE[0] <= covered['mean'] <= COVERAGE[1])} (75 to 85 %); its pinball loss "
        f"is {spread(own['pinball'])}. `{part['command']}`, seeds "
        f"{', '.join(map(str, part['seeds']))}, {part['date']}, {machine['cpu']}, one thread, "
        f"{part['cpu_minutes']:.0f} CPU minutes.\n"
    )


def reached(is_reached: bool) -> str:
    return "reached" if is_reached else "missed"


def forecasting_tables() -> str:
    return "".join(frequency_table(name) for name in BARS)


def driving_table() -> str:
    recordings = list(DRIVING["windows"])
    heads = ["", *recordings, "mean of six", "mean of places"]
    text = f"\nADE / FDE in metres\n\n|{' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
    for row, values in DRIVING["rows"].items():
        cells = [OF_TRACKS[row]]
        for column in (*recordings, "recordings", "places"):
            cells.append(f"{values[column]['ade']:.3f} / {values[column]['fde']:.3f}")
        text += f"| {' | '.join(cells)} |\n"
    text += f"| windows |{''.join(f' {n} |' for n in DRIVING['windows'].values())} | |\n"
    text += "\nPriorHead minus it, over pedestrians, then places; metres\n\n"
    places = list(DRIVING["difference"]["PooledRidge"]["ade"]["places"])
    heads = ["", "ADE", "FDE", "better for", *(f"ADE, {place}" for place in places)]
    text += f"|{' | '.join(heads)} |\n|{' --- |' * len(heads)}\n"
    for row, difference in DRIVING["difference"].items():
        ade, fde = difference["ade"], difference["fde"]
        cells = [OF_TRACKS[row], spread(ade, 3, "+"), spread(fde, 3, "+")]
        cells.append(f"{100 * ade['better']:.0f} %")
        cells += [spread(ade["places"][place], 3, "+") for place in places]
        text += f"| {' | '.join(cells)} |\n"
    pooled = DRIVING["difference"]["PooledRidge"]["ade"]
    n = ", ".join(f"{place} {count}" for place, count in pooled["pedestrians"].items())
    seeds = ", ".join(f"{run['mean']:+.3f}" for run in DRIVING["difference_of_seeds"])
    machine: dict[str, Any] = DRIVING["machine"]
    alone = "penalty 0.1"
    weak = RUNS[alone]["difference"]["PooledRidge"]["ade"]
    return text + (
        f"\nPedestrians: {n}. The bar: the difference to the pooled ridge below 0, "
        f"{bar_of_driving(pooled)} (each seed {seeds}). `{DRIVING['command']}`, seeds "
        f"{', '.join(map(str, DRIVING['seeds']))}, {DRIVING['date']}, {machine['cpu']}, one "
        f"thread, {DRIVING['cpu_minutes']:.0f} CPU minutes.\n\n"
        f"With {alone} as the only candidate (`{RUNS[alone]['command']}`) the difference to the "
        f"pooled ridge is {spread(weak, 3, '+')}: "
        + ", ".join(f"{place} {spread(weak['places'][place], 3, '+')}" for place in places)
        + ".\n"
    )


def bar_of_driving(difference: dict[str, Any]) -> str:
    if difference["mean"] + difference["ci95"] < 0:
        return "reached"
    if difference["mean"] < 0:
        return "reached in the mean, with an interval that holds 0"
    return "missed"


def test_the_tables_of_the_pages(update_golden: bool) -> None:
    check(ROOT / "docs/forecasting.md", update_golden, forecasting=forecasting_tables())
    check(ROOT / "docs/driving.md", update_golden, driving=driving_table())


def test_a_wrong_number_is_seen() -> None:
    text = (ROOT / "docs/forecasting.md").read_text(encoding="utf-8")
    table = forecasting_tables()
    digit = next(c for c in table if c.isdigit())
    assert filled(text, forecasting=table.replace(digit, "?")) != text


@pytest.mark.parametrize(
    ("name", "official"), [("weekly", (9.161, 2.777)), ("hourly", (18.383, 2.395))]
)
def test_naive2_is_that_of_the_competition(name: str, official: tuple[float, float]) -> None:
    row = FORECASTING[name]["rows"]["Naive2"]
    assert (round(row["smape"]["mean"], 3), round(row["mase"]["mean"], 3)) == official
    assert row["owa"]["mean"] == 1


def test_constant_velocity_is_as_published() -> None:
    row = DRIVING["rows"]["ConstantVelocity"]
    assert row["recordings"]["ade"] == pytest.approx(0.576, abs=1e-3)
    assert row["recordings"]["fde"] == pytest.approx(1.303, abs=1e-3)
    assert row["biwi_eth"]["ade"] == pytest.approx(1.217, abs=1e-3)


def test_what_was_measured_is_what_the_benchmarks_train() -> None:
    forecasting, driving = module("forecasting"), module("driving")
    for part in FORECASTING.values():
        assert part["candidates"] == forecasting.CANDIDATES
        assert part["training"] == forecasting.TRAINING
    assert DRIVING["candidates"] == driving.CANDIDATES
    assert DRIVING["training"] == {**driving.TRAINING, "n_query": driving.N_QUERY}


def test_a_paired_difference_is_of_pedestrians_then_places() -> None:
    """Pedestrian a of eth has two windows, which count as one."""
    driving = module("driving")

    def results(*errors: list[float]) -> list[Any]:
        agents = (["a", "a", "b"], ["c", "d"], ["e", "f"])
        return [
            driving.Walked(place, place, np.array(each), np.array(each), np.array(who))
            for place, each, who in zip(driving.PLACES, errors, agents, strict=True)
        ]

    own = results([1.0, 3.0, 5.0], [1.0, 2.0], [0.0, 0.0])
    found = driving.paired(own, results([0.0] * 3, [0.0] * 2, [0.0] * 2))["ade"]
    assert found["places"]["eth"]["mean"] == 3.5  # of 2 and 5
    assert found["mean"] == pytest.approx((3.5 + 1.5 + 0) / 3, abs=1e-4)
    # Standard errors 1.5, 0.5 and 0.
    assert found["ci95"] == pytest.approx(1.96 * (1.5**2 + 0.5**2) ** 0.5 / 3, abs=1e-4)


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"benchmarks/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded
