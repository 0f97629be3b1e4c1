"""Logs: a line for each request, as JSON or for people."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

LogFormat = Literal["text", "json"]

log = logging.getLogger("quickstudy.serve.access")
QUIET: Final = ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready")
"""Paths whose successes are not for people: there is one every few seconds."""


def access(**fields: Any) -> None:
    """Writes a line about a request.

    Args:
        fields: What it was, how it was answered, and how long that took.
    """
    log.info(
        "%(client)s %(method)s %(path)s %(status)s, %(duration_ms)s ms, %(request_id)s",
        fields,
        extra={"fields": fields},
    )


@contextmanager
def logging_to_stderr(form: LogFormat) -> Iterator[None]:
    """Sends the logs of this process to its standard error during the block under it.

    Args:
        form: `"json"` for an object a line; `"text"` for people, without probes that succeeded.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    if form == "text":
        handler.addFilter(_is_for_people)
    root, level = logging.getLogger(), log.level
    root.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        log.setLevel(level)


def _is_for_people(record: logging.LogRecord) -> bool:
    fields = getattr(record, "fields", {})
    return not (fields.get("status") == 200 and fields.get("path", "").endswith(QUIET))


def _time(record: logging.LogRecord) -> str:
    """The time of a record in UTC (RFC 3339)."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"time": _time(record), "level": record.levelname.lower()}
        fields = getattr(record, "fields", None)
        if fields is None:
            line |= {"logger": record.name, "message": record.getMessage()}
        else:
            line |= fields
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        return _time(record)
