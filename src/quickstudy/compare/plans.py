"""Plans of a comparison: runs to load, and learners to train for it."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quickstudy import catalog
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.files.rundir import RunDirectory
from quickstudy.tasks import Recorded, Split, TaskSource
from quickstudy.tasks.recorded import PLACES, NewClasses, others_than_places
from quickstudy.training.loop import check_training
from quickstudy.training.plan import (
    DEFAULTS,
    DRAWING,
    changed,
    hyphened,
    plain,
    resolve,
    run_training,
    training_of,
    without_none,
)
from quickstudy.training.resuming import MAY_CHANGE

# Bytes of a folder's name; file systems take 255.
LONGEST = 200
# Options of the whole comparison, not of one learner.
SHARED = ("out", "resume", "config", "tasks")


@dataclass(frozen=True)
class Plan:
    """A learner to compare.

    Attributes:
        name: What it is called.
        run: Its run directory.
        options: Options of `quickstudy train` for it; none for a run that is only loaded.
    """

    name: str
    run: Path
    options: JSON = field(default_factory=dict)


def plans(runs: Sequence[Path], learners: Sequence[str | JSON], out: Path | None) -> list[Plan]:
    """The runs and learners by name; those to train get a run directory under `out`.

    Raises:
        UserError: There is none; two have one name; one has none or unknown options; or there is no
            folder to train in.
    """
    tails = [run.resolve().name for run in runs]
    all_plans = [
        Plan(tail if tails.count(tail) == 1 else str(run), run)
        for run, tail in zip(runs, tails, strict=True)
    ]
    all_plans += [_plan(entry, out) for entry in learners]
    if not all_plans:
        raise UserError(
            "compare: needs learners; received neither runs nor learners; give run directories, or "
            "--learners with some names."
        )
    for name in (names := [plan.name for plan in all_plans]):
        if names.count(name) > 1:
            raise UserError(
                f"compare: each learner needs a name of its own; received {name!r} twice; leave "
                "one out, or give them names in a --config file."
            )
    places = [plan.run for plan in all_plans if plan.options]
    for place in places:
        if places.count(place) > 1:
            raise UserError(
                "compare: the names of learners must differ in letters and digits; received two "
                f"that are both kept in {place}; rename one."
            )
    return all_plans


def _plan(entry: str | JSON, out: Path | None) -> Plan:
    options: JSON = {"name": entry} if isinstance(entry, str) else dict(entry)
    name = str(options.pop("name", ""))
    folder = _shortened(re.sub(r"[^\w.-]+", "-", name).strip("-."))
    if not folder:
        raise UserError(
            f"compare: each learner needs a name; received {entry!r:.200}; add a name with letters "
            "or digits."
        )
    run = options.pop("run", None)
    if run is not None:
        if options:
            raise UserError(
                f"compare: a run is loaded as it is; received {name!r} with run and also with "
                f"{', '.join(options)}; leave these out, or leave out run to train it."
            )
        return Plan(name, Path(run))
    if unfit := sorted(options.keys() & set(SHARED)):
        raise UserError(
            f"compare: all learners share tasks and folder; received {', '.join(unfit)} of "
            f"{name!r}; give them for the whole comparison."
        )
    defaults: JSON = {"learner": {"name": name}, "net": {}}
    for kind, default in defaults.items():
        spec = options.get(kind, default)
        options[kind] = {"name": spec} if isinstance(spec, str) else spec
        if not isinstance(options[kind], dict):
            raise UserError(
                f"compare: the {kind} of {name!r} must be a name, or a name with options; received "
                f"{spec!r:.200}; write {{name: ..., option: ...}}."
            )
    if out is None:
        raise UserError(
            f"compare: needs a folder to train in; received the learner {name!r} and none; give "
            "--out comparison."
        )
    return Plan(name, out / "runs" / folder, options)


def _shortened(name: str) -> str:
    """A name that a file system takes for a folder; of a long one the beginning and a digest."""
    if len(name.encode()) <= LONGEST:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:16]
    return f"{name.encode()[: LONGEST // 2].decode(errors='ignore')}-{digest}"


def tasks_spec(records: Mapping[str, JSON], tasks: JSON, drawing: JSON, seed: int | None) -> JSON:
    """The tasks to compare on: those named, else those of the runs.

    Args:
        records: The records of the runs, by name.
        tasks: Name and options from the command line; options alone change the runs' own.
        drawing: Numbers of ways, shots and queries; those of the first run where it lacks them.
        seed: Seed of the tasks.

    Raises:
        UserError: No tasks are named, and those of the runs differ or have no name; or the tasks'
            classes were split by another seed in a run.
    """
    specs = {name: record.get("tasks_spec") for name, record in records.items()}
    named = "name" in tasks or not specs
    spec = {"name": DEFAULTS["tasks"], **tasks} if named else {**_agreed(records), **tasks}
    first = next(iter(specs.values()), None) or {}
    fixed = {"n_way"} if catalog.makes_tasks(spec["name"]) else set()
    spec = {k: first[k] for k in DRAWING if k in first.keys() - fixed} | spec | drawing
    spec["seed"] = first.get("seed", 0) if seed is None else seed
    if catalog.seed_splits(spec["name"]):
        for name, past in specs.items():
            if past and past["name"] == spec["name"] and past.get("seed") != spec["seed"]:
                raise UserError(
                    f"compare: the seed of {spec['name']} splits its classes, so that all must "
                    f"have one; received seed {spec['seed']} and {name!r} with seed "
                    f"{past.get('seed')}, which may have seen the test classes; compare runs of "
                    "one seed."
                )
    return spec


def _agreed(records: Mapping[str, JSON]) -> JSON:
    """The tasks that all runs share."""
    specs = {name: record.get("tasks_spec") for name, record in records.items()}
    nameless = [name for name, spec in specs.items() if not spec]
    if nameless:
        raise UserError(
            "compare: needs tasks that have a name; received runs whose tasks were made in Python: "
            f"{', '.join(nameless)}; give --tasks, or call quickstudy.compare there."
        )
    known = {name: spec for name, spec in specs.items() if spec}
    first, *others = known
    for name in others:
        # The same data may lie in several places.
        digests = [(records[each].get("data") or {}).get("sha256", each) for each in (first, name)]
        moved = digests[0] == digests[1]
        first_data, run_data = _data(known[first], moved), _data(known[name], moved)
        if run_data != first_data:
            names = [k for k in {**first_data, **run_data} if first_data.get(k) != run_data.get(k)]
            one, other = (
                ", ".join(f"{k}={data.get(k)}" for k in (["name"] if "name" in names else names))
                for data in (first_data, run_data)
            )
            raise UserError(
                f"compare: all runs must be of the same tasks; received {first!r} with {one}, and "
                f"{name!r} with {other}; give --tasks to compare them on the same ones."
            )
    return dict(known[first])


def _data(spec: JSON, moved: bool) -> JSON:
    """The part of a task spec that identifies its data, without their path if they moved."""
    own = inspect.signature(catalog.tasks_builder(spec["name"])).parameters
    options = {k: p.default for k, p in own.items() if p.default not in (p.empty, None)} | spec
    drawing = {*DRAWING, *PLACES, "seed"} - (set() if moved else {"path"})
    data = {k: v for k, v in options.items() if k == "name" or (k in own and k not in drawing)}
    return plain(data)


def training_options(plan: Plan, spec: JSON, net: JSON, training: JSON) -> JSON:
    """The options of `quickstudy train` for a learner: its own, then the comparison's.

    Args:
        plan: The learner.
        spec: The tasks of the comparison.
        net: Name and options of the network.
        training: Settings of meta-training; those that are None are left out.
    """
    drawing = (*DRAWING, "seed")
    return resolve(
        {
            **without_none(training),
            **{key: spec[key] for key in drawing if key in spec},
            **plan.options,
            "tasks": {key: value for key, value in spec.items() if key not in drawing},
            "net": {**net, **plan.options["net"]},
            "out": plan.run,
        }
    )


def check_plan(plan: Plan, options: JSON, source: TaskSource) -> None:
    """Checks before training that the learner can be trained and that no other run is there.

    Raises:
        UserError: It cannot; or its run was begun with other settings.
    """
    spec, net = (without_none(options[kind]) for kind in ("learner", "net"))
    learner = catalog.build(spec, source, net, options["seed"])
    directory = RunDirectory(plan.run)
    if not directory.exists:
        directory.check_free()
        check_training(learner, source, training_of(options))
        return
    recorded = directory.read().get("config") or {}
    if not recorded:
        raise UserError(
            f"compare: {plan.run} must be free for {plan.name!r}; received a run that was begun in "
            "Python; give it as a run to compare, or give another --out."
        )
    if others := changed(recorded, options):
        raise UserError(
            f"compare: {plan.run} holds a run of {plan.name!r} with other settings; received "
            f"another {', '.join(map(hyphened, others))}; give another --out, another name, or the "
            "settings it was begun with."
        )


def finished(plan: Plan, options: JSON) -> bool:
    """Whether the learner's run is there and has ended by these very settings."""
    directory = RunDirectory(plan.run)
    if not directory.exists:
        return False
    record = directory.read()
    same = all(options[key] == record["config"].get(key) for key in MAY_CHANGE)
    return same and record.get("stopped") not in (None, "interrupted")


