"""The figure of one episode: what was learnt from, and where the model puts each query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, FAINT, SOFT, VERMILLION
from quickstudy.figures.images import pixels, place
from quickstudy.figures.sheet import WIDTH, Figure, drawable, sheet
from quickstudy.figures.values import finite
from quickstudy.task import Task


def task_grid(task: Task, probabilities: NDArray[Any], ink: bool) -> Figure:
    """Draws a classification task of images as `episode_grid` does, with a model's answers.

    Args:
        task: The task.
        probabilities: Probabilities that the model gives the classes of each query.
        ink: Grey images have ink 1 on paper 0, and are drawn dark on light.

    Shapes:
        support.x (support, channel, height, width), probabilities (query, way)
    """
    support, query = task

    def images(x: Tensor) -> NDArray[Any]:
        pixels: NDArray[Any] = x.movedim(1, 3).numpy()
        return pixels[..., 0] if pixels.shape[3] == 1 else pixels

    return episode_grid(
        [images(support.x[support.y[:, c] > 0]) for c in range(support.y.shape[1])],
        images(query.x),
        probabilities.argmax(axis=1).tolist(),
        query.y.argmax(dim=1).tolist(),
        confidence=probabilities.max(axis=1).tolist(),
        ink=ink,
    )


def episode_grid(
    support: Sequence[ArrayLike] | NDArray[Any],
    query: ArrayLike,
    predicted: Sequence[int],
    truth: Sequence[int],
    *,
    labels: Sequence[Any] | None = None,
    confidence: Sequence[float] | None = None,
    ink: bool = False,
) -> Figure:
    """One episode: the few examples of each class, and where the model puts every query.

    Args:
        support: For each class its images; uint8, or floats in [0, 1].
        query: Images to classify, of the same kind.
        predicted: Row of the class that the model chose, for each query.
        truth: Row of the right class, for each query.
        labels: What the classes are called.
        confidence: Probability of the chosen class, for each query.
        ink: Grey images have ink 1 on paper 0, and are drawn dark on light.

    Shapes:
        support (way, shot, height, width[, 3]), query (n, height, width[, 3])

    Raises:
        UserError: Lengths differ, a class is outside `0 .. way - 1`, or these are not images.
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
    with sheet(top + way * height, f"{n_right} of {n} queries go to the right class") as canvas:
        axes = canvas.whole()
        axes.text(left, top - 0.14, "learnt from", color=SOFT)
        axes.text(start, top - 0.14, "queries, in the row of the class chosen", color=SOFT)
        for i, members in enumerate(rows):
            y = top + i * height
            axes.plot([0.1, WIDTH - 0.1], [y - 0.06] * 2, color=FAINT, linewidth=0.6)
            axes.text(0.1, y + side / 2, drawable(keys[i], 3), va="center", weight="bold")
            if keys is not names:
                axes.text(0.42, y + side / 2, drawable(names[i], 15), va="center", size=7)
            for k, image in enumerate(shots[i]):
                place(axes, image, left + k * pitch, y, side, ink)
            for k, j in enumerate(members):
                good, x = right[j] == i, start + k * pitch
                edge, width = (BLUE, 0.8) if good else (VERMILLION, 2.2)
                place(axes, queries[j], x, y, side, ink, edge=edge, edge_width=width)
                percentage = "" if confidence is None else f" {100 * sure[j]:.0f} %"
                verdict = f"✓{percentage}" if good else f"✕ is {drawable(keys[right[j]], 3)}"
                axes.text(
                    x, y + side + 0.04, verdict, va="top", size=min(7, 11 * pitch),
                    weight="normal" if good else "bold", color=BLUE if good else "#a84300",
                )  # fmt: skip
        caption = (
            "A row is a class. Left, all that was shown of it; right, the new pictures put there, "
            "surest first. ✓ is right; ✕ and a thick frame are wrong, with the class it should "
            "have been."
        )
        data: dict[str, Any] = {"labels": names, "support": [part.tolist() for part in shots]}
        data |= {"query": queries.tolist(), "predicted": chosen, "truth": right}
        data |= {"confidence": None if confidence is None else sure}
        return canvas.finish("episode_grid", caption, data)
