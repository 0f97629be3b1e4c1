"""What users keep: runs, tasks, selectors. They are made here, and opened and asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from facts import JSON, run

import quickstudy as qs

SHORT = "--meta-batch 2 --valid-every 3 --valid-tasks 3"
RUNS = {
    "glyphs": "--tasks glyphs --net.hidden 8 --n-way 5 --n-shot 1 --n-query 3 --steps 3",
    "flowers": "--tasks table --tasks.path flowers.csv --tasks.target kind --n-way 2 --n-shot 2 "
    "--n-query 3 --net MLP --net.hidden [8] --steps 3",
    "sinusoid": "--learner MAML --tasks sinusoid --net MLP --net.hidden [8,8] --net.activation "
    "tanh --dtype float64 --steps 6",
    "generator": "--learner LearnerGenerator --tasks table_prior --tasks.n-support [16,20] "
    "--n-query 8 --learner.hidden 8 --learner.n-random 16 --learner.n-hidden 6 --steps 3",
}
PROTOCOL = "--protocol.n-splits 2 --protocol.max-splits 2 --protocol.folds 2 --folds 0"
SELECTOR = "selector/selector.safetensors"
WITHOUT_MODEL = "rows-without-model"


def random(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=key))


def write_table(path: Path, classes: int, each: int, column: str = "kind", key: int = 0) -> None:
    """Writes a CSV file of flowers that differ in length and colour; some cells are empty."""
    rng = random(key)
    lines = [f"length,width,colour,{column}"]
    for kind in range(classes):
        for _ in range(each):
            length = f"{kind + 2 * rng.normal():.3f}"
            width = "" if rng.random() < 0.1 else f"{rng.normal():.3f}"
            lines.append(f"{length},{width},{('red', 'blue')[kind % 2]},kind{kind:02d}")
    path.write_text("\n".join(lines) + "\n")


def rows(path: str) -> tuple[list[dict[str, str]], list[str]]:
    """The rows of a file, and their labels."""
    header, *lines = Path(path).read_text().splitlines()
    cells = [dict(zip(header.split(","), line.split(","), strict=True)) for line in lines]
    return cells, [row.pop(header.rsplit(",", 1)[1]) for row in cells]


def pictures(key: int, n: int = 3) -> Any:
    """Pictures `(3 n, 40, 36)` of a disc, a bar and a cross, a little moved, dark on light."""
    rng = random(key)
    down, right = np.mgrid[:40, :36]
    drawn = []
    for i in range(3 * n):
        a, b = 20 + rng.integers(-4, 5), 18 + rng.integers(-4, 5)
        near, bar = np.hypot(down - a, right - b) < 9, np.abs(down - a) < 3
        ink = (near, bar, bar | (np.abs(right - b) < 3))[i % 3]
        drawn.append(np.where(ink, 20, 250).astype(np.uint8))
    return np.stack(drawn)


def waves(key: int, n: int = 6) -> tuple[Any, Any]:
    x = random(key).uniform(-5, 5, size=(n, 1))
    return x, 2 * np.sin(x + 1)


def examples_of(name: str) -> tuple[str, Any, Any, Any]:
    """The run of a kept task, X and y that it learned from, and what it is asked."""
    if name == "pictures":
        return "glyphs", pictures(1), ["disc", "bar", "cross"] * 3, pictures(2)
    if name == "waves":
        return "sinusoid", *waves(1), waves(2)[0]
    if name == "any-table":
        return "generator", *rows("support.csv"), rows("query.csv")[0]
    return "flowers", *rows("support.csv"), rows("query.csv")[0]


TASKS = ("pictures", "rows", WITHOUT_MODEL, "waves", "any-table")


def make() -> None:
    """Writes all files into the current folder."""
    write_table(Path("flowers.csv"), classes=12, each=6)
    write_table(Path("support.csv"), classes=3, each=4, key=1)
    write_table(Path("query.csv"), classes=3, each=3, key=2)
    for i in range(4):
        Path("tables").mkdir(exist_ok=True)
        write_table(Path(f"tables/t{i}.csv"), classes=2, each=20, column="target", key=10 + i)
    index = ["name,family", *(f"t{i},t{i}" for i in range(4))]
    Path("tables/index.csv").write_text("\n".join(index) + "\n")
    for name, options in RUNS.items():
        call(f"train {options} {SHORT} --out runs/{name}")
    for name in TASKS:
        of, X, y, _ = examples_of(name)
        task = qs.load(f"runs/{of}").adapt(X, y)
        task.save(f"{name}.task", model=name != WITHOUT_MODEL)
    call(f"select --train tables --out selector --store scores {PROTOCOL}")
    call("select selector --support support.csv --target kind --out chosen.algorithm")
    shutil.rmtree("scores")
    Path("selector/judged.json").unlink()


def call(words: str) -> str:
    """The output of a call that must succeed."""
    code, output = run(words.split())
    assert code == 0, f"quickstudy {words}: exit code {code}"
    return output


def load_task(name: str) -> Any:
    model = qs.load(f"runs/{examples_of(name)[0]}") if name == WITHOUT_MODEL else None
    return qs.load_task(f"{name}.task", model=model)


def answers(name: str) -> JSON:
    """What a kept task says of new inputs, and by what it is known."""
    task = load_task(name)
    return {"fingerprint": task.model.fingerprint, **said_by(task, examples_of(name)[3])}


def said_by(task: Any, asked: Any) -> dict[str, Any]:
    """Labels, classes, and predictions for new inputs."""
    said: dict[str, Any] = {"labels": task.labels}
    if task.classes_ is None:
        said["values"] = np.asarray(task.predict(asked), dtype=float).tolist()
    else:
        said["classes"] = task.classes
        said["labels_of_queries"] = task.predict(asked).tolist()
        said["probabilities"] = task.predict_proba(asked).tolist()
    return said


def fingerprints() -> JSON:
    return {name: qs.load(f"runs/{name}").fingerprint for name in RUNS}


def resumed() -> JSON:
    """A run goes on, in a copy of the fixture: its curve, and what it then says."""
    call("train --resume runs/sinusoid --steps 12")
    lines = Path("runs/sinusoid/metrics.jsonl").read_text().splitlines()
    clock = ("seconds", "tasks_per_s")
    curve = [{k: v for k, v in json.loads(line).items() if k not in clock} for line in lines]
    model = qs.load("runs/sinusoid")
    said = model.adapt(*waves(1)).predict(waves(2)[0])
    return {"curve": curve, "values": np.asarray(said, dtype=float).tolist()}


def evaluated() -> JSON:
    """What `evaluate` says of the run on a table, without date and machine."""
    call("evaluate runs/flowers --n-tasks 20 --baselines false --curves false --json result.json")
    result = json.loads(Path("result.json").read_text())
    gone = ("date", "version", "minutes", "cpu_minutes", "machine", "threads", "torch", "cpu")
    return {key: value for key, value in result.items() if key not in gone}


def selections() -> JSON:
    """What the selector chooses and why, and what a kept choice answers."""
    chosen = qs.AlgorithmSelector.load(SELECTOR).adapt(*rows("support.csv"))
    why = chosen.explain()
    kept = json.loads(call("select chosen.algorithm --query query.csv --json"))
    return {
        "chosen": why["chosen"],
        "probabilities": {row["name"]: row["probability"] for row in why["configurations"]},
        "answers": list(chosen.predict(rows("query.csv")[0])),
        "kept": {key: kept[key] for key in ("chosen", "runner_up", "features", "answers")},
    }
