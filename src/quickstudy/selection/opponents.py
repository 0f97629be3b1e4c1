"""Other ways to choose an algorithm for a table, from the same scores on other tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from quickstudy.selection.configurations import CONFIGURATIONS
from quickstudy.selection.inputs import Scaling, inputs_of, ridge
from quickstudy.selection.matrix import Measured, table_weights
from quickstudy.selection.policy import PolicyTraining
from quickstudy.selection.selector import VALUE_PENALTY, AlgorithmSelector

Array = NDArray[Any]
Chooser = Callable[[Sequence[Measured]], Array]
"""Tasks -> how likely each configuration is chosen in each `(tasks, configurations)`."""
Training = PolicyTraining | None
Opponent = Callable[[Sequence[Measured], str, Sequence[str], Training], Chooser]
"""Tasks to learn from, the metric, what is tried, and how a policy is trained -> a chooser."""
NEIGHBOURS = 10


def policy_gradient(
    train: Sequence[Measured], metric: str, tried: Sequence[str], training: Training
) -> Chooser:
    """The selector."""
    selector = AlgorithmSelector.fit_measured(train, metric, tried, training=training)

    def choose(tasks: Sequence[Measured]) -> Array:
        inputs = [(task.features, task.tried(metric, tried)) for task in tasks]
        return _best(np.array([selector.logits(*each) for each in inputs]))

    return choose


def at_random(
    train: Sequence[Measured], metric: str, tried: Sequence[str], training: Training
) -> Chooser:
    """Any configuration, each as likely as every other."""
    return lambda tasks: np.full((len(tasks), len(CONFIGURATIONS)), 1 / len(CONFIGURATIONS))


def single_best(
    train: Sequence[Measured], metric: str, tried: Sequence[str], training: Training
) -> Chooser:
    """The configuration that is best in the mean over the tables."""
    mean = table_weights(train) @ np.array([task.scored(metric) for task in train])
    return lambda tasks: _best(np.tile(mean, (len(tasks), 1)))


def nearest_tables(
    train: Sequence[Measured], metric: str, tried: Sequence[str], training: Training
) -> Chooser:
    """The best in the mean over the tables with the nearest meta-features.

    Distances are sums of absolute differences of features in units of their standard deviations.

    Source: Feurer et al.: Initializing Bayesian Hyperparameter Optimization via Meta-Learning, AAAI
    2015, who scale to a range.
    """
    names, scores = table_means(train, metric)
    place = {name: i for i, name in enumerate(names)}
    x = inputs_of([(task.features, {}) for task in train]).x
    scaling = Scaling.fit(x, table_weights(train))
    centres = np.zeros((len(names), x.shape[1]))
    np.add.at(centres, [place[task.table] for task in train], scaling(x))
    centres /= np.bincount([place[task.table] for task in train])[:, None]

    def choose(tasks: Sequence[Measured]) -> Array:
        query = scaling(inputs_of([(task.features, {}) for task in tasks]).x)
        distances = np.abs(query[:, None] - centres).sum(axis=2)
        near = distances.argsort(axis=1, kind="stable")[:, :NEIGHBOURS]
        return _best(scores[near].mean(axis=1))

    return choose


def regression(
    train: Sequence[Measured],
    metric: str,
    tried: Sequence[str],
    training: Training,
    forest: bool = True,
) -> Chooser:
    """The configuration whose score a regression on the inputs of the policy expects to be best.

    A random forest of the scores less the task's mean; or ridge, with all that the forest sees.
    """
    inputs = inputs_of([(task.features, task.tried(metric, tried)) for task in train])
    scores = np.array([task.scored(metric) for task in train])
    scores -= scores.mean(axis=1, keepdims=True)
    weight = table_weights(train)
    scaling = Scaling.fit(inputs.x, weight)
    if forest:
        model = RandomForestRegressor(50, min_samples_leaf=5, max_features=1 / 3, random_state=0)
        expect = model.fit(scaling(inputs.x), scores, weight).predict
    else:
        value = ridge(scaling(inputs.x), scores, weight, VALUE_PENALTY)

        def expect(x: Array) -> Array:
            return np.asarray(x @ value[:-1] + value[-1])

    def choose(tasks: Sequence[Measured]) -> Array:
        x = inputs_of([(task.features, task.tried(metric, tried)) for task in tasks]).x
        return _best(expect(scaling(x)))

    return choose


def cross_validation(
    train: Sequence[Measured], metric: str, tried: Sequence[str], training: Training
) -> Chooser:
    """The best trial; learns nothing from other tables."""
    names = list(CONFIGURATIONS)

    def choose(tasks: Sequence[Measured]) -> Array:
        scores = np.full((len(tasks), len(names)), -np.inf)
        for i, task in enumerate(tasks):
            for name, score in task.tried(metric, tried).items():
                scores[i, names.index(name)] = score
        return _best(scores)

    return choose


OPPONENTS: dict[str, Opponent] = {
    "policy gradient": policy_gradient,
    "single best": single_best,
    "nearest tables": nearest_tables,
    "regression, forest": regression,
    "regression, ridge": partial(regression, forest=False),
    "best trial": cross_validation,
    "at random": at_random,
}


def table_means(tasks: Iterable[Measured], metric: str) -> tuple[list[str], Array]:
    """The tables, and the mean score of each configuration over the splits of each."""
    rows: dict[str, list[Array]] = {}
    for task in tasks:
        rows.setdefault(task.table, []).append(task.scored(metric))
    return list(rows), np.array([np.mean(scores, axis=0) for scores in rows.values()])


def _best(values: Array) -> Array:
    """One-hot rows at the largest value of each; at the first of equal ones."""
    return np.asarray(np.eye(values.shape[1])[values.argmax(axis=1)])
