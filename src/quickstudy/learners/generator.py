"""A network that reads a task's support set and writes the classifier for it."""

from __future__ import annotations

import copy
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.inner.majorised import majorised
from quickstudy.learner import AnyLearner, Learner, Tags
from quickstudy.learners.generator_parts import (
    CONSTANT,
    LOSSES,
    PARTS,
    PENALTIES,
    SHARPNESS,
    TWO_VALUED,
    Part,
    features,
    low_rank_layer,
    random_features,
)
from quickstudy.nets.columns import ColumnsEncoder, Described, Scaling, describe, fit_scaling, scale
from quickstudy.task import Examples, class_present, mask_absent

LEAST = 1e-30


class GeneratorState(NamedTuple):
    """The generated classifiers.

    Shapes: scaling, of `quickstudy.nets.columns.Scaling`; parts, for each classifier its weight
    (features + 1, way), its sharpness (), and what makes its features of the columns; shares
    (parts,), of the probabilities; present (way,), 0 for padding.

    And in `why`, which no prediction uses: columns (parts, d), how much each classifier looks at a
    column; penalties (parts,); preference (parts,), the shares by the network alone; left_out
    (parts,), the cross-entropy in nats of the support examples, each left out.
    """

    scaling: dict[str, Tensor]
    parts: dict[str, dict[str, Tensor]]
    shares: Tensor
    present: Tensor
    why: dict[str, Tensor]


