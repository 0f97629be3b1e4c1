"""Where pedestrians of a place never seen go next: does adapting to its first minutes help?

    python benchmarks/driving.py DATA --record benchmarks/driving.json

DATA is a folder of ETH/UCY's recordings, such as biwi_eth.txt. 8 steps of 0.4 s are seen and 12
asked, of windows in which two pedestrians are present. Each place is left out in turn. Of the
candidates that is taken whose error is lowest on each of the two other places after training on the
last one (first seed), and it is meta-trained on both, with each of three seeds. A recording of the
place left out is cut at 20 % of its frames: windows that end before are learned from, windows that
begin after are asked.

ADE and FDE are means over windows in each recording, in metres; then over recordings, and over
places. Windows of a pedestrian overlap, so the paired difference is of means over each pedestrian's
windows; it is averaged over the pedestrians of a place, then over places, and +- is 1.96 standard
errors of that, the pedestrians being independent. With several seeds a pedestrian's values are
averaged over them first.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import quickstudy as qs
from quickstudy.catalog import build_tasks
from quickstudy.domains.windows import TrackTasks
from quickstudy.domains.windows.metrics import distances
from quickstudy.files.machine import machine
from quickstudy.learner import AnyLearner

Array = NDArray[np.float64]

PLACES = ("eth", "univ", "zara")
CANDIDATES: dict[str, dict[str, Any]] = {
    "penalty 0.1": {"name": "PriorHead", "evidence": "sum", "penalty": 0.1},
    "penalty 10": {"name": "PriorHead", "evidence": "sum", "penalty": 10.0},
    "penalty 100": {"name": "PriorHead", "evidence": "sum", "penalty": 100.0},
    "examples weigh together": {"name": "PriorHead", "evidence": "mean", "penalty": 0.1},
}
TRAINING: dict[str, Any] = {
    "steps": 60,
    "meta_batch": 2,
    "outer_lr": 0.1,
    "schedule": "cosine",
    "valid_every": 60,
}
N_QUERY = 256
"""Windows that a meta-train or a meta-valid task asks about."""
ALL = 1_000_000
AGAINST = ("PooledRidge", "ConstantVelocity", "RidgeRegression", "LinearFit")


class Walked(NamedTuple):
    """The errors in a recording, in metres, of each window `(windows,)`, and who walked."""

    recording: str
    place: str
    ade: Array
    fde: Array
    pedestrian: NDArray[Any]


def tasks_of(data: Path, hold_out: str, valid: str | None = None, seed: int = 0) -> TrackTasks:
    """The tasks of a place that is left out."""
    options = {"hold_out": hold_out, "valid_place": valid, "n_query": N_QUERY, "seed": seed}
    tasks = build_tasks({"name": "eth_ucy", "path": data, **options})
    assert isinstance(tasks, TrackTasks)
    return tasks


@torch.no_grad()
def walked(learner: AnyLearner, source: TrackTasks) -> list[Walked]:
    """Errors on all windows after the cut of each recording of the place left out."""
    learner.eval()
    results = []
    for index, unit in enumerate(source.units["test"]):
        scene, (support, query) = source.scenes[unit], source.task("test", index)
        forecast = learner.predict(learner.adapt(support), query.x)
        scale = source.targets
        gap = distances(
            scale.restore(forecast, query.x), query._replace(y=scale.restore(query.y, query.x))
        )
        tracks = scale.frame(query.x).series.long().tolist()
        results.append(
            Walked(
                scene.name,
                scene.place,
                gap.mean(dim=1).numpy(),
                gap[:, -1].numpy(),
                np.array([scene.tracks[number].agent for number in tracks]),
            )
        )
    return results


def trained(spec: dict[str, Any], tasks: TrackTasks, seed: int, validated: bool) -> tuple[Any, Any]:
    """A learner that is meta-trained, and its error on the meta-valid place."""
    learner = qs.build(spec, tasks, seed=seed)
    n_valid = tasks.n_tasks("valid") if validated else 0
    training = qs.Training(**TRAINING, valid_tasks=n_valid, seed=seed)
    return learner, qs.train(learner, tasks, training, show=False).best


def on_others(data: Path, hold_out: str, seed: int, only: list[str]) -> dict[str, float]:
    """The mean error of each candidate on each of the other places, trained on the last."""
    others = [tasks_of(data, hold_out, place, seed) for place in PLACES if place != hold_out]
    errors = {
        name: [trained(spec, tasks, seed, True)[1] for tasks in others]
        for name, spec in CANDIDATES.items()
        if name in only
    }
    return {name: round(float(np.mean(each)), 4) for name, each in errors.items()}


def averaged(runs: list[list[Walked]]) -> list[Walked]:
    """The errors of each window, the mean over runs."""
    return [
        parts[0]._replace(
            ade=np.mean([part.ade for part in parts], axis=0),
            fde=np.mean([part.fde for part in parts], axis=0),
        )
        for parts in zip(*runs, strict=True)
    ]


def row(results: list[Walked]) -> dict[str, Any]:
    """ADE and FDE of each recording, of the mean over recordings, and of that over places."""
    errors = {each.recording: (each.ade.mean(), each.fde.mean()) for each in results}
    place_of = {each.recording: each.place for each in results}
    of_place = [
        np.mean([errors[name] for name in errors if place_of[name] == place], axis=0)
        for place in PLACES
    ]
    means = {
        **errors,
        "recordings": np.mean(list(errors.values()), axis=0),
        "places": np.mean(of_place, axis=0),
    }
    return {
        name: {"ade": round(float(ade), 4), "fde": round(float(fde), 4)}
        for name, (ade, fde) in means.items()
    }


def paired(own: list[Walked], opponent: list[Walked]) -> dict[str, Any]:
    """Differences of a pedestrian's mean error, over the pedestrians of each place, then places."""
    result: dict[str, Any] = {}
    for measure in ("ade", "fde"):
        of_place: dict[str, list[float]] = {place: [] for place in PLACES}
        for mine, other in zip(own, opponent, strict=True):
            difference = getattr(mine, measure) - getattr(other, measure)
            for pedestrian in np.unique(mine.pedestrian):
                of_place[mine.place].append(difference[mine.pedestrian == pedestrian].mean())
        means = {place: float(np.mean(each)) for place, each in of_place.items()}
        errors = {
            place: float(np.std(each, ddof=1) / len(each) ** 0.5)
            for place, each in of_place.items()
        }
        total = 1.96 * sum(error**2 for error in errors.values()) ** 0.5 / len(PLACES)
        better = np.mean([np.mean(np.array(each) < 0) for each in of_place.values()])
        result[measure] = {
            "mean": round(float(np.mean([*means.values()])), 4),
            "ci95": round(total, 4),
            "better": round(float(better), 3),
            "places": {
                place: {"mean": round(means[place], 4), "ci95": round(1.96 * errors[place], 4)}
                for place in PLACES
            },
            "pedestrians": {place: len(each) for place, each in of_place.items()},
        }
    return result


