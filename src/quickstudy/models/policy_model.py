"""A meta-trained policy, as users hold it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Never

import numpy as np
import torch
from torch import Tensor

from quickstudy.errors import UserError, at_least
from quickstudy.inputs import InputKind
from quickstudy.inputs.episodes import hidden_numbers, hidden_to_json
from quickstudy.learner import locked
from quickstudy.learners.policy import Policy
from quickstudy.models.model import Model
from quickstudy.models.policy import AdaptedPolicy
from quickstudy.play import play
from quickstudy.play.agents import Oracle
from quickstudy.play.world import Hidden, Noise, Practice
from quickstudy.task import Rollouts
from quickstudy.tasks.source import generator


class Practised(NamedTuple):
    """A practice in one world.

    Attributes:
        policy: The adapted policy.
        hidden: The hidden numbers of the world.
        trials: The `Rollouts` after 0, 1, ... updates, with the same random numbers.
        oracle: Those of one that sees the hidden numbers.
    """

    policy: AdaptedPolicy
    hidden: Hidden
    trials: list[Rollouts]
    oracle: Rollouts


class PolicyModel(Model):
    """A meta-trained policy, ready for new worlds; `quickstudy.load` makes one of a run of control.

    Args:
        learner: In eval mode from now on.
        preprocess: The kind of its observations; vectors where omitted.

    Attributes:
        world: The functions of the family of worlds it was meta-trained in.

    Example:
        >>> before = policies.begin()
        >>> policy = policies.practise(world={"goal": [0.3, -0.2]}, episodes=5, seed=0)
        >>> len(policy.before), len(policy.after)
        (5, 5)
    """

    learner: Policy

    def __init__(self, learner: Policy, preprocess: InputKind | None = None) -> None:
        super().__init__(learner, learner.world.observation_shape, preprocess)
        self.world = learner.world

    def __repr__(self) -> str:
        return f"PolicyModel({type(self.learner).__name__}, {self.world.to_json()})"

    def begin(self) -> AdaptedPolicy:
        """The policy before any episode: the one that is to play those it first learns from."""
        return AdaptedPolicy(self)

    def adapt(self, X: Any, y: None = None) -> AdaptedPolicy:  # type: ignore[override]
        """A policy for a new world from episodes that `begin()` played there.

        Args:
            X: `Rollouts`, an update after each round; or one round as a list of episodes, each a
                mapping of `observation` (steps, *observation), `action` (steps,) numbers of
                actions or (steps, action_size) as drawn, `reward` (steps,), `log_probability`
                (steps,) as `AdaptedPolicy.choose` gives it, `terminated`, false where time ended
                the episode, and `final`, the observation after the last step, which may instead be
                one more row of `observation`.
            y: Nothing.

        Raises:
            UserError: Episodes have no step, are not finite, of unequal fields or of another shape;
                an action is none of the world's; or another policy played them, too far from
                `begin()` to learn from.
        """
        if y is not None:
            self.read(X, y)
        return self.begin().update(X)

    def practise(
        self,
        world: Mapping[str, Any] | None = None,
        episodes: int = 20,
        updates: int = 1,
        seed: int = 0,
    ) -> AdaptedPolicy:
        """Plays in a world of the family, adapts, and plays again, once for each update.

        The episodes of `trials`, which are played before the first and after each update, have the
        same random numbers every time, and are not learned from.

        Args:
            world: Its hidden numbers by name, which the family need not draw: `notes` of the policy
                then says so. Drawn where omitted.
            episodes: Episodes of each round, and of each trial.
            updates: Number of updates.
            seed: Seed of the world that is drawn, and of all that happens by chance.

        Raises:
            UserError: A hidden number is unknown, missing, not finite, of another shape or without
                a meaning, such as a probability above 1; or a number is out of its range.
        """
        return self.practised(world, episodes, updates, seed).policy

    def practised(
        self, world: Mapping[str, Any] | None, episodes: int, updates: int, seed: int
    ) -> Practised:
        """As `practise`, with all that was played."""
        at_least("practise", 1, episodes=episodes)
        at_least("practise", 0, updates=updates)
        stream, family, learner = "control/practise", self.world, self.learner
        hidden = family.draw(generator(seed, stream, 0))
        hidden = type(hidden)(*(part.to(self.like) for part in hidden))
        if world is not None:
            hidden = hidden_numbers(family, world, self.like)

        def practice(name: object) -> Practice:
            luck = family.noise(generator(seed, f"{stream}/{name}", 0), episodes)
            return Practice(hidden, Noise(*(numbers.to(self.like) for numbers in luck)))

        judged = practice("query")
        with torch.no_grad(), locked(learner):
            state = learner.begin()
            rounds, trials = [], [learner.play(state, judged)]
            for k in range(updates):
                rounds.append(learner.play(state, practice(k)).round(0))
                state = learner.update(state, rounds[-1])
                trials.append(learner.play(state, judged))
        returns = [each.returns[0] for each in trials]
        policy = AdaptedPolicy(self, rounds, state, returns, hidden_to_json(hidden))
        return Practised(policy, hidden, trials, play(family, Oracle(family, hidden), judged))

    def act(self, observation: Any, seed: object = None, greedy: bool = False) -> Never:
        """Refuses: a policy acts once it is adapted, or as `begin()` gives it.

        Raises:
            UserError: Always.
        """
        raise UserError(
            "act: a policy acts in one world, after it adapted to it; received a meta-trained "
            "model; call act on model.practise(...) or model.adapt(episodes), or on "
            "model.begin(), which explores."
        )

    def read(self, X: Any, y: Any, stored: bool = False) -> Never:
        """Refuses: a policy learns from episodes rather than from labelled examples.

        Raises:
            UserError: Always.
        """
        raise UserError(
            f"adapt: {type(self.learner).__name__} learns from episodes that it played; received "
            "examples with labels; call model.practise(world), quickstudy.practise(model, env) or "
            "model.adapt(episodes)."
        )

    def needs_choices(self, where: str) -> None:
        """Refuses worlds whose actions are vectors."""
        if self.world.n_actions is None:
            raise UserError(
                f"{where}: needs a number of actions to choose from; received a world whose "
                f"actions are vectors of {self.world.n_out}; take act, or choose."
            )

    @property
    def example(self) -> str:
        """Such as an observation looks like in JSON."""
        numbers = 0.1 * np.arange(1, 1 + int(np.prod(self.x_shape))).reshape(self.x_shape)
        return f"'{numbers.round(1).tolist()}'"

    @property
    def like(self) -> Tensor:
        """A tensor of the type and on the device that the learner computes with."""
        return self._like
