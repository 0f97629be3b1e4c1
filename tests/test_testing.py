"""Every check of the conformance suite goes red for a learner that deserves it, and only then."""

import copy

import pytest
import torch
from saboteurs import N_IN, SABOTEURS, BranchesOnData, Honest, PrefersEarlyClasses

from quickstudy import testing
from quickstudy.learner import AnyLearner, Tags
from quickstudy.task import Examples

N_WAY = 3


def failures(learner: AnyLearner) -> dict[str, str]:
    """The messages of the checks that fail, by the check's name."""
    tasks = testing.random_tasks(learner.kind, (N_IN,), N_WAY)
    found = {}
    for check in testing.CHECKS:
        try:
            check(learner, tasks)
        except AssertionError as error:
            found[check.__name__] = str(error)
    return found


def test_every_check_has_a_saboteur() -> None:
    assert {check.__name__ for check in testing.CHECKS} == SABOTEURS.keys()


def test_honest_learner_passes() -> None:
    assert failures(Honest()) == {}


@pytest.mark.parametrize(
    ("check", "saboteur"),
    [(check, saboteur) for check, saboteurs in SABOTEURS.items() for saboteur in saboteurs],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_saboteur_turns_its_check_red(check: str, saboteur: type) -> None:
    found = failures(saboteur())
    assert list(found) == [check], found
    assert found[check].startswith(f"{check} (")
    assert "; received " in found[check]
    assert found[check].count("; ") >= 2, "a message has three parts"


def test_check_learner_runs_the_checks_and_leaves_the_learner_alone() -> None:
    learner = Honest().float()
    before = copy.deepcopy(learner.state_dict())
    testing.check_learner(learner, (N_IN,), N_WAY)
    assert learner.training
    for name, value in learner.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
    with pytest.raises(AssertionError, match="check_relabelling"):
        testing.check_learner(PrefersEarlyClasses(), (N_IN,), N_WAY)


def test_declared_properties_lift_their_check() -> None:
    learner = PrefersEarlyClasses()
    learner.tags = Tags(label_equivariant=False)
    testing.check_learner(learner, (N_IN,), N_WAY)
    branching = BranchesOnData()
    branching.tags = Tags(vmappable=False)
    testing.check_learner(branching, (N_IN,), N_WAY)


def test_random_tasks_are_ragged_and_reproducible() -> None:
    tasks = testing.random_tasks("classification", (2,), 3, seed=5)
    assert [t.support.y.shape[1] for t in tasks] == [3, 2, 3]
    assert [t.support.y.sum(dim=0).tolist() for t in tasks] == [[1, 2, 2], [2, 2], [3, 2, 2]]
    again = testing.random_tasks("classification", (2,), 3, seed=5)
    assert all(torch.equal(a.query.x, b.query.x) for a, b in zip(tasks, again, strict=True))
    assert not torch.equal(
        tasks[0].query.x, testing.random_tasks("classification", (2,), 3)[0].query.x
    )


def test_stochastic_learner_is_seeded() -> None:
    class Dropping(Honest):
        tags = Tags(stochastic=True)

        def adapt(self, support: Examples):  # type: ignore[no-untyped-def]
            keep = torch.rand(8, dtype=support.x.dtype) > 0.2
            state = super().adapt(support)
            return state._replace(prototypes=state.prototypes * keep)

    testing.check_learner(Dropping(), (N_IN,), N_WAY)
    undeclared = Dropping()
    undeclared.tags = Tags()
    assert "check_batching" in failures(undeclared)
