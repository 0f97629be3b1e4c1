"""Encoders computed by ONNX Runtime, and which backend a model is loaded with."""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.encoders import (
    NAMED,
    Text,
    backend,
    encoder,
    named,
    network,
    onnx_export,
    registry,
    torch_networks,
    use_backend,
)
from quickstudy.encoders.kept import kept_file
from quickstudy.encoders.named import package_folder
from quickstudy.errors import DataError, UserError
from quickstudy.files.rundir import tensors_from_bytes
from quickstudy.inputs import EncodedPictures, EncodedTexts, kind_from_json

TEXTS = [
    Text("Where is my parcel?"),
    Text("I want my money back, as the lamp arrived broken and nobody answers the telephone."),
    Text("Yes"),
]


def needs(name: str) -> None:
    if package_folder(NAMED[name]) is None:
        pytest.skip(f"the weights of {name} are not installed: {NAMED[name].pip}")


@pytest.fixture
def said(caplog):
    backend._say_once.cache_clear()
    with caplog.at_level(logging.WARNING, logger="quickstudy"):
        yield lambda: [record.getMessage() for record in caplog.records]


def test_the_graph_of_photographs_says_what_torch_says():
    needs("photos")
    pytest.importorskip("onnxruntime")
    # More than go through at a time, so that the last part is a smaller one.
    x = np.random.default_rng(0).integers(0, 256, (18, 3, 224, 224), dtype=np.uint8)
    by_torch, by_onnx = (network(encoder("photos"), b).pictures(x) for b in backend.BACKENDS)
    assert 0 < abs(by_torch - by_onnx).max() < 1e-5 * abs(by_torch).max()


def test_the_graph_of_sentences_says_what_torch_says():
    needs("sentences")
    pytest.importorskip("onnxruntime")
    by_torch, by_onnx = (network(encoder("sentences"), b).texts(TEXTS) for b in backend.BACKENDS)
    assert 0 < abs(by_torch - by_onnx).max() < 1e-5 * abs(by_torch).max()
    spans = [Text(text.text, ((0, 2),)) for text in TEXTS]
    marked = encoder("sentences").with_spans(1)
    by_torch, by_onnx = (network(marked, b).texts(spans) for b in backend.BACKENDS)
    np.testing.assert_allclose(by_torch, by_onnx, atol=1e-5)


def test_a_graph_that_says_something_else_is_refused(monkeypatch):
    pytest.importorskip("onnxruntime")

    class Drawn(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, :4] + torch.rand(())

    about = replace(encoder("photos"), rule=encoder("photos").rule._replace(size=8), n_features=4)
    with pytest.raises(qs.QuickstudyError, match="must say what PyTorch says"):
        onnx_export.exported(about, Drawn())


def test_a_file_of_the_cache_is_made_once_and_again_where_it_is_damaged(monkeypatch, tmp_path):
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path))
    made = []

    def make() -> bytes:
        made.append(1)
        return b"content"

    file = kept_file("it.bin", make)
    assert kept_file("it.bin", make) == file
    assert len(made) == 1
    file.write_bytes(b"contenT")
    assert kept_file("it.bin", make).read_bytes() == b"content"
    (tmp_path / "encoders" / "it.bin.sha256").write_text("0" * 64)
    kept_file("it.bin", make)
    assert len(made) == 3


def test_a_full_cache_is_told_with_its_place(monkeypatch, tmp_path):
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path))

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("quickstudy.encoders.kept.write_atomically", full)
    with pytest.raises(DataError) as error:
        kept_file("it.bin", lambda: bytes(3_000_000))
    for words in (str(tmp_path), "3 MB", "No space left", "QUICKSTUDY_CACHE"):
        assert words in str(error.value)


def test_missing_packages_are_named_with_the_pip_line(monkeypatch):
    real = backend.importlib.util.find_spec
    absent = lambda name: None if name == "onnxruntime" else real(name)  # noqa: E731
    monkeypatch.setattr(backend.importlib.util, "find_spec", absent)
    monkeypatch.setattr(registry, "_networks", {})
    with pytest.raises(UserError) as error:
        network(encoder("photos"), "onnx")
    assert "without onnxruntime; pip install 'quickstudy[onnx]'" in str(error.value)


@pytest.fixture
def saved(tmp_path):
    """A task made with ONNX Runtime of features that are given, so that nothing is computed."""
    kind = EncodedPictures(encoder("photos"), backend="onnx")
    learner = qs.learners.PrototypicalNetwork(nn.Identity())
    x = torch.randn(4, 1280, generator=torch.Generator().manual_seed(0))
    adapted = qs.Model(learner, (1280,), kind).adapt(x, ["a", "a", "b", "b"])
    adapted.save(tmp_path / "mine.task")
    return tmp_path / "mine.task", learner, adapted


