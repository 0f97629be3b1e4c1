"""Figures of meta-training and of evaluations: curves, baselines, reliability and fits.

This module knows numbers, not learners. A number that is missing where it is needed, is not finite,
or is a percentage where a fraction is meant, is a `UserError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, DASHED, GREY, INK, MARKERS, SERIES, SOFT, VERMILLION
from quickstudy.figures.curves import Curve, End, draw_curves, label_ends
from quickstudy.figures.rows import Interval, Line, Row, ranked_rows
from quickstudy.figures.sheet import WIDTH, Figure, metric_axis, percent, sheet
from quickstudy.figures.values import finite, known, numbers
from quickstudy.files.records import JSONLike
from quickstudy.metrics import ACCURACY, Metric

Number = Literal["n_shot", "n_updates", "inner_steps"]
NUMBERS: dict[str, Number] = {
    "by_shots": "n_shot",
    "by_updates": "n_updates",
    "by_steps": "inner_steps",
}
"""The number on the axis of a curve, by the key of the curve in an evaluation."""


def learning_curve(rows: Sequence[JSONLike], *, metric: Metric = ACCURACY) -> Figure:
    """The meta-training loss and the validation metric against the steps of the outer loop.

    Args:
        rows: `{"step", "loss", "valid_accuracy" or "valid_mse"}`; all but the step may be missing
            or null. More than 400 losses are drawn and kept as means of equal groups.
        metric: What validation measured.
    """
    key = f"valid_{metric.name}"
    losses = numbers("learning_curve", [r for r in rows if known(r, "loss")], "step", "loss")
    valid = [{"step": r["step"], key: r[key]} for r in rows if known(r, key)]
    valid = numbers("learning_curve", valid, "step", key) if valid else []
    pairs = np.array([[r["step"], r["loss"]] for r in losses])
    groups = np.array_split(pairs, min(400, len(pairs)))
    step, loss = np.array([group.mean(axis=0) for group in groups]).T
    # Centred, so that it does not lag; a neighbour 1 % of the curve away weighs half.
    away = np.abs(np.subtract.outer(np.arange(len(loss)), np.arange(len(loss))))
    weight = 0.5 ** (away * 100 / max(100, len(loss)))
    smooth = weight @ loss / weight.sum(axis=1)
    title = f"Loss {smooth[-1]:.3g} after {pairs[-1, 0]:,.0f} steps"
    if valid:
        best = max(valid, key=lambda r: metric.sign * r[key])
        title += f"; best validation {metric.noun} {metric.text(best[key])}"
    with sheet(4.6 if valid else 3, title) as canvas:
        axes = canvas.panel(2.1 if valid else 0.55, 0.55)
        axes.plot(step, loss, color=BLUE, alpha=0.35, linewidth=0.8)
        axes.plot(step, smooth, color=BLUE, linewidth=2)
        axes.set_ylabel("loss (nats)" if metric.kind == "classification" else "loss")
        axes.set(ylim=(0, 1.04 * loss.max()), xlim=(0, max(r["step"] for r in losses + valid)))
        label_ends(axes, [End(step[-1], smooth[-1], BLUE, "training", "smoothed")])
        if valid:
            axes.tick_params(labelbottom=False)
            upper, axes = axes, canvas.panel(0.55, 2.75)
            axes.sharex(upper)
            x, y = [r["step"] for r in valid], [r[key] for r in valid]
            axes.plot(x, y, color=VERMILLION, linewidth=1.6, marker="o", ms=3.5, clip_on=False)
            axes.plot(best["step"], best[key], "o", ms=9, mfc="none", color=INK, clip_on=False)
            metric_axis(axes, metric)
            note = metric.text(y[-1])
            label_ends(axes, [End(x[-1], y[-1], VERMILLION, "validation", note)])
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("steps of the outer loop")
        caption = "The loss on the tasks trained on: faint as measured, strong smoothed."
        if valid:
            caption += " Below, the same model on fixed validation tasks; the ring is the best."
        loss_rows = [{"step": float(a), "loss": float(b)} for a, b in zip(step, loss, strict=True)]
        data = {"metric": metric.name, "loss": loss_rows, "valid": valid}
        return canvas.finish("learning_curve", caption, data)


def accuracy_curves(
    curves: Mapping[str, Sequence[JSONLike]],
    key: Number = "n_shot",
    *,
    metric: Metric = ACCURACY,
    chance: float | None = None,
) -> Figure:
    """The metric against shots or inner steps, for a learner (first) and its baselines.

    Args:
        curves: By name, rows `{key, metric, "ci95"}`; `ci95` is a half width and may be null.
        key: `"n_shot"`, support examples a class, `"inner_steps"`, or `"n_updates"` of a policy.
        metric: What was measured.
        chance: Accuracy of guessing.
    """
    name = {"n_shot": "accuracy_by_shots", "n_updates": "return_by_updates"}.get(
        key, "accuracy_by_steps"
    )
    checked = {
        who: sorted(numbers(f"{name}: {who}", rows, key, metric.name), key=lambda r: r[key])
        for who, rows in (curves or {"curves": ()}).items()
    }
    classes = metric.kind == "classification"
    nouns = {"inner_steps": "inner step", "n_updates": "update"}
    noun = nouns.get(key, "shot" if classes else "example")
    first, rows = next(iter(checked.items()))
    ends = [
        f"{metric.text(row[metric.name])} with {row[key]:g} {noun}{'s' * (row[key] != 1)}"
        for row in (rows[0], rows[-1])[: len(rows)]
    ]
    title = f"{first[:24]}: {', '.join(ends)}"
    curves_drawn = [
        Curve(
            x=[row[key] for row in rows],
            y=[row[metric.name] for row in rows],
            half_widths=[row["ci95"] or 0 for row in rows],
            colour=SERIES[i % len(SERIES)],
            marker=MARKERS[i % len(MARKERS)],
            strong=i == 0,
        )
        for i, rows in enumerate(checked.values())
    ]
    labels = [
        curve.end(who, metric.text(rows[-1][metric.name], rows[-1]["ci95"]))
        for curve, (who, rows) in zip(curves_drawn, checked.items(), strict=True)
    ]
    ticks = sorted({row[key] for rows in checked.values() for row in rows})
    with sheet(max(3.9, 1.15 + 0.36 * len(checked)), title) as canvas:
        axes = canvas.panel(0.55, 0.6, right=2)
        draw_curves(axes, curves_drawn)
        if chance is not None:
            axes.axhline(chance, color=SOFT, linewidth=1, linestyle=DASHED)
            labels.append(End(ticks[-1], chance, SOFT, "guessing", metric.text(chance)))
        if key == "n_shot":
            axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        examples = "shots: support examples a class" if classes else "support examples"
        words = {"n_shot": examples, "n_updates": "updates, each after a round of episodes"}
        axes.set_xlabel(words.get(key, "inner steps on the support set"))
        metric_axis(axes, metric)
        label_ends(axes, labels)
        caption = (
            "Further left, fewer examples." if key == "n_shot" else "At 0 nothing is adapted yet."
        ) + " The band is the 95 % confidence interval of the mean over tasks."
        data = {"metric": metric.name, "chance": chance, "curves": checked}
        return canvas.finish(name, caption, data)


def reliability(bins: Sequence[JSONLike], ece: float | None = None) -> Figure:
    """The reliability diagram: how often the model is right, against how sure it says it is.

    Args:
        bins: `{"low", "high", "count", "confidence", "accuracy"}`, all but the count in [0, 1]; the
            last two are means over the bin and may be null where the count is 0.
        ece: Expected calibration error, a fraction; that of the bins where omitted.
    """
    columns = ("low", "high", "count", "confidence", "accuracy")
    full = numbers("reliability", [b for b in bins if b.get("count") != 0], *columns)
    low, high, count, sure, right = (np.array([b[k] for b in full]) for k in columns)
    gap = (count * (sure - right)).sum() / count.sum()
    ece = float((count * np.abs(sure - right)).sum() / count.sum()) if ece is None else ece
    title = f"Calibration error {ACCURACY.text(ece)}: on average "
    title += f"{'over' if gap > 0 else 'under'}confident by {100 * abs(gap):.1f} points"
    with sheet(5, title) as canvas:
        axes = canvas.panel(1.75, 0.6, left=0.9, right=1.6)
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=DASHED)
        axes.vlines(sure, right, sure, color=VERMILLION, linewidth=5, alpha=0.35)
        axes.plot(sure, right, color=BLUE, marker="o", markersize=5, linewidth=1.4)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        axes.tick_params(labelbottom=False)
        metric_axis(axes, ACCURACY)
        honest = End(1, 1, SOFT, "honest", "as right as sure")
        label_ends(axes, [honest, End(sure[-1], right[-1], BLUE, "measured")])
        axes = canvas.panel(0.55, 3.5, left=0.9, right=1.6)
        axes.bar(low, count / count.sum(), 0.94 * (high - low), align="edge", color="#5fa6d0")
        axes.xaxis.set_major_formatter(percent)
        axes.yaxis.set_major_formatter(percent)
        axes.set_xlabel("confidence: probability given to the answer")
        axes.set(ylabel="share of\nqueries", xlim=(0, 1))
        caption = (
            "On the dashed line the model is right as often as it says; below it, it is too sure. "
            "Thick strokes are the gap. The bars tell how many queries each point stands for."
        )
        bin_rows = [{k: float(b[k]) if known(b, k) else None for k in columns} for b in bins]
        return canvas.finish("reliability", caption, {"ece": ece, "bins": bin_rows})


def baseline_ladder(
    rows: Sequence[JSONLike],
    *,
    metric: Metric = ACCURACY,
    chance: float | None = None,
    learner: str | None = None,
) -> Figure:
    """The learner and its baselines on the same tasks, best on top.

    Args:
        rows: `{"name", metric, "ci95"}`.
        metric: What was measured.
        chance: Accuracy of guessing.
        learner: Name of the row to emphasise; the first where omitted.
    """
    checked = numbers("baseline_ladder", rows, metric.name)
    learner = checked[0]["name"] if learner is None else learner
    checked.sort(key=lambda r: -metric.sign * r[metric.name])
    own = next((r for r in checked if r["name"] == learner), checked[0])
    others = [r for r in checked if r is not own]
    title = f"{own['name'][:24]} {metric.text(own[metric.name])}"
    for best in others[:1]:
        title += f"; best baseline {best['name'][:24]} {metric.text(best[metric.name])}"
    bars = [
        Row(
            row["name"],
            [Interval(row[metric.name], row["ci95"] or 0, row["ci95"] or 0)],
            metric.text(row[metric.name], row["ci95"]),
            colour=BLUE if row is own else GREY,
            strong=row is own,
        )
        for row in checked
    ]
    return ranked_rows(
        "baseline_ladder",
        title,
        "Same tasks, same support examples; whiskers are 95 % confidence intervals.",
        {"metric": metric.name, "chance": chance, "learner": learner, "rows": checked},
        bars,
        axis=metric.noun,
        limits=(
            0 if metric.lowest >= 0 else None,
            metric.highest if metric.is_fraction else None,
        ),
        fraction=metric.is_fraction,
        line=None if chance is None else Line(chance, "guessing"),
    )


def regression_fit(tasks: Sequence[Mapping[str, Any]]) -> Figure:
    """A few one-dimensional regression tasks: the points shown, the truth, and the fits.

    Args:
        tasks: `{"support_x", "support_y", "x", "truth", "predictions"}`, at most four. The
            predictions are `{inner steps: values at x}`, at most four.

    Shapes:
        support_x, support_y (support,); x, truth, each prediction (points,)
    """
    keys = ("support_x", "support_y", "x", "truth")
    checked: list[dict[str, Any]] = []
    for i, task in enumerate(tasks):
        points = {k: finite(f"regression_fit: {k} of task {i}", task.get(k)) for k in keys}
        fits = {
            str(k): finite(f"regression_fit: prediction {k} of task {i}", v)
            for k, v in task.get("predictions", {}).items()
        }
        same = [len(values) for values in (points["x"], points["truth"], *fits.values())]
        n_shown = [len(points["support_x"]), len(points["support_y"])]
        if len(set(same)) > 1 or len(set(n_shown)) > 1 or not 1 <= len(fits) <= 4:
            raise UserError(
                f"regression_fit: task {i} needs x, truth and 1 to 4 predictions of one length, "
                f"and as many support_x as support_y; received {same} values and {n_shown} "
                "support values; evaluate all at the same x."
            )
        checked.append({**points, "predictions": fits})
    if not 1 <= len(checked) <= 4:
        raise UserError(f"regression_fit: need 1 to 4 tasks; received {len(checked)}; choose some.")
    *first, last = checked[0]["predictions"]
    title = f"Fits to {len(checked[0]['support_x'])} points"
    title += f" after {', '.join(first)} and {last} inner steps" if first else ""
    looks = ((SOFT, ":"), ("#e69f00", "--"), (BLUE, "-"), ("#009e73", "-."))
    with sheet(3.3, title) as canvas:
        reach = max(max(np.abs(task["truth"])) for task in checked)
        width = (WIDTH - 0.75) / len(checked)
        for i, task in enumerate(checked):
            left = 0.65 + i * width
            axes = canvas.panel(0.5, 0.9, left, WIDTH - left - width + 0.2)
            axes.plot(task["x"], task["truth"], color="#c9ccd0", linewidth=5, label="truth")
            for k, (steps, values) in enumerate(task["predictions"].items()):
                colour, dash = looks[k]
                label = f"{steps} step{'s' * (steps != '1')}"
                axes.plot(task["x"], values, dash, color=colour, label=label, linewidth=1.8)
            axes.plot(task["support_x"], task["support_y"], "o", color=INK, ms=5, label="points")
            axes.set(xlabel="input", ylabel="" if i else "target", ylim=(-1.2 * reach, 1.2 * reach))
            axes.tick_params(labelleft=i == 0)
            axes.xaxis.set_major_formatter("{x:g}")
        key: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.07, 0.91), "ncols": 6}
        canvas.legend(*axes.get_legend_handles_labels(), frameon=False, **key)
        caption = (
            "A panel is a task; the thick grey curve is the truth, the dots all that was shown."
        )
        return canvas.finish("regression_fit", caption, {"tasks": checked})
