"""The search space: which options of meta-training may vary, as data.

A space is a list of choices. Each names an option of `quickstudy train` and says what it may be:
one of `values`, or a number from `low` to `high`. With `when` it is there only where other choices
came out so.

    - {option: learner.name, values: [PrototypicalNetwork, MAML]}
    - {option: learner.inner_lr, low: 0.01, high: 1.0, log: true, when: {learner.name: [MAML]}}

`net.width` and `net.depth` are together the `net.hidden` of an MLP.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from quickstudy.errors import UserError
from quickstudy.files.records import JSON

Value = bool | int | float | str | None
EXAMPLE = "{option: outer_lr, low: 0.0001, high: 0.01, log: true}"


@dataclass(frozen=True)
class Choice:
    """One option and what it may be.

    Attributes:
        option: Name of the option, dotted; as on the command line, with underscores.
        values: What it may be; empty for a number within a range.
        low: Lower end of the range.
        high: Upper end.
        log: Whether the range is even in its logarithm.
        whole: Whether the number is whole.
        least: What the lower end may be widened to; not at all where None.
        most: What the upper end may be widened to.
        when: Options that must have come out as one of these values.
        usual: What is likely to be good, where another choice has just made this one necessary.
        dropped: Values that are no longer chosen.
    """

    option: str
    values: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    least: float | None = None
    most: float | None = None
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    usual: Value = None
    dropped: tuple[Value, ...] = ()

    def __post_init__(self) -> None:
        def wrong(needs: str, received: object, do: str) -> UserError:
            return UserError(f"space, {self.option}: {needs}; received {received}; {do}.")

        if self.values:
            if self.low is not None or self.high is not None:
                raise wrong("has values or a range", "both", "leave low and high out")
            plain = all(v is None or isinstance(v, bool | int | float | str) for v in self.values)
            if not plain or len({*map(repr, self.values)}) < len(self.values):
                raise wrong(
                    "values must be plain and differ", [*self.values], "write each of them once"
                )
            self._check_usual()
            return
        ends = (self.low, self.high)
        if not all(_number(end) for end in ends):
            raise wrong("needs values, or low and high", f"low and high {ends}", "give them")
        low, high = self.ends
        if not low < high or (self.log and low <= 0):
            raise wrong(
                f"low must be below high{' and above 0' * self.log}", ends, "correct the range"
            )
        if self.whole and any(end != int(end) for end in self.ends):
            raise wrong("the ends of a whole range must be whole", ends, "round them")
        if not (self.least is None or self.least <= low) or not (
            self.most is None or self.most >= high
        ):
            raise wrong(
                "least and most must enclose the range",
                f"{self.least} .. {self.most} around {low} .. {high}",
                "correct them",
            )
        self._check_usual()

    def _check_usual(self) -> None:
        if self.usual is not None and not self.holds(self.usual):
            raise UserError(
                f"space, {self.option}: usual must be what the choice can be; received "
                f"{self.usual!r} for {self.words()}; correct it, or leave it out."
            )

    @property
    def key(self) -> str:
        """A name that tells choices of one option under different conditions apart."""
        if not self.when:
            return self.option
        when = "; ".join(f"{name}={'|'.join(map(str, v))}" for name, v in self.when.items())
        return f"{self.option} ({when})"

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the range of a number."""
        assert self.low is not None
        assert self.high is not None
        return self.low, self.high

    @property
    def kept(self) -> tuple[Value, ...]:
        """The values that are still chosen."""
        return tuple(value for value in self.values if value not in self.dropped)

    def holds(self, value: Any) -> bool:
        """Whether the choice can come out so."""
        if self.values:
            return any(_same(value, each) for each in self.values)
        low, high = self.ends
        return _number(value) and low <= value <= high

    def nearest(self, value: Any) -> Value:
        """The possible value of the choice that is nearest to another."""
        if self.holds(value):
            return value
        if self.values:
            return self.values[0]
        low, high = self.ends
        end = low if not _number(value) or value < low else high
        return int(end) if self.whole else end

    def place(self, value: Any) -> float:
        """Where in a range a number lies: 0 at its lower end and 1 at its upper one."""
        low, high, at = (math.log(v) if self.log else float(v) for v in (*self.ends, value))
        return (at - low) / (high - low)

    def at(self, place: float) -> float:
        """The number at a place; beyond 0 .. 1 too."""
        low, high = (math.log(v) if self.log else float(v) for v in self.ends)
        value = low + place * (high - low)
        value = math.exp(value) if self.log else value
        return round(value) if self.whole else value

    def to_json(self) -> JSON:
        """The fields that differ from their defaults."""
        plain = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name == "option" or getattr(self, f.name) not in (f.default, (), {})
        }
        if self.dropped:
            plain["dropped"] = list(self.dropped)
        if self.values:
            plain["values"] = list(self.values)
        if self.when:
            plain["when"] = {name: list(values) for name, values in self.when.items()}
        return plain

    def words(self) -> str:
        """Such as `0.01 .. 1, by its logarithm`."""
        if self.values:
            return " or ".join("none" if v is None else str(v) for v in self.kept)
        log = ", by its logarithm" if self.log else ""
        return f"{self.low:.4g} .. {self.high:.4g}{log}"


