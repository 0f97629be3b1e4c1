"""The adapter of features: it starts as the identity; and the mean of meta-train before it."""

from __future__ import annotations

import copy

import pytest
import torch
from small import blobs, quick, taught

from quickstudy import UserError, build
from quickstudy.evaluation.scores import calibrate_population
from quickstudy.learners import FineTuning, PrototypicalNetwork
from quickstudy.nets import MLP, Adapter, Centre, calibrate
from quickstudy.nets.norm import check_calibrated, kinds

X = torch.randn(7, 2, 3, generator=torch.Generator().manual_seed(0))


def test_it_starts_as_the_identity() -> None:
    assert torch.equal(Adapter((2, 3))(X), X.flatten(1))
    torch.testing.assert_close(Adapter((2, 3), scale=4.0)(X), 4 * X.flatten(1))


def test_predictions_start_as_those_on_bare_features() -> None:
    source = blobs()
    task = source.task("test", 0)
    on_adapter = build("PrototypicalNetwork", source, net={"name": "Adapter", "hidden": 8})
    bare = PrototypicalNetwork(MLP((2,), hidden=()))
    assert torch.equal(on_adapter.respond(task), bare.respond(task))


def test_meta_training_changes_it() -> None:
    source = blobs(n_shot=1, noise=3)
    learner = build("PrototypicalNetwork", source, net={"name": "Adapter", "hidden": 32})
    before, after = taught(learner, source, steps=80)
    assert after > before + 0.1
    adapter = learner.net
    assert adapter.second.weight.abs().max() > 0
    assert adapter.log_scale != 0


def test_from_scratch_is_the_identity_again() -> None:
    adapter = Adapter((6,), hidden=4, scale=3.0)
    with torch.no_grad():
        adapter.second.weight.fill_(1)
        adapter.log_scale.fill_(0)
    learner = FineTuning(adapter, steps=0)
    fresh = next(m for m in learner.modules() if isinstance(m, Adapter))
    torch.testing.assert_close(fresh(X), 3 * X.flatten(1))


def test_the_scale_alone() -> None:
    adapter = Adapter((6,), hidden=0)
    assert [name for name, _ in adapter.named_parameters()] == ["log_scale"]
    assert torch.equal(adapter(X), X.flatten(1))


@pytest.mark.parametrize(("option", "value"), [("hidden", -1), ("scale", 0.0)])
def test_refusals(option: str, value: float) -> None:
    with pytest.raises(UserError, match=f"Adapter: {option} must be"):
        Adapter((6,), **{option: value})


def test_centre_by_hand() -> None:
    centre = Centre(2)
    x = torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    torch.testing.assert_close(centre(x)[0], torch.tensor([0.6, 0.8]))
    calibrate(centre, [lambda: centre(x)])
    assert centre.mean.tolist() == [2.0, 2.5]
    half = torch.tensor([1.0, 1.5]) / 3.25**0.5
    torch.testing.assert_close(centre(x), torch.stack([half, -half]))


def test_centre_is_not_refused_before_it_is_calibrated() -> None:
    net = Adapter((2,), centre=True)
    assert kinds(net) == {"population"}
    check_calibrated(net)


def test_the_mean_is_that_of_meta_train_inputs_in_every_mode() -> None:
    source = blobs()
    learner = build("PrototypicalNetwork", source, net={"name": "Adapter", "centre": True})
    calibrate_population(learner, source, n_tasks=200)
    mean = torch.from_numpy(source.pool("train").x).mean(dim=0)
    torch.testing.assert_close(learner.net.centre.mean, mean, rtol=0, atol=0.05)
    task = source.task("test", 0)
    assert torch.equal(learner.eval().respond(task), learner.train().respond(task))


def test_padding_is_not_in_the_mean() -> None:
    centre = Centre(1)
    learner = PrototypicalNetwork(centre)
    task = blobs(n_shot=2, n_query=2).task("train", 0)
    task = type(task)(*(part._replace(x=part.x[:, :1]) for part in task))
    padded = copy.deepcopy(task)
    padded.support.x[-1], padded.support.weight[-1] = 1e6, 0
    calibrate(learner, [lambda: learner(padded)])
    real = torch.cat([task.support.x[:-1], task.query.x])
    torch.testing.assert_close(centre.mean, real.mean(dim=0))


def test_a_mean_that_changes_is_seen_by_recorded_steps() -> None:
    source = blobs()
    spec = {"name": "Adapter", "centre": True, "hidden": 4}
    recorded, plain = (build("PrototypicalNetwork", source, net=spec) for _ in range(2))
    quick(source, plain, None, steps=6, valid_every=2)
    from quickstudy.batching import record

    at_once = pytest.MonkeyPatch()
    with at_once.context() as patch:
        patch.setattr(record.Recorder.__init__, "__defaults__", (False, 0.0))
        quick(source, recorded, None, steps=6, valid_every=2)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(recorded.state_dict()[name], value, rtol=1e-4, atol=1e-5)
