"""What a linear probe on frozen features reaches on photographs, blood cells and sentences.

    python benchmarks/frozen.py DATA [--backend onnx] [--only CLINC150]

DATA is a folder with `cifar100/`, `wbc/`, `clinc150/`, `hwu64/` and `fewrel/`, as published;
nothing of it ships. Features go through the user's cache, so a second run computes none. What is
measured is written to benchmarks/frozen.json, from which the tables of docs/frozen.md are made.

Episodes of few ways: 200, of NumPy's RandomState(episode), which draws the classes without
replacement, then the support, then up to 15 queries a class, 10 for intents; +- is 1.96 standard
errors over episodes. All ways: 5 supports, of RandomState(0) to (4), and all test examples; +- is
the t-interval over the supports. Nothing was meta-trained; where a row says so, the mean of the
features of other classes was known.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import time
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
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import quickstudy as qs
from quickstudy.files.machine import machine
from quickstudy.inputs import EncodedPictures, EncodedTexts
from quickstudy.models.frozen import frozen
from quickstudy.task import examples
from quickstudy.tasks.features import featured

OUT = Path(__file__).parent / "frozen.json"
Array = NDArray[Any]
Rows = list[tuple[Any, str]]


class Part(NamedTuple):
    """Features and classes of some examples."""

    x: Array
    y: Array


class Row(NamedTuple):
    """A line of the table.

    Attributes:
        data: Which features.
        way: Ways; 0 for all.
        shot: Shots.
        bar: What was measured before, and must be reached within the interval.
    """

    data: str
    way: int
    shot: int
    bar: float


ROWS = (
    Row("CIFAR-FS", 5, 1, 76.0),
    Row("CIFAR-FS", 5, 5, 89.5),
    Row("WBC", 4, 1, 45.0),
    Row("WBC", 4, 5, 67.5),
    Row("CLINC150", 5, 1, 94.0),
    Row("CLINC150", 5, 5, 98.3),
    Row("HWU64", 5, 1, 84.5),
    Row("HWU64", 5, 5, 95.5),
    Row("FewRel", 5, 1, 64.5),
    Row("FewRel", 5, 5, 81.5),
    Row("HWU64", 0, 5, 75.5),
    Row("HWU64", 0, 10, 81.0),
    Row("CLINC150", 0, 5, 85.5),
    Row("CLINC150", 0, 10, 90.0),
)
OUT_OF_SCOPE = 95.0


def capped(rows: Rows, n: int, seed: Any) -> Rows:
    """At most n examples of each class."""
    by_class: dict[str, list[Any]] = {}
    for value, label in rows:
        by_class.setdefault(label, []).append(value)
    return [
        (by_class[label][i], label)
        for label in sorted(by_class)
        for i in sorted(seed.permutation(len(by_class[label]))[:n])
    ]


def pixels(content: bytes) -> Array:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def cifar(data: Path, split: str, n: int) -> Rows:
    """n pictures of each class of a split of CIFAR-FS."""
    classes = json.loads((data / "cifar100/splits.json").read_text())["cifar_fs"][split]
    with zipfile.ZipFile(data / "cifar100/cifar100_350perclass.zip") as archive:
        names = [n for n in sorted(archive.namelist()) if n.endswith(".webp")]
        of = [(name, name.split("/")[1]) for name in names]
        chosen = capped([r for r in of if r[1] in set(classes)], n, np.random.RandomState(0))
        return [(pixels(archive.read(name)), label) for name, label in chosen]


def blood_cells(data: Path) -> Rows:
    """All pictures of the four classes that have several."""
    with zipfile.ZipFile(data / "wbc/wbc_dataset1.zip") as archive:
        names = [n for n in sorted(archive.namelist()) if n.endswith(".webp")]
        rows = [(pixels(archive.read(name)), name.split("/")[-2]) for name in names]
    return [row for row in rows if row[1] != "basophil"]


def clinc(data: Path) -> tuple[Rows, Rows, Rows]:
    """20 sentences of each intent to learn from, 10 to ask about, and 500 of none."""
    read = json.loads((data / "clinc150/data_full.json").read_text())
    seed = np.random.RandomState(0)
    train, test = capped(read["train"], 20, seed), capped(read["test"], 10, seed)
    return train, test, capped(read["oos_test"], 500, seed)


def hwu(data: Path) -> tuple[Rows, Rows]:
    """Up to 20 sentences of each intent to learn from, and up to 10 to ask about."""
    seed, parts = np.random.RandomState(0), []
    for name, n in (("train", 20), ("test", 10)):
        with (data / f"hwu64/{name}.csv").open(newline="", encoding="utf-8") as file:
            rows = [(row["text"], row["category"]) for row in csv.DictReader(file)]
        parts.append(capped(rows, n, seed))
    return parts[0], parts[1]


def fewrel(data: Path) -> Rows:
    """60 sentences of each relation, with the places of its head and tail."""
    rows: Rows = []
    for relation, sentences in json.loads((data / "fewrel/val_wiki.json").read_text()).items():
        for each in sentences:
            tokens = each["tokens"]
            starts = np.cumsum([0, *(len(token) + 1 for token in tokens)]).tolist()
            spans = []
            for entity in (each["h"], each["t"]):
                places = entity[2][0]
                first, last = places[0], places[-1]
                spans.append((starts[first], starts[last] + len(tokens[last])))
            rows.append((qs.Text(" ".join(tokens), tuple(spans)), relation))
    return capped(rows, 60, np.random.RandomState(0))


def load(data: Path, name: str, backend: Any) -> tuple[Any, Part, Part | None, Part | None]:
    """The kind of inputs, examples, those to ask about if they are others, and others still.

    The last are of no class for CLINC150, and of meta-train classes for CIFAR-FS.
    """
    photos, sentences = qs.encoder("photos"), qs.encoder("sentences")
    kind: Any = EncodedPictures(photos, backend)
    if name == "CIFAR-FS":
        parts: list[Rows] = [cifar(data, "test", 100), [], cifar(data, "train", 30)]
    elif name == "WBC":
        parts = [blood_cells(data)]
    elif name == "FewRel":
        kind, parts = EncodedTexts(sentences.with_spans(2), backend), [fewrel(data)]
    else:
        kind = EncodedTexts(sentences, backend)
        parts = list(clinc(data) if name == "CLINC150" else hwu(data))
    features = [
        Part(np.asarray(featured(kind, [v for v, _ in rows]).x), np.array([c for _, c in rows]))
        if rows
        else None
        for rows in parts
    ]
    first, second, third = (*features, None, None)[:3]
    assert first is not None
    return kind, first, second, third


def episodes(
    part: Part, asked: Part | None, way: int, shot: int, n_query: int, n: int
) -> Iterator[tuple[Array, Array, Array, Array]]:
    """Support and queries of each episode: features and numbers of classes."""
    queries = asked or part
    names = np.unique(part.y)
    for episode in range(n):
        seed = np.random.RandomState(episode)
        classes = seed.choice(names, way, replace=False) if way else names
        support, query = [], []
        for number, name in enumerate(classes):
            own = seed.permutation(np.flatnonzero(part.y == name))
            support += [(row, number) for row in own[:shot]]
            others = own[shot:]
            if asked is not None:
                others = seed.permutation(np.flatnonzero(asked.y == name))
            query += [(row, number) for row in others[:n_query]]
        s, q = np.array(support), np.array(query)
        yield part.x[s[:, 0]], s[:, 1], queries.x[q[:, 0]], q[:, 1]


def unit(x: Array) -> Array:
    rows = x.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


Method = Callable[[Array, Array, Array], Array]
"""From support, its classes and queries to scores `(query, way)`."""


def probe(kind: Any, mean: Array | None = None) -> Method:
    """The learner of a model that needs no training, perhaps with the mean of other classes."""
    learner = frozen(kind.encoder, kind.backend).learner.eval()
    if mean is not None:
        learner.net[1].mean.copy_(torch.from_numpy(mean))

    @torch.no_grad()
    def scores(x: Array, y: Array, query: Array) -> Array:
        state = learner.adapt(examples(torch.from_numpy(x), torch.from_numpy(y)))
        return learner.predict(state, torch.from_numpy(query)).double().numpy()

    return scores


def centroids(x: Array, y: Array, query: Array) -> Array:
    """Minus the squared distances to the centroids of features of length 1."""
    rows, asked = unit(x), unit(query)
    centres = np.stack([rows[y == c].mean(axis=0) for c in range(y.max() + 1)])
    return (
        -((asked[:, None] - centres) ** 2).sum(axis=2)
        if len(centres) < 20
        else (2 * asked @ centres.T - (centres**2).sum(axis=1) - 1)
    )


def regression(x: Array, y: Array, query: Array) -> Array:
    """scikit-learn's logistic regression with C = 10 on features of length 1, not centred."""
    model = LogisticRegression(C=10, max_iter=1000).fit(unit(x), y)
    scores = model.decision_function(unit(query))
    return scores if scores.ndim == 2 else np.stack([-scores, scores], axis=1)


