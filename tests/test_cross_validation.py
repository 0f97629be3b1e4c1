"""The interval of a cross-validated fraction."""

from __future__ import annotations

import math

import numpy as np
import pytest

from quickstudy.evaluation.cross_validation import wilson


@pytest.mark.parametrize(("right", "n"), [(0, 1), (1, 1), (0, 7), (3, 7), (7, 7), (45, 50)])
def test_wilson_interval_by_its_formula(right: int, n: int) -> None:
    p, z = right / n, 1.96
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = wilson(np.array([1.0] * right + [0.0] * (n - right)))
    assert low == pytest.approx(max(0.0, centre - half), abs=1e-9)
    assert high == pytest.approx(min(1.0, centre + half), abs=1e-9)
