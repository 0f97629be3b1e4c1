"""Pictures of assays: the actives that a ranking finds, and molecules seen and unseen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.domains.assays.assay_tasks import AssayTasks
from quickstudy.domains.assays.metrics import found
from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, DASHED, SERIES, SOFT
from quickstudy.figures.curves import Curve, draw_curves, label_ends
from quickstudy.figures.rows import Interval, Line, Row, ranked_rows
from quickstudy.figures.sheet import Figure, percent, sheet
from quickstudy.learner import AnyLearner
from quickstudy.metrics import AUC, half_width
from quickstudy.task import Task
from quickstudy.tasks.source import Split, no_more

MOST: Final = 60
"""Tasks that are drawn."""
AT: Final = np.linspace(0, 1, 101)
BESIDE: Final = {"LogisticRegression": "logistic regression", "TanimotoGP": "Tanimoto GP"}


@torch.no_grad()
def enrichment_curves(source: AssayTasks, learner: AnyLearner, split: Split) -> Figure:
    """The share of actives among the molecules that a ranking puts first, beside opponents.

    Args:
        source: The tasks.
        learner: In eval mode.
        split: Whose assays.
    """
    rungs = source.rungs(None)
    learners = {type(learner).__name__: learner}
    learners |= {words: rungs[name] for name, words in BESIDE.items()}
    curves: dict[str, list[NDArray[np.float64]]] = {name: [] for name in learners}
    rates = []
    for task in _tasks(source, split):
        rates.append(float(task.query.y[:, 1].mean()))
        for name, each in learners.items():
            logits = each.predict(each.adapt(task.support), task.query.x)
            active = task.query.y[:, 1] > 0.5
            curves[name].append(found(logits[:, 1] - logits[:, 0], active, AT))
    means = {name: np.mean(values, axis=0) for name, values in curves.items()}
    tenth = int(np.flatnonzero(np.isclose(AT, 0.1))[0])
    own = next(iter(means))
    title = f"{own}: {100 * means[own][tenth]:.0f} % of the actives in the first 10 % of the list"
    with sheet(3.9, title) as canvas:
        axes = canvas.panel(0.55, 0.5, right=2.1)
        colours = (BLUE, *SERIES[1:])
        lines = [
            Curve(AT.tolist(), mean.tolist(), colour=colours[i], strong=i == 0)
            for i, mean in enumerate(means.values())
        ]
        chance = Curve([0, 1], [0, 1], colour=SOFT, dash=DASHED)
        draw_curves(axes, [*lines, chance])
        axes.set(xlim=(0, 0.5), ylim=(0, 1.02))
        middle = len(AT) // 2
        ends = [
            Curve(line.x[: middle + 1], line.y[: middle + 1], colour=line.colour).end(
                name, f"{100 * line.y[tenth]:.0f} % in the first 10 %"
            )
            for name, line in zip(means, lines, strict=True)
        ]
        ends.append(Curve([0, 0.5], [0, 0.5], colour=SOFT).end("class rate", "in any order"))
        label_ends(axes, ends)
        axes.set_xlabel("share of the candidates that are tested, best first")
        axes.set_ylabel("share of the actives found")
        axes.xaxis.set_major_formatter(percent)
        axes.yaxis.set_major_formatter(percent)
        caption = (
            f"The mean over {len(rates)} tasks, of which {100 * np.mean(rates):.1f} % of the "
            "candidates are active. In any order as many actives are found as molecules are "
            "tested, the dashed line."
        )
        data = {
            "tested": AT.tolist(),
            "found": {name: mean.tolist() for name, mean in means.items()},
            "class_rate": float(np.mean(rates)),
            "n_tasks": len(rates),
        }
        return canvas.finish("enrichment", caption, data)


def seen_and_unseen(source: AssayTasks, learner: AnyLearner, split: Split) -> list[Figure]:
    """The same model on the same assays, with molecules of meta-train and with those of a split.

    None where all molecules are shared, or meta-train's are too few in these assays.
    """
    if split == "train" or source.about.get("molecules_of_splits") == "shared":
        return []
    seen = source.on_side("train")
    try:
        seen.usable(split)
    except UserError:
        return []
    rungs = source.rungs(None)
    name, rows, data = type(learner).__name__, [], {}
    opponents = {"LogisticRegression": "ECFP + LR", "LabelsOnly": "labels only"}
    learners = {"the model": learner, **{words: rungs[key] for key, words in opponents.items()}}
    for where, tasks in (("seen", seen), ("unseen", source)):
        for i, (words, each) in enumerate(learners.items()):
            values = auc_of(tasks, each, split)
            half = half_width(values) if len(values) > 1 else 0.0
            mean, colour = float(values.mean()), SERIES[i] if where == "unseen" else SOFT
            row = [Interval(mean, half, half)]
            rows.append(Row(f"{words}, {where}", row, f"{mean:.3f}", colour, strong=i == 0))
            data[f"{words}, {where}"] = [mean, half]
    own = [data[f"the model, {where}"][0] for where in ("seen", "unseen")]
    title = f"{name}: ROC-AUC {own[0]:.3f} on molecules seen, {own[1]:.3f} on unseen scaffolds"
    caption = (
        "One model, the same assays, none of which meta-training saw: above with molecules whose "
        "other labels it was trained on, below with molecules of scaffolds that it never saw. "
        "ECFP + LR is logistic regression on fingerprints. Labels only is logistic regression on "
        "the labels of the same molecules in the meta-train "
        "assays, without any chemistry: what is near it may be memory. Whiskers are 95 % "
        "confidence intervals over tasks."
    )
    line = Line(0.5, "guessing")
    figure = ranked_rows(
        "seen_and_unseen", title, caption, data, rows, axis="ROC-AUC", limits=(0.4, 1.0), line=line
    )
    return [figure]


@torch.no_grad()
def auc_of(source: AssayTasks, learner: AnyLearner, split: Split) -> NDArray[np.float64]:
    """The ROC-AUC of a learner on each of the first tasks of a split."""
    values = [
        AUC.per_task(learner.predict(learner.adapt(task.support), task.query.x), task.query)
        for task in _tasks(source, split)
    ]
    return np.array(values)


def _tasks(source: AssayTasks, split: Split) -> Iterator[Task]:
    n = no_more(source, split, MOST)
    return (source.task(split, index) for index in range(n))
