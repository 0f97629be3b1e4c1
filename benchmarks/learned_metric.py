"""Does meta-learning behind a frozen encoder beat the frozen features with logistic regression?

    python benchmarks/learned_metric.py DATA --features FOLDER --record learned-metric.json

DATA holds cifar100, clinc150, hwu64 and fewrel. Features are computed once and kept in FOLDER. Each
comparison is of the same episodes, drawn by `numpy.random.RandomState(episode)`: classes without
replacement, then the support and the queries of each. What is trained was chosen on meta-valid
classes alone (`--valid` gives the numbers of these).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression

import quickstudy as qs
from quickstudy.encoders import Text
from quickstudy.evaluation.scores import calibrate_population
from quickstudy.inputs import EncodedPictures, EncodedTexts
from quickstudy.learners import LinearProbe
from quickstudy.nets import MLP
from quickstudy.task import examples
from quickstudy.tasks.episodes import ClassPool, Dataset

Classes = dict[str, np.ndarray]
"""Features `(n, d)` of the examples of each class."""
INTERVAL = 2.394
"""Standard errors on each side for 98.3 %: three comparisons at 95 % together (Bonferroni)."""
HELD_OUT_DOMAINS = ("banking", "small_talk", "travel")
HELD_OUT_RELATIONS = ("Cause-Effect", "Component-Whole", "Content-Container", "Entity-Destination")


class Pools(NamedTuple):
    """Meta-train and meta-valid classes, and support and queries of the meta-test."""

    train: Classes
    valid: Classes
    support: Classes
    query: Classes | None = None


class Comparison(NamedTuple):
    """A comparison: its data, its episodes, and what is meta-trained for it."""

    title: str
    pools: Callable[[Path, Path], Pools]
    n_shot: int
    n_query: int
    learner: dict[str, Any]
    net: dict[str, Any]
    episodes: dict[str, int]
    training: dict[str, Any]
    trains_on_valid: bool = False


def kept(folder: Path, name: str, compute: Callable[[], Classes]) -> Classes:
    """The features of a file in the folder, computed where it is not there."""
    file = folder / f"{name}.npz"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(file, **compute())
    with np.load(file) as stored:
        return {label: stored[label] for label in sorted(stored.files)}


def cifar_fs(data: Path, folder: Path) -> Pools:
    split = json.loads((data / "cifar100/splits.json").read_text())["cifar_fs"]
    archive = zipfile.ZipFile(data / "cifar100/cifar100_350perclass.zip")
    names = [name for name in archive.namelist() if name.endswith(".webp")]

    def of(part: str) -> Classes:
        kind = EncodedPictures(qs.encoder("photos"), "onnx")

        def features(label: str) -> np.ndarray:
            own = sorted(name for name in names if name.split("/")[1] == label)
            own.sort(key=lambda name: not name.startswith("train/"))
            pictures = [Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in own]
            return kind.stack([np.asarray(picture) for picture in pictures])

        return {label: features(label) for label in split[part]}

    train, valid, test = (
        kept(folder, f"cifar_{part}", lambda part=part: of(part))  # type: ignore[misc]
        for part in ("train", "val", "test")
    )
    return Pools(train, valid, test)


def of_texts(rows: list[tuple[Any, str]], spans: int = 0) -> Classes:
    encoder = qs.encoder("sentences")
    kind = EncodedTexts(encoder.with_spans(spans) if spans else encoder)
    labels = sorted({label for _, label in rows})
    return {
        label.replace("/", "|"): kind.stack([text for text, own in rows if own == label])
        for label in labels
    }


def hwu64(data: Path, folder: Path) -> Pools:
    def clinc() -> Classes:
        content = json.loads((data / "clinc150/data_full.json").read_text())
        return of_texts([tuple(row) for part in ("train", "val", "test") for row in content[part]])

    def hwu(part: str) -> Classes:
        with (data / f"hwu64/{part}.csv").open() as file:
            return of_texts([(row["text"], row["category"]) for row in csv.DictReader(file)])

    domains = json.loads((data / "clinc150/domains.json").read_text())
    held_out = {intent for domain in HELD_OUT_DOMAINS for intent in domains[domain]}
    intents = kept(folder, "clinc_all", clinc)
    return Pools(
        {label: x for label, x in intents.items() if label not in held_out},
        {label: x for label, x in intents.items() if label in held_out},
        kept(folder, "hwu_train", lambda: hwu("train")),
        kept(folder, "hwu_test", lambda: hwu("test")),
    )


def fewrel(data: Path, folder: Path) -> Pools:
    def of(part: str) -> Classes:
        content = json.loads((data / f"fewrel/val_{part}.json").read_text())
        rows = [
            (Text(" ".join(row["tokens"]), tuple(_span(row, entity) for entity in "ht")), label)
            for label, sentences in content.items()
            for row in sentences
        ]
        return of_texts(rows, spans=2)

    relations = kept(folder, "fewrel_semeval", lambda: of("semeval"))
    held_out = {label for label in relations if label.split("(")[0] in HELD_OUT_RELATIONS}
    return Pools(
        {label: x for label, x in relations.items() if label not in held_out},
        {label: x for label, x in relations.items() if label in held_out},
        kept(folder, "fewrel_wiki", lambda: of("wiki")),
    )


def _span(row: dict[str, Any], entity: str) -> tuple[int, int]:
    """The characters of the first mention of an entity."""
    tokens, places = row["tokens"], row[entity][2][0]
    start = sum(len(token) + 1 for token in tokens[: places[0]])
    return start, start + len(" ".join(tokens[places[0] : places[-1] + 1]))


AT_ONE_SHOT: dict[str, Any] = {
    "meta_batch": 1,
    "outer_optimizer": "AdamW",
    "optimizer_options": {"weight_decay": 0.01},
    "outer_lr": 1e-4,
    "schedule": "cosine",
    "steps": 300,
    "valid_tasks": 0,
}
COMPARISONS = {
    "cifar_fs": Comparison(
        "CIFAR-FS 5-way 1-shot",
        cifar_fs,
        n_shot=1,
        n_query=15,
        learner={"name": "PrototypicalNetwork"},
        net={"name": "Metric", "power": 0.5},
        episodes={"n_way": 32, "n_shot": 1, "n_query": 6},
        training=AT_ONE_SHOT,
    ),
    "hwu64": Comparison(
        "HWU64 5-way 1-shot",
        hwu64,
        n_shot=1,
        n_query=10,
        learner={"name": "PrototypicalNetwork"},
        net={"name": "Metric"},
        episodes={"n_way": 64, "n_shot": 1, "n_query": 6},
        training=AT_ONE_SHOT,
        trains_on_valid=True,
    ),
    "fewrel": Comparison(
        "FewRel wiki 5-way 5-shot",
        fewrel,
        n_shot=5,
        n_query=15,
        learner={"name": "LogisticHead", "penalty": 0.1, "scale": 1.0},
        net={"name": "Metric", "scale": 1.0},
        episodes={"n_way": 8, "n_shot": 5, "n_query": 10},
        training=AT_ONE_SHOT | {"meta_batch": 2, "steps": 150},
        trains_on_valid=True,
    ),
}


def draw(
    pools: Pools, valid: bool, n_shot: int, n_query: int, episode: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Support and queries of an episode of five ways, with their labels."""
    support, query = (pools.valid, None) if valid else (pools.support, pools.query)
    names, rng = sorted(support), np.random.RandomState(episode)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for c in rng.choice(len(names), 5, replace=False):
        own = support[names[c]]
        rows = rng.permutation(len(own))
        if query is None:
            parts.append((own[rows[:n_shot]], own[rows[n_shot : n_shot + n_query]]))
        else:
            others = query[names[c]]
            parts.append((own[rows[:n_shot]], others[rng.permutation(len(others))[:n_query]]))
    x, queries = (np.concatenate(part) for part in zip(*parts, strict=True))
    labels = [np.repeat(np.arange(5), [len(p[i]) for p in parts]) for i in (0, 1)]
    return x, labels[0], queries, labels[1]


