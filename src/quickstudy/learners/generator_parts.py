"""The three classifiers that a learner generator writes: what their features are made of."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from quickstudy.inner.majorised import Loss
from quickstudy.nets.columns import Scaled

Part = Literal["logistic", "svm", "mlp"]
PARTS: tuple[Part, ...] = get_args(Part)
LOSSES: dict[Part, Loss] = {"logistic": "logistic", "svm": "hinge", "mlp": "logistic"}
PENALTIES: dict[Part, float] = {"logistic": 1.0, "svm": 0.3, "mlp": 0.1}
SHARPNESS: dict[Part, float] = {"logistic": 1.0, "svm": 3.0, "mlp": 1.0}
CONSTANT = 3.0
"""The last feature of every classifier; the larger, the less its weight, the bias, is penalised."""
TWO_VALUED = 0.58
"""Makes the two values of a column 1 apart: their quantiles are 1 / 2 apart, times sqrt(12)."""
MEAN_APART = 1.1
"""Mean absolute difference of two draws, in standard deviations: sqrt(4 / 3) if uniform."""


def features(part: Part, ingredients: dict[str, Tensor], scaled: Scaled) -> Tensor:
    """phi `(examples, features)`, the last of which is constant."""
    if part == "logistic":
        ranks = ingredients["ranks"]
        # Quantiles with the mean 0 and the deviation 1 of a column without ties.
        spread = (scaled.u - 0.5) * math.sqrt(12)
        phi = ingredients["scale"] * ((1 - ranks) * scaled.z + ranks * spread)
    elif part == "svm":
        angle = scaled.u @ ingredients["frequencies"]
        phi = torch.cat(
            [ingredients["amplitude"] * wave(angle) for wave in (torch.cos, torch.sin)], dim=1
        )
    else:
        phi = torch.relu((scaled.u - 0.5) @ ingredients["first"] + ingredients["shift"])
        phi = phi / math.sqrt(phi.shape[1])
    return torch.cat([phi, torch.full_like(phi[:, :1], CONSTANT)], dim=1)


def random_features(
    columns: Tensor, deviation: Tensor, place: Tensor, width: Tensor, wide_share: Tensor, n: int
) -> dict[str, Tensor]:
    """Random features of two kernels, for half as many frequencies as features.

        k(x, x') = wide_share exp(-width L1(x, x')) + (1 - wide_share) exp(-width^2 L2(x, x')^2 / 2)

    with each distance over columns times `columns`, in units of what two rows are apart on average.

    Args:
        columns: How much each column counts.
        deviation: Standard deviation of each.
        place: Which random direction each takes.
        width, wide_share: Of the kernels.
        n: How many features.

    Source: Rahimi, Recht: Random Features for Large-Scale Kernel Machines, NeurIPS 2007.
    """
    d, m = len(columns), n // 2
    wide = (3 * m) // 4
    mean_l1 = (MEAN_APART * columns * deviation).sum() + 1e-6
    mean_l2 = (2 * (columns * deviation).square()).sum().sqrt() + 1e-6
    frequencies = columns[:, None] * torch.cat(
        [
            directions(d, wide, "wide").to(columns)[place] * width / mean_l1,
            directions(d, m - wide, "normal").to(columns)[place] * width / mean_l2,
        ],
        dim=1,
    )
    amplitude = torch.cat(
        [
            (wide_share / wide).sqrt().expand(wide),
            ((1 - wide_share) / (m - wide)).sqrt().expand(m - wide),
        ]
    )
    return {"frequencies": frequencies, "amplitude": amplitude}


def low_rank_layer(
    columns: Tensor, deviation: Tensor, place: Tensor, gains: Tensor, mix: Tensor
) -> Tensor:
    """W = diag(columns) R diag(gains) mix, (d, hidden), with random R (d, rank).

    Its scale is that of projections of unit variance.
    """
    inner = directions(len(columns), len(gains), "normal").to(columns)[place]
    size = ((columns * deviation).square().sum() * len(gains) + 1e-6).sqrt()
    return (columns[:, None] * inner) @ (gains[:, None] * mix) / size


@lru_cache(maxsize=64)
def directions(d: int, m: int, kind: Literal["normal", "wide"]) -> Tensor:
    """Random numbers (d, m) that are always the same; the first rows do not depend on d."""
    rng = np.random.Generator(np.random.Philox(key=("normal", "wide").index(kind)))
    if kind == "normal":
        return torch.from_numpy(rng.standard_normal((d, m)))
    # Cauchy, whose kernel is exp(-|difference|); held within what float32 tells apart.
    return torch.from_numpy(np.tan(math.pi * (rng.random((d, m)) - 0.5)).clip(-100, 100))
