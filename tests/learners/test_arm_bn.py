"""ARM-BN: what changes without labels, by hand; and what it and others say where labels lack."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy import UserError
from quickstudy.inputs import Vectors
from quickstudy.learners import ARMBN, Pooled, PrototypicalNetwork
from quickstudy.nets import MLP, Norm, SharedLinear
from quickstudy.task import Examples

CLASSES = ("a", "b", "c")


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), Norm(5, "support"), nn.Tanh(), nn.Linear(5, 3))


def model(learner: Any, classes: Any = CLASSES) -> qs.Model:
    return qs.Model(learner, (4,), Vectors(), classes=classes)


X = torch.randn(12, 4, generator=torch.Generator().manual_seed(1)) * 3 + 1


def test_predictions_are_normalised_by_the_support_by_hand() -> None:
    learner = ARMBN(net()).eval()
    support = Examples(X, torch.ones(12, 3), torch.ones(12))
    query = torch.randn(5, 4)
    first, norm, _, last = learner.net
    hidden, asked = first(X), first(query)
    scaled = (asked - hidden.mean(dim=0)) / (hidden.var(dim=0, correction=0) + norm.eps).sqrt()
    expected = last(torch.tanh(scaled))
    torch.testing.assert_close(learner.predict(learner.adapt(support), query), expected)


def test_a_model_adapts_without_labels_and_is_saved(tmp_path: Any) -> None:
    of = model(ARMBN(net()))
    adapted = of.adapt(X)
    assert adapted.classes == ["a", "b", "c"]
    assert adapted.labels == [None] * 12
    labelled = of.adapt(X, ["c", "a", "b", *"aaaaaaaaa"])  # which change nothing
    torch.testing.assert_close(
        torch.tensor(adapted.predict_proba(X)), torch.tensor(labelled.predict_proba(X))
    )
    shifted = of.adapt(X + 2)
    assert abs(shifted.predict_proba(X) - adapted.predict_proba(X)).max() > 0.01
    adapted.save(tmp_path / "a.task")
    again = qs.load_task(tmp_path / "a.task", learner=ARMBN(net()))
    assert again.predict(X).tolist() == adapted.predict(X).tolist()
    assert again.labels == adapted.labels
    for what in (adapted.quality, adapted.suspicious):
        with pytest.raises(UserError, match="needs labelled examples; received a model that"):
            what()


def test_a_pooled_model_adapts_to_nothing() -> None:
    of = model(Pooled(nn.Sequential(MLP((4,), (5,)), nn.Linear(5, 3))))
    one, other = of.adapt(X), of.adapt(X + 9)
    assert (one.predict_proba(X) == other.predict_proba(X)).all()


def test_learners_that_need_labels_say_so() -> None:
    for learner, classes, words in (
        (PrototypicalNetwork(MLP((4,), (5,))), CLASSES, "PrototypicalNetwork learns from labels"),
        (ARMBN(net()), None, "the classes must be the same in every task"),
    ):
        with pytest.raises(UserError, match=f"{words}.*received arrays without labels; pass y"):
            model(learner, classes).adapt(X)


def test_columns_are_the_classes_of_meta_training_whatever_is_labelled() -> None:
    of = model(Pooled(nn.Sequential(MLP((4,), (5,)), nn.Linear(5, 3))))
    all_three = of.adapt(X[:3], ["c", "b", "a"]).predict_proba(X)
    two = of.adapt(X[:3], ["c", "b", "b"])
    assert two.classes == ["a", "b", "c"]
    assert two.predict_proba(X)[:, 0].max() == 0
    ratio = two.predict_proba(X)[:, 1] / two.predict_proba(X)[:, 2]
    torch.testing.assert_close(torch.tensor(ratio), torch.tensor(all_three[:, 1] / all_three[:, 2]))
    assert two.update(X[3:4], ["a"]).predict_proba(X)[:, 0].max() > 0
    with pytest.raises(UserError, match=r"classes of meta-training.*'a', 'b', 'c'; received 'd'"):
        of.adapt(X[:2], ["a", "d"])
    free = model(PrototypicalNetwork(MLP((4,), (5,)))).adapt(X[:2], ["x", "d"])
    assert free.classes == ["d", "x"]


@pytest.mark.parametrize("norm", ["population", None])
def test_a_network_without_the_norm_is_refused(norm: Any) -> None:
    with pytest.raises(UserError, match="ARMBN: adapts by the statistics of norms of kind support"):
        ARMBN(nn.Sequential(MLP((3,), (5,), norm), nn.Linear(5, 2)))


def test_a_shared_head_is_refused() -> None:
    with pytest.raises(UserError, match="needs an output for each class"):
        ARMBN(nn.Sequential(MLP((3,), (5,), "support"), SharedLinear(5)))