def accuracy(predict: Callable[..., np.ndarray], episodes: list[Any]) -> np.ndarray:
    """Accuracy in per cent of each episode."""
    return np.array([100 * (predict(x, y, q) == z).mean() for x, y, q, z in episodes])


def frozen(x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Logistic regression, C = 10, on features of length 1."""
    x, q = (each / np.linalg.norm(each, axis=1, keepdims=True).clip(1e-12) for each in (x, q))
    classes: np.ndarray = LogisticRegression(C=10.0, max_iter=1000).fit(x, y).predict(q)
    return classes


def by(learner: Any) -> Callable[..., np.ndarray]:
    """The predictions of a learner of the library."""

    @torch.no_grad()
    def predict(x: np.ndarray, y: np.ndarray, q: np.ndarray) -> np.ndarray:
        state = learner.adapt(examples(torch.from_numpy(x), torch.from_numpy(y), 5))
        classes: np.ndarray = learner.predict(state, torch.from_numpy(q)).argmax(dim=1).numpy()
        return classes

    return predict


def dataset(classes: Classes) -> Dataset:
    """Classes to meta-train on."""
    names = sorted(classes)
    y = np.repeat(np.arange(len(names)), [len(classes[name]) for name in names])
    return Dataset(
        "frozen",
        {"train": ClassPool(np.concatenate([classes[name] for name in names]), y, names)},
    )


def interval(values: np.ndarray) -> dict[str, float]:
    half = INTERVAL * values.std(ddof=1) / len(values) ** 0.5
    return {"mean": round(float(values.mean()), 2), "half_width": round(float(half), 2)}


def measured(comparison: Comparison, pools: Pools, options: argparse.Namespace) -> dict[str, Any]:
    """Trains with each seed and compares on the same episodes."""
    drawn = [
        draw(pools, options.valid, comparison.n_shot, comparison.n_query, episode)
        for episode in range(options.episodes)
    ]
    width = drawn[0][0].shape[1]
    opponents = {
        "logistic regression": accuracy(frozen, drawn),
        "LinearProbe": accuracy(by(LinearProbe(MLP((width,), hidden=())).eval()), drawn),
    }
    # With all settings fixed, the classes on which they were chosen are trained on too, where the
    # split is not a published one.
    extra = pools.valid if comparison.trains_on_valid and not options.valid else {}
    data = dataset(pools.train | extra)
    tasks = qs.tasks.Episodes(data, **comparison.episodes)
    before = qs.build(comparison.learner, tasks, comparison.net)
    calibrate_population(before, tasks)
    opponents["before meta-training"] = accuracy(by(before.eval()), drawn)
    runs, started = [], time.process_time()
    for seed in options.seeds:
        tasks = qs.tasks.Episodes(data, **comparison.episodes, seed=seed)
        learner = qs.build(comparison.learner, tasks, comparison.net, seed=seed)
        training = qs.Training(**comparison.training, seed=seed)
        result = qs.train(learner, tasks, training, show=False)
        runs.append(accuracy(by(learner.eval()), drawn))
        print(
            comparison.title,
            "seed",
            seed,
            interval(runs[-1] - opponents["logistic regression"]),
            result.step,
            flush=True,
        )
    mean = np.mean(runs, axis=0)
    return {
        "title": comparison.title,
        "episodes": options.episodes,
        "classes": "meta-valid" if options.valid else "meta-test",
        "learner": comparison.learner,
        "net": comparison.net,
        "training_episodes": comparison.episodes,
        "training": comparison.training,
        "seeds": options.seeds,
        "training_cpu_seconds": round((time.process_time() - started) / len(runs), 1),
        "accuracy": {name: interval(each) for name, each in opponents.items()}
        | {"meta-trained": interval(mean)},
        "of_seeds": [interval(each) for each in runs],
        "difference": {name: interval(mean - each) for name, each in opponents.items()},
        "difference_of_seeds": [interval(each - opponents["logistic regression"]) for each in runs],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--features", type=Path, required=True)
    parser.add_argument("--only", choices=COMPARISONS, nargs="*", default=list(COMPARISONS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=600)
    parser.add_argument("--valid", action="store_true", help="on meta-valid classes")
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = (
        json.loads(options.record.read_text()) if options.record and options.record.exists() else {}
    )
    for name in options.only:
        comparison = COMPARISONS[name]
        result = measured(comparison, comparison.pools(options.data, options.features), options)
        result |= {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}",
            "command": f"benchmarks/learned_metric.py DATA --features FOLDER --only {name}",
        }
        print(json.dumps({key: result[key] for key in ("accuracy", "difference")}), flush=True)
        if options.record:
            record[name] = result
            options.record.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
