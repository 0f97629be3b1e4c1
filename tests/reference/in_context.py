"""A transformer over the support, one token at a time; the embedding f is one layer with ReLU."""

from __future__ import annotations

import math

import torch
from reference.attention import Weights, block, layer_norm, linear, under
from torch import Tensor


def tokens(weights: Weights, x: Tensor) -> list[Tensor]:
    z = [torch.clamp(linear(under(weights, "net.layers.0."), row), min=0) for row in x]
    return [linear(under(weights, "project."), zi) for zi in z]


def passes(
    weights: Weights,
    n_layers: int,
    n_heads: int,
    s: list[Tensor],
    asked: Tensor,
    classes: list[int] | None,
) -> tuple[list[Tensor], list[Tensor]]:
    """The last tokens of support and queries, normalised."""
    t = [token + weights["asked"] for token in tokens(weights, asked)]
    zero = torch.zeros((), dtype=asked.dtype)
    for layer in range(n_layers):
        part = under(weights, f"blocks.{layer}.")
        t = [block(part, n_heads, token, s) for token in t]
        after = []
        for i, token in enumerate(s):
            bias = None
            if classes is not None:
                bias = [
                    [weights["same_class"][layer, h] if classes[i] == c else zero for c in classes]
                    for h in range(n_heads)
                ]
            after.append(block(part, n_heads, token, s, bias))
        s = after
    norm = under(weights, "norm.")
    return [layer_norm(norm, token) for token in s], [layer_norm(norm, token) for token in t]


def classification(
    weights: Weights,
    n_layers: int,
    n_heads: int,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
) -> tuple[Tensor, Tensor, Weights]:
    """Logits for the queries, their cross-entropy, and its gradient."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    s = tokens(weights, support[0])
    s, t = passes(weights, n_layers, n_heads, s, query[0], support[1])
    centres = []
    for n in range(way):
        members = [token for token, label in zip(s, support[1], strict=True) if label == n]
        centres.append(sum(members[1:], members[0]) / len(members))
    rows, losses = [], []
    for token, c in zip(t, query[1], strict=True):
        logits = torch.stack([(token * centre).sum() / math.sqrt(len(token)) for centre in centres])
        rows.append(logits)
        losses.append(torch.log(torch.exp(logits).sum()) - logits[c])
    loss = sum(losses[1:], losses[0]) / len(losses)
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return torch.stack(rows).detach(), loss.detach(), dict(zip(weights, gradient, strict=True))


def regression(
    weights: Weights,
    n_layers: int,
    n_heads: int,
    support: tuple[Tensor, Tensor],
    query: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, Weights]:
    """Values for the queries, their mean squared error, and its gradient."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    s = [
        token + linear(under(weights, "label."), y)
        for token, y in zip(tokens(weights, support[0]), support[1], strict=True)
    ]
    _, t = passes(weights, n_layers, n_heads, s, query[0], None)
    values = torch.stack([linear(under(weights, "read_out."), token) for token in t])
    loss = ((values - query[1]) ** 2).sum() / values.numel()
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return values.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
