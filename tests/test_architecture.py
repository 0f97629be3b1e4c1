"""The rules of the code that a machine can check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "quickstudy"

# A room may import the layers before its own, and of its own layer the rooms before it.
LAYERS = {
    "ground": [
        "version",
        "errors",
        "progress",
        "files",
        "task",
        "scale",
        "targets",
        "metrics",
        "figures",
        "nets",
    ],
    "method": ["inner", "play", "rules", "learner", "quantiles", "learners"],
    "tasks": ["batching", "encoders", "inputs", "tasks", "domains", "catalog"],
    "doing": ["evaluation", "training", "explain", "models"],
    "tools": ["testing", "compare", "tabular", "selection", "search", "serve"],
    "doors": ["cli", "__init__", "__main__"],
}
ORDER = [room for rooms in LAYERS.values() for room in rooms]
# Beyond the layers: solvers and update rules know no tasks.
FORBIDDEN = {
    "inner": {"task", "learner", "learners"},
    "rules": {"task", "learner", "learners", "inner"},
}
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
BANNED_WORDS = re.compile(r"fast[_ ]weights?|base[_ ]learner|train_inputs", re.IGNORECASE)
BANNED_CALLS = re.compile(
    r"\bpickle\b|(?<!safetensors\.)\btorch\.load\b(?!\(.*weights_only=True\))|allow_pickle\s*=\s*True|\bmarshal\b"
)
LONGEST = 400
EXAMPLE = re.compile(r'\n +Example:\n(?:.*\n)*?(?= *""")')
"""An example in a docstring, which does not count as lines of a file."""


def imports(path: Path, package: str) -> Iterator[tuple[int, str, str]]:
    """Line, room, and what of the room, of each import that a file makes from the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == package and len(parts) > 1:
                yield node.lineno, parts[1], parts[2] if len(parts) > 2 else ""


def violations(source: Path) -> list[str]:
    """What breaks the rules in a package: file, line and rule."""
    found = []
    for path in sorted(source.rglob("*.py")):
        where = path.relative_to(source)
        here = where.parts[0].removesuffix(".py")
        text = path.read_text()
        if BANNED_NAMES & {part.removesuffix(".py") for part in where.parts}:
            found.append(f"{where}: the name says nothing")
        if len(EXAMPLE.sub("\n", text).splitlines()) > LONGEST:
            found.append(f"{where}: more than {LONGEST} lines")
        for number, line in enumerate(text.splitlines(), start=1):
            if BANNED_CALLS.search(line):
                found.append(f"{where}:{number}: loads code from data")
            if BANNED_WORDS.search(line):
                found.append(f"{where}:{number}: not a word of this field's code")
        if here not in ORDER:
            found.append(f"{where}: in no layer")
            continue
        for number, name, inside in imports(path, source.name):
            if name == here == "domains" and inside != where.parts[1].removesuffix(".py"):
                found.append(f"{where}:{number}: a domain may not import another")
            if name not in ORDER or name == here:
                continue
            if ORDER.index(name) > ORDER.index(here) or name in FORBIDDEN.get(here, ()):
                found.append(f"{where}:{number}: {here} may not import {name}")
            elif name == "domains" and here != "catalog":
                found.append(f"{where}:{number}: only catalog imports domains")
    return found


def test_the_package_keeps_the_rules() -> None:
    assert violations(SOURCE) == []


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (
            "task.py",
            "from quickstudy.batching.batch import meta_gradient",
            "task may not import batching",
        ),
        ("task.py", "import quickstudy.batching.batch", "task may not import batching"),
        ("nets/norm.py", "from quickstudy import learner", "nets may not import learner"),
        (
            "task.py",
            "def f():\n    from quickstudy import cli",
            "task.py:2: task may not import cli",
        ),
        ("inner/descent.py", "from quickstudy.task import Task", "inner may not import task"),
        ("testing.py", "from quickstudy.cli.main import main", "testing may not import cli"),
        (
            "learners/maml.py",
            "from quickstudy.training.outer import world",
            "learners may not import training",
        ),
        ("serving.py", "", "in no layer"),
        ("tasks/utils.py", "", "the name says nothing"),
        ("tasks/folder.py", "from quickstudy.domains import text", "tasks may not import domains"),
        (
            "domains/text/reader.py",
            "from quickstudy.domains.series import reader",
            "a domain may not import another",
        ),
        ("serve/app.py", "from quickstudy.domains import text", "only catalog imports domains"),
        ("catalog.py", "x = 1\n" * 401, "more than 400 lines"),
        ("catalog.py", "import pickle", "loads code"),
        ("catalog.py", "state = torch.load(path)", "loads code"),
        ("catalog.py", "np.load(path, allow_pickle=True)", "loads code"),
        ("catalog.py", "fast_weights = {}", "not a word"),
    ],
)
def test_the_checker_sees_violations(tmp_path: Path, file: str, text: str, words: str) -> None:
    path = tmp_path / "quickstudy" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert [words in line for line in violations(tmp_path / "quickstudy")] == [True]


def test_the_checker_allows_what_is_right(tmp_path: Path) -> None:
    source = tmp_path / "quickstudy"
    (source / "nets").mkdir(parents=True)
    (source / "__init__.py").write_text("from quickstudy.testing import check_learner")
    (source / "catalog.py").write_text(
        "import torch\nfrom quickstudy.task import Task\n"
        "from quickstudy.version import __version__\n"
        "np.load(path, allow_pickle=False)"
    )
    (source / "models.py").write_text("safetensors.torch.load(content)")
    (source / "nets" / "conv4.py").write_text("from quickstudy.nets.norm import Norm")
    lesson = '    """Does.\n\n    Example:\n' + "        >>> f()\n" * 6 + '    """\n'
    (source / "learner.py").write_text("def f():\n" + lesson + "    return 1\n" * 396)
    assert violations(source) == []
