"""A policy in a user's hands: what a meta-trained policy becomes by a few episodes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._pytree import tree_map

from quickstudy.errors import UserError
from quickstudy.explain.policy import PolicyExplanation, explain_policy
from quickstudy.files.rundir import save_tensors, tensors_to_bytes
from quickstudy.inputs.episodes import hidden_notes, read_rounds
from quickstudy.learner import flatten_state, locked
from quickstudy.models.policy_files import written
from quickstudy.play.surrogate import kl_to_behaviour
from quickstudy.play.world import uniform
from quickstudy.task import Rollouts

if TYPE_CHECKING:
    from quickstudy.models.policy_model import PolicyModel

Seed = int | np.random.Generator | None
Floats = NDArray[np.float64]
MOST_APART: Final = 1.0
"""The largest divergence, in nats a step, of a policy from the one that played what it learns from.

In `point-goal`, 20 episodes of 30 steps that another policy played give an update whose cosine with
that of 1000 episodes of its own is 0.98 below 0.03 nats (as with 20 of its own), 0.94 from 0.5 to
1, 0.65 from 1 to 2, and none beyond; the effective sample size falls to a tenth at 1 to 2.
"""


class Act(NamedTuple):
    """An action, or the actions of several observations.

    Attributes:
        action: The number of an action, or its numbers `(action_size,)`; of several observations an
            array with a row for each. As drawn: a world or environment with bounds clips it.
        log_probability: The logarithm of its probability, or of its density.

    Example:
        >>> policy = policies.begin()
        >>> policy.choose([0.1, 0.2], seed=0).action.shape
        (2,)
    """

    action: Any
    log_probability: Any


class AdaptedPolicy:
    """A policy adapted to one world. It does not change: `update` makes a new one.

    Attributes:
        rounds: The episodes that it learned from, a round for each update.
        state: What the learner made of them.
        trials: Where it was practised, the returns `(episodes,)` of the same number of episodes
            after 0, 1, ... updates; else those of its rounds.
        world: The hidden numbers of the world it was practised in, by name; None where they are
            not known.

    Example:
        >>> policy = policies.practise(world={"goal": [0.3, -0.2]}, episodes=5)
        >>> policy.act([0.1, 0.2], seed=0).shape
        (2,)
        >>> policy.save("corner.task")
    """

    def __init__(
        self,
        model: PolicyModel,
        rounds: Sequence[Rollouts] = (),
        state: Any = None,
        trials: Sequence[Tensor] | None = None,
        world: dict[str, Any] | None = None,
    ) -> None:
        self.model, self.rounds, self.world = model, tuple(rounds), world
        learner = model.learner
        if state is None:
            with torch.no_grad(), locked(learner):
                state = reduce(learner.update, self.rounds, learner.begin())
        self.state = tree_map(lambda t: t.clone(memory_format=torch.contiguous_format), state)
        returns = trials if trials is not None else [each.returns for each in self.rounds]
        self.trials: list[Floats] = [each.double().cpu().numpy() for each in returns]

    def __repr__(self) -> str:
        n = sum(len(each.reward) for each in self.rounds)
        name = type(self.model.learner).__name__
        return f"AdaptedPolicy({name}, {n} episodes in {len(self.rounds)} updates)"

    @property
    def before(self) -> Floats | None:
        """The returns before the first update; None where nothing was played."""
        return self.trials[0] if self.trials else None

    @property
    def after(self) -> Floats | None:
        """The returns after the last update; None where nothing was played since."""
        return self.trials[-1] if len(self.trials) > len(self.rounds) else None

    @property
    def notes(self) -> list[str]:
        """Notes on its world: hidden numbers that the family never draws."""
        return [] if self.world is None else hidden_notes(self.model.world, self.world)

    def choose(self, observation: Any, seed: Seed = None, greedy: bool = False) -> Act:
        """An action for one observation, or for several, with its log-probability.

        Actions are drawn, as they were in meta-training, and as exploration needs. Keep the
        log-probabilities of actions that the policy is to learn from.

        Args:
            observation: One, or several in rows.
            seed: A generator that gives the random numbers, call after call; a number, with which
                every call draws the same; or numbers of the operating system where omitted.
            greedy: Whether to take the most probable action, or the mean, rather than draw.

        Raises:
            UserError: Observations have another shape, or are not finite.
        """
        learner, world = self.model.learner, self.model.world
        parameters, single = self._parameters(observation)
        family = learner.actions
        if greedy:
            action = parameters[:, : family.size]
            if world.action_size is None:
                best = action.argmax(dim=1, keepdim=True)
                action = torch.zeros_like(action).scatter(1, best, 1.0)
        else:
            size = len(parameters), world.n_action_numbers
            luck = uniform(np.random.default_rng(seed), size).to(parameters)
            action = family.draw(parameters, luck).action
        chosen = action if world.action_size is not None else action.argmax(dim=1)
        answer = chosen.cpu().numpy(), family.log_probability(parameters, action).cpu().numpy()
        if not single:
            return Act(*answer)
        one = answer[0][0]
        return Act(one if world.action_size is not None else int(one), float(answer[1][0]))

    def act(self, observation: Any, seed: Seed = None, greedy: bool = False) -> Any:
        """The action of `choose` alone."""
        return self.choose(observation, seed, greedy).action

    def probabilities(self, observation: Any) -> Floats:
        """The probability of each action, of one observation `(n_actions,)` or in rows.

        Raises:
            UserError: Actions are vectors, which have densities; or as in `choose`.
        """
        self.model.needs_choices("probabilities")
        parameters, single = self._parameters(observation)
        shares: Floats = parameters.double().softmax(dim=1).cpu().numpy()
        return shares[0] if single else shares

    def update(self, episodes: Any) -> AdaptedPolicy:
        """A new policy, after one more update for each round of these episodes.

        Args:
            episodes: As in `PolicyModel.adapt`, of which this policy played the first round.

        Raises:
            UserError: As in `PolicyModel.adapt`; or the policy before an update is so far from the
                one that played its round that nothing can be learned from it.
        """
        more = read_rounds(episodes, self.model.world, self.model.like)
        learner, state = self.model.learner, self.state
        with torch.no_grad(), locked(learner):
            for k, played in enumerate(more):
                log_probability = learner.log_probability(state, played)
                behaviour, weight = played.log_probability, played.weight
                apart = float(kl_to_behaviour(log_probability, behaviour, weight))
                if not apart <= MOST_APART:
                    raise _far(k, apart)
                state = learner.update(state, played)
        if not all(t.isfinite().all() for t in flatten_state(state).values()):
            raise UserError(
                "episodes: what is learned from them must be finite; received rewards of up to "
                f"{max(float(each.reward.abs().amax()) for each in more):.3g} that overflow the "
                "policy; scale them as in meta-training."
            )
        return AdaptedPolicy(self.model, [*self.rounds, *more], state, world=self.world)

    def explain(self) -> PolicyExplanation:
        """Which episodes moved the policy, and how its actions changed.

        Raises:
            UserError: It learned from no episode.
        """
        learner = self.model.learner
        with locked(learner):
            return explain_policy(learner, self.rounds)

    def save(self, path: str | os.PathLike[str], model: bool = True) -> None:
        """Writes the policy, and the episodes that it learned from, to one file.

        The file is of safetensors with a JSON header; `quickstudy.load_policy` reads it, and
        reading it runs no code.

        Args:
            path: The file.
            model: Whether the meta-trained weights are in it. A file without is small, and
                `load_policy` needs the model beside it.
        """
        save_tensors(Path(path), *written(self, model))

    def to_bytes(self, model: bool = True) -> bytes:
        """The bytes that `save` writes."""
        return tensors_to_bytes(*written(self, model))

    def _parameters(self, observation: Any) -> tuple[Tensor, bool]:
        """The parameters of the distribution of actions, and whether it is of one observation."""
        x, single, _ = self.model.inputs(observation)
        with torch.no_grad(), locked(self.model.learner):
            return self.model.learner.predict(self.state, x), single


def _far(k: int, apart: float) -> UserError:
    """The error for a round that another policy played."""
    return UserError(
        f"episodes: round {k} must be played by the policy that learns from it, or by one within "
        f"{MOST_APART:g} nat a step of it; received actions whose log_probability is of a policy "
        f"{apart:.3g} nats away; play it with choose of this policy, and keep actions as drawn."
    )
