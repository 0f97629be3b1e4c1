"""The rules of the code that a machine can check."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "quickstudy"

# Each may import from those before it only.
# fmt: off
ORDER = [
    "errors", "machine", "meta_features",
    "task", "second_order", "nets", "learner", "inner", "rules", "learners",
    "record", "batch", "tasks", "drawing", "plots", "loss_curves", "catalog", "outer", "tuned",
    "evaluate", "calibration", "rundir",
    "progress", "settings", "interrupts", "train", "estimate", "inputs", "quality", "explain",
    "export", "adapted", "saved", "estimators", "export_command", "report", "testing", "doctor",
    "options", "commands",
    "explain_command", "tabular", "compare", "selection", "search",
    "reproduce", "demo", "serve", "cli",
]
# fmt: on
# Beyond the order: solvers and update rules know no tasks.
FORBIDDEN = {
    "inner": {"task", "learner", "learners", "nets"},
    "rules": {"task", "learner", "learners", "inner"},
}
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}
BANNED_WORDS = re.compile(r"fast[_ ]weights?|base[_ ]learner|train_inputs", re.IGNORECASE)
BANNED_CALLS = re.compile(
    r"\bpickle\b|(?<!safetensors\.)\btorch\.load\b|allow_pickle\s*=\s*True|\bmarshal\b"
)
LONGEST = 400


def imports(path: Path, package: str) -> Iterator[tuple[int, str]]:
    """Line and name of each module of the package that a file imports."""
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
                yield node.lineno, parts[1]


def violations(source: Path) -> list[str]:
    """What breaks the rules in a package: file, line and rule."""
    found = []
    for path in sorted(source.rglob("*.py")):
        where = path.relative_to(source)
        here = where.parts[0].removesuffix(".py")
        text = path.read_text()
        if BANNED_NAMES & {part.removesuffix(".py") for part in where.parts}:
            found.append(f"{where}: the name says nothing")
        if len(text.splitlines()) > LONGEST:
            found.append(f"{where}: more than {LONGEST} lines")
        for number, line in enumerate(text.splitlines(), start=1):
            if BANNED_CALLS.search(line):
                found.append(f"{where}:{number}: loads code from data")
            if BANNED_WORDS.search(line):
                found.append(f"{where}:{number}: not a word of this field's code")
        if where.parts[0] in ("__init__.py", "__main__.py"):
            continue
        if here not in ORDER:
            found.append(f"{where}: not in the order of imports")
            continue
        for number, name in imports(path, source.name):
            if name not in ORDER:
                continue  # the package's own __version__ and the like
            if name == here:
                continue
            if ORDER.index(name) > ORDER.index(here) or name in FORBIDDEN.get(here, ()):
                found.append(f"{where}:{number}: {here} may not import {name}")
    return found


def test_the_package_keeps_the_rules() -> None:
    assert violations(SOURCE) == []


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        (
            "task.py",
            "from quickstudy.batching.batch import meta_gradient",
            "task may not import batch",
        ),
        ("task.py", "import quickstudy.batching.batch", "task may not import batch"),
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
            "learners may not import outer",
        ),
        ("serving.py", "", "not in the order"),
        ("tasks/utils.py", "", "the name says nothing"),
        ("batch.py", "x = 1\n" * 401, "more than 400 lines"),
        ("batch.py", "import pickle", "loads code"),
        ("batch.py", "state = torch.load(path)", "loads code"),
        ("batch.py", "np.load(path, allow_pickle=True)", "loads code"),
        ("batch.py", "fast_weights = {}", "not a word"),
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
    (source / "batch.py").write_text(
        "import torch\nfrom quickstudy.task import Task\nfrom quickstudy import __version__\n"
        "np.load(path, allow_pickle=False)"
    )
    (source / "rundir.py").write_text("safetensors.torch.load(content)")
    (source / "nets" / "conv4.py").write_text("from quickstudy.nets.norm import Norm")
    assert violations(source) == []
