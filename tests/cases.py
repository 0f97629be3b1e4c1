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
    ANIL,
    ARMBN,
    BOIL,
    CAVIA,
    FEAT,
    FOMAML,
    MAML,
    MANN,
    SNAIL,
    FineTuning,
    ImplicitMAML,
    InContext,
    LearnedOptimizer,
    LearnerGenerator,
    LinearProbe,
    LogisticHead,
    LogisticRegression,
    MAMLPlusPlus,
    MatchingNetwork,
    MetaSGD,
    NearestCentroid,
    NeuralProcess,
    Pooled,
    PriorHead,
    ProtoMAML,
    PrototypicalNetwork,
    RelationNetwork,
    Reptile,
    RidgeHead,
    RidgeRegression,
    SimpleShot,
    SVMHead,
    TableEnsemble,
    TableInContext,
)
from quickstudy.nets import MLP, Adapter, Conv4, Metric, ResNet12, SharedLinear, Tail, Transformer
from quickstudy.nets.norm import NormKind
from quickstudy.task import Kind
from quickstudy.testing import random_tasks

PICTURE, ROW, STATES, WAY = (1, 16, 16), (6,), (3, 8), 3
NORMS: tuple[NormKind, ...] = get_args(NormKind)
META_GRADIENTS: tuple[MetaGradient, ...] = get_args(MetaGradient)


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


def maps(norm: NormKind) -> Conv4:
    return Conv4(PICTURE, hidden=8, norm=norm, pools=2)


def shared(norm: NormKind) -> nn.Module:
    return nn.Sequential(conv(norm), SharedLinear(8))


def transformer() -> nn.Module:
    return nn.Sequential(Transformer(ROW, 8, 2, 2), SharedLinear(8))


def tail() -> nn.Module:
    return nn.Sequential(Tail(STATES, lora=2, n_heads=2), SharedLinear(8))


def plain(norm: NormKind, n_out: int = WAY) -> nn.Module:
    return nn.Sequential(MLP(ROW, (24, 24), norm), nn.Linear(24, n_out))


def shared_mlp() -> nn.Module:
    return nn.Sequential(MLP(ROW, (8,), activation="tanh"), SharedLinear(8))


def plain_mlp() -> nn.Module:
    return nn.Sequential(MLP(ROW, (8,), activation="sigmoid"), nn.Linear(8, WAY))


def value() -> nn.Module:
    return nn.Sequential(MLP(ROW, (8, 8)), nn.Linear(8, 2))


def maml(net: Callable[[], nn.Module], way: MetaGradient, **settings: Any) -> AnyLearner:
    return MAML(net(), inner_steps=2, inner_lr=0.1, meta_gradient=way, **settings)


def prior(
    net: Callable[[], nn.Module], x_shape: tuple[int, ...], kind: Kind, **settings: Any
) -> AnyLearner:
    """A prior head whose prior is that of some tasks."""
    n_out = WAY if kind == "classification" else 2
    learner = PriorHead(net(), kind, n_out, **settings)
    learner.initialise(random_tasks(kind, x_shape, n_out, seed=7))
    return learner


def proto(net: Callable[[], nn.Module]) -> AnyLearner:
    return PrototypicalNetwork(net())


def on(
    learner: Callable[..., AnyLearner], net: Callable[[], nn.Module], **settings: Any
) -> AnyLearner:
    return learner(net(), **settings)


def tables(**how: Any) -> AnyLearner:
    """A transformer over cells whose last layer is not zero, as it is before meta-training."""
    learner = TableInContext(width=8, n_row_blocks=2, n_heads=2, n_seeds=2, n_quantiles=3, **how)
    return with_last_layers(learner, learner)


def ensemble() -> AnyLearner:
    learner = TableEnsemble(width=8, n_row_blocks=2, n_heads=2, n_seeds=2)
    return with_last_layers(learner, learner.context)


def with_last_layers(learner: AnyLearner, context: TableInContext) -> AnyLearner:
    nn.init.normal_(context.read_out.weight)
    nn.init.normal_(context.trust.weight)
    return learner


dense = partial(MLP, ROW, (8, 8))
generator = partial(LearnerGenerator, hidden=8, n_random=8, n_hidden=6, rank=3, steps=3)
implicit = partial(on, ImplicitMAML, inner_steps=2, cg_steps=2)
in_context = partial(on, InContext, hidden=8, n_heads=2)
learned = partial(on, LearnedOptimizer, inner_steps=3)
mann = partial(on, MANN, memory=(7, 4), read_heads=2, hidden=8)
own = partial(Plain, 6, WAY)
process = partial(on, NeuralProcess, hidden=8, n_heads=2)
reptile = partial(on, Reptile, inner_steps=3, inner_batch=4, adapt_steps=3, adapt_batch=2)
resnet = partial(ResNet12, PICTURE, (4, 6))
snail = partial(on, SNAIL, context=12, filters=4, keys=(4, 6), values=(5, 7))
stride = partial(Conv4, PICTURE, 8, pool="stride", norm="support")

