"""`quickstudy act`: asks an adapted policy for its actions."""

from __future__ import annotations

import json as plain_json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from quickstudy.errors import UserError
from quickstudy.models.policy_model import PolicyModel
from quickstudy.models.saved import load_policy


def act(
    task: Path, observation: str | None = None, greedy: bool = False, seed: int | None = None
) -> int:
    """Say what an adapted policy does, as JSON: an action for each observation.

    Args:
        task: File that `quickstudy practise` wrote.
        observation: One as JSON, such as '[0.1, 0.2]'; where omitted, the lines of standard input,
            each answered at once.
        greedy: Whether to take the most probable action, or the mean, rather than draw one.
        seed: Seed of the actions that are drawn; another each time where omitted.
    """
    policy = load_policy(task)
    rng = np.random.default_rng(seed)
    for number, text in enumerate(_texts(observation), start=1):
        try:
            seen = plain_json.loads(text)
        except ValueError as error:
            raise UserError(
                f"act: observation {number} must be JSON; received {text!r:.80} ({error}); give "
                f"such as {policy.model.example}."
            ) from error
        numbers = _numbers(seen, number, policy.model)
        choice = policy.choose(numbers, rng, greedy)
        action = choice.action
        answer: dict[str, Any] = {
            "action": action if isinstance(action, int) else action.tolist(),
            "log_probability": choice.log_probability,
        }
        if policy.model.world.n_actions is not None:
            answer["probabilities"] = policy.probabilities(numbers).tolist()
        print(plain_json.dumps(answer), flush=True)
    return 0


def _texts(observation: str | None) -> Iterator[str]:
    """The observations as they were written."""
    if observation is not None:
        yield observation
        return
    for line in sys.stdin:
        if line.strip():
            yield line.strip()


def _numbers(seen: Any, number: int, model: PolicyModel) -> Any:
    """One observation."""
    try:
        numbers = np.asarray(seen, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"act: observation {number} must be numbers; received {seen!r:.80}; give "
            f"{model.example}."
        ) from error
    if numbers.shape != model.x_shape:
        raise UserError(
            f"act: observation {number} must have the shape {model.x_shape}; received "
            f"{numbers.shape}; give such as {model.example}."
        )
    return numbers
