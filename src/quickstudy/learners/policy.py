"""The base of policies that learn from what they played."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError, above, at_least
from quickstudy.inner.descent import Context, MetaGradient, Parameters, descend
from quickstudy.learner import Learner, Tags
from quickstudy.nets import norm
from quickstudy.play.actions import actions_of
from quickstudy.play.advantages import advantages
from quickstudy.play.rollout import Choice, play
from quickstudy.play.surrogate import ratio
from quickstudy.play.trial import outcomes, trial
from quickstudy.play.world import Practice, World
from quickstudy.task import Kind, Rollouts, Task


class PolicyState(NamedTuple):
    """The parameters of a policy by name: of its network, and the log standard deviations."""

    parameters: Parameters


class Policy(Learner[PolicyState], ABC):
    """A network that acts, and is updated after each round of episodes.

        adapt:    phi_0 = theta,  phi_{k+1} = update(phi_k, episodes of round k)
        predict:  the parameters of the distribution of actions: logits, or means and log-stds

    `practise` plays round k with phi_k, and the query with the last: the support of a task is then
    what was played before each update.

    Args:
        net: From observations to `n_actions` logits, or to `action_size` means.
        world: The functions of the world it is for.
        inner_lr: Step size of an update.
        discount: Factor by which a reward counts less a step later.
        smoothing: lambda of generalised advantage estimation; 1 for returns less the baseline.
        std: Standard deviation at the start of each number of an action that is a vector; the
            `spread` of the world if omitted.

    Raises:
        UserError: A number is out of its range, or the network has a norm that looks at more than
            one observation.

    Shapes:
        prediction (observations, n_actions), or (observations, 2 * action_size)
    """

    kind: Kind = "control"
    tags = Tags(
        label_equivariant=False,
        needs_head=True,
        default_head="zero",
        net={"name": "MLP", "hidden": [64, 64], "activation": "tanh"},
    )

    def __init__(
        self,
        net: nn.Module,
        world: World,
        inner_lr: float,
        discount: float,
        smoothing: float,
        std: float | None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        at_least(name, 0, inner_lr=inner_lr)
        above(name, 0, std=std)
        for option, value in {"discount": discount, "smoothing": smoothing}.items():
            if not 0 <= value <= 1:
                raise UserError(
                    f"{name}: {option} must be from 0 to 1; received {value}; correct it."
                )
        norm.check_no_running_statistics(net, name)
        if kinds := norm.kinds(net) & {"support", "batch", "population"}:
            raise UserError(
                f"{name}: acts on one observation after the other, so that the norm must be layer, "
                f"group or none; received {', '.join(sorted(kinds))}; choose one of these."
            )
        self.net, self.world = net, world
        self.inner_lr, self.discount, self.smoothing = inner_lr, discount, smoothing
        self.actions = actions_of(world)
        if world.action_size is not None:
            spread = std or world.spread or (world.action_limit or 2.0) / 2
            start = torch.full((world.action_size,), spread).log()
            self.log_std = nn.Parameter(start)
        # At the start: a loaded model takes no gradients, and adapts nevertheless.
        self.adapted = tuple(name for name, p in self.named_parameters() if p.requires_grad)

    @abstractmethod
    def update(self, state: PolicyState, played: Rollouts) -> PolicyState:
        """The policy after one round of its episodes, which has no axis of rounds."""

    @final
    def begin(self) -> PolicyState:
        """The policy before any episode."""
        named = dict(self.named_parameters())
        return PolicyState({name: named[name] for name in self.adapted})

    @final
    def adapt(self, support: Any) -> PolicyState:
        state = self.begin()
        for k in range(support.reward.shape[0]):
            state = self.update(state, support.round(k))
        return state

    @final
    def predict(self, state: PolicyState, x: Tensor) -> Tensor:
        phi = {name.removeprefix("net."): p for name, p in state.parameters.items()}
        log_std = phi.pop("log_std", None)
        out, _ = norm.run(self.net, phi, x)
        return out if log_std is None else torch.cat([out, log_std.expand_as(out)], dim=-1)

    @final
    def log_probability(self, state: PolicyState, played: Rollouts) -> Tensor:
        """The log-probability of each action of one round `(episodes, steps)`."""
        parameters = self.predict(state, played.observation.flatten(0, 1))
        apart = parameters.reshape(*played.reward.shape, -1)
        return self.actions.log_probability(apart, played.action)

    @final
    def ascend(
        self, state: PolicyState, played: Rollouts, meta_gradient: MetaGradient = "exact"
    ) -> PolicyState:
        """The policy after a step along the policy gradient of one round."""
        advantage = advantages(played, self.discount, self.smoothing)

        def inner_loss(phi: Parameters, context: Context) -> Tensor:
            return -self.surrogate(PolicyState(phi), Rollouts(*context[:-1]), context[-1])

        context = (*played, advantage)
        (phi,) = descend(
            inner_loss, state.parameters, context, self.inner_lr, 1, meta_gradient=meta_gradient
        )
        return PolicyState(phi)

    def surrogate(self, state: PolicyState, played: Rollouts, advantage: Tensor) -> Tensor:
        """J, whose derivatives are those of the expected return; by default of ratios."""
        log_probability = self.log_probability(state, played)
        return ratio(log_probability, played.log_probability, advantage, played.weight)

    @final
    def play(self, state: PolicyState, practice: Practice) -> Rollouts:
        """Plays one round of episodes."""
        return play(self.world, _Player(self, state), practice)

    @final
    @torch.no_grad()
    def practise(self, task: Task) -> Task:
        return trial(task, self.begin(), self.play, self.update)

    @final
    def respond(self, task: Task) -> Tensor:
        """Practises: the return and the success of each query episode `(episodes, 2)`."""
        return outcomes(self.world, task, self.practise(task))


class _Player:
    """An agent that acts by a policy, without a memory."""

    def __init__(self, policy: Policy, state: PolicyState) -> None:
        self.policy, self.state = policy, state

    def begin(self, observation: Tensor) -> tuple[()]:
        return ()

    def act(self, memory: Any, observation: Tensor, noise: Tensor) -> Choice:
        return self.policy.actions.draw(self.policy.predict(self.state, observation), noise)

    def remember(self, memory: Any, observation: Tensor, action: Tensor, reward: Tensor) -> Any:
        return memory
