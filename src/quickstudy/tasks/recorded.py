"""The data of a run: its split is used again exactly, or what changed since is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.files.shipped import run_of
from quickstudy.inputs import InputKind, kind_from_json
from quickstudy.inputs.rows import Columns
from quickstudy.tasks.contents import COMPUTED, Contents, Held
from quickstudy.tasks.differences import (
    PLURAL,
    copies,
    differences,
    names_of,
    other_means,
    renamed,
    some,
)
from quickstudy.tasks.source import SPLITS, Split, TaskSource

Fit = Callable[[Sequence[str]], Columns]
NewClasses = Literal["leave-out", "test"]
# Options of tasks that say where the data lie, not what they are.
PLACES = ("path", "future", "items", "test_users", "data_dir", "cache_dir", "download")
# What a description calls the numbers of what each split holds.
COUNTS = ("sites", "classes", "groups", "tables", "series", "scenes", "users", "assays")
# Entries of a description that follow from data, which are held to their digests.
OF_DATA = ("name", "notes", "groups_left_out", *COUNTS)


@dataclass(frozen=True)
class Recorded:
    """The data that a run was meta-trained on, as its record tells.

    Given to a builder of tasks as `recorded`, it deals the classes out as in the run, so that none
    that was trained on becomes one to test on when others are added.

    Attributes:
        run: The run as messages call it.
        contents: What its splits held; None where the record does not tell.
        preprocess: The kind of its inputs, with the statistics of its meta-train examples.
        needs: The splits that are used, which must be as they were; the others may differ.
        new_classes: What becomes of classes (groups, tables) that the run does not know.
        counts: Number of classes, groups or tables of each split by the record's description.
        untold: Why the record does not tell what the splits held.
        sha256: Digest of all examples by the record's description; None where it has none.

    Example:
        >>> recorded = Recorded.of("runs/digits")
        >>> tasks = Episodes(arrays(X, y, recorded=recorded), n_way=2)
        >>> recorded.notes(tasks)
        []
    """

    run: str
    contents: Contents | None
    preprocess: InputKind | None = None
    needs: Sequence[Split] = ("test",)
    new_classes: NewClasses = "leave-out"
    counts: JSON | None = None
    untold: str = ""
    sha256: str | None = None

    @classmethod
    def of(
        cls,
        run: str | os.PathLike[str],
        needs: Sequence[Split] = ("test",),
        new_classes: NewClasses = "leave-out",
    ) -> Self:
        """The data of a run.

        Args:
            run: Its directory, or the name of one that comes with quickstudy.
            needs: The splits that are used.
            new_classes: Whether classes that it does not know are left out, or put to meta-test.

        Raises:
            CheckpointError: No run is there, or it was altered.
        """
        record = run_of(run).read()
        return cls.in_record(record, f"run {os.fspath(run)}", needs, new_classes)

    @classmethod
    def in_record(
        cls,
        record: Mapping[str, Any],
        name: str,
        needs: Sequence[Split],
        new_classes: NewClasses = "leave-out",
    ) -> Self:
        """The data that a record tells of: that of a run, or `record_of` a source.

        Args:
            record: The record.
            name: What messages call the run.
            needs: The splits that are used.
            new_classes: As in `of`.
        """
        data, tasks = record.get("data"), record.get("tasks") or {}
        return cls(
            name,
            None if data is None else Contents.from_json(data),
            kind_from_json(record.get("preprocess"), record.get("runtime")),
            SPLITS if new_classes == "test" else needs,
            new_classes,
            _counts(tasks),
            _untold(record),
            tasks.get("sha256"),
        )

    @property
    def names(self) -> frozenset[str]:
        """All names of the run; none where its record holds no names."""
        return frozenset(names_of(self.contents))

    def deal(
        self, present: Mapping[str, Held], fit: Fit | None = None
    ) -> dict[Split, list[str]] | None:
        """The names of each split as in the run; None where its record holds no names.

        Args:
            present: What the data have now, by name.
            fit: Gives the columns with the statistics of the examples of these names.

        Raises:
            UserError: What is used is not as it was.
        """
        if self.contents is None or not self.contents.splits:
            return None
        splits = {split: list(names) for split, names in self.contents.splits.items()}
        dealt = {s: {n: present[n] for n in names if n in present} for s, names in splits.items()}
        known, was = self.names, self.preprocess
        others = {name: each for name, each in present.items() if name not in known}

        def columns() -> list[str]:
            whole = len(dealt.get("train", {})) == len(splits.get("train", []))
            if fit is None or not isinstance(was, Columns) or not whole:
                return []
            return other_means(was, fit(splits["train"]))

        self.check(Contents(self.contents.unit, dealt, others), columns)
        named: dict[Split, list[str]] = {s: list(dealt[s]) for s in SPLITS if dealt.get(s)}
        if self.new_classes == "test":
            named["test"] = named.get("test", []) + list(others)
        return named

    def check_places(self, splits: Mapping[Split, Sequence[str]]) -> None:
        """Refuses names that the data themselves put into another split than they had in the run.

        Raises:
            UserError: With the names and their splits.
        """
        split_of = names_of(self.contents)
        moved = [
            f"{name} in {split} instead of {split_of[name]}"
            for split, names in splits.items()
            for name in names
            if split_of.get(name, split) != split
        ]
        if moved:
            raise UserError(
                f"{self.run}: what it was meta-trained, validated and tested on must stay apart; "
                f"received {some(moved)}; move it back, or train a new run."
            )

    def notes(self, source: TaskSource) -> list[str]:
        """Sentences that a person must read about the data of a source used for the run.

        Raises:
            UserError: What is used is not as it was.
        """
        present = source.contents()
        if self.new_classes == "test" and not self.names:
            raise UserError(
                f"{self.run}: new classes are put to meta-test where the record of a run names the "
                "old ones; received one that names none; leave new_classes out."
            )
        if self.contents is None:
            return self._unknown(present, _counts(source.describe()))
        if present is None:
            return [f"{self.run}: the tasks do not tell what they hold, which may have changed"]
        notes = self.check(present)
        unit = PLURAL.get(str(present.unit), "classes")
        known = {n for split in SPLITS for n in renamed(self.contents, present, split).values()}
        if new := [name for name in present.left_out if name not in known]:
            notes.append(f"new {unit}, which the run does not know, are left out: {some(new)}")
        same = present.digests == self.contents.digests
        if same and present.order != self.contents.order:
            notes.append(
                "the examples are in another order than at meta-training: tasks are other draws "
                f"from the same {unit}"
            )
        if same and self.sha256 != source.describe().get("sha256", self.sha256):
            notes.append(
                "the examples are drawn otherwise here than at meta-training, as other versions of "
                "packages do: numbers may differ a little"
            )
        return notes

    def trained_on(self, source: TaskSource, split: Split) -> list[str]:
        """Names in a split of a source whose very examples were in another split of the run.

        What the run itself had in that split is none of them, though it has a copy in another.
        """
        was = {} if self.contents is None else self.contents.splits or {}
        present = source.contents()
        now = {} if present is None else present.splits or {}
        others = {
            each.sha256 or name
            for other, names in was.items()
            if other != split
            for name, each in names.items()
        }
        own = was.get(split, {})
        return [
            name
            for name, each in now.get(split, {}).items()
            if own.get(name) != each and (each.sha256 or name) in others
        ]

    def check(self, present: Contents, columns: Callable[[], list[str]] = list) -> list[str]:
        """Sentences on the splits that are not used, and on what is put to meta-test.

        Args:
            present: What the splits hold now.
            columns: Sentences on columns that differ, for the message.

        Raises:
            UserError: A split that is used is not as it was.
        """
        assert self.contents is not None
        used: list[str] = []
        unused: list[str] = []
        for split in SPLITS:
            grows = split == "test" and self.new_classes == "test"
            (used if split in self.needs else unused).extend(
                f"meta-{split} {each}" for each in differences(self.contents, present, split, grows)
            )
        if used:
            used += columns()
            was, now = names_of(self.contents), names_of(present)
            dealt_anew = any(now.get(name, split) != split for name, split in was.items())
            again = "give their builder recorded=quickstudy.tasks.Recorded.of(run), " * dealt_anew
            advice = (
                "these data come with the packages that are installed, of which other versions "
                "make others; measure the run on tasks of your own (--tasks.name folder "
                "--tasks.path my_classes/)"
                if present.fixed
                else "bring them back as they were, say where they lie now (--tasks.path)"
            )
            raise UserError(
                f"{self.run}: the data must be those that the run was meta-trained on; received "
                f"others: {'; '.join(used)}; {again}{advice}, or train a new run on these."
            )
        notes = []
        if self.new_classes == "test" and (known := self.names):
            test = (present.splits or {}).get("test", {})
            if added := {name: each for name, each in test.items() if name not in known}:
                unit = PLURAL.get(str(present.unit), "classes")
                notes.append(f"new {unit} are put to meta-test: {some(added)}")
                notes += copies(self.contents, added)
        return [*notes, *(f"not used here: {difference}" for difference in unused)]

    def _unknown(self, present: Contents | None, counts: JSON | None) -> list[str]:
        """Sentences on a run whose record does not tell what its splits held."""
        if present == COMPUTED or (present is not None and present.fixed):
            return []
        note = f"{self.run} {self.untold}: whether they are the same cannot be known"
        if self.counts is not None and counts != self.counts:
            note += (
                f"; they are not, {counts} instead of {self.counts}, and what was trained on may "
                "be in meta-test"
            )
        return [note]


def record_of(source: TaskSource) -> JSON:
    """The record of the tasks and data of a source, as a run keeps it."""
    preprocess, contents = source.preprocess, source.contents()
    runtime = None if preprocess is None else preprocess.runtime
    return {
        "preprocess": None if preprocess is None else preprocess.to_json(),
        **({} if runtime is None else {"runtime": runtime}),
        "tasks": source.describe(),
        "data": None if contents is None else contents.to_json(),
    }


def others_than_places(options: Mapping[str, Any]) -> JSON:
    """The options of tasks that say what the data are, not where they lie."""
    return {key: value for key, value in options.items() if key not in PLACES}


def dealt(
    present: Mapping[str, Held],
    recorded: Recorded | None,
    usual: Callable[[], dict[Split, list[str]]],
    fit: Fit | None = None,
) -> tuple[dict[Split, list[str]], dict[str, Held]]:
    """The names of each split, as in a run where one is given; and what is in none of them.

    Args:
        present: What the data have, by name.
        recorded: The run.
        usual: Deals the names out where there is no run, or its record holds no names.
        fit: Gives the columns with the statistics of the examples of these names.
    """
    splits = (recorded and recorded.deal(present, fit)) or usual()
    inside = {name for names in splits.values() for name in names}
    return splits, {name: each for name, each in present.items() if name not in inside}


def _untold(record: Mapping[str, Any]) -> str:
    """Why a record does not tell what its splits held."""
    if "data" in record:
        return "is of tasks that do not tell what they hold"
    writer = f"quickstudy {record['version']}" if "version" in record else "an earlier quickstudy"
    return f"was begun by {writer}, which kept no record of its data"


def _counts(about: Mapping[str, Any]) -> JSON | None:
    return next((about[key] for key in COUNTS if key in about), None)
