"""A model of interactions in a user's hands: it ranks and says why, and is taken for no rating."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import quickstudy as qs
from quickstudy import catalog
from quickstudy.cli.main import main
from quickstudy.domains.ratings.made import interactions_in
from quickstudy.errors import UserError
from quickstudy.serve.served import Served

HAS = ["f001", "f002", "f003"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plays")
    interactions_in(folder, 0)
    source = catalog.build_tasks({"name": "interactions", "path": folder})
    learner = qs.build("PriorHead", source, net={"width": 6})
    qs.train(learner, source, qs.Training(steps=2, valid_tasks=0), folder / "plays", show=False)
    (folder / "have.csv").write_text("item,note\n" + "".join(f"{item},x\n" for item in HAS))
    words = ("adapt", folder / "plays", "--support", folder / "have.csv")
    assert main([*map(str, words), "--out", str(folder / "me.task")]) == 0
    return folder


@pytest.fixture
def adapted(place: Path) -> qs.Adapted:
    return qs.load_task(place / "me.task")


def said(capsys: pytest.CaptureFixture[str], *words: Any, code: int = 0) -> str:
    capsys.readouterr()
    assert main([*map(str, words)]) == code
    out, error = capsys.readouterr()
    return error if code else out


def test_the_items_of_a_file_are_learned_from(
    place: Path, adapted: qs.Adapted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    items = adapted.model.preprocess
    assert items.places_of(adapted.support_x).tolist() == [items.ids.index(name) for name in HAS]
    assert adapted.labels == [1.0] * 3
    words = ("adapt", place / "plays", "--support", place / "have.csv", "--out", tmp_path / "a")
    out = said(capsys, *words)
    assert "learned from 3 items" in out
    assert qs.rank(adapted, 1)[0].title in out
    assert "rating" not in out
    assert "are for ratings" in said(capsys, *words, "--user", "ann", code=2)
    (tmp_path / "none.csv").write_text("item\n")
    assert "must hold items" in said(capsys, *words[:3], tmp_path / "none.csv", *words[4:], code=2)


def test_the_catalogue_is_ranked_by_the_score(
    place: Path, adapted: qs.Adapted, capsys: pytest.CaptureFixture[str]
) -> None:
    ranked = qs.rank(adapted)
    assert not {each.item for each in ranked} & {*HAS}
    scores = [each.score for each in ranked]
    assert scores == sorted(scores, reverse=True)
    np.testing.assert_allclose(scores, adapted.predict([each.item for each in ranked]), atol=1e-6)
    rows = json.loads(said(capsys, "predict", place / "me.task", "--top", 3, "--json"))
    assert [row["item"] for row in rows] == [each.item for each in ranked[:3]]
    assert [*rows[0]] == ["item", "title", "score", "n_people"]
    table = said(capsys, "predict", place / "me.task", "--top", 3, "--csv")
    assert table.startswith("item,title,score,n_people\n")
    shown = said(capsys, "predict", place / "me.task", "--top", 3)
    assert "scores only put items in order" in shown
    assert "rating" not in shown
    assert "expected" not in said(capsys, "predict", place / "me.task", "f010")


def test_a_user_of_whom_nothing_is_known_gets_what_most_people_have(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = qs.load(place / "plays")
    counts = [each.n_ratings for each in qs.rank(model)]
    assert counts == sorted(counts, reverse=True)
    assert "the share of people" in said(capsys, "predict", place / "plays")


def test_the_items_that_a_user_has_add_up_to_the_score(
    place: Path, adapted: qs.Adapted, capsys: pytest.CaptureFixture[str]
) -> None:
    why = qs.reasons(adapted, n=2)
    whole = np.array(why.means) + why.start + why.parts.sum(axis=1)
    np.testing.assert_allclose(whole, [each.score for each in why.items], atol=1e-5)
    assert [(each.foretold, each.surprising) for each in why.ratings] == [(None, False)] * 3
    text = said(capsys, "explain", place / "me.task", "f010", "--pictures", place / "why")
    assert f"of people have it\n  {'because':<8} you have " in text or "although you have" in text
    figure = (place / "why" / "reasons.svg").read_text()
    for told in (text, figure):
        assert "rated" not in told
        assert "rating" not in told


def test_examples_need_no_labels_and_have_no_others(adapted: qs.Adapted) -> None:
    model = adapted.model
    np.testing.assert_array_equal(model.adapt(HAS).predict(["f010"]), adapted.predict(["f010"]))
    regressor = qs.FewShotRegressor(model).fit(HAS, [1, 1, 1])
    np.testing.assert_array_equal(regressor.predict(["f010"]), adapted.predict(["f010"]))
    with pytest.raises(UserError, match=r"label 1; received the label 5\.0; leave labels out"):
        model.adapt(HAS, [1.0, 5.0, 1.0])
    with pytest.raises(UserError, match="received the label 0"):
        model.adapt({"f001": 1, "f002": 0})


def test_what_only_ratings_have_is_refused(
    place: Path, adapted: qs.Adapted, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="interval: needs values; received a model of interactions"):
        adapted.interval(["f010"])
    with pytest.raises(UserError, match="quality: needs values"):
        adapted.quality()
    for user in (adapted, adapted.model):
        with pytest.raises(UserError, match="show the list of rank instead"):
            qs.questions(user)
    assert "need a model of ratings" in said(capsys, "predict", place / "plays", "--ask", 3, code=2)
    with pytest.raises(UserError, match="a model of interactions; ask it in Python"):
        Served(place / "plays")
