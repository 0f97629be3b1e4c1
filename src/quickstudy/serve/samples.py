"""Tasks that are ready to be tried: examples a model has not seen, of the kind it takes."""

from __future__ import annotations

import base64
import io
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

from quickstudy import catalog
from quickstudy.errors import QuickstudyError
from quickstudy.models.ranking import items_of
from quickstudy.serve.schema.requests import Example, Input
from quickstudy.serve.served import Served
from quickstudy.tasks import Episodes, Recorded, TaskSource
from quickstudy.tasks.glyphs import glyphs
from quickstudy.tasks.source import generator

N_WAY: Final = 4
N_SHOT: Final = 5
N_QUERY: Final = 8
N_FLOWERS: Final = 10  # of a species
N_LENGTHS: Final = 30
SEASON: Final = 12  # of a made-up series, for a model that knows none
N_RATED: Final = 5  # items that a made-up user rated
MOMENTS: Final = 60  # of it, besides a window and what follows it
SCALE: Final = 4  # of a glyph, which is stored smaller than a picture is drawn
MESSAGES: Final = {
    "delivery": (
        "Where is my parcel?",
        "The tracking page has not changed for four days.",
        "My order should have come yesterday, and nothing is here.",
        "When will the shoes that I bought on Monday be delivered?",
        "The courier says I was out, but I was at home all day.",
        "It is a week now and I am still waiting for my package.",
        "Can you tell me which day the lamp will be brought?",
    ),
    "refund": (
        "I want my money back.",
        "How long does it take until a refund is on my account?",
        "I sent the jacket back and was not paid yet.",
        "Please return the amount to my card.",
        "You charged me twice for one order; pay one of them back.",
        "My refund is smaller than what I had paid.",
        "Could the money for the cancelled order be sent back soon?",
    ),
    "damaged": (
        "The cup arrived in pieces.",
        "One leg of the chair is broken.",
        "The screen has a crack from one side to the other.",
        "There is a hole in the sweater you sent me.",
        "The box was wet and everything in it is ruined.",
        "The mirror was shattered when I opened the carton.",
        "A button is missing and the zip is torn.",
    ),
    "account": (
        "I cannot log in any more.",
        "How do I change my password?",
        "Please delete my account with all my data.",
        "The mail to confirm my new address never came.",
        "My user name is wrong; how can I correct it?",
        "The site says that my password is not right, but it is.",
        "I would like to use another e-mail address for my profile.",
    ),
}
"""Messages by their reason: the first five of each are examples, the others queries."""


MOLECULES: Final = {
    "active": (
        *("CCO", "CC(C)CO", "OCCc1ccccc1", "OC1CCCCC1", "CCCCCCO"),
        *("OCc1ccccc1", "CC(O)CC"),
    ),
    "inactive": (
        *("CCOCC", "CC(C)C=O", "CNCCc1ccccc1", "O=C1CCCCC1", "CCCCCCCl"),
        *("NCc1ccccc1", "CC(=O)CC"),
    ),
}
"""Alcohols, here active, and others: the first five of each are examples, the rest queries."""


class Sample(NamedTuple):
    """A task to try.

    Attributes:
        title: Display name.
        support: Examples.
        queries: Suggested queries.
    """

    title: str
    support: list[Example]
    queries: list[Input]


def sample(served: Served) -> Sample | None:
    """A task for a model, or None.

    A model of drawings gets glyphs, one of texts gets messages, one of series gets a made-up
    history, one of items a made-up user, one of molecules alcohols among others, and one whose
    tasks have columns of their own gets flowers; others get a meta-test task of the run, if its
    tasks have a name and their data are here.
    """
    card = served.model.preprocess.card()
    of_photographs = card.get("encoder") and not card["drawings"]
    try:
        if served.model.classes is not None:
            return _from_meta_test(served)
        if served.model.preprocess.form == "series":
            return _series(served)
        if served.model.preprocess.form == "item":
            return _ratings(served)
        if served.model.preprocess.form == "smiles":
            return _alcohols()
        if served.model.preprocess.form == "image" and not of_photographs:
            return _glyphs()
        if served.model.preprocess.form == "text" and not served.takes_marked_texts:
            return _messages()
        if served.reads_columns:
            return _flowers() if served.classifies else _lengths_of_flowers()
        return _from_meta_test(served)
    except (QuickstudyError, OSError):
        return None


def _glyphs() -> Sample:
    pool = glyphs().pools["test"]
    chosen = generator(0, "serve/sample", 0).permutation(len(pool.names))[:N_WAY]
    support, queries = [], []
    for c in sorted(chosen.tolist()):
        # Such as "Georgian U+10D0", and the character.
        script, _, character = pool.names[c].rsplit(" ", 2)
        pictures = [{"image": {"b64": _drawn(pool.x[i][0])}} for i in pool.members[c][: N_SHOT + 2]]
        label = {"label": f"{script} {character}"}
        support += [Example.model_validate(label | x) for x in pictures[:N_SHOT]]
        queries += [Input.model_validate(x) for x in pictures[N_SHOT:]]
    return Sample("Four characters", support, queries)


def _messages() -> Sample:
    support = [
        Example.model_validate({"label": label, "text": text})
        for label, texts in MESSAGES.items()
        for text in texts[:N_SHOT]
    ]
    queries = [
        Input.model_validate({"text": text})
        for texts in MESSAGES.values()
        for text in texts[N_SHOT:]
    ]
    return Sample("Four reasons to write to a shop", support, queries)


