import numpy as np
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.tasks.arrays import arrays
from quickstudy.tasks.episodes import Episodes

RNG = np.random.default_rng(0)
Y = np.repeat(np.arange(25), 8)
X = RNG.normal(size=(200, 3)) + 10 * Y[:, None]


def test_classes_are_split_without_overlap():
    data = arrays(X, [f"class {label}" for label in Y])
    names = {split: set(pool.names) for split, pool in data.pools.items()}
    assert {split: len(of) for split, of in names.items()} == {"train": 16, "valid": 4, "test": 5}
    assert len(set.union(*names.values())) == 25
    for pool in data.pools.values():
        for number, name in enumerate(pool.names):
            expected = X[int(name.split()[1]) == Y].astype(np.float32)
            np.testing.assert_array_equal(pool.x[pool.y == number], expected)
    other = arrays(X, [f"class {label}" for label in Y], seed=1)
    assert set(other.pools["test"].names) != names["test"]
    Episodes(data, n_way=4, n_query=3).task("valid", 0)


@pytest.mark.parametrize("shape", [(200, 9, 9), (200, 9, 9, 3), (200, 3, 9, 9), (200, 1, 9, 9)])
def test_pictures_get_channels_first_and_a_preprocessing_that_keeps_them(shape):
    pictures = RNG.integers(0, 256, shape, dtype=np.uint8)
    data = arrays(torch.from_numpy(pictures), torch.from_numpy(Y))
    pool = data.pools["train"]
    assert pool.x.dtype == np.uint8
    assert pool.x.shape[1:] == (3 if 3 in shape else 1, 9, 9)
    first = np.flatnonzero(int(pool.names[0]) == Y)[0]
    np.testing.assert_array_equal(pool.x[pool.y == 0][0], data.preprocess(pictures[first]))


def test_other_numbers_are_taken_as_they_are():
    rows = RNG.integers(0, 256, (200, 3), dtype=np.uint8)
    data = arrays(rows, Y)
    assert data.pools["train"].x.dtype == np.float32
    assert data.pools["train"].x.max() > 1
    assert data.preprocess is None


def test_a_split_can_be_left_out():
    assert list(arrays(X, Y, valid=0).pools) == ["train", "test"]


def broken(value):
    x = X.copy()
    x[[3, 7], 1] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:10], Y[:9], "10 examples and 9 labels"),
        (X[:0], Y[:0], "0 examples and 0 labels"),
        (broken(np.nan), Y, r"in 2 example\(s\), the first \[3, 7\]"),
        (broken(np.inf), Y, r"in 2 example\(s\), the first \[3, 7\]"),
        (broken(1e300), Y, r"too large a number in 2 example\(s\)"),
        (X.astype(object), Y, "dtype object"),
        (X.astype(str), Y, "dtype <U"),
        (X.astype(complex), Y, "dtype complex128"),
        (X[:, 0], Y, r"shape \(200,\)"),
        ([[1.0], [1.0, 2.0]], [0, 1], "same shape"),
        (X, [None, *Y[1:]], "None in example 0"),
        (X, [*Y[:-1], np.nan], "nan in example 199"),
        (X, [[0]] * 200, r"\[0\] in example 0"),
        (X[:40], Y[:40], "received 5 in all"),
    ],
)
def test_bad_arrays(x, y, message):
    with pytest.raises(UserError, match=message):
        arrays(x, y)


def test_bad_parts():
    with pytest.raises(UserError, match=r"valid=0.5, test=0.5"):
        arrays(X, Y, valid=0.5, test=0.5)
