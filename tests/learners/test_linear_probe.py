"""The linear probe: its penalty against refits, its mean, and what meta-training leaves alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from reference import linear_probe as reference
from sklearn.linear_model import LogisticRegression
from small import blobs, quick
from torch import Tensor, nn

from quickstudy import UserError, build, load
from quickstudy.evaluation.scores import score
from quickstudy.inner.softmax_regression import Rows, minimiser
from quickstudy.learners import LinearProbe
from quickstudy.learners.linear_head import with_constant
from quickstudy.learners.linear_probe import (
    FOLDS,
    GRID,
    LARGEST,
    ONE_SHOT_SCALE,
    SCALES,
    USUAL,
    Choice,
    chosen,
    folds,
    judged,
)
from quickstudy.nets import MLP
from quickstudy.task import Examples, examples, pad


def drawn(shots: list[int], d: int = 6, spread: float = 0.7, seed: int = 0) -> Examples:
    """Unit rows around class centres."""
    rng = torch.Generator().manual_seed(seed)
    y = torch.arange(len(shots)).repeat_interleave(torch.tensor(shots))
    centres = torch.randn(len(shots), d, generator=rng, dtype=torch.float64)
    noise = torch.randn(len(y), d, generator=rng, dtype=torch.float64)
    x = centres[y] + spread * noise
    return examples(x / x.norm(dim=1, keepdim=True), y)


def plain(support: Examples) -> tuple[list[Tensor], list[int]]:
    return list(support.x), support.y.argmax(dim=1).tolist()


def choice(support: Examples) -> Choice:
    rows = Rows.of(with_constant(support.x))
    return chosen(rows, support.x, support.y, support.weight)


def relative(support: Examples) -> float:
    """The chosen C, in units of one over the variance."""
    return choice(support).C * reference.variance(list(support.x))


def bare(d: int = 6, **options: float) -> LinearProbe:
    return LinearProbe(MLP((d,), hidden=()), **options).double().eval()


@pytest.mark.parametrize("shots", [[2, 2, 2], [4, 2, 3], [7, 7], [1, 3, 2]])
def test_losses_left_out_are_those_of_refits(shots: list[int]) -> None:
    support = drawn(shots)
    rows, parts = Rows.of(with_constant(support.x)), folds(*support)
    assert parts is not None
    for C in (1.0, 30.0):
        penalty = torch.full((len(parts.learned),), 1 / C, dtype=torch.float64)
        found = judged(rows, support.y, parts, minimiser(rows, support.y, parts.learned, penalty))
        losses, scale = reference.left_out(*plain(support), len(shots), C, FOLDS, [*SCALES])
        assert found.losses.tolist() == pytest.approx(losses, rel=1e-4, abs=1e-6)
        assert found.scale == scale


@pytest.mark.parametrize(
    ("shots", "spread", "seed"),
    [([3, 3, 4], 1.1, 0), ([3, 3, 4], 0.3, 1), ([2, 2], 0.5, 2), ([6, 6, 6], 2.0, 3)],
)
def test_the_choice_is_that_of_refits(shots: list[int], spread: float, seed: int) -> None:
    support = drawn(shots, spread=spread, seed=seed)
    unit, way = 1 / reference.variance(list(support.x)), len(shots)
    on_each = [reference.left_out(*plain(support), way, unit * C, FOLDS, [*SCALES]) for C in GRID]
    at = reference.choice(on_each, USUAL)
    for given in (support, pad(support, 20, way + 2)):
        found = choice(given)
        assert pytest.approx(unit * GRID[at]) == found.C
        assert found.scale == min(on_each[at][1], LARGEST)


def test_another_penalty_than_the_usual_must_be_clearly_better() -> None:
    usual = [relative(drawn([3, 3, 3], spread=0.7, seed=seed)) for seed in range(6)]
    assert usual.count(pytest.approx(GRID[USUAL])) > 3
    assert min(usual) < GRID[USUAL] < max(usual)


def test_the_clearer_the_classes_the_surer_the_answers() -> None:
    scales = [choice(drawn([5, 5, 5], spread=spread)).scale for spread in (0.1, 0.6, 4.0)]
    assert scales == sorted(scales, reverse=True)
    assert scales[0] > scales[-1]


def test_each_example_is_left_out_once_but_the_only_one_of_a_class() -> None:
    support = drawn([1, 3, 12])
    parts = folds(*support)
    assert parts is not None
    assert len(parts.left_out) == FOLDS
    assert parts.left_out.sum(dim=0).tolist() == [0] + 15 * [1]
    torch.testing.assert_close(parts.learned + parts.left_out, torch.ones(5, 16).double())
    per_class = parts.left_out @ support.y
    assert per_class[:, 1].tolist() == [1, 1, 1, 0, 0]
    assert per_class[:, 2].amax() == 3


def test_the_order_of_the_support_does_not_matter() -> None:
    support = drawn([4, 4, 4])
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    parts, mixed = folds(*support), folds(*(part[order] for part in support))
    assert parts is not None
    assert mixed is not None
    assert torch.equal(parts.left_out[:, order], mixed.left_out)


def test_one_shot_takes_the_usual_penalty() -> None:
    support = drawn([1, 1, 1])
    C, scale = choice(support)
    assert pytest.approx(GRID[USUAL] / reference.variance(list(support.x))) == C
    assert scale == ONE_SHOT_SCALE
    found, fixed = (each.adapt(support) for each in (bare(), bare(C=C)))
    torch.testing.assert_close(found.weight, scale * fixed.weight)


@pytest.mark.parametrize("shots", [[3, 3], [1, 4, 2, 2]])
@pytest.mark.parametrize("C", [0.3, 10.0])
def test_a_fixed_penalty_is_as_in_scikit_learn(shots: list[int], C: float) -> None:
    support, query = drawn(shots), drawn(shots, seed=1)
    model = LogisticRegression(C=C, fit_intercept=False, tol=1e-10, max_iter=10000)
    rows, y = with_constant(support.x).numpy(), support.y.argmax(dim=1).numpy()
    if len(shots) == 2:  # scikit-learn penalises the one difference, which is twice a weight.
        model.C = 2 * C
    model.fit(rows, y)
    learner = bare(C=C)
    logits = learner.predict(learner.adapt(support), query.x)
    want = model.predict_proba(with_constant(query.x).numpy())
    torch.testing.assert_close(
        torch.softmax(logits, dim=1), torch.as_tensor(want), rtol=1e-5, atol=1e-6
    )


def test_lengths_of_features_do_not_matter() -> None:
    support, query = drawn([3, 3, 3]), drawn([2, 2, 2], seed=1)
    longer = support._replace(x=support.x * torch.arange(1, 10)[:, None])
    learner = bare()
    found, want = (learner.predict(learner.adapt(each), query.x) for each in (longer, support))
    torch.testing.assert_close(found, want)


def test_the_mean_of_meta_train_is_taken_off() -> None:
    support, query = drawn([3, 3, 3]), drawn([2, 2, 2], seed=1)
    learner, other = bare(), bare()
    mean = torch.arange(6).double()
    other.net[1].mean.copy_(mean)
    want = learner.predict(learner.adapt(support), query.x)
    moved = support._replace(x=support.x + mean)
    torch.testing.assert_close(other.predict(other.adapt(moved), query.x + mean), want)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_contributions_sum_to_the_logits(dtype: torch.dtype) -> None:
    support = Examples(*(part.to(dtype) for part in drawn([3, 1, 4])))
    query = drawn([2, 2, 2], seed=1).x.to(dtype)
    learner = bare(scale=2.0).to(dtype)
    state = learner.adapt(support)
    parts = learner.contributions(state, support, query)
    assert parts.of == "logit"
    torch.testing.assert_close(parts.parts.sum(dim=1), learner.predict(state, query))


def test_many_classes() -> None:
    support, query = drawn([3] * 60, d=30), drawn([2] * 60, d=30)
    learner = bare(30)
    prediction = learner.predict(learner.adapt(support), support.x)
    assert (prediction.argmax(dim=1) == support.y.argmax(dim=1)).double().mean() > 0.95
    assert query.x.shape == (120, 30)


def test_it_works_without_meta_training() -> None:
    source = blobs(n_shot=3)
    learner = build("LinearProbe", source)
    assert learner.specs["net"] == {"name": "MLP", "hidden": []}
    tasks = [source.task("test", index) for index in range(20)]
    assert score(learner, tasks).mean > 0.6
    assert not learner.net[1].calibrated


def test_a_named_network_is_the_one_asked_for() -> None:
    source = blobs()
    assert build("LinearProbe", source, net={"hidden": [4]}).specs["net"]["hidden"] == [4]
    named = build("LinearProbe", source, net={"name": "Adapter", "hidden": 3})
    assert named.specs["net"] == {"name": "Adapter", "hidden": 3}


def test_meta_training_keeps_the_mean_and_changes_the_scale_alone(tmp_path: Path) -> None:
    source = blobs(n_shot=3)
    learner = build("LinearProbe", source, net={"name": "MLP", "hidden": [5]})
    before = {name: p.clone() for name, p in learner.named_parameters()}
    quick(source, learner, tmp_path / "run", steps=1)
    changed = [n for n, p in learner.named_parameters() if not torch.equal(p, before[n])]
    assert changed == ["log_scale"]
    model = load(tmp_path / "run")
    assert model.learner.net[1].calibrated
    pool = source.pool("train")
    want = learner.net[0](torch.from_numpy(pool.x)).mean(dim=0)
    torch.testing.assert_close(model.learner.net[1].mean, want.detach(), rtol=0.3, atol=0.1)
    x, y = source.pool("test").x[:40], source.pool("test").y[:40]
    assert np.isfinite(model.adapt(x, y).predict_proba(x)).all()


def test_refusals() -> None:
    with pytest.raises(UserError, match="LinearProbe: C must be"):
        LinearProbe(nn.Linear(2, 2), C=0)
    with pytest.raises(UserError, match="number of features must be known"):
        LinearProbe(nn.Flatten())
    with pytest.raises(UserError, match="needs examples of 2 classes"):
        bare().adapt(drawn([3]))
