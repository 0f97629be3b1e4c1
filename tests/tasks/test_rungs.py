"""The simple opponents: on features of a frozen encoder, those that need nothing but them."""

from __future__ import annotations

import numpy as np
from small import blobs
from tiny_encoders import tiny_pictures
from torch import nn

from quickstudy.evaluation.meta_test import evaluate
from quickstudy.learners import LinearProbe, PrototypicalNetwork
from quickstudy.nets import Adapter
from quickstudy.tasks import Episodes, arrays
from quickstudy.tasks.rungs import feature_rungs


def coloured() -> Episodes:
    """Classes of pictures that differ in the colours of their quarters."""
    rng = np.random.default_rng(0)
    means = rng.integers(40, 216, size=(12, 1, 2, 2, 3))
    pictures = (means + rng.integers(-40, 40, size=(12, 8, 2, 2, 3))).clip(0, 255)
    pictures = pictures.repeat(4, axis=2).repeat(4, axis=3).astype(np.uint8)
    X, y = pictures.reshape(-1, 8, 8, 3), np.arange(12).repeat(8)
    encoder = tiny_pictures().name
    return Episodes(arrays(X, y, encoder=encoder), n_way=2, n_shot=2, n_query=4)


def test_on_features_the_linear_probe_stands_first() -> None:
    source = coloured()
    assert list(source.rungs(nn.Identity())) == ["LinearProbe", "NearestCentroid"]
    assert list(source.rungs(None)) == list(feature_rungs(source.x_shape))


def test_on_other_inputs_they_are_as_before() -> None:
    names = ["NearestCentroid", "LogisticRegression", "FineTuning"]
    assert list(blobs().rungs(nn.Linear(2, 2))) == names


def test_the_rung_is_the_probe_itself() -> None:
    source = coloured()
    task = source.task("test", 0)
    rung = source.rungs(None)["LinearProbe"]
    own = LinearProbe(Adapter(source.x_shape))
    assert (rung.respond(task) - own.respond(task)).abs().max() < 1e-4


def test_it_stands_beside_a_learner_in_its_evaluation() -> None:
    source = coloured()
    learner = PrototypicalNetwork(Adapter(source.x_shape))
    result = evaluate(learner, source, n_tasks=12, shots=(), steps=())
    assert list(result["baselines"]) == ["LinearProbe", "NearestCentroid"]
    assert result["baselines"]["LinearProbe"]["accuracy"] > 0.6
