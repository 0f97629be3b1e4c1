"""Learners that see inputs through one encoder, and states under generic classes in between."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

import pytest
import torch
from saboteurs import Honest
from torch import Tensor, nn

from quickstudy.batching.batch import meta_gradient
from quickstudy.errors import UserError
from quickstudy.explain.removal import without
from quickstudy.learner import Learner, flatten_state
from quickstudy.learners.embedding import EmbeddingLearner
from quickstudy.nets import MLP, Norm
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, stack
from quickstudy.testing import check_learner, random_tasks

State = TypeVar("State")
Extra = TypeVar("Extra")


class Means(NamedTuple):
    means: Tensor
    statistics: Statistics


class Nearest(EmbeddingLearner[Means]):
    """The mean embedding of each class, and how often the support was fitted."""

    fits = 0

    def fit(self, z: Tensor, support: Examples, statistics: Statistics) -> Means:
        Nearest.fits += 1
        member = (support.y * support.weight[:, None]).T
        return Means(member @ z / member.sum(dim=1, keepdim=True).clamp(min=1), statistics)

    def answer(self, state: Means, z: Tensor) -> Tensor:
        present = state.means.abs().sum(dim=1) > 0
        return torch.where(present, -torch.cdist(z, state.means), -1e9)


class Together(Nearest):
    def task_loss(self, task):  # type: ignore[no-untyped-def]
        return self.loss_together(task)


def net(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), Norm(8, kind), nn.Tanh())  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["support", "population", "batch", "layer"])
@pytest.mark.parametrize("learner", [Nearest, Together])
def test_fit_and_answer_are_a_learner(learner: type[Nearest], kind: str) -> None:
    made = learner(net(kind))
    assert made.tags.transductive == (kind == "batch")
    assert not learner.tags.transductive
    check_learner(made, (6,), 3)


def test_statistics_of_the_support_reach_the_queries() -> None:
    learner, (support, query) = (
        Nearest(net("support")).double(),
        random_tasks("classification", (6,), 3)[0],
    )
    state = learner.adapt(support)
    assert [*state.statistics] == ["norm0"]
    alone = torch.cat([learner.features(state, x[None]) for x in query.x])
    torch.testing.assert_close(learner.features(state, query.x), alone)
    assert not torch.allclose(alone, learner.net(query.x))


def test_neighbours_are_looked_for_in_the_space_that_a_learner_names() -> None:
    net = MLP((6,), (8,))
    (support, query), *_ = random_tasks("classification", (6,), 3)
    plain, scaled = Nearest(net).double(), Nearest(net, space=lambda z: 3 * z).double()
    state = plain.adapt(support)
    assert torch.equal(scaled.features(state, query.x), 3 * plain.features(state, query.x))
    assert torch.equal(scaled.predict(state, query.x), plain.predict(state, query.x))


@pytest.mark.parametrize("kind", ["layer", "support"])
def test_leaving_examples_out_fits_embeddings_and_gives_what_adapting_gives(kind: str) -> None:
    learner = Nearest(net(kind)).double().eval()
    (support, query), *_ = random_tasks("classification", (6,), 3)
    out = torch.eye(len(support.x), dtype=torch.bool)[-2:]
    asked = torch.tensor([[len(support.x)], [len(support.x) + 1]])
    calls = []
    handle = learner.net[0].register_forward_pre_hook(lambda *_: calls.append(1))  # type: ignore[operator]
    found = without(learner, support, out, query.x[:2], asked)
    handle.remove()
    assert (len(calls) == 1) == (kind == "layer")
    for row, left_out, x in zip(found, out, query.x, strict=False):
        state = learner.adapt(Examples(*(t[~left_out] for t in support)))
        torch.testing.assert_close(row, learner.predict(state, x[None]))


def test_support_and_query_share_a_pass_unless_the_norm_is_of_the_support() -> None:
    calls = []
    for kind in ("population", "support"):
        learner = Together(net(kind)).double()
        learner.net.register_forward_pre_hook(lambda *_: calls.append(1))
        meta_gradient(learner, stack(random_tasks("classification", (6,), 3)[:1]), "loop")
        calls.append(0)
    assert calls == [1, 0, 1, 1, 0]


def test_features_that_are_no_rows_are_refused() -> None:
    (support, _), *_ = random_tasks("classification", (6,), 3)
    with pytest.raises(UserError, match=r"\(examples, features\); received the shape \(5, 2, 3\)"):
        Nearest(nn.Unflatten(1, (2, 3))).adapt(support)


class Mid(Learner[State], Generic[State, Extra]):
    """A generic class between the contract and a learner."""


class Further(Mid[State, int]):
    """Another one, which leaves fewer types open."""


class Plain(Honest):
    """No generic class at all."""


class UnderMid(Mid[Means, str]):
    def adapt(self, support: Examples) -> Means:
        return Means(support.x, {"norm0": support.weight})

    def predict(self, state: Means, x: Tensor) -> Tensor:
        return x


class UnderFurther(Further[Means]):
    adapt, predict = UnderMid.adapt, UnderMid.predict  # type: ignore[assignment]


class OfDict(Mid[dict[str, Tensor], str]):
    def adapt(self, support: Examples) -> dict[str, Tensor]:
        return {"x": support.x}

    def predict(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("learner", [UnderMid, UnderFurther, Plain, OfDict, Nearest])
def test_a_state_comes_back_as_what_it_was(learner: type[Learner[object]]) -> None:
    made = learner(MLP((6,), (8,))) if issubclass(learner, Nearest) else learner()
    (support, _), *_ = random_tasks("classification", (6,), 3)
    state = made.double().adapt(support)
    again = made.state_from(flatten_state(state))
    assert type(again) is type(state)
    torch.testing.assert_close(flatten_state(again), flatten_state(state))


def test_a_learner_says_which_optional_methods_are_its_own() -> None:
    assert Plain().overrides(Learner.predict)
    assert not Plain().overrides(Learner.distribution)
