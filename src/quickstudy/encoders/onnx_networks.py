"""Encoders computed by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.encoders.backend import check_installed
from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.in_parts import PicturesInParts, TextsInParts
from quickstudy.encoders.network import EncoderNetwork, Features
from quickstudy.encoders.onnx_export import IDS, MASK, exported_file
from quickstudy.encoders.torch_networks import tokenizer_of, torch_module
from quickstudy.errors import DataError, UserError


def onnx_network(encoder: Encoder) -> EncoderNetwork:
    """The network of a named encoder, exported to the user's cache where it is not there yet.

    Raises:
        UserError: A package is missing, or the cache cannot be written.
        DataError: The weights are not those of the encoder.
    """
    check_installed("onnx", encoder.name)
    graph = session(exported_file(encoder, lambda: torch_module(encoder)), encoder.name)
    if encoder.takes == "pictures":
        return OnnxPictures(encoder, graph)
    return OnnxTexts(encoder, graph, tokenizer_of(encoder))


class OnnxPictures(PicturesInParts):
    """A graph from standardised pictures to features.

    Args:
        encoder: The encoder.
        graph: An `onnxruntime.InferenceSession` of one input.
    """

    def __init__(self, encoder: Encoder, graph: Any) -> None:
        super().__init__(encoder)
        self._run = graph.run
        self._input = graph.get_inputs()[0].name

    def features(self, x: Features) -> Features:
        return self._run(None, {self._input: x})[0]


class OnnxTexts(TextsInParts):
    """A graph from token numbers to token states.

    Args:
        encoder: The encoder.
        graph: An `onnxruntime.InferenceSession` of token numbers and their mask.
        tokenizer: Takes texts apart.
    """

    def __init__(self, encoder: Encoder, graph: Any, tokenizer: Any) -> None:
        super().__init__(encoder, tokenizer)
        self._run = graph.run
        self._inputs = [each.name for each in graph.get_inputs()]

    def states(self, ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> Features:
        values = {IDS: ids, MASK: mask.astype(np.int64)}
        return self._run(None, {n: values.get(n, np.zeros_like(ids)) for n in self._inputs})[0]


def session(file: Path, name: str) -> Any:
    """A graph that ONNX Runtime has loaded, with as many threads as torch uses.

    Raises:
        DataError: It is no graph.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError(
            f"encoder {name}: a graph needs the package onnxruntime; received an environment "
            "without it; pip install 'quickstudy[onnx]'."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that wait for work by spinning would take the cores from everything else.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions share no class but Exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"encoder {name}: expected an ONNX graph in {file}; received one that ONNX Runtime "
            f"cannot load ({reason:.200}); restore the file."
        ) from error
