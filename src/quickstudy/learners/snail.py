"""SNAIL: a simple neural attentive meta-learner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.learner import Tags
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.nets import width
from quickstudy.nets.causal import CausalAttention, CausalLayer, Memory, temporal_convolutions
from quickstudy.nets.head import check_features
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, Kind, Task, class_present, task_outputs


class SNAILState(NamedTuple):
    """The support in each layer's memory; present (way,), 0 for a class of padding only."""

    memory: dict[str, Memory]
    present: Tensor
    statistics: Statistics


class SNAIL(EmbeddingLearner[SNAILState]):
    """Reads the support as a sequence, and answers a query as the step after it.

    adapt:    u_t = [f(x_t), y_t] goes through the layers, which keep what later steps look back at:
              keys and values of attention, one earlier input of each convolution
    predict:  u = [f(x), 0] goes through the layers after it;  logits(x) = V out + b

    The layers are Attention, Convolutions, Attention, Convolutions, Attention: each sees its own
    step and those before it, and appends what it computes to its input.

    Args:
        net: The embedding f, any module from inputs to features.
        n_out: Largest number of ways, or number of regression outputs.
        kind: What the targets are.
        context: Largest number of support examples. Convolutions have dilations 1, 2, 4, ... up to
            where they reach so far back.
        filters: Columns that each convolution appends.
        keys: Width of the keys of each attention; convolutions stand between one and the next.
        values: Columns that each attention appends.

    Shapes:
        prediction (query, way) or (query, outputs)

    Properties: the order of the support matters; not label-equivariant.

    Differs from the paper: all queries of a task share one reading of the support, where the paper
    has one query a sequence; support and query are embedded in one pass in meta-training, unless
    the norm is `"support"`.

    Raises:
        UserError: Unequal numbers of keys and values; a support longer than the context; or a task
            of more classes than `n_out`.

    Source: Mishra, Rohaninejad, Chen, Abbeel: A Simple Neural Attentive Meta-Learner, ICLR 2018,
    section 3 and appendix A.

    Example:
        >>> learner = SNAIL(qs.nets.MLP((64,)), n_out=2)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(order_matters=True, label_equivariant=False)

    def __init__(
        self,
        net: nn.Module,
        n_out: int,
        kind: Kind = "classification",
        context: int = 25,
        filters: int = 128,
        keys: Sequence[int] = (64, 256, 512),
        values: Sequence[int] = (32, 128, 256),
    ) -> None:
        super().__init__(net, kind)
        if len(keys) != len(values) or not keys or context < 1:
            raise UserError(
                "SNAIL: each attention needs a width of its keys and of its values, and the "
                f"context at least one example; received keys={tuple(keys)}, "
                f"values={tuple(values)} and context={context}; correct them."
            )
        at_least("SNAIL", 1, filters=filters, keys=min(keys), values=min(values))
        self.n_out, self.context = n_out, context
        layers: list[CausalLayer] = []
        n_in = width(net) + n_out
        for n_keys, n_values in zip(keys, values, strict=True):
            if layers:
                layers += temporal_convolutions(n_in, filters, context + 1)
                n_in = layers[-1].n_out
            layers.append(CausalAttention(n_in, n_keys, n_values))
            n_in = layers[-1].n_out
        self.layers = nn.ModuleList(layers)
        self.out = nn.Linear(n_in, n_out)

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> SNAILState:
        _, memory = self._through(*self._sequence(z, support))
        return SNAILState(memory, class_present(support), statistics)

    def answer(self, state: SNAILState, z: Tensor) -> Tensor:
        u = F.pad(z, (0, self.n_out))
        for name, layer in self.layers.named_children():
            assert isinstance(layer, CausalLayer)
            u = layer.follow(u, state.memory[name])
        return task_outputs(self.out(u), state.present, self.kind)

    def support_attention(self, state: SNAILState, support: Examples, x: Tensor) -> Tensor:
        """A head is an attention; what a query attends to in itself is left out."""
        u, heads = F.pad(self.embedded(state, x), (0, self.n_out)), []
        for name, layer in self.layers.named_children():
            assert isinstance(layer, CausalLayer)
            if isinstance(layer, CausalAttention):
                heads.append(layer.shares(u, state.memory[name])[:, :-1])
            u = layer.follow(u, state.memory[name])
        # From the order of `_sequence` back to that of the support.
        back = torch.argsort(torch.argsort(support.weight, stable=True))
        shares = torch.stack(heads, dim=1)[:, None, :, back]
        return shares / shares.sum(dim=3, keepdim=True)

    def task_loss(self, task: Task) -> Tensor:
        z, z_query = self.embed_together(task)
        u, real = self._sequence(z, task.support)
        u, _ = self._through(torch.cat([u, F.pad(z_query, (0, self.n_out))]), real)
        out = task_outputs(self.out(u[len(real) :]), class_present(task.support), self.kind)
        return self.loss(out, task.query)

    def _sequence(self, z: Tensor, support: Examples) -> tuple[Tensor, Tensor]:
        """u_1, u_2, ... (steps, d), and which of them are real; padding stands before the start."""
        check_features(z)
        if len(z) > self.context:
            raise UserError(
                f"SNAIL: the support may have up to {self.context} examples, the context it was "
                f"built for; received {len(z)}; adapt to fewer, or meta-train with "
                f"context={len(z)}."
            )
        order = torch.argsort(support.weight, stable=True)
        real = support.weight[order]
        u = torch.cat([z, widened(support.y, self.n_out, "SNAIL")], dim=1)
        return u[order] * real[:, None], real

    def _through(self, u: Tensor, real: Tensor) -> tuple[Tensor, dict[str, Memory]]:
        """A sequence and its followers after all layers, and what each layer remembers."""
        memory: dict[str, Memory] = {}
        for name, layer in self.layers.named_children():
            u, memory[name] = layer(u, real)
        return u, memory


def widened(y: Tensor, n_out: int, learner: str) -> Tensor:
    """Targets `(examples, way)` with columns of zeros up to `n_out`.

    Raises:
        UserError: There are more already.
    """
    way = y.shape[1]
    if way > n_out:
        raise UserError(
            f"{learner}: was built for tasks of up to {n_out} classes or outputs (n_out); received "
            f"a task of {way}; adapt to fewer, or meta-train with at least {way}."
        )
    return F.pad(y, (0, n_out - way))
