"""Recordings of agents: files as they are shared, places, windows, and each fault by its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from quickstudy.errors import DataError, UserError
from quickstudy.inputs.track_files import Scene, Track, read_scene, read_scenes, windows_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "eth_ucy"
NEEDS_DATA = pytest.mark.skipif(not DATA.exists(), reason="needs ETH/UCY in ../shared/data")
ROWS = [(0, 1, 0.5, 1), (10, 1, 1.5, 1), (10, 2, 7, 7), (20, 2, 8, 7), (30, 1, 3.5, 1)]


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def plain(separator: str = "\t") -> str:
    return "".join(separator.join(map(str, row)) + "\n" for row in ROWS)


@pytest.mark.parametrize(
    "text",
    [
        plain(),
        plain("  "),
        "  " + plain(" "),
        plain(","),
        "frame,id,x,y\n" + plain(","),
        "track_id;time;y;x;kind\n"
        + "".join(
            f"{agent};{frame};{str(y).replace('.', ',')};{str(x).replace('.', ',')};walker\n"
            for frame, agent, x, y in reversed(ROWS)
        ),
    ],
)
def test_files_as_they_are_shared(tmp_path: Path, text: str) -> None:
    scene = read_scene(written(tmp_path / "yard.txt", text))
    assert (scene.name, scene.place, scene.frames.tolist()) == ("yard", "yard", [0, 10, 20, 30])
    # The first agent left for one frame, so it has two tracks.
    assert [(each.agent, each.first, each.positions.tolist()) for each in scene.tracks] == [
        ("1", 0, [[0.5, 1], [1.5, 1]]),
        ("1", 3, [[3.5, 1]]),
        ("2", 1, [[7, 7], [8, 7]]),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "0 1 2 3\n0 2 4 3\n10 1 2 3\n10 1 2 4\n",
            "tracks: an agent of yard.txt can be in one position in a frame; received the agent "
            "'1' in the frame 10 in line 3 and in line 4; remove one, or give one of them another "
            "name.",
        ),
        (
            "0 1 2 3\n10 1 nan 3\n",
            "tracks: the column x of yard.txt must hold finite numbers; received 'nan' in line 2; "
            "correct it, or remove the row.",
        ),
        (
            "0 1 2 3\n10 1 2 -inf\n",
            "the column y of yard.txt must hold finite numbers; received '-inf' in",
        ),
        (
            "frame,id,x,y\nA,1,2,3\n",
            "the column frame of yard.txt must hold finite numbers; received 'A' in line 2",
        ),
        (
            "0 1 2 3\n\n10 1 2\n",
            "tracks: every row of yard.txt must have 4 columns, frame, agent, x and y; received 3 "
            "in line 3; correct it, or name the columns in a header.",
        ),
        ("0 1 2 3 9\n", "must have 4 columns, frame, agent, x and y; received 5 in line 1"),
        (
            "frame,id,kind,x,y\n1,2,k,3\n",
            "must have 5 columns, as the header has; received 4 in line 2",
        ),
        (
            "frame,who,x,y\n1,2,3,4\n",
            "tracks: the header of yard.txt must name frame, agent (or id), x and y; received none "
            "for agent among 'frame', 'who', 'x', 'y'; rename columns.",
        ),
        (
            "frame,id,x,y\n1,,3,4\n",
            "every row of yard.txt must name its agent; received an empty cell in line 2",
        ),
        (
            "0 1 2 3\n0 2 2 4\n",
            "tracks: yard.txt must hold at least two frames; received 1; give a recording, frame "
            "by frame.",
        ),
        (
            "",
            "tracks: yard.txt must hold rows of frame, agent, x and y; received none; name another",
        ),
        ("frame,id,x,y\n", "yard.txt must hold rows of frame, agent, x and y; received none"),
    ],
)
def test_each_fault_is_named_by_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str
) -> None:
    written(tmp_path / "yard.txt", text)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        read_scene(Path("yard.txt"))
    assert words in str(caught.value)


def test_places(tmp_path: Path) -> None:
    assert [each.place for each in read_scenes(written(tmp_path / "a.txt", plain()))] == ["a"]
    known = tmp_path / "known"
    for name in ("students003", "uni_examples", "crowds_zara02", "biwi_hotel"):
        written(known / f"{name}.txt", plain())
    written(known / "README.md", "about")
    written(known / "SHA256SUMS", "about")
    assert {each.name: each.place for each in read_scenes(known)} == {
        "biwi_hotel": "hotel",
        "crowds_zara02": "zara",
        "students003": "univ",
        "uni_examples": "univ",
    }
    written(known / "yard.csv", plain(","))
    with pytest.raises(
        UserError, match=r"must be known where .* received none for yard in .*known;"
    ):
        read_scenes(known)
    places = {each.name: each.place for each in read_scenes(known, {"yard": "zara"})}
    assert (places["yard"], places["biwi_hotel"]) == ("zara", "hotel")
    with pytest.raises(UserError, match=r"must name recordings in .*; received yards; it has"):
        read_scenes(known, {"yard": "zara", "yards": "zara"})
    (known / "yard.csv").rename(written(known / "court" / "a.csv", plain(",")).parent / "b.csv")
    assert [(each.name, each.place) for each in read_scenes(known)][4:] == [
        ("court/a", "court"),
        ("court/b", "court"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"must hold recordings .* received none; name another"):
        read_scenes(tmp_path / "empty")
    with pytest.raises(DataError, match="must be a file or folder of recordings; received no such"):
        read_scenes(tmp_path / "nowhere")


def test_windows_by_hand() -> None:
    line = np.arange(6.0)
    way = np.stack([line, 2 * line], axis=1)
    tracks = [Track("a", 0, way[:4]), Track("a", 5, way[:1]), Track("b", 1, way + 10)]
    windows = windows_of(Scene("s", "s", np.arange(7.0), tracks), lags=2, horizon=1)
    assert windows.start.tolist() == [0, 1, 1, 2, 3, 4]
    assert windows.end.tolist() == [2, 3, 3, 4, 5, 6]
    assert windows.agent.tolist() == [0, 0, 2, 2, 2, 2]
    assert windows.lags[1].tolist() == [[1, 2], [2, 4]]
    assert windows.future[:3].tolist() == [[[2, 4]], [[3, 6]], [[12, 14]]]
    company = windows_of(Scene("s", "s", np.arange(7.0), tracks), 2, 1, min_agents=2)
    assert (company.start.tolist(), company.agent.tolist()) == ([1, 1], [0, 2])
    assert len(windows_of(Scene("s", "s", np.arange(7.0), tracks), 2, 1, 3).start) == 0
    assert windows_of(Scene("s", "s", np.arange(7.0), tracks), 3, 4).lags.shape == (0, 3, 2)
    with pytest.raises(UserError, match="'s' must have the frames of a window, 8; received 7"):
        windows_of(Scene("s", "s", np.arange(7.0), tracks), 4, 4)


RECORDINGS = {
    "biwi_eth": (181, 1.217, 2.852),
    "crowds_zara01": (2253, 0.421, 0.930),
    "crowds_zara02": (5833, 0.303, 0.674),
    "crowds_zara03": (2354, 0.502, 1.137),
    "students001": (14295, 0.443, 0.985),
    "uni_examples": (489, 0.570, 1.239),
}


@NEEDS_DATA
@pytest.mark.parametrize("name", RECORDINGS)
def test_constant_velocity_on_eth_ucy(name: str) -> None:
    """The errors, after a fifth of the frames, that a loop over frames and agents measured."""
    scene = read_scene(DATA / f"{name}.txt")
    lags, future, start, end, _ = windows_of(scene, 8, 12, min_agents=2)
    n, ade, fde = RECORDINGS[name]
    assert len(start) == n
    assert (end - start == 19).all()
    later = start >= int(0.2 * len(scene.frames))
    velocity = lags[later, -1] - lags[later, -2]
    ahead = lags[later, -1:] + velocity[:, None] * np.arange(1, 13)[:, None]
    errors = np.linalg.norm(ahead - future[later], axis=2)
    assert round(float(errors.mean()), 3) == ade
    assert round(float(errors[:, -1].mean()), 3) == fde


@NEEDS_DATA
def test_recordings_of_one_place_are_together() -> None:
    scenes = read_scenes(DATA)
    assert sorted({each.place for each in scenes}) == ["eth", "univ", "zara"]
    assert [each.name for each in scenes] == sorted(RECORDINGS)
