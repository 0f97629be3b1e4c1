"""Keras models as networks: learned from, named, refused and brought back."""

from __future__ import annotations

import importlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small import draw_classes, quick
from torch import Tensor, nn

import quickstudy as qs
from quickstudy.batching.batch import Batching, choose, meta_gradient
from quickstudy.learners import MAML, PrototypicalNetwork
from quickstudy.task import Task, stack, to_like
from quickstudy.tasks import Episodes, folder
from quickstudy.testing import random_tasks

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="needs keras: pip install 'quickstudy[keras]'")
from quickstudy.nets.keras_net import KerasNet  # noqa: E402

PICTURE, WAY = (1, 12, 12), 3
STRATEGIES: tuple[Batching, ...] = ("loop", "vmap")


def convolutional(order: str, widths: tuple[int, int], way: int = WAY) -> Any:
    """Conv2D, MaxPooling2D, twice; Flatten, Dense; with random biases too."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    shape = PICTURE if order == "channels_first" else (*PICTURE[1:], PICTURE[0])
    parts: list[Any] = [keras.Input(shape)]
    for width in widths:
        parts.append(layers.Conv2D(width, 3, activation="relu", data_format=order))
        parts.append(layers.MaxPooling2D(2, data_format=order))
    model = keras.Sequential([*parts, layers.Flatten(data_format=order), layers.Dense(way)])
    for variable in model.variables:
        if variable.name == "bias":
            variable.assign(keras.random.normal(variable.shape, stddev=0.1, seed=1))
    return model


def dense(*inside: Any, n_out: int = WAY) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((6,)), layers.Dense(8, activation="tanh"), *inside, layers.Dense(n_out)]
    )


class ByHand(nn.Module):
    """The convolutional model in PyTorch, with the Keras model's weights."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        first, _, second, _, _, last = model.layers
        self.first, self.second = nn.Conv2d(1, first.filters, 3), nn.Conv2d(1, second.filters, 3)
        for conv, layer in ((self.first, first), (self.second, second)):
            kernel, bias = (v.value.detach().clone() for v in layer.variables)
            conv.weight = nn.Parameter(kernel.permute(3, 2, 0, 1).contiguous())
            conv.bias = nn.Parameter(bias)
        kernel, bias = (v.value.detach().clone() for v in last.variables)
        self.last = nn.Linear(*kernel.shape)
        self.last.weight, self.last.bias = nn.Parameter(kernel.T.contiguous()), nn.Parameter(bias)
        self.channels_last = first.data_format == "channels_last"

    def forward(self, x: Tensor) -> Tensor:
        for conv in (self.first, self.second):
            x = torch.max_pool2d(torch.relu(conv(x)), 2)
        x = x.permute(0, 2, 3, 1) if self.channels_last else x
        out: Tensor = self.last(x.flatten(1))
        return out


def single(tasks: list[Task]) -> Task:
    """A meta-batch in float32."""
    return to_like(stack(tasks), torch.zeros(()))


def as_in_keras(gradient: dict[str, Tensor]) -> list[Tensor]:
    """Gradients of the PyTorch network in the order and the layout of Keras."""
    return [
        g.permute(2, 3, 1, 0) if g.ndim == 4 else g.T if g.ndim == 2 else g
        for g in gradient.values()
    ]


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
@pytest.mark.parametrize("way", ["exact", "checkpoint", "first"])
def test_the_meta_gradient_is_that_of_the_same_network_in_pytorch(order: str, way: Any) -> None:
    model = convolutional(order, (4, 5))
    before = [v.value.detach().clone() for v in model.variables]
    tasks = single(random_tasks("classification", PICTURE, WAY))
    learn = partial(MAML, inner_lr=0.3, inner_steps=2, meta_gradient=way)
    ours, other = learn(KerasNet(model)), learn(ByHand(model))
    found, want = meta_gradient(ours, tasks), meta_gradient(other, tasks, "loop")
    torch.testing.assert_close(found.losses, want.losses, rtol=1e-5, atol=1e-6)
    wanted = as_in_keras({n.removeprefix("net."): g for n, g in want.gradients.items()})
    for g, w in zip(found.gradients.values(), wanted, strict=True):
        torch.testing.assert_close(g, w, rtol=1e-4, atol=1e-5 * float(w.abs().max()))
    assert all(torch.equal(v.value, b) for v, b in zip(model.variables, before, strict=True))


def test_channels_last_layers_are_looped() -> None:
    for order, how in (("channels_last", "loop"), ("channels_first", "vmap")):
        assert choose(MAML(KerasNet(convolutional(order, (2, 2)))), "vmap") == how


