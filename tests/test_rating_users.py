"""What one user's model of items can do: say why, be exported, be an estimator, be kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from film_runs import film_run
from sklearn.base import clone
from sklearn.model_selection import cross_val_score

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.files.rundir import tensors_from_bytes
from quickstudy.models import reasons as module

RATED = {"f001": 5, "f002": 1, "f003": 4, "f005": 4.5, "f008": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    film_run(folder)
    qs.load(folder / "run").adapt(RATED).save(folder / "me.task")
    return folder


@pytest.fixture
def adapted(place: Path) -> qs.Adapted:
    return qs.load_task(place / "me.task")


def said(capsys: pytest.CaptureFixture[str], *words: Any, code: int = 0) -> str:
    capsys.readouterr()
    assert main([*map(str, words)]) == code
    out, error = capsys.readouterr()
    return error if code else out


def test_the_parts_of_a_rating_add_up(adapted: qs.Adapted) -> None:
    why = qs.reasons(adapted, n=4)
    assert why.of == "sum"
    assert [each.item for each in why.items] == [each.item for each in qs.rank(adapted, 4)]
    assert why.parts.shape == (4, 5)
    whole = np.array(why.means) + why.start + why.parts.sum(axis=1)
    np.testing.assert_allclose(whole, [each.score for each in why.items], atol=1e-4)


def test_without_a_sum_each_rating_is_left_out(
    adapted: qs.Adapted, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = ["f010", "f011", "f001"]
    whole = adapted.predict(ids)
    expected = [whole - adapted.without([i]).predict(ids) for i in range(5)]
    monkeypatch.setattr(module, "shares", lambda *_: None)
    formula = qs.reasons(adapted, ids)
    assert (formula.of, formula.start) == ("left out", None)
    np.testing.assert_allclose(formula.parts, np.transpose(expected), atol=1e-4)
    monkeypatch.setattr(type(adapted.model.learner), "held_out", lambda *_: None)
    np.testing.assert_allclose(qs.reasons(adapted, ids).parts, formula.parts, atol=1e-4)
    one = adapted.without([1, 2, 3, 4])
    base = dict(zip(one.model.preprocess.ids, one.model.preprocess.base, strict=True))
    parts = qs.reasons(one, ids).parts[:, 0]
    np.testing.assert_allclose(parts, one.predict(ids) - [base[name] for name in ids], atol=1e-5)


def test_what_the_others_foretell_of_each_rating(adapted: qs.Adapted) -> None:
    why = qs.reasons(adapted, ["f010", "f011"])
    for i, each in enumerate(why.ratings):
        assert (each.item, each.rating) == [*RATED.items()][i]
        assert each.foretold == pytest.approx(adapted.without([i]).predict(each.item), abs=1e-4)
        assert each.moves == pytest.approx(np.abs(why.parts[:, i]).mean())
    doubtful = {each.id for each in adapted.suspicious()}
    assert {i for i, each in enumerate(why.ratings) if each.surprising} == doubtful
    (alone,) = qs.reasons(adapted.without([1, 2, 3, 4]), ["f010"]).ratings
    assert alone.foretold is None


def test_reasons_on_the_command_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    why = qs.reasons(qs.load_task(place / "me.task"))
    rows = json.loads(said(capsys, "explain", place / "me.task", "--json"))
    assert [row["item"] for row in rows["items"]] == [each.item for each in why.items]
    because = rows["items"][0]["because"]
    values = [each["value"] for each in because]
    assert values == sorted(values, reverse=True)
    np.testing.assert_allclose(values, sorted(why.parts[0], reverse=True), atol=1e-6)
    assert {each["item"]: each["label"] for each in because} == RATED
    text = said(capsys, "explain", place / "me.task")
    best, most = why.items[0], int(why.parts[0].argmax())
    rated = why.ratings[most]
    assert f"{best.title}\t{best.rating:.2f}\tmean {why.means[0]:.2f}" in text
    assert f"because  you rated {rated.title} {rated.rating:g} ({why.parts[0, most]:+.2f})" in text
    assert f"{rated.title}\trated {rated.rating:g}; the others say {rated.foretold:.2f}" in text


def test_reasons_are_drawn(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "explain", place / "me.task", "f010", "--pictures", tmp_path / "why")
    data = json.loads((tmp_path / "why" / "reasons.json").read_text())
    assert data["item"] == "f010"
    assert len(data["because"]) == 5
    assert "<svg" in (tmp_path / "why" / "reasons.svg").read_text()
    error = said(capsys, "explain", place / "me.task", "f010", "--target", "0", code=2)
    assert "leave them out" in error


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_an_exported_model_takes_places_and_answers_ratings(
    adapted: qs.Adapted, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"me{suffix}"
    adapted.export(path, metadata_json=True)
    ids = adapted.model.preprocess.ids
    places = np.array([79, 0, 5, 5, 40])
    if suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path.read_bytes())
        (values,) = session.run(None, {"queries": places})
        (none,) = session.run(None, {"queries": places[:0]})
        assert len(none) == 0
    else:
        values = torch.export.load(path).module()(torch.from_numpy(places))[0].numpy()
    assert values.dtype == np.float32
    expected = adapted.predict([ids[place] for place in places])
    np.testing.assert_allclose(values[:, 0], expected, atol=1e-4)
    about = json.loads(path.with_name(path.name + ".json").read_text())
    assert about["queries"].startswith("places of items in the list preprocessing.ids")
    assert about["preprocessing"]["ids"] == [*ids]


def test_the_estimator_learns_a_user(place: Path) -> None:
    items, ratings = [*RATED], [*RATED.values()]
    regressor = qs.FewShotRegressor(place / "run").fit(items, ratings)
    expected = qs.load_task(place / "me.task").predict(["f010", "f011"])
    asked: list[Any] = [
        ["f010", "f011"],
        np.array(["f010", "f011"]),
        np.array([["f010"], ["f011"]]),
    ]
    for X in asked:
        np.testing.assert_allclose(regressor.predict(X), expected, atol=1e-5)
    assert len(qs.rank(regressor.adapted_, 3)) == 3
    again = clone(regressor).fit(np.array(items)[:, None], np.array(ratings))
    np.testing.assert_array_equal(again.predict(asked[0]), regressor.predict(asked[0]))
    scores = cross_val_score(regressor, items, ratings, cv=5, scoring="neg_mean_absolute_error")
    others = [abs(regressor.adapted_.without([i]).predict(items[i]) - ratings[i]) for i in range(5)]
    np.testing.assert_allclose(-scores, others, atol=1e-4)
    with pytest.raises(UserError, match="'nothing' in place 0"):
        regressor.predict(["nothing"])
    with pytest.raises(ValueError, match="inconsistent numbers"):
        regressor.fit(items, ratings[:3])


def test_the_estimator_takes_frames(place: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"note": 1, "item": [*RATED]})
    regressor = qs.FewShotRegressor(place / "run").fit(frame, pandas.Series([*RATED.values()]))
    one = pandas.DataFrame({"film": ["f010"]})
    expected = qs.load_task(place / "me.task").predict(["f010"])
    np.testing.assert_allclose(regressor.predict(one), expected, atol=1e-5)


def test_a_task_file_holds_the_ratings_and_no_name(
    adapted: qs.Adapted, place: Path, tmp_path: Path
) -> None:
    tensors, header = tensors_from_bytes((place / "me.task").read_bytes(), "me.task")
    assert header["labels"] == [*RATED.values()]
    assert adapted.model.preprocess.places_of(tensors["support"]).tolist() == [1, 2, 3, 5, 8]
    assert "u0" not in json.dumps(header)  # the ids of the people of meta-training
    adapted.save(tmp_path / "small.task", model=False)
    again = qs.load_task(tmp_path / "small.task", model=qs.load(place / "run"))
    assert qs.rank(again, 5) == qs.rank(adapted, 5)


def test_an_explanation_gives_each_rating_the_part_that_the_reasons_give(
    adapted: qs.Adapted,
) -> None:
    why = qs.reasons(adapted, ["f010", "f001"])
    for name, parts in zip(["f010", "f001"], why.parts, strict=True):
        contributions = adapted.explain(name).contributions
        assert contributions is not None
        np.testing.assert_allclose(contributions.parts[:, 0], parts, atol=1e-6)
