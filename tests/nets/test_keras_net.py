"""Keras models as networks: learned from, named, refused and brought back."""

from __future__ import annotations

import copy
import importlib
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import draw_classes, quick
from torch import Tensor, nn

import quickstudy as qs
from quickstudy.batching.batch import Batching, choose, meta_gradient
from quickstudy.learners import MAML, PrototypicalNetwork
from quickstudy.nets.traits import dropouts
from quickstudy.task import Task, stack, to_like
from quickstudy.tasks import Episodes, arrays, folder
from quickstudy.testing import random_tasks

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="needs keras: pip install 'quickstudy[keras]'")
from quickstudy.nets.keras_net import KerasNet  # noqa: E402

# Of Keras, where it writes and reads files.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

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


def of(shape: tuple[int | None, ...], *parts: Any) -> Any:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), *parts])


def attention() -> Any:
    rows = keras.Input((6, 4))
    read = keras.layers.MultiHeadAttention(2, 3)(rows, rows)
    return keras.Model(rows, keras.layers.Flatten()(keras.layers.Add()([rows, read])))


def frozen() -> Any:
    model = of((6,), keras.layers.Dense(4), keras.layers.BatchNormalization())
    model.layers[1].trainable = False
    model.layers[1].moving_mean.assign([1.0, 2.0, 3.0, 4.0])
    return model


