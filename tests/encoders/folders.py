"""Small folders and graphs of random encoders, made without network and without `transformers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    *["where", "is", "my", "card", "lamp", "broken", "the", "a", "not", "money"],
]
TOKENIZER: dict[str, Any] = {
    "version": "1.0",
    "truncation": None,
    "padding": None,
    "added_tokens": [],
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {
        "type": "BertProcessing",
        "sep": ["[SEP]", 3],
        "cls": ["[CLS]", 2],
    },
    "decoder": None,
    "model": {
        "type": "WordLevel",
        "vocab": {word: i for i, word in enumerate(WORDS)},
        "unk_token": "[UNK]",
    },
}
PREPROCESSOR: dict[str, Any] = {
    "do_resize": True,
    "size": {"height": 16, "width": 16},
    "resample": 3,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.4, 0.5, 0.6],
    "image_std": [0.2, 0.25, 0.3],
}


def write(folder: Path, **files: Any) -> Path:
    """A folder with JSON files by name, and with weights that are enough to have a digest."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    if not (folder / "model.safetensors").exists():
        save_file({"x": torch.zeros(2)}, folder / "model.safetensors")
    return folder


def pictures_folder(folder: Path, **preprocessor: Any) -> Path:
    """A folder of an encoder of pictures."""
    return write(
        folder,
        config={"model_type": "vit", "hidden_size": 8},
        preprocessor_config=PREPROCESSOR | preprocessor,
    )


def texts_folder(folder: Path, **config: Any) -> Path:
    """A folder of an encoder of texts."""
    about = {"model_type": "bert", "hidden_size": 8, "max_position_embeddings": 32}
    return write(folder, config=about | config, tokenizer=TOKENIZER)


def graph(path: Path, kind: str = "pictures", external: str | None = None) -> Path:
    """A graph: of pictures (3, 4, 4) to 5 features, or of tokens to states of width 6.

    `kind` is `"pictures"`, `"states"`, `"vectors"` (one a text), or `"double"`, in float64.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.Generator(np.random.Philox(3))
    number = TensorProto.DOUBLE if kind == "double" else TensorProto.FLOAT
    dtype = np.float64 if kind == "double" else np.float32
    if kind in ("pictures", "double"):
        table = rng.normal(size=(48, 5)).astype(dtype)
        nodes = [
            helper.make_node("Flatten", ["x"], ["flat"]),
            helper.make_node("MatMul", ["flat", "table"], ["z"]),
        ]
        inputs = [helper.make_tensor_value_info("x", number, ["n", 3, 4, 4])]
        output = ["n", 5]
    else:
        table = rng.normal(size=(len(WORDS), 6)).astype(dtype)
        states = "z" if kind == "states" else "states"
        nodes = [helper.make_node("Gather", ["table", "input_ids"], [states])]
        if kind == "vectors":
            nodes.append(helper.make_node("ReduceMax", ["states"], ["z"], keepdims=0, axes=[1]))
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"])
            for name in ("input_ids", "attention_mask")
        ]
        output = ["n", 6] if kind == "vectors" else ["n", "tokens", 6]
    weights = numpy_helper.from_array(table, "table")
    model = helper.make_model(
        helper.make_graph(
            nodes, "tiny", inputs, [helper.make_tensor_value_info("z", number, output)], [weights]
        ),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    if external is not None:
        (path.parent / Path(external).name).write_bytes(table.tobytes())
        onnx.external_data_helper.set_external_data(model.graph.initializer[0], external)
        model.graph.initializer[0].ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    return path


def beside(path: Path, about: Any) -> None:
    """Writes the JSON beside a graph, and for texts the tokenizer."""
    path.with_suffix(".json").write_text(json.dumps(about))
    if about.get("takes") == "texts":
        (path.parent / "tokenizer.json").write_text(json.dumps(TOKENIZER))
