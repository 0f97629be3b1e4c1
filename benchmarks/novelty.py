"""How well novelty tells what was never taught, behind frozen encoders without meta-training.

    python benchmarks/novelty.py DATA

DATA is a folder with `clinc150/` and `cifar100/`, as published; nothing of it ships. The threshold
of each encoder (`NOVELTY` of quickstudy/models/frozen.py) is chosen on development data: training
and validation sentences of CLINC150, validation classes of CIFAR-FS. Each of 60 tasks of a setting,
of RandomState(episode), has one class more than is taught, whose examples are the untaught. A
threshold keeps 95 % of the taught queries of a setting; that of the encoder is the mean over
settings. It is then measured on test data: 5 supports of all 150 intents with the sentences that
are of none (`oos_test`), and 200 tasks of test classes of CIFAR-FS. +- is the t-interval over
supports, or 1.96 standard errors over tasks. Other scores are measured on the same development
tasks. Written to benchmarks/novelty.json.
"""

from __future__ import annotations

import argparse
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import t as student
from torch import Tensor

import quickstudy as qs
from quickstudy.evaluation.novelty import KEPT, auroc, novelty
from quickstudy.files.machine import machine
from quickstudy.learner import AnyLearner
from quickstudy.models.frozen import NOVELTY, frozen
from quickstudy.task import Examples, examples

OUT = Path(__file__).parent / "novelty.json"
SETTINGS = ((3, 1), (5, 1), (5, 5), (10, 5))
N_TASKS = 60
Array = NDArray[Any]
Score = Callable[[AnyLearner, Examples, Any, Tensor], Tensor]


class Part(NamedTuple):
    """Features and classes of some examples."""

    x: Array
    y: Array


def capped(rows: list[list[Any]], n: int) -> list[tuple[Any, str]]:
    """At most n examples of each class, drawn by RandomState(0)."""
    seed, by_class = np.random.RandomState(0), dict[str, list[Any]]()
    for value, label in rows:
        by_class.setdefault(label, []).append(value)
    return [
        (by_class[label][i], label)
        for label in sorted(by_class)
        for i in sorted(seed.permutation(len(by_class[label]))[:n])
    ]


def sentences(data: Path) -> dict[str, list[tuple[Any, str]]]:
    read = json.loads((data / "clinc150/data_full.json").read_text())
    n = {"train": 20, "val": 10, "test": 10, "oos_val": 100, "oos_test": 500}
    return {name: capped(read[name], most) for name, most in n.items()}


