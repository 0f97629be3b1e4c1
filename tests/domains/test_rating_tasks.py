"""Tasks of users: who is asked what, from which means, and what no split knows of another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy import catalog
from quickstudy.domains.ratings.made import make_ratings, write_ratings
from quickstudy.errors import UserError
from quickstudy.targets import OffsetScale, rule_from_json, rule_to_json
from quickstudy.tasks.recorded import Recorded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_ratings(folder, make_ratings(n_users=60, n_items=80, least=16))
    return folder


def source_of(folder, recorded=None, **options):
    spec = {"name": "ratings", "path": folder, "most": 10, "n_query": 5}
    return catalog.build_tasks({**spec, **options}, recorded)


def places(part):
    return part.x[part.weight > 0][:, -1].long().tolist()


def test_the_same_ratings_are_asked_whatever_the_support(folder):
    five, ten = source_of(folder, n_shot=5), source_of(folder, n_shot=10)
    for index in range(five.n_tasks("test")):
        few, many = five.task("test", index), ten.task("test", index)
        assert places(few.query) == places(many.query)
        assert places(few.support) == places(many.support)[:5]
        assert not {*places(many.support)} & {*places(many.query)}
    resized = five.resized(n_shot=10)
    torch.testing.assert_close(resized.task("test", 1).support.x, ten.task("test", 1).support.x)
    with pytest.raises(UserError, match="at most 10"):
        five.resized(n_shot=11)


def test_candidates_are_all_items_that_the_user_did_not_rate(folder):
    source = source_of(folder)
    for index in range(3):
        _, query = source.task("test", index)
        user = source.users[source.units["test"][index]]
        others = query.x[query.weight == 0][:, -1].long() - 1
        every = set(range(len(source.items.ids)))
        assert set(others.tolist()) == every - set(user.items.tolist())
        assert int(query.weight.sum()) == 5
    few = source_of(folder, candidates=7)
    assert [int((few.task("test", 0).query.weight == 0).sum()) for _ in range(2)] == [7, 7]


def test_targets_are_ratings_beside_the_base(folder):
    source = source_of(folder)
    for split in ("train", "test"):
        support, _ = source.task(split, 3)
        ratings = source.targets.restore(support.y, support.x)
        torch.testing.assert_close(ratings, ratings.round(), rtol=0, atol=1e-5)
    by_hand = {}
    for unit in source.units["train"]:
        for item, rating in zip(*source.users[unit][1:3], strict=True):
            by_hand.setdefault(int(item), []).append(rating)
    mean = np.mean(np.concatenate([*by_hand.values()]))
    for item, ratings in by_hand.items():
        base = mean + np.sum(np.array(ratings) - mean) / (len(ratings) + source.past.penalty)
        assert abs(source.items.base[item] - base) < 1e-5
        assert source.items.counts[item] == len(ratings)


def test_the_base_of_a_train_task_knows_nothing_of_its_user(folder):
    source = source_of(folder)
    past = source.past
    user = past.users[0]
    others = type(past)(past.users[1:], past.n_items, past.penalty)
    expected = others.base[user.items] - others.mean + past.mean
    shift = (past.mean - others.mean) * past.counts[user.items]  # the sums are beside the mean
    expected -= (shift - (past.mean - others.mean)) / (past.counts[user.items] - 1 + past.penalty)
    base = past.base_without(user.items, user.ratings)
    np.testing.assert_allclose(base, expected, atol=1e-9)
    changed = past.base_without(user.items, user.ratings)
    assert np.abs(changed - past.base[user.items]).max() > 0.01


def test_nothing_of_meta_test_users_is_in_the_means(folder, tmp_path):
    source = source_of(folder)
    tested = {source.users[unit].name for unit in source.units["test"]}
    lines = (folder / "ratings.csv").read_text().splitlines()
    changed = [lines[0]]
    for line in lines[1:]:
        user, item, rating, time = line.split(",")
        rating = str(6 - float(rating)) if user in tested else rating
        changed.append(",".join([user, item, rating, time]))
    (tmp_path / "ratings.csv").write_text("\n".join(changed))
    (tmp_path / "items.csv").write_text((folder / "items.csv").read_text())
    other = source_of(tmp_path)
    assert {other.users[unit].name for unit in other.units["test"]} == tested
    assert other.items == source.items


def test_every_user_is_in_one_split_and_known_by_a_digest(folder):
    source = source_of(folder)
    contents = source.contents()
    names = [name for split in contents.splits.values() for name in split]
    digests = [each.sha256 for split in contents.splits.values() for each in split.values()]
    assert len({*names}) == len(names) == 60 - len(contents.left_out)
    assert len({*digests}) == len(digests)
    assert contents.unit == "user"


def test_a_run_keeps_its_users_apart_and_its_catalogue(folder, tmp_path):
    source = source_of(folder, seed=1)
    learner = qs.build("RidgeHead", source, net={"width": 4})
    qs.train(learner, source, qs.Training(steps=1, valid_tasks=0), tmp_path / "run", show=False)
    more = make_ratings(n_users=70, n_items=80, least=16)
    # More users, and the items in another order.
    write_ratings(tmp_path / "more", more._replace(items=more.items[::-1]))
    again = source_of(tmp_path / "more", seed=1, recorded=Recorded.of(tmp_path / "run"))
    assert again.items == source.items
    for split, units in source.units.items():
        names = {again.users[unit].name for unit in again.units[split]}
        assert names == {source.users[unit].name for unit in units}
    assert set(again.contents().left_out) == {f"u{n:03d}" for n in range(60, 70)}
    expected, task = source.task("test", 2), again.task("test", 2)
    torch.testing.assert_close(task.query.x, expected.query.x)


def test_the_first_in_time_are_learned_from(folder):
    source = source_of(folder, order="time", n_shot=4)
    support, query = source.task("test", 0)
    user = source.users[source.units["test"][0]]
    assert places(support) == (user.items[:4] + 1).tolist()
    assert places(query) == (user.items[10:15] + 1).tolist()
    for index in range(20):
        support, query = source.task("train", index)
        owners = [u for u in source.users if {*places(support)} <= {*(u.items + 1).tolist()}]
        when = {int(item) + 1: n for n, item in enumerate(owners[0].items)}
        if all(place in when for place in places(query)):
            latest = max(when[place] for place in places(support))
            assert latest < min(when[place] for place in places(query))


def test_an_item_that_nobody_rated_has_the_global_mean_and_row_0(folder):
    source = source_of(folder)
    unrated = [place for place, n in enumerate(source.items.counts) if n == 0]
    assert unrated
    x = source.items.table[unrated]
    assert (x[:, 0] == 0).all()
    np.testing.assert_allclose(x[:, -2], source.past.mean, atol=1e-5)


def test_users_with_too_few_ratings_are_counted_or_refused_by_line(folder, tmp_path):
    text = (folder / "ratings.csv").read_text()
    n = len(text.splitlines())
    (tmp_path / "ratings.csv").write_text(text + "new,f001,4,1\nnew,f002,4,2\n")
    (tmp_path / "items.csv").write_text((folder / "items.csv").read_text())
    source = source_of(tmp_path)
    assert f"'new' in line {n + 1}" in source.describe()["notes"][0]
    assert "new" in source.contents().splits["train"]
    with pytest.raises(UserError, match=f"2 of user 'new', from line {n + 1}"):
        source_of(tmp_path, few="refuse")


def test_an_item_that_is_not_listed_is_named_by_line(folder, tmp_path):
    text = (folder / "ratings.csv").read_text()
    (tmp_path / "ratings.csv").write_text(text + "u000,mystery,4,1\n")
    (tmp_path / "items.csv").write_text((folder / "items.csv").read_text())
    line = len(text.splitlines()) + 1
    with pytest.raises(UserError, match=f"'mystery' in line {line}"):
        source_of(tmp_path)


def test_meta_test_users_may_be_named(folder, tmp_path):
    (tmp_path / "test.txt").write_text("u003\nu007\n")
    source = source_of(folder, test_users=tmp_path / "test.txt")
    assert [source.users[unit].name for unit in source.units["test"]] == ["u003", "u007"]
    (tmp_path / "test.txt").write_text("u003\nnobody\n")
    with pytest.raises(UserError, match="'nobody'"):
        source_of(folder, test_users=tmp_path / "test.txt")


def test_the_scale_goes_there_and_back():
    scale = OffsetScale(0.5, "the mean")
    x, y = torch.tensor([[0.0, 3.5, 1.0], [0.0, 2.0, 2.0]]), torch.tensor([[4.0], [1.0]])
    values = scale.standardise(y, x)
    torch.testing.assert_close(values, torch.tensor([[1.0], [-2.0]]).double())
    torch.testing.assert_close(scale.restore(values, x), y.double())
    torch.testing.assert_close(scale.deviations(values, x), values * 0.5)
    assert rule_from_json(rule_to_json(scale)) == scale


@pytest.mark.parametrize("name", ["RidgeHead", "PriorHead", "NeuralProcess", "MAML", "Pooled"])
def test_learners_run_unchanged(folder, name):
    source = source_of(folder)
    learner = qs.build(name, source, net={"width": 6})
    before = [p.clone() for p in learner.parameters()]
    qs.train(learner, source, qs.Training(steps=2, valid_tasks=2, valid_every=2), show=False)
    moved = [bool((a != b).any()) for a, b in zip(before, learner.parameters(), strict=True)]
    assert any(moved)
    answer = learner.respond(source.task("test", 0))
    assert torch.isfinite(answer).all()


def test_made_ratings_are_the_same_for_a_seed(tmp_path):
    one, again = (
        [path.read_bytes() for path in write_ratings(tmp_path / name, make_ratings(9, 60, seed=3))]
        for name in ("one", "again")
    )
    assert one == again
    other = write_ratings(tmp_path / "other", make_ratings(9, 60, seed=4))
    assert [path.read_bytes() for path in other] != one
    # A user is the same, however many there are.
    more = make_ratings(12, 60, seed=3).ratings
    assert make_ratings(9, 60, seed=3).ratings == [row for row in more if row[0] < "u009"]
