"""`folder:PATH`: a pretrained model as the `transformers` package stores it, without its code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from quickstudy.encoders.identity import Encoder, PictureRule, TextRule
from quickstudy.encoders.named import read_file, sha256_of
from quickstudy.encoders.network import EncoderNetwork
from quickstudy.encoders.tokenizer import Tokenizer
from quickstudy.encoders.torch_networks import PictureNetwork, TextNetwork
from quickstudy.errors import DataError, UserError
from quickstudy.files.records import JSON

PREFIX: Final = "folder:"
CONFIG: Final = "config.json"
OWN: Final = "quickstudy.json"
"""A file beside the others that says what they leave open: takes, pooling, rule, licence."""
TOKENIZER: Final = "tokenizer.json"
PREPROCESSOR: Final = "preprocessor_config.json"
WEIGHTS: Final = ("model.safetensors", "model.safetensors.index.json")
CODE: Final = ("auto_map", "custom_pipelines", "trust_remote_code")
ATTENTION: Final = "attn_implementation"
BICUBIC, BILINEAR = 3, 2  # as Pillow numbers them
LONGEST: Final = 512
VOCABULARIES: Final = ("tokenizer.json", "vocab.json")
OLDEST: Final = (5, 3)
ADAPTER: Final = "adapter_config.json"
PICKLED: Final = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".msgpack")
UNTRAINED: Final = "pooler."
"""Weights that many stored models lack; a pooler that was not trained is not used."""


def folder_encoder(path: Path, name: str | None = None) -> Encoder:
    """The encoder that lies in a folder; nothing of it is loaded yet.

    Raises:
        DataError: The folder or a file of it is missing or cannot be read.
        UserError: It names code to run, holds no safetensors, or leaves open how inputs are made.
    """
    if not path.is_dir():
        raise DataError(
            f"encoder: {path} must be a folder with {CONFIG} and {WEIGHTS[0]}; received no such "
            "folder; correct the path."
        )
    config = _json(path / CONFIG)
    own = _json(path / OWN) if (path / OWN).is_file() else {}
    check_no_code(path)
    takes = own.get("takes") or _takes(path)
    if takes == "pictures":
        rule: PictureRule | TextRule = _picture_rule(path, own)
    else:
        rule = _text_rule(path, config, own)
    return Encoder(
        name=name or f"{PREFIX}{path.resolve().name}",
        source=str(own.get("source", config.get("_name_or_path") or config.get("model_type", ""))),
        architecture="transformers",
        weights=digest_of(path),
        n_features=_n_features(config, own, path),
        rule=rule,
        tokenizer=sha256_of(path / TOKENIZER) if takes == "texts" else None,
        licence=str(own.get("licence", "")),
        place=path.resolve(),
    )


def check_no_code(path: Path) -> None:
    """Raises UserError where a JSON file of a folder names code, or how attention is computed.

    Code of others is never run here, and some releases of transformers ran what such a key names.
    """
    for file in sorted(path.glob("*.json")):
        if file.name in VOCABULARIES:  # their keys are words
            continue
        for key in _keys(_json(file)):
            if key in CODE or key.lstrip("_").endswith(ATTENTION):
                raise UserError(
                    f"encoder: {file} must describe a model of transformers itself; received the "
                    f"key {key!r}, which makes it run other code; remove the key if the model is "
                    "one of transformers, or export it to ONNX."
                )


def folder_network(encoder: Encoder, path: Path) -> EncoderNetwork:
    """The network of an encoder in a folder whose digests were checked.

    Raises:
        UserError: The package transformers is missing, or its release too old.
        DataError: The weights are not all there.
    """
    module = _Pooled(_model(path), encoder)
    if encoder.takes == "pictures":
        return PictureNetwork(encoder, module)
    content = read_file(path / TOKENIZER)
    tokenizer = Tokenizer(content, encoder.text_rule.max_length, encoder.name)
    return TextNetwork(encoder, module, tokenizer)


class _Pooled(nn.Module):
    """A model of transformers, from inputs to one vector a picture, or to states of tokens."""

    def __init__(self, model: nn.Module, encoder: Encoder) -> None:
        super().__init__()
        self.model = model
        self.of_pictures = encoder.takes == "pictures"
        self.pooling = encoder.picture_rule.pooling if self.of_pictures else None

    def forward(self, *inputs: Tensor) -> Tensor:
        if not self.of_pictures:
            ids, mask = inputs
            return self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        output = self.model(pixel_values=inputs[0].contiguous())
        if self.pooling == "pooled":
            return output.pooler_output.flatten(1)
        states = output.last_hidden_state
        if states.ndim == 4:
            return states.mean(dim=(2, 3))
        return states[:, 0] if self.pooling == "cls" else states.mean(dim=1)


def _model(path: Path) -> nn.Module:
    """The model of a folder, all of whose weights are there."""
    try:
        import transformers
        from transformers import AutoModel
    except ImportError as error:
        raise UserError(
            f"encoder: {path} is loaded by the package transformers; received an environment in "
            f"which it cannot be imported ({error}); pip install 'quickstudy[encoders]'."
        ) from error
    if tuple(int(part) for part in transformers.__version__.split(".")[:2]) < OLDEST:
        raise UserError(
            f"encoder: transformers must be {OLDEST[0]}.{OLDEST[1]} or newer, as older ones may "
            f"run what a config names; received {transformers.__version__}; pip install "
            "'quickstudy[encoders]'."
        )
    bars = transformers.utils.logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        model, report = AutoModel.from_pretrained(
            str(path),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            attn_implementation="eager",
            dtype=torch.float32,
            output_loading_info=True,
        )
    except Exception as error:  # whatever the package raises of a folder that it cannot load
        reason = str(error).strip().splitlines()
        raise DataError(
            f"encoder: {path} must hold a model that transformers loads; received one that it does "
            f"not ({reason[0] if reason else type(error).__name__:.200}); restore the folder."
        ) from error
    finally:
        if shown:
            bars.enable_progress_bar()
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(UNTRAINED))
    if missing:
        raise DataError(
            f"encoder: {path} must hold all weights of its model; received none for "
            f"{missing[0]} and {len(missing) - 1} more, which would be random; restore the folder."
        )
    if len(missing) < len(report["missing_keys"]):
        model.pooler = None
    return model


def _n_features(config: JSON, own: JSON, path: Path) -> int:
    """The width of the states of a model."""
    widths = (
        own.get("n_features"),
        config.get("hidden_size"),
        *config.get("hidden_sizes", ())[-1:],
    )
    for width in widths:
        if isinstance(width, int) and width > 0:
            return width
    raise UserError(
        f"encoder: {path / CONFIG} must name the width of its states as hidden_size; received "
        f'{", ".join(config) or "nothing"}; say it in {OWN}, as {{"n_features": 768}}.'
    )


def _takes(path: Path) -> str:
    present = [name for name in (PREPROCESSOR, TOKENIZER) if (path / name).is_file()]
    if len(present) != 1:
        received = " and ".join(present) or "neither"
        raise UserError(
            f"encoder: {path} must hold {TOKENIZER}, for texts, or {PREPROCESSOR}, for pictures; "
            f'received {received}; say it in {OWN}, as {{"takes": "texts"}}.'
        )
    return "pictures" if present[0] == PREPROCESSOR else "texts"


def _picture_rule(path: Path, own: JSON) -> PictureRule:
    """How a picture becomes an input, as the preprocessor of a folder has it."""
    file = path / PREPROCESSOR
    known = _json(file) if file.is_file() else {}
    size, edge = _sizes(known.get("size", {}))
    crop, _ = _sizes(known.get("crop_size", {})) if known.get("do_center_crop") else (None, None)
    if edge is not None and "crop_pct" in known:
        size, edge, crop = edge, round(edge / known["crop_pct"]), edge
    options: JSON = {
        "size": crop or size or edge,
        "resize": "squash" if edge is None else "crop",
        "crop_from": edge,
        "mean": known.get("image_mean", [0.5] * 3),
        "std": known.get("image_std", [0.5] * 3),
        "resample": {BICUBIC: "bicubic", BILINEAR: "bilinear"}.get(known.get("resample", BILINEAR)),
        "pooling": own.get("pooling", "cls"),
    }
    if known.get("do_normalize") is False:
        options |= {"mean": [0.0] * 3, "std": [1.0] * 3}
    scale = known.get("rescale_factor", 1 / 255)
    squashed_then_cut = crop is not None and edge is None and crop != size
    unusual = abs(scale * 255 - 1) > 1e-6 or known.get("do_rescale") is False or squashed_then_cut
    options |= own.get("rule", {})
    complete = isinstance(options["size"], int) and options["resample"] is not None
    if (unusual and "rule" not in own) or not complete:
        raise UserError(
            f"encoder: {file} must say how a picture is scaled (size, or shortest_edge and "
            f"crop_size, resample 2 or 3, numbers divided by 255); received {json.dumps(known)}; "
            f'say it in {OWN}, as {{"rule": {{"size": 224, "resize": "squash"}}}}.'
        )
    return _rule(PictureRule, options, path)


def _sizes(size: Any) -> tuple[int | None, int | None]:
    """The side of a square, and the length of the shorter side."""
    if isinstance(size, int):
        return size, None
    if not isinstance(size, dict) or size.get("height") != size.get("width"):
        return None, None
    return size.get("height"), size.get("shortest_edge")


def _text_rule(path: Path, config: JSON, own: JSON) -> TextRule:
    """How a text becomes features, as the files of sentence-transformers have it."""
    pooling_file = path / "1_Pooling" / CONFIG
    pooling = _json(pooling_file) if pooling_file.is_file() else {"pooling_mode_mean_tokens": True}
    modes = [key for key, on in pooling.items() if key.startswith("pooling_mode_") and on is True]
    usual = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if "pooling" not in own and (len(modes) != 1 or modes[0] not in usual):
        raise UserError(
            f"encoder: {pooling_file} must name mean or cls pooling alone; received "
            f"{', '.join(modes) or 'none'}; export the model to ONNX, or choose one in {OWN}, as "
            '{"pooling": "mean"}.'
        )
    lengths = [LONGEST, config.get("max_position_embeddings", LONGEST)]
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert"):
        lengths[1] -= 2  # the first two positions stand for padding
    sentences = path / "sentence_bert_config.json"
    if sentences.is_file():
        lengths.append(_json(sentences).get("max_seq_length") or LONGEST)
    options: JSON = {
        "max_length": min(lengths),
        "pooling": own.get("pooling") or usual[modes[0]],
        "normalise": True,
    }
    return _rule(TextRule, options | own.get("rule", {}), path)


def _rule(kind: Any, options: JSON, path: Path) -> Any:
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise UserError(
            f"encoder: the rule in {path / OWN} may have {', '.join(kind._fields)}; received "
            f"{', '.join(options)}; correct it."
        ) from error


def _json(file: Path) -> JSON:
    """The object of a JSON file."""
    try:
        content = json.loads(read_file(file))
    except ValueError as error:
        raise DataError(
            f"encoder: {file} must be JSON; received what cannot be read ({error}); restore it."
        ) from error
    if not isinstance(content, dict):
        raise DataError(
            f"encoder: {file} must hold a JSON object; received {str(content)[:40]}; restore it."
        )
    return content


def _keys(value: Any) -> Iterator[str]:
    """All keys of JSON, at any depth."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield key
            yield from _keys(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from _keys(inside)


def digest_of(path: Path) -> str:
    """A sha256 of the files of a folder that decide its features.

    Raises:
        UserError: It holds no safetensors.
        DataError: A file cannot be read.
    """
    files = [path / CONFIG, *sorted(path.glob("*.safetensors")), path / WEIGHTS[1]]
    if not any((path / name).is_file() for name in WEIGHTS):
        others = [file.name for file in path.iterdir() if file.suffix in PICKLED]
        received = f"{', '.join(sorted(others))}, which could run code" if others else "none"
        raise UserError(
            f"encoder: the weights in {path} must be {WEIGHTS[0]}; received {received}; convert "
            "them with save_pretrained of transformers."
        )
    if (path / ADAPTER).is_file():
        raise UserError(
            f"encoder: {path} must hold a whole model; received {ADAPTER}, the weights of which "
            "stand beside; merge them and save the model again."
        )
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    return digest.hexdigest()
