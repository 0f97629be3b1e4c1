"""Quadratics are functions whose value is the mean squared error of a linear map."""

from __future__ import annotations

import pytest
import torch

from quickstudy import build
from quickstudy.errors import UserError
from quickstudy.tasks import Quadratics
from quickstudy.tasks.quadratics import Entries


@pytest.mark.parametrize(("entries", "at_start"), [("gaussian", 10.0), ("uniform", 10 / 3)])
def test_the_value_at_the_start_is_that_of_the_family(entries: Entries, at_start: float) -> None:
    source = Quadratics(entries)
    learner = build("LearnedOptimizer", source)
    tasks = source.batch("test", range(2000))
    values = tasks.support.y.square().mean(dim=(1, 2))
    assert float(values.mean()) == pytest.approx(at_start, rel=0.03)
    assert not any(p.any() for p in learner.net.parameters())  # type: ignore[operator, union-attr]


def test_the_error_of_a_linear_map_is_the_function() -> None:
    x, y, weight = Quadratics().task("train", 3).support
    theta = torch.randn(10)
    matrix, target = x / 10**0.5, y[:, 0] / 10**0.5
    value = (matrix @ theta - target).square().sum()
    torch.testing.assert_close((x @ theta[:, None] - y).square().mean(), value)
    assert weight.tolist() == [1] * 10


def test_the_entries_are_what_they_are_called() -> None:
    for entries, mean, std in (("gaussian", 0.0, 1.0), ("uniform", 0.5, 1 / 12**0.5)):
        x = Quadratics(entries).batch("train", range(500)).support.x / 10**0.5  # type: ignore[arg-type]
        assert float(x.mean()) == pytest.approx(mean, abs=0.02)
        assert float(x.std()) == pytest.approx(std, rel=0.02)


def test_a_task_is_a_function_of_its_index() -> None:
    source = Quadratics(dimensions=4, seed=2)
    together, alone = source.batch("valid", [5, 9]), source.task("valid", 9)
    torch.testing.assert_close(together.support.x[1], alone.support.x, rtol=1e-6, atol=1e-6)
    assert torch.equal(alone.support.y, alone.query.y)
    assert not torch.equal(alone.support.x, source.task("test", 9).support.x)
    assert source.x_shape == (4,)


@pytest.mark.parametrize("given", [{"entries": "binary"}, {"dimensions": 0}])
def test_what_is_no_family_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(UserError, match="entries must be one of gaussian, uniform"):
        Quadratics(**given)  # type: ignore[arg-type]
