"""The simple opponents of a recommendation for a new user: ordinary learners.

All are fitted on meta-train users alone; what each chooses, it chooses by the headline metric on
meta-valid users, popularity and EASE by the recall.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.domains.ratings.opponents import Known, Opponent, places_in
from quickstudy.domains.ratings.past import Interactions, Past
from quickstudy.domains.ratings.rankers import (
    EASE,
    EASE_PENALTIES,
    ItemCosine,
    Popularity,
    Ranker,
    cosines,
    ease_weights,
)
from quickstudy.inputs import Items
from quickstudy.learner import AnyLearner
from quickstudy.metrics import Metric
from quickstudy.task import Task
from quickstudy.tasks.source import Split

__all__ = [
    "ItemKNN",
    "ItemMean",
    "MatrixFactorisation",
    "Opponents",
    "RankingOpponents",
    "UserItemBias",
]

Floats = NDArray[np.float64]

N_JUDGES: Final = 400
"""Meta-valid tasks that choose; meta-train tasks that give scores the unit of ratings."""
RANKS: Final = (8, 16)
WEIGHTS: Final = (5.0, 20.0)
SWEEPS: Final = 8
SHIFTS: Final = (0.0, 10.0, 50.0)
LARGEST: Final = 12_000
"""Items up to which opponents with a number for each pair of items are there."""


class Judges(Protocol):
    """The tasks by which an opponent is chosen: `UserTasks`."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, the headline first; of ratings the recall last."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are tasks of."""

    def n_tasks(self, split: Split) -> int:
        """Number of the tasks of a split."""

    def task(self, split: Split, index: int) -> Task:
        """Task number `index` of a split."""

    def without_candidates(self, split: Split, index: int) -> Task:
        """The same task, without the items that the user did not rate."""


class ItemMean(Opponent):
    """The base of the item, for everybody.

    Example:
        >>> ItemMean(1.0).respond(tasks.task("test", 0)).abs().max().item()
        0.0
    """

    def residual(self, state: Known, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), dtype=torch.float64)


class UserItemBias(Opponent):
    """The base of the item and the user's own shrunk bias.

    b = sum of e_i / (n + penalty)
    """

    def __init__(self, std: float, penalty: float) -> None:
        super().__init__(std)
        self.penalty = penalty

    def residual(self, state: Known, x: Tensor) -> Tensor:
        return _bias(state, self.penalty).expand(len(x))


class ItemKNN(Opponent):
    """The mean of the user's residuals on similar items: neighbours of items.

        residual of i = b + sum over j of w_ij (e_j - b) / (sum of w_ij + penalty)
        w_ij = max(cosine of the residuals of i and j over users, 0), shrunk by the users in common

    Args:
        std: Standard deviation of the targets.
        similarity: The w of all items.
        penalty: By which few neighbours are shrunk.

    Source: Koren: Factor in the Neighbors, TKDD 2010, section 2.2.
    """

    def __init__(self, std: float, similarity: Tensor, penalty: float) -> None:
        super().__init__(std)
        self.similarity, self.penalty = similarity, penalty

    def residual(self, state: Known, x: Tensor) -> Tensor:
        b = _bias(state, 3.0)
        w = self.similarity[places_in(x)[:, None], state.place].double() * state.weight
        return b + w @ ((state.residual - b) * state.weight) / (w.sum(dim=1) + self.penalty)


class MatrixFactorisation(Opponent):
    """Factors of the items; those of a new user by ridge regression (fold-in).

        p = argmin sum of (e_i - z_i p)^2 + penalty ||p||^2,  residual of i = z_i p

    with z_i the factors of item i in the units of the users' standard deviations, and a constant.

    Args:
        std: Standard deviation of the targets.
        factors: The z of all items `(items, rank + 1)`.
        penalty: Of the ridge.

    Source: Koren, Bell, Volinsky: Matrix Factorization Techniques for Recommender Systems, IEEE
    Computer 2009, by alternating least squares.
    """

    def __init__(self, std: float, factors: Tensor, penalty: float) -> None:
        super().__init__(std)
        self.factors, self.penalty = factors, penalty

    def residual(self, state: Known, x: Tensor) -> Tensor:
        z = self.factors[state.place] * state.weight[:, None]
        shift = self.penalty * torch.eye(z.shape[1], dtype=z.dtype)
        return self.factors[places_in(x)] @ torch.linalg.solve(
            z.T @ z + shift, z.T @ state.residual
        )


class Opponents:
    """Fits the opponents on the ratings of meta-train users, each once.

    Args:
        past: The ratings.
        items: The catalogue.
    """

    def __init__(self, past: Past, items: Items) -> None:
        self.past, self.items, self.std = past, items, items.std
        self._factors: dict[tuple[int, float], Tensor] = {}

    def chosen(self, tasks: Judges) -> dict[str, AnyLearner]:
        """The opponents by name, each as it does best on the meta-valid tasks."""
        split: Split = "valid" if "valid" in tasks.splits else "train"
        n = min(tasks.n_tasks(split), N_JUDGES)
        judges = [tasks.without_candidates(split, index) for index in range(n)]
        ranked = [tasks.task(split, index) for index in range(n)]
        headline, recall = tasks.metrics[0], tasks.metrics[-1]
        shown = min(tasks.n_tasks("train"), N_JUDGES)
        train = [tasks.without_candidates("train", index) for index in range(shown)]

        pairs = self.past.n_items <= LARGEST
        rankers: dict[str, list[Ranker]] = {
            **({"EASE": [EASE(self.std, weights) for weights in self.ease]} if pairs else {}),
            "Popularity": [Popularity(self.std, torch.from_numpy(self.past.counts))],
        }
        for each in rankers.values():
            for ranker in each:
                ranker.fit_line(train)
        factors = [(rank, weight) for rank in RANKS for weight in WEIGHTS]
        return {
            "MatrixFactorisation": best(
                headline,
                judges,
                (
                    MatrixFactorisation(self.std, self.factors(*each), penalty)
                    for each in factors
                    for penalty in (0.3, 0.45, 0.6, 0.9, 1.3)
                ),
            ),
            **({"ItemKNN": best(headline, judges, self._neighbours())} if pairs else {}),
            "UserItemBias": best(
                headline, judges, (UserItemBias(self.std, n) for n in (1.0, 3.0, 5.0, 10.0))
            ),
            **{name: best(recall, ranked, each) for name, each in rankers.items()},
            "ItemMean": ItemMean(self.std),
        }

    def _neighbours(self) -> Iterable[ItemKNN]:
        return (ItemKNN(self.std, self.similarity, penalty) for penalty in (0.1, 0.3, 1.0))

    @cached_property
    def _bias(self) -> Floats:
        """The shrunk bias of each user."""
        e = self.past.rating - self.past.base[self.past.item]
        n = len(self.past.users)
        user = self.past.user
        bias: Floats = np.bincount(user, e, n) / (np.bincount(user, minlength=n) + 3.0)
        return bias

    @cached_property
    def _residuals(self) -> Floats:
        """Each rating beside the base of its item and the bias of its user."""
        past = self.past
        left: Floats = past.rating - past.base[past.item] - self._bias[past.user]
        return left

    @cached_property
    def similarity(self) -> Tensor:
        """The cosines of all pairs of items over users, shrunk; negative ones are 0."""
        e, rated = (self.past.matrix(v) for v in (self._residuals, np.ones(len(self._residuals))))
        products, common = (e.T @ e).toarray(), (rated.T @ rated).toarray()
        norm = np.sqrt(np.maximum(products.diagonal(), 1e-6))
        cosine = products / np.outer(norm, norm) * (common / (common + 20.0))
        return torch.from_numpy(np.maximum(cosine, 0).astype(np.float32))

    @cached_property
    def ease(self) -> list[Tensor]:
        """The weights of EASE, for each of some penalties."""
        together = torch.from_numpy(self.past.together)
        return [ease_weights(together, penalty) for penalty in EASE_PENALTIES]

    def factors(self, rank: int, weight: float) -> Tensor:
        """Factors of the items `(items, rank + 1)`, the last a constant for the user's bias.

        Args:
            rank: How many.
            weight: Penalty of the factors in alternating least squares.
        """
        if (rank, weight) not in self._factors:
            e = self.past.matrix(self._residuals)
            by_user, by_item = _rows_of(e), _rows_of(e.T.tocsr())
            q: Floats = np.random.default_rng(0).normal(0, 0.1, (len(by_item), rank))
            p: Floats = np.zeros((len(by_user), rank))
            for _ in range(SWEEPS):
                p = _solved(by_user, q, weight)
                q = _solved(by_item, p, weight)
            # A user's factors have the prior N(0, I).
            variance, axes = np.linalg.eigh(p.T @ p / len(p))
            z = q @ axes * np.sqrt(np.maximum(variance, 0))
            constant = np.full((len(z), 1), np.sqrt(np.square(self._bias).mean()))
            self._factors[rank, weight] = torch.from_numpy(np.hstack([z, constant]))
        return self._factors[rank, weight]


class RankingOpponents:
    """Fits the opponents of interactions on those of meta-train users, each once.

    Args:
        past: The interactions.
        items: The catalogue.
    """

    def __init__(self, past: Interactions, items: Items) -> None:
        self.past, self.std = past, items.std

    def chosen(self, tasks: Judges) -> dict[str, AnyLearner]:
        """The opponents by name, each as it does best on the meta-valid tasks."""
        split: Split = "valid" if "valid" in tasks.splits else "train"
        n = min(tasks.n_tasks(split), N_JUDGES)
        judges = [tasks.task(split, index) for index in range(n)]
        popularity = Popularity(self.std, torch.from_numpy(self.past.counts))
        if self.past.n_items > LARGEST:
            return {"Popularity": popularity}
        headline = tasks.metrics[0]
        return {
            "EASE": best(headline, judges, self._autoencoders),
            "ItemKNN": best(headline, judges, self._neighbours),
            "Popularity": popularity,
        }

    @cached_property
    def _autoencoders(self) -> list[EASE]:
        together = torch.from_numpy(self.past.together)
        return [EASE(self.std, ease_weights(together, penalty)) for penalty in EASE_PENALTIES]

    @cached_property
    def _neighbours(self) -> list[ItemCosine]:
        together = torch.from_numpy(self.past.together)
        return [ItemCosine(self.std, cosines(together, shift)) for shift in SHIFTS]


def best(metric: Metric, tasks: Sequence[Task], candidates: Iterable[Opponent]) -> AnyLearner:
    """The candidate whose mean on some tasks is best."""

    def loss(learner: Opponent) -> float:
        values = [metric.per_task(learner.respond(task), task.query) for task in tasks]
        return -metric.sign * float(np.mean(values))

    return min(candidates, key=loss)


Rows = list[tuple[NDArray[np.int64], Floats]]


def _rows_of(matrix: object) -> Rows:
    """The columns and values of each row of a sparse matrix."""
    starts, columns, values = matrix.indptr, matrix.indices, matrix.data  # type: ignore[attr-defined]
    ends = pairwise(starts)
    return [(columns[a:b], values[a:b]) for a, b in ends]


def _solved(rows: Rows, factors: Floats, weight: float) -> Floats:
    """The ridge regression of each row's values on the factors of its columns."""
    shift = weight * np.eye(factors.shape[1])
    grams = np.empty((len(rows), *shift.shape))
    sums = np.empty((len(rows), factors.shape[1]))
    for number, (columns, values) in enumerate(rows):
        z = factors[columns]
        grams[number], sums[number] = z.T @ z + shift, z.T @ values
    return np.asarray(np.linalg.solve(grams, sums[..., None])[..., 0], dtype=np.float64)


def _bias(state: Known, penalty: float) -> Tensor:
    return state.residual.sum() / (state.weight.sum() + penalty)
