"""Encoders that are built in Python."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_encoders import TinyPictures, TinyTexts, Words, tiny_pictures, tiny_texts
from torch import nn

import quickstudy as qs
from quickstudy.encoders import Encoder, Text, encoder, network
from quickstudy.errors import UserError
from quickstudy.inputs import EncodedPictures, EncodedTexts


def test_a_module_of_pictures_is_an_encoder_known_by_its_name():
    built = tiny_pictures()
    assert (built.name, built.n_features, built.takes) == ("python:tiny-pictures", 24, "pictures")
    assert encoder("python:tiny-pictures") == built
    assert Encoder.from_json(built.to_json()) == built
    x = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
    features = network(built).pictures(x)
    expected = TinyPictures()((torch.from_numpy(x).float() / 255 - 0.5) / 0.5)
    np.testing.assert_allclose(features, expected.numpy(), atol=1e-5)


def test_a_module_of_tokens_takes_spans():
    built = tiny_texts().with_spans(1)
    (features,) = network(built).texts([Text("a red fox", ((2, 5),))])
    words = TinyTexts().words[Words().encoded(["a red fox"]).ids[0]].numpy()
    whole = words.mean(axis=0)
    expected = [each / np.linalg.norm(each) for each in (words[2], whole)]
    np.testing.assert_allclose(features, np.concatenate(expected), atol=1e-6)


def test_a_function_of_texts_is_an_encoder():
    def lengths(texts: list[str]) -> list[list[float]]:
        return [[len(text), text.count(" ")] for text in texts]

    built = encoder(lengths, name="lengths", takes="texts", normalise=False)
    features = network(built).texts([Text("one two"), Text("one")])
    assert features.tolist() == [[7, 1], [3, 0]]
    with pytest.raises(UserError, match="takes no spans"):
        network(built.with_spans(1)).texts([Text("one two", ((0, 3),))])


def test_weights_and_version_decide_the_digest():
    module = TinyPictures()
    first = encoder(module, name="changing", size=8)
    module.mixtures[0, 0] += 1
    second = encoder(module, name="changing", size=8)
    third = encoder(module, name="changing", size=8, version="2")
    assert len({each.digest for each in (first, second, third)}) == 3
    with pytest.raises(UserError) as error:
        network(first)
    for each in (first, third):
        assert each.weights[:16] in str(error.value)


def test_a_task_of_an_own_encoder_needs_it_built_first(tmp_path):
    built = tiny_texts()
    learner = qs.learners.PrototypicalNetwork(nn.Identity())
    model = qs.Model(learner, (16,), EncodedTexts(built))
    adapted = model.adapt(["a red fox", "a blue sea"], ["fox", "sea"])
    file = tmp_path / "mine.task"
    adapted.save(file)
    again = qs.load_task(file, learner=learner)
    assert again.predict("the red fox") == "fox"
    forgotten = replace(built, name="python:forgotten")
    with pytest.raises(UserError, match=r"qs\.encoder\(module, name='forgotten', \.\.\.\)"):
        EncodedTexts(forgotten).encode("the red fox", (16,))
    with pytest.raises(UserError, match="python:forgotten: it was built in Python"):
        encoder("python:forgotten")


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: encoder(TinyPictures(), size=8), "name must be a word"),
        (lambda: encoder(nn.Identity(), name="x", size=8), r"received \(2, 3, 8, 8\) for 2"),
        (lambda: encoder(len, name="x"), "go through a torch.nn.Module; received a builtin"),
        (
            lambda: encoder(lambda texts: [1.0] * len(texts), name="x", takes="texts"),
            r"received \(2,\) for 2",
        ),
        (
            lambda: encoder(lambda ids, mask: ids, name="x", takes="texts", tokenizer=Words()),
            "pass a module",
        ),
        (lambda: encoder(TinyPictures(), name="x", size=8, mean=(0.1, 0.2)), "received 2"),
        (lambda: encoder(TinyPictures(), name="x", size=8, tokenizer=Words()), "is for texts"),
    ],
)
def test_what_is_no_encoder_is_refused(build, words):
    with pytest.raises(UserError, match=words):
        build()


def test_it_has_no_graph():
    with pytest.raises(UserError, match="is computed by torch; received the backend 'onnx'"):
        EncodedPictures(tiny_pictures(), backend="onnx").encode(
            np.zeros((1, 8, 8, 3), dtype=np.uint8), (24,)
        )
