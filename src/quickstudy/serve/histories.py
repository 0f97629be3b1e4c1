"""Examples that the server makes of a whole history: its windows, and what follows each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from quickstudy.serve.change import labels_of
from quickstudy.serve.limits import MAX_EXAMPLES
from quickstudy.serve.problems import invalid, refusals
from quickstudy.serve.schema.requests import Example, Input
from quickstudy.serve.served import Served


@dataclass(frozen=True)
class Labelled:
    """Inputs of a request with their labels, and notes on them for people."""

    inputs: list[Input]
    labels: list[Any]
    notes: list[str] = field(default_factory=list)


def labelled(
    served: Served,
    examples: Sequence[Example],
    history: Sequence[Any] | None,
    pointer: str,
    needed: bool = True,
    before: int = 0,
) -> Labelled:
    """The examples of a request, and after them those in its history.

    Args:
        served: The model.
        examples: Its examples.
        history: Its series, if there is one.
        pointer: Place of the examples in the body.
        needed: Whether one of the two must be there.
        before: How many examples the task has had, which the series comes after.

    Raises:
        Problem: Neither is there, a label is of another kind than the model's, or the series is no
            history of the model.
    """
    if needed and not examples and history is None:
        raise invalid(
            f"body: needs {pointer.removeprefix('/')}, or a series for a model of series; received "
            "neither; send one of them.",
            pointer,
        )
    labels = labels_of(served, examples, pointer)
    if history is None:
        return Labelled([*examples], labels)
    kind, room = served.model.preprocess, MAX_EXAMPLES - len(examples)
    with refusals("/series", "INPUT_UNREADABLE"):
        plain = kind.from_request("series", history, served.model.x_shape)
        # One more than there is room for tells that there are more.
        windows, futures = kind.examples_of(plain, room + 1, before)
    n = min(len(windows), room)
    notes = []
    if len(windows) > n:
        notes = [f"series: has more than {n} windows; the latest {n} are the examples."]
    # Encoded, as their places in the history go with them.
    inputs = [Input(values=row) for row in windows[len(windows) - n :].tolist()]
    values = [_flat(future) for future in futures[len(futures) - n :]]
    return Labelled([*examples, *inputs], [*labels, *values], notes)


def asked(query: Sequence[Input], history: Sequence[Any] | None) -> tuple[Sequence[Input], str]:
    """The queries of a request and their place in it; without any, what follows its history.

    Raises:
        Problem: There is neither.
    """
    if query:
        return query, "/query"
    if history is None:
        raise invalid(
            "body: needs a query, or a series for a model of series; received neither; send one "
            "of them.",
            "/query",
        )
    return [Input(series=[*history])], "/series"


def _flat(future: Any) -> float | list[float]:
    """The values after a window `(horizon, C)`, as a label."""
    values: list[float] = future.ravel().tolist()
    return values if len(values) > 1 else values[0]
