"""How a query compares with the support: nearest examples, exact contributions, attention."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from quickstudy.learner import AnyLearner, Contributions
from quickstudy.targets import IDENTITY, OffsetScale, Scale
from quickstudy.task import Examples


class Neighbour(NamedTuple):
    """A support example and how near the query is.

    Attributes:
        id: Row of the support.
        distance: Euclidean distance.
        similarity: 1 for the same place, 1/2 as far apart as support examples typically are.

    Example:
        >>> first = nearest(learner, support, state, support.x[3]).examples[0]
        >>> first.id
        3
    """

    id: int
    distance: float
    similarity: float


class Neighbours(NamedTuple):
    """All support examples, nearest first.

    Attributes:
        space: `"features"` where the learner has an embedding, else `"inputs"`.
        examples: The examples.

    Example:
        >>> neighbours = nearest(learner, support, state, query.x[0])
        >>> neighbours.space, len(neighbours.examples)
        ('features', 10)
    """

    space: Literal["features", "inputs"]
    examples: list[Neighbour]


@torch.no_grad()
def nearest(learner: AnyLearner, support: Examples, state: object, x: Tensor) -> Neighbours:
    """The support examples by their distance to a query, in the learner's embedding.

    similarity = 1 / (1 + distance / median distance of two support examples)

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        state: What the learner made of the support.
        x: One query `(*x)`.
    """
    z, z_support = learner.features(state, x[None]), learner.features(state, support.x)
    space: Literal["features", "inputs"] = "features"
    if z is None or z_support is None:
        space, z, z_support = "inputs", x[None].flatten(1), support.x.flatten(1)
    z, z_support = z.double(), z_support.double()
    distances = (z_support - z).norm(dim=1)
    between = torch.pdist(z_support)
    median_distance = float(between.median()) if len(between) else 1.0
    order = torch.argsort(distances, stable=True).tolist()
    pairs = [(i, float(distances[i])) for i in order]
    least = torch.finfo(torch.float64).tiny
    return Neighbours(
        space, [Neighbour(i, d, 1 / (1 + d / max(median_distance, least))) for i, d in pairs]
    )


@torch.no_grad()
def contributions(
    learner: AnyLearner,
    support: Examples,
    state: object,
    x: Tensor,
    targets: Scale = IDENTITY,
) -> Contributions | None:
    """The part of each support example in each logit, exactly; None where there is no such sum.

    Unlike influence, this takes the embedding and the solution as they are, and says what they are
    made of.

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        state: What the learner made of the support.
        x: One query `(*x)`.
        targets: The scale of the targets of a regression. Each example has an equal share of their
            mean, so that the parts sum to the prediction in the user's units. Ratings are beside
            the mean of each item, which no rating of the user makes: the parts are then `added`.

    Shapes:
        parts (support, outputs)
    """
    result = learner.contributions(state, support, x[None])
    if result is None:
        return None
    parts = result.parts[0]
    queries = x.expand(len(parts), *x.shape)
    if isinstance(targets, OffsetScale):
        parts, _ = added(learner, support, result.parts, x[None])
        return result._replace(parts=targets.differences(parts[0], queries))
    share = targets.restore(torch.zeros_like(parts), queries) / len(parts)
    return result._replace(parts=targets.differences(parts, queries) + share)


@torch.no_grad()
def added(
    learner: AnyLearner, support: Examples, parts: Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    """The share of each support example in values, and the values before there is any.

        prediction = start + sum of what is added

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        parts: The learner's contributions to x.
        x: Queries `(query, *x)`.

    Shapes:
        parts and added (query, support, outputs), start (query, outputs)
    """
    blank = learner.adapt(support._replace(weight=0 * support.weight))
    start = learner.predict(blank, x).nan_to_num(0.0, 0.0, 0.0)
    # Contributions give each example an equal part of the start.
    return parts - start[:, None] / len(support.x), start


@torch.no_grad()
def attention(
    learner: AnyLearner, support: Examples, state: object, x: Tensor, target: int
) -> Tensor | None:
    """How a query attends to the support; None for a learner that does not attend.

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        state: What the learner made of the support.
        x: One query `(*x)`.
        target: Class whose attention is meant, where a learner attends for each class apart.

    Shapes:
        (heads, support), in which each row sums to 1
    """
    attention_weights = learner.support_attention(state, support, x[None])
    return (
        None
        if attention_weights is None
        else attention_weights[0, target if attention_weights.shape[1] > 1 else 0]
    )
