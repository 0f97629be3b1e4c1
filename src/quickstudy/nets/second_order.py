"""Convolution, batch normalisation and attention made to be differentiated twice.

The values and first derivatives are those of torch, by the same kernels. Its second derivatives of
these two are slow on a CPU: that of batch norm is made of many passes over the batch, and that of a
convolution computes what nobody asked for and the rest as a convolution of another shape. Here each
is made of the first derivative's kernel and a few passes, and can be differentiated again, any
number of times; torch's batch norm is wrong from the third order on. Inside a transform of
`torch.func` torch's own operations are taken.

Torch's fused attention has no second derivative at all, and no rule for vmap: `plain_attention`
has torch take plain operations for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.attention import SDPBackend, sdpa_kernel

from quickstudy.nets.products import narrowed


def transformed() -> bool:
    """Whether this runs inside a transform of torch.func, such as vmap."""
    return bool(torch._C._are_functorch_transforms_active())


class _Setting:
    """A setting of the process that holds as long as one of those who asked for it is inside."""

    def __init__(self) -> None:
        self.lock, self.inside, self.undo = Lock(), 0, ExitStack()


_plain = _Setting()


@contextmanager
def plain_attention(wanted: bool = True) -> Iterator[None]:
    """Torch computes attention by matrix products and a softmax, in a `with` block.

    So does what is made of `F.scaled_dot_product_attention`, such as `nn.TransformerEncoder`. The
    choice is one of the process: other threads compute so too until the last block has ended.
    """
    if not wanted:
        yield
        return
    mha = torch.backends.mha
    with _plain.lock:
        if not _plain.inside:
            _plain.undo.enter_context(sdpa_kernel(SDPBackend.MATH))
            _plain.undo.callback(mha.set_fastpath_enabled, mha.get_fastpath_enabled())
            mha.set_fastpath_enabled(False)
        _plain.inside += 1
    try:
        yield
    finally:
        with _plain.lock:
            _plain.inside -= 1
            if not _plain.inside:
                _plain.undo.close()


def along_channels(v: Tensor, x: Tensor) -> Tensor:
    """Numbers of the channels `(channels,)` as a view that broadcasts along axis 1 of x."""
    return v.view(1, -1, *(1,) * (x.ndim - 2))


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d` with a faster second derivative, and in bfloat16 inside `passing.bf16`."""

    def forward(self, x: Tensor) -> Tensor:
        if narrowed(x):
            return self._convolve(x.bfloat16(), self.weight.bfloat16(), self.bias).float()
        return self._convolve(x, self.weight, self.bias)

    def _convolve(self, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        b = None if b is None else b.to(w.dtype)
        if transformed() or not isinstance(self.padding, tuple) or self.padding_mode != "zeros":
            return self._conv_forward(x, w, b)
        geometry = (self.stride, self.padding, self.dilation, self.groups)
        return _Convolution.apply(x, w, b, geometry)  # type: ignore[no-untyped-call]


class _Convolution(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, b: Tensor | None, geometry: tuple[Any, ...]
    ) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.geometry = geometry
        return F.conv2d(x, w, b, *geometry)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        return (
            *_ConvolutionSlope.apply(  # type: ignore[no-untyped-call]
                g, *ctx.saved_tensors, ctx.geometry, ctx.needs_input_grad[:3]
            ),
            None,
        )


class _ConvolutionSlope(Function):
    """The gradient of a convolution by x, w and b, as far as needed, given that by its output."""

    @staticmethod
    def forward(
        ctx: Any,
        g: Tensor,
        x: Tensor,
        w: Tensor,
        geometry: tuple[Any, ...],
        needed: tuple[bool, ...],
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(g, x, w)
        ctx.geometry = geometry
        ctx.set_materialize_grads(False)
        stride, padding, dilation, groups = geometry
        d_x, d_w, d_b = torch.ops.aten.convolution_backward(
            g, x, w, [len(w)], stride, padding, dilation, False, [0, 0], groups, needed
        )
        return d_x, d_w, d_b

    @staticmethod
    def backward(
        ctx: Any, u: Tensor | None, v: Tensor | None, c: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """The gradient by g, x and w.

        With output C(x, w) + b:  d_g = C(u, w) + C(x, v) + c,  d_x is the first derivative's with v
        for w, and d_w is the first derivative's with u for x.
        """
        g, x, w = ctx.saved_tensors
        of_g, of_x, of_w = ctx.needs_input_grad[:3]
        d_g = d_x = d_w = None
        if of_g:
            if v is not None:
                d_g = _Convolution.apply(x, v, c, ctx.geometry)  # type: ignore[no-untyped-call]
            elif c is not None:
                d_g = along_channels(c, g).expand_as(g)
            if u is not None:
                by_u = _Convolution.apply(u, w, None, ctx.geometry)  # type: ignore[no-untyped-call]
                d_g = by_u if d_g is None else d_g + by_u
        needed = (of_x and v is not None, of_w and u is not None, False)
        if any(needed):
            d_x, d_w, _ = _ConvolutionSlope.apply(  # type: ignore[no-untyped-call]
                g, x if u is None else u, w if v is None else v, ctx.geometry, needed
            )
        return d_g, d_x, d_w, None, None


def batch_norm(
    x: Tensor, scale: Tensor, shift: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalises each channel by the statistics of the batch, then scales and shifts it.

        xh = (x - mean) rstd,  rstd = 1 / sqrt(variance + eps),  y = scale xh + shift

    Not for use inside a transform of `torch.func`.

    Shapes:
        x (examples, channels, *space), scale and shift (channels,)
        -> y as x, mean (channels,), rstd (channels,)

    Source: Ioffe, Szegedy: Batch Normalization, ICML 2015.
    """
    y, mean, rstd = _Normalisation.apply(x, scale, shift, eps)  # type: ignore[no-untyped-call]
    return y, mean, rstd


class _Normalisation(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, scale: Tensor, shift: Tensor, eps: float
    ) -> tuple[Tensor, ...]:
        y, mean, rstd = torch.native_batch_norm(x, scale, shift, None, None, True, 0.0, eps)
        ctx.save_for_backward(x, scale, mean, rstd)
        ctx.set_materialize_grads(False)
        return y, mean, rstd

    @staticmethod
    def backward(
        ctx: Any, g: Tensor | None, by_mean: Tensor | None, by_rstd: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        x, scale, mean, rstd = ctx.saved_tensors
        n = x.numel() // x.shape[1]
        d_x = d_scale = d_shift = None
        if g is not None:
            d_x, d_scale, d_shift = _NormalisationSlope.apply(  # type: ignore[no-untyped-call]
                g, x, scale, mean, rstd
            )
        if by_rstd is not None:
            of_rstd = along_channels(-by_rstd * rstd**3 / n, x) * (x - along_channels(mean, x))
            d_x = of_rstd if d_x is None else d_x + of_rstd
        if by_mean is not None:
            of_mean = along_channels(by_mean / n, x).expand_as(x)
            d_x = of_mean if d_x is None else d_x + of_mean
        return d_x, d_scale, d_shift, None


class _NormalisationSlope(Function):
    """The gradient of `batch_norm` by x, scale and shift, given g, that by y.

    With s = scale, r = rstd, n examples and means <.> over a channel:
        d_x = s r (g - <g> - xh <g xh>),  d_scale = n <g xh>,  d_shift = n <g>
    """

    @staticmethod
    def forward(
        ctx: Any, g: Tensor, x: Tensor, scale: Tensor, mean: Tensor, rstd: Tensor
    ) -> tuple[Tensor, ...]:
        d_x, d_scale, d_shift = torch.ops.aten.native_batch_norm_backward(
            g, x, scale, None, None, mean, rstd, True, 0.0, [True, True, True]
        )
        ctx.save_for_backward(g, x, scale, mean, rstd, d_scale, d_shift)
        return d_x, d_scale, d_shift

    @staticmethod
    def backward(ctx: Any, u: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient by g, x and scale; mean and rstd are functions of x.

        With P = r (u - <u> - xh <u xh>), which the first derivative's kernel gives:
            d_g     = s P + a xh + b
            q       = <g u> - <g><u> - <g xh><u xh>
            d_scale = n r q
            c       = a - s r <u xh>
            d_x     = r c (g - <g> - xh <g xh>) - s r <g xh> P - s r^2 q xh
        """
        g, x, s, mean, r, n_gh, n_g = ctx.saved_tensors
        n = x.numel() // x.shape[1]
        P, n_uh, n_u = _NormalisationSlope.apply(  # type: ignore[no-untyped-call]
            u, x, torch.ones_like(s), mean, r
        )
        over = [axis for axis in range(x.ndim) if axis != 1]
        of_gh, of_g, of_uh, of_u = n_gh / n, n_g / n, n_uh / n, n_u / n
        q = (g * u).mean(over) - of_g * of_u - of_gh * of_uh
        c = a - s * r * of_uh
        # As numbers times x, since xh = r x - r mean: each term is one pass.
        d_g = _combined(b - a * r * mean, (s, P), (a * r, x))
        by_x = -r * r * (c * of_gh + s * r * q)
        d_x = _combined(-r * c * of_g - by_x * mean, (-s * r * of_gh, P), (r * c, g), (by_x, x))
        return d_g, d_x, n * r * q, None, None


def _combined(constant: Tensor, *terms: tuple[Tensor, Tensor]) -> Tensor:
    """The sum of a constant of each channel and of tensors times a number of each channel."""
    total = along_channels(constant, terms[0][1])
    for factor, x in terms:
        total = torch.addcmul(total, along_channels(factor, x), x)
    return total
