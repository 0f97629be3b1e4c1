"""Made-up series and recordings of walkers, in files like the real ones, for first steps.

They are no benchmark. How they are made is said here, so that nobody takes a gain on them for more
than it is: a model of many of them is better because they share what the functions below draw once
for all, as related products of a shop or the walkers of one square do.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError, at_least
from quickstudy.files.atomic import write_atomically
from quickstudy.inputs.track_files import Scene, Track
from quickstudy.tasks.source import generator

Array = NDArray[np.float64]
N_SHAPES: Final = 3
PLACES: Final = ("square", "street", "station", "bridge", "market", "campus")
SECONDS: Final = 0.4
FRAMES: Final = 10
"""Time and frame numbers from one row of an agent to the next, as in ETH and UCY."""
SIDE: Final = 20.0
GATES: Final = 4


class MadeSeries(NamedTuple):
    """A made-up series: its name, its values `(time,)`, and those that follow `(horizon,)`."""

    name: str
    values: Array
    future: Array


def make_series(
    n: int = 80, length: int = 140, horizon: int = 12, season: int = 12, seed: int = 0
) -> list[MadeSeries]:
    """Makes series that share shapes: each is

        level (2 + slope t / length + size s(t / season) + wave(t) + shifts + noise)

    `s` is a mixture, with weights of the series, of three seasonal shapes that are drawn once for
    all. Half of the series have a long wave of a period of their own. The level is log-normal, the
    noise autoregressive, and a level shift comes about once in 150 steps, without a sign before it.
    Each series has a length of its own, from two thirds of the whole on.

    Args:
        n: How many.
        length: The longest history.
        horizon: How many values follow.
        season: Steps of a season.
        seed: Seed of everything.
    """
    at_least("make_series", 1, n=n, horizon=horizon, season=season)
    at_least("make_series", 3, length=length)
    once = generator(seed, "made: shapes", 0)
    phase = 2 * np.pi * np.arange(season) / season
    waves = np.stack([f(k * phase) for k in (1, 2, 3) for f in (np.sin, np.cos)])
    shapes = once.normal(size=(N_SHAPES, len(waves))) / [1, 1, 2, 2, 3, 3] @ waves
    return [_one_series(i, n, length, horizon, shapes, seed) for i in range(n)]


def _one_series(i: int, n: int, length: int, horizon: int, shapes: Array, seed: int) -> MadeSeries:
    rng = generator(seed, "made: series", i)
    season = shapes.shape[1]
    known = int(rng.integers(max(2, 2 * length // 3), length + 1))
    t = np.arange(known + horizon)
    weights = rng.dirichlet(np.ones(N_SHAPES))
    seasonal = rng.uniform(0.05, 0.25) * (weights @ shapes)[(t + rng.integers(season)) % season]
    period, size = rng.uniform(1.5, 4) * season, rng.integers(2) * rng.uniform(0.05, 0.15)
    wave = size * np.sin(2 * np.pi * t / period + rng.uniform(0, 2 * np.pi))
    trend = rng.normal(0, 0.4) * t / length
    shifts = np.cumsum((rng.random(len(t)) < 1 / 150) * rng.normal(0, 0.2, len(t)))
    noise = np.zeros(len(t))
    shocks = rng.normal(0, rng.uniform(0.01, 0.04), len(t))
    for step in range(1, len(t)):
        noise[step] = 0.5 * noise[step - 1] + shocks[step]
    level = np.exp(rng.normal(5, 1))
    values = np.round(level * (2 + trend + seasonal + wave + shifts + noise), 2)
    return MadeSeries(f"S{i + 1:0{len(str(n))}d}", values[:known], values[known:])


def make_scenes(
    n_places: int = 4, n_scenes: int = 2, n_agents: int = 100, seed: int = 0
) -> list[Scene]:
    """Makes recordings of walkers in several places.

    A place has four gates at its sides, and a stream that turns everybody who comes near its
    middle to the one side or the other, which is drawn once for the place. A walker enters at a
    gate, one in ten at the first frame, and heads for another at a speed of his own with some
    noise; he keeps away from others within a metre or so, and one in six stops for a while.

    Args:
        n_places: How many places, 6 at most.
        n_scenes: Recordings of each.
        n_agents: Walkers of a recording.
        seed: Seed of everything.
    """
    at_least("make_scenes", 1, n_places=n_places, n_scenes=n_scenes, n_agents=n_agents)
    if n_places > len(PLACES):
        raise UserError(
            f"make_scenes: n_places must be at most {len(PLACES)}; received {n_places}; make more "
            "recordings of each place (n_scenes)."
        )
    return [
        _one_scene(place, k, n_agents, seed, number)
        for number, place in enumerate(PLACES[:n_places])
        for k in range(n_scenes)
    ]


def _one_scene(place: str, k: int, n_agents: int, seed: int, number: int) -> Scene:
    of_place = generator(seed, "made: places", number)
    angles = np.pi / 2 * np.arange(GATES) + of_place.uniform(-0.5, 0.5, GATES)
    gates = SIDE / 2 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    stream = of_place.choice([-1.0, 1.0]) * of_place.uniform(0.2, 0.45)
    rng = generator(seed, f"made: scenes of {place}", k)
    enters = np.sort(rng.integers(0, 5 * n_agents, n_agents))
    enters[: n_agents // 10] = 0
    start = rng.integers(GATES, size=n_agents)
    goal = gates[(start + rng.integers(1, GATES, n_agents)) % GATES] + rng.normal(
        0, 0.8, (n_agents, 2)
    )
    at = gates[start] + rng.normal(0, 0.8, (n_agents, 2))
    speed = np.clip(rng.normal(1.3, 0.25, n_agents), 0.6, 2.0)
    stops = np.where(rng.random(n_agents) < 1 / 6, rng.integers(5, 20, n_agents), 10**6)
    rests = rng.integers(5, 15, n_agents)
    velocity = speed[:, None] * _unit(goal - at)
    ways: list[list[Array]] = [[] for _ in range(n_agents)]
    arrived = np.zeros(n_agents, dtype=bool)
    frame = 0
    while not arrived.all():
        here = np.flatnonzero((enters <= frame) & ~arrived)
        for i in here:
            ways[i].append(np.round(at[i], 3))
        age = frame - enters[here]
        rest = (age >= stops[here]) & (age < stops[here] + rests[here])
        wish = speed[here, None] * _unit(goal[here] - at[here])
        inward = -at[here] / (1 + np.linalg.norm(at[here], axis=1, keepdims=True) ** 2 / 8)
        wish += stream * np.stack([inward[:, 1], -inward[:, 0]], axis=1)
        apart = at[here][:, None] - at[here][None]
        distance = np.linalg.norm(apart, axis=2) + 1e-9
        wish += (apart / distance[..., None] * np.exp(-distance / 0.5)[..., None]).sum(axis=1)
        wish[rest] = 0
        noise = rng.normal(0, 0.08, wish.shape)
        velocity[here] += 0.5 * (wish - velocity[here]) + np.where(rest[:, None], 0.0, noise)
        at[here] += SECONDS * velocity[here]
        arrived[here] = np.linalg.norm(goal[here] - at[here], axis=1) < 0.6
        arrived[here[age > 200]] = True
        frame += 1
    frames = sorted({enters[i] + step for i, way in enumerate(ways) for step in range(len(way))})
    index = {each: place_of for place_of, each in enumerate(frames)}
    tracks = [
        Track(str(i + 1), index[enters[i]], np.array(way)) for i, way in enumerate(ways) if way
    ]
    return Scene(f"{place}/{place}{k + 1}", place, FRAMES * np.array(frames, dtype=float), tracks)


def _unit(vectors: Array) -> Array:
    length: Array = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(length, 1e-9)


def write_series(folder: Path, series: Sequence[MadeSeries]) -> list[Path]:
    """Writes `series.csv`, a row a series as M4 has them, and `future.csv`, what follows each."""
    known = {each.name: each.values for each in series}
    future = {each.name: each.future for each in series}
    return [_write_rows(folder / "series.csv", known), _write_rows(folder / "future.csv", future)]


def _write_rows(path: Path, rows: dict[str, Array]) -> Path:
    width = max(map(len, rows.values()))
    lines = [["id", *(f"V{step + 1}" for step in range(width))]]
    for name, values in rows.items():
        lines.append([name, *(f"{value:.2f}" for value in values), *[""] * (width - len(values))])
    write_atomically(path, "".join(",".join(line) + "\n" for line in lines).encode())
    return path


def write_scenes(folder: Path, scenes: Sequence[Scene]) -> list[Path]:
    """Writes a folder for each place with a text file for each recording, as ETH and UCY are."""
    paths = []
    for scene in scenes:
        rows = sorted(
            (track.first + step, int(track.agent), x, y)
            for track in scene.tracks
            for step, (x, y) in enumerate(track.positions)
        )
        lines = [f"{scene.frames[i]:.0f}\t{agent}\t{x:.3f}\t{y:.3f}\n" for i, agent, x, y in rows]
        paths.append(folder / f"{scene.name}.txt")
        write_atomically(paths[-1], "".join(lines).encode())
    return paths


def series_in(folder: Path, seed: int) -> dict[str, Any]:
    """Writes series into a folder; returns the options of `windows` that read them."""
    season = horizon = 12
    known, future = write_series(folder, make_series(horizon=horizon, season=season, seed=seed))
    return {"path": known, "future": future, "horizon": horizon, "season": season}


def scenes_in(folder: Path, seed: int) -> dict[str, Any]:
    """Writes recordings into a folder; returns the options of `eth_ucy` that read them."""
    write_scenes(folder, make_scenes(seed=seed))
    return {"path": folder, "hold_out": PLACES[0], "valid_place": PLACES[1]}
