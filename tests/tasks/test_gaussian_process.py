"""Gaussian processes: the family, and its exact posterior by formulas written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.task import is_padded, stack
from quickstudy.tasks import GaussianProcess
from quickstudy.tasks.gaussian_process import Kernel, log_density, posterior
from quickstudy.tasks.source import generator

KERNEL = Kernel(np.array(0.7), np.array(1.3))
NOISE = 0.2


def k(a: float, b: float) -> float:
    return 1.3**2 * math.exp(-((a - b) ** 2) / (2 * 0.7**2))


def joint(x: np.ndarray, y: np.ndarray) -> float:
    """log N(y; 0, K + noise^2 I) by the determinant and the inverse."""
    covariance = np.array([[k(a, b) for b in x] for a in x]) + NOISE**2 * np.eye(len(x))
    quadratic = y @ np.linalg.inv(covariance) @ y
    return float(
        -0.5 * (quadratic + np.log(np.linalg.det(covariance)) + len(x) * np.log(2 * np.pi))
    )


def test_the_posterior_of_three_points_written_out() -> None:
    (a, b), q = (-0.5, 0.4), 0.1
    y = np.array([1.0, -0.6])
    found = posterior(KERNEL, NOISE, np.array([a, b]), y, np.array([q]))
    # The inverse of a symmetric 2x2 matrix [[p, r], [r, p]].
    p, r = k(a, a) + NOISE**2, k(a, b)
    det = p * p - r * r
    mean = (k(q, a) * (p * y[0] - r * y[1]) + k(q, b) * (p * y[1] - r * y[0])) / det
    explained = (p * k(q, a) ** 2 - 2 * r * k(q, a) * k(q, b) + p * k(q, b) ** 2) / det
    np.testing.assert_allclose(found[0], [mean], rtol=1e-12)
    np.testing.assert_allclose(found[1], [k(q, q) + NOISE**2 - explained], rtol=1e-12)


def test_the_density_of_a_query_is_that_of_all_without_that_of_the_support() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-2, 2, 6), rng.normal(size=6)
    for query in (0.3, -1.9):
        target = float(rng.normal())
        mean, variance = posterior(KERNEL, NOISE, x, y, np.array([query]))
        found = log_density(np.array([target]), mean, variance)
        both = joint(np.append(x, query), np.append(y, target))
        np.testing.assert_allclose(found, [both - joint(x, y)], rtol=1e-10)


def test_the_bounds_are_those_of_the_tasks_own_kernel() -> None:
    source = GaussianProcess(length=(0.3, 0.9), scale=(0.5, 1.5), noise=0.1)
    for index in range(3):
        u = generator(0, "test", index).random(2)
        length, scale = 0.3 + 0.6 * u[0], 0.5 + 1.0 * u[1]
        (x, y, _), (xq, yq, _) = source.task("test", index)
        kernel = Kernel(np.array(length), np.array(scale))
        points = [t[:, 0].double().numpy() for t in (x, y, xq)]
        mean, variance = posterior(kernel, 0.1, *points)
        target = yq[:, 0].double().numpy()
        found = source.log_likelihoods("test", index)
        assert found["oracle"] == pytest.approx(log_density(target, mean, variance).mean())
        prior = scale**2 + 0.1**2
        assert found["constant"] == pytest.approx(
            float(np.mean(-0.5 * (target**2 / prior + np.log(2 * np.pi * prior))))
        )


def test_the_bounds_are_the_entropies_they_stand_for() -> None:
    source = GaussianProcess(n_shot=5, n_query=20, noise=0.1)
    bounds = [source.log_likelihoods("train", index) for index in range(1500)]
    constant = np.mean([b["constant"] for b in bounds])
    assert constant == pytest.approx(-0.5 * math.log(2 * math.pi * math.e * 1.01), abs=0.03)
    entropies = []
    for index in range(300):
        support, query = source.task("train", index)
        kernel = Kernel(np.array(0.4), np.array(1.0))
        x, y, q = (t[:, 0].double().numpy() for t in (support.x, support.y, query.x))
        variance = posterior(kernel, 0.1, x, y, q)[1]
        entropies.append(0.5 * np.log(2 * np.pi * np.e * variance).mean())
    oracle = np.mean([b["oracle"] for b in bounds])
    assert oracle == pytest.approx(-np.mean(entropies), abs=0.05)
    assert oracle > constant + 0.4


def test_covariances_are_the_kernels() -> None:
    source = GaussianProcess(n_shot=2, n_query=1, length=1.5, scale=2.0, noise=0.5)
    support, query = source.batch("train", range(20_000))
    x = torch.cat([support.x, query.x], dim=1)[:, :, 0].double().numpy()
    y = torch.cat([support.y, query.y], dim=1)[:, :, 0].double().numpy()
    assert (x.min() > -2, x.max() < 2) == (True, True)
    np.testing.assert_allclose(x.std(), 4 / math.sqrt(12), rtol=0.02)
    np.testing.assert_allclose((y**2).mean(axis=0), 4 + 0.25, rtol=0.05)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        apart = x[:, i] - x[:, j]
        near, far = np.abs(apart) < 0.3, np.abs(apart) > 2.5
        for chosen in (near, far):
            want = (4 * np.exp(-(apart**2) / (2 * 1.5**2)))[chosen].mean()
            assert (y[:, i] * y[:, j])[chosen].mean() == pytest.approx(want, abs=0.3)


@pytest.mark.parametrize("n_shot", [1, 6, (2, 7)])
def test_a_batch_is_its_tasks(n_shot: Any) -> None:
    source = GaussianProcess(n_shot=n_shot, length=(0.2, 0.6), scale=(0.1, 1.0))
    indices = [*range(40), 7]
    batch, tasks = source.batch("valid", indices), [source.task("valid", i) for i in indices]
    for part, expected in zip(batch, stack(tasks), strict=True):
        for tensor, other in zip(part, expected, strict=True):
            torch.testing.assert_close(tensor, other, rtol=1e-6, atol=1e-6)
    assert is_padded(batch) == (n_shot == (2, 7))


def test_ranges_are_filled() -> None:
    source = GaussianProcess(n_shot=(3, 9))
    shots = np.array([len(source.task("train", index).support.x) for index in range(700)])
    assert np.bincount(shots).tolist()[:3] == [0, 0, 0]
    assert np.bincount(shots)[3:].min() > 70
    assert len(np.bincount(shots)) == 10


def test_splits_seeds_and_indices_differ() -> None:
    tasks = [
        GaussianProcess(seed=seed).task(split, index)
        for seed in (0, 1)
        for split in ("train", "valid", "test")
        for index in (0, 1)
    ]
    assert len({float(task.support.x[0]) for task in tasks}) == len(tasks)


def test_resized_and_described() -> None:
    source = GaussianProcess().resized(n_shot=3)
    assert source.task("test", 0).support.x.shape == (3, 1)
    assert source.describe()["n_shot"] == 3
    assert GaussianProcess().describe()["length"] == 0.4
    assert source.resized(n_way=5) is None


@pytest.mark.parametrize(
    "wrong",
    [
        *({"n_shot": 0}, {"n_shot": (5, 2)}, {"n_query": 0}, {"length": 0.0}),
        *({"length": (0.5, 0.1)}, {"scale": (0.0, 1.0)}, {"noise": 0.0}, {"noise": 1e-7}),
    ],
)
def test_what_is_too_small_or_goes_down_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        GaussianProcess(**wrong)
