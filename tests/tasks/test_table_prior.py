"""Made-up tables."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.learners import LogisticRegression
from quickstudy.tasks import TablePrior
from quickstudy.tasks.subtables import Cells, encode
from quickstudy.tasks.table_prior.causes import ACTIVATIONS, NOISES, nodes
from quickstudy.tasks.table_prior.columns import FORM, FORMS, HIDES
from quickstudy.tasks.table_prior.draw import TARGETS
from quickstudy.tasks.table_prior.encoding import _places
from quickstudy.tasks.table_prior.rules import RULES
from quickstudy.tasks.table_prior.targets import classes, values

SMALL = {"n_support": (8, 20), "n_query": 10, "n_features": 12, "n_classes": 4}


def digest(prior: TablePrior, indices: list[int]) -> str:
    """A digest of the bytes of meta-train tasks."""
    parts = [t for i in indices for part in prior.task("train", i) for t in part]
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in parts)).hexdigest()


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("group", [1, 5])
def test_tasks_are_a_function_of_seed_split_and_index(kind, group):
    prior = TablePrior(**SMALL, kind=kind, group=group)
    tasks = [prior.task("train", index) for index in range(30)]
    # Backwards and by an equal source, so that neither order nor a cache decides.
    for index in reversed(range(0, 30, 3)):
        again = TablePrior(**SMALL, kind=kind, group=group).task("train", index)
        for part, same in zip(tasks[index], again, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(part, same, strict=True))
    for support, query in tasks:
        assert 8 <= len(support.x) <= 20
        assert len(query.x) == 10
        assert torch.isfinite(support.x).all()
        assert torch.isfinite(query.x).all()
        if kind == "classification":
            assert 2 <= support.y.shape[1] <= 4
            assert (support.y.sum(dim=0) > 0).all()
            assert (query.y.sum(dim=1) == 1).all()
        else:
            assert support.y.shape[1] == 1
            assert torch.isfinite(query.y).all()
    first = tasks[0].query.x[0]
    other = TablePrior(**SMALL, kind=kind, group=group, seed=1)
    for different in (tasks[1], prior.task("test", 0), other.task("train", 0)):
        assert not torch.equal(different.query.x[0], first)


def test_another_process_draws_the_same_tasks():
    code = (
        "from quickstudy.tasks import TablePrior; from tests.tasks.test_table_prior import *; "
        "print(digest(TablePrior(**SMALL, group=4), [9, 2]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == digest(TablePrior(**SMALL, group=4), [9, 2])


def test_a_task_that_is_changed_does_not_change_the_next():
    prior = TablePrior(**SMALL, group=4)
    before = digest(prior, [1])
    prior.task("train", 1).support.x.zero_()
    assert digest(prior, [1]) == before


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_tasks_of_a_group_have_equal_sizes(kind):
    prior = TablePrior(n_support=(8, 60), n_query=10, n_features=30, kind=kind, group=6)
    sizes = set()
    for group in range(12):
        tables = prior.tables("train", group)
        tasks = [prior.task("train", 6 * group + i) for i in range(6)]
        shapes = {(*task.support.x.shape, task.support.y.shape[1]) for task in tasks}
        assert len(shapes) == 1
        assert tables.x.shape[0] == 6
        assert len({task.support.x.numpy().tobytes() for task in tasks}) > 3
        sizes |= shapes
    assert len(sizes) > 8


def test_cells_are_encoded_as_those_of_real_tables(monkeypatch):
    places = {}

    def noted(*arguments):
        places["now"] = _places(*arguments)
        return places["now"]

    monkeypatch.setattr("quickstudy.tasks.table_prior.encoding._places", noted)
    prior = TablePrior(n_support=(12, 30), n_query=12, n_features=25, group=4)
    compared = Counter()
    for group in range(25):
        x, _, plan, shown, *_ = prior.tables("train", group)
        start, taken = places["now"]
        rows = np.arange(x.shape[1])
        features = x.transpose(0, 2, 1).reshape(-1, len(rows))
        none = np.zeros((len(rows), 0))
        for column, hidden in enumerate(shown.hidden):
            values, category = shown.values[column], plan.form[column] == FORM["category"]
            numbers = np.where(hidden, np.nan, values.astype(np.float64))[:, None]
            codes = np.where(hidden, -1, values).astype(np.int64)[:, None]
            cells = (none, codes) if category else (numbers, none.astype(np.int64))
            support = rows[: len(rows) - 12]
            expected = encode(Cells(*cells, rows), support, rows, np.array([0])).T
            got = features[start[column] : start[column] + taken[column]]
            np.testing.assert_allclose(got, expected[: taken[column]], atol=2e-3)
            whole = taken[column] == len(expected)
            compared["category" if category else f"{len(expected)} of a number", whole] += 1
    for kind in ("category", "1 of a number", "2 of a number"):
        assert compared[kind, True] > 30


def test_every_mechanism_is_drawn():
    seen: dict[str, Counter] = {}
    for kind in ("classification", "regression"):
        prior = TablePrior(n_support=(30, 60), n_query=20, n_features=30, kind=kind, group=24)
        for group in range(6):
            tables = prior.tables("train", group)
            seen.setdefault("targets", Counter()).update(tables.targets)
            seen.setdefault("hides", Counter()).update(tables.hides.tolist())
            seen.setdefault("forms", Counter()).update(tables.plan.form.tolist())
            seen.setdefault("activations", Counter()).update(tables.graph.activations.ravel())
            seen.setdefault("noises", Counter()).update(tables.graph.noises.ravel())
    assert seen["targets"].keys() == set(TARGETS)
    assert seen["hides"].keys() == set(range(len(HIDES)))
    assert seen["forms"].keys() == set(range(len(FORMS)))
    assert seen["activations"].keys() == {-1, *range(len(ACTIVATIONS))}
    assert seen["noises"].keys() == set(range(len(NOISES)))


def test_what_is_drawn_is_spread_as_real_tables_are():
    """Bounds are wide; the numbers of real tables are the means of 69 of UCI and StatLib."""
    prior = TablePrior(n_support=(100, 100), n_query=10, n_features=60, group=10)
    two, major, categories, names, with_missing = [], [], [], [], []
    for group in range(30):
        tables = prior.tables("train", group)
        for i in range(10):
            counts = np.bincount(tables.y[i])
            mine = tables.plan.owner == i
            form = tables.plan.form[mine]
            two.append(len(counts) == 2)
            major.append(counts.max() / counts.sum())
            categories.append((form == FORM["category"]).mean())
            names += tables.plan.levels[mine][form == FORM["category"]].tolist()
            with_missing.append(tables.shown.hidden[mine].any())
    assert 0.3 < np.mean(two) < 0.85  # Of a group, so few draws; real: 0.52
    assert 0.45 < np.mean(major) < 0.68  # 0.55
    assert 0.2 < np.mean(categories) < 0.5  # 0.37
    assert np.mean(np.array(categories) == 0) > 0.2  # 0.41
    assert np.mean(np.array(categories) == 1) > 0.08  # 0.19
    assert np.median(names) <= 4
    assert max(names) > 15
    assert 0.2 < np.mean(with_missing) < 0.5  # 0.35


def test_there_is_something_to_learn_and_lines_do_not_learn_it_all():
    prior = TablePrior(n_support=(150, 150), n_query=150, n_features=10, n_classes=3, group=4)
    gains = []
    for index in range(32):
        support, query = prior.task("train", index)
        logits = LogisticRegression().predict(LogisticRegression().adapt(support), query.x)
        right = (logits.argmax(dim=1) == query.y.argmax(dim=1)).double().mean()
        gains.append(float(right - query.y[:, support.y.sum(dim=0).argmax()].mean()))
    assert np.mean(gains) > 0.1
    assert np.quantile(gains, 0.2) < 0.05
    assert max(gains) > 0.35


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("outputs", [1, 3])
def test_every_rule_speaks_for_more_than_one_class(rule, outputs):
    rng = np.random.default_rng(0)
    of_each = []
    for columns in (1, 2, 6, 6, 6, 6, 6, 6):
        x = rng.standard_normal((columns, 200)).astype(np.float32)
        scores = RULES[rule](rng, x, outputs)
        assert scores.shape == (outputs, 200)
        assert np.isfinite(scores).all()
        y = classes(rng, scores, 3)
        of_each.append(np.bincount(y, minlength=3))
    assert np.min(of_each) > 0
    assert np.median(of_each) > 15


def test_equal_scores_are_not_parted_by_the_order_of_rows():
    rng = np.random.default_rng(0)
    scores = np.tile(np.array([0.0, 1.0, 1.0, 1.0], dtype=np.float32), 100)[None]
    whole = 0
    for _ in range(30):
        y = classes(rng, scores, 2)
        assert abs(y[:200].mean() - y[200:].mean()) < 0.15
        whole += len({*y[scores[0] == 0]}) == 1
    assert whole > 5  # Without noise or wrong labels, equal scores are of one class.


def test_nodes_are_standardised_and_differ():
    graph = nodes(np.random.default_rng(1), 8, 20, 300)
    assert np.isfinite(graph.values).all()
    np.testing.assert_allclose(graph.values.mean(axis=2), 0, atol=1e-3)
    assert 0.95 < np.median(graph.values.std(axis=2)) < 1.05
    assert (graph.n_clusters > 1).any()
    assert (graph.clusters < graph.n_clusters[:, None]).all()


def test_values_are_explained_from_a_tenth_to_almost_all():
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((1, 400)).astype(np.float32)
    explained = [np.corrcoef(scores[0], values(rng, scores))[0, 1] ** 2 for _ in range(200)]
    assert 0.02 < np.quantile(explained, 0.05) < 0.4
    assert np.quantile(explained, 0.9) > 0.95
    for constant in (np.zeros((1, 50), np.float32), np.ones((1, 50), np.float32)):
        assert np.isfinite(values(rng, constant)).all()


def test_hidden_cells_depend_on_what_hides_them():
    prior = TablePrior(n_support=(300, 300), n_query=100, n_features=12, group=40)
    gap: dict[str, list[float]] = {name: [] for name in HIDES}
    for group in range(4):
        tables = prior.tables("train", group)
        for column, hidden in enumerate(tables.shown.hidden):
            if hidden.sum() > 20:
                why = HIDES[tables.hides[tables.plan.owner[column]]]
                under = tables.shown.under[column]
                gap[why].append(abs(under[hidden].mean() - under[~hidden].mean()))
    assert not gap["none"]
    assert np.mean(gap["by itself"]) > 3 * np.mean(gap["at random"]) > 0


@pytest.mark.parametrize(
    "settings", [{"n_support": (3, 9)}, {"n_support": (9, 8)}, {"n_features": 1}, {"n_classes": 1}]
)
def test_settings_that_cannot_be(settings):
    with pytest.raises(UserError, match="table_prior: n_support must be a range"):
        TablePrior(**settings)


@pytest.mark.parametrize("settings", [{"group": 0}, {"kind": "control"}])
def test_groups_and_kinds_that_cannot_be(settings):
    with pytest.raises(UserError, match="table_prior: group must be at least 1 and kind"):
        TablePrior(**settings)


def test_few_rows_and_few_columns():
    for settings in ({"n_support": (4, 5)}, {"n_support": (40, 60), "n_features": 2}):
        prior = TablePrior(**settings, n_query=2, group=3)
        for index in range(60):
            support, _ = prior.task("test", index)
            assert (support.y.sum(dim=0) > 0).all()
