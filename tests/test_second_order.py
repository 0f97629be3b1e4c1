"""Convolution and batch norm against torch's own and against primitives, up to the third order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from quickstudy.nets.passing import bf16
from quickstudy.nets.second_order import Conv2d, batch_norm

Function = Callable[..., Tensor]


def inputs(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def derivatives(f: Function, values: list[Tensor], order: int) -> list[Tensor]:
    """Of one number made of all outputs; from the second order on, of all derivatives before."""
    out = f(*values)
    weights = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    scalar = (out.tanh() * weights).sum()
    for _ in range(order - 1):
        slopes = torch.autograd.grad(scalar, values, create_graph=True)
        scalar = torch.stack([slope.sin().square().sum() for slope in slopes]).sum()
    return [*torch.autograd.grad(scalar, values)]


def normalised(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    over = [axis for axis in range(x.ndim) if axis != 1]
    centred = x - x.mean(over, keepdim=True)
    variance = centred.square().mean(over, keepdim=True)
    by_channel = (1, -1, *(1,) * (x.ndim - 2))
    return centred * torch.rsqrt(variance + 1e-5) * scale.view(by_channel) + shift.view(by_channel)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("space", [(), (3,), (2, 3)])
def test_batch_norm_is_that_of_primitives(space: tuple[int, ...], order: int) -> None:
    values = inputs((4, 3, *space), (3,), (3,))
    found = derivatives(lambda *v: batch_norm(*v, 1e-5)[0], values, order)
    torch.testing.assert_close(found, derivatives(normalised, values, order))


def test_its_moments_can_be_differentiated_too() -> None:
    def f(*v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return batch_norm(*v, 1e-5)

    values = inputs((4, 3, 2, 2), (3,), (3,))
    assert torch.autograd.gradcheck(f, values)
    assert torch.autograd.gradgradcheck(f, values)
    x = values[0]
    y, mean, rstd = f(*values)
    torch.testing.assert_close(mean, x.mean((0, 2, 3)))
    torch.testing.assert_close(rstd**-2 - 1e-5, x.var((0, 2, 3), correction=0))
    scale, shift = values[1:]
    torch.testing.assert_close(y, F.batch_norm(x, None, None, scale, shift, training=True))


def test_a_scale_of_zero_has_derivatives() -> None:
    values = inputs((4, 3, 2), (3,), (3,))
    values[1].data[1] = 0
    found = derivatives(lambda *v: batch_norm(*v, 1e-5)[0], values, 2)
    torch.testing.assert_close(found, derivatives(normalised, values, 2))


SETTINGS: list[dict[str, Any]] = [
    {"padding": 1},
    {"stride": 2, "padding": 1},
    {"bias": False},
    {"groups": 3, "dilation": 2, "padding": (2, 1)},
    {"padding": "same"},
    {"padding": 1, "padding_mode": "circular"},
]


def convolutions(settings: dict[str, Any]) -> tuple[Function, Function, list[Tensor]]:
    """Ours and torch's as functions of the input and the parameters, and values of these."""
    modules = [kind(3, 6, 3, **settings).double() for kind in (Conv2d, nn.Conv2d)]
    names = [name for name, _ in modules[0].named_parameters()]
    shapes = [tuple(p.shape) for p in modules[0].parameters()]

    def function(module: nn.Module) -> Function:
        return lambda x, *p: functional_call(module, dict(zip(names, p, strict=True)), (x,))

    return function(modules[0]), function(modules[1]), inputs((2, 3, 6, 5), *shapes)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_convolution_is_torchs(settings: dict[str, Any], order: int) -> None:
    ours, theirs, values = convolutions(settings)
    torch.testing.assert_close(ours(*values), theirs(*values))
    torch.testing.assert_close(
        derivatives(ours, values, order), derivatives(theirs, values, order), rtol=1e-9, atol=1e-9
    )


@pytest.mark.parametrize("fixed", [(0,), (1,), (2,), (0, 1), (1, 2)], ids=str)
def test_what_needs_no_gradient_gets_none(fixed: tuple[int, ...]) -> None:
    ours, theirs, values = convolutions({"padding": 1})
    for i in fixed:
        values[i] = values[i].detach()
    free = [v for v in values if v.requires_grad]

    def second(f: Function) -> list[Tensor]:
        def of(*free: Tensor) -> Tensor:
            parts = iter(free)
            return f(*(next(parts) if v.requires_grad else v for v in values)).square()

        return derivatives(of, free, 2)

    torch.testing.assert_close(second(ours), second(theirs))


def test_under_a_transform_it_is_torchs_own() -> None:
    ours, theirs, values = convolutions({"padding": 1})
    x = torch.stack([values[0], 2 * values[0]]).detach()
    rest = [v.detach() for v in values[1:]]

    def slope(f: Function) -> Tensor:
        return vmap(lambda x: grad(lambda w: f(x, w, rest[1]).square().sum())(rest[0]))(x)

    torch.testing.assert_close(slope(ours), slope(theirs))


def reduced(order: int, *, wanted: bool = True, vectorised: bool = False) -> list[Tensor]:
    """Derivatives of a convolution by its input, weight and bias, perhaps in bfloat16."""
    values = [t.detach().float().requires_grad_() for t in inputs((2, 3, 6, 6), (4, 3, 3, 3), (4,))]
    conv = Conv2d(3, 4, 3, padding=1)

    def f(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        with bf16(wanted):
            if vectorised:
                return vmap(lambda x: functional_call(conv, {"weight": w, "bias": b}, (x,)))(
                    x[:, None]
                )[:, 0]
            return functional_call(conv, {"weight": w, "bias": b}, (x,))

    return [f(*values), *derivatives(f, values, order)]


@pytest.mark.parametrize("order", [1, 2])
def test_bf16_is_near_and_not_the_same(order: int) -> None:
    for found, want in zip(reduced(order), reduced(order, wanted=False), strict=True):
        assert found.dtype == torch.float32
        apart = (found - want).norm() / want.norm()
        assert 1e-4 < float(apart.detach()) < 0.05


def test_bf16_is_that_of_rounded_inputs() -> None:
    torch.manual_seed(0)
    conv, x = Conv2d(3, 4, 3), torch.randn(2, 3, 6, 6)
    with bf16():
        found = conv(x)
    w, b = conv.weight.bfloat16(), conv.bias
    assert b is not None
    want = F.conv2d(x.bfloat16().double(), w.double(), b.bfloat16().double())
    torch.testing.assert_close(found, want.float(), rtol=2**-8, atol=1e-6)


def test_bf16_is_the_same_in_a_transform() -> None:
    for found, want in zip(reduced(1, vectorised=True), reduced(1), strict=True):
        torch.testing.assert_close(found, want, rtol=0.02, atol=0.02)


def test_bf16_leaves_float64_alone() -> None:
    conv, x = Conv2d(1, 2, 3).double(), torch.randn(1, 1, 5, 5, dtype=torch.float64)
    with bf16():
        found = conv(x)
    torch.testing.assert_close(found, conv(x), rtol=1e-12, atol=1e-12)
