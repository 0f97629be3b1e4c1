"""Surveys of tables of molecules and assays, before anything is trained."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

import numpy as np

from quickstudy.domains.assays.reader import side_of
from quickstudy.inputs.molecule_files import read_assays
from quickstudy.tasks.survey import Survey

SHOWN: Final = 30
"""Assays that are listed."""


def surveyed(path: Path) -> Survey:
    """Surveys a table: its molecules, scaffolds and assays, and what was merged and left out.

    Molecules that cannot be read are counted.

    Args:
        path: The file.

    Raises:
        DataError: The file cannot be read.
        UserError: It has no molecules or no assays, or a label is neither 0 nor 1.
    """
    read = read_assays(path, skip_bad=True)
    scaffolds = [each.scaffold for each in read.parents]
    test = np.array([side_of(each, False) == "test" for each in scaffolds])
    heavy = [each.n_atoms for each in read.parents]
    rows = [
        ("molecules", f"{len(read.parents)}, each once"),
        ("scaffolds", f"{len({*scaffolds})}, {int(test.sum())} molecules on the side of meta-test"),
        ("heavy atoms", f"{min(heavy)} to {max(heavy)}, half of them at most {np.median(heavy):g}"),
        ("assays", str(len(read.names))),
    ]
    for unit, name in enumerate(read.names[:SHOWN]):
        labels = read.labels[:, unit]
        measured, active = int((~np.isnan(labels)).sum()), int((labels == 1).sum())
        own = int((labels[test] == 1).sum())
        share = 100 * active / max(measured, 1)
        rows.append(
            (
                f"  {name}",
                f"{measured} measured, {active} active ({share:.1f} %), "
                f"{own} of these on the side of meta-test",
            )
        )
    if len(read.names) > SHOWN:
        rows.append(("  ...", f"and {len(read.names) - SHOWN} more"))
    bad = any("could not be read" in note for note in read.notes)
    skip = " --tasks.skip-bad true" * bad
    command = f"quickstudy train --tasks assays --tasks.path {shlex.quote(str(path))}{skip}"
    return Survey(rows, [*read.notes, f"{command} --out runs/assays"])


SURVEYS: Final = {"assays": surveyed}
