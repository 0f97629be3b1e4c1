"""The conformance suite: what every learner of the contract is held to.

`check_learner` runs all checks on a float64 copy of a learner, on small random tasks, in train mode
and in eval mode. Each check is a function of its own, `check(learner, tasks)`, and raises an
AssertionError that says what was wrong and in which mode, what was received, and what to do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.utils import _pytree as pytree

from quickstudy.batching.batch import choose, map_tasks, meta_gradient
from quickstudy.learner import AnyLearner, flatten_state
from quickstudy.task import Examples, Kind, Task, class_present, stack
from quickstudy.testing.optional import (
    check_held_out,
    check_initialise,
    check_quantiles,
    check_unlabelled,
)
from quickstudy.testing.trees import (
    clone,
    contents,
    contiguous,
    equal,
    expect_close,
    modes,
    padded,
    reloaded,
)

__all__ = [
    "CHECKS",
    "check_batching",
    "check_held_out",
    "check_initialise",
    "check_learner",
    "check_meta_gradient",
    "check_padding",
    "check_purity",
    "check_quantiles",
    "check_relabelling",
    "check_round_trip",
    "check_single_queries",
    "check_support_order",
    "check_unlabelled",
    "random_tasks",
]

Tasks = Sequence[Task]
T = TypeVar("T")


def check_learner(learner: AnyLearner, x_shape: tuple[int, ...], n_out: int, seed: int = 0) -> None:
    """Runs every check of `CHECKS` on a learner, which is left as it is.

    Args:
        learner: Any learner; its declared properties say which checks apply.
        x_shape: Shape of one input it takes.
        n_out: Largest number of ways, or number of regression outputs; three ways or more are
            needed to see padded classes.
        seed: Seed of the random tasks.

    Raises:
        AssertionError: The learner breaks the contract or a property it declares.

    Example:
        >>> check_learner(qs.learners.NearestCentroid(), x_shape=(4,), n_out=3)
    """
    tasks = random_tasks(learner.kind, x_shape, n_out, seed)
    for check in CHECKS:
        check(learner, tasks)


def random_tasks(kind: Kind, x_shape: tuple[int, ...], n_out: int, seed: int = 0) -> list[Task]:
    """Three float64 tasks of unequal ways and shots, with Gaussian inputs around class centres."""
    rng = torch.Generator().manual_seed(seed)
    draw = partial(torch.randn, generator=rng, dtype=torch.float64)

    def part(y: Tensor, centres: Tensor) -> Examples:
        x = centres[y] + draw(len(y), *x_shape)
        target = draw(len(y), n_out) if kind == "regression" else F.one_hot(y, len(centres)).to(x)
        return Examples(x, target, x.new_ones(len(x)))

    tasks: list[Task] = []
    for way in (n_out, max(n_out - 1, 2), n_out):
        way = 3 if kind == "regression" else way
        centres = draw(way, *x_shape)
        shots = torch.tensor([1 + len(tasks), *[2] * (way - 1)])
        support = torch.arange(way).repeat_interleave(shots)
        tasks.append(Task(part(support, centres), part(torch.arange(way).repeat(2), centres)))
    return tasks


def check_batching(learner: AnyLearner, tasks: Tasks) -> None:
    """vmap, vmap in chunks and a loop agree on predictions, losses and meta-gradients.

    Skipped for a learner that is not `vmappable`, by itself or for its network, or is `stochastic`:
    each way draws other numbers. Of one whose loss alone is `vmappable`, the loss is checked.
    """
    never = choose(learner, "vmap") == choose(learner, "vmap", of_loss=True) == "loop"
    if never or learner.tags.stochastic:
        return
    batch = stack(tasks)
    for mode, model in modes(learner, tasks):
        looped = _answers(model, batch)
        for chunk_size in (None, 2):
            where = f"check_batching ({mode} mode): {{}} under vmap (chunk_size={chunk_size})"
            advice = (
                "write for one task without branching on values, .item() or in-place changes of "
                "buffers, or declare Tags(vmappable=False)."
            )
            try:
                mapped = _answers(model, batch, "vmap", chunk_size)
            except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
                what = where.format("the learner cannot run")
                raise AssertionError(f"{what}; received {error!r}; {advice}") from error
            for name, value in looped.items():
                what = where.format(f"the {name} differ from the loop's")
                expect_close(mapped[name], value, what, advice)


def check_padding(learner: AnyLearner, tasks: Tasks) -> None:
    """Padded support examples, queries and classes change nothing; skipped if `stochastic`."""
    if learner.tags.stochastic:
        return
    # Only a task with fewer ways than the others can be given more classes.
    task = min(tasks, key=lambda task: task.support.y.shape[1])
    columns = max(task.support.y.shape[1] for task in tasks)
    longer = Task(padded(task.support, 2, columns), padded(task.query, 3, columns))
    rows, way = task.query.y.shape
    for mode, model in modes(learner, tasks):
        answers = _answers(model, stack([longer]))
        answers["predictions"] = answers["predictions"][:, :rows, :way]
        for name, value in _answers(model, stack([task])).items():
            expect_close(
                answers[name],
                value,
                f"check_padding ({mode} mode): padding a task changes its {name}",
                "weigh sums over examples by their weight, leave out classes that class_present "
                "does not mark, and give the weights to quickstudy.nets.norm.run.",
            )


def check_purity(learner: AnyLearner, tasks: Tasks) -> None:
    """Adapting and predicting twice, equally seeded, give the same bits and change nothing.

    Bits are compared of the same call with the same shapes alone, on the same threads.
    """
    for mode, model in modes(learner, tasks):
        where = f"check_purity ({mode} mode)"
        advice = (
            "return what was learned in the state, keep nothing on self, change no tensor in "
            "place, and declare Tags(stochastic=True) where random numbers are drawn."
        )
        task, other_task = copy.deepcopy((tasks[0], tasks[1]))
        adapt = partial(_seeded, partial(model.adapt, task.support))
        before = contents(model)
        state = adapt()
        first_state = pytree.tree_map(clone, state)
        predict = partial(_seeded, partial(model.predict, state, task.query.x))
        prediction = predict()
        _seeded(partial(model, other_task))
        for name, actual, expected in (
            ("predicting changed the state", state, first_state),
            ("adapting changed the task", task, tasks[0]),
            ("adapting again gave another state", adapt(), first_state),
            ("predicting again, after another task, gave something else", predict(), prediction),
        ):
            expect_close(actual, expected, f"{where}: {name}", advice, tolerance=0)
        after = contents(model)
        shared = before.keys() & after.keys()
        changed = [path for path in shared if not equal(before[path], after[path])]
        changed += before.keys() ^ after.keys()
        if changed:
            raise AssertionError(
                f"{where}: adapting or predicting changed the learner; received a change of "
                f"{', '.join(sorted(changed)[:5])}; {advice}"
            )


def check_support_order(learner: AnyLearner, tasks: Tasks) -> None:
    """The order of the support examples does not change predictions, unless `order_matters`."""
    if learner.tags.order_matters:
        return
    support, query = tasks[0]
    reversed_support = Examples(*(t.flip(0) for t in support))
    for mode, model in modes(learner, tasks):
        expect_close(
            _seeded(partial(model.respond, Task(reversed_support, query))),
            _seeded(partial(model.respond, Task(support, query))),
            f"check_support_order ({mode} mode): reversing the support changes the predictions",
            "use sums and means over the support, or declare Tags(order_matters=True).",
        )


def check_single_queries(learner: AnyLearner, tasks: Tasks) -> None:
    """In eval mode, one query at a time is answered as all at once, unless `transductive`."""
    if learner.tags.transductive:
        return
    support, query = tasks[0]
    model = dict(modes(learner, tasks))["eval"]
    state = _seeded(partial(model.adapt, support))
    single = [_seeded(partial(model.predict, state, x[None])) for x in query.x]
    expect_close(
        torch.cat(single),
        _seeded(partial(model.predict, state, query.x)),
        "check_single_queries (eval mode): the queries asked with it change a query's prediction",
        "take no statistics over the queries (the norms 'support', 'population', 'group' and "
        "'layer' do not), or declare Tags(transductive=True).",
    )


def check_relabelling(learner: AnyLearner, tasks: Tasks) -> None:
    """Relabelling the classes relabels the predictions, where `label_equivariant`."""
    if learner.kind != "classification" or not learner.tags.label_equivariant:
        return
    support, query = tasks[0]
    relabelled = support._replace(y=support.y.roll(1, dims=1))
    for mode, model in modes(learner, tasks):
        expect_close(
            _seeded(partial(model.respond, Task(relabelled, query))),
            _seeded(partial(model.respond, Task(support, query))).roll(1, dims=1),
            f"check_relabelling ({mode} mode): the predictions do not follow when the classes are "
            "relabelled",
            "treat every column of support.y alike (SharedLinear does), or declare "
            "Tags(label_equivariant=False).",
        )


def check_meta_gradient(learner: AnyLearner, tasks: Tasks) -> None:
    """The meta-gradient along a random direction equals central differences to 1e-6.

    Up to six pairs of a direction and a step size are tried, and one must agree: a step across the
    kink of a ReLU or of max-pooling spoils one pair, a wrong meta-gradient all of them. Skipped
    where the learner declares no `exact_meta_gradient` or has no meta-parameters.
    """
    if not learner.tags.exact_meta_gradient or not learner.meta_parameters():
        return
    rng = torch.Generator().manual_seed(0)
    for mode, model in modes(learner, tasks):
        parameters = {name: p.detach() for name, p in model.meta_parameters().items()}
        # One task at a time, so that no padding is involved.
        per_task = [_seeded(partial(meta_gradient, model, stack([t]), "loop")) for t in tasks]
        gradient = {name: sum(g.gradients[name] for g in per_task) for name in parameters}
        n = sum(p.numel() for p in parameters.values())
        errors = []
        for step in (1e-5, 1e-5, 1e-6, 1e-6, 1e-4, 1e-4):
            along = {
                name: torch.randn(p.shape, generator=rng, dtype=p.dtype) / n**0.5
                for name, p in parameters.items()
            }
            ahead, behind = (
                _total_loss(model, tasks, {k: p + h * along[k] for k, p in parameters.items()})
                for h in (step, -step)
            )
            numeric = (ahead - behind) / (2 * step)
            exact = float(sum((along[name] * g).sum() for name, g in gradient.items()))
            errors.append(abs(numeric - exact) / max(abs(numeric), abs(exact), 1e-3))
            if errors[-1] <= 1e-6:
                break
        else:
            raise AssertionError(
                f"check_meta_gradient ({mode} mode): the meta-gradient is not the derivative of "
                f"task_loss; received {exact:.8g} along a direction where central differences give "
                f"{numeric:.8g}, and relative errors of at least {min(errors):.1e}; look for "
                "detach(), no_grad() and gradients through a vmap, or declare "
                "Tags(exact_meta_gradient=False)."
            )


def check_round_trip(learner: AnyLearner, tasks: Tasks) -> None:
    """State and learner, written as safetensors and read again, predict the same bit for bit.

    For the same queries in one call, and tensors laid out alike in memory.
    """
    for mode, model in modes(learner, tasks):
        support, query = tasks[0]
        where = f"check_round_trip ({mode} mode)"
        fresh = copy.deepcopy(model)
        with torch.no_grad():
            for value in (*fresh.parameters(), *fresh.buffers()):
                value.zero_()
        fresh.load_state_dict(reloaded(model.state_dict()))
        state = _seeded(partial(model.adapt, support))
        leaves = pytree.tree_leaves(state)
        foreign = sorted({type(leaf).__name__ for leaf in leaves if not isinstance(leaf, Tensor)})
        if foreign:
            raise AssertionError(
                f"{where}: the state holds something else than tensors; received "
                f"{', '.join(foreign)}; make it a NamedTuple or dict of tensors, and keep settings "
                "on self."
            )
        tensors = flatten_state(state)
        rebuilt, again = (model.state_from(reloaded(tensors)) for _ in range(2))
        # Contiguous, as after loading: other strides may choose another kernel and so other bits.
        state = pytree.tree_map(contiguous, state)
        prediction = _seeded(partial(model.predict, state, query.x))
        for name, reader, rebuilt_state in (("state", model, rebuilt), ("learner", fresh, again)):
            expect_close(
                _seeded(partial(reader.predict, rebuilt_state, query.x)),
                prediction,
                f"{where}: a {name} that was saved and loaded predicts otherwise",
                "keep what predict needs in the state, parameters and persistent buffers.",
                tolerance=0,
            )


Check = Callable[[AnyLearner, Tasks], None]
CHECKS: tuple[Check, ...] = (
    check_purity,
    check_batching,
    check_padding,
    check_support_order,
    check_single_queries,
    check_relabelling,
    check_meta_gradient,
    check_round_trip,
    check_initialise,
    check_held_out,
    check_unlabelled,
    check_quantiles,
)


def _seeded(f: Callable[[], T]) -> T:
    """The result of `f`, which draws the same random numbers whenever it is called so."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return f()


def _answers(
    model: AnyLearner,
    batch: Task,
    way: Literal["loop", "vmap"] = "loop",
    chunk_size: int | None = None,
) -> dict[str, Any]:
    """Outputs of a learner for a meta-batch; predictions are zero where there is padding."""

    def answer(task: Task) -> dict[str, Tensor]:
        prediction = model.respond(task)
        real = task.query.weight[:, None]
        if model.kind == "classification":
            real = real * class_present(task.support)
        return {"predictions": prediction * real, "losses": model.loss(prediction, task.query)}

    with torch.no_grad():
        answers: dict[str, Any] = map_tasks(answer, batch, choose(model, way), chunk_size)
    if model.meta_parameters():
        outer = meta_gradient(model, batch, way, chunk_size)
        answers |= {"task losses": outer.losses, "meta-gradients": outer.gradients}
    return answers


def _total_loss(model: AnyLearner, tasks: Tasks, parameters: dict[str, Tensor]) -> float:
    """The loss summed over the tasks, with other meta-parameters."""
    losses = [
        _seeded(partial(functional_call, model, parameters, (task,))).detach() for task in tasks
    ]
    return float(torch.stack(losses).sum())
