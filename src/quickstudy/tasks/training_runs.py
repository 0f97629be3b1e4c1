"""Training a small classifier from scratch, as a task: what learned optimizers are measured on."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from quickstudy.errors import DataError, UserError
from quickstudy.learner import AnyLearner
from quickstudy.task import Examples, Kind, Task, examples
from quickstudy.tasks.contents import Contents, Marks, contents_of, marks_of
from quickstudy.tasks.source import Split, TaskSource, generator

PARTS = ("examples to train on", "examples for queries")
# md5 of the uncompressed files.
MNIST = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class Labelled(NamedTuple):
    """Pictures (n, height, width), white is 255, and their classes (n,)."""

    pictures: NDArray[np.uint8 | np.int16]
    classes: NDArray[np.int64]

    def marks(self) -> Marks:
        """A mark of each example, by which it is known again."""
        pairs = zip(self.pictures, self.classes, strict=True)
        return marks_of(picture.tobytes() + bytes([label]) for picture, label in pairs)


class TrainingRuns(TaskSource):
    """Runs that train a classifier on one data set: every task has its own order of the examples.

    The support is a stream of examples without replacement, which goes on from the beginning once
    all were seen; a learner takes its mini-batches of it in turn. The queries are never trained
    on. The splits share no example.

    Args:
        parts: For each split, the examples to train on and those for the queries.
        name: What the data are called.
        n_shot: Support examples of a run: batch size times one more than the steps, for batches
            that were never trained on.
        n_query: Query examples of a run.
        seed: Seed of the orders.

    Shapes:
        x (examples, 1, height, width), in [0, 1] if not shrunk; y (examples, classes)

    Raises:
        UserError: There are no support or no query examples.

    Example:
        >>> from quickstudy.tasks.training_runs import Labelled
        >>> digits = Labelled((16 * X).astype("uint8").reshape(-1, 8, 8), y)
        >>> parts = {split: (digits, digits) for split in SPLITS}
        >>> TrainingRuns(parts, "digits", n_shot=64, n_query=10, seed=0).x_shape
        (1, 8, 8)
    """

    kind: Kind = "classification"
    preprocess: None = None
    n_out = 10

    def __init__(
        self,
        parts: dict[Split, tuple[Labelled, Labelled]],
        name: str,
        n_shot: int,
        n_query: int,
        seed: int,
    ) -> None:
        if min(n_shot, n_query) < 1:
            raise UserError(
                f"{name}: n_shot and n_query must be at least 1; received n_shot={n_shot}, "
                f"n_query={n_query}; give both parts of a run an example."
            )
        self.parts, self.name = parts, name
        self.n_shot, self.n_query, self.seed = n_shot, n_query, seed

    @property
    def x_shape(self) -> tuple[int, ...]:
        return (1, *self.parts["train"][0].pictures.shape[1:])

    @property
    def net(self) -> dict[str, Any]:
        """A perceptron of 20 sigmoid units."""
        return {"name": "MLP", "hidden": (20,), "activation": "sigmoid", "head": "per_class"}

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        """None: opponents of an update rule are tuned rules, `quickstudy.evaluation.tuned`."""
        return {}

    def task(self, split: Split, index: int) -> Task:
        rng = generator(self.seed, f"{self.name}/{split}", index)
        fit, held = self.parts[split]
        order = np.resize(rng.permutation(len(fit.classes)), self.n_shot)
        queries = rng.permutation(len(held.classes))[: self.n_query]
        return Task(_examples(fit, order), _examples(held, queries))

    def disjoint(self, split: Split) -> Iterator[Task]:
        fit, held = self.parts[split]
        n = min(len(fit.classes) // self.n_shot, len(held.classes) // self.n_query)
        for i in range(n):
            rows, queries = (
                np.arange(i * size, (i + 1) * size) for size in (self.n_shot, self.n_query)
            )
            yield Task(_examples(fit, rows), _examples(held, queries))

    def contents(self) -> Contents:
        splits = {
            split: {name: part.marks() for name, part in zip(PARTS, parts, strict=True)}
            for split, parts in self.parts.items()
        }
        return contents_of("part", splits)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "n_shot": self.n_shot, "n_query": self.n_query}


class MNISTRuns(TrainingRuns):
    """Runs that train on MNIST, by default a perceptron of 20 sigmoid units.

    Of the 60,000 training pictures 22,500 are meta-train, 12,500 meta-valid and 25,000 meta-test;
    the queries of meta-test are the 10,000 test pictures.

    Args:
        data_dir: Folder of the four original files, as they are or compressed by gzip.
        shrink: How many pixels a side are added to one, 1, 2 or 4: fewer weights, for cheaper
            meta-training. A sum rather than a mean, as then weights that all take steps of one size
            move a unit as far as with all pixels, and a rule learned here serves there.
        n_shot: Support examples of a run; as many as 100 steps of 128 and a last loss take.
        n_query: Query examples of a run.
        seed: Seed of the orders.

    Raises:
        UserError: Pictures cannot be shrunk so.
        DataError: No folder is given, or a file is missing or not the original one.

    Source: LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition,
    Proceedings of the IEEE 1998; as a task, Andrychowicz et al., NeurIPS 2016, section 3.2.

    Example:
        >>> support, query = MNISTRuns(Path("mnist"), n_shot=64).task("train", 0)
        >>> support.x.shape
        torch.Size([64, 1, 28, 28])
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        shrink: int = 1,
        n_shot: int = 12_928,
        n_query: int = 500,
        seed: int = 0,
    ) -> None:
        if shrink not in (1, 2, 4):
            raise UserError(
                f"MNISTRuns: shrink must be 1, 2 or 4, which divide 28; received {shrink}; choose "
                "one of these."
            )
        if data_dir is None:
            raise DataError(
                "MNIST: needs the folder of its four original files; received none; give "
                "--data-dir."
            )
        train, test = (
            Labelled(
                _shrunk(_idx(Path(data_dir), f"{part}-images-idx3-ubyte", 3), shrink),
                _idx(Path(data_dir), f"{part}-labels-idx1-ubyte", 1).astype(np.int64),
            )
            for part in ("train", "t10k")
        )
        parts: dict[Split, tuple[Labelled, Labelled]] = {
            "train": (_rows(train, 0, 20_000), _rows(train, 20_000, 22_500)),
            "valid": (_rows(train, 22_500, 32_500), _rows(train, 32_500, 35_000)),
            "test": (_rows(train, 35_000, 60_000), test),
        }
        super().__init__(parts, "mnist-runs", n_shot, n_query, seed)


