"""Bayesian linear regression with a prior, differentiable; and a prior from many problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from quickstudy.inner.ridge import HeldOut, ridge, ridge_held_out, smoother

LEAST = 1e-10
"""Smallest share of the mean square of a feature that is added to the prior's precision."""
BOUNDS = (1e-2, 1e4)
"""Of the factor by which the precision of a prior from many problems is more than that of one."""


class Prior(NamedTuple):
    """A prior of linear models: their mean, a Cholesky factor of their precision, and the evidence.

    To fit is ridge regression of what the mean leaves over, on inputs u = C^{-1} x in which the
    precision is the identity. All is in float64.

    Shapes:
        mean (d, outputs), factor (d, d), lower triangular: precision = factor @ factor.T,
        evidence (): what an example of weight 1 weighs against it
    """

    mean: Tensor
    factor: Tensor
    evidence: Tensor

    def fit(self, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """The posterior mean K = K0 + P X^T (Y - X K0), P = (precision + X^T X)^{-1}.

        Rows of X and Y are multiplied by the root of what they weigh.

        Shapes:
            x (examples, d), y (examples, outputs), weight (examples,) -> (d, outputs)
        """
        V = ridge(self.turned(x), y - x @ self.mean, weight, 1 / self.evidence)
        return self.mean + self._back(V)

    def root(self, x: Tensor, weight: Tensor) -> Tensor:
        """F `(d, d)`, of which the posterior covariance is P = F F^T."""
        U = self.turned(x) * weight.sqrt()[:, None]
        eye = torch.eye(U.shape[1], dtype=U.dtype, device=U.device)
        inner = torch.linalg.cholesky_ex(self.evidence * U.T @ U + eye)[0]
        return self._back(torch.linalg.solve_triangular(inner.mT, eye, upper=True))

    def shares(self, x: Tensor, weight: Tensor, queries: Tensor) -> Tensor:
        """The share of what each target leaves over in answers to queries `(queries, examples)`."""
        return smoother(self.turned(x), weight, 1 / self.evidence, self.turned(queries))

    def held_out(self, x: Tensor, y: Tensor, weight: Tensor, queries: Tensor) -> HeldOut:
        """The answers of the posterior mean without each example."""
        expected = x @ self.mean
        held = ridge_held_out(
            self.turned(x), y - expected, weight, 1 / self.evidence, self.turned(queries)
        )
        return HeldOut(held.own + expected, held.queries + queries @ self.mean)

    def turned(self, x: Tensor) -> Tensor:
        """The inputs u = C^{-1} x, in which the prior's precision is the identity."""
        return torch.linalg.solve_triangular(self.factor, x.mT, upper=False).mT

    def _back(self, V: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.factor.mT, V, upper=True)


class Moments(NamedTuple):
    """Second moments of a problem, the mean over its examples.

    Shapes:
        xx (d, d), xy (d, outputs), yy (outputs,), n () the sum of the weights
    """

    xx: Tensor
    xy: Tensor
    yy: Tensor
    n: Tensor

    @classmethod
    def of(cls, x: Tensor, y: Tensor, weight: Tensor) -> Self:
        """The moments of examples `(examples, d)`, `(examples, outputs)`, `(examples,)`."""
        rows, targets, n = x.double(), y.double(), weight.double().sum()
        share = (weight.double() / n)[:, None]
        weighed = share * rows
        return cls(weighed.T @ rows, weighed.T @ targets, (share * targets.square()).sum(0), n)

    def error(self, K: Tensor) -> Tensor:
        """Mean squared error of a linear model `(d, outputs)`, for each output."""
        return self.yy - 2 * (K * self.xy).sum(dim=-2) + (K * (self.xx @ K)).sum(dim=-2)


class Start(NamedTuple):
    """A prior that many problems give in closed form.

    The precision is `pooled` factor factor^T + `ridge` I, and the examples of an average problem
    weigh `evidence` together.

    Shapes:
        mean (d, outputs), factor (d, d), noise (outputs,); pooled, ridge, evidence ()
    """

    mean: Tensor
    factor: Tensor
    noise: Tensor
    pooled: Tensor
    ridge: Tensor
    evidence: Tensor


def start(problems: Sequence[Moments], penalty: float) -> Start:
    """The ridge that is pooled over problems, each of the same weight, as the mean of a prior.

    The precision has the shape of their pooled second moments, and an average problem weighs as
    much as the prior. Noise is what is left over in a problem, the median over problems; and the
    common factor of precision and evidence is such that noise and prior together explain what the
    pooled ridge leaves over.

    Args:
        problems: The moments of each.
        penalty: Of the pooled ridge and in the precision, relative to the mean square of a feature.
    """
    moments = Moments(*(torch.stack(parts) for parts in zip(*problems, strict=True)))
    xx, xy = moments.xx.mean(dim=0), moments.xy.mean(dim=0)
    eye = torch.eye(len(xx), dtype=xx.dtype, device=xx.device)
    square = xx.diagonal().mean().clamp(min=torch.finfo(xx.dtype).tiny)
    precision = xx + penalty * square * eye
    mean = torch.linalg.solve(precision, xy)
    share = (moments.n / moments.n.mean())[:, None, None]
    own = torch.linalg.solve(
        share * moments.xx + precision, share * (moments.xy - moments.xx @ mean)
    )
    least = 1e-6 * moments.yy.mean(dim=0).clamp(min=1e-6)
    noise = moments.error(mean + own).median(dim=0).values.maximum(least)
    unexplained = (moments.error(mean) / noise).mean(dim=1).median() - 1
    spread = torch.linalg.solve(precision, xx).diagonal().sum()
    factor = spread / unexplained.clamp(min=spread / BOUNDS[1], max=spread / BOUNDS[0])
    cholesky = torch.linalg.cholesky(xx + LEAST * square * eye)
    return Start(mean, cholesky, noise.sqrt(), factor, factor * penalty * square, factor)
