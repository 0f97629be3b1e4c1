"""Options read from signatures: their names, types and defaults, and the values that fit them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

REQUIRED = inspect.Parameter.empty


class Option(NamedTuple):
    """One option by its dotted name; its default is `REQUIRED` where it must be given."""

    name: str
    type: Any
    default: Any = None
    help: str = ""


@dataclass(frozen=True)
class Signature:
    """The parameters of a class or function as options.

    Args:
        builder: The class or function.
        prefix: What the names of its options begin with, such as `"learner"`; nothing where empty.
        skip: Parameters that are no options.
        left_out: Options that are None until they are given: the learner decides them.
        others: Defaults that are not those of the signature, by name.
    """

    builder: Callable[..., Any]
    prefix: str = ""
    skip: Collection[str] = ()
    left_out: Collection[str] = ()
    others: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> Iterator[Option]:
        """Its options, in the order of its parameters."""
        builder = self.builder
        factories = {
            each.name: each.default_factory
            for each in (fields(builder) if is_dataclass(builder) else ())
            if each.default_factory is not MISSING
        }
        for name, parameter in inspect.signature(builder, eval_str=True).parameters.items():
            if name not in self.skip:
                default = factories[name]() if name in factories else parameter.default
                dotted = f"{self.prefix}.{name}" if self.prefix else name
                default = None if name in self.left_out else self.others.get(name, default)
                yield Option(dotted, parameter.annotation, default)


def fitted(value: Any, kind: Any) -> Any:
    """A value as JSON holds one of a type.

    Text may stand for what YAML reads in it, so that `1e-3`, which YAML takes for text, is a
    number. Paths are text, and tuples are lists.

    Args:
        value: As Python, YAML or JSON give it.
        kind: The type: `bool`, `int`, `float`, `str`, `Path`, `Any`, a `Literal`, or a `dict`,
            sequence, tuple or union of these.

    Raises:
        ValueError: It is not of the type.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _first_fit(value, arguments)
    if origin is Literal:
        return _checked(value in arguments, value)
    if kind is str or (isinstance(kind, type) and issubclass(kind, PurePath)):
        return str(_checked(isinstance(value, str | int | float | PurePath), value))
    if isinstance(value, str):
        value = _read(value)
    if kind is Any:
        return value
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return float(_checked(number and math.isfinite(value), value))
    if isinstance(origin, type) and issubclass(origin, dict):
        return _checked(isinstance(value, dict), value)
    if origin is not None:
        values = _checked(isinstance(value, list | tuple), value)
        each = (
            arguments
            if origin is tuple and Ellipsis not in arguments
            else len(values) * arguments[:1]
        )
        return [fitted(v, k) for v, k in zip(values, each, strict=True)]
    return _checked(type(value) is kind, value)  # a bool is no int


def _first_fit(value: Any, kinds: tuple[Any, ...]) -> Any:
    if NoneType in kinds and value in (None, "null"):
        return None
    for kind in kinds:
        try:
            return fitted(value, kind)
        except ValueError:
            continue
    raise ValueError


def _read(text: str) -> Any:
    """The number or other value that a text stands for; itself where it is only text."""
    import yaml  # which `import quickstudy` does not wait for

    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str):
        try:
            return float(value)  # YAML wants a point in 1e-3.
        except ValueError:
            return text
    return value


def _checked(right: bool, value: Any) -> Any:
    if not right:
        raise ValueError
    return value
