"""Neural processes as the papers write them, without the latent path.

Garnelo et al. 2018, equations 1 to 4, and Kim et al. 2019, section 3; the embedding f is one linear
layer with ReLU.
"""

from __future__ import annotations

import math

import torch
from reference.attention import Weights, attention, linear, mlp, under
from torch import Tensor


def features(weights: Weights, x: Tensor) -> list[Tensor]:
    return [torch.clamp(linear(under(weights, "net.layers.0."), row), min=0) for row in x]


def mean(rows: list[Tensor]) -> Tensor:
    return sum(rows[1:], rows[0]) / len(rows)


def gaussians(
    weights: Weights, n_heads: int | None, x: Tensor, y: Tensor, asked: Tensor, min_std: float
) -> list[tuple[Tensor, Tensor]]:
    """Mean and standard deviation at each asked input; `n_heads` is None without attention."""
    f = features(weights, x)
    r = [mlp(under(weights, "h."), torch.cat([fi, yi])) for fi, yi in zip(f, y, strict=True)]
    found = []
    for q in features(weights, asked):
        if n_heads is None:
            told = mean(r)
        else:
            told = attention(under(weights, "attention."), n_heads, q, f, r)
        out = mlp(under(weights, "g."), torch.cat([q, told]))
        half = len(out) // 2
        sigma = min_std + (1 - min_std) * torch.log(1 + torch.exp(out[half:]))
        found.append((out[:half], sigma))
    return found


def regression(
    weights: Weights,
    n_heads: int | None,
    support: tuple[Tensor, Tensor],
    query: tuple[Tensor, Tensor],
    min_std: float,
) -> tuple[Tensor, Tensor, Weights]:
    """Means for the queries, loss over support and queries, and its gradient."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    asked = torch.cat([support[0], query[0]])
    targets = torch.cat([support[1], query[1]])
    found = gaussians(weights, n_heads, *support, asked, min_std)
    losses = []
    for (mu, sigma), y in zip(found, targets, strict=True):
        for m, s, t in zip(mu, sigma, y, strict=True):
            losses.append(0.5 * math.log(2 * math.pi) + torch.log(s) + (t - m) ** 2 / (2 * s**2))
    loss = sum(losses[1:], losses[0]) / len(targets)
    gradient = torch.autograd.grad(loss, list(weights.values()))
    prediction = torch.stack([mu for mu, _ in found[len(support[0]) :]])
    return prediction.detach(), loss.detach(), dict(zip(weights, gradient, strict=True))


def classification(
    weights: Weights,
    n_heads: int | None,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
) -> tuple[Tensor, Tensor, Weights]:
    """Logits for the queries, their cross-entropy, and its gradient."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    f = features(weights, support[0])
    r = [mlp(under(weights, "h."), fi) for fi in f]
    rows, losses = [], []
    for q, c in zip(features(weights, query[0]), query[1], strict=True):
        told = []
        for n in range(way):
            members = [i for i, label in enumerate(support[1]) if label == n]
            if n_heads is None:
                told.append(mean([r[i] for i in members]))
            else:
                told.append(
                    attention(
                        under(weights, "attention."),
                        n_heads,
                        q,
                        [f[i] for i in members],
                        [r[i] for i in members],
                    )
                )
        parts = [torch.cat([q, one, mean(told)]) for one in told]
        logits = torch.cat([mlp(under(weights, "g."), part) for part in parts])
        rows.append(logits)
        losses.append(torch.log(torch.exp(logits).sum()) - logits[c])
    loss = mean(losses)
    gradient = torch.autograd.grad(loss, list(weights.values()))
    return torch.stack(rows).detach(), loss.detach(), dict(zip(weights, gradient, strict=True))
