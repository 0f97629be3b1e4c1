"""The pictures, each as SVG and as the JSON it was drawn from.

This module knows numbers, not learners. A number that is missing where it is needed, is not finite,
or is a percentage where a fraction is meant, is a `UserError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from quickstudy.errors import UserError
from quickstudy.figures.sheet import (
    BLUE,
    DASHED,
    FAINT,
    INK,
    SERIES,
    SOFT,
    VERMILLION,
    WIDTH,
    End,
    Picture,
    Row,
    drawable,
    end_labels,
    finite,
    known,
    metric_axis,
    numbers,
    panel,
    percent,
    picture,
    pixels,
    sheet,
)
from quickstudy.metrics import ACCURACY, Metric


def episode_grid(
    support: Sequence[ArrayLike] | NDArray[Any],
    query: ArrayLike,
    predicted: Sequence[int],
    truth: Sequence[int],
    *,
    labels: Sequence[Any] | None = None,
    confidence: Sequence[float] | None = None,
    ink: bool = False,
) -> Picture:
    """One episode: the few examples of each class, and where the model puts every query.

    Args:
        support: For each class its pictures; uint8, or floats in [0, 1].
        query: Pictures to classify, of the same kind.
        predicted: Row of the class that the model chose, for each query.
        truth: Row of the right class, for each query.
        labels: What the classes are called.
        confidence: Probability of the chosen class, for each query.
        ink: Grey pictures have ink 1 on paper 0, and are drawn dark on light.

    Shapes:
        support (way, shot, height, width[, 3]), query (n, height, width[, 3])

    Raises:
        UserError: Lengths differ, a class is outside `0 .. way - 1`, or these are not pictures.
    """
    shots = [pixels(f"episode_grid: support of class {i}", part) for i, part in enumerate(support)]
    queries = pixels("episode_grid: query", query)
    n, way = len(queries), len(shots)
    names = [str(label) for label in (range(1, way + 1) if labels is None else labels)]
    chosen, right = [int(i) for i in predicted], [int(i) for i in truth]
    sure = [1.0] * n if confidence is None else finite("episode_grid: confidence", confidence)
    lengths = [n, len(chosen), len(right), len(sure)]
    if len(set(lengths)) > 1 or len(names) != way:
        raise UserError(
            "episode_grid: need one prediction, truth and confidence a query, and one label a "
            f"class; received {lengths} for queries, predictions, truths and confidences, and "
            f"{len(names)} labels for {way} classes; pass sequences of one length."
        )
    if outside := sorted({i for i in chosen + right if not 0 <= i < way}):
        raise UserError(
            f"episode_grid: classes must be 0 .. {way - 1}; received {outside[:5]}; pass row "
            "numbers of `support`, not labels."
        )
    by_sureness = sorted(range(n), key=lambda j: -sure[j])
    rows = [[j for j in by_sureness if chosen[j] == i] for i in range(way)]
    n_right = sum(a == b for a, b in zip(chosen, right, strict=True))
    keys = names if all(len(label) <= 3 for label in names) else [f"#{i + 1}" for i in range(way)]

    # Everything below is placed in inches from the top left corner.
    n_shot, n_column = max(map(len, shots)), max(1, *map(len, rows))
    left, gap, top = 0.42 if keys is names else 1.3, 0.34, 0.8
    pitch = min(0.72, (WIDTH - left - gap - 0.1) / (n_shot + n_column))
    side, start = 0.88 * pitch, left + n_shot * pitch + gap
    height = side + 0.27
    with sheet(top + way * height, f"{n_right} of {n} queries go to the right class") as figure:
        axes = figure.add_axes((0, 0, 1, 1), frameon=False)

        def place(shown: NDArray[np.uint8], x: float, y: float, edge: str, width: float) -> None:
            box, cmap = (x, x + side, y + side, y), "Greys" if ink else "gray"
            axes.imshow(shown, cmap, extent=box, interpolation="none", vmin=0, vmax=255)
            axes.add_patch(Rectangle((x, y), side, side, fill=False, edgecolor=edge, lw=width))

        axes.text(left, top - 0.14, "learnt from", color=SOFT)
        axes.text(start, top - 0.14, "queries, in the row of the class chosen", color=SOFT)
        for i, members in enumerate(rows):
            y = top + i * height
            axes.plot([0.1, WIDTH - 0.1], [y - 0.06] * 2, color=FAINT, linewidth=0.6)
            axes.text(0.1, y + side / 2, drawable(keys[i], 3), va="center", weight="bold")
            if keys is not names:
                axes.text(0.42, y + side / 2, drawable(names[i], 15), va="center", size=7)
            for k, shown in enumerate(shots[i]):
                place(shown, left + k * pitch, y, FAINT, 0.8)
            for k, j in enumerate(members):
                good, x = right[j] == i, start + k * pitch
                place(queries[j], x, y, BLUE if good else VERMILLION, 0.8 if good else 2.2)
                percentage = "" if confidence is None else f" {100 * sure[j]:.0f} %"
                said = f"✓{percentage}" if good else f"✕ is {drawable(keys[right[j]], 3)}"
                look = axes.text(x, y + side + 0.04, said, va="top", size=min(7, 11 * pitch))
                look.set(weight="normal" if good else "bold", color=BLUE if good else "#a84300")
        axes.set(xlim=(0, WIDTH), ylim=(top + way * height, 0), xticks=[], yticks=[])
        caption = (
            "A row is a class. Left, all that was shown of it; right, the new pictures put there, "
            "surest first. ✓ is right; ✕ and a thick frame are wrong, with the class it should "
            "have been."
        )
        data: dict[str, Any] = {"labels": names, "support": [part.tolist() for part in shots]}
        data |= {"query": queries.tolist(), "predicted": chosen, "truth": right}
        data |= {"confidence": None if confidence is None else sure}
        return picture(figure, "episode_grid", caption, data)


def learning_curve(rows: Sequence[Row], *, metric: Metric = ACCURACY) -> Picture:
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
    with sheet(4.6 if valid else 3, title) as figure:
        axes = panel(figure, 2.1 if valid else 0.55, 0.55)
        axes.plot(step, loss, color=BLUE, alpha=0.35, linewidth=0.8)
        axes.plot(step, smooth, color=BLUE, linewidth=2)
        axes.set_ylabel("loss (nats)" if metric.kind == "classification" else "loss")
        axes.set(ylim=(0, 1.04 * loss.max()), xlim=(0, max(r["step"] for r in losses + valid)))
        end_labels(axes, [End(step[-1], smooth[-1], BLUE, "training", "smoothed")])
        if valid:
            axes.tick_params(labelbottom=False)
            upper, axes = axes, panel(figure, 0.55, 2.75)
            axes.sharex(upper)
            x, y = [r["step"] for r in valid], [r[key] for r in valid]
            axes.plot(x, y, color=VERMILLION, linewidth=1.6, marker="o", ms=3.5, clip_on=False)
            axes.plot(best["step"], best[key], "o", ms=9, mfc="none", color=INK, clip_on=False)
            metric_axis(axes, metric)
            note = metric.text(y[-1])
            end_labels(axes, [End(x[-1], y[-1], VERMILLION, "validation", note)])
        axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.set_xlabel("steps of the outer loop")
        caption = "The loss on the tasks trained on: faint as measured, strong smoothed."
        if valid:
            caption += " Below, the same model on fixed validation tasks; the ring is the best."
        drawn = [{"step": float(a), "loss": float(b)} for a, b in zip(step, loss, strict=True)]
        data = {"metric": metric.name, "loss": drawn, "valid": valid}
        return picture(figure, "learning_curve", caption, data)


def accuracy_by_shots(
    curves: Mapping[str, Sequence[Row]], *, metric: Metric = ACCURACY, chance: float | None = None
) -> Picture:
    """The metric against support examples a class, for a learner (first) and its baselines.

    Args:
        curves: By name, rows `{"n_shot", metric, "ci95"}`; `ci95` is a half width and may be null.
        metric: What was measured.
        chance: Accuracy of guessing.
    """
    return _curves("accuracy_by_shots", "n_shot", curves, metric, chance)


def accuracy_by_steps(
    curves: Mapping[str, Sequence[Row]], *, metric: Metric = ACCURACY, chance: float | None = None
) -> Picture:
    """The metric against inner steps: as `accuracy_by_shots`, with `"inner_steps"` in the rows."""
    return _curves("accuracy_by_steps", "inner_steps", curves, metric, chance)


def _curves(
    name: str,
    key: Literal["n_shot", "inner_steps"],
    curves: Mapping[str, Sequence[Row]],
    metric: Metric,
    chance: float | None,
) -> Picture:
    checked = {
        who: sorted(numbers(f"{name}: {who}", rows, key, metric.name), key=lambda r: r[key])
        for who, rows in (curves or {"curves": ()}).items()
    }
    who, rows = next(iter(checked.items()))
    classes = metric.kind == "classification"
    noun = "inner step" if key == "inner_steps" else "shot" if classes else "example"
    said = [
        f"{metric.text(r[metric.name])} with {r[key]:g} {noun}{'s' * (r[key] != 1)}"
        for r in (rows[0], rows[-1])[: len(rows)]
    ]
    with sheet(max(3.9, 1.15 + 0.36 * len(checked)), f"{who[:24]}: {', '.join(said)}") as figure:
        axes, ends = panel(figure, 0.55, 0.6, right=2), []
        for i, (who, rows) in enumerate(checked.items()):
            colour, marker = SERIES[i % len(SERIES)], "osD^vPX"[i % 7]
            x, y, ci = (np.array([r[k] or 0 for r in rows]) for k in (key, metric.name, "ci95"))
            axes.fill_between(x, y - ci, y + ci, color=colour, alpha=0.18, linewidth=0)
            width, order = (1.4, 3) if i else (2.6, 4)
            axes.plot(x, y, color=colour, marker=marker, ms=5, lw=width, zorder=order)
            note = metric.text(y[-1], rows[-1]["ci95"])
            ends.append(End(x[-1], y[-1], colour, who, note))
        ticks = sorted({r[key] for rows in checked.values() for r in rows})
        if chance is not None:
            axes.axhline(chance, color=SOFT, linewidth=1, linestyle=DASHED)
            ends.append(End(ticks[-1], chance, SOFT, "guessing", metric.text(chance)))
        if key == "n_shot":
            axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        examples = "shots: support examples a class" if classes else "support examples"
        axes.set_xlabel(examples if key == "n_shot" else "inner steps on the support set")
        metric_axis(axes, metric)
        end_labels(axes, ends)
        caption = (
            "Further left, fewer examples." if key == "n_shot" else "At 0 nothing is adapted yet."
        ) + " The band is the 95 % confidence interval of the mean over tasks."
        data = {"metric": metric.name, "chance": chance, "curves": checked}
        return picture(figure, name, caption, data)


def reliability(bins: Sequence[Row], ece: float | None = None) -> Picture:
    """How often the model is right, against how sure it says it is.

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
    with sheet(5, title) as figure:
        axes = panel(figure, 1.75, 0.6, left=0.9, right=1.6)
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=1, linestyle=DASHED)
        axes.vlines(sure, right, sure, color=VERMILLION, linewidth=5, alpha=0.35)
        axes.plot(sure, right, color=BLUE, marker="o", markersize=5, linewidth=1.4)
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        axes.tick_params(labelbottom=False)
        metric_axis(axes, ACCURACY)
        honest = End(1, 1, SOFT, "honest", "as right as sure")
        end_labels(axes, [honest, End(sure[-1], right[-1], BLUE, "measured")])
        axes = panel(figure, 0.55, 3.5, left=0.9, right=1.6)
        axes.bar(low, count / count.sum(), 0.94 * (high - low), align="edge", color="#5fa6d0")
        axes.xaxis.set_major_formatter(percent)
        axes.yaxis.set_major_formatter(percent)
        axes.set_xlabel("confidence: probability given to the answer")
        axes.set(ylabel="share of\nqueries", xlim=(0, 1))
        caption = (
            "On the dashed line the model is right as often as it says; below it, it is too sure. "
            "Thick strokes are the gap. The bars tell how many queries each point stands for."
        )
        drawn = [{k: float(b[k]) if known(b, k) else None for k in columns} for b in bins]
        return picture(figure, "reliability", caption, {"ece": ece, "bins": drawn})


