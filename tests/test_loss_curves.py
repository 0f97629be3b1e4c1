"""The figure of loss against steps."""

from __future__ import annotations

import math

import pytest

from quickstudy.errors import UserError
from quickstudy.figures.loss_curves import loss_curves

ROWS = [
    {"name": "learned", "curve": [1.0, 0.1, 0.01]},
    {"name": "Adam", "curve": [1.0, 0.5, 0.2], "lr": 0.01},
    {"name": "<b>", "curve": [1.0, 1e9, 0.3], "lr": 0.1},
]


def test_it_says_what_was_measured() -> None:
    figure = loss_curves(ROWS, trained_steps=1)
    assert figure == loss_curves(ROWS, trained_steps=1)
    assert figure.title == "Loss 0.01 after 2 steps; best tuned rule Adam 0.2"
    assert figure.data == {"trained_steps": 1, "rules": ROWS}
    assert loss_curves(ROWS[:1]).title == "Loss 0.01 after 2 steps"


def test_a_rule_that_diverges_is_drawn_as_far_as_it_goes() -> None:
    figure = loss_curves([{"name": "learned", "curve": [1.0, 2.0, math.inf]}, *ROWS[1:]])
    assert figure.title == "Loss diverged after 2 steps; best tuned rule Adam 0.2"
    assert figure.data["rules"][0] == {"name": "learned", "curve": [1.0, 2.0]}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "received none"),
        ([{"name": "a", "curve": [1.0, math.nan]}], "at least two finite losses"),
        ([{"name": "a", "curve": [1.0, 0.0]}], "losses above zero"),
        ([ROWS[0], {"name": "b", "curve": [1.0, 0.5]}], "one length"),
    ],
)
def test_what_cannot_be_drawn_is_refused(rows: list[dict[str, object]], words: str) -> None:
    with pytest.raises(UserError, match=words):
        loss_curves(rows)
