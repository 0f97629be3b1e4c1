"""Which words of a text speak for an answer: by leaving out each."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from quickstudy.inputs import InputKind
from quickstudy.learner import AnyLearner
from quickstudy.targets import IDENTITY, Scale


class Word(NamedTuple):
    """A word of a text, or some words in a row, and what it does to the answer.

    Attributes:
        start: Its first character.
        end: The character after its last.
        text: The word.
        value: By how much the log-odds of the answer fall without it, in nats; in regression by how
            much the value falls. None where it cannot be left out: it is alone, or all of a span.

    Example:
        >>> Word(0, 6, "parcel", 1.5).value
        1.5
    """

    start: int
    end: int
    text: str
    value: float | None


class WordShares(NamedTuple):
    """The words of a text, in order, and what each does to the answer.

    Attributes:
        text: The text, as far as the encoder reads it.
        words: Its words; of a long text groups of words.

    Example:
        >>> WordShares("my parcel", [Word(0, 2, "my", 0.0), Word(3, 9, "parcel", 1.5)]).strongest[0]
        Word(start=3, end=9, text='parcel', value=1.5)
    """

    text: str
    words: list[Word]

    @property
    def strongest(self) -> list[Word]:
        """The words that can be left out, those first that change most."""
        known = [word for word in self.words if word.value is not None]
        return sorted(known, key=lambda word: -abs(word.value or 0.0))

    def to_json(self) -> dict[str, Any]:
        """The same in plain JSON."""
        return {"text": self.text, "words": [word._asdict() for word in self.words]}


@torch.no_grad()
def word_shares(
    learner: AnyLearner,
    state: object,
    kind: InputKind,
    raw: Any,
    target: int,
    like: Tensor,
    temperature: float = 1.0,
    targets: Scale = IDENTITY,
) -> WordShares | None:
    """The change of an answer by each word of a query: exact, by asking about the text without it.

        value_i = log-odds(target | text) - log-odds(target | text without word i)

    The encoder reads all these texts anew, in one call. Two words that say the same cover for each
    other: each alone may have a value near zero.

    Args:
        learner: In eval mode.
        state: What the learner made of the support.
        kind: What the inputs are.
        raw: The query, as `InputKind.raw` gives it.
        target: Class, or output of a regression.
        like: A tensor of the type and on the device that the learner computes with.
        temperature: What logits are divided by.
        targets: The scale of the targets of a regression.

    Returns:
        None for inputs that have no words.

    Source: leaving out a part: Zeiler, Fergus: Visualizing and Understanding Convolutional
    Networks, ECCV 2014, section 4.2; of words: Li, Monroe, Jurafsky: Understanding Neural Networks
    through Representation Erasure, 2016.
    """
    parts = kind.left_out(raw)
    if parts is None:
        return None
    texts = [parts.text, *(each for each in parts.without if each is not None)]
    features, _ = kind.encode(texts, tuple(like.shape[1:]))
    x = torch.as_tensor(features).to(like)
    if learner.tags.transductive:  # each query is asked about alone
        outputs = torch.cat([learner.predict(state, row[None]) for row in x])
    else:
        outputs = learner.predict(state, x)
    if learner.kind == "classification":
        log_p = torch.log_softmax(outputs.double() / temperature, dim=1)
        others = torch.cat([log_p[:, :target], log_p[:, target + 1 :]], dim=1)
        scores = log_p[:, target] - torch.logsumexp(others, dim=1)
    else:
        scores = targets.restore(outputs, x)[:, target].double()
    whole, *without = scores.tolist()
    values = iter(without)
    content = parts.text.text
    return WordShares(
        content,
        [
            Word(a, b, content[a:b], None if each is None else whole - next(values))
            for (a, b), each in zip(parts.places, parts.without, strict=True)
        ],
    )
