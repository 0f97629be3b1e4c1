"""Plain settings resolve to what the command line reads, and are refused where they are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_recipes import PROFILES

from quickstudy import UserError
from quickstudy.catalog import LEARNERS, NETS, SOURCES
from quickstudy.cli.options import train_parser
from quickstudy.training.plan import build, flat, nested, resolve

JSON = dict[str, Any]
PATH = {"tasks.path": "data", "tasks.target": "kind", "tasks.horizon": 12}
OF_A_PLACE = (
    *("folder", "tables", "texts", "clinc150", "hwu64", "fewrel"),
    *("eth_ucy", "ratings", "interactions", "sites", "assays"),
)
NEEDS = {
    "table": ("tasks.path", "tasks.target"),
    "windows": ("tasks.path", "tasks.horizon"),
    **dict.fromkeys(OF_A_PLACE, ("tasks.path",)),
}
EVERYTHING = [
    *({"learner": {"name": name}} for name in LEARNERS),
    *({"net": {"name": name}} for name in NETS),
    *(
        nested({"tasks.name": name} | {key: PATH[key] for key in NEEDS.get(name, ())})
        for name in SOURCES
    ),
]


def from_the_command_line(settings: JSON) -> JSON:
    """The options that `quickstudy train` reads where the settings are written as its words."""
    words = [
        f"--{key}={json.dumps(value) if isinstance(value, dict | list) else value}"
        for key, value in flat(settings).items()
    ]
    options = train_parser(words).read(words).as_dict()
    del options["config"]
    return json.loads(json.dumps(options, default=str))


@pytest.mark.parametrize(
    "settings",
    [
        *(pytest.param(p.values[0]["train"], id=p.id) for p in PROFILES),  # type: ignore[index, call-overload]
        *(pytest.param(settings, id=yaml.safe_dump(settings)) for settings in EVERYTHING),
    ],
)
def test_settings_resolve_to_what_the_command_line_reads(settings: JSON) -> None:
    read, resolved = from_the_command_line(settings), resolve(settings)
    assert resolved == read
    assert json.dumps(resolved) == json.dumps(read), "in the same order, so that records are alike"
    assert resolve(resolved) == resolved


@pytest.mark.parametrize(
    ("option", "value", "held"),
    [
        ("steps", "12", 12),
        ("outer_lr", 1, 1.0),
        ("outer_lr", "1e-3", 0.001),
        ("clip", None, None),
        ("clip", "null", None),
        ("compile", "yes", True),
        ("device", 0, "0"),
        ("n_shot", (1, 5), [1, 5]),
        ("n_shot", "[1, 5]", [1, 5]),
        ("n-shot", 3, 3),
        ("out", Path("runs/mine"), "runs/mine"),
        ("optimizer_options", {"betas": [0.8, 0.9]}, {"betas": [0.8, 0.9]}),
        ("learner", "MAML", "MAML"),
        ("net.hidden", ["8", 4], [8, 4]),
        ("net.norm", None, None),
        ("tasks.augment.warp", 0, 0.0),
    ],
)
def test_values_that_fit(option: str, value: Any, held: Any) -> None:
    options = flat(resolve(nested({"net.name": "MLP", option: value})))
    option = option.replace("-", "_")
    resolved = options[f"{option}.name" if option == "learner" else option]
    assert resolved == held
    assert type(resolved) is type(held)


@pytest.mark.parametrize(
    ("option", "value", "kind"),
    [
        ("steps", 5.0, "int"),
        ("steps", True, "int"),
        ("steps", "1e3", "int"),
        ("steps", None, "int"),
        ("outer_lr", "fast", "float"),
        ("outer_lr", True, "float"),
        ("outer_lr", float("nan"), "float"),
        ("clip", "big", "float | None"),
        ("compile", 1, "bool"),
        ("schedule", "cosin", "Literal['constant', 'cosine', 'linear', 'halve']"),
        ("n_shot", [1, 2, 3], "int | tuple[int, int]"),
        ("n_shot", [1.5, 2], "int | tuple[int, int]"),
        ("optimizer_options", [1], "dict"),
        ("outer_optimizer", ["Adam"], "str"),
        ("net.hidden", 8, "Sequence[int]"),
        ("net.hidden", "{", "Sequence[int]"),
    ],
)
def test_values_that_do_not_fit(option: str, value: Any, kind: str) -> None:
    settings = nested({"net.name": "MLP", option: value})
    with pytest.raises(UserError) as raised:
        resolve(settings)
    said = str(raised.value)
    assert f"quickstudy train: {option} must be " in said
    assert kind in said
    assert repr(value) in said
    assert said.endswith("see quickstudy train --help.")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"outer_rl": 1}, "received --outer-rl; did you mean --outer-lr?"),
        ({"learner": {"name": "MAML", "inner_step": 1}}, "did you mean --learner.inner-steps?"),
        ({"xyzzy": 1}, "see quickstudy train --help."),
        ({"learner": "MALM"}, "did you mean MAML?"),
        ({"learner": ["MAML"]}, "unknown learner"),
        (
            {"tasks": {"name": "sinusoid"}, "n_way": 5},
            "these tasks have no ways to choose; received --n-way; leave it out.",
        ),
        ({"tasks": {"name": "folder"}}, "needs --tasks.path; received none; give it;"),
        (
            {"tasks": {"name": "folder", "path": None}},
            "tasks.path must be pathlib.Path; received None;",
        ),
    ],
)
def test_settings_that_are_wrong(settings: JSON, words: str) -> None:
    with pytest.raises(UserError) as raised:
        resolve(settings)
    assert words in str(raised.value)


def test_resolved_settings_become_learner_tasks_and_training() -> None:
    options = resolve(
        {
            "learner": {"name": "MAML", "inner_steps": 2},
            "tasks": "sinusoid",
            "net": {"hidden": [8]},
            "n_shot": 3,
            "steps": 7,
            "seed": 4,
        }
    )
    learner, source, training, spec = build(options)
    assert (type(learner).__name__, learner.inner_steps) == ("MAML", 2)  # type: ignore[attr-defined]
    assert len(source.task("train", 0).support.x) == 3
    assert (training.steps, training.seed) == (7, 4)
    assert spec == {"name": "sinusoid", "n_shot": 3, "n_query": 10, "seed": 4}
