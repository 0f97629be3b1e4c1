"""The second level: the space is adjusted from the results of its own trials.

After every so many trials, in the order of their numbers:

- A range is widened beyond an end at which the best trials lie, as far as its limits allow.
- A range is narrowed to where the best trials lie, with room to both sides, when they lie clearly
  closer together than chance would have them.
- A value is dropped when its trials are worse than the others' with significance.

An adjustment is a function of the space and of the trials that were begun before it: any worker
finds the same, and none needs to be told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from quickstudy.files.records import JSON
from quickstudy.search.space import Choice, Space, Value

BEST = 3
EDGE = 0.1
ROOM = 0.5
LEAST = 6
ALPHA = 0.05


class Tried(Protocol):
    """A trial, as far as adjusting goes."""

    @property
    def number(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def choices(self) -> JSON: ...
    @property
    def score(self) -> float | None: ...
    @property
    def curve(self) -> Sequence[tuple[int, float]]: ...


T = TypeVar("T", bound=Tried)


def zoomed(space: Space, trials: Sequence[Tried], sign: int, every: int) -> tuple[Space, list[str]]:
    """The space after its adjustments, and what was adjusted and why, in words.

    Args:
        space: The space at first.
        trials: All trials, in the order of their numbers.
        sign: 1 where a larger metric is better, else -1.
        every: Trials between adjustments; 0 for none.
    """
    reasons: list[str] = []
    for upto in range(every, len(trials) + 1, every) if every else ():
        known = trials[:upto]
        if any(trial.state in ("running", "waiting") for trial in known):
            break  # Later, when all workers can know the same.
        ordered = ranked(known, sign)
        choices = []
        for choice in space.choices:
            changed, words = _adjusted(choice, [t for t in ordered if choice.key in t.choices])
            choices.append(changed)
            reasons += [f"after {upto} trials: {text}" for text in words]
        space = Space(tuple(choices))
    return space, reasons


def ranked(trials: Sequence[T], sign: int) -> list[T]:
    """The trials from best to worst: those that went further first, failed ones last."""
    counted = [t for t in trials if t.state != "retried"]

    def key(trial: T) -> tuple[float, float]:
        if trial.state == "failed" or trial.score is None:
            return (-1, 0.0)
        further = math.inf if trial.state == "whole" else len(trial.curve)
        return (further, sign * trial.score)

    return sorted(counted, key=key, reverse=True)


def _adjusted(choice: Choice, ordered: Sequence[Tried]) -> tuple[Choice, list[str]]:
    if choice.values:
        return _without_bad_values(choice, ordered)
    if len(ordered) < LEAST:
        return choice, []
    best = [choice.place(t.choices[choice.key]) for t in ordered[:BEST]]
    return _widened(choice, best) or _narrowed(choice, ordered) or (choice, [])


def _widened(choice: Choice, best: Sequence[float]) -> tuple[Choice, list[str]] | None:
    low, high = choice.ends
    if min(best) >= 1 - EDGE and choice.most is not None:
        side, end = "upper", min(max(choice.at(1 + ROOM), high + choice.whole), choice.most)
        changed = replace(choice, high=end)
    elif max(best) <= EDGE and choice.least is not None:
        side, end = "lower", max(min(choice.at(-ROOM), low - choice.whole), choice.least)
        changed = replace(choice, low=end)
    else:
        return None
    text = (
        f"{choice.option} widened to {end:.3g}: the {len(best)} best trials lie at its {side} end"
    )
    return None if changed == choice else (changed, [text])


def _narrowed(choice: Choice, ordered: Sequence[Tried]) -> tuple[Choice, list[str]] | None:
    """Narrows the range to the best third, if chance would rarely put them so close together.

    Of n trials in the order of their places, k drawn by chance lie within m neighbours with
    probability ((n - m) C(m-1, k-1) + C(m, k)) / C(n, k), however the n are spread.
    """
    places = [choice.place(t.choices[choice.key]) for t in ordered]
    n, k = len(places), max(BEST, math.ceil(len(places) / 3))
    start, end = min(places[:k]), max(places[:k])
    m = sum(start <= place <= end for place in places)
    chance = ((n - m) * math.comb(m - 1, k - 1) + math.comb(m, k)) / math.comb(n, k)
    room = ROOM * (end - start) + EDGE
    low, high = max(start - room, 0.0), min(end + room, 1.0)
    if chance > ALPHA or high - low > 0.8:
        return None
    ends = [choice.at(low), choice.at(high)]
    if ends[0] == ends[1]:  # One whole number; a range has two.
        if ends[1] < choice.at(1.0):
            ends[1] += 1
        else:
            ends[0] -= 1
    changed = replace(choice, low=ends[0], high=ends[1])
    if changed == choice:
        return None
    text = (
        f"{choice.option} narrowed to {changed.words()}: the {k} best trials would lie so close "
        f"together by chance with probability {chance:.2g}"
    )
    return changed, [text]


def _without_bad_values(choice: Choice, ordered: Sequence[Tried]) -> tuple[Choice, list[str]]:
    """Drops values whose trials rank below all others (Mann-Whitney test, Bonferroni)."""
    from scipy.stats import mannwhitneyu  # slow to load, for the workers that never zoom

    reasons: list[str] = []
    values: list[Value] = list(choice.kept)
    rank = {trial.number: i for i, trial in enumerate(ordered)}
    best = ordered[0].choices[choice.key] if ordered else None
    for value in choice.kept:
        ranks = [rank[t.number] for t in ordered if t.choices[choice.key] == value]
        other_ranks = [rank[t.number] for t in ordered if t.choices[choice.key] in values]
        other_ranks = [r for r in other_ranks if r not in ranks]
        if len(ranks) < BEST or len(other_ranks) < BEST or value == best:
            continue
        p = float(mannwhitneyu(ranks, other_ranks, alternative="greater").pvalue)
        if p < ALPHA / len(choice.kept):
            values.remove(value)
            reasons.append(
                f"{choice.option} no longer {value}: its {len(ranks)} trials rank below the other "
                f"{len(other_ranks)} (p = {p:.2g}, Mann-Whitney)"
            )
    gone = tuple(v for v in choice.values if v not in values)
    return replace(choice, dropped=gone), reasons
