"""Layers of a sequence: who sees whom."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from quickstudy.nets.causal import (
    CausalAttention,
    CausalLayer,
    DenseConvolution,
    temporal_convolutions,
)

N_IN = 3


def layer(name: str) -> CausalLayer:
    torch.manual_seed(0)
    made: dict[str, Callable[[], CausalLayer]] = {
        "attention": lambda: CausalAttention(N_IN, 4, 5),
        "dilation 1": lambda: DenseConvolution(N_IN, 5, 1),
        "dilation 4": lambda: DenseConvolution(N_IN, 5, 4),
        "dilation 16": lambda: DenseConvolution(N_IN, 5, 16),
    }
    return made[name]().double()


LAYERS = ("attention", "dilation 1", "dilation 4", "dilation 16")


def rows(n: int, n_in: int = N_IN) -> Tensor:
    return torch.randn(n, n_in, generator=torch.Generator().manual_seed(n), dtype=torch.float64)


def every(n: int) -> Tensor:
    return torch.ones(n, dtype=torch.float64)


def sees(made: list[CausalLayer], n_steps: int, n_followers: int = 0) -> Tensor:
    """Whether what each row (of axis 0) gives depends on each row (of axis 1)."""
    x = rows(n_steps + n_followers).requires_grad_()
    u = x
    for one in made:
        u, _ = one(u, every(n_steps))
    found = []
    for out in u:
        # A sum could cancel; random numbers do not.
        (slope,) = torch.autograd.grad((out * rows(1, len(out))[0]).sum(), x, retain_graph=True)
        found.append((slope != 0).any(dim=1))
    return torch.stack(found)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_attention_sees_every_step_up_to_its_own(n: int) -> None:
    assert torch.equal(sees([layer("attention")], n), torch.ones(n, n).tril().bool())


@pytest.mark.parametrize(("name", "dilation"), [("dilation 1", 1), ("dilation 4", 4)])
def test_a_convolution_sees_its_own_step_and_one_before(name: str, dilation: int) -> None:
    want = torch.eye(7).bool() | torch.diag(torch.ones(7 - dilation), -dilation).bool()
    assert torch.equal(sees([layer(name)], 7), want)


@pytest.mark.parametrize("length", range(2, 10))
def test_temporal_convolutions_see_all_of_a_sequence(length: int) -> None:
    torch.manual_seed(0)
    made: list[CausalLayer] = [c.double() for c in temporal_convolutions(N_IN, 2, length)]
    assert len(made) == math.ceil(math.log2(length))
    found = sees(made, 20)
    reach = 2 ** len(made)
    assert reach >= length
    assert found[19].tolist() == [step > 19 - reach for step in range(20)]
    assert not found.triu(1).any(), "no step sees a later one"


@pytest.mark.parametrize("name", LAYERS)
def test_followers_see_the_sequence_and_not_one_another(name: str) -> None:
    found = sees([layer(name)], 5, n_followers=3)
    assert torch.equal(found[:5, 5:], torch.zeros(5, 3).bool())
    assert torch.equal(found[5:, 5:], torch.eye(3).bool())
    for follower in found[5:]:
        assert torch.equal(follower[:5], sees([layer(name)], 6)[5, :5])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("n", [1, 5])
def test_followers_are_the_next_step_of_the_sequence(name: str, n: int) -> None:
    made, x, followers = layer(name), rows(n), rows(3)
    together, _ = made(torch.cat([x, followers]), every(n))
    alone, memory = made(x, every(n))
    torch.testing.assert_close(together[:n], alone)
    torch.testing.assert_close(together[n:], made.follow(followers, memory))
    for follower, found in zip(followers, together[n:], strict=True):
        longer, _ = made(torch.cat([x, follower[None]]), every(n + 1))
        torch.testing.assert_close(found, longer[n])


@pytest.mark.parametrize("name", LAYERS)
def test_what_stands_before_the_start_changes_nothing(name: str) -> None:
    made, x, followers = layer(name), rows(5), rows(3)
    want, memory = made(torch.cat([x, followers]), every(5))
    real = torch.tensor([0, 0, 1, 1, 1, 1, 1], dtype=torch.float64)
    padded = torch.cat([torch.zeros(2, N_IN, dtype=torch.float64), x])
    found, same_memory = made(torch.cat([padded, followers]), real)
    assert not found[:2].any(), "for the next layer it is before the start, too"
    torch.testing.assert_close(found[2:], want)
    torch.testing.assert_close(made.follow(followers, same_memory), made.follow(followers, memory))


def test_a_convolution_by_hand() -> None:
    made = DenseConvolution(1, 1, 2).double()
    with torch.no_grad():
        made.taps.weight.copy_(torch.tensor([[2.0, 3.0], [0.0, 1.0]]))
        made.taps.bias.copy_(torch.tensor([0.5, -1.0]))
    x = torch.tensor([[0.1], [0.2], [0.3]], dtype=torch.float64)
    out, memory = made(x, every(3))
    a, b = 2 * 0.3 + 3 * 0.1 + 0.5, 0.1 - 1.0
    assert out[2].tolist() == pytest.approx([0.3, math.tanh(a) / (1 + math.exp(-b))])
    a, b = 2 * 0.2 + 0.5, -1.0
    assert out[1].tolist() == pytest.approx([0.2, math.tanh(a) / (1 + math.exp(-b))])
    assert memory["earlier"].tolist() == [0.2], "what a step after the last looks back at"


def test_attention_by_hand() -> None:
    made = CausalAttention(1, 4, 1).double()
    with torch.no_grad():
        for part, value in ((made.query, 1.0), (made.key, 2.0), (made.value, 3.0)):
            part.weight.fill_(value)
            part.bias.zero_()
    x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    out, _ = made(x, every(2))
    # Of the second step: its four queries of 2, with keys of 2 and of 4, over the root of four.
    first, second = math.exp(4 * 2 * 2 / 2), math.exp(4 * 2 * 4 / 2)
    assert out[0].tolist() == [1.0, 3.0]
    assert out[1].tolist() == pytest.approx([2.0, (3 * first + 6 * second) / (first + second)])
