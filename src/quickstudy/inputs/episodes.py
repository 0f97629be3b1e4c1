"""Episodes and worlds as people hand them over: checked, and made tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.play.world import Hidden, World
from quickstudy.task import Rollouts

__all__ = ["hidden_notes", "hidden_numbers", "hidden_to_json", "numbers", "read_rounds"]

NEEDED = ("observation", "action", "reward", "log_probability")
FIELDS = (*NEEDED, "final", "terminated")


def read_rounds(episodes: Any, world: World, like: Tensor) -> list[Rollouts]:
    """Rounds of episodes, each without the axis of rounds, padded to its longest episode.

    Args:
        episodes: `Rollouts` with their axis of rounds; or one round as a list of episodes, each a
            mapping of `observation` (steps, *observation), `action` (steps,) numbers of actions or
            (steps, action_size), `reward` (steps,), `log_probability` (steps,) of each action
            under the policy that drew it, `terminated`, false where time ended the episode, and
            `final`, the observation after the last step, which may instead be one more row of
            `observation`.
        world: The functions of the world of the policy that is to learn from them.
        like: A tensor of the type and on the device that is wanted.

    Raises:
        UserError: A field is missing, of another shape or length, or not finite; an action is none
            of the world's; or an episode has no step.
    """
    if isinstance(episodes, Rollouts):
        rounds = _unpadded(episodes)
    else:
        listed = [episodes] if isinstance(episodes, Mapping) else episodes
        if not isinstance(listed, Sequence) or not all(isinstance(e, Mapping) for e in listed):
            raise UserError(
                "episodes: must be Rollouts, or a list of mappings with the fields "
                f"{', '.join(FIELDS)}; received {type(episodes).__name__}; see Model.adapt."
            )
        rounds = [list(listed)]
    if not rounds or not all(rounds):
        raise UserError(
            "episodes: a policy learns from at least one episode; received none; play some, or "
            "take model.begin(), the policy before any."
        )
    return [
        _padded([_episode(number, each, world) for number, each in enumerate(played)], like)
        for played in rounds
    ]


def hidden_numbers(world: World, values: Mapping[str, Any], like: Tensor) -> Hidden:
    """The hidden numbers of a world of this family.

    Args:
        world: The functions of the world.
        values: Each by its name, such as `{"goal": [0.3, -0.2]}`.
        like: A tensor of the type and on the device that is wanted.

    Raises:
        UserError: A name is unknown or missing, or numbers are not finite, not as many, or out of
            the range in which they have a meaning.
    """
    drawn = world.draw(np.random.default_rng(0))
    example = hidden_to_json(drawn)
    if not isinstance(values, Mapping) or values.keys() != example.keys():
        received = sorted(map(str, values)) if isinstance(values, Mapping) else values
        raise UserError(
            f"world: its hidden numbers are {', '.join(example)}; received {received!r:.80}; give "
            f"such as {example}."
        )
    parts, ranges = [], world.ranges()
    for name, wanted in zip(example, drawn, strict=True):
        numbered = torch.from_numpy(numbers(f"world: {name}", values[name]))
        part = numbered.to(like)
        if part.shape != wanted.shape or not part.isfinite().all():
            raise UserError(
                f"world: {name} must be finite numbers of shape {tuple(wanted.shape)}; received "
                f"{values[name]!r:.80}; give such as {example[name]}."
            )
        if name in ranges:
            least, most = ranges[name].least, ranges[name].most
            if not ((numbered >= least) & (numbered <= most)).all():
                raise UserError(
                    f"world: {name} must be from {least:g} to {most:g}; received "
                    f"{values[name]!r:.80}; give such as {example[name]}."
                )
        parts.append(part)
    return type(drawn)(*parts)


def hidden_notes(world: World, values: Mapping[str, Any]) -> list[str]:
    """Notes on hidden numbers that a family never draws.

    Args:
        world: The functions of the world.
        values: Each by its name, finite and in its shape.
    """
    return [
        f"{name} {values[name]} is none that the family draws, which is {its.rule}: nothing was "
        "meta-trained or measured there"
        for name, its in world.ranges().items()
        if not its.holds(torch.tensor(values[name], dtype=torch.float64))
    ]


def hidden_to_json(hidden: Hidden) -> dict[str, Any]:
    """Hidden numbers by name, plain JSON of six digits."""
    return {
        name: part.double().round(decimals=6).tolist() for name, part in hidden._asdict().items()
    }


def _unpadded(rollouts: Rollouts) -> list[list[Mapping[str, Any]]]:
    """The episodes of each round, without padding."""
    weight = rollouts.weight
    leading = {
        name: tuple(part.shape[: 2 if name in ("final", "terminated") else 3])
        for name, part in rollouts._asdict().items()
    }
    wanted = {name: tuple(weight.shape[: len(shape)]) for name, shape in leading.items()}
    if weight.ndim != 3 or leading != wanted:
        raise UserError(
            "episodes: the fields of Rollouts have the same rounds, episodes and steps; received "
            f"{leading}; pass as many of each."
        )
    lived = weight.cumprod(dim=-1)
    if not torch.equal(lived, weight) or not ((weight == 0) | (weight == 1)).all():
        raise UserError(
            "episodes: weight is 1 for the steps of an episode, then 0; received other numbers; "
            "pass such weights."
        )
    lengths = weight.sum(dim=-1).long().tolist()
    return [
        [
            {name: getattr(rollouts, name)[k, e, :length] for name in NEEDED}
            | {"final": rollouts.final[k, e], "terminated": rollouts.terminated[k, e]}
            for e, length in enumerate(each)
        ]
        for k, each in enumerate(lengths)
    ]


def _episode(number: int, episode: Mapping[str, Any], world: World) -> dict[str, Any]:
    """One episode as arrays that fit each other and the world."""
    where = f"episodes: episode {number}"
    missing = [name for name in NEEDED if name not in episode]
    if missing:
        hint = "give them"
        if missing == ["log_probability"]:
            hint = "keep what policy.choose gives beside each action"
        raise UserError(
            f"{where} needs {', '.join(missing)}; received {', '.join(map(str, episode))}; {hint}."
        )
    parts = {
        name: numbers(f"{where}: {name}", episode[name])
        for name in FIELDS
        if episode.get(name) is not None
    }
    n = parts["reward"].size
    if n == 0 or parts["reward"].shape != (n,):
        raise UserError(
            f"{where}: reward must be a number for each step, and there is at least one step; "
            f"received the shape {parts['reward'].shape}; leave out episodes of no step."
        )
    terminated = parts.get("terminated", np.zeros(())).reshape(-1)
    if terminated.size != 1 or terminated[0] not in (0, 1):
        raise UserError(
            f"{where}: terminated must be true where the world ended the episode, else false; "
            f"received {episode['terminated']!r:.60}; give one of these."
        )
    parts["terminated"] = terminated[0]
    observation = parts["observation"]
    if "final" not in parts and len(observation) == n + 1:
        parts["observation"], parts["final"] = observation[:-1], observation[-1]
    if "final" not in parts:
        if not terminated[0]:
            raise UserError(
                f"{where}: time ended it, so that the observation after its last step counts; "
                "received no final; give it, or say that the episode was terminated."
            )
        parts["final"] = np.zeros(world.observation_shape)
    parts["action"] = _actions(where, parts["action"], n, world)
    shapes = {
        "observation": (n, *world.observation_shape),
        "final": world.observation_shape,
        "log_probability": (n,),
    }
    for name, shape in shapes.items():
        if parts[name].shape != shape:
            raise UserError(
                f"{where} has {n} rewards, so that {name} must have the shape {shape}; received "
                f"{parts[name].shape}; give as many."
            )
    for name in (*NEEDED, "final"):
        if not np.isfinite(parts[name]).all():
            step = int(np.argwhere(~np.isfinite(parts[name]))[0][0]) if name != "final" else n
            raise UserError(
                f"{where}: {name} must be finite; received NaN or infinity at step {step}; leave "
                "the episode out, or correct it."
            )
    if world.n_actions is not None and (parts["log_probability"] > 1e-4).any():
        raise UserError(
            f"{where}: the logarithm of a probability is at most 0; received "
            f"{parts['log_probability'].max():.4g} in log_probability; give logarithms."
        )
    return parts


def _actions(where: str, action: NDArray[np.float64], n: int, world: World) -> Any:
    """The actions of an episode as the world takes them `(steps, n_out)`."""
    if world.n_actions is None:
        size = (n, world.n_out)
        if action.shape == (n,) and world.n_out == 1:
            action = action[:, None]
        if action.shape != size:
            raise UserError(
                f"{where}: action must have the shape {size}; received {action.shape}; give the "
                "numbers of each action as they were drawn."
            )
        return action
    if action.shape == (n, world.n_actions):
        hot = ((action == 0) | (action == 1)).all() and (action.sum(axis=1) == 1).all()
        if hot:
            return action
    elif action.shape == (n,) and np.isin(action, np.arange(world.n_actions)).all():
        return np.eye(world.n_actions)[action.astype(int)]
    raise UserError(
        f"{where}: each of the {n} actions must be one of 0 .. {world.n_actions - 1}; received "
        f"the shape {action.shape} and {np.unique(action)[:5].tolist()}; number actions from 0."
    )


def _padded(episodes: list[dict[str, Any]], like: Tensor) -> Rollouts:
    """Episodes side by side, padded to the longest."""
    longest = max(each["reward"].size for each in episodes)
    rows: dict[str, list[Tensor]] = {name: [] for name in Rollouts._fields}
    for each in episodes:
        for name in NEEDED:
            part = torch.from_numpy(np.ascontiguousarray(each[name])).to(like)
            ends = [0, 0] * (part.ndim - 1) + [0, longest - len(part)]
            rows[name].append(F.pad(part, ends))
        weight = torch.ones(each["reward"].size).to(like)
        rows["weight"].append(F.pad(weight, [0, longest - len(weight)]))
        for name in ("final", "terminated"):
            rows[name].append(torch.as_tensor(each[name]).to(like))
    return Rollouts(**{name: torch.stack(parts) for name, parts in rows.items()})


def numbers(where: str, values: Any) -> NDArray[np.float64]:
    """The numbers in an array, tensor or list, in double precision.

    Args:
        where: What they are, for the message.
        values: The array, tensor or list.

    Raises:
        UserError: They are no numbers, or lists of unequal lengths.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu().numpy()
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":  # such as text, which numpy would read as numbers
            raise TypeError(f"{array.dtype} is no number")
        return array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where} must be numbers; received {values!r:.60}; give a list or an array of them."
        ) from error
