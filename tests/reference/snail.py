"""SNAIL as the paper writes it: Mishra et al. 2018, section 3, one step of a sequence at a time."""

from __future__ import annotations

import math

import torch
from reference.networks import cross_entropy, embed
from torch import Tensor

Weights = dict[str, Tensor]


def linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]


def attention_block(weights: Weights, name: str, x: list[Tensor]) -> list[Tensor]:
    """AttentionBlock(K, V): keys, queries, values, a causal softmax, and the result appended."""
    out = []
    for t in range(len(x)):
        q = linear(weights, f"{name}.query", x[t])
        powers, values = [], []
        for s in range(t + 1):
            k = linear(weights, f"{name}.key", x[s])
            powers.append(torch.exp((q * k).sum() / math.sqrt(len(k))))
            values.append(linear(weights, f"{name}.value", x[s]))
        read = sum(p * v for p, v in zip(powers, values, strict=True)) / sum(powers)
        out.append(torch.cat([x[t], read]))  # type: ignore[list-item]
    return out


def dense_block(weights: Weights, name: str, x: list[Tensor], rate: int) -> list[Tensor]:
    """DenseBlock(R, D): a causal convolution of kernel 2, gated, and the result appended."""
    matrix, bias = weights[f"{name}.taps.weight"], weights[f"{name}.taps.bias"]
    filters, channels = len(bias) // 2, len(x[0])
    out = []
    for t in range(len(x)):
        sums = matrix[:, :channels] @ x[t] + bias
        if t - rate >= 0:
            sums = sums + matrix[:, channels:] @ x[t - rate]
        gated = [torch.tanh(sums[d]) / (1 + torch.exp(-sums[filters + d])) for d in range(filters)]
        out.append(torch.cat([x[t], torch.stack(gated)]))
    return out


def last_output(weights: Weights, x: list[Tensor], n_attentions: int, length: int) -> Tensor:
    """The output at the last step of a sequence; TCBlock(T, D) is ceil(log2 T) DenseBlocks."""
    number = 0
    for n in range(n_attentions):
        i = 0
        while n > 0 and 2**i < length:
            x = dense_block(weights, f"layers.{number}", x, 2**i)
            number, i = number + 1, i + 1
        x = attention_block(weights, f"layers.{number}", x)
        number += 1
    return linear(weights, "out", x[-1])


def answers(
    weights: Weights,
    z: Tensor,
    y: list[Tensor],
    z_query: Tensor,
    n_attentions: int,
    length: int,
) -> Tensor:
    """Each query at the end of a sequence of its own, with zeros in place of its target."""
    before = [torch.cat([zi, yi]) for zi, yi in zip(z, y, strict=True)]
    rows = []
    for each in z_query:
        asked = torch.cat([each, torch.zeros_like(y[0])])
        rows.append(last_output(weights, [*before, asked], n_attentions, length))
    return torch.stack(rows)


def task(
    weights: Weights,
    norm: str,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
    n_attentions: int,
    length: int,
) -> tuple[Tensor, Tensor, Weights]:
    """Predictions, loss and meta-gradient of one task, in train mode."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    net = {name.removeprefix("net."): w for name, w in weights.items()}
    z, z_query = embed(net, norm, support[0], query[0])
    y = [torch.eye(way, dtype=z.dtype)[label] for label in support[1]]
    prediction = answers(weights, z, y, z_query, n_attentions, length)
    loss = cross_entropy(prediction, query[1])
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return prediction.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
