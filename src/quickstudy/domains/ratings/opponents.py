"""The base of the simple opponents of a recommendation for a new user."""

from __future__ import annotations

from abc import abstractmethod
from typing import NamedTuple

from torch import Tensor

from quickstudy.learner import Learner, Tags
from quickstudy.task import Examples


class Known(NamedTuple):
    """The ratings of the support beside the base of their items.

    Shapes:
        place (support,), of the items in the catalogue; residual (support,), in the user's units;
        weight (support,)
    """

    place: Tensor
    residual: Tensor
    weight: Tensor


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


def places_in(x: Tensor) -> Tensor:
    """The places in the catalogue of encoded items; of padding the first."""
    return (x[:, -1].round().long() - 1).clamp(min=0)
