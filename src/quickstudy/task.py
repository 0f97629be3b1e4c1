"""A task: a few labelled examples to learn from, and a few more to be judged on.

Targets are always two-dimensional floats: one-hot rows `(examples, way)` in classification, values
`(examples, outputs)` in regression. The number of columns is the number of ways, so it is known
inside `torch.func.vmap`, and relabelling the classes is a permutation of the columns.

Tasks of unequal size are padded to a common one. A padded example has weight 0; a padded class has
no example of positive weight.

In control a policy makes the data of a task itself: its support and query are first a
`quickstudy.play.Practice`, and `Rollouts` once they are played.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from quickstudy.errors import UserError

__all__ = [
    "Examples",
    "Kind",
    "Rollouts",
    "Task",
    "class_present",
    "examples",
    "is_padded",
    "mask_absent",
    "pad",
    "stack",
    "to_like",
    "unstack",
]

Kind = Literal["classification", "regression", "control"]


class Examples(NamedTuple):
    """Labelled examples of one task.

    Shapes:
        x (examples, *x): inputs.
        y (examples, way) one-hot, or (examples, outputs) values.
        weight (examples,): 1 for an example, 0 for padding.

    Example:
        >>> labelled = qs.Examples(x=torch.randn(2, 64), y=torch.eye(2), weight=torch.ones(2))
        >>> learner.adapt(labelled).prototypes.shape  # of the two classes
        torch.Size([2, 40])
    """

    x: Tensor
    y: Tensor
    weight: Tensor


class Rollouts(NamedTuple):
    """Episodes that were played in one world: rounds of them, after each of which a policy adapts.

    Shapes:
        observation (rounds, episodes, steps, *observation): before each step.
        action (rounds, episodes, steps, *action): one-hot, or vectors, as drawn.
        log_probability (rounds, episodes, steps): of the action under the policy that drew it.
        reward (rounds, episodes, steps): of the action.
        weight (rounds, episodes, steps): 1 for the steps of an episode, 0 after its end.
        final (rounds, episodes, *observation): after the last step of an episode.
        terminated (rounds, episodes): 1 where the world ended an episode, 0 where a time limit did.

    Example:
        >>> from quickstudy.domains.control import PointGoal, WorldTasks
        >>> tasks = WorldTasks(PointGoal(horizon=5), n_shot=2, n_updates=3)
        >>> policy = qs.build("PolicyMAML", tasks)
        >>> policy.practise(tasks.task("test", 0)).support.reward.shape  # (rounds, episodes, steps)
        torch.Size([3, 2, 5])
    """

    observation: Tensor
    action: Tensor
    log_probability: Tensor
    reward: Tensor
    weight: Tensor
    final: Tensor
    terminated: Tensor

    @property
    def returns(self) -> Tensor:
        """The sum of the rewards of each episode `(rounds, episodes)`."""
        return (self.reward * self.weight).sum(dim=-1)

    def round(self, k: int) -> Rollouts:
        """The episodes of one round, without the axis of rounds."""
        return Rollouts(*(each[k] for each in self))


class Task(NamedTuple):
    """One learning problem: learn from `support`, be judged on `query`.

    Example:
        >>> support, query = tasks.task("test", 0)
        >>> support.x.shape, support.y.shape
        (torch.Size([10, 64]), torch.Size([10, 2]))
    """

    support: Examples
    query: Examples


def examples(x: Tensor, y: Tensor, n_way: int | None = None) -> Examples:
    """Checked examples from inputs and integer classes or real targets.

    Args:
        x: Inputs `(examples, *x)`.
        y: Integer classes `(examples,)`, or real targets `(examples,)` or `(examples, outputs)`.
        n_way: Number of classes; as many as `y` names where omitted. Ignored for real targets.

    Raises:
        UserError: No examples, unequal lengths, values that are not finite, or a class outside
            `0 .. n_way - 1`.
    """
    if len(x) == 0 or len(x) != len(y):
        raise UserError(
            f"examples: need as many inputs as targets and at least one; received {len(x)} inputs "
            f"and {len(y)} targets; pass arrays of one length."
        )
    finite = finite_rows(x)
    if not finite.all():
        bad = torch.nonzero(~finite).flatten().tolist()
        raise UserError(
            f"examples: inputs must be finite; received NaN or infinity in example(s) {bad[:5]}; "
            "remove or fill these values."
        )
    if y.is_floating_point():
        if not torch.isfinite(y).all():
            bad = (
                torch.nonzero(~torch.isfinite(y.reshape(len(y), -1)).all(dim=1)).flatten().tolist()
            )
            raise UserError(
                "examples: targets must be finite; received NaN or infinity in example(s) "
                f"{bad[:5]}; remove these examples."
            )
        target = y.reshape(len(y), -1).to(x.dtype)
    else:
        way = int(y.max()) + 1 if n_way is None else n_way
        if int(y.min()) < 0 or int(y.max()) >= way:
            raise UserError(
                f"examples: classes must be 0 .. {way - 1}; received {int(y.min())} .. "
                f"{int(y.max())}; number the classes from 0."
            )
        target = F.one_hot(y.long(), way).to(x.dtype)
    return Examples(x, target, x.new_ones(len(x)))


def finite_rows(x: Tensor) -> Tensor:
    """Whether all numbers of an example are finite `(examples,)`, a few examples at a time."""
    parts = [torch.isfinite(part).flatten(1).all(dim=1) for part in torch.split(x, 256)]
    return torch.cat(parts)


def check_labelled(what: str, support: Examples) -> None:
    """Raises UserError where examples have no labels, so that each may be of every class."""
    if support.y.shape[1] > 1 and bool((support.y == 1).all()):
        raise UserError(
            f"{what}: needs labelled examples; received a model that adapted to {len(support.y)} "
            "without labels; adapt to labelled ones."
        )


def class_present(support: Examples) -> Tensor:
    """1 for every class that has a support example, 0 for a padded one. Shape (way,)."""
    return ((support.y * support.weight[:, None]).sum(dim=0) > 0).to(support.x.dtype)


def class_present_without(support: Examples) -> Tensor:
    """For each example `class_present` of the support that lacks it `(examples, way)`."""
    members = support.y * support.weight[:, None]
    return ((members.sum(dim=0) - members) > 0).to(support.x.dtype)


def mask_absent(logits: Tensor, present: Tensor) -> Tensor:
    """Logits `(query, way)` with classes that are only padding made impossible.

    The value is finite, so that zero probability times it is zero and never NaN.
    """
    return torch.where(present > 0, logits, torch.full_like(logits, -1e9))


def task_outputs(outputs: Tensor, present: Tensor, kind: Kind) -> Tensor:
    """The outputs `(examples, way)` of a task, of those of a network that may have more."""
    outputs = outputs[:, : len(present)]
    return outputs if kind == "regression" else mask_absent(outputs, present)


def together(task: Task) -> Examples:
    """Support and query as one set of examples, the support first."""
    return Examples(*(torch.cat(parts) for parts in zip(*task, strict=True)))


def pad(part: Examples, n_examples: int, n_columns: int, width: int | None = None) -> Examples:
    """The same examples followed by padding up to `n_examples` rows and `n_columns` targets.

    Args:
        part: The examples.
        n_examples: How many examples there are to be.
        n_columns: How many targets.
        width: Numbers of a row of a table, filled with zeros.
    """
    rows, columns = n_examples - len(part.x), n_columns - part.y.shape[1]
    features = 0 if width is None else width - part.x.shape[-1]
    return Examples(
        F.pad(part.x, [0, features, *[0, 0] * (part.x.ndim - 2), 0, rows]),
        F.pad(part.y, [0, columns, 0, rows]),
        F.pad(part.weight, [0, rows]),
    )


def stack(tasks: Sequence[Task]) -> Task:
    """A meta-batch: tasks padded to their largest and stacked along a new first axis.

    Rows of tables of unequal width are padded too: a column of zeros is constant, and says nothing.
    """
    if not isinstance(tasks[0].support, Examples):
        return cast(Task, tree_map(lambda *parts: torch.stack(parts), *tasks))
    way = max(task.support.y.shape[1] for task in tasks)
    rows = tasks[0].support.x.ndim == 2
    width = max(task.support.x.shape[1] for task in tasks) if rows else None

    def stacked(parts: list[Examples]) -> Examples:
        n = max(len(part.x) for part in parts)
        if any(part.y.shape != (n, way) or (rows and part.x.shape[1] != width) for part in parts):
            parts = [pad(part, n, way, width) for part in parts]
        if len(parts) == 1:  # A view, as a task may be large.
            return Examples(*(field[None] for field in parts[0]))
        return Examples(*(torch.stack(field) for field in zip(*parts, strict=True)))

    return Task(stacked([t.support for t in tasks]), stacked([t.query for t in tasks]))


def unstack(batch: Task) -> list[Task]:
    """The tasks of a meta-batch, still padded."""
    tensors, structure = tree_flatten(batch)
    return [tree_unflatten(each, structure) for each in zip(*tensors, strict=True)]


def n_stacked(batch: Task) -> int:
    """Returns the number of tasks in a meta-batch."""
    return len(tree_leaves(batch)[0])


def setting_name(n_way: int | Sequence[int] | None, n_shot: int | Sequence[int] | None) -> str:
    """Returns such as `5-way 1-shot`, or `2–5-way 1-shot` for a range; empty for two None."""
    numbers = {"way": n_way, "shot": n_shot}
    return " ".join(
        f"{n if isinstance(n, int) else '–'.join(map(str, n))}-{noun}"
        for noun, n in numbers.items()
        if n is not None
    )


def is_padded(task: Task) -> bool:
    """Whether a task or meta-batch has examples, columns of targets or steps that are padding."""
    if not isinstance(task.support, Examples):
        played = (part.weight for part in task if isinstance(part, Rollouts))
        return not all(bool((weight > 0).all()) for weight in played)
    y, weight = task.support.y, task.support.weight
    filled = ((y != 0) & (weight > 0)[..., None]).any(dim=-2)
    return not (bool(filled.all()) and all(bool((part.weight > 0).all()) for part in task))


def to_like(task: Task, like: Tensor) -> Task:
    """The task with every tensor in the dtype and on the device of `like`."""
    # A GPU goes on computing while it copies; only copies from it must be waited for.
    at_once = like.device.type == "cuda"
    return cast(Task, tree_map(lambda t: t.to(like, non_blocking=at_once), task))
