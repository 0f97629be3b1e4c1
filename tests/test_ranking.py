"""The catalogue ranked for a user, and which items to ask about."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy import catalog
from quickstudy.domains.ratings.made import make_ratings, write_ratings
from quickstudy.errors import UserError
from quickstudy.models.ranking import questions, rank


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    write_ratings(folder, make_ratings(n_users=60, n_items=80, least=16))
    return catalog.build_tasks({"name": "ratings", "path": folder, "most": 10, "n_query": 5})


def model_of(name, source):
    learner = qs.build(name, source, net={"width": 6})
    qs.train(learner, source, qs.Training(steps=3, valid_tasks=0), show=False)
    return qs.Model(learner, source.x_shape, source.preprocess, targets=source.targets)


@pytest.fixture(scope="module")
def model(source):
    return model_of("PriorHead", source)


def test_the_whole_catalogue_is_ranked_without_what_was_rated(model):
    items = model.preprocess
    rated = list(items.ids[:5])
    adapted = model.adapt(rated, [5.0, 1.0, 4.0, 2.0, 3.0])
    ranked = rank(adapted)
    assert sorted(each.item for each in ranked) == sorted(set(items.ids) - set(rated))
    scores = [each.score for each in ranked]
    assert scores == sorted(scores, reverse=True)
    assert all(1 <= each.rating <= 5 for each in ranked)
    answers = dict(zip(items.ids[5:], adapted.predict(items.ids[5:]), strict=True))
    assert [answers[each.item] for each in ranked] == pytest.approx(scores, abs=1e-5)
    assert rank(adapted, 3) == ranked[:3]
    with pytest.raises(UserError, match="at least 1"):
        rank(adapted, 0)


def test_popularity_orders_the_list_and_leaves_the_ratings(model):
    adapted = model.adapt(list(model.preprocess.ids[:5]), [5.0, 1.0, 4.0, 2.0, 3.0])
    plain = {each.item: each for each in rank(adapted)}
    for weight in (0.3, 1000.0):
        lifted = rank(adapted, popularity=weight)
        for each in lifted:
            before = plain[each.item]
            for part in ("rating", "low", "high"):
                assert getattr(each, part) == pytest.approx(getattr(before, part), abs=1e-5)
            expected = before.score + weight * np.log1p(each.n_ratings)
            assert each.score == pytest.approx(expected, rel=1e-6)
        scores = [each.score for each in lifted]
        assert scores == sorted(scores, reverse=True)
    counts = [each.n_ratings for each in lifted]
    assert counts == sorted(counts, reverse=True)  # 1000 leaves no say to the ratings
    with pytest.raises(UserError, match="at least 0"):
        rank(adapted, popularity=-1.0)


def test_ratings_change_the_list(model):
    items = model.preprocess
    liked, disliked = (
        rank(model.adapt(items.ids[:5], ratings), 20) for ratings in ([5.0] * 5, [1.0] * 5)
    )
    assert np.mean([e.score for e in liked]) > np.mean([e.score for e in disliked]) + 0.1


def variance(learner, source, support):
    """The variance over the most rated items, in their ratings."""
    items = source.items
    popular = np.argsort(-np.asarray(items.counts), kind="stable")[:500]
    table = torch.from_numpy(items.table).float()[popular]
    _, std = learner.distribution(learner.adapt(support), table)
    return float((std.square()[:, 0] * torch.tensor(items.counts)[popular]).sum())


def test_the_first_question_lowers_the_variance_most(source, model):
    asked = questions(model, 2, among=30)
    assert asked.by == "posterior"
    items, learner = source.items, model.learner
    popular = np.argsort(-np.asarray(items.counts), kind="stable")[:30]
    table = torch.from_numpy(items.table).float()
    blank = qs.Examples(table[:1] * 0, torch.zeros(1, 1), torch.zeros(1))
    expected = learner.predict(learner.adapt(blank), table)

    def with_rating(place, support):
        more = (table[place][None], expected[place][None], torch.ones(1))
        return qs.Examples(*(torch.cat(p) for p in zip(support, more, strict=True)))

    left = {int(place): variance(learner, source, with_rating(place, blank)) for place in popular}
    assert asked.items[0] == items.ids[min(left, key=left.get)]
    assert len({*asked.items}) == 2
    # The best question leaves clearly less doubt than the worst.
    assert min(left.values()) < 0.995 * max(left.values())


def test_a_user_is_not_asked_again(model):
    items = model.preprocess
    first = questions(model, 1, among=10).items
    adapted = model.adapt([*first, items.ids[0]], [4.0, 2.0])
    assert not {*questions(adapted, 3, among=10).items} & {*first, items.ids[0]}


def test_without_a_posterior_the_most_disputed_are_asked(source):
    model = model_of("RidgeHead", source)
    asked = questions(model, 3, among=40)
    items = source.items
    assert asked.by == "spread"
    popular = np.argsort(-np.asarray(items.counts), kind="stable")[:40]
    best = sorted(popular.tolist(), key=lambda place: -items.spread[place])[:3]
    assert asked.items == [items.ids[place] for place in best]


def test_other_models_have_no_catalogue():
    learner = qs.learners.RidgeHead(qs.nets.MLP((2,)), "regression")
    with pytest.raises(UserError, match="items of a catalogue"):
        questions(qs.Model(learner, (2,)))


def test_a_new_rating_replaces_the_one_before(model):
    items = model.preprocess
    once = model.adapt({"f001": 5, "f002": 1})
    changed = once.update(["f002", "f003"], [3, 4])
    assert changed.labels == [5, 3, 4]
    expected = model.adapt(["f001", "f002", "f003"], [5, 3, 4]).predict(items.ids)
    np.testing.assert_allclose(changed.predict(items.ids), expected, atol=1e-5)
    assert once.labels == [5, 1]


def test_what_no_user_can_say_is_refused(model):
    with pytest.raises(UserError, match="one rating; received 'f001' in examples 0 and 1"):
        model.adapt(["f001", "F001"], [5, 4])
    with pytest.raises(UserError, match="1 to 5; received 9"):
        model.adapt(["f001", "f002"], [5, 9])
    with pytest.raises(UserError, match="received"):
        model.adapt(["f001", "f002"], [5, float("nan")])


def test_a_run_on_disk_adapts_to_a_users_file(source, tmp_path):
    learner = qs.build("PriorHead", source, net={"width": 6})
    qs.train(learner, source, qs.Training(steps=2, valid_tasks=2), tmp_path / "run", show=False)
    model = qs.load(tmp_path / "run")
    assert model.preprocess == source.items
    (tmp_path / "mine.csv").write_text("item,rating\nf001,5\nf002,1\nf003,4\n")
    names, ratings = model.preprocess.read_labelled(tmp_path / "mine.csv", None, "regression")
    adapted = model.adapt(names, ratings)
    adapted.save(tmp_path / "mine.task")
    again = qs.load_task(tmp_path / "mine.task")
    assert rank(again, 5) == rank(adapted, 5)
