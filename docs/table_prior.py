"""Makes docs/images/table-prior.svg: tables of the prior beside those that scikit-learn ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from quickstudy.figures.contact import TablePicture, contact_sheet
from quickstudy.tasks import TablePrior
from quickstudy.tasks.table_prior.columns import FORM, HIDES

IMAGES = Path(__file__).parent / "images"
ROWS = 60
Array = NDArray[Any]
REAL = {
    "iris": (load_iris, True),
    "wine": (load_wine, True),
    "breast cancer": (load_breast_cancer, True),
    "diabetes": (load_diabetes, False),
}


def picture(
    title: str, cells: Array, target: Array, of_classes: bool, categories: Array
) -> TablePicture:
    """A table by the two columns that tell most of the target, and the next that is discrete."""
    filled = np.where(np.isnan(cells), -9, cells)
    tells = (mutual_info_classif if of_classes else mutual_info_regression)(
        filled, target, discrete_features=categories, random_state=0
    )
    order = np.argsort(-tells, kind="stable")
    rest = order[2:] if len(order) > 2 else order
    third = next((i for i in rest if categories[i]), rest[0])
    chosen = [order[0], order[min(1, len(order) - 1)], third]
    x, y, z = cells[:ROWS, chosen].T
    a, b, c = categories[chosen].tolist()
    return TablePicture(title, x, y, z, target[:ROWS], of_classes, (a, b, c))


def real(name: str) -> TablePicture:
    """A table of scikit-learn's, its rows in random order."""
    load, of_classes = REAL[name]
    data = load()
    order = np.random.default_rng(0).permutation(len(data.target))
    cells = data.data[order].astype(np.float64)
    categories = np.array([len(np.unique(column)) == 2 for column in cells.T])
    return picture(name, cells, data.target[order], of_classes, categories)


def made_up(kind: Any, index: int) -> TablePicture:
    """A table of the prior as its columns show it, before it is encoded."""
    prior = TablePrior((200, 200), n_query=50, n_features=20, n_classes=6, kind=kind, seed=1)
    tables = prior.tables("train", index)
    cells = np.where(tables.shown.hidden, np.nan, tables.shown.values).T.astype(np.float64)
    categories = tables.plan.form == FORM["category"]
    hidden = tables.shown.hidden.any()
    name = tables.targets[0] + (f", missing {HIDES[tables.hides[0]]}" if hidden else "")
    return picture(name, cells, tables.y[0], kind == "classification", categories)


if __name__ == "__main__":
    groups = [
        ("Real tables", [real(name) for name in REAL]),
        ("Made-up tables with classes", [made_up("classification", i) for i in range(12)]),
        ("Made-up tables with numbers to predict", [made_up("regression", i) for i in range(4)]),
    ]
    figure = contact_sheet(
        "table-prior",
        "Made-up tables, beside four real ones",
        "Each is drawn by the two columns that tell most of its target, by colour; below, the "
        "histogram of one more. Missing cells stand at the left or the bottom.",
        groups,
    )
    figure.save(IMAGES)
    (IMAGES / f"{figure.name}.json").unlink()
    print(figure.name, figure.title)
