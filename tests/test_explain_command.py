"""`quickstudy explain` and the same from Python: pictures, rows of tables, values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import draw_classes, maml, quick, sinusoid

from quickstudy import load_task
from quickstudy.cli.explain import explained_in_figures
from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.inputs.rows import Categorical, Columns, Numeric
from quickstudy.learners import NearestCentroid, RidgeRegression
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model
from quickstudy.tasks import Pictures

TABLE = Columns({"visits": Numeric(5.0, 2.0, 5.0), "plan": Categorical(("basic", "plus"))})


def rows() -> list[dict[str, Any]]:
    return [{"visits": v, "plan": p} for v in (1, 2, 8, 9) for p in ("basic", "plus")]


def of_pictures(folder: Path) -> Adapted:
    """Lines at three angles, four of each; the first of the second class is called the third."""
    model = Model(NearestCentroid(), (1, 12, 12), Pictures(12))
    paths = sorted(draw_classes(folder / "classes", 3, 4).rglob("*.png"))
    labels = [path.parent.name for path in paths]
    labels[4] = "class02"
    return model.adapt(paths, labels)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    of_pictures(folder).save(folder / "mine.task")
    return folder


@pytest.fixture
def learners_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of learners without a name in the catalog are loaded with the learner they need."""
    read = load_task
    by_file = {"mine.task": NearestCentroid, "table.task": NearestCentroid}

    def load(path: Path) -> Adapted:
        return read(path, by_file.get(path.name, RidgeRegression)())

    monkeypatch.setattr("quickstudy.cli.explain.load_task", load)


