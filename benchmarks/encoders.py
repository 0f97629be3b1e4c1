"""CPU time of the named encoders, by backend: `OMP_NUM_THREADS=1 python benchmarks/encoders.py`."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from quickstudy.encoders import Backend, Text, encoder, network
from quickstudy.models.frozen import frozen

RUNS = 9


def cpu(work: Callable[[], object], n: int = 1) -> str:
    """Median and range of the milliseconds of each of n inputs, once it has run."""
    work()
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append((time.process_time() - start) / n * 1000)
    return f"{np.median(times):.1f} ({min(times):.1f} to {max(times):.1f}) CPU ms"


def photographs(n: int) -> list[bytes]:
    """JPEG files of 640 x 480 pixels of random blotches."""
    rng = np.random.Generator(np.random.Philox(7))
    files = []
    for _ in range(n):
        small = Image.fromarray(rng.integers(0, 256, (30, 40, 3), dtype=np.uint8))
        file = io.BytesIO()
        small.resize((640, 480), Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def measure(backend: Backend) -> None:
    """Prints what one backend takes."""
    x = np.random.default_rng(0).integers(0, 256, (16, 3, 224, 224), dtype=np.uint8)
    texts = [Text("The train to Leipzig leaves at noon, and I want my money back.")] * 64
    files = photographs(6)
    photos, sentences = (network(encoder(name), backend) for name in ("photos", "sentences"))
    model = frozen(encoder("photos"), backend)

    def task() -> object:
        pictures = [Image.open(io.BytesIO(file)) for file in files]
        return model.adapt(pictures[:5], list("aabbb")).predict(pictures[5])

    print(f"{backend}: a photograph", cpu(lambda: photos.pictures(x), len(x)))
    print(f"{backend}: a sentence", cpu(lambda: sentences.texts(texts), len(texts)))
    print(f"{backend}: five photographs learned and one asked about", cpu(task))


if __name__ == "__main__":
    measure("torch")
    measure("onnx")
