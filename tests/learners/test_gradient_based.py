"""MAML with one thing changed: each variation against its paper's equations, and by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from cases import ROW, WAY
from reference import gradient_based as reference
from small import blobs, sinusoid
from torch import Tensor, nn

from quickstudy import Training, build
from quickstudy.batching.batch import meta_gradient
from quickstudy.errors import UserError
from quickstudy.evaluation.scores import score
from quickstudy.inner.descent import MetaGradient
from quickstudy.learners import (
    ANIL,
    BOIL,
    CAVIA,
    FOMAML,
    MAML,
    MAMLPlusPlus,
    MetaSGD,
    ProtoMAML,
    PrototypicalNetwork,
)
from quickstudy.learners.gradient_based import GradientBased
from quickstudy.learners.maml_plus_plus import step_weights
from quickstudy.nets import MLP, Conv4, SharedLinear
from quickstudy.task import Task, stack
from quickstudy.tasks import Sinusoid
from quickstudy.testing import random_tasks
from quickstudy.training.loop import train

WIDTH, STEPS, LR = 8, 2, 0.1
NAMES = {
    "net.0.layers.0.layer": "first",
    "net.0.layers.0": "first",
    "net.0.layers.2": "second",
    "net.1": "head",
}


def net() -> nn.Module:
    return nn.Sequential(MLP(ROW, (WIDTH, WIDTH)), nn.Linear(WIDTH, WAY))


def task() -> Task:
    return random_tasks("classification", ROW, WAY, seed=2)[0]


def short(name: str) -> str:
    """The reference's name of a parameter."""
    renamed = {
        "net.0.layers.0.weight": "first.weight",
        "net.0.layers.0.context": "context",
    }
    if name in renamed:
        return renamed[name]
    layer, _, leaf = name.rpartition(".")
    return f"{NAMES[layer]}.{leaf}" if layer in NAMES else name


def everything(name: str) -> bool:
    return name.startswith(("first", "second", "head"))


def constant(theta: dict[str, Tensor], name: str, step: int) -> float:
    return LR


def compare(learner: GradientBased, **how: Any) -> None:
    """Prediction, loss and meta-gradient are the reference's, as a loop and as a vmap."""
    learner = learner.double()
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in learner.meta_parameters().values():
            p.add_(0.1 * torch.randn(p.shape, generator=rng, dtype=p.dtype))
    drawn = task()
    support, query = (
        (part.x, part.y.argmax(dim=1).tolist()) for part in (drawn.support, drawn.query)
    )
    rename = how.pop("rename", short)
    weights = {rename(name): p.detach().clone() for name, p in learner.meta_parameters().items()}
    how = {"adapted": everything, "rate": constant, **how}
    if "start" in how:
        how["start"] = partial(how["start"], support=support)
    prediction, loss, gradient = reference.task(weights, support, query, STEPS, **how)
    for batching in ("loop", "vmap"):
        found = meta_gradient(learner, stack([drawn]), batching)  # type: ignore[arg-type]
        torch.testing.assert_close(found.losses[0], loss, rtol=1e-9, atol=1e-11)
        renamed = {rename(name): g for name, g in found.gradients.items()}
        torch.testing.assert_close(renamed, gradient, rtol=1e-7, atol=1e-10)
    torch.testing.assert_close(learner.respond(drawn).detach(), prediction, rtol=1e-8, atol=1e-9)


def test_fomaml() -> None:
    compare(FOMAML(net(), inner_lr=LR, inner_steps=STEPS), first_order=True)


@pytest.mark.parametrize("way", ["exact", "checkpoint", "first"])
@pytest.mark.parametrize(
    ("learner", "adapted"),
    [
        (ANIL, lambda name: name.startswith("head")),
        (BOIL, lambda name: name.startswith(("first", "second"))),
    ],
    ids=["anil", "boil"],
)
def test_anil_and_boil(
    learner: type[ANIL] | type[BOIL], adapted: Callable[[str], bool], way: MetaGradient
) -> None:
    made = learner(net(), inner_lr=LR, inner_steps=STEPS, meta_gradient=way)
    compare(made, adapted=adapted, first_order=way == "first")


@pytest.mark.parametrize("way", ["exact", "checkpoint", "first"])
def test_meta_sgd(way: MetaGradient) -> None:
    learner = MetaSGD(net(), inner_lr=LR, inner_steps=STEPS, meta_gradient=way)
    adapted = [short(f"net.{name}") for name in learner.adapted]

    def rate(theta: dict[str, Tensor], name: str, step: int) -> Tensor:
        return theta[f"rates.{adapted.index(name)}"]

    compare(learner, rate=rate, first_order=way == "first")


