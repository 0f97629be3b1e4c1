"""The inputs and outputs of layers are seen while they are watched, and the network stays as is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quickstudy.nets.watch import watching


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
    x = torch.randn(5, 3)
    with watching(net) as seen:
        assert not seen
        out = net(x)
    assert [*seen] == ["", "first", "last"]
    hidden = torch.relu(net.first(x))
    torch.testing.assert_close(out, net(x))
    torch.testing.assert_close(seen["first"].input, x)
    torch.testing.assert_close(seen["last"].input, hidden)
    torch.testing.assert_close(seen["last"].output, net.last(hidden))
    torch.testing.assert_close(seen[""].output, out)


def test_nothing_is_seen_afterwards_even_if_the_network_fails() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(3, 2))
    try:
        with watching(net) as seen:
            net(torch.ones(1, 2))
    except RuntimeError:
        pass
    else:
        raise AssertionError("the second layer takes three inputs")
    seen.clear()
    net[0](torch.ones(1, 2))
    assert not seen
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())
