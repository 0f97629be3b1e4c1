"""A graph isomorphism network on dense, padded molecular graphs."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least

FEATURES: Final = 32
"""Features of an atom, of which the last says that there is one."""
BONDS: Final = 4
"""Kinds of bonds."""


class GIN(nn.Module):
    """Atoms that sum what their neighbours send, a kind of bond apart, and the mean of all atoms.

        h_0 = W x
        m   = sum over kinds b of A_b h W_b
        h'  = relu(W_2 relu(W_1 ((1 + eps) h + m)))     for each layer
        z   = W_3 of the means of h over the atoms, one for each layer, side by side

    Rows without an atom send nothing and count in no mean, so that padding changes nothing. All
    sums are dense products: the network runs under `torch.func.vmap`.

    Args:
        in_shape: Shape of one input, a graph in a row, see `quickstudy.inputs.chemistry.graphs`.
        hidden: Width of each layer.
        layers: How many times atoms hear of their neighbours.
        width: Number of features of a molecule.

    Shapes:
        x (examples, atoms * (32 + 4 * atoms)) -> (examples, width)

    Differs from the paper: a weight for each kind of bond, as in Schlichtkrull et al., ESWC 2018;
    means rather than sums over the atoms, as molecules of a support differ in size; no batch norm.

    Raises:
        UserError: An input is no graph.

    Source: Xu et al.: How Powerful are Graph Neural Networks?, ICLR 2019, eq. 4.1 and 4.2.

    Example:
        >>> net = GIN((3 * (32 + 4 * 3),), hidden=8, width=16)
        >>> net(torch.zeros(2, 132)).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        in_shape: tuple[int, ...] = (FEATURES + BONDS,),
        hidden: int = 64,
        layers: int = 3,
        width: int = 128,
    ) -> None:
        super().__init__()
        at_least("GIN", 1, hidden=hidden, layers=layers, width=width)
        self.n_atoms, self.n_features = atoms_in(math.prod(in_shape)), width
        self.start = nn.Linear(FEATURES, hidden)
        self.bonds = nn.ModuleList(
            nn.Linear(hidden, BONDS * hidden, bias=False) for _ in range(layers)
        )
        self.updates = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden))
            for _ in range(layers)
        )
        self.eps = nn.Parameter(torch.zeros(layers))
        self.end = nn.Linear((layers + 1) * hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        n = self.n_atoms
        rows = x.reshape(x.shape[0], n, FEATURES + BONDS * n)
        atoms, bound = rows[..., :FEATURES], rows[..., FEATURES:]  # (examples, atoms, 4 * atoms)
        there = atoms[..., -1:]
        share = there / there.sum(dim=1, keepdim=True).clamp(min=1)
        h = self.start(atoms) * there
        means = [(h * share).sum(dim=1)]
        for eps, bonds, update in zip(self.eps, self.bonds, self.updates, strict=True):
            sent = bonds(h).reshape(x.shape[0], n, BONDS, -1).transpose(1, 2)
            heard = bound @ sent.reshape(x.shape[0], BONDS * n, -1)
            h = torch.relu(update((1 + eps) * h + heard)) * there
            means.append((h * share).sum(dim=1))
        return torch.relu(self.end(torch.cat(means, dim=-1)))


def atoms_in(n: int) -> int:
    """The number of atoms of a graph that is written in so many numbers.

    Raises:
        UserError: There is no such graph.
    """
    atoms = round((math.sqrt(FEATURES**2 + 4 * BONDS * n) - FEATURES) / (2 * BONDS))
    if atoms < 1 or atoms * (FEATURES + BONDS * atoms) != n:
        raise UserError(
            f"GIN: an input must be a graph of molecules, atoms * ({FEATURES} + {BONDS} * atoms) "
            f"numbers; received {n}; take tasks of molecules as graphs (--tasks.represent graph), "
            "or another network, such as MLP."
        )
    return atoms
