"""Attention and transformer blocks by hand, one query, one key and one head at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def under(weights: Weights, prefix: str) -> Weights:
    """The weights of a part, by their names inside it."""
    return {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}


def linear(weights: Weights, x: Tensor) -> Tensor:
    """One row."""
    out = torch.stack([(row * x).sum() for row in weights["weight"]])
    return out + weights["bias"] if "bias" in weights else out


def mlp(weights: Weights, x: Tensor) -> Tensor:
    """Linear layers "0", "2", "4", ... of one row, with ReLU between them."""
    numbers = sorted({int(name.split(".")[0]) for name in weights})
    for number in numbers:
        x = linear(under(weights, f"{number}."), x)
        if number != numbers[-1]:
            x = torch.clamp(x, min=0)
    return x


def layer_norm(weights: Weights, x: Tensor) -> Tensor:
    """One row."""
    mean = x.sum() / len(x)
    variance = ((x - mean) ** 2).sum() / len(x)
    return (x - mean) / torch.sqrt(variance + 1e-5) * weights["scale"] + weights["shift"]


def softmax(scores: list[Tensor]) -> list[Tensor]:
    top = max(float(s.detach()) for s in scores)
    powers = [torch.exp(s - top) for s in scores]
    total = sum(powers[1:], powers[0])
    return [p / total for p in powers]


def attention(
    weights: Weights,
    n_heads: int,
    query: Tensor,
    compared: list[Tensor],
    read: list[Tensor],
    bias: list[list[Tensor]] | None = None,
) -> Tensor:
    """What one query reads; `bias` has a row for each head."""
    width = len(weights["query.weight"])
    d = width // n_heads
    heads = []
    for h in range(n_heads):
        part = slice(h * d, (h + 1) * d)
        q = weights["query.weight"][part] @ query
        scores = []
        for i, c in enumerate(compared):
            score = (q * (weights["key.weight"][part] @ c)).sum() / math.sqrt(d)
            scores.append(score if bias is None else score + bias[h][i])
        shares = softmax(scores)
        value = weights["value.weight"][part]
        values = [a * (value @ r) for a, r in zip(shares, read, strict=True)]
        heads.append(sum(values[1:], values[0]))
    return linear(under(weights, "out."), torch.cat(heads))


def block(
    weights: Weights,
    n_heads: int,
    x: Tensor,
    context: list[Tensor],
    bias: list[list[Tensor]] | None = None,
) -> Tensor:
    """One token after a block."""
    norm = under(weights, "norm_attention.")
    seen = [layer_norm(norm, c) for c in context]
    x = x + attention(under(weights, "attention."), n_heads, layer_norm(norm, x), seen, seen, bias)
    z = linear(under(weights, "mlp.0."), layer_norm(under(weights, "norm_mlp."), x))
    z = 0.5 * z * (1 + torch.erf(z / math.sqrt(2)))
    return x + linear(under(weights, "mlp.2."), z)
