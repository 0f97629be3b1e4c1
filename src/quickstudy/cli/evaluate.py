"""`quickstudy evaluate`: measures a run on new tasks."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quickstudy.cli.console import check_place, print_table, status, write_json
from quickstudy.cli.opened import Opened, open_run
from quickstudy.errors import at_least
from quickstudy.evaluation.meta_test import evaluate as meta_test
from quickstudy.evaluation.outside import none_of_these
from quickstudy.evaluation.record import Evaluation as MetaTest
from quickstudy.figures.evaluation import evaluation_figures
from quickstudy.figures.sheet import Figure
from quickstudy.figures.values import share_text
from quickstudy.files.machine import machine
from quickstudy.files.records import JSON, Record, today
from quickstudy.learner import AnyLearner
from quickstudy.learners import MultiTaskPolicy, Pooled
from quickstudy.metrics import COVERAGE, LOG_LIKELIHOOD, METRICS, PINBALL, Metric, named
from quickstudy.models.saved import load_pooled
from quickstudy.task import setting_name
from quickstudy.tasks import Split, TaskSource
from quickstudy.tasks.recorded import NewClasses
from quickstudy.training.plan import without_none
from quickstudy.version import __version__

MINUTES = 0.75
N_PICTURED = 3
"""Tasks of which pictures are drawn, where the tasks have some."""


@dataclass(frozen=True)
class Evaluation:
    """Settings of an evaluation.

    Args:
        n_way: Classes of a task; as in meta-training where omitted, like the next two.
        n_shot: Support examples of a class.
        n_query: Query examples of a class.
        n_tasks: Tasks.
        split: Whose classes.
        seed: Seed of the tasks; that of meta-training where omitted.
        inner_steps: Inner steps of a gradient-based learner; updates of a policy.
        net: Options of the network that a learned update rule is to optimise instead.
        tasks: `path` or `data_dir`, where the data of the run lie now; or `name` and options of
            other tasks, whose inputs the run must take.
        new_classes: What becomes of classes, groups or tables that the run does not know: left out,
            or put to meta-test.
        baselines: Whether the baselines are run on the same tasks.
        curves: Whether accuracy is also measured against shots, and against inner steps.
        minutes: Minutes that baselines and curves may take together, on quiet cores: those that
            take long are measured on fewer tasks, ten at least, and say so; 0 for no limit.
    """

    n_way: int | None = None
    n_shot: int | None = None
    n_query: int | None = None
    n_tasks: int = 600
    split: Split = "test"
    seed: int | None = None
    inner_steps: int | None = None
    net: dict[str, Any] | None = None
    tasks: dict[str, Any] | None = None
    new_classes: NewClasses = "leave-out"
    baselines: bool = True
    curves: bool = True
    minutes: float = MINUTES

    def __post_init__(self) -> None:
        at_least("evaluate", 1, n_tasks=self.n_tasks, n_shot=self.n_shot, n_query=self.n_query)
        at_least("evaluate", 2, n_way=self.n_way)
        at_least("evaluate", 0, seed=self.seed, inner_steps=self.inner_steps)

    @property
    def drawing(self) -> JSON:
        """The settings of how tasks are drawn that are not those of meta-training."""
        drawing = {key: getattr(self, key) for key in ("n_way", "n_shot", "n_query", "seed")}
        return without_none(drawing)

    def words(self) -> str:
        """These settings as they are written on the command line."""
        options: dict[str, Any] = {
            "n_tasks": self.n_tasks,
            "split": self.split,
            "inner_steps": self.inner_steps,
        }
        options |= {"new_classes": "test"} if self.new_classes == "test" else {}
        options |= {"minutes": self.minutes} if self.minutes != MINUTES else {}
        specs = {"net": self.net, "tasks": self.tasks}
        quoted = {k: shlex.quote(json.dumps(v)) for k, v in specs.items() if v}
        options = without_none({**self.drawing, **options, **quoted})
        return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in options.items())


def evaluate(
    run: Path, settings: Evaluation, json: Path | None = None, pictures: Path | None = None
) -> int:
    """Measure a run on new tasks, with intervals and baselines.

    Args:
        run: Run directory, or the name of a model that comes with quickstudy.
        settings: Settings of the evaluation.
        json: File for the results.
        pictures: Folder for the pictures, as SVG and JSON.
    """
    check_place(json)
    opened = open_run(run, settings)
    result = measured(opened)
    write_json(json, result)
    if pictures is not None:
        for figure in [*task_figures(opened), *evaluation_figures(result)]:
            figure.save(pictures)
    print_evaluation(result)
    return 0


@dataclass(frozen=True, eq=False)
class RunEvaluation(Record):
    """The record of `quickstudy evaluate`: a meta-test with its settings, cost and machine.

    Attributes:
        scores: The meta-test.
        tasks: Name of the tasks.
        tasks_options: Their options, without the place of the data.
        seed, n_way, n_shot, n_query: How they were drawn; None where they have no such number.
        inner_steps: Inner steps of the learner.
        steps, minutes, cpu_minutes: Those of meta-training.
        parameters: Numbers in the learner.
        machine: The machine of this measurement: plain JSON.
        none_of_these: The AUROC of novelty: `left_out`, of classes that were not taught, and
            `outside`, of inputs of no class, where the tasks have some. None where it has no sense.
        notes: What to know of the data, where they differ from those of meta-training or may.
        date, version, command: When, by which quickstudy, and how to measure it again.
    """

    scores: MetaTest
    tasks: str
    tasks_options: JSON
    seed: int | None
    n_way: Any
    n_shot: Any
    n_query: int | None
    inner_steps: int | None
    steps: int
    minutes: float
    cpu_minutes: float | None
    parameters: int
    machine: JSON
    none_of_these: JSON | None
    notes: Sequence[str]
    date: str
    version: str
    command: str

    def to_json(self) -> JSON:
        """Returns the fields by name; those of the scores and of the machine stand among them."""
        own = super().to_json()
        scores, machine = own.pop("scores"), own.pop("machine")
        ends = {key: own.pop(key) for key in ("date", "version", "command")}
        return {**scores, **own, **machine, **ends}


def evaluate_run(run: Path, settings: Evaluation, curve_tasks: int = 200) -> RunEvaluation:
    """Measures a run as `quickstudy evaluate` does."""
    return measured(open_run(run, settings), curve_tasks)


def task_figures(opened: Opened) -> list[Figure]:
    """The figures that the tasks make of the learner's answers; most make none."""
    source, split, model = opened.source.untouched, opened.settings.split, opened.model
    pooled = load_pooled(opened.run) if source.shares_outputs else None
    return source.figures(opened.learner, split, N_PICTURED, model.temperature, pooled)


