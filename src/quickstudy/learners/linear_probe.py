"""Logistic regression on frozen features: the bar for all that is meta-trained on them."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import above
from quickstudy.inner.softmax_regression import ROUGH, Rows, minimiser
from quickstudy.learner import Tags
from quickstudy.learners.linear_head import LinearHead, with_constant
from quickstudy.nets import Centre, width
from quickstudy.task import Examples

GRID = tuple(10.0**k for k in (0, 0.5, 1, 1.5, 2, 2.5))
"""Values of C to choose from, in units of one over the variance of the features."""
USUAL = 2
"""The place in the grid of the C that is taken unless another is clearly better."""
SCALES, LARGEST = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0), 8.0
"""Factors of the logits that penalties are judged at, so that none gains by being sure alone; and
the largest that is taken."""
ONE_SHOT_SCALE = 2.0
"""The factor where no class has an example to leave out."""
FOLDS, FEW_FOLDS, MANY = 5, 2, 20_000
"""Folds at most; and of a problem with more than so many examples times classes."""


class LinearProbe(LinearHead):
    """Fits multinomial logistic regression to frozen features, with a penalty that suits them.

    adapt:    z(x) = (f(x) - m) / ||f(x) - m||,  X = rows [z(x_i), 1],  [W; b] = s V,  V minimises
              sum_i -log softmax(x_i V)[y_i] + ||V||^2 / (2 C)
    predict:  logits(x) = scale * (z(x) W + b)

    with m the mean of f over meta-train examples, zero before a meta-training. C and s are chosen
    on examples left out: one of each class at a time, or one in `FOLDS`, by a fixed direction
    rather than by their order. C is 10 over the variance of the features, or that of `GRID` with
    the least cross-entropy at its best s of `SCALES` where it is better by more than a standard
    error. With one example a class there is nothing to choose by, and s is `ONE_SHOT_SCALE`.

    Meta-training changes nothing but the scale of the logits, and estimates m: one step is enough.
    For an embedding that meta-training learns, take `LogisticHead`.

    Args:
        net: The embedding f, any module from inputs to features. It is not trained.
        C: Inverse strength of the L2 penalty, as in scikit-learn; chosen where omitted. Where it is
            given, s is 1.
        scale: What the learned scale of the logits starts from.
        columns: Whether inputs are rows of any table, whose columns are made ready for each task
            alone. They are taken as they are, neither centred nor scaled to length 1.

    Shapes:
        state.weight (features, way), prediction (query, way)

    Properties: the bias is penalised as all weights are. A class with a single example is never
    left out.

    Raises:
        UserError: C or a scale that is not positive; or a support of one class.

    Differs from the papers: the mean of a support alone is not taken off: at one shot it costs up
    to a point of accuracy, and at five it makes no difference. The penalty is not the usual 1; the
    scale s changes no class, only how sure it is.

    Source: Tian, Wang, Krishnan, Tenenbaum, Isola: Rethinking Few-Shot Image Classification: a Good
    Embedding Is All You Need?, ECCV 2020; Wang, Chao, Weinberger, van der Maaten: SimpleShot, 2019
    (the mean of the base classes); Breiman, Friedman, Olshen, Stone: Classification and Regression
    Trees, 1984 (the rule of one standard error).

    Example:
        >>> learner = LinearProbe(qs.nets.MLP((64,), hidden=()))  # of the inputs as they are
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(vmappable=False, net={"name": "MLP", "hidden": []})

    def __init__(
        self, net: nn.Module, C: float | None = None, scale: float = 1.0, columns: bool = False
    ) -> None:
        super().__init__(net if columns else nn.Sequential(net, Centre(width(net))), scale)
        self.tags = replace(self.tags, reads_columns=columns)
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
        """s C weight_i (y_i - softmax(x_i V)), in float64."""
        w, y = support.weight.double(), support.y.double()
        rows = Rows.of(with_constant(z) * (w > 0)[:, None])
        C, s = Choice(self.C, 1.0) if self.C else chosen(rows, z, y, w)
        V = minimiser(rows, y, w[None], w.new_tensor([1 / C]))[0]
        P = torch.softmax(torch.where((w @ y) > 0, rows.x @ V, -1e9), dim=1)
        return s * C * w[:, None] * (y - P)


