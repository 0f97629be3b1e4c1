"""Leaving examples out is removing them, for every learner; planted mistakes are found."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES, Case
from small import blobs, prototypical, settled
from torch import Tensor, nn

from quickstudy import model
from quickstudy.catalog import build_tasks
from quickstudy.errors import UserError
from quickstudy.explain import counterfactual, influence, suspicious
from quickstudy.explain.removal import without
from quickstudy.learner import AnyLearner, Learner
from quickstudy.learners import (
    MAML,
    InContext,
    NearestCentroid,
    PrototypicalNetwork,
    RidgeRegression,
)
from quickstudy.nets import MLP, Conv4, SharedLinear
from quickstudy.task import Examples, examples
from quickstudy.testing import random_tasks

EXACT = 1e-9
FAMILIES = (
    "arm-bn", "proto-support", "proto-population", "proto-layer", "maml-exact-support-shared",
    "maml-exact-population-plain", "maml-exact-regression", "maml-exact-own-module",
    "fomaml-population-plain", "anil-population-plain", "meta-sgd-population-plain",
    "maml-plus-plus-population", "boil-support", "cavia-population", "proto-maml-population",
    "implicit-maml-population", "reptile-adam", "reptile-regression", "feat-population",
    "matching-support", "matching-full-context", "relation-population", "simple-shot-population",
    "in-context-population", "in-context-regression", "table-ensemble", "table-in-context",
    "neural-process-mlp",
    "neural-process-attentive-regression", "logistic-head-support", "linear-probe-mlp",
    "ridge-head-population", "prior-head-population", "prior-head-mean", "prior-head-regression",
    "ridge-head-regression", "svm-head-mlp", "mann-population", "mann-regression", "snail-support",
    "snail-regression", "nearest-centroid", "logistic-regression", "ridge-regression",
    "fine-tuning", "learned-optimizer-lstm", "generator-mixture", "pooled", "pooled-regression",
)  # fmt: skip


def left(support: Examples, out: list[int]) -> Examples:
    """The support with these examples really removed."""
    kept = [i for i in range(len(support.x)) if i not in out]
    return Examples(*(t[kept] for t in support))


def said(learner: AnyLearner, support: Examples, x: Tensor) -> Tensor:
    """What is predicted for one query."""
    with torch.no_grad():
        return learner.predict(learner.adapt(support), x[None])[0]


@pytest.mark.parametrize("case", [c for c in CASES if c.name in FAMILIES], ids=str)
def test_leaving_out_is_removing(case: Case) -> None:
    """Every example, and a pair, for all kinds of learners."""
    torch.manual_seed(0)
    tasks = random_tasks(case.build().kind, case.x_shape, case.n_out)
    learner = settled(case.build(), tasks)
    support, query = tasks[2]
    n = len(support.x)
    sets = [[i] for i in range(n)] + [[0, n - 1]]
    left_out = torch.tensor([[i in out for i in range(n)] for out in sets])
    asked = torch.tensor([[n, 1, n + 1]] * len(sets))
    found = without(learner, support, left_out, query.x[:2], asked)
    for out, answers in zip(sets, found, strict=True):
        remaining = left(support, out)
        for x, answer in zip((query.x[0], support.x[1], query.x[1]), answers, strict=True):
            torch.testing.assert_close(answer, said(learner, remaining, x), rtol=EXACT, atol=EXACT)


BY_FORMULA = (
    "ridge-head-population", "ridge-head-regression", "ridge-head-mlp", "prior-head-population",
    "prior-head-mean", "prior-head-regression", "prior-head-strength",
)  # fmt: skip


@pytest.mark.parametrize("case", [c for c in CASES if c.name in BY_FORMULA], ids=str)
def test_a_formula_gives_what_adapting_gives(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """Influence and suspects are those of as many adaptations, without one."""
    torch.manual_seed(0)
    tasks = random_tasks(case.build().kind, case.x_shape, case.n_out)
    learner = settled(case.build(), tasks)
    support, query = tasks[2]
    state, x = learner.adapt(support), query.x[0]

    def answers() -> tuple[Tensor, list[Any]]:
        suspects = suspicious(learner, support, every=True)
        measured = [(s.id, s.probability or s.error or 0.0) for s in suspects]
        return influence(learner, support, state, x, 1), measured

    def adapting(*_: object) -> Tensor:
        raise AssertionError("adapted again")

    with monkeypatch.context() as patch:
        patch.setattr("quickstudy.explain.removal.without", adapting)
        effects, measured = answers()
    monkeypatch.setattr(type(learner), "held_out", Learner.held_out)
    slow_effects, slowly = answers()
    torch.testing.assert_close(effects, slow_effects, rtol=EXACT, atol=EXACT, equal_nan=True)
    assert measured == [(i, pytest.approx(value, rel=EXACT)) for i, value in slowly]


def test_every_learner_is_among_them() -> None:
    learners = {case.name: type(case.build()) for case in CASES}
    assert {learners[name] for name in FAMILIES} == {*learners.values()}


LINE = examples(torch.tensor([[0.0], [2.0], [5.0], [9.0]]).double(), torch.tensor([0, 0, 1, 1]))


def test_influence_by_hand() -> None:
    """Centroids 1 and 7, a query at 3.5: class 0 by 6.25 against 12.25."""
    x, learner = torch.tensor([3.5]).double(), NearestCentroid()
    state = learner.adapt(LINE)

    def log_p(a: float, b: float, chosen: int) -> float:
        logits = np.array([-((3.5 - a) ** 2), -((3.5 - b) ** 2)])
        return float(logits[chosen] - np.log(np.exp(logits).sum()))

    for target in (0, 1):
        by_hand = [
            log_p(1, 7, target) - log_p(*centres, target)
            for centres in ((2, 7), (0, 7), (1, 9), (1, 5))
        ]
        found = influence(learner, LINE, state, x, target)
        np.testing.assert_allclose(found, by_hand, rtol=1e-12)
    # The example at 2 is near and speaks for class 0; without the one at 0 it would be surer.
    assert influence(learner, LINE, state, x, 0)[1] > 0 > influence(learner, LINE, state, x, 0)[0]


def test_influence_divides_logits_by_the_temperature() -> None:
    x, learner = torch.tensor([3.5]).double(), NearestCentroid()
    state, cool = learner.adapt(LINE), 2.5
    warm = [
        torch.log_softmax(said(learner, part, x) / cool, dim=0)[0]
        for part in (LINE, left(LINE, [1]))
    ]
    found = influence(learner, LINE, state, x, 0, temperature=cool)
    assert float(found[1]) == pytest.approx(float(warm[0] - warm[1]), rel=1e-12)


def test_influence_of_a_value() -> None:
    x, y = torch.randn(6, 2).double(), torch.randn(6, 3).double()
    support, learner, query = examples(x, y), RidgeRegression(), torch.ones(2).double()
    found = influence(learner, support, learner.adapt(support), query, target=2)
    whole = said(learner, support, query)[2]
    gone = torch.stack([said(learner, left(support, [i]), query)[2] for i in range(6)])
    torch.testing.assert_close(found, whole - gone, rtol=1e-9, atol=1e-9)


def test_what_is_alone_in_its_class_is_not_judged() -> None:
    support = examples(torch.tensor([[0.0], [2.0], [5.0]]), torch.tensor([0, 0, 1]))
    learner = NearestCentroid()
    found = influence(learner, support, learner.adapt(support), torch.tensor([4.0]), target=1)
    assert found.isnan().tolist() == [False, False, True]
    suspects = suspicious(learner, support, every=True)
    assert suspects[-1] == (2, None, None, None)
    assert all(s.probability is not None for s in suspects[:-1])


def test_the_only_example_of_a_regression_is_not_judged() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(MLP((1,), (4,)), nn.Linear(4, 1))
    learner = MAML(net, "regression", inner_lr=0.1).eval().requires_grad_(False)
    support = examples(torch.ones(1, 1), torch.ones(1))
    found = influence(learner, support, learner.adapt(support), torch.zeros(1), target=0)
    assert found.isnan().tolist() == [True]
    assert suspicious(learner, support, every=True) == [(0, None, None, None)]


def test_suspicious_by_hand() -> None:
    """The 9 that is called class 0 is far from its own; with it gone, class 1 is certain."""
    x = torch.tensor([[0.0], [2.0], [9.0], [8.0], [10.0]]).double()
    support = examples(x, torch.tensor([0, 0, 0, 1, 1]))
    first, *others = suspicious(NearestCentroid(), support, every=True)
    assert (first.id, first.answer) == (2, 1)
    assert first.probability == pytest.approx(1 / (1 + math.exp(64)), rel=1e-9)
    assert first.error is None
    log_odds = -((0 - 5.5) ** 2) + (0 - 9) ** 2
    of_0 = next(s for s in others if s.id == 0)
    assert of_0.probability == pytest.approx(1 / (1 + math.exp(-log_odds)))
    assert [s.probability for s in others] == sorted(s.probability or 0 for s in others)


def test_only_labels_that_the_others_contradict_deserve_a_look() -> None:
    """Of the five examples above: the 9, and the 2 that it draws away; none where all agree."""
    x = torch.tensor([[0.0], [2.0], [9.0], [8.0], [10.0]]).double()
    wrong = suspicious(NearestCentroid(), examples(x, torch.tensor([0, 0, 0, 1, 1])))
    assert [(s.id, s.answer) for s in wrong] == [(2, 1)]
    assert suspicious(NearestCentroid(), examples(x, torch.tensor([0, 0, 1, 1, 1]))) == []


def test_only_outlying_values_deserve_a_look() -> None:
    x = torch.arange(12).double()[:, None]
    y = 2 * x[:, 0] + torch.tensor([0.1, -0.1]).double().repeat(6)
    learner = RidgeRegression(alpha=1e-9)
    assert suspicious(learner, examples(x, y)) == []
    y[3] += 7
    assert [s.id for s in suspicious(learner, examples(x, y))] == [3]


def test_what_rounds_to_zero_is_still_ordered() -> None:
    """Two labels that are wrong beyond what a probability can say: the worse one is first."""
    x = torch.tensor([[60.0], [0.0], [1.0], [2.0], [900.0], [950.0], [960.0], [940.0]]).double()
    support = examples(x, torch.tensor([1, 0, 0, 0, 0, 1, 1, 1]))
    first, second, *_ = suspicious(NearestCentroid(), support)
    assert (first.probability, second.probability) == (0.0, 0.0)
    held = [said(NearestCentroid(), left(support, [i]), x[i]).log_softmax(0) for i in (0, 4)]
    assert float(held[1][0]) < float(held[0][1]) < -1000
    assert (first.id, second.id) == (4, 0)


def test_suspicious_values_have_the_largest_error() -> None:
    x = torch.arange(6).double()[:, None]
    y = 2 * x[:, 0]
    y[3] += 7
    learner = RidgeRegression(alpha=1e-9)
    support = examples(x, y)
    first, *others = suspicious(learner, support, every=True)
    assert first.id == 3
    assert first.error == pytest.approx(7, rel=1e-6)
    assert first.answer == pytest.approx([6], rel=1e-6)
    assert first.probability is None
    assert all(s.error is not None and s.error < 7 for s in others)


def test_a_planted_mistake_is_the_first_suspect() -> None:
    """In at least 95 % of 200 5-way 5-shot tasks of characters that the model has not seen."""
    learner, rng = model("drawings").learner, np.random.default_rng(0)
    tasks = build_tasks({"name": "glyphs", "n_way": 5, "n_shot": 5, "n_query": 1})
    found = []
    for index in range(200):
        support = tasks.task("test", index).support
        planted, y = int(rng.integers(len(support.x))), support.y.clone()
        y[planted] = y[planted].roll(int(rng.integers(1, 5)))
        suspects = suspicious(learner, support._replace(y=y))
        found.append(suspects[0].id == planted)
    assert np.mean(found) >= 0.95


def test_a_counterfactual_by_hand() -> None:
    """Class 0 leads by one far example of class 1, and without it by nothing."""
    x = torch.tensor([[0.0], [4.0], [5.0], [90.0]]).double()
    support = examples(x, torch.tensor([0, 0, 1, 1]))
    learner, query = NearestCentroid(), torch.tensor([4.6]).double()
    found = counterfactual(learner, support, learner.adapt(support), query)
    assert found == ([3], 1)


@pytest.mark.parametrize("shots", [3, 6])
def test_a_counterfactual_flips_the_answer_and_needs_all_of_it(shots: int) -> None:
    torch.manual_seed(0)
    tasks = blobs(3, shots, 4)
    learner = settled(prototypical(tasks), [tasks.task("train", i) for i in range(4)]).float()
    sizes = []
    for index in range(12):
        support, query = tasks.task("test", index)
        for x in query.x[::4]:
            state = learner.adapt(support)
            before = int(said(learner, support, x).argmax())
            found = counterfactual(learner, support, state, x)
            if found is None:
                continue
            after = said(learner, left(support, found.ids), x)
            assert int(after.argmax()) == found.answer != before
            assert left(support, found.ids).y.sum(dim=0).min() >= 1
            for i in found.ids if len(found.ids) > 1 else ():
                fewer = left(support, [j for j in found.ids if j != i])
                assert int(said(learner, fewer, x).argmax()) == before
            singles = [
                i
                for i in range(len(support.x))
                if left(support, [i]).y.sum(dim=0).min() >= 1
                and int(said(learner, left(support, [i]), x).argmax()) != before
            ]
            assert (len(found.ids) == 1) == bool(singles)
            sizes.append(len(found.ids))
    assert len(sizes) > 5
    assert max(sizes) > 1


def test_the_last_example_of_a_class_is_no_counterfactual() -> None:
    support = examples(torch.tensor([[0.0], [1.0]]), torch.tensor([0, 1]))
    learner = NearestCentroid()
    assert counterfactual(learner, support, learner.adapt(support), torch.tensor([0.0])) is None
    support = examples(torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([0, 0, 1]))
    assert counterfactual(learner, support, learner.adapt(support), torch.tensor([0.0])) is None


def test_a_regression_has_no_counterfactual() -> None:
    support, learner = examples(torch.ones(2, 1), torch.ones(2)), RidgeRegression()
    with pytest.raises(UserError, match="counterfactual: needs classes"):
        counterfactual(learner, support, learner.adapt(support), torch.ones(1))


class Counting(Conv4):
    """Counts the pictures it embeds."""

    def __init__(self) -> None:
        super().__init__((1, 16, 16), 4, norm="layer")
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        return super().forward(x)


def test_pictures_are_embedded_once() -> None:
    torch.manual_seed(0)
    net = Counting()
    learner = PrototypicalNetwork(net).eval().requires_grad_(False)
    support = examples(torch.rand(12, 1, 16, 16), torch.arange(12) // 4)
    suspicious(learner, support)
    assert net.seen == 12
    assert learner.net is net


def test_many_tasks_at_once_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide input: the answers do not depend on how many tasks are vectorised together."""
    torch.manual_seed(0)
    learner = InContext(MLP((5,), (8,)), hidden=8, n_heads=2).double().eval().requires_grad_(False)
    support = examples(torch.randn(9, 5).double(), torch.arange(9) % 3)
    whole = suspicious(learner, support, every=True)
    monkeypatch.setattr("quickstudy.explain.removal.TOGETHER", 100)
    assert [s.id for s in suspicious(learner, support, every=True)] == [s.id for s in whole]


def test_shared_heads_have_the_ways_of_what_is_left() -> None:
    """MAML with one head for all classes, which is repeated for each class of the task."""
    torch.manual_seed(0)
    net = nn.Sequential(MLP((2,), (8,)), SharedLinear(8))
    learner = MAML(net, inner_lr=0.1).double().eval().requires_grad_(False)
    support = examples(torch.randn(6, 2).double(), torch.arange(6) % 2)
    x = torch.zeros(2).double()
    found = influence(learner, support, learner.adapt(support), x, target=0)
    whole = torch.log_softmax(said(learner, support, x), dim=0)[0]
    gone = torch.log_softmax(said(learner, left(support, [4]), x), dim=0)[0]
    assert float(found[4]) == pytest.approx(float(whole - gone), abs=1e-12)
