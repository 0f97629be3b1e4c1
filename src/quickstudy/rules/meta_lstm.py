"""The Meta-LSTM of Ravi and Larochelle."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quickstudy.nets.recurrent import LSTMCell
from quickstudy.rules.lstm import log_and_sign
from quickstudy.rules.rule import CoordinateStep, CoordinateWise, RuleState


class MetaLSTMRule(CoordinateWise):
    """An LSTM whose cell is the parameters: gates say how much of them to keep and to move.

        theta_k = f_k theta_{k-1} - i_k g_k
        h_k = LSTM(preprocessed g_k and loss_k, memory)
        i_k = sigmoid(W_i [h_k, theta_{k-1}, i_{k-1}] + b_i),   f_k alike

    The cell's first value, the parameters that it starts from, is learned with it.

    Args:
        hidden: Units of the LSTM that reads gradients and losses.

    Source: Ravi, Larochelle: Optimization as a Model for Few-Shot Learning, ICLR 2017, sections 3
    and 4: gates start nearly open for keeping and nearly shut for moving.

    Example:
        >>> rule, theta = MetaLSTMRule(hidden=5), {"w": torch.ones(2)}
        >>> gradient, loss = {"w": torch.ones(2)}, torch.tensor(1.0)
        >>> theta, state = rule.update(rule.start(theta), theta, gradient, loss)
        >>> theta["w"].shape
        torch.Size([2])
    """

    learns_start = True

    def __init__(self, hidden: int = 20) -> None:
        super().__init__()
        self.hidden = hidden
        self.cell = LSTMCell(4 + hidden, hidden)
        self.keep, self.move = (nn.Linear(hidden + 2, 1) for _ in range(2))
        with torch.no_grad():
            for gate, low, high in ((self.keep, 4.0, 6.0), (self.move, -5.0, -4.0)):
                gate.weight.uniform_(-0.01, 0.01)
                gate.bias.uniform_(low, high)

    def remember(self, theta: Tensor) -> RuleState:
        zero = theta.new_zeros(len(theta), self.hidden)
        return {"h": zero, "c": zero, "f": torch.ones_like(theta), "i": torch.zeros_like(theta)}

    def step(self, state: RuleState, theta: Tensor, g: Tensor, loss: Tensor) -> CoordinateStep:
        loss_features = log_and_sign(loss.reshape(1)).expand(len(g), 2)
        read = torch.cat([log_and_sign(g), loss_features, state["h"]], dim=1)
        h, c = self.cell(read, state["c"])
        f, i = (
            torch.sigmoid(gate(torch.cat([h, theta[:, None], before[:, None]], dim=1)))[:, 0]
            for gate, before in ((self.keep, state["f"]), (self.move, state["i"]))
        )
        return f * theta - i * g, {"h": h, "c": c, "f": f, "i": i}
