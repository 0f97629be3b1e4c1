"""MAML with policy gradients."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

from torch import Tensor, nn

from quickstudy.errors import UserError, above
from quickstudy.inner.descent import Context, MetaGradient, Parameters, descend
from quickstudy.learners.policy import Policy, PolicyState
from quickstudy.play.advantages import advantages
from quickstudy.play.surrogate import dice, ratio
from quickstudy.play.world import World
from quickstudy.task import Rollouts, Task

Surrogate = Literal["ratio", "dice"]


class PolicyMAML(Policy):
    """Learns a policy that a few policy-gradient steps fit to a new world.

        update:     phi_{k+1} = phi_k + inner_lr * grad J(phi_k; episodes of round k)
        J(phi; D) = mean over the steps of D of  pi_phi(a|o) / pi_D(a|o) * A(o, a)
        loss:       -J(phi_K; episodes played by phi_K)

    pi_D is the policy that played D, a constant, so that J is differentiated twice as it should be:
    the second derivative of `log pi * A` is wrong by half.

    Args:
        net: From observations to `n_actions` logits, or to `action_size` means.
        world: The functions of the world.
        inner_lr: Step size of an update.
        discount: Factor by which a reward counts less a step later.
        smoothing: lambda of generalised advantage estimation; 1 for returns less the baseline.
        surrogate: `"ratio"`, or `"dice"`, whose second derivative is without bias and noisier.
        meta_gradient: See `quickstudy.inner.descent.descend`.
        std: Standard deviation at the start of each number of an action that is a vector.

    Differs from the paper: plain gradient steps of the outer optimizer in place of TRPO, as of all
    learners here; advantages have mean 0 and standard deviation 1 within a world and round.

    Source: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning, ICML 2017, algorithm 3; Rothfuss et
    al.: ProMP, ICLR 2019, section 5 (ratio); Foerster et al.: DiCE, ICML 2018.
    """

    def __init__(
        self,
        net: nn.Module,
        world: World,
        inner_lr: float = 0.1,
        discount: float = 0.99,
        smoothing: float = 1.0,
        surrogate: Surrogate = "ratio",
        meta_gradient: MetaGradient = "exact",
        std: float = 1.0,
    ) -> None:
        super().__init__(net, world, std)
        name = type(self).__name__
        above(name, 0, inner_lr=inner_lr, std=std)
        for option, value in {"discount": discount, "smoothing": smoothing}.items():
            if not 0 <= value <= 1:
                raise UserError(
                    f"{name}: {option} must be from 0 to 1; received {value}; correct it."
                )
        if surrogate not in get_args(Surrogate):
            raise UserError(
                f"{name}: surrogate must be one of {', '.join(get_args(Surrogate))}; received "
                f"{surrogate!r}; choose one of these."
            )
        self.inner_lr, self.discount, self.smoothing = inner_lr, discount, smoothing
        self.surrogate: Surrogate = surrogate
        self.meta_gradient = meta_gradient

    def update(self, state: PolicyState, played: Rollouts) -> PolicyState:
        advantage = advantages(played, self.discount, self.smoothing)

        def inner_loss(phi: Parameters, context: Context) -> Tensor:
            rollouts = Rollouts(*context[:-1])
            return self._loss(PolicyState(phi), rollouts, context[-1])

        (phi,) = descend(
            inner_loss,
            state.parameters,
            (*played, advantage),
            self.inner_lr,
            steps=1,
            meta_gradient=self.meta_gradient or "exact",
        )
        return PolicyState(phi)

    def task_loss(self, task: Task) -> Tensor:
        support, query = task
        played: Rollouts = cast(Any, query).round(0)
        advantage = advantages(played, self.discount, self.smoothing)
        return self._loss(self.adapt(support), played, advantage)

    def _loss(self, state: PolicyState, played: Rollouts, advantage: Tensor) -> Tensor:
        """Minus J."""
        log_probability = self.log_probability(state, played)
        if self.surrogate == "dice":
            return -dice(log_probability, advantage, played.weight)
        return -ratio(log_probability, played.log_probability, advantage, played.weight)
