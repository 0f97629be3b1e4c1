import hashlib
import importlib
import io
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from quickstudy.errors import DataError, UserError
from quickstudy.tasks.episodes import Episodes

module = importlib.import_module("quickstudy.tasks.omniglot")
omniglot = module.omniglot
ALPHABETS = {
    "images_background": {"Greek": 4, "Latin": 3, "Hebrew": 3, "Bengali": 2},
    "images_evaluation": {"Gurmukhi": 45, "Tibetan": 3, "Angelic": 2},
}


def drawing(number, drawer):
    image = Image.new("1", (105, 105), 1)
    ImageDraw.Draw(image).line([20 + drawer, 15, 80, 10 + number], fill=0, width=6)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def make_zip(path, n_drawers=4):
    """A zip laid out as the published ones, with few characters and drawers."""
    number = 0
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/._x.png", b"not a picture")
        for alphabet, n in ALPHABETS[path.stem].items():
            for character in range(1, n + 1):
                number += 1
                for drawer in range(1, n_drawers + 1):
                    archive.writestr(
                        f"{path.stem}/{alphabet}/character{character:02}/{number:04}_{drawer:02}.png",
                        drawing(number, drawer),
                    )


def sha256(path):
    """The digest that the package would publish for a zip."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        for name in sorted(n for n in archive.namelist() if n.startswith("images")):
            bits = Image.open(io.BytesIO(archive.read(name)))
            digest.update(f"{name} {bits.size}".encode() + bits.tobytes())
    return digest.hexdigest()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two small zips that pass for the published ones, and an empty cache."""
    root = tmp_path / "data"
    root.mkdir()
    for name in module.ZIPS:
        make_zip(root / name)
    published = {
        name: module.Published(
            hashlib.md5((root / name).read_bytes(), usedforsecurity=False).hexdigest(),
            sha256(root / name),
        )
        for name in module.ZIPS
    }
    monkeypatch.setattr(module, "ZIPS", published)
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    return root


