"""The spaces that are searched where none is given, by what the tasks are."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from quickstudy import catalog
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.learners.gradient_based import usual_rate
from quickstudy.search.space import Choice, Space, space_of
from quickstudy.tasks import TaskSource
from quickstudy.training.plan import DEFAULTS, flat, nested, resolve
from quickstudy.training.plan import default_learner as learner_of

GRADIENT = ["MAML", "MetaSGD", "ANIL"]
CLASSIFIERS = [
    *("PrototypicalNetwork", "MatchingNetwork", "RidgeHead", "LogisticHead"),
    *("ANIL", "MAML"),
]
OF_ITEMS = ["PriorHead", "RidgeHead", "Pooled"]
"""Learners on a table of items: those that adapt in closed form, and one that does not adapt."""
REGRESSORS = ["MAML", "MetaSGD", "ANIL", "RidgeHead", "PriorHead", "NeuralProcess"]
POLICIES = ["PolicyMAML", "ProMP", "MultiTaskPolicy"]


def default_space(source: TaskSource, net: str | None = None) -> Space:
    """The space for these tasks: learner, inner and outer rates, network, norm, augmentation.

    Args:
        source: The tasks.
        net: Name of the network; the one that learners get by themselves where omitted.
    """
    net = net or catalog.default_net("MAML", source.x_shape, source.net)["name"]
    least = 0 if source.kind == "regression" else 1
    rates = (1e-3, 3e-2) if net == "ItemTable" else (1e-4, 1e-2)
    outer = _outer(_log(*rates, 1e-5, 0.1))
    return space_of([*_learner(source, net), *outer, *_net(net, least), *_augment(source)])


def defaults(space: Space, source: TaskSource, options: Mapping[str, Any]) -> JSON:
    """The choices that make a training the one without any, or the nearest to it in the space.

    Args:
        space: The space.
        source: The tasks.
        options: All options of a training of the default learner, by dotted name.
    """
    learner = str(options["learner.name"])
    net = catalog.default_net(learner, source.x_shape, options.get("net.name") or source.net)
    width = options.get("net.hidden")
    if width is None:
        width = net["hidden"] if "hidden" in net else _default(net["name"], "hidden")
    known = {**options, "net.name": net["name"], "net.norm": net.get("norm")}
    known["net.pool"] = options.get("net.pool") or _default(net["name"], "pool")
    known["net.hidden"] = known["net.width"] = width
    for option in ("width", "relu"):
        if f"net.{option}" not in known or known[f"net.{option}"] is None:
            known[f"net.{option}"] = _default(net["name"], option)
    known["learner.inner_lr"] = usual_rate(options.get("learner.inner_lr"), source.kind)
    if isinstance(width, list | tuple):
        # A linear model has no width; the usual one stands for it.
        usual = _default(net["name"], "hidden")[0]
        known["net.width"], known["net.depth"] = [*width, usual][0], len(width)

    def pick(choice: Choice) -> Any:
        value = known.get(choice.option)
        return choice.usual if value is None and choice.usual is not None else choice.nearest(value)

    return space.draw(pick)


def usual_choices(space: Space, source: TaskSource, fixed: JSON) -> list[JSON]:
    """The choices of the default configuration, and those of every other learner as it comes.

    A learner that options which all trials share do not fit is left out.
    """
    default = default_learner(space, fixed)
    choices = []
    for learner in dict.fromkeys([default, *learners(space)]):
        named = nested({**fixed, "learner.name": learner})
        try:
            resolved = resolve(named)
        except UserError:
            if learner == default:
                raise
            continue
        choices.append(defaults(space, source, flat(resolved)))
    return choices


def default_learner(space: Space, fixed: Mapping[str, Any]) -> str:
    """The learner of the default configuration."""
    usual = learner_of(str(fixed.get("tasks.name", DEFAULTS["tasks"])))
    for choice in space.choices:
        if choice.option == "learner.name":
            return str(choice.nearest(usual))
    return str(fixed.get("learner.name", usual))


def learners(space: Space) -> list[str]:
    """The learners that are searched; none where that is no choice."""
    return [str(v) for c in space.choices if c.option == "learner.name" for v in c.values]


def _default(net: str, option: str) -> Any:
    known = inspect.signature(catalog.lookup("net", net, catalog.NETS)).parameters
    return known[option].default if option in known else None


def _learner(source: TaskSource, net: str) -> list[JSON]:
    if source.kind == "control":
        return _policy()
    if net == "ItemTable":
        return _learner_of_items()
    classes = source.kind == "classification"
    learners = CLASSIFIERS if classes else REGRESSORS
    gradient = {"learner.name": [name for name in learners if name in GRADIENT]}
    exact = {"learner.name": [name for name in learners if name in ("MAML", "ANIL")]}
    steps = {"low": 1, "high": 5, "whole": True, "least": 1, "most": 10, "usual": 1}
    rate = _log(0.01, 1.0, 1e-3, 3.0) if classes else _log(1e-3, 0.5, 1e-4, 3.0)
    rate["usual"] = usual_rate(None, source.kind)
    choices: list[JSON] = [
        {"option": "learner.name", "values": learners},
        {"option": "learner.inner_lr", **rate, "when": gradient},
        {"option": "learner.inner_steps", **steps, "when": gradient},
        {"option": "learner.meta_gradient", "values": ["exact", "first"], "when": exact},
    ]
    if classes:
        for head, usual in (("RidgeHead", 10.0), ("LogisticHead", 1.0)):
            scale = _log(usual / 10, usual * 10, usual / 100, usual * 100) | {"usual": usual}
            choices.append({"option": "learner.scale", **scale, "when": {"learner.name": [head]}})
    return choices


def _policy() -> list[JSON]:
    """The choices of a policy; spreads of actions have no effect where they are chosen."""
    return [
        {"option": "learner.name", "values": POLICIES},
        {"option": "learner.inner_lr", **_log(0.03, 1.0, 1e-2, 10.0), "usual": 0.1},
        {"option": "learner.discount", "values": [0.95, 0.99, 1.0]},
        {"option": "learner.std", **_log(0.1, 1.0, 0.01, 3.0)},
    ]


def _learner_of_items() -> list[JSON]:
    penalty = _log(0.3, 30.0, 0.01, 300.0) | {"usual": 6.0}
    return [
        {"option": "learner.name", "values": OF_ITEMS},
        {"option": "learner.penalty", **penalty, "when": {"learner.name": ["RidgeHead"]}},
    ]


def _outer(outer_lr: JSON) -> list[JSON]:
    return [
        {"option": "outer_lr", **outer_lr},
        {"option": "meta_batch", **_log(2, 16, 1, 64), "whole": True},
        {"option": "schedule", "values": ["constant", "cosine"]},
    ]


def _net(name: str, least: int) -> list[JSON]:
    """The choices of a network; an MLP has `least` hidden layers, none for a linear model."""
    if name == "Conv4":
        return [
            {"option": "net.hidden", "values": [16, 32, 64]},
            {"option": "net.pool", "values": ["max", "stride"]},
            {"option": "net.norm", "values": ["population", "support", "group"]},
        ]
    if name == "MLP":
        return [
            {"option": "net.width", **_log(16, 128, 8, 512), "whole": True},
            {
                "option": "net.depth",
                "low": least,
                "high": 3,
                "whole": True,
                "least": least,
                "most": 5,
            },
            {"option": "net.norm", "values": [None, "layer"]},
        ]
    if name == "ItemTable":
        return [
            {"option": "net.width", **_log(16, 96, 4, 256), "whole": True},
            {"option": "net.relu", "values": [True, False]},
        ]
    return []


def _augment(source: TaskSource) -> list[JSON]:
    shape = source.x_shape
    if len(shape) != 3 or source.kind != "classification":
        return []
    choices: list[JSON] = [
        {"option": "tasks.augment.mix", "values": [None, "mixup", "cutmix"]},
        {"option": "tasks.augment.warp", "low": 0.0, "high": 0.3, "least": 0.0, "most": 0.6},
    ]
    rotations: JSON = {"option": "tasks.augment.rotations", "values": [False, True]}
    return [rotations, *choices] if shape[1] == shape[2] else choices


def _log(low: float, high: float, least: float, most: float) -> JSON:
    return {"low": low, "high": high, "log": True, "least": least, "most": most}