def measured(opened: Opened, curve_tasks: int = 200) -> RunEvaluation:
    """Measures a run that was opened."""
    run, settings, model, learner, source, spec, record, notes = opened
    pooled = _pooled(run, learner, source, record) if settings.baselines else {}
    with status() as say:
        scores = meta_test(
            learner,
            source,
            settings.split,
            settings.n_tasks,
            shots=(1, 2, 5, 10) if settings.curves else (),
            steps=(0, 1, 2, 3, *(() if source.family else (5, 10))) if settings.curves else (),
            curve_tasks=curve_tasks,
            with_baselines=settings.baselines,
            temperature=model.temperature,
            beside=pooled,
            progress=say,
            minutes=settings.minutes or None,
            announce=_announce,
        )
    return RunEvaluation(
        scores,
        tasks=spec["name"],
        tasks_options={k: v for k, v in spec.items() if k not in ("name", "data_dir")},
        n_way=None if source.resized(n_way=spec.get("n_way", 2)) is None else spec.get("n_way"),
        **{key: spec.get(key) for key in ("seed", "n_shot", "n_query")},
        inner_steps=learner.adapt_steps,
        steps=record["step"],
        minutes=record["minutes"],
        cpu_minutes=record.get("cpu_minutes"),
        parameters=sum(p.numel() for p in learner.parameters()),
        machine=machine(),
        none_of_these=none_of_these(learner, source, settings.split, min(settings.n_tasks, 100)),
        notes=notes,
        date=today(),
        version=__version__,
        command=f"quickstudy evaluate {shlex.quote(run.name)} {settings.words()}",
    )


def _pooled(run: Path, learner: AnyLearner, source: TaskSource, record: JSON) -> dict[str, Any]:
    """The pooled models of a run as rungs; where it has none, prints how to make it."""
    if not source.shares_outputs or isinstance(learner, Pooled | MultiTaskPolicy):
        return {}
    pooled = load_pooled(run)
    if pooled is not None:
        others = {each: load_pooled(run, each) for each in source.untouched.pooled_variants}
        further = {f"Pooled, {name}": of for name, of in others.items() if of is not None}
        return {**source.pooled_rungs(pooled), **further}
    command = (
        f"quickstudy train --resume {shlex.quote(str(run))} --pooled 0.25"
        if record.get("config")
        else "Training(pooled=0.25)"
    )
    print(f"no pooled model, one for all tasks, stands beside this run; {command} makes it")
    return {}


def _announce(text: str) -> None:
    """Says on stderr what an evaluation will take; tables and JSON have stdout for themselves."""
    print(f"evaluating: {text}", file=sys.stderr, flush=True)


