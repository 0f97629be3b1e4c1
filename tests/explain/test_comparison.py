"""Contributions add up to the prediction, attention to 1, and neighbours are as near as said."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, Case
from small import blobs, quick, settled
from torch import nn

from quickstudy import build
from quickstudy.explain import attention, contributions, nearest
from quickstudy.explain.removal import without
from quickstudy.inner.logistic import logistic, logistic_dual
from quickstudy.inner.ridge import ridge, ridge_dual
from quickstudy.inner.svm import crammer_singer, crammer_singer_dual
from quickstudy.learner import AnyLearner
from quickstudy.learners import MANN, InContext, NearestCentroid, PrototypicalNetwork
from quickstudy.nets import MLP
from quickstudy.task import Examples, Task, examples, pad
from quickstudy.tasks import Sinusoid
from quickstudy.testing import random_tasks

SUMS = {
    "PrototypicalNetwork", "MatchingNetwork", "SimpleShot", "NearestCentroid", "RidgeHead",
    "PriorHead", "LogisticHead", "LinearProbe", "SVMHead", "InContext", "RidgeRegression",
}  # fmt: skip
NOTHING = 1e-20
ATTENDS = {
    "MatchingNetwork", "InContext", "TableEnsemble", "TableInContext", "NeuralProcess", "SNAIL",
    "MANN",
}  # fmt: skip
ONE_AT_A_TIME = [case for case in CASES if "-batch" not in case.name]


def of_case(case: Case) -> tuple[AnyLearner, Task]:
    """A settled learner, and a task with classes of one, two and more examples."""
    torch.manual_seed(0)
    tasks = random_tasks(case.build().kind, case.x_shape, case.n_out)
    return settled(case.build(), tasks), tasks[2]


@pytest.mark.parametrize("case", ONE_AT_A_TIME, ids=str)
def test_contributions_add_up(case: Case) -> None:
    """To the logits, probabilities or values, in float64 to 1e-9; also with padded classes."""
    learner, (support, query) = of_case(case)
    name = type(learner).__name__
    state = learner.adapt(support)
    for x in query.x[:3]:
        found = contributions(learner, support, state, x)
        if found is None:
            assert name not in SUMS or (name, learner.kind) == ("InContext", "regression")
            return
        assert name in SUMS
        assert found.parts.shape == support.y.shape
        whole = learner.predict(state, x[None])[0]
        whole = whole.exp() if found.of == "probability" else whole
        torch.testing.assert_close(found.parts.sum(dim=0), whole, rtol=1e-9, atol=1e-9)
        assert (found.of == "value") == (learner.kind == "regression")
    n, way = support.y.shape
    padded = pad(support, n + 2, way + (learner.kind == "classification"))
    state = learner.adapt(padded)
    found = learner.contributions(state, padded, query.x)
    assert found is not None
    whole = learner.predict(state, query.x)[:, :way]
    whole = whole.exp() if found.of == "probability" else whole
    torch.testing.assert_close(found.parts.sum(dim=1)[:, :way], whole, rtol=1e-9, atol=1e-9)
    assert float(found.parts[:, n:].abs().max()) < NOTHING
    assert not found.parts[:, :, way:].any()


@pytest.mark.parametrize("case", [c for c in CASES if c.name in ("proto-mlp", "ridge-head-mlp")])
def test_contributions_add_up_in_float32(case: Case) -> None:
    learner, (support, query) = of_case(case)
    learner, support = learner.float(), Examples(*(t.float() for t in support))
    state, x = learner.adapt(support), query.x[0].float()
    found = contributions(learner, support, state, x)
    assert found is not None
    whole = learner.predict(state, x[None])[0]
    torch.testing.assert_close(found.parts.sum(dim=0), whole, rtol=1e-5, atol=1e-6)


def test_contributions_to_a_centroid_by_hand() -> None:
    """A query at 1; centroids 2 of {0, 4} and 5: -1 = -(1 - 2)(1 - 0)/2 - (1 - 2)(1 - 4)/2."""
    support = examples(torch.tensor([[0.0], [4.0], [5.0]]), torch.tensor([0, 0, 1]))
    learner = NearestCentroid()
    found = contributions(learner, support, learner.adapt(support), torch.tensor([1.0]))
    assert found is not None
    assert found.of == "logit"
    # The example at 4, on the far side of the centroid, is why class 0 is away at all.
    assert found.parts.tolist() == [[0.5, 0.0], [-1.5, 0.0], [0.0, -16.0]]


@pytest.mark.parametrize("penalty", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("n", [4, 12])
def test_dual_solutions_are_the_primal_ones(n: int, penalty: float) -> None:
    """Fewer examples than features and more; one of them is padding."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(n, 6, generator=rng, dtype=torch.float64)
    y = torch.eye(3).double()[torch.arange(n) % 3]
    weight = torch.ones(n).double()
    weight[2] = 0
    for primal, dual in (
        (ridge, ridge_dual),
        (logistic, logistic_dual),
        (crammer_singer, crammer_singer_dual),
    ):
        alpha = dual(x, y, weight, penalty)
        torch.testing.assert_close(x.T @ alpha, primal(x, y, weight, penalty), rtol=1e-7, atol=1e-9)
        assert float(alpha[2].abs().max()) < NOTHING


