"""Assays of molecules in a user's hands: a file of one's own, a ranked list, a file, an export."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("rdkit", reason="needs RDKit: pip install 'quickstudy[molecules]'")

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.domains.assays import assays
from quickstudy.domains.assays.made import make_assays, write_assays
from quickstudy.errors import UserError
from quickstudy.inputs import chemistry, stored
from quickstudy.models.candidates import rank_candidates, warning


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("molecules")


@pytest.fixture(scope="module")
def run(folder):
    path = write_assays(folder / "assays.csv", make_assays(n_molecules=420, n_assays=6))
    command = f"train --tasks assays --tasks.path {path} --n-shot 2 --tasks.n-draws 2 --steps 10"
    out = folder / "run"
    words = command.split()
    assert main([*words, "--valid-tasks", "4", "--meta-batch", "2", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def mine(folder):
    """A user's file: salts, a duplicate, an unmeasured row, another column."""
    made = make_assays(n_molecules=40, n_assays=1, seed=9)
    lines = ["name,SMILES,hit"]
    for i, (smiles, label) in enumerate(zip(made.smiles, made.labels[:, 0], strict=True)):
        lines.append(f"m{i},{smiles},{'' if np.isnan(label) else int(label)}")
    known = [i for i, label in enumerate(made.labels[:, 0]) if not np.isnan(label)]
    lines.append(f"again,{made.smiles[known[0]]}.Cl,{int(made.labels[known[0], 0])}")
    path = folder / "mine.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def task(run, mine, folder):
    out = folder / "mine.task"
    assert main(["adapt", str(run), "--support", str(mine), "--out", str(out)]) == 0
    return out


def test_what_was_merged_is_said(run, mine, folder, capsys):
    assert main(["adapt", str(run), "--support", str(mine), "--out", str(folder / "a.task")]) == 0
    said = capsys.readouterr().out
    assert "classes: 0, 1" in said
    assert "molecules are not measured and left out" in said
    assert "1 molecules were there before, but for salt, charge and stereo" in said


