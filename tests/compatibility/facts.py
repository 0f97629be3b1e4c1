"""What must not change without a migration, as the code gives it now: plain JSON, and arrays."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import io
import json
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin
from unittest import mock

import httpx
import jsonargparse
import numpy as np
import torch
import yaml
from numpy.typing import NDArray

import quickstudy as qs

JSON = Any
ROOT = Path(__file__).resolve().parents[2]
FIXTURE = Path(__file__).resolve().parent / "fixture"
sys.path.append(str(ROOT / "tests"))

COMMANDS = (
    *("train", "estimate", "compare", "select", "search", "evaluate", "adapt", "predict"),
    *("explain", "export", "generated", "tables", "reproduce", "data", "doctor", "demo"),
    *("serve", "keys", "practise", "act"),
)
TABLE = "--tasks table --tasks.path flowers.csv --tasks.target kind"
# What is called in a copy of the fixture.
CALLS = (
    *("", "help", "--help", "--version", "train --help", "predict --help", "serve --help"),
    *("nonsense", "train --no-such-option 1", "evaluate runs/flowers --no-such-option"),
    *("train --steps many --out new", "train --steps 0 --out new", "train --schedule up --out new"),
    *("train", "train --learner Nothing --out new", "train --tasks nothing --out new"),
    *("train --net Nothing --out new", "train --learner.no-such-option 1 --out new"),
    "train --config missing.yaml --out new",
    *("train --resume missing", "train --resume runs/sinusoid --outer-lr 0.5"),
    f"train {TABLE} --steps 1 --out runs/flowers",
    f"train {TABLE} --n-way 2 --n-shot 1 --n-query 2 --steps 1 --valid-tasks 2 --out new",
    "train --tasks sinusoid --learner MAML --outer-lr nan --steps 1 --out new",
    "train --tasks sinusoid --learner MAML --outer-optimizer SGD --outer-lr 1e30 --steps 3 "
    "--max-bad-steps 1 --out diverged",
    "train --tasks omniglot --out new2",
    *("evaluate", "evaluate missing", "evaluate runs/flowers --n-tasks some"),
    "evaluate runs/flowers --seed 5",
    *("adapt runs/flowers --support support.csv --out new.task", "adapt missing --support x"),
    "adapt runs/flowers --support support.csv --target colour_of_leaf --out new.task",
    "adapt runs/flowers --support support.csv --target kind --out new.task",
    *("predict missing.task support.csv", "predict support.csv support.csv", "predict rows.task"),
    *("predict rows.task missing.csv", "predict pictures.task missing.png"),
    *("predict rows.task support.csv", "predict rows.task support.csv --json"),
    "predict rows-without-model.task support.csv",
    *("explain missing.task x.png", "export rows.task new.exe", "export missing.task new.onnx"),
    *("generated missing.task", "generated rows.task", "tables missing", "reproduce missing.yaml"),
    *("data nothing", "data sinusoid", "data omniglot", "data folder --path missing", "data table"),
    *("keys create", "keys revoke", "keys list", "keys make", "serve missing"),
    *("select", "select missing --query support.csv", "select chosen.algorithm --folds few"),
    "select chosen.algorithm --query support.csv",
    *("compare", "compare missing", "search", "search --trials none --out new"),
    *("estimate --learner Nothing", "demo --no-such-option"),
)
# Sources that need no data of the user's, small: name, options of the data, options of `Episodes`.
SOURCES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sinusoid": ("sinusoid", {"n_shot": 3, "n_query": 2, "seed": 7}, {}),
    "gaussian-process": ("gaussian-process", {"n_query": 4, "seed": 7}, {}),
    "quadratics": ("quadratics", {"dimensions": 3, "seed": 7}, {}),
    "table_prior": ("table_prior", {"n_support": (8, 12), "n_query": 4, "n_features": 6}, {}),
    "digits-runs": ("digits-runs", {"n_shot": 3, "n_query": 2, "seed": 7}, {}),
    "glyphs": ("glyphs", {}, {"n_way": 3, "n_shot": 1, "n_query": 1, "seed": 7}),
    "table": (
        "table",
        {"path": "flowers.csv", "target": "kind", "seed": 7},
        {"n_way": 2, "n_shot": 2, "n_query": 2, "seed": 7},
    ),
    "table by groups": (
        "table",
        {"path": "flowers.csv", "target": "length", "task": "kind", "n_shot": 3, "n_query": 2},
        {},
    ),
    "tables": ("tables", {"path": "tables", "n_support": (6, 9), "n_query": 4, "test": 0.3}, {}),
}
BASELINES = ("FineTuning", "LogisticRegression", "NearestCentroid", "RidgeRegression")
# What users hold, but do not call into being.
MADE_BY_METHODS = ("Adapted", "AlgorithmSelector", "Measured", "Model", "Policy", "Selected")
HELD = {
    "Adapted": "classes_ predict predict_proba explain quality suspicious update without save "
    "export",
    "AlgorithmSelector": "fit adapt explain save load",
    "FewShotClassifier": "fit predict predict_proba",
    "FewShotRegressor": "fit predict",
    "Model": "adapt adapt_batch kind",
}
AUGMENTED = {
    "rotations": {"rotations": True},
    "mixup": {"mix": "mixup", "mix_share": 1.0},
    "cutmix": {"mix": "cutmix", "mix_share": 1.0},
    "warp": {"warp": 0.2},
}


def resolved(options: dict[str, Any]) -> JSON:
    """The options of `quickstudy train` with those of a recipe filled in."""
    from quickstudy.training.plan import resolve

    return resolve({**options, "out": "run"})


def tensors_of(state: Any) -> dict[str, torch.Tensor]:
    """A state's tensors by their path."""
    from quickstudy.learner import flatten_state

    return flatten_state(state)


