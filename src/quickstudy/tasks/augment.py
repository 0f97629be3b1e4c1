"""More meta-train tasks than the data hold: classes turned and mixed, pictures warped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.inputs import InputKind
from quickstudy.learner import AnyLearner
from quickstudy.metrics import Metric
from quickstudy.targets import Scale, TargetRule
from quickstudy.task import Examples, Kind, Task
from quickstudy.tasks.contents import Contents
from quickstudy.tasks.source import Split, TaskSource, generator

Mix = Literal["mixup", "cutmix"]


@dataclass(frozen=True)
class Augmented(TaskSource):
    """The tasks of another source; those of meta-train are changed, the others are as they were.

    Classes are changed alike in support and query, and stay classes with hard labels, so that every
    learner can be trained on them. In this order:

    rotations:  x -> x turned by k_n quarter turns, k_n drawn for each class n from 0, 1, 2, 3
    mixup:      x -> lam x + (1 - lam) x'
    cutmix:     x -> x with a box of x' pasted in, whose sides are sqrt(1 - lam) of the picture's
                with x' an example of the class of another meta-train task that n is paired with;
                lam, drawn from [0, 1), and the box are the same for the whole task
    warp:       x -> x seen through an affine map, drawn for each example: the angle in radians, the
                log of the scale, the shear, and the shifts as parts of half a side, each within
                +- warp; outside of the picture its border goes on

    Args:
        source: The tasks.
        rotations: Whether classes are turned.
        mix: How classes are mixed; not at all where None.
        mix_share: Part of the tasks whose classes are mixed.
        warp: Largest value of each number of the affine map.
        seed: Seed of what is drawn; it is a function of this and of the task's index.

    Raises:
        UserError: A value is out of range, or is for pictures or classes and the tasks have none.

    Source: Ni et al.: Data Augmentation for Meta-Learning, ICML 2021 (new classes by large
    rotations and by mixing); Yao, Zhang, Finn: Meta-Learning with Fewer Tasks through Task
    Interpolation, ICLR 2022, section 4 (classes of two tasks, one lam for all); Zhang et al.:
    mixup, ICLR 2018; Yun et al.: CutMix, ICCV 2019.

    Example:
        >>> more = Augmented(tasks, mix="mixup")
        >>> more.task("train", 0).support.x.shape
        torch.Size([10, 64])
    """

    source: TaskSource
    rotations: bool = False
    mix: Mix | None = None
    mix_share: float = 0.5
    warp: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        shape = self.source.x_shape
        what = "pictures" if len(shape) == 3 else "rows of numbers"
        received = f"{what} of shape {tuple(shape)} and tasks of {self.source.kind}"
        if self.mix not in (None, "mixup", "cutmix"):
            raise UserError(
                f"augment: mix must be mixup or cutmix; received {self.mix!r}; choose one of these."
            )
        if not (0 <= self.mix_share <= 1 and 0 <= self.warp <= 1):
            raise UserError(
                "augment: mix_share and warp must be within 0 .. 1; received "
                f"mix_share={self.mix_share}, warp={self.warp}; choose within these."
            )
        if self.source.kind != "classification" and (self.rotations or self.mix):
            raise UserError(
                f"augment: rotations and mix make new classes; received {received}; leave them out."
            )
        if len(shape) != 3 and (self.rotations or self.warp or self.mix == "cutmix"):
            raise UserError(
                f"augment: rotations, cutmix and warp are for pictures; received {received}; "
                "leave them out."
            )
        if self.rotations and shape[1] != shape[2]:
            raise UserError(
                f"augment: only square pictures can be turned; received {received}; "
                "leave rotations out."
            )

    @property
    def kind(self) -> Kind:
        return self.source.kind

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self.source.metrics

    @property
    def targets(self) -> Scale:
        return self.source.targets

    def n_tasks(self, split: Split) -> int | None:
        return self.source.n_tasks(split)

    def with_targets(self, targets: TargetRule) -> Self:
        return replace(self, source=self.source.with_targets(targets))

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.source.x_shape

    @property
    def n_out(self) -> int:
        return self.source.n_out

    @property
    def preprocess(self) -> InputKind | None:
        return self.source.preprocess

    @property
    def net(self) -> dict[str, Any] | None:
        return self.source.net

    @property
    def shares_outputs(self) -> bool:
        return self.source.shares_outputs

    @property
    def splits(self) -> tuple[Split, ...]:
        return self.source.splits

    @property
    def untouched(self) -> TaskSource:
        return self.source

    def task(self, split: Split, index: int) -> Task:
        task = self.source.task(split, index)
        if split != "train":
            return task
        rng = generator(self.seed, f"{split}/augment", index)
        if self.rotations:
            task = turned(task, rng)
        if self.mix and rng.random() < self.mix_share:
            other = self.source.task(split, int(rng.integers(1 << 40)))
            task = mixed(task, turned(other, rng) if self.rotations else other, self.mix, rng)
        if self.warp:
            task = Task(*(part._replace(x=warped(part.x, self.warp, rng)) for part in task))
        return task

    def contents(self) -> Contents | None:
        return self.source.contents()

    def describe(self) -> dict[str, Any]:
        augment = {
            name: getattr(self, name) for name in ("rotations", "mix", "mix_share", "warp", "seed")
        }
        return {**self.source.describe(), "augment": augment}

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        return self.source.rungs(net)

    def log_likelihoods(self, split: Split, index: int) -> dict[str, float] | None:
        return self.source.log_likelihoods(split, index)

    def disjoint(self, split: Split) -> Iterator[Task] | None:
        return self.source.disjoint(split)

    def flat(self) -> TaskSource | None:
        if self.rotations or self.mix:
            raise UserError(
                "augment: rotations and mix make new classes for a task; received a learner that "
                "is trained on batches of all classes at once; use warp alone."
            )
        flat = self.source.flat()
        return None if flat is None else replace(self, source=flat)

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self | None:
        resized = self.source.resized(n_way, n_shot)
        return None if resized is None else replace(self, source=resized)


def turned(task: Task, rng: np.random.Generator) -> Task:
    """The task with each class turned by a multiple of 90 degrees, in support and query alike."""
    turns = torch.from_numpy(rng.integers(4, size=task.support.y.shape[1]))

    def part(examples: Examples) -> Examples:
        turn = turns[examples.y.argmax(dim=1)].view(-1, 1, 1, 1)
        x = examples.x
        for k in (1, 2, 3):
            x = torch.where(turn == k, torch.rot90(examples.x, k, (2, 3)), x)
        return examples._replace(x=x)

    return Task(part(task.support), part(task.query))


def mixed(task: Task, other: Task, mix: Mix, rng: np.random.Generator) -> Task:
    """The task with each class mixed with a class of the other one, support with support."""
    present = torch.stack([part.y.sum(dim=0) > 0 for part in other]).all(dim=0)
    partners = rng.permutation(np.flatnonzero(present.numpy()))
    share = rng.random()
    weight = box(task.support.x, share, rng) if mix == "cutmix" else torch.tensor(share)

    def part(examples: Examples, others: Examples) -> Examples:
        partner = partners[examples.y.argmax(dim=1).numpy() % len(partners)]
        classes = others.y.argmax(dim=1).numpy()
        rows = [int(rng.choice(np.flatnonzero(classes == c))) for c in partner]
        return examples._replace(x=torch.lerp(others.x[rows], examples.x, weight.to(examples.x)))

    return Task(part(task.support, other.support), part(task.query, other.query))


def box(x: Tensor, share: float, rng: np.random.Generator) -> Tensor:
    """1 on a picture, 0 in a box around a random pixel; inside the picture, it has `1 - share`."""
    mask = torch.ones(x.shape[2:])
    middle = rng.random(2)
    low, high = (
        [
            round(side * float(np.clip(m + end, 0, 1)))
            for side, m in zip(mask.shape, middle, strict=True)
        ]
        for end in (-np.sqrt(1 - share) / 2, np.sqrt(1 - share) / 2)
    )
    mask[low[0] : high[0], low[1] : high[1]] = 0
    return mask


def warped(x: Tensor, size: float, rng: np.random.Generator) -> Tensor:
    """Each picture through an affine map of its own; its values stay in the range of them all."""
    numbers = torch.from_numpy(rng.uniform(-size, size, (len(x), 5))).to(x)
    angle, scale, shear, *shift = numbers.unbind(dim=1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rotation = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 2, 2)
    skew = torch.stack([torch.ones_like(shear), shear, 0 * shear, torch.ones_like(shear)], dim=1)
    linear = torch.exp(scale)[:, None, None] * rotation @ skew.view(-1, 2, 2)
    # Coordinates go from -1 to 1 along each side, whatever its length.
    sides = x.new_tensor([x.shape[3], x.shape[2]])
    linear = linear * sides / sides[:, None]
    theta = torch.cat([linear, torch.stack(shift, dim=1)[:, :, None]], dim=2)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    sampled = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return sampled.clamp(float(x.min()), float(x.max()))
