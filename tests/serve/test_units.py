"""Answers about a regression over HTTP are in the units of the table."""

from pathlib import Path

import numpy as np
import pytest
from served_runs import MLP, listening, trained

import quickstudy as qs
from quickstudy.serve.app import create_app


def test_values_and_errors_are_in_the_units_of_the_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    areas = rng.normal(size=(8, 8))
    lines = [f"t{k},{a:.3f},{3e5 + 1e5 * a * (1 + k / 20):.2f}" for k in range(8) for a in areas[k]]
    (tmp_path / "towns.csv").write_text("\n".join(["town,area,price", *lines]))
    table = ("--tasks", "table", "--tasks.path", str(tmp_path / "towns.csv"))
    columns = ("--tasks.target", "price", "--tasks.task", "town", "--n-shot", "4")
    trained(tmp_path / "towns", "--learner", "MAML", *table, *columns, *MLP)
    support = [{"row": {"area": a}, "label": 3e5 + 1e5 * a} for a in (-1.0, -0.5, 0.5, 1.0)]
    adapted = qs.load(tmp_path / "towns").adapt(
        [e["row"] for e in support], [e["label"] for e in support]
    )
    queries = [{"row": {"area": 0.2}}, {"row": {"area": -0.7}}]
    values = adapted.predict([q["row"] for q in queries])
    assert np.abs(values - 3e5).max() < 3e5
    app = create_app([tmp_path / "towns"], f"sqlite:///{tmp_path / 'tasks.db'}")
    with listening(app) as client:
        tasks = "/v1/models/towns/tasks"
        client.post(f"{tasks}?task_id=mine", json={"support": support}).raise_for_status()
        mine = f"{tasks}/mine"
        answers = client.post(f"{mine}:predict", json={"query": queries}).json()["predictions"]
        np.testing.assert_allclose([each["label"] for each in answers], values, rtol=1e-5)
        why = client.post(f"{mine}:explain", json={"query": queries[0]}).json()
        assert why["prediction"]["label"] == pytest.approx(values[0], rel=1e-5)
        largest = max(abs(each["value"]) for each in why["influence"])
        assert 1e2 < largest < 1e6
        quality = client.post(f"{mine}:quality").json()
        assert quality["value"] == pytest.approx(adapted.quality().value, rel=1e-3)
        errors = [suspect["error"] for suspect in quality["suspicious"]]
        assert errors == pytest.approx([s.error for s in adapted.suspicious()], rel=1e-3)
        labelled = [q | {"label": float(v) + 1e4} for q, v in zip(queries, values, strict=True)]
        measured = client.post(f"{mine}:evaluate", json={"query": labelled}).json()
        assert measured["value"] == pytest.approx(1e8, rel=1e-2)