def test_a_task_file_says_its_backend_outside_of_the_fingerprint(saved, said):
    file, learner, adapted = saved
    _, header = tensors_from_bytes(file.read_bytes(), "mine")
    assert header["runtime"] == {"backend": "onnx"}
    assert "onnx" not in json.dumps(header["preprocess"])
    again = qs.load_task(file, learner=learner)
    assert again.model.preprocess.backend == "onnx"
    assert again.model.fingerprint == adapted.model.fingerprint
    assert said() == []


def test_the_choice_of_the_process_comes_before_the_record_and_is_said(saved, said):
    file, learner, _ = saved
    with use_backend("torch"):
        again = qs.load_task(file, learner=learner)
        qs.load_task(file, learner=learner)
    assert again.model.preprocess.backend == "torch"
    (message,) = said()
    assert message.startswith("features are computed by torch here, and were by onnx")


def test_where_the_recorded_backend_is_missing_torch_serves_and_it_is_said(
    saved, said, monkeypatch
):
    file, learner, _ = saved
    monkeypatch.setattr(backend, "missing_packages", lambda name: ["onnxruntime"])
    assert qs.load_task(file, learner=learner).model.preprocess.backend == "torch"
    (message,) = said()
    assert "which needs onnxruntime (pip install 'quickstudy[onnx]')" in message


def test_a_run_says_its_backend(tmp_path):
    kind = EncodedTexts(encoder("sentences"), backend="onnx")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 384)).astype(np.float32)
    tasks = qs.tasks.arrays(x, np.repeat(range(12), 5), preprocess=kind)
    learner = qs.learners.PrototypicalNetwork(qs.nets.MLP((384,), hidden=(4,)))
    settings = qs.Training(steps=1, meta_batch=1, valid_tasks=2)
    episodes = qs.tasks.Episodes(tasks, n_way=2, n_shot=1, n_query=1)
    qs.train(learner, episodes, settings, tmp_path / "run", show=False)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["runtime"] == {"backend": "onnx"}
    assert qs.load(tmp_path / "run", learner=learner).preprocess.backend == "onnx"


def test_new_kinds_take_the_choice_of_the_process(monkeypatch):
    data = EncodedTexts(encoder("sentences")).to_json()
    assert EncodedTexts(encoder("sentences")).backend == "torch"
    assert kind_from_json(data).backend == "torch"
    with use_backend("onnx"):
        assert EncodedTexts(encoder("sentences")).backend == "onnx"
        assert kind_from_json(data).backend == "onnx"
        assert kind_from_json(data, {"backend": "torch"}).backend == "onnx"
    monkeypatch.setenv("QUICKSTUDY_BACKEND", "tensorrt")
    with pytest.raises(UserError, match="one of torch, onnx; received 'tensorrt'"):
        EncodedTexts(encoder("sentences"))


def test_other_weights_and_a_missing_package_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_networks", {})
    for name, each in NAMED.items():
        monkeypatch.setattr(named, "_folders", lambda module: iter([tmp_path]))
        file = tmp_path / each.weights
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"other weights")
        with pytest.raises(DataError) as error:
            network(encoder(name))
        other = hashlib.sha256(b"other weights").hexdigest()
        for words in (str(file), each.encoder.weights[:16], other[:16], each.pip):
            assert words in str(error.value)
        file.unlink()
        with pytest.raises(DataError, match="a package without it"):
            network(encoder(name))
        monkeypatch.setattr(named, "_folders", lambda module: iter(()))
        with pytest.raises(UserError) as missing:
            network(encoder(name))
        for words in (each.module, sys.prefix, each.pip):
            assert words in str(missing.value)


def test_weights_of_another_format_are_opened_once(monkeypatch, tmp_path):
    needs("photos")
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path))
    opened = []
    real = torch.load
    monkeypatch.setattr(
        torch, "load", lambda *args, **options: opened.append(options) or real(*args, **options)
    )
    first = torch_networks.weights_of(encoder("photos"))
    again = torch_networks.weights_of(encoder("photos"))
    assert [options["weights_only"] for options in opened] == [True]
    assert all(torch.equal(first[key], again[key]) for key in first)
    (file,) = (tmp_path / "encoders").glob("*.safetensors")
    assert encoder("photos").weights in file.name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    third = torch_networks.weights_of(encoder("photos"))
    assert len(opened) == 2
    assert all(torch.equal(first[key], third[key]) for key in first)
    # A machine whose cache cannot be written does without.
    monkeypatch.setenv("QUICKSTUDY_CACHE", "/dev/null/none")
    fourth = torch_networks.weights_of(encoder("photos"))
    assert all(torch.equal(first[key], fourth[key]) for key in first)