def told(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    assert main(["explain", *map(str, words)]) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("learners_by_name")
def test_pictures_are_explained(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = place / "classes" / "class00" / "2.png"
    text = told(capsys, place / "mine.task", query, place / "classes" / "class01" / "3.png")
    first, *_ = text.splitlines()
    assert first.split("\t")[:2] == ["2.png", "class00"]
    assert "3.png\tclass01" in text
    assert "for it:" in text
    assert "most like it:  2 (class00) 1.00" in text
    assert text.count("is 4 (class02) labelled right?") == 1
    assert "class01 is more likely" in text


@pytest.mark.usefixtures("learners_by_name")
def test_json_and_pictures_of_several(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries = [place / "classes" / "class00" / "2.png", place / "classes" / "class01" / "3.png"]
    words = [*queries, "--json", "true", "--counterfactual", "true", "--pictures", place / "why"]
    found = json.loads(told(capsys, place / "mine.task", *words))
    assert [f["input"] for f in found] == ["2.png", "3.png"]
    assert [f["answer"] for f in found] == ["class00", "class01"]
    assert found[0]["suspicious"][0]["id"] == 4
    names = {"influence", "nearest", "suspicious"}
    for folder in ("1 2", "2 3"):
        files = {path.name for path in (place / "why" / folder).iterdir()}
        assert files == {f"{name}.{end}" for name in names for end in ("svg", "json")}
    drawn = json.loads((place / "why" / "1 2" / "influence.json").read_text())
    assert drawn["influence"] == found[0]["influence"]


@pytest.mark.usefixtures("learners_by_name")
def test_another_label_is_explained(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    query = place / "classes" / "class00" / "2.png"
    text = told(capsys, place / "mine.task", query, "--target", "class01")
    assert "explained:     class01, 0." in text
    assert main(["explain", str(place / "mine.task"), str(query), "--target", "class9"]) == 2
    assert "one of class00, class01, class02; received 'class9'" in capsys.readouterr().err


@pytest.mark.usefixtures("learners_by_name")
def test_rows_of_a_table_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("captum")
    clf = Model(NearestCentroid(), (3,), TABLE).adapt(rows(), ["few"] * 4 + ["many"] * 4)
    clf.save(tmp_path / "table.task")
    (tmp_path / "rows.csv").write_text("visits,plan\n3,basic\n7,plus\n")
    words = (tmp_path / "table.task", tmp_path / "rows.csv", "--attribution", "occlusion")
    found = json.loads(told(capsys, *words, "--json", "true", "--pictures", tmp_path / "why"))
    assert [(f["input"], f["answer"]) for f in found] == [("row 1", "few"), ("row 2", "many")]
    drawn = json.loads((tmp_path / "why" / "1 row 1" / "attribution.json").read_text())
    assert drawn["columns"] == ["visits", "plan: basic", "plan: plus"]
    assert abs(drawn["attribution"]["values"][0]) > abs(drawn["attribution"]["values"][1])


@pytest.mark.usefixtures("learners_by_name")
def test_values_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    targets = [(2.0 * row["visits"] + 30 * (i == 3), 0.0) for i, row in enumerate(rows())]
    model = Model(RidgeRegression(), (3,), TABLE).adapt(rows(), targets)
    model.save(tmp_path / "values.task")
    (tmp_path / "rows.csv").write_text("visits,plan\n3,basic\n")
    text = told(capsys, tmp_path / "values.task", tmp_path / "rows.csv")
    assert text.startswith("rows.csv\t")
    assert "raise it:      3 (34, 0) +" in text
    assert "labelled right" not in text
    again = told(capsys, tmp_path / "values.task", tmp_path / "rows.csv", "--target", "1")
    assert again != text
    assert model.suspicious()[0].id == 3
    assert model.explain(rows()[0], target=1).target == 1


def test_alone_in_a_class_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """By a learner with a name, from its file alone."""
    source = sinusoid()
    learner = maml(source)
    quick(source, learner, None)
    Model(learner, (1,)).adapt([[1.0]], [0.5]).save(tmp_path / "one.task")
    (tmp_path / "rows.csv").write_text("x\n2\n")
    clf = load_task(tmp_path / "one.task")
    assert clf.explain([2.0]).influence == [None]
    assert clf.suspicious() == []
    assert clf.suspicious(every=True) == [(0, None, None, None)]


def test_an_adapted_model_explains_in_labels(tmp_path: Path) -> None:
    clf = of_pictures(tmp_path)
    query = tmp_path / "classes" / "class01" / "1.png"
    found = clf.explain(query)
    assert found.answer == clf.predict(query) == "class01"
    assert found.labels == clf.labels
    assert found.classes == clf.classes
    np.testing.assert_allclose(
        found.probabilities or [], clf.predict_proba(query), rtol=1e-5, atol=1e-7
    )
    # Of adaptations that are asked about another number of queries.
    assert [each.id for each in found.suspicious] == [each.id for each in clf.suspicious()]
    likely = [each.probability for each in clf.suspicious()]
    assert [each.probability for each in found.suspicious] == pytest.approx(likely, rel=1e-5)
    assert (clf.suspicious()[0].id, clf.suspicious()[0].answer) == (4, "class01")
    best = int(np.argmax([value if value is not None else -np.inf for value in found.influence]))
    p = clf.classes.index("class01")
    fell = np.log(clf.predict_proba(query)[p]) - np.log(clf.without(best).predict_proba(query)[p])
    assert found.influence[best] == pytest.approx(float(fell), rel=1e-4)


def test_a_counterfactual_in_labels() -> None:
    clf = Model(NearestCentroid(), (1,)).adapt([[0.0], [4.0], [5.0], [90.0]], list("aabb"))
    found = clf.explain([4.6], counterfactual=True)
    assert (found.answer, found.counterfactual) == ("a", ([3], "b"))
    assert clf.without(3).predict([4.6]) == "b"
    assert clf.explain([4.6]).counterfactual is None


def test_an_explanation_is_calibrated_as_the_prediction_is() -> None:
    X = np.array([[0.0], [2.0], [5.0], [9.0]], dtype=np.float32)
    for temperature in (1.0, 3.0):
        clf = Model(NearestCentroid(), (1,), temperature=temperature).adapt(X, list("aabb"))
        found = clf.explain([3.0])
        np.testing.assert_allclose(
            found.probabilities or [], clf.predict_proba([3.0]), rtol=1e-5, atol=1e-7
        )
        by_hand = np.log(clf.predict_proba([3.0])[0])
        by_hand -= np.log(clf.without(1).predict_proba([3.0])[0])
        assert found.influence[1] == pytest.approx(float(by_hand), rel=1e-4)
        own = clf.without(1).predict_proba(X[1])[0]
        found_own = next(s for s in clf.suspicious(every=True) if s.id == 1).probability
        assert found_own == pytest.approx(own, rel=1e-5)


def test_one_query_and_a_known_label() -> None:
    clf = Model(NearestCentroid(), (1,)).adapt([[0.0], [2.0], [5.0]], ["a", "a", "b"])
    with pytest.raises(UserError, match="one query is explained at a time; received 2"):
        clf.explain([[0.0], [1.0]])
    with pytest.raises(UserError, match="one of a, b; received 'c'"):
        clf.explain([0.0], target="c")
    assert clf.explain([[1.0]], target="b").target == "b"


def test_pictures_of_a_query_in_colour(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Model(NearestCentroid(), (3, 8, 8), Pictures(8, "RGB"))
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (8, 8, 3), dtype=np.uint8) for _ in range(4)]
    clf = model.adapt(pictures, list("aabb"))
    query = Image.fromarray(pictures[2])
    made = explained_in_figures(clf, query, clf.explain(query).to_json())
    assert [picture.name for picture in made] == ["influence", "nearest", "suspicious"]
    assert made[0].svg.count("<image") == 5
