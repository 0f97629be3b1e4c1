"""What a meta-training will need, beside what it does need."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from small import maml, sinusoid
from test_resume import environment
from torch import Tensor, nn

from quickstudy import Training, UserError, build
from quickstudy.batching.batch import first_piece, remedies
from quickstudy.cli.main import main
from quickstudy.learner import AnyLearner
from quickstudy.learners import MAML, RidgeRegression
from quickstudy.task import to_like
from quickstudy.tasks import Sinusoid
from quickstudy.training.estimate import _Alive, _peak, estimate

MODULE = sys.modules["quickstudy.training.estimate"]
MIB = 2**20


def asked(learner: AnyLearner, meta_batch: int = 4, n_query: int = 5, **settings: Any) -> int:
    """Bytes of the tensors of a step."""
    source = Sinusoid(n_shot=n_query, n_query=n_query)
    training = Training(meta_batch=meta_batch, **settings)
    return estimate(learner, source, training, measure=False).asked.tensors


def test_tensors_count_as_long_as_they_exist() -> None:
    with _Alive() as alive:
        a = torch.zeros(1000)
        a.add_(1.0)
        b = a.view(10, 100) + 1
        del a
        c = b.T * 2
        del b
        d = c[:5] + 0
    assert d.shape == (5, 10)
    assert alive.most == 8000
    assert alive.now == 4000 + 5 * 10 * 4


@pytest.mark.parametrize("batching", ["loop", "vmap"])
def test_tensors_without_memory_count_as_real_ones(batching: Any) -> None:
    source = Sinusoid(n_shot=1000, n_query=1000)
    learner = maml(source, inner_steps=2)
    tasks = to_like(source.batch("train", range(5)), next(learner.parameters()))
    piece = first_piece(learner, tasks, batching)
    parameters = learner.meta_parameters()
    with _Alive([*parameters.values(), *piece.tasks.support, *piece.tasks.query]) as alive:
        piece.step(parameters, piece.tasks)
    found = _peak(piece.step, learner, piece.tasks)
    assert found == pytest.approx(alive.most, rel=0.01)
    assert found > 5 * 1000 * 8 * 4


def test_a_step_that_looks_at_values_is_counted_too() -> None:
    class Looks(nn.Module):
        vmappable = False

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(1, 100)

        def forward(self, x: Tensor) -> Tensor:
            z: Tensor = self.linear(x)
            return z[:, :1] if float(z.sum()) < 1e9 else -z[:, :1]

    need = asked(MAML(Looks(), kind="regression", inner_steps=1), n_query=1000)
    assert need > 1000 * 100 * 4


def test_activations_grow_with_the_steps_unless_they_are_computed_again() -> None:
    source = sinusoid()
    need = {
        (how, steps): asked(maml(source, inner_steps=steps, meta_gradient=how), n_query=2000)
        for how in ("exact", "checkpoint")
        for steps in (2, 12)
    }
    activation = 4 * 2000 * 8 * 4  # of one layer, in four tasks
    assert need["exact", 12] - need["exact", 2] > 10 * activation
    parameters = 4 * 4 * (8 + 8 + 8 + 1)
    assert need["checkpoint", 12] - need["checkpoint", 2] < 10 * 3 * parameters + activation


def test_chunks_and_loops_need_less_and_are_proposed() -> None:
    source = sinusoid()
    training = Training(meta_batch=16)
    found = estimate(maml(source, inner_steps=2), source, training, measure=False)
    changes = [need.change for need in found.others]
    assert changes == [
        {"chunk_size": 4},
        {"meta_gradient": "checkpoint"},
        {"batching": "loop"},
        {"batching": "loop", "meta_gradient": "checkpoint"},
    ]
    for need in found.others:
        outer = {k: v for k, v in need.change.items() if k != "meta_gradient"}
        inner = {k: v for k, v in need.change.items() if k == "meta_gradient"}
        changed = Training(meta_batch=16, **outer)
        again = estimate(maml(source, inner_steps=2, **inner), source, changed, measure=False)
        assert again.asked.tensors == need.tensors < found.asked.tensors


def test_without_second_order_nothing_is_combined() -> None:
    """A loop of chunks is no setting."""
    source = sinusoid()
    found = remedies(maml(source, meta_gradient="first"), 16)
    assert found == [{"chunk_size": 4}, {"batching": "loop"}]


def test_what_is_kept() -> None:
    source = sinusoid()
    n = sum(p.numel() for p in maml(source).parameters())
    kept = {
        name: estimate(maml(source), source, Training(outer_optimizer=name), measure=False).kept
        for name in ("SGD", "Adam")
    }
    assert kept["SGD"] == 3 * 4 * n
    assert 0 <= kept["Adam"] - 5 * 4 * n < 100  # and a count of steps for each tensor


def test_nothing_changes() -> None:
    source = sinusoid()
    learner = maml(source).eval()
    before = {name: t.clone() for name, t in learner.state_dict().items()}
    state = torch.random.get_rng_state()
    found = estimate(learner, source, Training(meta_batch=2))
    assert not learner.training
    assert learner.meta_gradient == "exact"
    torch.testing.assert_close(dict(learner.state_dict()), before, rtol=0, atol=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert found.seconds is not None
    assert found.seconds > 0


def test_the_most_demanding_step_counts() -> None:
    """MAML++ begins in first order."""
    source = sinusoid()
    need = [
        asked(build({"name": "MAMLPlusPlus", "first_order": until}, source), n_query=500)
        for until in (0.0, 0.5)
    ]
    assert need[0] == need[1]


def test_what_does_not_fit_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "available_memory", lambda device: MIB)
    monkeypatch.setattr(MODULE, "growth", lambda *_: pytest.fail("tried"))
    source = Sinusoid(n_shot=2000, n_query=2000)
    found = estimate(maml(source), source)
    assert found.fits is False
    assert found.measured is found.seconds is None


def test_where_the_system_does_not_say_what_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODULE, "available_memory", lambda device: None)
    source = sinusoid()
    assert estimate(maml(source), source, measure=False).fits is None


def test_a_baseline_is_refused() -> None:
    source = sinusoid()
    with pytest.raises(UserError, match="has no meta-parameters"):
        estimate(RidgeRegression(), source)


MEASURED = """
import json, sys
import quickstudy as qs
from quickstudy.files.machine import keep_memory
keep_memory()
source = qs.tasks.Sinusoid(n_shot=20000, n_query=20000)
learner = qs.build({"name": "MAML", "inner_steps": 3}, source)
found = qs.estimate(learner, source, qs.Training(meta_batch=8))
print(json.dumps([found.asked.tensors, found.measured]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the memory of a process")
def test_it_is_near_what_a_process_takes() -> None:
    """The median of three: how the memory of one is cut up depends on the turns of its threads."""
    found = []
    for _ in range(3):
        run = subprocess.run(
            [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
        )
        found.append(json.loads(run.stdout))
    tensors, measured = found[0][0], statistics.median(each for _, each in found)
    assert tensors > 100 * MIB
    assert 0.8 * tensors < measured < MODULE.KERNELS * tensors


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "need.json"
    words = ["estimate", "--learner=MAML", "--tasks=sinusoid", "--meta-batch=16", "--steps=50"]
    assert main([*words, f"--json={file}"]) == 0
    found = json.loads(file.read_text())
    assert found["fits"] is True
    assert found["steps"] == 50
    assert found["others"][0]["change"] == {"chunk_size": 4}
    out = capsys.readouterr().out
    assert "MAML, a step of 16 tasks" in out
    assert "with --chunk-size 4" in out
    assert "--learner.meta-gradient" in out
    assert f"besides: {found['parameters']} parameters" in out
    assert "minutes for 50 steps" in out


OUT_OF_MEMORY = """
import resource, sys
import torch
from quickstudy.cli.main import main
from quickstudy.files.machine import resident
def now():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
torch.ones(10) @ torch.ones(10)
resource.setrlimit(resource.RLIMIT_AS, (now() + 2**29, now() + 2**29))
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits a process as Linux does")
def test_without_memory_training_says_what_to_change(tmp_path: Path) -> None:
    words = ["train", "--learner=MAML", "--tasks=sinusoid", "--meta-batch=64", "--out"]
    options = [str(tmp_path / "run"), "--n-shot=20000", "--n-query=20000", "--net.hidden=[64,64]"]
    run = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, *words, *options],
        capture_output=True,
        text=True,
        env=environment(),
        check=False,
    )
    assert run.returncode == 2, run.stderr
    assert "step 0: needs more memory than there is; received meta_batch=64" in run.stderr
    assert "set chunk_size=16, meta_gradient=checkpoint, batching=loop," in run.stderr
    assert "quickstudy estimate" in run.stderr
