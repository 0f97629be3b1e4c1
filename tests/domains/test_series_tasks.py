"""Tasks of series: what is learned from ends before the cut, and what is asked begins there."""

from __future__ import annotations

import numpy as np
import pytest

import quickstudy as qs
from quickstudy import catalog
from quickstudy.errors import UserError

LAGS, HORIZON = 6, 3


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Twelve series, a row each, and what follows each."""
    folder, rng = tmp_path_factory.mktemp("series"), np.random.default_rng(0)
    lines, following = ["id" + "".join(f",v{i}" for i in range(40))], ["id,f0,f1,f2"]
    for number in range(12):
        values = 10 + np.cumsum(rng.normal(size=43 - number))
        row = [f"{value:.3f}" for value in values]
        known = [f"s{number}", *row[:-3]]
        lines.append(",".join(known + [""] * (41 - len(known))))
        following.append(",".join([f"s{number}", *row[-3:]]))
    (folder / "series.csv").write_text("\n".join(lines))
    (folder / "future.csv").write_text("\n".join(following))
    return folder


def source_of(files, **options):
    return catalog.build_tasks(
        {
            "name": "windows",
            "path": files / "series.csv",
            "future": files / "future.csv",
            "lags": LAGS,
            "horizon": HORIZON,
            **options,
        }
    )


def places(source, part):
    """Series of the windows of a part, and the places of their last lags."""
    frame = source.targets.frame(part.x)
    return set(frame.series.tolist()), frame.end.long()


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_no_support_window_reaches_beyond_the_cut(files, split):
    source = source_of(files, n_query=2)
    for index in range(12):
        support, query = source.task(split, index)
        of_support, ends = places(source, support)
        of_query, asked = places(source, query)
        assert of_support == of_query
        assert len(of_query) == 1
        assert int((ends + HORIZON).max()) == int(asked.min())  # the cut: the last known value
        timeline = source.timelines[int(of_query.pop())]
        whole = timeline.whole if split == "test" else timeline.values
        assert int(asked.max()) + HORIZON < len(whole)
        restored = source.targets.restore(query.y, query.x)
        expected = np.stack([whole[end + 1 : end + 1 + HORIZON, 0] for end in asked.tolist()])
        np.testing.assert_allclose(restored, expected, atol=1e-4)


def test_only_meta_test_sees_what_follows(files):
    source = source_of(files)
    cuts = {}
    for split in ("valid", "test"):
        for index in range(source.n_tasks(split)):
            task = source.task(split, index)
            (number,), asked = places(source, task.query)
            known = len(source.timelines[int(number)].values)
            cuts.setdefault(split, set()).add(known - 1 - int(asked[0]))
    assert cuts == {"valid": {HORIZON}, "test": {0}}


def test_without_a_future_the_last_values_are_asked_for(files):
    source = source_of(files, future=None)
    task = source.task("test", 0)
    (number,), asked = places(source, task.query)
    assert int(asked[0]) == len(source.timelines[int(number)].values) - 1 - HORIZON


def test_the_naive_error_is_of_what_is_known_at_the_cut(files):
    source = source_of(files)
    task = source.task("valid", 0)
    frame = source.targets.frame(task.query.x)
    values = source.timelines[int(frame.series[0])].values[: int(frame.end[0]) + 1]
    expected = np.abs(np.diff(values[:, 0])).mean()
    assert float(frame.naive_error[0, 0]) == pytest.approx(expected, rel=1e-5)


def test_every_series_comes_once_before_one_comes_again(files):
    source = source_of(files)
    for split in source.splits:
        n = source.n_tasks(split)
        drawn = [int(source.task(split, i).query.x[0, -2]) for i in range(2 * n)]
        assert sorted(drawn[:n]) == sorted(drawn[n:]) == sorted(source.units[split])
    n = source.n_tasks("train")
    orders = [
        [int(source.task("train", e * n + i).query.x[0, -2]) for i in range(n)] for e in range(4)
    ]
    assert len({tuple(order) for order in orders}) > 1


def test_each_series_is_in_the_test_of_one_fold(files):
    tested = [
        {each for unit in source.units["test"] for each in [source.timelines[unit].name]}
        for source in (source_of(files, folds=4, fold=fold) for fold in range(4))
    ]
    assert sorted(name for names in tested for name in names) == sorted(f"s{i}" for i in range(12))


def test_an_evaluation_takes_no_more_tasks_than_there_are(files):
    source = source_of(files)
    learner = qs.build("RidgeHead", source)
    result = qs.evaluate(learner, source, n_tasks=600, with_baselines=False)
    assert result["n_tasks"] == source.n_tasks("test") == 2


def test_a_run_knows_its_series(files, tmp_path):
    source = source_of(files)
    contents = source.contents()
    assert contents.unit == "series"
    assert {name for names in contents.splits.values() for name in names} == {
        f"s{i}" for i in range(12)
    }
    recorded = qs.tasks.Recorded.in_record(
        {"data": contents.to_json(), "tasks": source.describe()}, "run", ("test",)
    )
    again = source_of(files, seed=5)
    assert [t.name for t in again.timelines] == [t.name for t in source.timelines]
    assert again.units != source.units
    spec = {"name": "windows", "path": files / "series.csv", "future": files / "future.csv"}
    dealt = catalog.build_tasks({**spec, "lags": LAGS, "horizon": HORIZON, "seed": 5}, recorded)
    assert dealt.units == source.units
    text = (files / "series.csv").read_text()
    (tmp_path / "series.csv").write_text(text.replace("s3,", "s3,1"))
    changed = {**spec, "path": tmp_path / "series.csv", "lags": LAGS, "horizon": HORIZON}
    needs_all = qs.tasks.Recorded.in_record(
        {"data": contents.to_json(), "tasks": source.describe()}, "run", ("train", "valid", "test")
    )
    with pytest.raises(UserError, match="s3"):
        catalog.build_tasks(changed, needs_all)


def test_series_that_are_too_short_are_left_out_and_counted(files):
    source = source_of(files, lags=28)
    assert source.describe()["series_left_out"] == 5
    assert "5 of 12 series are shorter than 34 values" in source.describe()["notes"][0]
    with pytest.raises(UserError, match="the longest of 40"):
        source_of(files, lags=60)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folds": 4, "fold": 4}, "received folds=4, fold=4"),
        ({"folds": 40}, "no more than the 12 series"),
        ({"season": 0}, "season must be at least 1"),
        ({"n_query": 0}, "n_query must be at least 1"),
    ],
)
def test_wrong_options_are_refused(files, options, words):
    with pytest.raises(UserError, match=words):
        source_of(files, **options)


def test_a_file_of_what_follows_must_know_every_series(files, tmp_path):
    lines = (files / "future.csv").read_text().splitlines()
    (tmp_path / "future.csv").write_text("\n".join(lines[:-1]))
    with pytest.raises(UserError, match="received none for 's11'"):
        source_of(files, future=tmp_path / "future.csv")


def test_a_run_is_trained_and_asked_about_a_series_of_ones_own(files, tmp_path):
    source = source_of(files)
    learner = qs.build("RidgeHead", source)
    qs.train(learner, source, qs.Training(steps=2, meta_batch=2), tmp_path / "run", show=False)
    model = qs.load(tmp_path / "run")
    history = np.cumsum(np.random.default_rng(1).normal(size=30)) + 500
    adapted = model.adapt(history)
    forecast = adapted.predict(history)
    assert forecast.shape == (HORIZON,)
    assert abs(forecast - 500).max() < 50
    assert model.targets == source.targets
