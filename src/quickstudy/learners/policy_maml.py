"""MAML with policy gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, cast, get_args

from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.inner.descent import MetaGradient
from quickstudy.learners.policy import Policy, PolicyState
from quickstudy.play.advantages import advantages
from quickstudy.play.surrogate import dice
from quickstudy.play.world import World
from quickstudy.task import Rollouts, Task

Estimator = Literal["ratio", "dice"]


class PolicyMAML(Policy):
    """Learns a policy that a few policy-gradient steps fit to a new world.

        update:     phi_{k+1} = phi_k + inner_lr * grad J(phi_k; episodes of round k)
        J(phi; D) = mean over the steps of D of  pi_phi(a|o) / pi_D(a|o) * A(o, a)
        loss:       -mean over k = 1 .. K of J(phi_k; episodes played by phi_k)

    pi_D is the behaviour policy, which played D, a constant. The ratio to it keeps part of what the
    second derivative of `log pi * A` leaves out, DiCE all of it: see `quickstudy.play.surrogate`.

    Args:
        net: From observations to `n_actions` logits, or to `action_size` means.
        world: The functions of the world.
        inner_lr: Step size of an update.
        discount: Factor by which a reward counts less a step later.
        smoothing: lambda of generalised advantage estimation; 1 for returns less the baseline.
        estimator: `"ratio"`, or `"dice"`, whose second derivative is unbiased and noisier.
        meta_gradient: See `quickstudy.inner.descent.descend`.
        std: Standard deviation at the start of each number of an action that is a vector; the
            `spread` of the world if omitted.

    Differs from the paper: every update counts in the loss, not the last alone, so that a user who
    plays one round is served as well (as in Antoniou et al.: How to Train Your MAML, ICLR 2019);
    plain gradient steps of the outer optimizer in place of TRPO, as of all learners here;
    advantages have mean 0 and standard deviation 1 within a world and round.

    Source: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning, ICML 2017, algorithm 3; Rothfuss et
    al.: ProMP, ICLR 2019, section 5 (ratio); Foerster et al.: DiCE, ICML 2018.

    Example:
        >>> from quickstudy.domains.control import PointGoal, WorldTasks
        >>> tasks = WorldTasks(PointGoal(horizon=5), n_shot=2)
        >>> qs.build("PolicyMAML", tasks).respond(tasks.task("test", 0)).shape  # return, success
        torch.Size([20, 2])
    """

    def __init__(
        self,
        net: nn.Module,
        world: World,
        inner_lr: float = 0.01,
        discount: float = 0.99,
        smoothing: float = 0.9,
        estimator: Estimator = "ratio",
        meta_gradient: MetaGradient = "exact",
        std: float | None = None,
    ) -> None:
        super().__init__(net, world, inner_lr, discount, smoothing, std)
        if estimator not in get_args(Estimator):
            raise UserError(
                f"{type(self).__name__}: estimator must be one of "
                f"{', '.join(get_args(Estimator))}; received {estimator!r}; choose one of these."
            )
        self.estimator: Estimator = estimator
        self.meta_gradient = meta_gradient
        # The value of dice does not depend on the parameters, its derivatives do.
        exact = estimator == "ratio" and meta_gradient != "first"
        self.tags = replace(self.tags, exact_meta_gradient=exact)

    def update(self, state: PolicyState, played: Rollouts) -> PolicyState:
        return self.ascend(state, played, self.meta_gradient or "exact")

    def surrogate(self, state: PolicyState, played: Rollouts, advantage: Tensor) -> Tensor:
        if self.estimator == "ratio":
            return super().surrogate(state, played, advantage)
        return dice(self.log_probability(state, played), advantage, played.weight)

    def task_loss(self, task: Task) -> Tensor:
        support, query = cast(Rollouts, task.support), cast(Rollouts, task.query)
        n_updates = support.reward.shape[0]
        state, total = self.begin(), query.reward.new_zeros(())
        for k in range(n_updates):
            state = self.update(state, support.round(k))
            # What this policy played: before the next update, or as the query.
            played = query.round(0) if k + 1 == n_updates else support.round(k + 1)
            advantage = advantages(played, self.discount, self.smoothing)
            total = total - self.surrogate(state, played, advantage)
        return total / n_updates