def measured(data: Path, seeds: list[int], only: list[str]) -> dict[str, Any]:
    """All places, each left out once."""
    of_rungs: dict[str, list[Walked]] = {}
    of_seeds: list[list[Walked]] = [[] for _ in seeds]
    choices: dict[str, Any] = {}
    started = time.process_time()
    for place in PLACES:
        source = tasks_of(data, place)
        asked = replace(source, n_query=ALL)
        for name, rung in source.rungs(None).items():
            of_rungs.setdefault(name, []).extend(walked(rung, asked))
        valid = on_others(data, place, seeds[0], only)
        best = min(valid, key=lambda name: valid[name])
        choices[place] = {"valid": valid, "chosen": best}
        print(place, "left out:", choices[place], flush=True)
        for seed, parts in zip(seeds, of_seeds, strict=True):
            tasks = tasks_of(data, place, None, seed)
            parts.extend(walked(trained(CANDIDATES[best], tasks, seed, False)[0], asked))
    own = averaged(of_seeds)
    return {
        "candidates": {name: CANDIDATES[name] for name in only},
        "training": TRAINING | {"n_query": N_QUERY},
        "seeds": seeds,
        "chosen": choices,
        "windows": {each.recording: len(each.ade) for each in own},
        "rows": {"PriorHead": row(own), **{name: row(each) for name, each in of_rungs.items()}},
        "of_seeds": [row(run) for run in of_seeds],
        "difference": {name: paired(own, of_rungs[name]) for name in AGAINST},
        "difference_of_seeds": [paired(run, of_rungs["PooledRidge"])["ade"] for run in of_seeds],
        "cpu_minutes": round((time.process_time() - started) / 60, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--only", choices=CANDIDATES, help="one candidate, beside the whole record")
    parser.add_argument("--valid", action="store_true", help="the other places alone")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    only = [options.only] if options.only else list(CANDIDATES)
    record = (
        json.loads(options.record.read_text()) if options.record and options.record.exists() else {}
    )
    if options.valid:
        for place in PLACES:
            print(
                place,
                "left out:",
                on_others(options.data, place, options.seeds[0], only),
                flush=True,
            )
        return
    result = measured(options.data, options.seeds, only)
    result |= {
        "date": datetime.now(UTC).date().isoformat(),
        **machine(),
        "command": "python benchmarks/driving.py DATA"
        + (f' --only "{options.only}"' if options.only else ""),
    }
    print(json.dumps({key: result[key] for key in ("rows", "difference")}), flush=True)
    if options.record:
        record[options.only or "all"] = result
        options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
