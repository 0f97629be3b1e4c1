import numpy as np
import pytest
import torch

from quickstudy.errors import UserError
from quickstudy.tasks.episodes import Dataset, Episodes
from quickstudy.tasks.pools import ClassPool


def pool(first, n_classes, counts=30, **more):
    """A pool whose examples carry their own number, so that a task tells what it drew."""
    counts = np.broadcast_to(counts, n_classes)
    y = np.repeat(np.arange(n_classes), counts)
    x = np.stack([first + np.arange(len(y)), y], axis=1).astype(np.float32)
    shuffled = np.random.default_rng(0).permutation(len(y))
    return ClassPool(x[shuffled], y[shuffled], [f"c{first + i}" for i in range(n_classes)], **more)


@pytest.fixture
def data():
    return Dataset("toy", {"train": pool(0, 12), "valid": pool(10_000, 8), "test": pool(20_000, 9)})


def ids(part):
    return part.x[:, 0].int().tolist()


def test_support_and_query_are_disjoint_and_of_their_split(data):
    episodes = Episodes(data, n_way=5, n_shot=3, n_query=4)
    for split, low in (("train", 0), ("valid", 10_000), ("test", 20_000)):
        for index in range(20):
            support, query = episodes.task(split, index)
            drawn = ids(support) + ids(query)
            assert len(set(drawn)) == len(drawn) == 5 * (3 + 4)
            assert all(low <= number < low + 10_000 for number in drawn)


def test_targets_name_the_class(data):
    support, query = Episodes(data, n_way=4, n_shot=2, n_query=3).task("train", 0)
    for column in range(4):
        of_class = [part.x[part.y[:, column] == 1, 1].unique() for part in (support, query)]
        assert len(of_class[0]) == 1
        assert torch.equal(*of_class)
    assert support.y.sum(dim=0).tolist() == [2] * 4
    assert query.y.sum(dim=0).tolist() == [3] * 4


def test_same_seed_same_episode_in_any_order(data):
    episodes, again = Episodes(data, seed=3), Episodes(data, seed=3)
    forward = [ids(episodes.task("train", i).support) for i in range(6)]
    backward = [ids(again.task("train", i).support) for i in reversed(range(6))]
    assert forward == backward[::-1]
    assert forward[0] != ids(Episodes(data, seed=4).task("train", 0).support)
    assert len({tuple(one) for one in forward}) == 6


def test_all_classes_and_examples_come_up(data):
    episodes = Episodes(data, n_way=3, n_shot=1, n_query=2)
    seen = {i for index in range(1500) for part in episodes.task("test", index) for i in ids(part)}
    assert len(seen) == 9 * 30


def test_unequal_ways_and_shots_are_padded(data):
    episodes = Episodes(data, n_way=(2, 6), n_shot=(1, 4), n_query=2)
    tasks = [episodes.task("train", i) for i in range(40)]
    assert {task.support.y.shape[1] for task in tasks} == {2, 3, 4, 5, 6}
    shots = {int(n) for task in tasks for n in task.support.y.sum(dim=0)}
    assert shots == {1, 2, 3, 4}
    batch = episodes.batch("train", range(40))
    for i, task in enumerate(tasks):
        n, way = task.support.y.shape
        assert torch.equal(batch.support.x[i, :n], task.support.x)
        assert torch.equal(batch.support.y[i, :n, :way], task.support.y)
        assert batch.support.weight[i].sum() == n
        assert not batch.support.y[i, n:].any()
        assert not batch.support.y[i, :, way:].any()


