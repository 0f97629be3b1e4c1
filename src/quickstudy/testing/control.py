"""The conformance suite of control: what every policy is held to, beside `quickstudy.testing`.

`check_policy` runs all checks on float64 copies of a policy, in train mode and in eval mode. Each
check is a function of its own, `check(make, world, seed)`, and raises an AssertionError that says
what was wrong and in which mode, what was received, and what to do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from quickstudy.batching.batch import map_tasks, meta_gradient
from quickstudy.learner import flatten_state
from quickstudy.learners.policy import Policy
from quickstudy.play.world import Noise, Practice, World
from quickstudy.task import Rollouts, Task, stack, to_like
from quickstudy.testing import check_meta_gradient
from quickstudy.testing.second_derivative import check_second_derivative
from quickstudy.testing.trees import (
    clone,
    contents,
    contiguous,
    equal,
    expect_close,
    modes,
    reloaded,
)

__all__ = [
    "POLICY_CHECKS",
    "check_behaviour",
    "check_early_ends",
    "check_episode_order",
    "check_mapping",
    "check_no_rounds",
    "check_policy",
    "check_practising",
    "check_second_derivative",
    "check_single_observations",
    "check_slope",
    "check_stored_policy",
    "check_time_limits",
]

Make = Callable[[World], Policy]
N_TASKS, N_ROUNDS, N_EPISODES, N_STEPS = 3, 2, 5, 6


def check_policy(make: Make, world: World, seed: int = 0) -> None:
    """Runs every check of `POLICY_CHECKS` on a policy.

    Args:
        make: Makes the policy for a world, always with the same parameters for the same world: for
            this one, and for one that has two actions and observations of four numbers.
        world: What it is checked in, for six steps at most; two are needed.
        seed: Seed of the worlds that are drawn and of all random numbers in them.

    Raises:
        AssertionError: The policy breaks the contract.

    Example:
        >>> def make(world):
        ...     torch.manual_seed(0)
        ...     net = torch.nn.Linear(*world.observation_shape, world.n_out)
        ...     return qs.learners.PolicyMAML(net, world)
        >>> check_policy(make, qs.catalog.world({"name": "bandit", "horizon": 4}))
    """
    for check in POLICY_CHECKS:
        check(make, world, seed)


def check_practising(make: Make, world: World, seed: int) -> None:
    """Practising and adapting twice give the same bits, change nothing and keep no graph."""
    for mode, policy, practices in _cases(make, world, seed):
        where = f"check_practising ({mode} mode)"
        advice = (
            "draw nothing but what the numbers of the practice say, return what was learned in the "
            "state, and keep nothing on self."
        )
        before, task = contents(policy), practices[0]
        untouched = pytree.tree_map(clone, task)
        first = policy.practise(task)
        leaves = [leaf for leaf in pytree.tree_leaves(first) if leaf.requires_grad]
        if leaves:
            raise AssertionError(
                f"{where}: what was played is part of a graph; received {len(leaves)} tensors that "
                "require a gradient; play under torch.no_grad()."
            )
        as_played = pytree.tree_map(clone, first)
        again = policy.practise(task)
        state = pytree.tree_map(clone, policy.adapt(first.support))
        for name, actual, expected in (
            ("practising again gave other episodes", again, first),
            ("practising changed the practice", task, untouched),
            ("adapting again gave another state", policy.adapt(first.support), state),
            ("adapting changed the episodes", first, as_played),
        ):
            expect_close(actual, expected, f"{where}: {name}", advice, tolerance=0)
        after = contents(policy)
        changed = {k for k in before.keys() & after if not equal(before[k], after[k])}
        changed |= before.keys() ^ after.keys()
        if changed:
            raise AssertionError(
                f"{where}: practising or adapting changed the policy; received a change of "
                f"{', '.join(sorted(changed)[:5])}; {advice}"
            )


def check_behaviour(make: Make, world: World, seed: int) -> None:
    """Each round was played by the policy that adapted to those before it, and says so.

    The log-probabilities that were recorded are those of `adapt` of the earlier rounds; those of
    the query, of all rounds.
    """
    for mode, policy, practices in _cases(make, world, seed):
        for task in practices:
            support, query = _played(policy, task)
            rounds = [*(support.round(k) for k in range(N_ROUNDS)), query.round(0)]
            for k, episodes in enumerate(rounds):
                earlier = Rollouts(*(each[:k] for each in support))
                state = policy.adapt(earlier) if k else policy.begin()
                name = "the query" if k == N_ROUNDS else f"round {k}"
                expect_close(
                    policy.log_probability(state, episodes) * episodes.weight,
                    episodes.log_probability * episodes.weight,
                    f"check_behaviour ({mode} mode): {name} was not played by the policy that has "
                    "adapted to the rounds before it",
                    "practise by the same begin and update as adapt, and record the "
                    "log-probability of the action that was drawn, before the world clips it.",
                )


def check_mapping(make: Make, world: World, seed: int) -> None:
    """vmap and a loop agree on what is played, on losses and on meta-gradients."""
    for mode, policy, practices in _cases(make, world, seed):

        def answers(
            way: Literal["loop", "vmap"], policy: Policy = policy, tasks: list[Task] = practices
        ) -> dict[str, Any]:
            batch = stack(tasks)
            with torch.no_grad():
                played = map_tasks(policy.practise, batch, way)
                outcomes = map_tasks(policy.respond, batch, way)
            outer = meta_gradient(policy, played, way)
            return {
                "episodes": played,
                "outcomes": outcomes.nan_to_num(),
                "losses": outer.losses,
                "meta-gradients": outer.gradients,
            }

        where = f"check_mapping ({mode} mode): {{}} under vmap"
        advice = "write for one world without branching on values or .item()."
        looped = answers("loop")
        try:
            mapped = answers("vmap")
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:
            what = where.format("the policy cannot run")
            raise AssertionError(f"{what}; received {error!r}; {advice}") from error
        for name, value in looped.items():
            what = where.format(f"the {name} differ from the loop's")
            expect_close(mapped[name], value, what, advice)


def check_early_ends(make: Make, world: World, seed: int) -> None:
    """Steps after the end of an episode change nothing, whatever stands in them."""
    for mode, policy, practices in _cases(make, world, seed):
        task = _ended(_played(policy, practices[0]))
        longer = Task(*cast(Any, (_padded(cast(Any, part)) for part in task)))
        for name, answer in _learned(policy, task).items():
            expect_close(
                _learned(policy, longer)[name],
                answer,
                f"check_early_ends ({mode} mode): steps after the end of an episode change the "
                f"{name}",
                "weigh every sum over steps by their weight.",
            )


def check_episode_order(make: Make, world: World, seed: int) -> None:
    """The order of the episodes of a round does not matter."""
    for mode, policy, practices in _cases(make, world, seed):
        task = _ended(_played(policy, practices[0]))
        flipped = Task(*cast(Any, (Rollouts(*(t.flip(1) for t in part)) for part in task)))
        for name, answer in _learned(policy, task).items():
            expect_close(
                _learned(policy, flipped)[name],
                answer,
                f"check_episode_order ({mode} mode): reversing the episodes of each round changes "
                f"the {name}",
                "use sums and means over the episodes of a round.",
            )


def check_time_limits(make: Make, world: World, seed: int) -> None:
    """The future after the last step counts where time ended an episode, and nowhere else."""
    for mode, policy, practices in _cases(make, world, seed):
        task = _ended(_played(policy, practices[0]))

        def learned(ended: float, shift: float, policy: Policy = policy, task: Any = task) -> Any:
            parts = (
                part._replace(
                    terminated=torch.full_like(part.terminated, ended), final=part.final + shift
                )
                for part in task
            )
            return _learned(policy, Task(*parts))

        where = f"check_time_limits ({mode} mode)"
        advice = (
            "add the value of Rollouts.final, times 1 - Rollouts.terminated, after the last step, "
            "as quickstudy.play.advantages does."
        )
        what = f"{where}: the observation after an end that the world made has a value"
        expect_close(learned(1.0, 1.0), learned(1.0, 0.0), what, advice)
        try:
            expect_close(learned(0.0, 1.0), learned(0.0, 0.0), "", "")
        except AssertionError:
            continue
        raise AssertionError(
            f"{where}: the observation at which time cut an episode off has no value; received the "
            f"same state and meta-gradient for another; {advice}"
        )


def check_slope(make: Make, world: World, seed: int) -> None:
    """The meta-gradient of what was played equals central differences, as `check_meta_gradient`."""
    for mode, policy, practices in _cases(make, world, seed):
        if mode == "train":
            check_meta_gradient(policy, [_played(policy, task) for task in practices])


def check_single_observations(make: Make, world: World, seed: int) -> None:
    """One observation at a time is answered as all at once, with the parameters of one action."""
    for mode, policy, practices in _cases(make, world, seed):
        task = _played(policy, practices[0])
        state = policy.adapt(task.support)
        seen = _observations(task)
        answers = [policy.predict(state, part) for part in (seen, *seen[:, None])]
        where = f"check_single_observations ({mode} mode)"
        for part, answer in zip((seen, *seen[:, None]), answers, strict=True):
            shape = (len(part), policy.actions.n_parameters)
            if tuple(answer.shape) != shape:
                raise AssertionError(
                    f"{where}: predict must give the parameters of the distribution of actions, a "
                    f"row for each observation; received {tuple(answer.shape)} for {shape}; return "
                    "logits, or means followed by logarithms of standard deviations."
                )
        expect_close(
            torch.cat(answers[1:]),
            answers[0],
            f"{where}: the observations asked with it change the answer to an observation",
            "take no statistics over observations.",
        )


def check_stored_policy(make: Make, world: World, seed: int) -> None:
    """State and policy, written as safetensors and read again, predict the same bit for bit."""
    for mode, policy, practices in _cases(make, world, seed):
        task = _played(policy, practices[0])
        seen = _observations(task)
        state = pytree.tree_map(contiguous, policy.adapt(task.support))
        fresh = copy.deepcopy(policy)
        with torch.no_grad():
            for value in (*fresh.parameters(), *fresh.buffers()):
                value.zero_()
        fresh.load_state_dict(reloaded(policy.state_dict()))
        tensors = flatten_state(state)
        for name, reader in (("state", policy), ("policy", fresh)):
            expect_close(
                reader.predict(reader.state_from(reloaded(tensors)), seen),
                policy.predict(state, seen),
                f"check_stored_policy ({mode} mode): a {name} that was saved and loaded predicts "
                "otherwise",
                "keep what predict needs in the state, parameters and persistent buffers.",
                tolerance=0,
            )


def check_no_rounds(make: Make, world: World, seed: int) -> None:
    """Adapting to no round of episodes is `begin`."""
    for mode, policy, practices in _cases(make, world, seed):
        support, _ = _played(policy, practices[0])
        expect_close(
            policy.adapt(Rollouts(*(each[:0] for each in support))),
            policy.begin(),
            f"check_no_rounds ({mode} mode): adapting to no episodes is not the policy before any",
            "start adapt from begin.",
            tolerance=0,
        )


Check = Callable[[Make, World, int], None]
POLICY_CHECKS: tuple[Check, ...] = (
    check_practising,
    check_behaviour,
    check_mapping,
    check_early_ends,
    check_episode_order,
    check_time_limits,
    check_slope,
    check_single_observations,
    check_stored_policy,
    check_no_rounds,
    check_second_derivative,
)


class _Case(NamedTuple):
    mode: str
    policy: Policy
    practices: list[Task]


def _cases(make: Make, world: World, seed: int) -> Iterator[_Case]:
    """The policy in each mode, and tasks to practise in float64."""
    practices = []
    for index in range(N_TASKS):
        rng = np.random.default_rng((seed, index))
        hidden = world.draw(rng)
        rounds = [_short(world.noise(rng, N_EPISODES)) for _ in range(N_ROUNDS + 1)]
        support = Noise(*(torch.cat(each) for each in zip(*rounds[:-1], strict=True)))
        task = Task(*cast(Any, (Practice(hidden, support), Practice(hidden, rounds[-1]))))
        practices.append(to_like(task, torch.zeros((), dtype=torch.float64)))
    for mode, policy in modes(make(world), practices):
        yield _Case(mode, cast(Policy, policy), practices)


def _short(noise: Noise) -> Noise:
    return Noise(noise.initial, noise.action[:, :, :N_STEPS], noise.transition[:, :, :N_STEPS])


def _played(policy: Policy, task: Task) -> Any:
    with torch.no_grad():
        return policy.practise(task)


def _learned(policy: Policy, task: Task) -> dict[str, Any]:
    outer = meta_gradient(policy, stack([task]), "loop")
    return {"state": policy.adapt(task.support), "meta-gradient": outer.gradients}


def _ended(task: Task) -> Any:
    """The task with episodes that end after different numbers of steps, by their world or time."""
    return Task(*cast(Any, (_cut(cast(Any, part)) for part in task)))


def _cut(played: Rollouts) -> Rollouts:
    steps = played.weight.shape[2]
    episode = torch.arange(played.weight.shape[1])
    length = 1 + (episode + 1) % steps
    weight = played.weight * (torch.arange(steps) < length[:, None])
    shorter = weight.sum(dim=2) < played.weight.sum(dim=2)
    last = played.observation[:, episode, length.clamp(max=steps - 1)]
    keep = shorter.view(*shorter.shape, *(1,) * (last.ndim - 2))
    return played._replace(
        weight=weight,
        final=torch.where(keep, last, played.final),
        terminated=torch.where(shorter, (episode % 2).to(weight), played.terminated),
    )


def _padded(played: Rollouts) -> Rollouts:
    """Rollouts with two more steps, and arbitrary numbers wherever there is only padding."""
    weight = torch.nn.functional.pad(played.weight, [0, 2])
    rng = torch.Generator().manual_seed(1)

    def longer(values: Tensor) -> Tensor:
        shape = (*values.shape[:2], values.shape[2] + 2, *values.shape[3:])
        wide = torch.randn(shape, generator=rng, dtype=values.dtype)
        lived = weight.view(*weight.shape, *(1,) * (wide.ndim - 3)) > 0
        first = torch.nn.functional.pad(values, [*[0, 0] * (values.ndim - 3), 0, 2])
        return torch.where(lived, first, wide)

    observation, action, log_probability, reward = (longer(each) for each in played[:4])
    return Rollouts(
        observation, action, log_probability, reward, weight, played.final, played.terminated
    )


def _observations(task: Any) -> Tensor:
    """A few that were seen, `(observations, *observation)`."""
    return contiguous(task.query.observation[0, :, 0:2].flatten(0, 1))
