"""The JavaScript of docs/export.md, run by Node: rows, photos and labels as quickstudy has them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import blobs, prototypical
from test_docs import ROOT, blocks
from test_export import OF_ROWS, draw

from quickstudy.inputs.frames import cell
from quickstudy.inputs.rows import Columns, Numeric, Reading, Rows
from quickstudy.learners import PrototypicalNetwork
from quickstudy.models.model import Model
from quickstudy.nets import Conv4
from quickstudy.tasks import Pictures

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="needs node")


def in_node(code: str, folder: Path, data: Any = None) -> Any:
    """What code prints as JSON, after the functions of the page; `data` is what it is given."""
    prepare, rows, answer, _ = (block.code for block in blocks(ROOT / "docs" / "export.md", "js"))
    needed = [prepare, rows, *([answer] if "ask(" in code else [])]
    (folder / "data.json").write_text(json.dumps(data))
    read = "const data = JSON.parse(require('node:fs').readFileSync('data.json'));"
    (folder / "page.js").write_text("\n".join([*needed, read, code]))
    done = subprocess.run(
        [str(NODE), "page.js"],
        cwd=folder,
        env=os.environ | {"NODE_PATH": packages()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def packages() -> str:
    """The folders in which Node looks for packages: those it is told of, and the global one."""
    npm = shutil.which("npm")
    told = os.environ.get("NODE_PATH", "")
    if told or npm is None:
        return told
    return subprocess.run([npm, "root", "-g"], capture_output=True, text=True).stdout.strip()


@cache
def has_runtime() -> bool:
    """Whether Node finds the package onnxruntime-node."""
    code = "require.resolve('onnxruntime-node')"
    env = os.environ | {"NODE_PATH": packages()}
    return not subprocess.run([str(NODE), "-e", code], env=env, capture_output=True).returncode


needs_runtime = pytest.mark.skipif(
    NODE is None or not has_runtime(),
    reason="needs the npm package onnxruntime-node, in a folder that NODE_PATH names",
)


def test_rows_are_read_as_here(tmp_path: Path) -> None:
    """For every cell of the rows that JSON can hold, in columns of every kind."""
    data, want = [], []
    for missing in (None, "-,-999"):
        for number, (fitted, asked) in enumerate(OF_ROWS.values()):
            table = Rows(("x",), [[cell(v) for v in [*fitted, None]]], Reading.of(missing))
            columns = Columns.of(table, indicators=number % 2 == 0)
            for value in ["-", "-999", -999.0] if missing else asked:
                if isinstance(value, str | int | None) or (type(value) is float and value == value):
                    about = {"preprocessing": columns.to_json(), "columns": [*columns.columns]}
                    data.append([{"x": value}, about])
                    want.append(columns({"x": value}).tolist())
    assert len(want) > 50
    found = in_node(
        "console.log(JSON.stringify(data.map(([c, about]) => [...row(c, about)])))", tmp_path, data
    )
    for x, reference, (cells, _) in zip(found, want, data, strict=True):
        np.testing.assert_allclose(x, reference, rtol=1e-6, err_msg=str(cells))


def pixels(path: Path) -> dict[str, Any]:
    """A picture as a canvas gives it."""
    with Image.open(path) as image:
        data = np.asarray(image.convert("RGBA"))
    return {"width": data.shape[1], "height": data.shape[0], "data": data.ravel().tolist()}


def test_photos_are_prepared_as_here(tmp_path: Path) -> None:
    sizes = {"wide.png": (90, 40), "tall.png": (60, 200), "small.png": (9, 7), "even.png": (56, 3)}
    paths = [draw(tmp_path / name, size) for name, size in sizes.items()]
    data = []
    for kind in (Pictures(28), Pictures(20, mode="RGB")):
        data += [[pixels(path), kind.to_json(), kind(path).ravel().tolist()] for path in paths]
    code = "console.log(JSON.stringify(data.map(([p, how]) => [...photo(p, how)])))"
    for found, (_, how, want) in zip(in_node(code, tmp_path, data), data, strict=True):
        difference = np.abs(255 * np.array(found) - want)
        assert difference.max() < 1.01, how  # Pillow rounds in whole numbers.
        assert (difference > 0.01).mean() < 0.01


def test_labels_are_read_exactly(tmp_path: Path) -> None:
    labels = [{"int": str(2**60 + 1)}, {"float": "-inf"}, {"tuple": ["a", 1]}, "b", 2, True]
    code = "console.log(JSON.stringify(data.map((l) => String(label(l)) + typeof label(l))))"
    assert in_node(code, tmp_path, labels) == [
        f"{2**60 + 1}bigint",
        "-Infinitynumber",
        "a,1object",
        "bstring",
        "2number",
        "trueboolean",
    ]


@needs_runtime
def test_a_file_answers_rows_and_photos_as_here(tmp_path: Path) -> None:
    torch.manual_seed(0)
    columns = Columns({"2": Numeric(1.0, 2.0, 1.5), "1": Numeric(0.0, 1.0, 0.0)})
    rows = [{"2": 1, "1": "-2"}, {"2": None, "1": 0.5}, {"2": "4", "1": "1e1"}]
    of_rows = Model(prototypical(blobs()), (2,), columns).adapt(rows, ["a", "b", 2**60])
    paths = [draw(tmp_path / f"{i}.png", (20 + 9 * i, 40)) for i in range(3)]
    net = Conv4((1, 28, 28), hidden=4, norm="layer")
    kind = Pictures(28)
    of_photos = Model(PrototypicalNetwork(net), (1, 28, 28), kind).adapt(paths, ["x", "x", "y"])
    for adapted, inputs, given, prepare in (
        (of_rows, rows, rows, "row"),
        (
            of_photos,
            paths,
            [pixels(p) for p in paths],
            "(p, about) => photo(p, about.preprocessing)",
        ),
    ):
        adapted.export(tmp_path / "mine.onnx", metadata_json=True)
        code = (
            f"ask('mine.onnx', data, {prepare}).then((all) => console.log(JSON.stringify("
            "all.map((a) => [a.probabilities, String(a.label)]))))"
        )
        want = adapted.predict_proba(inputs)
        answers = in_node(code, tmp_path, given)
        np.testing.assert_allclose([a[0] for a in answers], want, atol=2e-3)
        assert [a[1] for a in answers] == [str(label) for label in adapted.predict(inputs)]
        assert in_node(code, tmp_path, []) == []
