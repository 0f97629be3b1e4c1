"""A world: pure functions of its hidden numbers, its state and an action.

They are named as in Gymnasium's functional environments. Episodes are an explicit axis, as examples
are; worlds, which are tasks, are mapped by `batching/`. All that happens by chance in a world is in
the numbers of its `Noise`, so that one trial is a pure function of these and of the policy, and two
policies can be compared with common random numbers.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import UserError

Hidden = Any
"""The hidden numbers of one world: a NamedTuple of tensors."""
WorldState = Any
"""Where each episode stands: a NamedTuple of tensors `(episodes, ...)`."""


class Noise(NamedTuple):
    """The random numbers of some rounds of episodes, uniform between 0 and 1 without either.

    Shapes:
        initial (rounds, episodes, numbers): where episodes begin.
        action (rounds, episodes, steps, numbers): which actions a policy draws.
        transition (rounds, episodes, steps, numbers): what happens by chance in the world.

    Example:
        >>> noise = PointGoal(horizon=20).noise(np.random.default_rng(0), n_episodes=5)
        >>> noise.action.shape, noise.transition.shape
        (torch.Size([1, 5, 20, 2]), torch.Size([1, 5, 20, 0]))
    """

    initial: Tensor
    action: Tensor
    transition: Tensor


class Practice(NamedTuple):
    """A world to play in: its hidden numbers, and the random numbers of its episodes.

    The support of a task of control holds a round for each update, its query one round.

    Example:
        >>> practice = worlds.with_updates(3).task("train", 0).support
        >>> practice.n_rounds, practice.round(0).n_rounds
        (3, 1)
    """

    world: Hidden
    noise: Noise

    @property
    def n_rounds(self) -> int:
        """Rounds of episodes; the policy adapts after each."""
        return self.noise.initial.shape[0]

    def round(self, k: int) -> Practice:
        """The episodes of one round alone."""
        return Practice(self.world, Noise(*(numbers[k : k + 1] for numbers in self.noise)))


class Range(NamedTuple):
    """The range of a hidden number, or of several that have one name.

    Attributes:
        rule: Which of them a family draws, as a phrase.
        holds: Whether such numbers are of these, on the CPU in double precision.
        least, most: Between which they have a meaning at all.

    Example:
        >>> ranges = PointGoal().ranges()
        >>> ranges["goal"].rule, bool(ranges["goal"].holds(torch.tensor([2.0, 0.0])))
        ('from -0.5 to 0.5 on both axes', False)
    """

    rule: str
    holds: Callable[[Tensor], bool | Tensor]
    least: float = -math.inf
    most: float = math.inf


class World(ABC):
    """A family of worlds that differ in hidden numbers.

    Every function is of one world and many episodes: tensors `(episodes, ...)`. None draws random
    numbers, branches on values or keeps anything, so that it runs under `torch.func.vmap`.

    Attributes:
        hidden: The NamedTuple of its hidden numbers.
        observation_shape: Shape of what a policy sees in a step.
        n_actions: Number of actions to choose from; None where an action is a vector.
        action_size: Numbers of such a vector; None where actions are chosen.
        action_limit: The largest number of such a vector, either way, beyond which a world clips
            it; None where it does not.
        spread: Standard deviation of the numbers of such a vector from which policies start, so
            that they find out about the world; half the limit, or 1, where a world says none.
        horizon: Steps after which an episode is cut off, at most.
        n_initial: Random numbers of the beginning of an episode.
        n_transition: Random numbers of a step.
        success_rule: When an episode is a success, as a phrase; None where worlds know no success.
        radius: Distance from its `goal` that is a success; None where that is another matter.

    Example:
        >>> world = PointGoal()  # a World
        >>> hidden = world.draw(np.random.default_rng(0))
        >>> world.observation(hidden, world.initial(hidden, torch.zeros(3, 0))).shape
        torch.Size([3, 2])
    """

    hidden: ClassVar[type[tuple[Any, ...]]]
    observation_shape: tuple[int, ...]
    n_actions: int | None = None
    action_size: int | None = None
    action_limit: float | None = None
    spread: float | None = None
    horizon: int
    n_initial: int = 0
    n_transition: int = 0
    success_rule: str | None = None
    radius: float | None = None

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Its name in the catalog under `name`, and its options: plain JSON."""

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Hidden:
        """The hidden numbers of a world."""

    def ranges(self) -> Mapping[str, Range]:
        """The ranges of its hidden numbers by name, for those that users give; by default none."""
        return {}

    @abstractmethod
    def initial(self, hidden: Hidden, noise: Tensor) -> WorldState:
        """Where episodes begin, by their random numbers `(episodes, n_initial)`."""

    @abstractmethod
    def observation(self, hidden: Hidden, state: WorldState) -> Tensor:
        """The observation of a policy `(episodes, *observation_shape)`, without hidden numbers."""

    @abstractmethod
    def transition(
        self, hidden: Hidden, state: WorldState, action: Tensor, noise: Tensor
    ) -> WorldState:
        """The state after an action.

        Args:
            action: One-hot `(episodes, n_actions)`, or vectors `(episodes, action_size)`, which a
                world clips by itself where it has bounds.
            noise: Random numbers `(episodes, n_transition)`.
        """

    @abstractmethod
    def reward(
        self, hidden: Hidden, state: WorldState, action: Tensor, after: WorldState
    ) -> Tensor:
        """The reward of a step `(episodes,)`, from the state before and after it."""

    def terminal(self, hidden: Hidden, state: WorldState) -> Tensor:
        """1 where an episode has ended by itself `(episodes,)`, else 0; by default never."""
        first = next(iter(state))
        return first.new_zeros(first.shape[0])

    def success(self, hidden: Hidden, observation: Tensor) -> Tensor:
        """1 where an observation is one of success, else 0: observations with any leading axes."""
        raise UserError(
            f"{type(self).__name__}: has no rule of success; received a question for it; ask for "
            "the return."
        )

    @abstractmethod
    def oracle(self, hidden: Hidden, observation: Tensor) -> Tensor:
        """The action of one that sees the hidden numbers too, as `transition` takes it."""

    def place(self, observation: Tensor) -> Tensor | None:
        """The place in the plane `(..., 2)` that a picture shows of observations; None for none."""
        return None

    def goal(self, hidden: Hidden) -> Tensor | None:
        """The place `(2,)` in a picture where it is best to be; None for none."""
        return None

    @property
    def n_action_numbers(self) -> int:
        """Random numbers that a policy needs to draw an action: one to choose, or one for each."""
        return 1 if self.action_size is None else self.action_size

    @property
    def n_out(self) -> int:
        """Actions to choose from, or numbers of an action."""
        size = self.n_actions if self.action_size is None else self.action_size
        assert size is not None
        return size

    def noise(self, rng: np.random.Generator, n_episodes: int) -> Noise:
        """The random numbers of one round of episodes, with the axis of rounds."""
        sizes = (
            (1, n_episodes, self.n_initial),
            (1, n_episodes, self.horizon, self.n_action_numbers),
            (1, n_episodes, self.horizon, self.n_transition),
        )
        return Noise(*(uniform(rng, size) for size in sizes))


def uniform(rng: np.random.Generator, size: tuple[int, ...]) -> Tensor:
    """Random numbers between 0 and 1, without either."""
    # The middles of 2**23 intervals: none is 0 or 1, in single precision either.
    middles = (rng.integers(2**23, size=size) * 2.0 + 1) / 2**24
    return torch.from_numpy(middles.astype(np.float32))
