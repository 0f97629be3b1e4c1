"""`quickstudy compare`: loads runs, trains what is not trained yet, and compares them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from quickstudy import catalog
from quickstudy.cli.console import check_place, status, write_json
from quickstudy.cli.options import Parser, read_yaml, value_of
from quickstudy.compare.entries import given_entries
from quickstudy.compare.figures import comparison_figures
from quickstudy.compare.measure import check_request, settings_of
from quickstudy.compare.measure import compare as compare_learners
from quickstudy.compare.page import write_comparison
from quickstudy.compare.plans import (
    check_plan,
    finished,
    plans,
    recorded_by,
    tasks_spec,
    trained,
    training_options,
)
from quickstudy.compare.table import print_comparison
from quickstudy.errors import UserError
from quickstudy.files.records import JSON, today
from quickstudy.files.shipped import run_of
from quickstudy.tasks import Split
from quickstudy.tasks.recorded import NewClasses
from quickstudy.training.settings import Training

EXAMPLES = """\
examples:
  quickstudy compare runs/proto runs/maml --n-way 5 20 --n-shot 1 5 --out comparison
  quickstudy compare --learners PrototypicalNetwork MAML --tasks glyphs --steps 500 --out comparison
  quickstudy compare runs/proto --learners MAML --reference proto --out comparison
  quickstudy compare --config comparison.yaml --out comparison

A file comparison.yaml gives learners names, and options of `quickstudy train` of their own:
  learners:
  - MAML
  - {name: "MAML, 1 step", learner: {name: MAML, inner_steps: 1}, outer_lr: 0.01}
  - {name: "earlier MAML", run: runs/maml}
