"""Proximal meta-policy search."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from quickstudy.errors import UserError, above, at_least
from quickstudy.learners.policy import Policy, PolicyState
from quickstudy.play.advantages import advantages
from quickstudy.play.surrogate import clipped, kl_to_behaviour
from quickstudy.play.world import World
from quickstudy.task import Rollouts, Task


class ProMP(Policy):
    """Learns a policy that adapts, by several outer steps on the same episodes, each kept small.

        update:      phi_{k+1} = phi_k + inner_lr * grad J(phi_k; D_k),  J the mean of  r_t A_t
        loss:        -mean_t min(r_t A_t, clamp(r_t, 1 - clip, 1 + clip) A_t)  of phi_K on the query
                     + kl_weight * mean_k KL(pi_{D_k} || pi_{phi_k})
        r_t =        pi_phi(a_t|o_t) / pi_D(a_t|o_t)

    pi_D is the behaviour policy, which played the episodes D of a round, a constant. Outer steps
    move theta away from it; the divergence keeps the policies before each update near it, and the
    clipped ratio the adapted one.

    Args:
        net: From observations to `n_actions` logits, or to `action_size` means.
        world: The functions of the world.
        inner_lr: Step size of an update.
        discount: Factor by which a reward counts less a step later.
        smoothing: lambda of generalised advantage estimation; 1 for returns less the baseline.
        passes: Outer steps on the episodes of one practice.
        clip: Bound of the ratio of the adapted policies, between 0 and 1.
        kl_weight: Weight of the divergence of the policies before each update.
        std: Standard deviation at the start of each number of an action that is a vector; the
            `spread` of the world if omitted.

    Differs from the paper: the divergence is estimated by the actions that were drawn rather than
    computed from both distributions, as episodes keep log-probabilities alone (the same on average,
    and so are its derivatives); standard deviations of actions have no
    lower bound.

    Raises:
        UserError: A number is out of its range.

    Source: Rothfuss, Lee, Clavera, Asfour, Abbeel: ProMP: Proximal Meta-Policy Search, ICLR 2019,
    section 6 and algorithm 1; defaults of its published code (jonasrothfuss/ProMP).

    Example:
        >>> from quickstudy.domains.control import PointGoal, WorldTasks
        >>> tasks = WorldTasks(PointGoal(horizon=5), n_shot=2)
        >>> qs.build("ProMP", tasks).respond(tasks.task("test", 0)).shape
        torch.Size([20, 2])
    """

    def __init__(
        self,
        net: nn.Module,
        world: World,
        inner_lr: float = 0.01,
        discount: float = 0.99,
        smoothing: float = 0.9,
        passes: int = 5,
        clip: float = 0.3,
        kl_weight: float = 5e-4,
        std: float | None = None,
    ) -> None:
        super().__init__(net, world, inner_lr, discount, smoothing, std)
        at_least("ProMP", 1, passes=passes)
        at_least("ProMP", 0, kl_weight=kl_weight)
        above("ProMP", 0, clip=clip)
        if clip >= 1:
            raise UserError(
                f"ProMP: clip bounds a ratio around 1 and must be below 1; received {clip}; use "
                "0.3, as published."
            )
        self.passes, self.clip, self.kl_weight = passes, clip, kl_weight
        self.meta_gradient = "exact"

    def update(self, state: PolicyState, played: Rollouts) -> PolicyState:
        return self.ascend(state, played)

    def task_loss(self, task: Task) -> Tensor:
        support, query = cast("tuple[Rollouts, Rollouts]", task)
        judged = query.round(0)
        n_rounds = support.reward.shape[0]
        state, divergence = self.begin(), judged.reward.new_zeros(())
        for played in map(support.round, range(n_rounds)):
            log_probability = self.log_probability(state, played)
            divergence = divergence + kl_to_behaviour(
                log_probability, played.log_probability, played.weight
            )
            state = self.update(state, played)
        gain = clipped(
            self.log_probability(state, judged),
            judged.log_probability,
            advantages(judged, self.discount, self.smoothing),
            judged.weight,
            self.clip,
        )
        return self.kl_weight * divergence / max(n_rounds, 1) - gain