def run(words: Sequence[str]) -> tuple[int, str]:
    """Exit code and output of a call of the command line."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["quickstudy"].partition(":")
    main = getattr(importlib.import_module(module), name)
    with contextlib.redirect_stdout(io.StringIO()) as out:
        try:
            return main(list(words)), out.getvalue()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else int(bool(stop.code)), out.getvalue()


def exit_codes() -> JSON:
    """The exit code of each call, in a copy of the fixture."""
    with contextlib.redirect_stderr(io.StringIO()):
        return {words: run(words.split())[0] for words in CALLS}


class _ParserReachedError(Exception):
    """The parser that a command was about to use."""


def options_of(words: Sequence[str]) -> JSON:
    """Type, default and number of words of each option that a call takes."""

    def found(parser: Any, *args: Any, **kwargs: Any) -> None:
        raise _ParserReachedError(parser)

    with mock.patch.object(jsonargparse.ArgumentParser, "parse_args", found):
        try:
            run(words)
        except _ParserReachedError as caught:
            actions = caught.args[0]._actions
    options = {}
    for action in actions:
        kind = getattr(action, "_typehint", None) or action.type or type(action).__name__
        option = {
            "type": hint(kind),
            "default": plain(action.default),
            "words": action.nargs,
            "choices": plain(action.choices),
        }
        for name in action.option_strings or [action.dest]:
            options[name.replace("_", "-")] = option
    return options


def hint(kind: Any) -> str:
    """A type in words that do not tell where its classes are defined."""
    if get_origin(kind) is Literal:
        return " | ".join(map(repr, get_args(kind)))
    if get_origin(kind) in (Union, UnionType):
        return " | ".join(map(hint, get_args(kind)))
    if get_args(kind):
        return f"{get_origin(kind).__name__}[{', '.join(map(hint, get_args(kind)))}]"
    return "None" if kind is type(None) else str(getattr(kind, "__name__", kind))


def command_line() -> JSON:
    """The options of every command; those of training by learner, tasks and network."""
    commands = {name: options_of([name]) for name in COMMANDS}
    choices = {
        "learner": [name for name in qs.learners.__all__ if name not in BASELINES],
        "tasks": list(qs.tasks.SOURCES),
        "net": ["Conv4", "MLP", "ResNet12", "Transformer"],
    }
    shared = commands["train"]
    for kind, names in choices.items():
        for name in names:
            own = options_of(["train", f"--{kind}", name])
            commands[f"train --{kind} {name}"] = {
                **dict.fromkeys(shared.keys() - own.keys()),
                **{key: value for key, value in own.items() if shared.get(key) != value},
            }
    return commands


def recipes() -> JSON:
    """What training is asked for by each profile of each recipe."""
    return {
        f"{path.stem} {profile}": plain(resolved(plan["train"]))
        for path in sorted((ROOT / "recipes").glob("*.yaml"))
        for profile, plan in yaml.safe_load(path.read_text(encoding="utf-8"))["profiles"].items()
    }


def names() -> JSON:
    """The public names, the parameters of each, and the methods of what users hold."""
    testing = importlib.import_module("quickstudy.testing")
    selection = importlib.import_module("quickstudy.selection")
    public = {
        each.__name__: {name: parameters(getattr(each, name)) for name in each.__all__}
        for each in (qs, qs.learners, qs.tasks, qs.rules, qs.nets, selection)
    }
    public["quickstudy.testing"] = {
        name: parameters(value)
        for name, value in vars(testing).items()
        if name.startswith("check_") or name == "random_tasks"
    }
    control = importlib.import_module("quickstudy.testing.control")
    public["quickstudy.testing.control"] = {
        name: parameters(getattr(control, name)) for name in control.__all__ if name.islower()
    }
    for name, methods in HELD.items():
        kind = getattr(qs, name)
        public[name] = {method: parameters(getattr(kind, method)) for method in methods.split()}
    return public


def parameters(value: Any) -> JSON:
    """The parameters of a function or class, and the defaults that are plain; else None."""
    if getattr(value, "__name__", "") in MADE_BY_METHODS:
        return None
    try:
        return {
            name: plain(each.default)
            if isinstance(each.default, int | float | str | tuple | None)
            else "..."
            for name, each in inspect.signature(value).parameters.items()
            if name not in ("self", "args", "kwargs")
        }
    except (TypeError, ValueError):
        return None


def states() -> JSON:
    """Name, type and shape of all tensors of each learner of tests/cases.py, and of its states."""
    from cases import CASES

    return {case.name: tensors(case) for case in CASES}


def tensors(case: Any) -> JSON:
    """Those of one case."""
    torch.manual_seed(0)
    learner, n = case.build(), 2 * case.n_out
    y = torch.arange(n) % case.n_out
    targets = torch.nn.functional.one_hot(y, case.n_out).float()
    targets = targets if learner.kind == "classification" else torch.randn(n, case.n_out)
    support = qs.Examples(torch.randn(n, *case.x_shape), targets, torch.ones(n))
    task = qs.Task(support, support)
    with torch.no_grad():
        qs.nets.calibrate(learner, [lambda: learner.respond(task)])
    state = learner.eval().adapt(support)
    return {
        kind: sorted(f"{name} {t.dtype} {tuple(t.shape)}" for name, t in among.items())
        for kind, among in (("weights", learner.state_dict()), ("state", tensors_of(state)))
    }


def tasks() -> dict[str, NDArray[Any]]:
    """A few tasks of each source, in a copy of the fixture."""
    made = {name: _source(*spec) for name, spec in SOURCES.items()}
    made |= {
        f"glyphs, {name}": qs.tasks.Augmented(made["glyphs"], **how, seed=7)
        for name, how in AUGMENTED.items()
    }
    arrays = {}
    for name, source in made.items():
        for split, index in (("train", 0), ("train", 5), ("test", 1)):
            task = source.task(split, index)
            for part, each in (("support", task.support), ("query", task.query)):
                arrays[f"{name}/{split}/{index}/{part}/x"] = each.x.numpy().astype(np.float32)
                arrays[f"{name}/{split}/{index}/{part}/y"] = each.y.numpy().astype(np.float32)
    return arrays


def _source(name: str, options: dict[str, Any], drawing: dict[str, Any]) -> Any:
    options = {k: Path(v) if k == "path" else v for k, v in options.items()}
    source = qs.tasks.SOURCES[name](**options)
    return qs.tasks.Episodes(source, **drawing) if drawing else source


def openapi(data_dir: Path) -> JSON:
    """The description of the server's API, in a copy of the fixture, without its prose."""
    from quickstudy.serve import listen

    apps: list[Any] = []
    keep: Callable[..., None] = lambda app, *options: apps.append(app)  # noqa: E731
    words = ("--data-dir", str(data_dir))
    run(["keys", "create", "--tenant", "acme", "--scope", "admin", *words])
    with mock.patch.object(listen, "listen", keep):
        code, _ = run(["serve", "runs/flowers", "runs/glyphs", "--port", "0", *words])
    assert code == 0
    # In a thread of its own, as a browser's driver may have a loop in this one.
    with ThreadPoolExecutor(1) as thread:
        return bare(thread.submit(asyncio.run, _described(apps[0])).result())


