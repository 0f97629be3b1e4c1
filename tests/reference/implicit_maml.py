"""Implicit MAML as the paper writes it: Rajeswaran et al. 2019, with whole matrices and loops."""

from __future__ import annotations

import torch
from reference.networks import cross_entropy
from torch import Tensor

Weights = dict[str, Tensor]
Labelled = tuple[Tensor, list[int]]


def logits(phi: Weights, x: Tensor) -> Tensor:
    """A network of one hidden layer: "first", tanh, "last", all times "gain"."""
    hidden = torch.tanh(x @ phi["first.weight"].T + phi["first.bias"])
    return phi["gain"] * (hidden @ phi["last.weight"].T + phi["last.bias"])


def loss(phi: Weights, part: Labelled) -> Tensor:
    return cross_entropy(logits(phi, part[0]), part[1])


def adapt(theta: Weights, support: Labelled, lam: float, lr: float, steps: int) -> Weights:
    """Gradient descent on the support loss and lam / 2 times the squared way from theta."""
    phi = {name: w.clone().requires_grad_() for name, w in theta.items()}
    for _ in range(steps):
        value = loss(phi, support)
        for name, w in phi.items():
            value = value + lam / 2 * ((w - theta[name]) ** 2).sum()
        slopes = torch.autograd.grad(value, list(phi.values()))
        phi = {
            name: (w - lr * g).detach().requires_grad_()
            for (name, w), g in zip(phi.items(), slopes, strict=True)
        }
    return phi


def hessian(phi: Weights, support: Labelled) -> Tensor:
    """All second derivatives of the support loss, one row at a time."""
    weights = list(phi.values())
    slopes = torch.autograd.grad(loss(phi, support), weights, create_graph=True)
    rows = []
    for slope in torch.cat([g.reshape(-1) for g in slopes]):
        row = torch.autograd.grad(slope, weights, retain_graph=True, materialize_grads=True)
        rows.append(torch.cat([r.reshape(-1) for r in row]))
    return torch.stack(rows)


def conjugate_gradient(a: Tensor, b: Tensor, x: Tensor, steps: int) -> Tensor:
    """The textbook's algorithm for a matrix."""
    r = b - a @ x
    p = r
    for _ in range(steps):
        step = (r @ r) / (p @ a @ p)
        x = x + step * p
        following = r - step * (a @ p)
        p = following + (following @ following) / (r @ r) * p
        r = following
    return x


def task(
    weights: Weights,
    support: Labelled,
    query: Labelled,
    lam: float,
    lr: float,
    steps: int,
    cg_steps: int | None,
    damping: float,
) -> tuple[Tensor, Tensor, Weights]:
    """Predictions, loss and meta-gradient; without cg_steps, the system is solved outright."""
    theta = {name.removeprefix("net."): w for name, w in weights.items()}
    phi = adapt(theta, support, lam, lr, steps)
    value = loss(phi, query)
    slopes = torch.autograd.grad(value, list(phi.values()))
    b = torch.cat([g.reshape(-1) for g in slopes])
    a = (1 + damping) * torch.eye(len(b), dtype=b.dtype) + hessian(phi, support) / lam
    if cg_steps is None:
        g = torch.linalg.solve(a, b)
    else:
        g = conjugate_gradient(a, b, b / (1 + damping), cg_steps)
    gradient, at = {}, 0
    for name, w in theta.items():
        gradient[f"net.{name}"] = g[at : at + w.numel()].view(w.shape)
        at += w.numel()
    return logits(phi, query[0]).detach(), value.detach(), gradient