"""
SEVERAL: dict[str, tuple[Any, str]] = {
    "learners": (str | JSON, "Learners to train; in a YAML file with options of their own."),
    "n_way": (int, "Numbers of ways; learners are meta-trained on the first."),
    "n_shot": (int, "Numbers of shots; learners are meta-trained on the first."),
}
SPECS = {
    "tasks": "Name of the tasks, --tasks.OPTION for their options; those of the runs if omitted.",
    "net": "Name of the network of the learners to train, --net.OPTION for its options.",
}


@dataclass(frozen=True)
class Comparison:
    """Settings of a comparison.

    Args:
        runs: Run directories to compare.
        learners: Learners to train, by name or with options.
        tasks: Name and options of the tasks.
        net: Name and options of the network.
        n_way: Numbers of ways.
        n_shot: Numbers of shots.
        n_query: Query examples of a class; as in meta-training where omitted.
        n_tasks: Tasks of each number of ways and shots.
        split: Whose classes.
        new_classes: What becomes of classes, groups or tables that the runs do not know: left out,
            or put to meta-test.
        seed: Seed of the tasks and of training; that of the first run where omitted.
        reference: Row that differences are taken to; in each setting the best learner if omitted.
        baselines: Whether the baselines are rows too.
        out: Folder for the page, its pictures and numbers, and the runs that are trained.
        json: File for the numbers.
    """

    runs: list[Path] = field(default_factory=list)
    learners: list[str | JSON] = field(default_factory=list)
    tasks: JSON = field(default_factory=dict)
    net: JSON = field(default_factory=dict)
    n_way: list[int] = field(default_factory=list)
    n_shot: list[int] = field(default_factory=list)
    n_query: int | None = None
    n_tasks: int = 600
    split: Split = "test"
    new_classes: NewClasses = "leave-out"
    seed: int | None = None
    reference: str | None = None
    baselines: bool = True
    out: Path | None = None
    json: Path | None = None


class CompareParser(Parser):
    """A parser that reads `--tasks X` as `--tasks.name X`, and so for net."""

    aliases: ClassVar[dict[str, str]] = {
        "--data_dir": "--tasks.data_dir",
        **{f"--{kind}": f"--{kind}.name" for kind in SPECS},
    }


def compare(argv: Sequence[str]) -> int:
    """Compare learners on the same tasks: accuracy, paired differences and cost."""
    config = value_of(argv, "--config")
    if config is not None:
        _check_lists(config)
    parser = compare_parser()
    training = parser.read(argv).as_dict()
    training.pop("config", None)
    settings = Comparison(**{field.name: training.pop(field.name) for field in fields(Comparison)})
    planned = plans(settings.runs, settings.learners, settings.out)
    runs = {plan.name: plan.run for plan in planned}
    loaded = {plan.name: plan.run for plan in planned if not plan.options}
    new = [plan for plan in planned if plan.options]
    if not new:
        of_training = {"net", *training}
        parser.without_effect(argv, of_training, "where no learner is trained")
    records = {name: run_of(run).read() for name, run in loaded.items()}
    drawing = {"n_query": settings.n_query} if settings.n_query is not None else {}
    drawing |= {"n_way": settings.n_way[0]} if settings.n_way else {}
    drawing |= {"n_shot": settings.n_shot[0]} if settings.n_shot else {}
    spec = tasks_spec(records, settings.tasks, drawing, settings.seed)
    data = recorded_by(
        loaded, settings.tasks, settings.split, settings.new_classes, trains=bool(new)
    )
    first = data[0] if data else None
    source = catalog.build_tasks(spec, first)
    notes = list(dict.fromkeys(note for each in data for note in each.notes(source)))
    for note in notes:
        print(f"note: {note}")
    # All that can be wrong is found out before anything is trained.
    check_place(settings.json)
    ladder = source.rungs(nn.Identity()) if settings.baselines else {}
    check_request([*runs, *ladder], settings.n_tasks, settings.reference)
    settings_of(source, settings.n_way, settings.n_shot, settings.split)
    if loaded:
        given_entries(loaded, source, settings.split)
    options = {plan.name: training_options(plan, spec, settings.net, training) for plan in new}
    for plan in new:
        check_plan(plan, options[plan.name], source)
    for plan in new:
        if finished(plan, options[plan.name]):
            continue
        print(f"meta-training {plan.name} in {plan.run}")
        if not trained(plan, options[plan.name], first):
            return 130
    with status() as say:
        comparison = compare_learners(
            runs,
            source,
            settings.n_way,
            settings.n_shot,
            settings.n_tasks,
            settings.split,
            settings.reference,
            settings.baselines,
            progress=say,
        )
    command = shlex.join(["quickstudy", "compare", *argv])
    comparison = replace(comparison, notes=notes, date=today(), command=command)
    write_json(settings.json, comparison.to_json())
    print_comparison(comparison)
    if settings.out is not None:
        write_json(settings.out / "comparison.json", comparison.to_json())
        figures = comparison_figures(comparison)
        for figure in figures:
            figure.save(settings.out / "pictures")
        page = write_comparison(settings.out / "comparison.html", comparison, figures)
        print(f"page: {page.resolve()}")
    return 0


def compare_parser() -> CompareParser:
    """The options of a comparison, and those of training."""
    parser = CompareParser(prog="quickstudy compare", description=EXAMPLES)
    parser.add_argument("--config", action="config", help="YAML file of these options.")
    parser.add_argument("runs", nargs="*", type=Path, help="Run directories to compare.")
    for name, (kind, text) in SEVERAL.items():
        parser.add_argument(f"--{name}", nargs="+", type=kind, default=[], help=text)
    for name, text in SPECS.items():
        parser.add_argument(f"--{name}", type=JSON, default={}, help=text)
    parser.add_class_arguments(Comparison, skip={"runs", *SEVERAL, *SPECS})
    parser.add_class_arguments(Training, skip={"seed"})
    return parser


def _check_lists(config: str) -> None:
    """Raises UserError for a file that cannot be read, or that has one value for a list."""
    options = read_yaml("compare", config)
    wrong = [
        name
        for name in ("runs", *SEVERAL)
        if isinstance(options, dict) and not isinstance(options.get(name, []), list)
    ]
    if wrong or not isinstance(options, dict):
        raise UserError(
            f"compare --config {config}: expected options by name, and a list for "
            f"{', '.join(wrong or ('runs', *SEVERAL))}; received {options!r:.200}; write "
            "[one, two]."
        )
