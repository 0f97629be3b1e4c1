"""The intervals of answers, in the user's units."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.learner import Learner
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model

Array = NDArray[Any]


def gives_intervals(model: Model) -> bool:
    """Whether answers have intervals: those of a regression whose learner gives a distribution."""
    return model.kind == "regression" and model.learner.overrides(Learner.distribution)


def interval_of(adapted: Adapted, x: Tensor, coverage: float = 0.8) -> tuple[Array, Array]:
    """The central interval of encoded inputs `(n, *x_shape)`: its ends `(n, outputs)`.

    Args:
        adapted: A model of a regression.
        x: Encoded inputs.
        coverage: Part of the targets that the interval of each is to hold.

    Raises:
        UserError: The coverage is not between 0 and 1, or the learner gives no distribution.
    """
    model = adapted.model
    if not 0 < coverage < 1 or not gives_intervals(model):
        received = f"a coverage of {coverage:g}" if gives_intervals(model) else "none"
        raise UserError(
            "interval: needs a learner that gives a distribution, and a coverage between 0 and 1; "
            f"received {received} of a {type(model.learner).__name__}; choose another."
        )
    with torch.no_grad():
        distribution = model.learner.distribution(adapted.state, x)
    assert distribution is not None
    mean, std = distribution
    deviations = NormalDist().inv_cdf((1 + coverage) / 2) * model.temperature
    middle, half = adapted.scale.restore(mean, x), deviations * adapted.scale.deviations(std, x)
    return (middle - half).cpu().numpy(), (middle + half).cpu().numpy()
