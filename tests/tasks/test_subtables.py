"""Tasks from a collection of tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.task import Task
from quickstudy.tasks import Columns, tables
from quickstudy.tasks.subtables import Cells, encode
from quickstudy.tasks.tables import read_tables


@pytest.fixture
def folder(tmp_path):
    """Nine tables; `a` has a class too many, missing numbers and a category."""
    rng = np.random.default_rng(0)
    for number, name in enumerate("abcdefghi"):
        lines = ["width,height,colour,target"]
        for row in range(60 + number):
            width = "" if name == "a" and row % 7 == 0 else f"{rng.normal():.4f}"
            colour = ["red", "blue", "", "green"][rng.integers(4)]
            lines.append(f"{width},{row},{colour},kind{row % (5 if name == 'a' else 3)}")
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def equal(a: Task, b: Task) -> bool:
    pairs = zip([*a.support, *a.query], [*b.support, *b.query], strict=True)
    return all(torch.equal(s, t) for s, t in pairs)


def test_a_task_is_a_part_of_a_table(folder):
    source = tables(folder, n_support=(10, 30), n_query=12, n_features=8, n_classes=4)
    assert (source.x_shape, source.n_out, source.kind) == ((8,), 4, "classification")
    for index in range(20):
        task = source.task("train", index)
        n, way = task.support.y.shape
        assert 10 <= n <= 30
        assert 2 <= way <= 4
        assert len(task.query.x) <= 12
        assert (task.support.y.sum(dim=0) > 0).all()
        assert equal(task, source.task("train", index))
    assert not equal(source.task("train", 0), source.task("train", 1))
    assert not equal(source.task("train", 0), source.task("test", 0))


def test_support_and_query_share_no_row(folder):
    cells = Cells.of(read_tables(folder)[1])
    source = tables(folder, n_support=(10, 20), n_features=9, test=0.3)
    rng = np.random.default_rng(0)
    for _ in range(5):
        task = source._task(rng, cells)
        # `height` differs in every row, so a row that is in both parts is there twice.
        rows = torch.cat([task.support.x, task.query.x])
        assert len(torch.unique(rows, dim=0)) == len(rows)


def test_inputs_are_those_that_a_users_rows_become(folder):
    table = read_tables(folder)[0]
    cells = Cells.of(table)
    support, others = np.arange(0, 60, 2), np.arange(1, 60, 2)
    columns = Columns.of_task([table.rows[i] for i in support])
    want = columns([table.rows[i] for i in others])
    found = encode(cells, support, others, np.arange(3))
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)
    assert columns.features == [
        "x0", "x0: missing", "x1", "x2: blue", "x2: green", "x2: red"
    ]  # fmt: skip


def test_features_that_a_task_has_not_are_0_and_those_too_many_left_out(folder):
    wide = tables(folder, n_features=20).task("train", 3)
    assert (wide.support.x[:, 6:] == 0).all()
    assert (wide.query.x[:, 6:] == 0).all()
    assert tables(folder, n_features=2).task("train", 3).support.x.shape[1] == 2


def test_a_part_of_the_meta_train_tasks_may_be_made_up(folder):
    made = tables(folder, made_up=1.0)
    assert equal(made.task("train", 5), made.prior.task("train", 5))
    assert not equal(made.task("test", 5), made.prior.task("test", 5))
    mixed = tables(folder, made_up=0.5)
    own = [equal(mixed.task("train", i), mixed.prior.task("train", i)) for i in range(40)]
    assert 10 < sum(own) < 30


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"n_support": (20, 10)}, "goes upwards from 2 or more"),
        ({"n_classes": 1}, "n_classes at least 2"),
        ({"made_up": 1.5}, "made_up must be a part"),
    ],
)
def test_settings_that_cannot_be(folder, settings, words):
    with pytest.raises(UserError, match=words):
        tables(folder, **settings)


def test_a_split_that_is_not_there(folder):
    with pytest.raises(UserError, match="has the splits train, test"):
        tables(folder, valid=0).task("valid", 0)
