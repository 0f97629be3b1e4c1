"""MAML on Conv-4 by several processes, under torchrun; answers with one line of JSON.

python -m torch.distributed.run --standalone --nproc-per-node 2 benchmarks/scaling.py
"""

from __future__ import annotations

import json
import statistics
import time

import torch
import torch.distributed as dist
from ours import net_for, source
from work import LR, Work

from quickstudy.batching import batch
from quickstudy.batching.record import Recorder
from quickstudy.files.machine import keep_memory
from quickstudy.learners import MAML
from quickstudy.training.outer import outer_step

TASKS, STEPS = 16, 5


def seconds(work: object, rounds: int) -> float:
    """Median seconds of a piece of work that all processes begin together."""
    taken = []
    for _ in range(rounds):
        dist.barrier()
        started = time.perf_counter()
        work()  # type: ignore[operator]
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    dist.init_process_group("gloo")
    keep_memory()
    work = Work("scaling", "maml", (), n_tasks=TASKS, steps=STEPS)
    learner = MAML(net_for(work), inner_lr=LR["conv"], inner_steps=STEPS).train()
    batch.to_channels_last(learner, "auto")
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.0)
    episodes, recorder = source(work), Recorder(learner, after=0.0)

    def step() -> None:
        outer_step(learner, optimizer, episodes, "train", range(TASKS), recorder=recorder)

    for _ in range(3):
        step()
    n = sum(p.numel() for p in learner.parameters())
    sums = torch.zeros(2 + n, dtype=torch.float64)
    found = {
        "processes": dist.get_world_size(),
        "threads": torch.get_num_threads(),
        "tasks": TASKS,
        "step": seconds(step, 5),
        "all_reduce": seconds(lambda: dist.all_reduce(sums), 20),
        "bytes": sums.nbytes,
    }
    if dist.get_rank() == 0:
        print(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
