"""Published intents: CLINC150 and HWU64, sentences that people say to an assistant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np

from quickstudy.encoders import Backend
from quickstudy.errors import UserError
from quickstudy.inputs.delimited import read_table
from quickstudy.inputs.texts import texts_in
from quickstudy.tasks.arrays import split_names
from quickstudy.tasks.episodes import Dataset
from quickstudy.tasks.features import featured, texts_kind
from quickstudy.tasks.published import other_file, published_files, published_json
from quickstudy.tasks.recorded import Recorded
from quickstudy.tasks.source import Split
from quickstudy.tasks.texts import LabelledTexts, text_classes

IntentSplit = Literal["intents", "domains", "all"]
CLINC_SOURCE: Final = "https://github.com/clinc/oos-eval (data)"
HWU_SOURCE: Final = "https://github.com/xliuhw/NLU-Evaluation-Data (as train.csv and test.csv)"
HWU_COLUMNS: Final = ("text", "scenario", "category")
Deal = Callable[[Sequence[str]], dict[Split, list[str]]]


def clinc150(
    path: Path,
    encoder: str = "sentences",
    split: IntentSplit = "intents",
    valid: float = 0.16,
    test: float = 0.2,
    seed: int = 0,
    max_examples: int | None = None,
    backend: Backend = "torch",
    recorded: Recorded | None = None,
) -> Dataset:
    """CLINC150: 150 intents of 10 domains, as the features of a frozen encoder.

    Supports are of the published training part, 100 sentences of an intent, and queries of its test
    part, 30. The test sentences that are out of scope are `outside` of the classes: see
    `quickstudy.evaluation.novelty.outside_auroc`.

    Args:
        path: Folder with data_full.json and domains.json.
        encoder: The encoder of texts.
        split: Whether intents or whole domains are dealt out to the splits, or all intents are
            meta-test, for what needs no meta-training.
        valid: Part of the intents or domains that are meta-valid; 0 for none.
        test: Part that is meta-test.
        seed: Seed of the split.
        max_examples: Sentences of an intent that are taken at most from each part.
        backend: What computes the features.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: A file is missing, or is not what was published.

    Source: Larson et al.: An Evaluation Dataset for Intent Classification and Out-of-Scope
    Prediction, EMNLP 2019; the data are under CC BY 3.0.
    """
    files = published_files(
        "clinc150", Path(path), ("data_full.json", "domains.json"), CLINC_SOURCE
    )
    content, domains = (published_json("clinc150", file, CLINC_SOURCE) for file in files)
    try:
        parts = [[(str(text), str(label)) for text, label in content[p]] for p in ("train", "test")]
        outside = [str(text) for text, _ in content["oos_test"]]
        domain = {intent: name for name, intents in domains.items() for intent in intents}
    except (KeyError, TypeError, ValueError) as error:
        raise other_file("clinc150", files[0], f"another form ({error!r})", CLINC_SOURCE) from error
    data = _of_two_parts("clinc150", *parts)
    usual = _deal("clinc150", split, valid, test, seed, domain)
    dataset = text_classes(data, usual, encoder, backend, recorded, 1, max_examples, seed)
    kind = texts_kind(encoder, backend=backend)
    x, _ = featured(kind, texts_in(outside)[0])
    about = {**dataset.about, "split": split, "outside": len(x)}
    return replace(dataset, about=about, outside=np.asarray(x))


def hwu64(
    path: Path,
    encoder: str = "sentences",
    split: IntentSplit = "intents",
    valid: float = 0.16,
    test: float = 0.2,
    seed: int = 0,
    min_examples: int = 1,
    max_examples: int | None = None,
    backend: Backend = "torch",
    recorded: Recorded | None = None,
) -> Dataset:
    """HWU64: 64 intents of 18 scenarios, as the features of a frozen encoder.

    Supports are of the training part of the published first fold, queries of its test part, which
    has from 3 to 19 sentences of an intent.

    Args:
        path: Folder with train.csv and test.csv, of the columns text, scenario and category.
        encoder: The encoder of texts.
        split: Whether intents or whole scenarios (domains) are dealt out to the splits, or all
            intents are meta-test.
        valid: Part of the intents or scenarios that are meta-valid; 0 for none.
        test: Part that is meta-test.
        seed: Seed of the split.
        min_examples: Intents with fewer test sentences are left out, and named in the notes.
        max_examples: Sentences of an intent that are taken at most from each part.
        backend: What computes the features.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: A file is missing, or is not what was published.

    Source: Liu, Eshghi, Swietojanski, Rieser: Benchmarking Natural Language Understanding Services
    for building Conversational Agents, IWSDS 2019; the data are under CC BY 4.0.
    """
    files = published_files("hwu64", Path(path), ("train.csv", "test.csv"), HWU_SOURCE)
    parts: list[list[tuple[str, str]]] = []
    scenario: dict[str, str] = {}
    for file in files:
        rows = read_table(file)
        if not {*HWU_COLUMNS} <= {*rows.names}:
            received = f"the columns {', '.join(rows.names)}"
            raise other_file("hwu64", file, received, HWU_SOURCE)
        texts, scenarios, intents = (list(map(str, each)) for each in rows.ordered(HWU_COLUMNS))
        parts.append(list(zip(texts, intents, strict=True)))
        scenario |= dict(zip(intents, scenarios, strict=True))
    counts = {intent: sum(label == intent for _, label in parts[1]) for intent in scenario}
    few = {intent for intent, n in counts.items() if n < min_examples}
    data = _of_two_parts("hwu64", *([e for e in part if e[1] not in few] for part in parts))
    notes = [
        f"{len(few)} class(es) with fewer than {min_examples} test sentences are left out: "
        f"{', '.join(f'{intent} ({counts[intent]})' for intent in sorted(few))}"
    ]
    data = data._replace(notes=notes if few else ())
    usual = _deal("hwu64", split, valid, test, seed, scenario)
    dataset = text_classes(data, usual, encoder, backend, recorded, 1, max_examples, seed)
    return replace(dataset, about={**dataset.about, "split": split})


def _of_two_parts(
    name: str, train: Sequence[tuple[str, str]], test: Sequence[tuple[str, str]]
) -> LabelledTexts:
    """The sentences of both parts, those of the test part as queries alone."""
    both = [*train, *test]
    texts, _ = texts_in([text for text, _ in both])
    apart = np.arange(len(both)) >= len(train)
    return LabelledTexts(name, texts, [label for _, label in both], (), apart)


def _deal(
    name: str, split: IntentSplit, valid: float, test: float, seed: int, domain: Mapping[str, Any]
) -> Deal:
    """Deals intents out to the splits, alone or by domain."""
    if split not in get_args(IntentSplit):
        raise UserError(
            f"{name}: split must be one of {', '.join(get_args(IntentSplit))}; received "
            f"{split!r}; choose one of these."
        )
    if split == "all":
        return lambda names: {"test": list(names)}
    deal = partial(split_names, valid=valid, test=test, seed=seed)
    if split == "intents":
        return partial(deal, what=f"{name}: classes")

    def by_domain(names: Sequence[str]) -> dict[Split, list[str]]:
        domains = sorted({domain[intent] for intent in names})
        dealt = deal(domains, what=f"{name}: domains", least=1)
        return {s: [n for n in names if domain[n] in of] for s, of in dealt.items()}

    return by_domain
