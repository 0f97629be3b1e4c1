"""A small network for each parameter, in the manner of `small_fc_lopt`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.rules.rule import Parameters, RuleState, UpdateRule

MOMENTA, SQUARE, FACTORED = (0.9, 0.99, 0.999), 0.999, (0.9, 0.99, 0.999)
TIMES = (1, 3, 10, 30, 100, 300, 1e3, 3e3, 1e4, 3e4, 1e5)
EPS = 1e-8


class MLPRule(UpdateRule):
    """Steps that a tiny perceptron puts out for each coordinate, from many features of it.

        theta_{k+1} = theta_k - scale * direction * exp(scale * magnitude)

    The features: the gradient, the parameter, three momenta, the root mean square and its inverse;
    running means of the squared gradient over rows and over columns, as Adafactor has them, their
    inverse roots, and gradient and momenta divided by them. Each is divided by its root mean square
    over the tensor. Beside them stands how many steps have been made, on eleven scales of time.

    Args:
        hidden: Width of each hidden layer.
        scale: Of the step and of its magnitude's exponent.

    Raises:
        UserError: A parameter is a single number, which has no tensor around it.

    Differs from the paper: a tensor of more than two axes is a matrix of its first axis by all
    others.

    Source: Metz et al.: Practical Tradeoffs between Memory, Compute, and Performance in Learned
    Optimizers, CoLLAs 2022.

    Example:
        >>> rule, theta = MLPRule(), {"w": torch.ones(2)}
        >>> gradient, loss = {"w": torch.ones(2)}, torch.tensor(1.0)
        >>> theta, state = rule.update(rule.start(theta), theta, gradient, loss)
        >>> theta["w"].shape
        torch.Size([2])
    """

    whole_tensors = True

    def __init__(self, hidden: Sequence[int] = (4, 4), scale: float = 0.001) -> None:
        super().__init__()
        n_features = 4 + len(MOMENTA) * (1 + len(FACTORED)) + 5 * len(FACTORED) + len(TIMES)
        widths, layers = [n_features, *hidden], list[nn.Module]()
        for n_in, n_out in itertools.pairwise(widths):
            layers += [nn.Linear(n_in, n_out), nn.ReLU()]
        self.net = nn.Sequential(*layers, nn.Linear(widths[-1], 2))
        self.scale = scale

    def start(self, parameters: Parameters) -> RuleState:
        state = {"k": next(iter(parameters.values())).new_zeros(())}
        for name, p in parameters.items():
            if p.ndim == 0:
                raise UserError(
                    f"MLPRule: a parameter must be a vector, matrix or tensor, of which it takes "
                    f"statistics; received the single number {name!r}; give it the shape (1,), or "
                    "use a coordinate-wise rule, such as lstm."
                )
            matrix = p.reshape(len(p), -1)
            state[f"m/{name}"] = p.new_zeros(len(MOMENTA), *matrix.shape)
            state[f"v/{name}"] = torch.zeros_like(matrix)
            state[f"row/{name}"] = p.new_zeros(len(FACTORED), matrix.shape[0], 1)
            state[f"column/{name}"] = p.new_zeros(len(FACTORED), 1, matrix.shape[1])
        return state

    def update(
        self, state: RuleState, parameters: Parameters, gradients: Parameters, loss: Tensor
    ) -> tuple[Parameters, RuleState]:
        new = {"k": state["k"] + 1}
        updated: Parameters = {}
        for name, p in parameters.items():
            memory = {what: state[f"{what}/{name}"] for what in ("m", "v", "row", "column")}
            matrix = p.reshape(len(p), -1)
            step, memory = self._step(
                memory, matrix, gradients[name].reshape(matrix.shape), state["k"]
            )
            updated[name] = p - step.view(p.shape)
            new |= {f"{what}/{name}": value for what, value in memory.items()}
        return updated, new

    def _step(self, memory: RuleState, p: Tensor, g: Tensor, k: Tensor) -> tuple[Tensor, RuleState]:
        """The step of a matrix, and what is remembered of it."""
        keep = _column(MOMENTA, p)
        m = keep * memory["m"] + (1 - keep) * g
        v = SQUARE * memory["v"] + (1 - SQUARE) * g.square()
        keep, square = _column(FACTORED, p), g.square() + EPS**2
        row = keep * memory["row"] + (1 - keep) * square.mean(dim=1, keepdim=True)
        column = keep * memory["column"] + (1 - keep) * square.mean(dim=0, keepdim=True)
        factor = (row * column / row.mean(dim=1, keepdim=True) + EPS**2).rsqrt()
        ones = torch.ones_like(factor)
        factored = [row * ones, column * ones, (row + EPS**2).rsqrt() * ones]
        factored += [(column + EPS**2).rsqrt() * ones, factor * g]
        of_momenta = (m[:, None] * factor[None]).flatten(0, 1)
        features = torch.cat(
            [torch.stack([g, p, v.sqrt(), (v + EPS**2).rsqrt()]), m, *factored, of_momenta]
        )
        features = features * (features.square().mean(dim=(1, 2), keepdim=True) + EPS**2).rsqrt()
        time = torch.tanh(k / p.new_tensor(TIMES) - 1)
        read = torch.cat([features.permute(1, 2, 0), time.expand(*p.shape, len(TIMES))], dim=2)
        direction, magnitude = self.net(read).unbind(dim=2)
        step = self.scale * direction * torch.exp(self.scale * magnitude)
        return step, {"m": m, "v": v, "row": row, "column": column}


def _column(numbers: tuple[float, ...], reference: Tensor) -> Tensor:
    """Numbers along a first axis before those of a matrix."""
    return reference.new_tensor(numbers)[:, None, None]
