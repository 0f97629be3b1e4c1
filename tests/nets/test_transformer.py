"""Attention, blocks and the encoder against loops, and what a token may see."""

from __future__ import annotations

import pytest
import torch
from reference import attention as reference

from quickstudy.errors import UserError
from quickstudy.nets import Transformer
from quickstudy.nets.transformer import Attention, Block, attend, ignoring


def draw(*shape: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(len(shape))
    return torch.randn(shape, generator=rng, dtype=torch.float64)


def weights(module: torch.nn.Module) -> reference.Weights:
    """Its weights, with scales and shifts that are not just ones and zeros."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=rng, dtype=p.dtype))
    return dict(module.named_parameters())


@pytest.mark.parametrize("n_keys", [None, 3])
def test_attention_one_query_one_key_one_head_at_a_time(n_keys: int | None) -> None:
    torch.manual_seed(0)
    module = Attention(6, 2, n_keys).double()
    x, compared = draw(4, n_keys or 6), 2 * draw(5, n_keys or 6)
    read, bias = draw(5, 6), draw(2, 4, 5)
    w = weights(module)
    found = module(x, *module.keys_values(compared, read), bias)
    for i, row in enumerate(x):
        by_hand = reference.attention(w, 2, row, [*compared], [*read], [[*b[i]] for b in bias])
        torch.testing.assert_close(found[i], by_hand)


def test_a_block_one_token_at_a_time() -> None:
    torch.manual_seed(0)
    module = Block(6, 3).double()
    w = weights(module)
    x, context = draw(4, 6), 2 * draw(5, 6)
    found = module(x, *module.keys_values(context))
    for i, row in enumerate(x):
        torch.testing.assert_close(found[i], reference.block(w, 3, row, [*context]))


def test_the_encoder_one_input_at_a_time() -> None:
    torch.manual_seed(0)
    net = Transformer((3,), hidden=4, n_layers=2, n_heads=2).double()
    w = weights(net)
    x = draw(2, 3)
    for row, found in zip(x, net(x), strict=True):
        tokens = [row[c] * w["embed.weight"][c] + w["place"][c] for c in range(3)]
        for layer in range(2):
            part = reference.under(w, f"blocks.{layer}.")
            tokens = [reference.block(part, 2, token, tokens) for token in tokens]
        normed = [reference.layer_norm(reference.under(w, "norm."), token) for token in tokens]
        torch.testing.assert_close(found, sum(normed[1:], normed[0]) / 3)


def test_what_is_ignored_takes_exactly_no_attention() -> None:
    query, key, value = draw(2, 3), draw(4, 3), draw(4, 5)
    weight = torch.tensor([1.0, 0, 1, 0], dtype=torch.float64)
    found = attend(query, 1e3 * key, value, ignoring(weight))
    value[weight == 0] = 1e12
    assert torch.equal(attend(query, 1e3 * key, value, ignoring(weight)), found)
    kept = weight > 0
    torch.testing.assert_close(found, attend(query, 1e3 * key[kept], value[kept]))
    assert torch.isfinite(attend(query, key, value, ignoring(0 * weight))).all()


def test_a_token_is_a_patch() -> None:
    torch.manual_seed(0)
    net = Transformer((2, 8, 12), hidden=4, n_heads=2, patch=4)
    x = torch.randn(1, 2, 8, 12)
    linear = net.embed.get_submodule("linear")
    by_hand = [linear(x[0, :, r : r + 4, c : c + 4].flatten()) for r in (0, 4) for c in (0, 4, 8)]
    torch.testing.assert_close(net.embed(x)[0], torch.stack(by_hand))


@pytest.mark.parametrize(("in_shape", "n_tokens"), [((1, 16, 16), 16), ((6,), 6), ((2, 3), 6)])
def test_it_says_how_many_features_it_gives(in_shape: tuple[int, ...], n_tokens: int) -> None:
    net = Transformer(in_shape, hidden=12)
    assert net(torch.zeros(3, *in_shape)).shape == (3, net.n_features) == (3, 12)
    assert net.place.shape == (n_tokens, 12)


def test_columns_are_told_apart() -> None:
    torch.manual_seed(0)
    net = Transformer((4,), hidden=8)
    x = torch.randn(1, 4)
    assert not torch.allclose(net(x), net(x.flip(1)), atol=1e-3)
    torch.nn.init.ones_(net.place)
    for p in net.embed.parameters():
        torch.nn.init.ones_(p)
    torch.testing.assert_close(net(x), net(x.flip(1)), rtol=1e-4, atol=1e-5)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="28x30 and patch=4"):
        Transformer((1, 28, 30))
    with pytest.raises(UserError, match="patch=0"):
        Transformer((1, 28, 28), patch=0)
    with pytest.raises(UserError, match="5 heads and a width of 64"):
        Transformer((4,), n_heads=5)
