"""Deliberately wrong policies: each must turn exactly one check of control red."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from quickstudy.learners import PolicyMAML
from quickstudy.learners.policy import Policy, PolicyState
from quickstudy.play import Practice
from quickstudy.play.surrogate import ratio
from quickstudy.task import Rollouts, Task

# Methods that are final are overridden here all the same: that is what must be seen.
# mypy: disable-error-code="misc"


class Honest(PolicyMAML):
    """Keeps every promise, and each saboteur breaks one."""


# check_practising


class KeepsTheGraphOfItsEpisodes(Honest):
    def practise(self, task: Task) -> Task:
        with torch.enable_grad():
            practised = super().practise(task)
            gain = 1 + 0 * self.meta_parameters()["net.0.weight"].sum()
            support: Any = practised.support
            return practised._replace(support=support._replace(reward=support.reward * gain))


class CountsItsPractices(Honest):
    n_practices = 0

    def practise(self, task: Task) -> Task:
        self.n_practices += 1
        return super().practise(task)


class DrawsItsOwnLuck(Honest):
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rng = torch.Generator().manual_seed(0)

    def play(self, state: PolicyState, practice: Practice) -> Rollouts:
        played = super().play(state, practice)
        noise = torch.randn((), generator=self.rng, dtype=played.reward.dtype)
        return played._replace(reward=played.reward + 1e-13 * noise)


# check_behaviour


class RecordsAnotherProbability(Honest):
    def play(self, state: PolicyState, practice: Practice) -> Rollouts:
        played = super().play(state, practice)
        return played._replace(log_probability=played.log_probability.clamp(min=-1.0))


class PlaysAllRoundsBeforeItAdapts(Honest):
    def practise(self, task: Task) -> Task:
        support: Any = task.support
        with torch.no_grad():
            rounds = [self.play(self.begin(), support.round(k)) for k in range(support.n_rounds)]
        played: Any = Rollouts(*(torch.cat(each) for each in zip(*rounds, strict=True)))
        return Task(played, super().practise(task).query)


# check_mapping


class BranchesOnRewards(Honest):
    def update(self, state: PolicyState, played: Rollouts) -> PolicyState:
        return super().update(state, played) if float(played.reward.abs().sum()) >= 0 else state


# check_early_ends


class CountsStepsAfterTheEnd(Honest):
    def surrogate(self, state: PolicyState, played: Rollouts, advantage: Tensor) -> Tensor:
        log_probability = self.log_probability(state, played)
        everywhere = torch.ones_like(played.weight)
        return ratio(log_probability, played.log_probability, advantage, everywhere)


# check_episode_order


class TrustsLaterEpisodesMore(Honest):
    def surrogate(self, state: PolicyState, played: Rollouts, advantage: Tensor) -> Tensor:
        trust = 1 + 0.01 * torch.arange(len(advantage)).to(advantage) / len(advantage)
        return super().surrogate(state, played, advantage * trust[:, None])


# check_time_limits


class _Ended(Honest):
    ended: float

    def update(self, state: PolicyState, played: Rollouts) -> PolicyState:
        return super().update(state, self._as_if(played))

    def task_loss(self, task: Task) -> Tensor:
        return super().task_loss(Task(*(self._as_if(cast(Rollouts, part)) for part in task)))

    def _as_if(self, played: Rollouts) -> Rollouts:
        return played._replace(terminated=torch.full_like(played.terminated, self.ended))


class TakesTimeLimitsForEnds(_Ended):
    ended = 1.0


class TakesEndsForTimeLimits(_Ended):
    ended = 0.0


# check_slope


class DetachesPartOfItsLoss(Honest):
    def task_loss(self, task: Task) -> Tensor:
        loss = super().task_loss(task)
        return loss + 0.1 * (loss - loss.detach())


# check_single_observations


class AnswersOneObservationOtherwise(Honest):
    def predict(self, state: PolicyState, x: Tensor) -> Tensor:
        return super().predict(state, x) + (len(x) == 1)


class DropsTheAxisOfOneObservation(Honest):
    def predict(self, state: PolicyState, x: Tensor) -> Tensor:
        return super().predict(state, x).squeeze(0)


# check_stored_policy


class KeepsANumberOutOfItsFile(Honest):
    def __init__(self, net: nn.Module, *args: Any, **options: Any) -> None:
        super().__init__(net, *args, **options)
        self.register_buffer("gain", torch.tensor(2.0), persistent=False)

    def predict(self, state: PolicyState, x: Tensor) -> Tensor:
        return super().predict(state, x) * self.gain


# check_no_rounds


class AdaptsToNothing(Honest):
    def adapt(self, support: Any) -> PolicyState:
        state = super().adapt(support)
        if len(support.reward):
            return state
        return PolicyState({name: p + 1 for name, p in state.parameters.items()})


# check_second_derivative


class DifferentiatesLogProbabilityTimesAdvantage(Honest):
    def surrogate(self, state: PolicyState, played: Rollouts, advantage: Tensor) -> Tensor:
        gain = self.log_probability(state, played) * advantage * played.weight
        return gain.sum() / played.weight.sum()


class ClimbsDown(Honest):
    def surrogate(self, state: PolicyState, played: Rollouts, advantage: Tensor) -> Tensor:
        return -super().surrogate(state, played, advantage)


SABOTEURS: dict[str, list[Callable[..., Policy]]] = {
    "check_practising": [KeepsTheGraphOfItsEpisodes, CountsItsPractices, DrawsItsOwnLuck],
    "check_behaviour": [RecordsAnotherProbability, PlaysAllRoundsBeforeItAdapts],
    "check_mapping": [BranchesOnRewards],
    "check_early_ends": [CountsStepsAfterTheEnd],
    "check_episode_order": [TrustsLaterEpisodesMore],
    "check_time_limits": [TakesTimeLimitsForEnds, TakesEndsForTimeLimits],
    "check_slope": [DetachesPartOfItsLoss],
    "check_single_observations": [AnswersOneObservationOtherwise, DropsTheAxisOfOneObservation],
    "check_stored_policy": [KeepsANumberOutOfItsFile],
    "check_no_rounds": [AdaptsToNothing],
    "check_second_derivative": [DifferentiatesLogProbabilityTimesAdvantage, ClimbsDown],
}
