"""Where tasks come from.

`SOURCES` maps the names of the command line to what makes them: a `TaskSource`, or a `Dataset`
whose classes `Episodes` draws from.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from quickstudy.inputs.images import Pictures
from quickstudy.inputs.rows import Columns
from quickstudy.tasks.arrays import arrays
from quickstudy.tasks.augment import Augmented
from quickstudy.tasks.contents import Contents
from quickstudy.tasks.episodes import Dataset, Episodes
from quickstudy.tasks.folder import folder
from quickstudy.tasks.gaussian_process import GaussianProcess
from quickstudy.tasks.grouped import GroupedRows
from quickstudy.tasks.intents import clinc150, hwu64
from quickstudy.tasks.omniglot import omniglot
from quickstudy.tasks.pools import ClassPool
from quickstudy.tasks.quadratics import Quadratics
from quickstudy.tasks.recorded import Recorded
from quickstudy.tasks.relations import fewrel
from quickstudy.tasks.sinusoid import Sinusoid
from quickstudy.tasks.source import SPLITS, Split, TaskSource
from quickstudy.tasks.subtables import Subtables, tables
from quickstudy.tasks.table import table
from quickstudy.tasks.table_prior import TablePrior
from quickstudy.tasks.texts import texts
from quickstudy.tasks.training_runs import DigitsRuns, MNISTRuns, TrainingRuns

__all__ = [
    "SOURCES",
    "SPLITS",
    "Augmented",
    "ClassPool",
    "Columns",
    "Contents",
    "Dataset",
    "DigitsRuns",
    "Episodes",
    "GaussianProcess",
    "GroupedRows",
    "MNISTRuns",
    "Pictures",
    "Quadratics",
    "Recorded",
    "Sinusoid",
    "Split",
    "Subtables",
    "TablePrior",
    "TaskSource",
    "TrainingRuns",
    "arrays",
    "clinc150",
    "fewrel",
    "folder",
    "hwu64",
    "omniglot",
    "table",
    "tables",
    "texts",
]


def _glyphs(cache_dir: Path | None = None) -> Dataset:
    """Characters of many scripts, drawn from the fonts that matplotlib ships.

    Args:
        cache_dir: Folder where the drawings are kept; the user's cache where omitted.
    """
    # Imported here, as it loads matplotlib.
    from quickstudy.tasks.glyphs import glyphs as draw

    return draw(cache_dir)


SOURCES: dict[str, Callable[..., Dataset | TaskSource]] = {
    "glyphs": _glyphs,
    "omniglot": omniglot,
    "folder": folder,
    "texts": texts,
    "clinc150": clinc150,
    "hwu64": hwu64,
    "fewrel": fewrel,
    "table": table,
    "tables": tables,
    "table_prior": TablePrior,
    "sinusoid": Sinusoid,
    "gaussian-process": GaussianProcess,
    "quadratics": Quadratics,
    "mnist-runs": MNISTRuns,
    "digits-runs": DigitsRuns,
}
