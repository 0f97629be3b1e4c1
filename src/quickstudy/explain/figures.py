"""The figures of an explanation, drawn from what `Explanation.to_json` gave.

This module knows numbers, not learners. Where the inputs are images, they stand beside what is
said of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from quickstudy.errors import UserError
from quickstudy.figures.bars import LABEL, Bar, Inputs, example_bars, input_images, name_of
from quickstudy.figures.colours import BLUE, GREY, SOFT, VERMILLION
from quickstudy.figures.images import place
from quickstudy.figures.rows import Interval, Row, draw_bars, ranked_rows, value_axis
from quickstudy.figures.sheet import WIDTH, Figure, percent, sheet
from quickstudy.figures.words import pieces_of, weighted_text
from quickstudy.files.records import JSON
from quickstudy.inputs import InputKind

MOST = 12
NAME = 24
"""Letters of the name of an example that are drawn."""


def explanation_figures(
    explanation: JSON,
    support: ArrayLike | None = None,
    query: ArrayLike | None = None,
    preprocess: InputKind | None = None,
) -> list[Figure]:
    """All figures that an explanation allows.

    Args:
        found: What `Explanation.to_json` gave.
        support: Inputs of the support, which stand beside the bars where they are images.
        query: Input of the query.
        preprocess: The kind of the inputs, as a model has it.

    Shapes:
        support (n, *x), query (*x)

    Raises:
        UserError: There are more or fewer inputs than support examples.
    """
    n, inputs = len(explanation["influence"]), None
    columns = images = None
    if preprocess is not None:
        columns = preprocess.features
        if support is not None and query is not None:
            values = np.concatenate([np.asarray(support), np.asarray(query)[None]])
            images = preprocess.images(values)
    if images is not None:
        inputs = input_images(images.values, images.ink)
        if len(inputs.support) != n:
            raise UserError(
                f"explanation: needs the input of each of the {n} support examples; received "
                f"{len(inputs.support)}; pass all, in the order they were given."
            )
    figures = [
        influence(explanation, inputs),
        nearest(explanation, inputs),
    ]
    if explanation["suspicious"]:
        figures.append(suspicious(explanation, inputs))
    if explanation["attention"]:
        figures.append(attention(explanation, inputs))
    if explanation["layers"]:
        figures.append(layers(explanation))
    if explanation.get("words"):
        figures.append(words(explanation))
    if explanation["attribution"]:
        figures.append(attribution(explanation, inputs, columns))
    return figures


def influence(explanation: JSON, inputs: Inputs | None = None) -> Figure:
    """The influence of each support example: right is for the answer, left against it."""
    rows = [row for row in explanation["influence"] if row["value"] is not None]
    strongest = sorted(rows, key=lambda row: -abs(row["value"]))[:MOST]
    classes = explanation["kind"] == "classification"
    unit = "nats" if classes else "units of the target"
    bars = [
        Bar(row["id"], row["label"], row["value"], *_signed(row["value"]))
        for row in sorted(strongest, key=lambda row: -row["value"])
    ]
    unknown = [row for row in explanation["influence"] if row["value"] is None]
    bars += [Bar(r["id"], r["label"], None, GREY, "alone") for r in unknown][: MOST - len(bars)]
    helps, harms = _verbs(explanation)
    title = "Every example is alone in its class: none can be left out"
    if rows:
        most = strongest[0]
        does = helps if most["value"] > 0 else harms
        title = f"{_answer(explanation)}: {_called(explanation, most)} {does} it most"
    value = f"log-probability of {name_of(explanation['target'])}" if classes else "predicted value"
    caption = (
        f"By how much the {value} falls when the model is adapted without an example, in {unit}: "
        f"to the right, what {helps} it; to the left, what {harms} it. "
    )
    if unknown:
        caption += "Without an example that is alone in its class there would be no such class. "
    caption += _shown(len(bars), len(explanation["influence"]))
    data = {"target": explanation["target"], "influence": explanation["influence"]}
    return example_bars(
        "influence",
        title,
        caption,
        bars,
        data,
        inputs,
        f"influence ({unit})",
        letters=_letters(explanation),
    )


def nearest(explanation: JSON, inputs: Inputs | None = None) -> Figure:
    """The support examples that are most like the query, in the learner's embedding."""
    rows, classes = (explanation["nearest"]["examples"], explanation["kind"] == "classification")
    bars = [
        Bar(
            row["id"],
            row["label"],
            row["similarity"],
            GREY if classes and row["label"] != explanation["answer"] else BLUE,
            f"{row['similarity']:.2f}",
        )
        for row in rows[:MOST]
    ]
    space = (
        "in the embedding of the model"
        if explanation["nearest"]["space"] == "features"
        else "number by number, as the model has no embedding"
    )
    first = rows[0]
    title = f"{_answer(explanation)}; most like it is {_called(explanation, first)}" + (
        "" if _has_names(explanation) else f", {name_of(first['label'])}"
    )
    caption = (
        f"How alike the query and each example are {space}: 1 is the same, 1/2 as far apart as two "
        f"examples typically are. {_shown(len(bars), len(rows))}"
    )
    if classes:
        caption += " Bars in blue have the label of the answer."
    data = {"answer": explanation["answer"], **explanation["nearest"]}
    letters = _letters(explanation)
    return example_bars(
        "nearest", title, caption, bars, data, inputs, "similarity", (0, 1), letters=letters
    )


