"""What a user holds: adapted from anything, honest about itself, saved and read back bit by bit."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image
from small import blobs, maml, prototypical, quick, sinusoid
from torch import nn

import quickstudy as qs
from quickstudy import CheckpointError, UserError, load_task
from quickstudy.evaluation.cross_validation import held_out
from quickstudy.files.rundir import tensor_seal, tensors_from_bytes, tensors_to_bytes
from quickstudy.inputs.rows import Columns
from quickstudy.learner import Learner
from quickstudy.learners import MAML, NearestCentroid, PrototypicalNetwork
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model
from quickstudy.models.saved import task_from_bytes
from quickstudy.models.task_files import TASK_FORMAT
from quickstudy.nets import MLP, SharedLinear
from quickstudy.nets.norm import NormKind
from quickstudy.task import Examples
from quickstudy.tasks import Episodes, Pictures, arrays

RNG = np.random.default_rng(0)
X = np.array([[0, 0], [0, 1], [5, 5], [5, 6], [9, 0]], dtype=np.float32)
CENTROIDS = Model(NearestCentroid(), (2,))


def adapted(y: Any) -> Adapted:
    return CENTROIDS.adapt(X, y)


@pytest.mark.parametrize(
    "y",
    [
        ["a", "a", "b", "b", "c"],
        [3, 3, 7, 7, -1],
        [0.5, 0.5, 1.5, 1.5, 2.5],
        [(1, "x"), (1, "x"), (2, "y"), (2, "y"), (3, None)],
        [True, True, "True", "True", 7],
        [1, 1, "1", "1", (1,)],
        [False, False, True, True, "c"],
        ["ä", "ä", "日本", "日本", ""],
        np.array(["a", "a", "b", "b", "c"]),
        np.array([3, 3, 7, 7, -1]),
        torch.tensor([3, 3, 7, 7, -1]),
        [np.int64(3), np.int64(3), torch.tensor(7), torch.tensor(7), np.str_("c")],
    ],
    ids=str,
)
def test_any_hashable_labels(y: Any, tmp_path: Path) -> None:
    """Unequal shots too: the last class has one example."""
    model = adapted(y)
    plain = y.tolist() if hasattr(y, "tolist") else [getattr(v, "item", lambda v=v: v)() for v in y]
    assert model.predict(X + 0.1).tolist() == plain
    assert [type(label) for label in model.predict(X).tolist()] == [type(v) for v in plain]
    assert model.predict(X[2]) == plain[2]
    assert model.classes_ is not None
    assert set(model.classes_.tolist()) == set(plain)
    proba = model.predict_proba(X)
    assert proba.shape == (5, 3)
    assert [model.classes_.tolist()[i] for i in proba.argmax(axis=1)] == plain
    model.save(tmp_path / "mine.task")
    again = load_task(tmp_path / "mine.task", NearestCentroid())
    assert again.labels == plain
    assert [type(label) for label in again.labels] == [type(label) for label in plain]
    assert np.array_equal(again.predict_proba(X), proba)


def test_classes_are_sorted_where_they_can_be() -> None:
    found = adapted(["b", "b", "a", "a", "c"]).classes_
    assert found is not None
    assert found.tolist() == ["a", "b", "c"]
    mixed = adapted(["b", "b", 1, 1, "a"]).classes_
    assert mixed is not None
    assert mixed.tolist() == ["b", 1, "a"]


def test_probabilities_by_hand() -> None:
    model = CENTROIDS.adapt([[0.0, 0.0], [1.0, 0.0]], ["a", "b"])
    one, zero = np.exp(-0.25), np.exp(-0.25)
    np.testing.assert_allclose(model.predict_proba([[0.5, 0.0]]), [[one, zero]] / (one + zero))
    far = np.exp([-0.0625, -0.5625])
    np.testing.assert_allclose(model.predict_proba([0.25, 0.0]), far / far.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    "kind",
    [list, np.array, np.float32, torch.tensor],
    ids=["list", "array", "float32", "tensor"],
)
def test_arrays_of_any_kind_and_one_or_many(kind: Any) -> None:
    model = CENTROIDS.adapt(kind(X.tolist()), ["a", "a", "b", "b", "c"])
    assert model.predict(kind(X.tolist())).tolist() == ["a", "a", "b", "b", "c"]
    assert model.predict(kind(X[3].tolist())) == "b"
    assert model.predict_proba(kind(X[3].tolist())).shape == (3,)


def picture(value: int, size: int = 8, mode: str = "L") -> Image.Image:
    """A bright square in one corner of four."""
    pixels = np.zeros((size, size), dtype=np.uint8)
    row, column = divmod(value, 2)
    half = size // 2
    pixels[row * half : (row + 1) * half, column * half : (column + 1) * half] = 200
    return Image.fromarray(pixels).convert(mode)


def pixels(value: int) -> np.ndarray[Any, Any]:
    return np.asarray(picture(value))


def test_pictures_of_any_kind(tmp_path: Path) -> None:
    model = Model(NearestCentroid(), (1, 8, 8), Pictures(size=8))
    paths = []
    for value in range(4):
        paths.append(tmp_path / f"{value}.png")
        picture(value, size=32).save(paths[-1])
    forms: dict[str, list[Any]] = {
        "paths": paths,
        "text": [str(path) for path in paths],
        "bytes": [path.read_bytes() for path in paths],
        "PIL": [picture(value) for value in range(4)],
        "another size and mode": [picture(value, size=40, mode="RGB") for value in range(4)],
        "uint8": [pixels(value) for value in range(4)],
        "colour": [np.asarray(picture(value, mode="RGB")) for value in range(4)],
    }
    clf = model.adapt(forms["PIL"], list("abcd"))
    for name, queries in forms.items():
        assert clf.predict(queries).tolist() == list("abcd"), name
        assert [clf.predict(query) for query in queries] == list("abcd"), name
        assert model.adapt(queries, list("abcd")).predict(paths[2]) == "c", name
    stacked = np.stack(forms["uint8"])
    for many in (stacked, torch.from_numpy(stacked), stacked[:, None] / 255.0):
        assert clf.predict(many).tolist() == list("abcd")
    one = torch.from_numpy(stacked[1])
    assert clf.predict(one) == "b"
    assert clf.predict_proba(one).shape == (4,)
    assert clf.update(paths[0], "e").predict(forms["PIL"]).tolist()[1:] == list("bcd")


class Column:
    """A column of a data frame, as far as arrays know it."""

    ndim = 1

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.values, dtype=dtype or object)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values)


def test_update_returns_a_new_model() -> None:
    old = CENTROIDS.adapt(X[:4], ["a", "a", "b", "b"])
    before = old.predict_proba(X)
    new = old.update(X[4:], ["c"])
    assert np.array_equal(old.predict_proba(X), before)
    assert old.classes_ is not None
    assert old.classes_.tolist() == ["a", "b"]
    whole = adapted(["a", "a", "b", "b", "c"])
    np.testing.assert_allclose(new.predict_proba(X), whole.predict_proba(X), rtol=1e-5, atol=1e-7)
    assert old.update(X[4], "c").predict(X[4]) == "c"
    assert old.update(X[4], Column(["c"])).predict(X[4]) == "c"
    assert old.update([X[4], X[4] + 1], np.array(["c", "d"])).labels[-2:] == ["c", "d"]
    with pytest.raises(UserError, match=r"1 examples and 2 labels"):
        old.update(X[4:], ["c", "d"])


def test_without_is_as_if_never_seen() -> None:
    old = adapted(["a", "a", "b", "b", "c"])
    rest = old.without([1, 4])
    assert rest.labels == ["a", "b", "b"]
    want = CENTROIDS.adapt(X[[0, 2, 3]], ["a", "b", "b"])
    np.testing.assert_allclose(rest.predict_proba(X), want.predict_proba(X), rtol=1e-5, atol=1e-7)
    assert len(old.labels) == 5
    assert old.without(4).classes == ["a", "b"]
    for wrong in ([], 5, [-1], [0, 9], np.zeros(5, dtype=bool)):
        with pytest.raises(UserError, match=r"0 \.\. 4"):
            old.without(wrong)
    mask = np.array([False, True, False, False, True])
    for same in (
        [1, 4], {4, 1}, (np.int64(1), np.uint8(4)), np.array([4, 1, 4]), torch.tensor([1, 4]),
        range(1, 5, 3), mask, mask.tolist(), torch.from_numpy(mask), list(mask),
    ):  # fmt: skip
        assert old.without(same).labels == ["a", "b", "b"]
    for one in (4, np.int64(4), np.array(4), torch.tensor(4)):
        assert old.without(one).labels == ["a", "a", "b", "b"]
    for wrong in (mask[:4], [True, 0, 1, 2, 3], [[True, False]] * 5, True, 1.0, [0.5], "1", None):
        with pytest.raises(UserError, match=r"without: (a mask must have|examples are named by)"):
            old.without(wrong)
    with pytest.raises(UserError, match="two classes"):
        rest.without([1, 2])


def test_not_sure_is_none() -> None:
    model = CENTROIDS.adapt([[0.0, 0.0], [2.0, 0.0]], ["a", "b"])
    queries = [[0.0, 0.0], [0.9, 0.0]]
    # The logits are -d^2: 0 and -4; -0.81 and -1.21.
    sure = 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(-0.4))
    for least, want in ((0, ["a", "a"]), (sure[1] + 1e-6, ["a", None]), (1, [None, None])):
        assert model.predict(queries, min_confidence=least).tolist() == want
        assert [model.predict(q, min_confidence=least) for q in queries] == want
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UserError, match="min_confidence"):
            model.predict(queries, min_confidence=wrong)
    with pytest.raises(UserError, match="min_confidence"):
        Model(Mean(), (1,)).adapt([[0.0]], [1.0]).predict([[0.0]], min_confidence=0.5)


def test_temperature_divides_the_logits() -> None:
    x, y = [[0.0, 0.0], [2.0, 0.0]], ["a", "b"]
    warm = Model(NearestCentroid(), (2,), temperature=4.0).adapt(x, y)
    assert warm.predict_proba([0.0, 0.0])[0] == pytest.approx(1 / (1 + np.exp(-1)))
    assert warm.predict([0.0, 0.0], min_confidence=0.9) is None
    again = task_from_bytes(warm.to_bytes(), "warm", NearestCentroid())
    assert np.array_equal(again.predict_proba(X), warm.predict_proba(X))
    assert warm.model.fingerprint != CENTROIDS.fingerprint


@pytest.mark.parametrize("learner", ["PrototypicalNetwork", "MAML", "RidgeHead", "MatchingNetwork"])
def test_a_batch_of_tasks_is_each_of_them(learner: str) -> None:
    made = qs.build(learner, blobs(), net="MLP").double()
    model = Model(made, (2,))
    rng = np.random.default_rng(1)
    tasks = [
        (rng.normal(size=(len(y), 2)), list(y)) for y in ["aabb", "ab", "bbaa", "abcabc", "aabb"]
    ]
    x = rng.normal(size=(7, 2))
    found = model.adapt_batch(iter(tasks))
    assert [clf.labels for clf in found] == [y for _, y in tasks]
    for clf, task in zip(found, tasks, strict=True):
        alone = model.adapt(*task)
        np.testing.assert_allclose(clf.predict_proba(x), alone.predict_proba(x), rtol=1e-8)
        assert clf.state_bytes == alone.state_bytes > 0
    assert model.adapt_batch([]) == []
    with pytest.raises(UserError, match=r"task 1: adapt: needs examples of two classes"):
        model.adapt_batch([tasks[0], (x, ["a"] * 7)])


def test_a_file_without_the_model_is_small_and_needs_it(tmp_path: Path) -> None:
    model = trained("PrototypicalNetwork", "population", tmp_path / "run")
    clf = model.adapt(torch.rand(6, 1, 16, 16), list("aabbcc"))
    clf.save(tmp_path / "small.task", model=False)
    x = torch.rand(4, 1, 16, 16)
    again = load_task(tmp_path / "small.task", model=qs.load(tmp_path / "run"))
    assert np.array_equal(again.predict_proba(x), clf.predict_proba(x))
    assert len(clf.to_bytes(model=False)) < len(clf.to_bytes()) - 4 * 8 * 8 * 9
    with pytest.raises(UserError, match="model="):
        load_task(tmp_path / "small.task")
    other = trained("PrototypicalNetwork", "population", tmp_path / "other", seed=1)
    with pytest.raises(CheckpointError, match="fingerprint"):
        load_task(tmp_path / "small.task", model=other)


def test_quality_is_cross_validated() -> None:
    """Leaving out the stray example of each class, the centroids are wrong about it alone."""
    x = [[0.0], [1.0], [2.0], [9.0], [10.0], [11.0], [12.0], [3.0]]
    y = ["a", "a", "a", "a", "b", "b", "b", "b"]
    found = Model(NearestCentroid(), (1,)).adapt(x, y).quality()
    assert (found.metric, found.value, found.n, found.folds) == ("accuracy", 6 / 8, 8, 4)
    # Wilson's interval for 6 of 8: the roots of (p - 6/8)^2 = z^2 p (1 - p) / 8.
    a, b, c = 1 + 1.96**2 / 8, -(2 * 0.75 + 1.96**2 / 8), 0.75**2
    low, high = sorted(np.roots([a, b, c]))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.warning is not None
    assert f"{100 * (high - low):.0f} points" in found.warning
    perfect = adapted(["a", "a", "b", "b", "b"]).quality(max_folds=2)
    assert perfect.folds == 2
    assert perfect.high <= 1
    many = np.arange(40.0)[:, None]
    sure = Model(NearestCentroid(), (1,)).adapt(many, ["low"] * 20 + ["high"] * 20).quality()
    assert sure.warning is None


@pytest.mark.parametrize("learner", ["PrototypicalNetwork", "MAML", "RidgeHead", "InContext"])
def test_quality_is_that_of_models_adapted_to_fewer_examples(learner: str) -> None:
    """Folds are examples of weight 0; here they are really left out."""
    source = blobs()
    made = qs.build(learner, source, net=None if learner == "InContext" else "MLP")
    model = Model(made.double(), (2,))
    x, y = torch.randn(9, 2, dtype=torch.float64), list("aaabbbccc")
    fold = torch.tensor([0, 1, 2] * 3)
    out = held_out(model.learner, model.adapt(x, y).support, fold)
    for k in range(3):
        rest = [i for i in range(9) if fold[i] != k]
        alone = model.adapt(x[rest], [y[i] for i in rest])
        want = model.learner.predict(alone.state, x[fold == k])
        torch.testing.assert_close(out[fold == k], want, rtol=1e-8, atol=1e-10)


def test_quality_of_a_regression() -> None:
    """A model that answers with the mean of its support: each fold's error by hand."""
    found = Model(Mean(), (1,)).adapt([[0.0]] * 3, [0.0, 3.0, 6.0]).quality()
    errors = np.array([(4.5 - 0) ** 2, 0.0, (1.5 - 6) ** 2])
    half = 1.96 * errors.std(ddof=1) / np.sqrt(3)
    assert (found.metric, found.n, found.folds) == ("mse", 3, 3)
    assert (found.value, found.low) == pytest.approx((errors.mean(), max(errors.mean() - half, 0)))
    assert found.high == pytest.approx(errors.mean() + half)
    assert found.warning is not None
    assert list(found.to_json()) == ["metric", "value", "low", "high", "n", "folds", "warning"]


