"""Layers of a sequence in which no step sees a later one: temporal convolutions and attention.

Each layer appends what it computes to its input. It runs over a sequence and over followers: steps
each of which alone comes next after the sequence. Followers can also come later, with what the
layer remembers of the sequence.

A step that is not real must come before all real ones. It changes nothing: it is to every layer
what stands before the start of the sequence.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.nets.transformer import attend, ignoring

Memory = dict[str, Tensor]


class CausalLayer(nn.Module, ABC):
    """A layer from (steps, n_in) to (steps, n_out), whose first `n_in` columns are its input."""

    n_out: int

    @abstractmethod
    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Memory]:
        """The outputs, and what later followers need to know of the sequence.

        Args:
            x: The sequence, zero where it is not real, and its followers, `(steps + m, n_in)`.
            real: 1 for a step of the sequence, 0 for none `(steps,)`.
        """

    @abstractmethod
    def follow(self, x: Tensor, memory: Memory) -> Tensor:
        """The outputs `(m, n_out)` of later followers."""


class DenseConvolution(CausalLayer):
    """A gated causal convolution with two taps.

    a_t, b_t = W [x_t, x_{t-R}] + b,  out_t = [x_t, tanh(a_t) sigmoid(b_t)]

    Args:
        n_in: Columns of the input.
        filters: Columns that are appended.
        dilation: Distance R of the taps, in steps; the input is zero before the start.

    Source: Mishra, Rohaninejad, Chen, Abbeel: A Simple Neural Attentive Meta-Learner, ICLR 2018,
    section 3 ("DenseBlock"); van den Oord et al.: WaveNet, 2016 (the gate).
    """

    def __init__(self, n_in: int, filters: int, dilation: int) -> None:
        super().__init__()
        self.taps = nn.Linear(2 * n_in, 2 * filters)
        self.dilation, self.n_out = dilation, n_in + filters

    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Memory]:
        n, m = len(real), len(x) - len(real)
        earlier = F.pad(x[:n], (0, 0, self.dilation, 0))
        of_followers = earlier[n]
        appended = self._gated(x, torch.cat([earlier[:n], of_followers.expand(m, -1)]))
        appended = appended * F.pad(real, (0, m), value=1.0)[:, None]
        return torch.cat([x, appended], dim=1), {"earlier": of_followers}

    def follow(self, x: Tensor, memory: Memory) -> Tensor:
        return torch.cat([x, self._gated(x, memory["earlier"].expand_as(x))], dim=1)

    def _gated(self, x: Tensor, earlier: Tensor) -> Tensor:
        a, b = self.taps(torch.cat([x, earlier], dim=1)).chunk(2, dim=1)
        return torch.tanh(a) * torch.sigmoid(b)


class CausalAttention(CausalLayer):
    """Attention of each step to itself and to those before it.

    out_t = [x_t, sum over s <= t of softmax over s (q_t k_s / sqrt(n_keys)) v_s]

    Args:
        n_in: Columns of the input.
        n_keys: Width of queries and keys.
        n_values: Columns that are appended.

    Source: Mishra et al.: A Simple Neural Attentive Meta-Learner, ICLR 2018, section 3
    ("AttentionBlock").
    """

    def __init__(self, n_in: int, n_keys: int, n_values: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(n_in, n_keys), nn.Linear(n_in, n_keys)
        self.value = nn.Linear(n_in, n_values)
        self.n_out = n_in + n_values

    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Memory]:
        n, m = len(real), len(x) - len(real)
        step = torch.arange(n + m, device=x.device).clamp(max=n)
        sees = (step[:, None] > step) | torch.eye(n + m, dtype=torch.bool, device=x.device)
        real = F.pad(real, (0, m), value=1.0)
        key, value = self.key(x), self.value(x)
        read = attend(self.query(x), key, value, ignoring(real * sees))
        memory = {"key": key[:n], "value": value[:n], "real": real[:n]}
        return torch.cat([x, read * real[:, None]], dim=1), memory

    def follow(self, x: Tensor, memory: Memory) -> Tensor:
        shares, value = self.shares(x, memory), self.value(x)
        read = shares[:, :-1] @ memory["value"] + shares[:, -1:] * value
        return torch.cat([x, read], dim=1)

    def shares(self, x: Tensor, memory: Memory) -> Tensor:
        """How followers attend to each step of the sequence and, last, to themselves (m, n + 1)."""
        query, key = self.query(x), self.key(x)
        to_itself = (query * key).sum(dim=1, keepdim=True)
        scores = torch.cat([query @ memory["key"].T, to_itself], dim=1) / math.sqrt(key.shape[1])
        return torch.softmax(scores + F.pad(ignoring(memory["real"]), (0, 1)), dim=1)


def temporal_convolutions(n_in: int, filters: int, length: int) -> list[DenseConvolution]:
    """Convolutions with dilations 1, 2, 4, ... through which the last of `length` steps sees all.

    Source: Mishra et al.: A Simple Neural Attentive Meta-Learner, ICLR 2018, section 3 ("TCBlock").
    """
    return [
        DenseConvolution(n_in + i * filters, filters, 2**i)
        for i in range(math.ceil(math.log2(length)))
    ]
