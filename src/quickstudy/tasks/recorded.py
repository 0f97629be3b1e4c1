"""The data of a run: its split is used again exactly, or what changed since is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.files.rundir import RunDirectory
from quickstudy.inputs import InputKind, kind_from_json
from quickstudy.tasks.contents import COMPUTED, Contents, Held
from quickstudy.tasks.source import SPLITS, Split, TaskSource

NewClasses = Literal["leave-out", "test"]
PLURAL = {"class": "classes", "group": "groups", "table": "tables", "part": "parts"}
# Options of tasks that say where the data lie, not what they are.
PLACES = ("path", "data_dir", "cache_dir", "download")
# What a description calls the numbers of what each split holds.
COUNTS = ("classes", "groups", "tables")
SHOWN = 5


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

    @classmethod
    def of(
        cls,
        run: str | os.PathLike[str],
        needs: Sequence[Split] = ("test",),
        new_classes: NewClasses = "leave-out",
    ) -> Self:
        """The data of a run.

        Args:
            run: Its directory.
            needs: The splits that are used.
            new_classes: Whether classes that it does not know are left out, or put to meta-test.

        Raises:
            CheckpointError: No run is there, or it was altered.
        """
        record = RunDirectory(Path(run)).read()
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
            kind_from_json(record.get("preprocess")),
            SPLITS if new_classes == "test" else needs,
            new_classes,
            _counts(tasks),
            _untold(record),
        )

    @property
    def names(self) -> frozenset[str]:
        """All names of the run; none where its record holds no names."""
        splits = (self.contents.splits if self.contents else None) or {}
        return frozenset(name for names in splits.values() for name in names)

    def deal(self, present: Mapping[str, Held]) -> dict[Split, list[str]] | None:
        """The names of each split as in the run; None where its record holds no names.

        Args:
            present: What the data have now, by name.

        Raises:
            UserError: What is used is not as it was.
        """
        if self.contents is None or not self.contents.splits:
            return None
        splits = {split: list(names) for split, names in self.contents.splits.items()}
        dealt = {s: {n: present[n] for n in names if n in present} for s, names in splits.items()}
        others = {name: each for name, each in present.items() if name not in self.names}
        self.check(Contents(self.contents.unit, dealt, others))
        named: dict[Split, list[str]] = {s: list(dealt[s]) for s in SPLITS if dealt.get(s)}
        if self.new_classes == "test":
            named["test"] = named.get("test", []) + list(others)
        return named

    def check_places(self, splits: Mapping[Split, Sequence[str]]) -> None:
        """Refuses names that the data themselves put into another split than they had in the run.

        Raises:
            UserError: With the names and their splits.
        """
        was = {} if self.contents is None else self.contents.splits or {}
        split_of = {name: split for split, names in was.items() for name in names}
        moved = [
            f"{name} in {split} instead of {split_of[name]}"
            for split, names in splits.items()
            for name in names
            if split_of.get(name, split) != split
        ]
        if moved:
            raise UserError(
                f"{self.run}: what it was meta-trained, validated and tested on must stay apart; "
                f"received {_some(moved)}; move it back, or train a new run."
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
        renamed = {other for split in SPLITS for other in self._renamed(split, present).values()}
        if new := [name for name in present.left_out if name not in renamed]:
            notes.append(f"new {unit}, which the run does not know, are left out: {_some(new)}")
        same = present.digests == self.contents.digests
        if same and present.order != self.contents.order:
            notes.append(
                "the examples are in another order than at meta-training: tasks are other draws "
                f"from the same {unit}"
            )
        return notes

    def trained_on(self, source: TaskSource, split: Split) -> list[str]:
        """Names in a split of a source whose very examples were in another split of the run."""
        was = {} if self.contents is None else self.contents.splits or {}
        present = source.contents()
        now = {} if present is None else present.splits or {}
        others = {
            each.sha256 or name
            for other, names in was.items()
            if other != split
            for name, each in names.items()
        }
        return [n for n, each in now.get(split, {}).items() if (each.sha256 or n) in others]

    def check(self, present: Contents) -> list[str]:
        """Sentences on the splits that are not used, and on what is put to meta-test.

        Raises:
            UserError: A split that is used is not as it was.
        """
        assert self.contents is not None
        used: list[str] = []
        unused: list[str] = []
        for split in SPLITS:
            differences = list(self._differences(split, present))
            (used if split in self.needs else unused).extend(
                f"meta-{split} {difference}" for difference in differences
            )
        if used:
            dealt_anew = any(name in self.names for name in self._strays(present))
            again = "give their builder recorded=quickstudy.tasks.Recorded.of(run), "
            raise UserError(
                f"{self.run}: the data must be those that the run was meta-trained on; received "
                f"others: {'; '.join(used)}; {again * dealt_anew}bring them back as they were, say "
                "where they lie now (--tasks.path), or train a new run on these."
            )
        notes = []
        if self.new_classes == "test" and self.names and present.splits:
            added = [name for name in present.splits.get("test", {}) if name not in self.names]
            if added:
                unit = PLURAL.get(str(present.unit), "classes")
                notes.append(f"new {unit} are put to meta-test: {_some(added)}")
            notes += self._copies({name: present.splits["test"][name] for name in added})
        return [*notes, *(f"not used here: {difference}" for difference in unused)]

    def _differences(self, split: Split, present: Contents) -> Iterator[str]:
        """Differences of one split, each as the end of a sentence on it."""
        assert self.contents is not None
        unit = PLURAL.get(str(self.contents.unit), "classes")
        if self.contents.splits is None or present.splits is None:
            one, two = (c.digests.get(split, Held(0, "")) for c in (self.contents, present))
            if one != two:
                yield (
                    f"had {one.n} {unit}, too many for the record to name them, and has {two.n}"
                    + " with other names or examples" * (one.n == two.n)
                )
            return
        known, was = self.names, self.contents.splits.get(split, {})
        now = present.splits.get(split, {})
        elsewhere = {n: s for s, names in present.splits.items() if s != split for n in names}
        renamed = self._renamed(split, present)
        gone = (name for name in was if name not in now and name not in elsewhere)
        missing = [name for name in gone if name not in renamed]
        moved = [f"{name} (now in meta-{elsewhere[name]})" for name in was if name in elsewhere]
        changed = {name: now[name] for name in was if name in now and now[name] != was[name]}
        added = [name for name in now if name not in known]
        gained = [
            f"{name} (of meta-{other})"
            for other, names in self.contents.splits.items()
            for name in names
            if other != split and name in now
        ]
        if missing:
            yield f"lacks {_some(missing)}"
        if renamed:
            yield f"calls {_some(f'{name} {other} now' for name, other in renamed.items())}"
        if moved:
            yield f"lost {_some(moved)}"
        if gained:
            yield f"has {_some(gained)}"
        if added and not (split == "test" and self.new_classes == "test"):
            yield f"has the new {_some(added)}"
        if len(changed) == len(was) > 1 and all(now[name].n == was[name].n for name in was):
            yield f"has other values in all its {len(was)} {unit}, as in another unit"
        elif changed:
            sizes = (
                f"{name} ({each.n} examples, had {was[name].n})" for name, each in changed.items()
            )
            yield f"has other examples in {_some(sizes)}"

    def _renamed(self, split: Split, present: Contents) -> dict[str, str]:
        """The new name of what a split held under another one, known by its examples."""
        was = ((self.contents and self.contents.splits) or {}).get(split, {})
        every = [present.left_out, *(present.splits or {}).values()]
        names = {name: each for part in every for name, each in part.items()}
        new = {n: each for n, each in names.items() if n not in self.names and each.sha256}
        return {
            name: same[0]
            for name, held in was.items()
            if name not in names
            and len(same := [n for n, each in new.items() if each == held]) == 1
        }

    def _strays(self, present: Contents) -> list[str]:
        """Names that are in another split than in the run."""
        was = ((self.contents and self.contents.splits) or {}).items()
        split_of = {name: split for split, names in was for name in names}
        now = (present.splits or {}).items()
        return [n for split, names in now for n in names if split_of.get(n, split) != split]

    def _copies(self, added: Mapping[str, Held]) -> list[str]:
        """Sentences on new names whose very examples the run has under another name."""
        was = ((self.contents and self.contents.splits) or {}).items()
        by_digest = {h.sha256: (n, split) for split, names in was for n, h in names.items()}
        known = {name: by_digest[h.sha256] for name, h in added.items() if h.sha256 in by_digest}
        return [
            f"{name}, which is new, has the very examples of {other} in meta-{split}"
            for name, (other, split) in known.items()
        ]

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
    return {
        "preprocess": None if preprocess is None else preprocess.to_json(),
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
) -> tuple[dict[Split, list[str]], dict[str, Held]]:
    """The names of each split, as in a run where one is given; and what is in none of them.

    Args:
        present: What the data have, by name.
        recorded: The run.
        usual: Deals the names out where there is no run, or its record holds no names.
    """
    splits = (recorded and recorded.deal(present)) or usual()
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


def _some(names: Any) -> str:
    every = list(names)
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
