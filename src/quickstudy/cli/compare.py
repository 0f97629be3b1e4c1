"""`quickstudy compare`: loads runs, trains what is not trained yet, and compares them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import yaml
from torch import nn

from quickstudy import catalog
from quickstudy.cli.console import status
from quickstudy.cli.options import Parser, value_of
from quickstudy.compare.entries import given_entries
from quickstudy.compare.figures import comparison_figures
from quickstudy.compare.measure import check_request, settings_of
from quickstudy.compare.measure import compare as compare_learners
from quickstudy.compare.page import write_comparison
from quickstudy.compare.plans import (
    check_plan,
    finished,
    plans,
    tasks_spec,
    trained,
    training_options,
)
from quickstudy.compare.table import print_comparison
from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.records import JSON, today
from quickstudy.files.rundir import RunDirectory
from quickstudy.tasks import Split
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
    seed: int | None = None
    reference: str | None = None
    baselines: bool = True
    out: Path | None = None
    json: Path | None = None


class CompareParser(Parser):
    """The names of tasks and network stand among their options."""

    aliases: ClassVar[dict[str, str]] = {
        "--data_dir": "--tasks.data_dir",
        **{f"--{kind}": f"--{kind}.name" for kind in SPECS},
    }


def compare(argv: Sequence[str]) -> int:
    """Compare learners on the same tasks: accuracy, paired differences and cost."""
    config = value_of(argv, "--config")
    if config is not None:
        _check_lists(Path(config))
    options = compare_parser().read(argv).as_dict()
    options.pop("config", None)
    asked = Comparison(**{each.name: options.pop(each.name) for each in fields(Comparison)})
    command = shlex.join(["quickstudy", "compare", *argv])
    return compare_planned(asked, training=options, command=command)


def compare_parser() -> CompareParser:
    """The options of a comparison, and those of training."""
    parser = CompareParser(prog="quickstudy compare", description=EXAMPLES)
    parser.add_argument("--config", action="config", help="YAML file of these options.")
    parser.add_argument("runs", nargs="*", type=Path, help="Run directories to compare.")
    for name, (kind, words) in SEVERAL.items():
        parser.add_argument(f"--{name}", nargs="+", type=kind, default=[], help=words)
    for name, words in SPECS.items():
        parser.add_argument(f"--{name}", type=JSON, default={}, help=words)
    parser.add_class_arguments(Comparison, skip={"runs", *SEVERAL, *SPECS})
    parser.add_class_arguments(Training, skip={"seed"})
    return parser


def _check_lists(config: Path) -> None:
    """Raises UserError for a file that cannot be read, or that has one value for a list."""
    try:
        read = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"compare --config {config}: expected a YAML file of options; received none that can "
            f"be read ({error}); check its path and content."
        ) from error
    wrong = [
        name
        for name in ("runs", *SEVERAL)
        if isinstance(read, dict) and not isinstance(read.get(name, []), list)
    ]
    if wrong or not isinstance(read, dict):
        raise UserError(
            f"compare --config {config}: expected options by name, and a list for "
            f"{', '.join(wrong or ('runs', *SEVERAL))}; received {read!r:.200}; write [one, two]."
        )


def compare_planned(asked: Comparison, training: JSON, command: str) -> int:
    """Trains what is to be trained, compares, and writes the comparison.

    Args:
        asked: What is compared.
        training: Settings of meta-training.
        command: The words on the command line.
    """
    planned = plans(asked.runs, asked.learners, asked.out)
    loaded = {plan.name: plan.run for plan in planned if not plan.options}
    new = [plan for plan in planned if plan.options]
    records = {name: RunDirectory(run).read() for name, run in loaded.items()}
    first = {"n_way": asked.n_way[:1], "n_shot": asked.n_shot[:1]}
    drawing = {key: values[0] for key, values in first.items() if values}
    drawing |= {} if asked.n_query is None else {"n_query": asked.n_query}
    spec = tasks_spec(records, asked.tasks, drawing, asked.seed)
    source = catalog.build_tasks(spec)
    # All that can be wrong is found out before anything is trained.
    ladder = source.rungs(nn.Identity()) if asked.baselines else {}
    names = [plan.name for plan in planned]
    check_request([*names, *ladder], asked.n_tasks, asked.reference)
    settings_of(source, asked.n_way, asked.n_shot, asked.split)
    if loaded:
        given_entries(loaded, source)
    todo = {plan.name: training_options(plan, spec, asked.net, training) for plan in new}
    for plan in new:
        check_plan(plan, todo[plan.name], source)
    for plan in new:
        if finished(plan, todo[plan.name]):
            continue
        print(f"meta-training {plan.name} in {plan.run}")
        if not trained(plan, todo[plan.name]):
            return 130
    with status() as say:
        comparison = compare_learners(
            {plan.name: plan.run for plan in planned},
            source,
            asked.n_way,
            asked.n_shot,
            asked.n_tasks,
            asked.split,
            asked.reference,
            asked.baselines,
            progress=say,
        )
    comparison = replace(comparison, date=today(), command=command)
    text = json.dumps(comparison.to_json(), indent=2).encode()
    if asked.json is not None:
        write_atomically(asked.json, text)
    print_comparison(comparison)
    if asked.out is not None:
        write_atomically(asked.out / "comparison.json", text)
        figures = comparison_figures(comparison)
        for figure in figures:
            figure.save(asked.out / "pictures")
        page = write_comparison(asked.out / "comparison.html", comparison, figures)
        print(f"page: {page.resolve()}")
    return 0
