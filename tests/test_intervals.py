"""How sure a regression is: the factor that meta-valid chooses, what is measured and told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from small import blobs, maml, quick, sinusoid
from torch import Tensor

import quickstudy as qs
from quickstudy import UserError
from quickstudy.domains.windows.metrics import scaled_pinball
from quickstudy.evaluation.intervals import deciles, fit_factor, intervals
from quickstudy.inputs import Windows
from quickstudy.learner import Learner
from quickstudy.metrics import COVERAGE, DECILES, PINBALL
from quickstudy.quantiles import quantiles_of
from quickstudy.targets import TargetScale
from quickstudy.task import Examples, Task, examples
from quickstudy.tasks import Sinusoid

EIGHTY = 1.2815515655446004
NORMAL = torch.tensor([NormalDist().inv_cdf(level) for level in DECILES])


def answer(distances: list[float], padding: int = 0) -> tuple[Examples, Tensor]:
    """Queries whose targets are so many standard deviations of 2 away from a mean of 5."""
    n = len(distances) + padding
    y = 5 + 2 * torch.tensor([*distances, *[1e9] * padding]).double()[:, None]
    weight = (torch.arange(n) < len(distances)).double()
    quantiles = 5 + 2 * NORMAL.double().expand(n, 1, 9)
    return Examples(torch.zeros(n, 1), y, weight), quantiles


def test_the_factor_covers_four_in_five() -> None:
    answers = [answer([0.1, -0.2, 0.3, -3.0, 9.0], padding=k) for k in range(5)]
    assert fit_factor(answers) == pytest.approx(3 / EIGHTY)


def test_each_task_weighs_the_same() -> None:
    """Four tasks of one target near, and one of many that are far."""
    few, many = [answer([1.0])] * 4, [answer([7.0] * 50)]
    assert fit_factor(few + many) == pytest.approx(1 / EIGHTY)
    assert fit_factor(few + many * 2) == pytest.approx(7 / EIGHTY)


def test_few_tasks_or_none_finite_leave_bounds() -> None:
    assert fit_factor([answer([3.0])] * 3) == 1
    broken = [(query, quantiles * torch.nan) for query, quantiles in [answer([1.0])] * 4]
    assert fit_factor(broken) == 1000


class Fixed(Learner[dict[str, Tensor]]):
    """Says 5 with a standard deviation of 2, in the units of the tasks."""

    kind = "regression"

    def adapt(self, support: Examples) -> dict[str, Tensor]:
        return {"none": support.y[:0]}

    def predict(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.full((len(x), 1), 5.0)

    def distribution(self, state: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
        return self.predict(state, x), torch.full((len(x), 1), 2.0)


class Skewed(Fixed):
    """Quantiles of its own, `levels` squared times 10: those above the median reach further."""

    def quantiles(
        self, state: dict[str, Tensor], x: Tensor, levels: Sequence[float]
    ) -> Tensor | None:
        return 10 * torch.tensor(levels).square().expand(len(x), 1, len(levels))


class Given(Sinusoid):
    """Three queries at 5 + 2 (0, 2, -4); of another scale where there is one."""

    scale = TargetScale()

    @property
    def targets(self) -> TargetScale:
        return self.scale

    def task(self, split: Any, index: int) -> Task:
        part = examples(torch.zeros(3, 1), torch.tensor([5.0, 9.0, -3.0]))
        return Task(part, part)


def test_coverage_and_pinball_by_hand() -> None:
    """With the factor 2 the interval reaches 2.56 deviations: two of three targets are in it."""
    source = Given()
    found = intervals(Fixed(), source, "test", 5, 2.0)
    assert found is not None
    assert found.coverage.value == pytest.approx(2 / 3)
    assert found.coverage_uncalibrated == pytest.approx(1 / 3)
    losses = []
    for y in (5.0, 9.0, -3.0):
        for k in range(1, 10):
            q = NormalDist(5, 4).inv_cdf(k / 10)
            losses.append(max(k / 10 * (y - q), (k / 10 - 1) * (y - q)))
    assert found.pinball.value == pytest.approx(np.mean(losses))
    said = qs.evaluate(Fixed(), source, n_tasks=5, with_baselines=False, temperature=2.0)
    assert said["coverage"] == found.coverage.value
    assert (said["pinball"], said["temperature"]) == (found.pinball.value, 2.0)
    assert intervals(maml(source), source, "test", 2, 1.0) is None


def test_they_are_of_the_values_in_the_users_units() -> None:
    dollars, source = Given(), Given()
    dollars.scale = TargetScale((3e5,), (1e3,))  # type: ignore[misc]
    found, plain = (intervals(Fixed(), each, "test", 2, 1.0) for each in (dollars, source))
    assert found is not None
    assert plain is not None
    assert found.coverage == plain.coverage
    assert found.pinball.value == pytest.approx(1e3 * plain.pinball.value)


def test_a_learners_own_quantiles_come_before_those_of_its_distribution() -> None:
    """Of 5, 9 and -3 only the first is in (0.1, 8.1); twice as far from the median two are."""
    found, wide = (intervals(Skewed(), Given(), "test", 5, factor) for factor in (1.0, 2.0))
    assert found is not None
    assert wide is not None
    assert (found.coverage.value, wide.coverage.value) == pytest.approx((1 / 3, 2 / 3))
    scale, x = TargetScale((100.0,), (2.0,)), torch.zeros(2, 1)
    ends = quantiles_of(Skewed(), {}, x, scale, (0.1, 0.9), factor=2.0)
    want = 100 + 2 * torch.tensor([2.5 - 2 * 2.4, 2.5 + 2 * 5.6]).double()
    torch.testing.assert_close(ends, want.expand(2, 1, 2), rtol=1e-6, atol=0)


def test_the_factor_looks_at_the_side_on_which_a_target_is() -> None:
    """Half of the lower reach, and twice the upper one."""
    quantiles = torch.tensor([0.0, 1, 2, 3, 4, 8, 12, 16, 24]).double().expand(1, 1, 9)
    below, above = (
        (Examples(torch.zeros(1, 1), torch.tensor([[y]]), torch.ones(1)), quantiles)
        for y in (2.0, 44.0)
    )
    assert fit_factor([below] * 4) == 0.5
    assert fit_factor([above] * 4) == 2


def test_padding_counts_in_neither() -> None:
    for metric in (COVERAGE, PINBALL):
        (query, quantiles), (longer, more) = answer([0.5, 3.0]), answer([0.5, 3.0], padding=3)
        assert metric.per_task(more, longer) == pytest.approx(metric.per_task(quantiles, query))


def test_a_series_is_measured_in_naive_errors() -> None:
    """A series in other units has the same pinball loss."""
    kind = Windows(lags=8, horizon=2, spread=True)
    history = np.cumsum(np.random.default_rng(0).normal(size=30))[:, None]
    losses = []
    for unit in (1.0, 1000.0):
        windowed = kind.cut(unit * history)
        x, y = (torch.from_numpy(a) for a in (windowed.x, windowed.y))
        scale = kind.scale
        middle, std = scale.restore(0 * y, x), scale.deviations(torch.ones_like(y), x)
        quantiles = middle[..., None] + std[..., None] * NORMAL
        query = Examples(x, scale.restore(y, x), torch.ones(len(x)))
        losses.append(scaled_pinball(scale, quantiles, query))
        naive = scale.frame(x).naive_error
        shrunk = PINBALL.per_task(quantiles, query) / float(naive.mean())
        assert losses[-1] == pytest.approx(shrunk)  # all windows carry that of the history
    assert losses[0] == pytest.approx(losses[1])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prior head on sinusoids, which is far too sure or too little."""
    folder: Path = tmp_path_factory.mktemp("run")
    source = sinusoid()
    learner = qs.build("PriorHead", source, {"name": "MLP", "hidden": (8,)})
    quick(source, learner, folder / "run", steps=4, valid_tasks=40)
    return folder / "run"


