"""Small runs to serve, servers over them, and requests to these."""

from __future__ import annotations

import base64
import contextlib
import io
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from databases import free_port
from fastapi import FastAPI
from forked import Forked
from PIL import Image, ImageDraw
from small import blobs, prototypical, quick

from quickstudy.cli.main import main
from quickstudy.serve.listen import Listener, bind

JSON = dict[str, Any]
MLP = ("--net", "MLP", "--net.hidden", "[8]")


def make_runs(folder: Path) -> dict[str, Path]:
    """A run of each modality, one of a regression, and one that takes any table."""
    made = {name: folder / name for name in ("drawn", "flowers", "blobs", "waves", "tables")}
    csv = str(flowers(folder / "flowers.csv"))
    proto = ("--learner", "PrototypicalNetwork")
    trained(made["drawn"], *proto, "--tasks", "glyphs", "--net.hidden", "8")
    table = ("--tasks", "table", "--tasks.path", csv, "--tasks.target", "kind", "--n-way", "2")
    trained(made["flowers"], *proto, *table, "--n-shot", "2", "--n-query", "3", *MLP)
    trained(made["waves"], "--learner", "MAML", "--tasks", "sinusoid", *MLP)
    prior = ("--tasks", "table_prior", "--tasks.n-support", "[16,20]", "--n-query", "8")
    small = ("--learner.hidden", "8", "--learner.n-random", "16", "--learner.n-hidden", "6")
    trained(made["tables"], "--learner", "LearnerGenerator", *prior, *small)
    source = blobs()  # made in Python
    quick(source, prototypical(source), made["blobs"])
    return made


def trained(out: Path, *options: str) -> None:
    """A short training by the command line."""
    short = ("--steps", "2", "--valid-tasks", "3", "--meta-batch", "2", "--out", str(out))
    assert main(["train", *options, *short]) == 0


def flowers(path: Path) -> Path:
    """A table of 12 kinds of flowers that differ in length and colour."""
    rng = np.random.default_rng(0)
    lines = ["length,width,colour,kind"]
    for kind in range(12):
        for _ in range(8):
            length, width = kind + 0.1 * rng.normal(), rng.normal()
            lines.append(f"{length:.3f},{width:.3f},{('red', 'blue')[kind % 2]},kind{kind:02d}")
    path.write_text("\n".join(lines))
    return path


def point(x: float, y: float) -> JSON:
    return {"values": [x, y]}


def near(corner: int, seed: int = 0) -> JSON:
    """A point near one of the corners (0, 0), (3, 0), (0, 3) and (3, 3)."""
    at = np.array([3.0 * (corner % 2), 3.0 * (corner // 2)])
    return point(*(at + np.random.default_rng((corner, seed)).normal(0, 0.3, 2)).tolist())


def corners(n_corners: int = 2, n_each: int = 2) -> list[JSON]:
    """Examples of the corners, called a, b, c and d."""
    return [
        {"label": "abcd"[c], **near(c, seed)} for c in range(n_corners) for seed in range(n_each)
    ]


def picture(
    shape: int, seed: int = 0, size: int = 48, format: str = "PNG", **options: Any
) -> bytes:
    """A drawn ring, stroke or box, a little moved."""
    image = Image.new("L", (size, size), 255)
    pen, o = ImageDraw.Draw(image), 4 + int(np.random.default_rng((shape, seed)).integers(0, 6))
    far = size - 6
    if shape == 0:
        pen.ellipse((o, 6, far, far), outline=0, width=3)
    elif shape == 1:
        pen.line((o, 6, far, far), fill=0, width=3)
    else:
        pen.rectangle((o, 8, far, far), outline=0, width=3)
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def b64(file: bytes) -> JSON:
    return {"image": {"b64": base64.b64encode(file).decode()}}


def drawn(n_shapes: int = 2, n_each: int = 2) -> list[JSON]:
    """Examples of ring, stroke and box."""
    return [
        {"label": ("ring", "stroke", "box")[s], **b64(picture(s, seed))}
        for s in range(n_shapes)
        for seed in range(n_each)
    ]


class Client(httpx.Client):
    """A client of a server in this process, whose application it knows."""

    def __init__(self, app: FastAPI, url: str) -> None:
        # Nothing is encrypted, and reading all certificates takes longer than most tests that ask.
        super().__init__(base_url=url, timeout=300, verify=False)
        self.app = app


@contextlib.contextmanager
def listening(app: FastAPI) -> Iterator[Client]:
    """A client of an application that listens in a thread of this process."""
    started, sockets = threading.Event(), bind("127.0.0.1", 0)
    server = Listener(app, started.set, log_level="error")
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    while not started.wait(1):
        assert thread.is_alive(), "the server did not start"
    try:
        with Client(app, f"http://127.0.0.1:{sockets[0].getsockname()[1]}") as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@dataclass
class Running:
    """A server in a process of its own."""

    process: Forked
    url: str
    log: Path

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """Ends it in an orderly way."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=300)

    @property
    def memory(self) -> int:
        """Bytes of memory it has in use."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return 1024 * int(line.split()[1])
        raise AssertionError("no VmRSS")


def start(runs: Sequence[Path], data_dir: Path, *options: str, port: int | None = None) -> Running:
    """Starts `quickstudy serve` and waits until it answers."""
    port = port or free_port()
    url = f"http://127.0.0.1:{port}"
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / f"server-{port}.log"
    words = ["-m", "quickstudy", "serve", *map(str, runs), "--port", str(port)]
    process = Forked([*words, "--data-dir", str(data_dir), *options], log)
    deadline = time.monotonic() + 600
    with httpx.Client(base_url=url, timeout=60, verify=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/readyz").status_code == 200:
                    return Running(process, url, log)
            time.sleep(0.05)
    process.kill()
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


@contextlib.contextmanager
def serving(
    runs: Sequence[Path], data_dir: Path, *options: str, port: int | None = None
) -> Iterator[Running]:
    """A running server, which is ended afterwards."""
    running = start(runs, data_dir, *options, port=port)
    try:
        yield running
    finally:
        running.stop()
