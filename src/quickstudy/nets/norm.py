"""Normalisation that says whose statistics it uses.

    "support"     mean and variance of the task's support set, for the support and for queries
    "batch"       of whatever is passed in: transductive, a query's answer depends on the others
    "population"  of the batch in meta-training; frozen ones, estimated over meta-train tasks by
                  `calibrate`, when the module is in eval mode
    "group"       of groups of channels of each example alone
    "layer"       of all channels of each example alone

No forward pass changes a buffer, so nothing leaks from one task into the next. A learner passes
statistics from support to query through its state, with `run`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from quickstudy.errors import UserError
from quickstudy.nets.passing import Record, Statistics, observer, passing, recording
from quickstudy.nets.pieces import in_pieces
from quickstudy.nets.second_order import along_channels, batch_norm, transformed

NormKind = Literal["support", "batch", "population", "group", "layer"]


class Norm(nn.Module):
    """Normalises each channel, then scales and shifts it by learned amounts.

    Args:
        channels: Size of axis 1 of the input.
        kind: Whose statistics; see the module's description.
        groups: Number of groups for `"group"`; divides `channels`.
        eps: Added to the variance.

    Shapes:
        x (examples, channels, *space) -> the same.

    Raises:
        UserError: Unknown kind; `"population"` in eval mode before `calibrate`; or a batch of one
            value of each channel, which has no variance.

    Source: Ioffe, Szegedy: Batch Normalization, ICML 2015; Bronskill et al.: TaskNorm, ICML 2020
    (statistics of the support set); Wu, He: Group Normalization, ECCV 2018.

    Example:
        >>> net = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), Norm(8, "support"))
        >>> net(torch.rand(5, 1, 8, 8)).shape
        torch.Size([5, 8, 6, 6])
    """

    mean: Tensor
    variance: Tensor
    calibrated: Tensor

    def __init__(
        self, channels: int, kind: NormKind = "population", groups: int = 8, eps: float = 1e-5
    ) -> None:
        super().__init__()
        if kind not in get_args(NormKind):
            raise UserError(
                f"Norm: kind must be one of {', '.join(get_args(NormKind))}; received {kind!r}; "
                "choose one of these."
            )
        if kind == "group" and channels % groups:
            raise UserError(
                f"Norm: groups must divide the channels; received {channels} channels and "
                f"{groups} groups; choose another width or number of groups."
            )
        self.kind, self.groups, self.eps = kind, 1 if kind == "layer" else groups, eps
        self.scale = nn.Parameter(torch.empty(channels))
        self.shift = nn.Parameter(torch.empty(channels))
        self.reset_parameters()
        if kind == "population":
            self.register_buffer("mean", torch.zeros(channels))
            self.register_buffer("variance", torch.ones(channels))
            self.register_buffer("calibrated", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.kind in ("group", "layer"):
            return F.group_norm(x, self.groups, self.scale, self.shift, self.eps)
        current = passing().record or Record()
        key = f"norm{current.met}"
        current.met += 1
        see = passing().observer
        if see is not None:
            see(self, moments(x, current.weight))
        if self.kind == "population" and not self.training:
            return self._normalise(x, self.mean, self.variance)
        if self.kind == "support" and current.given is not None:
            return self._normalise(x, *current.given[key])
        if current.weight is None and self.kind != "support" and x.numel() == x.shape[1]:
            raise UserError(
                f"Norm: {self.kind!r} statistics need more than one value of each channel; "
                f"received an input {tuple(x.shape)}; give more examples, or choose another norm."
            )
        exporting = (
            torch.compiler.is_exporting()
        )  # A file is also asked no queries: no fused kernel.
        if current.weight is None and not (transformed() or exporting):
            out, mean, rstd = batch_norm(x, self.scale, self.shift, self.eps)
            if self.kind == "support":
                variance = (rstd**-2 - self.eps).clamp(min=0)
                current.seen[key] = torch.stack([mean, variance])
            return out
        if current.weight is None and self.kind != "support" and not exporting:
            # Exact for vmap(grad(...)), the only way batch.py goes, not for a grad through a vmap.
            return F.batch_norm(x, None, None, self.scale, self.shift, training=True, eps=self.eps)
        seen = moments(x, current.weight)
        if self.kind == "support":
            current.seen[key] = seen
        return self._normalise(x, *seen)

    def reset_parameters(self) -> None:
        """Scale 1 and shift 0."""
        nn.init.ones_(self.scale)
        nn.init.zeros_(self.shift)

    def _normalise(self, x: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        scale = self.scale * torch.rsqrt(variance + self.eps)
        shift = self.shift - mean * scale
        return torch.addcmul(along_channels(shift, x), x, along_channels(scale, x))

    def extra_repr(self) -> str:
        return f"{len(self.scale)}, kind={self.kind!r}"


class Centre(nn.Module):
    """Subtracts the mean of meta-train examples, and divides each row by its length.

    The mean is estimated with the population statistics of norms, and is the same in train mode:
    that of features from a frozen encoder does not change. Before, and for a network that is never
    meta-trained, it is zero: the mean of a support of few examples holds a part of each class.

    Args:
        n_features: Number of features.

    Shapes:
        x (examples, n_features) -> the same, each of length 1.

    Source: Wang, Chao, Weinberger, van der Maaten: SimpleShot: Revisiting Nearest-Neighbor
    Classification for Few-Shot Learning, 2019 (CL2N).

    Example:
        >>> net = torch.nn.Sequential(MLP((64,), hidden=()), Centre(64))
        >>> torch.allclose(net(support.x).norm(dim=1), torch.ones(10))
        True
    """

    mean: Tensor
    calibrated: Tensor
    kind: NormKind = "population"

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.n_features = n_features
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("calibrated", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        see = passing().observer
        if see is not None:
            see(self, moments(x, (passing().record or Record()).weight))
        return F.normalize(x - self.mean)


def has_centre(net: nn.Module) -> bool:
    """Whether a part of a network subtracts a mean that is to be estimated before training."""
    return any(isinstance(module, Centre) for module in net.modules())


def moments(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean and (biased) variance of each channel over examples and space. Shape (2, channels)."""
    over = [axis for axis in range(x.ndim) if axis != 1]
    if weight is None:  # Not torch.var_mean, which is slow on a CPU, in this layout above all.
        mean = x.mean(dim=over)
        return torch.stack([mean, (x - along_channels(mean, x)).square().mean(dim=over)])
    share = (weight / weight.sum()).view(-1, *(1,) * (x.ndim - 1))
    space = x[0, 0].numel()
    mean = (x * share).sum(dim=over) / space
    centred = x - mean.view(1, -1, *(1,) * (x.ndim - 2))
    return torch.stack([mean, (centred.square() * share).sum(dim=over) / space])


