"""`--pooled`: the model is trained after the run, kept beside it, and is a rung of evaluations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small import blobs, maml, quick, sinusoid

from quickstudy import CheckpointError, Training, UserError, build, load, train
from quickstudy.cli.main import main
from quickstudy.evaluation.scores import score
from quickstudy.files.rundir import RunDirectory
from quickstudy.learner import AnyLearner
from quickstudy.learners import Pooled
from quickstudy.models.saved import load_pooled
from quickstudy.tasks import Sinusoid
from quickstudy.training import loop

NET = {"name": "MLP", "hidden": (8,), "norm": "support"}


def learner() -> AnyLearner:
    return build("MAML", sinusoid(), NET)


def test_it_is_trained_for_its_share_and_kept_beside_the_weights(tmp_path: Path) -> None:
    quick(sinusoid(), learner(), tmp_path / "plain")
    quick(sinusoid(), learner(), tmp_path / "run", pooled=0.5)
    assert load_pooled(tmp_path / "plain") is None
    pooled = load_pooled(tmp_path / "run")
    assert isinstance(pooled, Pooled)
    assert not pooled.training
    directory = RunDirectory(tmp_path / "run")
    assert directory.load("pooled")[1]["steps"] == 3
    weights, plain = (RunDirectory(tmp_path / name).load("weights")[0] for name in ("run", "plain"))
    assert all(torch.equal(weights[name], plain[name]) for name in plain)
    alone = build("Pooled", sinusoid(), {"name": "MLP", "hidden": (8,)})
    quick(sinusoid(), alone, None, steps=3)
    for name, tensor in alone.state_dict().items():
        assert torch.equal(tensor, pooled.state_dict()[name]), "it is an ordinary training"
    load(tmp_path / "run")


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    quick(sinusoid(), learner(), tmp_path / "run", pooled=0.5)
    (path,) = (tmp_path / "run").glob("pooled-*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(CheckpointError):
        load_pooled(tmp_path / "run")


def test_resuming_trains_it_where_it_is_missing_and_not_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(sinusoid(), learner(), tmp_path / "run")
    quick(sinusoid(), learner(), tmp_path / "run", pooled=0.5, resume=True)
    (first,) = (tmp_path / "run").glob("pooled-*.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(loop, "train", None)
        quick(sinusoid(), learner(), tmp_path / "run", pooled=0.5, resume=True)
    assert first.is_file()
    quick(sinusoid(), learner(), tmp_path / "run", pooled=0.5, steps=10, resume=True)
    assert RunDirectory(tmp_path / "run").load("pooled")[1]["steps"] == 5
    assert not first.is_file()


@pytest.mark.parametrize(
    ("source", "make", "share", "message"),
    [
        (blobs, lambda: maml(blobs()), 0.5, "outputs mean the same .* for Episodes"),
        (sinusoid, lambda: Pooled(torch.nn.Linear(1, 1), "regression"), 0.5, "built in Python"),
    ],
)
def test_where_there_can_be_none_it_is_refused_before_training(
    tmp_path: Path, source: Any, make: Any, share: float, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        quick(source(), make(), tmp_path / "run", pooled=share)
    assert not (tmp_path / "run").exists()


def test_it_needs_a_folder_and_a_share() -> None:
    with pytest.raises(UserError, match="no run directory"):
        train(learner(), sinusoid(), Training(pooled=0.5))
    with pytest.raises(UserError, match="pooled must be above 0"):
        Training(pooled=0.0)


def test_evaluate_shows_it_as_a_rung_or_says_how_to_make_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "out.json"
    words = ["--tasks", "sinusoid", "--learner", "MAML", "--net.hidden", "[8]", "--steps", "4"]
    words += ["--valid-tasks", "2", "--valid-every", "4"]
    asked = ["evaluate", str(run), "--n-tasks", "3", "--curves", "false", "--json", str(out)]
    assert main(["train", *words, "--out", str(run)]) == 0
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert f"quickstudy train --resume {run} --pooled 0.25 makes it" in said
    assert "Pooled" not in json.loads(out.read_text())["baselines"]
    assert main(["train", "--resume", str(run), "--pooled", "0.25"]) == 0
    assert main(asked) == 0
    assert "--resume" not in capsys.readouterr().out
    rung = json.loads(out.read_text())["baselines"]["Pooled"]
    pooled = load_pooled(run)
    assert pooled is not None
    tasks = [Sinusoid().task("test", index) for index in range(3)]
    assert rung["mse"] == pytest.approx(score(pooled, tasks).mean)