@pytest.mark.parametrize("way", ["exact", "checkpoint"])
@pytest.mark.parametrize("progress", [0.0, 0.05, 0.5])
def test_maml_plus_plus(way: MetaGradient, progress: float) -> None:
    learner = MAMLPlusPlus(net(), inner_lr=LR, inner_steps=STEPS, meta_gradient=way)
    learner.on_progress(progress)
    adapted = [short(f"net.{name}") for name in learner.adapted]

    def rate(theta: dict[str, Tensor], name: str, step: int) -> Tensor:
        return theta["rates"][adapted.index(name), step]

    early = {0.0: 1 / 2, 0.05: 1 / 4, 0.5: 0.03 / 2}[progress]
    compare(learner, rate=rate, step_weights=[early, 1 - early])


def test_maml_plus_plus_begins_with_first_order() -> None:
    learner = MAMLPlusPlus(net(), inner_steps=3, first_order=0.5)
    learner.on_progress(0.49)
    assert learner.meta_gradient == "first"
    learner.on_progress(0.5)
    assert learner.meta_gradient == "exact"


@pytest.mark.parametrize(
    ("progress", "want"),
    [
        (0.0, [0.2, 0.2, 0.2, 0.2, 0.2]),
        (0.05, [0.1, 0.1, 0.1, 0.1, 0.6]),
        (0.1, [0.006, 0.006, 0.006, 0.006, 0.976]),
        (0.9, [0.006, 0.006, 0.006, 0.006, 0.976]),
    ],
)
def test_step_weights_fall_to_their_floor_and_sum_to_one(
    progress: float, want: list[float]
) -> None:
    found = step_weights(5, progress, until=0.1, floor=0.03)
    assert found == pytest.approx(want)
    assert sum(found) == pytest.approx(1)


@pytest.mark.parametrize("way", ["exact", "checkpoint", "first"])
def test_proto_maml(way: MetaGradient) -> None:
    learner = ProtoMAML(MLP(ROW, (WIDTH, WIDTH)), inner_lr=LR, inner_steps=STEPS, meta_gradient=way)
    start = partial(reference.prototype_head, way=WAY)
    compare(learner, start=lambda theta, support: start(theta, support), first_order=way == "first")


def test_proto_maml_without_a_step_is_a_prototypical_network() -> None:
    torch.manual_seed(0)
    encoder = MLP(ROW, (WIDTH, WIDTH))
    found = ProtoMAML(encoder, inner_steps=0).double().respond(task())
    want = PrototypicalNetwork(encoder).double().respond(task())
    torch.testing.assert_close(found.softmax(dim=1), want.softmax(dim=1))


@pytest.mark.parametrize("way", ["exact", "checkpoint", "first"])
def test_cavia(way: MetaGradient) -> None:
    learner = CAVIA(net(), n_context=3, inner_lr=LR, inner_steps=STEPS, meta_gradient=way)

    def rename(name: str) -> str:
        return {
            "net.0.layers.0.layer.weight": "first.weight",
            "net.0.layers.0.layer.bias": "first.bias",
            "net.0.layers.0.weight": "first.context",
        }.get(name) or short(name)

    compare(
        learner,
        adapted=lambda name: name == "context",
        start=lambda theta, support: {
            "context": torch.zeros(3, dtype=torch.float64, requires_grad=True)
        },
        first_order=way == "first",
        rename=rename,
    )


def test_cavia_adapts_nothing_but_its_context() -> None:
    learner = CAVIA(nn.Sequential(Conv4((1, 16, 16), 8), nn.Linear(8, WAY)), n_context=4).double()
    state = learner.adapt(random_tasks("classification", (1, 16, 16), WAY)[0].support)
    assert {name: t.shape for name, t in state.parameters.items()} == {"0.blocks.2.1.context": (4,)}
    assert not any(name.endswith("context") for name in learner.meta_parameters())


def test_cavia_leaves_the_network_it_is_given_alone() -> None:
    given = net()
    names = [name for name, _ in given.named_parameters()]
    CAVIA(given)
    assert [name for name, _ in given.named_parameters()] == names


def test_state_holds_only_what_adapts() -> None:
    support = task().support
    assert {*ANIL(net()).double().adapt(support).parameters} == {"1.weight", "1.bias"}
    assert not {"1.weight", "1.bias"} & {*BOIL(net()).double().adapt(support).parameters}