def attention(explanation: JSON, inputs: Inputs | None = None) -> Figure:
    """The attention of the query on each support example."""
    rows = sorted(explanation["attention"], key=lambda row: -row["value"])
    bars = [
        Bar(row["id"], row["label"], row["value"], BLUE, percent(round(row["value"], 3)))
        for row in rows[:MOST]
    ]
    title = f"{_answer(explanation)}: it looks at example {rows[0]['id']} most"
    caption = (
        "Shares of the attention of the query, the mean over layers and heads; all examples "
        f"together have 100 %. {_shown(len(bars), len(rows))}"
    )
    data = {"target": explanation["target"], "attention": explanation["attention"]}
    return example_bars(
        "attention", title, caption, bars, data, inputs, "attention", (0, None), True
    )


def suspicious(explanation: JSON, inputs: Inputs | None = None) -> Figure:
    """The examples whose labels deserve a second look."""
    rows, classes = explanation["suspicious"], explanation["kind"] == "classification"
    key = "probability" if classes else "error"
    bars = []
    for row in rows[:MOST]:
        value = row[key]
        note = f"{value:.2g}"
        if classes:
            note = f"{percent(round(value, 2))}  rather {name_of(row['answer'])}"
        bars.append(Bar(row["id"], row["label"], value, VERMILLION, note))
    title = f"Look at example {bars[0].id}: is it {name_of(bars[0].label)}?"
    caption = (
        "Examples of which a model adapted without them says another class, with the probability "
        "that it gives to their own label."
        if classes
        else "Examples with outlying errors, by a model adapted without them."
    )
    caption += " " + _shown(len(bars), len(rows))
    data = {"suspicious": rows}
    axis = "probability of its own label" if classes else "error"
    support_inputs = None if inputs is None else inputs._replace(query=None)
    limits = (0, 1 if classes else None)
    return example_bars(
        "suspicious", title, caption, bars, data, support_inputs, axis, limits, classes
    )


def layers(explanation: JSON) -> Figure:
    """The change of each layer by adapting, and the likeness of its outputs before and after."""
    rows = explanation["layers"]
    moved = [row for row in rows if row["change"]]
    title = "Adapting changed no layer"
    if moved:
        most = max(moved, key=lambda row: row["change"])
        title = f"Adapting changed layer {most['name']} most, by {_percentage(most['change'])}"
    names = [f"{row['name']} {row['kind']}" for row in rows]
    unnamed, middle = [""] * len(rows), 2.25 + (WIDTH - 2.25) / 2
    with sheet(1.35 + 0.26 * len(rows), title) as canvas:
        changes = canvas.panel(0.5, 0.65, left=2.25, right=WIDTH - middle + 0.65)
        draw_bars(changes, _bars(names, rows, "change", _percentage, VERMILLION))
        value_axis(changes, "change of the weights", fraction=True)
        likeness = canvas.panel(0.5, 0.65, left=middle, right=0.65)
        draw_bars(likeness, _bars(unnamed, rows, "cka", "{:.3f}".format, BLUE))
        value_axis(likeness, "likeness of the outputs (CKA)", (0, 1))
        caption = (
            "Left, the length of the change of a layer's weights as a share of their length before "
            "adapting. Right, linear CKA of its outputs before and after, on the support and the "
            "query: 1 is the same up to rotation. First layer on top."
        )
        return canvas.finish("layers", caption, {"layers": rows})


def _bars(
    names: Sequence[str], rows: Sequence[JSON], key: str, text: Callable[[float], str], colour: str
) -> list[Row]:
    """A bar for each layer, with its number, or a dash where it is not known."""
    return [
        Row(name, [Interval(row[key] or 0)], "–" if row[key] is None else text(row[key]), colour)
        for name, row in zip(names, rows, strict=True)
    ]


