"""Traits of a network: attributes that any module may set, and none has to.

    n_features     number of features it gives; else that of its last linear layer counts
    feature_shape  shape `(channels, *space)` of the maps that its features unflatten to
    vmappable      False where it, or a part of it, does not run under `torch.func.vmap`

These are the only attributes of a user's module that quickstudy asks for.
"""

from __future__ import annotations

from torch import nn
from torch.nn.modules.dropout import _DropoutNd as Dropout

from quickstudy.errors import UserError


def width(net: nn.Module) -> int:
    """Number of features a network gives: its `n_features`, else those of its last linear layer.

    Raises:
        UserError: The network has neither.
    """
    n = getattr(net, "n_features", None)
    if n is None:
        n = next((m.out_features for m in [*net.modules()][::-1] if isinstance(m, nn.Linear)), None)
    if not isinstance(n, int):
        raise UserError(
            f"{type(net).__name__}: the number of features must be known; received a network "
            "without one and without a linear layer; set net.n_features."
        )
    return n


def feature_shape(net: nn.Module) -> tuple[int, ...]:
    """Shape of a network's features: its `feature_shape`, else a vector of its `width`."""
    return getattr(net, "feature_shape", None) or (width(net),)


def runs_under_vmap(net: nn.Module) -> bool:
    """Whether neither a network nor a part of it says that it is not `vmappable`.

    Torch's recurrent layers need not say so: they write into tensors that do not know of tasks.
    """
    return all(
        getattr(module, "vmappable", not isinstance(module, nn.RNNBase | nn.RNNCellBase))
        for module in net.modules()
    )


def dropouts(net: nn.Module) -> list[str]:
    """Names of the layers that drop units, and so draw random numbers in train mode."""
    return [name for name, m in net.named_modules() if isinstance(m, Dropout) and m.p > 0]