def test_meta_valid_chooses_the_factor(run: Path) -> None:
    source, model = sinusoid(), qs.load(run)
    tasks = [source.task("valid", index) for index in range(40)]
    assert model.temperature == fit_factor(deciles(model.learner, source.targets, tasks))
    assert model.temperature != 1
    covered = intervals(model.learner, source, "valid", 40, model.temperature)
    assert covered is not None
    assert covered.coverage.value == pytest.approx(0.8, abs=0.01)


def test_an_interval_is_of_the_shape_of_a_prediction(run: Path) -> None:
    model = qs.load(run)
    X = np.linspace(-3, 3, 7)[:, None]
    adapted = model.adapt(X, np.sin(X[:, 0]))
    low, high = adapted.interval(X)
    values = adapted.predict(X)
    assert low.shape == high.shape == values.shape == (7,)
    np.testing.assert_allclose((low + high) / 2, values, rtol=1e-5, atol=1e-5)
    distribution = model.learner.distribution(adapted.state, adapted.support_x)
    assert distribution is not None
    width = 2 * EIGHTY * model.temperature * distribution[1][:, 0].numpy()
    np.testing.assert_allclose(high - low, width, rtol=1e-5)
    wider = adapted.interval(X, coverage=0.95)
    assert (wider[0] < low).all()
    assert (wider[1] > high).all()
    one = adapted.interval(X[2])
    assert np.shape(one[0]) == ()
    np.testing.assert_allclose(one, (low[2], high[2]), rtol=1e-5)


def test_an_interval_is_in_the_users_units(run: Path) -> None:
    trained = qs.load(run)
    X = np.linspace(-3, 3, 7)[:, None]
    scale = TargetScale((10.0,), (100.0,))
    model = qs.Model(trained.learner, (1,), temperature=trained.temperature, targets=scale)
    ends = trained.adapt(X, np.sin(X[:, 0])).interval(X)
    scaled = model.adapt(X, 10 + 100 * np.sin(X[:, 0])).interval(X)
    for end, other in zip(ends, scaled, strict=True):
        np.testing.assert_allclose(10 + 100 * end, other, rtol=1e-4)


def test_who_has_no_interval_is_told(run: Path) -> None:
    X = np.linspace(-3, 3, 7)[:, None]
    adapted = qs.load(run).adapt(X, np.sin(X[:, 0]))
    with pytest.raises(UserError, match=r"coverage must be above 0 and below 1; received 1\.5;"):
        adapted.interval(X, coverage=1.5)
    values = qs.Model(maml(sinusoid()), (1,)).adapt(X, X[:, 0])
    with pytest.raises(UserError, match=r"needs a regression .* received MAML in regression"):
        values.interval(X)
    source = blobs()
    model = qs.Model(qs.build("PriorHead", source), source.x_shape)
    classes = model.adapt(np.eye(2), ["a", "b"])
    with pytest.raises(UserError, match="received PriorHead in classification"):
        classes.interval(np.eye(2))
