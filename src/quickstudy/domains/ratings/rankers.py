"""Opponents that only rank: popularity, neighbours and a linear autoencoder of items."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor

from quickstudy.domains.ratings.opponents import Known, Opponent, places_in
from quickstudy.task import Task

__all__ = ["EASE", "ItemCosine", "Popularity", "Ranker", "cosines", "ease_weights"]

EASE_PENALTIES: Final = (30.0, 100.0, 300.0)


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


class ItemCosine(Ranker):
    """The items that people have together with the user's: neighbours of items.

    score of i = sum over j of the support of cosine_ij,  cosine_ij = n_ij / (sqrt(n_i n_j) + shift)

    with n_i the number of people who have item i, and n_ij that of those who have both.

    Source: Sarwar, Karypis, Konstan, Riedl: Item-based Collaborative Filtering Recommendation
    Algorithms, WWW 2001, section 3.1.1.
    """

    def __init__(self, std: float, similarity: Tensor) -> None:
        super().__init__(std)
        self.similarity = similarity

    def score(self, state: Known, x: Tensor) -> Tensor:
        w = self.similarity[state.place[:, None], places_in(x)]
        return state.weight @ w.double()


def ease_weights(together: Tensor, penalty: float) -> Tensor:
    """The weights of EASE.

    Args:
        together: How many people have both of each two items `(items, items)`, in float64.
        penalty: Of the ridge.
    """
    inverse = torch.linalg.inv(together + penalty * torch.eye(len(together)).to(together))
    b = -inverse / inverse.diagonal()
    return b.fill_diagonal_(0.0).float()


def cosines(together: Tensor, shift: float) -> Tensor:
    """The cosines of all pairs of items, 0 of an item with itself.

    Args:
        together: How many people have both of each two items `(items, items)`.
        shift: What is added to the denominator, so that few people in common count less.
    """
    root = together.diagonal().sqrt()
    cosine = together / (root[:, None] * root + shift).clamp(min=1e-12)
    return cosine.fill_diagonal_(0.0).float()
