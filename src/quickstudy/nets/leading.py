"""A network that sees the first numbers of its inputs alone."""

from __future__ import annotations

from torch import Tensor, nn

from quickstudy.nets.traits import width


class Leading(nn.Module):
    """Hides the numbers that an encoded input only carries along, such as the units of a window.

    Args:
        net: The network.
        n: How many numbers it sees.

    Shapes:
        x (examples, n + carried) -> (examples, n_features)

    Example:
        >>> net = Leading(MLP((60,), hidden=(8,)), 60)
        >>> net(support.x).shape  # of 64 numbers the last 4 are not looked at
        torch.Size([10, 8])
    """

    def __init__(self, net: nn.Module, n: int) -> None:
        super().__init__()
        self.net, self.n = net, n
        self.n_features = width(net)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x[..., : self.n])
        return out
