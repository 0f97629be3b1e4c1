"""The simple opponents of a recommendation, each beside slow loops over its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quickstudy import catalog
from quickstudy.domains.ratings.made import make_ratings, write_ratings
from quickstudy.domains.ratings.rungs import EASE, ItemKNN, MatrixFactorisation, UserItemBias
from quickstudy.task import Task, pad


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_ratings(folder, make_ratings(n_users=60, n_items=60, least=16, seed=2))
    spec = {"name": "ratings", "path": folder, "most": 10, "n_query": 5, "n_shot": 6}
    return catalog.build_tasks(spec)


@pytest.fixture(scope="module")
def rungs(source):
    return source.rungs(None)


def known(source, task):
    """Places and residuals of the support, and places of the queries."""
    support, query = task
    place = (support.x[:, -1].long() - 1).tolist()
    residual = (support.y[:, 0].double() * source.targets.std).tolist()
    return place, residual, (query.x[:, -1].long() - 1).tolist()


def answers(learner, source, task):
    return (learner.respond(task)[:, 0].double() * source.targets.std).tolist()


def test_the_ladder(source, rungs):
    assert set(rungs) == {
        *("MatrixFactorisation", "ItemKNN", "UserItemBias", "EASE", "Popularity", "ItemMean")
    }
    for learner in rungs.values():
        assert learner.kind == "regression"
        assert not learner.tags.meta_trained


def test_user_and_item_bias(source):
    task = source.task("test", 0)
    _, residual, _ = known(source, task)
    expected = sum(residual) / (len(residual) + 3)
    got = answers(UserItemBias(source.targets.std, 3.0), source, task)
    assert got == pytest.approx([expected] * len(got), abs=1e-5)


def residuals(source):
    """Dense residuals of meta-train users, and who rated what, by loops."""
    past = source.past
    e, m = np.zeros((len(past.users), past.n_items)), np.zeros((len(past.users), past.n_items))
    for number, user in enumerate(past.users):
        left = user.ratings - past.base[user.items]
        bias = left.sum() / (len(left) + 3)
        e[number, user.items], m[number, user.items] = left - bias, 1
    return e, m


def test_item_knn(source):
    e, m = residuals(source)
    task = source.task("test", 1)
    place, residual, asked = known(source, task)
    b = sum(residual) / (len(residual) + 3)
    expected = []
    for i in asked:
        total = weights = 0.0
        for j, r in zip(place, residual, strict=True):
            norm = np.sqrt((e[:, i] ** 2).sum() * (e[:, j] ** 2).sum())
            both = (m[:, i] * m[:, j]).sum()
            w = max((e[:, i] * e[:, j]).sum() / norm * both / (both + 20), 0) if norm else 0.0
            total, weights = total + w * (r - b), weights + w
        expected.append(b + total / (weights + 0.3))
    learner = ItemKNN(source.targets.std, source.opponents.similarity, 0.3)
    assert answers(learner, source, task) == pytest.approx(expected, abs=1e-4)


def test_matrix_factorisation_folds_a_user_in_by_ridge(source):
    task = source.task("test", 2)
    place, residual, asked = known(source, task)
    factors = source.opponents.factors(8, 5.0)
    z = factors.numpy()
    p = np.linalg.inv(z[place].T @ z[place] + 0.6 * np.eye(9)) @ z[place].T @ residual
    learner = MatrixFactorisation(source.targets.std, factors, 0.6)
    assert answers(learner, source, task) == pytest.approx((z[asked] @ p).tolist(), abs=1e-5)
    e, m = residuals(source)
    rank = z[:, :8] @ z[:, :8].T  # the factors explain which residuals go together
    together, pairs = e.T @ e, m.T @ m
    often = (pairs > 5) & ~np.eye(len(pairs), dtype=bool)
    assert np.corrcoef(rank[often], (together[often] / pairs[often]))[0, 1] > 0.5


def test_ease_has_the_weights_of_its_constraint(source):
    _, m = residuals(source)
    weights = source.opponents.ease[0].double().numpy()
    assert (np.diag(weights) == 0).all()
    # Each column is the ridge regression of the item on all others.
    for item in range(3):
        others = [i for i in range(m.shape[1]) if i != item]
        x = m[:, others]
        b = np.linalg.solve(x.T @ x + 30 * np.eye(len(others)), x.T @ m[:, item])
        np.testing.assert_allclose(weights[others, item], b, atol=1e-4)


def test_rankers_rank_by_their_score_and_answer_in_stars(source, rungs):
    task = source.task("test", 0)
    counts = torch.tensor(source.items.counts)[task.query.x[:, -1].long() - 1]
    stars = source.targets.restore(rungs["Popularity"].respond(task), task.query.x)[:, 0]
    order = torch.argsort(counts, stable=True)
    assert (stars[order].diff() >= -1e-6).all()
    assert 2 < float(stars.mean()) < 5
    ease = rungs["EASE"]
    assert isinstance(ease, EASE)
    scores = ease.score(ease.adapt(task.support), task.query.x)
    stars = source.targets.restore(ease.respond(task), task.query.x)[:, 0]
    assert (stars[torch.argsort(scores)].diff() >= -1e-5).all()


def test_padding_changes_nothing(source, rungs):
    task = source.without_candidates("test", 0)
    padded = Task(pad(task.support, 9, 1), pad(task.query, 8, 1))
    for learner in rungs.values():
        torch.testing.assert_close(learner.respond(padded)[:5], learner.respond(task))


def test_the_opponents_are_fitted_on_meta_train_alone(source, rungs):
    names = {user.name for user in source.past.users}
    tested = {source.users[unit].name for unit in source.units["test"]}
    judged = {source.users[unit].name for unit in source.units["valid"]}
    assert not names & (tested | judged)
    again = source.resized(n_shot=3)
    assert again.opponents is source.opponents
