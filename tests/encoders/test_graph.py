"""`onnx:PATH`: a graph with a JSON file beside it."""

from __future__ import annotations

import json

import numpy as np
import pytest

import quickstudy as qs
from quickstudy.encoders import Text, encoder, network, places
from quickstudy.errors import DataError, UserError
from quickstudy.inputs import EncodedPictures

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from folders import TOKENIZER, beside, graph

OF_PICTURES = {
    "takes": "pictures",
    "rule": {"size": 4, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
}
OF_TEXTS = {"takes": "texts", "rule": {"pooling": "mean", "normalise": False}}


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QUICKSTUDY_ENCODERS", str(tmp_path / "encoders"))
    monkeypatch.setattr(places, "_places", {})
    monkeypatch.setattr("quickstudy.encoders.registry._networks", {})


def tables() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.Generator(np.random.Philox(3))
    of_pictures = rng.normal(size=(48, 5))
    return of_pictures, np.random.Generator(np.random.Philox(3)).normal(size=(14, 6))


def test_a_graph_of_pictures_is_an_encoder(tmp_path):
    path = graph(tmp_path / "mine.onnx")
    beside(path, OF_PICTURES)
    mine = encoder(f"onnx:{path}")
    assert (mine.name, mine.n_features, mine.takes) == ("onnx:mine", 5, "pictures")
    x = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 4), dtype=np.uint8)
    expected = ((x / 255 - 0.5) / 0.25).reshape(3, 48) @ tables()[0]
    # It is ONNX Runtime that computes it, whatever backend is the usual one.
    kind = EncodedPictures(mine)
    assert kind.runtime == {"backend": "onnx"}
    np.testing.assert_allclose(kind.network.pictures(x), expected, rtol=1e-4, atol=1e-4)


def test_a_graph_of_token_states_is_pooled_and_takes_spans(tmp_path):
    path = graph(tmp_path / "mine.onnx", "states")
    beside(path, OF_TEXTS)
    mine = encoder(f"onnx:{path}")
    table = tables()[1]
    (features,) = network(mine, "onnx").texts([Text("my card")])
    np.testing.assert_allclose(features, table[[2, 6, 7, 3]].mean(axis=0), rtol=1e-5)
    (marked,) = network(mine.with_spans(1), "onnx").texts([Text("my card", ((3, 7),))])
    np.testing.assert_allclose(marked[:6], table[7] / np.linalg.norm(table[7]), rtol=1e-5)


def test_a_graph_of_one_vector_a_text_is_not_pooled(tmp_path):
    path = graph(tmp_path / "mine.onnx", "vectors")
    beside(path, OF_TEXTS)
    mine = encoder(f"onnx:{path}")
    (features,) = network(mine, "onnx").texts([Text("my card")])
    np.testing.assert_allclose(features, tables()[1][[2, 6, 7, 3]].max(axis=0), rtol=1e-5)
    with pytest.raises(UserError, match="gives one vector a text; received marked texts"):
        network(mine.with_spans(1), "onnx").texts([Text("my card", ((3, 7),))])


def test_its_weights_may_lie_beside_it_and_count(tmp_path):
    path = graph(tmp_path / "mine.onnx", external="mine.bin")
    beside(path, OF_PICTURES)
    first = encoder(f"onnx:{path}")
    x = np.full((1, 3, 4, 4), 200, dtype=np.uint8)
    expected = ((x / 255 - 0.5) / 0.25).reshape(1, 48) @ tables()[0]
    np.testing.assert_allclose(network(first, "onnx").pictures(x), expected, rtol=1e-4, atol=1e-4)
    content = bytearray((tmp_path / "mine.bin").read_bytes())
    content[0] ^= 1
    (tmp_path / "mine.bin").write_bytes(content)
    assert encoder(f"onnx:{path}").weights != first.weights


@pytest.mark.parametrize("place", ["../mine.bin", "/etc/hostname", "sub/mine.bin"])
def test_weights_elsewhere_are_refused(tmp_path, place):
    (tmp_path / "graphs").mkdir()
    path = graph(tmp_path / "graphs" / "mine.onnx", external=place)
    beside(path, OF_PICTURES)
    with pytest.raises(DataError) as error:
        encoder(f"onnx:{path}")
    assert f"must lie in its folder; received the file {place!r};" in str(error.value)


