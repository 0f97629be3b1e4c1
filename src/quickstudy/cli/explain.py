"""`quickstudy explain`: explains the answers of an adapted model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quickstudy.cli.console import one_line, print_json
from quickstudy.cli.explain_items import explain_items
from quickstudy.cli.explain_policy import explain_policy
from quickstudy.cli.predict import files_of, input_names, only_series, queries
from quickstudy.encoders import Text
from quickstudy.errors import UserError
from quickstudy.explain import Method
from quickstudy.explain.figures import explanation_figures
from quickstudy.figures.bars import name_of
from quickstudy.figures.sheet import Figure
from quickstudy.figures.values import fine_form
from quickstudy.files.records import JSON
from quickstudy.inputs import Items, Molecules
from quickstudy.inputs.frames import Reading
from quickstudy.inputs.histories import AS_TRAINED, Table, by_time, histories, named
from quickstudy.inputs.molecule_files import Molecule
from quickstudy.inputs.series_files import Series
from quickstudy.inputs.windows import Windows
from quickstudy.models.adapted import Adapted
from quickstudy.models.candidates import neighbour_line, rank_candidates
from quickstudy.models.saved import is_policy, load_policy, load_task
from quickstudy.tasks.contents import told_apart

LEGEND = (
    "(windows that were learned from, by number and times: by how much each raises or lowers the "
    "step that is explained, in the units of the series; and how like they are, 1 at most)"
)
FEW = 3
MOST_VALUES = 6
"""Values of an answer that are printed."""
WORDS = 5


def explain(
    task: Path,
    inputs: list[str],
    table: Table,
    target: str | None = None,
    attribution: Method | None = None,
    counterfactual: bool = False,
    json: bool = False,
    text: str | None = None,
    pictures: Path | None = None,
    series: str | None = None,
    missing: str | None = None,
) -> int:
    """Say why an adapted model answers as it does.

    Args:
        task: File that `quickstudy adapt` wrote; or `quickstudy practise`, which takes no inputs.
        inputs: Pictures; one CSV file; texts, in words or in files; files of series; molecules, as
            SMILES or in files; or items, by id, title or in files. Of ratings the first of the list
            are explained where there are none.
        table: How files of series are laid out.
        target: Label to explain, or number of an output; what is predicted where omitted. Outputs
            count from 0: of a forecast the first is the next step.
        attribution: Also find the parts of the input that count; needs captum.
        counterfactual: Also find a few examples without which the answer is another.
        json: Whether to print JSON, with all there is to say.
        text: A text, where it could be taken for the name of a file.
        pictures: Folder for the pictures, as SVG and JSON; a folder inside it for each input.
        series: Name of the series whose forecast is explained; all of the files where omitted.
        missing: Words of a file of series that say that a value is missing, parted by commas.
    """
    if is_policy(task):
        others = (inputs, target, attribution, text, pictures, series, missing)
        if any(others) or counterfactual or table != AS_TRAINED:
            raise UserError(
                f"explain: a policy is explained as a whole; received {task}, which holds one, and "
                "inputs or options besides; leave out all but --json."
            )
        return explain_policy(load_policy(task), json)
    adapted = load_task(task)
    kind = adapted.model.preprocess
    asked: list[Series] = []
    if isinstance(kind, Windows) and inputs and text is None:
        read = histories(kind, files_of(inputs), Reading.of(missing), table=table)
        asked = named(read, series, "explain", "--series")
        X: Sequence[Any] = [each.values for each in asked]
        names, of_texts = [each.name for each in asked], False
    elif table != AS_TRAINED or series is not None or missing is not None:
        raise only_series("explain", f"a model of {kind.modality}", "series, missing, ")
    elif isinstance(kind, Items) and text is None:
        if target is not None or attribution is not None or counterfactual:
            raise UserError(
                "explain: target, attribution and counterfactual are for classes and numbers; "
                "received a model of items; leave them out."
            )
        return explain_items(adapted, kind, inputs, json, pictures)
    else:
        X = queries(adapted.model, inputs, text)
        of_texts = all(isinstance(x, Text | Molecule) for x in X)
        names = [name if of_texts else Path(name).name for name in input_names(inputs, X)]
    label = None if target is None else _label(adapted, target)
    explanations: list[JSON] = []
    every = adapted.explanations(X, label, attribution, counterfactual)
    for i, (name, query, why) in enumerate(zip(names, X, every, strict=True)):
        explanation = why.to_json()
        if isinstance(kind, Windows) and asked:
            explanation = by_time(explanation, kind, adapted.support_x, asked[i])
        if isinstance(kind, Molecules):
            (near,) = rank_candidates(adapted, [query])
            explanation |= {"neighbour": near.to_json()}
        explanations.append({"input": name, **explanation})
        if pictures is not None:
            folder = pictures if len(X) == 1 else pictures / f"{i + 1} {_stem(name, of_texts)}"
            for figure in explained_in_figures(adapted, query, explanation):
                figure.save(folder)
    if json:
        print_json(explanations)
        return 0
    for i, explanation in enumerate(explanations):
        if isinstance(kind, Windows) and asked:
            print("\n".join(_lines(explanation, _finely(explanation, kind, asked[i]))))
            print(f"  {LEGEND}")
        else:
            print("\n".join(_lines(explanation)))
        if "neighbour" in explanation:
            print(f"  {neighbour_line(explanation['neighbour'])}")
    for row in explanations[0]["suspicious"]:
        if row["probability"] is not None:
            print(
                f"is {_example(row)} labelled right? Without it that has probability "
                f"{row['probability']:.2g}; {name_of(row['answer'])} is more likely"
            )
    return 0


def explained_in_figures(adapted: Adapted, query: Any, explanation: JSON) -> list[Figure]:
    """The figures of an explanation by `Adapted.explain` of a query."""
    encoded = adapted.model.inputs(query).x
    support, x = (t.detach().cpu().numpy() for t in (adapted.support_x, encoded[0]))
    return explanation_figures(explanation, support, x, adapted.model.preprocess)


def _label(adapted: Adapted, text: str) -> Any:
    """The label with this text, or the number of an output."""
    labels = adapted.classes or range(adapted.support.y.shape[1])
    names = zip(labels, told_apart(labels), strict=True)
    return next((label for label, name in names if name == text), text)


def _finely(explanation: JSON, kind: Windows, series: Series) -> str:
    """The answer for a series, written as finely as its window and what follows differ."""
    answer = np.ravel(explanation["answer"])
    form = fine_form([*series.values[-kind.lags :].ravel(), *answer])
    more = ", ..." if len(answer) > MOST_VALUES else ""
    return ", ".join(format(value, form) for value in answer[:MOST_VALUES]) + more


def _lines(explanation: JSON, text: str | None = None) -> list[str]:
    """The lines of an explanation in the terminal.

    Args:
        explanation: As JSON.
        text: The answer, where it is not written as answers are.
    """
    classifies = explanation["probabilities"] is not None
    name = explanation["input"]
    name = one_line(name) if explanation.get("words") else name
    answer = explanation["answer"]
    if isinstance(answer, list) and len(answer) > MOST_VALUES:
        answer = answer[:MOST_VALUES]
    more = "" if answer is explanation["answer"] else ", ..."
    lines = [f"{name}\t{text or name_of(answer) + more}"]
    if classifies:
        lines[0] += f"\t{max(explanation['probabilities']):.3f}"
        if explanation["target"] != explanation["answer"]:
            p = explanation["probabilities"][explanation["classes"].index(explanation["target"])]
            lines.append(f"  explained:     {name_of(explanation['target'])}, {p:.3f}")
    known = [row for row in explanation["influence"] if row["value"] is not None]
    known.sort(key=lambda row: -row["value"])
    heads = (
        ("for it:", "against it:") if explanation["probabilities"] else ("raise it:", "lower it:")
    )
    for head, rows, sign in zip(heads, (known, known[::-1]), (1, -1), strict=True):
        few = [f"{_example(r)} {r['value']:+.2g}" for r in rows[:FEW] if sign * r["value"] > 0]
        lines += [f"  {head:<14} {', '.join(few)}"] if few else []
    if len(known) < len(explanation["influence"]):
        lines.append("  no influence   of an example that is alone in its class can be told")
    near = explanation["nearest"]["examples"][:FEW]
    lines.append(
        "  most like it:  " + ", ".join(f"{_example(r)} {r['similarity']:.2f}" for r in near)
    )
    lines += [f"    {_example(r)}: {one_line(r['text'])}" for r in near if "text" in r]
    lines += _word_lines(explanation)
    if explanation["counterfactual"]:
        ids = ", ".join(map(str, explanation["counterfactual"]["ids"]))
        lines.append(f"  {name_of(explanation['counterfactual']['answer'])} without:  {ids}")
    return lines


def _word_lines(explanation: JSON) -> list[str]:
    """The words of a text that do most for its answer and against it."""
    words = explanation.get("words", {"words": []})["words"]
    known = sorted(
        (word for word in words if word["value"] is not None), key=lambda word: -word["value"]
    )
    lines = []
    heads = ("words for it:", "against it:")
    if not explanation["probabilities"]:
        heads = ("words raise it:", "lower it:")
    for head, rows, sign in zip(heads, (known, known[::-1]), (1, -1), strict=True):
        few = [
            f"{one_line(word['text'])} {word['value']:+.2g}"
            for word in rows[:WORDS]
            if sign * word["value"] > 0
        ]
        lines += [f"  {head:<14} {', '.join(few)}"] if few else []
    return lines


def _stem(name: str, is_text: bool) -> str:
    """A name for the folder of an input's figures; of a text its first letters."""
    return re.sub(r"[^\w -]+", "_", name[:40]).strip(" _") if is_text else Path(name).stem


def _example(row: JSON) -> str:
    return f"{row['id']} ({name_of(row['label'])})"
