"""adapt and predict on a user's own ratings, on the command line."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from film_runs import film_run

import quickstudy as qs
from quickstudy.cli.main import main

MINE = "item,rating\nf001,5\nf002,1\nf003,4\nf004,\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, a user's ratings and the task that was learned from them."""
    folder = tmp_path_factory.mktemp("films")
    film_run(folder)
    (folder / "mine.csv").write_text(MINE)
    (folder / "two.csv").write_text("user,item,rating\nann,f001,5\nbob,f002,3\nann,f003,2\n")
    words = ("adapt", folder / "run", "--support", folder / "mine.csv", "--out", folder / "me.task")
    assert main([*map(str, words)]) == 0
    return folder


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("COLUMNS", "120")


def said(capsys: pytest.CaptureFixture[str], *words: Any, code: int = 0) -> str:
    capsys.readouterr()
    assert main([*map(str, words)]) == code
    out, error = capsys.readouterr()
    return error if code else out


def test_what_was_learned_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "adapt", "run", "--support", "mine.csv", "--out", "again.task")
    adapted = qs.load_task("again.task")
    items = adapted.model.preprocess
    base = np.mean([items.base[items.ids.index(name)] for name in ("f001", "f002", "f003")])
    assert "learned from 3 ratings" in out
    assert "note: 1 item(s) without a rating were left out" in out
    level = 10 / 3 - base
    side = "above" if level > 0 else "below"
    assert f"level: 3.33 on average, {abs(level):.2f} {side} the mean ratings" in out
    naive = np.mean([abs(r - items.base[int(n)]) for r, n in ((5, 1), (1, 2), (4, 3))])
    assert f"the mean rating of the item by {naive:.2f}" in out
    rest = [0, 1, 2]
    errors = []
    for i in rest:
        others = adapted.without([i])
        errors.append(abs(others.predict(items.ids[i + 1]) - adapted.labels[i]))
    assert f"is off by {np.mean(errors):.2f} on average" in out
    assert "more ratings are needed" in out
    assert f"first of the list: {qs.rank(adapted, 1)[0].title}" in out


def test_one_rating_is_learned_from(capsys: pytest.CaptureFixture[str]) -> None:
    Path("one.csv").write_text("item,rating\nf001,5\n")
    out = said(capsys, "adapt", "run", "--support", "one.csv", "--out", "one.task")
    assert "not measured; one rating cannot be left out" in out


def test_one_of_several_users_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("adapt", "run", "--support", "two.csv", "--out", "ann.task")
    assert "name one (--user): ann, bob" in said(capsys, *words, code=2)
    assert "learned from 2 ratings" in said(capsys, *words, "--user", "ann")
    labels = qs.load_task("ann.task").labels
    assert labels == [5.0, 2.0]


def test_user_is_for_ratings(capsys: pytest.CaptureFixture[str]) -> None:
    Path("table.csv").write_text("name,colour\nx,red\ny,blue\nz,red\n")
    words = ("adapt", "--support", "table.csv", "--target", "colour", "--out", "t.task")
    assert "user is for ratings" in said(capsys, *words, "--user", "ann", code=2)


