"""Tracks in files: where each agent of a scene was, frame by frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from quickstudy.errors import DataError, UserError
from quickstudy.inputs.cells import is_infinite, name_of
from quickstudy.inputs.delimited import read_records
from quickstudy.inputs.files import folders, some, visible
from quickstudy.inputs.numerals import PLAIN, looks_like_number, numerals_of

Array = NDArray[np.float64]
Places = NDArray[np.int64]
SUFFIXES: Final = (".txt", ".csv", ".tsv")
NOTES: Final = frozenset({"readme", "license", "licence", "sha256sums"})
COLUMNS: Final = {
    "frame": ("frame", "frame_id", "frame_number", "frame_num", "time", "timestamp", "t"),
    "agent": (
        *("agent", "agent_id", "id", "track", "track_id", "trackid", "object_id"),
        *("pedestrian", "pedestrian_id", "ped", "ped_id", "person", "person_id"),
    ),
    "x": ("x", "pos_x", "x_m", "position_x"),
    "y": ("y", "pos_y", "y_m", "position_y"),
}
"""Names that columns usually have, in lower case."""
KNOWN_PLACES: Final = {
    "biwi_eth": "eth",
    "biwi_hotel": "hotel",
    "crowds_zara01": "zara",
    "crowds_zara02": "zara",
    "crowds_zara03": "zara",
    "students001": "univ",
    "students003": "univ",
    "uni_examples": "univ",
}
"""Where the recordings of ETH and UCY were made: several are of one street or one square."""


class Track(NamedTuple):
    """A stretch of an agent's way, without a break.

    Attributes:
        agent: Its name in the file; one that left and came back has several tracks.
        first: The place of its first frame in the frames of the scene.
        positions: Where it was in that frame and each that follows, `(steps, 2)`.
    """

    agent: str
    first: int
    positions: Array


class Scene(NamedTuple):
    """A recording of agents.

    Attributes:
        name: Its name, that of the file.
        place: Where it was made; recordings of one place are no independent tasks.
        frames: The numbers of all frames in which there is an agent, in order.
        tracks: The tracks, in the order of agents and frames.
    """

    name: str
    place: str
    frames: Array
    tracks: list[Track]


class TrackWindows(NamedTuple):
    """Windows of the tracks of a scene, in the order of their starts, then of tracks.

    Attributes:
        lags: Where the agent was, `(windows, lags, 2)`.
        future: Where it went, `(windows, horizon, 2)`.
        start, end: The places of the first and the last frame of a window among the frames.
        agent: The number of the track in the scene.
    """

    lags: Array
    future: Array
    start: Places
    end: Places
    agent: Places

    def at(self, places: Places) -> TrackWindows:
        """The windows in these places."""
        lags, future, start, end, agent = self
        return TrackWindows(lags[places], future[places], start[places], end[places], agent[places])


def read_scene(path: Path, place: str | None = None) -> Scene:
    """The scene in a file of the columns frame, agent, x and y.

    The columns are parted by tabs or spaces and have no names, or the file is a CSV table whose
    header names them.

    Args:
        path: The file.
        place: Where it was recorded; a recording of ETH or UCY has its place, any other that of its
            own name.

    Raises:
        DataError: The file cannot be read.
        UserError: A row has another number of columns, a cell is no finite number, an agent is
            twice in a frame, or there are fewer than two frames.
    """
    name = _stem(path)
    rows, lines, columns = _table(path)
    cells = list(zip(*rows, strict=True))
    frames, x, y = (
        _numbers(cells[columns[part]], part, path, lines) for part in ("frame", "x", "y")
    )
    agents = [name_of(value) for value in cells[columns["agent"]]]
    if "" in agents:
        raise UserError(
            f"tracks: every row of {path} must name its agent; received an empty cell in line "
            f"{lines[agents.index('')]}; fill it, or remove the row."
        )
    distinct = sorted(set(agents), key=_order)
    numbers = dict(zip(distinct, range(len(distinct)), strict=True))
    agent = np.array([numbers[each] for each in agents])
    unique, index = np.unique(frames, return_inverse=True)
    order = np.lexsort((index, agent))
    agent, index = agent[order], index[order]
    positions = np.stack([x, y], axis=1)[order]
    same = agent[1:] == agent[:-1]
    twice = np.flatnonzero(same & (index[1:] == index[:-1]))
    if len(twice):
        before, again = sorted((lines[order[twice[0]]], lines[order[twice[0] + 1]]))
        raise UserError(
            f"tracks: an agent of {path} can be in one position in a frame; received the agent "
            f"{distinct[agent[twice[0]]]!r} in the frame {unique[index[twice[0]]]:g} in line "
            f"{before} and in line {again}; remove one, or give one of them another name."
        )
    if len(unique) < 2:
        raise UserError(
            f"tracks: {path} must hold at least two frames; received {len(unique)}; give a "
            "recording, frame by frame."
        )
    breaks = np.flatnonzero(~(same & (np.diff(index) == 1))) + 1
    bounds = [0, *breaks.tolist(), len(agent)]
    tracks = [
        Track(distinct[agent[left]], int(index[left]), positions[left:right])
        for left, right in pairwise(bounds)
    ]
    return Scene(name, place or KNOWN_PLACES.get(name, name), unique, tracks)


def read_scenes(path: Path, places: Mapping[str, str] | None = None) -> list[Scene]:
    """The scenes of a file, of a folder of files, or of a folder with a folder of files a place.

    Args:
        path: The file or folder.
        places: The place of files by their name without suffix. Recordings of ETH and UCY have
            theirs, and a folder of a place names it.

    Raises:
        DataError: There is no such file or folder.
        UserError: There is no recording, or nothing says where one was made; or a scene as in
            `read_scene`.
    """
    if not path.exists():
        raise DataError(
            f"tracks: {path} must be a file or folder of recordings; received no such path; check "
            "it."
        )
    places = dict(places or {})
    by_folder = [(file, each.name) for each in _places_in(path) for file in _recordings(each)]
    files = [path] if path.is_file() else _recordings(path)
    if not files and not by_folder:
        raise UserError(
            f"tracks: {path} must hold recordings ({', '.join(SUFFIXES)}, also .gz); received "
            "none; name another folder."
        )
    stems = [_stem(file) for file in files]
    if unused := sorted(places.keys() - {*stems, *(_stem(file) for file, _ in by_folder)}):
        raise UserError(
            f"tracks: places must name recordings in {path}; received {some(unused)}; it has "
            f"{some(stems)}."
        )
    known = KNOWN_PLACES | places
    homeless = [stem for stem in stems if stem not in known]
    if homeless and not path.is_file():
        raise UserError(
            "tracks: it must be known where each recording was made, as those of one place are no "
            f"independent tasks; received none for {some(homeless)} in {path}; put the files into "
            "a folder for each place, or say places."
        )
    scenes = [read_scene(file, known.get(stem)) for file, stem in zip(files, stems, strict=True)]
    for file, folder in by_folder:
        stem = _stem(file)
        scenes.append(read_scene(file, places.get(stem, folder))._replace(name=f"{folder}/{stem}"))
    return scenes


def windows_of(scene: Scene, lags: int, horizon: int, min_agents: int = 1) -> TrackWindows:
    """All windows of the tracks of a scene: `lags` frames that are seen, `horizon` that follow.

    A window is of frames that follow each other in the recording, whatever their numbers.

    Args:
        scene: The scene.
        lags: How many positions are seen.
        horizon: How many positions follow.
        min_agents: How many agents must be there in all frames of a window.

    Raises:
        UserError: The scene has fewer frames than a window.
    """
    total = lags + horizon
    if len(scene.frames) < total:
        raise UserError(
            f"tracks: the scene {scene.name!r} must have the frames of a window, {total}; received "
            f"{len(scene.frames)}; give a longer recording, or ask for fewer lags or a shorter "
            "horizon."
        )
    numbers = [i for i, track in enumerate(scene.tracks) if len(track.positions) >= total]
    counts = [len(scene.tracks[i].positions) - total + 1 for i in numbers]
    windows = np.zeros((0, total, 2))
    start = agent = np.zeros(0, dtype=np.int64)
    if numbers:
        windows = np.concatenate(
            [
                sliding_window_view(scene.tracks[i].positions, total, axis=0).transpose(0, 2, 1)
                for i in numbers
            ]
        )
        start = np.concatenate(
            [scene.tracks[i].first + np.arange(n) for i, n in zip(numbers, counts, strict=True)]
        )
        agent = np.repeat(numbers, counts)
    company = np.bincount(start, minlength=1)[start] >= min_agents
    order = np.lexsort((agent, start))
    order = order[company[order]]
    windows, start, agent = windows[order], start[order], agent[order]
    return TrackWindows(windows[:, :lags], windows[:, lags:], start, start + total - 1, agent)


def _stem(path: Path) -> str:
    """The name of a file without its suffixes."""
    return Path(path.name.removesuffix(".gz")).stem


def _recordings(folder: Path) -> list[Path]:
    """The files of a folder that may be recordings."""
    return [
        each
        for each in visible(folder)
        if each.is_file()
        and Path(each.name.removesuffix(".gz")).suffix.lower() in SUFFIXES
        and _stem(each).lower() not in NOTES
    ]


def _places_in(path: Path) -> list[Path]:
    return folders(path) if path.is_dir() else []


def _order(agent: str) -> tuple[bool, float, str]:
    """The order of agents: numbers by value, then names."""
    number = PLAIN.number(agent)
    return (True, 0.0, agent) if number is None else (False, number, "")


def _table(path: Path) -> tuple[list[list[str]], list[int], dict[str, int]]:
    """The rows of a recording, the line of each, and the columns of frame, agent, x and y."""
    records = read_records(path, "tracks")
    rows, lines = records.rows, records.lines
    if rows and all(len(row) == 1 for row in rows):
        rows = [row[0].split() for row in rows]
    columns = dict(zip(COLUMNS, range(4), strict=True))
    width = 4
    if rows and not any(looks_like_number(value) or is_infinite(value) for value in rows[0]):
        columns, width = _named(rows[0], path), len(rows[0])
        rows, lines = rows[1:], lines[1:]
    if not rows:
        raise UserError(
            f"tracks: {path} must hold rows of frame, agent, x and y; received none; name another "
            "file."
        )
    for row, line in zip(rows, lines, strict=True):
        if len(row) != width:
            raise UserError(
                f"tracks: every row of {path} must have {width} columns, "
                f"{'frame, agent, x and y' if width == 4 else 'as the header has'}; received "
                f"{len(row)} in line {line}; correct it, or name the columns in a header."
            )
    return rows, lines, columns


def _named(header: Sequence[str], path: Path) -> dict[str, int]:
    """The columns of frame, agent, x and y, by the names in a header."""
    lower = [name.lower() for name in header]
    columns = {
        part: next((lower.index(name) for name in names if name in lower), -1)
        for part, names in COLUMNS.items()
    }
    absent = [part for part, column in columns.items() if column < 0]
    if absent:
        raise UserError(
            f"tracks: the header of {path} must name frame, agent (or id), x and y; received none "
            f"for {', '.join(absent)} among {', '.join(map(repr, header)):.200}; rename columns."
        )
    return columns


def _numbers(cells: Sequence[str], part: str, path: Path, lines: Sequence[int]) -> Array:
    """The numbers of a column."""
    texts = set(cells)
    numbers = {text: PLAIN.number(text) for text in texts}
    if None in numbers.values():
        written = {text for text in texts if looks_like_number(text)}
        style = numerals_of(written, f"tracks: the column {part} of {path}") or PLAIN
        numbers = {text: style.number(text) for text in texts}
    if None in numbers.values():
        row = next(i for i, text in enumerate(cells) if numbers[text] is None)
        raise UserError(
            f"tracks: the column {part} of {path} must hold finite numbers; received "
            f"{cells[row][:50]!r} in line {lines[row]}; correct it, or remove the row."
        )
    return np.array([numbers[text] for text in cells], dtype=np.float64)
