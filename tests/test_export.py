"""Exported files: the numbers by hand, what is in them, and what cannot be done."""

from __future__ import annotations

import ast
import io
import json
import math
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
from PIL import Image, ImageDraw
from small import blobs, maml, prototypical, quick, sinusoid
from test_docs import ROOT, blocks
from torch import Tensor, nn

import quickstudy as qs
from quickstudy import QuickstudyError, UserError
from quickstudy.cli.main import main
from quickstudy.inputs.cells import cell
from quickstudy.inputs.frames import Reading, Rows
from quickstudy.inputs.labels import label_to_json
from quickstudy.inputs.rows import Categorical, Columns, Numeric
from quickstudy.learners import (
    InContext,
    NearestCentroid,
    NeuralProcess,
    PrototypicalNetwork,
    RidgeRegression,
)
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model
from quickstudy.nets import MLP, Conv4
from quickstudy.tasks import Pictures

X = np.array([[0, 0], [0, 1], [5, 5], [5, 6], [9, 0]], dtype=np.float32)
CENTROIDS = Model(NearestCentroid(), (2,), temperature=2.0)


def centroids() -> Adapted:
    return CENTROIDS.adapt(X, ["a", "a", "b", "b", "c"])


def network(net: nn.Module, temperature: float = 1.0) -> Adapted:
    model = Model(PrototypicalNetwork(net), (2,), temperature=temperature)
    return model.adapt(X, ["a", "a", "b", "b", "c"])


def in_onnx_runtime(content: bytes, x: Any) -> list[Any]:
    session = onnxruntime.InferenceSession(content)
    return list(session.run(None, {"queries": np.asarray(x, np.float32)}))


def in_torch(content: bytes, x: Any) -> list[Any]:
    program = torch.export.load(io.BytesIO(content)).module()
    return [each.numpy() for each in program(torch.as_tensor(x, dtype=torch.float32))]


RUN = {".onnx": in_onnx_runtime, ".pt2": in_torch}


@pytest.mark.parametrize("suffix", RUN)
def test_probabilities_by_hand(suffix: str) -> None:
    content = centroids().exported(suffix)
    means = np.array([[0, 0.5], [5, 5.5], [9, 0]])
    for queries in (X, np.array([[4.4, 1.6]]), np.array([[2.5, 2.9], [4, 1]])):
        logits = -((queries[:, None] - means) ** 2).sum(axis=2)
        shares = np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True)
        found = RUN[suffix](content, queries)
        np.testing.assert_allclose(found[0], logits, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found[1], shares, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found[1], centroids().predict_proba(queries), atol=1e-6)


@pytest.mark.parametrize("suffix", RUN)
def test_regression_gives_values_alone(suffix: str) -> None:
    y = np.stack([X @ [1, 2], X @ [3, -1]], axis=1) + 1
    adapted = Model(RidgeRegression(1e-4), (2,)).adapt(X, y)
    found = RUN[suffix](adapted.exported(suffix), X + 1)
    np.testing.assert_allclose(found[0], np.stack([X @ [1, 2] + 4, X @ [3, -1] + 3], 1), atol=0.01)
    np.testing.assert_allclose(found[0], adapted.predict(X + 1), rtol=1e-5)
    assert len(found) == 1


def test_a_trained_network_that_adapts(tmp_path: Path) -> None:
    source = sinusoid()
    quick(source, maml(source), tmp_path / "run")
    task = source.task("test", 0)
    adapted = qs.load(tmp_path / "run").adapt(task.support.x, task.support.y)
    for suffix, run in RUN.items():
        adapted.export(tmp_path / "new" / f"mine{suffix}")
        found = run((tmp_path / "new" / f"mine{suffix}").read_bytes(), task.query.x)
        np.testing.assert_allclose(found[0][:, 0], adapted.predict(task.query.x), atol=1e-5)


def test_what_is_in_the_file(tmp_path: Path) -> None:
    columns = Columns({"width": Numeric(1.0, 2.0, 1.5), "colour": Categorical(("red",))})
    net = PrototypicalNetwork(MLP((2,), (8,)))
    model = Model(net, (2,), columns, temperature=1.5)
    rows = [{"width": 1, "colour": "red"}, {"width": 3, "colour": "blue"}]
    adapted = model.adapt(rows, [("ä", 1), ("b", None)])
    content = adapted.exported(".onnx")
    session = onnxruntime.InferenceSession(content)
    found = session.get_modelmeta().custom_metadata_map
    assert found == {
        "quickstudy": qs.__version__,
        "learner": "PrototypicalNetwork",
        "fingerprint": model.fingerprint,
        "classes": json.dumps([{"tuple": ["b", None]}, {"tuple": ["ä", 1]}]),
        "temperature": "1.5",
        "preprocessing": json.dumps(columns.to_json()),
        "columns": '["width", "colour"]',
    }
    (given,) = session.get_inputs()
    assert (given.name, given.shape, given.type) == ("queries", ["n_queries", 2], "tensor(float)")
    outputs = [(each.name, each.shape) for each in session.get_outputs()]
    assert outputs == [("logits", ["n_queries", 2]), ("probabilities", ["n_queries", 2])]
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    about = {"quickstudy.json": ""}
    program = adapted.exported(".pt2")
    torch.export.load(io.BytesIO(program), extra_files=about)
    assert json.loads(about["quickstudy.json"]) == found
    # Neither the examples nor the folders of this machine.
    for each in (content, program):
        assert not any(row.numpy().tobytes() in each for row in adapted.support_x)
        assert str(ROOT).encode() not in each
        assert str(Path(torch.__file__).parent).encode() not in each


