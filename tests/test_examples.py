"""The example in the docstring of every public class, and of what is called first, runs.

An example sees the names that its module exports, and those that the page docs/api.md makes before
it lists anything: the code there is run first, in a folder with the files that the page names.
"""

from __future__ import annotations

import doctest
import inspect
import re
from collections.abc import Iterator
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quickstudy.domains.windows import make_scenes, make_series, write_scenes, write_series

PAGE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
MODULES = (
    "quickstudy",
    "quickstudy.learners",
    "quickstudy.nets",
    "quickstudy.rules",
    "quickstudy.inputs",
    "quickstudy.tasks",
    "quickstudy.domains.windows",
    "quickstudy.domains.control",
    "quickstudy.play",
    "quickstudy.targets",
    "quickstudy.metrics",
    "quickstudy.explain",
    "quickstudy.selection",
    "quickstudy.task",
    "quickstudy.learner",
    "quickstudy.learners.embedding",
    "quickstudy.testing",
    "quickstudy.testing.control",
)
FIRST = (
    "quickstudy.load",
    "quickstudy.load_task",
    "quickstudy.build",
    "quickstudy.train",
    "quickstudy.evaluate",
    "quickstudy.estimate",
    "quickstudy.compare",
    "quickstudy.Model.adapt",
    "quickstudy.Adapted.predict",
    "quickstudy.testing.check_learner",
    "quickstudy.testing.control.check_policy",
)
"""What is called first."""
LONGEST = 6


def public_classes() -> Iterator[str]:
    """The path of each, by the first module that exports it."""
    seen = set()
    for module in map(import_module, MODULES):
        for name in module.__all__:
            member = getattr(module, name)
            if inspect.isclass(member) and member not in seen:
                seen.add(member)
                yield f"{module.__name__}.{name}"


def named(path: str) -> tuple[dict[str, Any], Any]:
    """What the module of a path exports, and what the path names."""
    module = import_module(max((m for m in MODULES if path.startswith(f"{m}.")), key=len))
    target: Any = module
    for name in path.removeprefix(f"{module.__name__}.").split("."):
        target = getattr(target, name)
    return {name: getattr(module, name) for name in module.__all__}, target


def example(docstring: str | None) -> str:
    """The text under the heading Example."""
    match = re.search(r"^Example:\n((?: .*\n?|\n)+)\Z", inspect.cleandoc(docstring or ""), re.M)
    assert match, "no Example at the end of the docstring"
    return match[1]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the code of the page makes, in a folder with the files that it names."""
    folder = tmp_path_factory.mktemp("examples")
    random = np.random.Generator(np.random.Philox(key=0))
    (folder / "tables").mkdir()
    for name in ("tables/a", "tables/b", "tables/c", "customers"):
        rows = [
            f"{i // 12},{value:.3f},{'yes' if value > 0 else 'no'}"
            for i, value in enumerate(random.normal(size=120))
        ]
        head = "customer,spent," + ("churned" if name == "customers" else "target")
        (folder / f"{name}.csv").write_text("\n".join([head, *rows]))
    write_series(folder / "made", make_series(n=12, length=90))
    write_scenes(folder / "made" / "walks", make_scenes(n_places=2, n_scenes=1, n_agents=30))
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code
    made: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(code[1], made)
        yield made


@pytest.mark.parametrize("path", [*public_classes(), *FIRST])
def test_the_example_runs(path: str, names: dict[str, Any], request: pytest.FixtureRequest) -> None:
    exported, target = named(path)
    text = example(target.__doc__)
    assert len(text.rstrip().splitlines()) <= LONGEST
    if "MNIST" in text and not Path("mnist").exists():
        Path("mnist").symlink_to(request.getfixturevalue("data_dir") / "mnist")
    # An example may train the learner, or freeze it.
    given = {**exported, **names, "learner": deepcopy(names["learner"])}
    test = doctest.DocTestParser().get_doctest(text, given, path, None, 0)
    assert test.examples, "nothing to run"
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert not said, "".join(said)


def test_an_example_that_says_something_else_is_seen() -> None:
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    said: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.append)
    assert "Expected:\n    3\nGot:\n    2" in "".join(said)
    with pytest.raises(AssertionError, match="no Example"):
        example("Loads a model.\n\nArgs:\n    run: Its directory.")
