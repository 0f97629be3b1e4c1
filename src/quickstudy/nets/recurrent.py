"""Recurrent cells written from a linear layer: torch's own do not run under `vmap`."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LSTMCell(nn.Module):
    """One step of a long short-term memory.

        i, f, o, u = W [x, h] + b
        c' = sigmoid(f) c + sigmoid(i) tanh(u),  h' = sigmoid(o) tanh(c')

    Args:
        n_read: Numbers that it reads: of the input x and of the last output h together.
        n_features: Numbers of its output and of its cell.

    Shapes:
        read (..., n_read), c (..., n_features) -> h' and c', each (..., n_features)

    Source: Hochreiter, Schmidhuber: Long Short-Term Memory, Neural Computation 1997; Gers et al.:
    Learning to Forget, Neural Computation 2000.
    """

    def __init__(self, n_read: int, n_features: int) -> None:
        super().__init__()
        self.gates = nn.Linear(n_read, 4 * n_features)

    def forward(self, read: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        i, f, o, u = self.gates(read).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(u)
        return torch.sigmoid(o) * torch.tanh(c), c
