"""`quickstudy doctor`: checks an installation."""

from __future__ import annotations

import torch

from quickstudy import testing
from quickstudy.encoders.listing import listing
from quickstudy.errors import DataError
from quickstudy.files.machine import machine
from quickstudy.learners import MAML, PrototypicalNetwork
from quickstudy.nets import MLP, SharedLinear
from quickstudy.version import __version__


def doctor() -> int:
    """Check this installation: versions, devices, and that gradients are right."""
    about = machine()["machine"]
    for key, value in {"quickstudy": __version__, **about}.items():
        print(f"{key:<12} {value}")
    torch.manual_seed(0)
    net = torch.nn.Sequential(MLP((4,), (8,)), SharedLinear(8))
    for learner in (PrototypicalNetwork(MLP((4,), (8,))), MAML(net, inner_lr=0.1, inner_steps=2)):
        try:
            testing.check_learner(learner, (4,), 3)
        except AssertionError as error:
            raise DataError(
                f"doctor: {type(learner).__name__} does not compute what it should with torch "
                f"{torch.__version__} here ({error}); install another release of torch."
            ) from error
        print(f"{type(learner).__name__:<20} values and meta-gradients are right")
    for row in listing():
        backends = " and ".join(row.get("backends", ()))
        state = f"there, computed by {backends}" if row["present"] else f"not there; {row['get']}"
        print(f"encoder {row['name']:<12} {state}")
    print("all is well")
    return 0
