"""Bayesian linear regression with a prior, differentiable; and a prior from many problems."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import NamedTuple, Self

import torch
from torch import Tensor

from quickstudy.inner.ridge import HeldOut, ridge, ridge_held_out, smoother

LEAST = 1e-10
"""Smallest share of the mean square of a feature that is added to the prior's precision."""
BOUNDS = (1e-2, 1e4)
"""Of the precision of a prior from many problems, relative to where noise and prior are alike."""
FEWEST, LARGEST = 8, 2**24
"""Problems at least whose errors are looked at, and numbers in their second moments at most."""
EVIDENCE = tuple(10.0 ** (k / 2) for k in range(-4, 5))
"""Weights of a problem's examples together, relative to the prior's, to choose from."""
RIDGES = (1.0, 10.0, 100.0)
"""Factors of the ridge in the precision, from the shape of the pooled moments to that of a ball."""


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
    """Second moments of a problem, the mean over its examples; or of several, stacked.

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

    @classmethod
    def stacked(cls, problems: Sequence[Moments]) -> Self:
        """The moments of several problems, along a first axis."""
        return cls(*(torch.stack(parts) for parts in zip(*problems, strict=True)))

    def with_more(self, other: Moments) -> Moments:
        """The moments of the examples of both."""
        n = self.n + other.n
        share = self.n / n
        xx, xy, yy = (share * a + (1 - share) * b for a, b in zip(self[:3], other[:3], strict=True))
        return Moments(xx, xy, yy, n)

    def each_output(self) -> Iterator[Moments]:
        """The moments of a problem for each output."""
        for k in range(len(self.yy)):
            yield Moments(self.xx, self.xy[:, k : k + 1], self.yy[k : k + 1], self.n)

    def error(self, K: Tensor) -> Tensor:
        """Mean squared error of a linear model `(d, outputs)`, for each output."""
        return self.yy - 2 * (K * self.xy).sum(dim=-2) + (K * (self.xx @ K)).sum(dim=-2)


class Start(NamedTuple):
    """A prior that many problems give in closed form.

    The precision is `pooled` factor factor^T + `ridge` I, and the examples of an average problem
    weigh `evidence` together.

    Shapes:
        mean (d, outputs), factor (d, d), noise (outputs,); pooled, ridge, evidence () and n (),
        the mean number of a problem's examples
    """

    mean: Tensor
    factor: Tensor
    noise: Tensor
    pooled: Tensor
    ridge: Tensor
    evidence: Tensor
    n: Tensor


def start(problems: Iterable[tuple[Moments, Moments]], penalty: float) -> Start | None:
    """The ridge that is pooled over problems, each of the same weight, as the mean of a prior.

    The precision has the shape of their pooled second moments, made rounder by a ridge. Of
    `EVIDENCE` and `RIDGES` those are taken with which the supports answer the queries best, each
    from the mean of the other problems. The errors of prior and posterior there,

        e0^2 = noise^2 (1 + x P0 x),  e1^2 = noise^2 (1 + x P x)

    say how large noise and precision are, by their medians over the problems.

    Args:
        problems: The moments of what each problem is learned from, and of what is asked of it.
        penalty: Of the pooled ridge and in the precision, relative to the mean square of a feature.

    Returns:
        None where there is no problem.
    """
    some: list[tuple[Moments, Moments]] = []
    number, xx, xy, n = 0, *(torch.zeros(()) for _ in range(3))
    for support, query in problems:
        whole = support.with_more(query)
        xx, xy, n = xx + whole.xx, xy + whole.xy, n + support.n
        number += 1
        if len(some) < max(FEWEST, LARGEST // whole.xx.numel()):
            some.append((support, query))
    if not number:
        return None
    xx, xy, n = xx / number, xy / number, n / number
    support, query = (Moments.stacked(each) for each in zip(*some, strict=True))
    eye = torch.eye(len(xx), dtype=xx.dtype, device=xx.device)
    square = xx.diagonal().mean().clamp(min=torch.finfo(xx.dtype).tiny)
    ridge = penalty * square * eye
    mean = torch.linalg.solve(xx + ridge, xy)
    # A problem is judged with the mean of the others: its own would know its queries.
    whole = Moments.stacked([of_support.with_more(of_query) for of_support, of_query in some])
    alone = number == 1
    xx_less, xy_less = (
        pooled.expand_as(own) if alone else (number * pooled - own) / (number - 1)
        for pooled, own in ((xx, whole.xx), (xy, whole.xy))
    )
    mean_less = torch.linalg.solve(xx_less + ridge, xy_less)
    share = (support.n / n)[:, None, None]
    left = support.xy - support.xx @ mean_less

    def posterior(evidence: float, factor: float) -> tuple[Tensor, Tensor]:
        """Squared errors `(problems, outputs)`, and the mean of x P x `(problems,)`."""
        precision = xx + factor * ridge
        P = torch.linalg.inv(evidence * share * support.xx + precision)
        errors = query.error(mean_less + P @ (evidence * share * left))
        return errors, (P * query.xx).sum(dim=(1, 2))

    unit = posterior(0.0, 1.0)[0].median(dim=0).values.clamp(min=torch.finfo(xx.dtype).tiny)

    def score(choice: tuple[float, float]) -> float:
        return float((posterior(*choice)[0].clamp(min=0) / unit).mean(dim=1).sqrt().mean())

    evidence, wider = min(product(EVIDENCE, RIDGES), key=score)
    before, doubt_before = posterior(0.0, wider)
    after, doubt_after = posterior(evidence, wider)
    (e0, h0), (e1, h1) = (
        ((errors / unit).mean(dim=1).median(), doubt.median())
        for errors, doubt in ((before, doubt_before), (after, doubt_after))
    )
    factor = torch.where(e0 > e1, (e1 * h0 - e0 * h1) / (e0 - e1), h0 * BOUNDS[1])
    factor = factor.clamp(min=h0 * BOUNDS[0], max=h0 * BOUNDS[1])
    noise = (after.median(dim=0).values / (1 + h1 / factor)).maximum(1e-6 * unit)
    cholesky = torch.linalg.cholesky(xx + LEAST * square * eye)
    wide = factor * wider * penalty * square
    return Start(mean, cholesky, noise.sqrt(), factor, wide, factor * evidence, n)