class LearnerGenerator(Learner[GeneratorState]):
    """Reads the support set as a set of columns, and generates a small classifier of its rows.

    The network writes what a data scientist would choose by hand: how much each column counts, how
    it is scaled, the width of the kernel, the strength of the penalty, a start for the weights, and
    how far to trust each kind of classifier. The weights then are the result of a fixed number of
    steps towards the minimum of a convex problem, through which the gradient flows.

    adapt:    z, u = standardised columns, their quantiles;  h_j, t = encoder(statistics)
              logistic:  phi(x) = a(h) * ((1 - b(h)) z + b(h) u)
              svm:       phi(x) = cos and sin of Omega^T (c(h) * u),  random and fixed Omega
              mlp:       phi(x) = relu(U^T (g(t) * Omega'^T (e(h) * u)) + bias)
              W = argmin sum_i l(phi(x_i) W, y_i) + lam(t) / 2 ||W - M||^2,
              M = r(t) * class means of phi
              shares = softmax(s(t) - k * cross-entropy of each part, examples left out)
    predict:  logits(x) = log sum_p shares_p softmax(sharpness_p(t) * phi_p(x) W_p)

    Args:
        generates: Which classifier; `"mixture"` for all three, with shares for each task.
        hidden: Width of the encoder.
        n_random: Random features of the support vector machine.
        n_hidden: Hidden units of the generated MLP.
        rank: Rank of its first layer.
        steps: Steps towards the minimum; 0 for W = M, which the network alone generates.

    Shapes:
        state.parts[p]["weight"] (features + 1, way), prediction (query, way)

    Properties: any number of columns and classes; the order of the columns, rows and classes does
    not matter, nor do the units of a column, nor one that is constant.

    Differs from the papers: what is generated is a prior and a start, and convex steps do the
    rest, where HyperFast and MotherNet generate final weights; all columns go through one
    network, so that any number is served. With `steps=0` it is a generator alone. The random
    directions of a column are those of its rank in relevance, which keeps the order of columns out.
    Before meta-training the network says 0, which stands for settings chosen by hand.

    Source: Bertinetto et al.: Learning Feed-forward One-shot Learners, NeurIPS 2016 (a factor of
    the weights is generated, the other is meta-learned); Bonet et al.: HyperFast, AAAI 2024;
    Müller, Curino, Ramakrishnan: MotherNet, ICLR 2025; Rahimi, Recht: Random Features for
    Large-Scale Kernel Machines, NeurIPS 2007.

    Example:
        >>> learner = LearnerGenerator(steps=2)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(reads_columns=True)

    def __init__(
        self,
        generates: Literal["mixture", "logistic", "svm", "mlp"] = "mixture",
        hidden: int = 32,
        n_random: int = 512,
        n_hidden: int = 128,
        rank: int = 32,
        steps: int = 12,
    ) -> None:
        super().__init__()
        if generates not in ("mixture", *PARTS) or min(hidden, n_random, n_hidden, rank) < 2:
            raise UserError(
                "LearnerGenerator: generates must be one of mixture, "
                f"{', '.join(PARTS)}, and every size at least 2; received {generates!r} and sizes "
                f"{(hidden, n_random, n_hidden, rank)}; correct them."
            )
        if steps < 0:
            raise UserError(
                f"LearnerGenerator: steps must be at least 0; received {steps}; give 0 or more."
            )
        self.parts = PARTS if generates == "mixture" else (generates,)
        self.n_random, self.rank, self.steps = n_random, rank, steps
        self.encoder = ColumnsEncoder(hidden)
        n = len(PARTS)
        self.of_column = _zero_linear(hidden, n + 1)
        self.of_task = _zero_linear(hidden, 4 * n + 2 + rank)
        self.trust = nn.Parameter(torch.tensor(0.3))
        self.mix = nn.Parameter(torch.randn(rank, n_hidden))
        self.shift = nn.Parameter(torch.linspace(-1.5, 1.5, n_hidden))

    def adapt(self, support: Examples) -> GeneratorState:
        x, y, weight = support
        if x.ndim != 2:
            raise UserError(
                f"LearnerGenerator: is for rows of tables; received inputs of shape "
                f"{tuple(x.shape[1:])}; choose another learner, such as PrototypicalNetwork."
            )
        scaling = fit_scaling(x, weight)
        scaled = scale(scaling, x)
        present = class_present(support)
        described = describe(scaled, y, weight, scaling.varies)
        h, t = self.encoder(described, present, scaling.varies)
        chosen = self._choose(h, t, described, scaling.varies)
        parts: dict[str, dict[str, Tensor]] = {}
        losses = []
        for part in self.parts:
            i = PARTS.index(part)
            ingredients = chosen.features[part]
            phi = features(part, ingredients, scaled)
            start = self._start(part, phi, support, chosen.gains[i])
            fit = majorised(phi, y, weight, chosen.penalties[i], start, LOSSES[part], self.steps)
            log_p = torch.log_softmax(
                mask_absent(chosen.sharpness[i] * fit.left_out, present), dim=1
            )
            losses.append(-(weight * (y * log_p).sum(dim=1)).sum() / weight.sum())
            parts[part] = {"weight": fit.weight, "sharpness": chosen.sharpness[i], **ingredients}
        left_out, which = torch.stack(losses), [PARTS.index(part) for part in self.parts]
        preference = chosen.shares[which]
        why = {
            "columns": chosen.columns[which],
            "penalties": chosen.penalties[which],
            "preference": torch.softmax(preference, dim=0),
            "left_out": left_out,
        }
        evidence = self.trust * left_out * weight.sum().sqrt()
        shares = torch.softmax(preference - evidence, dim=0)
        return GeneratorState(scaling._asdict(), parts, shares, present, why)

    def predict(self, state: GeneratorState, x: Tensor) -> Tensor:
        scaled = scale(Scaling(**state.scaling), x)
        log_p = []
        for part, share in zip(self.parts, state.shares, strict=True):
            part_state = state.parts[part]
            logits = part_state["sharpness"] * (
                features(part, part_state, scaled) @ part_state["weight"]
            )
            # A share that is 0 but for rounding would have no finite gradient.
            log_share = share.clamp(min=LEAST).log()
            log_p.append(log_share + torch.log_softmax(mask_absent(logits, state.present), dim=1))
        return mask_absent(torch.logsumexp(torch.stack(log_p), dim=0), state.present)

    def ablations(self) -> dict[str, AnyLearner]:
        if not self.steps:
            return {}
        stepless = copy.deepcopy(self)
        stepless.steps = 0
        return {"without its steps": stepless}

    def _choose(self, h: Tensor, t: Tensor, described: Described, varies: Tensor) -> Chosen:
        """The outputs of the network, as the quantities that the classifiers are made with."""
        n = len(PARTS)
        of_column, of_task = self.of_column(h), self.of_task(t)
        log_penalty, gain, log_sharpness, share = of_task[: 4 * n].view(4, n)
        log_width, tail = of_task[4 * n : 4 * n + 2]
        start = torch.tensor([PENALTIES[p] for p in PARTS]).to(t)
        sharpness = torch.tensor([SHARPNESS[p] for p in PARTS]).to(t)
        columns = (2 * of_column[:, :n].tanh()).exp().T * varies
        mean = described.relevance.sum() / varies.sum().clamp(min=1)
        favoured = (0.1 + described.relevance / (mean + 1e-3)).sqrt()
        two = described.two_valued
        plain = columns[0] * (1 - (1 - TWO_VALUED) * two)
        kernel, hidden = columns[1] * favoured, columns[2] * favoured
        # Columns in the order of relevance take the first random directions.
        place = described.order.argsort(descending=True, stable=True).argsort()
        of_columns = (described.deviation, place)
        gains = 1 + of_task[4 * n + 2 :].tanh()
        return Chosen(
            features={
                "logistic": {
                    "scale": plain,
                    "ranks": two + (1 - two) * torch.sigmoid(of_column[:, n] - 2),
                },
                "svm": random_features(
                    kernel, *of_columns, log_width.exp(), torch.sigmoid(tail + 1), self.n_random
                ),
                "mlp": {
                    "first": low_rank_layer(hidden, *of_columns, gains, self.mix),
                    "shift": self.shift,
                },
            },
            penalties=start * (3 * log_penalty.tanh()).exp(),
            gains=gain,
            sharpness=sharpness * (2 * log_sharpness.tanh()).exp(),
            shares=share,
            columns=torch.stack([plain, kernel, hidden]),
        )

    def _start(self, part: Part, phi: Tensor, support: Examples, gain: Tensor) -> Tensor:
        """M (features, way): class means of the features, and how frequent each class is."""
        member = support.y * support.weight[:, None]
        share = member.sum(dim=0) / support.weight.sum()
        means = (phi.T @ member) / member.sum(dim=0).clamp(min=1)
        centre = (phi.T @ support.weight) / support.weight.sum()
        base = (share.clamp(min=1e-3)).log() if LOSSES[part] == "logistic" else 2 * share - 1
        start = gain * (means - centre[:, None]) * (share > 0)
        return torch.cat([start[:-1], base[None] / CONSTANT])


class Chosen(NamedTuple):
    """The network's choice: features of each part; penalties, gains, sharpness, shares (parts,);
    columns (parts, d)."""

    features: dict[Part, dict[str, Tensor]]
    penalties: Tensor
    gains: Tensor
    sharpness: Tensor
    shares: Tensor
    columns: Tensor


def _zero_linear(n_in: int, n_out: int) -> nn.Linear:
    """A linear layer whose output is 0 until it is trained."""
    layer = nn.Linear(n_in, n_out)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
