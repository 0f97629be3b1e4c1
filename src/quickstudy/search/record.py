"""The record of a search: its settings, its trials, and the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quickstudy.files.records import JSON, Record
from quickstudy.search.finals import Final
from quickstudy.search.rows import Row


@dataclass(frozen=True, eq=False)
class SearchResult(Record):
    """The result of a search.

    Attributes:
        name: Its name in the database.
        tasks: The options of the tasks.
        metric: Name of the metric.
        space: The space at first.
        fixed: Options that all trials share.
        budget, search: Settings of the search.
        space_now: The space as it was adjusted.
        adjusted: Why, in words.
        importance: The share of each choice in how trials rank, largest first.
        best: The trial that won the finals, or the validations where there were none.
        default: The trial of the default configuration, if it ran.
        finals: The finalists, best first.
        trials: All trials, in order.
        rank: Numbers of the trials, best first.
        cpu_minutes: Processor time of trials and finals.
        minutes: Wall-clock time of the trials together.
        command, date, version, machine: The circumstances.
        words: The results and their reasons, in sentences.
        test: Best and default configuration on meta-test tasks; None where not asked for.
    """

    name: str
    tasks: Mapping[str, Any]
    metric: str
    space: Sequence[JSON]
    fixed: Mapping[str, Any]
    budget: Mapping[str, Any]
    search: Mapping[str, Any]
    space_now: Sequence[JSON]
    adjusted: Sequence[str]
    importance: Sequence[JSON]
    best: Row
    default: Row | None
    finals: Sequence[Final]
    trials: Sequence[Row]
    rank: Sequence[int]
    cpu_minutes: float
    minutes: float
    command: str
    date: str
    version: str
    machine: Mapping[str, Any]
    words: Sequence[str] = ()
    test: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns plain JSON, in which trials say how many tasks they saw."""
        json = super().to_json()
        json["trials"] = [row.to_json() | {"tasks": row.tasks} for row in self.trials]
        if json["test"] is None:
            del json["test"]
        return json
