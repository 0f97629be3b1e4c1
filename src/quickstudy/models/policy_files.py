"""The content of the file of an adapted policy: tensors and a header."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from torch import Tensor

from quickstudy.files.records import JSON
from quickstudy.files.rundir import tensor_seal, under
from quickstudy.learner import flatten_state
from quickstudy.nets.traits import architectures
from quickstudy.task import Rollouts

if TYPE_CHECKING:
    from quickstudy.models.policy import AdaptedPolicy

POLICY_FORMAT: Final = 3
"""Above that of other task files, whose readers then say that they read another format."""


def written(policy: AdaptedPolicy, model: bool) -> tuple[dict[str, Tensor], JSON]:
    """The tensors and the header of the file of an adapted policy.

    Args:
        policy: The policy.
        model: Whether the meta-trained weights are in it.
    """
    learner = policy.model.learner
    tensors = {f"state/{name}": t for name, t in flatten_state(policy.state).items()}
    for k, played in enumerate(policy.rounds):
        tensors |= {f"rounds/{k}/{name}": t for name, t in played._asdict().items()}
    if model:
        tensors |= {f"weights/{name}": t for name, t in learner.state_dict().items()}
    networks = architectures(learner)
    header: JSON = {
        "format": POLICY_FORMAT,
        "kind": "control",
        "has_model": model,
        "fingerprint": policy.model.fingerprint,
        **policy.model.to_json(),
        **({"networks": networks} if networks else {}),
        "n_rounds": len(policy.rounds),
        "trials": [each.tolist() for each in policy.trials],
        "world": policy.world,
    }
    header["sha256"] = tensor_seal(header, tensors)
    return tensors, header


def rounds_of(tensors: dict[str, Tensor], header: dict[str, Any]) -> list[Rollouts]:
    """The episodes in a file.

    Raises:
        TypeError: They are not what the header says.
    """
    return [Rollouts(**under(tensors, f"rounds/{k}/")) for k in range(int(header["n_rounds"]))]