class MeanState(NamedTuple):
    mean: torch.Tensor


class Mean(Learner[MeanState]):
    kind = "regression"

    def adapt(self, support: Examples) -> MeanState:
        return MeanState((support.weight @ support.y) / support.weight.sum())

    def predict(self, state: MeanState, x: torch.Tensor) -> torch.Tensor:
        return state.mean.expand(len(x), -1)


def test_quality_needs_two_examples() -> None:
    with pytest.raises(UserError, match="two examples of every class"):
        adapted(["a", "a", "b", "b", "c"]).quality()
    with pytest.raises(UserError, match="max_folds"):
        adapted(["a", "a", "b", "b", "b"]).quality(max_folds=1)
    with pytest.raises(UserError, match="two examples"):
        Model(Mean(), (1,)).adapt([[0.0]], [1.0]).quality()


NAN = np.array([[0.0, 0.0], [np.nan, 1.0]])


class Cell(list[Any]):
    """A label that is not hashable."""


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X, ["a"] * 5, "two classes"),
        (X, ["a", "b"], "5 examples and 2 labels"),
        (X, "aabbc", "sequence"),
        (X, None, "learns from labels; received arrays without labels; pass y"),
        (X, 3, "sequence"),
        (X, np.array(3), "sequence"),
        (X, ["a", "a", "b", "b", Cell()], "hashable"),
        (X, ["a", "a", "b", "b", (1, Cell())], "hashable"),
        (X, ["a", "a", "b", "b", float("nan")], r"needs a label; received nan in example.*\[4\]"),
        (X, [None, None, "b", None, "c"], r"needs a label; received None in .*\[0, 1, 3\]"),
        (X, [True, 1, 0, 2, 3], "received True and 1; use text"),
        (X, [(1, "x"), (True, "x"), 0, 2, 3], "must not be equal in Python"),
        (X, [frozenset("a"), "b", "b", "b", "b"], "labels: must be text.*of type frozenset"),
        (X, [b"a", b"a", b"b", b"b", b"c"], "labels: must be text.*of type bytes"),
        (X, [date(2024, 1, 2), *"bbbb"], "labels: must be text.*of type date"),
        (X[0], ["a", "b"], "several examples"),
        (X[:, :1], list("aabbc"), r"\(5, 1\)"),
        (X[None], list("aabbc"), r"\(1, 5, 2\)"),
        (X.ravel(), list("aabbc"), "shape"),
        (NAN, ["a", "b"], r"finite.*\[1\]"),
        ([[0.0, 1.0], [2.0, float("inf")]], ["a", "b"], "finite"),
        (np.array([[0.0, 0.0], [1e300, 0.0]]), ["a", "b"], "finite as float32"),
        ([[0.0, 1.0], [2.0]], ["a", "b"], "arrays of numbers"),
        ([["x", "y"], ["z", "w"]], ["a", "b"], "arrays of numbers"),
        ({"a": 1}, ["a", "b"], "arrays of numbers"),
        (None, ["a", "b"], "inputs"),
        ([], [], "inputs"),
        (np.zeros((0, 2)), [], "at least one"),
    ],
)
def test_bad_examples_are_refused(x: Any, y: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        CENTROIDS.adapt(x, y)


@pytest.mark.parametrize("x", [NAN, X[:, :1], [], np.zeros((0, 2)), [["a", "b"]], None])
def test_bad_queries_are_refused(x: Any) -> None:
    clf = adapted(["a", "a", "b", "b", "c"])
    for ask in (clf.predict, clf.predict_proba):
        with pytest.raises(UserError):
            ask(x)


def test_bad_pictures_are_refused(tmp_path: Path) -> None:
    model = Model(NearestCentroid(), (1, 8, 8), Pictures(size=8))
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n half")
    good = [picture(0), picture(1)]
    clf = model.adapt(good, ["a", "b"])
    for wrong in (
        [],
        tmp_path / "none.png",
        tmp_path / "cut.png",
        [picture(0), str(tmp_path / "none.png")],
        np.full((1, 1, 8, 8), -0.1),
        np.full((1, 1, 8, 8), 1.1),
        np.full((1, 1, 8, 8), np.nan),
        np.zeros((1, 2, 9, 9)),
        np.zeros((3, 64)),
        np.zeros((0, 8, 8), dtype=np.uint8),
    ):
        with pytest.raises(UserError):
            clf.predict(wrong)


def test_rows_of_a_table(tmp_path: Path) -> None:
    columns = Columns.fit(
        ["size", "colour"], [["1", "red"], ["3", "blue"]], [["1", "red"], ["3", "blue"]]
    )
    model = Model(NearestCentroid(), (columns.n_features,), columns)
    rows = [{"size": 1, "colour": "red"}, {"size": 3, "colour": "blue"}]
    clf = model.adapt(rows, ["small", "large"])
    assert clf.predict(rows).tolist() == ["small", "large"]
    assert clf.predict({"size": 3, "colour": None}) == "large"
    assert clf.predict([1, "red"]) == "small"
    clf.save(tmp_path / "mine.task")
    again = load_task(tmp_path / "mine.task", NearestCentroid())
    assert np.array_equal(again.predict_proba(rows), clf.predict_proba(rows))
    with pytest.raises(UserError, match="colour"):
        clf.predict({"size": 3})


def test_regression(tmp_path: Path) -> None:
    source = sinusoid()
    quick(source, maml(source), tmp_path / "run", steps=2)
    model = qs.load(tmp_path / "run")
    assert model.kind == "regression"
    reg = model.adapt([[0.0], [1.0], [2.0]], [0.0, 0.8, 0.9])
    assert reg.classes_ is None
    assert reg.predict([[0.5], [1.5]]).shape == (2,)
    assert np.ndim(reg.predict([0.5])) == 0
    with pytest.raises(UserError, match="predict_proba"):
        reg.predict_proba([[0.5]])
    assert reg.quality().metric == "mse"
    reg.save(tmp_path / "mine.task")
    again = load_task(tmp_path / "mine.task")
    assert np.array_equal(again.predict([[0.5], [1.5]]), reg.predict([[0.5], [1.5]]))
    assert again.update([[3.0]], [0.1]).predict([0.5]) != reg.predict([0.5])
    for y in (
        ["a", "b", "c"],
        [0.0, None, 1.0],
        [0.0, float("nan"), 1.0],
        [[0, 1]] * 3,
        [0.0, 1.0],
    ):
        with pytest.raises(UserError):
            model.adapt([[0.0], [1.0], [2.0]], y)


def test_several_values_are_kept() -> None:
    targets = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    model = Model(Mean(), (1,)).adapt([[0.0], [1.0], [2.0]], targets)
    again = task_from_bytes(model.to_bytes(), "mine", Mean())
    assert again.labels == targets.tolist()
    assert again.predict([[0.0]]).tolist() == [[2.0, 3.0]]


NORMS: list[NormKind] = ["support", "batch", "population", "group", "layer"]


def trained(learner: str, norm: NormKind | None, out: Path, **settings: Any) -> Model:
    data = RNG.integers(0, 255, size=(120, 1, 16, 16), dtype=np.uint8)
    source = Episodes(arrays(data, np.arange(12).repeat(10), test=0), 2, 1, 2)
    made = qs.build(learner, source, net={"name": "Conv4", "hidden": 8, "norm": norm})
    quick(source, made, out, steps=2, valid_tasks=1, **settings)
    return qs.load(out)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("learner", ["PrototypicalNetwork", "MAML"])
def test_saved_and_loaded_is_bit_equal(learner: str, norm: NormKind, tmp_path: Path) -> None:
    model = trained(learner, norm, tmp_path / "run")
    support, queries = torch.rand(6, 1, 16, 16), torch.rand(5, 1, 16, 16)
    clf = model.adapt(support, list("aabbcc"))
    clf.save(tmp_path / "deep" / "mine.task")
    again = load_task(tmp_path / "deep" / "mine.task")
    assert np.array_equal(again.predict_proba(queries), clf.predict_proba(queries))
    assert again.model.fingerprint == clf.model.fingerprint
    more = [model.update(queries[:1], ["d"]).predict_proba(queries) for model in (clf, again)]
    assert np.array_equal(*more)
    fresh = qs.load(tmp_path / "run").adapt(support, list("aabbcc"))
    assert np.array_equal(fresh.predict_proba(queries), clf.predict_proba(queries))
    assert qs.load_task(tmp_path / "deep" / "mine.task").quality() == clf.quality()


def test_float64_stays_float64(tmp_path: Path) -> None:
    source = blobs()
    learner = prototypical(source)
    quick(source, learner, tmp_path / "run", steps=2, dtype="float64")
    model = qs.load(tmp_path / "run")
    for name, weight in learner.state_dict().items():
        assert torch.equal(model.learner.state_dict()[name], weight)
    x = torch.randn(4, 2, dtype=torch.float64)
    clf = model.adapt(x, list("aabb"))
    clf.save(tmp_path / "mine.task")
    again = load_task(tmp_path / "mine.task")
    assert torch.equal(again.support_x, x)
    assert np.array_equal(again.predict_proba(x + 1), clf.predict_proba(x + 1))
    of_lists = clf.predict_proba((x + 1).tolist())
    np.testing.assert_allclose(of_lists, clf.predict_proba(x + 1), rtol=1e-12)


def test_a_learner_built_in_python_is_passed_again(tmp_path: Path) -> None:
    source = blobs()
    learner = PrototypicalNetwork(MLP((2,), (8,)))
    quick(source, learner, tmp_path / "run", steps=2)
    with pytest.raises(UserError, match="pass learner="):
        qs.load(tmp_path / "run")
    model = qs.load(tmp_path / "run", PrototypicalNetwork(MLP((2,), (8,))))
    clf = model.adapt(X, list("aabbb"))
    clf.save(tmp_path / "mine.task")
    with pytest.raises(UserError, match="pass learner="):
        load_task(tmp_path / "mine.task")
    again = load_task(tmp_path / "mine.task", PrototypicalNetwork(MLP((2,), (8,))))
    np.testing.assert_array_equal(again.predict_proba(X), clf.predict_proba(X))
    with pytest.raises(CheckpointError, match="weights"):
        load_task(tmp_path / "mine.task", PrototypicalNetwork(MLP((2,), (9,))))
    with pytest.raises(CheckpointError, match="weights"):
        qs.load(tmp_path / "run", PrototypicalNetwork(MLP((2,), (9,))))


def test_a_task_of_before_labels_could_not_be_missing_loads() -> None:
    tensors, header = tensors_from_bytes(adapted(["a", "a", "b", "b", "c"]).to_bytes(), "")
    del header["sha256"]
    header["labels"][:2] = [None, None]
    header["sha256"] = tensor_seal(header, tensors)
    old = task_from_bytes(tensors_to_bytes(tensors, header), "old", NearestCentroid())
    assert old.classes == [None, "b", "c"]
    with pytest.raises(UserError, match="received None"):
        old.update(X[:1], ["b"])


def test_a_line_says_what_a_model_is() -> None:
    assert repr(CENTROIDS) == "Model(NearestCentroid, arrays (2,), classification)"
    assert repr(adapted(["a", "a", "b", "b", 3])) == (
        "Adapted(NearestCentroid, 5 arrays (2,), 3 classes: 'a', 'b', 3)"
    )
    many = CENTROIDS.adapt(np.zeros((9, 2)), [*range(8), 10**40])
    assert repr(many).endswith("9 arrays (2,), 9 classes: 0, 1, 2, 3, 4, ...)")
    of_values = Model(Mean(), (1,)).adapt([[0.0], [1.0]], [1.0, 2.0])
    assert repr(of_values) == "Adapted(Mean, 2 arrays (1,), 1 value(s) of each)"


def test_a_device_that_is_not_here_is_named(tmp_path: Path) -> None:
    for device in ("cuda:99", "abacus"):
        with pytest.raises(UserError, match=f"load: device must be .* received '{device}'"):
            qs.load(tmp_path / "run", device=device)


@pytest.fixture(scope="module")
def task_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    quick(blobs(), prototypical(blobs()), folder / "run", steps=2)
    qs.load(folder / "run").adapt(X, list("aabbb")).save(folder / "mine.task")
    return folder / "mine.task"


def test_a_changed_task_is_refused(task_file: Path, tmp_path: Path) -> None:
    content, rng = task_file.read_bytes(), random.Random(0)
    want = load_task(task_file).predict_proba(X)
    path, refused = tmp_path / "mine.task", 0
    for _ in range(300):
        at = rng.randrange(len(content))
        path.write_bytes(
            content[:at] + bytes([content[at] ^ 1 << rng.randrange(8)]) + content[at + 1 :]
        )
        try:
            # A flip in the padding of the header may change nothing at all.
            assert np.array_equal(load_task(path).predict_proba(X), want)
        except CheckpointError:
            refused += 1
    assert refused > 250
    for cut in (0, 1, 8, 100, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(CheckpointError):
            load_task(path)


Change = Callable[[dict[str, Any], dict[str, torch.Tensor]], Any]
HOSTILE: dict[str, Change] = {
    "learner is code": lambda h, t: h["specs"]["learner"].update(name="os.system"),
    "learner is a dunder": lambda h, t: h["specs"]["learner"].update(name="__class__"),
    "net is code": lambda h, t: h["specs"]["net"].update(name="subprocess.Popen"),
    "option is unknown": lambda h, t: h["specs"]["learner"].update(args="rm"),
    "net is no text": lambda h, t: h["specs"]["net"].update(name=["MLP"]),
    "specs is text": lambda h, t: h.update(specs="os.system"),
    "specs is a list": lambda h, t: h.update(specs=[]),
    "seed is text": lambda h, t: h["specs"].update(seed="x"),
    "kind is unknown": lambda h, t: h["specs"].update(kind="x"),
    "shape is absent": lambda h, t: h.pop("x_shape"),
    "shape is a number": lambda h, t: h.update(x_shape=3),
    "labels are absent": lambda h, t: h.pop("labels"),
    "labels are few": lambda h, t: h["labels"].pop(),
    "labels are one": lambda h, t: h.update(labels=["a"] * 5),
    "label is hostile": lambda h, t: h.update(labels=[{"set": 1}] * 5),
    "label is a list": lambda h, t: h.update(labels=[[1]] * 5),
    "preprocess is unknown": lambda h, t: h.update(preprocess={"kind": "os.system"}),
    "preprocess has no size": lambda h, t: h.update(preprocess={"kind": "pictures", "size": -1}),
    "weights are absent": lambda h, t: [t.pop(k) for k in list(t) if k.startswith("weights/")],
    "support is absent": lambda h, t: t.pop("support"),
    "support is short": lambda h, t: t.update(support=t["support"][:2]),
    "support is of another shape": lambda h, t: t.update(support=torch.zeros(5, 7)),
    "support is bfloat16": lambda h, t: t.update(support=t["support"].bfloat16()),
    "state is absent": lambda h, t: [t.pop(k) for k in list(t) if k.startswith("state/")],
    "state is of another shape": lambda h, t: t.update({"state/prototypes": torch.zeros(2, 3)}),
    "state is too deep": lambda h, t: t.update({"state/prototypes/x": torch.zeros(2, 3)}),
    "format is another": lambda h, t: h.update(format=TASK_FORMAT + 1),
}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_task_is_refused(
    change: Callable[[dict[str, Any], dict[str, torch.Tensor]], Any],
    task_file: Path,
    tmp_path: Path,
) -> None:
    """With a seal that fits: whoever makes the file can make that too."""
    tensors, header = tensors_from_bytes(task_file.read_bytes(), "")
    del header["sha256"]
    change(header, tensors)
    header["sha256"] = tensor_seal(header, tensors)
    (tmp_path / "mine.task").write_bytes(tensors_to_bytes(tensors, header))
    with pytest.raises(CheckpointError):
        load_task(tmp_path / "mine.task")


def test_what_is_no_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        load_task(tmp_path / "none.task")
    with pytest.raises(CheckpointError):
        load_task(tmp_path)
    (tmp_path / "x.task").write_text(json.dumps({"a": 1}))
    with pytest.raises(CheckpointError, match="safetensors"):
        load_task(tmp_path / "x.task")
    (tmp_path / "y.task").write_bytes(tensors_to_bytes({"a": torch.ones(2)}))
    with pytest.raises(CheckpointError, match=f"format {TASK_FORMAT}"):
        load_task(tmp_path / "y.task")


def test_more_classes_than_outputs_is_refused() -> None:
    net = nn.Sequential(MLP((2,), (8,)), nn.Linear(8, 2))
    with pytest.raises(UserError, match="2 outputs and the task 3 classes"):
        Model(MAML(net), (2,)).adapt(X, list("aabbc"))


def test_one_query_at_a_time_is_all_at_once() -> None:
    net = nn.Sequential(MLP((2,), (8,), "support"), SharedLinear(8))
    clf = Model(MAML(net, inner_lr=0.1), (2,)).adapt(X, list("aabbc"))
    one = np.stack([clf.predict_proba(x) for x in X])
    np.testing.assert_allclose(clf.predict_proba(X), one, rtol=1e-5)


def test_many_threads() -> None:
    """Each gets the answers of its own task, though all share a network that adapts to each."""
    model = Model(maml(blobs(), inner_lr=0.5, inner_steps=3), (2,))
    x = RNG.normal(size=(12, 2)).astype(np.float32)
    labels = [["ab"[i >> k & 1] for i in range(12)] for k in range(4)]
    alone = [model.adapt(x, y).predict_proba(x) for y in labels]
    assert not np.allclose(alone[0], alone[1], atol=1e-2)

    def work(number: int) -> None:
        for _ in range(30):
            found = model.adapt(x, labels[number]).predict_proba(x)
            np.testing.assert_array_equal(found, alone[number])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
