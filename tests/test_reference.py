"""The learners against slow, obvious implementations of their papers, in float64."""

from __future__ import annotations

import pytest
import torch
from cases import META_GRADIENTS, NORMS, WAY, conv, maml, shared
from reference import maml as reference_maml
from reference import prototypical as reference_prototypical
from reference.agreement import compare, plain, start, task

from quickstudy.inner.descent import MetaGradient
from quickstudy.learners import PrototypicalNetwork
from quickstudy.nets.norm import NormKind


@pytest.mark.parametrize("norm", NORMS)
def test_prototypical_network(norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = PrototypicalNetwork(conv(norm)).double()
    weights, drawn = start(learner), task()
    found = reference_prototypical.task(
        weights, norm, plain(drawn.support), plain(drawn.query), WAY
    )
    # "batch" and "population" embed support and query together in meta-training only.
    compare(learner, drawn, found, alike=norm in ("support", "group", "layer"))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("way", META_GRADIENTS)
def test_maml(way: MetaGradient, norm: NormKind) -> None:
    torch.manual_seed(0)
    learner = maml(lambda: shared(norm), way).double()
    weights, drawn = start(learner), task()
    found = reference_maml.task(
        weights, norm, plain(drawn.support), plain(drawn.query), WAY, 0.1, 2, way == "first"
    )
    compare(learner, drawn, found, alike=True)
