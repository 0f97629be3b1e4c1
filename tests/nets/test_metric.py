"""The learned metric: cosine of centred features before meta-training, and a better one after."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import quickstudy as qs
from quickstudy import UserError
from quickstudy.nets import Centre, Metric
from quickstudy.task import Task


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_the_equations_by_hand(power: float) -> None:
    rng = np.random.default_rng(0)
    x, mean, change = rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(4, 4))
    x[0, 1] = 0
    net = Metric((2, 2), power=power, scale=3.0).double()
    with torch.no_grad():
        net.centre.mean.copy_(torch.from_numpy(mean))
        net.change.weight.copy_(torch.from_numpy(change))
    z = unit(unit(np.sign(x) * np.abs(x) ** power) - mean)
    want = 3 * unit(z + z @ change.T)
    found = net(torch.from_numpy(x).view(3, 2, 2))
    np.testing.assert_allclose(found.detach().numpy(), want, rtol=1e-9)


def test_it_starts_as_the_cosine_of_the_features() -> None:
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Metric((6,), scale=1.0)(x), F.normalize(x))


def test_numbers_that_are_zero_have_finite_slopes() -> None:
    x = torch.tensor([[0.0, 1.0, 4.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(Metric((3,), power=0.5)(x).sum(), x)
    assert slope.isfinite().all()


@pytest.mark.parametrize("options", [{"power": 0.0}, {"scale": -1.0}])
def test_a_power_or_scale_that_is_not_positive_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match="must be above 0"):
        Metric((3,), **options)


def noisy_classes() -> qs.tasks.Dataset:
    """Classes that differ in 4 of 24 numbers; in the others an example differs from its like."""
    rng = np.random.default_rng(0)
    means = np.zeros((36, 24))
    means[:, :4] = rng.normal(size=(36, 4))
    X = means.repeat(20, axis=0) + 3 + rng.normal(size=(720, 24)) * ([0.3] * 4 + [1.5] * 20)
    return qs.tasks.arrays(X, np.arange(36).repeat(20), valid=0.2, test=0.3)


def test_it_learns_which_directions_tell_classes_apart() -> None:
    tasks = qs.tasks.Episodes(noisy_classes(), n_way=5, n_shot=1, n_query=5)
    training = qs.Training(steps=100, meta_batch=4, outer_lr=0.02, valid_tasks=0)

    def accuracy(learner: qs.Learner) -> float:
        measured = qs.evaluate(learner, tasks, n_tasks=100, with_baselines=False)
        return measured.mean.value

    learner = qs.build("PrototypicalNetwork", tasks, "Metric")
    before = accuracy(learner)
    qs.train(learner, tasks, training, show=False)
    assert before < 0.5
    assert accuracy(learner) > before + 0.2


def test_training_starts_with_the_mean_of_the_meta_train_examples() -> None:
    tasks = qs.tasks.Episodes(noisy_classes(), n_way=5, n_shot=1, n_query=5)
    seen: list[float] = []

    class Watched(qs.learners.PrototypicalNetwork):
        def task_loss(self, task: Task) -> torch.Tensor:
            (centre,) = (m for m in self.net.modules() if isinstance(m, Centre))
            seen.append(float(centre.calibrated))
            return super().task_loss(task)

    learner = Watched(Metric((24,)))
    training = qs.Training(steps=1, meta_batch=1, valid_tasks=0, batching="loop")
    qs.train(learner, tasks, training, show=False)
    # One task is tried, twenty give the mean, and then comes the first step.
    assert seen[:22] == [0.0] * 21 + [1.0]
