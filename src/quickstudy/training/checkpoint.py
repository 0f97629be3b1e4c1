"""The checkpoint of a run: counters, weights, the best weights and the optimizer, as one file."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from quickstudy.errors import CheckpointError
from quickstudy.files import rundir
from quickstudy.learner import AnyLearner


@dataclass
class Counters:
    """Counts and times of a run, which change from step to step."""

    step: int = 0
    best: float | None = None
    best_step: int = 0
    since_best: int = 0
    bad_steps: int = 0
    skipped: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0


def checkpoint(
    learner: AnyLearner,
    best_weights: dict[str, Tensor],
    optimizer: torch.optim.Optimizer,
    at: Counters,
) -> bytes:
    """The content of the file."""
    tensors, plain = rundir.optimizer_to(optimizer)
    latest = {f"learner/{name}": t for name, t in learner.state_dict().items()}
    best = {f"best/{name}": t for name, t in best_weights.items()}
    header = {"at": asdict(at), "optimizer": plain}
    return rundir.tensors_to_bytes({**latest, **best, **tensors}, header)


def restore(
    content: bytes, learner: AnyLearner, optimizer: torch.optim.Optimizer, where: str
) -> tuple[Counters, dict[str, Tensor]]:
    """Puts learner and optimizer where `checkpoint` saw them; the counters and best weights.

    Raises:
        CheckpointError: It is of another learner or optimizer.
    """
    tensors, header = rundir.tensors_from_bytes(content, where)
    try:
        at = Counters(**header["at"])
        learner.load_state_dict(rundir.under(tensors, "learner/"))
        rundir.optimizer_from(optimizer, tensors, header["optimizer"])
    except (AttributeError, LookupError, TypeError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{where}: expected a checkpoint of this learner and optimizer; received another "
            f"({error}); resume with the settings it began with."
        ) from error
    return at, rundir.under(tensors, "best/")