def test_a_link_to_weights_elsewhere_is_refused(tmp_path):
    path = graph(tmp_path / "mine.onnx", external="mine.bin")
    beside(path, OF_PICTURES)
    (tmp_path / "mine.bin").rename(tmp_path / "other.bin")
    (tmp_path / "mine.bin").symlink_to(tmp_path / "other.bin")
    with pytest.raises(DataError, match="must lie in its folder"):
        encoder(f"onnx:{path}")


@pytest.mark.parametrize(
    ("kind", "about", "words"),
    [
        ("pictures", OF_PICTURES | {"rule": {"size": 8, "mean": [0.5], "std": [0.5]}},
         r"must take one input tensor\(float\) \(n, 3, 8, 8\); received x tensor\(float\)"),
        ("states", OF_PICTURES, "must take one input"),
        ("pictures", OF_TEXTS, "must take input_ids, attention_mask"),
        ("double", OF_PICTURES, r"must take one input tensor\(float\)"),
        ("pictures", OF_PICTURES | {"n_features": 9}, "n_features of its JSON, 9; received a"),
        ("pictures", {"takes": "sounds", "rule": {}}, "must say how inputs are made"),
        ("pictures", {"takes": "pictures"}, "must say how inputs are made"),
        ("pictures", OF_PICTURES | {"rule": {"side": 4}}, "must say how inputs are made"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, kind, about, words):
    path = graph(tmp_path / "mine.onnx", kind)
    beside(path, about)
    with pytest.raises(UserError, match=words):
        encoder(f"onnx:{path}")


def test_a_broken_file_is_named(tmp_path):
    path = graph(tmp_path / "mine.onnx", "states")
    with pytest.raises(DataError, match=r"received no file .*mine\.json; put it there"):
        encoder(f"onnx:{path}")
    beside(path, OF_TEXTS)
    mine = encoder(f"onnx:{path}")
    (tmp_path / "tokenizer.json").write_text(json.dumps(TOKENIZER)[:-9])
    with pytest.raises(DataError, match=r"expected the one with weights .* and tokenizer"):
        network(mine, "onnx")
    with pytest.raises(DataError, match=r"tokenizer\.json cannot be read"):
        network(encoder(f"onnx:{path}"), "onnx")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="must be an ONNX graph"):
        encoder(f"onnx:{path}")
    path.with_suffix(".json").write_text("{")
    with pytest.raises(DataError, match="must be JSON"):
        encoder(f"onnx:{path}")


def test_a_task_finds_it_again_and_only_it(tmp_path, monkeypatch):
    from torch import nn

    path = graph(tmp_path / "mine.onnx")
    beside(path, OF_PICTURES)
    mine = encoder(f"onnx:{path}")
    learner = qs.learners.PrototypicalNetwork(nn.Identity())
    X = np.random.default_rng(0).integers(0, 256, (4, 9, 9, 3), dtype=np.uint8)
    model = qs.Model(learner, (5,), EncodedPictures(mine))
    model.adapt(X, ["a", "b", "c", "d"]).save(tmp_path / "mine.task")
    again = qs.load_task(tmp_path / "mine.task", learner=learner)
    assert again.model.preprocess.encoder.place is None
    # As in a process of its own, which knows the place from the cache.
    monkeypatch.setattr(places, "_places", {})
    monkeypatch.setattr("quickstudy.encoders.registry._networks", {})
    assert again.predict(X[2]) == "c"
    # Elsewhere it is looked for by name.
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "another"))
    monkeypatch.setattr("quickstudy.encoders.registry._networks", {})
    with pytest.raises(DataError, match=r"encoder onnx:mine: expected .* received nothing at"):
        again.predict(X[2])
    (tmp_path / "encoders").mkdir()
    path.rename(tmp_path / "encoders" / "mine.onnx")
    assert again.predict(X[2]) == "c"
    # Others of the same name are refused, by both digests.
    monkeypatch.setattr("quickstudy.encoders.registry._networks", {})
    (tmp_path / "encoders" / "mine.onnx").write_bytes(
        graph(tmp_path / "x.onnx", external="mine.bin").read_bytes()
    )
    (tmp_path / "mine.bin").rename(tmp_path / "encoders" / "mine.bin")
    with pytest.raises(DataError) as error:
        again.predict(X[2])
    assert mine.weights[:16] in str(error.value)
    assert "which has weights" in str(error.value)
