"""Every learner configuration that the tests run through: one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, get_args

import torch
from torch import Tensor, nn

from quickstudy.inner.descent import MetaGradient
from quickstudy.learner import AnyLearner
from quickstudy.learners import (
    MAML,
    FineTuning,
    LogisticRegression,
    NearestCentroid,
    PrototypicalNetwork,
    RidgeRegression,
)
from quickstudy.nets import MLP, Conv4, SharedLinear
from quickstudy.nets.norm import NormKind

PICTURE, ROW, WAY = (1, 16, 16), (6,), 3
NORMS: tuple[NormKind, ...] = get_args(NormKind)
WAYS: tuple[MetaGradient, ...] = get_args(MetaGradient)


@dataclass(frozen=True)
class Case:
    """A learner, made anew by `build`, and the tasks it takes."""

    name: str
    build: Callable[[], AnyLearner]
    x_shape: tuple[int, ...] = PICTURE
    n_out: int = WAY

    def __str__(self) -> str:
        return self.name


class Plain(nn.Module):
    """A network as a user would write it, knowing nothing of quickstudy."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(n_in, 8), nn.Linear(8, n_out)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.gain * self.last(torch.tanh(self.first(x)))


def conv(norm: NormKind) -> Conv4:
    return Conv4(PICTURE, hidden=8, norm=norm)


def shared(norm: NormKind) -> nn.Module:
    return nn.Sequential(conv(norm), SharedLinear(8))


def plain(norm: NormKind, n_out: int = WAY) -> nn.Module:
    return nn.Sequential(MLP(ROW, (24, 24), norm), nn.Linear(24, n_out))


def value() -> nn.Module:
    return nn.Sequential(MLP(ROW, (8, 8)), nn.Linear(8, 2))


def maml(net: Callable[[], nn.Module], way: MetaGradient, **settings: Any) -> AnyLearner:
    return MAML(net(), inner_steps=2, inner_lr=0.1, meta_gradient=way, **settings)


def proto(net: Callable[[], nn.Module]) -> AnyLearner:
    return PrototypicalNetwork(net())


own = partial(Plain, 6, WAY)
stride = partial(Conv4, PICTURE, 8, pool="stride", norm="support")

CASES = [
    *(Case(f"proto-{norm}", partial(proto, partial(conv, norm))) for norm in NORMS),
    Case("proto-stride", partial(proto, stride)),
    Case("proto-mlp", partial(proto, partial(MLP, ROW, (8, 8))), ROW),
    Case("proto-mlp-5-way", partial(proto, partial(MLP, ROW, (8, 8), "support")), ROW, 5),
    *(
        Case(f"maml-{way}-{norm}-shared", partial(maml, partial(shared, norm), way))
        for way, norm in [*product(["exact"], NORMS), ("mixed", "support"), ("first", "support")]
    ),
    *(
        Case(f"maml-{way}-{norm}-plain", partial(maml, partial(plain, norm), way), ROW)
        for way, norm in [*product(["exact"], NORMS), *product(WAYS[1:], ["support", "population"])]
    ),
    *(
        Case(f"maml-{way}-regression", partial(maml, value, way, kind="regression"), ROW, 2)
        for way in WAYS
    ),
    *(
        Case(f"maml-{norm}-regression", partial(maml, net, "mixed", kind="regression"), ROW, 2)
        for norm in ("support", "population")
        for net in [partial(plain, norm, 2)]
    ),
    *(Case(f"maml-{way}-own-module", partial(maml, own, way), ROW) for way in WAYS),
    Case("maml-adapt-steps", partial(maml, own, "exact", adapt_steps=4), ROW),
    Case("maml-no-step", partial(maml, partial(plain, "support"), "exact", adapt_steps=0), ROW),
    Case("nearest-centroid", NearestCentroid, ROW),
    Case("logistic-regression", LogisticRegression, ROW),
    Case("ridge-regression", RidgeRegression, ROW, 2),
    Case("fine-tuning", lambda: FineTuning(conv("support"), steps=3)),
    Case("fine-tuning-mlp", lambda: FineTuning(MLP(ROW, (8,)), "regression", steps=3), ROW, 2),
]
