"""FewRel: which relation two marked entities of a sentence have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from quickstudy.encoders import Backend, Text
from quickstudy.errors import UserError
from quickstudy.tasks.arrays import split_names
from quickstudy.tasks.episodes import Dataset
from quickstudy.tasks.published import other_file, published_files, published_json
from quickstudy.tasks.recorded import Recorded
from quickstudy.tasks.source import Split
from quickstudy.tasks.texts import LabelledTexts, text_classes

SOURCE: Final = "https://github.com/thunlp/FewRel (data)"
TRAIN: Final = ("train_wiki", "val_semeval")
"""Files of relations for meta-training, the first of which is taken that is there."""


def fewrel(
    path: Path,
    encoder: str = "sentences",
    train: str | None = None,
    evaluate_on: str = "val_wiki",
    valid: float = 0.16,
    test: float = 0.2,
    seed: int = 0,
    max_examples: int | None = None,
    backend: Backend = "torch",
    recorded: Recorded | None = None,
) -> Dataset:
    """FewRel: relations of a head and a tail in a sentence, as the features of a frozen encoder.

    The features of a sentence are those of the encoder with two spans: the mean states of the
    tokens of head and tail, and the features of the whole.

    Args:
        path: Folder with val_wiki.json, and train_wiki.json or val_semeval.json if there is
            meta-training.
        encoder: The encoder of texts.
        train: File of the relations for meta-training, of which a part is meta-valid: train_wiki
            where it is there, else val_semeval; `none` to split one file by relation.
        evaluate_on: File of the meta-test relations; with `none` for `train`, the file that is
            split.
        valid: Part of the meta-train relations that are meta-valid; 0 for none.
        test: Part of the relations that are meta-test, where one file is split.
        seed: Seed of the split.
        max_examples: Sentences of a relation that are taken at most, at random.
        backend: What computes the features.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: A file is missing, or is not what was published.

    Source: Han et al.: FewRel: A Large-Scale Supervised Few-Shot Relation Classification Dataset
    with State-of-the-Art Evaluation, EMNLP 2018; the data are under the MIT licence.
    """
    folder = Path(path)
    (file,) = published_files("fewrel", folder, [f"{evaluate_on}.json"], SOURCE)
    data = _sentences(file)
    trained = train or next((each for each in TRAIN if (folder / f"{each}.json").is_file()), "none")
    if trained == evaluate_on:
        raise UserError(
            f"fewrel: train and evaluate_on must be different files; received {trained} for both; "
            "choose another, or none for train, and one file is split by relation."
        )
    own: set[str] = set()
    if trained != "none":
        (file,) = published_files("fewrel", folder, [f"{trained}.json"], SOURCE)
        more = _sentences(file)
        own = set(more.labels)
        if both := sorted(own & set(data.labels)):
            raise UserError(
                f"fewrel: a relation belongs to meta-train or meta-test; received "
                f"{', '.join(both[:5])} in {trained} and {evaluate_on}; choose other files."
            )
        data = data._replace(texts=[*more.texts, *data.texts], labels=[*more.labels, *data.labels])

    def usual(names: Sequence[str]) -> dict[Split, list[str]]:
        deal = partial(split_names, valid=valid, seed=seed, what="fewrel: relations")
        if not own:
            return deal(names, test=test)
        dealt = deal([name for name in names if name in own], test=0.0)
        return dealt | {"test": [name for name in names if name not in own]}

    dataset = text_classes(data, usual, encoder, backend, recorded, 1, max_examples, seed)
    return replace(
        dataset, about={**dataset.about, "files": {"train": trained, "test": evaluate_on}}
    )


def _sentences(file: Path) -> LabelledTexts:
    """The sentences of a file with head and tail marked, and the relation of each."""
    texts: list[Text] = []
    labels: list[str] = []
    for relation, instances in published_json("fewrel", file, SOURCE).items():
        for number, instance in enumerate(instances):
            try:
                texts.append(_marked(instance))
            except (KeyError, IndexError, TypeError) as error:
                received = f"another form in instance {number} of {relation} ({error!r})"
                raise other_file("fewrel", file, received, SOURCE) from error
            labels.append(relation)
    return LabelledTexts("fewrel", texts, labels)


def _marked(instance: dict[str, Any]) -> Text:
    """The tokens of a sentence joined by blanks, with the first mention of head and tail."""
    tokens: list[str] = instance["tokens"]
    ends = list(accumulate((len(token) + 1 for token in tokens), initial=0))
    spans = []
    for entity in ("h", "t"):
        places = instance[entity][2][0]
        spans.append((ends[places[0]], ends[places[-1] + 1] - 1))
    return Text(" ".join(tokens), tuple(spans))
