"""Figures of an evaluation."""

from __future__ import annotations

from quickstudy.figures import plots
from quickstudy.figures.loss_curves import loss_curves
from quickstudy.figures.sheet import Figure
from quickstudy.files.records import JSONLike
from quickstudy.metrics import named


def evaluation_figures(result: JSONLike) -> list[Figure]:
    """The figures of an evaluation."""
    metric, name, ladder = named(result["metric"]), result["learner"], result["baselines"]
    chance = metric.guessing(result.get("n_way"))
    rows = [{"name": name, **result}, *({"name": n, **b} for n, b in ladder.items())]
    for row in rows[1:]:
        row["name"] += f" ({row['n_tasks']} tasks)" if "n_tasks" in row else ""
    rows = [{key: row[key] for key in ("name", metric.name, "ci95")} for row in rows]
    figures = [plots.baseline_ladder(rows, metric=metric, chance=chance)]
    for key, number in plots.NUMBERS.items():
        curves = {name: result.get(key), **{n: b.get(key) for n, b in ladder.items()}}
        if measured := {n: rows for n, rows in curves.items() if rows}:
            figures.append(plots.accuracy_curves(measured, number, metric=metric, chance=chance))
    if "optimizers" in result:
        rules, trained_steps = (result["optimizers"][key] for key in ("rules", "trained_steps"))
        figures.append(loss_curves(rules, trained_steps=trained_steps))
    if result.get("reliability"):
        figures.append(plots.reliability(result["reliability"], result["ece"]))
    return figures
