"""A served site for the tests of its pages, and a person's hands on it."""

from __future__ import annotations

import logging
import socket
import threading
import time
from base64 import b64encode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image, ImageDraw

from quickstudy import Training, build, train
from quickstudy.serve.app import create_app
from quickstudy.tasks import Episodes, Sinusoid, arrays
from quickstudy.tasks.columns import Columns
from quickstudy.tasks.glyphs import glyphs

COLUMNS = ["length", "width", "colour"]
Stroke = list[tuple[float, float]]
CIRCLE: list[Stroke] = [
    [(0.5 + 0.3 * np.cos(a), 0.5 + 0.3 * np.sin(a)) for a in np.linspace(0, 6.5, 14)]
]
CROSS: list[Stroke] = [[(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]]


class Site:
    """The server in a thread, on a port that stays when it stops and starts again."""

    def __init__(self, runs: list[Path], folder: Path) -> None:
        self.runs, self.database = runs, f"sqlite:///{folder / 'tasks.db'}"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log: list[str] = []
        self.start()

    def start(self) -> None:
        """Serves until `stop`."""
        app = create_app(self.runs, self.database)
        options: dict[str, Any] = {"log_config": None, "timeout_graceful_shutdown": 1, "ws": "none"}
        self.server = uvicorn.Server(uvicorn.Config(app, port=self.port, **options))
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        while not self.server.started:
            assert self.thread.is_alive(), "the server did not start"
            time.sleep(0.01)

    def stop(self) -> None:
        """Ends all connections and gives the port back."""
        self.server.should_exit = True
        self.thread.join(timeout=10)


class Told(logging.Handler):
    """What the server's log says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def make_runs(folder: Path) -> list[Path]:
    """Models of drawings, rows, arrays and values, each meta-trained for seconds."""
    rng = np.random.default_rng(0)
    settings: dict[str, Any] = {"meta_batch": 2, "valid_tasks": 5}
    signs = Episodes(glyphs(), n_way=5, n_shot=1, n_query=5)
    learner = build("PrototypicalNetwork", signs, net={"name": "Conv4", "hidden": 16})
    train(learner, signs, Training(steps=40, valid_every=40, **settings), folder / "signs", show=False)

    cells = [[f"{c + rng.normal():.2f}", f"{c % 5:.2f}", "red" if c % 2 else "blue"]
             for c in range(30) for _ in range(6)]  # fmt: skip
    columns = Columns.fit(COLUMNS, cells, cells)
    data = arrays(columns(cells), np.arange(30).repeat(6), preprocess=columns)
    few = Training(steps=2, valid_every=2, **settings)
    flowers = Episodes(data, n_way=3, n_shot=2, n_query=2)
    net = {"name": "MLP", "hidden": (16,)}
    train(build("PrototypicalNetwork", flowers, net=net), flowers, few, folder / "flowers", show=False)

    points = Episodes(arrays(rng.normal(size=(180, 2)), np.arange(30).repeat(6)), 3, 2, 2)
    train(build("PrototypicalNetwork", points, net=net), points, few, folder / "points", show=False)
    waves = Sinusoid(n_shot=5, n_query=5)
    maml = build({"name": "MAML", "inner_lr": 0.01, "inner_steps": 1}, waves, net=net)
    train(maml, waves, few, folder / "waves", show=False)
    return [folder / name for name in ("signs", "flowers", "points", "waves")]


def draw(page: Any, pad: Any, strokes: list[Stroke]) -> None:
    """Draws on a pad with the mouse."""
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=2)
        page.mouse.up()


def png(strokes: list[Stroke], side: int = 96) -> bytes:
    """The file of a drawing."""
    image = Image.new("L", (side, side), 255)
    for stroke in strokes:
        ImageDraw.Draw(image).line([(side * x, side * y) for x, y in stroke], fill=0, width=6)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def image_input(strokes: list[Stroke]) -> dict[str, Any]:
    """A drawing as the API takes it."""
    return {"image": {"b64": b64encode(png(strokes)).decode()}}
