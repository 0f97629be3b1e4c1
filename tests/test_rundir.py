"""The run directory: whole or refused, never half read, and never run as code."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from small import maml, quick, sinusoid

from quickstudy import CheckpointError, UserError, load
from quickstudy.files import rundir
from quickstudy.files.atomic import write_atomically
from quickstudy.files.rundir import RunDirectory, tensors_from_bytes, tensors_to_bytes


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rundir") / "run"
    quick(sinusoid(), maml(sinusoid()), out, steps=2)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def reseal(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """A record changed by someone who knows how to seal it again."""
    record = json.loads((run / "run.json").read_text())
    del record["sha256"]
    change(record)
    record["sha256"] = rundir._seal(record)
    (run / "run.json").write_text(json.dumps(record))


def files(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.iterdir()}


def test_tensors_come_back_bit_by_bit() -> None:
    given = {
        "a": torch.randn(3, 4).T,
        "b": torch.tensor([float("nan"), -0.0, 1e-45]),
        "c": torch.arange(3),
        "empty": torch.zeros(0, 5, dtype=torch.float64),
        "half": torch.ones((), dtype=torch.bfloat16),
    }
    header = {"x": [1, None, "ä"], "rate": 0.1 + 0.2}
    found, read = tensors_from_bytes(tensors_to_bytes(given, header), "here")
    assert read == header
    assert found.keys() == given.keys()
    for name, tensor in given.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert tensors_to_bytes({"": found[name]}) == tensors_to_bytes({"": tensor})


def test_a_run_directory_holds_what_it_names(run: Path) -> None:
    record = RunDirectory(run).read()
    named = {entry["name"] for entry in record["files"].values()}
    assert {path.name for path in run.iterdir()} == named | {"run.json", "metrics.jsonl"}


def test_a_file_is_whole_or_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as broken:
            broken.setattr(os, name, full)
            with pytest.raises(OSError, match="No space"):
                write_atomically(path, b"new")
        assert files(tmp_path) == {"file": b"old"}
    write_atomically(path, b"new")
    assert files(tmp_path) == {"file": b"new"}


def test_two_threads_may_write_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, contents = tmp_path / "file", [bytes([i]) * 100_000 for i in range(2)]
    both, flush = threading.Barrier(2, timeout=30), os.fsync

    def flush_together(descriptor: int) -> None:
        both.wait()  # each has written its content and neither has renamed it
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", flush_together)
    with ThreadPoolExecutor(2) as pool:
        digests = list(pool.map(partial(write_atomically, path), contents))
    assert digests == [hashlib.sha256(content).hexdigest() for content in contents]
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() in contents


def test_a_place_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    for wrong in (tmp_path / "file" / "inside", tmp_path / "folder"):
        with pytest.raises(UserError, match="cannot be written"):
            write_atomically(wrong, b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_missing_run(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        load(tmp_path / "none")
    with pytest.raises(CheckpointError, match="a folder without one"):
        load(tmp_path)


def test_a_run_of_another_version(run: Path) -> None:
    reseal(run, lambda record: record.update(format=99, version="7.0"))
    with pytest.raises(CheckpointError, match=r"format 99.*7\.0"):
        load(run)


def test_a_run_without_a_checkpoint_says_so(run: Path) -> None:
    reseal(run, lambda record: record["files"].clear())
    with pytest.raises(CheckpointError, match="before its first checkpoint"):
        load(run)


@pytest.mark.parametrize("role", ["weights", "resume"])
def test_a_file_that_is_missing_or_another(run: Path, role: str) -> None:
    directory = RunDirectory(run)
    path = run / directory.read()["files"][role]["name"]
    content = path.read_bytes()
    for part in (b"", content[:7], content[: len(content) // 2], content[:-1], content + b"\0"):
        path.write_bytes(part)
        with pytest.raises(CheckpointError, match="sha256"):
            directory.load(role)
    path.unlink()
    with pytest.raises(CheckpointError, match="received none"):
        directory.load(role)


@pytest.mark.parametrize("role", ["weights", "resume"])
def test_a_pickle_is_not_opened(run: Path, role: str) -> None:
    """Neither under the name of the weights nor with a seal made for it."""
    marker = run / "executed"

    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (marker,))

    content = pickle.dumps(Hostile())
    name = RunDirectory(run).read()["files"][role]["name"]
    (run / name).write_bytes(content)
    with pytest.raises(CheckpointError, match="sha256"):
        RunDirectory(run).load(role)
    digest = write_atomically(run / name, content)
    reseal(run, lambda record: record["files"][role].update(sha256=digest))
    with pytest.raises(CheckpointError, match="safetensors"):
        RunDirectory(run).load(role)
    assert not marker.exists()


def test_a_record_cannot_name_files_elsewhere(run: Path, tmp_path: Path) -> None:
    name = RunDirectory(run).read()["files"]["weights"]["name"]
    outside = shutil.copy(run / name, tmp_path / "outside.safetensors")
    for wrong in ("../outside.safetensors", str(outside), ".", ""):
        reseal(run, lambda record, wrong=wrong: record["files"]["weights"].update(name=wrong))
        with pytest.raises(CheckpointError, match="expected this file"):
            load(run)


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "files is a list": lambda r: r.update(files=[]),
    "files is absent": lambda r: r.pop("files"),
    "entry is text": lambda r: r["files"].update(weights="x"),
    "name is a number": lambda r: r["files"]["weights"].update(name=3),
    "name has a zero byte": lambda r: r["files"]["weights"].update(name="a\0b"),
    "sha256 is absent": lambda r: r["files"]["weights"].pop("sha256"),
    "shape is absent": lambda r: r.pop("x_shape"),
    "shape is text": lambda r: r.update(x_shape=7),
    "specs is text": lambda r: r.update(specs="os.system"),
    "learner is code": lambda r: r["specs"]["learner"].update(name="os.system"),
    "option is unknown": lambda r: r["specs"]["learner"].update(evil="x"),
    "option is of another type": lambda r: r["specs"]["net"].update(hidden="x"),
    "width is negative": lambda r: r["specs"]["net"].update(hidden=[-1]),
    "net is absent": lambda r: r["specs"].pop("net"),
    "preprocess is unknown": lambda r: r.update(preprocess={"kind": "os.system"}),
    "preprocess is text": lambda r: r.update(preprocess="x"),
    "learner is another": lambda r: r["specs"].update(learner={"name": "PrototypicalNetwork"}),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_record_is_refused(run: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    reseal(run, change)
    with pytest.raises(CheckpointError):
        load(run)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b'{"a": 1}'])
def test_a_record_that_is_none(run: Path, content: bytes) -> None:
    (run / "run.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"run\.json"):
        RunDirectory(run).read()


def mutate(content: bytes, rng: random.Random) -> bytes:
    """A byte changed, or some cut out, doubled or added."""
    at = rng.randrange(len(content))
    kind = rng.randrange(4)
    if kind == 0:
        return content[:at] + bytes([content[at] ^ (1 << rng.randrange(8))]) + content[at + 1 :]
    if kind == 1:
        return content[:at] + content[at + rng.randrange(1, 40) :]
    if kind == 2:
        return content[:at] + rng.randbytes(rng.randrange(1, 9)) + content[at:]
    return content[:at]


def test_a_changed_record_is_refused_or_says_the_same(run: Path) -> None:
    directory, rng = RunDirectory(run), random.Random(0)
    before, content = directory.read(), (run / "run.json").read_bytes()
    refused = 0
    for _ in range(400):
        (run / "run.json").write_bytes(mutate(content, rng))
        try:
            assert directory.read() == before
        except CheckpointError:
            refused += 1
    assert refused > 350


def test_any_changed_byte_of_the_tensors_is_refused(run: Path) -> None:
    directory, rng = RunDirectory(run), random.Random(1)
    path = run / directory.read()["files"]["weights"]["name"]
    content = path.read_bytes()
    for _ in range(200):
        changed = mutate(content, rng)
        path.write_bytes(changed)
        if changed != content:
            with pytest.raises(CheckpointError):
                directory.load("weights")


def test_no_bytes_crash_the_reader_of_tensors() -> None:
    """Whatever the seal says, a safetensors file is read or refused."""
    content = tensors_to_bytes({"a": torch.ones(3), "b": torch.zeros(2, 2)}, {"step": 1})
    rng = random.Random(2)
    for _ in range(1500):
        changed = mutate(content[:200], rng) + content[200:]
        try:
            tensors, header = tensors_from_bytes(changed, "here")
        except CheckpointError:
            continue
        assert isinstance(header, dict)
        assert all(isinstance(t, torch.Tensor) for t in tensors.values())


def test_metrics_survive_a_line_cut_short(run: Path) -> None:
    directory = RunDirectory(run)
    directory.forget_metrics_after(-1)
    for step in (1, 2, 3):
        directory.log({"step": step})
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "lo')
    assert [row["step"] for row in directory.metrics()] == [1, 2, 3]
    directory.forget_metrics_after(2)
    directory.log({"step": 3})
    assert (run / "metrics.jsonl").read_text() == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'


def test_what_a_killed_process_left_is_cleared(run: Path) -> None:
    directory = RunDirectory(run)
    (run / ".weights-00000009.safetensors.123.tmp").write_bytes(b"half")
    (run / "weights-00000009-00000000.safetensors").write_bytes(b"never named")
    directory.save({**directory.read(), "step": 3}, {"weights": tensors_to_bytes({})})
    names = {entry["name"] for entry in directory.read()["files"].values()}
    found = {path.name for path in run.iterdir() if path.suffix in (".tmp", ".safetensors")}
    assert found == names


def test_tensors_are_written_without_a_copy_as_they_are_with_one(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(2, dtype=torch.int64)}
    rundir.save_tensors(tmp_path / "new" / "file", tensors, {"x": 1})
    content = (tmp_path / "new" / "file").read_bytes()
    assert content == rundir.tensors_to_bytes(tensors, {"x": 1})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    with pytest.raises(UserError, match="cannot be written"):
        rundir.save_tensors(tmp_path / "new", tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