def test_anil_runs_its_body_once_for_all_steps() -> None:
    calls = []
    model = net()
    model[0].register_forward_hook(lambda *_: calls.append(1))  # type: ignore[index, union-attr]
    ANIL(model, inner_steps=5).double().adapt(task().support)
    assert len(calls) == 1


@pytest.mark.parametrize("learner", [BOIL, CAVIA])
def test_a_head_that_does_not_adapt_needs_a_row_for_each_class(learner: Any) -> None:
    with pytest.raises(UserError, match=r"head does not adapt.*per_class"):
        learner(nn.Sequential(MLP(ROW, (8,)), SharedLinear(8)))


def test_cavia_needs_a_place_for_its_context() -> None:
    with pytest.raises(UserError, match="context needs a place"):
        CAVIA(nn.Sequential(nn.Flatten(), nn.Conv1d(1, 2, 3)))


def test_dropout_is_refused_where_steps_are_run_again() -> None:
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, WAY))
    MAML(net, meta_gradient="exact")
    with pytest.raises(UserError, match="dropout in '0'; use meta_gradient exact"):
        MAML(net, meta_gradient="checkpoint")


def test_more_steps_than_learned_take_the_last_rates() -> None:
    learner = MAMLPlusPlus(net(), inner_steps=2).requires_grad_(False)
    with torch.no_grad():
        learner.rates.copy_(torch.arange(12.0).view(6, 2))
    assert [float(learner._rate(learner.adapted[1], k)) for k in range(4)] == [2, 3, 3, 3]


@pytest.mark.parametrize(
    ("name", "options", "bar"),
    [
        ("FOMAML", {}, 0.78),
        ("ANIL", {}, 0.78),
        ("BOIL", {}, 0.78),
        ("MetaSGD", {}, 0.78),
        ("MAMLPlusPlus", {"inner_steps": 2}, 0.78),
        ("ProtoMAML", {"inner_steps": 2}, 0.78),
        ("CAVIA", {"inner_steps": 3, "n_context": 20}, 0.65),
    ],
)
def test_classification_is_learned(name: str, options: dict[str, Any], bar: float) -> None:
    tasks = blobs()
    learner = build({"name": name, **options}, tasks, net={"name": "MLP", "hidden": (32, 32)})
    test = [tasks.task("test", i) for i in range(100)]
    before = score(learner, test).mean
    train(learner, tasks, Training(steps=60, meta_batch=8, outer_lr=1e-2), show=False)
    found = score(learner, test).mean
    assert found > max(bar, before + 0.05)


@pytest.mark.parametrize("name", ["FOMAML", "MetaSGD", "CAVIA"])
def test_regression_is_learned(name: str) -> None:
    tasks = sinusoid()
    options = {} if name == "CAVIA" else {"inner_lr": 0.01, "inner_steps": 1}
    learner = build({"name": name, **options}, tasks, net={"name": "MLP", "hidden": (40, 40)})
    test = [tasks.task("test", i) for i in range(200)]
    before = score(learner, test).mean
    train(learner, tasks, Training(steps=120, meta_batch=16, outer_lr=3e-3), show=False)
    assert score(learner, test).mean < 0.85 * before


def test_maml_is_not_fomaml() -> None:
    drawn = stack([task()])
    torch.manual_seed(0)
    one = MAML(net(), inner_steps=1).double()
    other = FOMAML(one.net, inner_steps=1).double()
    exact, first = (meta_gradient(x, drawn).gradients["net.1.weight"] for x in (one, other))
    assert (exact - first).norm() > 1e-3 * exact.norm()


@pytest.mark.parametrize("learner", [MAML, FOMAML, ANIL, BOIL, MetaSGD])
def test_the_default_step_size_fits_regression(learner: type[GradientBased]) -> None:
    """Five steps come closer to the support; with 0.4, that of classification, they diverge."""
    torch.manual_seed(0)
    net = nn.Sequential(MLP((1,), (40, 40)), nn.Linear(40, 1))
    one = learner(net, kind="regression", inner_steps=5)  # type: ignore[call-arg]
    for index in range(20):
        support = Sinusoid().task("train", index).support
        before, *_, after = (
            one.loss(one.predict(state, support.x), support) for state in one.trajectory(support, 5)
        )
        assert after < before


def test_a_network_of_which_nothing_adapts_is_refused() -> None:
    head = nn.Sequential(MLP((4,), hidden=()), nn.Linear(4, 2))
    with pytest.raises(UserError, match="BOIL: the network must have parameters that adapt"):
        BOIL(head)
    MAML(head)