def own_mean(x: Array, y: Array, query: Array) -> Array:
    """The same without the mean of the support."""
    mean = unit(x).mean(axis=0)
    return regression(unit(x) - mean, y, unit(query) - mean)


def mean_of(values: Array, few: bool) -> dict[str, float]:
    """A mean in percent, and half of its interval: over episodes, or of Student's t."""
    n = len(values)
    factor = student.ppf(0.975, n - 1) if few else 1.96
    error = 100 * values.std(ddof=1) / n**0.5
    return {"mean": round(100 * float(values.mean()), 2), "ci95": round(float(factor * error), 2)}


def measure(row: Row, kind: Any, part: Part, asked: Part | None, other: Part | None) -> Any:
    """A row with the accuracies of all methods, and the paired differences of the probe."""
    methods: dict[str, Method] = {
        "LinearProbe": probe(kind),
        "LR C=10": regression,
        "centroids": centroids,
    }
    if row.data == "CIFAR-FS" and other is not None:
        methods["LinearProbe, base mean"] = probe(kind, other.x.mean(axis=0))
    if row.way:
        methods["LR C=10, own mean"] = own_mean
    intents = asked is not None
    whole = not row.way
    n = 5 if whole else 200
    accuracy: dict[str, list[float]] = {name: [] for name in methods}
    loss: list[float] = []
    outside: dict[str, list[float]] = {name: [] for name in methods}
    seconds = 0.0
    for x, y, query, truth in episodes(part, asked, row.way, row.shot, 10 if intents else 15, n):
        for name, method in methods.items():
            started = time.process_time()
            scores = method(x, y, query)
            if name == "LinearProbe":
                seconds += time.process_time() - started
                top = scores.max(axis=1, keepdims=True)
                normal = top[:, 0] + np.log(np.exp(scores - top).sum(axis=1))
                loss.append(float((normal - scores[np.arange(len(truth)), truth]).mean()))
            accuracy[name].append(float((scores.argmax(axis=1) == truth).mean()))
            if whole and row.data == "CLINC150" and row.shot == 5 and other is not None:
                both = np.concatenate([scores.max(1), method(x, y, other.x).max(1)])
                inside = np.arange(len(both)) < len(scores)
                outside[name].append(float(roc_auc_score(inside, both)))
    values = {name: np.array(each) for name, each in accuracy.items()}
    result = {
        "data": row.data,
        "way": row.way or len(np.unique(part.y)),
        "shot": row.shot,
        "bar": row.bar,
        "n": n,
        "accuracy": {name: mean_of(each, whole) for name, each in values.items()},
        "minus LR C=10": {
            name: mean_of(each - values["LR C=10"], whole)
            for name, each in values.items()
            if name != "LR C=10"
        },
        "cross-entropy": round(float(np.mean(loss)), 3),
        "cpu_seconds": round(seconds / n, 4),
    }
    if any(outside.values()):
        result["out of scope"] = {
            "bar": OUT_OF_SCOPE,
            "auroc": {name: mean_of(np.array(each), True) for name, each in outside.items()},
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--backend", default="torch", choices=("torch", "onnx"))
    parser.add_argument("--only", help="Data to measure again; the other rows stay.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    before = json.loads(OUT.read_text())["rows"] if options.only and OUT.exists() else []
    rows = [row for row in before if row["data"] != options.only]
    for name in dict.fromkeys(row.data for row in ROWS if options.only in (None, row.data)):
        loaded = load(options.data, name, options.backend)
        for row in ROWS:
            if row.data == name:
                rows.append(measure(row, *loaded))
                print(json.dumps(rows[-1]), flush=True)
                order = {(r.data, r.way == 0, r.shot): i for i, r in enumerate(ROWS)}
                rows.sort(key=lambda r: order[r["data"], r["way"] > 5, r["shot"]])
                OUT.write_text(
                    json.dumps(
                        {
                            "command": "python benchmarks/frozen.py DATA "
                            f"--backend {options.backend}",
                            "seeds": "RandomState(episode)",
                            "date": datetime.now(UTC).date().isoformat(),
                            "backend": options.backend,
                            **machine(),
                            "rows": rows,
                        },
                        indent=1,
                    )
                    + "\n"
                )


if __name__ == "__main__":
    main()
