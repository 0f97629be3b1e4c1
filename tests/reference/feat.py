"""FEAT as the paper writes it, with a transformer of one layer: Ye et al. 2020."""

from __future__ import annotations

import math

import torch
from reference.networks import EPS, cross_entropy, embed
from torch import Tensor


def attention(weights: dict[str, Tensor], vectors: list[Tensor], heads: int) -> list[Tensor]:
    """What each vector reads of all of them: each head alone, one query at a time."""
    q, k, v = (
        [weights[f"attention.{name}.weight"] @ c for c in vectors]
        for name in ("query", "key", "value")
    )
    d = len(vectors[0]) // heads
    read = []
    for n in range(len(vectors)):
        parts = []
        for head in range(heads):
            own = slice(head * d, (head + 1) * d)
            powers = [torch.exp((q[n][own] * each[own]).sum() / math.sqrt(d)) for each in k]
            shares = [p / sum(powers) for p in powers]
            terms = [share * each[own] for share, each in zip(shares, v, strict=True)]
            parts.append(torch.stack(terms).sum(dim=0))
        read.append(weights["attention.out.weight"] @ torch.cat(parts))
        read[-1] = read[-1] + weights["attention.out.bias"]
    return read


def adapted(weights: dict[str, Tensor], vectors: list[Tensor], heads: int) -> list[Tensor]:
    """The set-to-set function T: attention, residual and layer normalisation."""
    results = []
    for c, read in zip(vectors, attention(weights, vectors, heads), strict=True):
        z = c + read
        mean = z.sum() / len(z)
        variance = ((z - mean) ** 2).sum() / len(z)
        normed = (z - mean) / torch.sqrt(variance + EPS)
        results.append(normed * weights["norm.scale"] + weights["norm.shift"])
    return results


def mean(vectors: list[Tensor]) -> Tensor:
    return sum(vectors[1:], vectors[0]) / len(vectors)


def of_class(z: Tensor, classes: list[int], n: int) -> list[Tensor]:
    return [zi for zi, c in zip(z, classes, strict=True) if c == n]


def logits(z: Tensor, centres: list[Tensor], temperature: float) -> Tensor:
    rows = [torch.stack([-((zi - c) ** 2).sum() / temperature for c in centres]) for zi in z]
    return torch.stack(rows)


def task(
    weights: dict[str, Tensor],
    norm: str,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
    temperature: float,
    balance: float,
    heads: int,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Predictions, loss with the contrastive term, and meta-gradient of one task, in train mode."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    net = {name.removeprefix("net."): w for name, w in weights.items()}
    z, z_query = embed(net, norm, support[0], query[0])
    prototypes = [mean(of_class(z, support[1], n)) for n in range(way)]
    prediction = logits(z_query, adapted(weights, prototypes, heads), temperature)
    everything, classes = torch.cat([z, z_query]), support[1] + query[1]
    centres = [mean(adapted(weights, of_class(everything, classes, n), heads)) for n in range(way)]
    contrast = cross_entropy(logits(everything, centres, temperature), classes)
    loss = cross_entropy(prediction, query[1]) + balance * contrast
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return prediction.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
