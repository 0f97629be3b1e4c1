"""How much each choice matters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from scipy.stats import rankdata, spearmanr

from quickstudy.files.records import JSON
from quickstudy.search.rows import Row
from quickstudy.search.space import Choice, Space

FEWEST = 6


def importance(space: Space, trials: Sequence[Row], sign: int) -> list[JSON]:
    """The share of each choice in how trials rank, largest first; none of too few trials.

    Trials are ranked by their metric when they were first judged, where all have seen as much;
    failed ones come last. A choice that a trial did not make counts as one in the middle. The
    shares are the main effects of a functional analysis of variance over a random forest.

    Args:
        space: The space at first.
        trials: The trials.
        sign: 1 where a larger metric is better, else -1.

    Source: Hutter, Hoos, Leyton-Brown: An Efficient Approach for Assessing Hyperparameter
    Importance, ICML 2014.
    """
    judged = [row for row in trials if row.curve or row.state == "failed"]
    judged = [row for row in judged if row.state not in ("retried", "waiting", "running")]
    scores = np.array([_first(row, sign) for row in judged])
    varied = [c for c in space.choices if len({repr(r.choices.get(c.key)) for r in judged}) > 1]
    if len(judged) < FEWEST or not varied or len({*scores.tolist()}) < 2:
        return []
    quality = rankdata(scores) / len(scores)
    distributions = {choice.key: _distribution(choice, judged) for choice in varied}
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        study = optuna.create_study(direction="maximize")
        for row, value in zip(judged, quality, strict=True):
            params = {c.key: row.choices.get(c.key, _middle(c)) for c in varied}
            study.add_trial(
                optuna.create_trial(params=params, distributions=distributions, value=float(value))
            )
        shares = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    by_key = {choice.key: choice for choice in varied}
    return [
        {"choice": key, "share": float(share), "tendency": tendency(by_key[key], judged, quality)}
        for key, share in sorted(shares.items(), key=lambda item: -item[1])
    ]


def tendency(choice: Choice, trials: Sequence[Row], quality: Sequence[float] | Any) -> str:
    """Which way a choice should go, in a few words."""
    pairs = [(r.choices[choice.key], q) for r, q in zip(trials, quality, strict=True)
            if choice.key in r.choices]  # fmt: skip
    if choice.values:
        means = {
            repr(v): float(np.mean([q for value, q in pairs if repr(value) == repr(v)]))
            for v in choice.values
            if any(repr(value) == repr(v) for value, _ in pairs)
        }
        best = max(means, key=lambda name: means[name])
        return f"best with {best.strip(chr(39))}"
    values, ranks = zip(*pairs, strict=True) if pairs else ((), ())
    if len({*values}) < 3:
        return "too few trials to say"
    rho = float(spearmanr(values, ranks).statistic)
    if not abs(rho) >= 0.3:
        return "neither small nor large values do better"
    return f"{'larger' if rho > 0 else 'smaller'} values do better (rank correlation {rho:+.2f})"


def _first(row: Row, sign: int) -> float:
    value = row.curve[0][1] if row.curve and row.state != "failed" else np.nan
    return sign * value if np.isfinite(value) else -np.inf


def _middle(choice: Choice) -> Any:
    return choice.values[0] if choice.values else choice.at(0.5)


def _distribution(choice: Choice, trials: Sequence[Row]) -> BaseDistribution:
    if choice.values:
        return CategoricalDistribution(choice.values)
    values = [row.choices[choice.key] for row in trials if choice.key in row.choices]
    values.append(_middle(choice))
    return FloatDistribution(float(min(values)), float(max(values)), log=choice.log)
