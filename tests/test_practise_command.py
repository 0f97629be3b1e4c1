"""`quickstudy practise`, `act` and `explain` of a policy, as they are typed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_policy_models import GOAL, policies

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.domains.control import Bandit
from quickstudy.files.rundir import RunDirectory, tensors_to_bytes
from quickstudy.version import __version__

WORLD = json.dumps(GOAL)


def written(folder: Path, model: qs.Model) -> str:
    record = {"version": __version__, "step": 0, "minutes": 0.0, "cpu_minutes": 0.0}
    directory = RunDirectory(folder)
    directory.create({**record, "kind": model.kind, **model.to_json()})
    weights = tensors_to_bytes(model.learner.state_dict())
    directory.save(directory.read(), {"weights": weights})
    return str(folder)


@pytest.fixture
def run(tmp_path: Path) -> str:
    return written(tmp_path / "nav", policies())


def test_a_policy_practises_acts_and_explains(run: str, tmp_path: Path, capsys: Any) -> None:
    task, played = str(tmp_path / "a.task"), tmp_path / "played"
    words = ["practise", run, "--world", WORLD, "--episodes", "3", "--updates", "2", "--json"]
    assert main([*words, "--out", task, "--pictures", str(played)]) == 0
    answer = json.loads(capsys.readouterr().out)
    policy = policies().practise(GOAL, episodes=3, updates=2)
    means = [row["mean"] for row in answer["returns"]]
    np.testing.assert_allclose(means, [trial.mean() for trial in policy.trials], rtol=1e-5)
    assert answer["oracle"]["mean"] > max(means)
    drawn = json.loads((played / "paths.json").read_text())["worlds"][0]
    np.testing.assert_allclose(drawn["goal"], GOAL["goal"], rtol=1e-6)
    np.testing.assert_allclose(drawn["returns"], [means[0], means[-1]], rtol=1e-5)
    assert [len(drawn[key]) for key in ("before", "after")] == [3, 3]
    assert main(["act", task, "--observation", "[0.1, 0.2]", "--seed", "4"]) == 0
    said = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(said["action"], policy.act([0.1, 0.2], 4), rtol=1e-4, atol=1e-5)
    assert main(["explain", task, "--json"]) == 0
    shares = [part["share"] for part in json.loads(capsys.readouterr().out)["episodes"]]
    np.testing.assert_allclose(sum(shares), 2, rtol=1e-3)
    assert main(["explain", task]) == 0
    assert "update 1, episode 0" in capsys.readouterr().out
    assert main([*words[:-1], "--out", task]) == 0
    assert "6 episodes were learned from; each row is 3 others" in capsys.readouterr().out


def test_a_world_that_is_never_drawn_is_told(run: str, tmp_path: Path, capsys: Any) -> None:
    words = ["practise", run, "--world", '{"goal": [2, 0]}', "--episodes", "2"]
    assert main([*words, "--out", str(tmp_path / "a.task")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "note: goal [2.0, 0.0] is none that the family draws, which is from -0.5 to 0.5" in out
    assert main([*words, "--json", "--out", str(tmp_path / "a.task")]) == 0
    assert len(json.loads(capsys.readouterr().out)["notes"]) == 1


def test_lines_are_answered_one_by_one(
    tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = policies(Bandit(n_arms=3, horizon=4)).practise({"means": [0.0, 1.0, 0.0]}, 4)
    policy.save(tmp_path / "a.task")
    monkeypatch.setattr("sys.stdin", io.StringIO("[1.0]\n\n[1.0]\n[1.0, 2.0]\n"))
    assert main(["act", str(tmp_path / "a.task"), "--greedy"]) == 2
    out, err = capsys.readouterr()
    answers = [json.loads(line) for line in out.splitlines()]
    assert [answer["action"] for answer in answers] == [policy.act([1.0], greedy=True)] * 2
    np.testing.assert_allclose(answers[0]["probabilities"], policy.probabilities([1.0]))
    assert "observation 3 must have the shape (1,); received (2,)" in err


def test_places_are_looked_at_before_anything_is_played(
    run: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qs.PolicyModel, "practised", lambda *_: pytest.fail("it played"))
    (file := tmp_path / "file").write_text("")
    for words, said in (
        (["--out", str(tmp_path)], f"--out {tmp_path}: must be a file that can be written; rec"),
        (["--out", str(file / "a.task")], "received a folder that cannot be made (File exists"),
        (["--out", str(tmp_path / "a.task"), "--pictures", str(file)], f"--pictures {file}"),
    ):
        assert main(["practise", run, *words]) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["practise", "RUN", "--world", "{goal"], "--world must be JSON of the hidden numbers"),
        (["practise", "RUN", "--world", '{"gaol": [0, 0]}'], "hidden numbers are goal; received"),
        (["practise", "RUN", "--world", "[1]"], "hidden numbers are goal; received [1]"),
        (["practise", "RUN", "--world", '{"goal": [NaN, 0]}'], "goal must be finite numbers of"),
        (["practise", "RUN", "--world", '{"goal": [1e99, 0]}'], "goal must be finite numbers of"),
        (["practise", "RUN", "--updates", "-1"], "updates must be at least 0"),
        (["practise", "ROWS"], "practise: needs the run of a policy; received"),
        (
            ["adapt", "RUN", "--support", "x.csv"],
            "adapt: a policy learns from what it plays; received",
        ),
        (["predict", "TASK", "x.csv"], "received a policy, which acts; ask it with quickstudy act"),
        (["export", "TASK", "x.onnx"], "received a policy, which acts"),
        (["explain", "TASK", "x.csv"], "a policy is explained as a whole"),
        (["act", "TASK", "--observation", "[0.1"], "observation 1 must be JSON; received"),
        (["act", "TASK", "--observation", '["a", 1]'], "observation 1 must be numbers; received"),
        (["act", "TASK", "--observation", "[NaN, 1]"], "must be finite"),
        (["act", "RUN", "--observation", "[0, 1]"], "expected a saved policy; received a folder"),
        (["serve", "RUN", "--host", "0.0.0.0"], "serve: without keys only this machine may"),
        (["evaluate", "RUN", "--n-way", "3"], "needs tasks that have a name"),
    ],
)
def test_what_cannot_be_is_refused(
    run: str, tmp_path: Path, capsys: Any, words: list[str], said: str
) -> None:
    task = tmp_path / "a.task"
    policies().begin().save(task)
    places = {"RUN": run, "TASK": str(task)}
    if "ROWS" in words:
        x = np.random.default_rng(0).normal(size=(90, 2))
        tasks = qs.tasks.Episodes(qs.tasks.arrays(x, np.arange(90) // 10), 2, 1, n_query=3)
        learner = qs.build("PrototypicalNetwork", tasks)
        rows = qs.Model(learner, (2,))
        places["ROWS"] = written(tmp_path / "rows", rows)
    (tmp_path / "x.csv").write_text("a,b,kind\n1,2,x\n2,1,y\n")
    typed = [str(tmp_path / word) if word == "x.csv" else places.get(word, word) for word in words]
    if words[0] in ("practise", "adapt"):
        typed += ["--out", str(tmp_path / "new.task")]
    if words[0] == "serve":
        typed += ["--data-dir", str(tmp_path / "serving"), "--port", "0"]
    assert main(typed) in (2, 3)
    assert said in capsys.readouterr().err
