"""The columns of a task as a set: scaled, described and encoded, whatever their number."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

KNOTS = 16
FAR = 4.0
TINY = 1e-6


class Scaling(NamedTuple):
    """How the columns of a task are brought to a common scale.

    Shapes: mean, std (d,); knots (d, KNOTS + 1), quantiles of each column; varies (d,), 0 for a
    column that is constant.
    """

    mean: Tensor
    std: Tensor
    knots: Tensor
    varies: Tensor


class Scaled(NamedTuple):
    """A column in two forms: standardised and held within 4, and its quantile in [0, 1].

    Shapes: z, u (examples, d).
    """

    z: Tensor
    u: Tensor


def fit_scaling(x: Tensor, weight: Tensor) -> Scaling:
    """The scaling of the examples `(examples, d)` of weight 1."""
    w, n = weight[:, None], weight.sum()
    mean = (w * x).sum(dim=0) / n
    std = ((w * (x - mean).square()).sum(dim=0) / n).sqrt()
    varies = (std > TINY * (1 + mean.abs())).to(x)
    # Rows that do not count are sorted to the end and not reached.
    ordered = torch.where(w > 0, x, torch.inf).sort(dim=0).values
    place = torch.linspace(0, 1, KNOTS + 1, dtype=x.dtype, device=x.device) * (n - 1)
    low = place.floor().long()
    high = torch.minimum(low + 1, (n - 1).long())
    knots = torch.lerp(ordered[low], ordered[high], (place - low)[:, None])
    return Scaling(mean, torch.where(varies > 0, std, 1.0), knots.T, varies)


def scale(scaling: Scaling, x: Tensor) -> Scaled:
    """The columns of `x` `(examples, d)`; those that are constant in the support become 0."""
    z = ((x - scaling.mean) / scaling.std).clamp(-FAR, FAR) * scaling.varies
    low, high = scaling.knots[:, :-1], scaling.knots[:, 1:]
    least = TINY * scaling.std[:, None]
    # A value that many rows share is in the middle of their ranks.
    middle = 0.5 * (high - low < least)
    u = ((x[:, :, None] - low) / (high - low).clamp(min=least) + middle).clamp(0, 1).mean(dim=2)
    return Scaled(z, u * scaling.varies)


class Described(NamedTuple):
    """Statistics and embeddings of the support: of each column, and of the task.

    Shapes: classes (d, way, stats); columns (d, stats); task (stats,); relevance (d,), the share of
    a column's variance that is between the classes; deviation (d,), of u; two_valued (d,), 1 for a
    column of two values; order (d,), by which columns are put in order, wherever they stand.
    """

    classes: Tensor
    columns: Tensor
    task: Tensor
    relevance: Tensor
    deviation: Tensor
    two_valued: Tensor
    order: Tensor


CLASS_STATS, COLUMN_STATS, TASK_STATS = 5, 12, 11


def describe(scaled: Scaled, y: Tensor, weight: Tensor, varies: Tensor) -> Described:
    """Statistics that do not depend on the order of rows, columns or classes, nor on padding."""
    z, u = scaled
    w, n = weight[:, None], weight.sum()
    member = y * w
    count = member.sum(dim=0)
    present = (count > 0).to(z)
    way, share = present.sum(), count / n
    safe = count.clamp(min=1)

    def centred(v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """v in units of its deviation, class means (d, way), and the between-class share."""
        v = v - (w * v).sum(dim=0) / n
        v = v / ((w * v.square()).sum(dim=0) / n + TINY).sqrt()
        means = (v.T @ member) / safe
        return v, means, (means.square() * share).sum(dim=1).clamp(0, 1 - TINY)

    _, centres, of_z = centred(z)
    v, ranks, of_u = centred(u)
    # Columns whose middle, rather than an end, tells the classes apart.
    _, _, of_middle = centred(v.square())
    spread = ((v.square().T @ member) / safe - ranks.square()).clamp(min=0).sqrt()
    free = (n - way).clamp(min=1)
    ratios = [eta / (1 - eta) * free / (way - 1).clamp(min=1) for eta in (of_z, of_u, of_middle)]
    by_chance = (way - 1) / (n - 1).clamp(min=1)
    excess = torch.maximum(of_z, of_u) - by_chance
    relevance = excess.clamp(min=0) * varies
    deviation = ((w * u.square()).sum(dim=0) / n - ((w * u).sum(dim=0) / n).square()).clamp(0)
    # Kurtosis is at least squared skewness + 1, and is that for two values alone.
    skewness, kurtosis = ((w * v**k).sum(dim=0) / n for k in (3, 4))
    two_valued = (20 * (skewness.square() + 1 - kurtosis)).clamp(max=0).exp() * varies
    correlation = ((z * w).T @ z / n).square()
    n_columns = varies.sum().clamp(min=1)
    classes = [centres, ranks, spread, centres * safe.sqrt() / 4, share.expand_as(centres)]
    columns = [
        *(torch.log1p(ratio) for ratio in ratios),
        of_z.sqrt(),
        of_u.sqrt(),
        of_middle.sqrt(),
        relevance / (relevance.max() + TINY),
        (deviation + TINY).sqrt() * 3,
        two_valued,
        (w * z**3).sum(dim=0) / n / 4,
        ((w * z**4).sum(dim=0) / n + 1).log() / 2,
        (correlation @ varies) / n_columns,
    ]
    entropy = -(share * (share + TINY).log()).sum()
    task = [
        n.log() / 4 - 1,
        n_columns.log() / 2 - 1,
        (n / n_columns).log() / 3,
        way.log() - 1,
        entropy / way.log().clamp(min=0.5),
        share.max(),
        relevance.max(),
        (relevance * varies).sum() / n_columns,
        (relevance.sum().square() / (relevance.square().sum() + TINY)).clamp(min=1).log() / 2,
        (correlation * varies).sum() / n_columns.square(),
        two_valued.sum() / n_columns,
    ]
    return Described(
        torch.stack(classes, dim=2) * present[None, :, None],
        torch.stack(columns, dim=1) * varies[:, None],
        torch.stack(task),
        relevance,
        (deviation + TINY).sqrt() * varies,
        two_valued,
        # Columns below chance differ too; one and its complement do in their skewness alone.
        torch.where(varies > 0, excess + 1e-5 * skewness.tanh(), -2.0),
    )


class ColumnsEncoder(nn.Module):
    """Reads the columns of a support set as a set; gives a vector a column and one for the task.

        p_jn = f(statistics of column j and class n),     q_j = mean and largest over n of p_jn
        h_j = g(q_j, statistics of column j),  pooled = mean and largest over j of h_j
        t = r(pooled, statistics of the task),  h'_j = h_j + m(h_j, t)

    Args:
        hidden: Width of each vector.

    Shapes:
        -> columns (d, hidden), task (hidden,)

    Source: Zaheer et al.: Deep Sets, NeurIPS 2017; Jomaa, Schmidt-Thieme, Grabocka: Dataset2Vec,
    Data Mining and Knowledge Discovery 2021 (columns by classes).
    """

    def __init__(self, hidden: int = 32) -> None:
        super().__init__()
        self.of_class = _two_layers(CLASS_STATS, hidden // 2)
        self.of_column = _two_layers(hidden + COLUMN_STATS, hidden)
        self.of_task = _two_layers(2 * hidden + TASK_STATS, hidden)
        self.together = _two_layers(2 * hidden, hidden)

    def forward(
        self, described: Described, present: Tensor, varies: Tensor
    ) -> tuple[Tensor, Tensor]:
        p = self.of_class(described.classes)
        of_classes = _pooled(p.transpose(0, 1), present[:, None, None])
        h = self.of_column(torch.cat([of_classes, described.columns], dim=1))
        t = self.of_task(torch.cat([_pooled(h, varies[:, None]), described.task]))
        h = h + self.together(torch.cat([h, t.expand(len(h), -1)], dim=1))
        return h, t


def _two_layers(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, n_out), nn.SiLU(), nn.Linear(n_out, n_out), nn.SiLU())


def _pooled(values: Tensor, real: Tensor) -> Tensor:
    """Mean and largest along the first axis, of what is real."""
    mean = (values * real).sum(dim=0) / real.sum().clamp(min=1)
    largest = torch.where(real > 0, values, -10.0).amax(dim=0)
    return torch.cat([mean, largest], dim=-1)
