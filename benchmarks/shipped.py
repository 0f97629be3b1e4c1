"""Measures the models that ship with quickstudy on handwriting that they have never seen.

    python benchmarks/shipped.py DATA                      prints the numbers
    python benchmarks/shipped.py DATA --record             and writes them into the cards
    python benchmarks/shipped.py DATA --run RUN --record   ships a run as `drawings` first

DATA holds `omniglot` (the two original zips and Vinyals's `splits/vinyals_test.txt`),
`usps/usps.npz` and `mnist/t10k-*.gz`. A run that is to ship is made by the recipe beside the
shipped model:

    quickstudy reproduce src/quickstudy/shipped/drawings/recipe.yaml --out drawings --record
    quickstudy evaluate drawings --n-way 5 --n-shot 1 --n-query 15 --json evaluation.json

The last file is laid beside the others for the page "in the lab" of a server.

Episode e draws with numpy's RandomState(e): the classes, then of each class the support and up to
15 queries. No model is trained or chosen on these data.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import quickstudy as qs
from quickstudy.files.machine import machine
from quickstudy.files.records import today
from quickstudy.files.rundir import RunDirectory
from quickstudy.files.shipped import FOLDER
from quickstudy.inputs import Encoded
from quickstudy.metrics import half_width
from quickstudy.models.named import CARD

N_EPISODES, N_WAY, SHOTS, N_QUERY = 200, 5, (1, 5), 15
N_CHARACTERS, N_USPS, N_MNIST = 150, 140, 150


def omniglot(folder: Path) -> tuple[list[Any], np.ndarray]:
    """150 of the 423 characters of Vinyals's meta-test split, upright, 20 drawings of each."""
    lines = (folder / "splits" / "vinyals_test.txt").read_text().split()
    every = sorted(line.removesuffix("/rot000") for line in lines if line.endswith("/rot000"))
    chosen = np.random.RandomState(0).permutation(len(every))[:N_CHARACTERS]
    names = {every[place]: number for number, place in enumerate(sorted(chosen))}
    pictures, labels = [], []
    for file in sorted(folder.glob("images_*.zip")):
        with zipfile.ZipFile(file) as archive:
            for member in sorted(archive.namelist()):
                character = "/".join(member.split("/")[1:3])
                if member.endswith(".png") and character in names:
                    pictures.append(Image.open(io.BytesIO(archive.read(member))).convert("L"))
                    labels.append(names[character])
    return pictures, np.array(labels)


def usps(folder: Path) -> tuple[list[Any], np.ndarray]:
    """140 of the test part for each digit."""
    with np.load(folder / "usps.npz") as arrays:
        x, y = arrays["x_test"], arrays["y_test"].astype(int)
    chosen = some_of_each(y, N_USPS)
    return list(np.rint(255 * x[chosen]).astype(np.uint8)), y[chosen]


def mnist(folder: Path) -> tuple[list[Any], np.ndarray]:
    """150 of the test part for each digit."""
    content = gzip.decompress((folder / "t10k-images-idx3-ubyte.gz").read_bytes())
    x = np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28)
    content = gzip.decompress((folder / "t10k-labels-idx1-ubyte.gz").read_bytes())
    y = np.frombuffer(content, np.uint8, offset=8).astype(int)
    chosen = some_of_each(y, N_MNIST)
    return list(x[chosen]), y[chosen]


DATA = {"Omniglot": omniglot, "USPS": usps, "MNIST": mnist}


def some_of_each(y: np.ndarray, n: int) -> np.ndarray:
    """The places of n examples of each class, drawn with seed 0."""
    random = np.random.RandomState(0)
    return np.concatenate([random.permutation(np.flatnonzero(y == c))[:n] for c in np.unique(y)])


def accuracies(model: qs.Model, x: Any, y: np.ndarray, n_shot: int) -> np.ndarray:
    """The accuracy of each episode; x is encoded."""
    places = [np.flatnonzero(y == c) for c in np.unique(y)]
    values = []
    for episode in range(N_EPISODES):
        random = np.random.RandomState(episode)
        support, query = [], []
        for c in random.choice(len(places), N_WAY, replace=False):
            order = random.permutation(places[c])
            support += order[:n_shot].tolist()
            query += order[n_shot : n_shot + N_QUERY].tolist()
        adapted = model.adapt(Encoded(x[support]), y[support])
        values.append(float((adapted.predict(Encoded(x[query])) == y[query]).mean()))
    return np.array(values)


def ship(run: Path, to: Path) -> None:
    """Copies a run into the package, without what training goes on from and where it was made.

    The record of a run holds a digest of each split beside the names of its classes, which are
    4,083 here; the digests alone say whether data are those of the run.
    """
    source = RunDirectory(run)
    record = source.read()
    for split in record["data"]["splits"].values():
        for key in ("names", "examples", "digests"):
            split.pop(key, None)
    record["config"]["out"] = to.name
    for old in [*to.glob("*.safetensors"), to / "run.json"]:
        old.unlink(missing_ok=True)
    RunDirectory(to).save(record | {"files": {}}, {"weights": source.content("weights")})
    shutil.copyfile(run / "metrics.jsonl", to / "metrics.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--name", default="drawings")
    parser.add_argument("--run", type=Path)
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    if options.run is not None:
        ship(options.run, FOLDER / options.name)
    model = qs.model(options.name)
    results = []
    for data, read in DATA.items():
        pictures, y = read(options.data / data.lower())
        x = model.inputs(pictures).x
        for n_shot in SHOTS:
            values = accuracies(model, x, y, n_shot)
            results.append(
                {
                    "data": data,
                    "sample": read.__doc__.removesuffix("."),
                    "setting": f"{N_WAY}-way {n_shot}-shot",
                    "metric": "accuracy",
                    "accuracy": round(float(values.mean()), 5),
                    "ci95": round(float(half_width(values)), 5),
                    "n_tasks": N_EPISODES,
                    "seed": f"0 .. {N_EPISODES - 1}, one an episode",
                    "date": today(),
                    **machine(),
                    "command": f"python benchmarks/{Path(sys.argv[0]).name} DATA --record",
                }
            )
            print(data, results[-1]["setting"], results[-1]["accuracy"], results[-1]["ci95"])
    if options.record:
        card = FOLDER / options.name / CARD
        content = json.loads(card.read_text(encoding="utf-8")) | {"results": results}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        card.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
