"""Traits of a network: attributes that any module may set, and none has to.

    n_features     number of features it gives; else that of its last linear layer counts
    feature_shape  shape `(channels, *space)` of the maps that its features unflatten to
    vmappable      False where it, or a part of it, does not run under `torch.func.vmap`
    stochastic     True where it draws random numbers in train mode, as torch's dropout does
    architecture   plain JSON that tells networks apart whose weights have the same shapes

These are the only attributes of a user's module that quickstudy asks for.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.modules.dropout import _DropoutNd as Dropout

from quickstudy.errors import CheckpointError, UserError


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
    """Names of the layers that draw random numbers in train mode, as those that drop units do."""
    return [
        name or type(m).__name__
        for name, m in net.named_modules()
        if (isinstance(m, Dropout) and m.p > 0) or getattr(m, "stochastic", False) is True
    ]


def architectures(net: nn.Module) -> list[Any]:
    """The `architecture` of each part of a network that has one, in order."""
    of_each = (getattr(module, "architecture", None) for module in net.modules())
    return [architecture for architecture in of_each if architecture is not None]


def check_architectures(net: nn.Module, saved: list[Any] | None, where: str) -> None:
    """Raises CheckpointError where the parts of a network are not those that were saved.

    Entries that only one of the two has are not compared: another version of a package
    may have more.

    Args:
        net: The network.
        saved: What `architectures` gave when it was saved; None for a file that does not know.
        where: The file, for the message.
    """
    difference = saved and _difference(saved, architectures(net))
    if difference:
        path, before, now = difference
        raise CheckpointError(
            f"{where}: expected the network that was saved; received another, of which "
            f"{'.'.join(path)} is {now!r:.80} and was {before!r:.80}; build it as it was, or train "
            "and adapt again."
        )


def _difference(a: Any, b: Any, path: tuple[str, ...] = ()) -> tuple[Any, ...] | None:
    """The place where two JSON values differ first, and the values there."""
    if isinstance(a, dict) and isinstance(b, dict):
        inside = [(key, a[key], b[key]) for key in a if key in b]
    elif isinstance(a, list) and isinstance(b, list):
        inside = [(str(i), *pair) for i, pair in enumerate(zip(a, b, strict=False))]
        inside.append(("length", len(a), len(b)))
    else:
        return None if a == b else (path, a, b)
    differences = (_difference(one, other, (*path, key)) for key, one, other in inside)
    return next((each for each in differences if each is not None), None)