def test_vinyals_turns_every_character(folder):
    data = omniglot(folder, "vinyals", download=False)
    assert {split: len(pool.names) for split, pool in data.pools.items()} == {
        "train": 4 * (4 + 3 + 41 + 2), "valid": 4 * 5, "test": 4 * (4 + 3),
    }  # fmt: skip
    for split, pool in data.pools.items():
        assert pool.x.dtype == np.uint8
        assert (pool.counts == 4).all()
        for name in pool.names:
            alphabet, character, turn = name.split("/")
            late = alphabet == "Gurmukhi" and int(character[-2:]) >= 42
            expected = {"Hebrew": "valid", "Bengali": "valid", "Tibetan": "test"}
            assert split == ("test" if late else expected.get(alphabet, "train"))
            upright = pool.names.index(f"{alphabet}/{character}/rot000")
            np.testing.assert_array_equal(
                pool.x[pool.y == pool.names.index(name)],
                np.rot90(pool.x[pool.y == upright], int(turn[3:]) // 90, axes=(2, 3)),
            )


def test_lake_keeps_to_an_alphabet_and_other_drawers(folder):
    data = omniglot(folder, "lake", download=False)
    alphabets = {split: set(pool.group) for split, pool in data.pools.items()}
    assert alphabets == {
        "train": {"Greek", "Latin"},
        "valid": {"Hebrew", "Bengali"},
        "test": {"Gurmukhi", "Tibetan", "Angelic"},
    }
    for pool in data.pools.values():
        assert (np.sort(pool.author.reshape(-1, 4), axis=1) == [1, 2, 3, 4]).all()
        assert all(n.startswith(g) for n, g in zip(pool.names, pool.group, strict=True))
    assert Episodes(data, n_way=2, n_shot=1, n_query=3).task("test", 0).query.x.shape[0] == 6


def test_ink_is_bright_and_upright(folder):
    pool = omniglot(folder, "lake", download=False).pools["train"]
    assert np.median(pool.x) == 0
    assert pool.x.max() > 180
    x = pool.x[pool.y == 0][0, 0]
    rows, columns = np.nonzero(x > 90)
    assert (rows.max() / 28, columns.max() / 28) == pytest.approx((15 / 105, 80 / 105), abs=0.06)


def test_the_cache_serves_and_heals(folder, tmp_path, monkeypatch):
    first = omniglot(folder, "lake", download=False).pools["test"].x
    caches = sorted((tmp_path / "cache" / "omniglot").iterdir())
    assert [path.suffix for path in caches] == [".npz", ".npz"]
    monkeypatch.setattr(module, "_decode", None)
    np.testing.assert_array_equal(omniglot(folder, "lake").pools["test"].x, first)
    monkeypatch.undo()
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    damaged = bytearray(caches[1].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    caches[1].write_bytes(damaged)
    assert module._cached(caches[1], len(first)) is None
    caches[1].write_bytes(b"")
    assert module._cached(caches[1], len(first)) is None


def test_a_cache_that_cannot_be_written_is_done_without(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "file"))
    assert len(omniglot(folder, "lake").pools["test"].names) == 50


def test_a_missing_zip(folder):
    (folder / "images_evaluation.zip").unlink()
    with pytest.raises(DataError, match=r"evaluation.zip is missing.*https://.*save it as .*data/"):
        omniglot(folder, download=False)
    with pytest.raises(UserError, match="vinyals, lake; received 'other'"):
        omniglot(folder, "other")


def damage(path, kind):
    data = path.read_bytes()
    if kind == "truncated":
        path.write_bytes(data[: len(data) // 2])
    elif kind == "renamed text":
        path.write_text("not a zip")
    elif kind == "bad crc":
        path.write_bytes(data.replace(b"IDAT", b"IDAX", 1))
    elif kind == "drawing missing":
        make_zip(path, n_drawers=3)
    elif kind == "drawing changed":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("images_background/Greek/character05/0099_01.png", drawing(1, 1))
    elif kind == "not a picture":
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("images_background/Greek/character05/0099_01.png", b"text")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("truncated", "not a whole zip"),
        ("renamed text", "not a whole zip"),
        ("bad crc", "not a whole zip .*Bad CRC"),
        ("drawing missing", r"expected sha256 \w{64}, received \w{64} over 36 drawings"),
        ("drawing changed", r"expected sha256 \w{64}, received \w{64} over 49 drawings"),
        ("not a picture", "not a whole zip of pictures"),
    ],
)
def test_a_damaged_zip(folder, tmp_path, kind, message):
    damage(folder / "images_background.zip", kind)
    with pytest.raises(DataError, match=message) as raised:
        omniglot(folder, download=False)
    assert "images_background.zip" in str(raised.value)
    assert "download https://" in str(raised.value)
    assert not list((tmp_path / "cache").glob("omniglot/*"))


class Server(ThreadingHTTPServer):
    """Serves a folder, as told: whole, in part, cut short, damaged, or not at all."""

    def __init__(self, root, manner):
        self.root, self.manner, self.ranges = root, manner, []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        data = (server.root / self.path.strip("/")).read_bytes()
        if server.manner == "missing":
            return self.send_error(404)
        if server.manner == "damaged":
            data = data[:-1] + b"?"
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        server.ranges.append(start)
        if server.manner != "no ranges" and start >= len(data):
            return self.send_error(416)
        partial = start and server.manner != "no ranges"
        body = data[start:] if partial else data
        self.send_response(206 if partial else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = server.manner == "cut" and not start
        self.wfile.write(body[: len(body) // 2] if cut else body)
        return None

    def log_message(self, *args):
        pass


@pytest.fixture
def serve(folder, monkeypatch):
    started = []

    def start(*manners):
        servers = [Server(folder, manner) for manner in manners]
        started.extend(servers)
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(
            module, "MIRRORS", tuple(f"http://127.0.0.1:{s.server_port}/" for s in servers)
        )
        return servers

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    "manners", [["whole"], ["missing", "whole"], ["damaged", "whole"], ["no ranges"]]
)
def test_download(serve, tmp_path, manners):
    serve(*manners)
    target = tmp_path / "new" / "place"
    data = omniglot(target, "lake")
    assert len(data.pools["test"].names) == 50
    assert sorted(os.listdir(target)) == list(module.ZIPS)


@pytest.mark.parametrize("manner", ["whole", "no ranges"])
def test_a_download_goes_on_where_it_stopped(serve, folder, tmp_path, manner):
    (server,) = serve(manner)
    whole = (folder / "images_background.zip").read_bytes()
    for have in (1000, len(whole)):
        target = tmp_path / str(have)
        target.mkdir()
        (target / "images_background.zip.part").write_bytes(whole[:have])
        omniglot(target, "lake")
        assert server.ranges[-2:] == [0, 0] or have in server.ranges or have == len(whole)
        assert (target / "images_background.zip").read_bytes() == whole
    assert 1000 in server.ranges


def test_a_download_cut_short_is_kept_for_later(serve, folder, tmp_path):
    serve("cut")
    with pytest.raises(DataError, match=r"could not be had; .*with a browser and save it as"):
        omniglot(tmp_path / "new", "lake")
    assert not (tmp_path / "new" / "images_background.zip").exists()
    part = tmp_path / "new" / "images_background.zip.part"
    whole = (folder / "images_background.zip").read_bytes()
    assert part.read_bytes() == whole[: len(whole) // 2]
    (folder / "images_evaluation.zip").rename(tmp_path / "new" / "images_evaluation.zip")
    omniglot(tmp_path / "new", "lake")
    assert (tmp_path / "new" / "images_background.zip").read_bytes() == whole


@pytest.mark.parametrize("manner", ["missing", "damaged"])
def test_a_download_that_fails_leaves_nothing(serve, tmp_path, manner):
    serve(manner, manner)
    with pytest.raises(DataError, match="expected md5" if manner == "damaged" else "404"):
        omniglot(tmp_path / "new", "lake")
    assert os.listdir(tmp_path / "new") == []


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    root = Path(__file__).parents[2].parent / "shared" / "data"
    root = Path(os.environ.get("QUICKSTUDY_DATA", root)) / "omniglot"
    if not (root / "images_background.zip").is_file():
        pytest.skip(f"no Omniglot in {root}; set QUICKSTUDY_DATA")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUICKSTUDY_CACHE", str(tmp_path_factory.mktemp("cache")))
        return {split: omniglot(root, split, download=False) for split in ("vinyals", "lake")}


def test_the_published_data(real):
    vinyals, lake = real["vinyals"].pools, real["lake"].pools
    assert [len(pool.names) for pool in vinyals.values()] == [4112, 688, 1692]
    characters = [{name.rsplit("/", 1)[0] for name in pool.names} for pool in vinyals.values()]
    assert [len(one) for one in characters] == [1028, 172, 423]
    assert len(set.union(*characters)) == 1623
    assert [len(set(pool.group)) for pool in lake.values()] == [25, 5, 20]
    assert [len(pool.names) for pool in lake.values()] == [792, 172, 659]
    for pool in [*vinyals.values(), *lake.values()]:
        assert (pool.counts == 20).all()


def test_lake_episodes_of_the_published_data(real):
    data = real["lake"]
    pool = data.pools["test"]
    of = {row.tobytes(): i for i, row in enumerate(pool.x)}
    episodes = Episodes(data, n_way=20, n_shot=1, n_query=1)
    for index in range(10):
        task = episodes.task("test", index)
        rows = [
            [of[np.rint(x.numpy() * 255).astype(np.uint8).tobytes()] for x in part.x]
            for part in task
        ]
        assert len(set(pool.group[pool.y[rows[0] + rows[1]]])) == 1
        assert not set(pool.author[rows[0]]) & set(pool.author[rows[1]])
        assert sorted(pool.y[rows[0]]) == sorted(pool.y[rows[1]])
        # In random order, but each row's class is the one it is labelled with.
        labels = [part.y.argmax(dim=1) for part in task]
        by_label = [pool.y[np.array(rows[i])[labels[i].argsort()]] for i in (0, 1)]
        np.testing.assert_array_equal(*by_label)
