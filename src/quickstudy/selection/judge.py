"""How good choices are on tables of families that were not learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.files.records import Record
from quickstudy.selection.configurations import CONFIGURATIONS
from quickstudy.selection.matrix import Measured
from quickstudy.selection.opponents import OPPONENTS, Opponent, table_means
from quickstudy.selection.policy import PolicyTraining
from quickstudy.tasks.source import generator

Array = NDArray[Any]
RESAMPLES = 2000
PARTS: dict[str, tuple[str, ...]] = {
    "nearest tables": ("features",),
    "best trial": ("trials",),
    **dict.fromkeys(("single best", "at random", "oracle", "oracle of other splits"), ()),
}
"""The measurements of a task that a way to choose needs; others need features and trials."""


@dataclass(frozen=True, eq=False)
class Choosing(Record):
    """One way to choose, on families that it did not learn from.

    Attributes:
        name: Its name.
        metric: Name of the score.
        mean: Mean score over the tables.
        closed: The share of the gap between single best and oracle that it closes.
        closed_95: Lower and upper end of the 95 % interval of this.
        seconds: Processor seconds that a choice takes.
    """

    name: str
    metric: str
    mean: float
    closed: float
    closed_95: tuple[float, float]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON, in which the key of the mean is the name of the score."""
        return {
            "name": self.name,
            self.metric: self.mean,
            "closed": self.closed,
            "closed_95": list(self.closed_95),
            "seconds": self.seconds,
        }


