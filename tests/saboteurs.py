"""Deliberately wrong learners: each must turn exactly one check of the conformance suite red."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.learner import HeldOut, Learner, Tags
from quickstudy.learners import MAML, PrototypicalNetwork
from quickstudy.learners.prototypical import class_means, squared_distances
from quickstudy.nets import MLP, Norm, SharedLinear
from quickstudy.task import Examples, Task, class_present, mask_absent

N_IN, N_HIDDEN = 6, 8


class State(NamedTuple):
    prototypes: Tensor
    present: Tensor


class NumberedState(NamedTuple):
    prototypes: Tensor
    present: Tensor
    sharpness: float


class Honest(Learner[State]):
    """Prototypes of a small network: keeps every promise, and each saboteur breaks one."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(N_IN, N_HIDDEN), nn.Tanh())

    def adapt(self, support: Examples) -> State:
        return State(class_means(self.net(support.x), support), class_present(support))

    def predict(self, state: State, x: Tensor) -> Tensor:
        return mask_absent(-squared_distances(self.net(x), state.prototypes), state.present)


# check_purity


class KeepsStateOnSelf(Honest):
    def adapt(self, support: Examples) -> State:
        self.state = super().adapt(support)
        return self.state

    def predict(self, state: State, x: Tensor) -> Tensor:
        return super().predict(getattr(self, "state", state), x)


class CountsItsTasks(Honest):
    n_tasks = 0

    def adapt(self, support: Examples) -> State:
        self.n_tasks += 1
        return super().adapt(support)


class DrawsUndeclaredNoise(Honest):
    def __init__(self) -> None:
        super().__init__()
        self.rng = torch.Generator().manual_seed(0)

    def adapt(self, support: Examples) -> State:
        state = super().adapt(support)
        noise = 1e-13 * torch.randn((), generator=self.rng, dtype=support.x.dtype)
        return state._replace(prototypes=state.prototypes + noise)


class ChangesTheTask(Honest):
    tags = Tags(vmappable=False)

    def adapt(self, support: Examples) -> State:
        support.x.mul_(1 + 1e-13)
        return super().adapt(support)


class ChangesItsState(Honest):
    tags = Tags(vmappable=False)

    def predict(self, state: State, x: Tensor) -> Tensor:
        prediction = super().predict(state, x)
        state.prototypes.data.mul_(1 + 1e-13)
        return prediction


# check_batching


class BranchesOnData(Honest):
    def adapt(self, support: Examples) -> State:
        state = super().adapt(support)
        return state if state.prototypes.norm() > 0 else state._replace(present=state.present)


class Doubled(torch.autograd.Function):
    """2 x, but for a rule for vmap that forgets to double."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return 2 * g

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], x: Tensor) -> tuple[Tensor, Any]:
        return x.clone(), in_dims[0]


class ForgetsVmapRule(Honest):
    def predict(self, state: State, x: Tensor) -> Tensor:
        return Doubled.apply(super().predict(state, x))


class HalvedSlope(torch.autograd.Function):
    """x, with the gradient of x; its backward pass is right in a loop and doubled under vmap."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        return Doubled.apply(g) / 2


class WrongGradientUnderVmap(Honest):
    def predict(self, state: State, x: Tensor) -> Tensor:
        return HalvedSlope.apply(super().predict(state, x))


class LossBranchesOnData(Honest):
    """Its answers are looped, and its loss says that it need not be."""

    tags = Tags(vmappable=False, vmappable_loss=True)

    def loss(self, prediction: Tensor, target: Examples) -> Tensor:
        loss = super().loss(prediction, target)
        return loss if loss > 0 else 2 * loss


# check_padding


class CountsPadding(Honest):
    def adapt(self, support: Examples) -> State:
        z = self.net(support.x)
        return State(class_means(z - z.mean(dim=0), support), class_present(support))


class AnswersPaddedClasses(Honest):
    def predict(self, state: State, x: Tensor) -> Tensor:
        return -squared_distances(self.net(x), state.prototypes)


class LosesToPadding(Honest):
    def loss(self, prediction: Tensor, target: Examples) -> Tensor:
        return -(target.y * torch.log_softmax(prediction, dim=-1)).sum(dim=-1).mean()


# check_support_order


class RemembersTheLastBest(Honest):
    def adapt(self, support: Examples) -> State:
        recency = torch.arange(1, len(support.x) + 1).to(support.x)
        member = support.y * (support.weight * recency)[:, None]
        means = (member.T @ self.net(support.x)) / member.sum(dim=0).clamp(min=1)[:, None]
        return State(means, class_present(support))