def strict(text: str) -> Any:
    """JSON as a reader takes it that has no other numbers than those of float64."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_int=float, parse_constant=refuse)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([2**60, 2**60 + 1], [{"int": str(2**60)}, {"int": str(2**60 + 1)}]),
        ([-(2**70), 2**53 - 1], [{"int": str(-(2**70))}, 2**53 - 1]),
        ([math.inf, 0.5], [0.5, {"float": "inf"}]),
        ([(1, 2**60), "a"], [{"tuple": [1, {"int": str(2**60)}]}, "a"]),
        ([True, False], [False, True]),
    ],
)
def test_labels_are_exact_for_every_reader(
    labels: list[Any], told: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = Columns({"a": Numeric(0.0, 1.0, 0.0), "b": Numeric(0.0, 1.0, 0.0)})
    model = Model(prototypical(blobs()), (2,), columns)
    adapted = model.adapt([{"a": 0, "b": 0}, {"a": 5, "b": 6}], labels)
    adapted.export(tmp_path / "mine.onnx", metadata_json=True)
    beside = strict((tmp_path / "mine.onnx.json").read_text())
    session = onnxruntime.InferenceSession(tmp_path / "mine.onnx")
    inside = session.get_modelmeta().custom_metadata_map
    assert beside["classes"] == strict(inside["classes"]) == told
    assert {**beside, "classes": 0} == {
        **{key: inside[key] for key in ("quickstudy", "learner", "fingerprint")},
        **{key: strict(inside[key]) for key in ("temperature", "preprocessing", "columns")},
        "classes": 0,
    }
    adapted.save(tmp_path / "mine.task")
    loaded = qs.load_task(tmp_path / "mine.task")
    assert loaded.classes == adapted.classes
    assert loaded.predict([{"a": 0, "b": 0}]).tolist() == [labels[0]]
    (tmp_path / "x.csv").write_text("a,b\n0,0\n")
    for command in ("predict", "explain"):
        assert main([command, str(tmp_path / "mine.task"), str(tmp_path / "x.csv"), "--json"]) == 0
        (row,) = strict(capsys.readouterr().out)
        said = row["prediction" if command == "predict" else "answer"]
        assert said == (
            str(labels[0])
            if isinstance(labels[0], tuple) and command == "explain"
            else label_to_json(labels[0])
        )


def test_in_float32_whatever_it_was_and_the_model_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    adapted = network(MLP((2,), (8,), "support").double())
    before = adapted.to_bytes()
    found = in_onnx_runtime(adapted.exported(".onnx"), X)
    np.testing.assert_allclose(found[1], adapted.predict_proba(X), atol=1e-5)
    assert found[1].dtype == np.float32
    assert adapted.to_bytes() == before
    assert adapted.model.learner.net.training is False  # type: ignore[union-attr]


class Folds(nn.Module):
    """Leaves a size open, which may be any where there is no query."""

    def forward(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], 1, -1).unflatten(-1, (2, -1)).reshape(x.shape[0], -1)


class NeedsOne(nn.Module):
    """Torch has no largest value of no rows."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0 * x.amax(dim=0)


@pytest.mark.parametrize("suffix", RUN)
@pytest.mark.parametrize(
    "learner",
    [PrototypicalNetwork(Folds()), NeuralProcess(nn.Linear(2, 4)), InContext(nn.Linear(2, 4))],
)
def test_no_queries_have_no_answers(learner: Any, suffix: str) -> None:
    adapted = Model(learner, (2,)).adapt(X, ["a", "a", "b", "b", "c"])
    content = adapted.exported(suffix)
    assert [each.shape for each in RUN[suffix](content, X[:0])] == [(0, 3), (0, 3)]
    np.testing.assert_allclose(RUN[suffix](content, X)[1], adapted.predict_proba(X), atol=1e-5)


# What cannot be done


class Branches(nn.Module):
    """Asks the values which way to go."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Counts(nn.Module):
    """`len` is a Python number."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x.new_ones(len(x), 1)