layers = keras.layers
MODELS: dict[str, Any] = {
    "dropout": lambda: of((6,), layers.Dense(4), layers.Dropout(0.5)),
    "dropout-of-a-seed": lambda: of((6,), layers.Dense(4), layers.Dropout(0.5, seed=1)),
    "noise": lambda: of((6,), layers.Dense(4), layers.GaussianNoise(0.5)),
    "flipped": lambda: of((8, 8, 3), layers.RandomFlip(), layers.Flatten(), layers.Dense(3)),
    "gru": lambda: of((6, 4), layers.GRU(5)),
    "lstm": lambda: of((6, 4), layers.Bidirectional(layers.LSTM(3, dropout=0.2))),
    "attention": attention,
    "normalised": lambda: of((6,), layers.Normalization(mean=1.0, variance=2.0), layers.Dense(3)),
    "frozen": frozen,
    "embedded": lambda: of((6,), layers.Embedding(9, 4), layers.Flatten()),
    "separable": lambda: of((8, 8, 3), layers.SeparableConv2D(4, 3), layers.Flatten()),
    "any-length": lambda: of((None, 4), layers.GRU(5)),
}
LOOPED = {"dropout-of-a-seed", "noise", "flipped", "separable"}
DRAW = {"dropout", "dropout-of-a-seed", "noise", "flipped", "lstm"}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", MODELS)
def test_whatever_layers_it_has_it_answers_as_the_model_and_trains(name: str) -> None:
    model = MODELS[name]()
    net = KerasNet(model).eval()
    shape = tuple(n or 5 for n in model.input_shape[1:])
    x = 3 * torch.rand(4, *shape)
    with torch.no_grad():
        assert torch.equal(net(x), model(x, training=False))
    assert net.vmappable == (name not in LOOPED)
    assert bool(dropouts(net)) == (name in DRAW)
    learner = PrototypicalNetwork(net.train())
    tasks = single(random_tasks("classification", shape, WAY))
    looped, mapped = (meta_gradient(learner, tasks, how) for how in STRATEGIES)
    assert torch.isfinite(looped.losses).all()
    assert torch.isfinite(mapped.losses).all()
    if name not in DRAW:
        torch.testing.assert_close(mapped.losses, looped.losses)
        torch.testing.assert_close(mapped.gradients, looped.gradients, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", sorted(DRAW))
def test_random_layers_draw_by_the_seed_of_torch(name: str) -> None:
    nets = [KerasNet(MODELS[name]()) for _ in range(2)]
    nets[1].load_state_dict(nets[0].state_dict())
    x = torch.rand(4, *nets[0].input_shape) + 1  # type: ignore[misc]
    draws = []
    for net in nets:
        torch.manual_seed(5)
        draws.append([net(x).detach() for _ in range(2)])
    assert torch.equal(torch.stack(draws[0]), torch.stack(draws[1]))
    assert not torch.equal(*draws[0])
    with pytest.raises(qs.UserError, match="dropout in 'KerasNet'; use meta_gradient exact"):
        MAML(nets[0], meta_gradient="checkpoint")


@pytest.mark.parametrize(
    ("shape", "pictures"),
    [
        ((3, 8, 8), (3, 8, 8)),
        ((8, 8, 3), (3, 8, 8)),
        ((3, 8, 6), (3, 8, 6)),
        ((8, 6, 3), (3, 8, 6)),
        ((None, None, 3), (3, 8, 6)),
        ((3, None, None), (3, 8, 6)),
    ],
)
def test_the_shape_of_the_input_decides_the_order_of_channels(
    shape: tuple[int | None, ...], pictures: tuple[int, ...]
) -> None:
    if None in shape:
        order = "channels_last" if shape[-1] == 3 else "channels_first"
        parts = [layers.Conv2D(2, 3, data_format=order)]
        parts.append(layers.GlobalAveragePooling2D(data_format=order))
    else:  # Layers without an order of channels.
        parts = [layers.Flatten(), layers.Dense(4)]
    model, x = of(shape, *parts), torch.randn(5, *pictures)
    as_is = x if shape[0] == 3 else x.permute(0, 2, 3, 1)
    with torch.no_grad():
        assert torch.equal(KerasNet(model)(x), model(as_is))


def test_inputs_that_fit_in_no_order_are_refused() -> None:
    net = KerasNet(of((8, 8, 3), layers.Flatten(), layers.Dense(4)))
    said = r"\(8, 8, 3\); received \(1, 8, 8\), \(8, 8, 1\) when permuted; give keras\.Input"
    with pytest.raises(qs.UserError, match=said):
        net(torch.zeros(2, 1, 8, 8))
    with pytest.raises(qs.UserError, match=r"\(6,\); received \(5,\); give keras\.Input"):
        KerasNet(dense())(torch.zeros(2, 5))


def test_what_changes_its_variables_is_refused() -> None:
    for part, words in (
        (layers.BatchNormalization(name="norm"), r"BatchNormalization '.*/norm'.*freeze it.*Group"),
        (layers.SpectralNormalization(layers.Dense(3)), "SpectralNormalization.*keeps nothing"),
    ):
        with pytest.raises(qs.UserError, match=rf"{words}"):
            KerasNet(dense(part))
    rows = keras.Sequential([keras.Input(batch_shape=(2, 6, 4)), layers.GRU(3, stateful=True)])
    with pytest.raises(qs.UserError, match=r"GRU '.*gru.*' changes.*make it with stateful=False"):
        KerasNet(rows)


def test_a_frozen_batch_norm_comes_from_a_file(tmp_path: Path) -> None:
    model = frozen()
    model.save(tmp_path / "frozen.keras")
    loaded = keras.models.load_model(tmp_path / "frozen.keras")
    x = torch.randn(3, 6)
    with torch.no_grad():
        assert torch.equal(KerasNet(loaded)(x), model(x))
    assert KerasNet(loaded).architecture == KerasNet(model).architecture


@pytest.fixture
def policy() -> Any:
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


def test_another_precision_is_refused_when_the_network_is_made(policy: Any, tmp_path: Path) -> None:
    said = r"received Dense '.*inside' of the policy {}; make it with dtype='float32'"
    for name in ("mixed_float16", "mixed_bfloat16", "float64"):
        model = of((6,), layers.Dense(4, dtype=name, name="inside"), layers.Dense(3))
        with pytest.raises(qs.UserError, match=said.format(name)):
            KerasNet(model)
    policy("mixed_float16")
    model = of((6,), layers.Dense(4, name="inside"))
    model.save(tmp_path / "mixed.keras")
    single = of((6,), layers.Dense(4, dtype="float32"))
    policy("float32")
    for each in (model, keras.models.load_model(tmp_path / "mixed.keras")):
        with pytest.raises(qs.UserError, match=said.format("mixed_float16")):
            KerasNet(each)
    x = torch.randn(3, 6)
    kernel, bias = (v.value.detach() for v in single.variables)
    torch.testing.assert_close(KerasNet(single)(x), x @ kernel + bias, rtol=1e-6, atol=1e-6)


def connected(activation: str = "relu", skips: bool = False) -> PrototypicalNetwork:
    x = keras.Input((6,))
    h = layers.Dense(6, activation=activation)(x)
    return PrototypicalNetwork(KerasNet(keras.Model(x, layers.Dense(3)(h + x if skips else h))))


def test_files_of_another_model_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Episodes(
        arrays(np.random.default_rng(0).normal(size=(160, 6)), np.arange(160) // 8), 3, 1, 4
    )
    quick(source, connected(), tmp_path / "run", steps=2)
    model = qs.load(tmp_path / "run", learner=connected())
    support = source.task("test", 0).support
    adapted = model.adapt(support.x, support.y.argmax(dim=1))
    adapted.save(tmp_path / "mine.task")
    adapted.save(tmp_path / "small.task", model=False)
    for other, word in (
        (connected("tanh"), "activation is 'tanh' and was 'relu'"),
        (connected(skips=True), "is 'Add' and was 'Dense'"),
    ):
        for load in (
            lambda other: qs.load_task(tmp_path / "mine.task", learner=other),
            lambda other: qs.load(tmp_path / "run", learner=other),
            lambda other: quick(source, other, tmp_path / "run", resume=True),
        ):
            with pytest.raises(qs.errors.CheckpointError, match=word):
                load(other)
    wrong = connected("tanh")
    wrong.load_state_dict(model.learner.state_dict())
    with pytest.raises(qs.errors.CheckpointError, match="activation"):
        qs.load_task(tmp_path / "small.task", model=qs.Model(wrong, (6,)))
    again = qs.load_task(tmp_path / "mine.task", learner=connected())
    assert np.array_equal(again.predict_proba(support.x), adapted.predict_proba(support.x))
    monkeypatch.setattr("quickstudy.models.task_files.architectures", lambda net: [])
    adapted.save(tmp_path / "old.task")  # As files were that do not know.
    assert len(qs.load_task(tmp_path / "old.task", learner=connected()).classes) == 3


def test_a_copy_has_parameters_of_its_own() -> None:
    net = KerasNet(dense())
    other = copy.deepcopy(net)
    x = torch.randn(2, 6)
    assert torch.equal(net(x), other(x))
    with torch.no_grad():
        next(other.parameters()).zero_()
    assert not torch.equal(net(x), other(x))
    assert torch.equal(net(x), net._model[0](x))


def test_what_cannot_be_called_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    unbuilt = keras.Sequential([keras.layers.Dense(3)])
    with pytest.raises(qs.UserError, match=r"not built; start it with keras\.Input"):
        KerasNet(unbuilt)
    with pytest.raises(qs.UserError, match=r"received torch\.float32, torch\.float64"):
        KerasNet(dense())(torch.zeros(2, 6).double())
    pair = [keras.Input((2,)), keras.Input((3,))]
    with pytest.raises(qs.UserError, match="must have one input; received one of shapes"):
        KerasNet(keras.Model(pair, layers.Dense(2)(layers.Concatenate()(pair))))
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
