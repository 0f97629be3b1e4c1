"""BERT and its small relatives, such as MiniLM: states of the tokens of a text."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Bert(nn.Module):
    """A transformer encoder of tokens with learned positions, normalised after each part.

    Args:
        weights: Tensors by the names of the published checkpoint.
        n_heads: Heads of each layer.
        without: Last layers that are left out.
        eps: What its layer norms add to variances.

    Shapes:
        ids, mask (n, tokens) -> states (n, tokens, width)

    Source: Devlin, Chang, Lee, Toutanova: BERT, NAACL 2019; Wang et al.: MiniLM, NeurIPS 2020.
    """

    def __init__(
        self, weights: dict[str, Tensor], n_heads: int, without: int = 0, eps: float = 1e-12
    ) -> None:
        super().__init__()
        embeddings = {
            name: weights[f"embeddings.{name}_embeddings.weight"]
            for name in ("word", "position", "token_type")
        }
        width = embeddings["word"].shape[1]
        self.words = _table(embeddings["word"])
        # Every token is of the first of the two texts that BERT could take.
        self.positions = _table(embeddings["position"] + embeddings["token_type"][0])
        self.norm = nn.LayerNorm(width, eps)
        _copy(self.norm, weights, "embeddings.LayerNorm")
        depth = len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")})
        self.layers = nn.ModuleList(
            BertLayer(weights, f"encoder.layer.{i}", width, n_heads, eps)
            for i in range(depth - without)
        )

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        places = torch.arange(ids.shape[1], device=ids.device)
        x = self.norm(self.words(ids) + self.positions(places))
        for layer in self.layers:
            x = layer(x, mask)
        return x


class BertLayer(nn.Module):
    """Self-attention and a feed-forward part, each added to its input and normalised.

    Args:
        weights: Tensors by name.
        prefix: What stands before the names of this layer.
        width: Length of a state.
        n_heads: Number of heads.
        eps: What the layer norms add to variances.

    Shapes:
        x (n, tokens, width), mask (n, tokens) -> (n, tokens, width)
    """

    def __init__(
        self, weights: dict[str, Tensor], prefix: str, width: int, n_heads: int, eps: float
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query = _linear(weights, f"{prefix}.attention.self.query")
        self.key = _linear(weights, f"{prefix}.attention.self.key")
        self.value = _linear(weights, f"{prefix}.attention.self.value")
        self.mixed = _linear(weights, f"{prefix}.attention.output.dense")
        self.wide = _linear(weights, f"{prefix}.intermediate.dense")
        self.narrow = _linear(weights, f"{prefix}.output.dense")
        self.norm_attention = nn.LayerNorm(width, eps)
        self.norm_output = nn.LayerNorm(width, eps)
        _copy(self.norm_attention, weights, f"{prefix}.attention.output.LayerNorm")
        _copy(self.norm_output, weights, f"{prefix}.output.LayerNorm")

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        n, tokens, width = x.shape

        def heads(states: Tensor) -> Tensor:
            return states.reshape(n, tokens, self.n_heads, -1).transpose(1, 2)

        query, key, value = heads(self.query(x)), heads(self.key(x)), heads(self.value(x))
        attended = F.scaled_dot_product_attention(query, key, value, mask[:, None, None, :])
        attended = attended.transpose(1, 2).reshape(n, tokens, width)
        x = self.norm_attention(x + self.mixed(attended))
        return self.norm_output(x + self.narrow(F.gelu(self.wide(x))))


def _table(rows: Tensor) -> nn.Embedding:
    table = nn.Embedding(*rows.shape)
    table.load_state_dict({"weight": rows})
    return table


def _linear(weights: dict[str, Tensor], prefix: str) -> nn.Linear:
    n_out, n_in = weights[f"{prefix}.weight"].shape
    linear = nn.Linear(n_in, n_out)
    _copy(linear, weights, prefix)
    return linear


def _copy(module: nn.Module, weights: dict[str, Tensor], prefix: str) -> None:
    module.load_state_dict({name: weights[f"{prefix}.{name}"] for name in ("weight", "bias")})
