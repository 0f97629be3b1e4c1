"""Tasks of labelled texts, and the published ones, whose files are made here in their form."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from words import WIDTH, WORDS, known_words

import quickstudy as qs
from quickstudy.encoders import Text
from quickstudy.errors import DataError, UserError
from quickstudy.evaluation.outside import outside_auroc
from quickstudy.inputs.encoded import EncodedTexts
from quickstudy.learners import NearestCentroid
from quickstudy.tasks.contents import marks_of
from quickstudy.tasks.recorded import Recorded, record_of

INTENTS = [f"intent{i}" for i in range(10)]


@pytest.fixture(autouse=True)
def tiny_encoder(monkeypatch, tmp_path_factory):
    known_words(monkeypatch, tmp_path_factory.mktemp("cache"))


def sentences(intent: str, n: int, first: int = 0) -> list[str]:
    """Sentences of an intent, in which its name comes up."""
    return [f"please {intent} {intent} number {first + i}" for i in range(n)]


def labelled(n: int = 6) -> tuple[list[str], list[str]]:
    texts = [text for intent in INTENTS for text in sentences(intent, n)]
    return texts, [intent for intent in INTENTS for _ in range(n)]


def test_texts_become_classes_of_features():
    X, y = labelled()
    data = qs.tasks.texts((X, y), encoder="words")
    assert {split: len(pool.names) for split, pool in data.pools.items()} == {
        "train": 6,
        "valid": 2,
        "test": 2,
    }
    assert data.preprocess == EncodedTexts(WORDS)
    assert data.about == {}
    pool = data.pools["test"]
    of_first = [text for text, label in zip(X, y, strict=True) if label == pool.names[0]]
    expected, _ = data.preprocess.encode(of_first, (WIDTH,))
    np.testing.assert_array_equal(pool.x[pool.y == 0], expected)


def test_files_and_python_give_the_same(tmp_path):
    X, y = labelled()
    path = tmp_path / "intents.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("intent", "utterance"), *zip(y, X, strict=True)])
    data = qs.tasks.texts(path, encoder="words", target="intent")
    again = qs.tasks.texts((X, y), encoder="words")
    assert data.name == "intents"
    assert data.contents() == again.contents()
    assert "'utterance' is taken" in data.about["notes"][0]


def test_marks_are_of_the_text_and_its_spans_not_of_features():
    X, y = labelled()
    marked = [Text(text, ((0, 6),)) for text in X]
    plain, spanned = (qs.tasks.texts((each, y), encoder="words") for each in (X, marked))
    other = qs.tasks.texts(([f"{text}!" for text in X], y), encoder="words")
    assert spanned.pools["train"].x.shape[1] == 2 * WIDTH
    marks = [set(data.pools["train"].marks.tolist()) for data in (plain, spanned, other)]
    assert not marks[0] & marks[1]
    assert not marks[0] & marks[2]
    with pytest.raises(UserError, match="received 1 in text 0 and 0 in text 6; mark as many"):
        qs.tasks.texts(([*marked[:6], *X[6:]], y), encoder="words")


def test_a_run_knows_its_texts_again():
    X, y = labelled()
    tasks = qs.tasks.Episodes(qs.tasks.texts((X, y), encoder="words"), n_way=2, n_query=2)
    recorded = Recorded.in_record(record_of(tasks), "run a", ("train", "valid", "test"))
    more = qs.tasks.texts(
        ([*X, *sentences("new", 6)], [*y, *["new"] * 6]), encoder="words", seed=3, recorded=recorded
    )
    assert {s: p.names for s, p in more.pools.items()} == {
        s: p.names for s, p in tasks.data.pools.items()
    }
    changed = [text.replace("please", "do") for text in X]
    with pytest.raises(UserError, match="must be those that the run was meta-trained on"):
        qs.tasks.texts((changed, y), encoder="words", recorded=recorded)


def test_small_classes_are_left_out_and_large_ones_drawn():
    X, y = labelled()
    X, y = [*X, "one alone"], [*y, "alone"]
    data = qs.tasks.texts((X, y), encoder="words", min_examples=2, max_examples=4)
    assert data.about["notes"] == [
        "1 class(es) with fewer than 2 texts are left out: alone (1)",
    ]
    counts = {int(n) for pool in data.pools.values() for n in pool.counts}
    assert counts == {4}
    with pytest.raises(UserError, match=r"some class needs 9 texts .*received 6 at most"):
        qs.tasks.texts((X, y), encoder="words", min_examples=9)
    with pytest.raises(UserError, match="max_examples must be at least 1"):
        qs.tasks.texts((X, y), encoder="words", max_examples=0)


def test_what_was_cut_is_noted():
    X, y = labelled()
    data = qs.tasks.texts(([*X[:-1], f"{'one ' * 50}"], y), encoder="words")
    tasks = qs.tasks.Episodes(data, n_way=2, n_query=2)
    (note,) = tasks.describe()["notes"]
    assert note.startswith("1 of 60 text(s) are longer than the 40 tokens")


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (["a"], "received 60 texts and 1 labels"),
        ([None] * 60, "received None in example"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, words):
    with pytest.raises(UserError, match=words):
        qs.tasks.texts((labelled()[0], labels), encoder="words")


def test_an_encoder_of_pictures_is_refused():
    with pytest.raises(UserError, match="of texts; received photos, which takes pictures; choose"):
        qs.tasks.texts(labelled(), encoder="photos")


def clinc(folder: Path) -> Path:
    content = {
        "train": [[text, intent] for intent in INTENTS for text in sentences(intent, 5)],
        "test": [[text, intent] for intent in INTENTS for text in sentences(intent, 4, 100)],
        "val": [],
        "oos_test": [[f"who won number {i}", "oos"] for i in range(7)],
    }
    domains = {f"domain{i}": INTENTS[2 * i : 2 * i + 2] for i in range(5)}
    folder.mkdir(exist_ok=True)
    (folder / "data_full.json").write_text(json.dumps(content))
    (folder / "domains.json").write_text(json.dumps(domains))
    return folder


def hwu(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name, n, first in (("train", 5, 0), ("test", 4, 100)):
        lines = ["text,scenario,category"]
        for i, intent in enumerate(INTENTS):
            few = n - 3 * (name == "test" and i == 0)
            lines += [f"{text},s{i // 2},{intent}" for text in sentences(intent, few, first)]
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("source", ["clinc150", "hwu64"])
def test_supports_are_of_the_train_part_and_queries_of_the_test_part(tmp_path, source):
    if source == "clinc150":
        data = qs.tasks.clinc150(clinc(tmp_path), encoder="words", split="all")
    else:
        data = qs.tasks.hwu64(hwu(tmp_path), encoder="words", split="all", min_examples=4)
    pool = data.pools["test"]
    assert list(data.pools) == ["test"]
    assert len(pool.names) == (10 if source == "clinc150" else 9)
    kind, episodes = data.preprocess, qs.tasks.Episodes(data, n_way=3, n_shot=5, n_query=4)
    train = kind.encode([text for intent in pool.names for text in sentences(intent, 5)], (WIDTH,))
    support, query = episodes.task("test", 0)
    known = {row.tobytes() for row in train[0]}
    assert {row.numpy().tobytes() for row in support.x} <= known
    assert not {row.numpy().tobytes() for row in query.x} & known


def test_whole_domains_may_be_dealt_out(tmp_path):
    data = qs.tasks.clinc150(clinc(tmp_path), encoder="words", split="domains", max_examples=3)
    assert {split: len(pool.names) for split, pool in data.pools.items()} == {
        "train": 6,
        "valid": 2,
        "test": 2,
    }
    for pool in data.pools.values():
        domains = {int(name.removeprefix("intent")) // 2 for name in pool.names}
        assert len(domains) == len(pool.names) / 2
        assert pool.counts.tolist() == [6] * len(pool.names)
    with pytest.raises(UserError, match="split must be one of intents, domains, all"):
        qs.tasks.clinc150(tmp_path, encoder="words", split="none")


def test_what_is_out_of_scope_is_outside(tmp_path):
    data = qs.tasks.clinc150(clinc(tmp_path), encoder="words", split="all")
    assert data.outside.shape == (7, WIDTH)
    assert data.about["outside"] == 7
    episodes = qs.tasks.Episodes(data, n_way=10, n_shot=5, n_query=4)
    tasks = [episodes.task("test", i) for i in range(3)]
    result = outside_auroc(NearestCentroid(), tasks, torch.from_numpy(data.outside))
    assert result.auroc > 0.95
    assert (result.n_tasks, result.n_outside) == (3, 7)
    known = tasks[0].query.x  # all there are, in each of the tasks
    assert outside_auroc(NearestCentroid(), tasks, known).auroc == pytest.approx(0.5)
    with pytest.raises(UserError, match="received 0 tasks"):
        outside_auroc(NearestCentroid(), [], known)


def relations(folder: Path, *names: str) -> Path:
    for name in names:
        content = {
            f"{name}{r}": [
                {
                    "tokens": ["The", f"thing{i}", "is", f"part{r}", "of", f"{name}", "Town", "."],
                    "h": ["thing", "Q1", [[1]]],
                    "t": ["town", "Q2", [[5, 6], [0]]],
                }
                for i in range(6)
            ]
            for r in range(6)
        }
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def test_relations_are_texts_with_head_and_tail(tmp_path):
    folder = relations(tmp_path, "val_wiki", "val_semeval")
    data = qs.tasks.fewrel(folder, encoder="words", valid=0.4)
    assert data.about["files"] == {"train": "val_semeval", "test": "val_wiki"}
    assert {s: len(p.names) for s, p in data.pools.items()} == {"train": 4, "valid": 2, "test": 6}
    assert all(name.startswith("val_wiki") for name in data.pools["test"].names)
    first = Text("The thing0 is part0 of val_wiki Town .", ((4, 10), (23, 36)))
    assert [first.text[a:b] for a, b in first.spans] == ["thing0", "val_wiki Town"]
    expected, _ = data.preprocess.encode([first], (3 * WIDTH,))
    pool = data.pools["test"]
    np.testing.assert_array_equal(pool.x[0], expected[0])
    assert pool.marks[:1].tolist() == marks_of([data.preprocess.content(first)]).tolist()
    alone = qs.tasks.fewrel(folder, encoder="words", train="none", valid=0, test=0.5)
    assert {s: len(p.names) for s, p in alone.pools.items()} == {"train": 3, "test": 3}
    with pytest.raises(UserError, match="different files; received val_wiki for both"):
        qs.tasks.fewrel(folder, encoder="words", train="val_wiki")


def test_data_that_are_not_there_say_where_they_are_published(tmp_path):
    for source, words in (
        (qs.tasks.clinc150, "data_full.json, domains.json; received .*none, where no folder is.*"),
        (qs.tasks.hwu64, r"needs a folder with train.csv, test.csv; .*xliuhw"),
        (qs.tasks.fewrel, r"needs a folder with val_wiki.json; .*thunlp.*--tasks.path"),
    ):
        with pytest.raises(DataError, match=words):
            source(tmp_path / "none", encoder="words")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("val_wiki.json", '{"r": [{"tokens": ["a"]}]}', "another form in instance 0 of r"),
        ("val_wiki.json", "[]", "received a list, no object"),
        ("val_wiki.json", "{", "must be the published file"),
    ],
)
def test_other_files_than_the_published_are_refused(tmp_path, name, content, words):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=words):
        qs.tasks.fewrel(tmp_path, encoder="words")


def test_the_published_files_are_read(data_dir):
    if not (data_dir / "clinc150").is_dir():
        pytest.skip("no CLINC150, HWU64 and FewRel")
    data = qs.tasks.hwu64(
        data_dir / "hwu64", encoder="words", split="all", min_examples=8, max_examples=8
    )
    assert len(data.pools["test"].names) == 61
    data = qs.tasks.fewrel(data_dir / "fewrel", encoder="words", max_examples=5)
    assert len(data.pools["test"].names) == 16
