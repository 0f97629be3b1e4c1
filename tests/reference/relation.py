"""Relation networks as the paper writes them: Sung et al. 2018, eq. 1 and 2."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from reference.networks import Moments, channelwise, embed, groupwise, statistics
from torch import Tensor


def module(
    weights: dict[str, Tensor], pairs: Tensor, norm: str, given: Moments | None
) -> tuple[Tensor, Moments]:
    """The relation module on the maps of pairs, before its sigmoid, and the moments it met."""
    seen: Moments = []
    x = pairs
    for block in range(2):
        w = {
            name: weights[f"relation.{4 * block + place}.{name}"]
            for place, names in ((0, ("weight", "bias")), (1, ("scale", "shift")))
            for name in names
        }
        x = F.conv2d(x, w["weight"], w["bias"], padding=1)
        if norm in ("group", "layer"):
            x = groupwise(x, 8 if norm == "group" else 1)
        else:
            seen.append(statistics(x))
            x = channelwise(x, *(seen if given is None else given)[block])
        x = x * w["scale"][None, :, None, None] + w["shift"][None, :, None, None]
        x = F.max_pool2d(torch.clamp(x, min=0), 2)
    x = x.reshape(len(x), -1) @ weights["relation.9.weight"].T + weights["relation.9.bias"]
    x = torch.clamp(x, min=0) @ weights["relation.11.weight"].T + weights["relation.11.bias"]
    return x[:, 0], seen


def pairs(classes: list[Tensor], z: Tensor) -> Tensor:
    """Channels of each class followed by those of each example, example by example."""
    return torch.stack([torch.cat([c, each]) for each in z for c in classes])


def task(
    weights: dict[str, Tensor],
    norm: str,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Scores before the sigmoid, loss and meta-gradient of one task, in train mode."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    net = {name.removeprefix("net."): w for name, w in weights.items()}
    z, z_query = embed(net, norm, support[0], query[0], pools=2)
    z, z_query = (each.reshape(len(each), -1, 4, 4) for each in (z, z_query))
    classes = []
    for n in range(way):
        members = [zi for zi, c in zip(z, support[1], strict=True) if c == n]
        classes.append(sum(members[1:], members[0]))
    given = module(weights, pairs(classes, z), norm, None)[1] if norm == "support" else None
    r, _ = module(weights, pairs(classes, z_query), norm, given)
    prediction = r.reshape(len(z_query), way)
    loss = torch.zeros((), dtype=r.dtype)
    for row, c in zip(prediction, query[1], strict=True):
        for n in range(way):
            score = 1 / (1 + torch.exp(-row[n]))
            loss = loss + (score - (1 if n == c else 0)) ** 2 / len(prediction)
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return prediction.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
