"""The base of learners that see inputs through one encoder alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, final

import torch
from torch import Tensor, nn

from quickstudy.learner import Learner
from quickstudy.nets import norm
from quickstudy.nets.head import check_features
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, Kind, Task

__all__ = ["EmbeddingLearner", "EmbeddingState", "Statistics"]


class EmbeddingState(Protocol):
    """A state that keeps the statistics that the encoder's norms took from the support.

    Example:
        >>> isinstance(learner, EmbeddingLearner), list(state.statistics)  # of an MLP without norms
        (True, [])
    """

    @property
    def statistics(self) -> Statistics: ...


State = TypeVar("State", bound=EmbeddingState)


class Functions(NamedTuple):
    """The two functions of a learner on inputs that are seen once, and these as it takes them.

    Attributes:
        x: Embeddings, or the inputs where embeddings depend on other examples or there are none.
        adapt, predict: Of what is in `x`.
    """

    x: Tensor
    adapt: Callable[[Examples], Any]
    predict: Callable[[Any, Tensor], Tensor]


def seen_once(learner: Learner[Any], x: Tensor) -> Functions:
    """Embeds inputs that many tasks share, where the embedding of one depends on no other."""
    if not isinstance(learner, EmbeddingLearner) or not learner.embeds_alone:
        return Functions(x, learner.adapt, learner.predict)
    z, _ = norm.run(learner.net, None, x)

    def fit(support: Examples) -> Any:
        return learner.fit(support.x, support, {})

    return Functions(z, fit, learner.answer)


class EmbeddingLearner(Learner[State], ABC, Generic[State]):
    """A meta-learner that embeds inputs, and then knows nothing of them but their embeddings.

    adapt:    z_i = f(x_i),  state = fit(z, support, statistics)
    predict:  answer(state, f(x))

    A learner writes `fit` and `answer`, both for one task. Norms of the encoder are taken care of:
    the statistics that those of kind `"support"` took from the support go through the state to the
    queries. So do explanations: neighbours are looked for among the embeddings, and to adapt again
    without some examples embeds nothing a second time.

    Args:
        net: The embedding f, any module from inputs to features.
        kind: What the targets are.
        space: From embeddings to the space in which the learner compares them; none where it
            compares them as they are.

    Shapes:
        z (examples, features)

    Raises:
        UserError: The network gives no row of features for an example.

    Example:
        >>> learner = qs.learners.PrototypicalNetwork(qs.nets.MLP((64,), (8,), "layer"))
        >>> isinstance(learner, qs.EmbeddingLearner)
        True
        >>> learner.embedded(learner.adapt(support), query.x).shape
        torch.Size([10, 8])
    """

    net: nn.Module

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        space: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.net, self.kind, self.space = net, kind, space
        self.tags = replace(self.tags, transductive="batch" in norm.kinds(net))

    @abstractmethod
    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> State:
        """Learns from the embeddings of the support, whose targets and weights are in `support`.

        Args:
            z: Embeddings of the support `(support, features)`.
            support: The support; its inputs are not looked at.
            statistics: What the encoder's norms took from the support, for the state to keep.
        """

    @abstractmethod
    def answer(self, state: State, z: Tensor) -> Tensor:
        """Logits `(query, way)`, or values `(query, outputs)`, for embeddings of queries."""

    @final
    def adapt(self, support: Examples) -> State:
        z, statistics = norm.run(self.net, None, support.x, support.weight)
        check_features(z)
        return self.fit(z, support, statistics)

    @final
    def predict(self, state: State, x: Tensor) -> Tensor:
        return self.answer(state, self.embedded(state, x))

    @final
    def features(self, state: State, x: Tensor) -> Tensor:
        z = self.embedded(state, x)
        return z if self.space is None else self.space(z)

    @final
    def embedded(self, state: State, x: Tensor) -> Tensor:
        """Embeddings `(examples, features)` of inputs, with the statistics of a state."""
        z, _ = norm.run(self.net, None, x, given=state.statistics)
        return z

    @property
    @final
    def embeds_alone(self) -> bool:
        """Whether the embedding of an input depends on no other."""
        return not norm.kinds(self.net) & {"support", "batch"}

    @final
    def embed_together(self, task: Task) -> tuple[Tensor, Tensor]:
        """Embeddings of support and query: of one pass, unless the norm is `"support"`.

        For meta-training, where one pass over both costs less than two.
        """
        support, query = task
        if "support" in norm.kinds(self.net):
            z, statistics = norm.run(self.net, None, support.x, support.weight)
            check_features(z)
            return z, norm.run(self.net, None, query.x, query.weight, statistics)[0]
        x = torch.cat([support.x, query.x])
        z, _ = norm.run(self.net, None, x, torch.cat([support.weight, query.weight]))
        check_features(z)
        return z[: len(support.x)], z[len(support.x) :]

    @final
    def loss_together(self, task: Task) -> Tensor:
        """The query loss after `embed_together`: a `task_loss` for learners that have no other."""
        z, z_query = self.embed_together(task)
        return self.loss(self.answer(self.fit(z, task.support, {}), z_query), task.query)