def photographs(data: Path) -> dict[str, list[tuple[Any, str]]]:
    splits = json.loads((data / "cifar100/splits.json").read_text())["cifar_fs"]
    parts = {}
    with zipfile.ZipFile(data / "cifar100/cifar100_350perclass.zip") as archive:
        names = [name for name in sorted(archive.namelist()) if name.endswith(".webp")]
        for split in ("val", "test"):
            rows: list[list[Any]] = [[n, n.split("/")[1]] for n in names]
            chosen = capped([row for row in rows if row[1] in splits[split]], 40)
            parts[split] = [
                (np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB")), label)
                for name, label in chosen
            ]
    return parts


def tasks(part: Part, way: int, shot: int, n: int) -> Iterator[tuple[Examples, Tensor, Tensor]]:
    """Support, taught queries and untaught ones of each task."""
    for episode in range(n):
        seed = np.random.RandomState(episode)
        classes = seed.choice(np.unique(part.y), way + 1, replace=False)
        own = [seed.permutation(np.flatnonzero(part.y == name)) for name in classes]
        x = np.concatenate([part.x[places[:shot]] for places in own[:way]])
        taught = np.concatenate([part.x[places[shot : shot + 10]] for places in own[:way]])
        support = examples(torch.from_numpy(x), torch.arange(way).repeat_interleave(shot))
        yield support, torch.from_numpy(taught), torch.from_numpy(part.x[own[way][:20]])


def cosine(learner: AnyLearner, support: Examples, state: Any, x: Tensor) -> Tensor:
    z, own = learner.features(state, x), learner.features(state, support.x)
    assert z is not None
    assert own is not None
    means = torch.nn.functional.normalize(support.y.T @ own, dim=1)
    return 1 - (z @ means.T).amax(dim=1)


def nearest(learner: AnyLearner, support: Examples, state: Any, x: Tensor) -> Tensor:
    z, own = learner.features(state, x), learner.features(state, support.x)
    assert z is not None
    assert own is not None
    return 1 - (z @ own.T).amax(dim=1)


def logit(learner: AnyLearner, support: Examples, state: Any, x: Tensor) -> Tensor:
    return -learner.predict(state, x).amax(dim=1)


def probability(learner: AnyLearner, support: Examples, state: Any, x: Tensor) -> Tensor:
    return -torch.softmax(learner.predict(state, x), dim=1).amax(dim=1)


SCORES: dict[str, Score] = {
    "novelty": novelty,
    "cosine to the class mean": cosine,
    "cosine to the nearest example": nearest,
    "largest logit": logit,
    "largest probability": probability,
}


@torch.no_grad()
def developed(learner: AnyLearner, part: Part, way: int, shot: int) -> dict[str, Any]:
    """AUROC of each score on development tasks, and the threshold of novelty."""
    values: dict[str, list[tuple[Array, Array]]] = {name: [] for name in SCORES}
    for support, taught, untaught in tasks(part, way, shot, N_TASKS):
        state = learner.adapt(support)
        for name, score in SCORES.items():
            pair = (score(learner, support, state, x).double().numpy() for x in (taught, untaught))
            values[name].append(tuple(pair))  # type: ignore[arg-type]
    pooled = {
        name: [np.concatenate(each) for each in zip(*v, strict=True)] for name, v in values.items()
    }
    return {
        "way": way,
        "shot": shot,
        "auroc": {name: round(auroc(*each), 4) for name, each in pooled.items()},
        "threshold": round(float(np.quantile(pooled["novelty"][0], KEPT)), 4),
    }


def interval(values: list[float], few: bool) -> dict[str, float]:
    n = len(values)
    factor = student.ppf(0.975, n - 1) if few else 1.96
    error = factor * np.std(values, ddof=1) / n**0.5
    return {"mean": round(float(np.mean(values)), 4), "ci95": round(float(error), 4)}


@torch.no_grad()
def tested(learner: AnyLearner, rows: Iterator[Any], limit: float, few: bool) -> dict[str, Any]:
    """AUROC on test data, and what the threshold does there."""
    measures: dict[str, list[float]] = {"auroc": [], "taught kept": [], "untaught found": []}
    for support, taught, untaught in rows:
        state = learner.adapt(support)
        known, unknown = (
            novelty(learner, support, state, x).double().numpy() for x in (taught, untaught)
        )
        measures["auroc"].append(auroc(known, unknown))
        measures["taught kept"].append(float((known <= limit).mean()))
        measures["untaught found"].append(float((unknown > limit).mean()))
    return {name: interval(each, few) for name, each in measures.items()}


def all_intents(parts: dict[str, Part]) -> Iterator[tuple[Examples, Tensor, Tensor]]:
    """5 supports of 5 sentences of every intent, all test sentences, and those of no intent."""
    train = parts["train"]
    names = np.unique(train.y)
    for support in range(5):
        seed = np.random.RandomState(support)
        rows = [seed.permutation(np.flatnonzero(train.y == name))[:5] for name in names]
        y = torch.arange(len(names)).repeat_interleave(5)
        x = torch.from_numpy(train.x[np.concatenate(rows)])
        test, none = parts["test"].x, parts["oos_test"].x
        yield examples(x, y), torch.from_numpy(test), torch.from_numpy(none)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    data = parser.parse_args().data
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    for name, read in (("sentences", sentences), ("photos", photographs)):
        encoder = qs.encoder(name)
        model = frozen(encoder)
        parts = {
            part: Part(model.inputs([x for x, _ in rows]).x.numpy(), np.array([y for _, y in rows]))
            for part, rows in read(data).items()
        }
        dev = [parts["val"]]
        if name == "sentences":
            dev.append(parts["train"])
        development = Part(*(np.concatenate(each) for each in zip(*dev, strict=True)))
        settings = [developed(model.learner, development, *setting) for setting in SETTINGS]
        limit = float(np.mean([each["threshold"] for each in settings]))
        results[name] = {
            "settings": settings,
            "threshold": round(limit, 4),
            "auroc": round(float(np.mean([each["auroc"]["novelty"] for each in settings])), 4),
            "tests": {},
        }
        tests = results[name]["tests"]
        if name == "sentences":
            tests["CLINC150, 150-way 5-shot"] = tested(
                model.learner, all_intents(parts), limit, few=True
            )
        for way, shot in ((5, 1), (5, 5)):
            rows = tasks(parts["test"], way, shot, 200)
            if shot == 1 or name == "photos":
                tests[f"{way}-way {shot}-shot"] = tested(model.learner, rows, limit, few=False)
        shipped = NOVELTY.get(encoder.weights)
        print(name, json.dumps(results[name]), "shipped:", shipped, flush=True)
    about = {"command": "python benchmarks/novelty.py DATA", "seeds": "RandomState(episode)"}
    record = {**about, "date": datetime.now(UTC).date().isoformat(), **machine(), **results}
    OUT.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
