"""The classifier that a learner generator wrote for a task, and the reasons."""

from __future__ import annotations

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.cells import default_names
from quickstudy.learners.generator import GeneratorState
from quickstudy.learners.generator_parts import PARTS
from quickstudy.models.adapted import Adapted

NAMES = {"logistic": "logistic", "svm": "RBF SVM", "mlp": "MLP"}


def written(adapted: Adapted) -> JSON:
    """The generated classifier, as plain JSON.

    Returns:
        `parts`: of each classifier its `share` in the answer; the `preference` that the network has
        by the look of the columns; the `left_out` loss in nats of the examples, each left out,
        which moves the preference to the share; its `penalty`, and how many `weights` it has.
        `columns`, those that count most first: how much each counts, by the shares of the
        classifiers, the mean being 1.

    Raises:
        UserError: The task was not learned by a `LearnerGenerator`.
    """
    state = adapted.state
    if not isinstance(state, GeneratorState):
        raise UserError(
            "generated: needs a task of a LearnerGenerator; received one of a "
            f"{type(adapted.model.learner).__name__}; see quickstudy explain for others."
        )
    why = state.why
    d = why["columns"].shape[1]
    names = adapted.model.preprocess.features or default_names(d)
    share = why["columns"] / why["columns"].mean(dim=1, keepdim=True).clamp(min=1e-12)
    counts = (state.shares[:, None] * share).sum(dim=0)
    parts = [
        {
            "name": NAMES[part],
            "share": float(state.shares[i]),
            "preference": float(why["preference"][i]),
            "left_out": float(why["left_out"][i]),
            "penalty": float(why["penalties"][i]),
            "weights": state.parts[part]["weight"].numel(),
        }
        for i, part in enumerate(part for part in PARTS if part in state.parts)
    ]
    columns = sorted(zip(names, counts.tolist(), strict=True), key=lambda column: -column[1])
    return {
        "n_examples": len(adapted.labels),
        "n_classes": len(adapted.classes),
        "parts": parts,
        "columns": [{"name": name, "counts": value} for name, value in columns],
    }
