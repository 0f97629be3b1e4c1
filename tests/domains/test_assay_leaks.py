"""What meta-train, meta-valid and meta-test of assays know of one another, by hash: nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit", reason="needs RDKit: pip install 'quickstudy[molecules]'")

from quickstudy.domains.assays import AssayTasks, assays
from quickstudy.domains.assays.made import make_assays, write_assays
from quickstudy.domains.assays.rungs import LabelsOnly
from quickstudy.metrics import AUC
from quickstudy.tasks.source import SPLITS


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = make_assays(n_molecules=420, n_assays=8, seed=1)
    return write_assays(tmp_path_factory.mktemp("assays") / "assays.csv", made)


@pytest.fixture(scope="module")
def source(path):
    return assays(path, n_shot=2, n_draws=2, valid=0.2, test=0.3)


def digest(values):
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def hashes(source: AssayTasks) -> dict[str, dict[str, set[str]]]:
    """The inputs, scaffolds and assays of each split, by hash, from the tasks themselves."""
    scaffold = {}
    for place, row in enumerate(source.bits):
        x = np.unpackbits(row, count=source.x_shape[0]).astype(np.float32)
        scaffold.setdefault(digest(x), set()).add(digest(source.scaffolds[place].encode()))
    found = {}
    for split in source.splits:
        n = 40 if split == "train" else source.n_tasks(split)
        inputs, assays_of = set(), set()
        for index in range(n):
            for part in source.task(split, index):
                inputs |= {digest(row) for row in part.x.numpy()}
        assays_of |= {digest(source.labels[:, unit]) for unit in source.units[split]}
        side = {digest(source.scaffolds[place].encode()) for place in source.sides[split].tolist()}
        found[split] = {"molecules": inputs, "scaffolds": side, "assays": assays_of}
    return found


def shared(source: AssayTasks) -> set[str]:
    """What two splits have in common."""
    found = hashes(source)
    pairs = [(a, b) for a in found for b in found if a < b]
    return {what for a, b in pairs for what in found[a] if found[a][what] & found[b][what]}


def test_molecules_scaffolds_and_assays_are_apart(source):
    assert source.splits == SPLITS
    assert shared(source) == set()


def moved(source: AssayTasks, of: str) -> AssayTasks:
    """The source with a molecule of meta-test's side on meta-train's too."""
    sides = dict(source.sides)
    sides["train"] = np.concatenate([sides["train"], sides["test"][:1].repeat(40)])
    if of == "sides":
        return replace(source, sides=dict.fromkeys(sides, np.arange(len(source.smiles))))
    return replace(source, sides=sides)


def test_the_leak_test_sees_saboteurs(source):
    assert "scaffolds" in shared(moved(source, "one"))
    assert {"molecules", "scaffolds"} <= shared(moved(source, "sides"))
    both = {split: [*units, source.units["test"][0]] for split, units in source.units.items()}
    assert "assays" in shared(replace(source, units=both))
    assert "molecules" in shared(
        replace(source, bits=np.repeat(source.bits[:1], len(source.bits), axis=0))
    )


def test_no_task_asks_about_what_it_learned_from(source):
    for split in source.splits:
        for index in range(6):
            support, query = source.task(split, index)
            inside = {digest(row) for row in support.x.numpy()}
            assert not inside & {digest(row) for row in query.x.numpy()}


def test_other_labels_of_the_test_side_change_no_training_task(path, source, tmp_path):
    lines = path.read_text().splitlines()
    names = lines[0].split(",")
    tested = {source.smiles[place] for place in source.sides["test"].tolist()}
    flipped = [lines[0]]
    from quickstudy.inputs.chemistry import parent

    for line in lines[1:]:
        cells = line.split(",")
        if parent(cells[0]).smiles in tested:
            cells[1:] = [{"0": "1", "1": "0", "": ""}[cell] for cell in cells[1:]]
        flipped.append(",".join(cells))
    other_path = tmp_path / "assays.csv"
    other_path.write_text("\n".join(flipped))
    other = assays(other_path, n_shot=2, n_draws=2, valid=0.2, test=0.3)
    assert [*other.assays] == names[1:]
    for split, same in (("train", True), ("valid", True), ("test", False)):
        ours, theirs = source.task(split, 0), other.task(split, 0)
        equal = all(
            a.shape == b.shape and torch.equal(a, b)
            for mine, others in zip(ours, theirs, strict=True)
            for a, b in zip(mine, others, strict=True)
        )
        assert equal is same, split


def test_labels_only_is_the_alarm(path):
    """Where an assay is a copy of another, labels alone tell all; fingerprints do not."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    copied = path.with_name("copied.csv")
    rows = [[row[0], row[1], row[1] if n else "copy", *row[2:4]] for n, row in enumerate(lines)]
    copied.write_text("\n".join(map(",".join, rows)))
    tasks = assays(copied, n_shot=3, n_draws=2, valid=0, test_assays=("copy",), molecules="shared")
    rungs = tasks.rungs(None)
    assert list(rungs)[-1] == "LabelsOnly"
    assert isinstance(rungs["LabelsOnly"], LabelsOnly)
    support, query = tasks.task("test", 0)
    values = {
        name: AUC.per_task(rung.predict(rung.adapt(support), query.x), query)
        for name, rung in rungs.items()
    }
    assert values["LabelsOnly"] == 1
    assert max(value for name, value in values.items() if name != "LabelsOnly") < 0.99
