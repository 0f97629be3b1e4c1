"""A small model of molecules to serve: made-up assays."""

from __future__ import annotations

from pathlib import Path

from small import quick

from quickstudy import build
from quickstudy.domains.assays import assays
from quickstudy.domains.assays.made import make_assays, write_assays


def make_screen(out: Path) -> Path:
    """A model of molecules, trained for an instant."""
    path = write_assays(out.parent / f"{out.name}.csv", make_assays(n_molecules=120, n_assays=4))
    source = assays(path, n_shot=1, n_query=8, n_draws=1, valid=0)
    quick(source, build("PrototypicalNetwork", source, net={"hidden": [8]}), out)
    return out
