"""Sites from the command line and in Python: training, measuring, and a new site of one's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from site_folders import site_folder, site_tasks

import quickstudy as qs
from quickstudy import UserError
from quickstudy.cli.main import main
from quickstudy.inputs import Pictures
from quickstudy.inputs.constancy import grey_world
from quickstudy.models.saved import load_pooled
from quickstudy.nets.grey_world import GreyWorld
from quickstudy.task import Examples

TRAIN = (
    *("train", "--tasks", "sites", "--tasks.path", "cells", "--tasks.size", 16, "--net.hidden", 8),
    *("--n-query", 20, "--steps", 2, "--meta-batch", 1, "--valid-tasks", 2),
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sites, a new site, and runs of a learner with labels and one without."""
    folder = tmp_path_factory.mktemp("sites")
    site_folder(folder / "cells", 4)
    site_folder(folder / "seven", 7)
    shutil.move(folder / "seven/site6", folder / "new")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in (
            ("--learner", "PrototypicalNetwork", "--net.norm", "support", "--pooled", 1,
             "--out", "labelled"),
            ("--learner", "ARMBN", "--tasks.constancy", "grey-world", "--out", "unlabelled"),
        ):  # fmt: skip
            assert main([*map(str, (*TRAIN, *words))]) == 0
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


def test_a_run_knows_its_classes_and_its_caution(place: Path) -> None:
    model = qs.load("unlabelled")
    assert model.classes == ("disc", "ring", "stripes")
    assert model.caution is not None
    assert "not a medical device" in model.caution
    assert isinstance(model.preprocess, Pictures)
    assert model.preprocess.constancy == "grey-world"
    record = json.loads(Path("labelled/run.json").read_text())
    assert record["data"]["unit"] == "site"
    assert "constancy" not in record["preprocess"]


def test_an_evaluation_says_the_worst_site_and_draws_the_labels(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ("evaluate", "labelled", "--n-tasks", 3, "--curves", "false", "--n-query", 10)
    out = said(capsys, *words, "--json", "out.json", "--pictures", "figures")
    assert "balanced accuracy of each site" in out
    assert "sensitivity" in out
    assert "worst site: site" in out
    assert "not a medical device" in out
    result = json.loads(Path("out.json").read_text())
    assert result["details"]["data"]["worst_site"] in out
    assert {"Pooled", "Pooled, grey-world"} <= result["baselines"].keys()
    assert "Pooled, grey-world" in out
    drawn = json.loads(Path("figures/by_labels.json").read_text())
    assert [row["name"] for row in drawn["rows"]] == ["PrototypicalNetwork", "nearest centroid"]
    assert drawn["rows"][0]["numbers"] == [1, 2, 5, 10, 20]
    assert 0 <= drawn["unadapted"] <= 1


def test_the_pooled_model_with_grey_world_does_not_see_the_light() -> None:
    plain, constant = load_pooled("labelled"), load_pooled("labelled", "grey-world")
    assert plain is not None
    assert constant is not None
    x = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.5
    x = GreyWorld()(x)  # All channels have one mean, and keep their sum.
    warm = x * torch.tensor([1.3, 1.0, 0.7]).view(3, 1, 1)
    support = Examples(x[:3], torch.eye(3), torch.ones(3))
    (here, there), (one, other) = (
        [of.predict(of.adapt(support), each) for each in (x, warm)] for of in (plain, constant)
    )
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)
    assert (here - there).abs().max() > 0.1
    assert load_pooled("unlabelled", "grey-world") is None


def test_grey_world_of_numbers_is_that_of_pictures() -> None:
    picture = np.random.default_rng(0).integers(20, 180, (8, 8, 3)).astype(np.uint8)
    x = torch.from_numpy(picture).permute(2, 0, 1) / 255
    expected = torch.from_numpy(np.array(grey_world(Image.fromarray(picture))).copy())
    of_layer = 255 * GreyWorld()(torch.stack([x, x * torch.tensor([1.0, 0, 1]).view(3, 1, 1)]))
    assert (of_layer[0] - expected.permute(2, 0, 1)).abs().max() <= 0.51
    assert of_layer[1, 1].max() == 0, "a picture without green is left as it is"
    assert of_layer.isfinite().all()


def test_only_pictures_in_colour_have_a_pooled_model_with_grey_world() -> None:
    assert site_tasks(Path("cells")).pooled_variants == ("grey-world",)
    assert site_tasks(Path("cells"), mode="L").pooled_variants == ()
    assert site_tasks(Path("cells"), constancy="grey-world").pooled_variants == ()