def trained(plan: Plan, options: JSON, recorded: Recorded | None = None) -> bool:
    """Trains a learner, or goes on where its run stopped; False where it was interrupted.

    Args:
        plan: The learner.
        options: All options of its training.
        recorded: The data of a run that it is compared with, whose split it uses too.
    """
    resume = RunDirectory(plan.run).exists
    return run_training(options, resume=resume, recorded=recorded).stopped != "interrupted"


def recorded_by(
    runs: Mapping[str, Path],
    tasks: JSON,
    split: Split,
    new_classes: NewClasses,
    trains: bool,
) -> list[Recorded]:
    """The data of the runs that are compared; none where other tasks are asked for.

    Args:
        runs: The run directories of the learners that are loaded, by name.
        tasks: Name and options of the tasks from the command line.
        split: The split that tasks are drawn from.
        new_classes: What becomes of classes that the runs do not know.
        trains: Whether other learners are trained on the same split.

    Raises:
        UserError: New classes are asked for where there are none.
    """
    if not runs or others_than_places(tasks):
        if new_classes == "test":
            raise UserError(
                "compare: new_classes test is for the tasks of runs; received "
                f"{'other tasks' if runs else 'no run'}; leave new_classes out."
            )
        return []
    needs: tuple[Split, ...] = (split, "train", "valid") if trains else (split,)
    return [Recorded.of(run, needs, new_classes) for run in runs.values()]
