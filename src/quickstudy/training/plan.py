"""From plain settings to a learner, its tasks and the settings of training."""

from __future__ import annotations

import inspect
import json
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from quickstudy import catalog
from quickstudy.batching.processes import joined, json_from_first
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.files.rundir import RunDirectory
from quickstudy.learner import AnyLearner
from quickstudy.tasks import Augmented, Episodes, Recorded, TaskSource
from quickstudy.tasks.recorded import PLACES
from quickstudy.training.loop import train as meta_train
from quickstudy.training.result import Result, Resume, Watch
from quickstudy.training.resuming import MAY_CHANGE
from quickstudy.training.settings import Training
from quickstudy.training.signatures import REQUIRED, Option, Signature, fitted

DEFAULTS: JSON = {"learner": "PrototypicalNetwork", "tasks": "glyphs", "net": None}
LEARNERS = {
    **dict.fromkeys(("windows", "eth_ucy", "ratings", "interactions"), "PriorHead"),
    **dict.fromkeys(catalog.WORLDS, "PolicyMAML"),
}
"""The default learner of tasks for which that of `DEFAULTS` is none."""
# A row for each item is seen in few tasks: it needs large steps, which end small.
_OF_ITEMS: JSON = {"steps": 400, "outer_lr": 1e-2, "schedule": "cosine", "valid_every": 50}
# A world costs much, and its gradient is noisy: few steps of many worlds.
_OF_WORLDS: JSON = {"steps": 100, "meta_batch": 20, "outer_lr": 1.5e-3, "schedule": "cosine"}
_OF_WORLDS |= {"clip": 1.0, "valid_every": 10, "valid_tasks": 40}
TRAINING: dict[str, JSON] = {
    **dict.fromkeys(("ratings", "interactions"), _OF_ITEMS),
    **dict.fromkeys(catalog.WORLDS, _OF_WORLDS),
}
"""The default settings of training on tasks for which those of `Training` are poor."""
NET_OF_TASKS = dict.fromkeys(("ratings", "interactions"), "ItemTable")
"""The network of tasks that are about one, where none is named."""
DECIDED_BY_TASKS = {"ItemTable": ("n_items",)}
"""Options of networks that follow from the tasks."""
DRAWING = ("n_way", "n_shot", "n_query")
RESUME = "Run directory to continue, bit by bit; or auto: that of out, if it holds this very run."
OUT = (
    Option("out", Path | None, help="Run directory to write."),
    Option("resume", Path | None, help=RESUME),
)


def signatures(learner: str, tasks: str, net: str | None) -> Iterator[Option | Signature]:
    """The options of meta-training a learner on tasks, in the order of a run's record.

    Args:
        learner: Name of the learner.
        tasks: Name of the tasks.
        net: Name of the network; None where the inputs decide which one it is.

    Raises:
        UserError: There is no learner, source or network of this name.
    """
    method = catalog.lookup("learner", learner, catalog.LEARNERS)
    source = catalog.tasks_builder(tasks)
    drawing = source if catalog.makes_tasks(tasks) else Episodes
    yield Signature(Training, others=TRAINING.get(tasks, {}))
    yield Signature(drawing, skip=inspect.signature(drawing).parameters.keys() - {*DRAWING})
    yield Option("learner.name", str, learner, "The learner.")
    yield Signature(method, "learner", skip={"net", "kind", "n_out", "n_classes", "world"})
    yield Option("tasks.name", str, tasks, "The tasks.")
    parameters = inspect.signature(source).parameters.keys()
    yield Signature(source, "tasks", skip={*DRAWING, "seed", "recorded"} & parameters)
    yield Signature(Augmented, "tasks.augment", skip={"source", "seed"})
    yield Option("net.name", str | None, net, "The network.")
    if net is None:
        # Options of every network that inputs may decide on.
        for name in options_of_default_nets(tasks):
            yield Option(f"net.{name}", Any, help="Of the network.")
    else:
        builder = catalog.lookup("net", net, catalog.NETS)
        decided = {*catalog.DECIDED_BY_LEARNER.get(net, {}), *DECIDED_BY_TASKS.get(net, ())}
        yield Signature(builder, "net", skip={"in_shape"}, left_out=decided)
        yield Option("net.head", str | None, help="shared, per_class or zero.")