def test_a_new_site_with_labels(capsys: pytest.CaptureFixture[str]) -> None:
    out = said(capsys, "adapt", "labelled", "--support", "new", "--out", "new.task")
    assert "classes: disc, ring, stripes" in out
    assert "not a medical device" in out
    out = said(capsys, "predict", "new.task", "new/ring/0000.png", "--json")
    assert set(json.loads(out)[0]["probabilities"]) == {"disc", "ring", "stripes"}
    assert "most like it" in said(capsys, "explain", "new.task", "new/ring/0000.png")
    shutil.make_archive("new", "zip", "new")
    again = said(capsys, "adapt", "labelled", "--support", "new.zip", "--out", "zip.task")
    assert "classes: disc, ring, stripes" in again
    one, other = (qs.load_task(f"{name}.task").support_x for name in ("new", "zip"))
    assert one.equal(other)


def test_a_new_site_without_labels(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("adapt", "unlabelled", "--support", "new", "--unlabelled", "--out", "bare.task")
    out = said(capsys, *words)
    assert "adapted to 30 pictures without labels" in out
    assert (
        "the statistics of the norms changed, nothing else: that may help, and it may harm" in out
    )
    assert "not a medical device" in out
    model, files = qs.load("unlabelled"), sorted(Path("new").rglob("*.png"))
    adapted = model.adapt(files)
    loaded = qs.load_task("bare.task")
    np.testing.assert_allclose(loaded.predict_proba(files), adapted.predict_proba(files))
    labels = [file.parent.name for file in files]
    np.testing.assert_allclose(
        model.adapt(files, labels).predict_proba(files), adapted.predict_proba(files), atol=1e-6
    )
    out = said(capsys, "explain", "bare.task", "new/ring/0000.png", code=2)
    assert "explain: needs labelled examples; received a model that adapted to 30 without" in out


def test_what_cannot_be_is_refused_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    without = ("--support", "new", "--unlabelled", "--out", "x.task")
    out = said(capsys, "adapt", "labelled", *without, code=2)
    assert "PrototypicalNetwork learns from labels; received pictures without labels" in out
    out = said(capsys, "adapt", "--encoder", "tables", *without, code=2)
    assert "--unlabelled is for pictures; received a model of rows" in out
    Path("other/blob").mkdir(parents=True, exist_ok=True)
    Path("other/disc").mkdir(exist_ok=True)
    for name in ("blob", "disc"):
        shutil.copy("new/disc/0000.png", f"other/{name}/0.png")
    out = said(capsys, "adapt", "unlabelled", "--support", "other", "--out", "x.task", code=2)
    assert "received 'blob'" in out
    assert "classes of meta-training" in out
    out = said(capsys, "adapt", "labelled", "--support", "new", "--out", "x.task",
               "--encoder.constancy", "grey-world", code=2)  # fmt: skip
    assert "a run decides what encodes its inputs" in out
    assert not Path("x.task").exists()


def test_the_estimator_takes_a_run_of_sites() -> None:
    pictures = np.stack([np.asarray(pixels(file)) for file in sorted(Path("new").rglob("*.png"))])
    labels = [file.parent.name for file in sorted(Path("new").rglob("*.png"))]
    classifier = qs.FewShotClassifier("unlabelled").fit(pictures, labels)
    assert classifier.classes_.tolist() == ["disc", "ring", "stripes"]
    assert classifier.predict(pictures[:4]).tolist() == [
        *qs.load("unlabelled").adapt([*pictures], labels).predict([*pictures[:4]])
    ]


def pixels(file: Path) -> Any:
    return Image.open(file)


def test_made_up_sites_are_written_by_a_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = said(capsys, "data", "sites", "--make", tmp_path / "made")
    assert f"quickstudy train --tasks sites --tasks.path {tmp_path / 'made'}" in out
    out = said(capsys, "data", "sites", tmp_path / "made")
    assert json.loads(out)["sites"] == {"train": 4, "valid": 1, "test": 1}


def test_colour_constancy_is_a_choice_of_pictures_in_colour() -> None:
    picture = np.random.default_rng(0).integers(20, 200, (9, 9, 3)).astype(np.uint8)
    warm = (picture * [1.2, 1.0, 0.8]).astype(np.uint8)
    plain, constant = Pictures(8, "RGB"), Pictures(8, "RGB", constancy="grey-world")
    apart = np.abs(plain(picture).astype(int) - plain(warm)).max()
    assert apart > 30
    assert np.abs(constant(picture).astype(int) - constant(warm)).max() <= 6
    means = constant(picture).mean(axis=(1, 2))
    assert np.ptp(means) < 3
    assert Pictures.from_json(constant.to_json()) == constant
    black = picture.copy()
    black[..., 1] = 0
    assert (constant(black) == plain(black)).all()
    for options, words in (
        ({"constancy": "grey-world"}, "in colour; received constancy='grey-world' with grey ones"),
        ({"mode": "RGB", "constancy": "white"}, "must be grey-world; received 'white'"),
    ):
        with pytest.raises(UserError, match=words):
            Pictures(8, **options)  # type: ignore[arg-type]
