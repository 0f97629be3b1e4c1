"""Items of a catalogue, by their ids: what people rate, and what is recommended to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.cells import cell, name_of
from quickstudy.inputs.frames import AS_KNOWN, Reading
from quickstudy.inputs.item_names import Names, fold
from quickstudy.inputs.kind import Array, Form, InputKind, Shape
from quickstudy.inputs.own_ratings import SUFFIXES, listed_items, own_ratings
from quickstudy.inputs.vectors import nested_numbers, numbers
from quickstudy.targets import OffsetScale
from quickstudy.task import Kind

__all__ = ["CARRIED", "ITEM", "Items"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
ITEM: Final = "item"
CARRIED: Final = 2
NAIVE: Final = "the mean rating of the item"
SHARE: Final = "the share of people who have the item"


@dataclass(frozen=True)
class Items(InputKind):
    """Items of a catalogue, which travels with the model.

    People hand over ids. A network sees the number of an item's row in a table, and its features;
    with them travel the item's base, beside which its ratings are learned, and its place:

        x = row, features (F), base, place + 1

    with row 0 for every item that nobody rated in meta-training, whose base is the global mean.

    Attributes:
        ids, titles: Of each item.
        columns: Names of what is known of an item.
        known: The numbers under these names, of each item.
        base: The shrunk mean rating of each.
        counts: How many people of meta-training rated each.
        spread: The shrunk standard deviation of its ratings.
        low, high: The ends of the scale of ratings.
        std: Standard deviation of the ratings beside the base.
        rated: Whether people rate items; else they have them, by a click or a purchase, the rating
            is 1, and the base is the share of people who have the item.

    Example:
        >>> known = {"columns": (), "known": ((), ()), "base": (3.5, 4.0), "counts": (9, 0)}
        >>> kind = Items(("a", "b"), ("A", "B"), **known, spread=(1, 1), low=1, high=5, std=1)
        >>> kind.encode(["b", "a"], kind.x_shape)[0].tolist()
        [[0.0, 4.0, 2.0], [1.0, 3.5, 1.0]]
    """

    form = "item"
    modality = "items"

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    columns: tuple[str, ...]
    known: tuple[tuple[float, ...], ...]
    base: tuple[float, ...]
    counts: tuple[int, ...]
    spread: tuple[float, ...]
    low: float
    high: float
    std: float
    rated: bool = True

    @cached_property
    def scale(self) -> OffsetScale:
        """The scale of the ratings."""
        return OffsetScale(self.std, NAIVE if self.rated else SHARE)

    @cached_property
    def table(self) -> Floats:
        """The encoded inputs of all items `(items, *x_shape)`."""
        n = len(self.ids)
        place = np.arange(1, n + 1)
        row = np.where(np.asarray(self.counts) > 0, place, 0)
        known = np.asarray(self.known, dtype=np.float64).reshape(n, len(self.columns))
        return np.column_stack([row, known, self.base, place])

    @property
    def label_ends(self) -> tuple[float, float]:
        return self.low, self.high

    def repeated(self, x: Tensor) -> tuple[int, int] | None:
        first: dict[int, int] = {}
        for number, place in enumerate(self.places_of(x).tolist()):
            if first.setdefault(place, number) != number:
                return first[place], number
        return None

    @property
    def listed(self) -> Tensor:
        return torch.from_numpy(self.table)

    @property
    def carried(self) -> int:
        return CARRIED

    @property
    def x_shape(self) -> Shape:
        """Shape of one encoded input."""
        return (1 + len(self.columns) + CARRIED,)

    @property
    def net(self) -> JSON:
        """A row of a table for each item."""
        return {"name": "ItemTable", "n_items": len(self.ids)}

    @property
    def features(self) -> list[str]:
        return ["row", *self.columns, "base", "place"]

    def places(self, ids: Sequence[Any]) -> Places:
        """The places of items in the catalogue.

        Raises:
            UserError: An id is of no item, or a title of several.
        """
        places = [self.place(name, f"in place {at}") for at, name in enumerate(ids)]
        return np.array(places, dtype=np.int64)

    def place(self, name: Any, where: str, titled: bool = False) -> int:
        """The place of an item in the catalogue.

        Args:
            name: Its id, or its title.
            where: Where the name stands, for messages.
            titled: Whether it is a title rather than an id, where it could be either.

        Raises:
            UserError: It is of no item, or of several.
        """
        text = name_of(cell(name))
        places = self._names.places(text, titled)
        if len(places) == 1:
            return places[0]
        if places:
            several = ", ".join(f"{self.ids[place]} ({self.titles[place]})" for place in places[:5])
            raise UserError(
                f"inputs: a name must be of one item; received {text!r:.60} {where}, which "
                f"{len(places)} have: {several}; write the id of one."
            )
        near = (any(map(str.isalpha, text)) and self.find(text)[:3]) or self._names.near(text)
        titles = " or ".join(repr(self.titles[place]) for place in near)
        raise UserError(
            f"inputs: an item must be one of the {len(self.ids)} of the model's catalogue; "
            f"received {text!r:.60} {where}; "
            f"{f'did you mean {titles}?' if near else 'leave it out.'}"
        )

    def places_of(self, x: Tensor) -> Tensor:
        """The places of encoded items; -1 of padding."""
        return x[..., -1].long() - 1

    def find(self, text: str) -> list[int]:
        """The places of items whose titles hold all words of a text; the best match first.

        An item of this id comes before titles that begin so, and these before others; of alike
        ones that which more people rated. An empty text finds all, the highest mean first.
        """
        words = fold(text).split()
        if not words:
            return np.argsort(-np.asarray(self.base), kind="stable").tolist()
        known, start = self._names.places(text), " ".join(words)
        found = {*known, *self._names.holding(words)}

        def order(place: int) -> tuple[bool, bool, bool, int]:
            title = self._names.folded[place]
            whole = all(f" {word}" in f" {title}" for word in words)  # each begins a word
            return place not in known, not title.startswith(start), not whole, -self.counts[place]

        return sorted(found, key=order)

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        if isinstance(X, Tensor) and X.is_floating_point():
            return numbers(X, x_shape)
        single = isinstance(X, str | int | np.integer | dict)
        values = [X] if single else X.tolist() if hasattr(X, "tolist") else list(X)
        values = [
            each[ITEM] if isinstance(each, dict) and ITEM in each else each for each in values
        ]
        if values and isinstance(values[0], list):  # encoded already
            return numbers(values, x_shape)
        return self.table[self.places(values)], single

    def check_labelled(self, x: Tensor, labels: Sequence[Any]) -> None:
        seen: dict[int, int] = {}
        if not self.rated and (other := [label for label in labels if _value(label) != 1]):
            raise UserError(
                "adapt: the model is of interactions, whose examples are the items that a user "
                f"has, each with the label 1; received the label {other[0]!r:.40}; leave labels "
                "out, and the items that the user has not; or train on ratings."
            )
        for number, place in enumerate(self.places_of(x).tolist()):
            name, rating = self.ids[place], _value(labels[number])
            if not self.low <= rating <= self.high:
                raise UserError(
                    f"adapt: a rating must be on the scale of the model, {self.low:g} to "
                    f"{self.high:g}; received {rating:g} for {name!r}, example {number}; correct "
                    "it; or bring all ratings to that scale."
                )
            if (before := seen.setdefault(place, number)) != number:
                raise UserError(
                    f"adapt: an item has one rating; received {name!r} in examples {before} and "
                    f"{number}; leave one out."
                )

    def remaining(self, x: Tensor, others: Tensor) -> list[int]:
        replaced = {*self.places_of(others).tolist()}
        return [i for i, place in enumerate(self.places_of(x).tolist()) if place not in replaced]

    def examples_of(self, X: Any, most: int | None = None, before: int = 0) -> tuple[Any, Any]:
        """The items and ratings of a mapping from one to the other; the items a user has alone."""
        if isinstance(X, Mapping):
            return [*X], [*X.values()]
        if not self.rated:
            items = [X] if isinstance(X, str | int | np.integer) else list(X)
            return items, [1.0] * len(items)
        return super().examples_of(X, most, before)

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        """The items that one user rated, and the ratings.

        Args:
            path: A file of items and ratings, see `own_ratings`.
            target: Name of the column of ratings, where it is unusual.
            targets: Not looked at: the labels are ratings.
            reading: Not looked at.

        Raises:
            DataError: The file cannot be read.
            UserError: As in `own_ratings`.
        """
        if not self.rated:
            places = list(dict.fromkeys(listed_items(self, path)))
            return [self.ids[place] for place in places], [1.0] * len(places)
        read = own_ratings(self, path, column=target)
        return [self.ids[place] for place in read.places], read.ratings

    def read_queries(self, paths: Sequence[Path]) -> Sequence[Any]:
        """The items of files: tables with a column of ids, or an id a line."""
        return [self.ids[place] for path in paths for place in listed_items(self, path)]

    def read_words(self, words: Sequence[str]) -> Sequence[Any]:
        """The items of ids, and of files of these."""
        names: list[Any] = []
        for word in words:
            path = Path(word)
            is_file = path.suffix in SUFFIXES and not self._names.places(word)
            names += self.read_queries([path]) if is_file else [word]
        return names

    def to_json(self) -> JSON:
        return {
            "kind": "items",
            "ids": list(self.ids),
            "titles": list(self.titles),
            "columns": list(self.columns),
            "known": [list(each) for each in self.known],
            "base": list(self.base),
            "counts": list(self.counts),
            "spread": list(self.spread),
            "low": self.low,
            "high": self.high,
            "std": self.std,
            **({} if self.rated else {"rated": False}),
        }

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        names = ("ids", "titles", "columns", "base", "counts", "spread")
        several: dict[str, Any] = {name: tuple(data[name]) for name in names}
        known = tuple(tuple(each) for each in data["known"])
        scale: dict[str, Any] = {name: data[name] for name in ("low", "high", "std")}
        return cls(**several, known=known, **scale, rated=data.get("rated", True))

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        """An item as `{"item": id}`."""
        if form == "values":
            values = nested_numbers(value, x_shape)
            place = values[-1] - 1
            known = place in range(len(self.ids))
            if not known or not np.allclose(values, self.table[int(place)], rtol=1e-5):
                raise UserError(
                    "inputs: encoded items must be those of the model's catalogue; received other "
                    "numbers; give items by their ids."
                )
            return values
        if form != self.form:
            raise self.refusal(form)
        return {ITEM: self.ids[self.place(value, "in the request")]}

    def to_request(self, x: Any) -> JSON:
        return {ITEM: self.ids[int(x[-1]) - 1]}

    def card(self) -> JSON:
        most = int(np.argmax(self.counts))
        about = {"n_items": len(self.ids), "low": self.low, "high": self.high}
        return {
            "columns": None,
            "drawings": False,
            "items": about | {"most_rated": self.ids[most]},
        }

    def caption(self, raw: Any) -> str | None:
        return self.titles[self.place(raw[ITEM] if isinstance(raw, dict) else raw, "")]

    @cached_property
    def _names(self) -> Names:
        return Names(self.ids, self.titles)


def _value(label: Any) -> float:
    """The number of a label."""
    return float(np.asarray(label).reshape(-1)[0])
