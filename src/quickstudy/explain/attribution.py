"""Which parts of an input an adapted model goes by: gradients along a path, and covering."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner

Method = Literal["integrated_gradients", "occlusion"]
TOGETHER = 64
"""Covered inputs that are asked about at a time."""
HALVED = 16
"""Pieces of the way that are halved at a time."""


class Attribution(NamedTuple):
    """Attributions: the share of each number of an input, compared with a blank input.

    Attributes:
        method: How it was found.
        values: For each number of the input `(*x)`.
        total: What the input changes: log p(target | x) - log p(target | blank) in nats, in
            regression the difference of the values.
        delta: Sum of the values minus the total; 0 for exact integrated gradients, and no error of
            occlusion, whose values need not add up.

    Example:
        >>> attributed = attribute(learner, state, query.x[0], target=0, method="occlusion")
        >>> attributed.values.shape
        torch.Size([64])
    """

    method: Method
    values: Tensor
    total: float
    delta: float


def attribute(
    learner: AnyLearner,
    state: object,
    x: Tensor,
    target: int,
    method: Method = "integrated_gradients",
    temperature: float = 1.0,
    tolerance: float = 1e-3,
    most_steps: int = 4096,
    window: int | None = None,
    unit: float = 1.0,
) -> Attribution:
    """Which parts of a query speak for a class, through the adapted model.

    The blank input is zero everywhere: blank paper for pictures with ink, black for others, the
    means of meta-training for the columns of a table.

    integrated_gradients: (x - blank) * mean of grad log p(target) on the way from blank to x. The
        way is cut into pieces, and the pieces whose values add up worst are halved until the sum is
        right: a norm of each example alone makes a leap close to the blank.
    occlusion: the mean change when a window that covers the place is blanked.

    Args:
        learner: In eval mode.
        state: What the learner made of the support.
        x: One query `(*x)`.
        target: Class, or output of a regression.
        method: How.
        temperature: What logits are divided by.
        tolerance: Largest `delta` of integrated gradients, in nats or the learner's units.
        most_steps: Gradients after which halving stops, whatever the `delta`.
        window: Side of the window of occlusion; a seventh of a picture, or one number of a row,
            where omitted.
        unit: What an output of a regression is multiplied by: the standard deviation of its target.

    Raises:
        UserError: captum is not installed; an unknown method; or a transductive learner, for which
            the inputs on the way would answer for each other.

    Source: Sundararajan, Taly, Yan: Axiomatic Attribution for Deep Networks, ICML 2017; Zeiler,
    Fergus: Visualizing and Understanding Convolutional Networks, ECCV 2014, section 4.2.
    """
    if method not in get_args(Method):
        raise UserError(
            f"attribute: method must be one of {', '.join(get_args(Method))}; received {method!r}; "
            "choose one of these."
        )
    if learner.tags.transductive:
        raise UserError(
            "attribute: many variations of an input are asked about at once, each for itself; "
            f"received a {type(learner).__name__} that is transductive, whose queries answer for "
            "each other; meta-train with another norm than batch."
        )
    try:
        from captum.attr import IntegratedGradients, Occlusion
    except ImportError as error:
        raise UserError(
            f"attribute: needs captum; received none ({error}); pip install 'quickstudy[explain]'."
        ) from error

    def explained(inputs: Tensor) -> Tensor:
        outputs = learner.predict(state, inputs)
        if learner.kind == "classification":
            outputs = torch.log_softmax(outputs / temperature, dim=1)
        return outputs[:, target]

    query, blank = x[None], torch.zeros_like(x)[None]
    with torch.no_grad():
        total = float(explained(query) - explained(blank))
    if method == "occlusion":
        picture = x.ndim == 3
        side = window or (max(1, x.shape[-1] // 7) if picture else 1)
        shape = (x.shape[0], side, side) if picture else (*x.shape[:-1], side)
        stride = max(1, side // 2)
        with torch.no_grad():
            values = Occlusion(explained).attribute(
                query,
                shape,
                strides=(*shape[:-2], stride, stride) if picture else (*shape[:-1], stride),
                baselines=blank,
                perturbations_per_eval=TOGETHER,
            )
        delta = float(values.sum()) - total
        return Attribution(method, values[0] * unit, total * unit, delta * unit)
    values, delta = _along_the_way(IntegratedGradients(explained), x, tolerance, most_steps)
    return Attribution(method, values * unit, total * unit, delta * unit)


def _along_the_way(
    method: Any, x: Tensor, tolerance: float, most_steps: int
) -> tuple[Tensor, float]:
    """Integrated gradients from zero to x, and the error of their sum."""

    def pieces(edges: Tensor) -> tuple[Tensor, Tensor]:
        """Of the ways between pairs of shares of x."""
        start, end = (edges[:, i].view(-1, *(1,) * x.ndim) * x for i in (0, 1))
        values, delta = method.attribute(
            end, start, n_steps=2, method="riemann_middle", return_convergence_delta=True
        )
        return values.detach(), delta.detach()

    shares = torch.linspace(0, 1, 2 * HALVED + 1, dtype=x.dtype, device=x.device)
    edges = torch.stack([shares[:-1], shares[1:]], dim=1)
    values, delta = pieces(edges)
    steps = 2 * len(edges)
    while abs(float(delta.sum())) >= tolerance and steps < most_steps:
        order = delta.abs().argsort()
        fine, coarse = order[:-HALVED], order[-HALVED:]
        (start, end), middle = edges[coarse].T, edges[coarse].mean(dim=1)
        halves = torch.stack([torch.cat([start, middle]), torch.cat([middle, end])], dim=1)
        new_values, new_delta = pieces(halves)
        edges, values, delta = (
            torch.cat([old[fine], new])
            for old, new in ((edges, halves), (values, new_values), (delta, new_delta))
        )
        steps += 2 * len(halves)
    return values.sum(dim=0), float(delta.sum())
