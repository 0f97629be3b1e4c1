"""Learned optimizers against their paper, their estimators, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from cases import ROW, WAY, plain_mlp, shared_mlp
from reference import learned_optimizer as reference
from small import quick
from torch import Tensor, nn
from torch.func import functional_call, vmap

from quickstudy import build
from quickstudy.batching.batch import Batching, meta_gradient
from quickstudy.errors import UserError
from quickstudy.evaluation.meta_test import evaluate
from quickstudy.evaluation.scores import score
from quickstudy.learners import LearnedOptimizer
from quickstudy.rules import CLASSICAL, LSTMRule
from quickstudy.task import Examples, Task, stack
from quickstudy.tasks import Quadratics
from quickstudy.testing import random_tasks


def learned(**settings: Any) -> LearnedOptimizer:
    torch.manual_seed(0)
    made = build({"name": "LearnedOptimizer", "inner_steps": 7, **settings}, Quadratics(seed=3))
    assert isinstance(made, LearnedOptimizer)
    return made.double()


def quadratic(index: int = 0) -> Task:
    return Task(
        *(Examples(*(t.double() for t in part)) for part in Quadratics().task("train", index))
    )


def as_torch(rule: LSTMRule) -> tuple[nn.LSTM, nn.Linear]:
    """The same LSTM; torch orders its gates input, forget, cell, output."""
    lstm = nn.LSTM(1, rule.hidden, num_layers=len(rule.cells)).double()
    order = torch.tensor([0, 1, 3, 2])
    n = 4 * rule.hidden
    with torch.no_grad():
        for i, cell in enumerate(rule.cells):
            n_in = cell.gates.in_features - rule.hidden  # type: ignore[union-attr, operator]
            weight = cell.gates.weight.view(4, rule.hidden, -1)[order].reshape(n, -1)  # type: ignore[union-attr, operator]
            bias = cell.gates.bias.view(4, rule.hidden)[order].reshape(n)  # type: ignore[union-attr, operator]
            getattr(lstm, f"weight_ih_l{i}").copy_(weight[:, :n_in])
            getattr(lstm, f"weight_hh_l{i}").copy_(weight[:, n_in:])
            getattr(lstm, f"bias_ih_l{i}").copy_(bias)
            getattr(lstm, f"bias_hh_l{i}").zero_()
    return lstm, rule.out


@pytest.mark.parametrize("batching", ["loop", "vmap"])
def test_against_the_paper(batching: Batching) -> None:
    learner = learned(truncate=3)
    assert isinstance(learner.rule, LSTMRule)
    lstm, out = as_torch(learner.rule)
    task = quadratic()
    W, y = task.support.x / 10**0.5, task.support.y[:, 0] / 10**0.5
    theta, loss, gradient = reference.task(lstm, out, W, y, 7, 3)
    state = learner.adapt(task.support)
    torch.testing.assert_close(state.parameters["1.weight"][0], theta)
    ours = meta_gradient(learner, stack([task]), batching)
    torch.testing.assert_close(ours.losses[0], loss)
    hidden, order = learner.rule.hidden, torch.tensor([0, 1, 3, 2])
    for layer in (0, 1):
        found = ours.gradients[f"rule.cells.{layer}.gates.weight"]
        found = found.view(4, hidden, -1)[order].reshape(4 * hidden, -1)
        wanted = torch.cat(gradient[4 * layer : 4 * layer + 2], dim=1)
        torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(ours.gradients["rule.out.weight"], gradient[-2])


def test_losses_are_those_of_the_trajectory_and_make_the_task_loss() -> None:
    learner, task = learned(), quadratic()
    found = learner.objective_losses(task, 7)
    W, y = task.support.x / 10**0.5, task.support.y[:, 0] / 10**0.5
    for state, value in zip(learner.trajectory(task.support, 7), found, strict=True):
        theta = state.parameters["1.weight"][0]
        torch.testing.assert_close((W @ theta - y).square().sum(), value)
    torch.testing.assert_close(learner(task), found[1:].mean())


def test_second_derivatives_change_the_gradient_and_not_the_loss() -> None:
    with_them, without = learned(second_derivatives=True), learned()
    exact, dropped = (meta_gradient(each, stack([quadratic()])) for each in (with_them, without))
    torch.testing.assert_close(exact.losses, dropped.losses)
    name = "rule.out.weight"
    assert not torch.allclose(exact.gradients[name], dropped.gradients[name], rtol=1e-3)


def test_truncation_changes_the_gradient_and_not_the_loss() -> None:
    whole, short = (meta_gradient(learned(truncate=n), stack([quadratic()])) for n in (7, 2))
    torch.testing.assert_close(whole.losses, short.losses)
    name = "rule.cells.0.gates.weight"
    assert not torch.allclose(whole.gradients[name], short.gradients[name], rtol=1e-2)


def test_batches_are_taken_in_turn() -> None:
    torch.manual_seed(0)
    learner = LearnedOptimizer(plain_mlp(), inner_steps=4, batch_size=3, rule="linear").double()
    learner.rule = CLASSICAL["SGD"](lr=0.5)
    support = random_tasks("classification", ROW, WAY)[0].support  # 5 examples
    phi = {n: p.detach().clone() for n, p in learner.net.named_parameters()}
    for rows in ([0, 1, 2], [3, 4, 0], [1, 2, 3], [4, 0, 1]):
        free = {n: p.requires_grad_() for n, p in phi.items()}
        logits = functional_call(learner.net, free, (support.x[rows],))
        loss = nn.functional.cross_entropy(logits, support.y[rows].argmax(dim=1))
        slopes = torch.autograd.grad(loss, [*free.values()])
        phi = {n: (p - 0.5 * g).detach() for (n, p), g in zip(free.items(), slopes, strict=True)}
    torch.testing.assert_close(learner.adapt(support).parameters, phi)


def test_every_task_starts_from_its_own_draw() -> None:
    torch.manual_seed(0)
    learner = LearnedOptimizer(plain_mlp(), inner_steps=2, start_std=0.1).double()
    support = random_tasks("classification", ROW, WAY)[0].support

    def start(_: Tensor) -> Tensor:
        return next(iter(learner.trajectory(support, 0))).parameters["1.weight"]

    drawn = vmap(start, randomness="different")(torch.zeros(400))
    assert not torch.equal(drawn[0], drawn[1])
    assert abs(float(drawn.std()) - 0.1) < 0.005


def test_pes_estimates_the_gradient_of_the_whole_path() -> None:
    """Of the linear rule's path on a quadratic, with short windows; truncation alone is biased."""
    settings = {"rule": "linear", "rule_options": {"decays": (0.5,), "scale": 0.1}}
    exact = learned(**settings, second_derivatives=True, truncate=100)
    task = quadratic(1)
    want = meta_gradient(exact, stack([task])).gradients
    pes = learned(**settings, estimator="pes", truncate=2, pes_std=1e-3)
    n = 3_000
    tasks = Task(*(Examples(*(t.expand(n, *t.shape) for t in part)) for part in task))
    weights = {name: p.detach() for name, p in pes.named_parameters()}
    torch.manual_seed(0)

    def estimate(one: Task) -> dict[str, Tensor]:
        def loss(free: dict[str, Tensor]) -> Tensor:
            return functional_call(pes, weights | free, (one,))

        return torch.func.grad(loss)({name: weights[name] for name in want})

    found = vmap(estimate, randomness="different")(tasks)
    cut = meta_gradient(learned(**settings, truncate=2), stack([task])).gradients
    for name, each in found.items():
        error = each.std(dim=0) / n**0.5
        assert ((each.mean(dim=0) - want[name]).abs() < 3.5 * error).all(), name
    name = "rule.weights"
    assert ((cut[name] - want[name]).abs() > 10 * found[name].std(dim=0) / n**0.5).any()


