"""Encoders as ONNX files, which `onnx:PATH` reads and runtimes elsewhere run."""

from __future__ import annotations

import json
from pathlib import Path

from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.named import NAMED, package_file, read_file
from quickstudy.encoders.network import EncoderNetwork
from quickstudy.encoders.onnx_export import exported
from quickstudy.encoders.placed import located
from quickstudy.encoders.torch_networks import PictureNetwork, TextNetwork
from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically

TOKENIZER = "tokenizer.json"


def write_graph(encoder: Encoder, network: EncoderNetwork, path: Path) -> list[Path]:
    """Writes the graph of an encoder; beside it the JSON of its inputs, and its tokenizer.

    Args:
        encoder: The encoder.
        network: Its network, computed by torch.
        path: The file, whose suffix is `.onnx`.

    Returns:
        The files.

    Raises:
        UserError: The path is none for a graph, or the encoder is not computed by torch.
        QuickstudyError: The graph would not say what the encoder says.
    """
    if path.suffix != ".onnx":
        raise UserError(
            f"encoders: a graph is written to a file NAME.onnx; received {path}; name one."
        )
    if not isinstance(network, PictureNetwork | TextNetwork):
        raise UserError(
            f"encoders: a graph is made of a torch module; received {encoder.name}, which has "
            "none; use it as it is."
        )
    about = encoder.to_json() | {"name": f"onnx:{path.stem}", "architecture": "onnx"}
    content = {path.with_suffix(".json"): json.dumps(about, indent=2).encode()}
    if encoder.takes == "texts":
        content[path.with_name(TOKENIZER)] = read_file(_tokenizer(encoder))
    content[path] = exported(encoder, network.module)
    for file, part in content.items():
        write_atomically(file, part)
    return list(content)


def _tokenizer(encoder: Encoder) -> Path:
    """The file of the tokenizer of an encoder.

    Raises:
        UserError: It is in no file.
    """
    if encoder.name in NAMED and encoder.tokenizer is not None:
        named = NAMED[encoder.name]
        assert named.tokenizer is not None
        return package_file(named, named.tokenizer, encoder.tokenizer)
    if encoder.architecture == "transformers":
        return located(encoder) / TOKENIZER
    raise UserError(
        f"encoders: the tokenizer is written beside a graph; received {encoder.name}, whose own is "
        "in no file; export it with torch.onnx."
    )