def resolve(settings: Mapping[str, Any]) -> JSON:
    """All options of a meta-training: those given, each of its type, and the others' defaults.

    Args:
        settings: Options of `quickstudy train`, nested as in a recipe; `learner`, `tasks` and `net`
            may be a name alone.

    Returns:
        The options as nested JSON, in the order of a run's record. An option that is None is left
        to the builder of its part.

    Raises:
        UserError: An option is unknown, missing, or of another type.
    """
    values = {name.replace("-", "_"): value for name, value in flat(settings).items()}
    for kind in DEFAULTS.keys() & values.keys():
        values[f"{kind}.name"] = values.pop(kind)
    names = names_of({kind: values.get(f"{kind}.name") for kind in DEFAULTS})
    options: dict[str, Option] = {option.name: option for option in OUT}
    for entry in signatures(**names):
        each = entry.options() if isinstance(entry, Signature) else [entry]
        options |= {option.name: option for option in each}
    for name in values:
        if name not in options:
            raise unknown_option("quickstudy train", name, options)
    resolved = {name: _value(option, values) for name, option in options.items()}
    return plain(nested(resolved))


def names_of(names: Mapping[str, Any]) -> JSON:
    """The names of learner, tasks and net, each by its default where it is None."""
    every = {kind: names[kind] or name for kind, name in DEFAULTS.items()}
    every["learner"] = names["learner"] or default_learner(str(every["tasks"]))
    return {kind: name and str(name) for kind, name in every.items()}


def default_learner(tasks: str) -> str:
    """The learner of tasks where none is said."""
    return LEARNERS.get(tasks, str(DEFAULTS["learner"]))


def options_of_default_nets(tasks: str) -> list[str]:
    """Names of the options of every network that a learner of these tasks may get by itself."""
    own = NET_OF_TASKS.get(tasks)
    names = dict.fromkeys(
        option
        for name in ((own,) if own else catalog.DEFAULT_NETS)
        for option in inspect.signature(catalog.NETS[name]).parameters
        if option not in ("in_shape", *DECIDED_BY_TASKS.get(name, ()))
    )
    return [*names, "head"]


def _value(option: Option, values: JSON) -> Any:
    """The value of an option, or its default."""
    name = option.name
    value = values.get(name, option.default)
    if value is REQUIRED:
        raise UserError(
            f"quickstudy train: needs {hyphened(f'--{name}')}; received none; give it; see "
            "quickstudy train --help."
        )
    if name not in values or (value is None and option.default is None):
        return value
    try:
        return fitted(value, option.type)
    except ValueError as error:
        raise UserError(
            f"quickstudy train: {name} must be {inspect.formatannotation(option.type)}; received "
            f"{value!r:.200}; see quickstudy train --help."
        ) from error


def typed(types: Mapping[str, Any], options: Mapping[str, Any], where: str) -> JSON:
    """Options as JSON holds them, each of its type.

    Args:
        types: The type of each option by name.
        options: Those given, with hyphens or underscores.
        where: What they are options of, for the message.

    Raises:
        UserError: One is unknown, where the nearest is named, or of another type.
    """
    fitting = {}
    for key, value in options.items():
        name = str(key).replace("-", "_")
        if name not in types:
            raise unknown_option(where, name, types)
        try:
            fitting[name] = fitted(value, types[name])
        except ValueError as error:
            raise UserError(
                f"{where}: {name} must be {inspect.formatannotation(types[name])}; received "
                f"{value!r:.200}; correct it."
            ) from error
    return fitting