async def _described(app: Any) -> JSON:
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client,
    ):
        return (await client.get("/openapi.json")).json()


def bare(node: Any, names: bool = False) -> Any:
    """An OpenAPI document without prose and version; under `names` the keys are names."""
    if isinstance(node, list):
        return [bare(each) for each in node]
    if not isinstance(node, dict):
        return node
    prose = ("description", "summary", "example", "examples", "title", "version")
    return {
        key: bare(value, not names and key in ("properties", "schemas", "paths", "headers"))
        for key, value in node.items()
        if names or key not in prose
    }


def plain(value: Any) -> Any:
    """The value as JSON gives it back."""
    text = json.dumps(value, default=lambda v: sorted(v) if isinstance(v, set) else str(v))
    return json.loads(re.sub(r"<(class|function) '?[\w.]*?(\w+)'?.*?>", r"\2", text))


def differences(
    recorded: Any, present: Any, tolerance: float = 0.0, where: str = ""
) -> Iterator[str]:
    """Where recorded facts do not hold any more; a dict may have more keys than were recorded."""
    if isinstance(recorded, dict) and isinstance(present, dict):
        for key, value in recorded.items():
            inside = f"{where} / {key}" if where else key
            if key in present:
                yield from differences(value, present[key], tolerance, inside)
            else:
                yield f"{inside}: gone"
    elif isinstance(recorded, list) and isinstance(present, list) and len(recorded) == len(present):
        for i, (old, new) in enumerate(zip(recorded, present, strict=True)):
            yield from differences(old, new, tolerance, f"{where} [{i}]")
    elif isinstance(recorded, float) and isinstance(present, float | int):
        # NaN equals NaN.
        if not np.allclose(present, recorded, tolerance, tolerance, equal_nan=True):
            yield f"{where}: was {recorded}, is {present}"
    elif recorded != present or type(recorded) is not type(present):
        yield f"{where}: was {recorded!r}, is {present!r}"
