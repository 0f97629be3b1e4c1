"""Frozen pretrained encoders: features of photographs, drawings and texts."""

from __future__ import annotations

from quickstudy.encoders.backend import use_backend
from quickstudy.encoders.identity import Backend, Encoder, PictureRule, TextRule
from quickstudy.encoders.named import NAMED, encoder_card
from quickstudy.encoders.network import EncoderNetwork, Tokens, TokenStates
from quickstudy.encoders.registry import encoder, network
from quickstudy.encoders.text import Text
from quickstudy.encoders.tokenizer import Batch, Tokenises
from quickstudy.encoders.torch_networks import left_layers

__all__ = [
    "NAMED",
    "Backend",
    "Batch",
    "Encoder",
    "EncoderNetwork",
    "PictureRule",
    "Text",
    "TextRule",
    "TokenStates",
    "Tokenises",
    "Tokens",
    "encoder",
    "encoder_card",
    "left_layers",
    "network",
    "use_backend",
]
