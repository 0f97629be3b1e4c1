"""What meta-train, meta-valid and meta-test know of one another's sites, by hash: nothing."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image
from site_folders import site_folder, site_tasks

from quickstudy.domains.sites import site_tasks as module
from quickstudy.errors import UserError

SPLITS = ("train", "valid", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return site_folder(tmp_path_factory.mktemp("cells"))


def hashes(x):
    return {hashlib.sha256(each.contiguous().numpy().tobytes()).hexdigest() for each in x}


def leaks(source, n=12):
    """What is wrong with the tasks of a source: pictures in two parts or splits."""
    of_split, wrong = {}, set()
    for split in SPLITS:
        for index in range(n):
            support, query = source.task(split, index)
            of_split.setdefault(split, set()).update(hashes(support.x) | hashes(query.x))
            if hashes(support.x) & hashes(query.x):
                wrong.add(f"support and query of {split}")
            if hashes(source.unlabelled(split, index, 9).x) & hashes(query.x):
                wrong.add(f"unlabelled and query of {split}")
    for one, other in (("train", "valid"), ("train", "test"), ("valid", "test")):
        if of_split[one] & of_split[other]:
            wrong.add(f"{one} and {other}")
    return wrong


def test_no_picture_is_in_two_splits_or_two_parts_of_a_task(folder):
    source = site_tasks(folder)
    assert leaks(source) == set()
    units = [number for split in SPLITS for number in source.units[split]]
    assert len(units) == len(set(units)) == len(source.sites)
    contents = source.contents()
    digests = [held.sha256 for names in contents.splits.values() for held in names.values()]
    assert len(digests) == len(set(digests)) == 5


def test_saboteurs_are_seen(folder, monkeypatch):
    source = site_tasks(folder)
    source.units["test"].append(source.units["train"][0])
    assert leaks(source) == {"train and test"}
    source = site_tasks(folder)

    def whole(members, *_):
        return list(members), [rows[: len(rows) // 2] for rows in members]

    monkeypatch.setattr(module, "divided", whole)
    assert "support and query of train" in leaks(source)


def test_a_picture_in_two_sites_or_classes_is_refused_whatever_file_it_is_in(folder, tmp_path):
    for case, target in {"sites": "site1/disc/x.bmp", "classes": "site0/ring/x.bmp"}.items():
        copy = tmp_path / case
        shutil.copytree(folder, copy)
        Image.open(copy / "site0/disc/0000.png").save(copy / target)  # other bytes, same pixels
        with pytest.raises(
            UserError, match=r"1 more than once: site0/disc/0000\.png and "
        ) as raised:
            site_tasks(copy)
        assert target in str(raised.value)
    again = tmp_path / "again"
    shutil.copytree(folder, again)
    shutil.copy(again / "site0/disc/0000.png", again / "site0/disc/copy.png")
    source = site_tasks(again)
    assert source.about["notes"] == ["1 picture(s) that a site has twice are taken once"]
    assert len(source.y) == len(site_tasks(folder).y)


def test_support_and_query_have_no_patient_in_common(folder, tmp_path):
    copy = tmp_path / "patients"
    for path in folder.rglob("*.png"):
        site, label, name = path.parts[-3:]
        place = copy / site / label / f"{site}p{int(name[:4]) % 3}_{name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    source = site_tasks(copy, unit="^([^_]+)_")
    assert len(np.unique(source.unit)) == 15
    patient = {}
    for row in range(len(source.y)):
        (digest,) = hashes(source.examples(np.array([row])).x)
        patient[digest] = source.unit[row]
    for split in SPLITS:
        for index in range(8):
            parts = [*source.task(split, index), source.unlabelled(split, index, 9)]
            learned, asked, free = ({patient[h] for h in hashes(part.x)} for part in parts)
            assert learned
            assert not asked & (learned | free)
    with pytest.raises(UserError, match="does not fit site0"):
        site_tasks(copy, unit="slide")
    with pytest.raises(UserError, match="must be a regular expression"):
        site_tasks(copy, unit="(")
    with pytest.raises(UserError, match=r"received 'p0' in site0 and site1"):
        site_tasks(copy, unit="p[0-9]")