def test_a_ranked_list_with_neighbours(task, folder, capsys):
    candidates = folder / "candidates.csv"
    adapted = qs.load_task(task)
    assert adapted.classes == [0, 1]
    known = adapted.raw[0]
    candidates.write_text(f"smiles\n{known}\nC[Si](C)(C)C#C[Si](C)(C)C\nc1ccc(cc1)C(=O)NCCO\n")
    assert main(["predict", str(task), str(candidates), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["probability"] for row in rows] == sorted(
        (row["probability"] for row in rows), reverse=True
    )
    by_smiles = {row["smiles"]: row for row in rows}
    assert by_smiles[known]["neighbour"] == known
    assert by_smiles[known]["similarity"] == 1
    assert by_smiles["C[Si](C)(C)C#C[Si](C)(C)C"]["is_far"]
    assert main(["predict", str(task), str(candidates), "--top", "2"]) == 0
    said = capsys.readouterr().out
    assert "the first 2 of 3 molecules" in said
    assert "have no neighbour" in said
    pictures = folder / "pictures"
    assert main(["predict", str(task), known, "--csv", "--pictures", str(pictures)]) == 0
    assert capsys.readouterr().out.startswith("smiles,probability,nearest,is,similarity,note\n")
    svg = (pictures / "candidates.svg").read_text()
    assert svg.count("<svg") == 3  # the sheet, the molecule, its neighbour


def test_a_list_in_python_is_that_of_the_file(task, folder):
    adapted = qs.load_task(task)
    smiles = ["CCO", "c1ccccc1C(=O)O", "CCN(CC)CC"]
    ranked = rank_candidates(adapted, smiles)
    again = rank_candidates(adapted, adapted.model.inputs(smiles))
    assert ranked == again
    probabilities = adapted.predict_proba(smiles)[:, 1]
    assert [row.probability for row in ranked] == sorted(probabilities.tolist(), reverse=True)
    assert len(rank_candidates(adapted, smiles, n=1)) == 1
    assert "3 of 3 have no neighbour" in warning([row._replace(is_far=True) for row in ranked])
    assert warning([row._replace(is_far=False) for row in ranked]) is None


def test_a_file_keeps_the_molecules_unless_it_is_not_to(task, folder):
    adapted = qs.load_task(task)
    assert len(adapted.raw) == len(adapted.labels)
    adapted.save(folder / "without.task", inputs=False)
    without = qs.load_task(folder / "without.task")
    assert without.raw is None
    (row,) = rank_candidates(without, ["CCO"])
    assert row.neighbour is None
    assert row.similarity == rank_candidates(adapted, ["CCO"])[0].similarity
    np.testing.assert_array_equal(without.predict_proba(["CCO"]), adapted.predict_proba(["CCO"]))


def test_a_salt_is_answered_as_its_acid(task):
    adapted = qs.load_task(task)
    forms = ["CC(=O)O", "CC(=O)[O-].[Na+]", "OC(C)=O"]
    assert len({tuple(row) for row in adapted.predict_proba(forms).tolist()}) == 1


def test_the_estimator(run, mine):
    made = make_assays(n_molecules=40, n_assays=1, seed=9)
    known = ~np.isnan(made.labels[:, 0])
    X, y = np.array(made.smiles)[known], made.labels[known, 0].astype(int)
    classifier = qs.FewShotClassifier(str(run)).fit(X[:20], y[:20])
    assert classifier.classes_.tolist() == [0, 1]
    adapted = qs.load(run).adapt([*X[:20]], y[:20])
    np.testing.assert_array_equal(
        classifier.predict_proba(X[20:]), adapted.predict_proba([*X[20:]])
    )


def test_an_explanation_names_molecules_and_the_neighbour(task, capsys):
    assert main(["explain", str(task), "F/C=C/c1ccccc1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("F/C=C/c1ccccc1\t")
    assert "nearest of the molecules learned from: " in said
    assert main(["explain", str(task), "CCO", "--json"]) == 0
    (why,) = json.loads(capsys.readouterr().out)
    assert why["neighbour"]["similarity"] <= 1


@pytest.mark.more
def test_an_exported_model_answers_alike(task, folder):
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs ONNX Runtime")
    pytest.importorskip("onnxscript", reason="needs onnxscript")
    adapted = qs.load_task(task)
    assert main(["export", str(task), str(folder / "mine.onnx")]) == 0
    session = onnxruntime.InferenceSession(folder / "mine.onnx")
    x = adapted.model.inputs(["CCO", "CCN"]).x.numpy()
    outputs = session.run(None, {session.get_inputs()[0].name: x})
    own = adapted.predict_proba(["CCO", "CCN"])
    assert any(np.allclose(out, own, atol=1e-5) for out in outputs if out.shape == own.shape)


def test_labels_may_be_words_and_the_active_one_comes_last(run):
    model = qs.load(run)
    adapted = model.adapt(["CCO", "CCC", "CCN"], ["active", "inactive", "inactive"])
    numbers = model.adapt(["CCO", "CCC", "CCN"], [1, 0, 0])
    assert adapted.classes == ["inactive", "active"]
    np.testing.assert_array_equal(adapted.predict_proba("CCCO"), numbers.predict_proba("CCCO"))
    (row,) = rank_candidates(adapted, ["CCO"])
    assert row.active


def test_an_update_learns_more(task):
    adapted = qs.load_task(task)
    more = adapted.update(["CCO", "CCCN"], [1, 0])
    assert more.raw[-2:] == ["CCO", "CCCN"]
    assert len(more.labels) == len(adapted.labels) + 2


WRONG = {
    "no SMILES": (lambda m: m.adapt(["CCO", "C1CC"], [0, 1]), r"1 of 2.*'C1CC' in molecule 1"),
    "numbers": (lambda m: m.adapt([1.5, 2.5], [0, 1]), "convert them|must be"),
    "another label": (lambda m: m.adapt(["CCO", "CCC"], ["hit", "no"]), "inactive, 0, or active"),
    "three labels": (lambda m: m.adapt(["CCO", "CCC", "CCN"], [0, 1, "1"]), "has two labels"),
    "two labels": (
        lambda m: m.adapt(["CCO", "OCC", "CCC"], [0, 1, 1]),
        "a molecule has one label; received 0 and 1 for CCO, examples 0 and 1",
    ),
    "one class": (lambda m: m.adapt(["CCO", "CCC"], [1, 1]), "two classes"),
    "nothing": (lambda m: m.adapt(["CCO", " "], [0, 1]), "each must be a SMILES"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_molecules_are_refused(run, name):
    ask, words = WRONG[name]
    with pytest.raises(UserError, match=words):
        ask(qs.load(run))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("smiles,a,b\nCCO,1,0\nCCC,0,1\n", "a task is one assay; received 2"),
        ("smiles,a\nCCO,1\nC1CC,0\n", "'C1CC' in line 3"),
        ("smiles,a\nCCO,1\nOCC,0\nCCC,0\n", "a molecule has one label; received 1 and 0 for OCC"),
        ("smiles,a\nCCO,1\nCCC,0.5\nCCN,1\n", "received '0.5' in line 3"),
    ],
)
def test_wrong_files_are_refused(run, folder, capsys, rows, words):
    (folder / "wrong.csv").write_text(rows)
    command = ["adapt", str(run), "--support", str(folder / "wrong.csv")]
    assert main([*command, "--out", str(folder / "w.task")]) == 2
    assert words in " ".join(capsys.readouterr().err.split())


def test_bad_molecules_are_skipped_where_that_is_asked(run, task, folder, capsys):
    (folder / "some.csv").write_text("smiles,a\nCCO,1\nC1CC,0\nCCC,0\nCCN,1\n")
    out = folder / "some.task"
    command = ["adapt", str(run), "--support", str(folder / "some.csv"), "--out", str(out)]
    assert main([*command, "--skip-bad"]) == 0
    assert "skipped 1 of 4 molecules" in capsys.readouterr().err
    assert qs.load_task(out).raw == ["CCO", "CCC", "CCN"]
    assert main(["predict", str(task), "CCO", "xyz", "--json"]) == 2
    assert "'xyz' in the command line" in " ".join(capsys.readouterr().err.split())
    assert main(["predict", str(task), "CCO", "xyz", "--json", "--skip-bad"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1
    assert main(["predict", str(task), "CCO", "--min-confidence", "0.9"]) == 2


def test_without_rdkit_the_message_names_the_extra(run, monkeypatch):
    model = qs.load(run)
    monkeypatch.setitem(__import__("sys").modules, "rdkit", None)
    chemistry.rdkit.cache_clear()
    chemistry.parent.cache_clear()
    with pytest.raises(UserError, match=r"pip install 'quickstudy\[molecules\]'"):
        model.adapt(["CCO", "CCC"], [0, 1])
    monkeypatch.undo()
    chemistry.rdkit.cache_clear()


def test_molecules_are_stored_as_requests_give_them():
    data = stored.to_bytes({"smiles": "CCO"})
    assert stored.to_request(data) == {"smiles": "CCO"}
    assert stored.from_bytes(data) == {"smiles": "CCO"}


def test_evaluation_compares_with_the_opponents_and_draws(run, folder, capsys):
    out = folder / "evaluation.json"
    command = ["evaluate", str(run), "--n-tasks", "2", "--curves", "false", "--json", str(out)]
    assert main([*command, "--pictures", str(folder / "figures")]) == 0
    record = json.loads(out.read_text())
    assert [*record["baselines"]] == [
        *("LogisticRegression", "RandomForest", "KNN", "TanimotoGP", "LabelsOnly")
    ]
    assert {"auc", "delta_auprc", "enrichment"} <= {*json.dumps(record).replace('"', " ").split()}
    names = {path.stem for path in (folder / "figures").glob("*.svg")}
    assert {"enrichment", "seen_and_unseen"} <= names


def test_graphs_train_and_answer(folder):
    path = write_assays(folder / "graphs.csv", make_assays(n_molecules=120, n_assays=4, seed=3))
    tasks = assays(path, n_shot=1, represent="graph", n_atoms=30, valid=0, n_query=8)
    learner = qs.build("PrototypicalNetwork", tasks, net={"hidden": 8, "width": 8})
    training = qs.Training(steps=2, meta_batch=2, valid_tasks=0)
    qs.train(learner, tasks, training, out=folder / "graph", show=False)
    adapted = qs.load(folder / "graph").adapt(["CCO", "CCCN", "c1ccccc1", "CCCCO"], [1, 0, 0, 1])
    (first, _) = rank_candidates(adapted, ["CCO", "c1ccccc1"])
    assert first.similarity == 1
    with pytest.raises(UserError, match="a graph holds 30 heavy atoms; received 41 in molecule 0"):
        adapted.predict(["C" * 41, "CCO"])


def test_a_survey_says_what_is_in_a_file(folder, capsys):
    path = folder / "survey.csv"
    rows = ["smiles,a,b,name", *(f"{'C' * i}O,{i % 2},{i % 3 == 0:d},m{i}" for i in range(1, 21))]
    path.write_text("\n".join([*rows, "CCO.Cl,1,0,again", "C1CC,1,0,bad"]) + "\n")
    assert main(["data", "assays", "--path", str(path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "20, each once" in said
    assert "20 measured, 10 active (50.0 %)" not in said  # a conflict: CCO is 0, its salt is 1
    assert "19 measured, 10 active (52.6 %)" in said
    assert "1 of 22 molecules could not be read" in said
    assert "columns that are no assays, as most values are not 0 or 1: name" in said
    assert "--tasks.skip-bad true --out runs/assays" in said


def test_a_list_needs_a_length(task, capsys):
    assert main(["predict", str(task), "CCO", "--top", "0"]) == 2
    assert "top" in capsys.readouterr().err
