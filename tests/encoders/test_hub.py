"""Downloads of encoders, from a server on this machine."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from folders import texts_folder, write

from quickstudy.encoders import encoder, hub, places
from quickstudy.errors import DataError, UserError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = f"hf:org/tiny@{COMMIT}"
PATH = f"/org/tiny/resolve/{COMMIT}/"


class Hub:
    """A server of one repository; its files, and what it was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sha, self.asked, self.cut = COMMIT, [], {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append((self.path, self.headers.get("Range")))
                if self.path == f"/api/models/org/tiny/revision/{COMMIT}?blobs=true":
                    content, status = json.dumps(outer.listing()).encode(), 200
                elif self.path.removeprefix(PATH) in outer.files:
                    content, status = outer.files[self.path.removeprefix(PATH)], 200
                else:
                    content, status = b"", 404
                start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
                self.send_response(206 if start else status)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                end = outer.cut.pop(self.path.removeprefix(PATH), None)
                self.wfile.write(content[start:end])

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_port}"

    def listing(self):
        siblings = []
        for name, content in self.files.items():
            blob = f"blob {len(content)}\0".encode() + content
            about = {"rfilename": name, "size": len(content)}
            about["blobId"] = hashlib.sha1(blob).hexdigest()
            if name.endswith(".safetensors"):
                about["lfs"] = {"sha256": hashlib.sha256(content).hexdigest()}
            siblings.append(about)
        return {"sha": self.sha, "siblings": siblings, "cardData": {"license": "mit"}}


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("QUICKSTUDY_ENCODERS", str(tmp_path / "encoders"))
    monkeypatch.setattr(places, "_places", {})
    one = Hub()
    folder = texts_folder(tmp_path / "original")
    write(folder / "1_Pooling", config={"pooling_mode_cls_token": True})
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            one.files[str(file.relative_to(folder))] = file.read_bytes()
    one.files |= {"pytorch_model.bin": b"cos\nsystem", "modeling.py": b"boom", "x/model.json": b""}
    monkeypatch.setenv("QUICKSTUDY_HUB", one.base)
    yield one
    one.server.shutdown()
    one.server.server_close()


def test_it_is_downloaded_once_and_then_there(served, tmp_path):
    lines = []
    with pytest.raises(UserError, match=f"run quickstudy encoders get {NAME}"):
        encoder(NAME)
    mine = hub.get(NAME, 10**6, lines.append)
    folder = tmp_path / "encoders" / f"org/tiny@{COMMIT}"
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    expected = {"config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"}
    assert files == {*expected, "quickstudy.json"}
    own = json.loads((folder / "quickstudy.json").read_text())
    sums = {name: hashlib.sha256(served.files[name]).hexdigest() for name in expected}
    assert own["sha256"] == sums
    assert "4 files" in lines[0]
    assert "of at most 1 MB" in lines[0]
    served.asked.clear()
    assert encoder(NAME) == mine == hub.get(NAME, 10**6)
    assert (mine.name, mine.licence, mine.text_rule.pooling) == (NAME, "mit", "cls")
    assert served.asked == []


def test_a_download_that_was_cut_goes_on(served):
    served.cut["model.safetensors"] = 20
    with pytest.raises(DataError, match=r"model\.safetensors could not be had"):
        hub.get(NAME, 10**6)
    served.asked.clear()
    hub.get(NAME, 10**6)
    asked = [(path.removeprefix(PATH), start) for path, start in served.asked[1:]]
    assert ("model.safetensors", "bytes=20-") in asked
    assert "config.json" not in dict(asked)


@pytest.mark.parametrize(
    "name",
    [
        "hf:org/tiny", "hf:org/tiny@main", f"hf:org/tiny@{COMMIT[:12]}", f"hf:tiny@{COMMIT}",
        f"hf:../tiny@{COMMIT}", f"hf:org/tiny@{COMMIT}/x", f"hf:/etc/x@{COMMIT}",
    ],
)  # fmt: skip
def test_a_whole_commit_is_demanded(served, name):
    for ask in (lambda: hub.get(name, 10**6), lambda: encoder(name)):
        with pytest.raises(UserError, match="with all 40 digits of the commit"):
            ask()
    assert served.asked == []


def test_what_is_too_large_or_other_is_not_kept(served, tmp_path):
    with pytest.raises(UserError, match="allow more with --max-megabytes"):
        hub.get(NAME, 100)
    assert len(served.asked) == 1
    honest, served.listing = served.listing, lambda: {**listing, "siblings": siblings}
    listing = honest()
    siblings = [dict(each) for each in listing["siblings"]]
    wrong = next(each for each in siblings if each["rfilename"] == "tokenizer.json")
    wrong["blobId"] = "0" * 40
    with pytest.raises(DataError, match=r"tokenizer\.json could not be had.*expected git 000"):
        hub.get(NAME, 10**6)
    served.listing = honest
    served.sha = "f" * 40
    with pytest.raises(DataError, match=f"received the commit {'f' * 40}"):
        hub.get(NAME, 10**6)
    served.sha = COMMIT
    served.files["config.json"] = json.dumps({"auto_map": {}, "hidden_size": 8}).encode()
    with pytest.raises(UserError, match="makes it run other code"):
        hub.get(NAME, 10**6)
    assert not hub.hub_folder(NAME).exists()


def test_pickled_weights_and_adapters_are_not_downloaded(served):
    served.files["adapter_config.json"] = b"{}"
    with pytest.raises(UserError, match=r"received adapter_config\.json"):
        hub.get(NAME, 10**6)
    del served.files["model.safetensors"]
    with pytest.raises(UserError, match=r"received pytorch_model\.bin; choose a commit"):
        hub.get(NAME, 10**6)
    assert all("/api/" in path for path, _ in served.asked)


def test_what_is_not_there_is_said(served, monkeypatch):
    with pytest.raises(DataError, match="received status 404"):
        hub.get(f"hf:org/other@{COMMIT}", 10**6)
    monkeypatch.setenv("QUICKSTUDY_HUB", "http://127.0.0.1:9")
    with pytest.raises(DataError, match="check the name and the network, or name another address"):
        hub.get(NAME, 10**6)
