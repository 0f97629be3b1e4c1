"""Steps that wait for no device: batches drawn ahead, outcomes read later, products in bfloat16."""

from __future__ import annotations

import copy
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import yaml
from small import Watched, huge, maml, parameters, quick, sinusoid
from test_recipes import RECIPES
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from quickstudy import Training, UserError, train
from quickstudy.batching.batch import choose
from quickstudy.batching.record import Recorder
from quickstudy.errors import NonFiniteError
from quickstudy.learner import AnyLearner
from quickstudy.learners import TableEnsemble
from quickstudy.nets.passing import bf16
from quickstudy.nets.products import Linear, product
from quickstudy.task import Task
from quickstudy.tasks import Split, TablePrior
from quickstudy.training import outer
from quickstudy.training.outer import outer_step
from quickstudy.training.plan import resolve

TABLES = TablePrior((20, 40), 12, 6, 3, group=4, padded=True)


class Ready:
    """Meta-batches that were drawn before."""

    batches: ClassVar = [TABLES.batch("train", range(i, i + 4)) for i in (0, 4)]

    def batch(self, split: Split, indices: Sequence[int]) -> Task:
        return self.batches[indices[0] // 4]


READY = Ready()


def tiny() -> AnyLearner:
    torch.manual_seed(0)
    return TableEnsemble(width=8, n_cell_blocks=1, n_row_blocks=1, n_heads=2, n_seeds=2)


LOOKS = (
    *("_local_scalar_dense", "nonzero", "masked_select", "equal.default"),
    *("_linalg_check_errors", "linalg_cholesky.default"),
)


class Unseen(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses the operations for whose result a program would wait for a GPU."""

    on_host = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self.on_host:
            return func(*args, **(kwargs or {}))
        if "aten.index." in str(func):
            assert not any(t is not None and t.dtype == torch.bool for t in args[1]), "by a mask"
        assert not any(look in str(func) for look in LOOKS), f"{func} looks at a value"
        return func(*args, **(kwargs or {}))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Unseen:
    """Refuses looks, but at a meta-batch before it is on the device."""
    mode, look = Unseen(), outer.is_padded

    def on_host(tasks: Task) -> bool:
        mode.on_host = True
        padded = look(tasks)
        mode.on_host = False
        return padded

    monkeypatch.setattr(outer, "is_padded", on_host)
    return mode


def test_a_fused_step_looks_at_no_value(looks: Unseen) -> None:
    learner = tiny()
    taken = []
    with bf16(), looks:
        optimizer = torch.optim.AdamW([*learner.meta_parameters().values()], fused=True)
        for step in range(2):
            indices = range(4 * step, 4 * step + 4)
            taken.append(outer_step(learner, optimizer, READY, "train", indices, clip=1.0))
    assert [each.outcome().skipped for each in taken] == [0, 0]
    assert not torch.equal(parameters(learner), parameters(tiny()))
    plain = torch.optim.AdamW([*learner.meta_parameters().values()])
    with looks, pytest.raises(AssertionError, match="looks at a value"):
        outer_step(learner, plain, READY, "train", range(4))


@pytest.mark.parametrize("fused", [True, False])
def test_without_a_finite_task_nothing_moves(fused: bool) -> None:
    learner = maml(sinusoid())
    optimizer = torch.optim.AdamW(learner.parameters(), weight_decay=0.1, fused=fused)
    outer_step(learner, optimizer, sinusoid(), "train", range(4))
    moved = parameters(learner)
    spoilt = Watched(sinusoid(), lambda split, index, task: huge(task))
    outcome = outer_step(learner, optimizer, spoilt, "train", range(4)).outcome()
    assert outcome.skipped == 4
    assert torch.equal(parameters(learner), moved)


def test_a_fused_optimizer_makes_the_same_step() -> None:
    found = []
    for fused in (True, False):
        learner = maml(sinusoid()).double()
        optimizer = torch.optim.AdamW(learner.parameters(), weight_decay=0.1, fused=fused)
        for step in range(3):
            outer_step(learner, optimizer, sinusoid(), "train", range(4 * step, 4 * step + 4), 1.0)
        found.append(parameters(learner))
    torch.testing.assert_close(*found)


def test_steps_in_a_row_are_counted_where_they_are_read_together() -> None:
    spoilt = Watched(sinusoid(), lambda split, index, task: huge(task) if index < 16 else task)
    options = {"outer_optimizer": "Adam", "optimizer_options": {"fused": True}}
    with pytest.raises(NonFiniteError, match=r"step 3: .* 3 steps in a row"):
        quick(spoilt, maml(sinusoid()), None, steps=9, meta_batch=4, max_bad_steps=3, **options)


def test_outcomes_that_are_read_later_are_all_counted() -> None:
    spoilt = Watched(sinusoid(), lambda split, index, task: huge(task) if index % 4 == 1 else task)
    options = {"outer_optimizer": "Adam", "optimizer_options": {"fused": True}}
    result = quick(spoilt, maml(sinusoid()), None, steps=13, meta_batch=4, **options)
    assert result.skipped == 13
    assert result.step == 13


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_drawn_ahead_are_the_same(workers: int) -> None:
    found = []
    for n in (0, workers):
        learner = tiny()
        train(
            learner,
            TABLES,
            Training(steps=3, meta_batch=4, valid_tasks=0, data_workers=n),
            show=False,
        )
        found.append(parameters(learner))
    assert torch.equal(*found)


def test_an_error_leaves_no_process_behind() -> None:
    def refuse(split: str, index: int, task: Task) -> Task:
        return huge(task)

    before = set(multiprocessing.active_children())
    with pytest.raises(NonFiniteError) as raised:
        quick(
            Watched(sinusoid(), refuse),
            maml(sinusoid()),
            None,
            steps=99,
            max_bad_steps=2,
            data_workers=2,
        )
    assert raised.tb is not None
    assert set(multiprocessing.active_children()) == before


def test_a_run_that_draws_ahead_goes_on_where_it_ended(tmp_path: Path) -> None:
    found = []
    for stops in ((3,), (2, 3)):
        learner = maml(sinusoid())
        for n, steps in enumerate(stops):
            settings = Training(steps=steps, valid_tasks=0, data_workers=1)
            out = tmp_path / str(len(stops))
            train(learner, sinusoid(), settings, out, resume=n > 0, show=False)
        found.append(parameters(learner))
    assert torch.equal(*found)


def test_an_error_of_drawing_ahead_is_told() -> None:
    def refuse(split: str, index: int, task: Task) -> Task:
        if index == 9:
            raise UserError("tasks: no ninth task; received 9; take another.")
        return task

    spoilt = Watched(sinusoid(), refuse)
    with pytest.raises(UserError, match=r"^tasks: no ninth task"):
        quick(spoilt, maml(sinusoid()), None, steps=4, meta_batch=4, data_workers=1)


def test_padded_tables_have_one_shape_and_say_the_same() -> None:
    bare = TablePrior((20, 40), 12, 6, 3, group=4)
    tasks = [TABLES.task("train", index) for index in range(0, 40, 4)]
    assert len({tuple(t.shape for part in task for t in part) for task in tasks}) == 1
    learner = tiny()
    for index, task in zip(range(0, 40, 4), tasks, strict=True):
        short = bare.task("train", index)
        assert task.support.weight.sum() == len(short.support.x)
        torch.testing.assert_close(
            learner.task_loss(task), learner.task_loss(short), rtol=1e-4, atol=1e-4
        )


def test_the_loss_of_an_ensemble_is_vectorised_and_its_answers_are_looped() -> None:
    learner = tiny()
    assert choose(learner, "auto") == "loop"
    assert choose(learner, "auto", of_loss=True) == "vmap"
    assert Recorder(learner, compiled=True).able


class Products(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        return product(self.linear(x), x.T)


def test_products_are_of_bfloat16_where_asked_for_and_of_float32_alone() -> None:
    torch.manual_seed(0)
    net, x = Products(), torch.randn(32, 64)
    with torch.no_grad():
        exact = net(x)
        with bf16():
            rough = net(x)
            double = copy.deepcopy(net).double()(x.double())
        again = net(x)
    assert rough.dtype == torch.float32
    assert 0 < float((rough - exact).abs().max() / exact.abs().max()) < 0.03
    torch.testing.assert_close(double.float(), exact)
    assert torch.equal(again, exact), "outside it is as before"


def test_bf16_trains_a_transformer() -> None:
    found = []
    for wanted in (False, True):
        learner = tiny()
        settings = Training(steps=2, meta_batch=4, valid_tasks=0, bf16=wanted)
        train(learner, TABLES, settings, show=False)
        found.append(parameters(learner))
    assert 0 < float((found[0] - found[1]).abs().max()) < 0.01


@pytest.mark.more  # minutes of a C++ compiler
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # torch's own, of its compiler
def test_the_gpu_profile_runs_on_a_tiny_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands in the recipe: compiled, in bfloat16, fused, batches drawn ahead."""
    recipe = next(path for path in RECIPES if path.stem == "tables-in-context")
    plan = yaml.safe_load(recipe.read_text())["profiles"]["gpu"]["train"]
    names = Training.__dataclass_fields__
    settings = {k: v for k, v in resolve(plan).items() if k in names}
    small = {"steps": 12, "meta_batch": 8, "valid_tasks": 2, "data_workers": 2}
    monkeypatch.setattr(Recorder.__init__, "__defaults__", (False, 0.0, 4))
    relied_on: list[int] = []
    run = Recorder.run

    def watched(self: Recorder, *args: Any) -> Any:
        relied_on.append(len(self._relied_on))
        return run(self, *args)

    monkeypatch.setattr(Recorder, "run", watched)
    before = parameters(tiny())
    learner = tiny()
    result = train(learner, TABLES, Training(**settings | small), show=False)
    assert result.step == 12
    assert not torch.equal(parameters(learner), before)
    assert relied_on[-1] == 1, "one shape, compiled once, and used"
