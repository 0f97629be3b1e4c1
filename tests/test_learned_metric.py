"""The page on learning behind a frozen encoder says what its benchmark recorded."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
RECORD = json.loads((ROOT / "benchmarks/learned-metric.json").read_text())
PAGE = (ROOT / "docs/behind-encoders.md").read_text()
TITLES = {
    "cifar_fs": "CIFAR-FS 1-shot",
    "hwu64": "HWU64 1-shot",
    "fewrel": "FewRel wiki 5-shot",
}


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location(
        "learned_metric", ROOT / "benchmarks/learned_metric.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", TITLES)
def test_the_page_has_the_recorded_numbers(name: str) -> None:
    (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| {TITLES[name]} |"))
    numbers = re.findall(r"([+-]?\d+\.\d+) ± (\d+\.\d+)", row)
    recorded = RECORD[name]
    means = [*recorded["accuracy"].values(), recorded["difference"]["logistic regression"]]
    assert [(float(mean), float(half)) for mean, half in numbers] == [
        (each["mean"], each["half_width"]) for each in means
    ]
    of_seeds = [each["mean"] for each in recorded["difference_of_seeds"]]
    assert ", ".join(f"{mean:+.2f}" for mean in of_seeds) in row


def test_what_was_measured_is_what_the_benchmark_trains(benchmark: Any) -> None:
    for name, comparison in benchmark.COMPARISONS.items():
        recorded = RECORD[name]
        assert recorded["learner"] == comparison.learner
        assert recorded["net"] == comparison.net
        assert recorded["training_episodes"] == comparison.episodes
        assert recorded["training"] == comparison.training
        assert recorded["classes"] == "meta-test"


def test_episodes_of_the_benchmark_hold_no_example_twice(benchmark: Any) -> None:
    rng = np.random.default_rng(0)
    classes = {f"c{i}": rng.normal(size=(8, 3)) for i in range(7)}
    x, y, queries, z = benchmark.draw(benchmark.Pools({}, {}, classes), False, 2, 4, 5)
    assert [*np.bincount(y), *np.bincount(z)] == [2] * 5 + [4] * 5
    assert len(np.unique(np.concatenate([x, queries]), axis=0)) == 5 * 6
    again = benchmark.draw(benchmark.Pools({}, {}, classes), False, 2, 4, 5)
    assert all((a == b).all() for a, b in zip((x, y, queries, z), again, strict=True))
