"""A table with a row for each item, beside what is known of the item."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from quickstudy.errors import at_least


class ItemTable(nn.Module):
    """Maps the number of an item to a row of a table, and adds a linear map of its features.

        z = activation(table[x_0] + W x_1.. + b)

    Row 0 is that of every item that nobody rated in meta-training, so that such an item is known by
    its features. The rows start small beside what the features give, for the same reason.

    Args:
        in_shape: Shape of one input: the number of the item's row, then its features.
        n_items: Number of rows beside row 0.
        width: Numbers of a row.
        relu: Whether negative features become 0.
        start: Standard deviation of the numbers of a new table.

    Shapes:
        x (examples, 1 + features) -> (examples, width)

    Example:
        >>> net = ItemTable((3,), n_items=100, width=8)
        >>> net(torch.tensor([[7.0, 0.2, 1.0], [0.0, 0.1, 0.0]])).shape
        torch.Size([2, 8])
    """

    def __init__(
        self,
        in_shape: tuple[int, ...] = (1,),
        n_items: int = 1,
        width: int = 48,
        relu: bool = True,
        start: float = 0.02,
    ) -> None:
        super().__init__()
        at_least("ItemTable", 1, n_items=n_items, width=width)
        self.table = nn.Embedding(n_items + 1, width)
        nn.init.normal_(self.table.weight, std=start)
        self.linear = nn.Linear(in_shape[0] - 1, width) if in_shape[0] > 1 else None
        self.relu, self.n_features = relu, width

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.table(x[..., 0].round().long())
        if self.linear is not None:
            z = z + self.linear(x[..., 1:])
        return torch.relu(z) if self.relu else z