@dataclass(frozen=True, eq=False)
class JudgedTable(Record):
    """The score of each way to choose on one table.

    Attributes:
        table, family: Which table.
        best: The configuration that the oracle takes.
        chosen: The share of splits in which the policy chose each configuration.
        means: By way to choose, its mean score over the splits.
    """

    table: str
    family: str
    best: str
    chosen: Mapping[str, float]
    means: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON, with the means beside the other keys."""
        json = super().to_json()
        means = json.pop("means")
        return {**json, **means}


@dataclass(frozen=True, eq=False)
class Judgement(Record):
    """How good choices are on tables of families that were not learned from.

    Attributes:
        metric: Name of the score.
        tables, families, tasks: Numbers of these.
        folds: Groups of families that were left out in turn.
        tried: Configurations that were tried on each support.
        methods: The ways to choose, the best first.
        seconds: Mean processor seconds of a task's features, trials and fits.
        by_table: The tables.
    """

    metric: str
    tables: int
    families: int
    tasks: int
    folds: int
    tried: Sequence[str]
    methods: Sequence[Choosing]
    seconds: Mapping[str, float]
    by_table: Sequence[JudgedTable]


def judge(
    measured: Sequence[Measured],
    metric: str,
    tried: Sequence[str],
    folds: int | None = None,
    opponents: Mapping[str, Opponent] = OPPONENTS,
    training: PolicyTraining | None = None,
    seed: int = 0,
    progress: Callable[[str], object] = lambda text: None,
) -> Judgement:
    """Judges each way to choose on families that it did not learn from.

    The value of a configuration on a table is its mean score over the splits. The oracle takes the
    configuration of the best value on each table; the single best, the one of the best mean value
    on the other families. Of the gap between the two,

        closed = (method - single best) / (oracle - single best)

    with means over tables, and an interval from families drawn with replacement. A method chooses
    anew in each split, from the support alone. The oracle has seen the query rows, and part of its
    lead is luck; `oracle of other splits` takes what is best on a table's other splits.

    Args:
        measured: The score matrix.
        metric: The score.
        tried: Configurations that are tried on each support.
        folds: Groups of families that are left out in turn; each family alone where omitted.
        opponents: The ways to choose.
        training: How the policy is trained.
        seed: Of the groups and of the resampling.
        progress: Told which group is left out.

    Raises:
        UserError: There are fewer than three families, or fewer than folds.
    """
    families = sorted({task.family for task in measured})
    folds = len(families) if folds is None else folds
    if not 2 <= folds <= len(families) or len(families) < 3:
        raise UserError(
            f"selection: needs three families of tables or more, and 2 to as many folds; received "
            f"{len(families)} families and {folds} folds; add tables, or choose other folds."
        )
    order = generator(seed, "families", 0).permutation(len(families))
    group = {families[i]: place % folds for place, i in enumerate(order)}
    chosen = {name: np.zeros((len(measured), len(CONFIGURATIONS))) for name in opponents}
    for fold in range(folds):
        progress(f"families left out: {fold + 1} of {folds}")
        test = [i for i, task in enumerate(measured) if group[task.family] == fold]
        train = [task for task in measured if group[task.family] != fold]
        for name, opponent in opponents.items():
            choose = opponent(train, metric, tried, training)
            chosen[name][test] = choose([measured[i] for i in test])
    return _judgement(measured, metric, tried, folds, chosen, seed)


def _judgement(
    measured: Sequence[Measured],
    metric: str,
    tried: Sequence[str],
    folds: int,
    chosen: dict[str, Array],
    seed: int,
) -> Judgement:
    names, means = table_means(measured, metric)
    place = {name: i for i, name in enumerate(names)}
    tables = np.array([place[task.table] for task in measured])
    count = np.bincount(tables)
    scores = np.array([task.scored(metric) for task in measured])
    family = {task.table: task.family for task in measured}
    # For each split, the sum over the table's other splits.
    others = means[tables] * count[tables, None] - scores
    chosen = chosen | {"oracle of other splits": np.eye(scores.shape[1])[others.argmax(axis=1)]}
    value = {
        name: np.bincount(tables, (share * scores).sum(axis=1)) / count
        for name, share in chosen.items()
    }
    value["oracle"] = means.max(axis=1)
    draws = _resampled([family[name] for name in names], seed)
    seconds = _seconds(measured, tried)
    methods = []
    for name, values in sorted(value.items(), key=lambda item: -item[1].mean()):
        gained, gap = values - value["single best"], value["oracle"] - value["single best"]
        closed = draws @ gained / np.maximum(draws @ gap, 1e-12)
        low, high = np.quantile(closed, [0.025, 0.975])
        paid = PARTS.get(name, ("features", "trials"))
        methods.append(
            Choosing(
                name=name,
                metric=metric,
                mean=float(values.mean()),
                closed=float(gained.mean() / max(gap.mean(), 1e-12)),
                closed_95=(float(low), float(high)),
                seconds=sum(seconds[part] for part in paid),
            )
        )
    oracle = np.array(list(CONFIGURATIONS))[means.argmax(axis=1)]
    return Judgement(
        metric=metric,
        tables=len(names),
        families=len(set(family.values())),
        tasks=len(measured),
        folds=folds,
        tried=tried,
        methods=methods,
        seconds=seconds,
        by_table=[
            JudgedTable(
                table=name,
                family=family[name],
                best=str(oracle[i]),
                chosen=_shares(chosen["policy gradient"][tables == i]),
                means={method: float(value[method][i]) for method in value},
            )
            for i, name in enumerate(names)
        ],
    )


def _resampled(families: Sequence[str], seed: int) -> Array:
    """How often each table is taken when families are drawn with replacement `(draws, tables)`."""
    distinct, place = np.unique(families, return_inverse=True)
    random = generator(seed, "resampling", 0)
    draws = random.multinomial(len(distinct), np.full(len(distinct), 1 / len(distinct)), RESAMPLES)
    return np.asarray(draws[:, place], dtype=np.float64)


def _shares(chosen: Array) -> dict[str, float]:
    """The share of splits in which each configuration was chosen, where that is not 0."""
    shares = zip(CONFIGURATIONS, chosen.mean(axis=0).tolist(), strict=True)
    return {name: share for name, share in shares if share}


def _seconds(measured: Sequence[Measured], tried: Sequence[str]) -> dict[str, float]:
    """Mean processor time of a task: of its features, its trials, and of fitting each."""
    fits = {
        name: float(np.mean([task.scores[name].seconds for task in measured]))
        for name in CONFIGURATIONS
    }
    trials = sum(task.trials[name].seconds for task in measured for name in tried)
    return {
        "features": float(np.mean([task.features_seconds for task in measured])),
        "trials": trials / len(measured),
        "all fits": sum(fits.values()),
    }
