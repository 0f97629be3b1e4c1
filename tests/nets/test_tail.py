"""The last blocks of an encoder behind it: the same features, derivatives, and padding."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from quickstudy.batching.batch import meta_gradient
from quickstudy.encoders.bert import Bert
from quickstudy.errors import UserError
from quickstudy.learner import flatten_state
from quickstudy.learners import ANIL, BOIL, MAML
from quickstudy.nets import SharedLinear, Tail
from quickstudy.task import Task, examples, stack

WIDTH, HEADS, DEPTH = 8, 2, 3


def draw(name: int, *shape: int) -> Tensor:
    rng = torch.Generator().manual_seed(name)
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def checkpoint() -> dict[str, Tensor]:
    """The weights of a small BERT, by the names of published ones."""
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (11, WIDTH),
        "embeddings.position_embeddings.weight": (9, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm": (WIDTH, WIDTH),
    }
    for i in range(DEPTH):
        layer = f"encoder.layer.{i}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{layer}.attention.{part}"] = (WIDTH, WIDTH)
        shapes[f"{layer}.intermediate.dense"] = (4 * WIDTH, WIDTH)
        shapes[f"{layer}.output.dense"] = (WIDTH, 4 * WIDTH)
        shapes[f"{layer}.attention.output.LayerNorm"] = (WIDTH, WIDTH)
        shapes[f"{layer}.output.LayerNorm"] = (WIDTH, WIDTH)
    weights = {}
    for number, (name, shape) in enumerate(shapes.items()):
        if "embeddings.weight" in name:
            weights[name] = draw(number, *shape)
        elif "LayerNorm" in name:
            weights[f"{name}.weight"] = 1 + 0.2 * draw(number, WIDTH)
            weights[f"{name}.bias"] = 0.2 * draw(number + 100, WIDTH)
        else:
            weights[f"{name}.weight"] = draw(number, *shape) / WIDTH**0.5
            weights[f"{name}.bias"] = 0.2 * draw(number + 100, shape[0])
    return weights


def texts() -> tuple[Tensor, Tensor]:
    ids = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0], [9, 10, 0, 0, 0]])
    return ids, ids > 0


@pytest.mark.parametrize("lora", [0, 2])
@pytest.mark.parametrize("blocks", [1, 2])
def test_trunk_and_tail_are_the_whole_encoder(blocks: int, lora: int) -> None:
    ids, mask = texts()
    whole = Bert(checkpoint(), HEADS).double()
    trunk = Bert(checkpoint(), HEADS, without=blocks).double()
    assert len(trunk.layers) == DEPTH - blocks
    tail = Tail((5, WIDTH), blocks, lora, HEADS, scale=3.0).double()
    tail.start_from([layer.state_dict() for layer in whole.layers[DEPTH - blocks :]])
    states = whole(ids, mask)
    mean = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    want = 3 * mean / mean.norm(dim=1, keepdim=True)
    torch.testing.assert_close(tail(trunk(ids, mask) * mask[:, :, None]), want)


def started(lora: int, tokens: int = 5) -> Tail:
    torch.manual_seed(0)
    tail = Tail((tokens, WIDTH), 1, lora, HEADS).double()
    layers = Bert(checkpoint(), HEADS).layers
    tail.start_from([layers[-1].state_dict()])
    if lora:  # Corrections that have learned something.
        with torch.no_grad():
            tail.blocks[0].query.up.copy_(0.3 * draw(5, WIDTH, lora))
            tail.blocks[0].value.up.copy_(0.3 * draw(6, WIDTH, lora))
    return tail


@pytest.mark.parametrize("lora", [0, 2])
def test_padded_texts_have_the_features_and_gradients_of_unpadded_ones(lora: int) -> None:
    tail = started(lora)
    x = draw(3, 4, 3, WIDTH)
    longer = torch.cat([x, torch.zeros(4, 4, WIDTH, dtype=x.dtype)], dim=1)
    target = draw(4, 4, WIDTH)
    learned = [p for p in tail.parameters() if p.requires_grad]
    losses = [(tail(each) * target).sum() for each in (x, longer)]
    torch.testing.assert_close(losses[0], losses[1])
    for short, long in zip(*(torch.autograd.grad(loss, learned) for loss in losses), strict=True):
        assert short.abs().max() > 0
        torch.testing.assert_close(short, long)


def test_a_text_without_tokens_has_finite_features_and_gradients() -> None:
    tail = started(2)
    x = torch.zeros(1, 5, WIDTH, dtype=torch.float64)
    z = tail(x)
    (slope,) = torch.autograd.grad(z.sum(), [tail.blocks[0].query.up])
    assert z.isfinite().all()
    assert slope.isfinite().all()


def test_with_lora_only_the_corrections_need_a_gradient() -> None:
    names = {name for name, p in started(2).named_parameters() if p.requires_grad}
    parts = ("query.down", "query.up", "value.down", "value.up")
    assert names == {f"blocks.0.{part}" for part in parts}
    assert all(p.requires_grad for p in started(0).parameters())


def task(number: int, tokens: int = 5) -> Task:
    """Two classes of texts of three to five tokens."""

    def part(n: int, seed: int) -> Any:
        x = draw(seed, n, tokens, WIDTH)
        for i in range(n):
            x[i, 3 + i % 3 :] = 0
        return examples(x, torch.arange(n) % 2, 2)

    return Task(part(4, 10 * number), part(6, 10 * number + 1))


def net(lora: int, shared: bool = True) -> nn.Module:
    tail = started(lora)
    head = SharedLinear(WIDTH) if shared else nn.Linear(WIDTH, 2)
    return nn.Sequential(tail, head).double()


@pytest.mark.parametrize("lora", [0, 2])
@pytest.mark.parametrize("learner", [MAML, ANIL, BOIL])
def test_meta_gradient_is_that_of_a_loop_and_of_finite_differences(
    learner: type[MAML | ANIL | BOIL], lora: int
) -> None:
    model = learner(net(lora, learner is not BOIL), inner_lr=0.5, inner_steps=2)
    batch = stack([task(1), task(2), task(3)])
    looped, mapped = (meta_gradient(model, batch, how) for how in ("loop", "vmap"))
    torch.testing.assert_close(looped.losses, mapped.losses)
    parameters = model.meta_parameters()
    along = {name: draw(i, *p.shape) for i, (name, p) in enumerate(parameters.items())}
    slope = 0.0
    for name, gradient in looped.gradients.items():
        torch.testing.assert_close(gradient, mapped.gradients[name], rtol=1e-8, atol=1e-11)
        slope += float((gradient * along[name]).sum())

    def loss(step: float) -> float:
        with torch.no_grad():
            for name, p in parameters.items():
                p.add_(step * along[name])
        total = float(meta_gradient(model, batch, "loop").losses.sum())
        with torch.no_grad():
            for name, p in parameters.items():
                p.sub_(step * along[name])
        return total

    step = 1e-5
    assert slope == pytest.approx((loss(step) - loss(-step)) / (2 * step), rel=1e-6)


def test_the_state_holds_only_what_adapts() -> None:
    sizes = {}
    for learner in (MAML, ANIL, BOIL):
        state = learner(net(2, learner is not BOIL)).adapt(task(1).support)
        sizes[learner] = {
            name: tuple(t.shape)
            for name, t in flatten_state(state).items()
            if name.startswith("parameters/")
        }
    head = {"parameters/1.weight": (2, WIDTH), "parameters/1.bias": (2,)}
    corrections = {
        f"parameters/0.blocks.0.{part}.{side}": (2, WIDTH) if side == "down" else (WIDTH, 2)
        for part in ("query", "value")
        for side in ("down", "up")
    }
    assert sizes == {MAML: head | corrections, ANIL: head, BOIL: corrections}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_shape": (8,)}, "states of tokens"),
        ({"in_shape": (5, 9), "n_heads": 2}, "n_heads must divide"),
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"lora": -1}, "lora must be at least 0"),
    ],
)
def test_what_makes_no_tail_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Tail(**options)


def test_weights_of_another_number_of_blocks_are_refused() -> None:
    layers = [layer.state_dict() for layer in Bert(checkpoint(), HEADS).layers]
    with pytest.raises(UserError, match="received 3 of the encoder and blocks=1"):
        Tail((5, WIDTH), 1, 0, HEADS).start_from(layers)
