"""Tasks and their revisions: every change makes a new revision, adapted before it is stored."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from quickstudy.inputs import Encoded, stored
from quickstudy.models.model import Model
from quickstudy.serve.change import Change, Taken, missing, needs, ready
from quickstudy.serve.compute import Passes, tile
from quickstudy.serve.content import Content, Plain
from quickstudy.serve.encoding import Encoding
from quickstudy.serve.gate import Gate
from quickstudy.serve.limits import MAX_CLASSES, MAX_EXAMPLES, Limits
from quickstudy.serve.metrics import Metrics
from quickstudy.serve.problems import Problem, invalid, refusals
from quickstudy.serve.reading import Reading
from quickstudy.serve.schema.requests import Input
from quickstudy.serve.served import Served, adapt
from quickstudy.serve.snapshot import Snapshot, sealed
from quickstudy.serve.states import Entry, States
from quickstudy.serve.store import After, ConflictError, ExistsError, FullError, Store
from quickstudy.serve.tables import turns_of
from quickstudy.serve.versions import Versions

ATTEMPTS: Final = 30
"""How often a change is tried that other servers overtake."""

Check = Callable[[Snapshot], None]
"""Raises Problem where the client has seen another revision than the newest."""
AfterRevision = Callable[[Snapshot], After]
"""Given the new revision, returns a function that writes what belongs to the same transaction."""


class Tasks:
    """The tasks of all tenants.

    Args:
        models: The served models by id.
        store: The stored tasks.
        versions: The models they were adapted with.
        limits: Limits of the server.
        metrics: Metrics of the server.
    """

    def __init__(
        self,
        models: dict[str, Served],
        store: Store,
        versions: Versions,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self.models, self.store, self.versions = models, store, versions
        self.limits, self.metrics = limits, metrics
        self.states = States(limits.cache_bytes)
        self.gate = Gate(limits.queue, limits.wait)
        self.encoding = Encoding(self.gate, limits.features_bytes)
        self.passes, self.reading = Passes(self.gate), Reading(limits)
        self.turns = turns_of(store.engine)

    def model(self, name: str) -> Served:
        """The model of an id.

        Raises:
            Problem: There is no such model.
        """
        if name not in self.models:
            raise Problem(
                "NOT_FOUND",
                f"model: expected one of {', '.join(self.models)}; received {name!r}; see "
                "/v1/models.",
            )
        return self.models[name]

    def take(
        self, served: Served, inputs: Sequence[Input], pointer: str, notes: Sequence[str] = ()
    ) -> Taken:
        """Reads inputs that are to be stored.

        Args:
            served: The model they are for.
            inputs: The inputs in the request.
            pointer: Their place in its body.
            notes: What people are told already.

        Raises:
            Problem: One of them is not an input of the model; it says which.
        """
        contents: list[Content] = []

        def kept(inputs: Iterable[Plain]) -> Iterator[Plain]:
            for x in inputs:
                contents.append(Content.of(x))
                yield x

        with contextlib.closing(self.reading(served, inputs, pointer)) as plain:
            if not served.reads_columns:
                encoded = self.encoding(served.model, kept(plain), pointer)
                return Taken(contents, encoded, (*notes, *served.notes(inputs)))
            return Taken([Content.of(x) for x in plain], None)

    def queries(
        self, served: Served, inputs: Sequence[Input], entry: Entry, pointer: str = "/query"
    ) -> Tensor:
        """Encodes queries for the model of a revision.

        Raises:
            Problem: One of them is not an input of the model, it says which; or the columns of a
                task are not known yet, as it has too few examples.
        """
        if served.reads_columns:
            model = ready(served, entry).model
        else:
            model = self.versions.get(entry.snapshot.model_version)
        with contextlib.closing(self.reading(served, inputs, pointer)) as plain:
            return self.encoding(model, plain, pointer)

    def read(
        self, tenant: str, served: Served, task_id: str, number: int | None = None
    ) -> Snapshot:
        """A task at its newest or another revision.

        Raises:
            Problem: There is no such task.
        """
        task = self.store.read(tenant, served.id, task_id, number)
        if task is None:
            raise missing(served, task_id)
        return task

    def create(self, make: Callable[[], Change], after: AfterRevision) -> Snapshot:
        """Stores a new task.

        Args:
            make: Returns the task with its first examples.
            after: Writes what belongs to the same transaction.

        Raises:
            Problem: The id is taken, the tenant has too many tasks, or the examples do not do.
        """
        change = make()
        entry = self.prepared(change)
        try:
            self.store.create(
                entry.snapshot, change.contents, self.limits.tasks, after(entry.snapshot)
            )
        except ExistsError:
            raise Problem(
                "ALREADY_EXISTS",
                f"task: ids are given once; received {change.task.id!r}, which is in use; "
                "choose another.",
            ) from None
        except FullError:
            raise Problem(
                "TOO_MANY_TASKS",
                f"task: a tenant may have {self.limits.tasks}; received one more; delete some.",
            ) from None
        self.states.put(entry)
        return entry.snapshot

    def change(
        self,
        tenant: str,
        served: Served,
        task_id: str,
        check: Check,
        make: Callable[[Snapshot], Change],
        after: AfterRevision,
    ) -> Snapshot:
        """Stores the next revision of a task.

        Args:
            tenant: Owner of the task.
            served: Its model.
            task_id: Its id.
            check: Checks the newest revision.
            make: Returns the change of the newest revision.
            after: Writes what belongs to the same transaction.

        Raises:
            Problem: There is no such task, or the change cannot be made.
        """
        # In turn, so that only a server that shares no file with this one can come between.
        with self.turns(self.turns.of(f"{tenant}/{served.id}/{task_id}")):
            for attempt in range(ATTEMPTS):
                old = self.read(tenant, served, task_id)
                check(old)
                change = make(old)
                entry = self.prepared(change)
                try:
                    self.store.commit(old, entry.snapshot, change.contents, after(entry.snapshot))
                except ConflictError:
                    time.sleep(random.uniform(0, 0.01 * attempt))
                    continue
                self.states.put(entry)
                return entry.snapshot
        raise overtaken("a change")

    def delete(self, tenant: str, served: Served, task_id: str, check: Check) -> None:
        """Erases a task.

        Raises:
            Problem: There is no such task, or the client has seen another revision.
        """
        with self.turns(self.turns.of(f"{tenant}/{served.id}/{task_id}")):
            for _ in range(ATTEMPTS):
                task = self.read(tenant, served, task_id)
                check(task)
                try:
                    self.store.delete(task)
                except ConflictError:
                    continue
                self.states.drop(task.uid)
                return
        raise overtaken("a deletion")

    def entry(
        self, tenant: str, served: Served, task_id: str, number: int | None = None
    ) -> tuple[Entry, float]:
        """A revision with its adapted model, and the milliseconds it took to adapt it.

        Args:
            tenant: Owner of the task.
            served: Its model.
            task_id: Its id.
            number: Number of the revision; the newest where omitted.

        Raises:
            Problem: There is no such task.
        """
        for _ in range(ATTEMPTS):
            head = self.store.head(tenant, served.id, task_id)
            if head is None:
                break
            uid, newest = head
            cached = self.states.get(uid, newest if number is None else number)
            if cached is not None:
                self.metrics.hits.inc()
                return cached, 0.0
            self.metrics.misses.inc()
            task = self.store.read(tenant, served.id, task_id, number)
            if task is None:
                break
            try:
                entry, took = self._computed(Change(task))
            except GoneError:
                continue  # the revision was dropped after it was read
            if number is None or number == newest:
                self.states.put(entry)
            return entry, took
        raise missing(served, task_id)

    def prepared(self, change: Change) -> Entry:
        """The revision that a change makes, adapted and sealed.

        Raises:
            Problem: It has too many examples or classes, or cannot be learned from.
        """
        task = change.task
        if len(task.examples) > MAX_EXAMPLES or len(task.classes) > MAX_CLASSES:
            raise Problem(
                "LIMIT_EXCEEDED",
                f"task: may have {MAX_EXAMPLES} examples of {MAX_CLASSES} classes; received "
                f"{len(task.examples)} of {len(task.classes)}; remove some first.",
            )
        try:
            entry, took = self._computed(change)
            hashes = self.store.hashes(task.uid) if task.number else {}
            hashes |= {i: c.sha256 for i, c in change.contents.items()}
            size = entry.adapted.state_bytes if entry.adapted is not None else 0
            entry.snapshot = sealed(replace(task, adapt_ms=took, state_bytes=size), hashes)
        except (GoneError, KeyError):
            raise missing(self.models[task.model], task.id) from None
        self.metrics.support.labels(task.model).observe(len(task.examples))
        return entry

    def _inputs(self, change: Change, model: Model) -> Tensor:
        """Encoded inputs of all examples: from the request, the cache, or else the database."""
        task, rows = change.task, dict(change.x)
        cached = self.states.latest(task.uid)
        if cached is not None and cached.snapshot.model_version == task.model_version:
            rows |= {i: cached.x[at] for at, (i, _) in enumerate(cached.snapshot.examples)}
        absent = [i for i, _ in task.examples if i not in rows]
        if absent:
            x = self.encoding.again(model, self._plain(change, absent))
            rows |= dict(zip(absent, x, strict=True))
        if not task.examples:
            return torch.zeros((0, *model.x_shape))
        return torch.stack([rows[i] for i, _ in task.examples])

    def _plain(self, change: Change, ids: Sequence[str]) -> list[Plain]:
        """Inputs of examples from the request or the database, not encoded."""
        new = change.contents
        contents = self.store.contents(change.task.uid, [i for i in ids if i not in new]) | new
        if not contents.keys() >= {*ids}:
            raise GoneError
        return [stored.from_bytes(contents[i].data) for i in ids]

    def _computed(self, change: Change) -> tuple[Entry, float]:
        """The entry of a revision, and the milliseconds of its adaptation."""
        task, served = change.task, self.models[change.task.model]
        model, enough = self.versions.get(task.model_version), needs(served, task) is None
        X: Any = None
        if not served.reads_columns:
            X = Encoded(self._inputs(change, model))
        elif enough:  # All inputs are made of all rows.
            X = self._plain(change, [i for i, _ in task.examples])
        if not enough:
            x = torch.zeros((len(task.examples), 0)) if X is None else X.x
            return Entry(task, None, x), 0.0
        if isinstance(X, Encoded):
            _counted_once(model, task, X.x)
        with self.gate(), refusals():
            support = model.read(X, task.labels)
        with self.gate(), self.metrics.timed(self.metrics.adapt, served.id) as clock:
            adapted = adapt(model, support)
        with self.gate():
            rows = tile(adapted)
        return Entry(task, adapted, adapted.support_x, rows), clock.milliseconds


def _counted_once(model: Model, task: Snapshot, x: Tensor) -> None:
    """Checks that no input of a task counts twice, of a kind where each counts once.

    Raises:
        Problem: Two examples are of one; it says which.
    """
    pair = model.preprocess.repeated(x)
    if pair is not None:
        (first, _), (second, _) = (task.examples[place] for place in pair)
        name = model.preprocess.caption(model.preprocess.to_request(x[pair[1]].tolist()))
        raise invalid(
            f"examples: an item counts once; received {name!r} as {first} and as {second}; relabel "
            f"{first} (POST :relabel) to change its rating, or remove it first.",
            "/examples",
        )


class GoneError(Exception):
    """Raised where a row was erased while it was being read."""


def overtaken(write: str) -> Problem:
    """The problem of a write that came too late each time."""
    return Problem(
        "OVERLOADED",
        f"task: {write} is tried {ATTEMPTS} times; received other changes each time; try again "
        "later.",
    )
