"""Cached features: each computed once, whatever happens to the processes and the files."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import forked
import numpy as np
import pytest
from fake_encoder import FakeEncoder, digests
from safetensors.numpy import load_file

from quickstudy import UserError
from quickstudy.encoders import cache, filling, request, shards, stock
from quickstudy.files.stored_rows import StoredRows

FAKE = Path(__file__).resolve().parents[1] / "fake_encoder.py"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, of each test its own."""
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path))
    monkeypatch.setenv("QUICKSTUDY_FEATURES_LIMIT", "1GB")
    monkeypatch.delenv("QUICKSTUDY_FEATURES", raising=False)
    filling._say_once.cache_clear()
    return tmp_path / "features"


def files(place: Path) -> list[Path]:
    return sorted(place.glob("*/*.safetensors"))


def check(encoder: FakeEncoder, wanted: list[bytes], computed: int) -> None:
    """All features are right, and so many of them were computed."""
    before = encoder.computed
    np.testing.assert_array_equal(np.asarray(encoder.features(wanted)), encoder.expected(wanted))
    assert encoder.computed - before == computed


def test_rows_are_computed_once_and_in_order(place: Path) -> None:
    encoder, every = FakeEncoder(), digests(1000)
    check(encoder, every, 1000)
    assert max(map(len, encoder.asked)) == request.CHUNK
    check(encoder, every, 0)
    check(encoder, every[::-1], 0)
    check(FakeEncoder(), every[300:310] + digests(300, start=5000), 300)
    assert stock.stock().encoders[0].rows == 1300


def test_equal_contents_are_computed_once() -> None:
    encoder, few = FakeEncoder(), digests(3)
    check(encoder, [few[i] for i in (2, 0, 2, 1, 1, 0, 2)], 3)
    check(encoder, [few[i] for i in (1, 1, 0)], 0)


def test_no_rows() -> None:
    encoder = FakeEncoder()
    assert encoder.features([]).shape == encoder.features([], keep=False).shape == (0, 6)
    assert encoder.computed == 0


