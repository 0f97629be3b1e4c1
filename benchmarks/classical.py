"""The simple opponents of forecasts and of tracks on M4 and ETH/UCY, without any meta-learner.

    python benchmarks/classical.py DATA

DATA is a folder with `m4/` and `eth_ucy/`, as published; nothing of it ships. Each series of M4
Weekly and Hourly is in the meta-test of one of five folds and is asked for what followed it; the
pooled ridge is fitted on the other folds, its penalty chosen on a part of them. Each place of
ETH/UCY is held out once, the pooled ridge's penalty chosen on one of the two others, and a
recording is asked for what follows the first fifth of its frames. OWA is that of the competition,
from the means over all series. +- is 1.96 standard errors over series or recordings. Only the
pooled ridge depends on the seed of the folds; its row is the mean over three. Written to
benchmarks/classical.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.domains.windows import eth_ucy, windows
from quickstudy.domains.windows.window_tasks import WindowTasks
from quickstudy.evaluation.scores import score
from quickstudy.files.machine import machine
from quickstudy.files.records import today
from quickstudy.metrics import half_width
from quickstudy.version import __version__

OUT = Path(__file__).parent / "classical.json"
SEEDS = (0, 1, 2)
FOLDS = 5
M4 = {
    "Weekly": {"horizon": 13, "lags": 52, "season": 1},
    "Hourly": {"horizon": 48, "lags": 168, "season": 24, "stride": 6},
}
PLACES = {"eth": "univ", "univ": "zara", "zara": "eth"}
"""The places, each with the one on which the penalty is chosen while it is held out."""
Values = dict[str, dict[str, NDArray[np.float64]]]
"""Values of each task, by rung and metric."""


def of_series(data: Path, name: str, seed: int) -> Iterator[WindowTasks]:
    """The tasks of each fold of a part of M4."""
    folder = data / "m4"
    build = partial(
        windows,
        folder / f"{name}-train.csv.gz",
        future=folder / f"{name}-test.csv.gz",
        folds=FOLDS,
        seed=seed,
        **M4[name],
    )
    return (build(fold=fold) for fold in range(FOLDS))


def of_tracks(data: Path, seed: int) -> Iterator[WindowTasks]:
    """The tasks of each place that is held out."""
    build = partial(eth_ucy, data / "eth_ucy", seed=seed)
    return (build(hold_out=place, valid_place=valid) for place, valid in PLACES.items())


def measured(sources: Iterator[WindowTasks], only: str | None = None) -> tuple[list[str], Values]:
    """The names of all units, and the values of each rung on them.

    Args:
        sources: Tasks, whose meta-tests share no unit.
        only: The one rung that is measured; all where omitted.
    """
    names: list[str] = []
    values: dict[str, dict[str, list[float]]] = {}
    for source in sources:
        tasks = [source.task("test", index) for index in range(source.n_tasks("test"))]
        names += [source.values_of(unit)[0] for unit in source.units["test"]]
        for name, rung in source.rungs(None).items():
            if only not in (None, name):
                continue
            scores = score(rung, tasks, metrics=source.metrics)
            row = values.setdefault(name, {})
            new = {source.metrics[0].name: scores.per_task, **scores.others}
            for metric, each in new.items():
                row.setdefault(metric, []).extend(each.tolist())
    arrays = {
        rung: {metric: np.array(each) for metric, each in row.items()}
        for rung, row in values.items()
    }
    return names, arrays


def summary(rows: Values) -> dict[str, dict[str, float]]:
    """Mean and half width of each metric, OWA as the competition computes it."""
    result: dict[str, dict[str, float]] = {}
    for rung, row in rows.items():
        result[rung] = {}
        for metric, values in row.items():
            result[rung] |= {metric: float(values.mean()), f"{metric}_ci95": half_width(values)}
        if "owa" in row:
            relative = [
                float(row[metric].mean() / rows["Naive2"][metric].mean())
                for metric in ("smape", "mase")
            ]
            result[rung]["owa"] = sum(relative) / 2
            del result[rung]["owa_ci95"]
    return result


def over_seeds(sources: Any) -> tuple[list[str], Values, list[dict[str, float]]]:
    """The values of all rungs, the pooled ridge's the mean over seeds; and its row of each seed."""
    first, *others = SEEDS
    names, rows = measured(sources(seed=first))
    pooled = [rows["PooledRidge"]]
    for seed in others:
        again, row = measured(sources(seed=seed), "PooledRidge")
        order = [again.index(name) for name in names]
        pooled.append({metric: each[order] for metric, each in row["PooledRidge"].items()})
    at_seeds = [summary({**rows, "PooledRidge": values})["PooledRidge"] for values in pooled]
    rows["PooledRidge"] = {
        metric: np.mean([values[metric] for values in pooled], axis=0) for metric in pooled[0]
    }
    return names, rows, at_seeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    result: dict[str, Any] = {}
    for name in M4:
        names, rows, at_seeds = over_seeds(partial(of_series, data, name))
        result[name] = {
            "n_series": len(names),
            "rungs": summary(rows),
            "pooled_at_seeds": at_seeds,
        }
        print_table(f"M4 {name}, {len(names)} series", result[name]["rungs"])
    names, rows, at_seeds = over_seeds(partial(of_tracks, data))
    result["ETH/UCY"] = {
        "n_recordings": len(names),
        "rungs": summary(rows),
        "recordings": {
            rung: {
                name: {metric: float(values[place]) for metric, values in row.items()}
                for place, name in enumerate(names)
            }
            for rung, row in rows.items()
        },
        "pooled_at_seeds": at_seeds,
    }
    print_table(f"ETH/UCY, {len(names)} recordings", result["ETH/UCY"]["rungs"])
    record = {
        "command": "python benchmarks/classical.py DATA",
        "date": today(),
        "version": __version__,
        **machine(),
        "seeds": SEEDS,
        "folds": FOLDS,
        "settings": M4,
        "results": result,
    }
    OUT.write_text(json.dumps(record, indent=2) + "\n")


def print_table(title: str, rows: dict[str, dict[str, float]]) -> None:
    """A row for each rung."""
    print(title)
    for rung, row in rows.items():
        parts = [
            f"{metric} {value:.4f}"
            + (f" ± {row[f'{metric}_ci95']:.4f}" if f"{metric}_ci95" in row else "")
            for metric, value in row.items()
            if not metric.endswith("_ci95")
        ]
        print(f"  {rung:18s} {'  '.join(parts)}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
