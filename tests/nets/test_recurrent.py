"""The recurrent cell against torch's own."""

import torch
from torch import nn

from quickstudy.nets.recurrent import LSTMCell


def test_equals_torch_lstm_cell() -> None:
    torch.manual_seed(0)
    theirs, ours = nn.LSTMCell(5, 3).double(), LSTMCell(8, 3).double()
    # Theirs has its gates in the order input, forget, candidate, output.
    order = torch.tensor([0, 1, 2, 3, 4, 5, 9, 10, 11, 6, 7, 8])
    with torch.no_grad():
        ours.gates.weight.copy_(torch.cat([theirs.weight_ih, theirs.weight_hh], dim=1)[order])
        ours.gates.bias.copy_((theirs.bias_ih + theirs.bias_hh)[order])
    x, h, c = (torch.randn(2, n, dtype=torch.float64) for n in (5, 3, 3))
    want = theirs(x, (h, c))
    torch.testing.assert_close(ours(torch.cat([x, h], dim=1), c), want)
