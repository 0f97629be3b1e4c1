"""The contact sheet of tables."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest

from quickstudy.figures.contact import TablePicture, contact_sheet


@pytest.mark.parametrize("of_classes", [True, False])
def test_tables_of_every_kind_are_drawn_in_the_same_bytes(of_classes):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 30))
    missing = np.where(rng.random(30) < 0.3, np.nan, y)
    target = np.arange(30) % 3 if of_classes else y
    codes = np.arange(30) % 4
    pictures = [
        TablePicture("a", x, missing, codes, target, of_classes, (False, False, True)),
        TablePicture("b", codes, np.full(30, np.nan), x, target, of_classes, (True, False, False)),
        TablePicture("c", x, y, np.full(30, np.nan), target, of_classes, (False, False, False)),
        TablePicture("d", x, np.ones(30), np.ones(30), 0 * codes, of_classes, (False,) * 3),
        TablePicture("e", x, y, missing, target, of_classes, (False, False, False)),
    ]
    groups = [("real", pictures[:1]), ("made up", pictures)]
    figure, again = (contact_sheet("tables", "Tables", "Read.", groups) for _ in range(2))
    assert figure.svg == again.svg
    assert figure.data == {"real": ["a"], "made up": ["a", "b", "c", "d", "e"]}
    n_panels = sum("axes_" in (node.get("id") or "") for node in ET.fromstring(figure.svg).iter())
    assert n_panels == 2 * 6
