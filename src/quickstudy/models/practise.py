"""Practice in an environment of the user's own, with the interface of Gymnasium."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import numpy as np

from quickstudy.errors import UserError, at_least
from quickstudy.inputs.episodes import read_rounds
from quickstudy.models.policy import AdaptedPolicy
from quickstudy.models.policy_model import PolicyModel
from quickstudy.tasks.source import generator

__all__ = ["practise"]

MOST_STEPS: Final = 10_000
"""Steps within which an episode must end, where nobody says after how many it is cut off."""
LARGEST_SEED: Final = 2**31
Episode = dict[str, Any]


def practise(
    model: PolicyModel,
    env: Any,
    episodes: int = 5,
    updates: int = 1,
    max_steps: int | None = None,
    seed: int = 0,
) -> AdaptedPolicy:
    """Plays in an environment, adapts, and plays again: the policy for it.

    `before` and `after` of the policy are the returns of as many episodes before the first update
    and after the last one, which begin by the same seeds; the latter are not learned from. Numbers
    of an action beyond the bounds of a Box are clipped for the environment alone.

    Args:
        model: A meta-trained policy for observations and actions of the same shape.
        env: An environment of Gymnasium, or the id of one, which needs the extra `gym`.
        episodes: Episodes of each round.
        updates: Number of updates, each after a round.
        max_steps: Steps after which an episode is cut off; those of the environment where omitted.
        seed: Seed of the environment's resets, and of the actions.

    Raises:
        UserError: The spaces are not those of the model, an episode does not end, an observation or
            reward is not finite, or a number is out of its range.
    """
    at_least("practise", 1, episodes=episodes, max_steps=max_steps)
    at_least("practise", 0, updates=updates)
    env = _made(env) if isinstance(env, str) else env
    check_spaces(model, env)
    rounds, policy = [], model.begin()
    play = partial(_round, env, max_steps=max_steps, n=episodes, seed=seed)
    for k in range(updates):
        rounds.append(play(policy, number=k))
        policy = policy.update(rounds[-1])
    trial = play(policy, number=updates, like_round=0)
    (last,) = read_rounds(trial, model.world, model.like)
    returns = [each.returns for each in (*policy.rounds, last)]
    return AdaptedPolicy(model, policy.rounds, policy.state, returns)


def check_spaces(model: PolicyModel, env: Any) -> None:
    """Refuses an environment whose observations or actions are not those of the model.

    Raises:
        UserError: As it says.
    """
    world, where = model.world, "practise: the environment"
    if not all(hasattr(env, name) for name in ("reset", "step", "observation_space")):
        raise UserError(
            f"{where} must have reset, step, observation_space and action_space, as those of "
            f"Gymnasium; received {type(env).__name__}; pass one."
        )
    seen, acts = env.observation_space, env.action_space
    if "Box" not in _kinds(seen):
        raise UserError(
            f"{where} must show a Box of numbers; received observations of {_said(seen)}; wrap it "
            "with gymnasium.wrappers.FlattenObservation."
        )
    shape = tuple(seen.shape)
    if len(shape) > 1 and np.dtype(seen.dtype) == np.uint8:
        raise UserError(
            f"{where} must show numbers that a policy reads as they are; received pictures of "
            f"shape {shape}; show the state, or features of the pictures."
        )
    if shape != world.observation_shape:
        raise UserError(
            f"{where} must show observations of shape {world.observation_shape}, as those that "
            f"the policy was meta-trained on; received {shape}; meta-train on worlds like it."
        )
    wanted = f"one of {world.n_actions} actions"
    fits = "Discrete" in _kinds(acts) and int(acts.n) == world.n_actions
    if world.n_actions is None:
        wanted = f"a Box of {world.n_out} numbers"
        fits = "Box" in _kinds(acts) and int(np.prod(acts.shape)) == world.n_out
    if not fits:
        raise UserError(
            f"{where} must take {wanted}, as the worlds of the policy do; received actions of "
            f"{_said(acts)}; meta-train on worlds like it."
        )


def _round(
    env: Any,
    policy: AdaptedPolicy,
    number: int,
    max_steps: int | None,
    n: int,
    seed: int,
    like_round: int | None = None,
) -> list[Episode]:
    """One round of episodes; with the resets of another round where it is named."""
    resets = generator(seed, "practise/resets", number if like_round is None else like_round)
    starts = resets.integers(LARGEST_SEED, size=n).tolist()
    luck = generator(seed, "practise/actions", number)
    return [_play(env, policy, luck, start, max_steps) for start in starts]


def _play(
    env: Any, policy: AdaptedPolicy, luck: np.random.Generator, start: int, max_steps: int | None
) -> Episode:
    """One episode, as `read_rounds` takes it."""
    observation, _ = env.reset(seed=start)
    steps: dict[str, list[Any]] = {name: [] for name in ("action", "log_probability", "reward")}
    observations, terminated, truncated = [np.asarray(observation)], False, False
    while not (terminated or truncated):
        choice = policy.choose(observation, luck)
        taken = _in_space(env.action_space, choice.action)
        observation, reward, terminated, truncated, _ = env.step(taken)
        observations.append(np.asarray(observation))
        for name, value in (*choice._asdict().items(), ("reward", reward)):
            steps[name].append(value)
        n = len(steps["reward"])
        if not np.isfinite(float(reward)):
            raise UserError(
                f"practise: the environment must give finite rewards; received {reward} at step "
                f"{n}; correct the environment."
            )
        if max_steps is None and n >= MOST_STEPS:
            raise UserError(
                f"practise: an episode must end; received {n} steps without an end; say after how "
                "many it is cut off, such as max_steps=200."
            )
        truncated = truncated or n == max_steps
    return {"observation": observations, "terminated": bool(terminated), **steps}


def _in_space(space: Any, action: Any) -> Any:
    """An action as the environment takes it."""
    if "Discrete" in _kinds(space):
        return int(getattr(space, "start", 0)) + action
    return np.clip(action.reshape(space.shape), space.low, space.high).astype(space.dtype)


def _kinds(space: Any) -> Sequence[str]:
    """The names of the classes of a space: Gymnasium need not be here to look at its spaces."""
    return [each.__name__ for each in type(space).__mro__]


def _said(space: Any) -> str:
    return " ".join(str(space).split())[:80]


def _made(name: str) -> Any:
    """The environment of an id."""
    try:
        import gymnasium
    except ModuleNotFoundError as error:
        raise UserError(
            f"practise: an environment by its id needs Gymnasium; received {name!r} and no such "
            "package; install it with pip install 'quickstudy[gym]'."
        ) from error
    try:
        return gymnasium.make(name)
    except gymnasium.error.Error as error:
        raise UserError(
            f"practise: the environment must be one that Gymnasium has; received {name!r} "
            f"({error}); correct the id, or pass the environment itself."
        ) from error