def baseline_ladder(
    rows: Sequence[Row],
    *,
    metric: Metric = ACCURACY,
    chance: float | None = None,
    learner: str | None = None,
) -> Picture:
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
    with sheet(1.15 + 0.36 * len(checked), title) as figure:
        axes = panel(figure, 0.5, 0.65, left=1.9)
        across = axes.get_yaxis_transform()
        for y, row in enumerate(checked):
            value, ci = row[metric.name], row["ci95"]
            axes.barh(y, value, 0.62, color=BLUE if row is own else "#aab4bf")
            if ci is not None:
                axes.errorbar(value, y, xerr=ci, color=INK, capsize=3, elinewidth=1.2)
            weight, note = "bold" if row is own else "normal", metric.text(value, ci)
            who = axes.text(-0.02, y, drawable(row["name"], 22), ha="right", transform=across)
            said = axes.text(1.02, y, note, transform=across)
            for text in (who, said):
                text.set(va="center", weight=weight)
        axes.set(ylim=(len(checked) - 0.5, -0.5), yticks=[], xlabel=metric.noun)
        axes.set_xlim(0, metric.highest if metric.is_fraction else None)
        if metric.is_fraction:
            axes.xaxis.set_major_formatter(percent)
        if chance is not None:
            axes.axvline(chance, color=INK, linewidth=1, linestyle=DASHED)
            axes.text(chance, -0.6, "guessing", ha="center", va="bottom", size=8, color=SOFT)
        caption = "Same tasks, same support examples; whiskers are 95 % confidence intervals."
        data = {"metric": metric.name, "chance": chance, "learner": learner, "rows": checked}
        return picture(figure, "baseline_ladder", caption, data)