@dataclass(frozen=True)
class Space:
    """The choices of a search, each after those that it depends on.

    Raises:
        UserError: There are none; two choices of an option could both be there; or one depends on
            what is not a choice before it.
    """

    choices: tuple[Choice, ...]

    def __post_init__(self) -> None:
        if not self.choices:
            raise UserError(
                "space: needs a choice; received none, or options that fix all of them; leave some "
                "options to the search."
            )
        for i, choice in enumerate(self.choices):
            before = {each.option: each for each in self.choices[:i]}
            for name, wanted in choice.when.items():
                if name not in before or not all(before[name].holds(v) for v in wanted):
                    raise UserError(
                        f"space, {choice.option}: when must name choices before it and what they "
                        f"can be; received {name}: {[*wanted]}; correct it, or reorder the list."
                    )
            twin = before.get(choice.option)
            for other in self.choices[:i]:
                if other.option == choice.option and not _exclusive(other, choice):
                    raise UserError(
                        f"space, {choice.option}: must be chosen once; received it twice"
                        f"{' under the same conditions' * (twin is not None)}; leave one out, or "
                        "give both a when that excludes the other."
                    )

    def draw(self, pick: Callable[[Choice], Any]) -> JSON:
        """Makes the choices that are there, in order; by key.

        Args:
            pick: Says how a choice comes out.
        """
        found: JSON = {}
        by_option: JSON = {}
        for choice in self.choices:
            if all(
                name in by_option and any(_same(by_option[name], v) for v in wanted)
                for name, wanted in choice.when.items()
            ):
                found[choice.key] = by_option[choice.option] = pick(choice)
        return found

    def options(self, chosen: Mapping[str, Any]) -> JSON:
        """The chosen values, as options of `quickstudy train` by dotted name."""
        by_key = {choice.key: choice.option for choice in self.choices}
        options = {by_key[key]: value for key, value in chosen.items() if key in by_key}
        depth = options.pop("net.depth", None)
        if depth is not None:
            options["net.hidden"] = [options.pop("net.width")] * depth
        return options

    def without(self, fixed: Mapping[str, Any]) -> Space:
        """The space where these options are given and not chosen."""
        if "net.hidden" in fixed:
            fixed = {**fixed, "net.width": None, "net.depth": None}
        choices = []
        for choice in self.choices:
            conditions = {name: wanted for name, wanted in choice.when.items() if name in fixed}
            met = all(any(_same(fixed[n], v) for v in wanted) for n, wanted in conditions.items())
            if choice.option in fixed or not met:
                continue
            when = {name: wanted for name, wanted in choice.when.items() if name not in fixed}
            choices.append(replace(choice, when=when))
        return Space(tuple(choices))

    def to_json(self) -> list[JSON]:
        return [choice.to_json() for choice in self.choices]

    def differences(self, other: Space) -> Iterator[str]:
        """How another space differs, in words."""
        own, others = ({c.key: c for c in space.choices} for space in (self, other))
        for key in [*own, *(others.keys() - own.keys())]:
            if key not in others:
                yield f"{key} is not there"
            elif key not in own:
                yield f"{key} is {others[key].words()} and is not here"
            elif own[key] != others[key]:
                own_words, other_words = own[key].words(), others[key].words()
                yield (
                    f"{key} is {other_words} instead of {own_words}"
                    if own_words != other_words
                    else f"{key} may be widened differently"
                )
        if own == others and [*own] != [*others]:
            yield "the choices are in another order"


def space_of(entries: Any, where: str = "space") -> Space:
    """A space from plain data.

    Raises:
        UserError: It is no list of choices, or one of them is wrong.
    """
    known = {f.name for f in fields(Choice)} - {"dropped"}
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(
            f"{where}: expected a list of choices; received {entries!r:.80}; write one a line, "
            f"such as - {EXAMPLE}."
        )
    choices = []
    for entry in entries:
        unknown = sorted(map(str, entry.keys() - known))
        if unknown or not isinstance(entry.get("option"), str):
            raise UserError(
                f"{where}: a choice has an option and of {', '.join(sorted(known))}; received "
                f"{entry!r:.120}{f' with {unknown[0]}' if unknown else ''}; write such as "
                f"{EXAMPLE}."
            )
        values, when = entry.get("values", ()), entry.get("when", {})
        if not isinstance(values, list | tuple) or not (
            isinstance(when, dict) and all(isinstance(v, list | tuple) for v in when.values())
        ):
            raise UserError(
                f"{where}, {entry['option']}: values, and each of when, must be lists; received "
                f"values {values!r:.80} and when {when!r:.80}; write [one, two]."
            )
        lists = {"values": tuple(values), "when": {k: tuple(v) for k, v in when.items()}}
        choices.append(Choice(**{**entry, **lists}))
    return Space(tuple(choices))


def read_space(path: Path) -> Space:
    """A space from a YAML or JSON file.

    Raises:
        UserError: The file cannot be read, or holds no space.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(
            f"space {path}: expected a YAML file; received none that can be read ({error}); check "
            "its path and content."
        ) from error
    return space_of(entries, f"space {path}")


def space_text(space: Space) -> str:
    """The space as YAML, a line a choice."""
    return "".join(
        yaml.safe_dump([entry], sort_keys=False, default_flow_style=None, width=1000)
        for entry in space.to_json()
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _same(a: Any, b: Any) -> bool:
    """Equality for which true is not 1."""
    return isinstance(a, bool) == isinstance(b, bool) and bool(a == b)


def _exclusive(one: Choice, two: Choice) -> bool:
    """Whether the conditions of the two choices exclude each other."""
    shared: Sequence[str] = [name for name in one.when if name in two.when]
    return any(not any(_same(a, b) for a in one.when[n] for b in two.when[n]) for n in shared)