def _alcohols() -> Sample:
    support = [
        Example.model_validate({"label": label, "smiles": smiles})
        for label, known in MOLECULES.items()
        for smiles in known[:N_SHOT]
    ]
    queries = [
        Input.model_validate({"smiles": smiles})
        for known in MOLECULES.values()
        for smiles in known[N_SHOT:]
    ]
    return Sample("Alcohols among small molecules", support, queries)


def _flowers() -> Sample:
    from sklearn.datasets import load_iris  # slow to load, and few servers need it

    iris = load_iris()
    order = generator(0, "serve/sample", 0).permutation(len(iris.target))
    support: list[Example] = []
    queries: list[Input] = []
    for i in order.tolist():
        row = dict(zip(iris.feature_names, iris.data[i].tolist(), strict=True))
        label = str(iris.target_names[iris.target[i]])
        if sum(example.label == label for example in support) < N_FLOWERS:
            support.append(Example.model_validate({"label": label, "row": row}))
        elif len(queries) < N_QUERY:
            queries.append(Input.model_validate({"row": row}))
    support.sort(key=lambda example: str(example.label))
    return Sample("Three species of iris", support, queries)


def _lengths_of_flowers() -> Sample:
    from sklearn.datasets import load_iris

    iris = load_iris()
    order = generator(0, "serve/sample", 0).permutation(len(iris.target))[: N_LENGTHS + N_QUERY]
    examples: list[dict[str, Any]] = []
    for i in order.tolist():
        row = dict(zip(iris.feature_names, iris.data[i].tolist(), strict=True))
        length = row.pop("petal length (cm)")
        examples.append(
            {"label": length, "row": row | {"species": str(iris.target_names[iris.target[i]])}}
        )
    support = [Example.model_validate(each) for each in examples[:N_LENGTHS]]
    queries = [Input.model_validate({"row": each["row"]}) for each in examples[N_LENGTHS:]]
    return Sample("Petal lengths of iris", support, queries)


def _series(served: Served) -> Sample:
    """A history of a season on a slope, or a way in a bend, with noise."""
    kind = served.model.preprocess
    about = kind.card()["series"]
    season = about["season"] if about["season"] > 1 else SEASON
    n = about["lags"] + about["horizon"] + max(MOMENTS, 2 * season)
    time, rng = np.arange(n), generator(0, "serve/sample", 0)
    columns = []
    for channel in range(len(about["channels"])):
        if about["layout"] == "tracks":
            values = 12 * np.sin(time / 20 + np.pi / 2 * channel) + rng.normal(0, 0.02, n)
        else:
            wave = np.sin(2 * np.pi * time / season) + 0.4 * np.sin(4 * np.pi * time / season)
            values = 200 + 0.5 * time + 25 * wave + rng.normal(0, 4, n)
        columns.append(np.round(values, 2))
    windows, futures = kind.examples_of(np.stack(columns, axis=1))
    support = [
        Example.model_validate({"values": row, "label": future.ravel().tolist()})
        for row, future in zip(windows.tolist(), futures, strict=True)
    ]
    title = "A made-up way" if about["layout"] == "tracks" else "A made-up series"
    return Sample(title, support, [])


def _ratings(served: Served) -> Sample:
    """A user who rates what most people know: every other item well, the rest badly."""
    items = items_of(served.model)
    known = np.argsort(-np.asarray(items.counts), kind="stable").tolist()[: N_RATED + N_QUERY]
    support = [
        Example.model_validate(
            {"item": items.ids[place], "label": items.low if number % 2 else items.high}
        )
        for number, place in enumerate(known[:N_RATED])
    ]
    queries = [Input.model_validate({"item": items.ids[place]}) for place in known[N_RATED:]]
    return Sample("A made-up user", support, queries)


def _from_meta_test(served: Served) -> Sample | None:
    """A meta-test task of the run, where its tasks have a name and their data are here."""
    if "tasks_spec" not in served.record:
        return None
    recorded = Recorded.of(served.run)
    source = catalog.build_tasks(served.record["tasks_spec"], recorded)
    recorded.notes(source)  # Other data than those of the run are no sample of its tasks.
    return _own(served, source)


def _own(served: Served, source: TaskSource) -> Sample:
    source = source.untouched
    if isinstance(source, Episodes):
        source = source.resized(n_shot=N_SHOT)
    task = source.task("test", 0)
    to_request = served.model.preprocess.to_request
    if served.classifies:
        columns = task.support.y.argmax(dim=1).tolist()
        known = served.model.classes
        labels: list[Any] = [known[c] if known else f"class {c + 1}" for c in columns]
    else:
        values = source.targets.restore(task.support.y, task.support.x).tolist()
        labels = [y[0] if len(y) == 1 else y for y in values]
    support = [
        Example.model_validate({"label": label, **to_request(x)})
        for label, x in zip(labels, task.support.x.tolist(), strict=True)
    ]
    queries = [Input.model_validate(to_request(x)) for x in task.query.x[:N_QUERY].tolist()]
    return Sample(source.title("test", 0) or "From meta-test", support, queries)


def _drawn(ink: Any) -> str:
    """A glyph as a picture of dark ink on white paper, in base64."""
    paper = Image.fromarray(255 - ink)
    paper = paper.resize((SCALE * paper.width, SCALE * paper.height))
    out = io.BytesIO()
    paper.save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode()