class Choice(NamedTuple):
    """The inverse strength of the penalty, and the factor of the logits."""

    C: float
    scale: float


class Folds(NamedTuple):
    """Examples to learn from and to be left out, in each of some folds.

    Shapes:
        learned (folds, examples), left_out (folds, examples): 1 or 0
    """

    learned: Tensor
    left_out: Tensor


class Judged(NamedTuple):
    """Cross-entropies on examples left out, at the scale with the least mean.

    Shapes:
        losses (examples left out,)
    """

    losses: Tensor
    scale: float

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(self.losses.mean())


def chosen(rows: Rows, z: Tensor, y: Tensor, weight: Tensor) -> Choice:
    """The penalty and the scale that suit a support.

    From the usual penalty it goes to weaker ones while that is better, else to stronger ones.

    Args:
        rows: The features with a constant, turned.
        z: The features.
        y: One-hot rows.
        weight: 0 for examples that do not count.
    """
    share = (weight / weight.sum())[:, None]
    features = z.double()
    spread = (share * (features - (share * features).sum(dim=0)).square()).sum()
    unit = 1 / float(spread * weight.sum() / (weight.sum() - 1).clamp(min=1)) if spread > 0 else 1.0
    parts = folds(z, y, weight)
    if parts is None:
        return Choice(unit * GRID[USUAL], ONE_SHOT_SCALE)
    V: Tensor | None = None

    def judge(place: int) -> Judged:
        nonlocal V
        penalty = weight.new_full((len(parts.learned),), 1 / (unit * GRID[place]))
        V = minimiser(rows, y, parts.learned, penalty, V, ROUGH)
        return judged(rows, y, parts, V)

    usual = best = judge(USUAL)
    at = USUAL
    for direction in (1, -1):
        place = USUAL + direction
        while 0 <= place < len(GRID) and (other := judge(place)).mean < best.mean:
            best, at, place = other, place, place + direction
        if at != USUAL:
            break
    gain = usual.losses - best.losses
    if at != USUAL and gain.mean() <= gain.std() / len(gain) ** 0.5:
        best, at = usual, USUAL
    return Choice(unit * GRID[at], min(best.scale, LARGEST))


def folds(z: Tensor, y: Tensor, weight: Tensor) -> Folds | None:
    """Folds of which each leaves out an example or more of the classes that have two.

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
    size = int(weight.sum()) * int(member.any(dim=0).sum())
    n_folds = min(FOLDS if size <= MANY else FEW_FOLDS, most)
    of = torch.arange(n_folds, device=z.device)[:, None]
    left_out = ((rank % n_folds == of) & (n > 1)).to(weight) * weight
    return Folds(weight - left_out, left_out)


def judged(rows: Rows, y: Tensor, parts: Folds, V: Tensor) -> Judged:
    """How models of folds answer for the examples that they did not see.

    Args:
        rows: The features with a constant, turned.
        y: One-hot rows.
        parts: The folds.
        V: The models `(folds, r, way)`.
    """
    present = ((parts.learned[..., None] * y).sum(dim=1) > 0)[:, None]
    logits = torch.where(present, rows.x @ V, -1e9)
    # Each is left out once, and only there it is judged.
    once = parts.left_out.sum(dim=0) > 0
    logits = (logits * parts.left_out[..., None]).sum(dim=0)[once]
    of_each = torch.stack(
        [-(y[once] * torch.log_softmax(scale * logits, dim=1)).sum(dim=1) for scale in SCALES]
    )
    best = int(of_each.mean(dim=1).argmin())
    return Judged(of_each[best], SCALES[best])
