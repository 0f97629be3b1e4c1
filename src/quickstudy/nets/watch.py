"""The inputs and outputs of the layers of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

from torch import nn

from quickstudy.nets.passing import whole


class Passage(NamedTuple):
    """The input of a layer when it last ran, and its output."""

    input: Any
    output: Any = None


@contextmanager
def watching(module: nn.Module) -> Iterator[dict[str, Passage]]:
    """Gives the last input and output of each layer of a module by name, in a `with` block.

    A layer is a module with parameters of its own. Layers are in the order in which they first ran.
    All examples of a pass go through at once. Hold `quickstudy.learner.locked` where other threads
    may compute with the module.
    """
    seen: dict[str, Passage] = {}

    def begin(name: str, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen[name] = Passage(inputs[0] if inputs else None)

    def end(name: str, layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        seen[name] = seen[name]._replace(output=output)

    with ExitStack() as hooks:
        hooks.enter_context(whole())
        for name, layer in module.named_modules():
            if [*layer.parameters(recurse=False)]:
                hooks.enter_context(layer.register_forward_pre_hook(partial(begin, name)))
                hooks.enter_context(layer.register_forward_hook(partial(end, name)))
        yield seen
