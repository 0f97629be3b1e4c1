"""Episodes: tasks drawn from a pool of classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs import InputKind
from quickstudy.task import Examples, Kind, Task, examples
from quickstudy.tasks.contents import Contents, Held, contents_of
from quickstudy.tasks.pools import ClassPool
from quickstudy.tasks.source import Split, TaskSource, generator

Array = NDArray[Any]
Range = int | tuple[int, int]


@dataclass(frozen=True)
class Dataset:
    """Class pools by split, and what a picture or row must go through to become an input.

    Attributes:
        name: Name for reports.
        pools: The classes of each split; a class belongs to one split.
        preprocess: The kind of a user's inputs, such as `Pictures`; None for plain arrays.
        within_group: Episodes draw all classes from one group.
        other_authors: Support and query of an episode are by different authors.
        about: More for reports: plain JSON.
        fixed: The examples cannot change: they are published, or drawn by code.
        left_out: Classes of the data that are in no split.
        outside: Inputs `(n, *x)` of none of the classes, to see whether a model says so; None where
            the data have none.

    Example:
        >>> digits = arrays(X, y)  # a Dataset
        >>> [len(digits.pools[split].names) for split in SPLITS]
        [6, 2, 2]
    """

    name: str
    pools: dict[Split, ClassPool]
    preprocess: InputKind | None = None
    within_group: bool = False
    other_authors: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    fixed: bool = False
    left_out: Mapping[str, Held] = field(default_factory=dict)
    outside: Array | None = None

    def contents(self) -> Contents:
        """The classes of each split, by name and digest."""
        if self.fixed:
            return Contents(
                "class",
                {
                    split: {
                        name: Held(int(n), "")
                        for name, n in zip(pool.names, pool.counts, strict=True)
                    }
                    for split, pool in self.pools.items()
                },
            )
        splits = {split: pool.marks_by_class() for split, pool in self.pools.items()}
        return contents_of("class", splits, self.left_out)


@dataclass(frozen=True)
class Episodes(TaskSource):
    """N-way K-shot classification tasks.

    Args:
        data: The classes.
        n_way: Classes of an episode, or their inclusive range, drawn anew for each episode.
        n_shot: Support examples of a class, or their inclusive range, drawn anew for each class.
        n_query: Query examples of a class.
        seed: Seed of every split.

    Raises:
        UserError: A split has fewer classes than ways, or a class fewer examples than an episode
            takes of it.

    Example:
        >>> tasks = Episodes(arrays(X, y), n_way=2, n_shot=(1, 5), n_query=5)
        >>> support, query = tasks.task("train", 0)
        >>> query.y.shape  # (query, way)
        torch.Size([10, 2])
    """

    data: Dataset
    n_way: Range = 5
    n_shot: Range = 1
    n_query: int = 15
    seed: int = 0

    kind: Kind = field(default="classification", init=False)

    def __post_init__(self) -> None:
        # Of one class alone every answer is right.
        for name, value, least in (("n_way", self.n_way, 2), ("n_shot", self.n_shot, 1)):
            low, high = _bounds(value)
            if low < least or high < low:
                raise UserError(
                    f"Episodes: {name} must be at least {least} and a range must go upwards; "
                    f"received {value}; give such a number, or two in order."
                )
        if self.n_query < 1:
            raise UserError(
                f"Episodes: n_query must be at least 1; received {self.n_query}; "
                "give every class a query example."
            )
        for split, pool in self.data.pools.items():
            self._check(split, pool)

    def _check(self, split: Split, pool: ClassPool) -> None:
        way, shots = _bounds(self.n_way)[1], _bounds(self.n_shot)[1]
        need = shots + self.n_query
        every = range(len(pool.names))
        few = [c for c in every if not pool.enough(pool.rows_of(c), shots, self.n_query)]
        if few:
            names = [f"{pool.names[c]} ({_numbers(pool, c)})" for c in few[:5]]
            raise UserError(
                f"Episodes: every class of {self.data.name}/{split} needs {need} examples "
                f"(n_shot + n_query); received fewer in {len(few)} class(es): {', '.join(names)}; "
                "lower n_shot or n_query, add examples, or leave these classes out (folder's "
                f"min_examples={need})."
            )
        largest = np.unique(self._groups(pool), return_counts=True)[1].max(initial=0)
        if largest < way:
            place = "group" if self.data.within_group else "split"
            raise UserError(
                f"Episodes: {self.data.name}/{split} needs {way} classes in a {place} for {way} "
                f"ways; received {largest}; lower n_way or add classes."
            )

    def _groups(self, pool: ClassPool) -> Array:
        """Group of each class, among which an episode draws its classes."""
        if self.data.within_group and pool.group is not None:
            return pool.group
        return np.zeros(len(pool.names), dtype=np.int64)

    @property
    def x_shape(self) -> tuple[int, ...]:
        return tuple(next(iter(self.data.pools.values())).x.shape[1:])

    @property
    def n_out(self) -> int:
        return _bounds(self.n_way)[1]

    @property
    def preprocess(self) -> InputKind | None:
        return self.data.preprocess

    @property
    def net(self) -> dict[str, Any] | None:
        return None if self.preprocess is None else self.preprocess.net

    @property
    def outside(self) -> Array | None:
        return self.data.outside

    @property
    def splits(self) -> tuple[Split, ...]:
        return tuple(self.data.pools)

    def task(self, split: Split, index: int) -> Task:
        pool, rng = self.pool(split), generator(self.seed, split, index)
        classes = self._classes(pool, rng)
        shots = [_draw(rng, self.n_shot) for _ in classes]
        rows = [rng.permutation(pool.rows_of(c)) for c in classes]
        return _task(pool, rng, *self._parts(pool, rng, rows, shots))

    def disjoint(self, split: Split) -> Iterator[Task]:
        """Episodes without replacement: no example is in two of them, nor in both their parts.

        Where support and query are by different authors, a class is in one episode at most.
        """
        pool, rng = self.pool(split), generator(self.seed, f"{split}/disjoint", 0)
        order = generator(self.seed, f"{split}/disjoint/order", 0)
        groups = self._groups(pool)
        left = [rng.permutation(row[:n]) for row, n in zip(pool.members, pool.counts, strict=True)]
        while True:
            way = _draw(rng, self.n_way)
            shots = [_draw(rng, self.n_shot) for _ in range(way)]
            able = np.array([pool.enough(rows, max(shots), self.n_query) for rows in left])
            classes = _fullest(groups, able)
            if len(classes) < way:
                return
            # The fullest classes first, so that few examples are left over.
            size, tie = np.array([len(left[c]) for c in classes]), rng.random(len(classes))
            classes = classes[np.lexsort((tie, -size))[:way]]
            support, query = self._parts(pool, rng, [left[c] for c in classes], shots)
            yield _task(pool, order, support, query)
            for c, *used in zip(classes, support, query, strict=True):
                gone = left[c] if self.data.other_authors else np.concatenate(used)
                left[c] = left[c][~np.isin(left[c], gone)]

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self:
        return replace(
            self,
            n_way=self.n_way if n_way is None else n_way,
            n_shot=self.n_shot if n_shot is None else n_shot,
        )

    def flat(self) -> Flat:
        return Flat(self)

    def contents(self) -> Contents:
        return self.data.contents()

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.data.name,
            "n_way": self.n_way,
            "n_shot": self.n_shot,
            "n_query": self.n_query,
            "classes": {split: len(pool.names) for split, pool in self.data.pools.items()},
            **self.data.about,
        }

    def pool(self, split: Split) -> ClassPool:
        """The classes of a split.

        Raises:
            UserError: There is no such split.
        """
        if split not in self.data.pools:
            raise UserError(
                f"Episodes: {self.data.name} has the splits {', '.join(self.data.pools)}; received "
                f"{split!r}; choose one of these."
            )
        return self.data.pools[split]

    def _classes(self, pool: ClassPool, rng: np.random.Generator) -> Array:
        way = _draw(rng, self.n_way)
        if not self.data.within_group or pool.group is None:
            return rng.permutation(len(pool.names))[:way]
        groups = self._groups(pool)
        group, size = np.unique(groups, return_counts=True)
        chosen = rng.choice(group[size >= way])
        return rng.permutation(np.flatnonzero(groups == chosen))[:way]

    def _parts(
        self, pool: ClassPool, rng: np.random.Generator, rows: list[Array], shots: list[int]
    ) -> tuple[list[Array], list[Array]]:
        """Support and query examples of each class, from its examples in random order."""
        if self.data.other_authors and pool.author is not None:
            return self._by_author(pool.author, rng, rows, shots)
        if pool.only_queries is not None:
            parts = [pool.parts(row) for row in rows]
            first = [of[:shot] for (of, _), shot in zip(parts, shots, strict=True)]
            return first, [of[: self.n_query] for _, of in parts]
        support = [row[:shot] for row, shot in zip(rows, shots, strict=True)]
        query = [row[shot : shot + self.n_query] for row, shot in zip(rows, shots, strict=True)]
        return support, query

    def _by_author(
        self, author: Array, rng: np.random.Generator, rows: list[Array], shots: list[int]
    ) -> tuple[list[Array], list[Array]]:
        """Support by the first authors of a random order, query by those after them."""
        authors = rng.permutation(np.unique(author[np.concatenate(rows)]))
        rank = {name: i for i, name in enumerate(authors)}
        support, query = [], []
        for row, shot in zip(rows, shots, strict=True):
            row_rank = np.array([rank[name] for name in author[row]])
            order = np.argsort(row_rank, kind="stable")
            first = row_rank[order] < max(shots)
            support.append(row[order][first][:shot])
            query.append(row[order][~first][: self.n_query])
        return support, query


@dataclass(frozen=True)
class Flat(TaskSource):
    """Mini-batches of examples of all classes of a split, drawn evenly from its examples.

    The query is the batch, with a column for each class of the split. The support is one blank
    example that is of every class, so that none looks like padding.

    Args:
        episodes: Whose classes; a batch has as many examples as the largest of these.
    """

    episodes: Episodes

    kind: Kind = field(default="classification", init=False)

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.episodes.x_shape

    @property
    def n_out(self) -> int:
        """Number of meta-train classes."""
        return len(self.episodes.pool("train").names)

    @property
    def preprocess(self) -> InputKind | None:
        return self.episodes.preprocess

    @property
    def splits(self) -> tuple[Split, ...]:
        return self.episodes.splits

    def task(self, split: Split, index: int) -> Task:
        episodes, pool = self.episodes, self.episodes.pool(split)
        size = _bounds(episodes.n_way)[1] * (_bounds(episodes.n_shot)[1] + episodes.n_query)
        rng = generator(episodes.seed, f"{split}/flat", index)
        rows = rng.choice(len(pool.y), min(size, len(pool.y)), replace=False)
        query = _examples(pool, rows, pool.y[rows], len(pool.names))
        blank = Examples(
            torch.zeros_like(query.x[:1]), torch.ones_like(query.y[:1]), query.weight[:1]
        )
        return Task(blank, query)

    def contents(self) -> Contents:
        return self.episodes.contents()

    def describe(self) -> dict[str, Any]:
        return self.episodes.describe()


def _task(
    pool: ClassPool, rng: np.random.Generator, support: list[Array], query: list[Array]
) -> Task:
    """Builds a task in random order, so that a sequence learner cannot tell classes by position."""

    def part(rows: list[Array]) -> Any:
        y = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        order = rng.permutation(len(y))
        return _examples(pool, np.concatenate(rows)[order], y[order], len(rows))

    return Task(part(support), part(query))


def _examples(pool: ClassPool, rows: Array, y: Array, n_classes: int) -> Examples:
    x = pool.x[rows]
    if x.dtype != np.uint8:
        return examples(torch.from_numpy(x).float(), torch.from_numpy(y), n_classes)
    # NumPy, as torch would spend longer on starting threads for so little work.
    target = np.zeros((len(y), n_classes), dtype=np.float32)
    target[np.arange(len(y)), y] = 1
    x = np.divide(x, 255, dtype=np.float32)
    # `examples` would check what holds here: bytes are finite, and rows are of the pool.
    return Examples(torch.from_numpy(x), torch.from_numpy(target), torch.ones(len(y)))


def _numbers(pool: ClassPool, number: int) -> str:
    """The examples of a class, for messages: those for a support and those for queries apart."""
    support, query = pool.parts(pool.rows_of(number))
    return str(len(support)) if pool.only_queries is None else f"{len(support)} + {len(query)}"


def _fullest(groups: Array, able: Array) -> Array:
    """The usable classes of the group that has most of them."""
    group, size = np.unique(groups[able], return_counts=True)
    if not len(group):
        return np.array([], dtype=np.int64)
    return np.flatnonzero(able & (groups == group[size.argmax()]))


def _bounds(value: Range) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _draw(rng: np.random.Generator, value: Range) -> int:
    low, high = _bounds(value)
    return low if low == high else int(rng.integers(low, high + 1))
