"""From names and options to objects: the same for the command line, recipes and run directories.

Only what is listed here can be built, so a run directory cannot name code to run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import nn

from quickstudy import learners, nets
from quickstudy import tasks as task_sources
from quickstudy.errors import DataError, UserError
from quickstudy.inputs.tails import leaving_blocks, start_tails
from quickstudy.learner import AnyLearner, check_kind
from quickstudy.nets import SharedLinear
from quickstudy.play import World
from quickstudy.task import Kind
from quickstudy.tasks import Augmented, Dataset, Episodes, TaskSource
from quickstudy.tasks.recorded import PLACES, Recorded
from quickstudy.tasks.source import flat_batches
from quickstudy.tasks.survey import Survey

Spec = dict[str, Any]
T = TypeVar("T")

Builder = Callable[..., Dataset | TaskSource]

LEARNERS: dict[str, type[AnyLearner]] = {
    name: learner
    for name in sorted(learners.__all__)
    if (learner := getattr(learners, name)).tags.meta_trained
}
NETS: dict[str, type[nn.Module]] = {
    "Adapter": nets.Adapter,
    "Conv4": nets.Conv4,
    "GIN": nets.GIN,
    "ItemTable": nets.ItemTable,
    "MLP": nets.MLP,
    "Metric": nets.Metric,
    "ResNet12": nets.ResNet12,
    "Tail": nets.Tail,
    "Transformer": nets.Transformer,
}
# For pictures, and for other inputs, where none is named.
DEFAULT_NETS = ("Conv4", "MLP")
DECIDED_BY_LEARNER: dict[str, Spec] = {
    "Conv4": {"norm": "population", "pools": 4},
    "ResNet12": {"norm": "population"},
}
"""Options of networks that a learner may set by `Tags.net_options`, and their usual values."""
HEADS = ("shared", "per_class", "zero")


class Listed(NamedTuple):
    """A source in the list.

    Attributes:
        load: Finds what makes it; of a domain the metrics stand in results without its tasks.
        gives_classes: Whether that makes a `Dataset`, from whose classes `Episodes` draws tasks,
            rather than the tasks themselves.
    """

    load: Callable[[], Builder]
    gives_classes: bool = False


_OF_CLASSES = (
    *("glyphs", "omniglot", "folder", "table"),
    *("texts", "clinc150", "hwu64", "fewrel"),
)
SOURCES: dict[str, Listed] = {
    name: Listed(partial(task_sources.SOURCES.__getitem__, name), name in _OF_CLASSES)
    for name in task_sources.SOURCES
}


def _of_domain(domain: str, name: str) -> Any:
    return getattr(import_module(f"quickstudy.domains.{domain}"), name)


WORLDS = ("bandit", "point-goal", "reach")
"""The families of worlds that have tasks of their name."""
_DOMAINS = {
    "windows": ("windows", "eth_ucy"),
    "ratings": ("ratings", "interactions"),
    "sites": ("sites",),
    "control": WORLDS,
    "assays": ("assays",),
}
_MADE = {name: f"{name}_in" for names in _DOMAINS.values() if names != WORLDS for name in names}
_MADE |= {"windows": "series_in", "eth_ucy": "scenes_in"}
for _domain in _DOMAINS:  # so that results may name its metrics
    import_module(f"quickstudy.domains.{_domain}.metrics")
SOURCES |= {
    name: Listed(partial(_of_domain, domain, name.replace("-", "_")))
    for domain, names in _DOMAINS.items()
    for name in names
}


def lookup(kind: str, name: str, entries: dict[str, T]) -> T:
    """The entry of this name.

    Raises:
        UserError: There is none; the nearest name is suggested.
    """
    if name not in entries:
        near = get_close_matches(name.lower(), [n.lower() for n in entries], n=1, cutoff=0.4)
        hint = next((n for n in entries if near and n.lower() == near[0]), None)
        raise UserError(
            f"unknown {kind}: expected one of {', '.join(entries)}; received {name!r}; "
            + (f"did you mean {hint}?" if hint else "choose one of these.")
        )
    return entries[name]


def tasks_builder(name: str) -> Builder:
    """The builder of the tasks of this name.

    Raises:
        UserError: There are none; the nearest name is suggested.
    """
    return lookup("tasks", name, SOURCES).load()


def data_maker(name: str) -> Callable[[Path, int], Spec]:
    """The function that writes made-up data of a seed into a folder, for the tasks of this name.

    It returns the options with which they are read.

    Raises:
        UserError: There are no such tasks, or nothing makes their data.
    """
    return _of_domain(f"{_domain_of(name)}.made", lookup("made-up data", name, _MADE))


def surveyor(name: str) -> Callable[[Path], Survey] | None:
    """The function that tells what is in a file of these tasks; None where there is none."""
    domain = _domain_of(name)
    surveyed = domain in ("ratings", "assays")
    return _of_domain(f"{domain}.survey", "SURVEYS")[name] if surveyed else None


def _domain_of(name: str) -> str | None:
    return next((domain for domain, names in _DOMAINS.items() if name in names), None)


def world(spec: Spec) -> World:
    """A world from its `name` and options.

    Raises:
        UserError: There is none of this name, or an option is unknown.
    """
    options = {k: v for k, v in spec.items() if k != "name"}
    builder: Callable[..., World] = _of_domain("control.families", "family")(spec["name"])
    return _call("world", spec["name"], builder, options)


def build_net(
    spec: Spec,
    x_shape: tuple[int, ...],
    n_out: int,
    kind: Kind,
    with_head: bool,
    default_head: str = "shared",
    carried: int = 0,
) -> nn.Module:
    """A network for inputs of a shape.

    Args:
        spec: `name`, options of the network, and `head`: `"shared"` for a head that serves any
            number of ways, `"per_class"` for one with `n_out` rows, `"zero"` for one that starts
            at zero and has no bias.
        x_shape: Shape of one input.
        n_out: Ways or regression outputs.
        kind: Regression heads always have `n_out` rows.
        with_head: Whether the learner needs outputs rather than features.
        default_head: The head where the spec says none.
        carried: How many trailing numbers of an input the network does not see.

    Raises:
        UserError: Unknown name, option or head.
    """
    options = dict(spec)
    name, head = options.pop("name"), options.pop("head", None) or default_head
    if head not in HEADS:
        raise UserError(
            f"net {name}: head must be one of {', '.join(HEADS)}; received {head!r}; choose one."
        )
    shape = (x_shape[0] - carried,) if carried else x_shape
    encoder = _call("net", name, lookup("net", name, NETS), {"in_shape": shape, **options})
    if carried:
        encoder = nets.Leading(encoder, *shape)
    if not with_head:
        return encoder
    n_features = encoder.n_features
    assert isinstance(n_features, int)
    if kind == "classification" and head == "shared":
        return nn.Sequential(encoder, SharedLinear(n_features))
    linear = nn.Linear(n_features, n_out, bias=head != "zero")
    if head == "zero":
        nn.init.zeros_(linear.weight)
    return nn.Sequential(encoder, linear)


def build(
    learner: str | Spec, tasks: TaskSource, net: str | Spec | None = None, seed: int = 0
) -> AnyLearner:
    """A learner with a network that fits the tasks' inputs.

    Args:
        learner: Its name, or a dict of its `name` and options.
        tasks: The tasks it is for.
        net: Name of the network, or a dict of its `name` and options; where the name is omitted,
            the one that the tasks are about, if they are, else Conv4 for pictures and MLP for other
            inputs.
        seed: Seed of the initialisation.

    Raises:
        UserError: Unknown name or option.

    Example:
        >>> learner = qs.build("PrototypicalNetwork", tasks, net={"name": "MLP", "hidden": [32]})
        >>> learner.adapt(support).prototypes.shape
        torch.Size([2, 32])
    """
    spec = _spec(learner)
    specs: Spec = {
        "learner": spec,
        "net": default_net(spec["name"], tasks.x_shape, _with_task_net(tasks, net)),
        "x_shape": list(tasks.x_shape),
        "n_out": tasks.n_out,
        "kind": tasks.kind,
        "seed": seed,
    }
    if tasks.family is not None:
        specs["world"] = tasks.family.to_json()
    if tasks.preprocess is not None and tasks.preprocess.carried:
        specs["carried"] = tasks.preprocess.carried
    if "n_classes" in inspect.signature(lookup("learner", spec["name"], LEARNERS)).parameters:
        specs["n_classes"] = flat_batches(tasks).n_out
    if specs["net"]["name"] == "Tail":
        specs["starts_from"] = leaving_blocks(tasks.preprocess).to_json()
    built = from_specs(specs)
    start_tails(built, specs)
    return built


def default_net(learner: str, x_shape: tuple[int, ...], net: str | Spec | None) -> Spec:
    """The network's spec with what the learner and the inputs decide filled in."""
    images = len(x_shape) == 3 and min(x_shape[1:]) >= 16
    image_net, other_net = DEFAULT_NETS
    tags = lookup("learner", learner, LEARNERS).tags
    asked = _spec(net) if net else {}
    usual = tags.net or {"name": image_net if images else other_net}
    spec = asked if "name" in asked else {**usual, **asked}
    preferences = tags.net_options
    for option, default in DECIDED_BY_LEARNER.get(spec["name"], {}).items():
        spec.setdefault(option, preferences.get(option, default))
    return spec


