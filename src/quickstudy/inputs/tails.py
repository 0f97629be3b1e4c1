"""Networks that go on where a frozen encoder leaves its last blocks to them."""

from __future__ import annotations

from typing import Any

from torch import nn

from quickstudy.encoders import Encoder, left_layers
from quickstudy.errors import UserError
from quickstudy.inputs.encoded import EncodedKind, EncodedTexts
from quickstudy.inputs.kind import InputKind
from quickstudy.nets import Tail


def leaving_blocks(kind: InputKind | None) -> Encoder:
    """The encoder of these inputs, which leaves its last blocks to a network."""
    if isinstance(kind, EncodedTexts) and kind.encoder.text_rule.tail:
        return kind.encoder
    received = f"the encoder {kind.encoder.name}" if isinstance(kind, EncodedKind) else "no encoder"
    raise UserError(
        "net Tail: goes on where an encoder leaves its last blocks to it; received tasks of "
        f"{received}; give the tasks such an encoder, as sentences:tail1."
    )


def start_tails(module: nn.Module, specs: dict[str, Any]) -> None:
    """Gives each `Tail` in a new module the weights of the encoder that it goes on from."""
    if "starts_from" not in specs:
        return
    layers = left_layers(Encoder.from_json(specs["starts_from"]))
    for part in module.modules():
        if isinstance(part, Tail):
            part.start_from(layers)
