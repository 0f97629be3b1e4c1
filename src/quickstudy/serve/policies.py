"""Served policies, and those that they became by the episodes of clients."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from quickstudy.errors import UserError
from quickstudy.files.shipped import run_of
from quickstudy.inputs.episodes import numbers
from quickstudy.learner import flatten_state
from quickstudy.models.named import by_name
from quickstudy.models.policy import AdaptedPolicy
from quickstudy.models.policy_model import PolicyModel
from quickstudy.models.saved import load, load_policy
from quickstudy.serve.gate import Gate
from quickstudy.serve.problems import Problem, refusals
from quickstudy.serve.schema.policies import ActBody, Action, Episode, PolicyCard
from quickstudy.serve.served import identifier

MAX_NUMBERS: Final = 4_000_000
"""Numbers of all observations of a round, each episode as long as the longest."""
LARGEST: Final = float(np.finfo(np.float32).max)
ENTRY_BYTES: Final = 4096  # of the objects around the tensors of a policy


class Known(NamedTuple):
    """A policy with its name by content, and how much it learned from."""

    policy: AdaptedPolicy
    version: str
    n_updates: int
    n_episodes: int

    @classmethod
    def of(cls, policy: AdaptedPolicy, n_updates: int, n_episodes: int) -> Known:
        """The policy without its episodes."""
        sha256 = hashlib.sha256(policy.model.fingerprint.encode())
        for name, t in sorted(flatten_state(policy.state).items()):
            sha256.update(name.encode() + t.detach().cpu().numpy().tobytes())
        bare = AdaptedPolicy(policy.model, (), policy.state, world=policy.world)
        return cls(bare, f"sha256:{sha256.hexdigest()}", n_updates, n_episodes)

    @property
    def size(self) -> int:
        """Size in bytes."""
        return ENTRY_BYTES + sum(t.nbytes for t in flatten_state(self.policy.state).values())


class ServedPolicy:
    """A policy by the name of its file, or a meta-trained one by that of its run directory.

    Args:
        path: A file of `AdaptedPolicy.save`, or a run of control.

    Raises:
        UserError: The name cannot be that of a resource, or the file is without its model.
    """

    def __init__(self, path: Path) -> None:
        if path.is_file():
            self.id, policy = identifier(path.stem), load_policy(path)
        else:
            model = load(path)
            assert isinstance(model, PolicyModel)
            self.id, policy = identifier(path.resolve().name), model.begin()
        n_episodes = sum(len(each.reward) for each in policy.rounds)
        self.known = Known.of(policy, len(policy.rounds), n_episodes)

    def card(self) -> PolicyCard:
        """The description of the policy for clients."""
        policy, world = self.known.policy, self.known.policy.model.world
        return PolicyCard(
            name=f"policies/{self.id}",
            id=self.id,
            version=self.known.version,
            learner=type(policy.model.learner).__name__,
            world=world.to_json(),
            hidden=policy.world,
            observation_shape=list(world.observation_shape),
            n_actions=world.n_actions,
            action_size=world.action_size,
            action_limit=world.action_limit,
            n_updates=self.known.n_updates,
            n_episodes=self.known.n_episodes,
        )


class Policies:
    """The served policies, and an LRU cache of those that clients adapted, bounded in bytes.

    Each tenant sees what it adapted alone. What is evicted, or adapted at another server, is made
    again from the same episodes, and then has the same version.

    Args:
        served: The served ones.
        budget: Bytes that adapted ones may take together.
    """

    def __init__(self, served: Iterable[ServedPolicy] = (), budget: int = 0) -> None:
        self.served = {each.id: each for each in served}
        self.budget, self.bytes = budget, 0
        self._adapted: OrderedDict[tuple[str, str, str], Known] = OrderedDict()
        self._lock = threading.Lock()

    def policy(self, name: str) -> ServedPolicy:
        """The served policy of an id.

        Raises:
            Problem: There is no such policy.
        """
        if name not in self.served:
            raise Problem(
                "NOT_FOUND",
                f"policy: expected one of {', '.join(self.served) or 'none'}; received {name!r}; "
                "see /v1/policies.",
            )
        return self.served[name]

    def get(self, tenant: str, served: ServedPolicy, version: str | None) -> Known:
        """A version of a policy; the served one where it is None.

        Raises:
            Problem: It is not here.
        """
        if version in (None, served.known.version):
            return served.known
        key = (tenant, served.id, str(version))
        with self._lock:
            if key not in self._adapted:
                raise Problem(
                    "POLICY_VERSION_GONE",
                    f"version: must be that of the served policy, {served.known.version[:19]}, or "
                    f"one that :adapt gave and that is still in memory; received {version}; POST "
                    "its rounds to :adapt again.",
                )
            self._adapted.move_to_end(key)
            return self._adapted[key]

    def put(self, tenant: str, served: ServedPolicy, known: Known) -> None:
        """Remembers an adapted policy; the least recently used are evicted."""
        key = (tenant, served.id, known.version)
        with self._lock:
            if key not in self._adapted:
                self.bytes += known.size
            self._adapted[key] = known
            self._adapted.move_to_end(key)
            while self.bytes > self.budget and len(self._adapted) > 1:
                _, old = self._adapted.popitem(last=False)
                self.bytes -= old.size


def adapted(
    gate: Gate, known: Known, rounds: Sequence[Sequence[Episode]]
) -> tuple[Known, list[float]]:
    """The policy after rounds of episodes, and the mean return of each round.

    Raises:
        Problem: Nothing can be learned from them; it says from which round.
    """
    policy, n_observed = known.policy, int(np.prod(known.policy.model.x_shape))
    for k, played in enumerate(rounds):
        longest = max(len(each.reward) for each in played)
        if len(played) * longest * n_observed > MAX_NUMBERS:
            raise Problem(
                "LIMIT_EXCEEDED",
                f"rounds: a round may hold {MAX_NUMBERS} numbers of observations, each episode as "
                f"long as the longest; received {len(played)} episodes of up to {longest} steps of "
                f"{n_observed}; send fewer.",
                [(f"/rounds/{k}", "too many episodes, or one too long")],
            )
        episodes = [each.model_dump() for each in played]
        with gate(), refusals(f"/rounds/{k}"):
            policy = policy.update(episodes)
    n_episodes = known.n_episodes + sum(map(len, rounds))
    means = [float(each.returns.double().mean()) for each in policy.rounds]
    return Known.of(policy, known.n_updates + len(rounds), n_episodes), means


def actions(gate: Gate, policy: AdaptedPolicy, sent: ActBody) -> list[Action]:
    """The actions for the observations of a request.

    Raises:
        Problem: An observation has another shape, or is not finite; it says which.
    """
    shape, rows = policy.model.x_shape, []
    for i, observation in enumerate(sent.observations):
        with refusals(f"/observations/{i}"):
            row = numbers(f"observations: observation {i}", observation)
            if row.shape != shape or not (np.abs(row) <= LARGEST).all():
                raise UserError(
                    f"observations: observation {i} must be finite numbers of shape {shape}; "
                    f"received the shape {row.shape}; give such as {policy.model.example}."
                )
            rows.append(row)
    X = np.stack(rows)
    with gate(), refusals("/observations"):
        choice = policy.choose(X, sent.seed, sent.greedy)
        choices = policy.model.world.n_actions is not None
        shares: Any = policy.probabilities(X).tolist() if choices else [None] * len(X)
    if not np.isfinite(choice.action).all() or not np.isfinite(choice.log_probability).all():
        raise Problem(
            "NOT_FINITE",
            "observations: what the policy makes of them must be finite; received observations "
            "that overflow it; give observations like those of meta-training.",
        )
    return [
        Action(action=action, log_probability=log_probability, probabilities=each)
        for action, log_probability, each in zip(
            choice.action.tolist(), choice.log_probability.tolist(), shares, strict=True
        )
    ]


def is_policy(path: Path) -> bool:
    """Whether a path is of a policy, rather than of a model that answers queries."""
    if path.is_file():
        return True
    return by_name(path) is None and run_of(path).read().get("kind") == "control"