class DigitsRuns(TrainingRuns):
    """Runs that train on the 1,797 digits of scikit-learn, of 8 by 8 pixels.

    Their examples are gone through many times. 900 are meta-train, 397 meta-valid, 500 meta-test; a
    fifth of each is for the queries.

    Args:
        n_shot: Support examples of a run; as many as 100 steps of 64 and a last loss take.
        n_query: Query examples of a run.
        seed: Seed of the orders.

    Example:
        >>> support, query = DigitsRuns(n_shot=64, n_query=10).task("train", 0)
        >>> support.x.shape
        torch.Size([64, 1, 8, 8])
    """

    def __init__(self, n_shot: int = 6_464, n_query: int = 70, seed: int = 0) -> None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        pictures = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        order = generator(0, "digits", 0).permutation(len(pictures))
        whole = Labelled(pictures[order], digits.target[order].astype(np.int64))
        parts: dict[Split, tuple[Labelled, Labelled]] = {
            split: (_rows(whole, first, middle), _rows(whole, middle, last))  # type: ignore[misc]
            for split, first, middle, last in (
                ("train", 0, 720, 900),
                ("valid", 900, 1217, 1297),
                ("test", 1297, 1697, 1797),
            )
        }
        super().__init__(parts, "digits-runs", n_shot, n_query, seed)


def _examples(part: Labelled, rows: NDArray[np.int64]) -> Examples:
    x = torch.from_numpy(part.pictures[rows]).float().div_(255)[:, None]
    return examples(x, torch.from_numpy(part.classes[rows]), n_way=10)


def _rows(part: Labelled, first: int, last: int) -> Labelled:
    return Labelled(part.pictures[first:last], part.classes[first:last])


def _shrunk(pictures: NDArray[np.uint8], by: int) -> NDArray[np.uint8 | np.int16]:
    """Pictures whose pixels are sums of squares of pixels."""
    if by == 1:
        return pictures
    n, height, width = pictures.shape
    squares = pictures.reshape(n, height // by, by, width // by, by)
    sums: NDArray[np.int16] = squares.sum(axis=(2, 4), dtype=np.int16)
    return sums


def _idx(folder: Path, name: str, n_axes: int) -> NDArray[np.uint8]:
    """The array of an idx file of bytes."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.is_file()), None)
    if path is None:
        raise DataError(
            f"MNIST: expected {name} or {name}.gz in {folder}; received neither; put the four "
            "original files there, and give the folder as --data-dir."
        )
    try:
        content = path.read_bytes() if path.suffix != ".gz" else gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(
            f"MNIST: expected {path} to be whole; received a file that cannot be read ({error}); "
            "fetch it again."
        ) from error
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != MNIST[name]:
        raise DataError(
            f"MNIST: expected {path} to have md5 {MNIST[name]} without its compression; received "
            f"{digest}; fetch it again."
        )
    sizes = np.frombuffer(content, ">i4", n_axes, offset=4)
    array: NDArray[np.uint8] = np.frombuffer(content, np.uint8, offset=4 + 4 * n_axes)
    return array.reshape(tuple(sizes.tolist()))
