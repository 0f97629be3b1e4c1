"""Networks that users write themselves: what learners take, and what they refuse and how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small import blobs, parameters, quick, sinusoid
from torch import Tensor, nn

from quickstudy import UserError, build
from quickstudy.catalog import LEARNERS
from quickstudy.evaluation.scores import score
from quickstudy.learners import MAML, MatchingNetwork, PrototypicalNetwork
from quickstudy.nets import replace_batch_norm
from quickstudy.task import Task


def normed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("name", LEARNERS)
def test_no_learner_is_meta_trained_with_running_statistics(name: str, tmp_path: Path) -> None:
    learner = build(name, blobs())
    learner.extra = normed()
    with pytest.raises(UserError, match=rf"{name}: BatchNorm1d 'extra\.1'.*replace_batch_norm"):
        quick(blobs(), learner, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nor_evaluated_until_they_are_replaced() -> None:
    net, task = normed(), blobs().task("test", 0)
    with pytest.raises(UserError, match=r"PrototypicalNetwork: BatchNorm1d 'net\.1'"):
        score(PrototypicalNetwork(net), [task])
    learner = PrototypicalNetwork(replace_batch_norm(net))
    quick(blobs(), learner, None)
    assert score(learner, [task]).mean > 0.5


def dropping() -> PrototypicalNetwork:
    torch.manual_seed(0)
    return PrototypicalNetwork(nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 3)))


def test_dropout_draws_by_seed_and_step_so_that_a_run_resumes(tmp_path: Path) -> None:
    whole, half, other = dropping(), dropping(), dropping()
    quick(blobs(), whole, tmp_path / "whole")
    torch.manual_seed(7)
    quick(blobs(), half, tmp_path / "half", steps=4)
    resumed = dropping()
    quick(blobs(), resumed, tmp_path / "half", resume=True)
    assert torch.equal(parameters(resumed), parameters(whole))
    for module in other.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    quick(blobs(), other, None)
    assert not torch.equal(parameters(other), parameters(whole))


class Pair(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return x, x


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Unflatten(1, (1, 2)), r"\(examples, features\); received the shape \(\d+, 1, 2\)"),
        (Pair(), "Pair: a network must give one tensor; received a tuple"),
    ],
)
def test_features_are_one_tensor_of_rows(net: nn.Module, message: str) -> None:
    task = blobs().task("train", 0)
    learner = PrototypicalNetwork(net)
    for ask in (learner.respond, learner.task_loss, MatchingNetwork(net).task_loss):
        with pytest.raises(UserError, match=message):
            ask(task)


@pytest.mark.parametrize("n_out", [2, 3])
def test_outputs_that_do_not_fit_are_not_broadcast(n_out: int) -> None:
    learner = MAML(nn.Linear(1, n_out), "regression", inner_steps=1)
    task: Task = sinusoid().task("train", 0)
    for ask in (learner.adapt, learner.task_loss):
        with pytest.raises(UserError, match=rf"received \(5, {n_out}\) for \(5, 1\)"):
            ask(task.support if ask == learner.adapt else task)  # type: ignore[arg-type]
    learner = MAML(nn.Linear(1, n_out), "regression", adapt_steps=0).eval()
    with pytest.raises(UserError, match="as many outputs as the tasks have"):
        learner.respond(task)
