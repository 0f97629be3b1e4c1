"""Counters and histograms for Prometheus. Nothing in them names a task, a tenant or a class."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

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
        name, r = "quickstudy", self.registry
        self.requests = Counter(
            f"{name}_requests", "Requests by route and status.", ["route", "code"], registry=r
        )
        self.adapt = Histogram(
            f"{name}_adapt_duration_seconds", "Adaptation.", ["model"], buckets=SECONDS, registry=r
        )
        self.predict = Histogram(
            f"{name}_predict_duration_seconds",
            "Prediction of the queries of a request.",
            ["model"],
            buckets=SECONDS,
            registry=r,
        )
        self.support = Histogram(
            f"{name}_support_examples",
            "Examples of a revision.",
            ["model"],
            buckets=EXAMPLES,
            registry=r,
        )
        self.abstentions = Counter(
            f"{name}_abstentions", "Queries left unanswered.", ["model"], registry=r
        )
        self.nonfinite = Counter(
            f"{name}_nonfinite", "Queries whose answer was not finite.", ["model"], registry=r
        )
        self.tasks = Gauge(f"{name}_tasks_live", "Tasks in the database.", registry=r)
        self.cache_bytes = Gauge(f"{name}_task_cache_bytes", "Bytes of adapted models.", registry=r)
        self.queue = Gauge(f"{name}_queue_depth", "Requests that wait to compute.", registry=r)
        self.hits = Counter(
            f"{name}_task_cache_hits", "Requests that found their model adapted.", registry=r
        )
        self.misses = Counter(
            f"{name}_task_cache_misses", "Requests whose model was adapted anew.", registry=r
        )

    def text(self) -> bytes:
        """All metrics in the text format."""
        return generate_latest(self.registry)

    @contextmanager
    def timed(self, histogram: Histogram, model: str) -> Iterator[Clock]:
        """Measures what is done inside."""
        clock, start = Clock(), time.perf_counter()
        yield clock
        took = time.perf_counter() - start
        clock.milliseconds = round(1000 * took, 3)
        histogram.labels(model).observe(took)
