"""A recording gives what the step gives, on tasks it has not seen, or is not relied on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from cases import PICTURE, Plain, shared
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from quickstudy import UserError
from quickstudy.batching.batch import Batching, meta_gradient
from quickstudy.batching.record import Recorder, _shorten
from quickstudy.learner import AnyLearner
from quickstudy.learners import MAML, MAMLPlusPlus, NeuralProcess, PrototypicalNetwork
from quickstudy.nets import MLP, Conv4
from quickstudy.nets.passing import bf16
from quickstudy.task import Task, stack, to_like
from quickstudy.testing import random_tasks


def pictures() -> AnyLearner:
    return MAML(shared("support"), inner_steps=2)


def rows() -> AnyLearner:
    return MAML(Plain(6, 3), inner_lr=0.1, inner_steps=2)


def metric() -> AnyLearner:
    return PrototypicalNetwork(Conv4(PICTURE, hidden=8, norm="population"))


def process() -> AnyLearner:
    return NeuralProcess(MLP((6,), (8,)), "classification", hidden=8, n_heads=2)


def batches(shape: tuple[int, ...], n: int) -> Iterator[Task]:
    for seed in range(n):
        yield stack(random_tasks("classification", shape, 3, seed)[::2] * 2)


@pytest.mark.parametrize("way", ["loop", "vmap"])
@pytest.mark.parametrize("make", [pictures, rows, metric, process])
def test_a_recording_gives_what_the_step_gives(make: Any, way: Batching) -> None:
    torch.manual_seed(0)
    learner = make().double()
    recorder = Recorder(learner, after=0.0)
    shape = PICTURE if make in (pictures, metric) else (6,)
    for number, tasks in enumerate(batches(shape, 5)):
        found = meta_gradient(learner, tasks, way, recorder=recorder)
        want = meta_gradient(learner, tasks, way)
        # Bit by bit: the clock says when a step is recorded, and a run resumes to the same bits.
        torch.testing.assert_close(found, want, rtol=0, atol=0)
        assert bool(recorder._relied_on) == (number >= 1), "recorded, then tried"
        with torch.no_grad():  # As an optimizer does it.
            for p in learner.parameters():
                p += 0.1 * torch.randn_like(p)


def test_a_recording_does_nothing_for_nothing() -> None:
    def step(a: Tensor, b: Tensor) -> Tensor:
        a.exp()
        return a.t().t() @ b.detach().t().t().t()

    a, b = torch.randn(3, 4), torch.randn(5, 4)
    graph = make_fx(step)(a, b)
    _shorten(graph)
    called = [str(n.target) for n in graph.graph.nodes if n.op == "call_function"]
    assert called == ["aten.t.default", "aten.mm.default"]
    assert torch.equal(graph(a, b), step(a, b))


def test_side_by_side_too() -> None:
    learner = pictures().double()
    recorder, tasks = Recorder(learner, after=0.0), [*batches(PICTURE, 4)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        found = [meta_gradient(learner, t, "loop", recorder=recorder) for t in tasks][-1]
        assert recorder._relied_on
        want = meta_gradient(learner, tasks[-1], "loop")
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(found, want)


def test_tasks_of_other_shapes_are_not_given_to_it() -> None:
    learner = rows().double()
    recorder = Recorder(learner, after=0.0, most=2)
    for n_out in (3, 2) * 3:
        tasks = stack(random_tasks("classification", (6,), n_out)[::2])
        found = meta_gradient(learner, tasks, "vmap", recorder=recorder)
        torch.testing.assert_close(found, meta_gradient(learner, tasks, "vmap"))
    assert len(recorder._relied_on) == 2


def test_padding_is_part_of_what_is_recorded() -> None:
    learner = pictures().double()
    recorder = Recorder(learner, after=0.0)
    whole = random_tasks("classification", PICTURE, 3)
    ragged, even = stack(whole), stack([whole[2], whole[2], whole[2]])
    assert ragged.support.x.shape == even.support.x.shape
    for tasks in [even] * 3 + [ragged] * 3:
        found = meta_gradient(learner, tasks, "vmap", recorder=recorder)
        torch.testing.assert_close(found, meta_gradient(learner, tasks, "vmap"))


class Counting(MAML):
    """A learner that counts in Python, against the contract: it is not the same step each time."""

    calls: int = 0

    def task_loss(self, task: Task) -> Tensor:
        self.calls += 1
        return super().task_loss(task) * self.calls


def test_a_recording_that_is_wrong_is_not_relied_on() -> None:
    learner = Counting(Plain(6, 3), inner_steps=1).double()
    recorder = Recorder(learner, after=0.0)
    losses = []
    for tasks in batches((6,), 4):
        learner.calls = 0
        meta_gradient(learner, tasks, "vmap", recorder=recorder)
        learner.calls = 10
        losses.append(meta_gradient(learner, tasks, "vmap", recorder=recorder).losses)
    assert not recorder.able
    assert not recorder._relied_on
    learner.calls = 10
    torch.testing.assert_close(losses[-1], meta_gradient(learner, tasks, "vmap").losses)


@pytest.mark.parametrize("why", ["dropout", "progress", "memory"])
def test_what_changes_from_step_to_step_or_saves_memory_is_not_recorded(why: str) -> None:
    if why == "dropout":
        learner: AnyLearner = MAML(nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.5)))
    elif why == "memory":
        learner = MAML(Plain(6, 3), meta_gradient="checkpoint")
    else:
        learner = MAMLPlusPlus(Plain(6, 3))
    recorder = Recorder(learner.double(), after=0.0)
    for tasks in batches((6,), 3):
        meta_gradient(learner, tasks, recorder=recorder)
    assert not recorder._made


def test_the_time_of_steps_decides_when() -> None:
    learner = rows().double()
    recorder = Recorder(learner, after=1e9)
    for tasks in batches((6,), 3):
        meta_gradient(learner, tasks, recorder=recorder)
    assert not recorder._made
    assert sum(recorder._seconds.values()) > 0


def cannot(*arguments: object, **options: object) -> None:
    raise RuntimeError("no compiler found")


def test_a_step_that_cannot_be_recorded_is_computed_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("quickstudy.batching.record.make_fx", cannot)
    caplog.set_level("INFO", "quickstudy.batching.record")
    learner = rows().double()
    recorder = Recorder(learner, after=0.0)
    for tasks in batches((6,), 3):
        found = meta_gradient(learner, tasks, recorder=recorder)
        torch.testing.assert_close(found, meta_gradient(learner, tasks))
    assert not recorder.able
    assert [r.getMessage() for r in caplog.records] == ["the step of MAML is not recorded"]
    assert "no compiler found" in caplog.text


def test_but_who_asks_for_compiling_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", cannot)
    learner = rows().double()
    recorder = Recorder(learner, compiled=True, after=0.0)
    tasks = next(batches((6,), 1))
    with pytest.raises(UserError, match=r"compile: the step of MAML .* no compiler found; install"):
        meta_gradient(learner, tasks, recorder=recorder)


def singles(learner: AnyLearner) -> Iterator[Task]:
    """Meta-batches in the single precision that bfloat16 is for."""
    like = next(learner.parameters())
    return (to_like(tasks, like) for tasks in batches((6,), 3))


@pytest.mark.parametrize(
    ("factor", "relied_on"), [(1.01, True), (1.2, False)], ids=["rounding", "wrong"]
)
def test_compiled_products_of_bfloat16_may_round_elsewhere(
    factor: float, relied_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of operations is compared as strictly as ever, its code up to bfloat16."""

    def compiled(graph: Any, dynamic: bool) -> Any:
        return lambda *tensors: [factor * t for t in graph(*tensors)]

    monkeypatch.setattr(torch, "compile", compiled)
    for narrow in (True, False):
        learner = rows()
        recorder = Recorder(learner, compiled=True, after=0.0)
        with bf16(narrow):
            for tasks in singles(learner):
                meta_gradient(learner, tasks, "vmap", recorder=recorder)
        assert bool(recorder._relied_on) == (relied_on and narrow)


def test_a_wrong_list_is_not_relied_on_in_bfloat16_either(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And whoever asked for compiling is told, without having asked for the log."""
    learner = Counting(Plain(6, 3), inner_steps=1)
    monkeypatch.setattr(torch, "compile", lambda graph, dynamic: graph)
    recorder = Recorder(learner, compiled=True, after=0.0)
    learner.calls = 99  # so that each step is some hundredths larger than the one before
    with bf16():
        for tasks in singles(learner):
            meta_gradient(learner, tasks, "vmap", recorder=recorder)
    assert recorder._made
    assert not recorder._relied_on
    own = [r for r in caplog.records if r.name.startswith("quickstudy")]
    told = [(r.levelname, r.getMessage()) for r in own]
    said = (
        "the compiled step of Counting gives other results than its step, which goes on without it"
    )
    assert told == [("WARNING", said)]
