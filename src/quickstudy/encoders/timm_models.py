"""`timm:NAME@FILE`: a network of the `timm` package with the weights of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from quickstudy.encoders.identity import Encoder, PictureRule
from quickstudy.encoders.named import sha256_of
from quickstudy.encoders.network import EncoderNetwork
from quickstudy.encoders.torch_networks import PictureNetwork
from quickstudy.errors import DataError, UserError

PREFIX: Final = "timm:"
HEADS: Final = ("head", "fc", "classifier", "last_linear")
"""Names under which networks keep the classifier that features do without."""


def timm_encoder(name: str) -> Encoder:
    """The encoder of a network of timm, whose weights are in a file.

    Args:
        name: `NAME@FILE.safetensors`.

    Raises:
        UserError: The package is missing, it has no such network, or no file is named.
        DataError: The file cannot be read.
    """
    network, _, file = name.partition("@")
    if Path(file).suffix != ".safetensors":
        raise UserError(
            f"encoder: timm's weights come from a file, as timm:{network or 'NAME'}@FILE"
            f".safetensors; received {file or 'none'!r}; name one, as nothing is downloaded."
        )
    module, config = _built(network)
    size, interpolation = config["input_size"][1], config["interpolation"]
    return Encoder(
        name=f"{PREFIX}{network}",
        source=network,
        architecture="timm",
        weights=sha256_of(Path(file)),
        n_features=int(module.num_features),  # type: ignore[arg-type]
        rule=PictureRule(
            size,
            "crop",
            tuple(config["mean"]),
            tuple(config["std"]),
            crop_from=round(size / config.get("crop_pct", 1)),
            resample="bilinear" if interpolation == "bilinear" else "bicubic",
        ),
        place=Path(file).resolve(),
    )


def timm_network(encoder: Encoder, file: Path) -> EncoderNetwork:
    """The network of timm with the weights of a file whose digest was checked.

    Raises:
        UserError: The package is missing.
        DataError: The weights are those of another network.
    """
    module, _ = _built(encoder.source)
    try:
        missing, unexpected = module.load_state_dict(load_file(file), strict=False)
    except (RuntimeError, SafetensorError) as error:
        raise DataError(
            f"encoder {encoder.name}: {file} must hold the weights of timm's {encoder.source}; "
            f"received others ({str(error).splitlines()[0]:.200}); name the right file."
        ) from error
    others = [*missing, *(key for key in unexpected if key.split(".")[0] not in HEADS)]
    if others:
        raise DataError(
            f"encoder {encoder.name}: {file} must hold the weights of timm's {encoder.source}; "
            f"received {len(others)} that differ, such as {others[0]}; name the right file."
        )
    return PictureNetwork(encoder, module)


def _built(network: str) -> tuple[nn.Module, dict[str, Any]]:
    """A network of timm without classifier, and how its inputs are made."""
    try:
        import timm
    except (ImportError, RuntimeError) as error:  # torchvision, which timm needs, raises either
        raise UserError(
            f"encoder {PREFIX}{network}: its network is one of the package timm; received an "
            f"environment in which that cannot be imported ({error}); pip install timm torchvision."
        ) from error
    try:
        module = timm.create_model(network, pretrained=False, num_classes=0)
    except RuntimeError as error:
        raise UserError(
            f"encoder {PREFIX}{network}: must be a network of timm; received {network!r}; see "
            "timm.list_models()."
        ) from error
    return module, timm.data.resolve_model_data_config(module)
