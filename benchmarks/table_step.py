"""Seconds of a training step of `TableInContext`, beside a plain network of nanoTabPFN's kind.

    python benchmarks/table_step.py --out benchmarks/table-step.json

The plain network is written from the description in Pfefferle et al.: nanoTabPFN, 2025: a token of
96 numbers a cell, three layers of attention along the row and along the column, four heads, an MLP
of 192, and the token of the target read out; all tables of a step are one batch. Both take the
gradient of the same tables, taking turns, on one thread; seconds are of the CPU, the median of some
rounds. Sizes are those of nanoTabPFN's small setting and some larger ones.
"""

from __future__ import annotations

import argparse
import json
import shlex
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.batching.batch import meta_gradient
from quickstudy.files.machine import machine
from quickstudy.learners import TableInContext
from quickstudy.task import Task, examples, stack

SIZES = ((100, 50, 5), (150, 50, 10), (300, 100, 20))
"""Support rows, query rows and columns."""
N_TABLES = 16


class Layer(nn.Module):
    """Attention along the row, then along the column, where queries see the support alone."""

    def __init__(self, width: int, n_heads: int, hidden: int) -> None:
        super().__init__()
        self.along_row = nn.MultiheadAttention(width, n_heads, batch_first=True)
        self.along_column = nn.MultiheadAttention(width, n_heads, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, n_support: int) -> Tensor:
        tables, rows, columns, width = x.shape
        flat = x.reshape(tables * rows, columns, width)
        x = self.norms[0](flat + self.along_row(flat, flat, flat, need_weights=False)[0])
        x = x.reshape(tables, rows, columns, width).transpose(1, 2).flatten(0, 1)
        known = x[:, :n_support]
        x = self.norms[1](x + self.along_column(x, known, known, need_weights=False)[0])
        x = self.norms[2](x + self.mlp(x))
        return x.reshape(tables, columns, rows, width).transpose(1, 2)


class Plain(nn.Module):
    """Cells as tokens, with a column for the target."""

    def __init__(
        self, width: int = 96, n_heads: int = 4, hidden: int = 192, layers: int = 3
    ) -> None:
        super().__init__()
        self.cell, self.target = nn.Linear(1, width), nn.Linear(1, width)
        self.layers = nn.ModuleList(Layer(width, n_heads, hidden) for _ in range(layers))
        self.read_out = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, support_x: Tensor, y: Tensor, query_x: Tensor) -> Tensor:
        mean, std = support_x.mean(dim=1, keepdim=True), support_x.std(dim=1, keepdim=True) + 1e-6
        x = torch.cat([support_x, query_x], dim=1)
        cells = self.cell(((x - mean) / std).clamp(-100, 100)[..., None])
        unknown = y.mean(dim=1, keepdim=True).expand(-1, query_x.shape[1])
        target = self.target(torch.cat([y, unknown], dim=1)[..., None])
        tokens = torch.cat([cells, target[:, :, None]], dim=2)
        for layer in self.layers:
            tokens = layer(tokens, support_x.shape[1])
        out: Tensor = self.read_out(tokens[:, support_x.shape[1] :, -1])[..., 0]
        return out


def step_of_plain(net: Plain, tasks: Task) -> None:
    logits = net(tasks.support.x, tasks.support.y[..., 1], tasks.query.x)
    loss = F.binary_cross_entropy_with_logits(logits, tasks.query.y[..., 1])
    torch.autograd.grad(loss, list(net.parameters()))


def tables(n_support: int, n_query: int, n_columns: int) -> Task:
    """A meta-batch of noise."""
    rng = torch.Generator().manual_seed(0)

    def part(n: int) -> Any:
        x = torch.randn(n, n_columns, generator=rng)
        return examples(x, torch.arange(n) % 2, 2)

    return stack([Task(part(n_support), part(n_query)) for _ in range(N_TABLES)])


def seconds(work: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The median CPU seconds of each, taking turns."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, run in work.items():
            started = time.process_time()
            run()
            taken[name].append(time.process_time() - started)
    # The first round warms up.
    return {name: round(statistics.median(each[1:]), 4) for name, each in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ours, plain = TableInContext(), Plain()
    steps: dict[str, Any] = {}
    for size in SIZES:
        tasks = tables(*size)
        work: dict[str, Callable[[], object]] = {
            "TableInContext": partial(meta_gradient, ours, tasks, "vmap", 4),
            "plain": partial(step_of_plain, plain, tasks),
        }
        name = "{}+{} rows, {} columns".format(*size)
        steps[name] = seconds(work, options.rounds)
        print(name, steps[name], flush=True)
    result = {
        "tables a step": N_TABLES,
        "parameters": {
            type(net).__name__: sum(p.numel() for p in net.parameters()) for net in (ours, plain)
        },
        "CPU seconds": steps,
        "command": shlex.join(["python", "benchmarks/table_step.py", *sys.argv[1:]]),
        "date": datetime.now(UTC).date().isoformat(),
        **machine(),
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
