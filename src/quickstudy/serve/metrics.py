"""Counters and histograms for Prometheus. Nothing in them names a task, a tenant or a class."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
EXAMPLES: Final = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)


class Clock:
    """How long something took, once it is over."""

    milliseconds = 0.0


class Metrics:
    """The metrics of one server, by the names they have at `/metrics`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"namespace": "quickstudy", "registry": self.registry}
        timing = own | {"labelnames": ["model"], "buckets": SECONDS}
        self.requests = Counter(
            "requests", "Requests by route and status.", ["route", "code"], **own
        )
        self.adapt = Histogram("adapt_duration_seconds", "Adaptation.", **timing)
        self.predict = Histogram(
            "predict_duration_seconds", "Prediction of the queries of a request.", **timing
        )
        self.support = Histogram(
            "support_examples", "Examples of a revision.", ["model"], buckets=EXAMPLES, **own
        )
        self.abstentions = Counter("abstentions", "Queries left unanswered.", ["model"], **own)
        self.nonfinite = Counter(
            "nonfinite", "Queries whose answer was not finite.", ["model"], **own
        )
        self.tasks = Gauge("tasks_live", "Tasks in the database.", **own)
        self.cache_bytes = Gauge("task_cache_bytes", "Bytes of adapted models.", **own)
        self.disk_free = Gauge("disk_free_bytes", "Bytes free for SQLite.", **own)
        self.disk_full = Gauge("disk_full", "1 where a change found no room on the disk.", **own)
        self.queue = Gauge("queue_depth", "Requests that wait to compute.", **own)
        self.hits = Counter("task_cache_hits", "Requests that found their model adapted.", **own)
        self.misses = Counter("task_cache_misses", "Requests whose model was adapted anew.", **own)

    def text(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self.registry)

    @contextmanager
    def timed(self, histogram: Histogram, model: str) -> Iterator[Clock]:
        """Measures the time of the block under it."""
        clock, start = Clock(), time.perf_counter()
        yield clock
        seconds = time.perf_counter() - start
        clock.milliseconds = round(1000 * seconds, 3)
        histogram.labels(model).observe(seconds)
