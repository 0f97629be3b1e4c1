"""The picture of recommendation has the numbers of the data; each part can fail."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from quickstudy import catalog
from quickstudy.domains.ratings.made import make_ratings, write_ratings
from quickstudy.errors import UserError
from quickstudy.figures.by_examples import Errors, error_by_examples
from quickstudy.learner import Learner
from quickstudy.task import Examples


class Level(Learner[Tensor]):
    """Answers the sum of the weighed support over their number and one, for every item."""

    kind = "regression"

    def adapt(self, support: Examples) -> Tensor:
        return (support.y[:, 0] * support.weight).sum() / (support.weight.sum() + 1)

    def predict(self, state: Tensor, x: Tensor) -> Tensor:
        return state.expand(len(x), 1)


@pytest.fixture(scope="module")
def source(tmp_path_factory: Any) -> Any:
    folder = tmp_path_factory.mktemp("films")
    write_ratings(folder, make_ratings(n_users=40, n_items=60, least=16, seed=3))
    spec = {"name": "ratings", "path": folder, "most": 10, "n_query": 5, "n_shot": 5}
    return catalog.build_tasks(spec)


@pytest.fixture(scope="module")
def figure(source: Any) -> Any:
    (figure,) = source.figures(Level().eval(), "test", 1)
    return figure


def by_hand(source: Any, n: int, split: str = "test") -> Any:
    """The MAE of `Level` of each user, in stars, by loops."""
    errors = []
    for index in range(source.n_tasks(split)):
        sized = source.resized(n_shot=max(n, 1))
        support, query = sized.task(split, index)
        level = float(support.y.sum()) / (n + 1) if n else 0.0
        asked = query.weight > 0
        base, std = query.x[asked, -2], source.targets.std
        answer = (base + std * level).clamp(1, 5)
        errors.append(float((answer - base - std * query.y[asked, 0]).abs().mean()))
    return np.array(errors)


def test_the_errors_by_the_number_of_ratings(source: Any, figure: Any) -> None:
    assert figure.name == "error_by_examples"
    assert figure.data["numbers"] == [0, 5, 10]  # as far as the tasks have them
    own, *opponents = figure.data["rows"]
    expected = [by_hand(source, n).mean() for n in (0, 5, 10)]
    np.testing.assert_allclose(own["errors"], expected, rtol=1e-4)
    assert [row["name"] for row in opponents] == [
        "item mean", "user + item bias", "item-kNN", "matrix factorisation",
    ]  # fmt: skip
    json.dumps(figure.data, allow_nan=False)


def test_the_differences_are_paired(source: Any, figure: Any) -> None:
    mean, bias = figure.data["rows"][1:3]
    assert mean["difference"] is None
    assert len({*mean["errors"]}) == 1  # learns nothing from ratings
    # The bias with penalty 1 is what Level says.
    penalty = source.rungs(None)["UserItemBias"].penalty
    with torch.no_grad():
        rung = []
        for index in range(source.n_tasks("test")):
            support, query = source.resized(n_shot=10).without_candidates("test", index)
            level = float(support.y.sum()) / (10 + penalty)
            base, std = query.x[:, -2], source.targets.std
            answer = (base + std * level).clamp(1, 5)
            rung.append(float((answer - base - std * query.y[:, 0]).abs().mean()))
    difference = by_hand(source, 10) - np.array(rung)
    half = 1.96 * difference.std(ddof=1) / len(difference) ** 0.5
    assert bias["difference"][2] == pytest.approx(difference.mean(), abs=1e-5)
    assert bias["half_widths"][2] == pytest.approx(half, abs=1e-5)


def test_a_figure_needs_an_opponent_and_all_numbers() -> None:
    own = Errors("ours", (2.0, 1.0))
    with pytest.raises(UserError, match="needs a learner and an opponent; received 1"):
        error_by_examples((0, 5), [own], noun="MAE")
    with pytest.raises(UserError, match="2 numbers of examples; received 1 of 'mean'"):
        error_by_examples((0, 5), [own, Errors("mean", (2.0,))], noun="MAE")
    with pytest.raises(UserError):
        error_by_examples((0, 5), [own, Errors("mean", (2.0, float("nan")))], noun="MAE")
