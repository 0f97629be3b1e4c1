"""What the layers of a network take in and give out."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple, TypeVar

from torch import nn

from quickstudy.errors import UserError

Watched = TypeVar("Watched", bound=nn.Module)


class Passage(NamedTuple):
    """What a layer took in when it last ran, and what it gave out."""

    taken: Any
    given: Any = None


def watched(module: Watched) -> tuple[Watched, dict[str, Passage]]:
    """A copy that shares all tensors, and by name what its layers do whenever it runs.

    A layer is a module with parameters of its own. Layers stand in the order in which they begin.

    Raises:
        UserError: The module cannot be copied.
    """
    tensors = [*module.parameters(), *module.buffers()]
    try:
        twin = deepcopy(module, {id(t): t for t in tensors})
    except Exception as error:
        raise UserError(
            f"{type(module).__name__}: layers are watched on a copy, so that other users of the "
            f"module see nothing of it; received one that cannot be copied ({error}); give its "
            "parts a __deepcopy__, or keep them outside of the module."
        ) from error
    seen: dict[str, Passage] = {}

    def begin(name: str, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen[name] = Passage(inputs[0] if inputs else None)

    def end(name: str, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen[name] = seen[name]._replace(given=output)

    for name, layer in twin.named_modules():
        if [*layer.parameters(recurse=False)]:
            layer.register_forward_pre_hook(partial(begin, name))
            layer.register_forward_hook(partial(end, name))
    return twin, seen
