"""`quickstudy encoders`, and the choice of a backend on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_encoders import tiny_pictures, tiny_texts

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.encoders import NAMED, backend, encoder, network, onnx_export, places
from quickstudy.encoders.named import package_folder
from quickstudy.files.rundir import tensors_from_bytes


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_ENCODERS", str(tmp_path / "encoders"))
    monkeypatch.setattr(places, "_places", {})
    backend._say_once.cache_clear()


def test_encoders_are_listed_with_how_to_get_them(capsys, monkeypatch):
    from quickstudy.encoders import listing

    here = {"photos": None, "sentences": Path("/packages/minilm")}
    monkeypatch.setattr(listing, "package_folder", lambda each: here[each.encoder.name])
    monkeypatch.setattr(listing, "_lacks_tokenizers", lambda each: False)
    monkeypatch.setattr(listing, "NAMED", {name: NAMED[name] for name in here})
    assert main(["encoders"]) == 0
    out = capsys.readouterr().out
    assert "photographs of things" in out
    assert NAMED["photos"].pip in out
    assert NAMED["sentences"].pip not in out
    assert main(["encoders", "list", "--json"]) == 0
    photos, sentences = json.loads(capsys.readouterr().out)["encoders"]
    assert (photos["present"], photos["place"]) == (False, None)
    assert (sentences["present"], sentences["place"]) == (True, "/packages/minilm")
    assert photos["weights"] == NAMED["photos"].encoder.weights
    assert sentences["licence"] == "Apache-2.0"


def test_an_encoder_is_exported_and_comes_back_as_a_graph(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    mine = tiny_pictures()
    assert main(["encoders", "export", mine.name, str(tmp_path / "mine.onnx")]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / name) for name in ("mine.json", "mine.onnx")
    ]
    graph = encoder(f"onnx:{tmp_path / 'mine.onnx'}")
    assert (graph.rule, graph.n_features) == (mine.rule, mine.n_features)
    x = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 8), dtype=np.uint8)
    expected = network(mine).pictures(x)
    np.testing.assert_allclose(network(graph, "onnx").pictures(x), expected, atol=1e-5)
    import onnx

    content = onnx.load(tmp_path / "mine.onnx")
    (about,) = [each.value for each in content.metadata_props if each.key == onnx_export.METADATA]
    assert json.loads(about) == mine.to_json()
    assert str(Path(qs.__file__).parent).encode() not in (tmp_path / "mine.onnx").read_bytes()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["export", "photos"], "needs an encoder and a file; received photos; write"),
        (
            ["get"],
            "the name of one encoder; received none; write quickstudy encoders get hf:",
        ),
        (["get", "hf:org/tiny@main"], "with all 40 digits of the commit"),
        (["export", "python:tiny-pictures", "mine.pt"], "is written to a file NAME.onnx"),
        (["export", "python:tiny-texts", "mine.onnx"], "whose own is in no file"),
        (["export", "phoots", "mine.onnx"], "did you mean photos?"),
    ],
)
def test_what_cannot_be_done_is_told(words, message, capsys, tmp_path, monkeypatch):
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    tiny_pictures(), tiny_texts()
    assert main(["encoders", *words]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("mine.*"))


def test_the_backend_of_the_command_line_is_recorded_and_can_be_another(tmp_path, capsys, caplog):
    if package_folder(NAMED["photos"]) is None:
        pytest.skip("the weights of photos are not installed")
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    for label in ("red", "blue"):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for i in range(2):
            picture = rng.integers(0, 90, (40, 40, 3), dtype=np.uint8)
            picture[..., 0 if label == "red" else 2] += 160
            Image.fromarray(picture).save(tmp_path / "mine" / label / f"{i}.png")
    task, query = tmp_path / "mine.task", str(tmp_path / "mine" / "red" / "0.png")
    words = ["--encoder", "photos", "--support", str(tmp_path / "mine"), "--out", str(task)]
    assert main(["adapt", *words, "--encoder.backend", "onnx"]) == 0
    assert tensors_from_bytes(task.read_bytes(), "mine")[1]["runtime"] == {"backend": "onnx"}
    capsys.readouterr()
    assert main(["predict", str(task), query]) == 0
    by_onnx = capsys.readouterr().out
    assert caplog.messages == []
    assert main(["predict", str(task), query, "--encoder.backend", "torch"]) == 0
    assert capsys.readouterr().out == by_onnx
    (message,) = caplog.messages
    assert message.startswith("features are computed by torch here, and were by onnx")
    assert backend.chosen_backend() is None
    assert main(["predict", str(task), query, "--encoder.backend", "tensorrt"]) == 2
