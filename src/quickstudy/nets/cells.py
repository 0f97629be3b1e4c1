"""The cells of a table as numbers: their place in the column, and the targets of rows near it.

The columns of a task are a set, and each is described by its own support values alone.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from quickstudy.nets.columns import Scaling, fit_scaling, scale

BINS = 32
WIDTHS = (0.02, 0.08, 0.3)
"""Widths of the kernels over quantiles, from the same value alone to a third of the rows."""
N_CELL = 4 + 2 * len(WIDTHS)
"""Numbers that describe a cell."""
SHRINK = 1.0


class Evidence(NamedTuple):
    """Sums of the targets of the support, by the place in each column.

    Shapes: total (widths, targets, d, BINS), kernel sums of the standardised targets; near
    (widths, d, BINS), those of ones.
    """

    total: Tensor
    near: Tensor


def fit_cells(x: Tensor, t: Tensor, weight: Tensor) -> tuple[Scaling, Evidence, Tensor]:
    """The scaling of a support set, its evidence, and its cells, each seen by the other rows alone.

    Args:
        x: Inputs `(examples, d)`.
        t: Standardised targets `(targets, examples)`, 0 for padding.
        weight: 1 for an example, 0 for padding `(examples,)`.

    Returns:
        The scaling, the evidence, and the cells `(targets, examples, d, N_CELL)`.
    """
    scaling = fit_scaling(x, weight)
    z, u = scale(scaling, x)
    places, kernels = _places(u), _kernels(x)
    counted = places * weight[:, None, None]
    # One product of matrices: targets by rows, rows by all places of all columns.
    total = (t @ counted.flatten(1)).view(len(t), *places.shape[1:])
    evidence = Evidence(
        torch.einsum("tdb,hbc->htdc", total, kernels),
        torch.einsum("db,hbc->hdc", counted.sum(dim=0), kernels),
    )
    own = torch.stack([(places @ kernel * places).sum(dim=2) for kernel in kernels])
    return scaling, evidence, _cells(z, u, places, evidence, (own * weight[:, None], t, weight))


def describe_cells(scaling: Scaling, evidence: Evidence, x: Tensor) -> Tensor:
    """The cells of queries `(examples, d)`: `(targets, examples, d, N_CELL)`."""
    z, u = scale(scaling, x)
    return _cells(z, u, _places(u), evidence)


def _cells(
    z: Tensor,
    u: Tensor,
    places: Tensor,
    evidence: Evidence,
    without: tuple[Tensor, Tensor, Tensor] | None = None,
) -> Tensor:
    """Numbers of each cell; without each row's own part of the evidence, where it is given."""
    total = torch.einsum("ndb,htdb->htnd", places, evidence.total)
    count = torch.einsum("ndb,hdb->hnd", places, evidence.near)[:, None]
    if without is not None:
        own, t, weight = without
        own, t = own[:, None], t[:, :, None]
        count = (count - own).clamp(min=0)
        # The targets have mean 0 with the row itself, and without it the mean of the others.
        mean_of_others = -t / (weight.sum() - 1).clamp(min=1)
        total = total - own * t - count * mean_of_others
    mean, surprise = total / (count + SHRINK), torch.tanh(total / (count + 1).sqrt() / 4)
    place = torch.stack([z / 2, 2 * u - 1, (2 * torch.pi * u).sin(), (2 * torch.pi * u).cos()], -1)
    place = place.expand(mean.shape[1], *place.shape)
    return torch.cat([place, mean.permute(1, 2, 3, 0), surprise.permute(1, 2, 3, 0)], dim=-1)


def _places(u: Tensor) -> Tensor:
    """Weights of the two nearest of `BINS` even places in [0, 1] `(examples, d, BINS)`."""
    at = torch.arange(BINS, device=u.device, dtype=u.dtype)
    return (1 - (u[..., None] * (BINS - 1) - at).abs()).clamp(min=0)


def _kernels(like: Tensor) -> Tensor:
    """Gaussian kernels between places `(widths, BINS, BINS)`."""
    at = torch.linspace(0, 1, BINS, dtype=like.dtype, device=like.device)
    apart = at[:, None] - at
    widths = torch.tensor(WIDTHS, dtype=like.dtype, device=like.device)
    return (-(apart / widths[:, None, None]).square() / 2).exp()
