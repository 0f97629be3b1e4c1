import numpy as np
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.task import stack
from quickstudy.tasks.sinusoid import Sinusoid
from quickstudy.tasks.source import of_size


def fit(x, y):
    """Amplitude and phase of y = A sin(x - phase), by least squares on sin and cos."""
    design = torch.cat([torch.sin(x), torch.cos(x)], dim=1).double()
    a, b = torch.linalg.lstsq(design, y.double()).solution.flatten().tolist()
    return np.hypot(a, b), np.arctan2(-b, a) % (2 * np.pi)


def test_points_lie_on_one_sinusoid_in_range():
    source = Sinusoid(n_shot=10, n_query=20)
    for index in range(50):
        support, query = source.task("train", index)
        assert support.x.shape == support.y.shape == (10, 1)
        assert query.x.shape == query.y.shape == (20, 1)
        amplitude, phase = fit(support.x, support.y)
        assert 0.1 <= amplitude <= 5
        assert 0 <= phase <= np.pi
        torch.testing.assert_close(query.y, amplitude * torch.sin(query.x - phase))
        assert support.x.abs().max() <= 5


def test_ranges_are_filled():
    source = Sinusoid()
    fits = np.array([fit(*source.task("train", i).support[:2]) for i in range(400)])
    np.testing.assert_allclose(fits.mean(axis=0), [2.55, np.pi / 2], atol=0.25)
    assert fits[:, 0].min() < 0.3
    assert fits[:, 0].max() > 4.8


@pytest.mark.parametrize("n_shot", [1, 5, 10, 13])
def test_a_batch_is_its_tasks(n_shot):
    source = Sinusoid(n_shot=n_shot)
    indices = [*range(40), 7]
    batch, tasks = source.batch("valid", indices), [source.task("valid", i) for i in indices]
    for part, expected in zip(batch, stack(tasks), strict=True):
        for tensor, other in zip(part, expected, strict=True):
            torch.testing.assert_close(tensor, other, rtol=1e-6, atol=1e-6)


def test_splits_seeds_and_indices_differ():
    tasks = [
        Sinusoid(seed=seed).task(split, index)
        for seed in (0, 1)
        for split in ("train", "valid", "test")
        for index in (0, 1)
    ]
    assert len({float(task.support.x[0]) for task in tasks}) == len(tasks)


def test_resized():
    source = Sinusoid().resized(n_shot=3)
    assert source.task("test", 0).support.x.shape == (3, 1)
    assert source.resized(n_way=5) is None
    with pytest.raises(UserError, match=r"Sinusoid: tasks of regression have no ways; .* n_way=5"):
        of_size(source, n_way=5)
    assert source.disjoint("test") is None
    with pytest.raises(UserError, match="n_shot=0"):
        Sinusoid(n_shot=0)