# check_single_queries


class LeaksAcrossQueries(PrototypicalNetwork):
    """Batch statistics of the queries, declared non-transductive."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        layers = nn.Unflatten(1, (2, 3)), Norm(2, "batch"), nn.Flatten(), nn.Linear(N_IN, N_HIDDEN)
        super().__init__(nn.Sequential(*layers))
        self.tags = Tags()


# check_relabelling


class PrefersEarlyClasses(Honest):
    def predict(self, state: State, x: Tensor) -> Tensor:
        early = torch.arange(len(state.present), dtype=x.dtype)
        return mask_absent(super().predict(state, x) - early, state.present)


# check_meta_gradient


class FirstOrderDeclaredExact(MAML):
    def __init__(self) -> None:
        torch.manual_seed(0)
        net = nn.Sequential(MLP((N_IN,), (N_HIDDEN,)), SharedLinear(N_HIDDEN))
        super().__init__(net, inner_lr=0.1, inner_steps=2, meta_gradient="first")
        self.tags = replace(self.tags, exact_meta_gradient=True)


class DetachesPrototypes(Honest):
    def adapt(self, support: Examples) -> State:
        state = super().adapt(support)
        return state._replace(prototypes=state.prototypes.detach())


# check_round_trip


class StateHoldsNumbers(Honest):
    def adapt(self, support: Examples) -> State:
        return NumberedState(*super().adapt(support), sharpness=2.0)  # type: ignore[return-value]


class BufferIsNotSaved(Honest):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("sharpness", torch.tensor(3.0), persistent=False)

    def predict(self, state: State, x: Tensor) -> Tensor:
        return super().predict(state, x) * self.sharpness


# check_initialise


class StartsAtRandom(Honest):
    def initialise(self, tasks: Iterable[Task]) -> None:
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn_like(parameter))


class StartsFromPadding(Honest):
    def initialise(self, tasks: Iterable[Task]) -> None:
        with torch.no_grad():
            self.net[0].weight.copy_(torch.stack([t.support.x.mean(dim=0) for t in tasks])[0])


class StartsAtNothing(Honest):
    def initialise(self, tasks: Iterable[Task]) -> None:
        with torch.no_grad():
            self.net[0].weight.fill_(torch.nan)


# check_held_out


class ForgetsToForget(Honest):
    def held_out(self, state: State, support: Examples, x: Tensor) -> HeldOut:
        own = self.predict(state, support.x)
        return HeldOut(own, self.predict(state, x).expand(len(own), -1, -1))


# check_unlabelled


class SaysItNeedsNoLabels(Honest):
    tags = Tags(unlabelled=True)


# check_quantiles


class Crosses(Honest):
    kind = "regression"

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(N_HIDDEN, 3)

    def adapt(self, support: Examples) -> State:
        mean = (support.weight @ support.y) / support.weight.sum()
        return State(mean[None], torch.ones_like(mean))

    def predict(self, state: State, x: Tensor) -> Tensor:
        return self.out(self.net(x)) + state.prototypes

    def quantiles(self, state: State, x: Tensor, levels: Sequence[float]) -> Tensor | None:
        return self.predict(state, x)[..., None] * torch.tensor(levels, dtype=x.dtype)


class LooksAtOtherLevels(Crosses):
    def quantiles(self, state: State, x: Tensor, levels: Sequence[float]) -> Tensor | None:
        return self.predict(state, x)[..., None] + torch.arange(len(levels))


SABOTEURS: dict[str, list[type[Any]]] = {
    "check_purity": [
        KeepsStateOnSelf,
        CountsItsTasks,
        DrawsUndeclaredNoise,
        ChangesTheTask,
        ChangesItsState,
    ],
    "check_batching": [
        BranchesOnData,
        ForgetsVmapRule,
        WrongGradientUnderVmap,
        LossBranchesOnData,
    ],
    "check_padding": [CountsPadding, AnswersPaddedClasses, LosesToPadding],
    "check_support_order": [RemembersTheLastBest],
    "check_single_queries": [LeaksAcrossQueries],
    "check_relabelling": [PrefersEarlyClasses],
    "check_meta_gradient": [FirstOrderDeclaredExact, DetachesPrototypes],
    "check_round_trip": [StateHoldsNumbers, BufferIsNotSaved],
    "check_initialise": [StartsAtRandom, StartsFromPadding, StartsAtNothing],
    "check_held_out": [ForgetsToForget],
    "check_unlabelled": [SaysItNeedsNoLabels],
    "check_quantiles": [Crosses, LooksAtOtherLevels],
}
