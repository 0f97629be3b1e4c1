"""Made-up tables: a family of random tables that real ones look like."""

from quickstudy.tasks.table_prior.source import TablePrior, padded_task

__all__ = ["TablePrior", "padded_task"]
