"""The graph network: by hand, blind to padding and to the order of atoms, under every batching."""

from __future__ import annotations

import pytest
import torch

import quickstudy as qs
from quickstudy.batching.batch import choose, meta_gradient
from quickstudy.errors import UserError
from quickstudy.nets import GIN
from quickstudy.task import Examples, Task, stack


def graphs(n, atoms, there, seed=0):
    """Random graphs `(n, atoms * (32 + 4 * atoms))` of so many atoms."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.zeros(n, atoms, 32 + 4 * atoms, dtype=torch.double)
    rows[:, :there, :31] = torch.randint(0, 2, (n, there, 31), generator=generator).double()
    rows[:, :there, 31] = 1
    for kind in range(4):
        bound = torch.randint(0, 2, (n, there, there), generator=generator).triu(1)
        start = 32 + atoms * kind
        rows[:, :there, start : start + there] = (bound + bound.transpose(1, 2)).double()
    return rows


def net_of(atoms):
    torch.manual_seed(0)
    return GIN((atoms * (32 + 4 * atoms),), hidden=5, layers=2, width=7).double()


def test_by_hand():
    atoms, net = 4, net_of(4)
    rows = graphs(1, atoms, atoms)
    x, bound = rows[0, :, :32], rows[0, :, 32:].reshape(atoms, 4, atoms)
    h = net.start(x)
    means = [h.mean(dim=0)]
    for eps, bonds, update in zip(net.eps, net.bonds, net.updates, strict=True):
        sent = bonds(h).reshape(atoms, 4, -1)
        heard = torch.stack([
            sum(bound[i, b, j] * sent[j, b] for b in range(4) for j in range(atoms))
            for i in range(atoms)
        ])  # fmt: skip
        h = torch.relu(update((1 + eps) * h + heard))
        means.append(h.mean(dim=0))
    torch.testing.assert_close(net(rows.flatten(1))[0], torch.relu(net.end(torch.cat(means))))


def test_padding_changes_nothing():
    small, large = graphs(3, 4, 4), torch.zeros(3, 6, 32 + 4 * 6, dtype=torch.double)
    large[:, :4, :32] = small[..., :32]
    for kind in range(4):
        own = small[..., 32 + 4 * kind : 36 + 4 * kind]
        large[:, :4, 32 + 6 * kind : 36 + 6 * kind] = own
    first, second = net_of(4), net_of(6)
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(first(small.flatten(1)), second(large.flatten(1)))
    assert torch.isfinite(first(torch.zeros(1, 4 * 48, dtype=torch.double))).all()


def test_the_order_of_atoms_does_not_count():
    atoms, net = 5, net_of(5)
    rows = graphs(2, atoms, 4)
    order = torch.randperm(atoms, generator=torch.Generator().manual_seed(1))
    bound = rows[..., 32:].reshape(2, atoms, 4, atoms)[:, order][..., order]
    mixed = torch.cat([rows[:, order, :32], bound.reshape(2, atoms, -1)], dim=-1)
    torch.testing.assert_close(net(rows.flatten(1)), net(mixed.flatten(1)))


def test_looping_and_vmap_agree():
    learner = qs.learners.PrototypicalNetwork(net_of(4))

    def part(n, seed):
        y = torch.eye(2, dtype=torch.double)[torch.arange(n) % 2]
        return Examples(graphs(n, 4, 3, seed).flatten(1), y, torch.ones(n).double())

    tasks = stack([Task(part(4, seed), part(6, seed + 9)) for seed in range(3)])
    assert choose(learner, "auto") in ("loop", "vmap")
    looped, mapped = (meta_gradient(learner, tasks, way) for way in ("loop", "vmap"))
    for a, b in zip(looped.gradients.values(), mapped.gradients.values(), strict=True):
        torch.testing.assert_close(a, b)


def test_another_input_is_refused():
    with pytest.raises(UserError, match=r"an input must be a graph of molecules.*received 2048"):
        GIN((2048,))
