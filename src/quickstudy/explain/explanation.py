"""Why an adapted model answers as it does: all that can be said at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.explain import comparison, removal
from quickstudy.explain.attribution import Attribution, Method, attribute
from quickstudy.explain.comparison import Neighbours
from quickstudy.explain.layers import LayerChange, layer_changes
from quickstudy.explain.removal import Counterfactual, Suspect
from quickstudy.explain.words import WordShares, word_shares
from quickstudy.files.records import exact
from quickstudy.inputs import InputKind
from quickstudy.learner import AnyLearner, Contributions, HeldOut
from quickstudy.targets import IDENTITY, Scale
from quickstudy.task import Examples, Kind, check_labelled


class Explanation(NamedTuple):
    """Why a query is answered as it is. Examples go by their row in the support, from 0 on.

    Attributes:
        kind: Of the task.
        classes: What the columns of a prediction are called; outputs are numbered in regression.
        labels: The label of each example; in regression its values.
        answer: The label that is predicted; in regression the values.
        target: The class or output that is explained.
        probabilities: Of each class; None in regression.
        influence: What each example adds, in nats or units of the target: see `influence`. None
            where an example is alone in its class.
        nearest: See `nearest`.
        contributions: See `contributions`; of ratings, what each adds to the mean of the item and
            the level of new users.
        attention: Mean over the heads of `attention`.
        suspicious: See `suspicious`.
        layers: See `layer_changes`, on support and query; None unless gradient-based.
        attribution: See `attribute`; None unless asked for.
        counterfactual: See `counterfactual`; None unless asked for and found.
        words: The change of the answer by each word, see `word_shares`; None where the query
            is no text.
        captions: The texts of the support; None where they are none, or were not kept.

    Example:
        >>> why = model.adapt(X[:50], y[:50]).explain(X[50])
        >>> len(why.influence), len(why.probabilities)  # of the examples, and of the classes
        (50, 10)
    """

    kind: Kind
    classes: list[Any]
    labels: list[Any]
    answer: Any
    target: Any
    probabilities: list[float] | None
    influence: list[float | None]
    nearest: Neighbours
    contributions: Contributions | None
    attention: list[float] | None
    suspicious: list[Suspect]
    layers: list[LayerChange] | None
    attribution: Attribution | None
    counterfactual: Counterfactual | None
    words: WordShares | None = None
    captions: list[str] | None = None

    def to_json(self) -> dict[str, Any]:
        """The same in plain JSON: examples with their labels, and labels for columns."""
        labels = [_plain(label) for label in self.labels]
        classes = [_plain(name) for name in self.classes]

        def rows(values: Sequence[Any]) -> list[dict[str, Any]]:
            return [
                {"id": i, "label": label, "value": value, **self._caption(i)}
                for i, (label, value) in enumerate(zip(labels, values, strict=True))
            ]

        contributions, change = self.contributions, self.counterfactual
        return {
            "kind": self.kind,
            "answer": _plain(self.answer),
            "target": _plain(self.target),
            "classes": classes,
            "probabilities": self.probabilities,
            "influence": rows(self.influence),
            "nearest": {
                "space": self.nearest.space,
                "examples": [
                    {**n._asdict(), "label": labels[n.id], **self._caption(n.id)}
                    for n in self.nearest.examples
                ],
            },
            "contributions": contributions
            and {"of": contributions.of, "examples": rows(contributions.parts.tolist())},
            "attention": self.attention and rows(self.attention),
            "suspicious": [
                {
                    **s._asdict(),
                    "label": labels[s.id],
                    "answer": _plain(s.answer),
                    **self._caption(s.id),
                }
                for s in self.suspicious
            ],
            "layers": self.layers and [layer._asdict() for layer in self.layers],
            "attribution": self.attribution
            and {**self.attribution._asdict(), "values": self.attribution.values.tolist()},
            "counterfactual": change and {"ids": change.ids, "answer": _plain(change.answer)},
            **({} if self.words is None else {"words": self.words.to_json()}),
        }

    def _caption(self, number: int) -> dict[str, str]:
        """The text of an example, where it is one."""
        return {} if self.captions is None else {"text": self.captions[number]}


def explain(
    learner: AnyLearner,
    support: Examples,
    state: Any,
    x: Tensor,
    target: Any = None,
    classes: Sequence[Any] | None = None,
    temperature: float = 1.0,
    attribution: Method | None = None,
    counterfactual: bool = False,
    targets: Scale = IDENTITY,
    held: HeldOut | None = None,
) -> Explanation:
    """Why an adapted learner answers a query as it does.

    Explanations that cost more than about one adaptation for each example are computed on request.

    Args:
        learner: In eval mode.
        support: Examples of weight 1.
        state: What the learner made of the support.
        x: One query `(*x)`.
        target: One of the classes, or the number of an output of a regression; the class that is
            predicted, or the first output, where omitted.
        classes: What the columns are called; their numbers where omitted.
        temperature: What logits are divided by.
        attribution: How to find the parts of the input that count, if at all; needs captum.
        counterfactual: Whether to look for examples without which the answer is another.
        targets: The scale of the targets of a regression; all is said in the user's units.
        held: The predictions without each example, of this query alone, by
            `quickstudy.explain.removal.each_left_out`; computed where omitted.

    Raises:
        UserError: The query has another shape than the support; there is no such class; or the
            examples have no labels.
    """
    way = support.y.shape[1]
    if learner.kind == "classification":
        check_labelled("explain", support)
    if x.shape != support.x.shape[1:]:
        raise UserError(
            f"explain: needs one query of shape {tuple(support.x.shape[1:])}; received one of "
            f"{tuple(x.shape)}; explain one at a time."
        )
    names = list(range(way)) if classes is None else list(classes)
    if target is not None and target not in names:
        raise UserError(
            f"explain: target must be one of {', '.join(map(str, names[:20]))}; received "
            f"{target!r}; choose one, or leave it out."
        )
    with torch.no_grad():
        prediction = learner.predict(state, x[None])[0]
    probabilities: list[float] | None = None
    if learner.kind == "classification":
        probabilities = torch.softmax(prediction.double() / temperature, dim=0).tolist()
        best = int(prediction.argmax())
        answer, labels = names[best], [names[i] for i in support.y.argmax(dim=1).tolist()]
    else:
        best, answer = 0, targets.answers(prediction, x).tolist()
        labels = targets.restore(support.y, support.x).tolist()
    column = best if target is None else names.index(target)
    if held is None:
        held = removal.each_left_out(learner, state, support, x[None])
    influences, suspects = removal.judged_by(
        learner, support, state, x, column, held, temperature, targets
    )
    rows = comparison.attention(learner, support, state, x, column)
    change = removal.counterfactual(learner, support, state, x) if counterfactual else None
    return Explanation(
        kind=learner.kind,
        classes=names,
        labels=labels,
        answer=answer,
        target=names[column],
        probabilities=probabilities,
        influence=[None if math.isnan(value) else value for value in influences.tolist()],
        nearest=comparison.nearest(learner, support, state, x),
        contributions=comparison.contributions(learner, support, state, x, targets),
        attention=None if rows is None else rows.mean(dim=0).tolist(),
        suspicious=named(suspects, names),
        layers=None
        if learner.adapt_steps is None
        else layer_changes(learner, support, state, torch.cat([support.x, x[None]])),
        attribution=attribution
        and attribute(
            learner, state, x, column, attribution, temperature, unit=targets.unit(column, x)
        ),
        counterfactual=change and change._replace(answer=names[change.answer]),
    )


def in_words(
    why: Explanation,
    learner: AnyLearner,
    state: Any,
    kind: InputKind,
    raw: Any,
    examples: Sequence[Any],
    like: Tensor,
    temperature: float = 1.0,
    targets: Scale = IDENTITY,
) -> Explanation:
    """An explanation with the words of the query, and with the texts of the support.

    Args:
        why: The explanation.
        learner: In eval mode.
        state: What the learner made of the support.
        kind: What the inputs are.
        raw: The query, as `InputKind.raw` gives it.
        examples: The support, so; empty where it was not kept.
        like: A tensor of inputs, as the learner takes them.
        temperature: What logits are divided by.
        targets: The scale of the targets of a regression.
    """
    lines = [kind.caption(each) for each in examples]
    captions = [line for line in lines if line is not None]
    column = why.classes.index(why.target)
    words = word_shares(learner, state, kind, raw, column, like, temperature, targets)
    return why._replace(words=words, captions=captions or None)


def named(suspects: Sequence[Suspect], classes: Sequence[Any]) -> list[Suspect]:
    """Suspects whose answers are labels rather than columns."""
    return [
        s._replace(answer=classes[s.answer]) if isinstance(s.answer, int) else s for s in suspects
    ]


def _plain(label: Any) -> Any:
    known = label is None or isinstance(label, str | int | float | list)
    return exact(label) if known else str(label)
