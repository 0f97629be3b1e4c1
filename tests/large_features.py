"""Meta-trains a head on features that memory has no room for; run as a program, in a limit.

    python large_features.py N ROOM

gives the features of N contents, of 384 numbers each, to `PrototypicalNetwork` for 300 steps, in a
process that may have ROOM bytes of memory more than after its start. It prints JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
import torch
from fake_encoder import FakeEncoder, digests

from quickstudy import Training, build, evaluate
from quickstudy.files.machine import growth, resident
from quickstudy.files.stored_rows import StoredRows
from quickstudy.tasks import Dataset, Episodes
from quickstudy.tasks.arrays import class_pools
from quickstudy.training.loop import train

STEPS = 300
N_FEATURES = 384


def data_bytes() -> int:
    """Bytes of data segments of this process, which RLIMIT_DATA limits."""
    with open("/proc/self/status", encoding="utf-8") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmData"))


def tasks(n: int) -> Episodes:
    """Episodes of 100 classes of features."""
    encoder, every = FakeEncoder(n_features=N_FEATURES), digests(n)
    x = encoder.features(every)
    assert isinstance(x, StoredRows), "they fit into memory"
    labels = [f"class {each[0] % 100:02}" for each in every]
    names = sorted({*labels})
    marks = np.arange(n, dtype=np.uint64)
    splits = {"train": names[:60], "valid": names[60:80], "test": names[80:]}
    data = Dataset("features", class_pools(x, labels, splits, marks))  # type: ignore[arg-type]
    return Episodes(data, n_way=5, n_shot=1, n_query=5)


def work(n: int, about: dict[str, float]) -> None:
    """Trains and evaluates, and notes what came of it."""
    began = time.process_time()
    source = tasks(n)
    about["filling"] = time.process_time() - began
    began = time.process_time()
    learner = build({"name": "PrototypicalNetwork"}, source, net={"name": "Adapter"})
    steps = Training(steps=STEPS, valid_every=STEPS, valid_tasks=20)
    about["steps"] = train(learner, source, steps, show=False).step
    about["training"] = time.process_time() - began
    about["accuracy"] = evaluate(learner, source, n_tasks=50, with_baselines=True)["accuracy"]


if __name__ == "__main__":
    n, room = int(sys.argv[1]), int(float(sys.argv[2]))
    torch.set_num_threads(1)
    limit = data_bytes() + room
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    about: dict[str, float] = {"features": n * N_FEATURES * 4}
    grown = growth(lambda: work(n, about), torch.device("cpu"))
    print(json.dumps({**about, "growth": grown, "resident": resident()}))
