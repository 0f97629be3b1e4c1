"""Tasks from assays: sizes, class rates, draws, options, and files that are wrong."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch

pytest.importorskip("rdkit", reason="needs RDKit: pip install 'quickstudy[molecules]'")

from quickstudy import catalog
from quickstudy.domains.assays import assays
from quickstudy.domains.assays.assay_tasks import at_rate
from quickstudy.domains.assays.made import make_assays, write_assays
from quickstudy.domains.assays.metrics import delta_auprc, enrichment, found
from quickstudy.domains.assays.reader import side_of, twins
from quickstudy.domains.assays.rungs import keys
from quickstudy.errors import UserError
from quickstudy.inputs.molecules import tanimoto
from quickstudy.task import Examples
from quickstudy.tasks.recorded import Recorded, record_of


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = make_assays(n_molecules=420, n_assays=8, seed=2)
    return write_assays(tmp_path_factory.mktemp("assays") / "assays.csv", made)


@pytest.fixture(scope="module")
def source(path):
    return assays(path, n_shot=2, n_draws=3, valid=0.2, test=0.3)


def table(folder, *rows, name="assays.csv"):
    file = folder / name
    file.write_text("\n".join(rows) + "\n")
    return file


def test_a_support_has_n_of_each_class_and_the_query_the_class_rate(source):
    for split in ("valid", "test"):
        for index in range(source.n_tasks(split)):
            support, query = source.task(split, index)
            assert support.y.sum(dim=0).tolist() == [2, 2]
            unit = source.usable(split)[index % len(source.usable(split))]
            side = source.labels[source.sides[split], unit]
            rate = np.nanmean(side)
            assert abs(float(query.y[:, 1].mean()) - rate) < 1 / len(query.y)


def test_a_query_of_meta_train_has_equal_numbers_or_the_rate_of_the_support(source):
    for index in range(source.n_tasks("train")):
        query = source.task("train", index).query
        assert query.y.sum(dim=0)[0] == query.y.sum(dim=0)[1]
    natural = assays_of(source, n_support=12)
    tasks = [natural.task("train", index) for index in range(natural.n_tasks("train"))]
    assert all(t.query.y[:, 1].mean() < 0.4 for t in tasks)


def test_a_query_keeps_the_rate():
    assert at_rate(0.25, 10, 60, 0) == (10, 30)  # the actives are what there is least of
    assert at_rate(0.25, 40, 60, 0) == (20, 60)
    assert at_rate(0.25, 40, 60, 40) == (10, 30)
    assert at_rate(0.01, 5, 400, 100) == (1, 99)


def test_a_support_at_the_class_rate(source):
    tasks = assays_of(source, n_support=12)
    support, _ = tasks.task("test", 0)
    unit = tasks.usable("test")[0]
    rate = np.nanmean(tasks.labels[tasks.sides["test"], unit])
    assert support.y.sum(dim=0).tolist() == [12 - round(12 * rate), round(12 * rate)]
    assert tasks.resized(n_shot=2).n_support == 0
    with pytest.raises(UserError, match="received n_support=1"):
        assays_of(source, n_support=1)


def assays_of(source, **options):
    from dataclasses import replace

    return replace(source, **options)


def test_more_shots_add_to_fewer(source):
    few, more = source, source.resized(n_shot=3)
    for index in range(few.n_tasks("test")):
        small = few.task("test", index).support
        large = more.task("test", index).support
        assert {*keys(source.molecules, small.x)} < {*keys(source.molecules, large.x)}
    assert source.resized(n_way=3) is None


def test_draws_differ_and_a_task_is_a_function_of_its_index(source):
    n = len(source.usable("test"))
    first, again, other = (source.task("test", index) for index in (0, 0, n))
    assert torch.equal(first.support.x, again.support.x)
    assert not torch.equal(first.support.x, other.support.x)
    names = [source.assays[unit] for unit in source.usable("test")]
    assert len([*source.disjoint("test")]) == len(names) == len({*names})


def test_shots_of_meta_train_vary(source):
    tasks = assays_of(source, shots=(1, 3))
    sizes = {int(tasks.task("train", index).support.y[:, 1].sum()) for index in range(12)}
    assert sizes == {1, 3}


def test_gzipped_files_and_sides_are_the_same_in_every_file(path, source, tmp_path):
    zipped = tmp_path / "half.csv.gz"
    lines = path.read_text().splitlines()
    zipped.write_bytes(gzip.compress("\n".join(lines[:120]).encode()))
    half = assays(zipped, n_shot=1, valid=0.2, test=0.3)
    side = {source.smiles[i]: split for split, places in source.sides.items() for i in places}
    for split, places in half.sides.items():
        assert {side.get(half.smiles[place], split) for place in places.tolist()} == {split}
    assert {side_of(each, True) for each in source.scaffolds} == {"train", "valid", "test"}
    assert side_of(source.scaffolds[0], False) != "valid"


def test_named_assays_patterns_and_twins(path, tmp_path):
    tasks = assays(path, n_shot=1, test_assays=("assay-0[12]",), valid=0)
    assert [tasks.assays[unit] for unit in tasks.units["test"]] == ["assay-01", "assay-02"]
    assert tasks.splits == ("train", "test")
    only = assays(path, n_shot=1, train_assays=("assay-03",), test_assays=("assay-01",), valid=0)
    assert [only.assays[unit] for unit in only.units["train"]] == ["assay-03"]
    assert len(only.contents().left_out) == 6
    with pytest.raises(UserError, match="'SR-\\*', which fits none"):
        assays(path, test_assays=("SR-*",))
    with pytest.raises(UserError, match="'assay-01' in meta-train and meta-test"):
        assays(path, train_assays=("assay-0*",), test_assays=("assay-01",))
    with pytest.raises(UserError, match="those of meta-test are too"):
        assays(path, train_assays=("assay-01",))
    lines = path.read_text().splitlines()
    twin = table(tmp_path, lines[0].replace("assay-01", "a_up").replace("assay-02", "a_dn"),
                 *lines[1:])  # fmt: skip
    assert twins("a_up") == twins("a_dn") == "a"
    with pytest.raises(UserError, match=r"two readings of one assay.*'a_dn'"):
        assays(twin, test_assays=("a_up",))
    together = assays(twin, n_shot=1)
    split_of = {together.assays[u]: s for s, units in together.units.items() for u in units}
    assert split_of["a_up"] == split_of["a_dn"]


def test_a_run_knows_its_assays(path, source, tmp_path):
    recorded = Recorded.in_record(record_of(source), "run x", ("test",))
    lines = [line.split(",") for line in path.read_text().splitlines()]
    more = table(tmp_path, *(",".join([*r, "new" if not i else str(i % 2)])
                             for i, r in enumerate(lines)))  # fmt: skip
    again = assays(more, n_shot=2, n_draws=3, valid=0.2, test=0.3, recorded=recorded)
    tested = [again.assays[unit] for unit in again.units["test"]]
    assert tested == [source.assays[unit] for unit in source.units["test"]]
    assert any("new assays" in note for note in recorded.notes(again))
    place = lines[0].index(tested[0])
    changed = table(tmp_path, *(",".join([*r[:place], r[place] if not i else "1", *r[place + 1:]])
                                for i, r in enumerate(lines[:-1])), ",".join(lines[-1]),
                    name="changed.csv")  # fmt: skip
    with pytest.raises(UserError, match="must be those that the run was meta-trained on"):
        assays(changed, n_shot=2, recorded=recorded)


def test_salts_duplicates_and_conflicts_are_merged_and_said(tmp_path):
    rows = ["smiles,a,b,c"]
    for i in range(1, 31):
        rows.append(f"{'C' * i}O,{i % 2},{i % 3 == 0:d},")
    rows += ["[Na+].CC[O-],0,0,", "OCCC,0,1,", "CC(O)=O,,,1", "CC(=O)[O-].[K+],,,0"]
    file = table(tmp_path, *rows)
    tasks = assays(file, n_shot=1, molecules="shared", test_assays=("b",), valid=0)
    assert len(tasks.smiles) == 31
    notes = " ".join(tasks.describe()["notes"])
    assert "2 molecules are salts" in notes
    # CCO again; propanol again, with another label of a; acetic acid twice, with two of c
    assert "3 molecules were there before" in notes
    assert "2 of their labels differ" in notes
    assert np.isnan(tasks.labels[tasks.smiles.index("CCCO"), 0])
    assert "assays of one class are left out: c" in notes


BAD = {
    "no SMILES": (("name,a", "x,1"), "needs one column called smiles"),
    "no assay": (("smiles,logp", "CCO,2.5", "CCC,3.5"), "needs a column of 0 .inactive."),
    "unreadable": (("smiles,a", "CCO,1", "C1CC,0", "xyz,1"),
                   "received 2 of 3.*'C1CC' in line 3.*'xyz' in line 4.*--skip-bad"),
    "a wrong label": (("smiles,a", "CCO,1", "CCC,0", "CCN,7"), "received '7' in line 4"),
    "one class": (("smiles,a", "CCO,1", "CCC,1"), "one class in every one of.*: a"),
    "too few": (("smiles,a,b,c", "CCO,1,0,0", "CCC,0,1,1"), "needs 8 active and 8 inactive"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_wrong_file_is_named(tmp_path, name):
    rows, words = BAD[name]
    with pytest.raises(UserError, match=words):
        assays(table(tmp_path, *rows), test_assays=("a",) * (name == "too few")).task("test", 0)


def test_molecules_that_cannot_be_read_are_counted_where_they_may_be_left_out(path, tmp_path):
    lines = path.read_text().splitlines()
    bad = table(tmp_path, *lines, "C1CC" + ",1" * lines[0].count(","))
    tasks = assays(bad, n_shot=1, skip_bad=True)
    (note,) = tasks.describe()["notes"]
    assert note.startswith("1 of 421 molecules could not be read and are left out: 'C1CC' in line")


def test_a_molecule_beyond_the_graph(path, tmp_path):
    with pytest.raises(UserError, match="a graph holds 12 heavy atoms; received"):
        assays(path, represent="graph", n_atoms=12)
    tasks = assays(path, n_shot=1, represent="graph", n_atoms=20, skip_bad=True)
    assert "molecules have more than 20 heavy atoms" in " ".join(tasks.describe()["notes"])
    assert tasks.x_shape == (20 * (32 + 4 * 20) + 2048,)
    x = tasks.task("train", 0).support.x
    assert torch.equal(tasks.molecules.prints(x), x[:, -2048:])


def test_options_are_checked(path):
    for options, words in (
        ({"molecules": "some"}, "must be apart or shared"),
        ({"represent": "maccs"}, "must be ecfp or graph"),
        ({"n_shot": 0}, "n_shot"),
        ({"n_way": 3}, "have no ways"),
    ):
        with pytest.raises(UserError, match=words):
            catalog.build_tasks({"name": "assays", "path": path, **options})


def query_of(active):
    y = torch.tensor(active, dtype=torch.float32)
    weight = torch.cat([torch.ones(len(y)), torch.zeros(1)])  # the last is padding
    columns = torch.stack([1 - y, y], dim=1)
    return Examples(torch.zeros(len(y) + 1, 1), torch.cat([columns, columns[:1]]), weight)


def scored(*scores):
    column = torch.tensor([*scores, 99.0])
    return torch.stack([-column, column], dim=1)


def test_metrics_by_hand():
    query = query_of([1, 0, 1, 0])
    assert enrichment(scored(4, 3, 2, 1), query, top=0.5) == 1.0
    assert enrichment(scored(4, 2, 3, 1), query, top=0.5) == 2.0
    assert enrichment(scored(0, 0, 0, 0), query, top=0.5) == 0.0  # a tie finds nothing
    # Precision 1 at the first active, 2/3 at the second.
    assert delta_auprc(scored(4, 3, 2, 1), query) == pytest.approx((1 + 2 / 3) / 2 - 0.5)
    assert delta_auprc(scored(1, 1, 1, 1), query_of([1, 1, 1, 1])) == 0
    assert np.isnan(delta_auprc(scored(np.nan, 1, 1, 1), query))
    curve = found(torch.tensor([4.0, 3, 2, 1]), torch.tensor([True, False, True, False]),
                  np.array([0, 0.25, 0.5, 0.75, 1]))  # fmt: skip
    assert curve.tolist() == [0, 0.5, 0.5, 1, 1]


def test_tanimoto_by_hand():
    a = torch.tensor([[1.0, 1, 0, 0], [0, 0, 0, 0]])
    b = torch.tensor([[1.0, 0, 1, 0], [1, 1, 0, 0]])
    assert tanimoto(a, b).tolist() == [[pytest.approx(1 / 3), 1.0], [0.0, 0.0]]
    assert tanimoto(a[1:], a[1:]).item() == 1


def test_opponents_take_padding_and_tell_actives(source):
    from quickstudy.task import pad

    support, query = source.resized(n_shot=5).task("test", 0)
    for name, rung in source.rungs(None).items():
        own = rung.predict(rung.adapt(support), query.x)
        padded = pad(support, len(support.x) + 3, 2)
        torch.testing.assert_close(rung.predict(rung.adapt(padded), query.x), own, msg=name)
        if name != "LabelsOnly":
            again = rung.predict(rung.adapt(support), support.x)
            assert (again.argmax(dim=1) == support.y.argmax(dim=1)).all(), name
