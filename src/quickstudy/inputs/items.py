"""Items of a catalogue, by their ids: what people rate, and what is recommended to them."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.cells import cell, name_of
from quickstudy.inputs.decoding import file_text
from quickstudy.inputs.delimited import read_table
from quickstudy.inputs.frames import AS_KNOWN, Reading
from quickstudy.inputs.kind import Array, Form, InputKind, Shape
from quickstudy.inputs.rating_files import COLUMNS, read_ratings, spelling
from quickstudy.inputs.vectors import nested_numbers, numbers
from quickstudy.targets import OffsetScale
from quickstudy.task import Kind

__all__ = ["CARRIED", "ITEM", "Items"]

Floats = NDArray[np.float64]
Places = NDArray[np.int64]
ITEM: Final = "item"
CARRIED: Final = 2
NAIVE: Final = "the mean rating of the item"


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

    @cached_property
    def scale(self) -> OffsetScale:
        """The scale of the ratings."""
        return OffsetScale(self.std, NAIVE)

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
            UserError: An id is none of the catalogue.
        """
        found = [self._place_of(each) for each in ids]
        if None in found:
            raise self._unknown(ids[found.index(None)], f"in place {found.index(None)}")
        return np.array(found, dtype=np.int64)

    def places_of(self, x: Tensor) -> Tensor:
        """The places of encoded items; -1 of padding."""
        return x[..., -1].long() - 1

    def find(self, text: str) -> list[int]:
        """The places of items whose titles hold all words of a text; the best match first.

        An item of this id comes before titles that begin so, and these before others; of alike
        ones that which more people rated. An empty text finds all, the highest mean first.
        """
        words = folded(text).split()
        if not words:
            return np.argsort(-np.asarray(self.base), kind="stable").tolist()
        known, start = self._place_of(text), " ".join(words)
        found = [
            place
            for place, title in enumerate(self._folded)
            if place == known or all(word in title for word in words)
        ]

        def order(place: int) -> tuple[bool, bool, bool, int]:
            title = self._folded[place]
            whole = all(f" {word}" in f" {title}" for word in words)  # each begins a word
            return place != known, not title.startswith(start), not whole, -self.counts[place]

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
        places = self.places(values)
        if len({*places.tolist()}) < len(places):
            seen = [int(p) for n, p in enumerate(places) if p in places[:n]]
            raise UserError(
                f"inputs: an item counts once; received {self.ids[seen[0]]!r} twice; leave one out."
            )
        return self.table[places], single

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        """The items that one user rated, and the ratings.

        Args:
            path: A table of items and ratings.
            target: The user, of a table of several; or the name of the column of ratings.
            targets: Not looked at: the labels are ratings.
            reading: Not looked at.

        Raises:
            DataError: The file cannot be read.
            UserError: An item is unknown or twice, a rating is off the scale, or the table is of
                several users.
        """
        header = file_text(path, "ratings").lstrip().partition("\n")[0].lower()
        column = target if target is not None and target.lower() in header else None
        ratings = read_ratings(path, rating=column, scale=(self.low, self.high), one_user=True)
        rows = np.arange(len(ratings.rating))
        if len(ratings.users) > 1:
            if target not in ratings.users:
                received = "no name" if target is None else repr(target)
                raise UserError(
                    f"adapt: {path} holds the ratings of {len(ratings.users)} users, of whom one "
                    f"is learned from; received {received}; name the user (--target)."
                )
            rows = np.flatnonzero(ratings.user == ratings.users.index(target))
        names = [ratings.items[ratings.item[row]] for row in rows]
        for name, row in zip(names, rows.tolist(), strict=True):
            if self._place_of(name) is None:
                raise self._unknown(name, f"in line {ratings.lines[row]} of {path}")
        return names, ratings.rating[rows].tolist()

    def read_queries(self, paths: Sequence[Path]) -> Sequence[Any]:
        """The items of files: tables with a column of ids, or an id a line."""
        names: list[str] = []
        for path in paths:
            lines = file_text(path, "items").splitlines()
            header = lines[0].lower() if lines else ""
            known = [name for name in COLUMNS["item"] if name in header.replace(",", " ").split()]
            if known:
                table = read_table(path)
                lower = [name.lower() for name in table.names]
                names += [name_of(each) for each in table.columns[lower.index(known[0])]]
            else:
                names += [line.strip() for line in lines if line.strip()]
        return names

    def read_words(self, words: Sequence[str]) -> Sequence[Any]:
        """The items of ids, and of files of these."""
        names: list[Any] = []
        for word in words:
            is_id = self._place_of(word) is not None
            names += [word] if is_id else self.read_queries([Path(word)])
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
        }

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        names = ("ids", "titles", "columns", "base", "counts", "spread")
        several = {name: tuple(data[name]) for name in names}
        known = tuple(tuple(each) for each in data["known"])
        return cls(**several, known=known, low=data["low"], high=data["high"], std=data["std"])

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
        place = self._place_of(value)
        if place is None:
            raise self._unknown(value, "in the request")
        return {ITEM: self.ids[place]}

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
        place = self._place_of(raw[ITEM] if isinstance(raw, dict) else raw)
        return None if place is None else self.titles[place]

    @cached_property
    def _folded(self) -> list[str]:
        return [folded(title) for title in self.titles]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.ids)}

    @cached_property
    def _by_spelling(self) -> dict[str, int]:
        """Places by spelling of the id and by title, where these are of one item."""
        places: dict[str, set[int]] = {}
        for place, (name, title) in enumerate(zip(self.ids, self.titles, strict=True)):
            places.setdefault(title.casefold(), set()).add(place)
            places.setdefault(spelling(name), set()).add(place)
        return {key: min(each) for key, each in places.items() if len(each) == 1}

    def _place_of(self, name: Any) -> int | None:
        text = name_of(cell(name))
        place = self._numbers.get(text)
        if place is None:
            place = self._by_spelling.get(spelling(text), self._by_spelling.get(text.casefold()))
        return place

    def _unknown(self, name: Any, where: str) -> UserError:
        text = name_of(cell(name))
        places = self.find(text) or self.find(self._respelled(text)) if text else []
        near = [self.titles[place] for place in places[:3]]
        near = near or get_close_matches(text, self.ids, n=1, cutoff=0.8)
        hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "leave it out."
        return UserError(
            f"inputs: an item must be one of the {len(self.ids)} of the model's catalogue; "
            f"received {text!r:.60} {where}; {hint}"
        )

    def _respelled(self, text: str) -> str:
        """A text whose words are the likest ones of titles, with the same first letter."""
        known = sorted({word for title in self._folded for word in title.split()})
        return " ".join(
            (get_close_matches(word, [k for k in known if k[0] == word[0]], n=1) or [word])[0]
            for word in folded(text).split()
        )


def folded(text: str) -> str:
    """A title as it is searched: without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    letters = [c if c.isalnum() else " " for c in plain if not unicodedata.combining(c)]
    return " ".join("".join(letters).split())