def run(
    net: nn.Module,
    parameters: dict[str, Tensor] | None,
    x: Tensor,
    weight: Tensor | None = None,
    given: Statistics | None = None,
) -> tuple[Tensor, Statistics]:
    """The network's output for `x`, and the statistics its `"support"` norms took from `x`.

    Args:
        net: Any module of one tensor.
        parameters: Used in place of the module's own, by name; None for its own.
        x: Inputs `(examples, *x)`.
        weight: 0/1 for each example; those of weight 0 are padding and count in no statistic.
        given: Statistics that `"support"` norms use instead of those of `x`.
    """
    settings = passing()
    if settings.unpadded:
        weight = None
    elif weight is None:
        weight = settings.padding
    record = Record(weight, given)

    def forward(x: Tensor) -> Tensor:
        record.met = 0
        with recording(record):
            out: Tensor = net(x) if parameters is None else functional_call(net, parameters, (x,))
        if not isinstance(out, Tensor):
            raise UserError(
                f"{type(net).__name__}: a network must give one tensor; received a "
                f"{type(out).__name__}; wrap it in a module that takes out what is to be learned "
                "from."
            )
        return out

    out = in_pieces(forward, x, net, "embedded") if each_alone(net, given) else forward(x)
    return out, record.seen


def each_alone(net: nn.Module, given: Statistics | None) -> bool:
    """Whether a pass does nothing but give each example an output that depends on no other.

    Args:
        net: Any module of one tensor.
        given: Statistics that `"support"` norms use.
    """
    if net.training or passing().whole or passing().observer is not None:
        return False
    dependent = {"batch"} if given is not None else {"batch", "support"}
    return not kinds(net) & dependent and not any(
        isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None
        for module in net.modules()
    )


