"""Relation networks: against their reference, by hand, and with classes that are only padding."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from cases import NORMS, PICTURE, ROW, WAY, maps
from reference import relation as reference
from reference.agreement import compare, plain, start, task
from small import blobs, taught
from torch import nn

from quickstudy import UserError, build
from quickstudy.batching.batch import meta_gradient
from quickstudy.learners import RelationNetwork
from quickstudy.nets import MLP, Conv4
from quickstudy.nets.norm import NormKind
from quickstudy.task import Examples, Task, examples, is_padded, stack
from quickstudy.tasks import Episodes, arrays


@pytest.mark.parametrize("norm", NORMS)
def test_equals_the_reference(norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = RelationNetwork(maps(norm)).double()
    weights, drawn = start(learner), task()
    found = reference.task(weights, norm, plain(drawn.support), plain(drawn.query), WAY)
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, drawn, found, alike=norm in ("support", "group", "layer"))


class Identity(nn.Module):
    """The inputs as features, of which there are as many."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def by_hand() -> RelationNetwork:
    """Numbers in place of maps: r = 2 max(0, class - query + 1) - 3."""
    learner = RelationNetwork(Identity(1), hidden=2).double()
    first, second, last, score = (m for m in learner.relation if isinstance(m, nn.Linear))
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, -1.0]]))
        first.bias.fill_(1.0)
        second.weight.fill_(2.0)
        second.bias.zero_()
        last.weight.copy_(torch.tensor([[1.0], [-1.0]]))  # The second never passes its ReLU.
        last.bias.zero_()
        score.weight.copy_(torch.tensor([[1.0, 5.0]]))
        score.bias.fill_(-3.0)
    return learner


def test_scores_and_loss_by_hand() -> None:
    support = examples(torch.tensor([[1.0], [3.0], [2.0]]).double(), torch.tensor([0, 0, 1]))
    query = examples(torch.tensor([[0.0], [4.0]]).double(), torch.tensor([0, 1]))
    learner = by_hand()
    # The class sums are 4 and 2.
    r = learner.respond(Task(support, query))
    assert r.tolist() == [[7, 3], [-1, -3]]
    score = [[1 / (1 + 2.718281828459045**-v) for v in row] for row in r.tolist()]
    errors = (1 - score[0][0]) ** 2 + score[0][1] ** 2 + score[1][0] ** 2 + (1 - score[1][1]) ** 2
    assert learner(Task(support, query)).item() == pytest.approx(errors / 2, rel=1e-12)


@pytest.mark.parametrize("batching", ["loop", "vmap"])
@pytest.mark.parametrize("norm", ["support", "batch", "population"])
def test_a_class_of_padding_counts_in_no_statistic(
    norm: NormKind, batching: Literal["loop", "vmap"]
) -> None:
    """Two ways of three shots beside three ways of two: as many rows, but a class too few."""
    torch.manual_seed(0)
    learner = RelationNetwork(maps(norm)).double()

    def drawn(way: int) -> Task:
        y = torch.arange(6) % way
        part = examples(torch.randn(6, *PICTURE, dtype=torch.float64), y, way)
        return Task(part, part._replace(x=part.x + 0.1))

    fewer, more = drawn(2), drawn(3)
    batch = stack([fewer, more])
    assert is_padded(batch)
    assert not is_padded(stack([more, more]))
    together = meta_gradient(learner, batch, batching)
    apart = [meta_gradient(learner, stack([each]), batching) for each in (fewer, more)]
    torch.testing.assert_close(together.losses, torch.cat([each.losses for each in apart]))
    for name, gradient in together.gradients.items():
        torch.testing.assert_close(gradient, sum(each.gradients[name] for each in apart))


def test_targets_of_zero_are_not_padding() -> None:
    part = Examples(torch.randn(3, 2), torch.tensor([[0.0], [1.0], [0.0]]), torch.ones(3))
    assert not is_padded(Task(part, part))


def test_the_net_says_which_module_relates() -> None:
    kinds = {
        nn.Conv2d: RelationNetwork(Conv4(PICTURE, 8, pools=1)),
        nn.Linear: RelationNetwork(Conv4(PICTURE, 8, pool="stride", pools=1)),
    }
    for layer, learner in kinds.items():
        assert isinstance(learner.relation[0], layer)
    assert not any(isinstance(m, nn.Conv2d) for m in RelationNetwork(MLP(ROW)).modules())


def test_maps_too_small_to_halve_are_refused() -> None:
    with pytest.raises(UserError, match=r"at least 4x4.*received 1x1.*fewer pools"):
        RelationNetwork(Conv4((1, 28, 28)))


def test_a_network_by_name_pools_twice() -> None:
    pictures = torch.zeros(60, 1, 16, 16, dtype=torch.uint8)
    source = Episodes(arrays(pictures, torch.arange(6).repeat(10)), 2, 1, 2)
    net = build("RelationNetwork", source, net={"name": "Conv4", "hidden": 8}).net
    assert isinstance(net, Conv4)
    assert net.feature_shape == (8, 4, 4)
    with pytest.raises(UserError, match="fewer pools"):
        build("RelationNetwork", source, net={"name": "Conv4", "hidden": 8, "pools": 4})


def test_it_learns_which_inputs_matter() -> None:
    source = blobs(n_shot=1, noise=2)
    spec = {"name": "RelationNetwork", "hidden": 32}
    learner = build(spec, source, net={"name": "MLP", "hidden": (32, 32), "norm": "layer"})
    before, after = taught(learner, source, steps=120)
    assert before < 0.5
    assert after > 0.7
