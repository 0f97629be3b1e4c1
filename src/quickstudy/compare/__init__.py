"""Many learners on the same tasks: how well they learn, and at what cost."""

from quickstudy.compare.measure import compare

__all__ = ["compare"]
