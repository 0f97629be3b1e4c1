"""Networks that users write themselves: what learners take, and what they refuse and how."""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from small import blobs, parameters, quick, sinusoid
from torch import Tensor, nn

from quickstudy import Training, UserError, build, estimate, load, load_task
from quickstudy.batching.batch import choose, meta_gradient
from quickstudy.catalog import LEARNERS
from quickstudy.evaluation.scores import score
from quickstudy.learners import MAML, ImplicitMAML, MatchingNetwork, PrototypicalNetwork
from quickstudy.nets import replace_batch_norm
from quickstudy.nets.second_order import plain_attention
from quickstudy.task import Task, stack, to_like
from quickstudy.testing import check_meta_gradient, random_tasks


def normed() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


@pytest.mark.parametrize("name", [n for n, each in LEARNERS.items() if each.kind != "control"])
def test_no_learner_is_meta_trained_with_running_statistics(name: str, tmp_path: Path) -> None:
    # This one adapts by its norms, and takes no network without.
    net = {"name": "MLP", "norm": "support"} if name == "ARMBN" else None
    learner = build(name, blobs(), net)
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


# Layers that are tied, recurrent, or have one derivative


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(2, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.out.weight = self.b.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.relu(self.b(torch.relu(self.a(x)))))
        return out


