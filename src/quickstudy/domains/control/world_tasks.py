"""Tasks of control: worlds, with the random numbers of the episodes that are played in them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import nn

from quickstudy.domains.control.metrics import RETURN, SUCCESS
from quickstudy.domains.control.opponents import opponents
from quickstudy.domains.control.picture import seen_in
from quickstudy.domains.control.rungs import from_scratch, multi_task_rungs
from quickstudy.errors import at_least
from quickstudy.learner import AnyLearner
from quickstudy.metrics import Metric
from quickstudy.play.pictures import pictures
from quickstudy.play.world import Noise, Practice, World
from quickstudy.task import Kind, Task
from quickstudy.tasks.contents import COMPUTED, Contents
from quickstudy.tasks.source import Split, TaskSource, generator

if TYPE_CHECKING:  # matplotlib is slow to load
    from quickstudy.figures.sheet import Figure


@dataclass(frozen=True)
class WorldTasks(TaskSource):
    """Worlds that a policy practises in: each task is one, with all random numbers of its episodes.

    The family is unlimited; the splits are streams of random numbers of their own. Those of a round
    do not depend on how many rounds there are, so that policies with more updates, and other
    policies, are compared with common random numbers.

    Args:
        world: The functions of the world.
        n_shot: Episodes of a round that is learned from.
        n_query: Episodes that the adapted policy is judged by.
        n_updates: Rounds; the policy adapts after each.
        seed: Seed of every split.

    Raises:
        UserError: A number of episodes is below 1, or that of updates below 0.

    Example:
        >>> from quickstudy.domains.control import PointGoal, WorldTasks
        >>> support, query = WorldTasks(PointGoal(), n_shot=5).task("train", 0)
        >>> support.noise.action.shape  # (rounds, episodes, steps, numbers)
        torch.Size([1, 5, 100, 2])
    """

    world: World
    n_shot: int = 20
    n_query: int = 20
    n_updates: int = 1
    seed: int = 0

    kind: Kind = field(default="control", init=False)
    preprocess: None = field(default=None, init=False)

    def __post_init__(self) -> None:
        at_least("WorldTasks", 1, n_shot=self.n_shot, n_query=self.n_query)
        at_least("WorldTasks", 0, n_updates=self.n_updates)

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.world.observation_shape

    @property
    def n_out(self) -> int:
        return self.world.n_out

    @property
    def family(self) -> World:
        return self.world

    @property
    def shares_outputs(self) -> bool:
        return True

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return (RETURN,) if self.world.success_rule is None else (RETURN, SUCCESS)

    def task(self, split: Split, index: int) -> Task:
        stream = f"control/{split}"
        hidden = self.world.draw(generator(self.seed, stream, index))

        def noise(name: object, n_episodes: int) -> Noise:
            return self.world.noise(generator(self.seed, f"{stream}/{name}", index), n_episodes)

        # At least one, so that no rounds have the shapes of some.
        rounds = [noise(k, self.n_shot) for k in range(max(1, self.n_updates))]
        support = Noise(*(torch.cat(each)[: self.n_updates] for each in zip(*rounds, strict=True)))
        query = noise("query", self.n_query)
        return Task(*cast(Any, (Practice(hidden, support), Practice(hidden, query))))

    def with_updates(self, n_updates: int) -> Self:
        return replace(self, n_updates=n_updates)

    def resized(self, n_way: int | None = None, n_shot: int | None = None) -> Self | None:
        if n_way is not None:
            return None
        return self if n_shot is None else replace(self, n_shot=n_shot)

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        ladder = opponents(self.world, self)
        if net is not None:
            ladder["FromScratch"] = from_scratch(net, self.world, self)
        return ladder

    def pooled_rungs(self, pooled: AnyLearner) -> dict[str, AnyLearner]:
        return multi_task_rungs(pooled, self)

    def figures(
        self,
        learner: AnyLearner,
        split: Split,
        n: int,
        temperature: float = 1.0,
        unadapted: AnyLearner | None = None,
    ) -> list[Figure]:
        """Paths or pulls before and after adapting, in the first worlds of a split together."""
        return pictures(self.world, seen_in(self, self.world, learner, split))

    def contents(self) -> Contents:
        return COMPUTED

    def describe(self) -> dict[str, Any]:
        numbers = {"n_shot": self.n_shot, "n_query": self.n_query, "n_updates": self.n_updates}
        rule = self.world.success_rule
        return {
            **self.world.to_json(),
            **numbers,
            "horizon": self.world.horizon,
            **({} if rule is None else {"success": rule}),
        }