@pytest.mark.parametrize("case", ONE_AT_A_TIME, ids=str)
def test_rows_of_attention_sum_to_one(case: Case) -> None:
    """Nothing goes to padding, wherever it stands; the rows are in the order of the support."""
    learner, (support, query) = of_case(case)
    state = learner.adapt(support)
    rows = attention(learner, support, state, query.x[0], target=1)
    attends = type(learner).__name__ in ATTENDS and getattr(learner, "attention", True) is not None
    assert (rows is not None) == attends
    if rows is None:
        return
    assert rows.shape[1] == len(support.x)
    assert (rows >= 0).all()
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(len(rows)).double())
    n = len(support.x)
    order = [*range(n // 2), n, *range(n // 2, n), n + 1]
    padded = Examples(*(t[order] for t in pad(support, n + 2, support.y.shape[1])))
    again = attention(learner, padded, learner.adapt(padded), query.x[0], target=1)
    assert again is not None
    real = [order.index(i) for i in range(n)]
    torch.testing.assert_close(again[:, real], rows, rtol=1e-9, atol=1e-12)


@cache
def trained(name: str, regression: bool) -> tuple[AnyLearner, Any]:
    """A small learner that has learned to look at its support."""
    torch.manual_seed(0)
    options = {
        "InContext": {"hidden": 16, "n_layers": 1, "n_heads": 2},
        "NeuralProcess": {"hidden": 32, "n_heads": 2},
        "SNAIL": {"context": 9, "filters": 8, "keys": (8,), "values": (16,)},
        "MANN": {"memory": (12, 8), "read_heads": 1, "hidden": 16},
    }
    shots = 5 if name == "MANN" else 8
    tasks = Sinusoid(n_shot=shots, n_query=shots) if regression else blobs(3, 3, 5)
    learner = build(
        {"name": name, **options.get(name, {})}, tasks, net={"name": "MLP", "hidden": (16,)}
    )
    steps = {"MatchingNetwork": 60, "InContext": 350, "NeuralProcess": 350}.get(name, 200)
    quick(tasks, learner, None, steps=steps, meta_batch=8, valid_every=steps, outer_lr=0.005)
    return learner.eval().requires_grad_(False), tasks


@pytest.mark.parametrize(
    ("name", "regression", "share"),
    [
        ("MatchingNetwork", False, 0.9),
        ("InContext", True, 0.8),
        ("NeuralProcess", True, 0.8),
        ("SNAIL", True, 0.8),
        ("MANN", True, 0.7),
    ],
)
def test_what_is_attended_to_matters(name: str, regression: bool, share: float) -> None:
    """Without the top example the prediction moves more than without the bottom one: in this share
    of queries, and twice as far on average."""
    learner, tasks = trained(name, regression)
    moved: list[tuple[float, float]] = []
    for index in range(40):
        support, query = tasks.task("test", index)
        state, n = learner.adapt(support), len(support.x)
        x = query.x[0]
        before = learner.predict(state, x[None])
        asked = torch.full((n, 1), n)
        after = without(learner, support, torch.eye(n, dtype=torch.bool), x[None], asked)[:, 0]
        if not regression:
            before, after = before.softmax(dim=1), after.softmax(dim=1)
        far = (after - before).abs().sum(dim=1)
        rows = attention(learner, support, state, x, int(before.argmax()))
        assert rows is not None
        top, bottom = rows.mean(dim=0).argmax(), rows.mean(dim=0).argmin()
        moved.append((float(far[top]), float(far[bottom])))
    of_top, of_bottom = np.array(moved).T
    assert (of_top > of_bottom).mean() >= share
    assert of_top.mean() > 2 * of_bottom.mean()


@pytest.mark.parametrize("n_rows", [5, 3])
def test_attention_to_a_memory_by_hand(n_rows: int) -> None:
    """Each of five examples is written to a row alone; of three rows, the first two are lost."""
    torch.manual_seed(0)
    net = MLP((2,), (4,))
    learner = MANN(net, n_out=2, memory=(n_rows, 3), read_heads=1, hidden=6).double().eval()
    learner.requires_grad_(False)
    learner.heads.bias[-1] = -60.0  # Write to the least used row, never to the one last read.
    support = examples(torch.randn(5, 2).double(), torch.tensor([0, 1, 0, 1, 1]))
    state, x = learner.adapt(support), torch.randn(2).double()
    z, memory, owner = net(support.x), learner.blank(support.x), {}
    for t in range(5):
        owner[int(torch.argsort(memory.w_u, stable=True)[0])] = t
        memory = learner.step(memory, z[t], support.y[t])
    h, _ = learner._control(memory, net(x[None]))
    *_, w_r, _ = learner._look_up(memory.M, h)
    by_hand = torch.zeros(5).double()
    for row, t in owner.items():
        by_hand[t] = w_r[0, 0, row]
    assert (by_hand == 0).sum() == 5 - n_rows
    rows = attention(learner, support, state, x, target=0)
    assert rows is not None
    torch.testing.assert_close(rows[0], by_hand)


def test_attention_for_each_class_apart_is_to_its_own_examples() -> None:
    (case,) = [case for case in CASES if case.name == "neural-process-mlp"]
    learner, (support, query) = of_case(case)
    for target in range(3):
        rows = attention(learner, support, learner.adapt(support), query.x[0], target)
        assert rows is not None
        assert rows.shape == (2, len(support.x))
        own = support.y[:, target] > 0
        assert not rows[:, ~own].any()
        torch.testing.assert_close(rows[:, own].sum(dim=1), torch.ones(2).double())


def test_neighbours_by_hand() -> None:
    """Distances 1, 2 and 6 of a query at 2; examples are 3, 5 and 8 apart, typically 5."""
    support = examples(torch.tensor([[3.0], [0.0], [8.0]]), torch.tensor([0, 1, 1]))
    learner = NearestCentroid()
    found = nearest(learner, support, learner.adapt(support), torch.tensor([2.0]))
    assert found.space == "inputs"
    expected = [(0, 1.0, 5 / 6), (1, 2.0, 5 / 7), (2, 6.0, 5 / 11)]
    assert [tuple(n) for n in found.examples] == [pytest.approx(e) for e in expected]


def test_neighbours_are_in_the_space_of_the_learner() -> None:
    """A network that sees only the second number of an input."""
    net = nn.Linear(2, 1, bias=False)
    net.weight.data = torch.tensor([[0.0, 1.0]])
    learner = PrototypicalNetwork(net).eval().requires_grad_(False)
    support = examples(torch.tensor([[0.0, 5.0], [9.0, 1.0], [5.0, 9.0]]), torch.tensor([0, 1, 1]))
    found = nearest(learner, support, learner.adapt(support), torch.tensor([0.0, 1.5]))
    assert found.space == "features"
    assert [n.id for n in found.examples] == [1, 0, 2]
    assert [n.distance for n in found.examples] == [0.5, 3.5, 7.5]


def test_neighbours_where_all_examples_are_one() -> None:
    support = examples(torch.ones(3, 2), torch.tensor([0, 1, 1]))
    learner = NearestCentroid()
    state = learner.adapt(support)
    same = nearest(learner, support, state, torch.ones(2)).examples
    assert [(n.distance, n.similarity) for n in same] == [(0, 1)] * 3
    other = nearest(learner, support, state, torch.zeros(2)).examples
    assert all(n.similarity < 1e-300 and math.isfinite(n.distance) for n in other)


@pytest.mark.parametrize("case", ONE_AT_A_TIME, ids=str)
def test_every_learner_with_a_network_has_features(case: Case) -> None:
    """A row for each input, which does not depend on the others."""
    learner, (support, query) = of_case(case)
    state = learner.adapt(support)
    z, of_one = learner.features(state, query.x), learner.features(state, query.x[:1])
    assert (z is not None) == hasattr(learner, "net")
    if z is not None and of_one is not None:
        assert (z.ndim, len(z)) == (2, len(query.x))
        torch.testing.assert_close(of_one[0], z[0], rtol=1e-9, atol=1e-9)


def test_features_of_gradient_learners_are_those_of_the_adapted_body() -> None:
    """The last layer, applied to them, gives the prediction; the learner itself is not touched."""
    for case in CASES:
        if case.name not in ("maml-exact-support-plain", "anil-population-plain", "boil-support"):
            continue
        learner, (support, query) = of_case(case)
        state = learner.adapt(support)
        z = learner.features(state, query.x)
        parameters = dict(learner.net.named_parameters()) | state.parameters
        out = z @ parameters["1.weight"].T + parameters["1.bias"]
        torch.testing.assert_close(out, learner.predict(state, query.x), rtol=1e-9, atol=1e-9)
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in learner.modules())


def test_the_query_of_a_transformer_is_compared_in_its_embedding() -> None:
    torch.manual_seed(0)
    learner = InContext(MLP((2,), (4,)), hidden=8, n_heads=2).eval().requires_grad_(False)
    support = examples(torch.randn(4, 2), torch.tensor([0, 0, 1, 1]))
    found = nearest(learner, support, learner.adapt(support), support.x[2])
    assert (found.space, found.examples[0].id) == ("features", 2)
    assert found.examples[0].distance == pytest.approx(0, abs=1e-6)
