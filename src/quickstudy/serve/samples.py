"""Tasks that are ready to be tried: examples a model has not seen, of the kind it takes."""

from __future__ import annotations

import base64
import io
from typing import Any, Final, NamedTuple

from PIL import Image
from sklearn.datasets import load_iris

from quickstudy import catalog
from quickstudy.errors import QuickstudyError
from quickstudy.serve.schema.requests import Example, Input
from quickstudy.serve.served import Served
from quickstudy.task import Examples
from quickstudy.tasks import Episodes, TaskSource
from quickstudy.tasks.glyphs import glyphs
from quickstudy.tasks.source import generator

WAYS: Final = 4
SHOTS: Final = 5
QUERIES: Final = 8
FLOWERS: Final = 10  # of a species
ENLARGED: Final = 4  # a glyph is shown larger than it is kept


class Sample(NamedTuple):
    """A task to try.

    Attributes:
        title: What it is called.
        support: Examples.
        queries: Inputs to ask about.
    """

    title: str
    support: list[Example]
    queries: list[Input]


def sample(served: Served) -> Sample | None:
    """A task for a model: glyphs for one of pictures, flowers where every task has columns of its
    own, else one of its own meta-test.

    None for a model of other inputs whose tasks have no name, or are not to be had here.
    """
    try:
        if served.model.preprocess.form == "image":
            return _glyphs()
        if served.reads_columns:
            return _flowers()
        if "tasks_spec" not in served.record:
            return None
        return _own(served, catalog.build_tasks(served.record["tasks_spec"]))
    except (QuickstudyError, OSError):
        return None


def _glyphs() -> Sample:
    pool = glyphs().pools["test"]
    chosen = generator(0, "serve/sample", 0).permutation(len(pool.names))[:WAYS]
    support, queries = [], []
    for c in sorted(chosen.tolist()):
        # Such as "Georgian U+10D0", and the character.
        script, _, character = pool.names[c].rsplit(" ", 2)
        pictures = [{"image": {"b64": _drawn(pool.x[i][0])}} for i in pool.members[c][: SHOTS + 2]]
        label = {"label": f"{script} {character}"}
        support += [Example.model_validate(label | each) for each in pictures[:SHOTS]]
        queries += [Input.model_validate(each) for each in pictures[SHOTS:]]
    return Sample("Four characters", support, queries)


def _flowers() -> Sample:
    iris = load_iris()
    order = generator(0, "serve/sample", 0).permutation(len(iris.target))
    support: list[Example] = []
    queries: list[Input] = []
    for i in order.tolist():
        row = dict(zip(iris.feature_names, iris.data[i].tolist(), strict=True))
        label = str(iris.target_names[iris.target[i]])
        if sum(each.label == label for each in support) < FLOWERS:
            support.append(Example.model_validate({"label": label, "row": row}))
        elif len(queries) < QUERIES:
            queries.append(Input.model_validate({"row": row}))
    support.sort(key=lambda each: str(each.label))
    return Sample("Three species of iris", support, queries)


def _own(served: Served, source: TaskSource) -> Sample:
    source = source.untouched
    if isinstance(source, Episodes):
        source = source.resized(n_shot=SHOTS)
    task = source.task("test", 0)
    if served.classifies:
        columns = task.support.y.argmax(dim=1).tolist()
        labels: list[Any] = [f"class {column + 1}" for column in columns]
    else:
        labels = [y[0] if len(y) == 1 else y for y in task.support.y.tolist()]
    support = [
        Example.model_validate({"label": label, **given})
        for label, given in zip(labels, _inputs(served, task.support), strict=True)
    ]
    queries = [Input.model_validate(given) for given in _inputs(served, task.query)[:QUERIES]]
    return Sample("From meta-test", support, queries)


def _inputs(served: Served, examples: Examples) -> list[dict[str, Any]]:
    return [served.model.preprocess.to_request(x) for x in examples.x.tolist()]


def _drawn(ink: Any) -> str:
    """A glyph as a picture of dark ink on white paper, in base64."""
    paper = Image.fromarray(255 - ink)
    paper = paper.resize((ENLARGED * paper.width, ENLARGED * paper.height))
    out = io.BytesIO()
    paper.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()
