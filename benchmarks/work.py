"""The work that is timed: what every library is asked to do, and on which numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

Batch = list[tuple[Tensor, Tensor, Tensor, Tensor]]
"""Of each task: support inputs and targets, query inputs and targets."""


@dataclass(frozen=True)
class Work:
    """One row of the results.

    Attributes:
        name: What the row is called.
        kind: `"maml"` and `"anil"`: the meta-gradient of a meta-batch, given as tensors;
            `"episode"`: that of a prototypical network; `"train"`: an outer step of one, its
            sampling and the optimizer included; `"sample"`: tasks as tensors; `"answer"`: one
            prediction after adapting, beside the bare network on the same pictures.
        net: `"conv"` for Conv-4 with 64 channels, max-pooling and transductive batch norm on
            pictures of 28 pixels; `"mlp"` for two layers of 40 on sinusoids.
        n_tasks: Tasks of a step.
        steps: Inner steps.
        first_order: Whether the inner gradients are constants to the outer one.
        ways, shots, queries: The tasks.
        decoded: Whether the others read each picture from a PNG of 105 pixels when they need it, as
            their own Omniglot does, rather than from tensors in memory.
        contenders: Who takes part; the first is what the others are compared with.
        bar: The least ratio of tasks a second, quickstudy's to the first contender's.
    """

    name: str
    kind: Literal["maml", "anil", "episode", "train", "sample", "answer"]
    contenders: tuple[str, ...]
    net: Literal["conv", "mlp"] = "conv"
    n_tasks: int = 1
    steps: int = 5
    first_order: bool = False
    ways: int = 5
    shots: int = 1
    queries: int = 15
    decoded: bool = False
    bar: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


MAML = ("learn2learn", "quickstudy", "quickstudy checkpoint", "higher")
BF16 = "quickstudy bf16"
FLOOR = "bare convolutions"
MORE = ("torchopt", "parallel-metalearn")
WORK = [
    *(
        Work(f"MAML, Conv-4, meta-batch {n}", "maml", who, n_tasks=n, bar=bar)
        for n, who, bar in (
            (1, MAML, 1.0),
            (4, MAML, None),
            (16, (*MAML, BF16, *MORE, FLOOR), 1.6),
            (32, MAML, None),
        )
    ),
    Work(
        "first-order MAML, Conv-4, meta-batch 16",
        "maml",
        ("learn2learn", "quickstudy"),
        n_tasks=16,
        first_order=True,
    ),
    *(
        Work(
            f"MAML, sinusoids, {n} task(s), {steps} step(s)",
            "maml",
            ("learn2learn", "quickstudy", "quickstudy compiled", "higher", *MORE),
            net="mlp",
            n_tasks=n,
            steps=steps,
            shots=10,
            queries=10,
            bar=1.0 if n == 1 else 7.0,
        )
        for n, steps in ((1, 1), (25, 1), (25, 5))
    ),
    Work("ANIL, Conv-4, meta-batch 16", "anil", ("learn2learn", "quickstudy"), n_tasks=16, bar=3.0),
    Work(
        "ProtoNet episode, 60-way 5-shot",
        "episode",
        ("learn2learn", "quickstudy", BF16, "easyfsl"),
        ways=60,
        shots=5,
        queries=5,
    ),
    *(
        Work(
            f"ProtoNet end to end, 20-way 1-shot, {pictures}",
            "train",
            ("learn2learn", "quickstudy", "easyfsl"),
            ways=20,
            queries=5,
            decoded=decoded,
            bar=2.0 if decoded else None,
        )
        for decoded, pictures in ((True, "from PNG"), (False, "in memory"))
    ),
    *(
        Work(
            f"sampling 5-way 1-shot tasks, {pictures}",
            "sample",
            ("learn2learn", "quickstudy", "easyfsl", "torchmeta"),
            decoded=decoded,
            bar=50.0 if decoded else None,
        )
        for decoded, pictures in ((True, "from PNG"), (False, "in memory"))
    ),
    Work(
        "ProtoNet, 5-way 5-shot, one query",
        "answer",
        ("bare network", "quickstudy"),
        shots=5,
        bar=0.87,
    ),
]
MEMORY = [
    Work(f"MAML, Conv-4, {steps} inner steps", "maml", (*MAML[:3], FLOOR), n_tasks=2, steps=steps)
    for steps in (1, 5, 10, 50, 100)
]
LR = {"conv": 0.4, "mlp": 0.01}
N_CLASSES, PER_CLASS = 200, 20


def network(net: str) -> nn.Sequential:
    """As it is written in plain torch: convolution, batch norm, ReLU and pooling, four times."""
    torch.manual_seed(0)
    if net == "mlp":
        return nn.Sequential(
            nn.Linear(1, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)
        )
    return nn.Sequential(body(), nn.Linear(64, 5))


def body() -> nn.Sequential:
    """The Conv-4 of `network` without its last layer."""
    torch.manual_seed(0)
    blocks: list[nn.Module] = []
    for c_in in (1, 64, 64, 64):
        norm = nn.BatchNorm2d(64, track_running_stats=False)
        blocks += [nn.Conv2d(c_in, 64, 3, padding=1), norm, nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*blocks, nn.Flatten())


def tasks(work: Work) -> Batch:
    """The tasks of a step, in float32."""
    rng = torch.Generator().manual_seed(1)
    found = []
    for _ in range(work.n_tasks):
        if work.net == "mlp":
            x = torch.rand(work.shots + work.queries, 1, generator=rng) * 10 - 5
            y = 3 * torch.sin(x + 1)
            found.append((x[: work.shots], y[: work.shots], x[work.shots :], y[work.shots :]))
            continue
        # Noise around a picture of each class, so that there is something to learn.
        centres = torch.rand(work.ways, 1, 1, 28, 28, generator=rng)
        n = work.shots + work.queries
        x = 0.5 * centres + 0.5 * torch.rand(work.ways, n, 1, 28, 28, generator=rng)
        y = torch.arange(work.ways)
        found.append(
            (
                x[:, : work.shots].flatten(0, 1),
                y.repeat_interleave(work.shots),
                x[:, work.shots :].flatten(0, 1),
                y.repeat_interleave(work.queries),
            )
        )
    return found


def drawings() -> tuple[np.ndarray, np.ndarray]:
    """Random pictures `(n, 1, 28, 28)` in uint8 with the shape of a data set, and their classes."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (N_CLASSES * PER_CLASS, 1, 28, 28), dtype=np.uint8)
    return x, np.repeat(np.arange(N_CLASSES), PER_CLASS)
