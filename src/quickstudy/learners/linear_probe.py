"""Logistic regression on frozen features: the bar for all that is meta-trained on them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import above
from quickstudy.inner.softmax_regression import ROUGH, Rows, minimiser
from quickstudy.learner import Tags
from quickstudy.learners.linear_head import LinearHead, with_constant
from quickstudy.nets import Centre, width
from quickstudy.task import Examples

GRID = tuple(10.0**k for k in (0, 0.5, 1, 1.5, 2))
"""Values of C to choose from."""
ONE_SHOT = 10.0
"""C where no class has an example to leave out."""
FOLDS = 5


class LinearProbe(LinearHead):
    """Fits multinomial logistic regression to frozen features, with a penalty that suits them.

    adapt:    z(x) = (f(x) - m) / ||f(x) - m||,  X = rows [z(x_i), 1],  [W; b] = V, which minimises
              sum_i -log softmax(x_i V)[y_i] + ||V||^2 / (2 C)
    predict:  logits(x) = scale * (z(x) W + b)

    with m the mean of f over meta-train examples, zero before a meta-training; and C that of `GRID`
    with the least cross-entropy on examples left out: one of each class at a time, or one in
    `FOLDS`, by a fixed direction rather than by their order. With one example a class it is
    `ONE_SHOT`.

    Meta-training changes nothing but the scale of the logits, and estimates m: one step is enough.
    For an embedding that meta-training learns, take `LogisticHead`.

    Args:
        net: The embedding f, any module from inputs to features. It is not trained.
        C: Inverse strength of the L2 penalty, as in scikit-learn; chosen where omitted.
        scale: What the learned scale of the logits starts from.
        unit: Whether features are centred and scaled to length 1 before; False takes them as they
            are, for columns that are standardised already.

    Shapes:
        state.weight (features, way), prediction (query, way)

    Properties: the bias is penalised as all weights are. A class with a single example is never
    left out.

    Raises:
        UserError: C or a scale that is not positive; or a support of one class.

    Source: Tian, Wang, Krishnan, Tenenbaum, Isola: Rethinking Few-Shot Image Classification: a Good
    Embedding Is All You Need?, ECCV 2020; Wang, Chao, Weinberger, van der Maaten: SimpleShot, 2019
    (the mean of the base classes).

    Example:
        >>> learner = LinearProbe(qs.nets.MLP((64,), hidden=()))  # of the inputs as they are
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(vmappable=False, net={"name": "MLP", "hidden": []})

    def __init__(
        self, net: nn.Module, C: float | None = None, scale: float = 1.0, unit: bool = True
    ) -> None:
        super().__init__(nn.Sequential(net, Centre(width(net))) if unit else net, scale)
        above("LinearProbe", 0, C=C)
        self.C = C

    def meta_parameters(self) -> dict[str, Tensor]:
        """The scale alone."""
        return {"log_scale": self.log_scale}

    def solve(self, z: Tensor, support: Examples) -> tuple[Tensor, Tensor]:
        V = with_constant(z).double().T @ self._dual(z, support)
        return V[:-1].to(z), V[-1].to(z)

    def dual(self, z: Tensor, support: Examples) -> Tensor:
        return self._dual(z, support).to(z)

    @torch.no_grad()
    def _dual(self, z: Tensor, support: Examples) -> Tensor:
        """C weight_i (y_i - softmax(x_i V)), in float64."""
        rows, y = Rows.of(with_constant(z)), support.y.double()
        w = support.weight.double()
        C = self.C or chosen(rows, z, y, w)
        V = minimiser(rows, y, w[None], w.new_tensor([1 / C]))[0]
        present = (w @ y) > 0
        P = torch.softmax(torch.where(present, rows.x @ V, -1e9), dim=1)
        return C * w[:, None] * (y - P)


class Folds(NamedTuple):
    """Examples to learn from and to be left out, in each of some folds.

    Shapes:
        learned (folds, examples), left_out (folds, examples): 1 or 0
    """

    learned: Tensor
    left_out: Tensor


def folds(z: Tensor, y: Tensor, weight: Tensor) -> Folds | None:
    """Folds of which each leaves out an example or more of all classes that have two.

    Which one does not depend on the order of the examples, but on where they lie along a fixed
    direction. None where no class has two.

    Args:
        z: Features.
        y: One-hot rows.
        weight: 0 for examples that do not count.
    """
    member = y * weight[:, None]
    n = member @ member.sum(dim=0)  # examples of the same class
    most = int(n.max())
    if most < 2:
        return None
    place = z.double() @ torch.arange(z.shape[1], device=z.device).double().cos()
    rank = ((member @ member.T) * (place < place[:, None])).sum(dim=1)
    of = torch.arange(min(FOLDS, most), device=z.device)[:, None]
    left_out = ((rank % len(of) == of) & (n > 1)).to(weight) * weight
    return Folds(weight - left_out, left_out)


def chosen(rows: Rows, z: Tensor, y: Tensor, weight: Tensor) -> float:
    """The C of the grid with the least cross-entropy on examples left out.

    From the strongest penalty on, until that gets worse, each time from the solution before.
    """
    parts = folds(z, y, weight)
    if parts is None:
        return ONE_SHOT
    best, least, V = ONE_SHOT, float("inf"), None
    for C in GRID:
        penalty = weight.new_full((len(parts.learned),), 1 / C)
        V = minimiser(rows, y, parts.learned, penalty, V, ROUGH)
        loss = left_out_loss(rows, y, parts, V)
        if loss >= least:
            break
        best, least = C, loss
    return best


def left_out_loss(rows: Rows, y: Tensor, parts: Folds, V: Tensor) -> float:
    """Mean cross-entropy of the examples left out by the models that did not see them."""
    present = ((parts.learned[..., None] * y).sum(dim=1) > 0)[:, None]
    log_p = torch.log_softmax(torch.where(present, rows.x @ V, -1e9), dim=2)
    loss = -(parts.left_out[..., None] * y * log_p).sum() / parts.left_out.sum()
    return float(loss)
