"""Normalisation: against torch's own where equal, and its promises where not."""

from __future__ import annotations

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from cases import NORMS
from torch import Tensor, nn

from quickstudy.batching.batch import meta_gradient
from quickstudy.errors import UserError
from quickstudy.learners import MAML, PrototypicalNetwork
from quickstudy.nets import MLP, Norm, calibrate, replace_batch_norm
from quickstudy.nets.norm import NormKind, check_calibrated, kinds, moments, run
from quickstudy.nets.passing import padding
from quickstudy.task import stack
from quickstudy.testing import random_tasks

SHAPES = [(5, 8), (5, 8, 3), (5, 8, 3, 4)]
OF_EXAMPLES: list[NormKind] = ["support", "batch", "population"]


def draw(*shape: int, seed: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(*shape, generator=rng, dtype=torch.float64) + 0.5


def made(kind: NormKind, groups: int = 4) -> Norm:
    """A norm whose scale and shift differ between channels."""
    norm = Norm(8, kind, groups).double()
    with torch.no_grad():
        norm.scale.copy_(draw(8, seed=1))
        norm.shift.copy_(draw(8, seed=2))
    return norm


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", OF_EXAMPLES)
def test_equals_torch_batch_norm(kind: NormKind, shape: tuple[int, ...]) -> None:
    norm, x = made(kind), draw(*shape)
    want = F.batch_norm(x, None, None, norm.scale, norm.shift, training=True)
    torch.testing.assert_close(norm(x), want)
    torch.testing.assert_close(run(norm, None, x, torch.ones(5).double())[0], want)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("kind", "groups"), [("group", 4), ("layer", 1)])
def test_equals_torch_group_norm(kind: NormKind, groups: int, shape: tuple[int, ...]) -> None:
    norm, x = made(kind), draw(*shape)
    torch.testing.assert_close(norm(x), F.group_norm(x, groups, norm.scale, norm.shift))


def test_layer_equals_torch_layer_norm_of_vectors() -> None:
    norm, x = made("layer"), draw(5, 8)
    torch.testing.assert_close(norm(x), F.layer_norm(x, (8,), norm.scale, norm.shift))


@pytest.mark.parametrize("kind", NORMS)
def test_padding_counts_in_no_statistic(kind: NormKind) -> None:
    norm, x = made(kind), draw(5, 8, 3)
    padded, weight = torch.cat([x, 100 * draw(2, 8, 3, seed=3)]), torch.tensor([1.0] * 5 + [0] * 2)
    out, seen = run(norm, None, padded, weight.double())
    torch.testing.assert_close(out[:5], norm(x))
    if kind == "support":
        torch.testing.assert_close(seen, run(norm, None, x)[1])
    with padding(weight.double()):
        torch.testing.assert_close(run(norm, None, padded)[0][:5], norm(x))
    assert kind not in OF_EXAMPLES or not torch.allclose(run(norm, None, padded)[0][:5], norm(x))


def test_moments_by_hand() -> None:
    x = torch.tensor([[1.0, 10.0], [3.0, 10.0], [50.0, 50.0]])
    found = moments(x, torch.tensor([1.0, 1, 0]))
    torch.testing.assert_close(found, torch.tensor([[2.0, 10.0], [1.0, 0.0]]))


def test_support_statistics_serve_the_queries() -> None:
    net = nn.Sequential(made("support"), nn.Tanh(), made("support"))
    support, query = draw(6, 8), draw(4, 8, seed=4)
    _, statistics = run(net, None, support)
    assert [s.shape for s in statistics.values()] == [(2, 8)] * 2
    together, seen = run(net, None, query, given=statistics)
    assert seen == {}, "queries give no statistics"
    alone = torch.cat([run(net, None, x[None], given=statistics)[0] for x in query])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        run(net, None, support, given=statistics)[0], run(net, None, support)[0]
    )


