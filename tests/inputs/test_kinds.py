"""What every kind of input keeps: its JSON, its requests, and what is stored of them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from quickstudy.encoders import Encoder, PictureRule, Text, TextRule
from quickstudy.errors import UserError
from quickstudy.inputs import (
    KINDS,
    Columns,
    Encoded,
    EncodedPictures,
    EncodedTexts,
    InputKind,
    Items,
    Molecules,
    Pictures,
    TaskColumns,
    Vectors,
    Windows,
    kind_from_json,
    read,
    stored,
)
from quickstudy.inputs.rows import Categorical, Numeric
from quickstudy.inputs.support import encode

COLUMNS = Columns({"age": Numeric(2.0, 4.0, 1.0), "plan": Categorical(("basic", "plus"))})
PHOTOS = Encoder(
    *("tiny", "a test", "none", "0" * 64, 3, PictureRule(8, "crop", (0.5,) * 3, (0.5,) * 3))
)
TEXTS = Encoder("tiny", "a test", "none", "0" * 64, 3, TextRule(8, "mean", True), "1" * 64)
OTHERS = {
    "image": {"b64": ""},
    "row": {"age": 3, "plan": "plus"},
    "text": "plus",
    "series": [1.0, 2.0, 3.0],
    "item": "b",
    "smiles": "CCO",
    "values": [[1.0]],
}
ITEMS = Items(
    *(("a", "b"), ("A", "B"), ("year",), ((0.5,), (-1.0,)), (3.5, 4.0), (9, 4), (1.0, 1.0)),
    *(1.0, 5.0, 0.9),
)
CASES: dict[str, tuple[InputKind, tuple[int, ...], list[float] | list[list[list[float]]]]] = {
    "pictures": (Pictures(4), (1, 4, 4), np.linspace(0, 1, 16).reshape(1, 4, 4).tolist()),
    "columns": (COLUMNS, (3,), [0.25, 0.0, 1.0]),
    "columns of the task": (TaskColumns(COLUMNS), (3,), [0.25, 0.0, 1.0]),
    "columns not known yet": (TaskColumns(Vectors()), (3,), [0.25, 0.0, 1.0]),
    "encoded pictures": (EncodedPictures(PHOTOS), (3,), [0.25, -1.0, 1.0]),
    "encoded texts": (EncodedTexts(TEXTS), (3,), [0.25, -1.0, 1.0]),
    "vectors": (Vectors(), (3,), [0.25, 0.0, 1.0]),
    # Two values 3 apart, whose spread is 1.5 and the last of which is 5.
    "windows": (Windows(2, 1), (9,), [-2.0, 0.0, 5.0, 1.5, 3.0, 1.0, 0.0, -1.0, -1.0]),
    "items": (ITEMS, (4,), [2.0, -1.0, 4.0, 2.0]),
    "molecules": (Molecules(n_bits=3), (3,), [1.0, 0.0, 1.0]),
    "graphs of molecules": (Molecules("graph", 3, n_atoms=1), (39,), [1.0, 0.0, 1.0] * 13),
}


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return CASES[request.param]


def test_json_gives_the_kind_back(case):
    kind = case[0]
    written = json.dumps(kind.to_json())
    again = kind_from_json(json.loads(written))
    assert again == getattr(kind, "current", kind)
    assert json.dumps(again.to_json()) == written


def test_every_kind_of_the_list_is_tried_here():
    # A molecule cannot be had back from its fingerprint: its tests are in test_molecule_users.py.
    assert {type(kind) for kind, *_ in CASES.values()} >= set(KINDS.values())


def test_the_json_is_that_of_earlier_files():
    assert Vectors().to_json() is None
    assert json.dumps(Pictures(28, ink=True).to_json()) == (
        '{"kind": "pictures", "size": 28, "mode": "L", "ink": true, "fill": 0.65}'
    )
    assert json.dumps(COLUMNS.to_json()) == (
        '{"kind": "columns", "columns": {"age": {"mean": 2.0, "std": 4.0, "median": 1.0}, '
        '"plan": {"values": ["basic", "plus"]}}}'
    )


def test_a_tensor_is_encoded_already(case):
    kind, x_shape, x = case
    values, single = kind.encode(torch.tensor([x]), x_shape)
    assert not single
    np.testing.assert_array_equal(values, np.array([x], np.float32))


def test_an_encoded_input_survives_the_request_that_it_came_from(case):
    kind, x_shape, x = case
    ((form, value),) = kind.to_request(x).items()
    plain = kind.from_request(form, value, x_shape)
    again = stored.from_bytes(stored.to_bytes(plain))
    assert again == plain
    if kind == TaskColumns(Vectors()):
        assert plain == {"x0": 0.25, "x1": 0.0, "x2": 1.0}
        return
    given = torch.tensor([plain]) if isinstance(plain, list) else [plain]
    np.testing.assert_allclose(kind.encode(given, x_shape)[0], [x], atol=1e-6)
    assert stored.to_request(stored.to_bytes(plain)) == {form: value}


def test_a_picture_is_stored_as_its_pixels():
    picture = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4))
    data = stored.to_bytes(picture)
    ((form, value),) = stored.to_request(data).items()
    again = Pictures(4).from_request(form, value, (1, 4, 4))
    np.testing.assert_array_equal(np.asarray(again), np.asarray(picture))
    np.testing.assert_array_equal(np.asarray(stored.from_bytes(data)), np.asarray(picture))
    assert stored.to_png(data, Vectors()) == data


@pytest.mark.parametrize(
    "request_", [{"text": "so\nit is"}, {"text": "so it is", "spans": [[0, 2], [6, 8]]}]
)
def test_a_text_is_stored_as_it_was_asked_about(request_):
    kind = EncodedTexts(TEXTS)
    value = request_ if "spans" in request_ else request_["text"]
    data = stored.to_bytes(kind.from_request("text", value, (3,)))
    assert stored.to_request(data) == request_
    (text,), _ = kind.separate([stored.from_bytes(data)])
    assert text == Text(request_["text"], tuple(map(tuple, request_.get("spans", ()))))


def test_encoded_drawings_are_shown_dark_on_light():
    data = stored.to_bytes([[[0.0, 1.0], [0.2, 1.0]]])
    assert stored.to_png(data, Vectors()) is None
    for ink, levels in ((True, [[255, 0], [204, 0]]), (False, [[0, 255], [51, 255]])):
        png = stored.to_png(data, Pictures(4, ink=ink))
        assert png is not None
        np.testing.assert_array_equal(np.asarray(stored.from_bytes(png)), levels)


def test_a_form_of_another_kind_is_refused(case):
    kind, x_shape, _ = case
    for form, value in OTHERS.items():
        if form not in (kind.form, "values"):
            with pytest.raises(UserError, match=f"takes {kind.modality}.* as '{kind.form}'"):
                kind.from_request(form, value, x_shape)


def test_what_is_encoded_is_not_encoded_again(case):
    kind, x_shape, x = case
    # An item has one rating, so that the second is another one.
    other = kind.table[0].tolist() if isinstance(kind, Items) else x
    once = encode(torch.tensor([x, other]), kind, x_shape, torch.zeros(()))
    assert encode(once, kind, x_shape, torch.zeros(())) is once
    support = read(
        once,
        [0, 1],
        kind,
        x_shape,
        targets="classification",
        n_out=None,
        like=torch.zeros(()),
    )
    assert support.examples.x is once.x
    assert support.kind is kind


def test_columns_are_those_of_the_task_that_is_read():
    rows = [{"size": 1.0}, {"size": 3.0, "colour": "red"}, {"size": 2.0}]
    support = read(
        rows,
        ["a", "b", "a"],
        TaskColumns(Vectors()),
        (100,),
        targets="classification",
        n_out=None,
        like=torch.zeros((), dtype=torch.float64),
    )
    assert support.kind.features == ["size", "colour: red"]
    assert (support.x_shape, support.classes, support.labels) == ((2,), ["a", "b"], ["a", "b", "a"])
    assert support.examples.x.dtype == torch.float64
    assert support.examples.x[:, 1].tolist() == [0, 1, 0]


def test_one_example_is_no_support():
    with pytest.raises(UserError, match="X must hold several examples; received one of shape"):
        read(
            Encoded(torch.zeros(1, 3), single=True),
            ["a"],
            Vectors(),
            (3,),
            targets="classification",
            n_out=None,
            like=torch.zeros(()),
        )


@pytest.mark.parametrize("data", [{"kind": "os.system"}, {"kind": "vectors"}, {}])
def test_an_unknown_kind_is_refused(data):
    with pytest.raises(LookupError):
        kind_from_json(data)
