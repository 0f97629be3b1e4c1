"""The folder of what can be made again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir(name: str) -> Path:
    """Folder for what can be made again, under QUICKSTUDY_CACHE or else the user's cache."""
    root = os.environ.get("QUICKSTUDY_CACHE") or platformdirs.user_cache_dir("quickstudy")
    return Path(root).expanduser() / name
