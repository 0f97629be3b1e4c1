"""The coordinate-wise LSTM of Andrychowicz et al."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.nets.recurrent import LSTMCell
from quickstudy.rules.rule import CoordinateStep, CoordinateWise, RuleState

Preprocessing = Literal["none", "log"]


class LSTMRule(CoordinateWise):
    """Steps that a small LSTM puts out, with weights shared by all coordinates.

        theta_{k+1} = theta_k + scale * w . h_k,   h_k = LSTM(preprocessed g_k, memory)

    Args:
        hidden: Units of each layer.
        layers: Number of layers.
        preprocessing: What the LSTM reads: the gradient (`"none"`), or the logarithm of its size
            and its sign (`"log"`), for gradients of many orders of magnitude.
        p: With `"log"`, gradients below e^-p are read as they are, times e^p.
        scale: What its output is multiplied by.

    Raises:
        UserError: Unknown preprocessing, or no layer.

    Differs from the paper: the output weights start a tenth as large, so that the first steps of
    meta-training do not blow up what is optimised.

    Source: Andrychowicz et al.: Learning to Learn by Gradient Descent by Gradient Descent, NeurIPS
    2016, sections 2.1 and 3, appendix A.

    Example:
        >>> rule, theta = LSTMRule(hidden=5), {"w": torch.ones(2)}
        >>> gradient, loss = {"w": torch.ones(2)}, torch.tensor(1.0)
        >>> theta, state = rule.update(rule.start(theta), theta, gradient, loss)
        >>> theta["w"].shape
        torch.Size([2])
    """

    def __init__(
        self,
        hidden: int = 20,
        layers: int = 2,
        preprocessing: Preprocessing = "none",
        p: float = 10.0,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if preprocessing not in get_args(Preprocessing) or layers < 1 or not p > 0:
            raise UserError(
                f"LSTMRule: preprocessing must be one of {', '.join(get_args(Preprocessing))}, "
                f"there must be a layer, and p above 0; received {preprocessing!r}, layers={layers}"
                f" and p={p}; choose one of these, at least one layer and a positive p."
            )
        n_in = 1 if preprocessing == "none" else 2
        sizes = [n_in, *[hidden] * (layers - 1)]
        self.cells = nn.ModuleList(LSTMCell(size + hidden, hidden) for size in sizes)
        self.out = nn.Linear(hidden, 1)
        with torch.no_grad():
            self.out.weight.mul_(0.1)
            self.out.bias.zero_()
        self.hidden, self.preprocessing, self.p, self.scale = hidden, preprocessing, p, scale

    def remember(self, theta: Tensor) -> RuleState:
        zero = theta.new_zeros(len(theta), self.hidden)
        return {f"{what}{i}": zero for i in range(len(self.cells)) for what in "hc"}

    def step(self, state: RuleState, theta: Tensor, g: Tensor, loss: Tensor) -> CoordinateStep:
        x = g[:, None] if self.preprocessing == "none" else log_and_sign(g, self.p)
        new: RuleState = {}
        for i, cell in enumerate(self.cells):
            x, new[f"c{i}"] = cell(torch.cat([x, state[f"h{i}"]], dim=1), state[f"c{i}"])
            new[f"h{i}"] = x
        return theta + self.scale * self.out(x)[:, 0], new


def log_and_sign(v: Tensor, p: float = 10.0) -> Tensor:
    """Size and sign of numbers `(n,)` as two inputs `(n, 2)` of moderate size.

        (log|v| / p, sign v) where |v| >= e^-p, else (-1, e^p v)

    Source: Andrychowicz et al. 2016, appendix A.
    """
    small = math.exp(-p)
    size = v.abs().clamp(min=small).log() / p
    return torch.stack([size, (v / small).clamp(-1, 1)], dim=1)
