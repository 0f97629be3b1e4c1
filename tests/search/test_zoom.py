"""The space adjusted from its own results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from quickstudy.search.rows import Row
from quickstudy.search.space import Space, space_of
from quickstudy.search.zoom import ranked, zoomed

RATE = space_of([{"option": "outer_lr", "low": 0.001, "high": 0.1, "log": True,
                  "least": 0.0001, "most": 0.2}])  # fmt: skip
NAMES = space_of([{"option": "learner.name", "values": ["A", "B"]}])


def trial(number: int, choices: dict[str, Any], score: float | None, state: str = "whole") -> Row:
    curve = [] if score is None else [(10, score)]
    return Row(number, state, "sampler", choices, {}, score, curve)


def rates(values: Sequence[float], scores: Sequence[float]) -> list[Row]:
    pairs = zip(values, scores, strict=True)
    return [trial(i, {"outer_lr": v}, s) for i, (v, s) in enumerate(pairs)]


def ends(space: Space) -> tuple[float | None, float | None]:
    return space.choices[0].low, space.choices[0].high


def test_a_range_is_widened_where_the_best_lie_at_its_end() -> None:
    trials = rates([0.09, 0.08, 0.095, 0.002, 0.02, 0.05, 0.004, 0.01, 0.03, 0.006],
                   [0.9, 0.8, 0.7, 0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1])  # fmt: skip
    space, said = zoomed(RATE, trials, 1, 10)
    assert ends(space) == (0.001, 0.2)  # half a range more would be 1, beyond its limit
    assert said == [
        "after 10 trials: outer_lr widened to 0.2: the 3 best trials lie at its upper end"
    ]


def test_a_range_is_narrowed_to_where_the_best_lie() -> None:
    spread = [10 ** (-3 + 2 * i / 12) for i in range(13)]
    close = [10 ** (-3 + 2 * (0.46 + i / 100)) for i in range(7)]
    trials = rates([*spread, *close], [*range(13), *range(20, 27)])
    space, (said,) = zoomed(RATE, trials, 1, 20)
    low, high = ends(space)
    assert low is not None
    assert high is not None
    assert 0.001 < low < close[0] < close[-1] < high < 0.1
    # Of 20, the best 7 are among 8 neighbours: (12 C(7, 6) + C(8, 7)) / C(20, 7).
    assert said.startswith("after 20 trials: outer_lr narrowed to")
    assert f"with probability {92 / 77520:.2g}" in said


def test_scores_without_a_pattern_leave_a_range_as_it_is() -> None:
    values = [10 ** (-3 + 2 * i / 9) for i in range(10)]
    trials = rates(values, [5, 1, 9, 2, 3, 8, 4, 7, 0, 6])
    assert zoomed(RATE, trials, 1, 10) == (RATE, [])


def test_a_value_is_dropped_when_it_is_worse_with_significance() -> None:
    trials = [trial(i, {"learner.name": "AB"[i % 2]}, 1.0 - i % 2 + 0.01 * i) for i in range(12)]
    space, said = zoomed(NAMES, trials, 1, 12)
    assert space.choices[0].kept == ("A",)
    # Mann-Whitney: 6 of 12 lie last with probability 1 / C(12, 6).
    assert f"p = {1 / 924:.2g}" in said[0]
    assert zoomed(NAMES, trials[:5], 1, 5)[0] == NAMES  # too few
    mixed = [trial(i, {"learner.name": "AB"[i % 2]}, float(i)) for i in range(12)]
    assert zoomed(NAMES, mixed, 1, 12)[0] == NAMES


def test_failed_trials_are_the_worst() -> None:
    trials = [
        trial(
            i, {"learner.name": "AB"[i % 2]}, None if i % 2 else 0.0, "failed" if i % 2 else "whole"
        )
        for i in range(12)
    ]
    assert zoomed(NAMES, trials, -1, 12)[0].choices[0].kept == ("A",)


def test_trials_that_went_further_rank_first() -> None:
    early = replace(trial(0, {}, 0.9, "given up"), curve=[(10, 0.9)])
    later = replace(trial(1, {}, 0.5, "given up"), curve=[(10, 0.4), (20, 0.5)])
    whole = replace(trial(2, {}, 0.3), curve=[(10, 0.3)])
    failed, again = trial(3, {}, None, "failed"), trial(4, {}, 1.0, "retried")
    assert [row.number for row in ranked([early, later, whole, failed, again], 1)] == [2, 1, 0, 3]


@pytest.mark.parametrize("state", ["running", "waiting"])
def test_nothing_is_adjusted_before_all_workers_can_know_the_same(state: str) -> None:
    trials = [trial(i, {"learner.name": "AB"[i % 2]}, 1.0 - i % 2) for i in range(12)]
    trials[3] = replace(trials[3], state=state, score=None)
    assert zoomed(NAMES, trials, 1, 12) == (NAMES, [])
    assert zoomed(NAMES, trials, 1, 0) == (NAMES, [])
    done = [replace(row, state="whole", score=0.0) if row.number == 3 else row for row in trials]
    more = [*done, trial(12, {"learner.name": "B"}, None, state)]
    assert zoomed(NAMES, more, 1, 12) == zoomed(NAMES, done, 1, 12)


@pytest.mark.parametrize(("high", "best", "want"), [(3, 2, (2, 3)), (5, 5, (4, 5)), (5, 1, (1, 2))])
def test_a_range_of_whole_numbers_keeps_two(high: int, best: int, want: tuple[int, int]) -> None:
    space = space_of([{"option": "net.depth", "low": 1, "high": high, "whole": True}])
    others = [n for n in range(1, high + 1) if n != best]
    places = [best] * 7 + [others[i % len(others)] for i in range(13)]
    trials = [trial(i, {"net.depth": n}, 1 - i / 20) for i, n in enumerate(places)]
    changed, said = zoomed(space, trials, 1, 20)
    assert ends(changed) == want
    assert len(said) == 1
