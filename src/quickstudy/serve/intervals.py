"""The intervals of answers, in the user's units."""

from __future__ import annotations

from typing import Any, Final

import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.learner import Learner
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model

Array = NDArray[Any]
CENTRAL: Final = 1.2815515655446004
"""Standard deviations within which 80 % of a normal distribution lie."""


def gives_intervals(model: Model) -> bool:
    """Whether answers have intervals: those of a regression whose learner gives a distribution."""
    return model.kind == "regression" and model.learner.overrides(Learner.distribution)


def interval_of(adapted: Adapted, x: Tensor) -> tuple[Array, Array]:
    """The central 80 % interval of encoded inputs `(n, *x_shape)`: its ends `(n, outputs)`."""
    with torch.no_grad():
        distribution = adapted.model.learner.distribution(adapted.state, x)
    assert distribution is not None
    mean, std = distribution
    middle, half = adapted.scale.restore(mean, x), CENTRAL * adapted.scale.deviations(std, x)
    return (middle - half).numpy(), (middle + half).numpy()