@pytest.mark.parametrize("learn", [PrototypicalNetwork, partial(MAML, inner_steps=1)])
def test_tied_weights_are_saved_once_and_come_back_tied(learn: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole, half = learn(Tied()), learn(Tied())
    half.load_state_dict(whole.state_dict())
    quick(blobs(), whole, tmp_path / "whole")
    quick(blobs(), half, tmp_path / "half", steps=4)
    again = learn(Tied())
    quick(blobs(), again, tmp_path / "half", resume=True)
    assert torch.equal(parameters(again), parameters(whole))
    assert again.net.out.weight is again.net.b.weight

    model = load(tmp_path / "whole", learner=learn(Tied()))
    task = blobs().task("test", 0)
    adapted = model.adapt(task.support.x, task.support.y.argmax(dim=1))
    adapted.save(tmp_path / "mine.task")
    loaded = load_task(tmp_path / "mine.task", learner=learn(Tied()))
    assert np.array_equal(loaded.predict_proba(task.query.x), adapted.predict_proba(task.query.x))
    content = (tmp_path / "mine.task").read_bytes()
    names = [*safetensors.torch.load(content)]
    assert "weights/net.b.weight" in names
    assert "weights/net.out.weight" not in names


class Attending(nn.Module):
    """Reads a row as steps of two numbers, through torch's fused attention."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True)
        self.step, self.encoder = nn.Linear(2, 4), nn.TransformerEncoder(layer, 1)
        self.out = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(self.encoder(self.step(x.unflatten(1, (3, 2)))).mean(dim=1))
        return out


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("how", ["loop", "vmap"])
@pytest.mark.parametrize("learn", [MAML, partial(MAML, meta_gradient="checkpoint"), ImplicitMAML])
def test_attention_is_differentiated_twice(learn: Any, how: Any) -> None:
    torch.manual_seed(0)
    learner = learn(Attending(), inner_lr=0.5, inner_steps=2)
    tasks = stack(random_tasks("classification", (6,), 3))
    found = meta_gradient(learner, to_like(tasks, torch.zeros(())), how)
    exact = meta_gradient(copy.deepcopy(learner).double(), tasks, "loop")
    torch.testing.assert_close(found.losses.double(), exact.losses, rtol=1e-4, atol=1e-5)
    for name, want in exact.gradients.items():
        torch.testing.assert_close(found.gradients[name].double(), want, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_its_memory_is_estimated_as_it_is_trained() -> None:
    for learner in (PrototypicalNetwork(Attending()), MAML(Attending(), inner_steps=1)):
        needs = estimate(learner, blobs(noise=4), Training(meta_batch=8), measure=False)
        assert needs.asked.tensors > needs.kept > 0


def test_its_meta_gradient_is_the_derivative_and_the_choice_of_kernels_is_put_back() -> None:
    torch.manual_seed(0)
    settings = (torch.backends.cuda.flash_sdp_enabled, torch.backends.mha.get_fastpath_enabled)
    before = [enabled() for enabled in settings]
    learner, tasks = MAML(Attending(), inner_steps=1), random_tasks("classification", (6,), 3)
    check_meta_gradient(learner, tasks)
    with plain_attention(), plain_attention():
        assert [enabled() for enabled in settings] == [False, False]
    assert [enabled() for enabled in settings] == before == [True, True]


class Recurrent(nn.Module):
    """The last state of a recurrent layer, or of a cell, after steps of two numbers."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.cell = issubclass(kind, nn.RNNCellBase)
        self.inside = kind(2, 3) if self.cell else kind(2, 3, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        steps = x.unflatten(1, (3, 2))
        if not self.cell:
            every: Tensor = self.inside(steps)[0]
            return every[:, -1]
        state = None
        for step in steps.unbind(dim=1):
            state = self.inside(step, state)
        return state[0] if isinstance(state, tuple) else state  # type: ignore[return-value]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM, nn.RNNCell, nn.GRUCell, nn.LSTMCell])
def test_recurrent_layers_are_looped(kind: type[nn.Module]) -> None:
    tasks = to_like(stack(random_tasks("classification", (6,), 3)), torch.zeros(()))
    for learner in (PrototypicalNetwork(Recurrent(kind)), MAML(Recurrent(kind), inner_steps=1)):
        assert choose(learner, "vmap") == "loop"
        assert torch.isfinite(meta_gradient(learner, tasks).losses).all()


class Writes(nn.Linear):
    """Writes into a tensor that does not know of tasks."""

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros(x.shape[0], self.out_features)
        out[:] = super().forward(x)
        return out


class Fused(nn.Linear):
    """Calls the kernel of fused attention by its name: it has one derivative."""

    vmappable = False

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x).view(x.shape[0], 1, 1, -1)
        out: Tensor = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(z, z, z)[0]
        return out.flatten(1)


def test_what_vmap_cannot_run_says_what_to_set(tmp_path: Path) -> None:
    net = Writes(2, 3)
    said = r"runs on one task but not under vmap \(.+\); set net\.vmappable = False"
    with pytest.raises(UserError, match=said):
        quick(blobs(), PrototypicalNetwork(net), tmp_path / "run", meta_batch=4)
    with pytest.raises(UserError, match=said):
        score(PrototypicalNetwork(net), [blobs().task("test", i) for i in range(4)])
    assert not (tmp_path / "run").exists()
    net.vmappable = False  # type: ignore[assignment]
    quick(blobs(), PrototypicalNetwork(net), tmp_path / "run", meta_batch=4)
    with pytest.raises(RuntimeError, match="cannot be multiplied"):  # the network's own error
        score(PrototypicalNetwork(nn.Linear(5, 3)), [blobs().task("test", 0)])


def test_what_has_one_derivative_says_what_to_set(tmp_path: Path) -> None:
    for out in (tmp_path / "new", tmp_path):
        with pytest.raises(UserError, match=r"MAML: .*twice.*set meta_gradient to first"):
            quick(blobs(), MAML(Fused(2, 3), inner_steps=1), out)
        assert not [*tmp_path.iterdir()], "nothing half-made is left"
    quick(blobs(), MAML(Fused(2, 3), inner_steps=1, meta_gradient="first"), tmp_path / "run")


def test_a_run_that_was_begun_before_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    quick(blobs(), PrototypicalNetwork(nn.Linear(2, 3)), tmp_path, steps=2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(UserError, match="must be new or empty"):
        quick(blobs(), PrototypicalNetwork(nn.Linear(2, 3)), tmp_path)
    with pytest.raises(UserError, match=r"set net\.vmappable"):
        quick(blobs(), PrototypicalNetwork(Writes(2, 3)), tmp_path, resume=True, meta_batch=4)
    assert before.keys() <= {path.name for path in tmp_path.iterdir()}
    assert load(tmp_path, learner=PrototypicalNetwork(nn.Linear(2, 3))).x_shape == (2,)
