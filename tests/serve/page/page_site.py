"""A site that is served for the tests of its pages."""

from __future__ import annotations

import colorsys
import logging
import threading
from pathlib import Path

import encoded
from databases import free_port
from PIL import Image
from served_runs import trained

from quickstudy.cli.main import main
from quickstudy.serve.app import create_app
from quickstudy.serve.listen import Listener, bind


class Site:
    """The server in a thread, on a port that stays when it stops and starts again."""

    def __init__(self, runs: list[Path], folder: Path) -> None:
        self.runs, self.database = runs, f"sqlite:///{folder / 'tasks.db'}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Serves until `stop`."""
        app = create_app(self.runs, self.database)
        started = threading.Event()
        sockets = bind("127.0.0.1", self.port)
        self.server = Listener(app, started.set, log_level="error", timeout_graceful_shutdown=1)
        self.thread = threading.Thread(target=self.server.run, args=(sockets,), daemon=True)
        self.thread.start()
        while not started.wait(1):
            assert self.thread.is_alive(), "the server did not start"

    def stop(self) -> None:
        """Ends all connections and gives the port back."""
        self.server.should_exit = True
        self.thread.join(timeout=300)
        assert not self.thread.is_alive(), "the server did not stop"


class Told(logging.Handler):
    """What the server's log says."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def make_signs(out: Path) -> Path:
    """A model of drawn characters that is meta-trained for seconds, and evaluated."""
    return _made(out, "PrototypicalNetwork", "glyphs", "--net.hidden", "16", "--steps", "60")


def make_waves(out: Path) -> Path:
    """A model of sine waves that adapts all its layers."""
    net = ("--net", "MLP", "--net.hidden", "[16]", "--learner.inner-lr", "0.01")
    return _made(out, "MAML", "sinusoid", *net, "--steps", "60")


def make_photos(out: Path) -> Path:
    """A model of photos in colour, barely meta-trained: it tells colours apart."""
    pictures = out.parent / "pictures"
    for c in range(10):
        (pictures / f"{c}").mkdir(parents=True)
        for i in range(4):
            colour = tuple(int(255 * v) for v in colorsys.hsv_to_rgb(c / 10, 1, 0.6 + 0.1 * i))
            Image.new("RGB", (16, 16), colour).save(pictures / f"{c}" / f"{i}.png")
    size = ("--tasks.path", str(pictures), "--tasks.mode", "RGB", "--tasks.size", "16")
    ways = ("--n-way", "2", "--n-shot", "2", "--n-query", "2", "--net.hidden", "8")
    trained(out, "--learner", "PrototypicalNetwork", "--tasks", "folder", *size, *ways)
    return out


def make_sentences(out: Path) -> Path:
    """A model of texts behind an encoder that hashes words."""
    encoded.loaded(encoded.WORDS)
    return encoded.run_of(encoded.WORDS, out)


def _made(out: Path, learner: str, tasks: str, *options: str) -> Path:
    short = ("--valid-tasks", "3", "--valid-every", "60", "--meta-batch", "2", "--out", str(out))
    assert main(["train", "--learner", learner, "--tasks", tasks, *options, *short]) == 0
    json = ("--json", str(out / "evaluation.json"))
    assert main(["evaluate", str(out), "--n-tasks", "3", *json]) == 0
    return out
