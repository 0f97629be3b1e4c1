"""Fine-tuning from scratch: the same network without meta-training."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.learner import Learner, Tags
from quickstudy.nets import norm
from quickstudy.nets.passing import Statistics
from quickstudy.task import Examples, Kind, class_present, mask_absent, task_outputs


class FineTunedState(NamedTuple):
    """The trained parameters by name. Shapes: present (way,), 0 for a class that is padding."""

    parameters: dict[str, Tensor]
    statistics: Statistics
    present: Tensor


class FineTuning(Learner[FineTunedState]):
    """Trains a freshly initialised network on the support set by Adam.

    adapt:    phi = Adam(net from scratch with a linear head of zeros, support loss)
    predict:  head(net(phi, x))

    A baseline: its network is the architecture of a meta-learner, drawn anew. Norms of kind
    `"population"` become `"support"`, as there is no population without meta-training. Steps and
    lr were chosen among 15 to 100 and 0.003 to 0.01 on meta-valid tasks of `glyphs`.

    Args:
        net: From inputs to features; copied, and its parameters drawn anew.
        kind: What the targets are.
        steps: Steps of Adam on the whole support set.
        lr: Step size of Adam.
        seed: Seed of the initialisation.

    Shapes:
        prediction (query, way) or (query, outputs)

    Example:
        >>> net = torch.nn.Sequential(qs.nets.MLP((64,)), qs.nets.SharedLinear(40))
        >>> learner = FineTuning(net, steps=5)
        >>> state = learner.adapt(support)
        >>> learner.predict(state, query.x).shape  # (query, way)
        torch.Size([10, 2])
    """

    tags = Tags(vmappable=False, meta_trained=False)
    net: nn.Module

    def __init__(
        self,
        net: nn.Module,
        kind: Kind = "classification",
        steps: int = 20,
        lr: float = 1e-2,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.net = _from_scratch(net, seed)
        self.kind, self.steps, self.lr = kind, steps, lr
        self.tags = replace(self.tags, transductive="batch" in norm.kinds(self.net))

    def adapt(self, support: Examples) -> FineTunedState:
        with torch.enable_grad():
            phi = {name: p.detach().clone() for name, p in self.net.named_parameters()}
            n_features = norm.run(self.net, phi, support.x, support.weight)[0].shape[1]
            phi["head.weight"] = support.x.new_zeros(support.y.shape[1], n_features)
            mean = support.weight @ support.y / support.weight.sum()
            phi["head.bias"] = mean * (self.kind == "regression")
            for p in phi.values():
                p.requires_grad_()
            optimizer = torch.optim.Adam(phi.values(), lr=self.lr)
            for _ in range(self.steps):
                out, _ = self._forward(phi, support.x, support.weight)
                if self.kind == "classification":
                    out = mask_absent(out, class_present(support))
                optimizer.zero_grad()
                self.loss(out, support).backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        phi = {name: p.detach() for name, p in phi.items()}
        with torch.no_grad():
            _, statistics = self._forward(phi, support.x, support.weight)
        return FineTunedState(phi, statistics, class_present(support))

    def predict(self, state: FineTunedState, x: Tensor) -> Tensor:
        out, _ = self._forward(state.parameters, x, given=state.statistics)
        return task_outputs(out, state.present, self.kind)

    def features(self, state: FineTunedState, x: Tensor) -> Tensor:
        return self._embed(state.parameters, x, given=state.statistics)[0]

    def _forward(
        self,
        phi: dict[str, Tensor],
        x: Tensor,
        weight: Tensor | None = None,
        given: Statistics | None = None,
    ) -> tuple[Tensor, Statistics]:
        z, statistics = self._embed(phi, x, weight, given)
        return z @ phi["head.weight"].T + phi["head.bias"], statistics

    def _embed(
        self,
        phi: dict[str, Tensor],
        x: Tensor,
        weight: Tensor | None = None,
        given: Statistics | None = None,
    ) -> tuple[Tensor, Statistics]:
        body = {name: p for name, p in phi.items() if not name.startswith("head.")}
        return norm.run(self.net, body, x, weight, given)


def _from_scratch(net: nn.Module, seed: int) -> nn.Module:
    """A copy of the network with its parameters drawn anew; meta-training leaves them alone."""
    fresh = copy.deepcopy(net).requires_grad_(False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in fresh.modules():
            if isinstance(module, norm.Norm) and module.kind == "population":
                module.kind = "support"
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    return fresh