def test_meta_training_makes_the_rule_better_than_where_it_starts() -> None:
    source = Quadratics()
    learner = build({"name": "LearnedOptimizer", "rule": "linear", "inner_steps": 20}, source)
    tasks = [source.task("test", i) for i in range(100)]
    before = score(learner, tasks).mean
    quick(source, learner, None, steps=40, meta_batch=16, valid_every=40, outer_lr=0.02, clip=1.0)
    assert score(learner, tasks).mean < 0.6 * before


def test_evaluation_puts_tuned_opponents_beside_it() -> None:
    source = Quadratics()
    learner = build({"name": "LearnedOptimizer", "inner_steps": 4}, source)
    found = evaluate(learner, source, n_tasks=5, shots=(1,), steps=(1,))
    rows = {row["name"]: row for row in found["optimizers"]["rules"]}
    assert list(rows) == ["learned", *CLASSICAL]
    assert found["loss_at_4"] == pytest.approx(found["mse"], rel=1e-5)
    assert found["tuned_at_4"] == min(
        row["loss"] for name, row in rows.items() if name != "learned"
    )
    assert found["ratio_at_4"] == pytest.approx(found["loss_at_4"] / found["tuned_at_4"])
    assert len({row["curve"][0] for row in rows.values()}) == 1
    assert "by_steps" not in found
    plain = evaluate(learner, source, n_tasks=5, with_baselines=False)
    assert [row["name"] for row in plain["optimizers"]["rules"]] == ["learned"]


@pytest.mark.parametrize(
    ("net", "settings", "words"),
    [
        (plain_mlp, {"rule": "adagrad"}, "one of lstm, linear"),
        (plain_mlp, {"objective": "both"}, "objective must be one of path, query; received 'both'"),
        (plain_mlp, {"estimator": "es"}, "estimator must be one of backprop, pes; received 'es'"),
        (plain_mlp, {"estimator": "pes", "objective": "query"}, "pes estimates.*objective query"),
        (plain_mlp, {"estimator": "pes", "rule": "meta_lstm"}, "and a learned start"),
        (plain_mlp, {"start_std": 0.1, "rule": "meta_lstm"}, "received start_std=0.1; leave"),
        (shared_mlp, {"rule": "mlp"}, "use the head per_class"),
        (plain_mlp, {"inner_steps": 0}, "inner_steps and truncate must be at least 1"),
        (plain_mlp, {"truncate": 0}, "received inner_steps=100 and truncate=0"),
    ],
)
def test_what_does_not_go_together_is_refused(net: Any, settings: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        LearnedOptimizer(net(), **settings)
