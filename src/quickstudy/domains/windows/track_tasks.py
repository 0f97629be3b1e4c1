"""Tasks from recordings of pedestrians: one recording is one task, cut in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from quickstudy.domains.windows.copies import copies_among
from quickstudy.domains.windows.metrics import track_metrics
from quickstudy.domains.windows.rungs import track_rungs
from quickstudy.domains.windows.window_tasks import Floats, WindowTasks
from quickstudy.errors import UserError
from quickstudy.inputs import Windows
from quickstudy.inputs.track_files import Scene, TrackWindows, read_scenes, windows_of
from quickstudy.learner import AnyLearner
from quickstudy.metrics import Metric
from quickstudy.task import Examples, Task
from quickstudy.tasks.contents import Unit, held, marks_of
from quickstudy.tasks.recorded import Recorded, dealt
from quickstudy.tasks.source import Figures, Split, no_more

CUT = 0.2
"""Part of the frames of a recording that is learned from, in meta-valid and meta-test."""
CUTS = (0.1, 0.5)
"""The least and the largest part in meta-train."""


@dataclass(frozen=True, eq=False)
class TrackTasks(WindowTasks):
    """Tasks each of which is one recording: learn from its first part, ask about what follows.

    The support is every window of a track that ends before the cut, the query windows that begin
    after it; where there are more than `n_query`, so many of them at random.

    Attributes:
        scenes: The recordings, by number.

    Example:
        >>> tasks = eth_ucy("made/walks", hold_out="square")  # TrackTasks
        >>> tasks.task("test", 0).query.y.shape[1]  # 12 places
        24
    """

    scenes: Sequence[Scene] = field(default=(), repr=False)

    @property
    def unit(self) -> Unit:
        return "scene"

    def values_of(self, unit: int) -> tuple[str, list[Floats]]:
        scene = self.scenes[unit]
        return scene.name, [track.positions for track in scene.tracks]

    @cached_property
    def _windows(self) -> dict[int, TrackWindows]:
        kind = self.windows
        return {
            unit: windows_of(self.scenes[unit], kind.lags, kind.horizon, kind.min_agents)
            for units in self.units.values()
            for unit in units
        }

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return track_metrics(self.targets)

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        return track_rungs(self.windows, self.pooled)

    def windows_of(self, unit: int) -> Examples:
        every = self._windows[unit]
        return self._part(every, np.arange(len(every.end)))

    def figures(
        self,
        learner: AnyLearner,
        split: Split,
        n: int,
        temperature: float = 1.0,
        unadapted: AnyLearner | None = None,
    ) -> Figures:
        """Tracks of a moment of each of the first n recordings, before and after adapting to it."""
        from quickstudy.domains.windows.picture import tracks_of  # matplotlib is slow to load

        figures = []
        for index in range(no_more(self, split, n)):
            scene = self.scenes[self.units[split][index]].name
            task = self.task(split, index)
            name = f"tracks_{index + 1}"
            figures.append(tracks_of(self.windows, learner, task, scene, name))
        return figures

    def cut(self, unit: int, split: Split, rng: np.random.Generator) -> Task:
        every, n = self._windows[unit], len(self.scenes[unit].frames)
        place = int((rng.uniform(*CUTS) if split == "train" else CUT) * n)
        if split == "train" and len(every.end):
            # A short recording has no window before an early cut, or after a late one.
            first, last = int(every.end.min()) + 1, int(every.start.max())
            place = min(max(place, first), last)
        before = np.flatnonzero(every.end < place)
        after = np.flatnonzero(every.start >= place)
        if not len(before) or not len(after):
            raise UserError(
                f"tracks: a recording needs windows of {self.windows.lags + self.windows.horizon} "
                f"frames before and after the cut at frame {place} of {n}; received "
                f"{len(before)} and {len(after)} in {self.scenes[unit].name}; give a longer one."
            )
        if len(after) > self.n_query:
            after = np.sort(rng.choice(after, self.n_query, replace=False))
        return Task(*(self._part(every, places) for places in (before, after)))

    def _part(self, every: TrackWindows, places: NDArray[np.int64]) -> Examples:
        kind = self.windows
        x, future = kind.examples_in(every.at(places))
        return self.examples(x.numpy(), kind.standardised(future, x.numpy()))


def eth_ucy(
    path: Path,
    hold_out: str = "eth",
    valid_place: str | None = None,
    lags: int = 8,
    horizon: int = 12,
    min_agents: int = 2,
    n_query: int = 100_000,
    seed: int = 0,
    recorded: Recorded | None = None,
) -> TrackTasks:
    """Tasks from recordings of pedestrians seen from above, such as ETH and UCY's.

    A recording is a task; the recordings of one place are never on both sides of a split. Steps
    are those of the files, 0.4 s in ETH and UCY; places are in metres.

    Args:
        path: A recording, or a folder of recordings or of a folder for each place; lines of frame,
            pedestrian, x and y.
        hold_out: The place that is meta-test.
        valid_place: The place that is meta-valid; none where omitted.
        lags: Steps that are seen.
        horizon: Steps that are asked.
        min_agents: Pedestrians who must be there in all steps of a window, as in the usual
            protocol.
        n_query: Windows that a task asks about, at most.
        seed: Seed of the tasks.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: A file is missing or damaged.
        UserError: It holds no tracks, there is no such place, or one recording is in two places.
    """
    scenes = read_scenes(Path(path))
    places = sorted({scene.place for scene in scenes})
    for role, place in (("hold_out", hold_out), ("valid_place", valid_place)):
        if place is not None and place not in places:
            raise UserError(
                f"tracks: {role} must be a place of the recordings, {', '.join(places)}; received "
                f"{place!r}; choose one of these."
            )
    split_of: dict[str, Split] = dict.fromkeys(places, "train")
    if valid_place is not None:
        split_of[valid_place] = "valid"
    split_of[hold_out] = "test"
    numbers = {scene.name: number for number, scene in enumerate(scenes)}
    present = {
        scene.name: held(marks_of(track.positions.tobytes() for track in scene.tracks))
        for scene in scenes
    }

    units = [[track.positions for track in scene.tracks] for scene in scenes]
    for first, second, _ in copies_among(units):
        if scenes[first].place != scenes[second].place:
            raise UserError(
                "tracks: recordings of different places must have no tracks in common; received "
                f"{scenes[first].name} of {scenes[first].place} and {scenes[second].name} of "
                f"{scenes[second].place} in {path}, which have; remove one, or give both one place."
            )

    def usual() -> dict[Split, list[str]]:
        splits: dict[Split, list[str]] = {}
        for scene in scenes:
            splits.setdefault(split_of[scene.place], []).append(scene.name)
        return splits

    splits, left_out = dealt(present, recorded, usual)
    if not splits.get("train"):
        raise UserError(
            "tracks: meta-training needs recordings of a place that is neither hold_out nor "
            f"valid_place; received {', '.join(places)}; add recordings, or leave one of them out."
        )
    kind = Windows(
        lags,
        horizon,
        channels=("x", "y"),
        spread=False,
        reference="velocity",
        turned=True,
        layout="tracks",
        min_agents=min_agents,
    )
    return TrackTasks(
        name=Path(path).name.split(".")[0],
        windows=kind,
        units={split: [numbers[each] for each in names] for split, names in splits.items()},
        n_query=n_query,
        seed=seed,
        about={
            "hold_out": hold_out,
            "min_agents": min_agents,
            "scenes": {split: len(names) for split, names in splits.items()},
        },
        left_out=left_out,
        scenes=scenes,
    )
