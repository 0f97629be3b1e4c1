"""Attention and transformer blocks written from primitives, and an encoder made of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError, at_least
from quickstudy.nets.norm import Norm
from quickstudy.nets.products import Linear, product


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention: softmax(query key^T / sqrt(d) + bias) value.

    Shapes:
        query (..., m, d), key (..., n, d), value (..., n, c), bias that of (..., m, n) or one that
        broadcasts to it -> (..., m, c)

    Source: Vaswani et al.: Attention Is All You Need, NeurIPS 2017, eq. 1.
    """
    return product(attention_shares(query, key, bias), value)


def attention_shares(query: Tensor, key: Tensor, bias: Tensor | None = None) -> Tensor:
    """How much of each value `attend` reads (..., m, n)."""
    scores = product(query, key.transpose(-2, -1)) / math.sqrt(query.shape[-1])
    return torch.softmax(scores if bias is None else scores + bias, dim=-1)


def ignoring(weight: Tensor) -> Tensor:
    """The bias that takes all attention from what has weight 0; finite, so never NaN."""
    return torch.where(weight > 0, 0.0, -1e9).to(weight)


class Attention(nn.Module):
    """Multi-head attention: every head reads by its own projections, and they are added up.

    Args:
        n_features: Width of what is read, and of the result; `n_heads` divides it.
        n_heads: Number of heads.
        n_keys: Width of what is compared; `n_features` where omitted.

    Raises:
        UserError: The heads do not divide the width.

    Source: Vaswani et al.: Attention Is All You Need, NeurIPS 2017, section 3.2.2.
    """

    def __init__(self, n_features: int, n_heads: int, n_keys: int | None = None) -> None:
        super().__init__()
        if n_heads < 1 or n_features % n_heads:
            raise UserError(
                f"Attention: n_heads must divide the width; received {n_heads} heads and a width "
                f"of {n_features}; change one of them."
            )
        self.n_heads = n_heads
        n_keys = n_features if n_keys is None else n_keys
        self.query = Linear(n_keys, n_features, bias=False)
        self.key = Linear(n_keys, n_features, bias=False)
        self.value = Linear(n_features, n_features, bias=False)
        self.out = Linear(n_features, n_features)

    def keys_values(self, compared: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values, each (..., heads, n, d), of what is attended to (..., n, features)."""
        return self._split(self.key(compared)), self._split(self.value(read))

    def forward(self, x: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """Attends with `x` (..., m, features) and returns its shape; bias (..., heads, m, n)."""
        heads = attend(self._split(self.query(x)), key, value, bias)
        return self.out(heads.transpose(-3, -2).flatten(-2))

    def shares(self, x: Tensor, key: Tensor, bias: Tensor | None = None) -> Tensor:
        """How `x` attends to what has these keys, (..., heads, m, n)."""
        return attention_shares(self._split(self.query(x)), key, bias)

    def _split(self, x: Tensor) -> Tensor:
        # The size of a head is written out: -1 is none where there are no queries.
        size = x.shape[-1] // self.n_heads
        return x.view(*x.shape[:-1], self.n_heads, size).transpose(-3, -2)


class Block(nn.Module):
    """A transformer block that normalises what each part takes in.

    z = x + attention(norm(x)),  out = z + mlp(norm(z))

    Args:
        n_features: Width of a token.
        n_heads: Heads of the attention.

    Source: Xiong et al.: On Layer Normalization in the Transformer Architecture, ICML 2020.
    """

    def __init__(self, n_features: int, n_heads: int) -> None:
        super().__init__()
        self.norm_attention = Norm(n_features, "layer")
        self.attention = Attention(n_features, n_heads)
        self.norm_mlp = Norm(n_features, "layer")
        self.mlp = nn.Sequential(
            Linear(n_features, 4 * n_features), nn.GELU(), Linear(4 * n_features, n_features)
        )

    def keys_values(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the tokens (..., n, features) that others attend to."""
        normed = of_each(self.norm_attention, tokens)
        return self.attention.keys_values(normed, normed)

    def forward(self, x: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None) -> Tensor:
        """The tokens `x` (..., m, features) after attending to these keys and values."""
        x = x + self.attention(of_each(self.norm_attention, x), key, value, bias)
        return x + self.mlp(of_each(self.norm_mlp, x))

    def shares(self, x: Tensor, key: Tensor, bias: Tensor | None = None) -> Tensor:
        """How the tokens `x` attend to what has these keys (..., heads, m, n)."""
        return self.attention.shares(of_each(self.norm_attention, x), key, bias)


class Transformer(nn.Module):
    """A transformer encoder: the mean of the tokens of an input after a few blocks.

    The tokens of a picture are its square patches; those of any other input are its columns, each
    number times a vector of its column. Every place has a learned vector that is added.

    Args:
        in_shape: Shape of one input: channels, height and width of a picture, or anything else.
        hidden: Width of a token.
        n_layers: Number of blocks.
        n_heads: Heads of each block.
        patch: Side of a patch of a picture, in pixels.

    Shapes:
        x (examples, *in_shape) -> (examples, n_features), where n_features is `hidden`.

    Raises:
        UserError: Patches do not tile the picture, or heads do not divide `hidden`.

    Source: Dosovitskiy et al.: An Image is Worth 16x16 Words, ICLR 2021 (pictures); Gorishniy et
    al.: Revisiting Deep Learning Models for Tabular Data, NeurIPS 2021, section 3.3 (columns).
    Differs from both: the mean of the tokens is taken rather than a class token.

    Example:
        >>> net = Transformer((1, 8, 8), hidden=32, n_layers=1, patch=4)
        >>> net(torch.zeros(2, 1, 8, 8)).shape  # (examples, features)
        torch.Size([2, 32])
    """

    def __init__(
        self,
        in_shape: tuple[int, ...] = (1, 28, 28),
        hidden: int = 64,
        n_layers: int = 2,
        n_heads: int = 4,
        patch: int = 4,
    ) -> None:
        super().__init__()
        at_least("Transformer", 1, hidden=hidden, n_layers=n_layers)
        self.embed = (
            Patches(in_shape, hidden, patch)
            if len(in_shape) == 3
            else ColumnTokens(in_shape, hidden)
        )
        self.place = nn.Parameter(torch.randn(self.embed.n_tokens, hidden) / math.sqrt(hidden))
        self.blocks = nn.ModuleList(Block(hidden, n_heads) for _ in range(n_layers))
        self.norm = Norm(hidden, "layer")
        self.n_features = hidden

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x) + self.place
        for block in self.blocks:
            assert isinstance(block, Block)
            tokens = block(tokens, *block.keys_values(tokens))
        return of_each(self.norm, tokens).mean(dim=1)


