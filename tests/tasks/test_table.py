import gzip
import json

import numpy as np
import pytest
import torch

from quickstudy.errors import DataError, UserError
from quickstudy.inputs.rows import Categorical, Columns, Numeric
from quickstudy.tasks.episodes import Episodes
from quickstudy.tasks.table import table


def write(path, header, rows, separator=","):
    lines = [separator.join(map(str, row)) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def species(tmp_path):
    """15 species of 8 leaves; the width is 10 times the species, sometimes not measured."""
    rows = [
        [10 * kind + leaf / 10 if leaf else "", "red" if leaf % 2 else "blue", f"kind{kind:02}"]
        for kind in range(15)
        for leaf in range(8)
    ]
    return write(tmp_path / "leaves.csv", ["width", "colour", "species"], rows)


def shops(kind="classification", seed=0):
    """Shops of 1 to 14 customers, each with a target of its own rule."""
    rng = np.random.default_rng(seed)
    for shop in range(40):
        slope = rng.normal()
        for customer in range(1 + shop % 14):
            age = rng.normal(40, 10)
            value = slope * age + rng.normal()
            yield [
                f"shop{shop}",
                f"{1000 * shop + customer}",
                f"{age:.3f}",
                f"{value:.4f}" if kind == "regression" else ["no", "yes", "maybe"][int(value) % 3],
            ]


SHOP_HEADER = ["shop", "customer", "age", "spend"]


def test_values_of_the_target_are_classes(species):
    data = table(species, "species")
    names = [name for pool in data.pools.values() for name in pool.names]
    assert sorted(names) == [f"kind{i:02}" for i in range(15)]
    assert data.name == "leaves"
    pool = data.pools["train"]
    assert pool.x.shape == (8 * len(pool.names), 3)
    assert pool.x.dtype == np.float32
    Episodes(data, n_way=2, n_shot=(1, 3), n_query=2).task("test", 0)


def test_statistics_are_of_the_meta_train_rows(species):
    data = table(species, "species")
    train = [int(name[4:]) for name in data.pools["train"].names]
    widths = np.array([10 * kind + leaf / 10 for kind in train for leaf in range(1, 8)])
    column = data.preprocess.columns["width"]
    assert column == Numeric(
        pytest.approx(widths.mean()), pytest.approx(widths.std()), pytest.approx(np.median(widths))
    )
    assert data.preprocess.columns["colour"] == Categorical(("blue", "red"))
    x = data.pools["train"].x
    filled = (np.median(widths) - widths.mean()) / widths.std()
    np.testing.assert_allclose(x[::8, 0], filled, rtol=1e-5)
    np.testing.assert_array_equal(x[:, 1] + x[:, 2], 1)


def test_a_user_row_becomes_the_same_input(species):
    data = table(species, "species")
    columns = Columns.from_json(json.loads(json.dumps(data.preprocess.to_json())))
    assert columns == data.preprocess
    pool = data.pools["test"]
    kind = int(pool.names[0][4:])
    row = {"colour": "red", "width": 10 * kind + 0.1, "more": "ignored"}
    np.testing.assert_array_equal(columns(row), pool.x[pool.y == 0][1])
    np.testing.assert_array_equal(columns([row, row])[1], columns(row))
    np.testing.assert_array_equal(columns([row["width"], "red"]), columns(row))
    np.testing.assert_array_equal(columns([[None, "green"]])[0, 1:], [0, 0])
    assert columns.n_features == 3
    for bad, message in (
        ({"width": 3}, "none called colour"),
        ([1, "red", 3], r"needs 2 values \(width, colour\); received 3 in row 0"),
        ({"width": "wide", "colour": "red"}, "'wide' in row 0"),
        ([row, {"width": np.inf, "colour": "red"}], "'inf' in row 1"),
    ):
        with pytest.raises(UserError, match=message):
            columns(bad)


def test_rare_values_of_a_column_share_zeros():
    rows = [[f"v{i}"] for i in range(60)] + [["v7"]] * 3
    columns = Columns.fit(["code"], rows, rows)
    assert columns.n_features == 50
    assert columns({"code": "v7"}).sum() == 1
    assert columns({"code": "v59"}).sum() == 0


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_every_shop_is_a_task(tmp_path, kind):
    rows = list(shops(kind))
    source = table(
        write(tmp_path / "shops.csv", SHOP_HEADER, rows), "spend", "shop", n_shot=3, n_query=4
    )
    assert source.kind == kind
    shop_of = dict(enumerate(row[0] for row in rows))
    assert not (np.diff(source.x[:, 0]) == 0).any()
    row_of = {x[0]: row for row, x in enumerate(source.x)}
    seen = {}
    for split in ("train", "valid", "test"):
        seen[split] = set()
        for index in range(60):
            support, query = source.task(split, index)
            drawn = [row_of[float(x)] for part in (support, query) for x in part.x[:, 0]]
            assert len(set(drawn)) == len(drawn)
            assert len({shop_of[row] for row in drawn}) == 1
            seen[split].add(shop_of[drawn[0]])
            for x, y in zip(support.x, support.y, strict=True):
                spend = rows[row_of[float(x[0])]][3]
                if kind == "regression":
                    assert float(source.targets.restore(y, y)) == pytest.approx(
                        float(spend), rel=1e-5
                    )
                else:
                    names = sorted({rows[row_of[float(o[0])]][3] for o in support.x})
                    assert names[int(y.argmax())] == spend
            if kind == "classification":
                assert (support.y.sum(dim=0) >= 1).all()
                assert support.y.sum(dim=0).max() <= 3
            else:
                assert len(support.x) <= 3
            assert len(query.x) >= 1
    assert not seen["train"] & seen["test"]
    assert not seen["valid"] & (seen["train"] | seen["test"])
    told = source.describe()
    assert sum(told["groups"].values()) + told["groups_left_out"] == 40
    assert told["groups_left_out"] > 0
    json.dumps(told)


def test_unequal_shops_are_padded(tmp_path):
    source = table(write(tmp_path / "s.csv", SHOP_HEADER, shops()), "spend", "shop", n_shot=2)
    tasks = [source.task("train", i) for i in range(20)]
    assert len({len(task.query.x) for task in tasks}) > 3
    assert {task.support.y.shape[1] for task in tasks} == {2, 3}
    assert source.n_out == 3
    batch = source.batch("train", range(20))
    assert batch.support.weight.sum(dim=1).tolist() == [len(task.support.x) for task in tasks]
    again = table(tmp_path / "s.csv", "spend", "shop", n_shot=2)
    assert torch.equal(again.task("train", 7).query.x, tasks[7].query.x)


def test_disjoint_is_every_shop_once(tmp_path):
    source = table(write(tmp_path / "s.csv", SHOP_HEADER, shops()), "spend", "shop")
    tasks = list(source.disjoint("train"))
    assert len(tasks) == source.describe()["groups"]["train"]
    drawn = [float(x) for task in tasks for part in task for x in part.x[:, 0]]
    assert len(set(drawn)) == len(drawn)
    assert source.resized(n_shot=1).n_shot == 1
    assert source.resized(n_way=5) is None
    with pytest.raises(UserError, match="n_shot=0"):
        source.resized(n_shot=0)


@pytest.mark.parametrize(
    ("spends", "kind"),
    [
        (["a", "b"], "classification"),
        ([0, 1], "classification"),
        (range(20), "classification"),
        (range(21), "regression"),
        ([0.5, 1.0], "regression"),
    ],
)
def test_what_the_target_is_taken_for(tmp_path, spends, kind):
    values = list(spends)
    rows = [[shop, i, i, value] for shop in range(8) for i, value in enumerate(values * 2)]
    path = write(tmp_path / "t.csv", SHOP_HEADER, rows)
    assert table(path, "spend", "shop").kind == kind
    assert table(path, "spend", "shop", kind="classification").kind == "classification"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_gzip_and_byte_order_mark(species, tmp_path, separator):
    text = "\ufeff" + species.read_text().replace(",", separator) + "\r\n\r\n"
    path = tmp_path / "leaves.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    expected = table(species, "species").pools["test"].x
    np.testing.assert_array_equal(table(path, "species").pools["test"].x, expected)


ROWS = [[f"s{i // 4}", i, i, i % 2] for i in range(40)]


def changed(row, column, value):
    rows = [list(row) for row in ROWS]
    rows[row][column] = value
    return rows


@pytest.mark.parametrize(
    ("header", "rows", "options", "message"),
    [
        (SHOP_HEADER, ROWS, {"target": "spent"}, r"no column 'spent'.*did you mean 'spend'\?"),
        (SHOP_HEADER, ROWS, {"target": "Q", "task": "shop"}, "no column 'Q'.*choose one"),
        (SHOP_HEADER, ROWS, {"task": "shp"}, "did you mean 'shop'"),
        (SHOP_HEADER, [], {}, "received 0 rows"),
        ([], [], {}, "received 0 rows"),
        (["shop", "age", "age", "spend"], ROWS, {}, "column 'age' twice"),
        (SHOP_HEADER, [*ROWS[:5], ["s1", 3], *ROWS[5:]], {}, r"header, 4; received 2 in line 7"),
        (SHOP_HEADER, changed(8, 3, "  "), {}, r"none in 1 row\(s\), .* in line 10"),
        (SHOP_HEADER, changed(8, 3, "NaN"), {}, r"none in 1 row\(s\), .* in line 10"),
        (SHOP_HEADER, changed(8, 0, ""), {}, "value of shop"),
        (SHOP_HEADER, changed(8, 2, "-inf"), {}, "column age holds numbers, .*'-inf' in line 10"),
        (SHOP_HEADER, changed(8, 3, "x"), {"kind": "regression"}, "'x' in line 10"),
        (SHOP_HEADER, ROWS, {"task": None}, "every split needs at least 2; received 2 in all"),
        (SHOP_HEADER, ROWS, {"task": None, "target": "age"}, "40 distinct numbers"),
        (SHOP_HEADER, ROWS[:8], {}, "usable groups of shop: every split .* received 2 in all"),
        (["shop", "spend"], [row[::3] for row in ROWS], {}, "needs columns besides spend and shop"),
        (SHOP_HEADER, changed(8, 1, '"open'), {}, "received"),
    ],
)
def test_bad_tables(tmp_path, header, rows, options, message):
    path = write(tmp_path / "bad.csv", header, rows)
    with pytest.raises(UserError, match=message):
        table(path, **{"target": "spend", "task": "shop", **options})


def test_files_that_are_no_tables(tmp_path, species):
    with pytest.raises(DataError, match="No such file"):
        table(tmp_path / "gone.csv", "spend")
    (tmp_path / "latin.csv").write_bytes("straße,spend\n1,2\n".encode("latin-1"))
    with pytest.raises(UserError, match="must be text in UTF-8"):
        table(tmp_path / "latin.csv", "spend")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(species.read_bytes())[:-20])
    (tmp_path / "fake.csv.gz").write_bytes(species.read_bytes())
    for name in ("cut.csv.gz", "fake.csv.gz"):
        with pytest.raises(DataError, match=f"{name} cannot be read"):
            table(tmp_path / name, "spend")
