"""Every learner keeps the contract, and gives what can be worked out by hand."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from cases import CASES, META_GRADIENTS, ROW, WAY, Case
from torch import nn

from quickstudy.batching.batch import meta_gradient
from quickstudy.errors import UserError
from quickstudy.inner.descent import MetaGradient
from quickstudy.learners import MAML, PrototypicalNetwork
from quickstudy.nets import MLP
from quickstudy.task import Task, examples, stack
from quickstudy.testing import check_learner, random_tasks


@pytest.mark.parametrize("case", CASES, ids=str)
def test_learner_conforms(case: Case) -> None:
    torch.manual_seed(0)
    check_learner(case.build(), case.x_shape, case.n_out)


def joint_case(way: MetaGradient) -> tuple[MAML, Task]:
    torch.manual_seed(0)
    net = nn.Sequential(MLP(ROW, (8,)), nn.Linear(8, WAY))
    learner = MAML(net, inner_lr=0.0, inner_steps=3, meta_gradient=way).double()
    return learner, random_tasks("classification", ROW, WAY)[0]


@pytest.mark.parametrize("way", META_GRADIENTS)
def test_maml_without_step_size_is_joint_training(way: MetaGradient) -> None:
    learner, task = joint_case(way)
    logits = learner.net(task.query.x)  # type: ignore[operator]
    joint = F.cross_entropy(logits, task.query.y.argmax(dim=1))
    torch.testing.assert_close(learner(task), joint)
    parameters = list(learner.parameters())
    want = torch.autograd.grad(joint, parameters)
    found = meta_gradient(learner, stack([task]), "loop").gradients
    torch.testing.assert_close(list(found.values()), list(want))


def test_prototypes_by_hand() -> None:
    learner = PrototypicalNetwork(nn.Flatten()).double()
    support = examples(
        torch.tensor([[0.0, 0], [2, 0], [0, 4]], dtype=torch.float64), torch.tensor([0, 0, 1])
    )
    state = learner.adapt(support)
    assert state.prototypes.tolist() == [[1, 0], [0, 4]]
    assert state.present.tolist() == [1, 1]
    query = torch.tensor([[1.0, 1], [0, 0]], dtype=torch.float64)
    assert learner.predict(state, query).tolist() == [[-1, -10], [-1, -16]]


def test_trajectory_starts_at_theta_and_ends_at_the_state() -> None:
    learner, task = joint_case("exact")
    learner.rate = 0.1
    states = list(learner.trajectory(task.support, 3))
    assert len(states) == 4
    for before, after in pairwise(states):
        for name, value in after.parameters.items():
            assert not torch.equal(value, before.parameters[name]), name
    torch.testing.assert_close(states[0].parameters, dict(learner.net.named_parameters()))
    torch.testing.assert_close(states[3].parameters, learner.adapt(task.support).parameters)
    ways = zip(states[0].parameters.values(), states[3].parameters.values(), strict=True)
    assert not any(torch.allclose(theta, phi) for theta, phi in ways)


def test_maml_refuses_running_statistics() -> None:
    with pytest.raises(UserError, match=r"BatchNorm1d '1'.*replace_batch_norm"):
        MAML(nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)))


def test_maml_refuses_more_classes_than_outputs() -> None:
    learner, _ = joint_case("exact")
    task = random_tasks("classification", ROW, WAY + 1)[0]
    with pytest.raises(UserError, match="3 outputs and the task 4 classes"):
        learner(task)