def weights(x: Tensor) -> Tensor:
    """0 for each of these examples that `padding` told of, else 1. Shape (examples,)."""
    weight = passing().padding
    return x.new_ones(x.shape[0]) if weight is None else weight


def kinds(net: nn.Module) -> set[str]:
    """The kinds of `Norm` in a network, of which `Centre` is one that is `"population"`."""
    return {module.kind for module in net.modules() if isinstance(module, Norm | Centre)}


@torch.no_grad()
def calibrate(net: nn.Module, passes: Iterable[Callable[[], Any]]) -> None:
    """Estimates the statistics that `"population"` norms use in eval mode.

    Each of `passes` runs the network in train mode on one meta-train task; the statistics are the
    average over all passes (law of total variance). Source: Wu, Johnson: Rethinking "Batch" in
    BatchNorm, 2021 (precise batch norm).
    """
    sums: dict[Norm | Centre, Tensor] = {}
    counts: dict[Norm | Centre, int] = {}

    def see(norm: nn.Module, statistics: Tensor) -> None:
        if isinstance(norm, Norm | Centre) and norm.kind == "population":
            mean, variance = statistics.double()
            sums[norm] = sums.get(norm, 0) + torch.stack([mean, variance + mean.square()])
            counts[norm] = counts.get(norm, 0) + 1

    training = net.training
    net.train()
    try:
        with observer(see):
            for run_task in passes:
                run_task()
    finally:
        net.train(training)
    for norm, total in sums.items():
        mean, square = total / counts[norm]
        norm.mean.copy_(mean)
        if isinstance(norm, Norm):
            norm.variance.copy_(square - mean.square())
        norm.calibrated.fill_(1)


def check_calibrated(net: nn.Module) -> None:
    """Raises UserError where `"population"` statistics have not been estimated."""
    for name, module in net.named_modules():
        if isinstance(module, Norm) and module.kind == "population" and not module.calibrated:
            raise UserError(
                f"Norm {name!r}: population statistics are used before they were estimated; "
                "received an uncalibrated network; meta-train it with quickstudy, call "
                "quickstudy.nets.calibrate, or choose another norm."
            )


def check_no_running_statistics(net: nn.Module, who: str) -> None:
    """Raises UserError where a layer changes its own statistics; `who` cannot work with it."""
    for name, module in net.named_modules():
        if getattr(module, "track_running_stats", False):
            raise UserError(
                f"{who}: {type(module).__name__} {name!r} keeps running statistics, which one task "
                "would change for the next; call quickstudy.nets.replace_batch_norm(net) first, or "
                "build the module with track_running_stats=False."
            )


def replace_batch_norm(net: nn.Module, kind: NormKind = "support") -> nn.Module:
    """The network with every `nn.BatchNorm*` replaced, in place, by a `Norm` of this kind."""
    for name, child in net.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            norm = Norm(child.num_features, kind, eps=child.eps)
            if child.affine:
                norm.scale, norm.shift = child.weight, child.bias
            setattr(net, name, norm)
        else:
            replace_batch_norm(child, kind)
    return net
