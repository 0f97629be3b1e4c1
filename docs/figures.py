"""Makes the figures of docs/explain.md: trains three small learners and explains one answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quickstudy import Training, build
from quickstudy.catalog import build_tasks
from quickstudy.cli.explain import explained_in_figures
from quickstudy.explain import Method
from quickstudy.models.model import Model
from quickstudy.tasks import Pictures
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


if __name__ == "__main__":
    for part in PARTS:
        draw(*part)