class Changes(nn.Module):
    """Computes something else while it is exported."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.01 if torch.compiler.is_exporting() else x


class Narrows(nn.Module):
    """Loses an output while it is exported."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :1].expand(-1, 2) * 2e38 if torch.compiler.is_exporting() else x


@pytest.mark.parametrize("suffix", RUN)
@pytest.mark.parametrize(
    ("net", "error", "words"),
    [
        (Branches(), UserError, "PrototypicalNetwork.*data-dependent.*branches on values.*save"),
        (NeedsOne(), UserError, "none too.*whose network needs one.*or export to .onnx"),
        (Counts(), UserError, r"Constraints violated.*x\.shape\[0\] for len\(x\)"),
        (Changes(), QuickstudyError, "must say what PyTorch says, within 0.0001; received logits"),
        (
            Narrows(),
            QuickstudyError,
            "must say what PyTorch says.*received logits that are (inf|nan)",
        ),
    ],
)
def test_a_file_that_would_be_wrong_is_not_written(
    net: nn.Module, error: type[Exception], words: str, suffix: str, tmp_path: Path
) -> None:
    if isinstance(net, NeedsOne) and suffix == ".onnx":
        assert in_onnx_runtime(network(net).exported(suffix), X[:0])[0].shape == (0, 3)
        return
    with pytest.raises(error, match=words):
        network(net).export(tmp_path / f"mine{suffix}")
    assert [*tmp_path.iterdir()] == []


