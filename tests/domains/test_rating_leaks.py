"""What meta-train, meta-valid and meta-test know of one another, by hash: nothing."""

from __future__ import annotations

import hashlib

import pytest

from quickstudy import catalog
from quickstudy.domains.ratings.made import interactions_in, ratings_in

MAKERS = {"ratings": ratings_in, "interactions": interactions_in}
TRAIN = range(40)


def source_of(name, folder, **options):
    spec = {"name": name, "path": folder, "most": 6, "n_query": 4, "n_shot": 4}
    return catalog.build_tasks({**spec, **options})


def hashed(*tensors):
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def hash_of(task):
    return hashed(*task.support, *task.query)


def changed(folder, target, name, users):
    """The same data where these users have the items, and the ratings, of others."""
    lines = (folder / f"{name}.csv").read_text().splitlines()
    listed = [line.split(",")[0] for line in (folder / "items.csv").read_text().splitlines()[1:]]
    rows = [lines[0]]
    for line in lines[1:]:
        user, item, *rest = line.split(",")
        if user in users:
            item = listed[(listed.index(item) + 7) % len(listed)]
            if name == "ratings":
                rest[0] = f"{6 - float(rest[0]):g}"
        rows.append(",".join([user, item, *rest]))
    target.mkdir()
    (target / f"{name}.csv").write_text("\n".join(rows))
    (target / "items.csv").write_text((folder / "items.csv").read_text())
    return target


@pytest.fixture(scope="module", params=MAKERS)
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    MAKERS[request.param](folder, 3)
    return request.param, folder


@pytest.mark.parametrize("order", ["random", "time"])
def test_users_are_apart_by_their_digests(made, order):
    contents = source_of(*made, order=order).contents()
    splits = {split: {h.sha256 for h in each.values()} for split, each in contents.splits.items()}
    assert [*splits] == ["train", "valid", "test"]
    assert sum(map(len, splits.values())) == len(set.union(*splits.values()))
    assert sum(map(len, splits.values())) == sum(map(len, contents.splits.values()))


def test_other_ratings_of_meta_test_users_change_no_meta_train_task_and_no_base(made, tmp_path):
    name, folder = made
    source = source_of(name, folder)
    tested = {source.users[unit].name for unit in source.units["test"]}
    other = source_of(name, changed(folder, tmp_path / "other", name, tested))
    assert {other.users[unit].name for unit in other.units["test"]} == tested
    assert other.items.base == source.items.base
    assert other.items == source.items  # counts, spreads, scale and features too
    for split, indices in (("train", TRAIN), ("valid", range(source.n_tasks("valid")))):
        hashes = [hash_of(source.task(split, index)) for index in indices]
        assert hashes == [hash_of(other.task(split, index)) for index in indices]
    tasks = [source.task("test", 0), other.task("test", 0)]
    assert hash_of(tasks[0]) != hash_of(tasks[1])
    # And the opponents say the same of the same question.
    mine, others = source.rungs(None), other.rungs(None)
    for rung in mine:
        assert hashed(mine[rung].respond(tasks[0])) == hashed(others[rung].respond(tasks[0]))


def test_what_is_asked_is_never_learned_from(made):
    source = source_of(*made)
    for split, indices in (("train", TRAIN), ("test", range(10))):
        for index in indices:
            support, query = source.task(split, index)
            learned = {*support.x[:, -1].tolist()}
            assert len(learned) == len(support.x)
            assert not learned & {*query.x[:, -1].tolist()}


def test_a_meta_train_task_knows_nothing_of_its_own_queries(made):
    """Its bases are those of a file without the user."""
    source = source_of(*made)
    for index in TRAIN:
        task = source.task("train", index)
        user = source._user("train", index)
        others = [each for each in source.past.users if each.name != user.name]
        counts = [0] * source.past.n_items
        for each in others:
            for item in each.items.tolist():
                counts[item] += 1
        for part in task:
            for row, _, base, place in zip(part.x[:, 0], part.y, *part.x[:, -2:].T, strict=True):
                item = int(place) - 1
                assert (row == 0) == (counts[item] == 0)
                if made[0] == "interactions":
                    assert float(base) == pytest.approx(counts[item] / len(others), abs=1e-6)
                elif counts[item] == 0:
                    assert float(base) == pytest.approx(source.past.mean, abs=1e-4)
