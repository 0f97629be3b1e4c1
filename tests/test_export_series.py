"""An exported forecaster takes the last values of a series as people have them."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
import torch
from forecasting import HORIZON, LAGS, forecaster

from quickstudy import Model, UserError
from quickstudy.inputs import Windows
from quickstudy.learners import RidgeHead
from quickstudy.nets import MLP, Leading

RNG = np.random.default_rng(0)
WALK = 200 + np.cumsum(RNG.normal(size=40))
PATH = np.cumsum(RNG.normal(size=(40, 2)), axis=0)
KINDS: dict[str, tuple[dict[str, Any], Any]] = {
    "one channel": ({"season": 2}, WALK),
    "two channels": ({"channels": ("a", "b")}, PATH),
    "a track": (
        {"channels": ("x", "y"), "spread": False, "reference": "velocity", "turned": True},
        PATH,
    ),
}


def ridge(**options: Any) -> Model:
    """A model of series whose learner is linear in the lags."""
    kind = Windows(LAGS, HORIZON, **options)
    net = Leading(MLP((kind.scale.n_lags,), hidden=()), kind.scale.n_lags)
    return Model(RidgeHead(net, "regression"), kind.x_shape, kind, targets=kind.scale)


def asked(suffix: str, content: bytes, windows: Any) -> Any:
    """The answers of the file to windows in the user's units."""
    queries = np.asarray(windows, dtype=np.float32)
    if suffix == ".pt2":
        program = torch.export.load(io.BytesIO(content)).module()
        return program(torch.from_numpy(queries))[0].numpy()
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return session.run(None, {"queries": queries})[0]


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
@pytest.mark.parametrize("name", KINDS)
def test_a_file_takes_values_and_answers_in_their_units(name: str, suffix: str) -> None:
    if suffix == ".onnx":
        pytest.importorskip("onnxscript")
    options, history = KINDS[name]
    adapted = ridge(**options).adapt(history)
    windows = np.stack([history[i : i + LAGS] for i in (0, 5, len(history) - LAGS)])
    answers = asked(suffix, adapted.exported(suffix), windows)
    expected = adapted.predict(windows)
    assert answers.shape == expected.shape
    assert answers.dtype == np.float32
    np.testing.assert_allclose(answers, expected, rtol=1e-4, atol=1e-3)


def test_a_standing_window_is_answered_too() -> None:
    adapted = ridge().adapt(WALK)
    still = np.full((2, LAGS), 7.0)
    answers = asked(".pt2", adapted.exported(".pt2"), still)
    np.testing.assert_allclose(answers, adapted.predict(still), rtol=1e-4)


def test_the_metadata_say_what_goes_in() -> None:
    metadata = forecaster().adapt(WALK).metadata()
    assert metadata["queries"].startswith(f"the last {LAGS} steps of a series, in its units")
    assert json.loads(json.dumps(metadata))["preprocessing"]["horizon"] == HORIZON


def test_values_that_single_precision_cannot_tell_apart_are_refused() -> None:
    with pytest.raises(UserError, match="which it cannot tell apart"):
        ridge().adapt(1e6 + WALK).exported(".pt2")


def test_windows_are_framed_by_one_rule() -> None:
    for options, history in KINDS.values():
        scale = Windows(LAGS, HORIZON, **options).scale
        windows = torch.from_numpy(np.stack([history[i : i + LAGS] for i in range(5)]))
        windows = windows.reshape(5, LAGS, -1)
        x = scale.encoded(windows)
        torch.testing.assert_close(scale.values(x), windows)
        unit = windows.std(dim=1, correction=0) if scale.spread else torch.ones(5, 2).double()
        torch.testing.assert_close(scale.frame(x).spread, unit)
