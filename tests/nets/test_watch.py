"""What layers take in and give out is seen on a copy, which shares its weights with the network."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.nets.watch import watched


class Branching(nn.Module):
    """The layers run in another order than they are named in; one has a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.first = nn.Linear(4, 2), nn.Linear(3, 4)
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.gain * self.last(torch.relu(self.first(x)))
        return out


def test_layers_are_seen_in_the_order_in_which_they_begin() -> None:
    torch.manual_seed(0)
    net = Branching()
    twin, seen = watched(net)
    assert not seen
    x = torch.randn(5, 3)
    out = twin(x)
    assert [*seen] == ["", "first", "last"]
    hidden = torch.relu(net.first(x))
    torch.testing.assert_close(out, net(x))
    torch.testing.assert_close(seen["first"].taken, x)
    torch.testing.assert_close(seen["last"].taken, hidden)
    torch.testing.assert_close(seen["last"].given, net.last(hidden))
    torch.testing.assert_close(seen[""].given, out)


class Locked(nn.Linear):
    def __init__(self) -> None:
        super().__init__(2, 2)
        self.lock = threading.Lock()


def test_what_cannot_be_copied_is_said() -> None:
    with pytest.raises(UserError, match=r"Sequential: layers are watched on a copy.*cannot pickle"):
        watched(nn.Sequential(Locked()))


def test_the_copy_shares_the_weights_and_the_network_is_not_watched() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    twin, seen = watched(net)
    assert twin is not net
    assert all(
        a is b for a, b in zip(net.state_dict(keep_vars=True).values(),
                               twin.state_dict(keep_vars=True).values(), strict=True)
    )  # fmt: skip
    net.eval()(torch.ones(1, 2))
    assert not seen
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