def test_population_is_frozen_in_eval_mode() -> None:
    norm = made("population")
    passes = [draw(4, 8, 3, seed=s) for s in (5, 6, 7)]
    x = draw(2, 8, 3, seed=8)
    calibrate(norm, [partial(norm, one) for one in passes])
    assert norm.training, "calibrate gives the mode back"
    every = torch.cat(passes).transpose(0, 1).reshape(8, -1)
    torch.testing.assert_close(norm.mean, every.mean(dim=1))
    torch.testing.assert_close(norm.variance, every.var(dim=1, correction=0))
    in_train = norm(x)
    norm.eval()
    want = F.batch_norm(x, norm.mean, norm.variance, norm.scale, norm.shift, training=False)
    torch.testing.assert_close(norm(x), want)
    assert not torch.allclose(in_train, want)
    torch.testing.assert_close(norm(x[:1]), want[:1])


def test_calibration_is_asked_for() -> None:
    net = nn.Sequential(MLP((3,), (4,), "population"))
    with pytest.raises(UserError, match=r"layers\.1.*calibrate"):
        check_calibrated(net)
    calibrate(net, [lambda: net(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))])
    check_calibrated(net)


@pytest.mark.parametrize("meta_gradient", ["exact", "checkpoint"])
def test_calibration_through_the_inner_loop(meta_gradient: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(MLP((6,), (8,), "population"), nn.Linear(8, 3))
    learner = MAML(net, inner_steps=2, inner_lr=0.1, meta_gradient=meta_gradient).double()  # type: ignore[arg-type]
    task = random_tasks("classification", (6,), 3)[0]
    calibrate(learner, [partial(learner, task)])
    norm = next(m for m in learner.modules() if isinstance(m, Norm))
    # The passes are: two inner steps over the support, then the queries.
    states = list(learner.trajectory(task.support, 2))
    found = []
    for state, x in zip(states, [task.support.x, task.support.x, task.query.x], strict=True):
        phi = {k.removeprefix("0.layers.0."): v for k, v in state.parameters.items()}
        found.append(moments(F.linear(x, phi["weight"], phi["bias"])))
    mean = torch.stack(found)[:, 0].mean(dim=0)
    square = torch.stack([variance + mean.square() for mean, variance in found]).mean(dim=0)
    torch.testing.assert_close(norm.mean, mean)
    torch.testing.assert_close(norm.variance, square - mean.square())


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("kind", NORMS)
def test_forward_changes_nothing(kind: NormKind, mode: bool) -> None:
    norm = made(kind).train(mode)
    before = {name: t.clone() for name, t in norm.state_dict().items()}
    first = norm(draw(5, 8))
    norm(draw(3, 8, seed=9))
    torch.testing.assert_close(norm(draw(5, 8)), first, rtol=0, atol=0)
    torch.testing.assert_close(norm.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("kind", NORMS)
@pytest.mark.parametrize("build", [MAML, PrototypicalNetwork])
def test_vmap_of_grad_equals_the_loop(kind: NormKind, build: type) -> None:
    torch.manual_seed(0)
    learner = build(nn.Sequential(MLP((6,), (24,), kind), nn.Linear(24, 3))).double()
    tasks = stack(random_tasks("classification", (6,), 3, seed=1)[::2])
    looped, mapped = (meta_gradient(learner, tasks, way) for way in ("loop", "vmap"))
    torch.testing.assert_close(mapped.gradients, looped.gradients, rtol=1e-9, atol=1e-10)
    assert max(float(g.abs().max()) for g in looped.gradients.values()) > 1e-3


def test_replace_batch_norm_keeps_what_was_learned() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4, eps=1e-3),
        nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16, affine=False)),
    ).double()
    with torch.no_grad():
        net[1].weight.copy_(draw(4))
    x = draw(6, 1, 4, 4)
    want = net(x)
    assert replace_batch_norm(net, "batch") is net
    assert kinds(net) == {"batch"}
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in net.modules())
    torch.testing.assert_close(net.double()(x), want)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((8, "instance"), "support, batch.*'instance'"), ((6, "group", 4), "6 channels and 4 groups")],
)
def test_wrong_arguments(arguments: tuple[object, ...], words: str) -> None:
    with pytest.raises(UserError, match=words):
        Norm(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["batch", "population"])
@pytest.mark.parametrize("shape", [(1, 4), (1, 4, 1, 1)])
def test_one_value_has_no_variance(kind: NormKind, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=rf"'{kind}' statistics need more than one value.*\(1, 4"):
        Norm(4, kind)(torch.ones(shape))
