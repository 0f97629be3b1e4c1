"""Assays of molecules: which candidates are active, from a handful of measured ones."""

from quickstudy.domains.assays.assay_tasks import AssayTasks
from quickstudy.domains.assays.reader import assays

__all__ = ["AssayTasks", "assays"]