def test_what_is_not_kept_leaves_no_trace(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, few = FakeEncoder(), digests(5)
    np.testing.assert_array_equal(encoder.features(few, keep=False), encoder.expected(few))
    monkeypatch.setenv("QUICKSTUDY_FEATURES", "off")
    check(encoder, few, 5)
    assert not place.exists()


def test_encoders_backends_and_precisions_do_not_mix(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = digests(300)
    check(FakeEncoder("one"), few, 300)
    check(FakeEncoder("another"), few, 300)
    other = FakeEncoder("one")
    other.features(few, backend="onnx")
    assert other.computed == 300
    monkeypatch.setenv("QUICKSTUDY_FEATURES", "float16")
    half = FakeEncoder("one")
    half.features(few)
    assert half.computed == 300
    names = [(e.name, e.backend, e.precision, e.rows) for e in stock.stock().encoders]
    assert sorted(names) == [
        ("another", "torch", "float32", 300),
        ("one", "onnx", "float32", 300),
        ("one", "torch", "float16", 300),
        ("one", "torch", "float32", 300),
    ]


def test_half_precision(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICKSTUDY_FEATURES", "float16")
    encoder, every = FakeEncoder(n_features=64), digests(500)
    computed = encoder.features(every)
    encoder.fail = True
    read = encoder.features(every)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(computed, read)  # the first start has what the next will read
    np.testing.assert_allclose(read, encoder.expected(every), rtol=2**-11)
    assert (read != encoder.expected(every)).any()
    assert files(place)[0].stat().st_size < 500 * (64 * 2 + 32) + 1000


def test_numbers_too_large_for_half_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICKSTUDY_FEATURES", "float16")

    def large(places: list[int]) -> Any:
        return np.full((len(places), 6), 1e6), {}

    with pytest.raises(UserError, match="within 65504; received 1e"):
        cache.features(FakeEncoder().encoder, "torch", digests(2), large, keep=True)


def test_wrong_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUICKSTUDY_FEATURES", "tiny")
    with pytest.raises(UserError, match="off, float16 or float32; received 'tiny'"):
        FakeEncoder().features(digests(2))
    monkeypatch.delenv("QUICKSTUDY_FEATURES")
    monkeypatch.setenv("QUICKSTUDY_FEATURES_LIMIT", "much")
    with pytest.raises(UserError, match="such as 500MB or 20GB; received 'much'"):
        FakeEncoder().features(digests(2))


@pytest.mark.parametrize(
    ("rows", "words"),
    [(np.zeros((3, 5)), r"shape \(3, 5\)"), (np.full((3, 6), np.nan), "not finite")],
)
def test_features_of_a_wrong_encoder_are_refused(place: Path, rows: Any, words: str) -> None:
    for keep in (True, False):
        with pytest.raises(UserError, match=words):
            cache.features(
                FakeEncoder().encoder, "torch", digests(3), lambda _: (rows, {}), keep=keep
            )
    assert not files(place)


def test_contents_without_features_are_left_out_and_asked_for_again() -> None:
    encoder, every = FakeEncoder(), digests(600)
    every += every[:20]
    broken = {every[10], every[300]}

    def compute(places: list[int]) -> Any:
        bad = {i: f"broken {place}" for i, place in enumerate(places) if every[place] in broken}
        good = [place for i, place in enumerate(places) if i not in bad]
        return encoder.compute(every)(good)[0], bad

    wanted = encoder.expected([each for each in every if each not in broken])
    for keep, computed in ((False, 598), (True, 598), (True, 0)):
        before = encoder.computed
        rows, bad = cache.features(encoder.encoder, "torch", every, compute, keep=keep)
        assert bad == {10: "broken 10", 300: "broken 300", 610: "broken 10"}
        np.testing.assert_array_equal(rows, wanted)
        assert encoder.computed - before == computed


def test_a_killed_process_is_resumed(place: Path) -> None:
    n, chunks = 5 * request.CHUNK, 3
    killed = forked.run([str(FAKE), "fake", str(n), str(chunks)])
    assert killed.returncode == -9, killed.stderr
    assert len(files(place)) == chunks
    check(FakeEncoder(), digests(n), n - chunks * request.CHUNK)
    check(FakeEncoder(), digests(n), 0)


def test_processes_fill_a_folder_together(place: Path, tmp_path: Path) -> None:
    n = 20 * request.CHUNK
    running = [
        forked.Forked([str(FAKE), "fake", str(n)], tmp_path / f"out-{i}", tmp_path / f"errors-{i}")
        for i in range(3)
    ]
    said = [process.communicate(timeout=300) for process in running]
    assert [process.wait() for process in running] == [0, 0, 0], said
    assert len({out.split()[1] for out, _ in said}) == 1
    assert not any(err for _, err in said)
    check(FakeEncoder(), digests(n), 0)


def test_what_another_process_adds_meanwhile_is_not_computed() -> None:
    every = digests(4 * request.CHUNK)
    encoder, other = FakeEncoder(), FakeEncoder()

    def compute(places: list[int]) -> Any:
        if not encoder.asked:
            check(other, every, len(every))
        return encoder.compute(every)(places)

    rows, _ = cache.features(encoder.encoder, "torch", every, compute, keep=True)
    np.testing.assert_array_equal(rows, encoder.expected(every))
    assert encoder.computed == request.CHUNK


@pytest.mark.parametrize("damage", ["cut short", "rows", "digests", "header", "shape", "empty"])
def test_a_damaged_file_is_made_again(
    place: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    encoder, every = FakeEncoder(), digests(600)
    check(encoder, every, 600)
    [path] = files(place)
    content = bytearray(path.read_bytes())
    shard = shards.read_shard(path)
    if damage == "cut short":
        del content[-100:]
    elif damage == "empty":
        content.clear()
    elif damage == "shape":
        assert b"[600, 6]" in content
        content = content.replace(b"[600, 6]", b"[6e9, 6]")
    else:
        content[{"header": 20, **shard.starts}[damage] + 5] ^= 1
    path.write_bytes(content)
    check(encoder, every, 600)
    assert "is damaged" in caplog.text
    assert not path.exists()
    check(encoder, every, 0)


def test_a_file_cut_short_while_it_is_read(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "IN_MEMORY", 0)
    encoder, every = FakeEncoder(), digests(600)
    rows = encoder.features(every)
    assert isinstance(rows, StoredRows)
    os.truncate(files(place)[0], 300)
    with pytest.raises(Exception, match="cut short meanwhile"):
        rows[:]


def test_a_cleared_cache_does_not_disturb_who_reads(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "IN_MEMORY", 0)
    encoder, every = FakeEncoder(), digests(600)
    rows = encoder.features(every)
    assert stock.clear() > 600 * 24
    assert not files(place)
    np.testing.assert_array_equal(rows[:], encoder.expected(every))


def full(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_costs_time_later(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    encoder, every = FakeEncoder(), digests(5 * request.CHUNK)
    write, written = shards.write_shard, []

    def fills_up(*arguments: Any, **options: Any) -> Path:
        written.append(arguments)
        return full() if len(written) > 2 else write(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(filling, "write_shard", fills_up)
        check(encoder, every, len(every))
        check(encoder, digests(request.CHUNK, start=9000), request.CHUNK)
    assert caplog.text.count("No space left on device") == 1
    assert not [*place.glob("*/.*")]
    check(encoder, every, 3 * request.CHUNK)  # the first two chunks had room
    check(encoder, every, 0)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(place: Path) -> None:
    place.mkdir()
    place.chmod(0o500)
    check(FakeEncoder(), digests(300), 300)
    place.chmod(0o700)


def test_a_place_that_is_no_folder(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    place.write_text("a file")
    check(FakeEncoder(), digests(300), 300)
    check(FakeEncoder(), digests(300), 300)
    assert caplog.text.count("cannot be kept here") == 1


def test_a_read_only_cache_is_read(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    every = digests(300)
    check(FakeEncoder(), every, 300)

    def read_only(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(filling, "write_shard", read_only)
    monkeypatch.setattr(os, "utime", read_only)
    check(FakeEncoder(), every, 0)
    assert not caplog.text
    check(FakeEncoder(), digests(310), 10)
    assert caplog.text.count("Read-only file system") == 1


def test_the_limit_drops_what_was_not_used_for_longest(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [digests(300, start=1000 * i) for i in range(3)]
    for age, part in zip((3, 2, 1), parts, strict=True):
        before = {*files(place)}
        check(FakeEncoder(), part, 300)
        [new] = {*files(place)} - before
        os.utime(new, (1e9 - age, 1e9 - age))
    check(FakeEncoder(), parts[0], 0)  # the oldest is now the last that was used
    size = sum(path.stat().st_size for path in files(place))
    monkeypatch.setenv("QUICKSTUDY_FEATURES_LIMIT", str(size + 1000))
    check(FakeEncoder("another"), parts[0], 300)
    check(FakeEncoder(), parts[2], 0)
    check(FakeEncoder(), parts[0], 0)
    check(FakeEncoder(), parts[1], 300)


def test_more_than_the_limit_is_held_in_memory(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("QUICKSTUDY_FEATURES_LIMIT", "30kB")
    check(FakeEncoder(), digests(300), 300)
    check(FakeEncoder(), digests(600, start=5000), 600)
    assert "more than the cache may (0.00 GB)" in caplog.text
    check(FakeEncoder(), digests(300), 0)
    assert stock.stock().bytes < 30_000


def test_loose_rows_become_one_file(place: Path) -> None:
    for i in range(filling.MANY_LOOSE):
        check(FakeEncoder(), digests(10, start=10 * i), 10)
    assert len(files(place)) == filling.MANY_LOOSE
    check(FakeEncoder(), digests(10 * filling.MANY_LOOSE), 0)
    assert len(files(place)) == 1


def test_shards_are_of_a_size(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filling, "SHARD_BYTES", 2 * request.CHUNK * 24)
    check(FakeEncoder(), digests(5 * request.CHUNK), 5 * request.CHUNK)
    kinds = [path.name[:4] for path in files(place)]
    assert kinds == ["loos", "rows", "rows"]
    check(FakeEncoder(), digests(5 * request.CHUNK), 0)


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_shards_are_safetensors_files(
    place: Path, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    monkeypatch.setenv("QUICKSTUDY_FEATURES", precision)
    encoder, every = FakeEncoder(), digests(2 * request.CHUNK)
    encoder.features(every)
    [path] = files(place)
    tensors = load_file(path)
    assert tensors["rows"].dtype == precision
    own = [bytes(row) for row in tensors["digests"]]
    assert sorted(own) == sorted(every)
    np.testing.assert_allclose(tensors["rows"], encoder.expected(own), rtol=2**-11)
