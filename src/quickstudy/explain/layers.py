"""The change of each layer of a network by adapting."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner, locked
from quickstudy.nets.watch import watching
from quickstudy.task import Examples


class LayerChange(NamedTuple):
    """One layer before and after adapting.

    Attributes:
        name: Where the layer stands in the network.
        kind: Its class, such as `Conv2d`.
        change: ||phi - theta|| / ||theta|| of its parameters; None where theta is zero.
        cka: Linear CKA of its outputs before and after, in [0, 1]; None where all inputs give the
            same, or something else than one tensor.

    Example:
        >>> learner = qs.build("MAML", tasks)
        >>> changes = layer_changes(learner, support, learner.adapt(support))
        >>> changes[0].kind
        'Linear'
    """

    name: str
    kind: str
    change: float | None
    cka: float | None


@torch.no_grad()
def layer_changes(
    learner: AnyLearner, support: Examples, state: object, x: Tensor | None = None
) -> list[LayerChange]:
    """How far adapting moved each layer of a gradient-based learner, first layer first.

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        state: What the learner made of the support.
        x: Inputs on which the outputs are compared; the support where omitted. CKA of few inputs
            and many outputs is close to 1 whatever happens: give many.

    Raises:
        UserError: The learner is not gradient-based.

    Source: Raghu, Raghu, Bengio, Vinyals: Rapid Learning or Feature Reuse?, ICLR 2020, section 3;
    Kornblith, Norouzi, Lee, Hinton: Similarity of Neural Network Representations Revisited, ICML
    2019, eq. 3.
    """
    states, phi = learner.trajectory(support, 0), learner.adapted_parameters(state)
    if states is None or phi is None:
        raise UserError(
            "layer_changes: needs a learner whose parameters adapt by gradient descent, as MAML's "
            f"do; received a {type(learner).__name__}; look at nearest or contributions instead."
        )
    x, start = support.x if x is None else x, next(states)
    outputs: list[dict[str, Any]] = []
    for current in (start, state):
        with locked(learner), watching(learner) as seen:
            learner.predict(current, x)
        outputs.append({name: passage.output for name, passage in seen.items()})
    fixed = dict(learner.named_parameters())
    theta, phi = fixed | (learner.adapted_parameters(start) or {}), fixed | phi
    changes = []
    for path in outputs[1]:
        name = path.removeprefix("net").removeprefix(".")
        names = [p for p in theta if p.rpartition(".")[0] == path]
        squared_change = sum(float((phi[p] - theta[p]).double().square().sum()) for p in names)
        size = sum(float(theta[p].double().square().sum()) for p in names)
        change = (squared_change / size) ** 0.5 if size else None
        kind = type(learner.get_submodule(path)).__name__
        a, b = (layer_outputs[path] for layer_outputs in outputs)
        cka = linear_cka(a, b) if isinstance(a, Tensor) else None
        changes.append(LayerChange(name, kind, change, cka))
    return changes


def linear_cka(a: Tensor, b: Tensor) -> float | None:
    """Linear CKA of two descriptions of the same inputs; None where one of them is constant.

    ||A^T B||^2 / (||A^T A|| ||B^T B||), with centred columns and Frobenius norms

    Shapes:
        a (inputs, *m), b (inputs, *n)
    """
    kernels = []
    for t in (a, b):
        rows = t.double().flatten(1)
        rows = rows - rows.mean(dim=0)
        kernels.append(rows @ rows.T)  # ||A^T B||^2 is the product of the kernels.
    before, after = kernels
    lengths = float(before.norm() * after.norm())
    return float((before * after).sum()) / lengths if lengths else None
