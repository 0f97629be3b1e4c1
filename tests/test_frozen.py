"""Models without meta-training: a support of any kind of input is enough."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_iris
from tiny_encoders import tiny_pictures, tiny_texts

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.errors import UserError
from quickstudy.inputs import EncodedPictures
from quickstudy.models.frozen import frozen, linear_tables, write_run

TEXTS = ["where is my card", "card is late", "my card", "reset the pin", "new pin", "forgot a pin"]
LABELS = ["card"] * 3 + ["pin"] * 3


def picture(hue, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 60, (20, 30, 3)) + np.array([150, 0, 0] if hue else [0, 0, 150])
    return Image.fromarray(pixels.astype(np.uint8))


def test_texts_are_learned_at_once():
    clf = frozen(tiny_texts()).adapt(TEXTS, LABELS)
    assert clf.predict(["a card", "my pin"]).tolist() == ["card", "pin"]
    assert clf.predict("card") == "card"
    more = clf.update(["hello there", "hello you"], ["greeting"] * 2)
    assert more.predict("hello") == "greeting"
    assert [text.text for text in more.raw] == [*TEXTS, "hello there", "hello you"]
    assert [text.text for text in more.without([0, 6]).raw] == [*TEXTS[1:], "hello you"]


def test_pictures_of_any_form_are_learned_at_once(tmp_path):
    pictures = [picture(i % 2, i) for i in range(6)]
    pictures[0].save(tmp_path / "0.png")
    X = [tmp_path / "0.png", *pictures[1:4], *map(np.asarray, pictures[4:])]
    clf = frozen(tiny_pictures()).adapt(X, [0, 1] * 3)
    assert clf.predict([picture(0, 9), picture(1, 10)]).tolist() == [0, 1]
    assert clf.raw[0] == tmp_path / "0.png"
    assert clf.raw[1] is pictures[1]  # no copy


def test_rows_are_learned_at_once():
    X, y = load_iris(return_X_y=True)
    shuffled = np.random.default_rng(0).permutation(150)
    support, query = shuffled[:15], shuffled[15:]
    clf = linear_tables().adapt(X[support], y[support])
    assert (clf.predict(X[query]) == y[query]).mean() > 0.8
    rows = [["red", 1.0], ["blue", 2.0], ["red", None]]
    assert linear_tables().adapt(rows, ["a", "b", "a"]).predict([["red", 1.5]]).tolist() == ["a"]


def test_what_is_saved_predicts_the_same(tmp_path):
    X, y = load_iris(return_X_y=True)
    for model, support, labels in (
        (frozen(tiny_texts()), TEXTS, LABELS),
        (linear_tables(), X[::10], y[::10]),
    ):
        clf = model.adapt(support, labels)
        clf.save(tmp_path / "mine.task")
        again = qs.load_task(tmp_path / "mine.task")
        assert again.predict_proba(support).tolist() == clf.predict_proba(support).tolist()


def test_an_estimator_takes_an_encoder():
    tiny_texts()
    clf = qs.FewShotClassifier(encoder="python:tiny-texts").fit(np.array(TEXTS), LABELS)
    assert clf.predict(["a card", "my pin"]).tolist() == ["card", "pin"]
    assert clf.predict_proba(TEXTS).shape == (6, 2)
    with pytest.raises(UserError, match="received a model and the encoder"):
        qs.FewShotClassifier(frozen(tiny_texts()), encoder="sentences").fit(TEXTS, LABELS)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        qs.FewShotClassifier(encoder="python:tiny-texts").fit(TEXTS, LABELS[:-1])


def test_adapt_needs_no_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    X, y = load_iris(return_X_y=True)
    with open("rows.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["a", "b", "c", "d", "kind"],
                *([*map(float, x), f"k{k}"] for x, k in zip(X, y, strict=True)),
            ]
        )
    assert main(["adapt", "--support", "rows.csv", "--target", "kind", "--out", "mine.task"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("encoder: tables, as no column of rows.csv holds sentences;")
    assert main(["predict", "mine.task", "rows.csv"]) == 0
    assert capsys.readouterr().out.count("\tk1\t") > 40
    for name in ("card", "pin"):
        (tmp_path / "texts" / name).mkdir(parents=True)
    for place, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True)):
        (tmp_path / "texts" / label / f"{place}.txt").write_text(text)
    tiny_texts()
    words = ["--encoder", "python:tiny-texts", "--support", "texts", "--out", "texts.task"]
    assert main(["adapt", *words]) == 0
    assert "classes: card, pin" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "--encoder", "photos"], "received the run run and an encoder"),
        (["--encoder", "fotos"], "did you mean photos?"),
        (["--encoder", "python:tiny-pictures"], r"takes pictures.*received the file .*rows.csv"),
    ],
)
def test_what_does_not_fit_is_told(words, message, tmp_path, capsys):
    tiny_pictures()
    (tmp_path / "rows.csv").write_text("text,label\nso it is,a\n")
    support = ["--support", str(tmp_path / "rows.csv"), "--out", str(tmp_path / "x.task")]
    assert main(["adapt", *words, *support]) == 2
    error = capsys.readouterr().err

    assert re.search(message, error), error


def test_every_name_makes_a_model():
    modality = {"photos": "pictures", "sentences": "texts"}
    modality |= dict.fromkeys(("tables", "tables-linear", "tables-numbers"), "rows")
    for name, takes in modality.items():
        assert qs.model(name).preprocess.modality == takes
        assert qs.load(name).fingerprint == qs.model(name).fingerprint
    assert qs.model("minilm-l6").fingerprint == qs.model("sentences").fingerprint
    with pytest.raises(UserError, match=r"unknown model: .* received 'photo'; did you mean photos"):
        qs.model("photo")


def test_a_model_without_meta_training_can_be_a_run_directory(tmp_path):
    for name in ("photos", "tables-linear"):
        model = qs.model(name)
        write_run(model, tmp_path / name)
        again = qs.load(tmp_path / name)
        assert (again.fingerprint, again.preprocess) == (model.fingerprint, model.preprocess)


def test_the_encoder_of_drawings_is_the_network_of_the_model_of_drawings():
    rng = np.random.default_rng(0)
    drawings = [255 * (rng.random((4, 4)) > 0.6).repeat(6, 0).repeat(6, 1) for _ in range(3)]
    drawings = [drawing.astype(np.uint8) for drawing in drawings]
    model = qs.model("drawings")
    expected = model.learner.net(model.inputs(drawings).x).numpy()
    encoded, _ = EncodedPictures(qs.encoder("drawings")).encode(drawings, ())
    np.testing.assert_allclose(encoded, expected, atol=1e-5)


def test_a_model_is_measured_on_tasks_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    for hue in range(10):
        folder = tmp_path / "classes" / f"c{hue}"
        folder.mkdir(parents=True)
        for place in range(4):
            rng = np.random.default_rng(10 * hue + place)
            strokes = 255 * (np.eye(6) + (rng.random((6, 6)) > 0.8) > 0).repeat(4, 0).repeat(4, 1)
            Image.fromarray(strokes.astype(np.uint8)).save(folder / f"{place}.png")
    sizes = ["--n-way", "2", "--n-query", "2", "--n-tasks", "5", "--curves", "false"]
    place = ["--tasks.name", "folder", "--tasks.path", str(tmp_path / "classes")]
    assert main(["evaluate", "drawings", *place, *sizes, "--baselines", "false"]) == 0
    assert "/test, 2-way 1-shot, 5 tasks" in capsys.readouterr().out
    assert main(["evaluate", "photos", *sizes]) == 2
    assert "name some, as in --tasks.name folder" in capsys.readouterr().err
    assert main(["evaluate", "drawings", "--tasks.name", "sinusoid", "--n-tasks", "5"]) == 2
    assert (
        "must have the targets of the run, classification; received regression"
        in capsys.readouterr().err
    )