@pytest.mark.parametrize("counts", [30, list(range(12, 24))])
def test_disjoint_episodes_share_nothing(data, counts):
    data.pools["test"] = pool(0, 12, counts)
    episodes = Episodes(data, n_way=3, n_shot=1, n_query=5)
    tasks = list(episodes.disjoint("test"))
    drawn = [number for task in tasks for part in task for number in ids(part)]
    assert len(set(drawn)) == len(drawn) == len(tasks) * 18
    usable = sum(n // 6 for n in np.broadcast_to(counts, 12))
    assert len(tasks) >= usable // 3 - 1
    assert [ids(t.query) for t in episodes.disjoint("test")] == [ids(t.query) for t in tasks]


def drawn_by_authors():
    """Two alphabets of 6 and 4 characters, each drawn by 10 people."""
    one = pool(0, 10, 10, group=np.array(["big"] * 6 + ["small"] * 4))
    author = one.x[:, 0].astype(int) % 10
    return Dataset(
        "drawn",
        {"train": ClassPool(one.x, one.y, one.names, one.group, author)},
        within_group=True,
        other_authors=True,
    )


@pytest.mark.parametrize("disjoint", [False, True])
def test_episodes_within_a_group_by_other_authors(disjoint):
    episodes = Episodes(drawn_by_authors(), n_way=3, n_shot=(1, 3), n_query=5)
    tasks = (
        list(episodes.disjoint("train"))
        if disjoint
        else [episodes.task("train", i) for i in range(40)]
    )
    groups = set()
    for support, query in tasks:
        group = {int(c) >= 6 for c in [*support.x[:, 1], *query.x[:, 1]]}
        assert len(group) == 1
        groups |= group
        authors = [{number % 10 for number in ids(part)} for part in (support, query)]
        assert not authors[0] & authors[1]
        assert query.y.sum(dim=0).tolist() == [5, 5, 5]
    assert groups == {False, True}
    if disjoint:
        drawn = [number for task in tasks for part in task for number in ids(part)]
        assert len(tasks) == 3
        assert len(set(drawn)) == len(drawn)


def test_groups_too_small_for_the_ways_are_passed_over():
    episodes = Episodes(drawn_by_authors(), n_way=5, n_shot=1, n_query=5)
    assert all(episodes.task("train", i).support.x[:, 1].max() < 6 for i in range(20))
    with pytest.raises(UserError, match=r"needs 7 classes in a group .* received 6"):
        episodes.resized(n_way=7)


def test_uint8_becomes_zero_to_one():
    x = np.arange(40, dtype=np.uint8).reshape(20, 1, 1, 2) * 6
    data = Dataset("tiny", {"train": ClassPool(x, np.arange(20) % 2, ["a", "b"])})
    task = Episodes(data, n_way=2, n_shot=5, n_query=5).task("train", 0)
    values = torch.cat([task.support.x, task.query.x]).flatten().sort().values
    torch.testing.assert_close(values, torch.from_numpy(x.flatten() / np.float32(255)))


def test_bad_requests(data):
    data.pools["valid"] = pool(0, 8, [30] * 7 + [3])
    with pytest.raises(UserError, match=r"toy/valid needs 16 examples .* c7 \(3\); lower n_shot"):
        Episodes(data)
    del data.pools["valid"]
    with pytest.raises(UserError, match=r"needs 10 classes in a split .* received 9"):
        Episodes(data, n_way=10)
    with pytest.raises(UserError, match=r"n_shot must be at least 1"):
        Episodes(data, n_shot=0)
    with pytest.raises(UserError, match=r"range must go upwards; received \(5, 2\)"):
        Episodes(data, n_way=(5, 2))
    with pytest.raises(UserError, match="n_query must be at least 1"):
        Episodes(data, n_query=0)
    with pytest.raises(UserError, match=r"has the splits train, test; received 'valid'"):
        Episodes(data).task("valid", 0)


def of_two_parts(counts=30):
    """A pool of which every third example is of a test part."""
    whole = pool(0, 4, counts)
    test = whole.x[:, 0] % 3 == 0
    return ClassPool(whole.x, whole.y, whole.names, only_queries=test)


def test_queries_of_a_test_part_are_never_in_a_support():
    episodes = Episodes(Dataset("toy", {"test": of_two_parts()}), n_way=3, n_shot=4, n_query=5)
    once = list(episodes.disjoint("test"))
    seen = [i for support, query in once for i in (*ids(support), *ids(query))]
    assert len(once) == 2
    assert len(set(seen)) == len(seen)
    for support, query in (*once, *(episodes.task("test", i) for i in range(20))):
        assert len(ids(support)) == 12
        assert len(ids(query)) == 15
        assert all(i % 3 for i in ids(support))
        assert not any(i % 3 for i in ids(query))


def test_each_part_needs_its_examples():
    pools = {"test": of_two_parts()}  # 20 + 10 of a class
    Episodes(Dataset("toy", pools), n_way=3, n_shot=20, n_query=10)
    with pytest.raises(UserError, match=r"c0 \(20 \+ 10\)"):
        Episodes(Dataset("toy", pools), n_way=3, n_shot=20, n_query=11)
    with pytest.raises(UserError, match=r"needs 31 examples .*c0 \(20 \+ 10\)"):
        Episodes(Dataset("toy", pools), n_way=3, n_shot=21, n_query=10)
