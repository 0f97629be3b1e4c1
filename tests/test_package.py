"""The package as a user meets it: what importing it loads, its names, and its types."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import quickstudy as qs

SLOW = (
    "fastapi",
    "jsonargparse",
    "keras",
    "matplotlib",
    "optuna",
    "pandas",
    "rich",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "yaml",
)
"""Packages that `import quickstudy` must not wait for."""

SCRIPT = """
import quickstudy as qs
from quickstudy.tasks import Episodes, arrays

tasks = Episodes(arrays([[0.0], [1.0]], [0, 1]), n_way=2, n_shot=1, n_query=1)
learner = qs.build("PrototypicalNetwork", tasks)
result = qs.train(learner, tasks, qs.Training(steps=1), out="runs/mine")
model = qs.load("runs/mine")
adapted = model.adapt([[0.0], [1.0]], ["a", "b"])
labels = adapted.predict([[0.0]])
again = qs.load_task("mine.task")
scores = qs.evaluate(learner, tasks)
needs = qs.estimate(learner, tasks, qs.Training(steps=1))
classifier = qs.FewShotClassifier("runs/mine").fit([[0.0], [1.0]], [0, 1])
qs.lod("runs/mine")
"""
TYPES = {
    "tasks": "Episodes",
    "learner": "Learner[Any]",
    "result": "Result",
    "model": "Model",
    "adapted": "Adapted",
    "labels": "ndarray",
    "again": "Adapted",
    "scores": "Evaluation",
    "needs": "Estimate",
    "classifier": "FewShotClassifier",
    "qs.AlgorithmSelector": "def (",
}
"""How the type of each expression of the script begins, without modules."""


def run(code: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_loads_nothing_slow() -> None:
    """The package; then the command line and the server, which load more when it is needed."""
    code = (
        "import sys, torch; before = set(sys.modules)\n"
        "def show(): print(*{name.split('.')[0] for name in set(sys.modules) - before})\n"
        "import quickstudy; show(); print(*quickstudy.metrics.METRICS)\n"
        "import quickstudy.cli.main, quickstudy.serve.app; show()\n"
        "for tasks in ('windows', 'eth_ucy', 'ratings'):\n"
        "    quickstudy.cli.options.train_parser(['--tasks', tasks])\n"
        "print('matplotlib.axes' in sys.modules)\n"
        "from quickstudy.nets import pieces; net = torch.nn.Linear(2, 2)\n"
        "pieces.bytes_each(net, torch.zeros(1, 2), net, 'f')\n"
        "print('torch._dynamo' in sys.modules)"
    )
    package, metrics, doors, draws, compiler = run(code).splitlines()
    assert "quickstudy" in package.split()
    assert set(package.split()) & set(SLOW) == set()
    assert {"accuracy", "smape", "ade"} <= {*metrics.split()}  # which results may name
    assert {*doors.split()} & set(SLOW) == {
        "fastapi",
        "jsonargparse",
        "matplotlib",
        "sqlalchemy",
        "yaml",
    }
    assert draws == "False"  # of matplotlib the fonts alone
    assert compiler == "False"  # counting what a network puts out does without it


def test_late_names_are_like_any_other() -> None:
    names = ["AlgorithmSelector", "FewShotClassifier", "FewShotRegressor"]
    code = (
        f"import sys, quickstudy as qs\nassert {{*{names}}} <= {{*dir(qs)}}\n"
        f"assert 'sklearn' not in sys.modules\nfrom quickstudy import {', '.join(names)}\n"
        + "".join(f"assert qs.{name} is {name}\n" for name in names)
        + f"print({', '.join(f'{name}.__name__' for name in names)})"
    )
    assert run(code).split() == names


def test_a_star_brings_every_public_name() -> None:
    names: dict[str, object] = {}
    exec("from quickstudy import *", names)
    assert set(names) >= set(qs.__all__)


def test_a_name_that_does_not_exist_is_refused() -> None:
    with pytest.raises(AttributeError, match="'quickstudy' has no attribute 'lod'"):
        qs.lod  # noqa: B018


def test_a_users_script_has_types(tmp_path: Path) -> None:
    """The installed package says that it has types, and they reach whoever uses it."""
    (tmp_path / "script.py").write_text(
        SCRIPT + "".join(f"reveal_type({expression})\n" for expression in TYPES)
    )
    # torch's own types would take four times as long, and none of them is asked about.
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nstrict = true\n[mypy-torch.*]\nfollow_imports = skip"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "script.py"], cwd=tmp_path, capture_output=True, text=True
    )
    revealed = re.findall(r'note: Revealed type is "(.*)"', done.stdout)
    revealed = [re.sub(r"(\w+\.)+(?=\w)", "", kind) for kind in revealed]
    assert len(revealed) == len(TYPES), done.stdout + done.stderr
    for (expression, start), kind in zip(TYPES.items(), revealed, strict=True):
        assert kind.startswith(start), expression
    errors = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(errors) == 1, done.stdout
    assert 'Module has no attribute "lod"' in errors[0]
