"""`quickstudy demo`: meta-trains, measures on unseen scripts, adapts to a new domain, reports."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from quickstudy import catalog
from quickstudy.cli.console import write_json
from quickstudy.cli.evaluate import Evaluation, evaluate_run, print_evaluation
from quickstudy.errors import at_least
from quickstudy.figures import plots
from quickstudy.figures.episode import episode_grid, task_grid
from quickstudy.figures.evaluation import evaluation_figures
from quickstudy.figures.page import Section, write_report
from quickstudy.figures.sheet import Figure
from quickstudy.files.records import JSON, today
from quickstudy.files.rundir import RunDirectory
from quickstudy.learner import AnyLearner
from quickstudy.learners import LogisticRegression, NearestCentroid
from quickstudy.metrics import ACCURACY, half_width
from quickstudy.models.model import Model
from quickstudy.models.saved import load
from quickstudy.task import Task, examples
from quickstudy.training.plan import resolve, run_training

Array = NDArray[Any]
N_DRAWS = 20

LEAD = (
    "A prototypical network was meta-trained on the characters of some scripts, and then asked to "
    "learn characters of scripts it had never seen, from one example of each. The baselines beside "
    "it were given the same examples of the same tasks, and learn each from nothing."
)
LIMITS = (
    "The characters are drawn from fonts and warped at random; handwriting varies in other ways, "
    "which the section on digits gives a first idea of. One seed was trained: the intervals cover "
    "the choice of tasks, not that of the seed. Fine-tuning uses steps and a step size chosen "
    "among a few on validation scripts; more tuning might help it.\n\n"
    "Confidence intervals over episodes treat the unseen scripts as fixed. The one over tasks that "
    "share no example is wider where the data are few."
)
DIGITS = (
    "Handwritten digits are another domain: the writing of 13 people, scanned and reduced to 8 x 8 "
    "pixels, where the model has seen printed characters only, and no digit among them. It was "
    "given five examples of each digit, without further training, and asked about all the others, "
    f"{N_DRAWS} times with other examples. The baselines see the same examples as they are, 8 x 8 "
    "pixels that are already centred and scaled, which suits them well."
)


def demo(out: Path = Path("demo"), steps: int = 600, n_tasks: int = 200) -> int:
    """See it work: meta-train on some scripts, learn characters of others, write a report.

    Args:
        out: Folder for the run, the adapted model and the report; a run that is there goes on.
        steps: Outer steps.
        n_tasks: Tasks of the evaluation.
    """
    at_least("demo", 1, steps=steps, n_tasks=n_tasks)
    started = time.monotonic()
    print("drawing the characters (once)")
    catalog.tasks_builder("glyphs")()
    options = {
        "out": out / "run",
        "learner": {"name": "PrototypicalNetwork"},
        "tasks": {"name": "glyphs"},
        "net": {"name": "Conv4", "hidden": 32},
        "n_way": 20,
        "n_shot": 1,
        "n_query": 5,
        "meta_batch": 1,
        "steps": steps,
        "schedule": "cosine",
        "outer_lr": 2e-3,
        "valid_every": max(1, steps // 6),
        "valid_tasks": 50,
        "valid_n_way": 5,
    }
    result = run_training(resolve(options), resume=(out / "run" / "run.json").is_file())
    if result.stopped == "interrupted":
        return 130
    five_way = Evaluation(n_way=5, n_shot=1, n_query=15, n_tasks=n_tasks)
    scripts = evaluate_run(out / "run", five_way, curve_tasks=25)
    print_evaluation(scripts)
    print("adapting to handwritten digits, five examples of each")
    model = load(out / "run")
    digits, digits_grid = adapt_to_digits(model, out / "digits.task")
    print_evaluation(digits)
    print(verdict(digits))
    record = RunDirectory(out / "run").read()
    rows = list(RunDirectory(out / "run").metrics())
    write_json(out / "evaluation.json", [scripts, digits])
    spec = record["tasks_spec"] | {"n_way": 5, "n_query": 4}
    task = catalog.build_tasks(spec).task("test", 0)
    adapted = model.adapt(task.support.x, task.support.y.argmax(dim=1))
    episode = task_grid(task, adapted.predict_proba(task.query.x), ink=True)
    words = f"{verdict(digits)} {DIGITS}"
    figures = [episode, plots.learning_curve(rows), *evaluation_figures(scripts)]
    for figure in [*figures, digits_grid]:
        figure.save(out / "pictures")
    minutes = (time.monotonic() - started) / 60
    best = max(scripts["baselines"].values(), key=lambda row: row[ACCURACY.name])
    report = write_report(
        out / "report.html",
        title="Learning characters of unseen scripts from one example",
        lead=LEAD,
        summary={
            "meta-train scripts": ", ".join(record["tasks"]["scripts"]["train"]),
            "meta-test scripts": ", ".join(record["tasks"]["scripts"]["test"]),
            "minutes in all": f"{minutes:.1f}",
        },
        evaluations=[scripts],
        figures=figures,
        sections=[
            Section("Handwritten digits: a shift of domain", words, digits, [digits_grid]),
        ],
        limits=LIMITS,
    )
    print(
        f"5-way 1-shot on unseen scripts: {ACCURACY.text(scripts[ACCURACY.name])}, best baseline "
        f"{ACCURACY.text(best[ACCURACY.name])}; {minutes:.1f} minutes in all\n"
        f"report: {report.resolve()}"
    )
    return 0


def verdict(evaluation: JSON) -> str:
    """A sentence that says whether the model beats the best of its baselines."""
    name, row = max(evaluation["baselines"].items(), key=lambda item: item[1][ACCURACY.name])
    points, half = 100 * row["difference"], 100 * row["difference_ci95"]
    beside = f"{name}, the best baseline, by {abs(points):.1f} ± {half:.1f} points"
    if abs(points) <= half:
        return f"The model is level with {name}, the best baseline ({points:+.1f} ± {half:.1f})."
    return f"The model {'beats' if points > 0 else 'loses to'} {beside}."


def adapt_to_digits(model: Model, path: Path) -> tuple[JSON, Figure]:
    """The model and baselines on scikit-learn's digits, five examples of each, as an evaluation.

    Args:
        model: Meta-trained on drawings.
        path: Where the adapted model of the first draw is saved.
    """
    bunch = load_digits()
    pixels: Array = bunch.images
    truth: Array = bunch.target
    images = np.round(pixels / 16 * 255).astype(np.uint8)
    ladder: dict[str, AnyLearner] = {
        "NearestCentroid": NearestCentroid(),
        "LogisticRegression": LogisticRegression(),
    }
    flat = torch.as_tensor(pixels.reshape(len(pixels), -1) / 16, dtype=torch.float32)
    labels = torch.as_tensor(truth)
    accuracies: dict[str, list[float]] = {name: [] for name in ("", *ladder)}
    figure: Figure | None = None
    for draw in range(N_DRAWS):
        rng = np.random.default_rng(draw)
        support = np.concatenate(
            [rng.permutation(np.flatnonzero(truth == d))[:5] for d in range(10)]
        )
        query = np.setdiff1d(np.arange(len(truth)), support)
        adapted = model.adapt(images[support], truth[support])
        predicted = adapted.predict(images[query])
        accuracies[""].append(float((predicted == truth[query]).mean()))
        task = Task(
            examples(flat[support], labels[support], 10), examples(flat[query], labels[query], 10)
        )
        for name, baseline in ladder.items():
            rows = baseline.respond(task).argmax(dim=1).numpy()
            accuracies[name].append(float((rows == truth[query]).mean()))
        if figure is None:
            adapted.save(path)
            some = rng.permutation(len(query))[:20]
            figure = episode_grid(
                [images[support[5 * d : 5 * d + 5]] for d in range(10)],
                images[query[some]],
                predicted[some].tolist(),
                truth[query[some]].tolist(),
                labels=list(range(10)),
                ink=True,
            )
    assert figure is not None
    per_draw = {name: np.array(values) for name, values in accuracies.items()}
    own = per_draw.pop("")
    return {
        "learner": type(model.learner).__name__,
        "tasks": "digits",
        "split": "test",
        "norm": "as trained",
        "seed": 0,
        "n_way": 10,
        "n_shot": 5,
        "n_query": None,
        "n_tasks": N_DRAWS,
        "n_tasks_disjoint": None,
        "metric": ACCURACY.name,
        ACCURACY.name: float(own.mean()),
        "ci95": half_width(own),
        "baselines": {
            name: {
                ACCURACY.name: float(values.mean()),
                "ci95": half_width(values),
                "difference": float((own - values).mean()),
                "difference_ci95": half_width(own - values),
            }
            for name, values in per_draw.items()
        },
        "date": today(),
    }, replace(figure, name="digits")
