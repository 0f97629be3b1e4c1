"""The intervals of a model's answers, in the user's units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.inputs import Items
from quickstudy.inputs.labels import Array
from quickstudy.metrics import CENTRAL
from quickstudy.quantiles import quantiles_of, says_how_sure

if TYPE_CHECKING:
    from quickstudy.models.adapted import Adapted
    from quickstudy.models.model import Model


def gives_intervals(model: Model) -> bool:
    """Whether answers have intervals: those of a regression whose learner gives quantiles.

    Scores of items that people have, rather than rate, are no values.
    """
    return says_how_sure(model.learner) and not _only_ranks(model)


def valued(name: str, model: Model) -> Model:
    """The model, where its answers are values.

    Raises:
        UserError: It is of interactions, whose scores only put items in order.
    """
    if _only_ranks(model):
        raise UserError(
            f"{name}: needs values; received a model of interactions, whose scores only put items "
            "in order; use rank, or train on ratings."
        )
    return model


def _only_ranks(model: Model) -> bool:
    return isinstance(model.preprocess, Items) and not model.preprocess.rated


@torch.no_grad()
def interval_of(adapted: Adapted, x: Tensor, coverage: float = CENTRAL) -> tuple[Array, Array]:
    """The central interval of encoded inputs `(n, *x_shape)`: its ends `(n, outputs)`.

    Raises:
        UserError: The learner gives no quantiles, the model is of interactions, or `coverage` is
            not between 0 and 1.
    """
    model = valued("interval", adapted.model)
    if not gives_intervals(model):
        raise UserError(
            "interval: needs a regression and a learner that says how sure it is; received "
            f"{type(model.learner).__name__} in {model.kind}; train PriorHead or NeuralProcess on "
            "values, or use predict."
        )
    if not 0 < coverage < 1:
        raise UserError(
            f"interval: coverage must be above 0 and below 1; received {coverage}; ask for a share "
            "of the targets, such as 0.8."
        )
    scale, levels = adapted.scale, ((1 - coverage) / 2, (1 + coverage) / 2)
    ends = quantiles_of(model.learner, adapted.state, x, scale, levels, model.temperature)
    # Where the input gives no unit, the answer is the naive one.
    naive = scale.restore(torch.zeros_like(ends[..., 0]), x)
    low, high = (torch.where(scale.no_unit(x), naive, end) for end in ends.unbind(dim=-1))
    return low.cpu().numpy(), high.cpu().numpy()
