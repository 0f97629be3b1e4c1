"""The learner generator: what it does not depend on, what it learns, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from quickstudy.batching.batch import meta_gradient
from quickstudy.errors import UserError
from quickstudy.learners import LearnerGenerator
from quickstudy.task import Examples, Task, examples, stack
from quickstudy.tasks import TablePrior
from quickstudy.testing import random_tasks


def small(**settings: object) -> LearnerGenerator:
    """One that says something about every column and task."""
    torch.manual_seed(0)
    sizes = {"hidden": 8, "n_random": 16, "n_hidden": 6, "rank": 3, "steps": 5}
    learner = LearnerGenerator(**(sizes | settings)).double()  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return learner


@pytest.mark.parametrize("generates", ["mixture", "logistic", "svm", "mlp"])
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.flip(1),
        lambda x: torch.cat([x[:, :2], torch.full_like(x[:, :3], 7.0), x[:, 2:]], dim=1),
        lambda x: 1000 * x + 5,
    ],
    ids=["order", "constant columns", "units"],
)
def test_columns_are_a_set_of_any_units(generates: str, change: Callable[[Tensor], Tensor]) -> None:
    learner = small(generates=generates)
    support, query = random_tasks("classification", (6,), 3)[0]
    want = learner.predict(learner.adapt(support), query.x)
    state = learner.adapt(support._replace(x=change(support.x)))
    torch.testing.assert_close(learner.predict(state, change(query.x)), want, rtol=1e-9, atol=1e-9)


def test_the_order_of_columns_that_say_nothing_does_not_matter() -> None:
    """They have no relevance, so that their places among the random directions would be tied."""
    learner = small()
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.normal(size=(40, 9))), torch.arange(40) % 2
    x = torch.cat([x, (x[:, :1] > 0.5).double(), (x[:, :1] <= 0.5).double()], dim=1)
    want = learner.predict(learner.adapt(examples(x, y, 2)), x)
    for seed in range(3):
        order = torch.randperm(11, generator=torch.Generator().manual_seed(seed))
        turned = learner.adapt(examples(x[:, order], y, 2))
        torch.testing.assert_close(learner.predict(turned, x[:, order]), want, rtol=1e-9, atol=1e-9)


def rings(n: int, seed: int) -> Examples:
    """Two classes that no line separates, in two of five columns."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 5)).astype(np.float32)
    inside = np.square(x[:, :2]).sum(axis=1) < 1.4
    return examples(torch.from_numpy(x), torch.from_numpy(inside.astype(np.int64)), 2)


def test_what_no_line_separates_is_left_to_the_others() -> None:
    torch.manual_seed(0)
    learner = LearnerGenerator().eval()
    support, query = rings(200, 0), rings(400, 1)
    with torch.no_grad():
        state = learner.adapt(support)
        right = (learner.predict(state, query.x).argmax(1) == query.y.argmax(1)).double().mean()
    logistic, svm, mlp = state.shares.tolist()
    assert right > 0.85
    assert logistic < 0.2 < max(svm, mlp)
    assert state.why["left_out"][0] > state.why["left_out"][1:].max()


def test_columns_that_tell_the_classes_apart_are_looked_at_most() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    y = np.arange(100) % 2
    x = rng.normal(size=(100, 6)).astype(np.float32)
    x[:, 2] += 2 * y
    with torch.no_grad():
        state = LearnerGenerator().adapt(examples(torch.from_numpy(x), torch.from_numpy(y), 2))
    svm, mlp = state.why["columns"][1:]
    for counts in (svm, mlp):
        assert counts.argmax() == 2
        assert counts[2] > 2 * counts[[0, 1, 3, 4, 5]].max()


def test_more_columns_and_classes_than_any_in_meta_training() -> None:
    torch.manual_seed(0)
    learner = LearnerGenerator().eval()
    rng = np.random.default_rng(0)
    y = np.arange(360) % 15
    centres = rng.normal(size=(15, 250))
    x = torch.from_numpy((centres[y] + rng.normal(size=(360, 250))).astype(np.float32))
    with torch.no_grad():
        state = learner.adapt(examples(x[:180], torch.from_numpy(y[:180]), 15))
        found = learner.predict(state, x[180:]).argmax(dim=1)
    assert (found == torch.from_numpy(y[180:])).double().mean() > 0.95


def test_meta_training_lowers_the_loss_of_new_tasks() -> None:
    prior = TablePrior(n_support=(20, 60), n_query=60, n_features=8, n_classes=3, seed=2)
    torch.manual_seed(0)
    learner = LearnerGenerator(hidden=16, n_random=64, n_hidden=16, rank=4, steps=4)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.01)
    new = [prior.task("test", index) for index in range(40)]

    def loss() -> float:
        with torch.no_grad():
            return float(torch.stack([learner(task) for task in new]).mean())

    before = loss()
    for step in range(20):
        found = meta_gradient(learner, prior.batch("train", range(8 * step, 8 * step + 8)))
        for name, parameter in learner.named_parameters():
            parameter.grad = found.gradients[name] / 8
        optimizer.step()
    assert loss() < before - 0.005


def test_without_steps_the_network_alone_writes_the_weights() -> None:
    learner = small(steps=0, generates="logistic")
    support, query = random_tasks("classification", (6,), 3)[0]
    state = learner.adapt(support)
    gradients = meta_gradient(learner, stack([Task(support, query)])).gradients
    assert state.parts["logistic"]["weight"].abs().max() > 0
    assert gradients["of_task.weight"].abs().max() > 0


def test_a_share_of_0_has_a_finite_gradient() -> None:
    learner = small().float()
    with torch.no_grad():
        learner.trust.fill_(1e4)
    support, query = rings(60, 0), rings(60, 1)
    assert (learner.adapt(support).shares == 0).any()
    found = meta_gradient(learner, stack([Task(support, query)]))
    assert found.finite.all()


def test_a_task_without_a_column_that_varies_gets_the_frequencies() -> None:
    learner = LearnerGenerator().eval()
    y = torch.tensor([0, 0, 0, 1])
    with torch.no_grad():
        state = learner.adapt(examples(torch.ones(4, 3), y, 2))
        p = learner.predict(state, torch.ones(1, 3)).softmax(dim=1)[0, 0]
    assert 0.6 < p < 0.85


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"generates": "tree"}, "must be one of mixture, logistic, svm, mlp"),
        ({"n_random": 1}, "every size at least 2"),
        ({"steps": -1}, "steps must be at least 0; received -1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], words: str) -> None:
    with pytest.raises(UserError, match=words):
        LearnerGenerator(**settings)  # type: ignore[arg-type]