class Patches(nn.Module):
    """Makes a token of each square patch of a picture: a linear map of its pixels."""

    def __init__(self, in_shape: tuple[int, ...], hidden: int, patch: int) -> None:
        super().__init__()
        channels, height, width = in_shape
        if patch < 1 or height % patch or width % patch:
            raise UserError(
                "Transformer: patches must tile the picture; received pictures of "
                f"{height}x{width} and patch={patch}; choose a patch that divides both sides."
            )
        self.patch = patch
        self.n_tokens = (height // patch) * (width // patch)
        self.linear = Linear(channels * patch**2, hidden)

    def forward(self, x: Tensor) -> Tensor:
        p = self.patch
        n, channels, height, width = x.shape
        tiles = x.reshape(n, channels, height // p, p, width // p, p).permute(0, 2, 4, 1, 3, 5)
        pixels = tiles.reshape(n, self.n_tokens, channels * p**2)
        return self.linear(pixels)


class ColumnTokens(nn.Module):
    """Makes a token of each column of a row: its number times a vector of its own."""

    def __init__(self, in_shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.n_tokens = math.prod(in_shape)
        self.weight = nn.Parameter(torch.randn(self.n_tokens, hidden) / math.sqrt(hidden))

    def forward(self, x: Tensor) -> Tensor:
        return torch.flatten(x, 1)[:, :, None] * self.weight


def of_each(norm: Norm, tokens: Tensor) -> Tensor:
    """Each token (..., features) normalised alone."""
    return norm(tokens.flatten(0, -2)).view_as(tokens)
