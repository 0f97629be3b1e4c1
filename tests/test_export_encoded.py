"""A task behind a frozen encoder as ONNX: the head, and the encoder in a file of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_encoders
from PIL import Image
from torch import Tensor

from quickstudy.encoders import Encoder
from quickstudy.models.frozen import frozen

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

TEXTS = ["wake me at six", "set an alarm", "will it rain", "is it sunny today"]
LABELS = ["alarm", "alarm", "weather", "weather"]
QUERIES = ["alarm at noon please", "rain", "is it going to rain today, or is it sunny"]


class _AnyNumber(tiny_encoders.TinyTexts):
    """Takes any number for a word, as an exporter that compares makes them up."""

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return super().forward(ids % tiny_encoders.N_WORDS, mask)


def test_the_head_says_what_the_task_says_and_names_its_encoder(tmp_path: Path) -> None:
    encoder = tiny_encoders.tiny_texts()
    adapted = frozen(encoder).adapt(TEXTS, LABELS)
    adapted.export(tmp_path / "x.onnx", metadata_json=True)
    head = onnxruntime.InferenceSession(tmp_path / "x.onnx")
    about = head.get_modelmeta().custom_metadata_map
    how = json.loads(about["preprocessing"])
    assert how["kind"] == "encoded_texts"
    assert Encoder.from_json(how["encoder"]) == encoder
    assert json.loads((tmp_path / "x.onnx.json").read_text())["preprocessing"] == how
    features = adapted.model.inputs(QUERIES).x.numpy()
    _, probabilities = head.run(None, {"queries": features})
    np.testing.assert_allclose(probabilities, adapted.predict_proba(QUERIES), atol=1e-5)


def test_texts_go_through_the_exported_encoder_and_the_head(tmp_path: Path) -> None:
    from quickstudy.encoders.onnx_export import exported

    encoder = tiny_encoders.tiny_texts()
    adapted = frozen(encoder).adapt(TEXTS, LABELS)
    adapted.export(tmp_path / "head.onnx")
    (tmp_path / "encoder.onnx").write_bytes(exported(encoder, _AnyNumber()))
    network = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    head = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    named = json.loads(head.get_modelmeta().custom_metadata_map["preprocessing"])["encoder"]
    assert json.loads(network.get_modelmeta().custom_metadata_map["encoder"]) == named
    tokens = tiny_encoders.Words().encoded(QUERIES)
    feed = {"input_ids": tokens.ids, "attention_mask": tokens.mask.astype(np.int64)}
    (states,) = network.run(None, feed)
    weight = tokens.mask[:, :, None].astype(np.float32)
    features = (states * weight).sum(axis=1) / weight.sum(axis=1)
    if named["rule"]["normalise"]:
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    _, probabilities = head.run(None, {"queries": features})
    np.testing.assert_allclose(probabilities, adapted.predict_proba(QUERIES), atol=1e-4)


def test_pictures_go_through_the_exported_encoder_and_the_head(tmp_path: Path) -> None:
    from quickstudy.encoders.onnx_export import exported

    encoder = tiny_encoders.tiny_pictures()
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (6, 1, 1, 3)) + rng.integers(-20, 20, (6, 24, 16, 3))
    pictures = [Image.fromarray(each.clip(0, 255).astype(np.uint8)) for each in levels]
    adapted = frozen(encoder).adapt(pictures[:4], [0, 0, 1, 1])
    adapted.export(tmp_path / "head.onnx")
    (tmp_path / "encoder.onnx").write_bytes(exported(encoder, tiny_encoders.TinyPictures()))
    network = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")
    head = onnxruntime.InferenceSession(tmp_path / "head.onnx")
    rule = json.loads(head.get_modelmeta().custom_metadata_map["preprocessing"])["encoder"]["rule"]
    size = (rule["size"], rule["size"])
    assert rule["resize"] == "squash"
    small = [np.asarray(each.resize(size, Image.Resampling.BICUBIC)) for each in pictures[4:]]
    x = (np.stack(small) / 255 - rule["mean"]) / rule["std"]
    x = x.transpose(0, 3, 1, 2).astype(np.float32)
    (features,) = network.run(None, {"pictures": x})
    _, probabilities = head.run(None, {"queries": features})
    np.testing.assert_allclose(probabilities, adapted.predict_proba(pictures[4:]), atol=1e-4)
