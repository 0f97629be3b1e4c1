"""The conformance suite: what holds a learner to the contract, for learners of your own too."""

from quickstudy.testing.conformance import (
    check_batching,
    check_learner,
    check_meta_gradient,
    check_padding,
    check_purity,
    check_relabelling,
    check_round_trip,
    check_single_queries,
    check_support_order,
    random_tasks,
)

__all__ = [
    "check_batching",
    "check_learner",
    "check_meta_gradient",
    "check_padding",
    "check_purity",
    "check_relabelling",
    "check_round_trip",
    "check_single_queries",
    "check_support_order",
    "random_tasks",
]
