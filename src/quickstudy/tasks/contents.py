"""The contents of a task source: what each split holds, by name and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from quickstudy.files.records import JSON

if TYPE_CHECKING:
    from quickstudy.tasks.source import Split

Unit = Literal["class", "group", "table", "part", "series", "scene", "user", "site", "assay"]
Marks = NDArray[np.uint64]
MANY = 10_000
"""From so many names on, a record holds a digest of each split instead of them."""


class Held(NamedTuple):
    """The examples of one class, group or table.

    Attributes:
        n: Number of examples.
        sha256: Digest of the examples in any order; empty for data that cannot change.
    """

    n: int
    sha256: str


@dataclass(frozen=True)
class Contents:
    """The classes, groups or tables of each split, with a digest of the examples of each.

    Attributes:
        unit: What is dealt out to the splits; None for tasks that are computed from a seed, of
            which nothing can change.
        splits: What each split holds, by name; None where a record keeps digests alone.
        left_out: What the data have besides, by name, such as groups too small for a task.
        order: Digest of the examples in their order.
        digests: Number of names and digest of each split.

    Example:
        >>> contents = tasks.contents()
        >>> contents.unit, list(contents.splits["test"])
        ('class', ['1', '8'])
    """

    unit: Unit | None
    splits: Mapping[Split, Mapping[str, Held]] | None
    left_out: Mapping[str, Held] = field(default_factory=dict)
    order: str = ""
    digests: Mapping[Split, Held] = field(init=False)

    def __post_init__(self) -> None:
        digests = {split: _digest(names) for split, names in (self.splits or {}).items()}
        object.__setattr__(self, "digests", digests)

    @property
    def fingerprint(self) -> str:
        """A sha256 of what the splits hold, whatever the order of the examples."""
        return _sha256(f"{self.unit} {sorted(self.digests.items())}".encode())

    @property
    def fixed(self) -> bool:
        """Whether the data cannot change, so that nothing but names and numbers is recorded."""
        return not any(
            each.sha256 for names in (self.splits or {}).values() for each in names.values()
        )

    def to_json(self) -> JSON:
        """Returns plain JSON; without names where there are very many."""
        splits: JSON = {s: {"n": d.n, "sha256": d.sha256} for s, d in self.digests.items()}
        if self.splits is not None and sum(map(len, self.splits.values())) <= MANY:
            for split, names in self.splits.items():
                numbers = list(names.values())
                splits[split] |= {"names": list(names), "examples": [each.n for each in numbers]}
                if any(each.sha256 for each in numbers):
                    splits[split]["digests"] = [each.sha256 for each in numbers]
        return {
            "unit": self.unit,
            "splits": splits,
            "order": self.order,
            "sha256": self.fingerprint,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The contents that `to_json` gave."""
        splits = data["splits"]
        if any("names" not in each for each in splits.values()):
            contents = cls(data["unit"], None, order=data["order"])
            digests = {split: Held(each["n"], each["sha256"]) for split, each in splits.items()}
            object.__setattr__(contents, "digests", digests)
            return contents
        by_split = {
            split: {
                name: Held(n, digest)
                for name, n, digest in zip(
                    each["names"],
                    each["examples"],
                    each.get("digests") or [""] * len(each["names"]),
                    strict=True,
                )
            }
            for split, each in splits.items()
        }
        return cls(data["unit"], by_split, order=data["order"])


COMPUTED = Contents(None, {})
"""The contents of tasks that are computed from a seed."""


def marks_of(examples: Iterable[bytes]) -> Marks:
    """A mark of 64 bits for each example, given as bytes."""
    digests = b"".join(hashlib.sha256(example).digest()[:8] for example in examples)
    return np.frombuffer(digests, dtype="<u8").astype(np.uint64)


def marks_of_rows(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Marks:
    """A mark for each row of text, whatever the order of the columns."""
    order = sorted(range(len(names)), key=lambda place: names[place])
    return marks_of(
        "\x1f".join(f"{names[place]}\x1e{row[place].strip()}" for place in order).encode()
        for row in rows
    )


def held(marks: Marks) -> Held:
    """The number and digest of examples, of which the marks are given."""
    return Held(len(marks), _sha256(np.sort(marks).astype("<u8").tobytes())[:16])


def held_by_name(names: Sequence[str], marks: Marks) -> dict[str, Held]:
    """The examples of each name, in the order of the names.

    Args:
        names: The name that each example has.
        marks: The mark of each.
    """
    order = sorted(range(len(names)), key=names.__getitem__)
    groups = groupby(order, key=names.__getitem__)
    return {name: held(marks[list(places)]) for name, places in groups}


def contents_of(
    unit: Unit,
    splits: Mapping[Split, Mapping[str, Marks]],
    left_out: Mapping[str, Held] | None = None,
) -> Contents:
    """The contents of splits whose examples have these marks, in their order."""
    order = hashlib.sha256()
    for names in splits.values():
        for name, marks in names.items():
            order.update(f"{name}\x1f".encode() + marks.astype("<u8").tobytes())
    named = {
        split: {name: held(marks) for name, marks in names.items()}
        for split, names in splits.items()
    }
    return Contents(unit, named, left_out or {}, order.hexdigest()[:16])


def told_apart(names: Iterable[Any]) -> list[str]:
    """Names as text; of those that would be the same text, such as 1 and "1", their `repr`."""
    every = list(names)
    text = [str(name) for name in every]
    repeated = {name for name in text if text.count(name) > 1} if len(set(text)) < len(text) else ()
    return [
        repr(name) if short in repeated else short for name, short in zip(every, text, strict=True)
    ]


def _digest(names: Mapping[str, Held]) -> Held:
    lines = sorted(f"{name}\x1f{each.n}\x1f{each.sha256}" for name, each in names.items())
    return Held(len(names), _sha256("\x1e".join(lines).encode()))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
