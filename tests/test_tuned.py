"""Tuned opponents of learned rules, and rules on other networks than they were learned on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import Watched, maml, quick, sinusoid

from quickstudy import build
from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.evaluation.tuned import LEARNING_RATES, losses, transferred, tune
from quickstudy.learners import LearnedOptimizer
from quickstudy.rules import CLASSICAL, SGD
from quickstudy.task import Task
from quickstudy.tasks import DigitsRuns, Quadratics, Split


def learned(source: Any, **settings: Any) -> LearnedOptimizer:
    spec = {"name": "LearnedOptimizer", "rule": "linear", "inner_steps": 3, **settings}
    made = build(spec, source)
    assert isinstance(made, LearnedOptimizer)
    return made


def test_losses_are_those_of_gradient_descent() -> None:
    source = Quadratics()
    found = losses(learned(source), source, "test", 3, 4, SGD(0.01))
    for i, curve in enumerate(found):
        support = source.task("test", i).support
        W, y = support.x.double() / 10**0.5, support.y[:, 0].double() / 10**0.5
        theta = torch.zeros(10, dtype=torch.float64)
        for value in curve:
            assert value == pytest.approx(float((W @ theta - y).square().sum()), rel=1e-5)
            theta = theta - 0.02 * W.T @ (W @ theta - y)


def test_rules_start_alike_and_see_the_same_batches() -> None:
    source = DigitsRuns(n_shot=40, n_query=10)
    learner = learned(source, batch_size=8, start_std=0.5)
    found = [
        losses(learner, source, "test", 3, 2, of_size(lr=0.1)) for of_size in CLASSICAL.values()
    ]
    for each in found:
        np.testing.assert_allclose(each[:, 0], found[0][:, 0], rtol=1e-5)
    assert len(np.unique(found[0][:, 0])) == 3
    assert not np.allclose(found[0][:, 1], found[-1][:, 1])


def test_a_rule_that_diverges_counts_as_infinite() -> None:
    source = Quadratics()
    assert np.isinf(losses(learned(source), source, "test", 2, 200, SGD(1e5))[:, -1]).all()


def test_step_sizes_are_chosen_on_meta_valid_and_by_the_last_loss() -> None:
    seen: set[Split] = set()

    def note(split: Split, index: int, task: Task) -> Task:
        seen.add(split)
        return task

    plain = Quadratics()
    source = Watched(plain, note)
    learner = learned(plain)
    chosen = tune(learner, source, 10, 8)
    assert seen == {"valid"}
    assert chosen.keys() == CLASSICAL.keys()
    ends = [
        losses(learner, plain, "valid", 8, 10, CLASSICAL["Adam"](lr=lr))[:, -1].mean()
        for lr in LEARNING_RATES
    ]
    assert chosen["Adam"] == LEARNING_RATES[int(np.argmin(ends))]
    # Gradient descent diverges from 2 / (largest curvature) on, here about 0.03.
    assert 0.001 < chosen["SGD"] < 0.04


def test_a_rule_goes_to_another_network_as_it_was_learned() -> None:
    source = DigitsRuns(n_shot=40, n_query=10)
    learner = learned(source, batch_size=8)
    with torch.no_grad():
        learner.rule.weights.fill_(0.7)  # type: ignore[operator, union-attr]
    other = transferred(learner, source, {"hidden": [5, 4], "activation": "relu"})
    assert torch.equal(other.rule.weights, learner.rule.weights)  # type: ignore[arg-type]
    widths = [m.out_features for m in other.net.modules() if isinstance(m, torch.nn.Linear)]
    assert widths == [5, 4, 10]
    assert any(isinstance(m, torch.nn.ReLU) for m in other.net.modules())
    assert np.isfinite(losses(other, source, "test", 2, 3)).all()


@pytest.mark.parametrize("settings", [None, {"rule": "meta_lstm"}])
def test_only_a_rule_without_its_start_goes_to_another_network(settings: Any) -> None:
    source = sinusoid()
    learner = maml(source) if settings is None else learned(source, **settings)
    with pytest.raises(UserError, match="leave net and tasks out"):
        transferred(learner, source, {"hidden": [5]})


def test_a_run_is_evaluated_on_other_tasks_and_networks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--learner.rule", "linear", "--learner.inner-steps", "3", "--learner.batch-size=8"]
    options += ["--tasks", "digits-runs", "--n-shot", "40", "--n-query", "10"]
    options += ["--steps", "2", "--meta-batch", "2", "--valid-every", "2", "--valid-tasks", "2"]
    run, out = str(tmp_path / "run"), tmp_path / "out.json"
    assert main(["train", "--learner", "LearnedOptimizer", *options, "--out", run]) == 0
    words = ["--n-tasks", "4", "--json", str(out), "--pictures", str(tmp_path / "pictures")]
    net = ["--net", '{"hidden": [5]}', "--tasks", '{"n_query": 12}', "--inner-steps", "4"]
    assert main(["evaluate", run, *words, *net]) == 0
    found = json.loads(out.read_text())
    assert found["parameters"] == 65 * 5 + 6 * 10 + 5 + 4
    assert set(found["optimizers"]["rules"][0]) == {"name", "curve", "loss", "ci95"}
    assert found["ratio_to_Adam"] == pytest.approx(
        found["loss_at_4"] / found["optimizers"]["rules"][-1]["loss"]
    )
    assert "--net '{\"hidden\": [5]}'" in found["command"]
    assert (tmp_path / "pictures" / "loss_curves.svg").is_file()
    assert "loss after 4 steps" in capsys.readouterr().out


def test_validation_of_a_drawn_start_is_the_same_again(tmp_path: Path) -> None:
    source = DigitsRuns(n_shot=24, n_query=10)
    runs = [quick(source, learned(source, batch_size=8, start_std=0.3), None) for _ in range(2)]
    assert runs[0].best == runs[1].best
