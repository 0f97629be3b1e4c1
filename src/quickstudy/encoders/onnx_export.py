"""Networks of encoders as ONNX graphs, made once and kept in the user's cache."""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.kept import kept_file
from quickstudy.errors import QuickstudyError

PICTURES: Final = "pictures"
IDS: Final = "input_ids"
MASK: Final = "attention_mask"
FEATURES: Final = "features"
STATES: Final = "states"
GRAPH: Final = 1
"""Counts up when the graph of the same weights changes."""
METADATA: Final = "encoder"
FEWEST_WORDS: Final = 8
"""Words that every vocabulary has."""
TOLERANCE: Final = 1e-4
"""Largest difference allowed, relative to the largest number of an output where that is above 1."""


def exported_file(encoder: Encoder, module: Callable[[], nn.Module]) -> Path:
    """The graph of a module in the user's cache; made where it is not there, or is damaged.

    Raises:
        UserError: The cache cannot be written.
        QuickstudyError: The graph does not say what the module says.
    """
    key = json.dumps([GRAPH, encoder.weights, encoder.architecture, encoder.takes, _size(encoder)])
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    versions = f"torch{version('torch')}-onnx{version('onnx')}"
    return kept_file(f"{name}-{versions}.onnx", lambda: exported(encoder, module()))


def exported(encoder: Encoder, module: nn.Module) -> bytes:
    """The bytes of an ONNX file of a module, which is compared with the module.

    It takes `pictures` (n, channels, size, size), standardised, and gives `features`; or takes
    `input_ids` and `attention_mask` (n, tokens) and gives `states`. The encoder's JSON is in its
    metadata.

    Raises:
        QuickstudyError: It does not say what the module says.
    """
    import onnx

    of_pictures = encoder.takes == "pictures"
    wrapped = module.eval() if of_pictures else _OfTokens(module.eval())
    names = [PICTURES] if of_pictures else [IDS, MASK]
    n = torch.export.Dim("n")
    tokens = torch.export.Dim("tokens", max=_longest(encoder))
    shapes: Any = ({0: n},) if of_pictures else ({0: n, 1: tokens}, {0: n, 1: tokens})
    with torch.no_grad(), _quiet():
        program = torch.onnx.export(
            torch.export.export(wrapped, _inputs(encoder, 3), dynamic_shapes=shapes, strict=False),
            input_names=names,
            output_names=[FEATURES if of_pictures else STATES],
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.graph.ClearField("value_info")
    for node in model.graph.node:  # they name folders of this machine
        del node.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA: json.dumps(encoder.to_json())})
    content: bytes = model.SerializeToString()
    _compare(content, names, wrapped, encoder)
    return content


class _OfTokens(nn.Module):
    """A module of a mask of truth values as one of the usual mask of whole numbers."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.module(ids, mask > 0)


def _inputs(encoder: Encoder, n: int) -> tuple[Tensor, ...]:
    """Inputs of an encoder, some of them padded."""
    generator = torch.Generator().manual_seed(n)
    if encoder.takes == "pictures":
        return (torch.randn(n, *encoder.picture_rule.shape, generator=generator),)
    ids = torch.randint(0, FEWEST_WORDS, (n, 3 + n), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, 2:] = 0
    return ids, mask


def _compare(content: bytes, names: list[str], module: nn.Module, encoder: Encoder) -> None:
    """Raises QuickstudyError where a graph does not say what its module says."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for n in (1, 2):
        inputs = _inputs(encoder, n)
        with torch.no_grad():
            reference = module(*inputs)
        values = {name: t.numpy() for name, t in zip(names, inputs, strict=True)}
        (output,) = (torch.from_numpy(each) for each in session.run(None, values))
        difference = float((output - reference).abs().max() / reference.abs().max().clamp(min=1))
        if not difference <= TOLERANCE:
            raise QuickstudyError(
                f"encoder {encoder.name}: its ONNX graph must say what PyTorch says, within "
                f"{TOLERANCE:g}; received features that are {difference:.1e} apart; use the "
                "backend torch."
            )


def _longest(encoder: Encoder) -> int:
    return encoder.text_rule.max_length if encoder.takes == "texts" else 2


def _size(encoder: Encoder) -> int:
    return encoder.picture_rule.size if encoder.takes == "pictures" else 0


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences an exporter."""
    log = logging.getLogger("torch")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
