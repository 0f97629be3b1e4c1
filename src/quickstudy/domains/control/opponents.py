"""The opponents of a policy that need no network, as learners: each plays the same trials."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Final

import torch
from torch import Tensor

from quickstudy.domains.control.bandit import Bandit
from quickstudy.domains.control.bandit_agents import (
    UCB,
    BanditAgent,
    Gittins,
    Preference,
    Pulls,
    gittins_indices,
    greedy,
    thompson,
)
from quickstudy.errors import UserError
from quickstudy.learner import AnyLearner, Learner, Tags
from quickstudy.play import Agent, Practice, World, agents, play
from quickstudy.play.trial import outcomes, trial
from quickstudy.task import Kind, Rollouts, Task, stack
from quickstudy.tasks.source import TaskSource

__all__ = ["BanditPlayer", "Fixed", "opponents"]

CONSTANTS: Final = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
"""Weights of the bound of UCB to choose from."""
N_WORLDS: Final = 100
"""Meta-valid worlds by which it is chosen."""
LONGEST: Final = 200
"""Pulls of an episode up to which there are Gittins indices: their table grows with the cube."""


class Opponent(Learner[Any]):
    """The base of opponents, which learn without gradients or not at all.

    Args:
        world: The functions of the world.
    """

    kind: Kind = "control"
    tags = Tags(label_equivariant=False, meta_trained=False)

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    @abstractmethod
    def begin(self, like: Tensor) -> Any:
        """The state before any episode, in the dtype and on the device of `like`."""

    @abstractmethod
    def update(self, state: Any, played: Rollouts) -> Any:
        """The state after one round of episodes, which has no axis of rounds."""

    @abstractmethod
    def agent(self, state: Any, hidden: Any) -> Agent:
        """The player of a world; only an oracle looks at the hidden numbers."""

    def adapt(self, support: Any) -> Any:
        state = self.begin(support.reward)
        for k in range(support.reward.shape[0]):
            state = self.update(state, support.round(k))
        return state

    def predict(self, state: Any, x: Tensor) -> Tensor:
        raise UserError(
            f"{type(self).__name__}: plays whole episodes; received observations to act on; play "
            "it by `respond`."
        )

    def practise(self, task: Task) -> Task:
        def round_of(state: Any, practice: Practice) -> Rollouts:
            return play(self.world, self.agent(state, practice.world), practice)

        query: Any = task.query
        return trial(task, self.begin(query.noise.action), round_of, self.update)

    def respond(self, task: Task) -> Tensor:
        """Practises: the return and the success of each query episode `(episodes, 2)`."""
        return outcomes(self.world, task, self.practise(task))


class Fixed(Opponent):
    """An agent that learns nothing.

    adapt:  nothing

    Args:
        world: The functions of the world.
        make: The agent, from the functions of the world and its hidden numbers.

    Example:
        >>> from quickstudy.domains.control import PointGoal, WorldTasks
        >>> source = WorldTasks(PointGoal(), n_query=3)
        >>> still = Fixed(source.world, lambda world, hidden: agents.Still(world))
        >>> still.respond(source.task("test", 0)).shape  # return and success of each episode
        torch.Size([3, 2])
    """

    def __init__(self, world: World, make: Callable[[World, Any], Agent]) -> None:
        super().__init__(world)
        self.make = make

    def begin(self, like: Tensor) -> dict[str, Tensor]:
        return {}

    def update(self, state: dict[str, Tensor], played: Rollouts) -> dict[str, Tensor]:
        return state

    def agent(self, state: dict[str, Tensor], hidden: Any) -> Agent:
        return self.make(self.world, hidden)


class BanditPlayer(Opponent):
    """A classical player of bandits, who knows all pulls of the support.

    adapt:  n_i pulls of arm i, s_i of which paid

    Args:
        world: The functions of the world.
        preference: Logits of arms, given their pulls.

    Example:
        >>> from quickstudy.domains.control import Bandit, WorldTasks
        >>> source = WorldTasks(Bandit(n_arms=2), n_shot=3)
        >>> player = BanditPlayer(source.world, greedy)
        >>> played = player.practise(source.task("test", 0)).support
        >>> player.adapt(played).n.sum()  # three episodes of ten pulls
        tensor(30.)
    """

    def __init__(self, world: World, preference: Preference) -> None:
        super().__init__(world)
        self.preference = preference

    def begin(self, like: Tensor) -> Pulls:
        return Pulls(*(like.new_zeros(self.world.n_out) for _ in Pulls._fields))

    def update(self, state: Pulls, played: Rollouts) -> Pulls:
        pulls = (played.action * played.weight[..., None]).flatten(0, 1)
        paid = pulls * played.reward.flatten()[:, None]
        return Pulls(state.n + pulls.sum(dim=0), state.paid + paid.sum(dim=0))

    def agent(self, state: Pulls, hidden: Any) -> BanditAgent:
        return BanditAgent(self.preference, state, self.world.horizon)


def opponents(world: World, source: TaskSource) -> dict[str, AnyLearner]:
    """The opponents that belong to a world, by name.

    Args:
        world: The functions of the world.
        source: The tasks; on meta-valid worlds the constant of UCB is chosen.
    """
    players: dict[str, AnyLearner] = {"Oracle": Fixed(world, agents.Oracle)}
    if isinstance(world, Bandit):
        if world.horizon <= LONGEST:
            indices = gittins_indices(world.horizon)
            players["Gittins"] = BanditPlayer(world, Gittins(indices))
        players["Thompson"] = BanditPlayer(world, thompson)
        players["UCB"] = tuned_ucb(world, source)
        players["Greedy"] = BanditPlayer(world, greedy)
    players["Random"] = Fixed(world, lambda world, hidden: agents.Random(world))
    if world.action_size is not None:
        players["Still"] = Fixed(world, lambda world, hidden: agents.Still(world))
    return players


def tuned_ucb(world: Bandit, source: TaskSource) -> BanditPlayer:
    """The UCB whose constant has the highest mean return on meta-valid worlds."""
    worlds = stack([source.task("valid", index) for index in range(N_WORLDS)])

    def mean_return(player: BanditPlayer) -> float:
        return float(torch.vmap(player.respond)(worlds)[..., 0].mean())

    return max((BanditPlayer(world, UCB(c)) for c in CONSTANTS), key=mean_return)
