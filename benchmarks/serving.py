"""How long a prediction takes over HTTP, and what live tasks take of memory.

    python benchmarks/serving.py runs/glyphs --tasks 1000

Starts `quickstudy serve` on loopback with a fresh database, and prints JSON: the median time of a
bare forward pass of one query, of a prediction over HTTP with and without the nearest examples; the
server's processor time for one; and its memory before and after the tasks, all of which are adapted
and at hand.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from PIL import Image, ImageDraw

import quickstudy as qs
from quickstudy.files.machine import machine

WAYS, SHOTS = 5, 5


def drawing(shape: int, seed: int) -> Image.Image:
    """One of five shapes, a little moved, of 28 pixels a side."""
    image = Image.new("L", (28, 28), 255)
    pen, o = ImageDraw.Draw(image), 3 + seed % 5
    (
        lambda: pen.ellipse((o, 4, 24, 24), outline=0, width=2),
        lambda: pen.line((o, 4, 24, 24), fill=0, width=2),
        lambda: pen.rectangle((o, 5, 24, 24), outline=0, width=2),
        lambda: pen.line((o, 24, 14, 4, 24, 24), fill=0, width=2),
        lambda: pen.arc((o, 4, 24, 24), 0, 180, fill=0, width=2),
    )[shape]()
    return image


def b64(image: Image.Image) -> dict[str, Any]:
    out = io.BytesIO()
    image.save(out, "PNG")
    return {"image": {"b64": base64.b64encode(out.getvalue()).decode()}}


def median_ms(work: Callable[[], object], n: int) -> float:
    """Median milliseconds of a call, after some that are not counted."""
    for _ in range(n // 10 + 1):
        work()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - start))
    return round(statistics.median(times), 3)


def processor_seconds(pid: int) -> float:
    """Seconds of the processor that a process has had, on Linux; other work does not change it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory of a process, on Linux."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="run of a model of pictures")
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--requests", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    shots = [(way, seed) for way in range(WAYS) for seed in range(SHOTS)]
    adapted = qs.load(options.run).adapt(
        [drawing(way, seed) for way, seed in shots], [str(way) for way, _ in shots]
    )
    x = adapted.model.inputs([drawing(0, 9)])[0]
    with torch.no_grad():
        bare = median_ms(lambda: adapted.model.learner.predict(adapted.state, x), options.requests)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "quickstudy", "serve", str(options.run)]
        words += ["--port", str(port), "--data-dir", folder]
        server = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        try:
            found = measure(server.pid, port, options.run, options.tasks, options.requests)
        finally:
            server.terminate()
            server.wait()
    found = {"bare_forward_ms": bare, **found, **machine()}
    found["within_2.5_forwards_and_3_ms"] = found["predict_ms"] <= 2.5 * bare + 3
    print(json.dumps(found, indent=2))


def measure(pid: int, port: int, run: Path, n_tasks: int, n_requests: int) -> dict[str, Any]:
    """What a server that runs takes."""
    name = run.resolve().name
    tasks = f"/v1/models/{name}/tasks"
    support = [
        {"label": str(way), **b64(drawing(way, seed))}
        for way in range(WAYS)
        for seed in range(SHOTS)
    ]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for _ in range(600):
            try:
                client.get("/readyz").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        client.post(f"{tasks}?task_id=t0", json={"support": support}).raise_for_status()
        ask = {"query": [b64(drawing(0, 9))]}

        def predict(nearest: int) -> Callable[[], object]:
            body = json.dumps(ask | {"nearest": nearest}).encode()
            headers = {"Content-Type": "application/json"}
            return lambda: client.post(f"{tasks}/t0:predict", content=body, headers=headers)

        times = {
            "healthz_ms": median_ms(lambda: client.get("/healthz"), n_requests),
            "predict_ms": median_ms(predict(0), n_requests),
            "predict_with_nearest_ms": median_ms(predict(3), n_requests),
        }
        used = processor_seconds(pid)
        for _ in range(n_requests):
            predict(0)()
        times["predict_cpu_ms"] = round(1000 * (processor_seconds(pid) - used) / n_requests, 3)
        before, start = resident(pid), time.perf_counter()
        for i in range(1, n_tasks):
            order = np.random.default_rng(i).permutation(len(support))
            body = {"support": [support[j] for j in order]}
            client.post(f"{tasks}?task_id=t{i}", json=body).raise_for_status()
        seconds = time.perf_counter() - start
        after = resident(pid)
        metrics = client.get("/metrics").text
        cached = float(metrics.split("\nquickstudy_task_cache_bytes ")[1].split("\n")[0])
        live = float(metrics.split("\nquickstudy_tasks_live ")[1].split("\n")[0])
    return times | {
        "tasks": int(live),
        "examples_a_task": len(support),
        "create_ms": round(1000 * seconds / max(n_tasks - 1, 1), 3),
        "memory_before": before,
        "memory_after": after,
        "bytes_a_task": (after - before) // max(n_tasks - 1, 1),
        "cache_bytes": int(cached),
    }


if __name__ == "__main__":
    main()
