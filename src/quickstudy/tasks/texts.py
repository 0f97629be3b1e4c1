"""A pool of classes from labelled texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.encoders import Backend, Text
from quickstudy.errors import UserError, at_least
from quickstudy.inputs.files import some
from quickstudy.inputs.labels import check_present, label_list
from quickstudy.inputs.text_files import labelled_texts
from quickstudy.inputs.texts import Where, notes_of, repeated, texts_in
from quickstudy.inputs.token_notes import token_notes
from quickstudy.tasks.arrays import dealt_classes, split_names
from quickstudy.tasks.contents import told_apart
from quickstudy.tasks.episodes import Dataset
from quickstudy.tasks.features import featured, texts_kind
from quickstudy.tasks.recorded import Recorded
from quickstudy.tasks.source import Split, generator


class LabelledTexts(NamedTuple):
    """Texts, the class of each, and what else is known of them.

    Attributes:
        name: Name for reports.
        texts: The texts.
        labels: The class of each.
        notes: Sentences for the user.
        only_queries: True for each text of a published test part; None for none.
        where: Says the place of each.
    """

    name: str
    texts: Sequence[Text]
    labels: Sequence[str]
    notes: Sequence[str] = ()
    only_queries: NDArray[np.bool_] | None = None
    where: Where = "text {}".format

    def only(self, places: Sequence[int]) -> LabelledTexts:
        """The texts in these places."""
        apart = self.only_queries
        return self._replace(
            texts=[self.texts[place] for place in places],
            labels=[self.labels[place] for place in places],
            only_queries=None if apart is None else apart[list(places)],
            where=lambda place: self.where(places[place]),
        )


def texts(
    path: Path | tuple[Sequence[Any], Sequence[Hashable]],
    encoder: str = "sentences",
    target: str | None = None,
    valid: float = 0.16,
    test: float = 0.2,
    seed: int = 0,
    min_examples: int = 1,
    max_examples: int | None = None,
    backend: Backend = "torch",
    recorded: Recorded | None = None,
) -> Dataset:
    """Classes from labelled texts, as the features of a frozen encoder; the classes are split.

    Args:
        path: A CSV table, JSON lines, a JSON list, a folder with a folder of .txt files for each
            class, or a folder with a file `class.txt` for each, a text a line. In Python also a
            pair of texts and their labels.
        encoder: The encoder of texts.
        target: Column of the labels of a table; `label` where omitted.
        valid: Part of the classes that are meta-valid; 0 for none.
        test: Part of the classes that are meta-test; 0 for none.
        seed: Seed of the split, and of the texts that are left out.
        min_examples: Classes with fewer texts are left out, and named in the notes.
        max_examples: Texts of a class that are taken at most, at random; all where omitted.
        backend: What computes the features.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: There is no such file or folder.
        UserError: It does not hold labelled texts, or a split would have fewer than two classes.

    Example:
        >>> intents = texts((["where is it", "money back"] * 9, ["order", "refund"] * 9), test=0)
        >>> intents.pools["train"].names
        ['order', 'refund']
    """
    if isinstance(path, tuple):
        data = _pair(*path)
    else:
        read, labels = labelled_texts(Path(path), target)
        data = LabelledTexts(Path(path).stem, read, labels, read.notes, None, read.where)
    usual = partial(split_names, valid=valid, test=test, seed=seed, what=f"{data.name}: classes")
    return text_classes(data, usual, encoder, backend, recorded, min_examples, max_examples, seed)


def text_classes(
    data: LabelledTexts,
    usual: Callable[[Sequence[str]], dict[Split, list[str]]],
    encoder: str,
    backend: Backend,
    recorded: Recorded | None,
    min_examples: int = 1,
    max_examples: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Classes of features from labelled texts, dealt out to the splits.

    Args:
        data: The texts.
        usual: Deals the classes out where no run is given.
        encoder: Name of the encoder.
        backend: What computes the features.
        recorded: The data of a run, whose split is used again.
        min_examples: Classes with fewer texts are left out.
        max_examples: Texts of a class, and of a part of it, that are taken at most, at random.
        seed: Seed of these.

    Raises:
        UserError: Texts have different numbers of spans, or a split too few classes.
    """
    at_least(data.name, 1, min_examples=min_examples)
    if max_examples is not None:
        at_least(data.name, 1, max_examples=max_examples)
    counts = Counter(data.labels)
    few = {name: n for name, n in sorted(counts.items()) if n < min_examples}
    notes = [*data.notes, *repeated(data.texts, data.labels)]
    if few:
        named = some([f"{name} ({n})" for name, n in few.items()])
        notes.append(
            f"{len(few)} class(es) with fewer than {min_examples} texts are left out: {named}"
        )
    places = [place for place, label in enumerate(data.labels) if label not in few]
    if not places:
        raise UserError(
            f"{data.name}: some class needs {min_examples} texts (min_examples); received "
            f"{max(counts.values())} at most; lower it."
        )
    data = data.only(_drawn(data, places, max_examples, seed))
    kind = texts_kind(encoder, _spans(data), backend)
    notes += token_notes(kind.network, data.texts)
    x, marks = featured(kind, data.texts)
    dataset = dealt_classes(
        data.name, x, marks, data.labels, usual, kind, recorded, data.only_queries
    )
    return replace(dataset, about={"notes": notes}) if notes else dataset


def _pair(X: Sequence[Any], y: Sequence[Hashable]) -> LabelledTexts:
    """Texts and labels from Python."""
    texts, _ = texts_in(X)
    labels = label_list(y)
    if len(texts) != len(labels):
        raise UserError(
            f"texts: every text needs a label; received {len(texts)} texts and {len(labels)} "
            "labels; pass as many of one as of the other."
        )
    check_present(labels)
    classes = sorted(set(labels), key=str)
    names = dict(zip(classes, told_apart(classes), strict=True))
    return LabelledTexts("texts", texts, [names[label] for label in labels], notes_of(X))


def _drawn(
    data: LabelledTexts, places: Sequence[int], most: int | None, seed: int
) -> Sequence[int]:
    """The places that are left where a class, and a part of it, has so many texts at most."""
    if most is None:
        return places
    taken: Counter[tuple[str, bool]] = Counter()
    left = []
    for place in generator(seed, "examples", 0).permutation(np.asarray(places)).tolist():
        apart = data.only_queries is not None and bool(data.only_queries[place])
        part = (data.labels[place], apart)
        taken[part] += 1
        if taken[part] <= most:
            left.append(place)
    return sorted(left)


def _spans(data: LabelledTexts) -> int:
    """The number of marked spans, which all texts have alike."""
    n = len(data.texts[0].spans)
    other = next((i for i, text in enumerate(data.texts) if len(text.spans) != n), None)
    if other is not None:
        raise UserError(
            f"{data.name}: all texts need as many marked spans; received {n} in {data.where(0)} "
            f"and {len(data.texts[other].spans)} in {data.where(other)}; mark as many in each."
        )
    return n
