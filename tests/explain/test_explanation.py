"""An explanation says all its parts do, in columns and in labels, and is plain JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from cases import CASES
from small import maml, settled, sinusoid
from torch import Tensor, nn

import quickstudy as qs
from quickstudy import explain as parts
from quickstudy.errors import UserError
from quickstudy.explain import Explanation, explain, removal
from quickstudy.learners import MAML, NearestCentroid, RidgeRegression
from quickstudy.nets import MLP, SharedLinear
from quickstudy.task import examples
from quickstudy.testing import random_tasks

SUPPORT = examples(
    torch.tensor([[0.0], [2.0], [5.0], [6.0], [90.0]]), torch.tensor([0, 0, 1, 1, 2])
)


def of_centroids(x: float = 3.9, **options: Any) -> Explanation:
    learner = NearestCentroid()
    return explain(learner, SUPPORT, learner.adapt(SUPPORT), torch.tensor([x]), **options)


def test_every_part_is_what_its_function_gives() -> None:
    torch.manual_seed(0)
    (case,) = [case for case in CASES if case.name == "matching-mlp"]
    tasks = random_tasks("classification", case.x_shape, case.n_out)
    learner = settled(case.build(), tasks)
    support, query = tasks[2]
    state, x = learner.adapt(support), query.x[0]
    found = explain(learner, support, state, x, target=2, temperature=1.7)
    added = parts.influence(learner, support, state, x, 2, 1.7)
    # Both come from the same adaptations, which are asked about another number of queries.
    influence = [math.nan if v is None else v for v in found.influence]
    assert influence == pytest.approx(added.tolist(), rel=1e-9, nan_ok=True)
    assert found.nearest == parts.nearest(learner, support, state, x)
    made = parts.contributions(learner, support, state, x)
    assert found.contributions is not None
    assert made is not None
    assert torch.equal(found.contributions.parts, made.parts)
    rows = parts.attention(learner, support, state, x, 2)
    assert rows is not None
    assert found.attention == rows.mean(dim=0).tolist()
    suspects = parts.suspicious(learner, support, 1.7)
    assert [(s.id, s.answer) for s in found.suspicious] == [(s.id, s.answer) for s in suspects]
    likely = [s.probability for s in suspects]
    assert [s.probability for s in found.suspicious] == pytest.approx(likely, rel=1e-9)
    assert found.target == 2
    p = torch.softmax(learner.predict(state, x[None])[0] / 1.7, dim=0)
    assert found.probabilities == p.tolist()
    assert found.answer == int(p.argmax())
    assert (found.layers, found.attribution, found.counterfactual) == (None, None, None)


def test_gradient_learners_say_what_moved_on_support_and_query() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(MLP((2,), (8,)), SharedLinear(8))
    learner = MAML(net, inner_lr=0.1).eval().requires_grad_(False)
    support = examples(torch.randn(6, 2), torch.arange(6) % 2)
    state, x = learner.adapt(support), torch.randn(2)
    found = explain(learner, support, state, x)
    both = torch.cat([support.x, x[None]])
    assert found.layers == parts.layer_changes(learner, support, state, both)


def test_labels_stand_for_columns() -> None:
    found = of_centroids(classes=["ä", 7, ("x", 1)])
    assert (found.answer, found.target) == (7, 7)
    assert found.labels == ["ä", "ä", 7, 7, ("x", 1)]
    plain = found.to_json()
    assert plain == json.loads(json.dumps(plain, allow_nan=False))
    assert plain["classes"] == ["ä", 7, "('x', 1)"]
    assert [row["label"] for row in plain["influence"]] == ["ä", "ä", 7, 7, "('x', 1)"]
    assert [row["id"] for row in plain["influence"]] == [0, 1, 2, 3, 4]
    assert plain["influence"][4]["value"] is None
    assert plain["nearest"]["examples"][0] == {
        "id": 2,
        "distance": pytest.approx(1.1),
        "similarity": pytest.approx(found.nearest.examples[0].similarity),
        "label": 7,
    }
    assert plain["contributions"]["of"] == "logit"
    assert [len(row["value"]) for row in plain["contributions"]["examples"]] == [3] * 5
    assert plain["suspicious"] == []
    wrong = SUPPORT._replace(y=SUPPORT.y[[0, 2, 1, 3, 4]])
    learner = NearestCentroid()
    state, x = learner.adapt(wrong), torch.tensor([3.9])
    doubted = explain(learner, wrong, state, x, classes=["ä", 7, ("x", 1)]).to_json()["suspicious"]
    assert {(row["id"], row["label"], row["answer"]) for row in doubted} == {
        (0, "ä", 7), (1, 7, "ä"), (2, "ä", 7), (3, 7, "ä")
    }  # fmt: skip


def test_a_class_that_is_not_the_answer_can_be_explained() -> None:
    of_answer, of_other = of_centroids(), of_centroids(target=0)
    assert of_answer.target == of_answer.answer == of_other.answer == 1
    assert of_other.target == 0
    assert of_answer.influence[2] is not None
    assert of_other.influence[2] is not None
    assert of_answer.influence[2] > 0 > of_other.influence[2]


def test_an_explanation_of_values() -> None:
    torch.manual_seed(0)
    support, learner = examples(torch.randn(5, 2), torch.randn(5, 2)), RidgeRegression()
    state, x = learner.adapt(support), torch.randn(2)
    found = explain(learner, support, state, x)
    assert found.answer == pytest.approx(learner.predict(state, x[None])[0].tolist())
    assert (found.target, found.probabilities) == (0, None)
    assert found.labels == support.y.tolist()
    of_second = explain(learner, support, state, x, target=1)
    assert of_second.target == 1
    assert of_second.influence != found.influence
    plain = json.loads(json.dumps(of_second.to_json(), allow_nan=False))
    assert plain["answer"] == found.answer


def test_what_costs_more_is_found_where_asked_for() -> None:
    pytest.importorskip("captum")
    found = of_centroids(3.4, counterfactual=True, attribution="occlusion", classes="abc")
    assert found.counterfactual is not None
    assert found.attribution is not None
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    flip = plain["counterfactual"]
    assert flip["ids"] == found.counterfactual.ids
    assert flip["answer"] != plain["answer"]
    assert flip["answer"] in ("a", "b", "c")
    assert plain["attribution"]["method"] == "occlusion"
    assert plain["attribution"]["values"] == found.attribution.values.tolist()


@pytest.mark.parametrize(
    ("x", "target", "words"),
    [
        (torch.zeros(2, 1), None, r"one query of shape \(1,\); received one of \(2, 1\)"),
        (torch.zeros(1), 3, "one of 0, 1, 2; received 3"),
        (torch.zeros(1), -1, "one of 0, 1, 2; received -1"),
    ],
)
def test_wrong_questions_are_answered_by_what_to_do(
    x: torch.Tensor, target: int | None, words: str
) -> None:
    learner = NearestCentroid()
    with pytest.raises(UserError, match=words):
        explain(learner, SUPPORT, learner.adapt(SUPPORT), x, target=target)


def test_explaining_changes_nothing() -> None:
    """The learner, its state and its examples are the same afterwards."""
    torch.manual_seed(0)
    net = nn.Sequential(MLP((2,), (8,), "support"), SharedLinear(8))
    learner = MAML(net, inner_lr=0.1).eval().requires_grad_(False)
    support = examples(torch.randn(6, 2), torch.arange(6) % 2)
    state, x = learner.adapt(support), torch.randn(2)
    before = learner.predict(state, x[None])
    kept = [t.clone() for t in (*support, *learner.parameters())]
    first = explain(learner, support, state, x, counterfactual=True)
    assert first.to_json() == explain(learner, support, state, x, counterfactual=True).to_json()
    assert torch.equal(learner.predict(state, x[None]), before)
    assert all(map(torch.equal, kept, (*support, *learner.parameters())))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in learner.modules())


def test_several_queries_share_the_adaptations_without_each_example(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X = np.linspace(-3, 3, 5)[:, None]
    adapted = qs.Model(maml(sinusoid()), (1,)).adapt(X, np.sin(X[:, 0]))
    asked, calls, without = X[:3] + 0.3, [], removal.without

    def counted(*arguments: Any) -> Tensor:
        calls.append(arguments)
        return without(*arguments)

    monkeypatch.setattr(removal, "without", counted)
    every = adapted.explanations(asked)
    assert len(calls) == 1
    for query, why in zip(asked, every, strict=True):
        alone = adapted.explain(query)
        assert why.answer == pytest.approx(alone.answer, rel=1e-5)
        assert why.influence == pytest.approx(alone.influence, rel=1e-4, abs=1e-6)
        assert why.labels == alone.labels
    assert len({why.influence[0] for why in every}) == 3