CASES = [
    *(Case(f"proto-{norm}", partial(proto, partial(conv, norm))) for norm in NORMS),
    Case("proto-stride", partial(proto, stride)),
    Case("proto-resnet12-support", partial(proto, partial(resnet, norm="support"))),
    Case("proto-resnet12-population", partial(proto, partial(resnet, pool="flatten"))),
    Case("proto-mlp", partial(proto, partial(MLP, ROW, (8, 8))), ROW),
    Case("proto-mlp-5-way", partial(proto, partial(MLP, ROW, (8, 8), "support")), ROW, 5),
    *(
        Case(f"maml-{way}-{norm}-shared", partial(maml, partial(shared, norm), way))
        for way, norm in [
            *product(["exact"], NORMS),
            ("checkpoint", "support"),
            ("first", "support"),
        ]
    ),
    *(
        Case(f"maml-{way}-{norm}-plain", partial(maml, partial(plain, norm), way), ROW)
        for way, norm in [
            *product(["exact"], NORMS),
            *product(META_GRADIENTS[1:], ["support", "population"]),
        ]
    ),
    *(
        Case(f"maml-{way}-regression", partial(maml, value, way, kind="regression"), ROW, 2)
        for way in META_GRADIENTS
    ),
    *(
        Case(f"maml-{norm}-regression", partial(maml, net, "checkpoint", kind="regression"), ROW, 2)
        for norm in ("support", "population")
        for net in [partial(plain, norm, 2)]
    ),
    *(Case(f"maml-{way}-own-module", partial(maml, own, way), ROW) for way in META_GRADIENTS),
    Case("maml-adapt-steps", partial(maml, own, "exact", adapt_steps=4), ROW),
    Case("maml-no-step", partial(maml, partial(plain, "support"), "exact", adapt_steps=0), ROW),
    *(
        Case(f"{name}-{norm}-{head.__name__}", partial(on, learner, partial(head, norm)), x_shape)
        for name, learner in [("fomaml", FOMAML), ("anil", ANIL), ("meta-sgd", MetaSGD)]
        for norm, head, x_shape in [("support", shared, PICTURE), ("population", plain, ROW)]
    ),
    *(
        Case(f"{name}-{norm}", partial(on, learner, partial(plain, norm), inner_lr=0.1), ROW)
        for name, learner in [("boil", BOIL), ("cavia", CAVIA), ("maml-plus-plus", MAMLPlusPlus)]
        for norm in ("support", "population")
    ),
    Case("cavia-film", partial(on, CAVIA, lambda: nn.Sequential(conv("support"), nn.Linear(8, 3)))),
    *(
        Case(f"proto-maml-{norm}", partial(on, ProtoMAML, partial(conv, norm)))
        for norm in NORMS[:3]
    ),
    *(
        Case(f"{name}-regression", partial(on, learner, value, kind="regression"), ROW, 2)
        for name, learner in [("anil", ANIL), ("cavia", CAVIA), ("meta-sgd", MetaSGD)]
    ),
    Case("implicit-maml-support", partial(implicit, partial(shared, "support"), cg_steps=1)),
    Case("implicit-maml-population", partial(implicit, partial(plain, "population")), ROW),
    Case(
        "implicit-maml-regression", partial(implicit, value, kind="regression", adapt_lam=0), ROW, 2
    ),
    *(
        Case(f"reptile-{norm}", partial(reptile, net, inner_optimizer="SGD", inner_lr=0.1), x_shape)
        for norm, head, x_shape in [("support", shared, PICTURE), ("population", plain, ROW)]
        for net in [partial(head, norm)]
    ),
    Case("reptile-adam", partial(reptile, lambda: nn.Sequential(dense(), SharedLinear(8))), ROW),
    Case("reptile-regression", partial(reptile, value, kind="regression"), ROW, 2),
    *(Case(f"feat-{norm}", partial(on, FEAT, partial(conv, norm))) for norm in NORMS[:3:2]),
    Case("feat-mlp", partial(on, FEAT, dense, temperature=4.0, n_heads=2), ROW),
    *(
        Case(f"matching-{norm}", partial(on, MatchingNetwork, partial(conv, norm)))
        for norm in NORMS[:3:2]
    ),
    Case("matching-mlp", partial(on, MatchingNetwork, dense), ROW),
    Case("matching-full-context", partial(on, MatchingNetwork, dense, full_context=True), ROW),
    *(
        Case(f"relation-{norm}", partial(on, RelationNetwork, partial(maps, norm)))
        for norm in NORMS
    ),
    Case("relation-mlp", partial(on, RelationNetwork, dense), ROW),
    *(
        Case(f"simple-shot-{norm}", partial(on, SimpleShot, partial(conv, norm), n_classes=WAY))
        for norm in NORMS[:3:2]
    ),
    Case("simple-shot-mlp", partial(on, SimpleShot, dense, n_classes=WAY), ROW),
    *(Case(f"in-context-{norm}", partial(in_context, partial(conv, norm))) for norm in NORMS[:3:2]),
    Case("in-context-mlp", partial(in_context, dense), ROW),
    Case("in-context-regression", partial(in_context, dense, kind="regression", n_out=2), ROW, 2),
    *(
        Case(f"neural-process-{norm}", partial(process, partial(conv, norm), attention=attention))
        for norm, attention in (("support", True), ("population", False))
    ),
    Case("neural-process-mlp", partial(process, dense), ROW),
    *(
        Case(
            f"neural-process-{name}-regression",
            partial(process, dense, kind="regression", n_out=2, **how),
            ROW,
            2,
        )
        for name, how in (("attentive", {}), ("conditional", {"attention": False}))
    ),
    *(
        Case(f"{name}-head-{case}", partial(on, head, net), x_shape)
        for name, head in [("logistic", LogisticHead), ("ridge", RidgeHead), ("svm", SVMHead)]
        for case, net, x_shape in [
            ("support", partial(conv, "support"), PICTURE),
            ("population", partial(conv, "population"), PICTURE),
            ("mlp", dense, ROW),
        ]
    ),
    *(
        Case(f"prior-head-{name}", partial(prior, net, x_shape, "classification", **how), x_shape)
        for name, net, how, x_shape in [
            ("support", partial(conv, "support"), {}, PICTURE),
            ("population", partial(conv, "population"), {}, PICTURE),
            ("mean", dense, {"evidence": "mean"}, ROW),
        ]
    ),
    *(
        Case(f"prior-head-{name}", partial(prior, net, ROW, "regression", **how), ROW, 2)
        for name, net, how in [
            ("regression", dense, {}),
            ("strength", partial(MLP, ROW, ()), {"evidence": "mean"}),
        ]
    ),
    Case("ridge-head-regression", partial(on, RidgeHead, dense, kind="regression"), ROW, 2),
    *(
        Case(f"linear-probe-{name}", partial(on, LinearProbe, net, **how), x_shape)
        for name, net, how, x_shape in [
            ("support", partial(conv, "support"), {}, PICTURE),
            ("mlp", dense, {}, ROW),
            ("fixed", partial(MLP, ROW, ()), {"C": 3.0}, ROW),
        ]
    ),
    *(
        Case(f"{name}-{norm}", partial(learner, partial(conv, norm), n_out=WAY))
        for name, learner in [("mann", mann), ("snail", snail)]
        for norm in NORMS[:3:2]
    ),
    *(
        Case(f"{name}-{kind}", partial(learner, dense, n_out=4, kind=kind), ROW, n_out)
        for name, learner in [("mann", mann), ("snail", snail)]
        for kind, n_out in (("classification", WAY), ("regression", 4))
    ),
    *(
        Case(f"learned-optimizer-{name}", partial(learned, net, **how), x_shape, n_out)
        for name, net, how, x_shape, n_out in [
            ("lstm", shared_mlp, {}, ROW, WAY),
            ("lstm-exact", shared_mlp, {"second_derivatives": True}, ROW, WAY),
            (
                "linear-batches",
                plain_mlp,
                {"rule": "linear", "batch_size": 4, "second_derivatives": True},
                ROW,
                WAY,
            ),
            (
                "meta-lstm",
                partial(shared, "support"),
                {"rule": "meta_lstm", "objective": "query"},
                PICTURE,
                WAY,
            ),
            ("mlp", plain_mlp, {"rule": "mlp", "objective": "query"}, ROW, WAY),
            ("pes", shared_mlp, {"estimator": "pes", "truncate": 2}, ROW, WAY),
            (
                "drawn-start",
                value,
                {"kind": "regression", "start_std": 0.1, "second_derivatives": True},
                ROW,
                2,
            ),
        ]
    ),
    Case("adapter", partial(proto, partial(Adapter, ROW, 5, centre=True)), ROW),
    Case("metric", partial(proto, partial(Metric, ROW, power=0.5)), ROW),
    Case("transformer-picture", partial(proto, partial(Transformer, PICTURE, 8, 2, 2))),
    Case("transformer-row", partial(maml, transformer, "exact"), ROW),
    Case("maml-tail", partial(maml, tail, "exact"), STATES),
    Case("table-ensemble", ensemble, ROW),
    Case("table-in-context", tables, ROW),
    Case("table-in-context-regression", partial(tables, kind="regression", n_out=2), ROW, 2),
    *(
        Case(f"generator-{name}", partial(generator, **how), ROW)
        for name, how in [
            *((kind, {"generates": kind}) for kind in ("mixture", "logistic")),
            ("no-step", {"steps": 0}),
        ]
    ),
    Case("arm-bn", lambda: ARMBN(plain("support")), ROW),
    Case("arm-bn-regression", lambda: ARMBN(plain("support", 2), "regression"), ROW, 2),
    Case("pooled", lambda: Pooled(plain("population")), ROW),
    Case("pooled-regression", lambda: Pooled(value(), "regression"), ROW, 2),
    Case("nearest-centroid", NearestCentroid, ROW),
    Case("logistic-regression", LogisticRegression, ROW),
    Case("ridge-regression", RidgeRegression, ROW, 2),
    Case("fine-tuning", lambda: FineTuning(conv("support"), steps=3)),
    Case("fine-tuning-mlp", lambda: FineTuning(MLP(ROW, (8,)), "regression", steps=3), ROW, 2),
]
