"""Names and options become objects, and only those that are listed."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from small import blobs, sinusoid
from torch import nn

from quickstudy import UserError, build, catalog, learners
from quickstudy.catalog import build_tasks, encoder, from_specs, lookup
from quickstudy.learners import MAML, PrototypicalNetwork
from quickstudy.nets import MLP, SharedLinear
from quickstudy.tasks import Episodes, Sinusoid, arrays


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("maml", "MAML"),
        ("ProtoNet", "PrototypicalNetwork"),
        ("prototypicalnetworks", "PrototypicalNetwork"),
        ("os.system", None),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, meant: str | None) -> None:
    known = {"MAML": 1, "PrototypicalNetwork": 2}
    with pytest.raises(UserError, match="MAML, PrototypicalNetwork") as caught:
        lookup("learner", name, known)
    assert f"received {name!r}" in str(caught.value)
    assert (f"did you mean {meant}?" in str(caught.value)) == (meant is not None)
    assert lookup("learner", "MAML", known) == 1


def test_the_seed_decides_the_weights_and_nothing_else_changes() -> None:
    torch.manual_seed(3)
    want = torch.rand(2)
    torch.manual_seed(3)
    one, same, other = (build("MAML", sinusoid(), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(2), want), "the global random numbers are left alone"
    first, again, another = (next(learner.parameters()) for learner in (one, same, other))
    assert torch.equal(first, again)
    assert not torch.equal(first, another)


def test_specs_build_the_same_again() -> None:
    net = {"name": "MLP", "hidden": [8, 4], "norm": "layer", "head": "per_class"}
    made = build({"name": "MAML", "inner_steps": 2}, blobs(), net=net)
    specs = json.loads(json.dumps(made.specs))
    again = from_specs(specs)
    assert isinstance(again, MAML)
    assert again.inner_steps == 2
    assert made.state_dict().keys() == again.state_dict().keys()
    assert all(torch.equal(t, made.state_dict()[name]) for name, t in again.state_dict().items())
    assert PrototypicalNetwork(nn.Identity()).specs is None


def test_the_network_fits_learner_and_inputs() -> None:
    pictures = torch.zeros(60, 1, 16, 16, dtype=torch.uint8)
    source = Episodes(arrays(pictures, torch.arange(6).repeat(10)), 2, 1, 2)
    proto, maml = build("PrototypicalNetwork", source), build("MAML", source)
    assert type(proto.net).__name__ == "Conv4"
    assert isinstance(maml.net, nn.Sequential)
    assert isinstance(maml.net[1], SharedLinear)
    assert type(build("PrototypicalNetwork", blobs()).net).__name__ == "MLP"
    regression = build("MAML", sinusoid())
    assert regression.kind == "regression"
    assert isinstance(regression.net, nn.Sequential)
    assert isinstance(regression.net[1], nn.Linear)
    per_class = build("MAML", blobs(), net={"name": "MLP", "head": "per_class"})
    assert isinstance(per_class.net, nn.Sequential)
    assert per_class.net[1].weight.shape[0] == 3


@pytest.mark.parametrize(
    ("learner", "net", "message"),
    [
        ("MALM", None, "did you mean MAML"),
        ({"name": "MAML", "inner_step": 2}, None, "did you mean 'inner_steps'"),
        ({"name": "MAML", "zzz": 2}, None, "its options are"),
        ("MAML", "Conv5", "did you mean Conv4"),
        ("MAML", {"name": "MLP", "hiden": 3}, "did you mean 'hidden'"),
        ("MAML", {"name": "MLP", "norm": "barch"}, "support, batch"),
    ],
)
def test_an_unknown_option_gets_the_nearest(learner: Any, net: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build(learner, blobs(), net=net)


def test_a_classifier_is_not_for_regression() -> None:
    with pytest.raises(UserError, match="choose another learner"):
        build("PrototypicalNetwork", sinusoid())


def test_tasks_by_name() -> None:
    source = build_tasks({"name": "sinusoid", "n_shot": 3, "n_query": 4, "seed": 5})
    assert source == Sinusoid(n_shot=3, n_query=4, seed=5)
    with pytest.raises(UserError, match="did you mean sinusoid"):
        build_tasks({"name": "sinusoids"})
    with pytest.raises(UserError, match="unknown option 'n_shots'"):
        build_tasks({"name": "sinusoid", "n_shots": 3})


def test_only_episodes_have_ways() -> None:
    episodes = {name for name in catalog.SOURCES if not catalog.makes_tasks(name)}
    assert episodes == {
        *("glyphs", "omniglot", "folder", "table"),
        *("texts", "clinc150", "hwu64", "fewrel"),
    }
    for name in ("tables", "table_prior", "sinusoid"):
        with pytest.raises(UserError, match="have no ways"):
            build_tasks({"name": name, "path": "unused", "n_way": 5})


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(UserError, match="shared, per_class"):
        build("MAML", blobs(), net={"name": "MLP", "head": "perclass"})


@pytest.mark.parametrize("name", ["MAML", "PrototypicalNetwork", "ProtoMAML"])
def test_the_encoder_is_the_network_without_its_head(name: str) -> None:
    """A baseline that is fine-tuned from scratch must not see the features through a head."""
    made = build(name, blobs(), net={"name": "MLP", "hidden": (7,)})
    given = getattr(learners, name)(made.net if name == "MAML" else MLP((2,), (7,)))
    for learner in (made, given):
        found = encoder(learner)
        assert found is not None
        assert found(torch.zeros(4, 2)).shape == (4, 7)
    assert encoder(learners.NearestCentroid()) is None
