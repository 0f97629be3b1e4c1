"""Small learners, tasks and runs: all of them train in well under a second."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from quickstudy import Training, build
from quickstudy.evaluation.scores import calibrate_population, score
from quickstudy.files.rundir import RunDirectory
from quickstudy.learner import AnyLearner
from quickstudy.nets import norm
from quickstudy.task import Kind, Task
from quickstudy.tasks import Episodes, Sinusoid, Split, TaskSource, arrays
from quickstudy.training.loop import train
from quickstudy.training.result import Result


def sinusoid() -> Sinusoid:
    return Sinusoid(n_shot=5, n_query=5)


def maml(source: TaskSource, **settings: Any) -> AnyLearner:
    spec = {"name": "MAML", "inner_lr": 0.01, "inner_steps": 1, **settings}
    return build(spec, source, net={"name": "MLP", "hidden": (8,)})


def blobs(n_way: int = 3, n_shot: int = 2, n_query: int = 5, noise: int = 0) -> Episodes:
    """Classes that differ in two coordinates; `noise` others say nothing and are wide."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(60, 2)).repeat(20, axis=0)
    informative = centres + 0.2 * rng.normal(size=centres.shape)
    X = np.concatenate([informative, 3 * rng.normal(size=(len(centres), noise))], axis=1)
    return Episodes(arrays(X, np.arange(60).repeat(20)), n_way, n_shot, n_query)


def prototypical(source: TaskSource, **net: Any) -> AnyLearner:
    return build("PrototypicalNetwork", source, net={"name": "MLP", "hidden": (8,), **net})


class Watched(TaskSource):
    """The tasks of another source; `change` sees each task, and may replace it."""

    def __init__(self, source: TaskSource, change: Callable[[Split, int, Task], Task]) -> None:
        self.source, self.change = source, change

    @property
    def kind(self) -> Kind:
        return self.source.kind

    @property
    def x_shape(self) -> tuple[int, ...]:
        return self.source.x_shape

    @property
    def n_out(self) -> int:
        return self.source.n_out

    @property
    def preprocess(self) -> Any:
        return self.source.preprocess

    @property
    def splits(self) -> tuple[Split, ...]:
        return self.source.splits

    def task(self, split: Split, index: int) -> Task:
        return self.change(split, index, self.source.task(split, index))

    def describe(self) -> dict[str, Any]:
        return self.source.describe()


def huge(task: Task) -> Task:
    """A task whose numbers are finite and whose loss is not."""
    return task._replace(query=task.query._replace(y=task.query.y + 1e30))


def quick(source: TaskSource, learner: AnyLearner, out: Path | None, **settings: Any) -> Result:
    """A silent training of few steps."""
    resume = settings.pop("resume", False)
    settings = {"steps": 6, "meta_batch": 2, "valid_every": 2, "valid_tasks": 3, **settings}
    return train(learner, source, Training(**settings), out, resume=resume, show=False)


def taught(learner: AnyLearner, source: TaskSource, steps: int) -> tuple[float, float]:
    """Mean accuracy on 100 new tasks before and after meta-training."""
    tasks = [source.task("test", index) for index in range(100)]
    calibrate_population(learner, source)
    before = score(learner, tasks).mean
    quick(source, learner, None, steps=steps, meta_batch=8, valid_every=steps, outer_lr=0.005)
    return before, score(learner, tasks).mean


def settled(learner: AnyLearner, tasks: Sequence[Task]) -> AnyLearner:
    """A float64 copy in eval mode, with norms calibrated on these tasks."""
    model = copy.deepcopy(learner).double().train()
    if "population" in norm.kinds(model):
        norm.calibrate(model, [partial(model, task) for task in tasks])
    return model.eval().requires_grad_(False)


def seal_of(out: Path) -> str:
    """sha256 of the weights of a run."""
    return str(RunDirectory(out).read()["files"]["weights"]["sha256"])


def resumable(out: Path) -> dict[str, Tensor]:
    """All tensors that a run goes on from."""
    return RunDirectory(out).load("resume")[0]


def parameters(learner: AnyLearner) -> Tensor:
    return torch.cat([p.detach().flatten() for p in learner.parameters()])


def draw_classes(folder: Path, n_classes: int, n_examples: int, size: int = 12) -> Path:
    """A folder of class folders: a line at an angle of its own for each class."""
    for c in range(n_classes):
        (folder / f"class{c:02d}").mkdir(parents=True)
        for i in range(n_examples):
            image = Image.new("L", (size, size), 255)
            angle, shift = np.pi * c / n_classes, (i % 3) - 1
            dx, dy = 0.4 * size * np.cos(angle), 0.4 * size * np.sin(angle)
            middle = size / 2 + shift
            ends = (middle - dx, middle - dy, middle + dx, middle + dy)
            ImageDraw.Draw(image).line(ends, fill=20 + i, width=2)
            image.save(folder / f"class{c:02d}" / f"{i}.png")
    return folder


def write_customers(path: Path, names: list[str], scale: float = 1.0, column: str = "y") -> Path:
    """A table in which each customer has eight rows of its own."""
    lines = [f"customer,size,{column}"]
    for name in names:
        values = scale * np.random.default_rng(list(name.encode())).normal(size=8)
        lines += [f"{name},{value:.4f},{'ab'[i % 2]}" for i, value in enumerate(values)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_tables(path: Path, names: list[str]) -> Path:
    """A folder of tables of twelve rows."""
    path.mkdir(exist_ok=True)
    for name in names:
        values = np.random.default_rng(list(name.encode())).normal(size=12)
        lines = [f"{value:.4f},{'ab'[i % 2]}" for i, value in enumerate(values)]
        (path / f"{name}.csv").write_text("\n".join(["size,target", *lines]) + "\n")
    return path
