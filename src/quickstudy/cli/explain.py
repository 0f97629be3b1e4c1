"""quickstudy explain: why an adapted model answers as it does."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Any

from quickstudy.cli.predict import queries
from quickstudy.explain import Method
from quickstudy.explain.figures import explanation_figures
from quickstudy.figures.bars import name_of
from quickstudy.figures.sheet import Figure
from quickstudy.files.records import JSON
from quickstudy.models.adapted import Adapted
from quickstudy.models.saved import load_task

FEW = 3


def explain(
    task: Path,
    inputs: list[Path],
    target: str | None = None,
    attribution: Method | None = None,
    counterfactual: bool = False,
    json: bool = False,
    pictures: Path | None = None,
) -> int:
    """Say why an adapted model answers as it does.

    Args:
        task: File that `quickstudy adapt` wrote.
        inputs: Pictures; or one CSV file.
        target: Label to explain, or number of an output; what is predicted where omitted.
        attribution: Also find the parts of the input that count; needs captum.
        counterfactual: Also find a few examples without which the answer is another.
        json: Whether to print JSON, with all there is to say.
        pictures: Folder for the pictures, as SVG and JSON; a folder inside it for each input.
    """
    adapted = load_task(task)
    X = queries(adapted.model, inputs)
    names = [path.name for path in inputs]
    names = names if len(names) == len(X) else [f"row {i + 1}" for i in range(len(X))]
    label = None if target is None else _label(adapted, target)
    found: list[JSON] = []
    for i, (name, query) in enumerate(zip(names, X, strict=True)):
        explanation = adapted.explain(query, label, attribution, counterfactual).to_json()
        found.append({"input": name, **explanation})
        if pictures is not None:
            folder = pictures if len(X) == 1 else pictures / f"{i + 1} {Path(name).stem}"
            for figure in explained_in_figures(adapted, query, explanation):
                figure.save(folder)
    if json:
        print(jsonlib.dumps(found, indent=2))
        return 0
    for explanation in found:
        print("\n".join(_lines(explanation)))
    for row in found[0]["suspicious"]:
        if row["probability"] is not None and row["answer"] != row["label"]:
            print(
                f"is {_example(row)} labelled right? Without it that has probability "
                f"{row['probability']:.2g}; {name_of(row['answer'])} is more likely"
            )
    return 0


def explained_in_figures(adapted: Adapted, query: Any, explanation: JSON) -> list[Figure]:
    """The figures of what `Adapted.explain` said of a query."""
    x, _ = adapted.model.inputs(query)
    support, asked = (t.detach().cpu().numpy() for t in (adapted.support_x, x[0]))
    return explanation_figures(explanation, support, asked, adapted.model.preprocess)


def _label(adapted: Adapted, text: str) -> Any:
    """The label that is written so, or the number of an output."""
    labels = adapted.classes or range(adapted.support.y.shape[1])
    return next((label for label in labels if str(label) == text), text)


def _lines(found: JSON) -> list[str]:
    """The lines of an explanation in the terminal."""
    lines = [f"{found['input']}\t{name_of(found['answer'])}"]
    if found["probabilities"] is not None:
        lines[0] += f"\t{max(found['probabilities']):.3f}"
        if found["target"] != found["answer"]:
            p = found["probabilities"][found["classes"].index(found["target"])]
            lines.append(f"  explained:     {name_of(found['target'])}, {p:.3f}")
    known = [row for row in found["influence"] if row["value"] is not None]
    known.sort(key=lambda row: -row["value"])
    does = ("for it:", "against it:") if found["probabilities"] else ("raise it:", "lower it:")
    for word, rows in zip(does, (known, known[::-1]), strict=True):
        sign = 1 if rows is known else -1
        few = [f"{_example(r)} {r['value']:+.2g}" for r in rows[:FEW] if sign * r["value"] > 0]
        lines += [f"  {word:<14} {', '.join(few)}"] if few else []
    if len(known) < len(found["influence"]):
        lines.append("  no influence   of an example that is alone in its class can be told")
    near = found["nearest"]["examples"][:FEW]
    lines.append(
        "  most like it:  " + ", ".join(f"{_example(r)} {r['similarity']:.2f}" for r in near)
    )
    if found["counterfactual"]:
        ids = ", ".join(map(str, found["counterfactual"]["ids"]))
        lines.append(f"  {name_of(found['counterfactual']['answer'])} without:  {ids}")
    return lines


def _example(row: JSON) -> str:
    return f"{row['id']} ({name_of(row['label'])})"
