"""Matching networks as the paper writes them: Vinyals et al. 2016, eq. 1 and appendix A."""

from __future__ import annotations

import torch
from reference.networks import cross_entropy, embed
from torch import Tensor


def softmax(values: list[Tensor]) -> list[Tensor]:
    powers = [torch.exp(v - max(v.item() for v in values)) for v in values]
    return [p / sum(powers) for p in powers]


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum() / torch.sqrt((a * a).sum()) / torch.sqrt((b * b).sum())


def lstm(weights: dict[str, Tensor], cell: str, read: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """One step, one number of the cell at a time: input, forget and output gate, candidate."""
    gates = weights[f"{cell}.gates.weight"] @ read + weights[f"{cell}.gates.bias"]
    d, new_c, new_h = len(c), [], []
    for n in range(d):
        i, f, o = (1 / (1 + torch.exp(-gates[n + k * d])) for k in range(3))
        new_c.append(f * c[n] + i * torch.tanh(gates[n + 3 * d]))
        new_h.append(o * torch.tanh(new_c[-1]))
    return torch.stack(new_h), torch.stack(new_c)


def context_of_support(weights: dict[str, Tensor], z: list[Tensor]) -> list[Tensor]:
    """Appendix A.2: a bidirectional LSTM over the support, and what it read."""
    g = list(z)
    for cell, order in (("forward_cell", range(len(z))), ("backward_cell", range(len(z))[::-1])):
        h, c = torch.zeros_like(z[0]), torch.zeros_like(z[0])
        for i in order:
            h, c = lstm(weights, cell, torch.cat([z[i], h]), c)
            g[i] = g[i] + h
    return g


def context_of_query(weights: dict[str, Tensor], z: Tensor, g: list[Tensor], steps: int) -> Tensor:
    """Appendix A.1: an LSTM that reads the support by attention at each of its steps."""
    h, c, r = torch.zeros_like(z), torch.zeros_like(z), torch.zeros_like(z)
    for _ in range(steps):
        h, c = lstm(weights, "query_cell", torch.cat([z, h, r]), c)
        h = h + z
        a = softmax([(h * gi).sum() for gi in g])
        r = sum((ai * gi for ai, gi in zip(a, g, strict=True)), torch.zeros_like(z))
    return h


def probabilities(
    f: Tensor, g: list[Tensor], classes: list[int], way: int, scale: Tensor
) -> Tensor:
    """Equation 1: the labels of the support, weighted by attention."""
    a = softmax([scale * cosine(f, gi) for gi in g])
    p = [torch.zeros((), dtype=f.dtype)] * way
    for ai, n in zip(a, classes, strict=True):
        p[n] = p[n] + ai
    return torch.stack(p)


def task(
    weights: dict[str, Tensor],
    norm: str,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
    steps: int,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Log-probabilities, loss and meta-gradient, in train mode; no context where `steps` is 0."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    net = {name.removeprefix("net."): w for name, w in weights.items()}
    z, z_query = embed(net, norm, support[0], query[0])
    g, f = list(z), list(z_query)
    if steps:
        g = context_of_support(weights, g)
        f = [context_of_query(weights, each, g, steps) for each in f]
    scale = torch.exp(weights["log_scale"])
    rows = [torch.log(probabilities(each, g, support[1], way, scale)) for each in f]
    prediction = torch.stack(rows)
    loss = cross_entropy(prediction, query[1])
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return prediction.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
