"""MANN as the paper writes it: Santoro et al. 2016, section 3, one number of the memory at a time.

One head reads and writes as in the paper; of several, head j has the j-th least used row.
"""

from __future__ import annotations

from typing import Any

import torch
from reference.networks import cross_entropy, embed
from torch import Tensor

Weights = dict[str, Tensor]
GAMMA = 0.99


def dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum()


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def controller(weights: Weights, read: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """An LSTM: input, forget and output gate, candidate."""
    gates = weights["controller.gates.weight"] @ read + weights["controller.gates.bias"]
    i, f, o, u = (gates[n * len(c) : (n + 1) * len(c)] for n in range(4))
    c = sigmoid(f) * c + sigmoid(i) * torch.tanh(u)
    return sigmoid(o) * torch.tanh(c), c


def look_up(M: list[Tensor], k: Tensor) -> tuple[list[Tensor], Tensor]:
    """Equations 2 to 4: cosines, their softmax, and the rows weighted by it."""
    powers = []
    for row in M:
        length = torch.sqrt(dot(k, k)) * torch.sqrt(dot(row, row)) + 1e-8
        powers.append(torch.exp(dot(k, row) / length))
    w_r = [p / sum(powers) for p in powers]
    return w_r, sum((w * row for w, row in zip(w_r, M, strict=True)), torch.zeros_like(k))


def blank(weights: Weights, rows: int, columns: int, heads: int, n_out: int) -> dict[str, Any]:
    zeros = torch.zeros(rows, dtype=torch.float64)
    hidden = weights["heads.weight"].shape[1]
    return {
        "h": zeros.new_zeros(hidden),
        "c": zeros.new_zeros(hidden),
        "M": [zeros.new_full((columns,), 1e-6) for _ in range(rows)],
        "w_u": [0.0] * rows,
        "w_r": [[zeros[0]] * rows for _ in range(heads)],
        "r": [zeros.new_zeros(columns) for _ in range(heads)],
        "y": zeros.new_zeros(n_out),
    }


def step(weights: Weights, before: dict[str, Any], z: Tensor, y: Tensor) -> dict[str, Any]:
    """One example; `least` is the row that each head takes for least used."""
    M, heads, columns = before["M"], len(before["r"]), len(before["M"][0])
    known = torch.cat([z, before["y"], *before["r"], before["h"]])
    h, c = controller(weights, known, before["c"])
    keys, gates, w_r, r = [], [], [], []
    for j in range(heads):
        first = j * (columns + 1)
        raw = [
            dot(weights["heads.weight"][n], h) + weights["heads.bias"][n]
            for n in range(first, first + columns + 1)
        ]
        keys.append(torch.tanh(torch.stack(raw[:-1])))
        gates.append(sigmoid(raw[-1]))
        weighting, vector = look_up(M, keys[j])  # of the memory before it is written
        w_r.append(weighting)
        r.append(vector)
    # Equations 5 to 8.
    usage = before["w_u"]
    least = sorted(range(len(M)), key=lambda row: usage[row])[:heads]
    after, w_u = [], []
    for row in range(len(M)):
        new = torch.zeros_like(M[row]) if row in least else M[row]
        used = GAMMA * usage[row]
        for j in range(heads):
            lu = 1.0 if least[j] == row else 0.0
            w_w = gates[j] * before["w_r"][j][row] + (1 - gates[j]) * lu
            new = new + w_w * keys[j]
            used = used + w_r[j][row].item() + w_w.item()
        after.append(new)
        w_u.append(used)
    return {"h": h, "c": c, "M": after, "w_u": w_u, "w_r": w_r, "r": r, "y": y, "least": least}


def output(weights: Weights, now: dict[str, Any]) -> Tensor:
    return weights["out.weight"] @ torch.cat([now["h"], *now["r"]]) + weights["out.bias"]


def task(
    weights: Weights,
    norm: str,
    support: tuple[Tensor, list[int]],
    query: tuple[Tensor, list[int]],
    way: int,
    rows: int,
    columns: int,
    heads: int,
) -> tuple[Tensor, Tensor, Weights]:
    """Predictions for the queries, each alone after the support; the loss, over all steps of one
    sequence, and its gradient."""
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    net = {name.removeprefix("net."): w for name, w in weights.items()}
    z, z_query = embed(net, norm, support[0], query[0])
    onehot = torch.eye(way, dtype=z.dtype)
    now, outputs = blank(weights, rows, columns, heads, way), []
    for zi, label in zip(z, support[1], strict=True):
        now = step(weights, now, zi, onehot[label])
        outputs.append(output(weights, now))
    alone = [output(weights, step(weights, now, zi, onehot[0])) for zi in z_query]
    for zi, label in zip(z_query, query[1], strict=True):
        now = step(weights, now, zi, onehot[label])
        outputs.append(output(weights, now))
    loss = cross_entropy(torch.stack(outputs), [*support[1], *query[1]])
    gradient = torch.autograd.grad(loss, list(weights.values()))
    prediction = torch.stack(alone).detach()
    return prediction, loss.detach(), dict(zip(weights, gradient, strict=True))
