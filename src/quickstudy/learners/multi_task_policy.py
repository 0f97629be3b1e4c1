"""One policy for all worlds, fitted to a new one only where it is used."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from quickstudy.learners.policy import Policy, PolicyState
from quickstudy.play.advantages import advantages
from quickstudy.play.world import World
from quickstudy.task import Rollouts, Task


class MultiTaskPolicy(Policy):
    """A policy trained on all meta-train worlds together, which learns only at meta-test.

        update:   in train mode none;  in eval mode  phi_{k+1} = phi_k + inner_lr * grad J(phi_k)
        loss:     -J(theta; episodes played by theta), of support and query alike

    What a meta-learner gains over it is what meta-training for adaptation is worth. Its inner rate
    decides how strong it is, and is chosen on meta-valid worlds where it is an opponent.

    Args:
        net: From observations to `n_actions` logits, or to `action_size` means.
        world: The functions of the world.
        inner_lr: Step size of an update in eval mode; 0 for none.
        discount: Factor by which a reward counts less a step later.
        smoothing: lambda of generalised advantage estimation; 1 for returns less the baseline.
        std: Standard deviation at the start of each number of an action that is a vector; the
            `spread` of the world if omitted.

    Example:
        >>> from quickstudy.domains.control import PointGoal, WorldTasks
        >>> tasks = WorldTasks(PointGoal(horizon=5), n_shot=2)
        >>> qs.build("MultiTaskPolicy", tasks).respond(tasks.task("test", 0)).shape
        torch.Size([20, 2])
    """

    def __init__(
        self,
        net: nn.Module,
        world: World,
        inner_lr: float = 0.01,
        discount: float = 0.99,
        smoothing: float = 0.9,
        std: float | None = None,
    ) -> None:
        super().__init__(net, world, inner_lr, discount, smoothing, std)

    def update(self, state: PolicyState, played: Rollouts) -> PolicyState:
        if self.training or self.inner_lr == 0:
            return state
        return self.ascend(state, played)

    def task_loss(self, task: Task) -> Tensor:
        support, query = cast("tuple[Rollouts, Rollouts]", task)
        rounds = [support.round(k) for k in range(support.reward.shape[0])] + [query.round(0)]
        return -torch.stack([self._gain(each) for each in rounds]).mean()

    def _gain(self, played: Rollouts) -> Tensor:
        advantage = advantages(played, self.discount, self.smoothing)
        return self.surrogate(self.begin(), played, advantage)