def from_specs(specs: Spec) -> AnyLearner:
    """A learner from the `specs` of one that `build` made."""
    learner = dict(specs["learner"])
    builder = lookup("learner", learner.pop("name"), LEARNERS)
    check_kind(builder, specs["kind"])
    if builder.tags.reads_columns and len(specs["x_shape"]) != 1:
        raise UserError(
            f"{builder.__name__}: is for rows of tables; received inputs of shape "
            f"{tuple(specs['x_shape'])}; choose another learner, such as PrototypicalNetwork."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(specs["seed"])
        parameters = inspect.signature(builder).parameters
        if "net" in parameters:
            learner["net"] = build_net(
                specs["net"],
                tuple(specs["x_shape"]),
                specs["n_out"],
                specs["kind"],
                builder.tags.needs_head,
                builder.tags.default_head,
                specs.get("carried", 0),
            )
        learner |= {k: specs[k] for k in ("n_out", "n_classes") if k in parameters}
        if "world" in parameters and "world" in specs:
            learner["world"] = world(specs["world"])
        if "kind" in parameters:
            learner["kind"] = specs["kind"]
        built = _call("learner", builder.__name__, builder, learner)
    built.specs = specs
    return built


def encoder(learner: AnyLearner) -> nn.Module | None:
    """A learner's network from inputs to features, without its head; None if it has no network."""
    specs = learner.specs
    if specs is not None:
        shape, n_out, kind = tuple(specs["x_shape"]), specs["n_out"], specs["kind"]
        with torch.random.fork_rng(devices=[]):
            carried = specs.get("carried", 0)
            net = build_net(specs["net"], shape, n_out, kind, with_head=False, carried=carried)
        start_tails(net, specs)
        return net
    return learner.feature_network()


def build_tasks(spec: Spec, recorded: Recorded | None = None) -> TaskSource:
    """A task source from its `name`, the options of its data, and how tasks are drawn from them.

    Args:
        spec: Under `augment` may stand the options of `Augmented`.
        recorded: The data of a run, whose split is used again.

    Raises:
        UserError: An option is unknown, or the data are not as they were in the run.
        DataError: The data are not there, or cannot be read.
    """
    options = dict(spec)
    name, augment = options.pop("name"), options.pop("augment", None)
    source = tasks_builder(name)
    own = inspect.signature(source).parameters
    drawing = {k: options[k] for k in ("n_way", "n_shot", "n_query", "seed") if k in options}
    if "n_way" in drawing and makes_tasks(name):
        raise UserError(
            f"tasks {name}: have no ways; received n_way={drawing['n_way']}; leave it out."
        )
    options = {k: v for k, v in options.items() if k not in drawing or k in own}
    source = partial(source, recorded=recorded) if "recorded" in own else source
    try:
        tasks = _call("tasks", name, source, options)
    except DataError as error:
        place = next((place for place in PLACES if place in own), None)
        if recorded is None or place is None:
            raise
        raise DataError(
            f"{recorded.run}: its data are not where they were, or cannot be read. {error} Where "
            f"they lie now is told by --tasks.{place.replace('_', '-')}."
        ) from error
    tasks = Episodes(tasks, **drawing) if isinstance(tasks, Dataset) else tasks
    if augment is None:
        return tasks
    return _call(
        "tasks", "augment", partial(Augmented, tasks), {"seed": spec.get("seed", 0), **augment}
    )


def seed_splits(name: str) -> bool:
    """Whether the seed of these tasks decides which classes are meta-test, besides the draws."""
    return not makes_tasks(name) and "seed" in inspect.signature(tasks_builder(name)).parameters


def makes_tasks(name: str) -> bool:
    """Whether these tasks come as they are, rather than as episodes that are drawn from classes."""
    return not lookup("tasks", name, SOURCES).gives_classes


def _with_task_net(tasks: TaskSource, net: str | Spec | None) -> Spec:
    """The network asked for; without another name, options of the one that the tasks are about."""
    spec, task_net = _spec(net or {}), tasks.net
    if task_net is None or spec.get("name", task_net["name"]) != task_net["name"]:
        return spec
    return {**task_net, **spec}


def _spec(spec: str | Spec) -> Spec:
    return {"name": spec} if isinstance(spec, str) else dict(spec)


def _call(
    kind: Literal["net", "learner", "tasks", "world"],
    name: str,
    builder: Callable[..., T],
    options: Spec,
) -> T:
    known = [name for name in inspect.signature(builder).parameters if name != "recorded"]
    for option in options:
        if option not in known:
            near = get_close_matches(option, known, n=1)
            raise UserError(
                f"{kind} {name}: unknown option {option!r}; its options are "
                f"{', '.join(k for k in known if k not in ('net', 'in_shape'))}; "
                + (f"did you mean {near[0]!r}?" if near else "choose one of these.")
            )
    for option, value in options.items():
        if isinstance(value, list):
            options = {**options, option: tuple(value)}
    try:
        return builder(**options)
    except (TypeError, RuntimeError) as error:
        raise UserError(
            f"{kind} {name}: needs all its options, each of its type; received {options} "
            f"({str(error).splitlines()[0]}); correct them."
        ) from error