@pytest.mark.parametrize("learn", [PrototypicalNetwork, MAML])
def test_loop_and_vmap_agree(learn: Any) -> None:
    learner = learn(nn.Sequential(KerasNet(dense()), nn.Linear(WAY, WAY)))
    tasks = single(random_tasks("classification", (6,), WAY))
    looped, mapped = (meta_gradient(learner, tasks, how) for how in STRATEGIES)
    torch.testing.assert_close(mapped.losses, looped.losses)
    torch.testing.assert_close(mapped.gradients, looped.gradients, rtol=1e-4, atol=1e-5)


def test_it_is_meta_trained_and_comes_back(tmp_path: Path) -> None:
    source = Episodes(folder(draw_classes(tmp_path / "data", 20, 6), size=12), WAY, 1, 3)
    model = convolutional("channels_last", (32, 64))
    learner = MAML(KerasNet(model), inner_lr=0.1, inner_steps=1)
    tasks = [source.task("train", index) for index in range(1 << 20, (1 << 20) + 20)]

    def loss() -> float:
        return sum(float(learner(task).detach()) for task in tasks)

    before = loss()
    quick(source, learner, tmp_path / "run", steps=40, meta_batch=2, outer_lr=0.01, valid_every=40)
    assert loss() < 0.9 * before
    changed = float(model.layers[0].kernel.value.detach().sum())
    assert changed == float(learner.net.get_parameter("0_conv2d_kernel").detach().sum())

    again = MAML(KerasNet(convolutional("channels_last", (32, 64))), inner_lr=0.1, inner_steps=1)
    loaded = qs.load(tmp_path / "run", learner=again)
    task = tasks[0]
    torch.testing.assert_close(loaded.learner.respond(task), learner.eval().respond(task))


def test_parameters_have_the_names_of_their_layers_whatever_keras_numbered_before() -> None:
    first, second = KerasNet(dense()), KerasNet(dense())
    names = [name for name, _ in first.named_parameters()]
    assert names == ["0_dense_kernel", "1_dense_bias", "2_dense_kernel", "3_dense_bias"]
    assert names == [name for name, _ in second.named_parameters()]
    assert second.n_features == WAY
    doubled = {name: 2 * p.detach() for name, p in first.named_parameters()}
    x = torch.randn(4, 6)
    swapped = torch.func.functional_call(first, doubled, (x,))
    hidden = torch.tanh(x @ doubled[names[0]] + doubled[names[1]])
    torch.testing.assert_close(swapped, hidden @ doubled[names[2]] + doubled[names[3]])


def test_layers_that_do_not_train_are_kept_and_fixed() -> None:
    model = dense(keras.layers.BatchNormalization())
    model.layers[0].trainable = model.layers[1].trainable = False
    net = KerasNet(model)
    assert [name for name, _ in net.named_parameters()] == ["6_dense_kernel", "7_dense_bias"]
    assert net(torch.zeros(2, 6)).shape == (2, WAY)


def test_dropout_is_of_training_only() -> None:
    net, x = KerasNet(dense(keras.layers.Dropout(0.5))), torch.ones(2, 6)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_what_changes_its_variables_is_refused() -> None:
    with pytest.raises(qs.UserError, match=r"BatchNormalization '.*/norm'.*GroupNormalization"):
        KerasNet(dense(keras.layers.BatchNormalization(name="norm")))
    net = KerasNet(dense(keras.layers.Dropout(0.5, seed=1)))
    with pytest.raises(qs.UserError, match=r"'\d_seed_generator_seed_generator_state' changes"):
        net(torch.zeros(2, 6))
    assert net.eval()(torch.zeros(2, 6)).shape == (2, WAY)


def test_what_cannot_be_called_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    unbuilt = keras.Sequential([keras.layers.Dense(3)])
    with pytest.raises(qs.UserError, match=r"not built; start it with keras\.Input"):
        KerasNet(unbuilt)
    with pytest.raises(qs.UserError, match=r"received torch\.float32, torch\.float64"):
        KerasNet(dense())(torch.zeros(2, 6).double())
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(qs.UserError, match=r"received the backend jax; set .*KERAS_BACKEND=torch"):
        KerasNet(dense())


def test_without_keras_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    monkeypatch.delitem(sys.modules, "quickstudy.nets.keras_net")
    with pytest.raises(qs.UserError, match=r"pip install 'quickstudy\[keras\]'"):
        importlib.import_module("quickstudy.nets.keras_net")


def test_a_task_of_another_shape_is_refused() -> None:
    task = to_like(random_tasks("regression", (6,), 2)[0], torch.zeros(()))
    with pytest.raises(qs.UserError, match=r"received \(\d+, 3\) for \(\d+, 2\)"):
        MAML(KerasNet(dense()), "regression")(task)
