"""The last blocks of a pretrained encoder of texts, as a network that learns."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from quickstudy.errors import UserError, above, at_least
from quickstudy.nets.transformer import attend, ignoring

EPS: Final = 1e-12
"""Added to the variances of layer norms, as BERT does."""
WIDER: Final = 4
"""How much wider than a state the inner layer of the feed-forward part is, in BERT."""


class Tail(nn.Module):
    """The last blocks of an encoder of texts, from the states of tokens to features of a text.

        features = scale * z / ||z||,  z = mean of the last block's states over the tokens

    The blocks before these stay frozen and are no part of it: an encoder whose rule says `tail`
    gives the states of a text after them. `catalog.build` starts the blocks from that encoder, so
    that before any learning the features are the encoder's own. What may change is the parameters
    that need a gradient: all of them, or with `lora` only a correction of low rank to queries and
    values. A learner such as `MAML`, `ANIL` or `BOIL` chooses which of these adapt to a task.

    Args:
        in_shape: Shape of one input `(tokens, width)`.
        blocks: How many blocks there are.
        lora: Rank r of the corrections to the weights of queries and values, W + up down; 0 for
            none, and weights that learn themselves.
        n_heads: Heads of each block.
        scale: Length of the features.

    Shapes:
        x (examples, tokens, width), where a row of zeros is no token -> (examples, width)

    Differs from the paper: no factor alpha / r stands before the corrections.

    Raises:
        UserError: The inputs are no states of tokens, or the heads do not divide their width.

    Source: Devlin, Chang, Lee, Toutanova: BERT, NAACL 2019 (the blocks); Hu et al.: LoRA: Low-Rank
    Adaptation of Large Language Models, ICLR 2022, section 4.

    Example:
        >>> net = Tail((6, 24), lora=2)  # texts of up to 6 tokens
        >>> net(torch.ones(3, 6, 24)).shape
        torch.Size([3, 24])
        >>> sum(p.numel() for p in net.parameters() if p.requires_grad)
        192
    """

    def __init__(
        self,
        in_shape: tuple[int, ...] = (32, 384),
        blocks: int = 1,
        lora: int = 0,
        n_heads: int = 12,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        at_least("Tail", 1, blocks=blocks, n_heads=n_heads)
        at_least("Tail", 0, lora=lora)
        above("Tail", 0, scale=scale)
        if len(in_shape) != 2:
            raise UserError(
                "Tail: takes the states of tokens (tokens, width); received inputs of shape "
                f"{tuple(in_shape)}; use an encoder that leaves its last blocks to the network, "
                "such as sentences:tail1, or another network, such as MLP."
            )
        width = in_shape[1]
        if width % n_heads:
            raise UserError(
                f"Tail: n_heads must divide the width; received {n_heads} heads and a width of "
                f"{width}; give the number of heads of the encoder."
            )
        self.blocks = nn.ModuleList(TailBlock(width, n_heads, lora) for _ in range(blocks))
        self.scale, self.n_features = scale, width

    def forward(self, x: Tensor) -> Tensor:
        token = (x != 0).any(dim=-1).to(x)
        bias = ignoring(token)[:, None, None, :]
        for block in self.blocks:
            x = block(x, bias)
        mean = (x * token[:, :, None]).sum(dim=1) / token.sum(dim=1, keepdim=True).clamp(min=1)
        return self.scale * F.normalize(mean, dim=1)

    def start_from(self, layers: Sequence[Mapping[str, Tensor]]) -> None:
        """Takes over the weights of an encoder's last layers, without corrections.

        Args:
            layers: The weights of each block, by the names in `TailBlock`.

        Raises:
            UserError: They are of another number of blocks, or of another shape.
        """
        if len(layers) != len(self.blocks):
            raise UserError(
                f"Tail: blocks must be as many as the encoder leaves to it; received {len(layers)} "
                f"of the encoder and blocks={len(self.blocks)}; make the two equal."
            )
        with torch.no_grad():
            for block, layer in zip(self.blocks, layers, strict=True):
                for name, p in block.named_parameters():
                    if name in layer:
                        p.copy_(layer[name])
                    elif name.endswith("up"):
                        nn.init.zeros_(p)


class TailBlock(nn.Module):
    """A block of BERT, of operations that can be differentiated any number of times.

        h = norm_attention(x + mixed(attention of x)),  out = norm_output(h + narrow(gelu(wide(h))))

    Args:
        width: Length of a state.
        n_heads: Heads of the attention.
        lora: Rank of the corrections to queries and values; 0 for none.

    Shapes:
        x (examples, tokens, width), bias broadcasts to (examples, heads, tokens, tokens) -> as x
    """

    def __init__(self, width: int, n_heads: int, lora: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = CorrectedLinear(width, lora)
        self.key = nn.Linear(width, width)
        self.value = CorrectedLinear(width, lora)
        self.mixed = nn.Linear(width, width)
        self.wide = nn.Linear(width, WIDER * width)
        self.narrow = nn.Linear(WIDER * width, width)
        self.norm_attention = TokenNorm(width)
        self.norm_output = TokenNorm(width)
        if lora:
            for name, p in self.named_parameters():
                p.requires_grad_(name.endswith((".down", ".up")))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        attended = attend(
            self._heads(self.query(x)), self._heads(self.key(x)), self._heads(self.value(x)), bias
        )
        x = self.norm_attention(x + self.mixed(attended.transpose(-3, -2).flatten(-2)))
        return self.norm_output(x + self.narrow(F.gelu(self.wide(x))))

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.n_heads, x.shape[-1] // self.n_heads).transpose(-3, -2)


class CorrectedLinear(nn.Linear):
    """A linear layer with a correction of low rank to its weight, which starts as none.

    x W^T + b + x down^T up^T

    Args:
        width: Length of what it takes and gives.
        rank: Rank of the correction; 0 for none.
    """

    def __init__(self, width: int, rank: int) -> None:
        super().__init__(width, width)
        self.rank = rank
        if rank:
            self.down = nn.Parameter(torch.randn(rank, width) / math.sqrt(width))
            self.up = nn.Parameter(torch.zeros(width, rank))

    def forward(self, input: Tensor) -> Tensor:
        out = super().forward(input)
        return out + input @ self.down.T @ self.up.T if self.rank else out


class TokenNorm(nn.Module):
    """Layer norm of each token, without the fused kernel, whose derivatives of higher order fail.

    Args:
        width: Length of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=-1, keepdim=True)
        variance = centred.square().mean(dim=-1, keepdim=True)
        return centred * torch.rsqrt(variance + EPS) * self.weight + self.bias
