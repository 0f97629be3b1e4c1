"""The figures of an explanation say what it says, and are whole for every kind of it."""

from __future__ import annotations

import base64
import copy
import functools
import io
import re
import xml.etree.ElementTree as ET
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quickstudy.errors import UserError
from quickstudy.explain.figures import explanation_figures
from quickstudy.figures.sheet import Figure
from quickstudy.inputs.images import Pictures
from quickstudy.inputs.rows import Categorical, Columns, Numeric

HOSTILE = '<script>alert("1")</script> & $\\frac{$'
LABELS = ["a", "a", HOSTILE, HOSTILE, "漢字"]

TABLE = Columns({"visits": Numeric(0.0, 1.0, 0.0), HOSTILE: Categorical(("basic",))})


def rows(*values: Any) -> list[dict[str, Any]]:
    return [{"id": i, "label": LABELS[i], "value": value} for i, value in enumerate(values)]


def suspect(i: int, probability: float, answer: Any) -> dict[str, Any]:
    return {
        "id": i, "label": LABELS[i], "probability": probability, "error": None, "answer": answer
    }  # fmt: skip


FOUND: dict[str, Any] = {
    "kind": "classification",
    "answer": "a",
    "target": "a",
    "classes": ["a", HOSTILE, "漢字"],
    "probabilities": [0.934, 0.06, 0.006],
    "influence": rows(0.25, 1.5, -2.5, 0.0, None),
    "nearest": {
        "space": "features",
        "examples": [
            {"id": i, "label": LABELS[i], "distance": d, "similarity": 1 / (1 + d)}
            for i, d in enumerate((0.1, 0.5, 1.0, 2.0, 4.0))
        ],
    },
    "contributions": None,
    "attention": rows(0.1, 0.6, 0.2, 0.1, 0.0),
    "suspicious": [
        suspect(3, 0.02, "a"),
        suspect(0, 0.3, HOSTILE),
    ],
    "layers": [
        {"name": "0.conv", "kind": "Conv2d", "change": 0.0, "cka": 1.0},
        {"name": "1", "kind": "SharedLinear", "change": 0.543, "cka": 0.25},
        {"name": HOSTILE, "kind": "Norm", "change": None, "cka": None},
    ],
    "attribution": {
        "method": "integrated_gradients",
        "values": [[[0.5, -0.25], [0.0, 1.0]]],
        "total": 1.25,
        "delta": 0.0,
    },
    "counterfactual": None,
}
VALUES: dict[str, Any] = {
    **FOUND,
    "kind": "regression",
    "answer": [-0.5, 2.25],
    "target": 0,
    "classes": [0, 1],
    "probabilities": None,
    "influence": [{"id": i, "label": [0.5, i], "value": 1.0 - i} for i in range(3)],
    "attention": None,
    "layers": None,
    "suspicious": [
        {"id": i, "label": [0.5, i], "probability": None, "error": 2.0 - i, "answer": [0.0, 0.0]}
        for i in range(2)
    ],
    "nearest": {
        "space": "inputs",
        "examples": [
            {"id": i, "label": [0.5, i], "distance": i, "similarity": 0.5} for i in range(3)
        ],
    },
    "attribution": {"method": "occlusion", "values": [0.5, -2.0], "total": 1.0, "delta": 0.1},
}


def shown(n: int = 5, colour: bool = False) -> dict[str, Any]:
    rng, mode = np.random.default_rng(0), "RGB" if colour else "L"
    inputs = rng.random((n + 1, 3 if colour else 1, 4, 4))
    return {"support": inputs[:-1], "query": inputs[-1], "preprocess": Pictures(4, mode)}


def named(figures: list[Figure]) -> dict[str, Figure]:
    return {figure.name: figure for figure in figures}


CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pictures": (FOUND, shown()),
    "colour": (FOUND, shown(colour=True)),
    "arrays": (FOUND, {}),
    "rows": (VALUES, {"preprocess": TABLE}),
}


@functools.cache
def of_case(case: str) -> list[Figure]:
    """The figures of a case, drawn when first asked for: every worker of the tests imports this."""
    found, inputs = CASES[case]
    return explanation_figures(found, **inputs)


@pytest.mark.parametrize("case", CASES)
def test_figures_are_self_contained_and_deterministic(case: str) -> None:
    found, inputs = CASES[case]
    assert explanation_figures(found, **inputs) == of_case(case)
    for figure in of_case(case):
        root = ET.fromstring(figure.svg)
        assert root.get("aria-label") == figure.title
        assert not root.findall(".//{*}script")
        assert not re.search(r'(?:href|src)="(?!#|data:)', figure.svg)


