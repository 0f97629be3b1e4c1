"""Tasks of pictures by site: what is drawn, what is read, and what is refused."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from site_folders import site_folder, site_tasks

import quickstudy as qs
from quickstudy.domains.sites.details import surest
from quickstudy.domains.sites.metrics import balanced_accuracy, rates
from quickstudy.errors import DataError, UserError
from quickstudy.task import Examples
from quickstudy.tasks.recorded import Recorded


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return site_folder(tmp_path_factory.mktemp("cells"))


def changed(folder, target, *gone):
    shutil.copytree(folder, target)
    for name in gone:
        shutil.rmtree(target / name)
    return target


def rows_of(part):
    return [each.numpy().tobytes() for each in part.x]


def test_a_task_is_a_site_with_its_classes_in_order(folder):
    source = site_tasks(folder)
    assert source.classes == ("disc", "ring", "stripes")
    assert source.shares_outputs
    assert source.n_out == 3
    assert source.x_shape == (3, 16, 16)
    for split in source.splits:
        for index in range(6):
            support, query = source.task(split, index)
            assert support.y.sum(dim=0).tolist() == [3, 3, 3]
            assert query.y.sum(dim=0).tolist() == [6, 6, 3]  # the rate of the site
            site = source.site_of(split, index)
            own = {row.tobytes() for row in source.examples(np.flatnonzero(source.site == site)).x
                   .numpy()}  # fmt: skip
            assert {*rows_of(support), *rows_of(query)} <= own
            for part in (support, query):
                for x, y in zip(rows_of(part), part.y.argmax(dim=1).tolist(), strict=True):
                    assert x in {r.numpy().tobytes() for r in source.examples(
                        np.flatnonzero((source.site == site) & (source.y == y))).x}  # fmt: skip
    epoch = [source.site_of("train", index) for index in range(3)]
    assert sorted(epoch) == sorted(source.units["train"])


def test_the_same_pictures_are_asked_whatever_is_learned_from(folder):
    two, six = site_tasks(folder, n_shot=2), site_tasks(folder, n_shot=6)
    for index in range(4):
        few, many = two.task("test", index), six.task("test", index)
        assert sorted(rows_of(few.query)) == sorted(rows_of(many.query))
        assert {*rows_of(few.support)} < {*rows_of(many.support)}
        assert two.resized(n_shot=6).task("test", index).support.x.equal(many.support.x)
    assert two.task("train", 3).support.x.equal(site_tasks(folder, n_shot=2).task("train", 3)
                                                .support.x)  # fmt: skip
    with pytest.raises(UserError, match="at most 4, so that every number"):
        site_tasks(folder, n_shot=5, most=4)


def test_meta_train_tasks_learn_from_other_numbers(folder):
    source = site_tasks(folder, shots=(1, 4))
    numbers = {len(source.task("train", index).support.x) for index in range(12)}
    assert numbers == {3, 11}  # of the third class no more than half of 6
    assert {len(source.task("test", index).support.x) for index in range(3)} == {9}


def test_sites_are_named_or_dealt_out(folder):
    source = site_tasks(folder, valid_sites=("site1",), test_sites=("site0", "site4"))
    names = {split: [source.sites[n] for n in own] for split, own in source.units.items()}
    assert names == {"train": ["site2", "site3"], "valid": ["site1"], "test": ["site0", "site4"]}
    for options, words in (
        ({"test_sites": ("nowhere",)}, "received nowhere; there are site0"),
        ({"test_sites": ("site0",), "valid_sites": ("site0",)}, "received site0 twice"),
        ({"test_sites": tuple(f"site{n}" for n in range(5))}, "received all 5"),
        ({"valid": 0.9}, "at least 0 and below 1 together"),
    ):
        with pytest.raises(UserError, match=words):
            site_tasks(folder, **options)


def test_a_run_keeps_its_split_where_sites_are_added(folder, tmp_path):
    source = site_tasks(folder)
    record = {"data": source.contents().to_json(), "preprocess": source.preprocess.to_json(),
              "tasks": source.describe()}  # fmt: skip
    more = changed(folder, tmp_path / "more")
    site_folder(tmp_path / "seven", 7)
    shutil.copytree(tmp_path / "seven/site6", more / "site6")
    recorded = Recorded.in_record(record, "run", ("train", "valid", "test"), "test")
    added = site_tasks(more, recorded)
    names = {split: {added.sites[n] for n in own} for split, own in added.units.items()}
    assert names["train"] == {source.sites[n] for n in source.units["train"]}
    assert "site6" in names["test"]
    (more / "site0/disc/0001.png").write_bytes((more / "site6/disc/0001.png").read_bytes())
    shutil.rmtree(more / "site6")
    with pytest.raises(UserError, match="the data must be those that the run was meta-trained on"):
        site_tasks(more, recorded)


def test_a_zip_is_read_as_the_folder_it_is_of(folder, tmp_path):
    for number, (root, base) in enumerate(((folder, "."), (folder.parent, folder.name))):
        path = shutil.make_archive(str(tmp_path / f"cells{number}"), "zip", root, base)
        source, same = site_tasks(path), site_tasks(folder)
        assert source.contents() == same.contents()
        assert source.task("test", 2).query.x.equal(same.task("test", 2).query.x)
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    with pytest.raises(DataError, match="must be a whole zip file"):
        site_tasks(tmp_path / "broken.zip")
    with pytest.raises(DataError, match="received no such place"):
        site_tasks(tmp_path / "nothing")


def test_sites_that_cannot_be_compared_are_refused(folder, tmp_path):
    lacking = changed(folder, tmp_path / "lacking", "site2/ring")
    with pytest.raises(UserError, match=r"ring \(0 in site2\)"):
        site_tasks(lacking)
    source = site_tasks(lacking, common=True)
    assert source.classes == ("disc", "stripes")
    assert source.about["notes"] == ["classes that a site lacks are left out: ring"]
    more = changed(folder, tmp_path / "more")
    (more / "site1/blob").mkdir()
    shutil.copy(folder / "site1/disc/0000.png", more / "site1/blob/0000.png")
    with pytest.raises(UserError, match=r"blob \(0 in site0, 1 in site1, "):
        site_tasks(more)
    one = changed(folder, tmp_path / "one", *(f"site{n}" for n in range(1, 5)))
    with pytest.raises(UserError, match=r"two sites or more.*received 1, site0.*quickstudy adapt"):
        site_tasks(one)
    with pytest.raises(UserError, match=r"received the folder disc without class folders"):
        site_tasks(folder / "site0")
    deep = changed(folder, tmp_path / "deep")
    shutil.move(deep / "site1", deep / "site0/disc/site1")
    with pytest.raises(UserError, match="must hold pictures only"):
        site_tasks(deep)


def test_files_that_are_no_pictures_are_refused_or_named(folder, tmp_path):
    bad = changed(folder, tmp_path / "bad")
    (bad / "site0/disc/notes.txt").write_text("a sidecar file")
    (bad / "site0/disc/broken.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"broken\.png"):
        site_tasks(bad)
    source = site_tasks(bad, skip_bad=True)
    (note,) = source.about["notes"]
    assert note == "1 file(s) that cannot be read are left out: site0/disc/broken.png"
    for file in sorted((bad / "site0/disc").glob("0*.png"))[1:]:
        file.write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"fewer of disc of site0 \(1\)"):
        site_tasks(bad, skip_bad=True)


def test_other_sizes_and_colours_are_told(folder, tmp_path):
    mixed = changed(folder, tmp_path / "mixed")
    for file in (mixed / "site3").rglob("*.png"):
        Image.open(file).resize((90, 90)).convert("L").save(file)
    Image.open(file := mixed / "site1/disc/0000.png").resize((50, 50)).save(file)
    sizes, within, colours = site_tasks(mixed).about["notes"]
    assert "from 28 pixels in" in sizes
    assert "to 90 in site3" in sizes
    assert "magnification" in sizes
    assert "in site1 from 28 to 50 pixels" in within
    assert "all of site3 are grey" in colours
    assert len(site_tasks(mixed, mode="L").about["notes"]) == 2
    assert site_tasks(folder).about == {}


def query(classes, way=3):
    y = torch.nn.functional.one_hot(torch.tensor(classes), way).float()
    return Examples(torch.zeros(len(y), 1), y, torch.ones(len(y)))


def test_rates_of_classes_by_hand():
    part = query([0, 0, 0, 0, 1, 1])
    said = query([0, 0, 0, 1, 1, 0]).y
    sensitivity, specificity = rates(said, part)
    np.testing.assert_allclose(sensitivity, [3 / 4, 1 / 2, np.nan])
    np.testing.assert_allclose(specificity, [1 / 2, 3 / 4, 1])
    assert balanced_accuracy(said, part) == pytest.approx((3 / 4 + 1 / 2) / 2)
    padded = part._replace(weight=torch.tensor([1.0, 1, 1, 0, 1, 1]))
    assert balanced_accuracy(said, padded) == pytest.approx((1 + 1 / 2) / 2)
    prediction = torch.tensor([[4.0, 0, 0], [0, 2, 0], [1, 0, 0], [3, 0, 0]])
    chosen, of = surest(prediction, query([0, 0, 0, 0]), 0.5, 1.0)
    assert chosen.tolist() == [[4, 0, 0], [3, 0, 0]]
    assert len(of.y) == 2


def test_the_headline_is_balanced_where_classes_are_unequal(folder, tmp_path):
    assert [m.name for m in site_tasks(folder).metrics] == ["balanced_accuracy", "accuracy"]
    equal = changed(folder, tmp_path / "equal", *(f"site{n}/stripes" for n in range(5)))
    assert [m.name for m in site_tasks(equal).metrics] == ["accuracy", "balanced_accuracy"]


def test_an_evaluation_names_each_site_the_worst_one_and_each_class(folder):
    source = site_tasks(folder, test_sites=("site0", "site1"))
    learner = qs.learners.NearestCentroid()
    result = qs.evaluate(learner, source, n_tasks=8, with_baselines=False)
    assert {"balanced_accuracy", "accuracy", "accuracy_ci95"} <= result.to_json().keys()
    details = result["details"]
    assert [table["rows"][0][0] for table in details["tables"]] == ["site0", "disc", "100 %"]
    shares = {row[0]: row[2]["share"] for row in details["tables"][0]["rows"]}
    assert np.mean([*shares.values()]) == pytest.approx(result["balanced_accuracy"])
    worst = min(shares, key=shares.get)
    assert details["data"]["worst_site"] == worst
    assert details["sentences"][0].startswith(f"worst site: {worst}, {100 * shares[worst]:.1f}")
    assert details["sentences"][1] == source.caution
    assert "not a medical device" in source.caution
    every = details["tables"][2]["rows"][0][1]
    assert every["share"] == pytest.approx(result["balanced_accuracy"])
    sensitivity = [row[1]["share"] for row in details["tables"][1]["rows"]]
    assert np.mean(sensitivity) == pytest.approx(result["balanced_accuracy"])


def test_batches_hold_pictures_of_all_sites_of_a_split(folder):
    source = site_tasks(folder)
    flat = source.flat()
    support, query = flat.task("train", 0)
    assert support.y.tolist() == [[1, 1, 1]]
    own = np.flatnonzero(np.isin(source.site, source.units["train"]))
    rows = {row.numpy().tobytes() for row in source.examples(own).x}
    assert {*rows_of(query)} <= rows
    assert len(query.x) == min(109, len(own))
