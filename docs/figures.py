"""Makes the figures of docs/explain.md, docs/forecasting.md, driving.md and recommendation.md.

Trains small learners, explains one answer, and draws a forecast of made-up series and of walkers;
the errors of recommendations are those of benchmarks/ratings.json.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from quickstudy import Training, build
from quickstudy.catalog import build_tasks
from quickstudy.cli.explain import explained_in_figures
from quickstudy.domains.ratings.picture import WORDS
from quickstudy.domains.windows import (
    eth_ucy,
    make_scenes,
    make_series,
    windows,
    write_scenes,
    write_series,
)
from quickstudy.explain import Method
from quickstudy.figures.by_examples import Errors, error_by_examples
from quickstudy.figures.by_labels import Labelled, metric_by_labels
from quickstudy.metrics import ACCURACY
from quickstudy.models.model import Model
from quickstudy.tasks import Pictures, TaskSource
from quickstudy.training.loop import train

IMAGES = Path(__file__).parent / "images"
NAMES = ["ka", "la", "mo", "ru", "ti"]
WRONG = 7  # The example whose label is changed.
PARTS: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    ("PrototypicalNetwork", {}, ("influence", "nearest", "suspicious", "attribution")),
    ("MatchingNetwork", {}, ("attention",)),
    ("MAML", {"inner_lr": 0.4, "inner_steps": 3, "meta_gradient": "first"}, ("layers",)),
]


def draw(name: str, options: dict[str, Any], wanted: tuple[str, ...]) -> None:
    """The figures of one learner."""
    tasks = build_tasks({"name": "glyphs", "n_way": 5, "n_shot": 5, "n_query": 3})
    learner = build({"name": name, **options}, tasks, net={"name": "Conv4", "hidden": 32})
    train(learner, tasks, Training(steps=400, valid_tasks=20))
    support, query = tasks.task("test", 3)
    labels = [NAMES[i] for i in support.y.argmax(dim=1).tolist()]
    labels[WRONG] = NAMES[(NAMES.index(labels[WRONG]) + 1) % len(NAMES)]
    model = Model(learner, tasks.x_shape, Pictures(28, ink=True))
    adapted = model.adapt(support.x, labels)
    asked = query.x[int(adapted.predict_proba(query.x).max(axis=1).argmin())]  # The least sure.
    attribution: Method | None = "integrated_gradients" if "attribution" in wanted else None
    found = adapted.explain(asked, attribution=attribution).to_json()
    for figure in explained_in_figures(adapted, asked, found):
        if figure.name in wanted:
            figure.save(IMAGES)
            (IMAGES / f"{figure.name}.json").unlink()
            print(figure.name, figure.title)


def draw_windows(name: str, tasks: TaskSource, index: int) -> None:
    """The figure of one meta-test task of series or of walkers."""
    learner = build("PriorHead", tasks)
    result = train(learner, tasks, Training(steps=60, outer_lr=0.1, valid_tasks=20))
    figure = tasks.figures(learner.eval(), "test", index + 1, result.temperature)[index]
    replace(figure, name=name).save(IMAGES)
    (IMAGES / f"{name}.json").unlink()
    print(name, figure.title)


def draw_ratings(name: str, protocol: str) -> None:
    """The figure of the recorded errors by the number of ratings."""
    record = json.loads((IMAGES.parents[1] / "benchmarks" / "ratings.json").read_text())[protocol]
    shots = sorted(map(int, record["results"]))
    rows = [record["results"][str(n)] for n in shots]
    own = record["chosen"]

    def errors(learner: str) -> list[float]:
        none = rows[0][learner]["mae of none"]["mean"]
        return [none, *(row[learner]["mae"]["mean"] for row in rows)]

    drawn = [Errors(own, errors(own))]
    for opponent, word in WORDS.items():
        difference, half = None, None
        if opponent != "ItemMean":
            paired = [row[own]["difference"][opponent] for row in rows]
            # Without a rating every one of them, the learner too, says the mean of the item.
            assert errors(own)[0] == errors(opponent)[0]
            difference = [0.0, *(each["mean"] for each in paired)]
            half = [0.0, *(each["ci95"] for each in paired)]
        drawn.append(Errors(word, errors(opponent), difference, half))
    figure = error_by_examples(
        (0, *shots), drawn, noun="MAE", example="rating", tasks="users", name=name
    )
    figure.save(IMAGES)
    (IMAGES / f"{name}.json").unlink()
    print(name, figure.title)


def draw_sites(name: str, protocol: str) -> None:
    """Draws the accuracy by labels of a new site, as it was measured."""
    results = json.loads((IMAGES.parents[1] / "benchmarks/sites.json").read_text())[protocol][
        "results"
    ]
    words = {
        "SimpleShot, support": "SimpleShot",
        "LogisticRegression": "logistic, pixels",
        "NearestCentroid": "centroid, pixels",
    }
    rows = [
        Labelled(
            word,
            [int(n) for n in results[learner]],
            [row["mean"] for row in results[learner].values()],
            [row["ci95"] for row in results[learner].values()],
        )
        for learner, word in words.items()
    ]
    unadapted = results["Pooled"]["0"]["mean"]
    figure = metric_by_labels(rows, ACCURACY, unadapted=unadapted, sites="sites", name=name)
    figure.save(IMAGES)
    (IMAGES / f"{name}.json").unlink()
    print(name, figure.title)


if __name__ == "__main__":
    for part in PARTS:
        draw(*part)
    with TemporaryDirectory() as folder:
        known, future = write_series(Path(folder), make_series())
        of_series = windows(known, horizon=12, lags=36, season=12, future=future)
        draw_windows("forecast", of_series, 3)
        write_scenes(Path(folder, "walks"), make_scenes())
        of_walkers = eth_ucy(Path(folder, "walks"), hold_out="square", valid_place="street")
        draw_windows("walkers", of_walkers, 0)
    draw_ratings("error-by-ratings", "ml-1m")
    draw_sites("by-labels", "rotated")
