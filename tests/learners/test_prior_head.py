"""PriorHead: against its reference, its start in closed form, and what it learns."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from cases import ROW, WAY
from reference import prior_head as reference
from reference.agreement import start
from small import Watched, blobs, quick, sinusoid, taught
from torch import Tensor

from quickstudy import UserError, build
from quickstudy.batching.batch import meta_gradient
from quickstudy.evaluation.scores import CALIBRATION_TASKS, score
from quickstudy.learners import PriorHead
from quickstudy.learners.prior_head import FREEDOM, Evidence
from quickstudy.nets import MLP
from quickstudy.task import Task, examples, stack
from quickstudy.testing import random_tasks

N = 4
"""Inputs of the linear tasks below."""


def same(n_out: int = 2, **settings: Any) -> PriorHead:
    """A learner of the inputs as they are."""
    return PriorHead(MLP((N,), ()), "regression", n_out, **settings).double()


def linear_tasks(n: int, spread: float, noise: float = 0.1, n_support: int = 8) -> list[Task]:
    """Tasks y = x W_i + noise, the W_i around one W."""
    rng = torch.Generator().manual_seed(0)
    draw = partial(torch.randn, generator=rng, dtype=torch.float64)
    W, tasks = draw(N + 1, 2), []
    for _ in range(n):
        own = W + spread * draw(N + 1, 2)
        x = draw(n_support + 20, N)
        y = x @ own[:-1] + own[-1] + noise * draw(len(x), 2)
        tasks.append(
            Task(examples(x[:n_support], y[:n_support]), examples(x[n_support:], y[n_support:]))
        )
    return tasks


def _parts(n: int) -> tuple[slice, slice]:
    return slice(n), slice(n, None)


@pytest.mark.parametrize("evidence", ["sum", "mean"])
def test_equals_the_reference(evidence: Evidence) -> None:
    """Means, deviations, loss and meta-gradient of a regression."""
    learner = PriorHead(MLP(ROW, ()), "regression", 2, evidence, learns="all").double()
    weights = {k: w.requires_grad_() for k, w in start(learner).items()}
    support, query = random_tasks("regression", ROW, 2, seed=2)[0]
    posterior = reference.posterior(weights, support.x, support.y, evidence, FREEDOM)
    mean, std = reference.predict(posterior, query.x)
    loss = reference.student(query.y, mean, weights["log_noise"].exp(), FREEDOM)
    gradient = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))
    state = learner.adapt(support)
    found = learner.distribution(state, query.x)
    assert found is not None
    torch.testing.assert_close(found, (mean, std), rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(learner.predict(state, query.x), mean, rtol=1e-9, atol=1e-10)
    ours = meta_gradient(learner, stack([Task(support, query)]), "vmap")
    torch.testing.assert_close(ours.losses[0], loss, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(ours.gradients, gradient, rtol=1e-7, atol=1e-10)


def test_classes_share_a_column_of_the_prior() -> None:
    learner = PriorHead(MLP(ROW, ())).double()
    weights = start(learner)
    support, query = random_tasks("classification", ROW, WAY, seed=2)[0]
    posterior = reference.posterior(weights, support.x, support.y, "sum", FREEDOM)
    logits = weights["log_scale"].exp() * reference.predict(posterior, query.x)[0]
    torch.testing.assert_close(learner.respond(Task(support, query)), logits)
    assert learner.distribution(learner.adapt(support), query.x) is None
    for way in (2, 9):
        drawn = random_tasks("classification", ROW, way)[0]
        assert learner.respond(drawn).shape == (len(drawn.query.x), way)


def test_by_hand() -> None:
    """One input, prior K0 = (2, 0) with precision 1, an example (1, 5): K = K0 + P z 3."""
    learner = PriorHead(MLP((1,), ()), "regression").double()
    with torch.no_grad():
        learner.mean[0] = 2
        learner.log_pooled.fill_(-math.inf)
        learner.log_ridge.fill_(0)
    state = learner.adapt(examples(torch.ones(1, 1).double(), torch.tensor([5.0]).double()))
    # precision I + z z^T with z = (1, 1): P z = z / 3
    assert state.weight.tolist() == [[pytest.approx(3)]]
    assert state.bias.tolist() == [pytest.approx(1)]


def test_without_evidence_it_is_the_pooled_ridge() -> None:
    """And with much of it, the regression of the task alone."""
    learner, tasks = same(), linear_tasks(30, spread=0.5)
    learner.initialise(tasks)
    rows = [torch.cat([part.x, torch.ones_like(part.x[:, :1])], dim=1) for t in tasks for part in t]
    y = torch.cat([part.y for t in tasks for part in t])
    x = torch.cat(rows)  # of as many examples each, so that every task weighs the same
    second = x.T @ x / len(x)
    penalty = 0.1 * second.diagonal().mean()
    pooled = torch.linalg.solve(second + penalty * torch.eye(N + 1).double(), x.T @ y / len(x))
    torch.testing.assert_close(learner.mean.detach(), pooled, rtol=1e-6, atol=1e-6)
    support, query = tasks[0]
    asked = torch.cat([query.x, torch.ones_like(query.x[:, :1])], dim=1)
    with torch.no_grad():
        learner.log_evidence.fill_(-30)
        torch.testing.assert_close(learner.respond(tasks[0]), asked @ pooled, rtol=1e-6, atol=1e-6)
        learner.log_evidence.fill_(25)
        own = torch.linalg.lstsq(torch.cat([support.x, torch.ones(8, 1).double()], 1), support.y)
        torch.testing.assert_close(
            learner.respond(tasks[0]), asked @ own.solution, rtol=1e-4, atol=1e-4
        )


def test_the_start_knows_how_far_tasks_differ() -> None:
    """Noise is that of the examples; the more tasks differ, the less the prior holds them."""
    alike, apart = same(), same()
    alike.initialise(linear_tasks(200, spread=0.01))
    apart.initialise(linear_tasks(200, spread=1.0))
    assert 0.05 < alike.log_noise.exp().mean() < 0.2
    assert apart.log_pooled < alike.log_pooled - 2


def test_intervals_cover_what_they_should_after_the_start() -> None:
    """The deviations of tasks of the model that it assumes are about right, unseen tasks' too."""
    learner, tasks = same(), linear_tasks(400, spread=0.5)
    learner.initialise(tasks[:300])
    inside = []
    for support, query in tasks[300:]:
        found = learner.distribution(learner.adapt(support), query.x)
        assert found is not None
        inside.append(((query.y - found[0]).abs() < 1.2816 * found[1]).double().mean())
    assert 0.6 < float(torch.stack(inside).mean()) < 0.95


