"""Tasks of recordings: places stay apart, and so do the times before and after the cut."""

from __future__ import annotations

import numpy as np
import pytest

import quickstudy as qs
from quickstudy import catalog
from quickstudy.errors import UserError

LAGS, HORIZON = 4, 3
PLACES = {"square": ("s1", "s2"), "street": ("t1",), "yard": ("y1", "y2")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five recordings of three places, of forty walkers each who come one after the other."""
    top, rng = tmp_path_factory.mktemp("tracks"), np.random.default_rng(0)
    for place, names in PLACES.items():
        (top / place).mkdir()
        for name in names:
            lines = []
            for agent in range(40):
                step = rng.normal(size=2)
                for t in range(12):
                    x, y = step * t + rng.normal(scale=0.01, size=2)
                    lines.append((10 * (t + 2 * agent), agent, x, y))
            text = "\n".join(f"{f}\t{a}\t{x:.4f}\t{y:.4f}" for f, a, x, y in sorted(lines))
            (top / place / f"{name}.txt").write_text(text)
    return top


def source_of(folder, **options):
    spec = {"name": "eth_ucy", "path": folder, "lags": LAGS, "horizon": HORIZON}
    return catalog.build_tasks({**spec, "hold_out": "square", **options})


def test_no_place_is_on_both_sides_of_a_split(folder):
    source = source_of(folder, valid_place="yard")
    of_split = {
        split: {source.scenes[unit].place for unit in source.units[split]}
        for split in source.splits
    }
    assert of_split == {"train": {"street"}, "valid": {"yard"}, "test": {"square"}}
    assert source_of(folder).splits == ("train", "test")


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_what_is_learned_from_ends_before_what_is_asked_begins(folder, split):
    source = source_of(folder, valid_place="yard", min_agents=1)
    kind = source.windows
    for index in range(4):
        support, query = source.task(split, index)
        last = source.targets.frame(support.x).end.max()
        first = source.targets.frame(query.x).end.min()
        assert int(last) + kind.horizon < int(first) - kind.lags + 1


def test_a_window_has_no_fewer_agents_than_asked(folder):
    alone, together = (source_of(folder, min_agents=n) for n in (1, 2))
    counts = [sum(len(part.x) for part in source.task("test", 0)) for source in (alone, together)]
    assert counts[0] > counts[1] > 0


def test_the_frame_knows_the_way_walked(folder):
    source = source_of(folder, min_agents=1)
    task = source.task("test", 0)
    scene = source.scenes[source.units["test"][0]]
    frame = source.targets.frame(task.query.x)
    windows = source.targets.values(task.query.x)
    track = scene.tracks[int(frame.series[0])]
    first = int(frame.end[0]) - LAGS + 1 - track.first
    np.testing.assert_allclose(windows[0], track.positions[first : first + LAGS], atol=1e-4)
    # Who walks on as before is where constant velocity says, but for the noise.
    assert float(task.query.y.abs().mean()) < 0.1


def test_a_query_of_fewer_windows_is_drawn(folder):
    source = source_of(folder, min_agents=1, n_query=2)
    task = source.task("test", 0)
    assert len(task.query.x) == 2
    assert (task.query.x == source.task("test", 0).query.x).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hold_out": "park"}, "hold_out must be a place.*square, street, yard; received 'park'"),
        ({"valid_place": "park"}, "valid_place must be a place"),
        ({"lags": 20}, "before and after the cut at frame 18 of 90; received 0"),
    ],
)
def test_wrong_options_are_refused(folder, options, words):
    with pytest.raises(UserError, match=words):
        source_of(folder, min_agents=1, **options).task("test", 0)


def test_meta_training_needs_a_place_of_its_own(folder, tmp_path):
    for place in ("square", "yard"):
        (tmp_path / place).symlink_to(folder / place)
    with pytest.raises(UserError, match="neither hold_out nor valid_place"):
        source_of(tmp_path, valid_place="yard")


def test_a_scene_of_ones_own_is_learned(folder, tmp_path):
    source = source_of(folder, min_agents=1)
    learner = qs.build("RidgeHead", source)
    qs.train(learner, source, qs.Training(steps=2, meta_batch=2), tmp_path / "run", show=False)
    model = qs.load(tmp_path / "run")
    X, y = model.preprocess.read_labelled(folder / "street" / "t1.txt", None, "regression")
    adapted = model.adapt(X, y)
    walk = np.stack([np.arange(6.0), np.zeros(6)], axis=1)
    answer = adapted.predict(walk)
    assert answer.shape == (HORIZON, 2)
    np.testing.assert_allclose(answer[:, 0], [6, 7, 8], atol=0.3)


def test_meta_training_cuts_a_short_recording_where_it_can(folder, tmp_path):
    for place in PLACES:
        (tmp_path / place).mkdir()
        lines = (folder / place).iterdir()
        text = min(lines).read_text().splitlines()
        frames = [line for line in text if float(line.split()[0]) < 150]
        (tmp_path / place / "short.txt").write_text("\n".join(frames))
    source = source_of(tmp_path, min_agents=1)
    for index in range(20):
        assert all(len(part.x) for part in source.task("train", index))
    with pytest.raises(UserError, match="before and after the cut at frame 3 of 15"):
        source.task("test", 0)
