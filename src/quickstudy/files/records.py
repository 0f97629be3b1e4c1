"""Records as JSON files hold them: plain, without NaN, and the date."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import Field, fields
from datetime import UTC, datetime
from typing import Any, ClassVar

JSON = dict[str, Any]
"""A JSON object, where plain JSON is meant."""
LARGEST_EXACT = 2**53 - 1
JSONLike = Mapping[str, Any]
"""A JSON object, or a record that reads as one."""


class Record(Mapping[str, Any]):
    """A result with typed fields that also reads as the JSON it is written as.

    Subclasses are frozen dataclasses with `eq=False`, so that a record equals the dict it stands
    for. `record["ci95"]`, `"ci95" in record`, `record.get("ci95")` and `{**record}` read
    `to_json()`; `json.dumps` needs `record.to_json()`.

    Example:
        >>> @dataclass(frozen=True, eq=False)
        ... class Timing(Record):
        ...     tasks: int
        >>> Timing(tasks=20)["tasks"]
        20
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def to_json(self) -> dict[str, Any]:
        """Returns the fields by name as plain JSON; a record may name or leave out others."""
        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}

    def __getitem__(self, key: str) -> Any:
        return self.to_json()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.to_json())

    def __len__(self) -> int:
        return len(self.to_json())


def plain(value: Any) -> Any:
    """Returns the value with dicts for its records and lists for its tuples."""
    if isinstance(value, Record):
        return value.to_json()
    if isinstance(value, Mapping):
        return {key: plain(inside) for key, inside in value.items()}
    return [plain(inside) for inside in value] if isinstance(value, list | tuple) else value


def without_nan(value: Any) -> Any:
    """Returns the value as plain JSON, with null for what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: without_nan(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [without_nan(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else exact(value)


def exact(value: Any) -> Any:
    """Returns a number as every reader of JSON holds it: as text with its type where it must.

    JSON has no infinity, and readers such as JavaScript hold all numbers in float64.
    """
    if isinstance(value, int) and abs(value) > LARGEST_EXACT:
        return {"int": str(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def from_exact(value: Any) -> Any:
    """Returns the number that `exact` was given."""
    if isinstance(value, dict) and len(value) == 1:
        for name, kind in (("int", int), ("float", float)):
            if name in value:
                return kind(value[name])
    return value


def today() -> str:
    """The date, as in 2026-01-31."""
    return datetime.now(UTC).date().isoformat()
