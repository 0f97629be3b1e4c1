"""Attention over the cells of a table: along its columns, along its rows, and among whole rows."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from quickstudy.errors import UserError
from quickstudy.nets.products import Linear, narrowed
from quickstudy.nets.second_order import transformed
from quickstudy.nets.transformer import attend, attention_shares


class Memory(NamedTuple):
    """Keys and values that attention reads.

    Shapes: key, value (..., heads, tokens, d).
    """

    key: Tensor
    value: Tensor


class Reading(nn.Module):
    """Multi-head attention, by torch's fused kernels where they serve.

    Args:
        width: Width of a token.
        n_heads: Number of heads.

    Raises:
        UserError: The heads do not divide the width.

    Source: Vaswani et al.: Attention Is All You Need, NeurIPS 2017, section 3.2.2.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        if n_heads < 1 or width % n_heads:
            raise UserError(
                f"attention: the heads must divide the width; received {n_heads} heads and a width "
                f"of {width}; change one of them."
            )
        self.n_heads = n_heads
        self.query = Linear(width, width, bias=False)
        self.of_memory = Linear(width, 2 * width, bias=False)
        self.out = Linear(width, width)

    def memory(self, tokens: Tensor) -> Memory:
        """The memory of tokens (..., n, width)."""
        key, value = self.of_memory(tokens).chunk(2, dim=-1)
        return Memory(self._split(key), self._split(value))

    def forward(self, tokens: Tensor, memory: Memory, bias: Tensor | None = None) -> Tensor:
        """Values that tokens (..., m, width) read; bias broadcasts to (..., heads, m, n)."""
        query = self._split(self.query(tokens))
        if transformed() or torch.compiler.is_exporting():
            read = attend(query, memory.key, memory.value, bias)
        else:
            mask = None if bias is None else bias.expand(query.shape[-2], len(bias))
            # With more axes torch would take its slow kernel, which holds all scores at once.
            q, k, v = (t.flatten(0, -4) if t.ndim > 4 else t for t in (query, *memory))
            if narrowed(query):
                q, k, v = q.bfloat16(), k.bfloat16(), v.bfloat16()
                mask = None if mask is None else mask.bfloat16()
            read = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            read = read.reshape(query.shape).to(query)
        return self.out(read.transpose(-3, -2).flatten(-2))

    def shares(self, tokens: Tensor, memory: Memory, bias: Tensor | None = None) -> Tensor:
        """How much tokens read of each of the memory (..., heads, m, n)."""
        return attention_shares(self._split(self.query(tokens)), memory.key, bias)

    def _split(self, x: Tensor) -> Tensor:
        # The size of a head is written out: -1 is none where there are no queries.
        size = x.shape[-1] // self.n_heads
        return x.view(*x.shape[:-1], self.n_heads, size).transpose(-3, -2)


def perceptron(width: int, hidden: int) -> nn.Sequential:
    """A layer norm and two linear layers."""
    return nn.Sequential(
        nn.LayerNorm(width), Linear(width, hidden), nn.GELU(), Linear(hidden, width)
    )


class CellBlock(nn.Module):
    """A block in which a cell reads its column, and then its row.

        s = seeds + read(support cells of the column, with their targets)
        x = x + read(s),  x = x + read(cells of the row),  x = x + mlp(x)

    A column is summarised by a few seeds, so that cost grows linearly with its length.

    Args:
        width: Width of a token.
        n_heads: Heads of each attention.
        n_seeds: Tokens in the summary of a column.

    Source: Lee et al.: Set Transformer, ICML 2019, section 3.1 (induced attention); Kossen et al.:
    Self-Attention Between Datapoints, NeurIPS 2021 (attention over both axes).
    """

    def __init__(self, width: int, n_heads: int, n_seeds: int) -> None:
        super().__init__()
        self.seeds = nn.Parameter(torch.randn(n_seeds, width) / math.sqrt(width))
        self.norm_support, self.norm_seeds = nn.LayerNorm(width), nn.LayerNorm(width)
        self.norm_column, self.norm_row = nn.LayerNorm(width), nn.LayerNorm(width)
        self.summary = Reading(width, n_heads)
        self.column = Reading(width, n_heads)
        self.row = Reading(width, n_heads)
        self.mlp = perceptron(width, 2 * width)

    def summarise(self, cells: Tensor, bias: Tensor | None) -> Memory:
        """The memory of each column, of support cells (..., n, d, width); bias (n,)."""
        columns = self.norm_support(cells).transpose(-3, -2)
        seeds = self.seeds.expand(*columns.shape[:-2], *self.seeds.shape)
        seeds = seeds + self.summary(self.norm_seeds(seeds), self.summary.memory(columns), bias)
        return self.column.memory(self.norm_seeds(seeds))

    def forward(
        self, cells: Tensor, memory: Memory, bias: Tensor | None, first: int | None = None
    ) -> Tensor:
        """Cells (..., n, d, width) after reading; of the first few of each row alone, if said."""
        columns = self.norm_column(cells).transpose(-3, -2)
        cells = cells + self.column(columns, memory).transpose(-3, -2)
        normed = self.norm_row(cells)
        readers, asking = cells[..., :first, :], normed[..., :first, :]
        readers = readers + self.row(asking, self.row.memory(normed), bias)
        return readers + self.mlp(readers)


class RowBlock(nn.Module):
    """A block in which a row reads the support rows.

    Args:
        width: Width of a token.
        n_heads: Heads of the attention.

    Source: Xiong et al.: On Layer Normalization in the Transformer Architecture, ICML 2020.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.reading = Reading(width, n_heads)
        self.mlp = perceptron(width, 2 * width)

    def memory(self, rows: Tensor) -> Memory:
        """The memory of support rows (..., n, width)."""
        return self.reading.memory(self.norm(rows))

    def forward(self, rows: Tensor, memory: Memory, bias: Tensor | None) -> Tensor:
        """Rows (..., m, width) after reading."""
        rows = rows + self.reading(self.norm(rows), memory, bias)
        return rows + self.mlp(rows)

    def shares(self, rows: Tensor, memory: Memory, bias: Tensor | None) -> Tensor:
        """How much rows read of each support row (..., heads, m, n)."""
        return self.reading.shares(self.norm(rows), memory, bias)