def attribution(
    explanation: JSON, inputs: Inputs | None = None, columns: Sequence[str] | None = None
) -> Figure:
    """The parts of the query that speak for the answer and those that speak against it."""
    part = explanation["attribution"]
    values = np.asarray(part["values"], dtype=np.float64)
    method = part["method"].replace("_", " ")
    helps, harms = _verbs(explanation)
    title = f"{_answer(explanation)}: what in the query {helps} it and what {harms} it"
    caption = f"By {method}, compared with a blank input. Blue {helps} it, vermillion {harms} it."
    if part["method"] == "integrated_gradients":
        caption += f" The values add up to {part['total']:+.2f}."
    data = {"target": explanation["target"], "attribution": part}
    if inputs is None or inputs.query is None:
        return _columns(title, caption, values.ravel(), columns, data)
    heat = values.sum(axis=0) if values.ndim == 3 else values
    reach = float(np.quantile(np.abs(heat), 0.995)) or 1.0
    side, gap, top = 2.9, 0.35, 0.75
    with sheet(top + side + 0.45, title) as canvas:
        axes = canvas.whole()
        place(axes, inputs.query, 0.3, top, side, inputs.ink)
        x = 0.3 + side + gap
        place(axes, inputs.query, x, top, side, inputs.ink, alpha=0.25)
        colours = np.where(heat[..., None] > 0, *(np.array(to_rgb(c)) for c in (BLUE, VERMILLION)))
        strength = np.clip(np.abs(heat) / reach, 0, 1)
        overlay = np.concatenate([colours, strength[..., None]], axis=2)
        box = (x, x + side, top + side, top)
        axes.imshow(overlay, extent=box, interpolation="none")
        axes.text(0.3, top - 0.08, "the query", color=SOFT)
        axes.text(x, top - 0.08, method, color=SOFT)
        for k, (colour, words) in enumerate(((BLUE, helps), (VERMILLION, harms))):
            left, y = x + 1.2 * k, top + side + 0.12
            axes.add_patch(Rectangle((left, y), 0.16, 0.16, color=colour, lw=0))
            axes.text(left + 0.24, y + 0.08, words, va="center", size=8)
        return canvas.finish("attribution", caption, data)


def words(explanation: JSON) -> Figure:
    """The words of the query that speak for the answer and those that speak against it."""
    part = explanation["words"]
    helps, harms = _verbs(explanation)
    title = f"{_answer(explanation)}: no word can be left out"
    if known := [word for word in part["words"] if word["value"] is not None]:
        most = max(known, key=lambda word: abs(word["value"]))
        does = helps if most["value"] > 0 else harms
        title = f"{_answer(explanation)}: {most['text']!r} {does} it most"
    classes = explanation["kind"] == "classification"
    value = f"log-odds of {name_of(explanation['target'])}" if classes else "predicted value"
    caption = (
        f"By how much the {value} falls when the model is asked about the text without a word: "
        f"blue {helps} it; vermillion, underlined, {harms} it; the stronger, the more."
    )
    if known:
        caption += f" The largest change is {abs(most['value']):.2g}{' nats' if classes else ''}."
    pieces = pieces_of(part["text"], part["words"])
    data = {"target": explanation["target"], **part}
    return weighted_text("words", title, caption, pieces, (helps, harms), data)


def _columns(
    title: str, caption: str, values: NDArray[np.float64], columns: Sequence[str] | None, data: JSON
) -> Figure:
    names = [f"input {i}" for i in range(len(values))] if columns is None else list(columns)
    order = sorted(range(len(values)), key=lambda i: -abs(values[i]))[:MOST]
    order.sort(key=lambda i: -values[i])
    rows = []
    for i in order:
        colour, note = _signed(values[i])
        rows.append(Row(str(names[i]), [Interval(values[i])], note, colour))
    data = {**data, "columns": names}
    limits = (None, None)
    return ranked_rows("attribution", title, caption, data, rows, axis="attribution", limits=limits)


def _has_names(explanation: JSON) -> bool:
    """Whether examples of a regression go by a name, as windows of a series do by their times."""
    first = explanation["influence"][0]["label"]
    return explanation["kind"] == "regression" and isinstance(first, str)


def _called(explanation: JSON, row: JSON) -> str:
    """An example as a title calls it."""
    return f"the window {row['label']}" if _has_names(explanation) else f"example {row['id']}"


def _letters(explanation: JSON) -> int:
    """The letters of a label that are drawn."""
    return NAME if _has_names(explanation) else LABEL


def _signed(value: float) -> tuple[str, str]:
    """Colour and text of a value that speaks for or against."""
    return (BLUE if value > 0 else VERMILLION), f"{value:+.2g}".replace("-", "−")


def _verbs(explanation: JSON) -> tuple[str, str]:
    """The verbs of a positive and of a negative share."""
    classes = explanation["kind"] == "classification"
    return ("speaks for", "speaks against") if classes else ("raises", "lowers")


def _answer(explanation: JSON) -> str:
    """Such as `a (93 %)`."""
    if explanation["kind"] == "regression":
        return name_of(explanation["answer"])
    probability = explanation["probabilities"][explanation["classes"].index(explanation["target"])]
    return f"{name_of(explanation['target'])} ({_percentage(probability)})"


def _percentage(value: float) -> str:
    return f"{100 * value:.1f} %" if 0 < value < 0.1 else f"{100 * value:.0f} %"


def _shown(shown: int, n: int) -> str:
    return f"Shown are {shown} of {n} examples." if shown < n else "All examples are shown."
