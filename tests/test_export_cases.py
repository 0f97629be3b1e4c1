"""Every learner with every network either exports, and is equal, or says what to do instead."""

from __future__ import annotations

from typing import Any

import cases
import numpy as np
import onnxruntime
import pytest
import torch
from cases import CASES, Case
from test_docs import ROOT
from torch import nn
from torch.onnx._internal.exporter._registration import ONNXRegistry
from torch.utils import _pytree as pytree

from quickstudy.errors import UserError
from quickstudy.models.export import exported
from quickstudy.nets import Conv4, calibrate
from quickstudy.nets.norm import kinds
from quickstudy.task import to_like
from quickstudy.testing import random_tasks

# What docs/export.md says of each case that cannot be exported.
CANNOT = {"maml-exact-batch-plain": "The norm `batch` in a network of vectors"}
SEEN: set[Any] = set()


class Shallow(Conv4):
    """A Conv4 whose middle blocks only pool: two blocks have every operation that four have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for i in (1, 2):
            pools = [part for part in self.blocks[i] if isinstance(part, nn.MaxPool2d)]
            self.blocks[i] = nn.Sequential(*pools)


@pytest.fixture(scope="module", autouse=True)
def shallow_networks() -> Any:
    """Tracing takes as long as a network has operations. `proto-stride` stays a whole Conv4."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cases, "Conv4", Shallow)
        yield


@pytest.fixture(scope="module", autouse=True)
def one_registry() -> Any:
    """torch lists all its operators anew for every file, which takes a third of the time."""
    with pytest.MonkeyPatch.context() as patch:
        registry = ONNXRegistry.from_torchlib()
        patch.setattr(ONNXRegistry, "from_torchlib", lambda *_, **__: registry)
        yield


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_file_says_what_the_learner_says(case: Case) -> None:
    torch.manual_seed(0)
    learner = case.build()
    task = to_like(random_tasks(learner.kind, case.x_shape, case.n_out)[0], torch.zeros(()))
    if "population" in kinds(learner):
        calibrate(learner, [lambda: learner(task)])
    learner.eval().requires_grad_(False)
    with torch.no_grad():
        state = learner.adapt(task.support)
    tensors, structure = pytree.tree_flatten(state)
    operations = (type(learner).predict, str([*learner.children()]), structure, case.x_shape)
    graph = (*operations, *(t.shape for t in tensors))
    if graph in SEEN:
        return  # another learner's way to adapt, which is not in the file
    SEEN.add(graph)
    if case.name in CANNOT:
        with pytest.raises(UserError, match="any number of queries, one too"):
            exported(".onnx", learner, state, task.support.x)
        return
    content = exported(".onnx", learner, state, task.support.x, temperature=1.7)
    session = onnxruntime.InferenceSession(content)
    for n in (0, 1, 2, 5, 11):
        x = 2 * torch.randn(n, *case.x_shape)
        with torch.no_grad():
            want = learner.predict(state, x if n else task.query.x[:2])[:n]
        found, *rest = session.run(None, {"queries": x.numpy()})
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)
        if learner.kind == "classification":
            np.testing.assert_allclose(rest[0], torch.softmax(want / 1.7, dim=1), rtol=0, atol=1e-4)


def test_the_page_names_what_cannot_be_exported() -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    cannot = page.split("## What cannot be exported", 1)[1]
    assert [line for line in cannot.splitlines() if line.startswith("| The ")] != []
    for reason in CANNOT.values():
        assert f"| {reason}" in cannot
    assert CANNOT.keys() <= {case.name for case in CASES}