def test_which_figures_there_are() -> None:
    always = ["influence", "nearest", "suspicious"]
    assert [p.name for p in of_case("pictures")] == [*always, "attention", "layers", "attribution"]
    assert [p.name for p in of_case("rows")] == [*always, "attribution"]
    none = {**FOUND, "attention": None, "layers": None, "attribution": None}
    assert [p.name for p in explanation_figures(none)] == always


def test_titles_say_what_is_seen() -> None:
    titles = {p.name: p.title for p in of_case("pictures")}
    assert titles == {
        "influence": "a (93 %): example 2 speaks against it most",
        "nearest": "a (93 %); most like it is example 0, a",
        "suspicious": f"Look at example 3: is it {HOSTILE}?",
        "attention": "a (93 %): it looks at example 1 most",
        "layers": "Adapting changed layer 1 most, by 54 %",
        "attribution": "a (93 %): what in the query speaks for it and what speaks against it",
    }
    titles = {p.name: p.title for p in of_case("rows")}
    assert titles["influence"].startswith("−0.5, 2.25: example 0 raises it most")
    assert titles["suspicious"] == "Look at example 0: is it 0.5, 0?"


def test_the_data_are_what_was_given() -> None:
    data = {p.name: p.data for p in of_case("pictures")}
    assert data["influence"]["influence"] == FOUND["influence"]
    assert data["nearest"]["examples"] == FOUND["nearest"]["examples"]
    assert data["suspicious"]["suspicious"] == FOUND["suspicious"]
    assert data["attention"]["attention"] == FOUND["attention"]
    assert data["layers"]["layers"] == FOUND["layers"]
    assert data["attribution"]["attribution"] == FOUND["attribution"]
    of_values = named(of_case("rows"))["attribution"].data
    assert of_values["columns"] == ["visits", f"{HOSTILE}: basic"]


def test_another_class_is_explained_with_its_own_probability() -> None:
    found = {**FOUND, "target": "漢字"}
    assert named(explanation_figures(found))["influence"].title.startswith("▯▯ (0.6 %)")


def test_where_no_label_is_doubted_there_is_no_such_figure() -> None:
    assert "suspicious" not in named(explanation_figures({**FOUND, "suspicious": []}))


def test_one_example_a_class_cannot_be_left_out() -> None:
    found = copy.deepcopy(FOUND)
    found["influence"] = [{**row, "value": None} for row in FOUND["influence"]]
    made = named(explanation_figures(found, **shown()))
    assert made["influence"].title == "Every example is alone in its class: none can be left out"


def test_of_many_examples_the_strongest_are_shown() -> None:
    n = 40
    found = copy.deepcopy(FOUND)
    found["influence"] = [{"id": i, "label": "a", "value": (-1) ** i * i} for i in range(n)]
    few = named(explanation_figures(found))["influence"]
    assert few.caption.endswith("Shown are 12 of 40 examples.")
    assert len(few.data["influence"]) == n
    assert few.title.endswith("example 39 speaks against it most")


def test_as_many_images_as_examples() -> None:
    with pytest.raises(UserError, match="each of the 5 support examples; received 4"):
        explanation_figures(FOUND, **shown(4))
    with pytest.raises(UserError, match=r"in \[0, 1\]"):
        explanation_figures(FOUND, **shown() | {"query": np.full((1, 4, 4), 7.0)})


def test_the_heat_map_colours_each_pixel_by_its_sign() -> None:
    """Read back from the drawing: blue for, vermillion against, the more the more."""
    found = copy.deepcopy(FOUND)
    found["attribution"]["values"] = [[[1.0, -1.0], [0.0, 0.5]]]
    heat_map = named(explanation_figures(found, **shown()))["attribution"]
    embedded = re.findall(r"data:image/png;base64,\s*([^\"]+)", heat_map.svg)
    heat = np.asarray(Image.open(io.BytesIO(base64.b64decode(embedded[-1]))).convert("RGBA"))
    (helps, harms), (nothing, weak) = heat.tolist()
    assert helps == [0, 114, 178, 255]
    assert harms == [213, 94, 0, 255]
    assert nothing[3] == 0
    assert weak[:3] == pytest.approx([0, 114, 178], abs=2)
    assert 100 < weak[3] < 150
