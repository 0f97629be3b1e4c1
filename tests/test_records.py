"""Records: typed fields that read as JSON."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, dataclass
from typing import Any

import pytest

from quickstudy.files.records import Record, without_nan


@dataclass(frozen=True, eq=False)
class Row(Record):
    mean: float
    ci95: float | None = None


@dataclass(frozen=True, eq=False)
class Table(Record):
    metric: str
    rows: tuple[Row, ...]

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), f"{self.metric}_rows": len(self.rows)}


TABLE = Table("accuracy", (Row(0.5, 0.1), Row(0.25)))
JSON = {
    "metric": "accuracy",
    "rows": [{"mean": 0.5, "ci95": 0.1}, {"mean": 0.25, "ci95": None}],
    "accuracy_rows": 2,
}


def test_a_record_has_fields_and_reads_as_its_json() -> None:
    assert TABLE.rows[0].mean == 0.5
    assert TABLE["accuracy_rows"] == 2
    assert TABLE["rows"][1] == {"mean": 0.25, "ci95": None}
    assert "metric" in TABLE
    assert "mean" not in TABLE
    assert TABLE.get("nothing", 7) == 7
    assert {**TABLE} == dict(TABLE) == TABLE.to_json() == JSON
    assert TABLE == JSON
    assert JSON == TABLE
    assert json.loads(json.dumps(TABLE.to_json())) == JSON
    with pytest.raises(KeyError, match="mean"):
        TABLE["mean"]
    with pytest.raises(FrozenInstanceError):
        TABLE.metric = "mse"  # type: ignore[misc]


def test_a_record_without_nan_is_plain_json() -> None:
    plain = without_nan(Table("mse", (Row(float("nan")),)))
    assert type(plain) is dict
    assert plain["rows"] == [{"mean": None, "ci95": None}]