def test_a_noisy_task_has_wide_intervals() -> None:
    learner, tasks = same(), linear_tasks(60, spread=0.1, n_support=30)
    learner.initialise(tasks)
    support, query = tasks[0]
    rng = torch.Generator().manual_seed(1)
    noisy = support._replace(y=support.y + torch.randn(30, 2, generator=rng, dtype=torch.float64))
    with torch.no_grad():
        quiet, loud = (learner.distribution(learner.adapt(s), query.x) for s in (support, noisy))
    assert quiet is not None
    assert loud is not None
    assert float(loud[1].mean()) > 2 * float(quiet[1].mean())


def test_what_is_trained() -> None:
    """Strength alone where the network has no parameters; all else where it has."""
    strength = {"log_pooled", "log_ridge", "log_evidence", "log_noise"}
    assert same().meta_parameters().keys() == strength
    prior = {"mean", "factor", "log_diagonal"}
    assert same(learns="all").meta_parameters().keys() == strength | prior
    deep = PriorHead(MLP(ROW, (8,)))
    assert prior < deep.meta_parameters().keys()
    assert any(name.startswith("net.") for name in deep.meta_parameters())
    fixed = PriorHead(MLP(ROW, (8,)), learns="strength")
    assert fixed.meta_parameters().keys() == strength - {"log_noise"} | {"log_scale"}


@pytest.mark.parametrize("settings", [{"penalty": 0.0}, {"scale": -1.0}])
def test_what_must_be_positive(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match=rf"PriorHead: {next(iter(settings))} must be above 0"):
        PriorHead(MLP(ROW, ()), **settings)  # type: ignore[arg-type]


def test_held_out_where_nothing_gives_them() -> None:
    learner = PriorHead(MLP(ROW, (8,), "support"))
    support, query = random_tasks("classification", ROW, WAY)[0]
    support = support._replace(x=support.x.float(), y=support.y.float())
    assert learner.held_out(learner.adapt(support), support, query.x.float()) is None


class Seen(PriorHead):
    """Keeps the tasks that it was started from."""

    tasks: list[Task]

    def initialise(self, tasks: Iterable[Task]) -> None:
        self.tasks = [*tasks]
        super().initialise(self.tasks)


def test_training_starts_from_tasks_that_no_step_takes(tmp_path: Path) -> None:
    """Once, before the first step; a run that goes on equals one without a pause."""
    source, indices = sinusoid(), list[int]()

    def note(split: str, index: int, task: Task) -> Task:
        if index >= CALIBRATION_TASKS:
            indices.append(index - CALIBRATION_TASKS)
        return task

    def learner() -> PriorHead:
        torch.manual_seed(0)
        return PriorHead(MLP((1,), (8,)), "regression")

    whole, paused = learner(), learner()
    quick(source, whole, None, steps=4)
    quick(Watched(source, note), paused, tmp_path, steps=2)
    assert indices == list(range(len(indices)))
    assert len(indices) == 512
    resumed = learner()
    quick(Watched(source, note), resumed, tmp_path, steps=4, resume=True)
    assert len(indices) == 512
    after: dict[str, Tensor] = resumed.state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(value, after[name]), name
    begun = copy.deepcopy(learner())
    assert not torch.equal(begun.mean, whole.mean)


def test_it_learns_sinusoids() -> None:
    source = sinusoid()
    learner = build("PriorHead", source, net={"name": "MLP", "hidden": (40, 40)})
    tasks = [source.task("test", index) for index in range(100)]
    before = score(learner, tasks).mean
    quick(source, learner, None, steps=300, meta_batch=16, valid_every=300, outer_lr=0.003)
    assert before > 3
    assert score(learner, tasks).mean < 1


def test_it_learns_which_inputs_matter() -> None:
    source = blobs(n_way=5, n_shot=3, noise=4)
    learner = build("PriorHead", source, net={"name": "MLP", "hidden": (32, 32), "norm": "layer"})
    # After 60 steps it is at the bound, so that another rounding decided.
    before, after = taught(learner, source, steps=80)
    assert before < 0.5
    assert after > 0.8
