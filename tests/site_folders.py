"""Folders of made-up pictures by site, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quickstudy import catalog
from quickstudy.domains.sites import SiteTasks
from quickstudy.domains.sites.made import make_sites, write_sites


def site_folder(folder: Path, n_sites: int = 5, n_pictures: int = 12, seed: int = 0) -> Path:
    """Writes a folder of sites; returns it."""
    write_sites(folder, make_sites(n_sites, n_pictures, seed=seed))
    return folder


def site_tasks(path: Path, recorded: Any = None, **options: Any) -> SiteTasks:
    """The tasks of a folder, as the command line builds them."""
    spec = {"name": "sites", "path": path, "n_shot": 3, "size": 16, **options}
    source = catalog.build_tasks(spec, recorded)
    assert isinstance(source, SiteTasks)
    return source
