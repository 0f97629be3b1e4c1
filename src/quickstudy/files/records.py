"""Records as JSON files hold them: no NaN, and the date."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any


def without_nan(value: Any) -> Any:
    """The same with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: without_nan(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [without_nan(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def today() -> str:
    """The date, as in 2026-01-31."""
    return datetime.now(UTC).date().isoformat()
