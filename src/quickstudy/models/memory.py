"""Refuses a support that the memory could not hold, where it cannot be taken in pieces."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files import machine
from quickstudy.learner import AnyLearner
from quickstudy.nets import norm
from quickstudy.nets.pieces import bytes_each

SMALL: Final = 1 << 24
"""Bytes of inputs that are taken without a look at the memory."""


def check_memory(learner: AnyLearner, x: Tensor) -> None:
    """Raises UserError where adapting to all these inputs at once needs more memory than there is.

    Inner steps differentiate through every layer's output for all examples; a norm whose statistics
    are of the support needs every example in each layer. All other learners take the examples
    piece by piece.

    Args:
        learner: The learner.
        x: Inputs of the support `(support, *x)`.
    """
    net = learner.feature_network()
    takes_steps = learner.adapt_steps is not None
    if net is None or x.nbytes < SMALL:
        return
    together = norm.kinds(net) & {"support", "batch"}
    available = machine.available_memory(x.device)
    if available is None or not (takes_steps or together):
        return
    with torch.no_grad():
        needed = len(x) * bytes_each(lambda part: norm.run(net, None, part)[0], x, net, "layers")
    if needed > available:
        reason = "takes inner steps" if takes_steps else f"has norms of kind {min(together)}"
        raise UserError(
            f"adapt: a {type(learner).__name__} that {reason} has all examples in memory at once; "
            f"received {len(x)}, which need about {needed / 1e9:.1f} GB of the "
            f"{available / 1e9:.1f} GB that are free; give fewer, or meta-train a learner that "
            "takes them piece by piece, such as PrototypicalNetwork or RidgeHead with norm layer, "
            "group or population."
        )