def run_training(
    options: JSON,
    resume: Resume = False,
    show: bool = True,
    watch: Watch | None = None,
    recorded: Recorded | None = None,
) -> Result:
    """Meta-trains as the options of `quickstudy train` say.

    Args:
        options: All of them.
        resume: Whether a run is continued, on the split that it began with; as in
            `quickstudy.train`.
        show: Whether progress is shown.
        watch: As in `quickstudy.train`.
        recorded: The data of another run, whose split a new one uses.
    """
    options = plain({**options, "resume": None})
    with joined():
        if resume and json_from_first(lambda: RunDirectory(options["out"]).exists):
            recorded = Recorded.of(options["out"], needs=("train", "valid"))
        learner, source, training, tasks = build(options, recorded)
        about = {"config": options, "tasks_spec": tasks}
        out = options["out"]
        return meta_train(
            learner, source, training, out, about=about, resume=resume, show=show, watch=watch
        )


def build(
    options: JSON, recorded: Recorded | None = None
) -> tuple[AnyLearner, TaskSource, Training, JSON]:
    """The learner, tasks and settings that the options of training ask for, and the tasks' spec."""
    tasks = tasks_spec(options)
    source = catalog.build_tasks(tasks, recorded)
    learner = catalog.build(
        without_none(options["learner"]), source, without_none(options["net"]), options["seed"]
    )
    return learner, source, training_of(options), tasks


def training_of(options: JSON) -> Training:
    """The settings of training among its options."""
    known = inspect.signature(Training).parameters
    return Training(**{k: v for k, v in options.items() if k in known})


def tasks_spec(options: JSON) -> JSON:
    """The tasks that the options of training ask for."""
    drawing = {k: options[k] for k in DRAWING if k in options}
    tasks = {**without_none(options["tasks"]), **drawing, "seed": options["seed"]}
    augment = tasks.get("augment", {})
    if not any(augment.get(name) for name in ("rotations", "mix", "warp")):
        tasks.pop("augment", None)
    idle = augment.get("mix_share", Augmented.mix_share) != Augmented.mix_share
    if idle and not augment.get("mix"):
        raise UserError(
            "tasks: augment.mix_share has an effect only with augment.mix; received "
            f"{augment['mix_share']} without it; give mixup or cutmix, or leave it out."
        )
    return tasks


def changed(recorded: JSON, options: JSON) -> list[str]:
    """Names of the options that a run did not begin with and cannot be continued with."""
    asked, places = flat(plain(options)), {f"tasks.{place}" for place in PLACES}
    return [
        key
        for key, value in flat(recorded).items()
        if key not in ("out", "resume", *MAY_CHANGE, *places) and asked.get(key) != value
    ]


def without_none(options: Mapping[str, Any]) -> JSON:
    """The options without those left to the builder."""
    return {k: v for k, v in options.items() if v is not None}


def flat(options: Mapping[str, Any], prefix: str = "") -> JSON:
    """Nested options by dotted name."""
    values: JSON = {}
    for key, value in options.items():
        if isinstance(value, dict) and key in (*DEFAULTS, "augment"):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return values


def nested(options: Mapping[str, Any]) -> JSON:
    """Options by dotted name as the YAML of `quickstudy train` nests them."""
    values: JSON = {}
    for name, value in options.items():
        *parents, last = name.split(".")
        inside = values
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[last] = value
    return values


def plain(options: JSON) -> JSON:
    """Options as JSON holds them: paths are text, and tuples are lists."""
    return json.loads(json.dumps(options, default=str))


def hyphened(option: str) -> str:
    """An option as users type it: `n-way`, or `--learner` for `--learner.name`."""
    return option.replace("_", "-").removesuffix(".name")


def unknown_option(command: str, option: str, known: Collection[str]) -> UserError:
    """The error for an option that a command does not have, with the nearest that it has."""
    shown = hyphened(f"--{option}")
    if option in DRAWING and "tasks.name" in known:
        what = {"n_way": "ways", "n_shot": "shots", "n_query": "queries"}[option]
        return UserError(
            f"{command}: these tasks have no {what} to choose; received {shown}; leave it out."
        )
    near = get_close_matches(f"--{option}", [f"--{name}" for name in known], n=1, cutoff=0.5)
    hint = f"did you mean {hyphened(near[0])}?" if near else f"see {command} --help."
    return UserError(f"{command}: unknown option; received {shown}; {hint}")
