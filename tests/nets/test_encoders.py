"""Shapes and initial values of the networks."""

from typing import Literal

import pytest
import torch
from torch import nn

from quickstudy.errors import UserError
from quickstudy.nets import MLP, Conv4, SharedLinear
from quickstudy.nets.head import repeat_rows


@pytest.mark.parametrize("pool", ["max", "stride"])
@pytest.mark.parametrize("size", [16, 28, 33])
def test_conv4_says_how_many_features_it_gives(pool: str, size: int) -> None:
    net = Conv4((2, size, size), hidden=8, pool=pool, norm="layer")  # type: ignore[arg-type]
    assert net(torch.zeros(3, 2, size, size)).shape == (3, net.n_features)
    assert net.n_features == (8 if pool == "stride" else 8 * (size // 16) ** 2)


@pytest.mark.parametrize(
    ("pool", "pools", "shape"),
    [("max", 0, (8, 17, 20)), ("max", 2, (8, 4, 5)), ("max", 4, (8, 1, 1)), ("stride", 2, (8,))],
)
def test_conv4_halves_in_its_first_blocks(
    pool: Literal["max", "stride"], pools: int, shape: tuple[int, ...]
) -> None:
    net = Conv4((2, 17, 20), hidden=8, pool=pool, norm="layer", pools=pools)
    assert net.feature_shape == shape
    z = net(torch.zeros(3, 2, 17, 20))
    assert z.unflatten(1, shape).shape == (3, *shape)
    maps = net.blocks(torch.zeros(3, 2, 17, 20))
    halved = (17 >> pools, 20 >> pools) if pool == "max" else (5, 5)
    assert maps.shape == (3, 8, *halved)


@pytest.mark.parametrize("pools", [-1, 5])
def test_conv4_has_four_blocks_to_halve_in(pools: int) -> None:
    with pytest.raises(UserError, match=f"0 to 4, of four blocks; received {pools}"):
        Conv4(pools=pools)


def test_conv4_takes_small_images_with_few_halvings() -> None:
    assert Conv4((1, 8, 28), pools=3).feature_shape == (64, 1, 3)
    with pytest.raises(UserError, match="at least 4x4 for 2 halvings"):
        Conv4((1, 3, 28), pools=2)


@pytest.mark.parametrize("in_shape", [(28, 28), (1, 8, 28)])
def test_conv4_refuses_what_it_cannot_halve(in_shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="at least 16x16"):
        Conv4(in_shape)


def test_mlp_flattens() -> None:
    net = MLP((2, 3), (5, 4))
    assert net(torch.zeros(7, 2, 3)).shape == (7, 4)
    assert net.n_features == 4


def test_shared_linear_repeats_one_row_for_every_class() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(MLP((3,), (4,)), SharedLinear(4))
    parameters = repeat_rows(net, dict(net.named_parameters()), 5)
    out = torch.func.functional_call(net, parameters, (torch.ones(2, 3),))
    assert out.shape == (2, 5)
    torch.testing.assert_close(out, out[:, :1].expand(2, 5))
    assert parameters["0.layers.0.weight"] is net[0].layers[0].weight
    alone = repeat_rows(SharedLinear(4), dict(SharedLinear(4).named_parameters()), 3)
    assert alone["weight"].shape == (3, 4)