def test_bad_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"must be .onnx or .pt2; received '.txt'"):
        centroids().export(tmp_path / "mine.txt")
    with pytest.raises(UserError, match="received ''"):
        centroids().export(tmp_path / "mine")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        centroids().export(tmp_path / "file" / "mine.pt2")
    with pytest.raises(UserError, match=r"labels: must be text.*received <class 'object'>"):
        CENTROIDS.adapt(X[:2], [object, object()]).exported(".pt2")
    for package in ("onnx", "onnxscript", "onnxruntime"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(UserError, match=rf"without {package}; run pip install 'quickstudy"):
                centroids().export(tmp_path / "mine.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    adapted = blobs_task(tmp_path)
    task, file = str(tmp_path / "mine.task"), tmp_path / "mine.onnx"
    assert main(["export", task, str(file), "--metadata-json"]) == 0
    assert json.loads((tmp_path / "mine.onnx.json").read_text())["classes"] == [0, 1, 2]
    assert "within 0.0001, on 0, 1, 2 and 7 queries" in capsys.readouterr().out
    x = adapted.support_x.numpy()
    found = in_onnx_runtime(file.read_bytes(), x)[1]
    np.testing.assert_allclose(found, adapted.predict_proba(x), atol=1e-5)
    for words, code, message in (
        (["export", task, str(tmp_path / "mine.task2")], 2, "received '.task2'"),
        (["export", task], 2, "file"),
        (["export", str(tmp_path / "none.task"), str(file)], 3, "no such file"),
        (["export", str(file), str(file)], 3, "expected a safetensors file"),
    ):
        assert main(words) == code
        assert message in capsys.readouterr().err


def blobs_task(folder: Path) -> Adapted:
    """A trained network, adapted and saved as `mine.task`."""
    source = blobs()
    quick(source, prototypical(source), folder / "run")
    support = source.task("test", 0).support
    adapted = qs.load(folder / "run").adapt(support.x, support.y.argmax(dim=1))
    adapted.save(folder / "mine.task")
    return adapted


# Elsewhere


def fresh(code: str, folder: Path) -> str:
    """What a new Python process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_task_file_says_the_same_in_another_process(tmp_path: Path) -> None:
    adapted = blobs_task(tmp_path)
    x = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import numpy as np, torch, quickstudy as qs\n"
        "torch.set_num_threads(1)\n"
        "print(qs.load_task('mine.task').predict_proba(np.load('x.npy')).tobytes().hex())"
    )
    assert fresh(code, tmp_path).strip() == adapted.predict_proba(x).tobytes().hex()


def without_quickstudy() -> str:
    """The code of the page that needs NumPy, Pillow and ONNX Runtime alone."""
    page = ROOT / "docs" / "export.md"
    before, after = (
        page.read_text(encoding="utf-8").split(f"## {title} without")[0].count("\n")
        for title in ("ONNX", "JavaScript")
    )
    code = [block.code for block in blocks(page, "python") if before < block.line < after]
    assert len(code) == 3, "to open and answer, drawings, rows"
    return "\n".join(code)


def defined_there(**given: Any) -> dict[str, Any]:
    """The functions of that code, and what they find given."""
    tree = ast.parse(without_quickstudy())
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    tree.body = [part for part in tree.body if isinstance(part, kinds)]
    exec(compile(tree, "docs/export.md", "exec"), given)
    return given


def draw(path: Path, size: tuple[int, int], mode: str = "RGB") -> Path:
    """A dark stroke on uneven paper."""
    light = np.linspace(180, 230, size[0])[None] + np.linspace(0, 20, size[1])[:, None]
    image = Image.fromarray(light.astype(np.uint8)).convert("RGB")
    ends = (size[0] * 0.2, size[1] * 0.3, size[0] * 0.7, size[1] * 0.6)
    ImageDraw.Draw(image).line(ends, fill=(20, 40, 90), width=1 + max(size) // 30)
    image.convert(mode).save(path)
    return path


def test_the_page_prepares_pictures_as_quickstudy_does(tmp_path: Path) -> None:
    sizes = {
        "wide.png": (90, 40),
        "tall.jpg": (60, 300),
        "small.bmp": (9, 7),
        "big.jpg": (2500, 1700),
    }
    paths = [draw(tmp_path / name, size) for name, size in sizes.items()]
    paths.append(draw(tmp_path / "grey.png", (50, 50), "L"))
    paths.append(draw(tmp_path / "palette.gif", (50, 60), "P"))
    turned = Image.Exif()
    turned[274] = 6
    with Image.open(paths[1]) as image:
        image.save(tmp_path / "turned.jpg", exif=turned)
    paths.append(tmp_path / "turned.jpg")
    for pictures, name in [
        (Pictures(28), "photo"),
        (Pictures(20, mode="RGB"), "photo"),
        (Pictures(28, ink=True), "drawing"),
        (Pictures(16, ink=True, fill=0.8), "drawing"),
    ]:
        prepare = defined_there(how=pictures.to_json())[name]
        for path in paths:
            difference = np.abs(255 * prepare(path) - pictures(path)).max()
            assert difference < 1e-4, (path.name, pictures)


OF_ROWS = {
    "plain": (
        ["1.5", "-2", "900"],
        ["1.5", "", " 4 ", "\u22121", 2, np.float32(0.25), "1e3"],
    ),
    "comma": (["1,5", "2.000,5"], ["1,5", "1.500", "2 000,5", 1.125, "none", None]),
    "thousands": (["1,500.5", "2"], ["1,500.5", "12,000", "7", "1'000", np.nan]),
    "unit": (["$1.5", "$2"], ["$1.5", "-$2", "3", "$ 4", "?", float("nan")]),
    "per cent": (["40 %", "2,5%"], ["40%", "\u20132,5 %", 7, pd.NA]),
    "zeros and ones": (["0", "1", "1"], [True, "true", 0, "0.0", False, "NaN"]),
    "truths": ([True, False], ["true", "False", 1, "0", "1.0", 0.0, None, "x"]),
    "names": (
        ["plus", "basic", "none"],
        [" plus", "basic ", "none", "new", "", None, pd.NA],
    ),
    "codes": (["a", "3", "3"], [3, "3.0", 3.0, " a", np.int64(3)]),
    "days": ([date(2024, 1, 1), "b"], ["2024-01-01", pd.Timestamp("2024-01-01"), pd.NaT]),
}


@pytest.mark.parametrize("missing", [None, "-,-999"])
def test_the_page_prepares_rows_as_quickstudy_does(missing: str | None) -> None:
    """For every cell that quickstudy takes, in columns of every kind."""
    for fitted, asked in OF_ROWS.values():
        cells = [cell(value) for value in [*fitted, None]]
        table = Rows(("x",), [cells], Reading.of(missing))
        columns = Columns.of(table, indicators=len(asked) % 2 == 0)
        row = defined_there(how=json.loads(json.dumps(columns.to_json())))["row"]
        words = ["-", "-999", -999.0] if missing else asked
        for value in words:
            np.testing.assert_allclose(row({"x": value}), columns({"x": value}), rtol=1e-6)


def test_the_code_of_the_page_needs_neither_quickstudy_nor_torch(tmp_path: Path) -> None:
    paths = [draw(tmp_path / f"photo{i}.png", (20 + 9 * i, 40)) for i in range(1, 5)]
    model = Model(
        PrototypicalNetwork(Conv4((1, 28, 28), hidden=4, norm="layer")), (1, 28, 28), Pictures(28)
    )
    adapted = model.adapt(paths[:3], ["cup", "cup", "plate"])
    adapted.export(tmp_path / "mine.onnx")
    absent = "import sys\nsys.modules |= {'torch': None, 'quickstudy': None}\n"
    found = fresh(f"{absent}{without_quickstudy()}\nprint(probabilities.tolist())", tmp_path)
    want = adapted.predict_proba([paths[2], paths[3]])
    np.testing.assert_allclose(json.loads(found), want, rtol=0, atol=1e-5)
