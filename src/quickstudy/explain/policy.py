"""Which episodes moved a policy, and how its actions changed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import grad

from quickstudy.errors import UserError
from quickstudy.inner.descent import Parameters
from quickstudy.learners.policy import Policy, PolicyState
from quickstudy.play.actions import Actions
from quickstudy.play.advantages import advantages
from quickstudy.task import Rollouts

__all__ = ["ActionChange", "EpisodePart", "PolicyExplanation", "explain_policy"]

N_OBSERVATIONS = 5
"""Observations at which the actions of a policy are shown."""


class EpisodePart(NamedTuple):
    """An episode and its part in the update that learned from it.

    Attributes:
        update: The update, from 1.
        episode: Its number in the round, from 0.
        steps: How many it had.
        value: Its return.
        share: Its part of the update's change of the parameters, along that change; the shares of
            an update sum to 1. Below 0 it pulled the other way.
        without: How far the adapted policy is from one that never saw it: the mean KL divergence
            over the observations that were visited, in nats.

    Example:
        >>> EpisodePart(1, 0, steps=10, value=-4.2, share=0.3, without=0.01).share
        0.3
    """

    update: int
    episode: int
    steps: int
    value: float
    share: float
    without: float


class ActionChange(NamedTuple):
    """The distribution of actions at an observation, before and after adapting.

    Attributes:
        observation: One that was visited.
        before, after: The probability of each action; or means, then standard deviations.

    Example:
        >>> ActionChange([1.0], before=[0.5, 0.5], after=[0.9, 0.1]).after[0]
        0.9
    """

    observation: list[Any]
    before: list[float]
    after: list[float]


class PolicyExplanation(NamedTuple):
    """The change of a policy by the episodes it learned from.

    Attributes:
        episodes: The part of each episode, update by update.
        changes: The actions before and after, at observations that were visited: the first one,
            then those farthest from the ones before.
        moved: How far the policy went: the mean KL divergence of the adapted policy from that
            before, over the observations that were visited, in nats.

    Example:
        >>> why = policies.practise(world={"goal": [0.3, -0.2]}, episodes=3).explain()
        >>> abs(sum(part.share for part in why.episodes) - 1) < 1e-4
        True
    """

    episodes: list[EpisodePart]
    changes: list[ActionChange]
    moved: float

    @property
    def strongest(self) -> list[EpisodePart]:
        """The episodes, those first that moved the policy most, either way."""
        return sorted(self.episodes, key=lambda part: -abs(part.share))

    def to_json(self) -> dict[str, Any]:
        """The same in plain JSON."""
        return {
            "episodes": [part._asdict() for part in self.episodes],
            "changes": [change._asdict() for change in self.changes],
            "moved": self.moved,
        }


@torch.no_grad()
def explain_policy(learner: Policy, rounds: Sequence[Rollouts]) -> PolicyExplanation:
    """Takes the updates of a policy apart.

        phi_{k+1} - phi_k = sum over episodes e of  d_e,   d_e = inner_lr * grad J_e(phi_k)
        share of e = <d_e, phi_{k+1} - phi_k> / |phi_{k+1} - phi_k|^2

    J_e is the surrogate with the advantages of all other episodes set to 0.

    Args:
        learner: In eval mode.
        rounds: The episodes it learned from, without the axis of rounds.

    Raises:
        UserError: There is none, or the learner's update is not a step along the surrogate.
    """
    if not rounds:
        raise UserError(
            "explain: needs a policy that learned from episodes; received one before any; adapt "
            "it first."
        )
    states = [learner.begin()]
    for played in rounds:
        states.append(learner.update(states[-1], played))
    visited = torch.cat([each.observation[each.weight > 0] for each in rounds])
    before, after = (learner.predict(state, visited) for state in (states[0], states[-1]))
    parts = []
    for k, played in enumerate(rounds):
        shares = _shares(learner, states[k], states[k + 1], played)
        for e, share in enumerate(shares):
            fewer = [_without(played, e), *rounds[k + 1 :]]
            other = learner.predict(reduce(learner.update, fewer, states[k]), visited)
            parts.append(
                EpisodePart(
                    update=k + 1,
                    episode=e,
                    steps=int(played.weight[e].sum()),
                    value=float(played.returns[e]),
                    share=share,
                    without=float(learner.actions.kl(after, other).mean()),
                )
            )
    places = _apart(visited.flatten(1))
    changes = [
        ActionChange(visited[i].tolist(), *(_shown(learner.actions, p[i]) for p in (before, after)))
        for i in places
    ]
    return PolicyExplanation(parts, changes, float(learner.actions.kl(after, before).mean()))


def _shares(
    learner: Policy, state: PolicyState, after: PolicyState, played: Rollouts
) -> list[float]:
    """The part of each episode in the change of the parameters by one update."""
    names = [*state.parameters]
    change = _flat({name: after.parameters[name] - state.parameters[name] for name in names}, names)
    size = change.square().sum()
    if not float(size):
        return [0.0] * len(played.reward)
    advantage = advantages(played, learner.discount, learner.smoothing)

    def of_episode(mask: Tensor) -> Tensor:
        def gain(phi: Parameters) -> Tensor:
            return learner.surrogate(PolicyState(phi), played, advantage * mask[:, None])

        return learner.inner_lr * _flat(grad(gain)(state.parameters), names)

    steps = [of_episode(mask) for mask in torch.eye(len(played.reward)).to(advantage)]
    if not torch.allclose(sum(steps, torch.zeros_like(change)), change, rtol=1e-2, atol=1e-5):
        raise UserError(
            f"explain: takes updates apart that are steps along the policy gradient; received a "
            f"{type(learner).__name__}, whose update is another; compare its actions before and "
            "after."
        )
    return [float(step @ change / size) for step in steps]


def _flat(parameters: Parameters, names: Sequence[str]) -> Tensor:
    return torch.cat([parameters[name].flatten() for name in names])


def _without(played: Rollouts, e: int) -> Rollouts:
    """The round as if an episode had no step."""
    weight = played.weight.clone()
    weight[e] = 0
    return played._replace(weight=weight)


def _apart(rows: Tensor) -> list[int]:
    """The places of a few rows, each as far as can be from the ones before."""
    places, distance = [0], torch.full((len(rows),), torch.inf).to(rows)
    while len(places) < N_OBSERVATIONS:
        distance = distance.minimum((rows - rows[places[-1]]).square().sum(dim=1))
        farthest = int(distance.argmax())
        if not float(distance[farthest]):
            break
        places.append(farthest)
    return places


def _shown(actions: Actions, parameters: Tensor) -> list[float]:
    """Probabilities; or means, then standard deviations."""
    if actions.n_parameters == actions.size:
        shown = parameters.softmax(dim=-1)
    else:
        mean, log_std = parameters.chunk(2)
        shown = torch.cat([mean, log_std.exp()])
    numbers: list[float] = shown.tolist()
    return numbers
