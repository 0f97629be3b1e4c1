"""Interactions without ratings: what tasks hold, what is measured, and the opponents by loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy import catalog
from quickstudy.domains.ratings import interaction_tasks
from quickstudy.domains.ratings.made import interactions_in
from quickstudy.domains.ratings.rankers import EASE, ItemCosine, cosines
from quickstudy.errors import UserError
from quickstudy.inputs import Items
from quickstudy.inputs.interaction_files import read_interactions


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plays")
    interactions_in(folder, 1)
    spec = {"name": "interactions", "path": folder, "n_shot": 4, "most": 6, "n_query": 4}
    return catalog.build_tasks(spec)


def read(tmp_path, text, **options):
    path = tmp_path / "plays.csv"
    path.write_text(text)
    return read_interactions(path, **options)


def test_an_item_counts_once_and_at_its_first_time(tmp_path):
    text = "user,item,time\na,x,9\na,y,4\na,x,3\nb,x,1\n"
    plays = read(tmp_path, text, timed=True)
    assert plays.rating.tolist() == [1, 1, 1]
    assert plays.time.tolist() == [4, 3, 1]
    assert list(plays.lines) == [3, 4, 5]
    assert list(read(tmp_path, text).lines) == [2, 3, 5]
    assert plays.scale == (0, 1)


@pytest.mark.parametrize("count", ["0", "-2", "many", ""])
def test_a_count_is_above_zero(tmp_path, count):
    with pytest.raises(UserError, match=rf"above 0; received '{count}' in line 3 of .*; correct"):
        read(tmp_path, f"user,artist,plays\na,x,9\na,y,{count}\n")


def test_files_without_a_header(tmp_path):
    # User, item, time; or the files of MovieLens, whose rating is not looked at.
    assert read(tmp_path, "1,x,50\n2,x,60\n", timed=True).time.tolist() == [50, 60]
    assert read(tmp_path, "1\tx\t0\t50\n2\tx\t5\t60\n", timed=True).time.tolist() == [50, 60]


def test_a_meta_train_task_is_asked_about_the_whole_catalogue(source, monkeypatch):
    support, query = source.task("train", 2)
    user = source._user("train", 2)
    ones = source.targets.restore(query.y, query.x)[:, 0]
    has = np.isin(query.x[:, -1].numpy() - 1, user.items)
    torch.testing.assert_close(ones, torch.from_numpy(has).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(
        source.targets.restore(support.y, support.x), torch.ones(4, 1).double()
    )
    assert len(query.x) == len(source.items.ids) - 4
    assert query.weight.tolist() == [1.0] * len(query.x)
    # Of a larger catalogue some stand for all.
    monkeypatch.setattr(interaction_tasks, "ZEROS", 30)
    few = source.task("train", 2).query
    assert int((few.weight > 1).sum()) == 30
    assert float(few.weight.sum()) == pytest.approx(len(query.x))


def test_only_the_ranking_is_measured(source):
    assert [metric.name for metric in source.metrics] == ["recall", "ndcg"]
    query = source.task("test", 0).query
    assert int(query.weight.sum()) == 4
    best = query.weight[:, None] * 10 - query.x[:, -2:-1] / source.targets.std
    assert [metric.per_task(best, query) for metric in source.metrics] == pytest.approx([1, 1])
    constant = -query.x[:, -2:-1] / source.targets.std
    assert source.metrics[0].per_task(constant, query) == 0


def test_the_opponents_by_loops(source):
    task = source.task("test", 1)
    past = source.past
    x = np.zeros((len(past.users), past.n_items))
    for number, user in enumerate(past.users):
        x[number, user.items] = 1
    support = (task.support.x[:, -1].long() - 1).tolist()
    asked = (task.query.x[:, -1].long() - 1).tolist()
    expected = []
    for i in asked:
        total = 0.0
        for j in support:
            root = math.sqrt(x[:, i].sum() * x[:, j].sum())
            total += (x[:, i] * x[:, j]).sum() / (root + 10) if i != j else 0
        expected.append(total)
    learner = ItemCosine(1.0, cosines(torch.from_numpy(past.together), 10.0))
    scores = learner.score(learner.adapt(task.support), task.query.x)
    assert scores.tolist() == pytest.approx(expected, abs=1e-5)
    rungs = source.rungs(None)
    assert set(rungs) == {"EASE", "ItemKNN", "Popularity"}
    assert isinstance(rungs["EASE"], EASE)
    order = torch.argsort(rungs["Popularity"].respond(task)[:, 0] * source.targets.std
                          + task.query.x[:, -2])  # fmt: skip
    assert (np.diff(x.sum(axis=0)[np.array(asked)[order]]) >= 0).all()


def test_the_kind_of_interactions_is_kept(source):
    again = Items.from_json(source.items.to_json())
    assert again == source.items
    assert not again.rated
    assert "share" in again.scale.naive


def test_a_learner_finds_four_times_what_chance_does(source):
    learner = qs.build("PriorHead", source, net={"width": 8})
    training = qs.Training(steps=8, meta_batch=2, outer_lr=1e-2, valid_tasks=0)
    qs.train(learner, source, training, show=False)
    recall = source.metrics[0].per_task
    with torch.no_grad():
        tasks = [source.task("test", index) for index in range(source.n_tasks("test"))]
        values = [recall(learner.respond(task), task.query) for task in tasks]
    assert np.mean(values) > 4 * 10 / len(source.items.ids)
