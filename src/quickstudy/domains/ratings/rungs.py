"""The simple opponents of a recommendation for a new user: ordinary learners.

All are fitted on meta-train users alone; what each chooses, it chooses by the headline metric on
meta-valid users, popularity and EASE by the recall.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.domains.ratings.past import Past
from quickstudy.inputs import Items
from quickstudy.learner import AnyLearner, Learner, Tags
from quickstudy.metrics import Metric
from quickstudy.task import Examples, Task
from quickstudy.tasks.source import Split

__all__ = [
    "EASE",
    "ItemKNN",
    "ItemMean",
    "MatrixFactorisation",
    "Opponents",
    "Popularity",
    "UserItemBias",
]

Floats = NDArray[np.float64]

N_JUDGES: Final = 400
"""Meta-valid tasks that choose; meta-train tasks that give scores the unit of ratings."""
RANKS: Final = (8, 16)
WEIGHTS: Final = (5.0, 20.0)
SWEEPS: Final = 8


class Known(NamedTuple):
    """The ratings of the support beside the base of their items.

    Shapes:
        place (support,), of the items in the catalogue; residual (support,), in the user's units;
        weight (support,)
    """

    place: Tensor
    residual: Tensor
    weight: Tensor


class Judges(Protocol):
    """The tasks by which an opponent is chosen: `RatingTasks`."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics, the headline first and the recall last."""

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are tasks of."""

    def n_tasks(self, split: Split) -> int:
        """Number of the tasks of a split."""

    def task(self, split: Split, index: int) -> Task:
        """Task number `index` of a split."""

    def without_candidates(self, split: Split, index: int) -> Task:
        """The same task, without the items that the user did not rate."""


class Opponent(Learner[Known]):
    """The base of the opponents: they know the support beside the base of its items.

    adapt:    e_i = r_i - base_i
    predict:  (residual of the query's item given the e_i) / std
    """

    tags = Tags(vmappable=False, meta_trained=False)
    kind = "regression"

    def __init__(self, std: float) -> None:
        super().__init__()
        self.std = std

    def adapt(self, support: Examples) -> Known:
        residual = support.y[:, 0].double() * self.std
        return Known(places_in(support.x), residual * support.weight, support.weight.double())

    def predict(self, state: Known, x: Tensor) -> Tensor:
        return (self.residual(state, x) / self.std).to(x)[:, None]

    @abstractmethod
    def residual(self, state: Known, x: Tensor) -> Tensor:
        """The rating of each query's item beside its base `(query,)`."""


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


class Ranker(Opponent):
    """An opponent that only ranks: its scores as ratings by one straight line for all users.

    rating = a + b score,  b > 0

    Args:
        std: Standard deviation of the targets.
        line: a and b.
    """

    def __init__(self, std: float, line: tuple[float, float] = (0.0, 1.0)) -> None:
        super().__init__(std)
        self.line = line

    @abstractmethod
    def score(self, state: Known, x: Tensor) -> Tensor:
        """The score of each query's item `(query,)`."""

    def residual(self, state: Known, x: Tensor) -> Tensor:
        a, b = self.line
        return a + b * self.score(state, x) - x[:, -2].double()

    def fit_line(self, tasks: Iterable[Task]) -> None:
        """Takes the line that gives the ratings of these tasks best."""
        scores, ratings = [], []
        for support, query in tasks:
            scores.append(self.score(self.adapt(support), query.x))
            ratings.append(query.y[:, 0].double() * self.std + query.x[:, -2].double())
        s, r = torch.cat(scores), torch.cat(ratings)
        spread = float(s.var(correction=0))
        slope = float(((s - s.mean()) * (r - r.mean())).mean()) / spread if spread else 0.0
        slope = max(slope, 1e-6 / max(spread, 1e-12) ** 0.5)
        self.line = (float(r.mean()) - slope * float(s.mean()), slope)


class Popularity(Ranker):
    """The number of ratings of the item, the same list for everybody.

    score = log(1 + count)
    """

    def __init__(self, std: float, counts: Tensor) -> None:
        super().__init__(std)
        self.logs = torch.log1p(counts.double())

    def score(self, state: Known, x: Tensor) -> Tensor:
        return self.logs[places_in(x)]


class EASE(Ranker):
    """A linear autoencoder of which items people rate together, in closed form.

        B = I - P / diag(P),  P = (X^T X + penalty I)^{-1},  scores = x B

    with X_ui = 1 where user u rated item i.

    Source: Steck: Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, eq. 8.
    """

    def __init__(self, std: float, weights: Tensor) -> None:
        super().__init__(std)
        self.weights = weights

    def score(self, state: Known, x: Tensor) -> Tensor:
        w = self.weights[state.place[:, None], places_in(x)]
        return state.weight @ w.double()


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

        def best(
            metric: Metric, tasks: Sequence[Task], candidates: Iterable[Opponent]
        ) -> AnyLearner:
            def loss(learner: Opponent) -> float:
                values = [metric.per_task(learner.respond(task), task.query) for task in tasks]
                return -metric.sign * float(np.mean(values))

            return min(candidates, key=loss)

        rankers: dict[str, list[Ranker]] = {
            "EASE": [EASE(self.std, weights) for weights in self.ease],
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
            "ItemKNN": best(
                headline,
                judges,
                (ItemKNN(self.std, self.similarity, penalty) for penalty in (0.1, 0.3, 1.0)),
            ),
            "UserItemBias": best(
                headline, judges, (UserItemBias(self.std, n) for n in (1.0, 3.0, 5.0, 10.0))
            ),
            **{name: best(recall, ranked, each) for name, each in rankers.items()},
            "ItemMean": ItemMean(self.std),
        }

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
        rated = self.past.matrix(np.ones(len(self.past.rating)))
        gram = torch.from_numpy((rated.T @ rated).toarray())
        weights = []
        for penalty in (30.0, 100.0, 300.0):
            inverse = torch.linalg.inv(gram + penalty * torch.eye(len(gram), dtype=gram.dtype))
            b = -inverse / inverse.diagonal()
            weights.append(b.fill_diagonal_(0.0).float())
        return weights

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


def places_in(x: Tensor) -> Tensor:
    """The places in the catalogue of encoded items; of padding the first."""
    return (x[:, -1].round().long() - 1).clamp(min=0)


def _bias(state: Known, penalty: float) -> Tensor:
    return state.residual.sum() / (state.weight.sum() + penalty)
