"""Bodies of requests to policies, and of the responses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from quickstudy.serve.limits import MAX_EPISODES, MAX_QUERY, MAX_ROUNDS, MAX_STEPS
from quickstudy.serve.schema.answered import Answered
from quickstudy.serve.schema.requests import Body, Numbers


class Episode(Body):
    """An episode that a policy played, from its first step to its last."""

    observation: Numbers = Field(description="That of each step, before its action.")
    action: Numbers = Field(description="That of each step, as `:act` gave it.")
    log_probability: list[float] = Field(
        min_length=1, max_length=MAX_STEPS, description="Of each action, as `:act` gave it."
    )
    reward: list[float] = Field(min_length=1, max_length=MAX_STEPS)
    terminated: bool = Field(description="False where time, and not the world, ended it.")
    final: Numbers | None = Field(
        default=None,
        description="The observation after the last step; needed where time ended the episode.",
    )


PolicyDigest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class AdaptPolicyBody(Body):
    """Rounds of episodes, the first of which the policy of this version played."""

    rounds: list[Annotated[list[Episode], Field(min_length=1, max_length=MAX_EPISODES)]] = Field(
        min_length=1, max_length=MAX_ROUNDS, description="The policy adapts after each."
    )
    version: PolicyDigest | None = Field(
        default=None, description="The policy that learns; the one that is served where omitted."
    )


class ActBody(Body):
    observations: list[Numbers] = Field(min_length=1, max_length=MAX_QUERY)
    version: PolicyDigest | None = Field(
        default=None, description="The policy that acts; the one that is served where omitted."
    )
    greedy: bool = Field(
        default=False,
        description="Whether to take the most probable action, or the mean, rather than draw one.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(
        default=None,
        description="Seed of the actions that are drawn: the same one draws the same numbers, so "
        "give another at each step, or none.",
    )


class PolicyVersion(Answered):
    version: str = Field(description="Names the policy: `:act` and `:adapt` take it.")
    n_updates: int = Field(description="Rounds that it learned from, an update after each.")
    n_episodes: int = Field(description="Episodes of these rounds together.")


class PolicyCard(PolicyVersion):
    name: str
    id: str
    learner: str
    world: dict[str, Any] = Field(description="The family of worlds it was meta-trained in.")
    hidden: dict[str, Any] | None = Field(
        description="The hidden numbers of the world it is adapted to; null where not known."
    )
    observation_shape: list[int]
    n_actions: int | None = Field(description="Actions to choose from; null for vectors.")
    action_size: int | None = Field(description="Numbers of an action; null where one is chosen.")
    action_limit: float | None = Field(
        description="The largest number of an action, either way, at which the world clips it; "
        "null where it does not."
    )


class Policies(Answered):
    policies: list[PolicyCard]


class Action(Answered):
    action: int | list[float] = Field(
        description="The number of an action, from 0; or its numbers as drawn, not clipped."
    )
    log_probability: float = Field(
        description="Of the action, or its density: keep it for `:adapt`."
    )
    probabilities: list[float] | None = Field(
        description="Of all actions to choose from; null for vectors."
    )


class Acted(Answered):
    version: str
    mode: Literal["drawn", "greedy"]
    actions: list[Action]


class PolicyAdapted(PolicyVersion):
    returns: list[float] = Field(description="The mean return of the episodes of each round.")
