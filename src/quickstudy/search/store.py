"""A store of configurations that worked, so that a search on similar tasks can begin with them.

A store is a folder with one JSON file a search: the features of its tasks, its best choices and
their score. Each file is written whole and never again, so searches that end at once both stay.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_data_dir

from quickstudy.errors import DataError, UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.records import JSON
from quickstudy.search.space import Space
from quickstudy.tasks import TaskSource
from quickstudy.tasks.meta_features import meta_features

TASKS = 8


@dataclass(frozen=True)
class Past:
    """The results of an earlier search.

    Attributes:
        kind: Of its tasks.
        form: Whether inputs were pictures or rows.
        features: What its tasks are like.
        choices: The best choices, by option.
        score: Their validation metric.
        default: That of the default configuration, where it was measured.
        tasks: What the tasks were.
        date: When.
    """

    kind: str
    form: str
    features: dict[str, float]
    choices: JSON
    score: float
    default: float | None
    tasks: JSON
    date: str


def default_store() -> Path:
    """The store of the user."""
    return Path(user_data_dir("quickstudy")) / "searches"


def form(source: TaskSource) -> str:
    """Whether inputs are pictures or rows."""
    return "pictures" if len(source.x_shape) == 3 else "rows"


def task_features(source: TaskSource, n_tasks: int = TASKS) -> dict[str, float]:
    """Features of a task source: sizes, and the mean of meta-features over meta-train tasks.

    Features of a regression task are those of telling targets above their median from the others.

    Args:
        source: The tasks.
        n_tasks: How many are looked at.
    """
    sizes = {"way": float(source.n_out), "inputs": math.log(math.prod(source.x_shape))}
    if source.kind == "control":  # A world has no examples to look at.
        return sizes | {"support": math.log(source.describe()["n_shot"])}
    features: list[dict[str, float]] = []
    shots = []
    for index in range(n_tasks):
        task = source.untouched.task("train", index)
        x = np.concatenate([part.x.flatten(1).double().numpy() for part in task])
        y = np.concatenate([part.y.double().numpy() for part in task])
        shots.append(float(task.support.weight.sum()))
        labels = y.argmax(axis=1)
        if source.kind == "regression":
            labels = (y[:, 0] > np.median(y[:, 0])).astype(np.int64)
        try:
            features.append(meta_features(x, labels))
        except UserError:  # A task of one class only has none.
            continue
    sizes["support"] = math.log(np.mean(shots))
    means = {
        name: float(np.mean([each[name] for each in features])) for name in (features or [{}])[0]
    }
    return {**sizes, **means}


def remember(store: Path, past: Past) -> Path:
    """Keeps what a search found; the file it is in."""
    content = json.dumps(asdict(past), sort_keys=True, indent=1).encode()
    path = store / f"{hashlib.sha256(content).hexdigest()[:16]}.json"
    write_atomically(path, content)
    return path


def remembered(store: Path) -> list[Past]:
    """All that the store knows.

    Raises:
        DataError: A file of it is not what was written.
    """
    records = []
    for path in sorted(store.glob("*.json")):
        try:
            records.append(Past(**json.loads(path.read_bytes())))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                f"store {path}: expected what a search found; received something else ({error}); "
                "delete the file, or give another --store."
            ) from error
    return records


def nearest(
    past: Sequence[Past], kind: str, shape: str, features: Mapping[str, float]
) -> list[tuple[float, Past]]:
    """Earlier results on tasks of this kind and form, nearest first, each with its distance.

        distance(a, b) = mean over the features that both have of |a_f - b_f| / (max_f - min_f)

    with the extremes over all tasks that are compared.

    Source: Feurer et al.: Efficient and Robust Automated Machine Learning, NeurIPS 2015 (warm
    starts from the nearest data sets in L1 distance between scaled meta-features).
    """
    alike = [each for each in past if (each.kind, each.form) == (kind, shape)]
    names = [name for name in features if all(name in each.features for each in alike)]
    if not alike or not names:
        return []
    table = np.array([[each.features[n] for n in names] for each in alike])
    own = np.array([features[n] for n in names])
    points = np.vstack([table, own])
    spread = points.max(axis=0) - points.min(axis=0)
    distance = (np.abs(table - own) / np.where(spread > 0, spread, 1)).mean(axis=1)
    order = np.argsort(distance, kind="stable")
    return [(float(distance[i]), alike[i]) for i in order]


def fitting(space: Space, choices: Mapping[str, Any]) -> JSON:
    """Those of the choices that this space has too, by key; the sampler makes the others."""
    fitted: JSON = {}
    known: JSON = {}
    for choice in space.choices:
        met = all(known.get(name, ()) in wanted for name, wanted in choice.when.items())
        if met and choice.option in choices and choice.holds(choices[choice.option]):
            fitted[choice.key] = known[choice.option] = choices[choice.option]
    return fitted


def warm_starts(
    store: Path, source: TaskSource, features: Mapping[str, float], space: Space, n: int
) -> list[tuple[str, JSON]]:
    """The best choices on the `n` most similar tasks, as first trials of a search."""
    first: list[tuple[str, JSON]] = []
    for distance, past in nearest(remembered(store), source.kind, form(source), features):
        choices = fitting(space, past.choices)
        named = any(key.startswith("learner.name") for key in choices)
        searched = any(choice.option == "learner.name" for choice in space.choices)
        if choices and named == searched and all(choices != known for _, known in first):
            name = past.tasks.get("name", "other tasks")
            first.append((f"warm start: {name}, distance {distance:.2f}", choices))
    return first[:n]