def test_the_catalogue_is_ranked(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(said(capsys, "predict", "me.task", "--json"))
    adapted = qs.load_task("me.task")
    ranked = qs.rank(adapted)
    assert [row["item"] for row in rows] == [each.item for each in ranked]
    assert len(rows) == 80 - 3
    low, high = adapted.interval([row["item"] for row in rows])
    np.testing.assert_allclose([row["low"] for row in rows], np.clip(low, 1, 5), atol=1e-5)
    np.testing.assert_allclose([row["high"] for row in rows], np.clip(high, 1, 5), atol=1e-5)
    few = json.loads(said(capsys, "predict", "me.task", "--json", "--top", "3"))
    assert few == rows[:3]
    wide = json.loads(said(capsys, "predict", "me.task", "--json", "--coverage", "0.95"))
    assert wide[0]["low"] < rows[0]["low"]


def test_the_list_is_a_readable_table(capsys: pytest.CaptureFixture[str]) -> None:
    first = qs.rank(qs.load_task("me.task"), 1)[0]
    table = said(capsys, "predict", "me.task")
    assert "the first 20 of 80 items, without those rated" in table
    (line,) = [line for line in table.splitlines() if first.item in line]
    assert first.title in line
    assert f"{first.rating:.2f}" in line
    assert f"{first.low:.2f}" in line


def test_the_list_is_a_csv_table(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*csv.DictReader(io.StringIO(said(capsys, "predict", "me.task", "--csv")))]
    ranked = qs.rank(qs.load_task("me.task"))
    assert [row["title"] for row in rows] == [each.title for each in ranked]
    assert float(rows[0]["rating"]) == pytest.approx(ranked[0].rating, rel=1e-3)


def test_items_that_few_rated_can_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(said(capsys, "predict", "me.task", "--json", "--least", "10"))
    items = qs.load_task("me.task").model.preprocess
    assert 0 < len(rows) < 77
    assert min(row["n_ratings"] for row in rows) >= 10
    assert len(rows) == sum(count >= 10 for count in items.counts) - sum(
        items.counts[place] >= 10 for place in (1, 2, 3)
    )


def test_given_items_are_rated(capsys: pytest.CaptureFixture[str]) -> None:
    adapted = qs.load_task("me.task")
    title = adapted.model.preprocess.titles[9]
    Path("some.csv").write_text(f"item,note\nf001,x\n{title},y\n")
    rows = json.loads(said(capsys, "predict", "me.task", "some.csv", "f001", "--json"))
    assert [row["item"] for row in rows] == ["f001", "f009", "f001"]
    expected = adapted.predict(["f001", "f009", "f001"])
    np.testing.assert_allclose([row["score"] for row in rows], expected, atol=1e-5)
    error = said(capsys, "predict", "me.task", "some.csv", "film 9", code=2)
    assert "'film 9' in place 2; leave it out" in error


def test_a_new_user_gets_what_is_well_rated_by_many(capsys: pytest.CaptureFixture[str]) -> None:
    rows = json.loads(said(capsys, "predict", "run", "--json"))
    items = qs.load("run").preprocess
    assert len(rows) == 80
    for row in (rows[0], rows[-1]):
        at = items.ids.index(row["item"])
        assert row["rating"] == items.base[at]
        error = items.spread[at] / np.sqrt(max(items.counts[at], 1))
        assert row["score"] == pytest.approx(items.base[at] - 1.96 * error)
        assert row["low"] is None
    scores = [row["score"] for row in rows]
    assert scores == sorted(scores, reverse=True)
    assert "nothing is known of this user" in said(capsys, "predict", "run", "--top", "2")


def test_what_to_ask_is_a_table_to_fill_in(capsys: pytest.CaptureFixture[str]) -> None:
    asked = json.loads(said(capsys, "predict", "run", "--ask", "3", "--json"))
    assert asked["items"] == qs.questions(qs.load("run"), 3).items
    table = said(capsys, "predict", "run", "--ask", "3", "--csv")
    assert [line.split(",")[0] for line in table.splitlines()[1:]] == asked["items"]
    filled = [line + "4" for line in table.splitlines()[1:]]
    Path("filled.csv").write_text("\n".join([table.splitlines()[0], *filled]))
    words = ("adapt", "run", "--support", "filled.csv", "--out", "filled.task")
    assert "learned from 3 ratings" in said(capsys, *words)
    more = json.loads(said(capsys, "predict", "filled.task", "--ask", "3", "--json"))
    assert not {*more["items"]} & {*asked["items"]}
    assert asked["titles"][0] in said(capsys, "predict", "run", "--ask", "3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("me.task", "--top", "0"), "at least 1"),
        (("me.task", "--json", "--csv"), "leave the others out"),
        (("me.task", "f001", "--top", "3"), "leave the others out"),
        (("me.task", "--ask", "3", "--least", "3"), "leave the others out"),
        (("me.task", "--pictures", "x"), "for forecasts"),
    ],
)
def test_options_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert message in said(capsys, "predict", *words, code=2)


def test_other_models_rank_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    task = tmp_path / "other.task"
    qs.model("tables").adapt([[0.0, 1.0], [1.0, 0.0]], ["a", "b"]).save(task)
    for option in ("--top", "--ask", "--least"):
        assert "for items of a catalogue" in said(capsys, "predict", task, option, "3", code=2)