def regression_fit(tasks: Sequence[Mapping[str, Any]]) -> Picture:
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
        drawn = {k: finite(f"regression_fit: {k} of task {i}", task.get(k)) for k in keys}
        fits = {
            str(k): finite(f"regression_fit: prediction {k} of task {i}", v)
            for k, v in task.get("predictions", {}).items()
        }
        same = [len(values) for values in (drawn["x"], drawn["truth"], *fits.values())]
        n_shown = [len(drawn["support_x"]), len(drawn["support_y"])]
        if len(set(same)) > 1 or len(set(n_shown)) > 1 or not 1 <= len(fits) <= 4:
            raise UserError(
                f"regression_fit: task {i} needs x, truth and 1 to 4 predictions of one length, "
                f"and as many support_x as support_y; received {same} values and {n_shown} "
                "support values; evaluate all at the same x."
            )
        checked.append({**drawn, "predictions": fits})
    if not 1 <= len(checked) <= 4:
        raise UserError(f"regression_fit: need 1 to 4 tasks; received {len(checked)}; choose some.")
    *first, last = checked[0]["predictions"]
    title = f"Fits to {len(checked[0]['support_x'])} points"
    title += f" after {', '.join(first)} and {last} inner steps" if first else ""
    looks = ((SOFT, ":"), ("#e69f00", "--"), (BLUE, "-"), ("#009e73", "-."))
    with sheet(3.3, title) as figure:
        reach = max(max(np.abs(task["truth"])) for task in checked)
        width = (WIDTH - 0.75) / len(checked)
        for i, task in enumerate(checked):
            left = 0.65 + i * width
            axes = panel(figure, 0.5, 0.9, left, WIDTH - left - width + 0.2)
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
        figure.legend(*axes.get_legend_handles_labels(), frameon=False, **key)
        caption = (
            "A panel is a task; the thick grey curve is the truth, the dots all that was shown."
        )
        return picture(figure, "regression_fit", caption, {"tasks": checked})