def print_evaluation(result: Mapping[str, Any]) -> None:
    """Prints the headline and the ladder of an evaluation as a table, and the rest as lines."""
    metric = named(result["metric"])
    name = metric.name
    rows = [(result["learner"], _plus_minus(result[name], result["ci95"], metric), "")]
    for rung, row in result["baselines"].items():
        difference = _plus_minus(row["difference"], row["difference_ci95"], metric)
        rows.append((_label(rung, row), _plus_minus(row[name], row["ci95"], metric), difference))
    print_table(
        f"{result['tasks']}/{result['split']}, {setting(result)}, {result['n_tasks']} tasks",
        ("", f"{name} {metric.unit}".strip(), "learner minus it"),
        rows,
        caption=f"norm: {result['norm']}; ± is 95 %; differences are paired over the same tasks",
    )
    others = [each for key, each in METRICS.items() if f"{key}_ci95" in result]
    further = [each for each in others if each != LOG_LIKELIHOOD]
    if further:
        _print_further(result, further)
    if "details" in result:
        _print_details(result["details"])
    if "optimizers" in result:
        _print_optimizers(result["optimizers"])
    if result["n_tasks_disjoint"]:
        disjoint = _plus_minus(result[f"{name}_disjoint"], result["ci95_disjoint"], metric)
        print(f"over {result['n_tasks_disjoint']} tasks that share no example: {disjoint}")
    if "ece" in result:
        print(
            f"expected calibration error: {100 * result['ece']:.1f} %, without the temperature "
            f"{result['temperature']:.2f} of meta-valid {100 * result['ece_uncalibrated']:.1f} %"
        )
    if result.get("none_of_these"):
        print(f"none of these: {_untaught(result['none_of_these'])}")
    if "log_likelihood" in result and not further:  # Which say more to people of a field.
        value = _plus_minus(result["log_likelihood"], result["log_likelihood_ci95"], LOG_LIKELIHOOD)
        print(f"log-likelihood of a query: {value} {LOG_LIKELIHOOD.unit}")
    if "coverage" in result:
        coverage = _plus_minus(result["coverage"], result["coverage_ci95"], COVERAGE)
        pinball = _plus_minus(result["pinball"], result["pinball_ci95"], PINBALL)
        unit = f" {result['pinball_unit']}" if result["pinball_unit"] else ""
        print(
            f"central 80 % interval: covers {coverage} % of the targets, without the factor "
            f"{result['temperature']:.2f} of meta-valid {100 * result['coverage_uncalibrated']:.1f}"
            f" %; pinball loss {pinball}{unit}"
        )
    if "log_likelihood_gap" in result:
        best, worst = result["reference"]["oracle"], result["reference"]["constant"]
        missing = 100 * result["log_likelihood_gap"]
        print(f"of {best:.3f} possible and {worst:.3f} by a constant: {missing:.1f} % missing")


def _untaught(found: JSON) -> str:
    """How well what was not taught is told, in words."""
    left_out, outside = found["left_out"], found.get("outside")
    text = f"AUROC {left_out['auroc']:.3f} on a class left out of {left_out['n_tasks']} tasks"
    if outside is None:
        return text
    return (
        f"{text}; {outside['auroc']:.3f} ± {outside['ci95']:.3f} on {outside['n_outside']} inputs "
        "of no class"
    )


def setting(result: Mapping[str, Any]) -> str:
    """The setting, as in `5-way 1-shot`; the name of tasks that have no shots."""
    n_way, n_shot = result.get("n_way"), result.get("n_shot")
    return setting_name(n_way, n_shot) if n_shot else str(result["tasks"])


def _plus_minus(value: float, half: float, metric: Metric) -> str:
    return metric.number(value, half, metric.fine_digits)


def _print_further(result: Mapping[str, Any], metrics: Sequence[Metric]) -> None:
    """Prints the metrics beside the headline, of the learner and of each rung, as a table."""
    every = [(result["learner"], result)]
    every += [(_label(rung, row), row) for rung, row in result["baselines"].items()]
    rows = [
        (label, *(_plus_minus(row[m.name], row[f"{m.name}_ci95"], m) for m in metrics))
        for label, row in every
        if all(m.name in row for m in metrics)
    ]
    columns = ("", *(f"{metric.name} {metric.unit}".strip() for metric in metrics))
    print_table("further metrics of the same tasks", columns, rows, caption="± is 95 %")


def _print_details(details: JSON) -> None:
    """Prints the tables and sentences that the tasks have beside their metrics."""
    for table in details["tables"]:
        rows = [tuple(map(share_text, row)) for row in table["rows"]]
        print_table(table["title"], table["columns"], rows, caption=table["caption"])
    print(*details["sentences"], sep="\n")


def _label(rung: str, row: Mapping[str, Any]) -> str:
    """The name of a rung, with the number of its tasks where it is not that of the learner."""
    return f"{rung} (first {row['n_tasks']} tasks)" if "n_tasks" in row else rung


def _print_optimizers(result: JSON) -> None:
    """Prints the last losses under each update rule as a table."""
    tuning = f"step sizes chosen on {result['tuning_tasks']} meta-valid tasks; "
    caption = f"{tuning if len(result['rules']) > 1 else ''}± is 95 %"
    rows = []
    for row in result["rules"]:
        lr, difference = "", ""
        if "lr" in row:
            lr = f"{row['lr']:g}"
            difference = f"{row['difference']:.4f} ± {row['difference_ci95']:.4f}"
        rows.append((row["name"], lr, f"{row['loss']:.4f} ± {row['ci95']:.4f}", difference))
    columns = ("rule", "step size", "loss", "learned minus it")
    print_table(f"loss after {result['steps']} steps", columns, rows, caption=caption)
